//! Who judges what: a module's kinds of files, and how each becomes a verdict. A module with judges here has its name
//! in [`JUDGED`]; each of its entries must then say what it expects.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use sealbook_attestation::azure_vm::{self, Endorsement};
use sealbook_attestation::hcl::{HclReport, RuntimeData};
use sealbook_attestation::snp::{self, Endorsements};
use sealbook_attestation::tdx::{self, Collateral, CollateralParts};
use sealbook_attestation::tpm::{self, Pcrs, Quote};
use sealbook_attestation::x509::{Anchor, Certificate, ChainRules, PublicKey, verify_chain};
use sealbook_attestation::{Outcome, Roots, Verdict};
use serde_json::Value;

use crate::manifest::{Entry, Evidence, seconds};

/// Modules that files can belong to.
pub const MODULES: [&str; 12] =
    ["snp", "hcl", "tpm", "azure_vm", "tdx", "x509", "maa", "policy", "release", "crypto", "gpu", "none"];
/// Modules whose files are judged.
pub const JUDGED: [&str; 6] = ["snp", "hcl", "tpm", "azure_vm", "tdx", "x509"];

/// Judges a file as its entry says.
pub fn judge(entry: &Entry, evidence: &Evidence) -> Verdict {
    let bytes = evidence.read(&entry.path);
    let now = seconds(entry.at.as_deref().unwrap());
    let with: Vec<_> = entry.with.iter().map(|path| (path.as_str(), evidence.read(path))).collect();
    let roots = Roots::builtin();
    match (entry.module.as_str(), entry.kind.as_deref().unwrap()) {
        ("snp", kind) => {
            let (report, certificates) = snp_parts(kind, &bytes, &with);
            snp(&report, &certificates, &roots, now)
        }
        ("azure_vm", "evidence") => azure_vm::verify(&vm(&bytes, &with), &azure_vm::Rules::default(), &roots, now),
        ("hcl", "report") => {
            let evidence = azure_vm::Evidence {
                endorsement: match collateral(&with) {
                    None if with.iter().any(|(path, _)| path.ends_with("td-quote.bin")) => {
                        Endorsement::Tdx { quote: with[0].1.clone(), collateral: None }
                    }
                    _ => Endorsement::Snp(Endorsements::of(certificates(&with)).unwrap()),
                },
                hcl_report: bytes,
                quote: None,
                event_log: None,
            };
            let rules = azure_vm::Rules { require_quote: false, ..azure_vm::Rules::default() };
            azure_vm::verify(&evidence, &rules, &roots, now)
        }
        ("hcl", "runtime-data") => {
            let mut verdict = Verdict::default();
            let report = HclReport::parse(&with[0].1).unwrap();
            verdict.check(
                "hcl.binding",
                sealbook_attestation::hcl::binding(report.hash, &bytes) == report.binding(),
                "",
            );
            verdict
        }
        ("tpm", kind) => quote(kind, &bytes, &with),
        ("tdx", kind) => {
            let quote = match kind {
                "quote" => bytes,
                "quote-hex" => hex::decode(String::from_utf8(bytes).unwrap().trim().trim_start_matches("0x")).unwrap(),
                "quote-json" => hex::decode(json(&bytes)["quote"].as_str().unwrap()).unwrap(),
                other => panic!("{other}"),
            };
            tdx::verify(&quote, collateral(&with).as_ref(), &tdx::Rules::default(), &roots, now)
        }
        ("x509", "authorities") => authorities(&bytes, &roots, now),
        (module, kind) => panic!("{}: nobody judges {module} {kind}", entry.path),
    }
}

