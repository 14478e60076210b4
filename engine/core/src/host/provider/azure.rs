//! `azure`: Resource Manager and Azure RBAC.

use sealbook_model::grant::{Capability, Verb};
use serde_json::Value;
use uuid::Uuid;
use wasmtime::component::HasData;

use super::seat::{Seat, reports};
use crate::host::address::ArmId;
use crate::host::bindings::sealbook::plugin::azure;
use crate::host::desk::{Desk, State};
use crate::host::effect::{ArmDelete, ArmPatch, ArmPost, ArmPut, RoleAssign, Target, find_assignment};
use crate::host::failure;
use crate::host::fault::Refusal;
use crate::step::{Failure, StepError};

/// The interface's view of the store.
pub(crate) struct Azure<'a> {
    seat: Seat<'a>,
}
reports!(Azure);

pub(crate) struct HasAzure;

impl HasData for HasAzure {
    type Data<'a> = Azure<'a>;
}

impl State {
    pub(crate) fn azure(&mut self) -> Azure<'_> {
        Azure { seat: self.seat() }
    }
}

impl azure::Host for Azure<'_> {
    async fn get(&mut self, id: String, api_version: Option<String>) -> Result<Option<String>, Refusal> {
        let (desk, id, api) = (self.seat.desk("azure.get")?, ArmId::parse(&id)?, version(api_version)?);
        let arm = desk.azure.arm();
        if id.role_assignment().is_some() {
            self.may_see_assignment(&desk, &id).await?;
        } else {
            desk.allow(Capability::Azure, Verb::Read, id.as_str(), None)?;
        }
        let found = self.seat.look("azure.get", arm.get(id.as_str(), api.as_deref())).await?;
        Ok(found.map(|value| value.to_string()))
    }

    async fn list(&mut self, id: String, api_version: Option<String>) -> Result<Vec<String>, Refusal> {
        let desk = self.seat.desk("azure.list")?;
        let ((id, filter), api) = (ArmId::parse_collection(&id)?, version(api_version)?);
        desk.allow(Capability::Azure, Verb::Read, id.as_str(), None)?;
        let arm = desk.azure.arm();
        let all = self.seat.look("azure.list", async {
            match &filter {
                Some(filter) => arm.list_where(id.as_str(), filter, api.as_deref()).await,
                None => arm.list(id.as_str(), api.as_deref()).await,
            }
        });
        Ok(all.await?.iter().map(Value::to_string).collect())
    }

    async fn query(&mut self, id: String, body: String, api_version: Option<String>) -> Result<String, Refusal> {
        let (desk, id, api) = (self.seat.desk("azure.query")?, ArmId::parse(&id)?, version(api_version)?);
        // A POST may do anything; only the questions among them are reads.
        let verb = if asks(id.as_str()) { Verb::Read } else { Verb::Write };
        desk.allow(Capability::Azure, verb, id.as_str(), None)?;
        let (arm, body) = (desk.azure.arm(), self.seat.json("body", &body)?);
        if verb == Verb::Read && id.as_str().to_ascii_lowercase().ends_with("/api/query") {
            within_the_workspace(&body)?;
        }
        Ok(self.seat.look("azure.query", arm.query(id.as_str(), &body, api.as_deref())).await?.to_string())
    }

    async fn put(
        &mut self,
        effect: String,
        id: String,
        body: String,
        api_version: Option<String>,
    ) -> Result<String, Refusal> {
        let (desk, target) = self.write("azure.put", id, api_version)?;
        let body = self.seat.json("body", &body)?;
        let put = ArmPut::new(target, body, desk.mark(&effect))?;
        Ok(self.seat.effect("azure.put", effect, put).await?.to_string())
    }

    async fn patch(
        &mut self,
        effect: String,
        id: String,
        body: String,
        api_version: Option<String>,
    ) -> Result<String, Refusal> {
        let (_, target) = self.write("azure.patch", id, api_version)?;
        let patch = ArmPatch::new(target, self.seat.json("body", &body)?)?;
        Ok(self.seat.effect("azure.patch", effect, patch).await?.to_string())
    }

    async fn delete(&mut self, effect: String, id: String, api_version: Option<String>) -> Result<bool, Refusal> {
        let (desk, id) = (self.seat.desk("azure.delete")?, ArmId::parse(&id)?);
        let target = Target::new(&desk, id.clone(), version(api_version)?);
        if id.role_assignment().is_some() {
            self.may_remove_assignment(&desk, &id).await?;
        } else {
            desk.allow(Capability::Azure, Verb::Write, id.as_str(), None)?;
        }
        let delete = ArmDelete::new(&desk, target, desk.mark(&effect));
        Ok(self.seat.effect("azure.delete", effect, delete).await? == Value::Bool(true))
    }

    async fn post(
        &mut self,
        effect: String,
        id: String,
        body: String,
        api_version: Option<String>,
    ) -> Result<Option<String>, Refusal> {
        let (_, target) = self.write("azure.post", id, api_version)?;
        let post = ArmPost::new(target, self.seat.json("body", &body)?);
        let answer = self.seat.effect("azure.post", effect, post).await?;
        Ok((!answer.is_null()).then(|| answer.to_string()))
    }

    async fn assigned(
        &mut self,
        scope: String,
        principal: String,
        role: String,
    ) -> Result<Option<azure::Assignment>, Refusal> {
        let (desk, scope, principal) = (self.seat.desk("azure.assigned")?, ArmId::parse(&scope)?, guid(&principal)?);
        // Who may assign it may see whether it is assigned.
        desk.allow(Capability::Azure, Verb::Assign, scope.as_str(), Some(&role))
            .or_else(|_| desk.allow(Capability::Azure, Verb::Read, scope.as_str(), None))?;
        let arm = desk.azure.arm();
        let found = self.seat.look("azure.assigned", find_assignment(&arm, &scope, principal, &role)).await?;
        Ok(found.map(|id| azure::Assignment { id, already: true }))
    }

    async fn assign(
        &mut self,
        effect: String,
        scope: String,
        principal: String,
        principal_type: String,
        role: String,
    ) -> Result<azure::Assignment, Refusal> {
        let (desk, scope, principal) = (self.seat.desk("azure.assign")?, ArmId::parse(&scope)?, guid(&principal)?);
        const TYPES: [&str; 5] = ["User", "Group", "ServicePrincipal", "ForeignGroup", "Device"];
        if !TYPES.contains(&principal_type.as_str()) {
            return Err(invalid("principal-type", format!("it is one of {}", TYPES.join(", "))).into());
        }
        desk.allow(Capability::Azure, Verb::Assign, scope.as_str(), Some(&role))?;
        let mark = desk.mark(&effect);
        let assign = RoleAssign::new(&desk, scope, principal, principal_type, role, &mark);
        let made = self.seat.effect("azure.assign", effect, assign).await?;
        let id = made["id"].as_str().unwrap_or_default().to_owned();
        Ok(azure::Assignment { id, already: made["already"] == true })
    }
}

