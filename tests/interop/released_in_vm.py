"""A key released by the official SDK to a machine of the embedded Azure, opened with that machine's TPM by bytes alone.

    python released_in_vm.py EVIDENCE KEY

runs inside the machine (`sealbook cloud exec --machine`). `EVIDENCE` is what `sealbook guest attest --out` wrote there,
`KEY` the address of a key of type RSA-HSM. Its private half is compared with what the key store wraps and unwraps. Prints
a line per algorithm and exits with 1 at the first surprise.

The TPM's commands are packed by hand after TCG, "Trusted Platform Module Library", part 3.
"""

import base64
import hashlib
import json
import os
import struct
import sys
from pathlib import Path

import requests
from azure.identity import DefaultAzureCredential
from azure.keyvault.keys import KeyClient, KeyExportEncryptionAlgorithm
from azure.keyvault.keys.crypto import CryptographyClient, KeyWrapAlgorithm
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

NULL, PASSWORD = 0x40000007, 0x40000009
ALG_RSA, ALG_SHA256, ALG_NULL, ALG_OAEP = 0x0001, 0x000B, 0x0010, 0x0017
TRIAL, POLICY = 3, 1
# fixedTPM, fixedParent, sensitiveDataOrigin, noDA, decrypt.
TRANSFER_KEY = 0x2 | 0x10 | 0x20 | 0x400 | 0x20000
PCRS = struct.pack(">IHB3s", 1, ALG_SHA256, 3, b"\xff\xff\xff")
# Of each algorithm: the hash of its OAEP as the TPM numbers it.
HASHES = {
    KeyExportEncryptionAlgorithm.ckm_rsa_aes_key_wrap: 0x0004,
    KeyExportEncryptionAlgorithm.rsa_aes_key_wrap_256: 0x000B,
    KeyExportEncryptionAlgorithm.rsa_aes_key_wrap_384: 0x000C,
}


def decoded(text: str) -> bytes:
    """Bytes of base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def equal(got: object, expected: object) -> None:
    """Stops unless both are the same."""
    if got != expected:
        raise AssertionError(f"{got!r} is not {expected!r}")


def sized(data: bytes) -> bytes:
    """A TPM2B."""
    return struct.pack(">H", len(data)) + data


def unsized(data: bytes) -> bytes:
    """What a TPM2B holds."""
    (length,) = struct.unpack_from(">H", data)
    return data[2 : 2 + length]


class Tpm:
    """The machine's TPM, behind its door."""

    def __init__(self) -> None:
        access = json.loads(os.environ["SEALBOOK_MACHINE"])
        self.url = f"http://127.0.0.1:{access['port']}/"
        self.headers = {
            "host": "vtpm.internal",
            "x-sealbook-door": access["secret"],
            "x-sealbook-url-scheme": "http",
        }

    def ask(self, code: int, handles: list[int], parameters: bytes, session: tuple[int, int] | None = None) -> bytes:
        """The response to a command, without its header."""
        body = b"".join(struct.pack(">I", handle) for handle in handles)
        if session:
            authorization = struct.pack(">IHBH", session[0], 0, session[1], 0)
            body += struct.pack(">I", len(authorization)) + authorization
        body += parameters
        command = struct.pack(">HII", 0x8002 if session else 0x8001, 10 + len(body), code) + body
        answer = requests.post(self.url, command, headers=self.headers, timeout=60)
        equal(answer.status_code, 200)
        equal((hex(code), struct.unpack_from(">HII", answer.content)[2]), (hex(code), 0))
        return answer.content[10:]

    def registers(self) -> bytes:
        """The digest of all registers."""
        values = b""
        for number in range(24):
            one = struct.pack(">IHB3s", 1, ALG_SHA256, 3, (1 << number).to_bytes(3, "little"))
            # A counter, the selection, and a list of one digest.
            values += unsized(self.ask(0x17E, [], one)[4 + 10 + 4 :])
        return hashlib.sha256(values).digest()

    def session(self, kind: int) -> int:
        """A session that holds while the registers are what they are."""
        start = sized(os.urandom(32)) + sized(b"") + struct.pack(">BHH", kind, ALG_NULL, ALG_SHA256)
        (session,) = struct.unpack_from(">I", self.ask(0x176, [NULL, NULL], start))
        self.ask(0x17F, [session], sized(self.registers()) + PCRS)
        return session

    def flush(self, handle: int) -> None:
        """Forgets a handle."""
        self.ask(0x165, [handle], b"")

    def transfer_key(self) -> tuple[int, int]:
        """Handle and modulus of the key that the machine's tokens name."""
        trial = self.session(TRIAL)
        policy = unsized(self.ask(0x189, [trial], b""))
        self.flush(trial)
        public = struct.pack(">HHI", ALG_RSA, ALG_SHA256, TRANSFER_KEY) + sized(policy)
        public += struct.pack(">HHHI", ALG_NULL, ALG_NULL, 2048, 0) + sized(b"")
        create = sized(sized(b"") + sized(b"")) + sized(public) + sized(b"") + struct.pack(">I", 0)
        made = self.ask(0x131, [NULL], create, (PASSWORD, 0))
        (handle,) = struct.unpack_from(">I", made)
        area = unsized(made[8:])
        return handle, int.from_bytes(unsized(area[len(public) - 2 :]), "big")

    def decrypt(self, key: int, ciphertext: bytes, algorithm: int) -> bytes:
        """RSAES-OAEP."""
        session = self.session(POLICY)
        scheme = sized(ciphertext) + struct.pack(">HH", ALG_OAEP, algorithm) + sized(b"")
        message = unsized(self.ask(0x159, [key], scheme, (session, 1))[4:])
        self.flush(session)
        return message


