"""Evidence of a confidential machine judged with `cryptography` alone, and the attestation service by its official SDK.

    python attestation.py SCENE

`SCENE` is a JSON file: `hcl` (the paravisor's report), `certificates` (PEM: VCEK and those above), `roots` (PEM of the
test roots), `nonce`, `quote`, `signature` and `pcrs` (of the virtual TPM), `log` (of the firmware), `provider` (address of
an attestation provider), `attest` (address and body of a request for a token). Bytes are base64. Prints a line per check
and exits with 1 at the first that fails.
"""

import base64
import hashlib
import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
from azure.identity import DefaultAzureCredential
from azure.security.attestation import (
    AttestationAdministrationClient,
    AttestationClient,
    AttestationToken,
    AttestationTokenValidationException,
)
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

AMD = "1.3.6.1.4.1.3704.1"
LEVELS = {"3.1": 0, "3.2": 1, "3.3": 6, "3.8": 7}


def equal(got: object, expected: object) -> None:
    """Stops unless both are the same."""
    if got != expected:
        raise AssertionError(f"{got!r} is not {expected!r}")


def refuses(what: type[Exception], attempt: Callable[[], object]) -> None:
    """Stops unless the attempt is refused."""
    try:
        attempt()
    except what:
        return
    raise AssertionError("what was changed is accepted")


def number(text: str) -> int:
    """An integer of base64url."""
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")


class Scene:
    """The evidence."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.hcl = self.bytes("hcl")
        self.report = self.hcl[0x20:0x4C0]
        (length,) = struct.unpack_from("<I", self.hcl, 0x4D0)
        self.runtime = self.hcl[0x4D4 : 0x4D4 + length]
        self.claims = json.loads(self.runtime)
        self.certificates = x509.load_pem_x509_certificates(document["certificates"].encode())
        self.roots = x509.load_pem_x509_certificates(document["roots"].encode())

    def bytes(self, name: str) -> bytes:
        """A member as bytes."""
        return base64.b64decode(self.document[name])


def chain(scene: Scene) -> None:
    """The VCEK leads to a root that the cloud publishes, by RSASSA-PSS with SHA-384 and 48 bytes of salt."""
    vcek, ask, ark = scene.certificates
    for certificate, issuer in ((vcek, ask), (ask, ark), (ark, ark)):
        certificate.verify_directly_issued_by(issuer)
        parameters = certificate.signature_algorithm_parameters
        equal((parameters._salt_length, parameters._mgf._algorithm.name), (48, "sha384"))
        equal("SEALBOOK TEST" in certificate.subject.rfc4514_string(), True)
    equal(ark in scene.roots, True)


def extensions(scene: Scene) -> None:
    """The VCEK is for the chip and the patch levels of the report."""
    vcek = scene.certificates[0]
    values = {e.oid.dotted_string: e.value.value for e in vcek.extensions}
    tcb = scene.report[0x180:0x188]
    for tail, index in LEVELS.items():
        der = values[f"{AMD}.{tail}"]
        equal((der[0], int.from_bytes(der[2:], "big")), (2, tcb[index]))
    equal(values[f"{AMD}.4"], scene.report[0x1A0:0x1E0])
    equal(values[f"{AMD}.2"], b"\x16\x08Milan-B0")


def report(scene: Scene) -> None:
    """The VCEK signed the report, and no other."""
    r, s = (int.from_bytes(scene.report[start : start + 72], "little") for start in (0x2A0, 0x2E8))
    signature = utils.encode_dss_signature(r, s)
    key = scene.certificates[0].public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(signature, scene.report[:0x2A0], ec.ECDSA(hashes.SHA384()))
    changed = bytearray(scene.report[:0x2A0])
    changed[0x90] ^= 1
    refuses(InvalidSignature, lambda: key.verify(signature, bytes(changed), ec.ECDSA(hashes.SHA384())))


def binding(scene: Scene) -> None:
    """The report vouches for the runtime data, by the layout of the paravisor."""
    equal((scene.hcl[:4], len(scene.hcl)), (b"HCLA", 2600))
    equal(struct.unpack_from("<5I", scene.hcl, 0x4C0)[1:4], (1, 2, 1))
    equal(scene.report[0x50:0x90], hashlib.sha256(scene.runtime).digest() + bytes(32))
    equal(any(scene.hcl[0x4D4 + len(scene.runtime) :]), False)


def quote(scene: Scene) -> None:
    """The attestation key of the runtime data signed the quote, over the nonce and the registers."""
    jwk = scene.claims["keys"][0]
    equal(jwk["kid"], "HCLAkPub")
    key = rsa.RSAPublicNumbers(number(jwk["e"]), number(jwk["n"])).public_key()
    message = scene.bytes("quote")
    key.verify(scene.bytes("signature"), message, padding.PKCS1v15(), hashes.SHA256())
    equal(message[:6], bytes.fromhex("ff5443478018"))
    (signer,) = struct.unpack_from(">H", message, 6)
    (length,) = struct.unpack_from(">H", message, 8 + signer)
    equal(message[10 + signer : 10 + signer + length], scene.bytes("nonce"))
    registers = [base64.b64decode(value) for value in scene.document["pcrs"]]
    equal(message[-32:], hashlib.sha256(b"".join(registers)).digest())


def log(scene: Scene) -> None:
    """The firmware's log replays to the quoted registers."""
    data = scene.bytes("log")
    at = 32 + struct.unpack_from("<I", data, 28)[0]
    registers = [bytes(32)] * 16
    while at < len(data):
        pcr, _, count, algorithm = struct.unpack_from("<IIIH", data, at)
        equal((count, algorithm), (1, 0x000B))
        registers[pcr] = hashlib.sha256(registers[pcr] + data[at + 14 : at + 46]).digest()
        at += 50 + struct.unpack_from("<I", data, at + 46)[0]
    equal(registers, [base64.b64decode(value) for value in scene.document["pcrs"][:16]])