impl Azure<'_> {
    fn write(
        &mut self,
        what: &str,
        id: String,
        api_version: Option<String>,
    ) -> Result<(std::sync::Arc<Desk>, Target), Refusal> {
        let (desk, id) = (self.seat.desk(what)?, ArmId::parse(&id)?);
        desk.allow(Capability::Azure, Verb::Write, id.as_str(), None)?;
        let target = Target::new(&desk, id, version(api_version)?);
        Ok((desk, target))
    }

    /// Reading an assignment takes the right to read, or the right to make it.
    async fn may_see_assignment(&mut self, desk: &Desk, id: &ArmId) -> Result<(), Refusal> {
        match desk.allow(Capability::Azure, Verb::Read, id.as_str(), None) {
            Ok(()) => Ok(()),
            Err(denied) => self.may_remove_assignment(desk, id).await.map_err(|_| denied.into()),
        }
    }

    /// Removing an assignment takes the right to make it: the grant names the role.
    async fn may_remove_assignment(&mut self, desk: &Desk, id: &ArmId) -> Result<(), Refusal> {
        let Some((scope, _)) = id.role_assignment() else { return Err(no_role().into()) };
        let role = self.seat.look("azure.delete", role_of(desk, id)).await?;
        // An assignment that is gone has no role any more; there is nothing to remove either.
        let Some(role) = role else { return Ok(()) };
        Ok(desk.allow(Capability::Azure, Verb::Assign, scope, Some(&role))?)
    }
}

/// The name of the role that an assignment gives.
async fn role_of(desk: &Desk, id: &ArmId) -> Result<Option<String>, Failure> {
    let arm = desk.azure.arm();
    let Some(assignment) = arm.get(id.as_str(), None).await.map_err(|e| failure::of(&e))? else { return Ok(None) };
    let definition = assignment["properties"]["roleDefinitionId"].as_str().ok_or_else(no_role)?;
    let definition = arm.get(definition, None).await.map_err(|e| failure::of(&e))?.ok_or_else(no_role)?;
    Ok(Some(definition["properties"]["roleName"].as_str().ok_or_else(no_role)?.to_owned()))
}

