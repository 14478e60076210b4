//! Bytes from outside: whatever they are, they are answered, and what was written is read again.

use proptest::prelude::*;
use sealbook_attestation::azure_vm::{self, Endorsement, Evidence};
use sealbook_attestation::event_log;
use sealbook_attestation::hcl::{HclReport, RuntimeData};
use sealbook_attestation::snp::{self, Endorsements, Report};
use sealbook_attestation::tdx::{self, Collateral};
use sealbook_attestation::tpm::Attest;
use sealbook_attestation::x509::{Certificate, PublicKey, SignatureAlgorithm};
use sealbook_attestation::{Roots, sniff};

use crate::made::{NOW, made, worlds};

/// Everything that reads bytes, on the same bytes.
fn read_all(bytes: &[u8]) {
    let roots = worlds()[0].roots();
    if let Ok(report) = Report::parse(bytes) {
        assert_eq!(report.encode(), bytes, "a report is its bytes");
    }
    if let Ok(report) = HclReport::parse(bytes) {
        assert_eq!(HclReport::parse(&report.encode()), Ok(report));
    }
    if let Ok(attest) = Attest::parse(bytes) {
        assert_eq!(Attest::parse(&attest.encode()), Ok(attest));
    }
    if let Ok(events) = event_log::parse(bytes) {
        assert_eq!(event_log::parse(&event_log::encode(&events)), Ok(events));
    }
    _ = RuntimeData::parse(bytes);
    _ = Certificate::bundle(bytes);
    _ = Endorsements::parse(bytes);
    _ = PublicKey::from_spki(bytes);
    _ = SignatureAlgorithm::from_der(bytes);
    _ = Collateral::parse(bytes);
    _ = Evidence::from_json(bytes);
    _ = Roots::from_pem(&String::from_utf8_lossy(bytes));
    _ = sniff::look(bytes);
    _ = tdx::verify(bytes, None, &tdx::Rules::default(), &roots, NOW);
}

/// Sound bytes of every format.
fn sound() -> Vec<Vec<u8>> {
    let parts = made();
    let (report, vcek) = (parts.report(), parts.vcek());
    let evidence = parts.evidence();
    let quote = evidence.quote.clone().unwrap();
    let runtime = HclReport::parse(&evidence.hcl_report).unwrap().runtime;
    let log = evidence.event_log.clone().unwrap();
    let (der, pem) = (vcek.der().to_vec(), vcek.pem().into_bytes());
    vec![report, der, pem, evidence.hcl_report, quote.message, runtime, log, Roots::builtin().to_pem().into_bytes()]
}

#[test]
fn sound_bytes_are_read_and_recognised() {
    let kinds: Vec<_> = sound().iter().map(|bytes| sniff::look(bytes).map(|seen| seen.kind)).collect();
    let expected = [
        Some("A report of AMD SEV-SNP"),
        Some("A certificate"),
        Some("A certificate"),
        Some("The paravisor's report of a confidential VM on Azure, with SEV-SNP"),
        Some("A quote of a TPM, without its signature"),
        None,
        None,
        Some("Certificates"),
    ];
    assert_eq!(kinds, expected);
    sound().iter().for_each(|bytes| read_all(bytes));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        read_all(&bytes);
    }

    #[test]
    fn mutated_bytes_are_answered(
        which in 0_usize..8,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<Option<prop::sample::Index>>(),
    ) {
        let mut bytes = sound().swap_remove(which);
        for (at, value) in &edits {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        read_all(&bytes);
    }

    #[test]
    fn mutated_evidence_never_verifies_by_accident(at in any::<prop::sample::Index>(), mask in 1_u8..) {
        let mut evidence = made().evidence();
        let at = at.index(evidence.hcl_report.len());
        evidence.hcl_report[at] ^= mask;
        let verdict = azure_vm::verify(&evidence, &azure_vm::Rules::default(), &worlds()[0].roots(), NOW);
        prop_assert!(!verdict.passed(), "byte {at} mask {mask:#x}");
    }

    #[test]
    fn a_report_of_any_length_is_refused_but_one(length in 0_usize..3000) {
        let parts = made();
        let Endorsement::Snp(endorsements) = parts.evidence().endorsement else { unreachable!() };
        let mut report = made().report();
        report.resize(length, 0);
        let verdict = snp::verify(&report, &endorsements, &snp::Rules::default(), &worlds()[0].roots(), NOW);
        let format = verdict.checks.iter().find(|check| check.name == "snp.format").unwrap();
        prop_assert_eq!(format.outcome == sealbook_attestation::Outcome::Passed, length == 1184);
    }
}
