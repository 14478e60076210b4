//! Evidence that a step handed on, judged again without the home and without a network.
//!
//! A step that wants its evidence judged again puts a *document* into its outputs: an object with the member `evidence`,
//! which names its type and that type's version (`"evidence": "verdict/1"`). The chain of hashes covers it there.

use sealbook_attestation::{Outcome, Verdict};
use serde_json::{Map, Value};

/// A document in a step's outputs.
pub(super) struct Document<'a> {
    /// Its type and version.
    kind: &'a str,
    body: &'a Map<String, Value>,
}

/// Every document in `outputs`, however deep, in order.
pub(super) fn documents(outputs: &Value) -> Vec<Document<'_>> {
    let mut found = Vec::new();
    collect(outputs, &mut found);
    found
}

fn collect<'a>(value: &'a Value, found: &mut Vec<Document<'a>>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(body) => match body.get("evidence").and_then(Value::as_str).filter(|kind| is_kind(kind)) {
            Some(kind) => found.push(Document { kind, body }),
            None => body.values().for_each(|member| collect(member, found)),
        },
        _ => {}
    }
}

/// `name/version`, so that an output that only happens to be called `evidence` is not taken for a document.
fn is_kind(text: &str) -> bool {
    let name = |n: &str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let version = |v: &str| !v.is_empty() && v.bytes().all(|b| b.is_ascii_digit());
    text.split_once('/').is_some_and(|(n, v)| name(n) && version(v))
}

/// Judges a document, as of `at` (seconds since 1970): certificates and tokens that were valid then may have expired.
///
/// One row for each type of document. A new type of evidence is a new row here and nothing else.
pub(super) fn judge(document: &Document<'_>, at: i64) -> Verdict {
    // The verdicts of today's types do not depend on the time.
    let _ = at;
    match document.kind {
        "verdict/1" => recorded_verdict(document.body),
        kind => {
            let mut verdict = Verdict::default();
            let why = format!("evidence of type {kind}, which this Sealbook can't judge");
            verdict.note("evidence.type", Outcome::NotApplicable, why);
            verdict
        }
    }
}

/// A verdict that the step came to, with its checks (`checks`, `facts`), but without the evidence behind it: what it
/// said is taken over.
fn recorded_verdict(body: &Map<String, Value>) -> Verdict {
    let mut verdict = Verdict::default();
    let read = serde_json::from_value::<Verdict>(Value::Object(body.clone()));
    let said = |said: &Verdict| {
        let word = if said.passed() { "passed" } else { "did not pass" };
        format!(
            "a verdict of {} checks, which {word}; the evidence behind it is not in the transcript",
            said.checks.len()
        )
    };
    if let Some(read) = verdict.demand("evidence.format", read, said) {
        verdict.check("evidence.passed", read.passed(), "at least one check passed and none failed");
        verdict.absorb(read);
    }
    verdict
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_are_found_by_their_type_wherever_they_are() {
        let document = |kind: &str| json!({ "evidence": kind, "checks": [] });
        let table = [
            (json!(null), vec![]),
            (json!({ "evidence": [] }), vec![]),
            (json!({ "evidence": "see the log" }), vec![]),
            (json!({ "evidence": "Verdict/1" }), vec![]),
            (document("verdict/1"), vec!["verdict/1"]),
            (json!({ "a": [1, { "b": document("x-y/12") }], "c": document("verdict/1") }), vec!["x-y/12", "verdict/1"]),
        ];
        for (outputs, kinds) in table {
            assert_eq!(documents(&outputs).iter().map(|d| d.kind).collect::<Vec<_>>(), kinds, "{outputs}");
        }
    }

    #[test]
    fn each_type_is_judged_by_its_own_row() {
        let check = |outcome: &str| json!({ "name": "snp.signature", "outcome": outcome, "detail": "seen" });
        let document = |checks: Value| json!({ "evidence": "verdict/1", "checks": checks, "facts": { "f": 1 } });
        let table = [
            (document(json!([check("passed")])), true, None),
            (document(json!([check("failed")])), false, Some("evidence.passed")),
            (document(json!([])), false, Some("evidence.passed")),
            (document(json!("none")), false, Some("evidence.format")),
            (json!({ "evidence": "verdict/1" }), false, Some("evidence.format")),
            // Unknown: nothing passed, and nothing failed.
            (json!({ "evidence": "verdict/2" }), false, None),
            (json!({ "evidence": "moon-rock/1" }), false, None),
        ];
        for (outputs, passed, deciding) in table {
            let documents = documents(&outputs);
            let [document] = &documents[..] else { panic!("one document in {outputs}") };
            let verdict = judge(document, 1_700_000_000);
            assert_eq!(verdict.passed(), passed, "{outputs}");
            assert_eq!(verdict.deciding().map(|c| c.name.as_str()), deciding, "{outputs}");
        }
    }
}
