//! Request headers: metadata, content headers, and what the embedded Azure does not have.

use http::HeaderMap;
use serde_json::{Map, Value};

use crate::http::{Answer, Request};
use crate::refusal::Refusal;

/// Prefix of metadata headers.
const METADATA: &str = "x-ms-meta-";

/// Total size of names and values of metadata, in bytes.
const METADATA_LIMIT: usize = 8 * 1024;

/// The content headers that a blob keeps: name in an answer, name in a request, and whether the plain name works in
/// an upload too.
const CONTENT: [(&str, &str, bool); 5] = [
    ("content-type", "x-ms-blob-content-type", true),
    ("content-encoding", "x-ms-blob-content-encoding", true),
    ("content-language", "x-ms-blob-content-language", true),
    ("cache-control", "x-ms-blob-cache-control", true),
    ("content-disposition", "x-ms-blob-content-disposition", false),
];

/// Name of a blob's digest among its content headers.
pub(super) const MD5: &str = "content-md5";

/// Azure's refusal of a request without a header.
pub(super) fn missing(name: &str) -> Refusal {
    Refusal::new(
        400,
        "MissingRequiredHeader",
        format!("An HTTP header that's mandatory for this request is not specified: {name}."),
    )
}

/// Azure's refusal of a header's value.
pub(super) fn invalid(name: &str) -> Refusal {
    Refusal::new(
        400,
        "InvalidHeaderValue",
        format!("The value for one of the HTTP headers is not in the correct format: {name}."),
    )
}

/// Refuses headers that ask for something which the embedded Azure lacks: leaving them out silently would change
/// what the request means.
pub(super) fn refuse_unsupported(request: &Request) -> Result<(), Refusal> {
    const LACKING: [(&str, &str); 8] = [
        ("x-ms-encryption-key", "customer-provided keys"),
        ("x-ms-encryption-scope", "encryption scopes"),
        ("x-ms-tags", "blob index tags"),
        ("x-ms-if-tags", "blob index tags"),
        ("x-ms-immutability-policy-until-date", "immutability policies"),
        ("x-ms-legal-hold", "legal holds"),
        ("x-ms-structured-body", "structured bodies"),
        ("x-ms-expiry-option", "blob expiry"),
    ];
    LACKING.iter().try_for_each(|(name, what)| refuse_header(request, name, what))
}

/// Refuses a header that asks for something which the embedded Azure lacks.
pub(super) fn refuse_header(request: &Request, name: &str, what: &str) -> Result<(), Refusal> {
    if !request.headers.contains_key(name) {
        return Ok(());
    }
    Err(Refusal::new(
        400,
        "UnsupportedHeader",
        format!("One of the HTTP headers specified in the request is not supported: {name}."),
    )
    .gap(what))
}

/// Reads the metadata of a request, in order of name. HTTP carries the names without case, so they are in lower case.
pub(super) fn metadata(headers: &HeaderMap) -> Result<Vec<(String, String)>, Refusal> {
    let mut metadata = Vec::new();
    let mut size = 0;
    for name in headers.keys() {
        let Some(key) = name.as_str().strip_prefix(METADATA) else { continue };
        let values: Option<Vec<&str>> = headers.get_all(name).iter().map(|value| value.to_str().ok()).collect();
        let value = values.map(|values| values.join(","));
        let (Some(value), true) = (value, is_identifier(key)) else {
            let (code, message) = if key.is_empty() {
                ("EmptyMetadataKey", "The key for one of the metadata key-value pairs is empty.")
            } else {
                ("InvalidMetadata", "The metadata specified is invalid. It has characters that are not permitted.")
            };
            return Err(Refusal::new(400, code, message));
        };
        size += key.len() + value.len();
        metadata.push((key.to_owned(), value));
    }
    if size > METADATA_LIMIT {
        return Err(Refusal::new(
            400,
            "MetadataTooLarge",
            "The metadata specified exceeds the maximum permissible limit (8KB).",
        ));
    }
    metadata.sort();
    Ok(metadata)
}

