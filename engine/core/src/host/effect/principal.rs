//! Service principals: an application has one in a tenant, or none.

use async_trait::async_trait;
use sealbook_azure::{Answer, AzureError, Directory};
use serde_json::Value;
use uuid::Uuid;

use super::Effect;
use crate::host::desk::Desk;
use crate::host::failure;
use crate::host::marks::Bearer;
use crate::host::reconcile::{Progress, Seen, Strangers};
use crate::step::Failure;

/// Registers an application in the tenant.
pub(crate) struct PrincipalRegister {
    directory: Directory,
    app: Uuid,
}

impl PrincipalRegister {
    pub(crate) fn new(desk: &Desk, app: Uuid) -> Self {
        Self { directory: desk.azure.directory(), app }
    }
}

#[async_trait]
impl Effect for PrincipalRegister {
    fn kind(&self) -> &'static str {
        "service-principal"
    }

    fn target(&self) -> String {
        format!("servicePrincipals(appId='{}')", self.app)
    }

    fn request(&self) -> Value {
        Value::Null
    }

    async fn look(&self) -> Result<Option<Seen>, Failure> {
        let found = self.directory.service_principal(self.app).await.map_err(|error| failure::of(&error))?;
        let bearer = || Bearer::Stranger { run: None };
        Ok(found.map(|thing| Seen { thing, bearer: bearer(), state: Progress::Settled, as_asked: true }))
    }

    async fn send(&self) -> Result<Answer, AzureError> {
        Ok(Answer::Done(Some(self.directory.register(self.app).await?)))
    }

    async fn made(&self, answer: Option<Value>) -> Result<Value, Failure> {
        Ok(answer.unwrap_or_default())
    }

    /// There is one per application, and it is the same for everybody.
    fn strangers(&self) -> Strangers {
        Strangers::Use
    }

    fn appeared(&self, error: &AzureError) -> bool {
        error.has_code("Request_MultipleObjectsWithSameKeyValue")
    }
}
