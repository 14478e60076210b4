//! Diagnostic settings: which log records of a resource go where.
//!
//! A setting is a resource that extends another (`{resource}/providers/Microsoft.Insights/diagnosticSettings/{name}`)
//! and goes with it. Log Analytics workspaces are the destination; storage accounts, event hubs and partners are refused
//! by name, as are metrics.
//!
//! Source: <https://learn.microsoft.com/rest/api/monitor/diagnostic-settings>.

mod categories;
mod settings;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use http::Method;
use rusqlite::Connection;
use serde_json::Value;

use crate::audit::Entry;
use crate::loganalytics::shipping::{self, Destination};
use crate::operation::{Operation, Rows};
use crate::refusal::Refusal;
use crate::store::resources::{self, Filter, Resource};

/// Type of the settings.
pub(super) const KIND: &str = "Microsoft.Insights/diagnosticSettings";

/// Api-versions, newest first.
pub(super) const API: &[&str] = &["2021-05-01-preview", "2017-05-01-preview", "2016-09-01"];

const ROWS: Rows = Rows::control(API);

const ONE: &str = "/{+resource}/providers/Microsoft.Insights/diagnosticSettings/{name}";
const READ: &str = "Microsoft.Insights/diagnosticSettings/read";
const READ_CATEGORIES: &str = "Microsoft.Insights/diagnosticSettingsCategories/read";

/// The operations.
pub(super) static OPERATIONS: &[Operation] = &[
    ROWS.row(
        "DiagnosticSettings_CreateOrUpdate",
        Method::PUT,
        ONE,
        "Microsoft.Insights/diagnosticSettings/write",
        settings::put,
    ),
    ROWS.row("DiagnosticSettings_Get", Method::GET, ONE, READ, settings::get),
    ROWS.row(
        "DiagnosticSettings_Delete",
        Method::DELETE,
        ONE,
        "Microsoft.Insights/diagnosticSettings/delete",
        settings::delete,
    ),
    ROWS.row(
        "DiagnosticSettings_List",
        Method::GET,
        "/{+resource}/providers/Microsoft.Insights/diagnosticSettings",
        READ,
        settings::list,
    ),
    ROWS.row(
        "DiagnosticSettingsCategory_List",
        Method::GET,
        "/{+resource}/providers/Microsoft.Insights/diagnosticSettingsCategories",
        READ_CATEGORIES,
        categories::list,
    ),
    ROWS.row(
        "DiagnosticSettingsCategory_Get",
        Method::GET,
        "/{+resource}/providers/Microsoft.Insights/diagnosticSettingsCategories/{category}",
        READ_CATEGORIES,
        categories::get,
    ),
];

/// The settings of a resource itself, not those of its parts.
fn of(tx: &Connection, resource: &str) -> Result<Vec<Resource>, Refusal> {
    let below = format!("{resource}/providers/{KIND}");
    resources::list(tx, Filter { kind: Some(KIND), below: Some(&below), ..Filter::default() })
}

/// The categories that a setting sends, those that its groups stand for included.
fn sent(setting: &Value, kind: &str) -> Vec<&'static str> {
    let all = categories::of(kind).unwrap_or_default();
    let logs = setting["properties"]["logs"].as_array();
    let enabled: Vec<&Value> = logs.into_iter().flatten().filter(|log| log["enabled"] == true).collect();
    let is = |log: &Value, category: &categories::Category| {
        log["category"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(category.name))
            || log["categoryGroup"]
                .as_str()
                .is_some_and(|group| category.groups.iter().any(|g| g.eq_ignore_ascii_case(group)))
    };
    all.iter().filter(|category| enabled.iter().any(|log| is(log, category))).map(|category| category.name).collect()
}

/// Sends a record of the audit log, by its row, wherever the settings of its resource say.
pub(crate) fn send(tx: &Connection, entry: &Entry, row: i64, now: DateTime<Utc>) -> Result<(), Refusal> {
    let Some(resource) = resources::get(tx, &entry.resource)? else { return Ok(()) };
    for setting in of(tx, &resource.id)? {
        if !sent(&setting.body, &resource.kind).contains(&entry.category) {
            continue;
        }
        let properties = &setting.body["properties"];
        let dedicated = properties["logAnalyticsDestinationType"].as_str() == Some("Dedicated");
        let destination = if dedicated { Destination::Dedicated } else { Destination::AzureDiagnostics };
        if let Some(workspace) = properties["workspaceId"].as_str() {
            shipping::send(tx, workspace, destination, row, now)?;
        }
    }
    Ok(())
}
