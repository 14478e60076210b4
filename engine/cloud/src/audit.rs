//! The audit log: what a resource's diagnostic log would hold.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, params};
use serde_json::{Value, json};

use crate::refusal::Refusal;
use crate::store::{instant, millis};

/// Table of the audit log.
pub(crate) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS audit (
    id          INTEGER PRIMARY KEY,
    time        INTEGER NOT NULL,
    resource    TEXT NOT NULL COLLATE NOCASE,
    category    TEXT NOT NULL,
    operation   TEXT NOT NULL,
    status      INTEGER NOT NULL,
    correlation TEXT NOT NULL,
    caller      TEXT NOT NULL,
    properties  TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS audit_by_resource ON audit (resource);
";

/// An entry, before the dispatcher or [`crate::cx::Cx::audit`] adds time, caller and correlation id.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Id of the resource whose log this belongs to (the vault, not the key).
    pub resource: String,
    /// Log category, such as `AuditEvent`.
    pub category: &'static str,
    /// Operation name in that log, such as `KeyUnwrap`.
    pub operation: String,
    /// HTTP status of the result.
    pub status: u16,
    /// Further properties of the record.
    pub properties: Value,
}

/// Appends an entry and returns its row.
pub(crate) fn write(
    tx: &Connection,
    entry: &Entry,
    time: DateTime<Utc>,
    caller: &Value,
    correlation: &str,
) -> Result<i64, Refusal> {
    tx.prepare_cached(
        "INSERT INTO audit (time, resource, category, operation, status, correlation, caller, properties)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        millis(time),
        entry.resource,
        entry.category,
        entry.operation,
        entry.status,
        correlation,
        caller.to_string(),
        entry.properties.to_string(),
    ])?;
    Ok(tx.last_insert_rowid())
}

/// Entries of a resource, oldest first, in the shape of a diagnostic log record.
pub(crate) fn read(tx: &Connection, resource: &str) -> Result<Vec<Value>, Refusal> {
    let mut statement = tx.prepare_cached("SELECT * FROM audit WHERE resource = ?1 ORDER BY id")?;
    let rows = statement.query_map([resource], record)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A row of the table in the shape of a diagnostic log record.
pub(crate) fn record(row: &Row<'_>) -> rusqlite::Result<Value> {
    let status: u16 = row.get("status")?;
    let caller: String = row.get("caller")?;
    let properties: String = row.get("properties")?;
    Ok(json!({
        "time": crate::time::rfc3339(instant(row.get("time")?)),
        "resourceId": row.get::<_, String>("resource")?,
        "category": row.get::<_, String>("category")?,
        "operationName": row.get::<_, String>("operation")?,
        "resultType": if status < 400 { "Success" } else { "Failed" },
        "resultSignature": status,
        "correlationId": row.get::<_, String>("correlation")?,
        "identity": serde_json::from_str::<Value>(&caller).unwrap_or_default(),
        "properties": serde_json::from_str::<Value>(&properties).unwrap_or_default(),
    }))
}
