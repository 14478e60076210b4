//! What the types of resources can log.
//!
//! Source: <https://learn.microsoft.com/azure/azure-monitor/reference/logs-index>.

use serde_json::{Value, json};

use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::store::resources::Resource;

/// A category.
pub(super) struct Category {
    /// Name.
    pub name: &'static str,
    /// Whether it is a metric rather than a log.
    pub metric: bool,
    /// Groups that it belongs to.
    pub groups: &'static [&'static str],
}

const fn log(name: &'static str, groups: &'static [&'static str]) -> Category {
    Category { name, metric: false, groups }
}

const fn metric(name: &'static str) -> Category {
    Category { name, metric: true, groups: &[] }
}

static VAULT: &[Category] = &[
    log("AuditEvent", &["audit", "allLogs"]),
    log("AzurePolicyEvaluationDetails", &["allLogs"]),
    metric("AllMetrics"),
];
static MANAGED_HSM: &[Category] = &[log("AuditEvent", &["audit", "allLogs"]), metric("AllMetrics")];
static STORAGE_ACCOUNT: &[Category] = &[metric("Capacity"), metric("Transaction")];
static WORKSPACE: &[Category] =
    &[log("Audit", &["audit", "allLogs"]), log("SummaryLogs", &["allLogs"]), metric("AllMetrics")];

/// The categories of a type; `None` when it logs nothing that is known here.
pub(super) fn of(kind: &str) -> Option<&'static [Category]> {
    match kind.to_ascii_lowercase().as_str() {
        "microsoft.keyvault/vaults" => Some(VAULT),
        "microsoft.keyvault/managedhsms" => Some(MANAGED_HSM),
        "microsoft.storage/storageaccounts" => Some(STORAGE_ACCOUNT),
        "microsoft.operationalinsights/workspaces" => Some(WORKSPACE),
        _ => None,
    }
}

/// The resource that an operation's path extends, with its categories.
pub(super) fn subject(cx: &Cx<'_>, params: &Params) -> Result<(Resource, &'static [Category]), Refusal> {
    let given = params.get("resource");
    let id = ResourceId::parse(given).filter(|id| id.namespace().is_some());
    let Some(id) = id else {
        return Err(Refusal::new(
            400,
            "BadRequest",
            format!("Diagnostic settings at the scope '{given}' are not available."),
        )
        .gap("diagnostic settings of subscriptions and management groups"));
    };
    let resource = cx.existing(&id)?;
    let kind = resource.kind.to_ascii_lowercase();
    match of(&kind) {
        Some(categories) => Ok((resource, categories)),
        None => Err(Refusal::new(
            400,
            "ResourceTypeNotSupported",
            format!("The resource type '{kind}' does not support diagnostic settings."),
        )
        .gap(format!("diagnostic settings of {kind}"))),
    }
}

fn document(resource: &Resource, category: &Category) -> Value {
    json!({
        "id": format!(
            "{}/providers/Microsoft.Insights/diagnosticSettingsCategories/{}",
            resource.id, category.name
        ),
        "type": "Microsoft.Insights/diagnosticSettingsCategories",
        "name": category.name,
        "properties": {
            "categoryType": if category.metric { "Metrics" } else { "Logs" },
            "categoryGroups": category.groups,
        },
    })
}

/// `DiagnosticSettingsCategory_List`.
pub(super) fn list(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let (resource, categories) = subject(cx, params)?;
    let value: Vec<Value> = categories.iter().map(|category| document(&resource, category)).collect();
    Ok(Answer::ok(&json!({ "value": value })))
}

/// `DiagnosticSettingsCategory_Get`.
pub(super) fn get(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let (resource, categories) = subject(cx, params)?;
    let given = params.get("category");
    let category = categories.iter().find(|category| category.name.eq_ignore_ascii_case(given)).ok_or_else(|| {
        Refusal::new(404, "ResourceNotFound", format!("The diagnostic category '{given}' was not found."))
    })?;
    Ok(Answer::ok(&document(&resource, category)))
}
