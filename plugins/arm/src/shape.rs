//! Comparing what is wanted with what Azure shows, which is always more.

use sealbook_sdk::prelude::*;

/// Whether every member of `wanted` stands in `found`, with its value. Null wants nothing. Arrays have as many elements,
/// each as wanted, in any order: Azure adds members to them, and sorts some.
pub fn fits(wanted: &Value, found: &Value) -> bool {
    gaps(wanted, found).is_empty()
}

/// A member that is not as wanted.
pub struct Gap {
    path: String,
    found: Value,
    wanted: Value,
}

impl Gap {
    /// What is wrong: `path is X instead of Y`.
    pub fn fault(&self) -> String {
        let Self { path, found, wanted } = self;
        format!("{path} is {found} instead of {wanted}")
    }

    /// What is to be done: `path from X to Y`.
    pub fn change(&self) -> String {
        let Self { path, found, wanted } = self;
        if found.is_null() { format!("{path} to {wanted}") } else { format!("{path} from {found} to {wanted}") }
    }
}

/// What is wrong with something, in words.
pub fn faults(gaps: &[Gap]) -> String {
    gaps.iter().map(Gap::fault).collect::<Vec<_>>().join("; ")
}

/// Where `found` is not as `wanted`.
pub fn gaps(wanted: &Value, found: &Value) -> Vec<Gap> {
    let mut gaps = Vec::new();
    walk("", wanted, found, &mut gaps);
    gaps
}

fn walk(path: &str, wanted: &Value, found: &Value, gaps: &mut Vec<Gap>) {
    match wanted {
        Value::Null => {}
        Value::Object(members) => {
            for (name, wanted) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                walk(&path, wanted, found.get(name).unwrap_or(&Value::Null), gaps);
            }
        }
        Value::Array(elements) if array_fits(elements, found) => {}
        _ if same(path, wanted, found) => {}
        _ => gaps.push(Gap { path: path.into(), found: found.clone(), wanted: wanted.clone() }),
    }
}

/// Whether each wanted element has an element of its own among those found.
fn array_fits(wanted: &[Value], found: &Value) -> bool {
    let Some(found) = found.as_array().filter(|found| found.len() == wanted.len()) else { return false };
    let mut left: Vec<&Value> = found.iter().collect();
    wanted.iter().all(|wanted| match left.iter().position(|found| fits(wanted, found)) {
        Some(position) => {
            left.remove(position);
            true
        }
        None => false,
    })
}

/// Azure spells regions in its own way: `Italy North` for `italynorth`.
fn same(path: &str, wanted: &Value, found: &Value) -> bool {
    let plain = |v: &Value| v.as_str().map(|s| s.replace(' ', "").to_ascii_lowercase());
    wanted == found || (path == "location" && plain(wanted).is_some() && plain(wanted) == plain(found))
}

/// The values that `found` has where `wanted` names members: what a merge patch needs to put them back. A member that
/// was not there comes out as null, which takes it away again.
pub fn project(wanted: &Value, found: &Value) -> Value {
    match wanted {
        Value::Object(members) if found.is_object() => {
            let one = |(name, wanted): (&String, &Value)| (name.clone(), project(wanted, &found[name]));
            Value::Object(members.iter().map(one).collect())
        }
        _ => found.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_wanted_is_compared() {
        for (wanted, found, gap) in [
            (json!({ "a": 1 }), json!({ "a": 1, "b": 2 }), None),
            (json!({ "location": "italynorth" }), json!({ "location": "Italy North" }), None),
            (json!({ "a": { "b": [1] } }), json!({ "a": { "b": [1, 2] } }), Some("a.b is [1,2] instead of [1]")),
            (json!({ "a": [{ "n": 1 }, { "n": 2 }] }), json!({ "a": [{ "n": 2, "m": 0 }, { "n": 1 }] }), None),
            (
                json!({ "a": [{ "n": 1 }] }),
                json!({ "a": [{ "n": 2 }] }),
                Some("a is [{\"n\":2}] instead of [{\"n\":1}]"),
            ),
            (json!({ "a": { "b": "x" } }), json!({}), Some("a.b is null instead of \"x\"")),
            (json!(null), json!({ "a": 1 }), None),
        ] {
            assert_eq!(gaps(&wanted, &found).first().map(Gap::fault).as_deref(), gap, "{wanted} in {found}");
        }
    }

    #[test]
    fn the_prior_values_are_those_of_the_members_that_change() {
        let found = json!({ "tags": { "a": "1", "b": "2" }, "properties": { "x": 1 } });
        let wanted = json!({ "tags": { "a": "9", "c": "3" }, "properties": { "x": 2 } });
        assert_eq!(project(&wanted, &found), json!({ "tags": { "a": "1", "c": null }, "properties": { "x": 1 } }));
    }
}
