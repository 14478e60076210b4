//! Whatever 1184 bytes hold: a report that is read is written back as it was, and no verdict passes that was not signed:
//! neither for bytes of anybody's, nor for a sound report to which something was done.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use sealbook_attestation::snp::{Endorsements, Report, Rules, verify};
use sealbook_attestation::{Outcome, Roots};

#[path = "common/mod.rs"]
mod common;
#[path = "../../evidence/made.rs"]
mod made;

/// A sound report, its endorsements and the roots that both are under.
fn sound() -> &'static (Vec<u8>, Endorsements, Roots) {
    static SOUND: OnceLock<(Vec<u8>, Endorsements, Roots)> = OnceLock::new();
    SOUND.get_or_init(|| {
        let made = made::made();
        (made.report(), made.endorsements(), made::worlds()[0].roots())
    })
}

fuzz_target!(|data: &[u8]| {
    let (report, endorsements, roots) = sound();
    let judge = |bytes: &[u8]| verify(bytes, endorsements, &Rules::default(), roots, made::NOW);
    let parsed = Report::parse(data);
    if let Ok(parsed) = &parsed {
        assert_eq!(parsed.encode(), data, "a report is its fields and nothing else");
        assert!(!judge(data).passed(), "nobody signed this");
    } else if data.len() < 256 {
        let mut bent = report.clone();
        let changed = common::damage(&mut bent, data);
        let verdict = judge(&bent);
        assert_eq!(verdict.passed(), !changed, "{:?}", verdict.deciding());
        let format = verdict.checks.iter().find(|check| check.name == "snp.format").expect("it is always noted");
        assert_eq!(format.outcome == Outcome::Passed, Report::parse(&bent).is_ok());
    }
});
