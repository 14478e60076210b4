//! What data-plane requests carry: names, attributes, operations, values.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Value, json};

use crate::cx::Cx;
use crate::refusal::Refusal;

/// Operations that a key may permit.
const OPERATIONS: [&str; 7] = ["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey", "import"];

/// Base64url as clients send it: mostly without padding.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Azure's refusal of a bad parameter.
pub(super) fn bad(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "BadParameter", message)
}

/// Reads the body as a JSON object.
pub(super) fn object(cx: &Cx<'_>) -> Result<Value, Refusal> {
    let body: Value = serde_json::from_slice(&cx.request.body)
        .map_err(|e| bad(format!("The request body can't be read as JSON: {e}.")))?;
    if body.is_object() { Ok(body) } else { Err(bad("The request body must be a JSON object.")) }
}

/// Refuses a key name that Azure refuses: 1 to 127 letters, digits and hyphens.
pub(super) fn check_key_name(name: &str) -> Result<(), Refusal> {
    let good = (1..=127).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if good { Ok(()) } else { Err(bad(format!("The request URI contains an invalid name: {name}"))) }
}

/// The attributes that a request sets; `None` leaves a value as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    /// Whether the key may be used.
    pub enabled: Option<bool>,
    /// Not usable for new data before (Unix seconds).
    pub nbf: Option<i64>,
    /// Not usable for new data from then on (Unix seconds).
    pub exp: Option<i64>,
    /// Whether the private key may be released.
    pub exportable: Option<bool>,
}

impl Attributes {
    /// Reads `attributes` of a request.
    pub fn read(body: &Value) -> Result<Self, Refusal> {
        let given = &body["attributes"];
        if !given.is_null() && !given.is_object() {
            return Err(bad("Property attributes has invalid value: it must be an object."));
        }
        let boolean = |name: &str| match &given[name] {
            Value::Null => Ok(None),
            Value::Bool(value) => Ok(Some(*value)),
            other => {
                Err(bad(format!("Property attributes.{name} has invalid value {other}: it must be true or false.")))
            }
        };
        let seconds = |name: &str| match &given[name] {
            Value::Null => Ok(None),
            other => other.as_i64().filter(|s| *s >= 0).map(Some).ok_or_else(|| {
                bad(format!("Property attributes.{name} has invalid value {other}: it must be Unix time in seconds."))
            }),
        };
        let read = Self {
            enabled: boolean("enabled")?,
            nbf: seconds("nbf")?,
            exp: seconds("exp")?,
            exportable: boolean("exportable")?,
        };
        read.check_order(read.nbf, read.exp)?;
        Ok(read)
    }

    /// Refuses a time window that ends before it begins.
    pub fn check_order(&self, nbf: Option<i64>, exp: Option<i64>) -> Result<(), Refusal> {
        match (nbf, exp) {
            (Some(nbf), Some(exp)) if exp <= nbf => Err(bad(format!(
                "Property attributes.exp has invalid value {exp}: it must be later than attributes.nbf ({nbf})."
            ))),
            _ => Ok(()),
        }
    }
}

/// Reads `key_ops` of a request; `None` when there are none.
pub(super) fn operations(body: &Value) -> Result<Option<Vec<String>>, Refusal> {
    let given = match &body["key_ops"] {
        Value::Null => return Ok(None),
        Value::Array(given) => given,
        other => return Err(bad(format!("Property key_ops has invalid value {other}: it must be a list."))),
    };
    let mut operations: Vec<String> = Vec::new();
    for operation in given {
        let name = operation.as_str().unwrap_or_default();
        if !OPERATIONS.contains(&name) {
            return Err(bad(format!(
                "Property key_ops has invalid value {operation}: key operations are {}.",
                OPERATIONS.join(", ")
            )));
        }
        if !operations.iter().any(|known| known == name) {
            operations.push(name.to_owned());
        }
    }
    // A key exchange key for imports does nothing else (Key Vault "Import HSM-protected keys").
    if operations.len() > 1 && operations.iter().any(|name| name == "import") {
        return Err(bad("Property key_ops has invalid value: \"import\" can't be combined with other operations."));
    }
    Ok(Some(operations))
}

/// Reads `tags` of a request; `None` when there are none.
pub(super) fn tags(body: &Value) -> Result<Option<Value>, Refusal> {
    if body["tags"].is_null() {
        return Ok(None);
    }
    check_tags(&body["tags"]).map_err(|why| bad(format!("Property tags has invalid value: {why}.")))?;
    Ok(Some(body["tags"].clone()))
}

/// Tags of Key Vault objects: at most 15, text to text.
fn check_tags(tags: &Value) -> Result<(), String> {
    let tags = tags.as_object().ok_or("they must be an object of texts")?;
    if tags.len() > 15 {
        return Err(format!("there are {}, and at most 15 are allowed", tags.len()));
    }
    for (name, value) in tags {
        let length = value.as_str().map(|text| text.chars().count());
        if name.is_empty() || name.chars().count() > 512 || length.is_none_or(|length| length > 512) {
            return Err(format!("'{name}' must have a name and a text, each of at most 512 characters"));
        }
    }
    Ok(())
}

/// Reads a base64url property.
pub(super) fn bytes(body: &Value, name: &str) -> Result<Vec<u8>, Refusal> {
    let text = body[name].as_str().ok_or_else(|| bad(format!("Property {name} is required.")))?;
    decode(text).ok_or_else(|| bad(format!("Property {name} has invalid value: it must be base64url.")))
}

/// Decodes base64url with or without padding.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64URL.decode(text).ok()
}

/// A page of a list: how many entries, and behind which one it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// Entries per page, 1 to 25.
    pub size: usize,
    /// The last entry of the page before; empty for the first page.
    pub after: String,
}