/// Metadata names are identifiers of C#.
fn is_identifier(name: &str) -> bool {
    name.bytes().next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Adds metadata to an answer.
pub(super) fn set_metadata<'a>(answer: &mut Answer, metadata: impl IntoIterator<Item = (&'a str, &'a str)>) {
    for (name, value) in metadata {
        answer.set(&format!("{METADATA}{name}"), value);
    }
}

/// Where content headers come from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// An upload of the content itself: plain names count, too.
    Upload,
    /// A request whose body is something else, or nothing.
    Other,
}

/// Reads the content headers that a blob gets. An upload has a media type in any case.
pub(super) fn content(request: &Request, source: Source) -> Value {
    let mut content = Map::new();
    for (name, own, plain) in CONTENT {
        let value = request.header(own).or_else(|| {
            let plain = plain && source == Source::Upload;
            plain.then(|| request.header(name)).flatten()
        });
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            content.insert(name.to_owned(), value.into());
        }
    }
    if !content.contains_key("content-type") {
        content.insert("content-type".to_owned(), "application/octet-stream".into());
    }
    Value::Object(content)
}

/// Replaces those content headers that a request gives.
pub(super) fn replace_content(content: &mut Value, request: &Request) {
    for (name, own, _) in CONTENT {
        if let Some(value) = request.header(own).filter(|value| !value.is_empty()) {
            content[name] = value.into();
        }
    }
}

/// What a blob keeps of the copy that made it, beside its content headers. It goes with the next change of those.
pub(super) const COPY: [(&str, &str); 5] = [
    ("x-ms-copy-id", "CopyId"),
    ("x-ms-copy-source", "CopySource"),
    ("x-ms-copy-status", "CopyStatus"),
    ("x-ms-copy-progress", "CopyProgress"),
    ("x-ms-copy-completion-time", "CopyCompletionTime"),
];

/// Forgets the copy that made a blob.
pub(super) fn without_copy(content: &mut Value) {
    if let Some(content) = content.as_object_mut() {
        content.retain(|name, _| COPY.iter().all(|(copy, _)| copy != name));
    }
}

/// Keeps the copy that makes a blob.
pub(super) fn set_copy(content: &mut Value, copy: &[(&str, String)]) {
    for (name, value) in copy {
        content[*name] = value.as_str().into();
    }
}

/// Adds a blob's content headers to an answer, without its digest, and the copy that made it.
pub(super) fn set_content(answer: &mut Answer, content: &Value) {
    for (name, _, _) in CONTENT {
        if let Some(value) = content[name].as_str() {
            answer.set(name, value);
        }
    }
    for (name, _) in COPY {
        if let Some(value) = content[name].as_str() {
            answer.set(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> HeaderMap {
        let name = |name: &str| http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        pairs.iter().map(|(n, value)| (name(n), value.parse().unwrap())).collect()
    }

    #[test]
    fn metadata_rules() {
        let big = "v".repeat(METADATA_LIMIT);
        for (pairs, expected) in [
            (&[][..], ""),
            (&[("x-ms-meta-Run", "r1"), ("x-ms-meta-a_1", ""), ("other", "x")], "a_1=;run=r1;"),
            (&[("x-ms-meta-1a", "x")], "InvalidMetadata"),
            (&[("x-ms-meta-a-b", "x")], "InvalidMetadata"),
            (&[("x-ms-meta-", "x")], "EmptyMetadataKey"),
            (&[("x-ms-meta-a", &big)], "MetadataTooLarge"),
        ] {
            let shown = match metadata(&map(pairs)) {
                Ok(pairs) => pairs.iter().map(|(name, value)| format!("{name}={value};")).collect(),
                Err(refusal) => refusal.code,
            };
            assert_eq!(shown, expected, "{pairs:?}");
        }
    }
}
