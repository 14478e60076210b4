//! Whether a machine has an identity of its own.

use bytes::Bytes;
use http::{Request, StatusCode};
use sealbook_azure::{HttpSend, TransportError};

/// Where the machine asks for tokens of its own identity, for blob storage.
const TOKEN: &str = "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=\
                     https%3A%2F%2Fstorage.azure.com%2F";

/// Why a machine can't show who it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The metadata service gave no token.
    #[error(
        "the machine gets no token for its identity ({status}: {message}); give the machine a system-assigned identity"
    )]
    NoIdentity {
        /// Status of the answer.
        status: u16,
        /// What the metadata service said.
        message: String,
    },
    /// No answer.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// Refuses a machine that can't show who it is: it could reach nothing.
///
/// # Errors
/// [`IdentityError`].
pub async fn require_identity(transport: &dyn HttpSend) -> Result<(), IdentityError> {
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = http::Uri::from_static(TOKEN);
    request.headers_mut().insert("metadata", http::HeaderValue::from_static("true"));
    let answer = transport.send(request).await?;
    let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    if answer.status() == StatusCode::OK && body["access_token"].is_string() {
        return Ok(());
    }
    let message = body["error_description"].as_str().or(body["error"].as_str()).unwrap_or("no reason given").to_owned();
    Err(IdentityError::NoIdentity { status: answer.status().as_u16(), message })
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

    /// A metadata service with one answer.
    #[derive(Debug)]
    struct Metadata(u16, &'static str);

    #[async_trait::async_trait]
    impl HttpSend for Metadata {
        async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
            assert_eq!(request.uri().host(), Some("169.254.169.254"));
            assert_eq!(request.headers()["metadata"], "true");
            Ok(Response::builder().status(self.0).body(Bytes::from_static(self.1.as_bytes())).unwrap())
        }
    }

    #[tokio::test]
    async fn a_machine_without_identity_is_refused() {
        let rows = [
            (
                400,
                r#"{"error":"invalid_request","error_description":"Identity not found"}"#,
                Some("Identity not found"),
            ),
            (410, "", Some("no reason given")),
            (200, "{}", Some("no reason given")),
            (200, r#"{"access_token":"t"}"#, None),
        ];
        for (status, body, said) in rows {
            let expected = said.map(|said| IdentityError::NoIdentity { status, message: said.to_owned() });
            assert_eq!(require_identity(&Metadata(status, body)).await.err(), expected, "{status} {body}");
        }
    }
}
