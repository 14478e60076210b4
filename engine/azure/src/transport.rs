//! How requests leave the engine: to the internet, or to whoever stands in for Azure.
//!
//! The URL is always Azure's real one (`https://management.azure.com/…`). A stand-in such as the embedded Azure gets
//! the finished request, bearer token included, and answers it; nothing above this module knows the difference.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::Error;
use azure_core::error::ErrorKind;
use azure_core::http::headers::{AUTHORIZATION, HeaderName, HeaderValue, Headers};
use azure_core::http::{AsyncRawResponse, Body, HttpClient, Method, Request, StatusCode, new_http_client};
use bytes::Bytes;
use futures::AsyncReadExt as _;

/// Answers HTTP requests in Azure's place.
#[async_trait]
pub trait HttpSend: fmt::Debug + Send + Sync {
    /// Sends one request and reads the whole answer. Its URI is absolute and names Azure's real host.
    ///
    /// # Errors
    /// [`TransportError`] when there is no answer at all; a refusal by the service is an answer.
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, TransportError>;
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The request never arrived anywhere, so sending it again is harmless.
    #[error("{host} could not be reached: {why}")]
    Unreachable {
        /// Host of the URL.
        host: String,
        /// What the operating system or the stand-in said.
        why: String,
    },
    /// The request left, the answer never came: the service may have done what was asked, or not.
    #[error("the connection to {host} broke before the answer came: {why}")]
    Lost {
        /// Host of the URL.
        host: String,
        /// What the operating system or the stand-in said.
        why: String,
    },
    /// The stand-in does not serve this host, and requests for it are never forwarded.
    #[error("{host} is not served here: {why}")]
    Refused {
        /// Host of the URL.
        host: String,
        /// Which rule refused it.
        why: String,
    },
}

/// Where requests go.
#[derive(Debug, Clone)]
pub enum Transport {
    /// To Azure, over TLS, through the system's proxy settings.
    Internet,
    /// To a stand-in, which gets the same requests.
    Injected(Arc<dyn HttpSend>),
}

impl Transport {
    /// Makes the client that all of `azure_core`'s pipelines share.
    pub(crate) fn client(&self) -> azure_core::http::Transport {
        let client: Arc<dyn HttpClient> = match self {
            Self::Internet => Arc::new(Buffered(new_http_client(None))),
            Self::Injected(send) => Arc::new(Injected(Arc::clone(send))),
        };
        azure_core::http::Transport::new(client)
    }
}

/// Reads answers to their end inside the pipeline, so that a connection that breaks in the middle of a body is seen by
/// the retry policy and not by a caller who holds half of it. Bodies are small: blobs come in ranges.
#[derive(Debug)]
struct Buffered(Arc<dyn HttpClient>);

#[async_trait]
impl HttpClient for Buffered {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let read = async {
            let answer = self.0.execute_request(request).await?;
            let (status, headers, body) = answer.deconstruct();
            Ok(AsyncRawResponse::from_bytes(status, headers, body.collect().await?))
        };
        read.await.map_err(|error: Error| match error.kind() {
            ErrorKind::Io if is_harmless(request) => error_of(ErrorKind::Connection, error),
            _ => error,
        })
    }
}

/// Hands requests to an [`HttpSend`].
#[derive(Debug)]
struct Injected(Arc<dyn HttpSend>);

#[async_trait]
impl HttpClient for Injected {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let answer = self.0.send(to_http(request).await?).await.map_err(|error| {
            let kind = match &error {
                TransportError::Unreachable { .. } => ErrorKind::Connection,
                TransportError::Lost { .. } if is_harmless(request) => ErrorKind::Connection,
                TransportError::Lost { .. } => ErrorKind::Io,
                TransportError::Refused { .. } => ErrorKind::Other,
            };
            error_of(kind, error)
        })?;
        let (parts, body) = answer.into_parts();
        let mut headers = Headers::new();
        for (name, value) in &parts.headers {
            if let Ok(value) = value.to_str() {
                headers.insert(HeaderName::from(name.as_str().to_owned()), HeaderValue::from(value.to_owned()));
            }
        }
        Ok(AsyncRawResponse::from_bytes(StatusCode::from(parts.status.as_u16()), headers, body))
    }
}

/// Tells whether a request cannot have changed anything whatever became of it: nothing in Azure happens without a
/// token. Key Vault clients send such a request first, to be told where to get one.
fn is_harmless(request: &Request) -> bool {
    request.headers().get_optional_str(&AUTHORIZATION).is_none()
}

fn error_of(kind: ErrorKind, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    let message = error.to_string();
    Error::with_error(kind, error, message)
}

async fn to_http(request: &Request) -> azure_core::Result<http::Request<Bytes>> {
    let method = match request.method() {
        Method::Delete => http::Method::DELETE,
        Method::Get => http::Method::GET,
        Method::Head => http::Method::HEAD,
        Method::Patch => http::Method::PATCH,
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
        other => return Err(Error::with_message(ErrorKind::Other, format!("no such HTTP method here: {other}"))),
    };
    let body = match request.body().clone() {
        Body::Bytes(bytes) => bytes,
        Body::SeekableStream(mut stream) => {
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await?;
            bytes.into()
        }
    };
    let mut builder = http::Request::builder().method(method).uri(request.url().as_str());
    for (name, value) in request.headers().iter() {
        builder = builder.header(name.as_str(), value.as_str());
    }
    builder.body(body).map_err(|error| error_of(ErrorKind::Other, error))
}
