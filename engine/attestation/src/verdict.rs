//! What verification found: every check, by name.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What came of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was made and holds.
    Passed,
    /// It was made and does not hold, or could not be made although it must be.
    Failed,
    /// The evidence has nothing that it could be made on, and the rules do not demand it.
    NotApplicable,
}

/// One check that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Its stable name: what it looks at, a dot, what it asks (`snp.signature`, `token.issuer`).
    pub name: String,
    /// What came of it.
    pub outcome: Outcome,
    /// What was seen, in words for people; on a failure, what was expected too.
    pub detail: String,
}

/// The result of verifying one piece of evidence: all checks in the order in which they were made, and the facts that
/// the evidence states. Facts of evidence that did not pass are claims of whoever made it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Verdict {
    /// The checks.
    pub checks: Vec<Check>,
    /// What the evidence says, by the field's standard names.
    pub facts: Map<String, Value>,
}

impl Verdict {
    /// Whether it can be relied on: at least one check passed and none failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        let any = |outcome| self.checks.iter().any(|check| check.outcome == outcome);
        any(Outcome::Passed) && !any(Outcome::Failed)
    }

    /// The check that decided against it: the first that failed.
    #[must_use]
    pub fn deciding(&self) -> Option<&Check> {
        self.checks.iter().find(|check| check.outcome == Outcome::Failed)
    }

    /// Notes a check.
    pub fn note(&mut self, name: impl Into<String>, outcome: Outcome, detail: impl Into<String>) {
        self.checks.push(Check { name: name.into(), outcome, detail: detail.into() });
    }

    /// Notes a check that holds or not, and says which.
    pub fn check(&mut self, name: impl Into<String>, holds: bool, detail: impl Into<String>) -> bool {
        self.note(name, if holds { Outcome::Passed } else { Outcome::Failed }, detail);
        holds
    }

    /// Notes what is known of something that could fail: its value when it did not.
    pub fn demand<T, E: fmt::Display>(
        &mut self,
        name: impl Into<String>,
        result: Result<T, E>,
        detail: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        match result {
            Ok(value) => {
                let detail = detail(&value);
                self.note(name, Outcome::Passed, detail);
                Some(value)
            }
            Err(why) => {
                self.note(name, Outcome::Failed, why.to_string());
                None
            }
        }
    }

    /// Notes a fact that the evidence states.
    pub fn fact(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.facts.insert(name.into(), value.into());
    }

    /// Takes over the checks and facts of a part of the evidence.
    pub fn absorb(&mut self, part: Self) {
        self.checks.extend(part.checks);
        self.facts.extend(part.facts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_decides_and_nothing_checked_is_nothing_verified() {
        use Outcome::{Failed, NotApplicable, Passed};
        let table: [(&[Outcome], bool, Option<&str>); 5] = [
            (&[], false, None),
            (&[NotApplicable], false, None),
            (&[Passed, NotApplicable], true, None),
            (&[Passed, Failed, Passed], false, Some("c1")),
            (&[Failed, Failed], false, Some("c0")),
        ];
        for (outcomes, passed, deciding) in table {
            let mut verdict = Verdict::default();
            for (i, outcome) in outcomes.iter().enumerate() {
                verdict.note(format!("c{i}"), *outcome, "");
            }
            assert_eq!(verdict.passed(), passed, "{outcomes:?}");
            assert_eq!(verdict.deciding().map(|check| check.name.as_str()), deciding, "{outcomes:?}");
        }
    }
}
