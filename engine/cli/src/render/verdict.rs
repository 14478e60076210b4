//! A verdict for people: every check, and what it comes to.

use sealbook_attestation::{Outcome, Verdict};

use super::table::table;

/// The table of a verdict's checks.
pub fn checks(verdict: &Verdict) -> String {
    let row = |check: &sealbook_attestation::Check| {
        vec![word(check.outcome).into(), check.name.clone(), check.detail.clone()]
    };
    table(&["RESULT", "CHECK", "SEEN"], &verdict.checks.iter().map(row).collect::<Vec<_>>())
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "FAILED",
        Outcome::NotApplicable => "-",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_has_its_row() {
        let mut verdict = Verdict::default();
        verdict.check("chain.records", true, "the chain ends with 00");
        verdict.check("chain.signatures", false, "not this home's\u{1b}[2J");
        verdict.note("transcript.key", Outcome::NotApplicable, "no key was given");
        insta::assert_snapshot!(checks(&verdict), @r#"
        RESULT  CHECK             SEEN
        passed  chain.records     the chain ends with 00
        FAILED  chain.signatures  not this home's\u{1b}[2J
        -       transcript.key    no key was given
        "#);
    }
}
