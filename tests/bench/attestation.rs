//! SEV-SNP reports, verified with their chain, against the bare signatures and against the crate `sev`:
//! `cargo bench -p sealbook-attestation`. On one thread; ratios of the same run. Method and results: docs/benchmarks.md.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark stops at the first surprise"
)]

#[path = "../support/shared.rs"]
mod shared;

use std::hint::black_box;
use std::time::Instant;

use sealbook_attestation::Roots;
use sealbook_attestation::snp::report::SIGNED_BYTES;
use sealbook_attestation::snp::{Endorsements, Report, Rules, certificates, verify};
use sealbook_attestation::x509::{Certificate, PublicKey};
use sealbook_crypto::Hash;
use sev::certs::snp::{Certificate as SevCertificate, Chain, Verifiable, ca};
use sev::firmware::guest::AttestationReport;
use sev::parser::ByteParser;

/// When the recorded report is judged: 2026-04-01.
const NOW: i64 = 1_775_001_600;

fn main() {
    let Some(folder) = shared::shared("evidence/attestation-rs/snp") else { return };
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let (report, vcek) = (read("test-report.bin"), read("test-vcek.der"));
    let roots = Roots::builtin();
    let whole = || {
        let endorsements = Endorsements::of(certificates(black_box(&vcek)).unwrap()).unwrap();
        assert!(verify(black_box(&report), &endorsements, &Rules::default(), &roots, NOW).passed());
    };
    let leaf = Certificate::from_der(&vcek).unwrap();
    let root = roots.iter().find(|root| root.intermediates.iter().any(|ask| leaf.issued_by(ask).is_ok())).unwrap();
    let (ark, ask) = (&root.certificate, &root.intermediates[0]);
    let Ok(PublicKey::Ec(key)) = leaf.public_key() else { panic!("a VCEK is on P-384") };
    let signature = Report::parse(&report).unwrap().signature().unwrap();
    // What no verifier can do without: the report's signature and that of its key. ASK and ARK are pinned.
    let bare = || {
        key.verify(&Hash::Sha384.digest(&black_box(&report)[..SIGNED_BYTES]), &signature).unwrap();
        leaf.issued_by(ask).unwrap();
        ask.issued_by(ark).unwrap();
    };
    let theirs = || {
        let read = |der: &[u8]| SevCertificate::from_der(der).unwrap();
        let chain = Chain { ca: ca::Chain { ark: read(ark.der()), ask: read(ask.der()) }, vek: read(black_box(&vcek)) };
        let report = AttestationReport::from_bytes(black_box(&report)).unwrap();
        (&chain, &report).verify().unwrap();
    };
    let (whole, bare, theirs) = (seconds(whole), seconds(bare), seconds(theirs));
    println!("{:<58} {:>14}  {:>12}  met", "what", "measured", "goal");
    for (what, seconds) in [
        ("a report and its key parsed and verified, chain and rules", whole),
        ("the signatures of report, VCEK and ASK alone", bare),
        ("the crate sev: report and chain parsed, signatures", theirs),
    ] {
        println!("{what:<58} {:>14}", format!("{:.0} a second", 1.0 / seconds));
    }
    let (share, goal) = (bare / whole * 100.0, 50.0);
    println!(
        "{:<58} {share:>12.0} %  {goal:>10.0} %  {}",
        "whole / signatures",
        if share >= goal { "yes" } else { "NO" }
    );
    println!("{:<58} {:>13.1} ×", "whole / sev", theirs / whole);
}

/// Seconds that one of 200 repetitions takes: the median of seven rounds.
fn seconds(work: impl Fn()) -> f64 {
    let mut rounds: Vec<f64> = (0..7)
        .map(|_| {
            let begun = Instant::now();
            (0..200).for_each(|_| work());
            begun.elapsed().as_secs_f64() / 200.0
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[3]
}
