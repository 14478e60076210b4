"""Sealed files and the labs' layout, by a model of their own and by `cryptography`, both ways with the binary.

`sealed_file.py SEALBOOK` seals here and opens there, and the other way round; the last line counts the checks.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap, aes_key_wrap

OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
LABEL = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0"
CHUNK = 16384


# docs/sealed-file.md in thirty lines.
def context(envelope: bytes) -> bytes:
    return b"sealbook/sealed-file@v1\0" + hashlib.sha256(envelope).digest()


def derive(key: bytes, salt: bytes, ctx: bytes) -> tuple[AESGCM, int, bytes]:
    out = HKDFExpand(hashes.SHA512(), 76, LABEL + salt + ctx).derive(key)
    return AESGCM(out[:32]), int.from_bytes(out[32:44], "big"), out[44:]


def write(key: bytes, header: dict, plain: bytes, salt: bytes) -> bytes:
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    envelope = b"\x89SBSF\r\n\x1a" + (1).to_bytes(2, "big") + len(text).to_bytes(2, "big") + text
    aead, base, commitment = derive(key, salt, context(envelope))
    chunks = [plain[at : at + CHUNK] for at in range(0, len(plain) - len(plain) % CHUNK + 1, CHUNK)]
    sealed = [aead.encrypt((base ^ n).to_bytes(12, "big"), chunk, None) for n, chunk in enumerate(chunks)]
    return envelope + salt + commitment + b"".join(sealed)


def read_header(file: bytes) -> tuple[dict, bytes, bytes]:
    assert file[:10] == b"\x89SBSF\r\n\x1a\0\1"
    end = 12 + int.from_bytes(file[10:12], "big")
    return json.loads(file[12:end]), file[:end], file[end:]


def read(key: bytes, file: bytes) -> bytes:
    header, envelope, message = read_header(file)
    aead, base, commitment = derive(key, message[:24], context(envelope))
    assert commitment == message[24:56], "another key, or another header"
    chunks = [message[at : at + CHUNK + 16] for at in range(56, len(message), CHUNK + 16)]
    assert 16 <= len(chunks[-1]) < CHUNK + 16, "cut off"
    plain = b"".join(aead.decrypt((base ^ n).to_bytes(12, "big"), chunk, None) for n, chunk in enumerate(chunks))
    assert header.get("length", len(plain)) == len(plain)
    return plain


class Checks:
    """A folder with keys, the binary, and a count."""

    def __init__(self, binary: str, folder: Path) -> None:
        self.binary, self.folder, self.count = binary, folder, 0
        self.private = rsa.generate_private_key(65537, 2048)
        self.aes = os.urandom(32)
        pem = serialization.Encoding.PEM
        self.public = self.file("kek.pem", self.private.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
        self.pair = self.file(
            "kek.key",
            self.private.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        )
        self.aes_file = self.file("aes.key", self.aes)

    def file(self, name: str, content: bytes = b"") -> Path:
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(0o600)
        return path

    def sealbook(self, *args: str | Path, expect: int = 0) -> dict:
        command = [self.binary, "--output", "json", *map(str, args)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == expect, (command, done.returncode, done.stdout, done.stderr)
        return json.loads(done.stdout)

    def equal(self, one: object, other: object, what: str) -> None:
        assert one == other, f"{what}: differs"
        self.count += 1

    def theirs_to_ours(self, plain: bytes, wrap: str) -> None:
        """Sealed by the binary, opened by the model and by `cryptography`."""
        source, out = self.file("data.csv", plain), self.folder / "data.sealed"
        key = self.file("content.key", os.urandom(32))
        given = {"dir": ["--key", key], "RSA-OAEP-256": ["--kek", self.public], "A256KW": ["--kek", self.aes_file]}
        self.sealbook("seal", source, "--out", out, "--force", "--kid", "k1", "--media-type", "text/csv", *given[wrap])
        header, envelope, message = read_header(out.read_bytes())
        wrapped = urlsafe_b64decode(header.get("wrapped", "") + "==")
        unwrap = {
            "dir": lambda: key.read_bytes(),
            "RSA-OAEP-256": lambda: self.private.decrypt(wrapped, OAEP),
            "A256KW": lambda: aes_key_unwrap(self.aes, wrapped),
        }
        content = unwrap[wrap]()
        facts = [header["wrap"], header["kid"], header["name"], header["media_type"], header["length"]]
        self.equal(facts, [wrap, "k1", "data.csv", "text/csv", len(plain)], "header")
        self.equal(read(content, out.read_bytes()), plain, "the model opens")
        decryptor = Cobblestone256Decryptor(content, context(envelope))
        self.equal(decryptor.update(message) + decryptor.finalize(), plain, "cryptography opens")

    def ours_to_theirs(self, plain: bytes, wrap: str) -> None:
        """Sealed by the model and by `cryptography`, opened by the binary."""
        content = os.urandom(32)
        key = self.file("content.key", content)
        wrapped = {
            "dir": lambda: b"",
            "RSA-OAEP-256": lambda: self.private.public_key().encrypt(content, OAEP),
            "A256KW": lambda: aes_key_wrap(self.aes, content),
        }[wrap]()
        header = {"cipher": "Cobblestone-256", "wrap": wrap, "name": "grün ☕.bin", "length": len(plain)}
        if wrapped:
            header["wrapped"] = urlsafe_b64encode(wrapped).rstrip(b"=").decode()
        given = {"dir": ["--key", key], "RSA-OAEP-256": ["--kek", self.pair], "A256KW": ["--kek", self.aes_file]}[wrap]
        file = write(content, header, plain, os.urandom(24))
        _, envelope, _ = read_header(file)
        encryptor = Cobblestone256Encryptor(content, context(envelope))
        theirs = envelope + encryptor.update(plain) + encryptor.finalize()
        out = self.folder / "opened"
        for made in (file, theirs):
            said = self.sealbook("open", self.file("made.sealed", made), "--out", out, "--force", *given)
            self.equal(said["name"], "grün ☕.bin", "name")
            self.equal(out.read_bytes(), plain, "the binary opens")

    def changed(self) -> None:
        """What was changed is refused by both, and leaves no file."""
        content = os.urandom(32)
        key = self.file("content.key", content)
        file = write(content, {"cipher": "Cobblestone-256", "wrap": "dir", "name": "a"}, os.urandom(40_000), os.urandom(24))
        swapped = file.replace(b'"name":"a"', b'"name":"b"')
        flipped = file[:30_000] + bytes([file[30_000] ^ 1]) + file[30_001:]
        for bad, code in ((swapped, "SB0802"), (flipped, "SB0803"), (file[:-100], "SB0803"), (file + b"x", "SB0803")):
            out = self.folder / "never"
            said = self.sealbook("open", self.file("bad.sealed", bad), "--out", out, "--key", key, expect=21)
            self.equal((said["problems"][0]["code"], out.exists()), (code, False), "refused")

    def labs(self, plain: bytes) -> None:
        """The labs' layout as the labs write and read it."""
        out, wrapped = self.folder / "lab.enc", self.folder / "lab.key"
        source = self.file("lab.csv", plain)
        labs = ["--layout", "labs", "--wrapped", wrapped, "--force"]
        self.sealbook("seal", source, "--out", out, "--kek", self.public, *labs)
        file, key = out.read_bytes(), self.private.decrypt(wrapped.read_bytes(), OAEP)
        self.equal(AESGCM(key).decrypt(file[:12], file[12:], None), plain, "the lab opens")
        key, nonce = b" " + os.urandom(30) + b"\n", os.urandom(12)
        sealed = self.file("lab.enc", nonce + AESGCM(key).encrypt(nonce, plain, None))
        self.file("lab.key", self.private.public_key().encrypt(key, OAEP))
        self.sealbook("open", sealed, "--out", source, "--kek", self.pair, *labs)
        self.equal(source.read_bytes(), plain, "the binary opens")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        checks = Checks(sys.argv[1], Path(folder))
        lengths = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 32 * CHUNK, 100 * CHUNK + 77]
        for plain in (os.urandom(length) for length in lengths):
            for wrap in ("dir", "RSA-OAEP-256", "A256KW"):
                checks.theirs_to_ours(plain, wrap)
                checks.ours_to_theirs(plain, wrap)
            checks.labs(plain)
        checks.changed()
        print(f"{checks.count} checks")


if __name__ == "__main__":
    main()
