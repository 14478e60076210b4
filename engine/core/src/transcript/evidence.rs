//! Evidence that a step handed on, judged again without the home and without a network.
//!
//! A step that wants its evidence judged again puts a *document* into its outputs: an object with the member `evidence`,
//! which names its type and that type's version (`"evidence": "verdict/1"`), or the evidence document of a confidential VM
//! ([`sealbook_attestation::document`]). The chain of hashes covers it there.

use chrono::{DateTime, Utc};
use sealbook_attestation::roots::Origin;
use sealbook_attestation::{Outcome, Roots, Verdict, document};
use sealbook_model::CloudName;
use serde::Serialize;
use serde_json::{Map, Value};

/// A document in a step's outputs.
pub(super) struct Document<'a> {
    /// Its type and version.
    kind: &'a str,
    body: &'a Value,
}

/// A document that was judged again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    /// Its type.
    pub kind: String,
    /// The instant for which it was judged: when it was recorded.
    pub at: DateTime<Utc>,
    /// The test worlds whose roots were believed; none: only real ones were.
    pub test: Vec<String>,
    /// What came of it.
    pub verdict: Verdict,
}

/// Judges every document in `outputs`, as of when they were recorded.
pub(crate) fn judged(outputs: &Value, roots: &Roots, at: DateTime<Utc>) -> Vec<Judged> {
    let one = |document: Document<'_>| Judged {
        kind: document.kind.to_owned(),
        at,
        test: if document.needs_roots() { worlds(roots) } else { Vec::new() },
        verdict: judge(&document, roots, at.timestamp()),
    };
    documents(outputs).into_iter().map(one).collect()
}

/// Whether there is a document in `outputs` that only roots can vouch for.
pub(crate) fn needs_roots(outputs: &Value) -> bool {
    documents(outputs).iter().any(Document::needs_roots)
}

/// The roots that count for a run: on Azure no test root is believed, on the embedded Azure no real one.
pub(super) fn believed(cloud: CloudName, given: &Roots) -> Roots {
    let test = |origin: &Origin| matches!(origin, Origin::Test { .. });
    let kept = given.iter().filter(|root| test(&root.origin) == (cloud == CloudName::Embedded)).cloned();
    let start = if cloud == CloudName::Azure { Roots::builtin() } else { Roots::none() };
    kept.fold(start, Roots::with)
}

/// The test worlds of roots, each once.
pub(super) fn worlds(roots: &Roots) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for root in roots.iter() {
        if let Origin::Test { name } = &root.origin
            && !names.contains(name)
        {
            names.push(name.clone());
        }
    }
    names
}

impl Document<'_> {
    fn needs_roots(&self) -> bool {
        self.kind == document::TYPE
    }
}

/// The types that can be judged.
const JUDGED: [&str; 2] = ["verdict/1", document::TYPE];

/// Every document in `outputs`, however deep, in order.
pub(super) fn documents(outputs: &Value) -> Vec<Document<'_>> {
    let mut found = Vec::new();
    collect(outputs, &mut found);
    found
}

fn collect<'a>(value: &'a Value, found: &mut Vec<Document<'a>>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(members) => {
            let kind = kind(members);
            if let Some(kind) = kind {
                found.push(Document { kind, body: value });
            }
            // What can't be judged may be the wrapping of what can.
            if kind.is_none_or(|kind| !JUDGED.contains(&kind)) {
                members.values().for_each(|member| collect(member, found));
            }
        }
        _ => {}
    }
}

