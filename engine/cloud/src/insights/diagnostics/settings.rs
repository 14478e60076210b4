//! The settings themselves.

use serde_json::{Value, json};

use super::categories::{Category, subject};
use super::{KIND, of, sent};
use crate::arm::{body, linked, target};
use crate::cx::Cx;
use crate::http::Answer;
use crate::loganalytics::WORKSPACES;
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::store::resources::Resource;

/// Settings that a resource may have.
const MOST: usize = 5;

/// What a setting may send to besides a workspace.
const OTHER_SINKS: &[(&str, &str)] = &[
    ("storageAccountId", "diagnostic logs to storage accounts"),
    ("eventHubAuthorizationRuleId", "diagnostic logs to event hubs"),
    ("serviceBusRuleId", "diagnostic logs to service buses"),
    ("marketplacePartnerId", "diagnostic logs to partners"),
];

fn bad(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "BadRequest", message)
}

/// A setting as it is answered.
fn shown(setting: &Resource) -> Value {
    json!({
        "id": setting.id,
        "type": KIND,
        "name": setting.name,
        "properties": setting.body["properties"],
    })
}

fn not_found(cx: &Cx<'_>, params: &Params) -> Refusal {
    let name = params.get("name");
    Refusal::new(
        404,
        "ResourceNotFound",
        format!("The diagnostic setting '{name}' of '{}' was not found.", target(cx.request)),
    )
}

fn named(cx: &Cx<'_>, params: &Params) -> Result<ResourceId, Refusal> {
    let (resource, _) = subject(cx, params)?;
    let name = params.get("name");
    let id = ResourceId::parse(&format!("{}/providers/{KIND}/{name}", resource.id));
    id.ok_or_else(|| bad(format!("The name '{name}' of the diagnostic setting is not valid.")))
}

/// `DiagnosticSettings_Get`.
pub(super) fn get(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let id = named(cx, params)?;
    let setting = cx.resource(&id.to_string())?.ok_or_else(|| not_found(cx, params))?;
    Ok(Answer::ok(&shown(&setting)))
}

/// `DiagnosticSettings_List`.
pub(super) fn list(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let (resource, _) = subject(cx, params)?;
    let value: Vec<Value> = of(cx.tx, &resource.id)?.iter().map(shown).collect();
    Ok(Answer::ok(&json!({ "value": value })))
}

/// `DiagnosticSettings_Delete`.
pub(super) fn delete(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let id = named(cx, params)?;
    let gone = cx.delete_resource(&id.to_string())?;
    Ok(Answer::empty(if gone { 200 } else { 204 }))
}

/// `DiagnosticSettings_CreateOrUpdate`: always 200.
pub(super) fn put(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let (resource, categories) = subject(cx, params)?;
    let id = named(cx, params)?;
    let name = params.get("name");
    if name.len() > 260 || name.contains(['*', '<', '>', '%', '&', ':', '\\', '?', '+', '/', '#', '|']) {
        return Err(bad(format!("The name '{name}' of the diagnostic setting is not valid.")));
    }
    let given = body::object(cx)?;
    let asked = &given["properties"];
    let mut properties = json!({});
    if let Some(kind) = destination_type(asked)? {
        properties["logAnalyticsDestinationType"] = kind.into();
    }
    let workspace = workspace(cx, &id, asked)?;
    properties["workspaceId"] = workspace.id.clone().into();
    properties["metrics"] = metrics(asked, categories)?;
    properties["logs"] = logs(asked, categories)?;
    let document = json!({ "properties": properties });
    let chosen = sent(&document, &resource.kind);
    if chosen.is_empty() {
        return Err(bad("At least one log category must be enabled."));
    }
    let others: Vec<Resource> =
        of(cx.tx, &resource.id)?.into_iter().filter(|other| !other.name.eq_ignore_ascii_case(name)).collect();
    if others.len() >= MOST {
        return Err(bad(format!("The limit of {MOST} diagnostic settings was reached for '{}'.", resource.id)));
    }
    for other in &others {
        let sink = other.body["properties"]["workspaceId"].as_str().unwrap_or_default();
        if !sink.eq_ignore_ascii_case(&workspace.id) {
            continue;
        }
        if let Some(category) = sent(&other.body, &resource.kind).iter().find(|category| chosen.contains(category)) {
            return Err(Refusal::new(
                409,
                "Conflict",
                format!(
                    "Data sink '{sink}' is already used in diagnostic setting '{}' for category '{category}'. Data sinks \
                     can't be reused in different settings on the same category for the same resource.",
                    other.name
                ),
            ));
        }
    }
    let setting = cx.put_resource(&id, document)?;
    Ok(Answer::ok(&shown(&setting)))
}

