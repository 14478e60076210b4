//! probe
#![allow(clippy::unwrap_used, clippy::print_stdout)]
#[path = "../support/shared.rs"]
mod shared;
use sealbook_attestation::{azure_vm::*, roots::Roots, snp};
#[test]
fn probe() {
    let Some(dir) = shared::shared("evidence") else { return };
    let read = |p: &str| std::fs::read(dir.join(p)).unwrap();
    let roots = Roots::builtin();
    let show = |name: &str, v: &sealbook_attestation::Verdict| {
        println!("== {name} {}", v.passed());
        for c in &v.checks { println!("  {:?} {} {}", c.outcome, c.name, &c.detail[..c.detail.len().min(200)]); }
    };
    for p in ["trustee/az-snp-vtpm/evidence-v0.json", "trustee/az-snp-vtpm/evidence-v1.json","trustee/az-snp-vtpm/evidence-v2.json","attestation-rs/az_snp/evidence-v1.json","attestation-rs/az_snp/live-evidence.json"] {
        let e = Evidence::from_json(&read(p)).unwrap();
        show(p, &verify(&e, &Rules::default(), &roots, 1763800000));
    }
    for (p, c) in [("attestation-rs/snp/live-report-v5-genoa.bin","attestation-rs/snp/live-vcek-genoa.der"),("trustee/snp/test-report.bin","trustee/snp/test-vcek.der"),("trustee/snp/test-report.bin","trustee/snp/test-vcek-invalid-legacy.der"),("trustee/snp/test-report.bin","trustee/snp/test-vcek-invalid-new.der"),("trustee/snp/test-vlek-report.bin","trustee/snp/test-vlek.der"),("go-sev-guest/attestation.bin","go-sev-guest/vcek.testcer"),("ms-sidecar/snp_report.bin","ms-sidecar/uvm_host_amd_certificate.json"),("ms-sidecar/snp_report.bin","ms-sidecar/uvm_host_amd_certificate.pem")] {
        match snp::Endorsements::parse(&read(c)) {
            Ok(e) => show(&format!("{p} {c}"), &snp::verify(&read(p), &e, &snp::Rules::default(), &roots, 1763800000)),
            Err(e) => println!("== {p} {c}: {e}"),
        }
    }
}
