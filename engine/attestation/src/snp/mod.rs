//! AMD SEV-SNP: a report, the key that signed it, the chip behind the key, and what the owner demands.
//!
//! What is signed and what is not, and what each check proves, stands in `docs/attestation.md`.

mod endorsement;
pub mod product;
pub mod report;
mod rules;

pub use endorsement::{CSP_ID, Endorsements, HWID, KeyCertificate, PRODUCT_NAME, SPL, certificates};
pub use product::{Product, Tcb};
pub use report::{GuestPolicy, Report, ReportError, SigningKey};
pub use rules::{GuestRules, Rules};

use sealbook_crypto::Hash;

use crate::bytes::all_zero;
use crate::roots::{Kind, Roots, anchors};
use crate::verdict::{Outcome, Verdict};
use crate::x509::{ChainRules, PublicKey, verify_chain};

/// Verifies a report: its signature, the chain of the key to one of AMD's roots at `now` (unix seconds), that the key
/// is that of this chip at this TCB, and the rules.
#[must_use]
pub fn verify(report: &[u8], endorsements: &Endorsements, rules: &Rules, roots: &Roots, now: i64) -> Verdict {
    let mut verdict = Verdict::default();
    let parsed = verdict.demand("snp.format", Report::parse(report), |report| {
        format!("a report of version {}, {} bytes", report.version, report.encode().len())
    });
    if let Some(parsed) = parsed {
        facts(&parsed, &mut verdict);
        let product = chain(endorsements, roots, now, &mut verdict);
        signature(report, &parsed, endorsements, &mut verdict);
        key(&parsed, endorsements, product, rules, &mut verdict);
        rules.judge(&parsed, &mut verdict);
    }
    verdict
}

/// Notes `snp.chain`, `snp.root`, `snp.validity`; returns the generation whose root it is.
fn chain(endorsements: &Endorsements, roots: &Roots, now: i64, verdict: &mut Verdict) -> Option<Product> {
    let trusted = roots.of(|kind| matches!(kind, Kind::Amd(_)));
    let mut intermediates = endorsements.intermediates.clone();
    intermediates.extend(trusted.iter().flat_map(|root| root.intermediates.iter().cloned()));
    let anchors = anchors(&trusted);
    let rules = ChainRules::default();
    let root = verify_chain("snp", &endorsements.leaf, &intermediates, &anchors, rules, now, verdict)?;
    match trusted.get(root)?.kind {
        Kind::Amd(product) => Some(product),
        _ => None,
    }
}

/// Notes `snp.signature`.
fn signature(bytes: &[u8], report: &Report, endorsements: &Endorsements, verdict: &mut Verdict) {
    let result = (|| {
        if report.signature_algorithm != 1 {
            return Err(format!("the algorithm {} is not ECDSA P-384 with SHA-384 (1)", report.signature_algorithm));
        }
        let Ok(PublicKey::Ec(key)) = endorsements.leaf.public_key() else {
            return Err("the endorsement key is no elliptic key".to_owned());
        };
        let signed = bytes.get(..report::SIGNED_BYTES).unwrap_or_default();
        let signature = report.signature().ok_or("a number of the signature is longer than 48 bytes")?;
        if key.curve.hash() != Hash::Sha384 {
            return Err("the endorsement key is not on P-384".to_owned());
        }
        key.verify(&Hash::Sha384.digest(signed), &signature)
            .map_err(|_| format!("the key of {} did not sign this report", endorsements.leaf.name()))
    })();
    verdict.demand("snp.signature", result, |()| {
        format!(
            "ECDSA P-384 with SHA-384 over the first {} bytes, by {}",
            report::SIGNED_BYTES,
            endorsements.leaf.name()
        )
    });
}

/// Notes `snp.key`, `snp.product`, `snp.tcb`, `snp.chip`: that the endorsement key is the one of this report.
fn key(report: &Report, endorsements: &Endorsements, root: Option<Product>, rules: &Rules, verdict: &mut Verdict) {
    let stated = report.signing_key();
    let parsed = KeyCertificate::parse(&endorsements.leaf).and_then(|key| {
        let masked = report.key_flags & 2 != 0;
        match () {
            () if masked => Err("the report says that its signing key is masked: it is not signed".to_owned()),
            () if key.kind != stated => Err(format!("the report names {stated}, the certificate is a {}", key.kind)),
            () if key.kind == SigningKey::Vlek && !rules.allow_vlek => {
                Err("a VLEK signed, which the rules do not allow: it vouches for a provider, not for a chip".to_owned())
            }
            () => Ok(key),
        }
    });
    let Some(key) = verdict.demand("snp.key", parsed, |key| match &key.csp_id {
        Some(provider) => format!("a VLEK of the provider {provider}"),
        None => "a VCEK".to_owned(),
    }) else {
        return;
    };
    verdict.fact("snp.signing_key", key.kind.to_string());
    if let Some(provider) = &key.csp_id {
        verdict.fact("snp.csp_id", provider.as_str());
    }
    product(report, &key, root, verdict);
    tcb(report, &key, rules, verdict);
    chip(report, &key, verdict);
}

