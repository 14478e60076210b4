//! The engine's side of its door: sends requests to a server in another process.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use sealbook_crypto::SecretString;

use super::Endpoint;

/// Carries the door's secret.
pub(super) const DOOR: &str = "x-sealbook-door";
/// Carries the scheme of the URL that the request was made for.
pub(super) const SCHEME: &str = "x-sealbook-url-scheme";

/// Why a request had no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Nobody listens: the request was not sent, and the server is gone.
    #[error("nobody answers at {url}: the server of the embedded Azure (process {pid}) is gone")]
    Refused {
        /// The address that was tried.
        url: String,
        /// The process that had served there.
        pid: u32,
    },
    /// The connection ended after the request may have arrived: its outcome is unknown.
    #[error("the connection to the embedded Azure was lost before the answer: {reason}")]
    Lost {
        /// What the connection reported.
        reason: String,
    },
    /// The request can't be sent through this door.
    #[error("the request can't be sent to the embedded Azure: {reason}")]
    Invalid {
        /// What is wrong with it.
        reason: String,
    },
}

/// The engine's door of a running server. Cloning it shares its connections.
#[derive(Debug, Clone)]
pub struct Door {
    client: Client<HttpConnector, Full<Bytes>>,
    port: u16,
    pid: u32,
    secret: HeaderValue,
}

impl Door {
    /// Prepares the way to a server; connections are made by [`Door::send`].
    ///
    /// # Errors
    /// [`SendError::Invalid`] when the endpoint's secret is not one that a server wrote.
    pub fn new(endpoint: &Endpoint) -> Result<Self, SendError> {
        Self::at(endpoint.port, endpoint.pid, &endpoint.door)
    }

    /// Prepares the way to the loopback port that process `pid` listens on.
    ///
    /// # Errors
    /// [`SendError::Invalid`] when the secret can't be sent in a header.
    pub fn at(port: u16, pid: u32, secret: &SecretString) -> Result<Self, SendError> {
        let mut secret = HeaderValue::from_str(secret.expose())
            .map_err(|_| SendError::Invalid { reason: "the door's secret is not a header value".to_owned() })?;
        secret.set_sensitive(true);
        // Idle connections end here before the server's read timeout ends them, so that a request never races it.
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(10))
            .build_http();
        Ok(Self { client, port, pid, secret })
    }

    /// Sends a request whose URL is the real one (`https://management.azure.com/…`) and returns the answer.
    ///
    /// # Errors
    /// [`SendError::Refused`] when the request certainly was not sent, [`SendError::Lost`] when it may have been.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, SendError> {
        let request = self.address(request)?;
        let answer = self.client.request(request).await.map_err(|error| {
            if error.is_connect() {
                SendError::Refused { url: format!("http://127.0.0.1:{}", self.port), pid: self.pid }
            } else {
                SendError::Lost { reason: reason(&error) }
            }
        })?;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.map_err(|error| SendError::Lost { reason: reason(&error) })?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    }

    /// Turns the real URL into the door's: its host moves to `Host`, its scheme to a header of its own.
    fn address(&self, request: Request<Bytes>) -> Result<Request<Full<Bytes>>, SendError> {
        let invalid = |reason: &str| SendError::Invalid { reason: reason.to_owned() };
        let (mut parts, body) = request.into_parts();
        let uri = std::mem::take(&mut parts.uri).into_parts();
        let host = uri.authority.ok_or_else(|| invalid("its URL has no host"))?;
        let scheme = uri.scheme.ok_or_else(|| invalid("its URL has no scheme"))?;
        parts.uri = Uri::builder()
            .scheme("http")
            .authority(format!("127.0.0.1:{}", self.port))
            .path_and_query(uri.path_and_query.map_or_else(|| "/".to_owned(), |path| path.to_string()))
            .build()
            .map_err(|error| invalid(&error.to_string()))?;
        let header = |text: &str| HeaderValue::from_str(text).map_err(|error| invalid(&error.to_string()));
        parts.headers.insert(header::HOST, header(host.as_str())?);
        parts.headers.insert(SCHEME, header(scheme.as_str())?);
        parts.headers.insert(DOOR, self.secret.clone());
        Ok(Request::from_parts(parts, Full::new(body)))
    }
}

/// An error with its causes in one line: hyper's own text often says only "client error".
fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
