//! Deleted workspaces: recoverable for 14 days, by a PUT of the same name in the same group and region.
//!
//! Source: <https://learn.microsoft.com/azure/azure-monitor/logs/delete-workspace>.

use chrono::Duration;
use rusqlite::{OptionalExtension, params};
use serde_json::{Value, json};

use super::workspace::customer_id;
use super::{keys, shipping};
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::store::millis;
use crate::store::resources::Resource;

/// Table of what was deleted.
pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS deleted_workspaces (
    id             TEXT PRIMARY KEY COLLATE NOCASE,
    subscription   TEXT NOT NULL COLLATE NOCASE,
    resource_group TEXT NOT NULL COLLATE NOCASE,
    customer       TEXT NOT NULL COLLATE NOCASE,
    body           TEXT NOT NULL,
    purge          INTEGER NOT NULL
) STRICT;
";

/// What exists besides resources.
pub(super) const INVENTORY: &[&str] = &["SELECT 'deleted-workspace', id, customer || purge FROM deleted_workspaces"];

/// How long a deleted workspace can be recovered.
const KEPT: Duration = Duration::days(14);

/// Keeps a workspace that is being deleted.
pub(super) fn add(cx: &Cx<'_>, workspace: &Resource) -> Result<(), Refusal> {
    cx.tx
        .prepare_cached(
            "INSERT OR REPLACE INTO deleted_workspaces (id, subscription, resource_group, customer, body, purge)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            workspace.id,
            workspace.subscription,
            workspace.group,
            customer_id(workspace),
            workspace.body.to_string(),
            millis(cx.now + KEPT),
        ])?;
    Ok(())
}

/// Takes a deleted workspace out, because it is recovered.
pub(super) fn take(cx: &Cx<'_>, id: &ResourceId) -> Result<Option<Value>, Refusal> {
    let body: Option<String> = cx
        .tx
        .prepare_cached("DELETE FROM deleted_workspaces WHERE id = ?1 RETURNING body")?
        .query_row([id.to_string()], |row| row.get(0))
        .optional()?;
    Ok(body.map(|body| serde_json::from_str(&body)).transpose()?)
}

/// Removes a deleted workspace for good, with its keys and records.
pub(super) fn purge(cx: &Cx<'_>, id: &str) -> Result<(), Refusal> {
    let customer: Option<String> = cx
        .tx
        .prepare_cached("DELETE FROM deleted_workspaces WHERE id = ?1 RETURNING customer")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    match customer {
        Some(customer) => {
            keys::forget(cx, &customer)?;
            shipping::forget(cx, &customer)
        }
        None => Ok(()),
    }
}

/// Removes what has been deleted for longer than it can be recovered.
pub(super) fn purge_due(cx: &Cx<'_>) -> Result<(), Refusal> {
    let due: Vec<String> = cx
        .tx
        .prepare_cached("SELECT id FROM deleted_workspaces WHERE purge <= ?1")?
        .query_map([millis(cx.now)], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    due.iter().try_for_each(|id| purge(cx, id))
}

/// `DeletedWorkspaces_List` and `DeletedWorkspaces_ListByResourceGroup`.
pub(super) fn list(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let mut statement = cx.tx.prepare_cached(
        "SELECT body FROM deleted_workspaces
         WHERE subscription = ?1 AND (?2 IS NULL OR resource_group = ?2) ORDER BY id",
    )?;
    let rows = statement.query_map(params![p.get("subscription"), p.find("group")], |row| row.get::<_, String>(0))?;
    let mut value = Vec::new();
    for body in rows {
        let mut body: Value = serde_json::from_str(&body?)?;
        if let Some(body) = body.as_object_mut() {
            body.shift_remove("systemData");
        }
        value.push(body);
    }
    Ok(Answer::ok(&json!({ "value": value })))
}
