//! Values from outside, fit to stand in one line for people.

use serde_json::Value;

/// The text of a value, by which the live service compares; arrays and objects have none.
pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A value for people: its text, shortened; only the kind of an array or object.
pub(crate) fn show(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Array(items) => format!("an array of {}", items.len()),
        Value::Object(members) => format!("an object of {}", members.len()),
        _ => shorten(&text(value).unwrap_or_default()),
    }
}

/// Text from outside, fit for a line: control characters escaped, and no longer than a digest needs.
pub(crate) fn shorten(text: &str) -> String {
    const LONGEST: usize = 160;
    let mut shown: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn shown_values_are_short_and_carry_no_control_characters() {
        assert_eq!(show(&json!("a\u{1b}[2Jb\n")), "a\\u{1b}[2Jb\\n");
        assert_eq!(show(&json!("x".repeat(161))), format!("{}…", "x".repeat(160)));
        assert_eq!((show(&json!([1, 2])), show(&json!({}))), ("an array of 2".into(), "an object of 0".into()));
    }
}
