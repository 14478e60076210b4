//! Soft-deleted accounts: list, get, recover, purge.
//!
//! Source: <https://learn.microsoft.com/azure/ai-services/recover-purge-resources>.

use serde_json::{Value, json};

use super::row::{self, Deletion, Row};
use super::{ACCOUNTS, account};
use crate::arm::identity;
use crate::arm::kind::Draft;
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::rules::Rule;

/// Refuses with the account's absence among the deleted ones.
pub(super) fn missing(name: &str) -> Refusal {
    Refusal::new(404, "ResourceNotFound", format!("The deleted account '{name}' could not be found."))
}

fn id(subscription: &str, group: &str, name: &str) -> String {
    ResourceId::resource(subscription, group, ACCOUNTS, name).to_string()
}

/// The document of a deleted account.
fn document(cx: &Cx<'_>, row: &Row, deletion: &Deletion) -> Value {
    let mut body = account::known(cx, deletion.body.clone());
    let id = ResourceId::parse(&row.resource);
    let part = |part: Option<&str>| part.unwrap_or_default().to_owned();
    let (subscription, group) = id.as_ref().map(|id| (part(id.subscription()), part(id.group()))).unwrap_or_default();
    body["id"] = format!(
        "/subscriptions/{subscription}/providers/Microsoft.CognitiveServices/locations/{}/resourceGroups/{group}\
         /deletedAccounts/{}",
        body["location"].as_str().unwrap_or_default(),
        body["name"].as_str().unwrap_or_default(),
    )
    .into();
    body["type"] = "Microsoft.CognitiveServices/locations/resourceGroups/deletedAccounts".into();
    body["properties"]["provisioningState"] = "Succeeded".into();
    body["properties"]["deletionDate"] = crate::time::rfc3339(deletion.at).into();
    body["properties"]["scheduledPurgeDate"] = crate::time::rfc3339(deletion.purge).into();
    body
}

/// `DeletedAccounts_List`.
pub(super) fn list(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let wanted = params.get("subscription");
    let mut value = Vec::new();
    for row in row::deleted(cx)? {
        let here = ResourceId::parse(&row.resource);
        let here = here.is_some_and(|id| id.subscription().is_some_and(|s| s.eq_ignore_ascii_case(wanted)));
        if let Some(deletion) = row.deletion.as_ref().filter(|_| here) {
            value.push(document(cx, &row, deletion));
        }
    }
    Ok(Answer::ok(&json!({ "value": value })))
}

/// The deleted account that a path names.
fn named(cx: &Cx<'_>, params: &Params) -> Result<Option<(Row, Deletion)>, Refusal> {
    let id = id(params.get("subscription"), params.get("group"), params.get("name"));
    let location = params.get("location").replace(' ', "");
    Ok(row::get(cx, &id)?
        .and_then(|row| row.deletion.clone().map(|deletion| (row, deletion)))
        .filter(|(_, deletion)| deletion.body["location"].as_str().is_some_and(|l| l.eq_ignore_ascii_case(&location))))
}

/// `DeletedAccounts_Get`.
pub(super) fn get(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let (row, deletion) = named(cx, params)?.ok_or_else(|| missing(params.get("name")))?;
    Ok(Answer::ok(&document(cx, &row, &deletion)))
}

/// `DeletedAccounts_Purge`.
pub(super) fn purge(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let Some((row, _)) = named(cx, params)? else { return Ok(Answer::empty(204)) };
    row::purge(cx, &row)?;
    Ok(Answer::empty(200))
}

/// Brings an account back that a PUT names with `restore`; without it, the PUT is refused. A system-assigned identity
/// went with the resource, and the one that it gets now has no roles.
pub(super) fn restore(cx: &mut Cx<'_>, draft: &mut Draft<'_>, row: &Row) -> Result<(), Refusal> {
    let Some(deletion) = &row.deletion else { return Err(missing(draft.id.name())) };
    if Rule::DeletedAiAccountsKeepTheirNames.holds() && draft.asked()["restore"] != true {
        return Err(Refusal::new(
            409,
            "FlagMustBeSetForRestore",
            format!(
                "An existing resource with ID '{}' has been soft-deleted. To restore the resource, you must specify \
                 'restore' to be 'true' in the property. If you don't want to restore existing resource, please purge \
                 it first.",
                row.resource
            ),
        ));
    }
    let mut body = deletion.body.clone();
    if body["location"] != draft.location() {
        return Err(missing(draft.id.name()));
    }
    let held = body["identity"].take();
    if let Some(body) = body.as_object_mut() {
        body.shift_remove("identity");
        body.shift_remove("systemData");
    }
    if !held.is_null() {
        body["identity"] = identity::apply(cx, &draft.id, &Value::Null, &held)?;
    }
    for gone in ["defaultProject", "associatedProjects"] {
        if let Some(properties) = body["properties"].as_object_mut() {
            properties.shift_remove(gone);
        }
    }
    draft.body = body;
    row::recover(cx, row)
}
