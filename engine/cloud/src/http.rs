//! A request as services see it, and the answer they give.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::refusal::Refusal;

/// A parsed request: addressed by host and decoded path segments, as every operation table expects it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Verb.
    pub method: Method,
    /// Host in lower case, without port.
    pub host: String,
    /// Path as it was sent (percent-encoded, double slashes kept).
    pub path: String,
    /// Percent-decoded path segments; empty ones (`//`, a trailing slash) are dropped.
    pub segments: Vec<String>,
    /// Decoded query pairs in order.
    pub query: Vec<(String, String)>,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// Object ids of the managed identities that the caller's machine holds, system-assigned first
    /// (see [`crate::MachineIdentities`]); never taken from a header.
    pub identities: Vec<String>,
    /// Resource id of the virtual machine that the request comes from (see [`crate::Machine`]); never taken from a header.
    pub machine: Option<String>,
}

/// Why a request can't be parsed at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// Neither the URI nor a `Host` header names a host.
    #[error("the request names no host: send an absolute URI or a Host header")]
    NoHost,
    /// A path segment does not decode to UTF-8.
    #[error("the path holds a percent-encoding that is not UTF-8")]
    Path,
}

impl Request {
    /// Parses a request. The host comes from an absolute URI, else from `Host`.
    pub fn parse(request: http::Request<Bytes>) -> Result<Self, Unreadable> {
        let (parts, body) = request.into_parts();
        let authority = parts
            .uri
            .authority()
            .map(|a| a.host().to_owned())
            .or_else(|| {
                let host = parts.headers.get(header::HOST)?.to_str().ok()?;
                Some(host.rsplit_once(':').map_or(host, |(name, _)| name).to_owned())
            })
            .ok_or(Unreadable::NoHost)?;
        let path = parts.uri.path().to_owned();
        let segments = path
            .split('/')
            .filter(|s| !s.is_empty())
            .map(|s| percent_decode_str(s).decode_utf8().map(|s| s.into_owned()))
            .collect::<Result<_, _>>()
            .map_err(|_| Unreadable::Path)?;
        let query = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        let identities = parts.extensions.get::<crate::MachineIdentities>().map(|m| m.0.clone()).unwrap_or_default();
        let machine = parts.extensions.get::<crate::Machine>().map(|machine| machine.0.clone());
        Ok(Self {
            method: parts.method,
            host: authority.to_ascii_lowercase(),
            path,
            segments,
            query,
            headers: parts.headers,
            body,
            identities,
            machine,
        })
    }

    /// Value of a query parameter; names compare without case, as Azure does.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// Value of a header that is readable as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Body as JSON; an empty or unreadable one is refused with `InvalidRequestContent`.
    pub fn json(&self) -> Result<Value, Refusal> {
        if self.body.is_empty() {
            return Err(Refusal::new(400, "MissingRequestBody", "The request body is missing: send a JSON document."));
        }
        serde_json::from_slice(&self.body).map_err(|e| {
            Refusal::new(
                400,
                "InvalidRequestContent",
                format!("The request content was invalid and could not be deserialized: '{e}'."),
            )
        })
    }

    /// Body as an URL-encoded form.
    pub fn form(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(&self.body).into_owned().collect()
    }

    /// Decoded path after the first `skip` non-empty segments, with inner double slashes kept
    /// (a blob's name is everything after its container).
    pub fn tail(&self, skip: usize) -> String {
        let mut rest = self.path.trim_start_matches('/');
        for _ in 0..skip {
            rest = rest.split_once('/').map_or("", |(_, r)| r);
        }
        percent_decode_str(rest).decode_utf8_lossy().into_owned()
    }
}

/// What an operation answers.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers; request ids and the date are added by the dispatcher.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Answer {
    /// Answers with no body.
    pub fn empty(status: u16) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// Answers with bytes of the given media type.
    pub fn bytes(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let mut answer = Self::empty(status).header("content-type", content_type);
        answer.body = body.into();
        answer
    }

    /// Answers with a JSON document.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::bytes(status, "application/json; charset=utf-8", body.to_string())
    }

    /// Answers 200 with a JSON document.
    pub fn ok(body: &Value) -> Self {
        Self::json(200, body)
    }

    /// Answers with an XML document (without its declaration, which is added).
    pub fn xml(status: u16, body: &str) -> Self {
        Self::bytes(status, "application/xml", format!("\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?>{body}"))
    }

    /// Sets a header; a value that HTTP can't carry is left out.
    pub fn header(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.set(name, value);
        self
    }

    /// Sets a header in place; a value that HTTP can't carry is left out.
    pub fn set(&mut self, name: &str, value: impl AsRef<str>) {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value.as_ref()))
        {
            self.headers.insert(name, value);
        }
    }
}

impl From<Answer> for http::Response<Bytes> {
    fn from(answer: Answer) -> Self {
        let mut response = http::Response::new(answer.body);
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        response
    }
}
