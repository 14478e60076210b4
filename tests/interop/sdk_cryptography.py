"""Key Vault: what its keys compute, compared with what `cryptography` computes on this machine.

The SDK does everything that needs no more than the public key by itself. So that Key Vault does it too, those requests
are sent through the client's own pipeline by `ask`.
"""

import base64
import hashlib
from typing import Any

from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest
from azure.keyvault.keys import KeyClient, KeyCurveName, KeyVaultKey
from azure.keyvault.keys.crypto import CryptographyClient, EncryptionAlgorithm, KeyWrapAlgorithm, SignatureAlgorithm
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from sdk_keys import SECRET, number, place, public_ec, public_rsa
from sdk_support import Lab, check, equal, refused

HASHES: dict[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}

ENCRYPTION = [EncryptionAlgorithm.rsa1_5, EncryptionAlgorithm.rsa_oaep, EncryptionAlgorithm.rsa_oaep_256]
WRAPPING = [KeyWrapAlgorithm.rsa1_5, KeyWrapAlgorithm.rsa_oaep, KeyWrapAlgorithm.rsa_oaep_256]
RSA_SIGNATURES = [algorithm for algorithm in SignatureAlgorithm if algorithm.value[:2] in ("RS", "PS")]
EC_SIGNATURES = {
    KeyCurveName.p_256: SignatureAlgorithm.es256,
    KeyCurveName.p_384: SignatureAlgorithm.es384,
    KeyCurveName.p_521: SignatureAlgorithm.es512,
    KeyCurveName.p_256_k: SignatureAlgorithm.es256_k,
}


def encoded(octets: bytes) -> str:
    """Octets as JSON web algorithms write them: base64url without padding."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    """Octets that were written so."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def ask(client: KeyClient, key: KeyVaultKey, operation: str, **body: str) -> Any:
    """Has Key Vault itself do an operation with a key, and answers its result."""
    path = f"/keys/{key.name}/{key.properties.version}/{operation}?api-version={client.api_version}"
    response = client.send_request(HttpRequest("POST", path, json=body))
    if response.status_code != 200:
        raise HttpResponseError(response=response)
    return response.json()["value"]


def digest_for(algorithm: SignatureAlgorithm) -> tuple[hashes.HashAlgorithm, bytes]:
    """Hash function of an algorithm, and a digest by it."""
    bits = algorithm.value[2:5]
    return HASHES[bits], hashlib.new(f"sha{bits}", b"what is signed").digest()


def rsa_key(lab: Lab, hsm: bool) -> KeyVaultKey:
    """A fresh RSA key of 2048 bits for the checks of this file."""
    return lab.keys_of_officer.create_rsa_key(f"compute-rsa-{place(hsm)}", size=2048, hardware_protected=hsm)


@check("keys: wrap and unwrap")
def wrap(lab: Lab) -> None:
    """What is wrapped here or there under any algorithm is unwrapped there; a version unwraps only its own."""
    client = lab.keys_of_officer
    for hsm in (False, True):
        key = rsa_key(lab, hsm)
        cipher = CryptographyClient(key, lab.credential)
        for algorithm in WRAPPING:
            here = cipher.wrap_key(algorithm, SECRET).encrypted_key
            there = decoded(ask(client, key, "wrapkey", alg=algorithm.value, value=encoded(SECRET)))
            assert here != there
            equal(cipher.unwrap_key(algorithm, here).key, SECRET)
            equal(cipher.unwrap_key(algorithm, there).key, SECRET)
        other = CryptographyClient(client.rotate_key(key.name), lab.credential)
        with refused(400, "BadParameter"):
            other.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, here)


@check("keys: encrypt and decrypt")
def encrypt(lab: Lab) -> None:
    """What is encrypted here or there under any algorithm is decrypted there."""
    for hsm in (False, True):
        key = rsa_key(lab, hsm)
        cipher = CryptographyClient(key, lab.credential)
        for algorithm in ENCRYPTION:
            here = cipher.encrypt(algorithm, SECRET).ciphertext
            there = decoded(ask(lab.keys_of_officer, key, "encrypt", alg=algorithm.value, value=encoded(SECRET)))
            assert here != there
            equal(cipher.decrypt(algorithm, here).plaintext, SECRET)
            equal(cipher.decrypt(algorithm, there).plaintext, SECRET)


@check("keys: what was not encrypted is not decrypted")
def decrypt_nonsense(lab: Lab) -> None:
    """Random octets, and octets under another algorithm, are refused."""
    cipher = CryptographyClient(rsa_key(lab, hsm=True), lab.credential)
    with refused(400, "BadParameter"):
        cipher.decrypt(EncryptionAlgorithm.rsa_oaep_256, bytes(256))
    under_another = cipher.encrypt(EncryptionAlgorithm.rsa_oaep, SECRET).ciphertext
    with refused(400, "BadParameter"):
        cipher.decrypt(EncryptionAlgorithm.rsa_oaep_256, under_another)


