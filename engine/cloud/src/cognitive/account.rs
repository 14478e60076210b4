//! Accounts.
//!
//! Source: <https://learn.microsoft.com/rest/api/aiservices/accountmanagement/accounts>.

use chrono::Duration;
use serde_json::{Value, json};

use super::settings::{self, Kind as AccountKind, SKU};
use super::{ACCOUNTS, API, cmk, deleted, invalid, project, regional, row};
use crate::arm::kind::{Change, Draft, Facts, Kind, Style};
use crate::arm::version;
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::rules::Rule;
use crate::store::resources::Resource;

/// The type.
pub(super) struct Account;

const FACTS: Facts = Facts {
    takes: Duration::milliseconds(400),
    identities: true,
    etag: true,
    polls: "operationResults",
    ..Facts::new(ACCOUNTS, API, Style::Created)
};

impl Kind for Account {
    fn facts(&self) -> &Facts {
        &FACTS
    }

    fn check_name(&self, name: &str) -> Result<(), Refusal> {
        settings::check_name("account", name)
    }

    fn apply(&self, cx: &mut Cx<'_>, draft: &mut Draft<'_>) -> Result<(), Refusal> {
        let id = draft.id.to_string();
        if draft.change == Change::Create {
            let deleted = row::get(cx, &id)?.filter(|row| row.deletion.is_some());
            return match deleted {
                Some(row) => deleted::restore(cx, draft, &row),
                None if draft.asked()["restore"] == true => Err(deleted::missing(draft.id.name())),
                None => create(cx, draft, &id),
            };
        }
        change(cx, draft, &id)
    }

    fn may_delete(&self, cx: &Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
        let projects = project::of(cx, &resource.id)?;
        let Some(first) = projects.first() else { return Ok(()) };
        Err(Refusal::new(
            409,
            "CannotDeleteResource",
            format!(
                "Cannot delete resource while nested resources exist. Some existing nested resource IDs include: '{}'. \
                 Please delete all nested resources before deleting this resource.",
                first.id
            ),
        ))
    }

    /// Soft-deletes the account: its name, subdomain and data stay for 48 hours.
    fn destroy(&self, cx: &mut Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
        row::delete(cx, resource)
    }

    fn shown(&self, cx: &Cx<'_>, resource: &Resource) -> Result<Value, Refusal> {
        Ok(known(cx, resource.body.clone()))
    }
}

/// A document without what the caller's version does not know: projects came in 2025.
pub(super) fn known(cx: &Cx<'_>, mut document: Value) -> Value {
    if !version::since(cx, "2025-04-01")
        && let Some(properties) = document["properties"].as_object_mut()
    {
        for name in ["allowProjectManagement", "associatedProjects", "defaultProject"] {
            properties.shift_remove(name);
        }
    }
    document
}

fn create(cx: &mut Cx<'_>, draft: &mut Draft<'_>, id: &str) -> Result<(), Refusal> {
    let kind = AccountKind::parse(&draft.given["kind"])?;
    settings::check_sku(&draft.given["sku"])?;
    let location = draft.location().to_owned();
    regional::check_room(cx, kind, draft.id.subscription().unwrap_or_default(), &location)?;
    draft.body["kind"] = kind.as_str().into();
    draft.body["sku"] = json!({ "name": SKU });
    let now = crate::time::rfc3339(cx.now);
    let mut row = row::create(cx, id)?;
    *draft.properties() = json!({
        "endpoint": format!("https://{location}.api.cognitive.microsoft.com/"),
        "internalId": row.uid,
        "dateCreated": now,
        "isMigrated": false,
        "capabilities": [{ "name": "VirtualNetworks" }, { "name": "CustomerManagedKey" }],
        "privateEndpointConnections": [],
    });
    configure(cx, draft, id, kind, true)?;
    encrypt(cx, draft, &mut row)
}

