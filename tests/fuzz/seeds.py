"""Makes corpora for the fuzz targets out of recorded evidence: `python3 tests/fuzz/seeds.py EVIDENCE FOLDER`.

EVIDENCE is the folder of recorded evidence, FOLDER gets one corpus for each target and must lie outside of the
repository: the evidence is other people's. Inputs are the files as they are, or put together as the target's head says.
"""

import base64
import json
import sys
from pathlib import Path

LINE = b"\n----\n"


def main(evidence: Path, folder: Path) -> None:
    if Path(__file__).resolve().parents[2] in folder.resolve().parents:
        sys.exit(f"{folder} lies in the repository")
    for target, inputs in {
        "snp_report": reports(evidence),
        "certificates": certificates(evidence),
        "hcl_report": paravisor(evidence),
        "tpm_quote": quotes(evidence),
        "tdx_quote": tdx(evidence),
        "event_log": [],
        "maa_token": tokens(evidence),
        "release_policy": policies(evidence),
        "release_jws": releases(evidence),
        "evidence": documents(evidence),
        "key_transfer": [path.read_bytes() for path in evidence.glob("byok-vectors/*.byok")],
        "security_domain": [path.read_bytes() for path in evidence.glob("security-domain/*/*.[jc]*")],
        "sealed": [bytes([2]) + path.read_bytes() for path in evidence.glob("workshop-format-vectors/*.enc")],
    }.items():
        corpus = folder / target
        corpus.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(inputs):
            (corpus / f"seed-{number}").write_bytes(data)
        print(f"{target}: {len(list(inputs))} seeds")


def below(evidence: Path, *suffixes: str, largest: int = 200_000) -> list[Path]:
    files = (path for path in evidence.rglob("*") if path.is_file() and "wycheproof" not in path.parts)
    return sorted(path for path in files if path.suffix in suffixes and path.stat().st_size <= largest)


def reports(evidence: Path) -> list[bytes]:
    whole = [path.read_bytes() for path in below(evidence, ".bin", ".dat")]
    inner = [data[0x20 : 0x20 + 1184] for data in whole if data[:4] == b"HCLA"]
    return [data for data in whole if len(data) == 1184] + inner


def certificates(evidence: Path) -> list[bytes]:
    files = below(evidence, ".pem", ".der", ".cer", ".testcer")
    files = [path for path in files if not {"nvtrust", "nvidia-attestation-sdk"} & set(path.parts)]
    return [path.read_bytes() for path in files + list(evidence.glob("ms-sidecar/*certificate.json"))]


def paravisor(evidence: Path) -> list[bytes]:
    whole = [path.read_bytes() for path in below(evidence, ".bin")]
    whole = [data for data in whole if data[:4] == b"HCLA"]
    return whole + [data[0x20 + 1184 + 20 :].rstrip(b"\0") for data in whole]


def quotes(evidence: Path) -> list[bytes]:
    found = [path.read_bytes() for path in below(evidence, ".msg", ".sig")]
    for path in evidence.rglob("tpm-quote-v1.json"):
        document = json.loads(path.read_bytes())
        found += [bytes.fromhex(document[name]) for name in ("message", "signature")]
    # With the signature as the TPM writes it: RSASSA or RSAPSS, and its hash.
    bare = [data for data in found if len(data) == 256]
    return found + [scheme + b"\x00\x0b\x01\x00" + data for data in bare for scheme in (b"\x00\x14", b"\x00\x16")]


def tdx(evidence: Path) -> list[bytes]:
    names = ("td-quote", "tdx_", "quote_v5")
    quotes = [path for path in below(evidence, ".bin", ".dat", "") if path.name.startswith(names)]
    found = [path.read_bytes() for path in quotes]
    for path in quotes:
        collateral = path.with_name(path.name + "_collateral.json")
        if collateral.exists():
            found.append(path.read_bytes() + LINE + collateral.read_bytes())
    info = evidence / "attestation-rs/collateral/tcb_info_90c06f000000.json"
    revoked = evidence / "attestation-rs/collateral/pck_crl_platform.der"
    found += [path.read_bytes() + LINE + info.read_bytes() + LINE + revoked.read_bytes() for path in quotes[:4]]
    return found


def tokens(evidence: Path) -> list[bytes]:
    keys = next(evidence.rglob("get.certs.response.body.json")).read_bytes()
    texts = [path.read_bytes().strip() for path in below(evidence, ".jwt")]
    texts += [path.read_bytes().strip() for path in evidence.rglob("sev-snp-jwt.txt")]
    found = []
    for text in texts:
        found += [b"\0" + text, b"\0" + text + LINE + keys]
        parts = text.split(b".")
        for kind, part in ((b"\2", parts[0]), (b"\1", parts[1] if len(parts) > 1 else b"")):
            found.append(kind + base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)))
    host = "https://fuzz.attest.azure.net"
    metadata = {"issuer": host, "jwks_uri": host + "/certs", "response_types_supported": ["token"]}
    claims = {"iss": host, "exp": 1767312000, "nbf": 1767225000, "x-ms-runtime": {"keys": []}}
    found += [b"\3" + json.dumps(metadata).encode(), b"\1" + json.dumps(claims).encode()]
    return found + [b"\3" + data[1:] for data in found if data[:1] == b"\1"]


def policies(evidence: Path) -> list[bytes]:
    claims = [data[1:] for data in tokens(evidence) if data[:1] == b"\1"]
    texts = [path.read_bytes() for path in below(evidence / "release-policies", ".json")]
    found = [text + LINE + claim for text in texts for claim in claims[:3]]
    return found + [base64.urlsafe_b64encode(text) for text in texts] + [LINE + claim for claim in claims]


def releases(evidence: Path) -> list[bytes]:
    found = []

    def walk(value: object) -> None:
        if isinstance(value, str) and value.startswith("ey") and value.count(".") == 2:
            header, payload, _ = value.split(".")
            found.append(b"\0" + value.encode())
            for kind, part in ((b"\2", header), (b"\1", payload)):
                found.append(kind + base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(inner)

    for path in evidence.glob("skr-vectors/*.json"):
        walk(json.loads(path.read_bytes()))
    # What the target's own vault would answer.
    kid, enc = "https://fuzz.vault.azure.net/keys/k/1", "RSA_AES_KEY_WRAP_256"
    wrap = {"schema_version": "1.0", "header": {"kid": "tee", "alg": "dir", "enc": enc}, "ciphertext": "AAAA"}
    wrap = base64.urlsafe_b64encode(json.dumps(wrap).encode()).decode().rstrip("=")
    request = {"api-version": "7.4", "enc": enc, "kid": kid, "nonce": "nobody's"}
    answer = {"request": request, "response": {"key": {"key": {"kid": kid, "kty": "RSA-HSM", "key_hsm": wrap}}}}
    return found + [b"\1" + json.dumps(answer).encode()]


def documents(evidence: Path) -> list[bytes]:
    folders = ("attestation-rs", "trustee", "azure-cleanroom", "privacy-sandbox-kms", "ms-sidecar")
    return [path.read_bytes() for folder in folders for path in below(evidence / folder, ".json", largest=60_000)]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
