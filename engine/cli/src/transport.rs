//! How the Azure client's requests reach the embedded Azure: through a `cloud serve` that is up, else in this process.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response};
use sealbook_azure::{HttpSend, TransportError};
use sealbook_cloud::Cloud;
use sealbook_cloud::front::client::{Door, SendError};

use crate::hooks::Hooks;

/// The injected transport.
pub struct EmbeddedTransport {
    cloud: Cloud,
    door: Option<Door>,
    hooks: Hooks,
}

impl std::fmt::Debug for EmbeddedTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedTransport").field("served", &self.door.is_some()).finish_non_exhaustive()
    }
}

impl EmbeddedTransport {
    /// Sends to `door` while somebody answers there, else to `cloud`. `hooks` are the tests'.
    pub fn new(cloud: Cloud, door: Option<Door>, hooks: Hooks) -> Arc<Self> {
        Arc::new(Self { cloud, door, hooks })
    }
}

#[async_trait]
impl HttpSend for EmbeddedTransport {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let asked = self.hooks.exchanges.asked(&request);
        let effect = is_effect(&request);
        if effect {
            self.hooks.gates.pass("before", "send");
        }
        let answer = self.pass_on(request).await;
        if effect {
            self.hooks.gates.pass("after", "response");
        }
        answer.inspect(|answer| self.hooks.exchanges.answered(asked, answer))
    }
}

impl EmbeddedTransport {
    async fn pass_on(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        if let Some(door) = &self.door {
            match door.send(request.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(SendError::Lost { reason, .. }) => return Err(TransportError::Lost { host, why: reason }),
                // Nobody serves any more; the state is in the file, so this process carries on by itself.
                Err(_) => {}
            }
        }
        let lost = |_| TransportError::Lost { host, why: "the connection was closed without an answer".into() };
        let effect = is_effect(&request);
        let answer = self.cloud.handle(request).await;
        if effect {
            self.hooks.gates.pass("after", "commit");
        }
        answer.map_err(lost)
    }
}

/// Whether a request may change something: gates stand around these alone.
fn is_effect(request: &Request<Bytes>) -> bool {
    !matches!(*request.method(), Method::GET | Method::HEAD) && !request.uri().path().ends_with("/token")
}
