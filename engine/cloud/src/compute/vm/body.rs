//! How Microsoft.Compute judges the body of a machine.

use serde_json::{Value, json};

use crate::refusal::Refusal;

/// `InvalidParameter`; `target` is the member.
pub(super) fn invalid(target: &str, message: &str) -> Refusal {
    Refusal::new(400, "InvalidParameter", message)
        .details(vec![json!({ "code": "InvalidParameter", "target": target, "message": message })])
}

/// `BadRequest`.
pub(super) fn bad(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "BadRequest", message)
}

/// A required member that is missing.
pub(super) fn missing(name: &str) -> Refusal {
    invalid(name, &format!("Required parameter '{name}' is missing (null)."))
}

/// A member that can't change any more.
pub(super) fn fixed(name: &str) -> Refusal {
    Refusal::new(409, "PropertyChangeNotAllowed", format!("Changing property '{name}' is not allowed."))
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(says_nothing),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

/// Refuses members that the embedded Azure does not know, unless they say nothing.
pub(super) fn only(given: &Value, what: &str, known: &[&str]) -> Result<(), Refusal> {
    let mut members = given.as_object().into_iter().flatten();
    match members.find(|(name, value)| !known.contains(&name.as_str()) && !says_nothing(value)) {
        None => Ok(()),
        Some((name, _)) => Err(invalid(
            &format!("{what}.{name}"),
            &format!("Could not find member '{name}' on object of type '{what}'."),
        )
        .gap(format!("virtual machines: {what}.{name}"))),
    }
}

/// One of a few words, spelled as Azure spells it.
pub(super) fn word<'a>(given: &Value, path: &str, words: &[&'a str]) -> Result<&'a str, Refusal> {
    let text = given.as_str().unwrap_or_default();
    words.iter().copied().find(|word| word.eq_ignore_ascii_case(text)).ok_or_else(|| {
        bad(format!("Error converting value \"{text}\" to one of '{}'. Path 'properties.{path}'.", words.join("', '")))
    })
}

/// Puts `changes` over `base`, member by member; lists and texts are replaced.
pub(super) fn merge(base: &mut Value, changes: &Value) {
    match (base, changes) {
        (Value::Object(base), Value::Object(changes)) => {
            for (name, value) in changes {
                merge(base.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (base, changes) => *base = changes.clone(),
    }
}
