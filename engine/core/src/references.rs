//! References in what steps are given and hand on: texts like `artifact:step/name` that stand for what a host keeps.

use std::collections::BTreeSet;

use serde_json::Value;

/// The texts in a value, however deep, that begin with one of these kinds (`artifact:`).
pub(crate) fn references<'a>(value: &'a Value, kinds: &[&str]) -> BTreeSet<&'a str> {
    fn collect<'a>(value: &'a Value, kinds: &[&str], into: &mut BTreeSet<&'a str>) {
        match value {
            Value::String(text) if kinds.iter().any(|kind| text.starts_with(kind)) => {
                into.insert(text);
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, kinds, into)),
            Value::Object(fields) => fields.values().for_each(|field| collect(field, kinds, into)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    collect(value, kinds, &mut found);
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_found_wherever_they_are_and_by_their_kind() {
        let value =
            json!({ "a": ["key:s/k", { "b": "artifact:s/x" }], "c": "secret:n", "key:no": "a key:s/k", "d": 1 });
        let found = |kinds: &[&str]| references(&value, kinds).into_iter().collect::<Vec<_>>();
        assert_eq!(found(&["key:", "artifact:"]), ["artifact:s/x", "key:s/k"]);
        assert_eq!(found(&["secret:"]), ["secret:n"]);
        assert!(found(&[]).is_empty());
    }
}