/// Which table the records go to: `Dedicated` for that of the type.
fn destination_type(asked: &Value) -> Result<Option<&'static str>, Refusal> {
    let given = &asked["logAnalyticsDestinationType"];
    match given.as_str() {
        None if given.is_null() => Ok(None),
        Some("") => Ok(None),
        Some(text) if text.eq_ignore_ascii_case("Dedicated") => Ok(Some("Dedicated")),
        Some(text) if text.eq_ignore_ascii_case("AzureDiagnostics") => Ok(Some("AzureDiagnostics")),
        _ => Err(bad("The value of 'logAnalyticsDestinationType' must be 'Dedicated' or 'AzureDiagnostics'.")),
    }
}

/// The workspace that the records go to. Whoever sends there needs a right in it, too.
fn workspace(cx: &Cx<'_>, id: &ResourceId, asked: &Value) -> Result<Resource, Refusal> {
    for (sink, gap) in OTHER_SINKS {
        if asked[sink].as_str().is_some_and(|text| !text.is_empty()) {
            return Err(bad(format!("The data sink '{sink}' is not available.")).gap(*gap));
        }
    }
    let Some(given) = asked["workspaceId"].as_str().filter(|text| !text.is_empty()) else {
        return Err(bad("At least one data sink needs to be specified."));
    };
    let workspace = ResourceId::parse(given).filter(|id| id.kind().eq_ignore_ascii_case(WORKSPACES));
    let workspace = workspace.ok_or_else(|| bad(format!("The workspace id '{given}' is not valid.")))?;
    let workspace = cx.existing(&workspace)?;
    linked::authorize(cx, id, &workspace.id, "Microsoft.OperationalInsights/workspaces/sharedKeys/action")?;
    Ok(workspace)
}

/// Checks what all entries of a list have in common, and gives each its retention policy.
fn entry(entry: &Value) -> Result<Value, Refusal> {
    if !entry["enabled"].is_boolean() {
        return Err(bad("Each category needs the member 'enabled'."));
    }
    let policy = &entry["retentionPolicy"];
    if policy["enabled"] == true || policy["days"].as_i64().is_some_and(|days| days != 0) {
        return Err(bad("Diagnostic settings does not support retention for new diagnostic settings."));
    }
    let mut shown = json!({});
    for name in ["category", "categoryGroup", "enabled", "timeGrain"] {
        if !entry[name].is_null() {
            shown[name] = entry[name].clone();
        }
    }
    shown["retentionPolicy"] = json!({ "enabled": false, "days": 0 });
    Ok(shown)
}

fn list_of<'a>(asked: &'a Value, name: &str) -> Result<&'a [Value], Refusal> {
    match &asked[name] {
        Value::Null => Ok(&[]),
        Value::Array(entries) => Ok(entries),
        _ => Err(bad(format!("The member '{name}' must be a list."))),
    }
}

fn logs(asked: &Value, categories: &[Category]) -> Result<Value, Refusal> {
    let logs: Vec<&Category> = categories.iter().filter(|category| !category.metric).collect();
    let mut shown = Vec::new();
    for log in list_of(asked, "logs")? {
        let (category, group) = (log["category"].as_str(), log["categoryGroup"].as_str());
        let (what, known) = match (category, group) {
            (Some(name), None) => (name, logs.iter().any(|category| category.name.eq_ignore_ascii_case(name))),
            (None, Some(name)) => {
                (name, logs.iter().any(|category| category.groups.iter().any(|g| g.eq_ignore_ascii_case(name))))
            }
            _ => return Err(bad("Each log needs either a category or a category group.")),
        };
        if !known {
            return Err(bad(format!("Category '{what}' is not supported.")));
        }
        shown.push(entry(log)?);
    }
    Ok(shown.into())
}

fn metrics(asked: &Value, categories: &[Category]) -> Result<Value, Refusal> {
    let mut shown = Vec::new();
    for metric in list_of(asked, "metrics")? {
        let name = metric["category"].as_str().unwrap_or("AllMetrics");
        if !categories.iter().any(|category| category.metric && category.name.eq_ignore_ascii_case(name)) {
            return Err(bad(format!("Metric category '{name}' is not supported.")));
        }
        if metric["enabled"] == true {
            return Err(bad(format!("Metric category '{name}' is not available.")).gap("diagnostic metrics"));
        }
        shown.push(entry(metric)?);
    }
    Ok(shown.into())
}
