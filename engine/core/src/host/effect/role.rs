//! Role assignments: named after the effect, so that a repetition meets itself.

use async_trait::async_trait;
use sealbook_azure::{Answer, Arm, AzureError};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Effect;
use crate::host::address::ArmId;
use crate::host::desk::Desk;
use crate::host::failure;
use crate::host::marks::{Bearer, Mark};
use crate::host::reconcile::{Progress, Seen, Strangers};
use crate::step::{Failure, Ownership};

const ASSIGNMENTS: &str = "/providers/Microsoft.Authorization/roleAssignments";

/// Assigns a role. An equal assignment under another name is as good, and foreign.
pub(crate) struct RoleAssign {
    arm: Arm,
    scope: ArmId,
    principal: Uuid,
    principal_type: String,
    role: String,
    name: Uuid,
}

impl RoleAssign {
    pub(crate) fn new(
        desk: &Desk,
        scope: ArmId,
        principal: Uuid,
        principal_type: String,
        role: String,
        mark: &Mark,
    ) -> Self {
        Self { arm: desk.azure.arm(), scope, principal, principal_type, role, name: mark.guid() }
    }

    fn id(&self) -> String {
        format!("{}{ASSIGNMENTS}/{}", self.scope.as_str(), self.name)
    }
}

/// Finds an assignment of `role` to `principal` at exactly `scope`.
pub(crate) async fn find(arm: &Arm, scope: &ArmId, principal: Uuid, role: &str) -> Result<Option<String>, AzureError> {
    let definition = arm.role_definition_id(scope.as_str(), role).await?;
    let filter = format!("principalId eq '{principal}'");
    // The list shows what is above and below, too: rights there are other rights.
    let all = arm.list_where(&format!("{}{ASSIGNMENTS}", scope.as_str()), &filter, None).await?;
    let equal = |a: &&Value| {
        let property = |name: &str| a["properties"][name].as_str().unwrap_or_default();
        property("scope").trim_end_matches('/').eq_ignore_ascii_case(scope.as_str())
            && property("principalId").eq_ignore_ascii_case(&principal.to_string())
            && last(property("roleDefinitionId")).eq_ignore_ascii_case(last(&definition))
    };
    Ok(all.iter().find(equal).and_then(|a| a["id"].as_str()).map(Into::into))
}

/// A definition's GUID; the path before it varies with the scope through which it was read.
fn last(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

#[async_trait]
impl Effect for RoleAssign {
    fn kind(&self) -> &'static str {
        "role-assignment"
    }

    fn target(&self) -> String {
        self.id()
    }

    fn request(&self) -> Value {
        json!({ "principal": self.principal, "type": self.principal_type, "role": self.role })
    }

    async fn look(&self) -> Result<Option<Seen>, Failure> {
        let refused = |error: AzureError| failure::of(&error);
        let seen =
            |id: String, bearer| Seen { thing: json!({ "id": id }), bearer, state: Progress::Settled, as_asked: true };
        if self.arm.get(&self.id(), None).await.map_err(refused)?.is_some() {
            return Ok(Some(seen(self.id(), Bearer::Effect)));
        }
        let equal = find(&self.arm, &self.scope, self.principal, &self.role).await.map_err(refused)?;
        Ok(equal.map(|id| seen(id, Bearer::Stranger { run: None })))
    }

    async fn send(&self) -> Result<Answer, AzureError> {
        let definition = self.arm.role_definition_id(self.scope.as_str(), &self.role).await?;
        let properties = json!({
            "roleDefinitionId": definition,
            "principalId": self.principal,
            // Without it, Azure looks the principal up in a directory that may not know it yet.
            "principalType": self.principal_type,
        });
        self.arm.put(&self.id(), &json!({ "properties": properties }), None).await
    }

    async fn made(&self, _answer: Option<Value>) -> Result<Value, Failure> {
        Ok(json!({ "id": self.id(), "already": false }))
    }

    async fn found(&self, thing: Value, ownership: Ownership) -> Result<Value, Failure> {
        Ok(json!({ "id": thing["id"], "already": ownership == Ownership::Foreign }))
    }

    fn strangers(&self) -> Strangers {
        Strangers::Use
    }

    fn appeared(&self, error: &AzureError) -> bool {
        error.has_code("RoleAssignmentExists")
    }
}
