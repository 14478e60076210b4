//! Signatures with an account key.
//!
//! Source: "Authorize with Shared Key" of the Azure Storage REST API, for versions from 2015-02-21 on.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Duration, Utc};

use super::failed;
use crate::cx::Cx;
use crate::http::Request;
use crate::refusal::Refusal;
use crate::storage::account::{self, Account};

/// How far a request's date may be from the service's.
const SKEW: Duration = Duration::minutes(15);

/// The headers whose values are signed in lines of their own.
const STANDARD_HEADERS: [&str; 11] = [
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
];

/// Verifies `account:signature` of a request against both keys of the account.
pub(super) fn verify(cx: &Cx<'_>, account: &Account, value: &str) -> Result<(), Refusal> {
    check_date(cx.request, cx.wall)?;
    let (name, signature) = value.trim().split_once(':').unwrap_or((value, ""));
    if name != account.name {
        return Err(failed("The account name in the Authorization header is not that of the request's host."));
    }
    let tag = STANDARD.decode(signature).unwrap_or_default();
    let documented = string_to_sign(cx.request, &account.name, Order::Ordinal);
    let collated = string_to_sign(cx.request, &account.name, Order::Collated);
    for key in account::access_keys(cx, account)? {
        for text in [&documented, &collated] {
            if sealbook_crypto::verify_hmac_sha256(key.expose(), text.as_bytes(), &tag).is_ok() {
                return Ok(());
            }
        }
    }
    Err(failed(format!(
        "The MAC signature found in the HTTP request '{signature}' is not the same as any computed signature. Server \
         used following string to sign: '{documented}'."
    )))
}

/// Refuses a request without a date, or from another time. The wall clock counts, as for tokens: clients date their
/// requests by their own clocks, which nobody moves.
fn check_date(request: &Request, wall: DateTime<Utc>) -> Result<(), Refusal> {
    let given = request.header("x-ms-date").or_else(|| request.header("date"));
    let date = given.and_then(|text| DateTime::parse_from_rfc2822(text).ok());
    match date {
        Some(date) if (wall - date.with_timezone(&Utc)).abs() <= SKEW => Ok(()),
        _ => Err(failed(format!("The Date header in the request is incorrect: '{}'.", given.unwrap_or_default()))),
    }
}

/// In which order `x-ms-` headers are signed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// By character codes, as the documentation says.
    Ordinal,
    /// As the service itself sorts and the official clients know: hyphens don't count, `_` comes before digits.
    Collated,
}

impl Order {
    fn key(self, name: &str) -> Vec<u8> {
        match self {
            Self::Ordinal => name.bytes().collect(),
            Self::Collated => name.bytes().filter(|b| *b != b'-').map(|b| if b == b'_' { b'.' } else { b }).collect(),
        }
    }
}

fn string_to_sign(request: &Request, account: &str, order: Order) -> String {
    let mut text = format!("{}\n", request.method);
    for name in STANDARD_HEADERS {
        let value = match name {
            "content-length" => content_length(request),
            // The date that counts is signed among the `x-ms-` headers.
            "date" if request.headers.contains_key("x-ms-date") => String::new(),
            name => request.header(name).unwrap_or_default().to_owned(),
        };
        text.push_str(&value);
        text.push('\n');
    }
    let mut own: Vec<(Vec<u8>, &str, String)> = Vec::new();
    for name in request.headers.keys().map(http::HeaderName::as_str).filter(|name| name.starts_with("x-ms-")) {
        let values = request.headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        let value = values.collect::<Vec<_>>().join(",");
        own.push((order.key(name), name, value.trim().to_owned()));
    }
    own.sort();
    for (_, name, value) in own {
        text.push_str(&format!("{name}:{value}\n"));
    }
    text.push_str(&format!("/{account}{}", request.path));
    let mut query: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, value) in &request.query {
        query.entry(name.to_lowercase()).or_default().push(value);
    }
    for (name, mut values) in query {
        values.sort_unstable();
        text.push_str(&format!("\n{name}:{}", values.join(",")));
    }
    text
}

