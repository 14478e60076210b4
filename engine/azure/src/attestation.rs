//! Attestation providers, and what the host of a machine says of its processor.
//!
//! Source: <https://learn.microsoft.com/rest/api/attestation> (data plane), and "Azure THIM" for the metadata address.

use std::sync::Arc;

use azure_core::http::{Method, Pipeline, Request, Url};
use serde_json::Value;

use crate::azure::Inner;
use crate::error::{AzureError, Effect, Kind};
use crate::exchange;
use crate::guard::OneHost;

/// Scope of the tokens for a provider of one's own. The shared ones take none.
const SCOPE: &str = "https://attest.azure.net/.default";
/// Where a host hands out the certificates of its processor (Trusted Hardware Identity Management).
const THIM: &str = "http://169.254.169.254/metadata/THIM/amd/certification";

/// Attestation providers, each named by its URI (`https://{name}.{region}.attest.azure.net`).
///
/// All methods fail with [`Kind::BadRequest`] and `InvalidProviderUri` for anything else (another host above all), and
/// with what the provider answers.
#[derive(Debug, Clone)]
pub struct Attestations {
    inner: Arc<Inner>,
}

impl Attestations {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// Has evidence judged: `kind` is the last segment of the path (`AzureGuest`, `SevSnpVm`). Returns the answer's
    /// `token`.
    ///
    /// # Errors
    /// See [`Attestations`].
    pub async fn attest(&self, provider: &str, kind: &str, api: &str, body: &Value) -> Result<String, AzureError> {
        let path = format!("attest/{kind}?api-version={api}");
        let answer = self.send(provider, Method::Post, &path, Some(body)).await?;
        answer["token"].as_str().map(str::to_owned).ok_or_else(|| unreadable("a token"))
    }

    /// The provider's OpenID metadata.
    ///
    /// # Errors
    /// See [`Attestations`].
    pub async fn metadata(&self, provider: &str) -> Result<Value, AzureError> {
        self.send(provider, Method::Get, ".well-known/openid-configuration", None).await
    }

    /// The keys that the provider signs tokens with, as a JSON Web Key Set.
    ///
    /// # Errors
    /// See [`Attestations`].
    pub async fn signing_keys(&self, provider: &str) -> Result<Value, AzureError> {
        self.send(provider, Method::Get, "certs", None).await
    }

    /// The certificates of the processor that this machine runs on: `vcekCert` and `certificateChain`, PEM. Answered
    /// inside of a machine in Azure only.
    ///
    /// # Errors
    /// What the metadata service answers; no connection anywhere else.
    pub async fn processor(&self) -> Result<Value, AzureError> {
        let url = THIM.parse().map_err(|_| invalid(THIM))?;
        let mut request = Request::new(url, Method::Get);
        request.insert_header("metadata", "true");
        let reply = exchange::send(&self.inner.metadata(), request, None, Effect::Read).await?;
        reply.ok(Effect::Read)?.ok_or_else(|| unreadable("certificates"))
    }

    async fn send(
        &self,
        provider: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, AzureError> {
        let base = parse(provider)?;
        let host = base.host_str().unwrap_or_default().to_owned();
        let url = base.join(path).map_err(|_| invalid(provider))?;
        let pipeline = self.pipeline(&host);
        // Judging evidence leaves nothing behind.
        let reply = exchange::send(&pipeline, Request::new(url, method), body, Effect::Read).await?;
        reply.ok(Effect::Read)?.ok_or_else(|| unreadable("an answer"))
    }

    fn pipeline(&self, host: &str) -> Pipeline {
        match host.starts_with("shared") {
            true => self.inner.anonymous(host),
            false => self.inner.pipeline(host, SCOPE),
        }
    }
}

/// A provider's URI, with a slash at its end.
fn parse(provider: &str) -> Result<Url, AzureError> {
    let url: Url = format!("{}/", provider.trim_end_matches('/')).parse().map_err(|_| invalid(provider))?;
    let host = url.host_str().unwrap_or_default().to_owned();
    let labels = host.strip_suffix(".attest.azure.net").map(|labels| labels.split('.').count());
    match labels == Some(2) && url.path() == "/" && OneHost(host).covers(&url) {
        true => Ok(url),
        false => Err(invalid(provider)),
    }
}

fn invalid(provider: &str) -> AzureError {
    let message = format!("`{provider}` is not the URI of an attestation provider");
    AzureError::new(Kind::BadRequest, "InvalidProviderUri", message)
}

fn unreadable(what: &str) -> AzureError {
    AzureError::new(Kind::Other, "UnreadableAnswer", format!("the attestation provider's answer holds not {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_providers_are_asked() {
        let rows = [
            ("https://sharedweu.weu.attest.azure.net", true),
            ("https://mine.itn.attest.azure.net/", true),
            ("http://sharedweu.weu.attest.azure.net", false),
            ("https://sharedweu.weu.attest.azure.net.evil.example", false),
            ("https://sharedweu.weu.attest.azure.net:8443", false),
            ("https://u@sharedweu.weu.attest.azure.net", false),
            ("https://sharedweu.weu.attest.azure.net/x", false),
            ("https://attest.azure.net", false),
            ("sharedweu", false),
        ];
        for (provider, good) in rows {
            assert_eq!(parse(provider).is_ok(), good, "{provider}");
        }
    }
}
