//! Canonical form of requests: the same request has the same digest whatever the order in which it was written.

use sealbook_model::id::Digest;
use serde_json::Value;

/// Digest of the kind, the target and the body of an effect.
pub(crate) fn digest(kind: &str, target: &str, request: &Value) -> Digest {
    let mut text = String::new();
    write(&Value::from(vec![Value::from(kind), Value::from(target), request.clone()]), &mut text);
    Digest::of(text.as_bytes())
}

/// JSON without spaces, the names of objects in byte order (as RFC 8785, except that numbers keep their spelling).
fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<_> = fields.keys().collect();
            names.sort_unstable();
            out.push('{');
            for (i, name) in names.into_iter().enumerate() {
                out.push_str(if i == 0 { "" } else { "," });
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                write(&fields[name], out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { "," });
                write(item, out);
            }
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn order_does_not_matter_and_everything_else_does() {
        let a = json!({ "a": 1, "b": { "c": [1, 2], "d": "ä\n" } });
        let b = json!({ "b": { "d": "ä\n", "c": [1, 2] }, "a": 1 });
        assert_eq!(digest("k", "t", &a), digest("k", "t", &b));
        for other in [
            json!({ "a": 1 }),
            json!({ "a": "1", "b": { "c": [1, 2], "d": "ä\n" } }),
            json!({ "a": 1, "b": { "c": [2, 1], "d": "ä\n" } }),
        ] {
            assert_ne!(digest("k", "t", &a), digest("k", "t", &other));
        }
        assert_ne!(digest("k", "t", &a), digest("k2", "t", &a));
        assert_ne!(digest("k", "t", &a), digest("k", "t2", &a));
    }
}