/// The type of a document; none: it is no document. What has the shape of a confidential VM's is one, also when it calls
/// itself something else: it is then refused for it.
fn kind(members: &Map<String, Value>) -> Option<&str> {
    match members.get("evidence")? {
        Value::String(kind) => Some(kind.as_str()).filter(|kind| is_kind(kind)),
        Value::Object(inner) if inner.contains_key("hcl_report") => Some(document::TYPE),
        _ if members.get("type").is_some_and(|kind| kind == document::TYPE) => Some(document::TYPE),
        _ => None,
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
pub(super) fn judge(document: &Document<'_>, roots: &Roots, at: i64) -> Verdict {
    match document.kind {
        "verdict/1" => recorded_verdict(document.body),
        // No demands but those that hold for every machine: it is genuine, and its host can't look into it.
        document::TYPE => document::verify(document.body, &Value::Null, roots, at),
        kind => {
            let mut verdict = Verdict::default();
            let why = format!("evidence of type {kind}, which this Sealbook can't judge");
            verdict.note("evidence.type", Outcome::NotApplicable, why);
            verdict
        }
    }
}

/// A verdict that the step came to, with its checks (`checks`, `facts`), but without the evidence behind it: nothing is
/// proved by it, whatever it says of itself, and a failure that it admits is one.
fn recorded_verdict(body: &Value) -> Verdict {
    let mut verdict = Verdict::default();
    let read = serde_json::from_value::<Verdict>(body.clone());
    match read {
        Err(error) => {
            verdict.check("evidence.format", false, error.to_string());
        }
        Ok(said) if !said.passed() => {
            verdict.check("evidence.claimed", false, "the step's own verdict is that it does not hold");
        }
        Ok(said) => {
            let why = format!(
                "the step's own verdict of {} checks, which passed; the evidence behind it is not in the transcript",
                said.checks.len()
            );
            verdict.note("evidence.claimed", Outcome::NotApplicable, why);
        }
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
        let machine =
            |kind: &str| json!({ "type": kind, "version": 1, "evidence": { "hcl_report": "AA", "vcek": "" } });
        let table = [
            (json!({ "document": machine("azure-guest") }), vec!["azure-guest"]),
            (json!([machine("something-else")]), vec!["azure-guest"]),
            (json!({ "type": "azure-guest", "evidence": [] }), vec!["azure-guest"]),
            (json!({ "type": "azure-guest" }), vec![]),
            (json!({ "evidence": { "report": "AA" } }), vec![]),
            (json!(null), vec![]),
            (json!({ "evidence": [] }), vec![]),
            (json!({ "evidence": "see the log" }), vec![]),
            (json!({ "evidence": "Verdict/1" }), vec![]),
            (document("verdict/1"), vec!["verdict/1"]),
            (json!({ "a": [1, { "b": document("x-y/12") }], "c": document("verdict/1") }), vec!["x-y/12", "verdict/1"]),
            (json!({ "evidence": "moon-rock/1", "in": machine("azure-guest") }), vec!["moon-rock/1", "azure-guest"]),
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
            // Nothing is proved by what a step says of itself.
            (document(json!([check("passed")])), false, None),
            (document(json!([check("failed")])), false, Some("evidence.claimed")),
            (document(json!([])), false, Some("evidence.claimed")),
            (document(json!("none")), false, Some("evidence.format")),
            (json!({ "evidence": "verdict/1" }), false, Some("evidence.format")),
            // Of a machine, and not to be read: that is a failure, whatever it calls itself.
            (json!({ "type": "azure-guest", "evidence": {} }), false, Some("document.format")),
            (json!({ "type": "x", "version": 1, "evidence": { "hcl_report": "" } }), false, Some("document.format")),
            // Unknown: nothing passed, and nothing failed.
            (json!({ "evidence": "verdict/2" }), false, None),
            (json!({ "evidence": "moon-rock/1" }), false, None),
        ];
        for (outputs, passed, deciding) in table {
            let documents = documents(&outputs);
            let [document] = &documents[..] else { panic!("one document in {outputs}") };
            let verdict = judge(document, &Roots::builtin(), 1_700_000_000);
            assert_eq!(verdict.passed(), passed, "{outputs}");
            assert_eq!(verdict.deciding().map(|c| c.name.as_str()), deciding, "{outputs}");
        }
    }
}
