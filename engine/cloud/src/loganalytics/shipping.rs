//! Records on their way into workspaces.
//!
//! A record of the audit log is sent when it is written, so a diagnostic setting never brings in what happened before
//! it existed. Queries see it [`DELAY`] later by the cloud clock; Azure takes minutes.

use chrono::{DateTime, Duration, Utc};
use rusqlite::{Connection, params};
use serde_json::Value;

use super::schema::{AZURE_DIAGNOSTICS, RESOURCE_SPECIFIC};
use super::workspace::customer_id;
use crate::audit;
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::store::resources::{self, Resource};
use crate::store::{instant, millis};

/// Table of what was sent where. The records themselves stay in the audit log.
pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS workspace_records (
    customer TEXT NOT NULL COLLATE NOCASE,
    kind     TEXT NOT NULL,
    entry    INTEGER NOT NULL,
    visible  INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS workspace_records_by_customer ON workspace_records (customer, kind, entry);
";

/// How long a record takes from the resource to a query's answer.
pub(crate) const DELAY: Duration = Duration::seconds(2);

/// Which table a diagnostic setting sends to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// The shared table.
    AzureDiagnostics,
    /// The table of the type.
    Dedicated,
}

/// Sends a record of the audit log, by its row, to a workspace; one that is gone receives nothing.
pub(crate) fn send(
    tx: &Connection,
    workspace: &str,
    destination: Destination,
    row: i64,
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    let Some(workspace) = resources::get(tx, workspace)? else { return Ok(()) };
    let table = match destination {
        Destination::AzureDiagnostics => AZURE_DIAGNOSTICS,
        Destination::Dedicated => RESOURCE_SPECIFIC,
    };
    tx.prepare_cached("INSERT INTO workspace_records (customer, kind, entry, visible) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![customer_id(&workspace), table, row, millis(now + DELAY)])?;
    Ok(())
}

/// A record that has arrived.
pub(super) struct Arrived {
    /// When it happened.
    pub time: DateTime<Utc>,
    /// The record of the audit log.
    pub entry: Value,
}

/// The records of a table that have arrived in a workspace and are not older than it keeps them, oldest first.
pub(super) fn arrived(cx: &Cx<'_>, workspace: &Resource, table: &str) -> Result<Vec<Arrived>, Refusal> {
    let oldest = cx.now - Duration::days(super::workspace::retention(workspace));
    let mut statement = cx.tx.prepare_cached(
        "SELECT audit.* FROM workspace_records AS r JOIN audit ON audit.id = r.entry
         WHERE r.customer = ?1 AND r.kind = ?2 AND r.visible <= ?3 AND audit.time >= ?4 ORDER BY audit.id",
    )?;
    let rows = statement.query_map(params![customer_id(workspace), table, millis(cx.now), millis(oldest)], |row| {
        Ok(Arrived { time: instant(row.get("time")?), entry: audit::record(row)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Forgets what is in a workspace.
pub(super) fn forget(cx: &Cx<'_>, customer: &str) -> Result<(), Refusal> {
    cx.tx.prepare_cached("DELETE FROM workspace_records WHERE customer = ?1")?.execute([customer])?;
    Ok(())
}
