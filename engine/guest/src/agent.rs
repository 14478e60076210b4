//! The agent: what runs in the machine from its start to the machine's end.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode};
use sealbook_azure::{HttpSend, TransportError};

/// Where the machine asks for tokens of its own identity, for blob storage.
const TOKEN: &str = "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=\
                     https%3A%2F%2Fstorage.azure.com%2F";

/// What an agent is told when it starts.
pub struct Config {
    /// Resource id of the machine.
    pub machine: String,
    /// Which boot of the machine, counted from 1.
    pub boot: u64,
    /// Id of this process: a new one each time.
    pub instance: String,
    /// The URL of the blob container with its work.
    pub mailbox: String,
    /// SHA-256 of the agent's program as the caller expects it, in lower-case hex.
    pub digest: String,
    /// The machine's disk: a folder that only this machine uses, and that stays over its boots.
    pub disk: PathBuf,
    /// How the process is kept away from the account that it runs under, in words.
    pub isolation: String,
    /// Called once, when the agent is ready for work.
    pub ready: Box<dyn FnOnce() + Send>,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("machine", &self.machine)
            .field("boot", &self.boot)
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}

/// Why an agent can't serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgentError {
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

/// Serves until the process ends. Requests go through `transport`, which is the machine's way to Azure's hosts and to the
/// instance metadata service.
///
/// # Errors
/// [`AgentError`] when the machine has no identity or no way to Azure.
pub async fn serve(transport: Arc<dyn HttpSend>, config: Config) -> Result<(), AgentError> {
    require_identity(transport.as_ref()).await?;
    (config.ready)();
    std::future::pending().await
}

/// Refuses a machine that can't show who it is: it could reach nothing.
async fn require_identity(transport: &dyn HttpSend) -> Result<(), AgentError> {
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = http::Uri::from_static(TOKEN);
    request.headers_mut().insert("metadata", http::HeaderValue::from_static("true"));
    let answer = transport.send(request).await?;
    let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    if answer.status() == StatusCode::OK && body["access_token"].is_string() {
        return Ok(());
    }
    let message = body["error_description"].as_str().or(body["error"].as_str()).unwrap_or("no reason given").to_owned();
    Err(AgentError::NoIdentity { status: answer.status().as_u16(), message })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

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

    fn config(ready: &Arc<AtomicBool>) -> Config {
        let ready = Arc::clone(ready);
        Config {
            machine: String::new(),
            boot: 1,
            instance: String::new(),
            mailbox: String::new(),
            digest: String::new(),
            disk: PathBuf::new(),
            isolation: String::new(),
            ready: Box::new(move || ready.store(true, Ordering::SeqCst)),
        }
    }

    #[tokio::test]
    async fn a_machine_without_identity_is_not_ready() {
        for (status, body, said) in [
            (400, r#"{"error":"invalid_request","error_description":"Identity not found"}"#, "Identity not found"),
            (410, "", "no reason given"),
            (200, "{}", "no reason given"),
        ] {
            let ready = Arc::default();
            let refused = serve(Arc::new(Metadata(status, body)), config(&ready)).await;
            assert_eq!(refused, Err(AgentError::NoIdentity { status, message: said.to_owned() }));
            assert!(!ready.load(Ordering::SeqCst));
        }
    }

    #[tokio::test]
    async fn a_machine_with_an_identity_is_ready() {
        let ready = Arc::default();
        let mut serving = Box::pin(serve(Arc::new(Metadata(200, r#"{"access_token":"t"}"#)), config(&ready)));
        // It goes on serving: one look is enough, since nothing here waits.
        let looked = std::future::poll_fn(|cx| std::task::Poll::Ready(serving.as_mut().poll(cx).is_pending())).await;
        assert!(looked && ready.load(Ordering::SeqCst));
    }
}
