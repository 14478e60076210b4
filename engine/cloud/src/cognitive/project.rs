//! Projects of an Azure AI Foundry account. The first one is the account's default.
//!
//! Source: <https://learn.microsoft.com/rest/api/aiservices/accountmanagement/projects>.

use serde_json::{Value, json};

use super::{ACCOUNTS, API, PROJECTS, invalid, settings};
use crate::arm::kind::{Draft, Facts, Kind, Style};
use crate::arm::resource::id_of;
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::store::resources::{self, Filter, Resource};

/// The type: a part with a region, tags and identities of its own.
pub(super) struct Project;

const FACTS: Facts =
    Facts { identities: true, etag: true, polls: "operationResults", ..Facts::new(PROJECTS, API, Style::Created) };

impl Kind for Project {
    fn facts(&self) -> &Facts {
        &FACTS
    }

    fn check_name(&self, name: &str) -> Result<(), Refusal> {
        settings::check_name("project", name)
    }

    fn apply(&self, cx: &mut Cx<'_>, draft: &mut Draft<'_>) -> Result<(), Refusal> {
        let account = account_of(cx, &draft.id.to_string())?;
        if account.body["properties"]["allowProjectManagement"] != true {
            return Err(Refusal::new(
                400,
                "BadRequest",
                "Project can only created under AIServices Kind account with allowProjectManagement set to true.",
            ));
        }
        let here = account.location.as_deref().unwrap_or_default();
        if !draft.location().eq_ignore_ascii_case(here) {
            return Err(invalid(format!(
                "The location of a project must be that of its account, {here}, and is {}.",
                draft.location()
            )));
        }
        for (name, _) in draft.asked().as_object().into_iter().flatten() {
            let known = ["displayName", "description", "endpoints", "isDefault", "provisioningState"];
            if !known.contains(&name.as_str()) {
                return Err(
                    invalid(format!("The property '{name}' is not available.")).gap(format!("projects: {name}"))
                );
            }
        }
        draft.take(&["displayName", "description"]);
        let name = draft.id.name().to_owned();
        if let Some(subdomain) = account.body["properties"]["customSubDomainName"].as_str() {
            let endpoint =
                format!("https://{}.services.ai.azure.com/api/projects/{name}", subdomain.to_ascii_lowercase());
            draft.properties()["endpoints"] = json!({ "AI Foundry API": endpoint });
        }
        Ok(())
    }

    fn stored(&self, cx: &mut Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
        let mut account = account_of(cx, &resource.id)?;
        let properties = &mut account.body["properties"];
        if properties["defaultProject"].is_null() {
            properties["defaultProject"] = resource.name.clone().into();
        }
        associate(cx, account, None)
    }

    fn destroy(&self, cx: &mut Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
        let mut account = match account_of(cx, &resource.id) {
            Ok(account) => account,
            // The account went first.
            Err(_) => return Ok(()),
        };
        let properties = &mut account.body["properties"];
        if properties["defaultProject"] == resource.name.as_str()
            && let Some(properties) = properties.as_object_mut()
        {
            properties.shift_remove("defaultProject");
        }
        associate(cx, account, Some(&resource.name))
    }

    fn shown(&self, cx: &Cx<'_>, resource: &Resource) -> Result<Value, Refusal> {
        let mut body = resource.body.clone();
        let account = account_of(cx, &resource.id)?;
        let default = account.body["properties"]["defaultProject"].as_str();
        body["properties"]["isDefault"] = (default == Some(resource.name.as_str())).into();
        Ok(body)
    }
}

/// The account that a project belongs to.
fn account_of(cx: &Cx<'_>, project: &str) -> Result<Resource, Refusal> {
    let parent = ResourceId::parse(project).and_then(|id| id.parent());
    let found = parent.map(|id| cx.resource(&id.to_string())).transpose()?.flatten();
    found
        .filter(|account| account.kind.eq_ignore_ascii_case(ACCOUNTS))
        .ok_or_else(|| Refusal::internal(format!("the project {project} has no account")))
}

/// The projects of an account, in order of id.
pub(super) fn of(cx: &Cx<'_>, account: &str) -> Result<Vec<Resource>, Refusal> {
    cx.resources(Filter { below: Some(account), kind: Some(PROJECTS), ..Filter::default() })
}

/// Refuses a default project that the account does not have.
pub(super) fn check_default(cx: &Cx<'_>, account: &str, wanted: &str) -> Result<(), Refusal> {
    if of(cx, account)?.iter().any(|project| project.name == wanted) {
        return Ok(());
    }
    Err(invalid(format!("The account has no project '{wanted}' that could be its default.")))
}

/// Writes into an account which projects it has, without the one that is going.
fn associate(cx: &mut Cx<'_>, mut account: Resource, going: Option<&str>) -> Result<(), Refusal> {
    let names: Vec<String> = of(cx, &account.id)?.into_iter().map(|project| project.name).collect();
    let names: Vec<&String> = names.iter().filter(|name| Some(name.as_str()) != going).collect();
    account.body["properties"]["associatedProjects"] = json!(names);
    let id = id_of(&account)?;
    resources::put(cx.tx, &id, account.body, cx.now)?;
    Ok(())
}
