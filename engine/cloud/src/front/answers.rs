//! What the doors themselves answer.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use hyper::ext::ReasonPhrase;

use crate::{Machine, Unreached};

/// An answer in plain text.
pub(super) fn refusal(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

pub(super) fn not_found() -> Response<Full<Bytes>> {
    refusal(StatusCode::NOT_FOUND, "the embedded Azure: nothing here\n".to_owned())
}

/// The refusal of a host. Its reason phrase is all that many clients show of a refused CONNECT.
pub(super) fn unknown(target: &str) -> Response<Full<Bytes>> {
    let text = format!(
        "{target} is not part of the embedded Azure, and nothing is ever forwarded; unset HTTPS_PROXY and HTTP_PROXY \
         to reach it\n"
    );
    let mut refused = refusal(StatusCode::FORBIDDEN, text);
    refused.extensions_mut().insert(ReasonPhrase::from_static(b"Host unknown to the embedded Azure"));
    refused
}

/// What the process of a machine is answered that is off.
pub(super) fn off() -> Response<Full<Bytes>> {
    let mut off = refusal(StatusCode::GONE, "the machine is off, or was booted again\n".to_owned());
    off.headers_mut().insert(Machine::STATE, HeaderValue::from_static("off"));
    off
}

/// The refusal of a tunnel to a machine. As with any proxy, the status tells a name without an address (502), a connection
/// that was refused (503) and one that nobody answered (504) apart.
pub(super) fn unreached(why: &Unreached) -> Response<Full<Bytes>> {
    let phrase = ReasonPhrase::from_static;
    let (status, phrase) = match why {
        Unreached::Unknown { .. } => (StatusCode::BAD_GATEWAY, phrase(b"Host not found")),
        Unreached::Refused { .. } => (StatusCode::SERVICE_UNAVAILABLE, phrase(b"Connection refused")),
        Unreached::Silent { .. } => (StatusCode::GATEWAY_TIMEOUT, phrase(b"Connection timed out")),
    };
    let mut refused = refusal(status, format!("{why}\n"));
    refused.extensions_mut().insert(phrase);
    refused
}

/// The metadata service's error body.
pub(super) fn imds_error(status: StatusCode, error: &str, description: &str) -> Response<Full<Bytes>> {
    let body = serde_json::json!({ "error": error, "error_description": description });
    let mut response = refusal(status, body.to_string());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The refusal of a request to the metadata service that a page in a browser or a redirect could have made.
pub(super) fn refuse_metadata(headers: &HeaderMap) -> Option<Response<Full<Bytes>>> {
    let why = if headers.contains_key("x-forwarded-for") {
        "X-Forwarded-For is not allowed in a request to the metadata service"
    } else if headers.get("metadata").is_none_or(|value| !value.as_bytes().eq_ignore_ascii_case(b"true")) {
        "Required metadata header not specified"
    } else {
        return None;
    };
    Some(imds_error(StatusCode::BAD_REQUEST, "invalid_request", why))
}