def client(scene: Scene) -> AttestationClient:
    """The official client."""
    return AttestationClient(scene.document["provider"], DefaultAzureCredential())


def metadata(scene: Scene) -> None:
    """The provider says who it is and which keys sign."""
    provider = scene.document["provider"]
    found = client(scene).get_open_id_metadata()
    equal((found["issuer"], found["jwks_uri"]), (provider, f"{provider}/certs"))
    equal(len(client(scene).get_signing_certificates()), 1)


def policy(scene: Scene) -> None:
    """The policy of a kind of evidence, in a token that the client validates."""
    administration = AttestationAdministrationClient(scene.document["provider"], DefaultAzureCredential())
    text, token = administration.get_policy("SevSnpVm", validation_slack=86400 * 3650)
    equal("permit()" in text, True)
    equal(token.issuer, scene.document["provider"])


def token(scene: Scene) -> None:
    """A token for the evidence, valid for the client, and not when it was changed."""
    request = scene.document["attest"]
    answer = requests.post(request["uri"], json=request["body"], timeout=60)
    equal(answer.status_code, 200)
    text = answer.json()["token"]
    signers = client(scene).get_signing_certificates()
    times = {"validate_expiration": False, "validate_not_before_time": False}
    issued = AttestationToken(token=text)
    issued._validate_token(signers, issuer=scene.document["provider"], **times)
    claims = issued._body
    equal(claims["x-ms-attestation-type"], "sevsnpvm")
    equal(claims["x-ms-sevsnpvm-launchmeasurement"], scene.report[0x90:0xC0].hex())
    head, body, signature = text.split(".")
    claims["x-ms-sevsnpvm-is-debuggable"] = True
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    changed = AttestationToken(token=f"{head}.{forged}.{signature}")
    refuses(AttestationTokenValidationException, lambda: changed._validate_token(signers, **times))


CHECKS = [chain, extensions, report, binding, quote, log, metadata, policy, token]


def main() -> None:
    """Makes all checks."""
    scene = Scene(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    for check in CHECKS:
        check(scene)
        print(f"{check.__name__}: {(check.__doc__ or '').strip()}")
    print(f"{len(CHECKS)} checks")


if __name__ == "__main__":
    main()