fn product(report: &Report, key: &KeyCertificate, root: Option<Product>, verdict: &mut Verdict) {
    let name = |product: Option<Product>| product.map_or("unknown", Product::name);
    let named = &key.product_name;
    let (holds, detail) = match (key.product, root, report.product()) {
        (Some(certificate), root, _) if root.is_some_and(|root| root != certificate) => {
            (false, format!("the certificate is for {named}, its root for {}", name(root)))
        }
        (Some(certificate), _, Some(cpu)) if cpu != certificate => {
            (false, format!("the certificate is for {named}, the report comes from {cpu}"))
        }
        (Some(product), _, Some(_)) => (true, format!("{product}: certificate and report agree")),
        (Some(product), ..) => (true, format!("{product}; a report of version {} does not say", report.version)),
        (None, ..) => (false, format!("the certificate is for {named:?}, which is no generation that is known")),
    };
    verdict.check("snp.product", holds, detail);
    verdict.fact("snp.product", named.as_str());
}

fn tcb(report: &Report, key: &KeyCertificate, rules: &Rules, verdict: &mut Verdict) {
    let reported = report.reported_tcb;
    let mut problems = Vec::new();
    if reported != key.tcb {
        problems.push(format!("the report states {reported}, its key is for {}", key.tcb));
    }
    // Reported, committed and current can be apart, in this order alone (ABI 56860, §3.3).
    for (what, older, newer) in [
        ("the reported one is newer than the committed one", reported, report.committed_tcb),
        ("the committed one is newer than what runs", report.committed_tcb, report.current_tcb),
    ] {
        let behind = newer.behind(older);
        if !behind.is_empty() {
            problems.push(format!("{what}: {}", behind.join(", ")));
        }
    }
    for (least, what, tcb) in [
        (rules.min_tcb, "reported", reported),
        (rules.min_tcb, "committed", report.committed_tcb),
        (rules.min_launch_tcb, "launch", report.launch_tcb),
    ] {
        let behind = least.map(|least| tcb.behind(least)).unwrap_or_default();
        if !behind.is_empty() {
            problems.push(format!("the {what} TCB is older than demanded: {}", behind.join(", ")));
        }
    }
    let demanded = if rules.min_tcb.is_some() { ", as demanded at least" } else { "; no least TCB was demanded" };
    let detail = if problems.is_empty() { format!("the key is for {reported}{demanded}") } else { problems.join("; ") };
    verdict.check("snp.tcb", problems.is_empty(), detail);
}

fn chip(report: &Report, key: &KeyCertificate, verdict: &mut Verdict) {
    let Some(hwid) = &key.hwid else {
        verdict.note("snp.chip", Outcome::NotApplicable, "a VLEK belongs to a provider; it does not say which chip");
        return;
    };
    if all_zero(&report.chip_id) {
        verdict.check("snp.chip", false, "the report hides its chip, so its key cannot be recognised");
        return;
    }
    let (id, rest) = report.chip_id.split_at_checked(hwid.len()).unwrap_or_default();
    let holds = !id.is_empty() && id == hwid.as_slice() && all_zero(rest);
    let (chip, certificate) = (hex::encode(report.chip_id), hex::encode(hwid));
    let detail = if holds { chip } else { format!("the report comes from {chip}, its key belongs to {certificate}") };
    verdict.check("snp.chip", holds, detail);
}

pub(crate) fn facts(report: &Report, verdict: &mut Verdict) {
    let digests = [
        ("snp.family_id", hex::encode(report.family_id)),
        ("snp.image_id", hex::encode(report.image_id)),
        ("snp.report_data", hex::encode(report.report_data)),
        ("snp.measurement", hex::encode(report.measurement)),
        ("snp.host_data", hex::encode(report.host_data)),
        ("snp.id_key_digest", hex::encode(report.id_key_digest)),
        ("snp.author_key_digest", hex::encode(report.author_key_digest)),
        ("snp.report_id", hex::encode(report.report_id)),
        ("snp.chip_id", hex::encode(report.chip_id)),
        ("snp.current_firmware", report.current_firmware.to_string()),
        ("snp.committed_firmware", report.committed_firmware.to_string()),
    ];
    for (name, number) in
        [("snp.version", report.version), ("snp.guest_svn", report.guest_svn), ("snp.vmpl", report.vmpl)]
    {
        verdict.fact(name, number);
    }
    verdict.fact("snp.policy", report.policy.fact());
    verdict.fact("snp.platform", report.platform.fact());
    for (name, text) in digests {
        verdict.fact(name, text);
    }
    for (name, tcb) in [
        ("snp.reported_tcb", report.reported_tcb),
        ("snp.committed_tcb", report.committed_tcb),
        ("snp.current_tcb", report.current_tcb),
        ("snp.launch_tcb", report.launch_tcb),
    ] {
        verdict.fact(name, tcb.fact());
    }
    if let Some((family, model, stepping)) = report.cpuid {
        verdict.fact("snp.cpuid", format!("family {family:#x} model {model:#x} stepping {stepping}"));
    }
    if let Some((launch, current)) = report.mitigations {
        verdict.fact("snp.launch_mitigations", format!("{launch:#x}"));
        verdict.fact("snp.current_mitigations", format!("{current:#x}"));
    }
}