impl Page {
    /// Reads `maxresults` and `$skiptoken`.
    pub fn read(cx: &Cx<'_>) -> Result<Self, Refusal> {
        let size = match cx.request.query("maxresults") {
            None => 25,
            Some(text) => text.parse().ok().filter(|size| (1..=25).contains(size)).ok_or_else(|| {
                bad(format!("Parameter maxresults has invalid value {text}: it must be between 1 and 25."))
            })?,
        };
        let after = match cx.request.query("$skiptoken") {
            None => String::new(),
            Some(token) => {
                BASE64URL.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| {
                    bad("Parameter $skiptoken has invalid value: follow the nextLink of the page before.")
                })?
            }
        };
        Ok(Self { size, after })
    }

    /// The list document: `items` holds up to one more entry than the page, with the position behind each.
    pub fn answer(&self, cx: &Cx<'_>, mut items: Vec<(String, Value)>) -> Value {
        let more = items.len() > self.size;
        items.truncate(self.size);
        let next = items.last().filter(|_| more).map(|(position, _)| {
            let api = cx.request.query("api-version").unwrap_or_default();
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("api-version", api)
                .append_pair("$skiptoken", &BASE64URL.encode(position).replace('=', ""))
                .append_pair("maxresults", &self.size.to_string())
                .finish();
            format!("https://{}:443{}?{query}", cx.request.host, cx.request.path)
        });
        let values: Vec<Value> = items.into_iter().map(|(_, value)| value).collect();
        let mut list = json!({ "value": values });
        if let Some(next) = next {
            list["nextLink"] = next.into();
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_checked() {
        let rows = [
            (json!({}), Ok(Attributes::default())),
            (
                json!({ "attributes": { "enabled": false, "nbf": 5, "exp": 6 } }),
                Ok(Attributes { enabled: Some(false), nbf: Some(5), exp: Some(6), exportable: None }),
            ),
            (json!({ "attributes": 1 }), Err("must be an object")),
            (json!({ "attributes": { "enabled": "yes" } }), Err("attributes.enabled has invalid value")),
            (json!({ "attributes": { "exp": "soon" } }), Err("attributes.exp has invalid value")),
            (json!({ "attributes": { "nbf": -1 } }), Err("attributes.nbf has invalid value")),
            (json!({ "attributes": { "nbf": 6, "exp": 6 } }), Err("later than attributes.nbf")),
        ];
        for (body, expected) in rows {
            match (Attributes::read(&body), expected) {
                (Ok(read), Ok(expected)) => assert_eq!(read, expected),
                (Err(refusal), Err(expected)) => assert!(refusal.message.contains(expected), "{}", refusal.message),
                (read, _) => panic!("{read:?} for {body}"),
            }
        }
    }

    #[test]
    fn operations_are_known_ones() {
        let rows = [
            (json!({}), Ok(None)),
            (json!({ "key_ops": [] }), Ok(Some(vec![]))),
            (json!({ "key_ops": ["wrapKey", "unwrapKey", "wrapKey"] }), Ok(Some(vec!["wrapKey", "unwrapKey"]))),
            (json!({ "key_ops": ["import"] }), Ok(Some(vec!["import"]))),
            (json!({ "key_ops": ["wrapkey"] }), Err("key operations are encrypt")),
            (json!({ "key_ops": "wrapKey" }), Err("must be a list")),
            (json!({ "key_ops": ["import", "sign"] }), Err("can't be combined")),
        ];
        for (body, expected) in rows {
            match (operations(&body), expected) {
                (Ok(read), Ok(expected)) => {
                    assert_eq!(read, expected.map(|list| list.iter().map(ToString::to_string).collect()));
                }
                (Err(refusal), Err(expected)) => assert!(refusal.message.contains(expected), "{}", refusal.message),
                (read, _) => panic!("{read:?} for {body}"),
            }
        }
    }

    #[test]
    fn key_names() {
        let long = "k".repeat(128);
        let rows = [
            ("a", true),
            ("A-1", true),
            (&long[1..], true),
            ("", false),
            ("a_b", false),
            ("a.b", false),
            (&long, false),
        ];
        for (name, good) in rows {
            assert_eq!(check_key_name(name).is_ok(), good, "{name}");
        }
    }

    #[test]
    fn base64url_with_and_without_padding() {
        let rows = [("-_8", Some(vec![0xfb, 0xff])), ("-_8=", Some(vec![0xfb, 0xff])), ("+/8", None), ("a", None)];
        for (text, expected) in rows {
            assert_eq!(bytes(&json!({ "value": text }), "value").ok(), expected, "{text}");
        }
        assert!(bytes(&json!({}), "value").unwrap_err().message.contains("Property value is required"));
    }

    #[test]
    fn tags_are_texts() {
        let many: Value = (0..16).map(|i| (format!("t{i}"), json!("v"))).collect::<serde_json::Map<_, _>>().into();
        let rows = [
            (json!({ "a": "b", "c": "" }), None),
            (json!([]), Some("object of texts")),
            (json!({ "a": 1 }), Some("'a' must have")),
            (json!({ "": "x" }), Some("must have a name")),
            (json!({ "a": "x".repeat(513) }), Some("at most 512")),
            (many, Some("there are 16, and at most 15")),
        ];
        for (given, expected) in rows {
            match (tags(&json!({ "tags": given })), expected) {
                (Ok(read), None) => assert_eq!(read, Some(given)),
                (Err(refusal), Some(expected)) => assert!(refusal.message.contains(expected), "{}", refusal.message),
                (read, _) => panic!("{read:?} for {given}"),
            }
        }
        assert_eq!(tags(&json!({})).unwrap(), None);
    }
}
