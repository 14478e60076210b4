"""Secure key release by the official SDK: what comes out is opened and verified with `cryptography` alone.

    python release.py SCENE

`SCENE` is a JSON file: `vault` and `pool` (addresses of key stores), `keys` (names by key store), `token` (an attestation
token that meets their policy), `debugged` (one that does not), `tee` (PEM of the environment's private key), `root` (PEM
of the root at which releases end). Prints a line per release and exits with 1 at the first surprise.
"""

import base64
import json
import sys
from pathlib import Path
from typing import Any

from azure.core.exceptions import HttpResponseError
from azure.identity import DefaultAzureCredential
from azure.keyvault.keys import KeyClient, KeyExportEncryptionAlgorithm, KeyType
from azure.keyvault.keys.crypto import CryptographyClient, EncryptionAlgorithm, KeyWrapAlgorithm
from cryptography import x509
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

HASHES = {
    KeyExportEncryptionAlgorithm.ckm_rsa_aes_key_wrap: hashes.SHA1(),  # noqa: S303 (what the mechanism says)
    KeyExportEncryptionAlgorithm.rsa_aes_key_wrap_256: hashes.SHA256(),
    KeyExportEncryptionAlgorithm.rsa_aes_key_wrap_384: hashes.SHA384(),
}


def decoded(text: str) -> bytes:
    """Bytes of base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def equal(got: object, expected: object) -> None:
    """Stops unless both are the same."""
    if got != expected:
        raise AssertionError(f"{got!r} is not {expected!r}")


def verified(jws: str, host: str, root: x509.Certificate) -> dict[str, Any]:
    """Payload of a release, once its signature, its chain and the name in its leaf hold."""
    head, payload, signature = jws.split(".")
    header = json.loads(decoded(head))
    leaf, issuing, top = [x509.load_der_x509_certificate(base64.b64decode(der)) for der in header["x5c"]]
    equal(top, root)
    leaf.verify_directly_issued_by(issuing)
    issuing.verify_directly_issued_by(root)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    dns = names.get_values_for_type(x509.DNSName)
    if host not in dns and "*." + host.split(".", 1)[1] not in dns:
        raise AssertionError(f"{host} is not among {dns}")
    for certificate in (issuing, root):
        equal(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca, True)
    thumbprint = base64.urlsafe_b64encode(leaf.fingerprint(hashes.SHA256())).rstrip(b"=").decode()
    equal(header["x5t#S256"], thumbprint)
    leaf.public_key().verify(decoded(signature), f"{head}.{payload}".encode(), padding.PKCS1v15(), hashes.SHA256())
    return json.loads(decoded(payload))


def unwrapped(key_hsm: str, tee: rsa.RSAPrivateKey) -> bytes:
    """The released key: an ephemeral key under OAEP, and behind it the key under AES key wrap with padding."""
    blob = json.loads(decoded(key_hsm))
    algorithm = HASHES[KeyExportEncryptionAlgorithm(blob["header"]["enc"])]
    ciphertext = decoded(blob["ciphertext"])
    size = tee.key_size // 8
    ephemeral = tee.decrypt(ciphertext[:size], padding.OAEP(padding.MGF1(algorithm), algorithm, None))
    return keywrap.aes_key_unwrap_with_padding(ephemeral, ciphertext[size:])


def check(scene: dict[str, Any], store: str, name: str, credential: DefaultAzureCredential) -> int:
    """Releases a key under each algorithm and uses what came out; answers how often."""
    client = KeyClient(scene[store], credential)
    host = scene[store].split("/")[2]
    tee = load_pem_private_key(scene["tee"].encode(), None)
    root = x509.load_pem_x509_certificate(scene["root"].encode())
    key = client.get_key(name)
    for algorithm in HASHES:
        released = client.release_key(
            name, scene["token"], version=key.properties.version, algorithm=algorithm, nonce="of the caller"
        )
        payload = verified(released.value, host, root)
        equal(payload["request"]["nonce"], "of the caller")
        equal(payload["request"]["enc"], algorithm.value)
        equal(payload["response"]["key"]["key"]["kid"], key.id)
        material = unwrapped(payload["response"]["key"]["key"]["key_hsm"], tee)
        if key.key_type == KeyType.oct_hsm:
            sealed = CryptographyClient(key.id, credential).encrypt(EncryptionAlgorithm.a256_gcm, b"a message")
            equal(AESGCM(material).decrypt(sealed.iv, sealed.ciphertext + sealed.tag, None), b"a message")
        else:
            private = load_der_private_key(material, None)
            if isinstance(private, ec.EllipticCurvePrivateKey):
                equal(private.public_key().public_numbers().x, int.from_bytes(key.key.x, "big"))
            else:
                way = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
                remote = CryptographyClient(key, credential).wrap_key(KeyWrapAlgorithm.rsa_oaep_256, b"a data key")
                equal(private.decrypt(remote.encrypted_key, way), b"a data key")
        print(f"ok   {store} {name} {algorithm.value}")
    try:
        client.release_key(name, scene["debugged"])
    except HttpResponseError as error:
        equal((error.status_code, error.error.code, error.error.innererror["code"]), (403, "Forbidden", "AccessDenied"))
        return len(HASHES)
    raise AssertionError("a machine that is debugged got the key")


def main() -> int:
    """Checks every key of the scene."""
    scene = json.loads(Path(sys.argv[1]).read_text())
    credential = DefaultAzureCredential()
    done = sum(check(scene, store, name, credential) for store, names in scene["keys"].items() for name in names)
    print(f"{done} releases")
    return 0


if __name__ == "__main__":
    sys.exit(main())
