//! `Microsoft.OperationalInsights/workspaces`.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{API, WORKSPACES, deleted, keys};
use crate::arm::kind::{Change, Draft, Facts, Kind, Style};
use crate::arm::{body, resource, target};
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::store::resources::{Filter, Resource};
use crate::time::rfc3339;

/// The resource type.
pub(super) struct Workspace;

/// Days that records are kept when the caller does not say.
const RETENTION: i64 = 30;

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "InvalidParameter", message)
}

/// Finds a live workspace by its customer id, which queries name it by.
pub(super) fn by_customer(cx: &Cx<'_>, customer: &str) -> Result<Option<Resource>, Refusal> {
    let all = cx.resources(Filter { kind: Some(WORKSPACES), ..Filter::default() })?;
    Ok(all.into_iter().find(|workspace| customer_id(workspace).eq_ignore_ascii_case(customer)))
}

/// Customer id of a workspace.
pub(super) fn customer_id(workspace: &Resource) -> &str {
    workspace.body["properties"]["customerId"].as_str().unwrap_or_default()
}

/// How long a workspace keeps records, in days.
pub(super) fn retention(workspace: &Resource) -> i64 {
    workspace.body["properties"]["retentionInDays"].as_i64().unwrap_or(RETENTION)
}

/// The pricing tier that a body asks for. New workspaces are paid per gigabyte; the tiers before 2018 are closed.
fn sku(draft: &Draft<'_>) -> Result<Value, Refusal> {
    let given = &draft.asked()["sku"]["name"];
    let name = given.as_str().unwrap_or("PerGB2018");
    match name.to_ascii_lowercase().as_str() {
        "pergb2018" => Ok(json!({ "name": "PerGB2018" })),
        "capacityreservation" | "lacluster" => Err(invalid(format!("The pricing tier '{name}' is not available."))
            .gap(format!("the pricing tier {name} of Log Analytics"))),
        _ => Err(invalid(format!("The pricing tier '{name}' is not valid for a new workspace. Use PerGB2018."))),
    }
}

fn access(draft: &mut Draft<'_>, name: &str) -> Result<(), Refusal> {
    let given = draft.asked()[name].clone();
    match given.as_str() {
        Some("Enabled" | "Disabled") => draft.properties()[name] = given,
        None if given.is_null() => {
            if draft.properties()[name].is_null() {
                draft.properties()[name] = "Enabled".into();
            }
        }
        Some("SecuredByPerimeter") => {
            return Err(invalid(format!("'{name}' can't be SecuredByPerimeter: there is no perimeter."))
                .gap("network security perimeters"));
        }
        _ => return Err(invalid(format!("The value of '{name}' must be 'Enabled' or 'Disabled'."))),
    }
    Ok(())
}

/// Refuses members that would change what a workspace does in ways that are not offered here.
fn check_offered(asked: &Value) -> Result<(), Refusal> {
    let quota = asked["workspaceCapping"]["dailyQuotaGb"].as_f64();
    let gap = if asked["replication"]["enabled"] == true {
        "replication of a workspace"
    } else if quota.is_some_and(|quota| quota >= 0.0) {
        "a daily quota of a workspace"
    } else if asked["forceCmkForQuery"] == true || !asked["features"]["clusterResourceId"].is_null() {
        "dedicated clusters of Log Analytics"
    } else {
        return Ok(());
    };
    Err(invalid(format!("The embedded Azure does not offer {gap}.")).gap(gap))
}

const FACTS: Facts =
    Facts { identities: true, polls: "operationStatuses", ..Facts::new(WORKSPACES, API, Style::Created) };

impl Kind for Workspace {
    fn facts(&self) -> &Facts {
        &FACTS
    }

    fn check_name(&self, name: &str) -> Result<(), Refusal> {
        let inner = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if (4..=63).contains(&name.len()) && inner && !name.starts_with('-') && !name.ends_with('-') {
            return Ok(());
        }
        Err(invalid(format!(
            "The workspace name '{name}' is not valid: 4 to 63 letters, digits and hyphens, no hyphen at an end."
        )))
    }

    fn apply(&self, cx: &mut Cx<'_>, draft: &mut Draft<'_>) -> Result<(), Refusal> {
        check_offered(draft.asked())?;
        let recovered = match draft.change {
            Change::Create => deleted::take(cx, &draft.id)?,
            _ => None,
        };
        let before = draft.old.map(|old| old.body.clone()).or(recovered);
        if let Some(before) = before.as_ref().filter(|_| draft.change == Change::Create) {
            let here = before["location"].as_str().unwrap_or_default();
            let (name, group) = (draft.id.name(), draft.id.group().unwrap_or_default());
            body::same_place(name, group, here, draft.location())?;
        }
        let before = before.map(|mut before| before["properties"].take()).unwrap_or_default();
        let asked_sku = sku(draft)?;
        let now = rfc3339(cx.now);
        let customer = before["customerId"].as_str().map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
        let created = before["createdDate"].as_str().unwrap_or(&now).to_owned();
        let retention = match &draft.asked()["retentionInDays"] {
            Value::Null if draft.change == Change::Replace => RETENTION.into(),
            Value::Null => before["retentionInDays"].as_i64().unwrap_or(RETENTION).into(),
            given => given.clone(),
        };
        if !retention.as_i64().is_some_and(|days| (30..=730).contains(&days)) {
            return Err(invalid("'RetentionInDays' property doesn't match the SKU limits: 30 to 730 days."));
        }
        let mut features =
            json!({ "legacy": 0, "searchVersion": 1, "enableLogAccessUsingOnlyResourcePermissions": true });
        for given in [&before["features"], &draft.asked()["features"]] {
            for (name, value) in given.as_object().into_iter().flatten() {
                features[name] = value.clone();
            }
        }
        access(draft, "publicNetworkAccessForIngestion")?;
        access(draft, "publicNetworkAccessForQuery")?;
        let properties = draft.properties();
        properties["customerId"] = customer.into();
        properties["sku"] = asked_sku;
        properties["sku"]["lastSkuUpdate"] = created.clone().into();
        properties["retentionInDays"] = retention;
        properties["features"] = features;
        properties["workspaceCapping"] = json!({
            "dailyQuotaGb": -1.0,
            "dataIngestionStatus": "RespectQuota",
        });
        properties["createdDate"] = created.into();
        properties["modifiedDate"] = now.into();
        Ok(())
    }

    fn stored(&self, cx: &mut Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
        keys::ensure(cx, customer_id(resource))
    }

    /// A deleted workspace can be recovered for 14 days, with what is in it.
    fn destroy(&self, cx: &mut Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
        deleted::add(cx, resource)
    }
}

/// `Workspaces_Delete`: recoverable, unless the query says `force=true`.
pub(super) fn delete(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let id = target(cx.request);
    let Some(workspace) = cx.resource(&id.to_string())? else { return Ok(Answer::empty(204)) };
    resource::remove(cx, &workspace)?;
    if cx.request.query("force").is_some_and(|force| force.eq_ignore_ascii_case("true")) {
        deleted::purge(cx, &workspace.id)?;
    }
    Ok(Answer::empty(200))
}
