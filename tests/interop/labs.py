"""The client side of the published labs for confidential VMs, with the official SDKs and `cryptography`.

    python labs.py seal FOLDER KEY CONTAINER    seals FOLDER/data as the labs do, and uploads it
    python labs.py open FOLDER KEY CONTAINER    opens what Sealbook sealed, in FOLDER and in CONTAINER

`KEY` is the address of a key of type RSA-HSM, `CONTAINER` that of a blob container. The labs' layout: a file is nonce (12
bytes), ciphertext, tag (16 bytes) of AES-256-GCM, and beside it lies the data key, wrapped by RSA-OAEP-256, raw. Opening
takes both ways to the data key: the key store unwraps it, and the released key in FOLDER/kek.pem does. Prints a line per
check and exits with 1 at the first surprise.
"""

import hashlib
import os
import sys
from pathlib import Path

from azure.identity import DefaultAzureCredential
from azure.keyvault.keys import KeyClient
from azure.keyvault.keys.crypto import CryptographyClient, KeyWrapAlgorithm
from azure.storage.blob import ContainerClient
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
WRAP = KeyWrapAlgorithm.rsa_oaep_256


def equal(got: object, expected: object) -> None:
    """Stops unless both are the same."""
    if got != expected:
        raise AssertionError(f"{got!r} is not {expected!r}")


class Lab:
    """A folder, a key and a container."""

    def __init__(self, folder: str, key: str, container: str) -> None:
        self.folder = Path(folder)
        credential = DefaultAzureCredential()
        self.crypto = CryptographyClient(key, credential)
        vault, name = key.split("/keys/")
        self.key = KeyClient(vault, credential).get_key(name.split("/")[0])
        self.container = ContainerClient.from_container_url(container, credential)

    def read(self, name: str) -> bytes:
        """A file of the folder."""
        return (self.folder / name).read_bytes()

    def blob(self, name: str) -> bytes:
        """A blob of the container."""
        return self.container.download_blob(name).readall()


def seal(lab: Lab) -> None:
    """Seals and uploads."""
    dek = AESGCM.generate_key(bit_length=256)
    nonce = os.urandom(12)
    sealed = {
        "confidentialData.enc": nonce + AESGCM(dek).encrypt(nonce, lab.read("data"), None),
        "confidentialData.key": lab.crypto.wrap_key(WRAP, dek).encrypted_key,
    }
    for name, content in sealed.items():
        (lab.folder / name).write_bytes(content)
        lab.container.upload_blob(name, content, overwrite=True)
    (lab.folder / "dek").write_bytes(dek)
    numbers = lab.key.key
    n, e = (int.from_bytes(part, "big") for part in (numbers.n, numbers.e))
    public = rsa.RSAPublicNumbers(e, n).public_key()
    (lab.folder / "kek.pub").write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def opened(lab: Lab, sealed: bytes, wrapped: bytes) -> bytes:
    """The content, once both ways lead to one data key."""
    dek = lab.crypto.unwrap_key(WRAP, wrapped).key
    kek = load_pem_private_key(lab.read("kek.pem"), None)
    equal(kek.decrypt(wrapped, OAEP), dek)
    equal(len(dek), 32)
    return AESGCM(dek).decrypt(sealed[:12], sealed[12:], None)


def open_all(lab: Lab) -> None:
    """Opens what `sealbook seal` wrote, and what a run uploaded."""
    equal(opened(lab, lab.read("ours.enc"), lab.read("ours.key")), lab.read("data"))
    print("ok   a file of sealbook seal")
    content = opened(lab, lab.blob("run.enc"), lab.blob("run.key"))
    equal(hashlib.sha256(content).hexdigest(), lab.read("run.sha256").decode())
    print("ok   a file of a run")


def main() -> int:
    """Does what was asked for."""
    lab = Lab(*sys.argv[2:5])
    {"seal": seal, "open": open_all}[sys.argv[1]](lab)
    return 0


if __name__ == "__main__":
    sys.exit(main())
