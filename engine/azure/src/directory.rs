//! The tenant's directory: service principals, by Microsoft Graph (`servicePrincipal` in the v1.0 reference).

use std::sync::Arc;

use azure_core::http::{Method, Request, Url};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::account::Graph;
use crate::azure::Inner;
use crate::error::{AzureError, Effect, Kind};
use crate::exchange;

/// Service principals of the tenant.
#[derive(Debug, Clone)]
pub struct Directory {
    inner: Arc<Inner>,
}

impl Directory {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// Finds the service principal of an application. `None`: the application is not registered in the tenant.
    ///
    /// # Errors
    /// What Graph answers.
    pub async fn service_principal(&self, app: Uuid) -> Result<Option<Value>, AzureError> {
        let path = format!("servicePrincipals(appId='{app}')?$select=id,appId,displayName");
        match self.send(Method::Get, &path, None, Effect::Read).await {
            Err(error) if error.kind == Kind::NotFound => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// Registers an application in the tenant.
    ///
    /// # Errors
    /// What Graph answers (`Request_MultipleObjectsWithSameKeyValue` when it is registered already);
    /// [`AzureError::outcome_unknown`] applies.
    pub async fn register(&self, app: Uuid) -> Result<Value, AzureError> {
        let body = json!({ "appId": app });
        self.send(Method::Post, "servicePrincipals", Some(&body), Effect::Write).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        effect: Effect,
    ) -> Result<Value, AzureError> {
        let url: Url = format!("https://{}/v1.0/{path}", Graph::HOST)
            .parse()
            .map_err(|error| AzureError::from_core(&azure_core::Error::from(error), effect))?;
        let reply = exchange::send(&self.inner.graph, Request::new(url, method), body, effect).await?;
        let nothing = || AzureError::new(Kind::Other, "UnreadableAnswer", "the directory answered without a body");
        reply.ok(effect)?.ok_or_else(nothing)
    }
}