/// A report of a file and the certificates of its key.
pub fn snp_parts(kind: &str, bytes: &[u8], with: &[(&str, Vec<u8>)]) -> (Vec<u8>, Vec<Certificate>) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let pem = |value: &Value| snp::certificates(&STANDARD.decode(text(value)).unwrap()).unwrap();
    let mut found = if kind == "certificate" { Vec::new() } else { certificates(with) };
    let report = match kind {
        "report" => bytes.to_vec(),
        "certificate" => {
            found = [snp::certificates(bytes).unwrap(), certificates(&with[1..])].concat();
            with[0].1.clone()
        }
        // SCALE: the report stands behind a few bytes of framing.
        "scale" => bytes[4..4 + 1184].to_vec(),
        "scale-json" => hex::decode(&text(&json(bytes)["attestation"])[8..8 + 2 * 1184]).unwrap(),
        "attestation-rs" => {
            let evidence = &json(bytes)["evidence"];
            found.extend(snp::certificates(&STANDARD.decode(text(&evidence["cert_chain"]["vcek"])).unwrap()).unwrap());
            STANDARD.decode(text(&evidence["attestation_report"])).unwrap()
        }
        "aci" => {
            let aci = &json(bytes)["report"]["snpCACI"];
            found.extend(pem(&aci["platformCertificates"]));
            STANDARD.decode(text(&aci["attestation"])).unwrap()
        }
        "kms" => {
            let evidence = json(bytes);
            found.extend(pem(&evidence["endorsements"]));
            STANDARD.decode(text(&evidence["evidence"])).unwrap()
        }
        "attest-request" => {
            let url = |text: String| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).unwrap();
            let report = json(&url(text(&json(bytes)["report"])));
            found.extend(snp::certificates(&url(text(&report["VcekCertChain"]))).unwrap());
            url(text(&report["SnpReport"]))
        }
        other => panic!("{other}"),
    };
    (report, found)
}

fn snp(report: &[u8], certificates: &[Certificate], roots: &Roots, now: i64) -> Verdict {
    match Endorsements::of(certificates.to_vec()) {
        Ok(endorsements) => snp::verify(report, &endorsements, &snp::Rules::default(), roots, now),
        Err(error) => {
            let mut verdict = Verdict::default();
            verdict.check("snp.endorsements", false, error.to_string());
            verdict
        }
    }
}