def compare_verdicts(
    lab: Lab, key: KeyVaultKey, algorithm: SignatureAlgorithm, digest: bytes, signature: bytes
) -> None:
    """Demands that Key Vault finds a signature good, and bad for another digest or with another octet."""

    def verdict(digest: bytes, signature: bytes) -> bool:
        question = {"alg": algorithm.value, "digest": encoded(digest), "value": encoded(signature)}
        return ask(lab.keys_of_officer, key, "verify", **question)

    equal(verdict(digest, signature), True)
    equal(verdict(bytes(len(digest)), signature), False)
    equal(verdict(digest, signature[:-1] + bytes([signature[-1] ^ 1])), False)


def sign_rsa(lab: Lab, algorithm: SignatureAlgorithm) -> None:
    """Key Vault's signature is good for `cryptography`, for the SDK and for Key Vault."""
    function, digest = digest_for(algorithm)
    pss = padding.PSS(padding.MGF1(function), function.digest_size)
    for hsm in (False, True):
        key = rsa_key(lab, hsm)
        cipher = CryptographyClient(key, lab.credential)
        signature = cipher.sign(algorithm, digest).signature
        scheme = pss if algorithm.value.startswith("PS") else padding.PKCS1v15()
        public_rsa(key.key).verify(signature, digest, scheme, Prehashed(function))
        assert cipher.verify(algorithm, digest, signature).is_valid
        compare_verdicts(lab, key, algorithm, digest, signature)


for algorithm in RSA_SIGNATURES:
    check(f"keys: sign and verify {algorithm.value}")(lambda lab, algorithm=algorithm: sign_rsa(lab, algorithm))


def sign_ec(lab: Lab, curve: KeyCurveName) -> None:
    """Key Vault's signature is two numbers, good for `cryptography`, for the SDK and for Key Vault."""
    algorithm = EC_SIGNATURES[curve]
    function, digest = digest_for(algorithm)
    for hsm in (False, True):
        name = f"compute-{curve.value}-{place(hsm)}".lower()
        key = lab.keys_of_officer.create_ec_key(name, curve=curve, hardware_protected=hsm)
        cipher = CryptographyClient(key, lab.credential)
        signature = cipher.sign(algorithm, digest).signature
        public = public_ec(key.key)
        half = (public.key_size + 7) // 8
        equal(len(signature), 2 * half)
        as_der = encode_dss_signature(number(signature[:half]), number(signature[half:]))
        public.verify(as_der, digest, ec.ECDSA(Prehashed(function)))
        assert cipher.verify(algorithm, digest, signature).is_valid
        compare_verdicts(lab, key, algorithm, digest, signature)


for curve, algorithm in EC_SIGNATURES.items():
    check(f"keys: sign and verify {algorithm.value} on {curve.value}")(lambda lab, curve=curve: sign_ec(lab, curve))


@check("keys: a signature of one version is not that of another")
def versions_sign_apart(lab: Lab) -> None:
    """After a rotation, `cryptography` refuses the older version's signature under the newer key."""
    key = rsa_key(lab, hsm=True)
    _, digest = digest_for(SignatureAlgorithm.rs256)
    signature = CryptographyClient(key, lab.credential).sign(SignatureAlgorithm.rs256, digest).signature
    newer = lab.keys_of_officer.rotate_key(key.name)
    try:
        public_rsa(newer.key).verify(signature, digest, padding.PKCS1v15(), Prehashed(hashes.SHA256()))
    except InvalidSignature:
        return
    raise AssertionError("the newer version stands for what the older one signed")


@check("keys: algorithms that are not for a key are refused")
def wrong_algorithm(lab: Lab) -> None:
    """An RSA key makes no ECDSA signature, a P-256 key none for P-384, and a digest must have its function's length."""
    client = lab.keys_of_officer
    rsa, digest = rsa_key(lab, hsm=False), encoded(bytes(32))
    with refused(400, "BadParameter"):
        ask(client, rsa, "sign", alg="ES256", value=digest)
    with refused(400, "BadParameter"):
        ask(client, rsa, "sign", alg="RS512", value=digest)
    with refused(400, "BadParameter"):
        ask(client, rsa, "encrypt", alg="A256GCM", value=digest)
    on_p_256 = client.create_ec_key("wrong-algorithm", curve=KeyCurveName.p_256)
    with refused(400, "BadParameter"):
        ask(client, on_p_256, "sign", alg="ES384", value=encoded(bytes(48)))
