//! Values on their way into CEL and out of it.

use std::collections::HashMap;
use std::sync::Arc;

use cel::Value as Cel;
use chrono::{DateTime, FixedOffset, SecondsFormat, Utc};
use serde_json::{Map, Number, Value};

/// Whole numbers become `int` where they fit, so that arithmetic with literals works.
pub(super) fn from_json(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(b) => Cel::Bool(*b),
        Value::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(i), _) => Cel::Int(i),
            (None, Some(u)) => Cel::UInt(u),
            (None, None) => Cel::Float(n.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(s) => Cel::from(s.as_str()),
        Value::Array(items) => Cel::List(Arc::new(items.iter().map(from_json).collect())),
        Value::Object(fields) => {
            let map: HashMap<String, Cel> = fields.iter().map(|(k, v)| (k.clone(), from_json(v))).collect();
            Cel::from(map)
        }
    }
}

/// Objects come out with sorted keys: digests of requests are taken over them.
pub(super) fn to_json(value: &Cel) -> Result<Value, String> {
    Ok(match value {
        Cel::Null => Value::Null,
        Cel::Bool(b) => Value::Bool(*b),
        Cel::Int(i) => Value::from(*i),
        Cel::UInt(u) => Value::from(*u),
        Cel::Float(f) => Value::Number(Number::from_f64(*f).ok_or("the result is not a finite number")?),
        Cel::String(s) => Value::String(s.as_str().to_owned()),
        Cel::Timestamp(t) => Value::String(instant(t)),
        Cel::Duration(d) => Value::String(seconds(*d)),
        Cel::List(items) => Value::Array(items.iter().map(to_json).collect::<Result<_, _>>()?),
        Cel::Map(map) => {
            let mut fields =
                map.map.iter().map(|(k, v)| Ok((k.to_string(), to_json(v)?))).collect::<Result<Vec<_>, String>>()?;
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(Map::from_iter(fields))
        }
        other => return Err(format!("a {} is not a value", other.type_of())),
    })
}

/// As it reads between other text.
pub(super) fn to_text(value: &Cel) -> Result<String, String> {
    match to_json(value)? {
        Value::String(s) => Ok(s),
        Value::Null => Err("there is no value to put into the text (null)".into()),
        other => Ok(other.to_string()),
    }
}

fn instant(t: &DateTime<FixedOffset>) -> String {
    t.with_timezone(&Utc).to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// CEL's own text of a duration: seconds with a fraction and `s`.
fn seconds(d: chrono::Duration) -> String {
    let (whole, nanos) = (d.num_seconds(), d.subsec_nanos());
    if nanos == 0 {
        return format!("{whole}s");
    }
    let sign = if whole < 0 || nanos < 0 { "-" } else { "" };
    let fraction = format!("{:09}", nanos.unsigned_abs());
    format!("{sign}{}.{}s", whole.unsigned_abs(), fraction.trim_end_matches('0'))
}
