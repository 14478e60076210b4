//! What a file of evidence is and what it states, without verifying anything.

use serde_json::{Map, Value, json};

use crate::azure_vm::{self, Endorsement, Evidence};
use crate::hcl::{Hardware, HclReport, RuntimeData};
use crate::snp::{self, KeyCertificate, Report};
use crate::tdx;
use crate::time::utc;
use crate::tpm::{self, Attest};
use crate::verdict::Verdict;
use crate::x509::Certificate;

/// What was recognised.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// What it is, in words.
    pub kind: &'static str,
    /// What it states: claims of whoever made it.
    pub facts: Map<String, Value>,
}

/// Recognises evidence by its own bytes; `None` when it is nothing that is understood.
#[must_use]
pub fn look(bytes: &[u8]) -> Option<Seen> {
    let mut verdict = Verdict::default();
    let kind = kind(bytes, &mut verdict)?;
    Some(Seen { kind, facts: verdict.facts })
}

fn kind(bytes: &[u8], verdict: &mut Verdict) -> Option<&'static str> {
    if let Ok(report) = Report::parse(bytes) {
        snp::facts(&report, verdict);
        return Some("A report of AMD SEV-SNP");
    }
    if let Ok(report) = HclReport::parse(bytes) {
        return Some(paravisor(&report, verdict));
    }
    if let Ok(attest) = Attest::parse(bytes) {
        tpm::facts(&attest, verdict);
        return Some("A quote of a TPM, without its signature");
    }
    if tdx::states(bytes, verdict) {
        return Some("A quote of Intel TDX");
    }
    if let Ok(evidence) = Evidence::from_json(bytes) {
        if let Ok(report) = HclReport::parse(&evidence.hcl_report) {
            paravisor(&report, verdict);
        }
        if let Endorsement::Tdx { quote, .. } = &evidence.endorsement {
            tdx::states(quote, verdict);
        }
        if let Some(attest) = evidence.quote.and_then(|quote| Attest::parse(&quote.message).ok()) {
            tpm::facts(&attest, verdict);
        }
        return Some("Evidence of a confidential VM on Azure");
    }
    let certificates = snp::certificates(bytes).ok()?;
    for (number, certificate) in (1..).zip(&certificates) {
        verdict.fact(format!("certificate.{number}"), describe(certificate));
    }
    Some(if certificates.len() == 1 { "A certificate" } else { "Certificates" })
}

fn paravisor(report: &HclReport, verdict: &mut Verdict) -> &'static str {
    if let Ok(runtime) = RuntimeData::parse(&report.runtime) {
        azure_vm::facts(&runtime, verdict);
    }
    match &report.hardware {
        Hardware::Snp(bytes) => {
            if let Ok(report) = Report::parse(bytes) {
                snp::facts(&report, verdict);
            }
            "The paravisor's report of a confidential VM on Azure, with SEV-SNP"
        }
        Hardware::Tdx(_) => "The paravisor's report of a confidential VM on Azure, with TDX",
    }
}

fn describe(certificate: &Certificate) -> Value {
    let mut fact = json!({
        "subject": certificate.subject(),
        "issuer": certificate.issuer(),
        "not_before": utc(certificate.not_before()),
        "not_after": utc(certificate.not_after()),
        "sha256": hex::encode(certificate.fingerprint()),
    });
    if let (Ok(key), Some(object)) = (KeyCertificate::parse(certificate), fact.as_object_mut()) {
        object.insert("product".into(), key.product_name.into());
        object.insert("tcb".into(), key.tcb.fact());
        if let Some(chip) = key.hwid {
            object.insert("chip_id".into(), hex::encode(chip).into());
        }
    }
    fact
}