fn change(cx: &mut Cx<'_>, draft: &mut Draft<'_>, id: &str) -> Result<(), Refusal> {
    let old = draft.old.map(|old| old.body.clone()).unwrap_or_default();
    let before = AccountKind::parse(&old["kind"])?;
    let kind = if draft.given["kind"].is_null() { before } else { AccountKind::parse(&draft.given["kind"])? };
    let between = [AccountKind::AiServices, AccountKind::OpenAi];
    if kind != before && !(between.contains(&kind) && between.contains(&before) && project::of(cx, id)?.is_empty()) {
        return Err(invalid(format!("An account of kind {} can't become {}.", before.as_str(), kind.as_str())));
    }
    if draft.change == Change::Replace || !draft.given["sku"].is_null() {
        settings::check_sku(&draft.given["sku"])?;
    }
    let replaces = draft.change == Change::Replace;
    if replaces {
        draft.body["sku"] = json!({ "name": SKU });
        *draft.properties() = old["properties"].clone();
    }
    draft.body["kind"] = kind.as_str().into();
    configure(cx, draft, id, kind, replaces)?;
    let mut row = row::of(cx, id)?;
    encrypt(cx, draft, &mut row)
}

/// Applies the settings and the subdomain.
fn configure(cx: &mut Cx<'_>, draft: &mut Draft<'_>, id: &str, kind: AccountKind, fresh: bool) -> Result<(), Refusal> {
    let asked = draft.asked().clone();
    settings::apply(draft.properties(), &asked, fresh)?;
    if draft.properties()["allowProjectManagement"] == true && kind != AccountKind::AiServices {
        return Err(invalid("Only accounts of kind AIServices manage projects."));
    }
    if draft.properties()["allowProjectManagement"] != true && !project::of(cx, id)?.is_empty() {
        return Err(invalid("allowProjectManagement can't be switched off while the account has projects."));
    }
    if let Some(wanted) = asked["defaultProject"].as_str() {
        project::check_default(cx, id, wanted)?;
        draft.properties()["defaultProject"] = wanted.into();
    }
    if let Some(wanted) = asked["customSubDomainName"].as_str().filter(|name| !name.is_empty()) {
        subdomain(cx, draft, id, wanted)?;
    }
    endpoints(draft, kind);
    Ok(())
}

/// Gives the account a subdomain, once.
fn subdomain(cx: &mut Cx<'_>, draft: &mut Draft<'_>, id: &str, wanted: &str) -> Result<(), Refusal> {
    if let Some(has) = draft.properties()["customSubDomainName"].as_str() {
        if has.eq_ignore_ascii_case(wanted) {
            return Ok(());
        }
        return Err(invalid(format!("The subdomain '{has}' of the account can't be changed.")));
    }
    if !settings::is_subdomain(wanted) {
        return Err(invalid(format!("Sub domain name '{wanted}' is not valid")));
    }
    if Rule::AiSubdomainsAreGlobal.holds() && row::with_subdomain(cx, wanted)?.is_some() {
        return Err(Refusal::new(
            409,
            "CustomDomainInUse",
            format!(
                "Please pick a different name. The subdomain name '{wanted}' is not available as it's already used by \
                 a resource."
            ),
        ));
    }
    row::name(cx, id, wanted)?;
    draft.properties()["customSubDomainName"] = wanted.into();
    Ok(())
}

fn endpoints(draft: &mut Draft<'_>, kind: AccountKind) {
    let Some(name) = draft.properties()["customSubDomainName"].as_str().map(str::to_ascii_lowercase) else { return };
    let endpoint = kind.endpoint(&name);
    let mut all = json!({});
    if kind != AccountKind::CognitiveServices {
        all["OpenAI Language Model Instance API"] = format!("https://{name}.openai.azure.com/").into();
    }
    if kind == AccountKind::AiServices {
        all["AI Foundry API"] = format!("https://{name}.services.ai.azure.com/").into();
    }
    let properties = draft.properties();
    properties["endpoint"] = endpoint.into();
    properties["endpoints"] = all;
}

/// Moves the account to the key that the body names.
fn encrypt(cx: &mut Cx<'_>, draft: &mut Draft<'_>, row: &mut row::Row) -> Result<(), Refusal> {
    let given = draft.asked()["encryption"].clone();
    if given.is_null() { Ok(()) } else { cmk::apply(cx, row, &mut draft.body, &given) }
}
