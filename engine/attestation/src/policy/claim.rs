//! Claims of a token by their dotted path.

use serde_json::Value;

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Found<'a> {
    /// A value that is not null.
    Value(&'a Value),
    /// Nothing, or null, which has no text.
    Absent,
    /// Nothing by the dots, but an object on the way has a claim whose own name has them (`a` has `b.c`). Dots
    /// navigate, so a policy cannot name it; and `exists` must not say that it is not there.
    Hidden,
}

/// Follows a dotted path: every dot steps into an object. Arrays have no members (the grammar: "Array specifications
/// aren't presently supported").
pub(super) fn find<'a>(claims: &'a Value, path: &str) -> Found<'a> {
    let (mut here, mut rest) = (claims, path);
    let mut hidden = false;
    while let Some(object) = here.as_object() {
        let Some((name, further)) = rest.split_once('.') else {
            match object.get(rest) {
                None | Some(Value::Null) => break,
                Some(value) => return Found::Value(value),
            }
        };
        // Any shorter joint counts too: {"b.c": {"d": 1}} hides b.c.d.
        hidden |= dotted(rest).any(|joint| object.contains_key(joint));
        let Some(next) = object.get(name) else { break };
        (here, rest) = (next, further);
    }
    if hidden { Found::Hidden } else { Found::Absent }
}

/// The beginnings of a path that have at least one dot in them, up to the whole path.
fn dotted(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices('.').skip(1).map(|(at, _)| at).chain([path.len()]);
    ends.filter_map(|end| path.get(..end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn dots_step_into_objects_and_into_nothing_else() {
        let claims = json!({
            "plain": "p", "null": null, "list": [{"x": 1}],
            "a": {"b": {"c": 1}, "b.d": 2, "e.f": {"g": 3}},
            "top.dotted": true, "both.ways": 1, "both": {"ways": 2},
        });
        let (one, two) = (json!(1), json!(2));
        let table = [
            ("plain", Found::Value(&claims["plain"])),
            ("a.b.c", Found::Value(&one)),
            ("a.b", Found::Value(&claims["a"]["b"])),
            ("null", Found::Absent),
            ("null.x", Found::Absent),
            ("a.x", Found::Absent),
            ("a.b.c.d", Found::Absent),
            ("plain.x", Found::Absent),
            ("list.0.x", Found::Absent),
            ("list.0", Found::Absent),
            ("PLAIN", Found::Absent),
            // `a` has `b`, which has no `d`; but it also has a claim named `b.d`.
            ("a.b.d", Found::Hidden),
            ("top.dotted", Found::Hidden),
            ("a.e.f.g", Found::Hidden),
            ("a.e.f", Found::Hidden),
            ("both.ways", Found::Value(&two)),
        ];
        for (path, expected) in table {
            assert_eq!(find(&claims, path), expected, "{path}");
        }
        assert_eq!(find(&json!("no object"), "a"), Found::Absent);
    }
}