/// Evidence of a VM, with collateral if there is any.
pub fn vm(bytes: &[u8], with: &[(&str, Vec<u8>)]) -> azure_vm::Evidence {
    let mut evidence = azure_vm::Evidence::from_json(bytes).unwrap();
    if let Endorsement::Tdx { collateral, .. } = &mut evidence.endorsement {
        *collateral = self::collateral(with);
    }
    evidence
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn certificates(with: &[(&str, Vec<u8>)]) -> Vec<Certificate> {
    with.iter().flat_map(|(path, bytes)| snp::certificates(bytes).unwrap_or_else(|e| panic!("{path}: {e}"))).collect()
}

/// Intel's word: one JSON, or the service's answers one by one, told apart by their names.
pub fn collateral(with: &[(&str, Vec<u8>)]) -> Option<Collateral> {
    let named =
        |part: &str| with.iter().find(|(path, _)| path.to_lowercase().contains(part)).map(|(_, bytes)| &bytes[..]);
    if let Some(one) = named("collateral.json") {
        return Some(Collateral::parse(one).unwrap());
    }
    let chain = |part: &str| String::from_utf8(named(part).unwrap().to_vec()).unwrap();
    let tcb_info = named("tcb_info").or_else(|| named("tcbinfo"))?;
    Some(
        Collateral::from_parts(&CollateralParts {
            root_ca_crl: named("root_ca_crl").or_else(|| named("rootcrl")).unwrap(),
            pck_crl: named("pck_crl").or_else(|| named("pckcrl")).unwrap(),
            pck_crl_issuer_chain: "",
            tcb_info,
            tcb_info_issuer_chain: &chain("tcb_signing_chain"),
            qe_identity: named("td_qe_identity").or_else(|| named("enclaveidentity")).unwrap(),
            qe_identity_issuer_chain: &chain("qe_identity_signing_chain"),
        })
        .unwrap(),
    )
}

fn quote(kind: &str, bytes: &[u8], with: &[(&str, Vec<u8>)]) -> Verdict {
    let mut verdict = Verdict::default();
    let (quote, key) = quote_parts(kind, bytes, with);
    tpm::verify(&quote, &key, &tpm::Rules::default(), &mut verdict);
    verdict
}

/// A quote of a TPM with the key that must have signed it.
pub fn quote_parts(kind: &str, bytes: &[u8], with: &[(&str, Vec<u8>)]) -> (Quote, PublicKey) {
    let key = |bytes: &[u8]| match HclReport::parse(bytes) {
        Ok(report) => PublicKey::Rsa(RuntimeData::parse(&report.runtime).unwrap().attestation_key),
        Err(_) => spki(bytes),
    };
    let values = |value: &Value| -> Pcrs {
        let list = value["pcrs"].as_array().unwrap();
        (0..).zip(list).map(|(n, v)| (n, hex::decode(v.as_str().unwrap()).unwrap().try_into().unwrap())).collect()
    };
    match kind {
        "quote-json" => {
            let part = |name: &str| hex::decode(json(bytes)[name].as_str().unwrap()).unwrap();
            let quote = Quote { message: part("message"), signature: part("signature"), pcrs: values(&json(bytes)) };
            (quote, key(&with[0].1))
        }
        "trustee-tpm" => {
            let document = json(bytes);
            let quote = &document["tpm_quote"];
            let part = |value: &Value| STANDARD_NO_PAD.decode(value.as_str().unwrap().trim_end_matches('=')).unwrap();
            let key = PublicKey::from_spki(&part(&document["ak_public"])).unwrap();
            let (message, signature) = (part(&quote["message"]), part(&quote["signature"]));
            (Quote { message, signature, pcrs: values(quote) }, key)
        }
        "message" => {
            let signature = with.get(1).map(|(_, bytes)| bytes.clone()).unwrap_or_default();
            let key = with.first().map_or_else(|| spki(NO_KEY.as_bytes()), |(_, bytes)| key(bytes));
            (Quote { message: bytes.to_vec(), signature, pcrs: Pcrs::new() }, key)
        }
        // bincode: signature, message and registers, each with a length of eight bytes.
        "bincode" => {
            let mut rest = bytes;
            let block = |rest: &mut &[u8]| {
                let (length, after) = rest.split_first_chunk::<8>().unwrap();
                let (block, after) = after.split_at(usize::try_from(u64::from_le_bytes(*length)).unwrap());
                *rest = after;
                block.to_vec()
            };
            let (signature, message) = (block(&mut rest), block(&mut rest));
            let (_, registers) = rest.split_at(rest.len() - 24 * 32);
            let pcrs = (0..).zip(registers.chunks(32)).map(|(n, v)| (n, v.try_into().unwrap())).collect();
            (Quote { message, signature, pcrs }, key(&with[0].1))
        }
        other => panic!("{other}"),
    }
}

/// The Intel SGX root's key: some key, for a message that nobody signed.
const NO_KEY: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEC6nEwMDIYZOj/iPWsCzaEKi71OiO\
                      SLRFhWGjbnBVJfVnkY4u3IjkDYYL0MxO4mqsyYjlBalTVYxFP2sJBK5zlA==\n-----END PUBLIC KEY-----";

fn spki(pem: &[u8]) -> PublicKey {
    let text: String =
        String::from_utf8(pem.to_vec()).unwrap().lines().filter(|line| !line.starts_with("--")).collect();
    PublicKey::from_spki(&STANDARD.decode(text).unwrap()).unwrap()
}

/// Each certificate of a bundle leads to one of AMD's roots, or is one.
fn authorities(bytes: &[u8], roots: &Roots, now: i64) -> Verdict {
    let mut verdict = Verdict::default();
    let anchors: Vec<_> =
        roots.iter().map(|root| Anchor { name: root.label(), certificate: &root.certificate }).collect();
    let below: Vec<_> = roots.iter().flat_map(|root| root.intermediates.iter().cloned()).collect();
    for certificate in Certificate::bundle(bytes).unwrap() {
        if anchors.iter().any(|anchor| anchor.certificate.der() == certificate.der()) {
            verdict.note("x509.root", Outcome::Passed, certificate.name());
        } else {
            verify_chain("x509", &certificate, &below, &anchors, ChainRules::default(), now, &mut verdict);
        }
    }
    verdict
}
