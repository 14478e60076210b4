//! Tokens go to the host they were meant for, and to no other.

use std::sync::Arc;

use async_trait::async_trait;
use azure_core::Error;
use azure_core::error::ErrorKind;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Request, Url};

/// Lets a client talk to one host only. Services answer with links (next pages, operations): a pipeline would follow
/// them anywhere, and attach its token.
#[derive(Debug)]
pub(crate) struct OneHost(pub String);

impl OneHost {
    /// Tells whether `url` is this host over TLS, on the usual port, without a user name.
    pub fn covers(&self, url: &Url) -> bool {
        url.scheme() == "https"
            && url.host_str() == Some(self.0.as_str())
            && url.port().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    }
}

#[async_trait]
impl Policy for OneHost {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        if self.covers(request.url()) {
            return next[0].send(ctx, request, &next[1..]).await;
        }
        let host = request.url().host_str().unwrap_or_default();
        let message = format!("a link of {} leads to {host}, which gets none of our tokens", self.0);
        Err(Error::with_message(ErrorKind::Other, message))
    }
}
