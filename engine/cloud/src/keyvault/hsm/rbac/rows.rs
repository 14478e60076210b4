//! The tables of local roles and their assignments.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row, params};

use crate::authorization::custom::Permission;
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::store::{instant, millis};

/// The tables. Instants are milliseconds since the Unix epoch, on the cloud clock.
pub(in super::super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS keyvault_hsm_assignments (
    label     TEXT NOT NULL COLLATE NOCASE,
    name      TEXT NOT NULL COLLATE NOCASE,
    scope     TEXT NOT NULL COLLATE NOCASE,
    role      TEXT NOT NULL COLLATE NOCASE,
    principal TEXT NOT NULL COLLATE NOCASE,
    created   INTEGER NOT NULL,
    effective INTEGER NOT NULL,
    PRIMARY KEY (label, name)
) STRICT;
CREATE TABLE IF NOT EXISTS keyvault_hsm_roles (
    label       TEXT NOT NULL COLLATE NOCASE,
    id          TEXT NOT NULL COLLATE NOCASE,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    scopes      TEXT NOT NULL,
    permissions TEXT NOT NULL,
    PRIMARY KEY (label, id)
) STRICT;
";

/// A role assignment.
#[derive(Clone, Debug)]
pub(super) struct Assignment {
    /// GUID.
    pub name: String,
    /// `/`, `/keys` or `/keys/{name}`.
    pub scope: String,
    /// GUID of the role definition.
    pub role: String,
    /// Object id of the principal.
    pub principal: String,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// From when it works.
    pub effective: DateTime<Utc>,
}

/// A custom role definition.
#[derive(Clone, Debug)]
pub(super) struct Custom {
    /// GUID.
    pub id: String,
    /// Role name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Scopes at and below which it can be assigned.
    pub scopes: Vec<String>,
    /// What it allows.
    pub permissions: Vec<Permission>,
}

fn assignment(row: &Row<'_>) -> rusqlite::Result<Assignment> {
    Ok(Assignment {
        name: row.get("name")?,
        scope: row.get("scope")?,
        role: row.get("role")?,
        principal: row.get("principal")?,
        created: instant(row.get("created")?),
        effective: instant(row.get("effective")?),
    })
}

fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(e)))
}

fn custom(row: &Row<'_>) -> rusqlite::Result<Custom> {
    Ok(Custom {
        id: row.get("id")?,
        name: row.get("name")?,
        description: row.get("description")?,
        scopes: json(row, "scopes")?,
        permissions: json(row, "permissions")?,
    })
}

/// Reads an assignment.
pub(super) fn get(cx: &Cx<'_>, label: &str, name: &str) -> Result<Option<Assignment>, Refusal> {
    let found = cx
        .tx
        .prepare_cached("SELECT * FROM keyvault_hsm_assignments WHERE label = ?1 AND name = ?2")?
        .query_row([label, name], assignment)
        .optional()?;
    Ok(found)
}

/// All assignments of a pool, oldest first.
pub(super) fn all(cx: &Cx<'_>, label: &str) -> Result<Vec<Assignment>, Refusal> {
    let mut statement =
        cx.tx.prepare_cached("SELECT * FROM keyvault_hsm_assignments WHERE label = ?1 ORDER BY created, name")?;
    let rows = statement.query_map([label], assignment)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The assignments of a principal in a pool.
pub(super) fn of_principal(cx: &Cx<'_>, label: &str, principal: &str) -> Result<Vec<Assignment>, Refusal> {
    let mut found = all(cx, label)?;
    found.retain(|assignment| assignment.principal.eq_ignore_ascii_case(principal));
    Ok(found)
}

/// Adds an assignment.
pub(super) fn add(cx: &Cx<'_>, label: &str, new: &Assignment) -> Result<(), Refusal> {
    cx.tx
        .prepare_cached(
            "INSERT INTO keyvault_hsm_assignments (label, name, scope, role, principal, created, effective)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            label,
            new.name,
            new.scope,
            new.role,
            new.principal,
            millis(new.created),
            millis(new.effective)
        ])?;
    Ok(())
}

/// Removes an assignment; it stops working at once.
pub(super) fn delete(cx: &Cx<'_>, label: &str, name: &str) -> Result<(), Refusal> {
    cx.tx
        .prepare_cached("DELETE FROM keyvault_hsm_assignments WHERE label = ?1 AND name = ?2")?
        .execute([label, name])?;
    Ok(())
}

/// Reads a custom role.
pub(super) fn role(cx: &Cx<'_>, label: &str, id: &str) -> Result<Option<Custom>, Refusal> {
    let found = cx
        .tx
        .prepare_cached("SELECT * FROM keyvault_hsm_roles WHERE label = ?1 AND id = ?2")?
        .query_row([label, id], custom)
        .optional()?;
    Ok(found)
}

/// All custom roles of a pool, by name.
pub(super) fn roles(cx: &Cx<'_>, label: &str) -> Result<Vec<Custom>, Refusal> {
    let mut statement = cx.tx.prepare_cached("SELECT * FROM keyvault_hsm_roles WHERE label = ?1 ORDER BY name, id")?;
    let rows = statement.query_map([label], custom)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Writes a custom role.
pub(super) fn put_role(cx: &Cx<'_>, label: &str, role: &Custom) -> Result<(), Refusal> {
    cx.tx
        .prepare_cached(
            "INSERT OR REPLACE INTO keyvault_hsm_roles (label, id, name, description, scopes, permissions)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            label,
            role.id,
            role.name,
            role.description,
            serde_json::to_string(&role.scopes)?,
            serde_json::to_string(&role.permissions)?,
        ])?;
    Ok(())
}

/// Removes a custom role.
pub(super) fn delete_role(cx: &Cx<'_>, label: &str, id: &str) -> Result<(), Refusal> {
    cx.tx.prepare_cached("DELETE FROM keyvault_hsm_roles WHERE label = ?1 AND id = ?2")?.execute([label, id])?;
    Ok(())
}

/// Removes everything of a pool.
pub(in super::super) fn purge(cx: &Cx<'_>, label: &str) -> Result<(), Refusal> {
    cx.tx.prepare_cached("DELETE FROM keyvault_hsm_assignments WHERE label = ?1")?.execute([label])?;
    cx.tx.prepare_cached("DELETE FROM keyvault_hsm_roles WHERE label = ?1")?.execute([label])?;
    Ok(())
}
