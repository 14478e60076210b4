//! How a door hands a request to the cloud: whole, under its real URL, without what was meant for the door.

use bytes::Bytes;
use http::uri::{Authority as HostPort, PathAndQuery, Scheme};
use http::{Extensions, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header, request};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use sealbook_crypto::{SecretString, constant_time_eq};

use super::answers::refusal;
use super::client::{DOOR, SCHEME};
use super::server::Handler;

/// Demanded by the managed-identity door.
pub(super) const IDENTITY_HEADER: &str = "x-identity-header";

/// A connection that ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed without an answer")]
pub(super) struct Closed;

pub(super) type Answer = Result<Response<Full<Bytes>>, Closed>;

/// The way to the cloud.
pub(super) struct Relay {
    handler: Handler,
    body_limit: usize,
}

impl Relay {
    /// `body_limit`: the largest request body, in bytes.
    pub(super) fn new(handler: Handler, body_limit: usize) -> Self {
        Self { handler, body_limit }
    }

    /// Hands a request to the cloud as if it had been sent to `host` itself; `note` says who sent it.
    pub(super) async fn pass(
        &self,
        request: Request<Incoming>,
        scheme: Scheme,
        host: &str,
        note: impl FnOnce(&mut Extensions),
    ) -> Answer {
        let (parts, body) = request.into_parts();
        let body = match Limited::new(body, self.body_limit).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                let text = format!("the body is larger than {} bytes\n", self.body_limit);
                return Ok(refusal(StatusCode::PAYLOAD_TOO_LARGE, text));
            }
            // The client went away in the middle of its body.
            Err(_) => return Err(Closed),
        };
        let Some(mut parts) = readdress(parts, scheme, host) else {
            return Ok(refusal(StatusCode::BAD_REQUEST, "the URL is not valid\n".to_owned()));
        };
        // What hyper left there is its own.
        parts.extensions.clear();
        note(&mut parts.extensions);
        let answer = (self.handler)(Request::from_parts(parts, body)).await.map_err(|_| Closed)?;
        Ok(answer.map(Full::new))
    }
}

/// Scheme, host and port that a request of the engine's protocol is for: the real URL comes as `Host`, path and a header
/// for the scheme, or in absolute form. Refused without the door's secret.
pub(super) fn target(
    request: &Request<Incoming>,
    secret: &SecretString,
    whose: &str,
) -> Result<(String, HostPort), Box<Response<Full<Bytes>>>> {
    let headers = request.headers();
    let shown = headers.get(DOOR).map_or(&b""[..], HeaderValue::as_bytes);
    if !constant_time_eq(shown, secret.expose().as_bytes()) {
        return Err(Box::new(refusal(StatusCode::UNAUTHORIZED, format!("wrong door secret: {whose}\n"))));
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let uri = request.uri();
    let scheme = text(SCHEME).or_else(|| uri.scheme_str()).unwrap_or("https");
    let target = uri.authority().map(HostPort::as_str).or_else(|| text("host")).unwrap_or_default();
    match target.to_ascii_lowercase().parse::<HostPort>() {
        Ok(target) => Ok((scheme.to_owned(), target)),
        Err(_) => Err(Box::new(refusal(StatusCode::BAD_REQUEST, "the request names no host\n".to_owned()))),
    }
}

/// Gives a request its real URL and `Host`, and takes away what was meant for the door.
fn readdress(mut parts: request::Parts, scheme: Scheme, host: &str) -> Option<request::Parts> {
    const FOR_THE_DOOR: [HeaderName; 5] = [
        header::PROXY_AUTHORIZATION,
        header::CONNECTION,
        HeaderName::from_static("proxy-connection"),
        HeaderName::from_static(DOOR),
        HeaderName::from_static(SCHEME),
    ];
    let mut uri = std::mem::take(&mut parts.uri).into_parts();
    uri.scheme = Some(scheme);
    uri.authority = Some(host.parse().ok()?);
    uri.path_and_query.get_or_insert_with(|| PathAndQuery::from_static("/"));
    parts.uri = Uri::from_parts(uri).ok()?;
    for name in FOR_THE_DOOR {
        parts.headers.remove(name);
    }
    parts.headers.remove(IDENTITY_HEADER);
    parts.headers.insert(header::HOST, HeaderValue::from_str(host).ok()?);
    Some(parts)
}