def main() -> int:
    """Releases under each algorithm."""
    token = json.loads(Path(sys.argv[1]).read_text())["token"]
    vault, name = sys.argv[2].split("/keys/")
    name = name.split("/")[0]
    tpm = Tpm()
    handle, modulus = tpm.transfer_key()
    keys = json.loads(decoded(token.split(".")[1]))["x-ms-runtime"]["keys"]
    equal([int.from_bytes(decoded(key["n"]), "big") for key in keys if key["kid"] == "TpmEphemeralEncryptionKey"], [modulus])
    credential = DefaultAzureCredential()
    client = KeyClient(vault, credential)
    key = client.get_key(name)
    for algorithm, hash_of_oaep in HASHES.items():
        released = client.release_key(name, token, version=key.properties.version, algorithm=algorithm)
        payload = json.loads(decoded(released.value.split(".")[1]))
        blob = json.loads(decoded(payload["response"]["key"]["key"]["key_hsm"]))
        equal((blob["header"]["enc"], blob["header"]["kid"]), (algorithm.value, "TpmEphemeralEncryptionKey"))
        ciphertext = decoded(blob["ciphertext"])
        ephemeral = tpm.decrypt(handle, ciphertext[:256], hash_of_oaep)
        private = load_der_private_key(keywrap.aes_key_unwrap_with_padding(ephemeral, ciphertext[256:]), None)
        assert isinstance(private, rsa.RSAPrivateKey)
        equal(private.public_key().public_numbers().n, int.from_bytes(key.key.n, "big"))
        way = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
        remote = CryptographyClient(key, credential)
        dek = os.urandom(32)
        equal(private.decrypt(remote.wrap_key(KeyWrapAlgorithm.rsa_oaep_256, dek).encrypted_key, way), dek)
        here = private.public_key().encrypt(dek, way)
        equal(remote.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, here).key, dek)
        print(f"ok   {algorithm.value}")
    tpm.flush(handle)
    print(f"{len(HASHES)} releases")
    return 0


if __name__ == "__main__":
    sys.exit(main())
