//! A confidential VM on Azure: the paravisor's report, the hardware behind it, and the virtual TPM's quote as one.
//!
//! The chain of the argument: the hardware's root signs for the chip's key, that key signs the hardware report, the
//! report vouches for the runtime data by their hash, the runtime data name the virtual TPM's attestation key, and that
//! key signs the quote with the challenge and the registers.

mod json;

pub use json::EvidenceError;

use crate::event_log;
use crate::hcl::{self, Hardware, HclReport, RuntimeData};
use crate::roots::Roots;
use crate::snp::{self, Endorsements};
use crate::tdx::{self, Collateral};
use crate::tpm::{self, Quote};
use crate::verdict::{Outcome, Verdict};
use crate::x509::PublicKey;

/// What vouches for the hardware report.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one of it in a verification")]
pub enum Endorsement {
    /// The certificates of an SNP report's key.
    Snp(Endorsements),
    /// A TD's quote, and what Intel says of the platform.
    Tdx {
        /// The quote: the TDREPORT in the paravisor's report proves nothing without it.
        quote: Vec<u8>,
        /// Collateral of Intel's service.
        collateral: Option<Collateral>,
    },
}

/// Evidence of a VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The paravisor's report (NV index `0x01400001`).
    pub hcl_report: Vec<u8>,
    /// What vouches for the hardware report in it.
    pub endorsement: Endorsement,
    /// The virtual TPM's quote.
    pub quote: Option<Quote>,
    /// The event log of the boot.
    pub event_log: Option<Vec<u8>>,
}

/// Demands on a VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// On the SNP report. The paravisor runs at privilege level 0, so nothing lower may have asked.
    pub snp: snp::Rules,
    /// On the TD's quote.
    pub tdx: tdx::Rules,
    /// On the configuration.
    pub hcl: hcl::Rules,
    /// On the quote.
    pub quote: tpm::Rules,
    /// Without a quote nothing is fresh: the paravisor's report is made at boot.
    pub require_quote: bool,
}

impl Default for Rules {
    fn default() -> Self {
        let mut snp = snp::Rules::default();
        snp.guest.max_vmpl = 0;
        Self {
            snp,
            tdx: tdx::Rules::default(),
            hcl: hcl::Rules::default(),
            quote: tpm::Rules::default(),
            require_quote: true,
        }
    }
}

/// Verifies evidence at `now` (unix seconds).
#[must_use]
pub fn verify(evidence: &Evidence, rules: &Rules, roots: &Roots, now: i64) -> Verdict {
    let mut verdict = Verdict::default();
    let report = verdict.demand("hcl.format", HclReport::parse(&evidence.hcl_report), |report| {
        format!("version {}, {} bytes of runtime data", report.version, report.runtime.len())
    });
    let Some(report) = report else { return verdict };
    match (&report.hardware, &evidence.endorsement) {
        (Hardware::Snp(hardware), Endorsement::Snp(endorsements)) => {
            verdict.absorb(snp::verify(hardware, endorsements, &rules.snp, roots, now));
        }
        (Hardware::Tdx(hardware), Endorsement::Tdx { quote, collateral }) => {
            let td = tdx::inspect(quote, collateral.as_ref(), &rules.tdx, roots, now, &mut verdict);
            let same = td.is_some_and(|td| td.matches(hardware));
            let detail = if same {
                "quote and TDREPORT agree"
            } else {
                "the quote speaks of another TD, or moment, than the TDREPORT"
            };
            verdict.check("hcl.hardware", same, detail);
        }
        (Hardware::Tdx(_), Endorsement::Snp(_)) => {
            verdict.check("hcl.hardware", false, "a TDREPORT came with certificates for an SNP report");
        }
        (Hardware::Snp(_), Endorsement::Tdx { .. }) => {
            verdict.check("hcl.hardware", false, "an SNP report came with a TD's quote");
        }
    }
    let key = runtime(&report, rules, &mut verdict);
    let quoted = match (&evidence.quote, key) {
        (Some(quote), Some(key)) => tpm::verify(quote, &key, &rules.quote, &mut verdict),
        (Some(_), None) => {
            verdict.check("quote.signature", false, "the key that must have signed it is not known");
            None
        }
        (None, _) if rules.require_quote || rules.quote != tpm::Rules::default() => {
            verdict.check("quote.format", false, "there is no quote; the paravisor's report alone may be an old one");
            None
        }
        (None, _) => {
            verdict.note("quote.format", Outcome::NotApplicable, "there is no quote, and none was demanded");
            None
        }
    };
    if let Some(log) = &evidence.event_log {
        event_log::verify(log, quoted.as_ref(), &mut verdict);
    }
    verdict
}

/// Notes `hcl.binding`, `hcl.runtime` and the rules; returns the virtual TPM's attestation key.
fn runtime(report: &HclReport, rules: &Rules, verdict: &mut Verdict) -> Option<PublicKey> {
    let (seen, expected) = (report.hardware.report_data(), report.binding());
    let bound = seen == expected;
    let detail = if bound {
        format!("REPORT_DATA begins with the SHA-{} of the runtime data", report.hash.bytes() * 8)
    } else {
        format!("REPORT_DATA is {}, the runtime data give {}", hex::encode(seen), hex::encode(expected))
    };
    verdict.check("hcl.binding", bound, detail);
    let runtime = verdict.demand("hcl.runtime", RuntimeData::parse(&report.runtime), |runtime| {
        let more = if runtime.encryption_key.is_some() { ", encryption key" } else { "" };
        format!("attestation key{more}, configuration of VM {}", runtime.vm_configuration.vm_unique_id)
    })?;
    facts(&runtime, verdict);
    rules.hcl.judge(&runtime, verdict);
    Some(PublicKey::Rsa(runtime.attestation_key))
}

pub(crate) fn facts(runtime: &RuntimeData, verdict: &mut Verdict) {
    let document = &runtime.document;
    verdict.fact("vm.configuration", document.get("vm-configuration").cloned().unwrap_or_default());
    verdict.fact("vm.user_data", document.get("user-data").cloned().unwrap_or_default());
}
