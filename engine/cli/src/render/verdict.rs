//! A verdict as people read it: every check, then what the evidence states.

use sealbook_attestation::{Outcome, Verdict};
use serde_json::Value;

use super::text::{Line, Tone, line};

/// Lays out a verdict: checks in their order, the facts, and the judgement last.
pub fn verdict(verdict: &Verdict) -> Vec<Line> {
    let mut lines = checks(verdict);
    let stated: Vec<_> = verdict.facts.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    lines.extend(facts("What the evidence states", &stated));
    lines.push(match verdict.deciding() {
        None if verdict.passed() => line(Tone::Good, "ok", "Verified: every check that was made holds."),
        None => line(Tone::Bad, "refused", "No check could be made."),
        Some(check) => line(Tone::Bad, "refused", format!("{} decides: {}", check.name, check.detail)),
    });
    lines
}

/// Lays out a verdict's checks in their order.
pub fn checks(verdict: &Verdict) -> Vec<Line> {
    let mut lines = vec![line(Tone::Head, "", "Checks")];
    lines.extend(verdict.checks.iter().map(|check| {
        let (tone, label) = match check.outcome {
            Outcome::Passed => (Tone::Good, "ok"),
            Outcome::Failed => (Tone::Bad, "failed"),
            Outcome::NotApplicable => (Tone::Dim, "n/a"),
        };
        line(tone, label, format!("{}: {}", check.name, check.detail))
    }));
    lines
}

/// Lays out facts under a heading.
pub fn facts(head: &str, facts: &[(String, Value)]) -> Vec<Line> {
    let mut lines = vec![line(Tone::Head, "", head)];
    for (name, value) in facts {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Object(members) => {
                let member = |(name, value): (&String, &Value)| match value {
                    Value::String(text) => format!("{name} {text}"),
                    other => format!("{name} {other}"),
                };
                members.iter().map(member).collect::<Vec<_>>().join(", ")
            }
            other => other.to_string(),
        };
        lines.push(line(Tone::Plain, "", format!("{name}: {value}")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(lines: &[Line]) -> String {
        lines.iter().map(|line| line.layout(80, false)).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_check_and_what_decides() {
        let mut found = Verdict::default();
        found.note("snp.format", Outcome::Passed, "a report of version 3, 1184 bytes");
        found.note("snp.policy", Outcome::Failed, "the host may debug the guest");
        found.note("snp.report_data", Outcome::NotApplicable, "nothing was demanded");
        found.fact("snp.vmpl", 0);
        found.fact("snp.policy", json!({ "abi": "0.31", "debug_allowed": true }));
        insta::assert_snapshot!(text(&verdict(&found)), @r"
        Checks
          ok      snp.format: a report of version 3, 1184 bytes
          failed  snp.policy: the host may debug the guest
          n/a     snp.report_data: nothing was demanded
        What the evidence states
                  snp.vmpl: 0
                  snp.policy: abi 0.31, debug_allowed true
          refused snp.policy decides: the host may debug the guest
        ");
    }

    #[test]
    fn nothing_checked_is_nothing_verified() {
        assert!(text(&verdict(&Verdict::default())).contains("refused"));
        let mut found = Verdict::default();
        found.note("snp.format", Outcome::Passed, "fine");
        assert!(text(&verdict(&found)).ends_with("  ok      Verified: every check that was made holds."));
    }

    #[test]
    fn what_a_terminal_would_obey_becomes_visible() {
        let mut found = Verdict::default();
        found.check("chain.signatures", false, "not this home's\u{1b}[2J");
        assert!(text(&checks(&found)).ends_with(r"  failed  chain.signatures: not this home's\u{1b}[2J"));
    }
}
