//! Whatever the paravisor's report and its runtime data hold: both are written back to what says the same, and no verdict
//! passes for a report that nobody signed, nor for a sound one to which something was done.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use sealbook_attestation::Roots;
use sealbook_attestation::azure_vm::{Evidence, Rules, verify};
use sealbook_attestation::hcl::{HclReport, RuntimeData};

#[path = "common/mod.rs"]
mod common;
#[path = "../../evidence/made.rs"]
mod made;

fn sound() -> &'static (Evidence, Roots) {
    static SOUND: OnceLock<(Evidence, Roots)> = OnceLock::new();
    SOUND.get_or_init(|| (made::made().evidence(), made::worlds()[0].roots()))
}

fn runtime(json: &[u8]) {
    let Ok(data) = RuntimeData::parse(json) else { return };
    assert_eq!(RuntimeData::parse(&data.encode()).as_ref(), Ok(&data));
    assert!(data.attestation_key.bits().is_some(), "a key of a length that is used");
}

fuzz_target!(|data: &[u8]| {
    let (evidence, roots) = sound();
    let judge = |report: Vec<u8>| {
        let bent = Evidence { hcl_report: report, ..evidence.clone() };
        verify(&bent, &Rules::default(), roots, made::NOW)
    };
    runtime(data);
    if let Ok(report) = HclReport::parse(data) {
        assert_eq!(HclReport::parse(&report.encode()).as_ref(), Ok(&report));
        runtime(&report.runtime);
        assert!(!judge(data.to_vec()).passed(), "nobody signed this");
    } else if data.len() < 256 {
        let mut bent = evidence.hcl_report.clone();
        common::damage(&mut bent, data);
        // Zeros behind the runtime data are no part of it, and nobody signs which of the two versions it is.
        let stated = |bytes: &[u8]| HclReport::parse(bytes).map(|report| HclReport { version: 0, ..report });
        let same = stated(&bent) == stated(&evidence.hcl_report);
        let verdict = judge(bent);
        assert_eq!(verdict.passed(), same, "{:?}", verdict.deciding());
    }
});