/// The signed length: empty for none.
fn content_length(request: &Request) -> String {
    let length = match request.header("content-length") {
        Some(length) => length.to_owned(),
        None if request.headers.contains_key("transfer-encoding") => String::new(),
        None => request.body.len().to_string(),
    };
    if length == "0" { String::new() } else { length }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &'static str) -> Request {
        let mut request =
            http::Request::builder().method(method).uri(format!("https://myaccount.blob.core.windows.net{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Request::parse(request.body(Bytes::from_static(body.as_bytes())).unwrap()).unwrap()
    }

    #[test]
    fn strings_to_sign() {
        let list = request(
            "GET",
            "/mycontainer?restype=container&comp=metadata&timeout=20",
            &[("x-ms-version", "2015-02-21"), ("x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT")],
            "",
        );
        // The example of the documentation.
        assert_eq!(
            string_to_sign(&list, "myaccount", Order::Ordinal),
            "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n\
             /myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20"
        );
        let put = request(
            "PUT",
            "/c/a%20b?Include=b&include=a",
            &[
                ("content-type", "text/plain"),
                ("date", "D"),
                ("range", "bytes=0-1"),
                ("x-ms-meta-a1", " v "),
                ("x-ms-meta-a_1", "w"),
            ],
            "body",
        );
        assert_eq!(
            string_to_sign(&put, "myaccount", Order::Ordinal),
            "PUT\n\n\n4\n\ntext/plain\nD\n\n\n\n\nbytes=0-1\nx-ms-meta-a1:v\nx-ms-meta-a_1:w\n\
             /myaccount/c/a%20b\ninclude:a,b"
        );
        assert!(string_to_sign(&put, "myaccount", Order::Collated).contains("x-ms-meta-a_1:w\nx-ms-meta-a1:v\n"));
    }

    /// A signature that the official Python client (azure-storage-blob 12.31.1) made with a key of counting bytes. It
    /// sorts as the service does.
    #[test]
    fn the_official_client_signs_the_same_text() {
        let headers = [
            ("x-ms-date", "Fri, 02 Jan 2026 03:04:05 GMT"),
            ("x-ms-version", "2026-10-06"),
            ("x-ms-meta-a1", "v"),
            ("x-ms-meta-a_1", "w"),
            ("content-type", "application/octet-stream"),
            ("if-match", "\"0x1\""),
            ("x-ms-blob-content-type", "a"),
            ("x-ms-blob-type", "b"),
        ];
        let put = request("PUT", "/data/dir/a%20b?comp=block&blockid=YQ%3D%3D", &headers, "hello");
        let key: Vec<u8> = (0..64).collect();
        let tag = sealbook_crypto::hmac_sha256(&key, string_to_sign(&put, "labdata01", Order::Collated).as_bytes());
        assert_eq!(STANDARD.encode(tag), "kB9601LMu3YOaUq5zBJKjq4p4ojAO9ubnHNesFUvucE=");
    }

    #[test]
    fn dates() {
        let wall: DateTime<Utc> = "2026-01-02T03:00:00Z".parse().unwrap();
        for (name, date, ok) in [
            ("x-ms-date", "Fri, 02 Jan 2026 03:00:00 GMT", true),
            ("x-ms-date", "Fri, 02 Jan 2026 03:15:00 GMT", true),
            ("x-ms-date", "Fri, 02 Jan 2026 03:15:01 GMT", false),
            ("x-ms-date", "Fri, 02 Jan 2026 02:44:59 GMT", false),
            ("date", "Fri, 02 Jan 2026 02:45:00 GMT", true),
            ("x-ms-date", "today", false),
            ("x-ms-other", "", false),
        ] {
            assert_eq!(check_date(&request("GET", "/", &[(name, date)], ""), wall).is_ok(), ok, "{name}: {date}");
        }
    }
}
