//! Role assignments in a managed HSM: named after the effect, as Azure's are.

use async_trait::async_trait;
use sealbook_azure::{Answer, AzureError, Hsms};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Effect;
use crate::host::address::{HsmUri, LocalScope};
use crate::host::desk::Desk;
use crate::host::failure;
use crate::host::marks::{Bearer, Mark};
use crate::host::reconcile::{Progress, Seen, Strangers};
use crate::step::{Failure, Ownership};

/// A scope in a managed HSM.
pub(crate) struct Place {
    hsms: Hsms,
    uri: HsmUri,
    scope: LocalScope,
}

impl Place {
    pub(crate) fn new(desk: &Desk, uri: HsmUri, scope: LocalScope) -> Self {
        Self { hsms: desk.azure.hsms(), uri, scope }
    }

    /// Finds an assignment of `role` to `principal` at exactly this scope.
    pub(crate) async fn find(&self, principal: Uuid, role: &str) -> Result<Option<String>, AzureError> {
        let definition = self.hsms.role(self.uri.as_str(), role).await?;
        let all = self.hsms.assignments(self.uri.as_str(), self.scope.as_str(), &principal.to_string()).await?;
        let equal = |assignment: &&Value| {
            let property = |name: &str| assignment["properties"][name].as_str().unwrap_or_default();
            property("scope") == self.scope.as_str()
                && property("principalId").eq_ignore_ascii_case(&principal.to_string())
                && last(property("roleDefinitionId")).eq_ignore_ascii_case(last(&definition))
        };
        Ok(all.iter().find(equal).and_then(|a| a["name"].as_str()).map(Into::into))
    }

    /// Whether an assignment gives a role; `None` when there is no such assignment.
    pub(crate) async fn gives(&self, name: Uuid, role: &str) -> Result<Option<bool>, AzureError> {
        let found = self.hsms.assignment(self.uri.as_str(), self.scope.as_str(), &name.to_string()).await?;
        let Some(assignment) = found else { return Ok(None) };
        let definition = self.hsms.role(self.uri.as_str(), role).await?;
        let given = assignment["properties"]["roleDefinitionId"].as_str().unwrap_or_default();
        Ok(Some(last(given).eq_ignore_ascii_case(last(&definition))))
    }

    fn target(&self, name: Uuid) -> String {
        let scope = self.scope.within(&self.uri);
        format!("{}/providers/Microsoft.Authorization/roleAssignments/{name}", scope.trim_end_matches('/'))
    }
}

fn last(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

fn seen(name: &str, bearer: Bearer) -> Seen {
    Seen { thing: json!({ "name": name }), bearer, state: Progress::Settled, as_asked: true }
}

/// Assigns a local role. An equal assignment under another name is as good, and foreign.
pub(crate) struct LocalAssign {
    place: Place,
    principal: Uuid,
    role: String,
    name: Uuid,
}

impl LocalAssign {
    pub(crate) fn new(place: Place, principal: Uuid, role: String, mark: &Mark) -> Self {
        Self { place, principal, role, name: mark.guid() }
    }
}

#[async_trait]
impl Effect for LocalAssign {
    fn kind(&self) -> &'static str {
        "hsm-role-assignment"
    }

    fn target(&self) -> String {
        self.place.target(self.name)
    }

    fn request(&self) -> Value {
        json!({ "principal": self.principal, "role": self.role })
    }

    async fn look(&self) -> Result<Option<Seen>, Failure> {
        let Place { hsms, uri, scope } = &self.place;
        let refused = |error: AzureError| failure::of(&error);
        let name = self.name.to_string();
        if hsms.assignment(uri.as_str(), scope.as_str(), &name).await.map_err(refused)?.is_some() {
            return Ok(Some(seen(&name, Bearer::Effect)));
        }
        let equal = self.place.find(self.principal, &self.role).await.map_err(refused)?;
        Ok(equal.map(|name| seen(&name, Bearer::Stranger { run: None })))
    }

    async fn send(&self) -> Result<Answer, AzureError> {
        let Place { hsms, uri, scope } = &self.place;
        let role = hsms.role(uri.as_str(), &self.role).await?;
        let (name, principal) = (self.name.to_string(), self.principal.to_string());
        Ok(Answer::Done(Some(hsms.assign(uri.as_str(), scope.as_str(), &name, &principal, &role).await?)))
    }

    async fn made(&self, _answer: Option<Value>) -> Result<Value, Failure> {
        Ok(json!({ "name": self.name, "already": false }))
    }

    async fn found(&self, thing: Value, ownership: Ownership) -> Result<Value, Failure> {
        Ok(json!({ "name": thing["name"], "already": ownership == Ownership::Foreign }))
    }

    fn strangers(&self) -> Strangers {
        Strangers::Use
    }

    fn appeared(&self, error: &AzureError) -> bool {
        error.has_code("RoleAssignmentExists")
    }
}

/// Removes a local assignment that this run has made.
pub(crate) struct LocalUnassign {
    place: Place,
    name: Uuid,
    /// Whose it is by the ledger.
    touched: Option<Ownership>,
    strangers: Strangers,
}

impl LocalUnassign {
    pub(crate) fn new(desk: &Desk, place: Place, name: Uuid) -> Self {
        let touched = desk.touched(&place.target(name));
        let strangers = if desk.call.adopt { Strangers::Use } else { Strangers::Refuse };
        Self { place, name, touched, strangers }
    }
}

#[async_trait]
impl Effect for LocalUnassign {
    fn kind(&self) -> &'static str {
        "hsm-role-unassign"
    }

    fn target(&self) -> String {
        self.place.target(self.name)
    }

    fn request(&self) -> Value {
        Value::Null
    }

    async fn look(&self) -> Result<Option<Seen>, Failure> {
        let Place { hsms, uri, scope } = &self.place;
        let name = self.name.to_string();
        let found = hsms.assignment(uri.as_str(), scope.as_str(), &name).await.map_err(|e| failure::of(&e))?;
        // The name is derived from run and effect: nobody else's has it, even when its answer was lost.
        let bearer = match self.touched {
            Some(Ownership::Ours | Ownership::Unknown) => Bearer::Run { op: String::new() },
            Some(Ownership::Foreign) | None => Bearer::Stranger { run: None },
        };
        Ok(found.map(|_| seen(&name, bearer)))
    }

    async fn send(&self) -> Result<Answer, AzureError> {
        let Place { hsms, uri, scope } = &self.place;
        hsms.unassign(uri.as_str(), scope.as_str(), &self.name.to_string()).await.map(Answer::Done)
    }

    async fn made(&self, _answer: Option<Value>) -> Result<Value, Failure> {
        Ok(true.into())
    }

    async fn found(&self, _thing: Value, _ownership: Ownership) -> Result<Value, Failure> {
        Ok(true.into())
    }

    fn nothing(&self) -> Value {
        false.into()
    }

    fn strangers(&self) -> Strangers {
        self.strangers
    }
}
