//! What the bodies of disk encryption sets, disks and snapshots have in common.

use crate::arm::kind::{Change, Draft};
use crate::refusal::Refusal;

/// Folder of the polling URLs.
pub(super) const POLLS: &str = "DiskOperations";

/// How a property's value is judged.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    /// A boolean.
    Bool,
    /// One of these words.
    Words(&'static [&'static str]),
    /// Stored as it is: it changes nothing that the embedded Azure does.
    Free,
    /// Judged elsewhere.
    Elsewhere,
    /// Written by the service; a client may send back what it read.
    ReadOnly,
    /// Asks for what the embedded Azure does not have.
    Lacking(&'static str),
    /// One of the first words; the others ask for what the embedded Azure does not have.
    Some(&'static [&'static str], &'static [&'static str], &'static str),
}

/// Azure's refusal of a value.
pub(super) fn invalid(parameter: &str) -> Refusal {
    Refusal::new(400, "InvalidParameter", format!("The value of parameter '{parameter}' is invalid."))
}

/// Azure's refusal of a value, with the reason.
pub(super) fn invalid_because(parameter: &str, why: &str) -> Refusal {
    Refusal::new(400, "InvalidParameter", format!("The value of parameter '{parameter}' is invalid: {why}"))
}

/// Azure's refusal of another value for what can't change.
pub(super) fn fixed(property: &str) -> Refusal {
    Refusal::new(409, "PropertyChangeNotAllowed", format!("Changing property '{property}' is not allowed."))
}

/// Refuses names that disks, snapshots and their sets can't have: 1 to 80 letters, digits, `_`, `-` and `.`, the first
/// a letter or digit, the last a letter, digit or `_`.
pub(super) fn check_name(name: &str, parameter: &str) -> Result<(), Refusal> {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let bytes = name.as_bytes();
    let fits = (1..=80).contains(&bytes.len())
        && bytes.iter().all(|byte| inner(*byte))
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    if fits { Ok(()) } else { Err(invalid(&format!("{parameter}.name"))) }
}

/// On PUT of what is there: what the body does not name stays, apart from the tags.
pub(super) fn keep_old(draft: &mut Draft<'_>) {
    if let (Change::Replace, Some(old)) = (draft.change, draft.old) {
        let fresh = std::mem::replace(&mut draft.body, old.body.clone());
        for member in ["tags", "identity"] {
            if !fresh[member].is_null() {
                draft.body[member] = fresh[member].clone();
            }
        }
    }
}

/// Copies the caller's properties into the document, or refuses the first that can't be had.
pub(super) fn apply(draft: &mut Draft<'_>, rules: &[&[(&'static str, Rule)]]) -> Result<(), Refusal> {
    let given = draft.asked().as_object().cloned().unwrap_or_default();
    for (name, value) in given.iter().filter(|(_, value)| !value.is_null()) {
        let Some((name, rule)) = rules.iter().copied().flatten().find(|(known, _)| known.eq_ignore_ascii_case(name))
        else {
            return Err(Refusal::new(
                400,
                "BadRequest",
                format!("Could not find member '{name}' on object of type 'Properties'. Path 'properties.{name}'."),
            )
            .gap(format!("the property {name}")));
        };
        let one_of = |words: &[&'static str]| {
            words.iter().find(|word| value.as_str().is_some_and(|given| word.eq_ignore_ascii_case(given))).copied()
        };
        let stored = match rule {
            Rule::Elsewhere | Rule::ReadOnly => continue,
            Rule::Free => value.clone(),
            Rule::Bool if value.is_boolean() => value.clone(),
            Rule::Bool => return Err(invalid(name)),
            Rule::Words(words) => one_of(words).ok_or_else(|| invalid(name))?.into(),
            Rule::Lacking(_) if value == "None" || value["enabled"] == false => continue,
            Rule::Lacking(what) => return Err(invalid(name).gap(*what)),
            Rule::Some(words, _, _) if one_of(words).is_some() => one_of(words).into(),
            Rule::Some(_, others, what) if one_of(others).is_some() => return Err(invalid(name).gap(*what)),
            Rule::Some(..) => return Err(invalid(name)),
        };
        draft.properties()[*name] = stored;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_name;

    #[test]
    fn names() {
        for (name, expected) in [
            ("disk1", true),
            ("1-disk_a.b_", true),
            ("d", true),
            ("", false),
            ("-disk", false),
            ("disk.", false),
            ("disk-", false),
            ("dísk", false),
            ("a b", false),
            (&"d".repeat(80), true),
            (&"d".repeat(81), false),
        ] {
            assert_eq!(check_name(name, "disk").is_ok(), expected, "{name}");
        }
    }
}