fn no_role() -> Failure {
    StepError::Permanent { message: "the role of this assignment can't be told".into() }.into()
}

fn guid(text: &str) -> Result<Uuid, Failure> {
    Uuid::try_parse(text).map_err(|_| invalid("principal", "an object id is a GUID".into()))
}

fn version(text: Option<String>) -> Result<Option<String>, Failure> {
    let ok = |v: &str| {
        let (date, suffix) = v.split_at_checked(10).unwrap_or((v, ""));
        date.len() == 10
            && date.bytes().enumerate().all(|(i, b)| if matches!(i, 4 | 7) { b == b'-' } else { b.is_ascii_digit() })
            && (suffix.is_empty()
                || suffix
                    .strip_prefix('-')
                    .is_some_and(|s| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.')))
    };
    match text {
        Some(v) if !ok(&v) => Err(invalid("api-version", "it is a date like 2024-11-01, or one with -preview".into())),
        text => Ok(text),
    }
}

/// Refuses a query that would reach beyond the workspace that it is put to: into others, into Resource Graph or Data
/// Explorer, or out to the network ("Query across resources", "externaldata operator", Azure Monitor).
fn within_the_workspace(body: &Value) -> Result<(), Failure> {
    const BEYOND: [&str; 9] =
        ["workspace", "app", "resource", "adx", "arg", "cluster", "database", "externaldata", "http_request"];
    let known = body.as_object().is_some_and(|fields| fields.keys().all(|name| name == "query" || name == "timespan"));
    if !known {
        return Err(invalid("body", "a query of logs has `query` and `timespan`, and nothing else".into()));
    }
    let query = body["query"].as_str().unwrap_or_default().to_ascii_lowercase();
    if query.contains("//") {
        return Err(invalid("body", "a query of logs has no comments here: they could hide what it reaches".into()));
    }
    // A name counts where it is called; columns may have the same.
    let query: String = query.chars().filter(|c| !c.is_whitespace()).collect();
    let called = |name: &&str| {
        query.match_indices(&format!("{name}(")).any(|(at, _)| {
            !query.get(..at).is_some_and(|before| before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
        })
    };
    match BEYOND.iter().find(|name| called(name)) {
        None => Ok(()),
        Some(name) => Err(invalid("body", format!("`{name}` reaches beyond the workspace that was granted"))),
    }
}

/// Whether a POST only asks: for the availability of a name, or a workspace for its logs.
fn asks(id: &str) -> bool {
    let id = id.to_ascii_lowercase();
    let of_a_workspace =
        id.contains("/providers/microsoft.operationalinsights/workspaces/") && id.ends_with("/api/query");
    id.ends_with("/checknameavailability") || of_a_workspace
}

fn invalid(field: &str, message: String) -> Failure {
    StepError::InvalidInput { field: field.into(), message }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_reads_and_other_posts_are_not() {
        let workspace = "/subscriptions/s/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces/w";
        for question in
            ["/subscriptions/s/providers/Microsoft.Storage/checkNameAvailability", &format!("{workspace}/api/query")]
        {
            assert!(asks(question), "{question}");
        }
        for deed in [&format!("{workspace}/purge"), "/subscriptions/s/providers/Microsoft.Other/things/t/api/query"] {
            assert!(!asks(deed), "{deed}");
        }
    }

    #[test]
    fn queries_stay_in_their_workspace() {
        let asked = |query: &str| within_the_workspace(&serde_json::json!({ "query": query })).is_ok();
        assert!(asked("AzureDiagnostics | where OperationName in ('KeyRelease') | project TimeGenerated, Resource"));
        for beyond in [
            "workspace('other').AzureDiagnostics",
            "union AzureDiagnostics, Workspace ( \"other\" ).AzureActivity",
            "arg('').resources",
            "externaldata (a: string) ['https:evil.example']",
            "workspace//\n('other').AzureDiagnostics",
        ] {
            assert!(!asked(beyond), "{beyond}");
        }
        assert!(within_the_workspace(&serde_json::json!({ "query": "T", "workspaces": ["other"] })).is_err());
    }

    #[test]
    fn api_versions() {
        for good in ["2024-11-01", "2022-05-01-preview", "2026-06-01-privatepreview.1"] {
            assert!(version(Some(good.into())).is_ok(), "{good}");
        }
        for bad in ["", "2024", "2024-11-01&x=1", "2024-11-01-", "2024/11/01", "latest", "2024-11-01 "] {
            assert!(version(Some(bad.into())).is_err(), "{bad}");
        }
    }
}
