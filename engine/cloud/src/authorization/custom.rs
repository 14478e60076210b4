//! Custom role definitions: the table and its rows.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::refusal::Refusal;
use crate::resource_id::within;
use crate::store::{instant, millis};

/// Table of the custom roles.
pub(crate) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS role_definitions (
    id          TEXT PRIMARY KEY COLLATE NOCASE,
    tenant      TEXT NOT NULL COLLATE NOCASE,
    name        TEXT NOT NULL COLLATE NOCASE,
    description TEXT NOT NULL,
    scopes      TEXT NOT NULL,
    permissions TEXT NOT NULL,
    created     INTEGER NOT NULL,
    created_by  TEXT NOT NULL,
    updated     INTEGER NOT NULL,
    updated_by  TEXT NOT NULL,
    UNIQUE (tenant, name)
) STRICT;
";

/// What a custom role allows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Permission {
    /// Control-plane actions.
    pub actions: Vec<String>,
    /// Control-plane actions taken out again.
    pub not_actions: Vec<String>,
    /// Data actions.
    pub data_actions: Vec<String>,
    /// Data actions taken out again.
    pub not_data_actions: Vec<String>,
}

/// A custom role definition.
#[derive(Clone, Debug)]
pub(crate) struct Custom {
    /// GUID.
    pub id: String,
    /// Tenant.
    pub tenant: String,
    /// Role name, unique in the tenant.
    pub name: String,
    /// Description.
    pub description: String,
    /// Scopes at and below which it can be assigned.
    pub scopes: Vec<String>,
    /// What it allows.
    pub permissions: Vec<Permission>,
    /// When it was made (cloud clock).
    pub created: DateTime<Utc>,
    /// Object id of who made it.
    pub created_by: String,
    /// When it was last changed (cloud clock).
    pub updated: DateTime<Utc>,
    /// Object id of who changed it last.
    pub updated_by: String,
}

impl Custom {
    /// Whether it can be assigned at a scope.
    pub fn assignable_at(&self, scope: &str) -> bool {
        self.scopes.iter().any(|assignable| within(scope, assignable))
    }

    /// The document that ARM answers for this role at a subscription.
    pub fn document(&self, subscription: &str) -> Value {
        let prefix = if subscription.is_empty() { String::new() } else { format!("/subscriptions/{subscription}") };
        json!({
            "id": format!("{prefix}/providers/Microsoft.Authorization/roleDefinitions/{}", self.id),
            "type": "Microsoft.Authorization/roleDefinitions",
            "name": self.id,
            "properties": {
                "roleName": self.name,
                "type": "CustomRole",
                "description": self.description,
                "assignableScopes": self.scopes,
                "permissions": self.permissions,
                "createdOn": crate::time::rfc3339(self.created),
                "updatedOn": crate::time::rfc3339(self.updated),
                "createdBy": self.created_by,
                "updatedBy": self.updated_by,
            },
        })
    }
}

fn texts<T: serde::de::DeserializeOwned>(row: &Row<'_>, name: &str) -> rusqlite::Result<T> {
    let text: String = row.get(name)?;
    serde_json::from_str(&text)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(e)))
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Custom> {
    Ok(Custom {
        id: row.get("id")?,
        tenant: row.get("tenant")?,
        name: row.get("name")?,
        description: row.get("description")?,
        scopes: texts(row, "scopes")?,
        permissions: texts(row, "permissions")?,
        created: instant(row.get("created")?),
        created_by: row.get("created_by")?,
        updated: instant(row.get("updated")?),
        updated_by: row.get("updated_by")?,
    })
}

/// Reads a custom role by its GUID.
pub(crate) fn get(tx: &Connection, id: &str) -> Result<Option<Custom>, Refusal> {
    let row =
        tx.prepare_cached("SELECT * FROM role_definitions WHERE id = ?1")?.query_row([id], from_row).optional()?;
    Ok(row)
}

/// The custom roles of a tenant, by name.
pub(crate) fn all(tx: &Connection, tenant: &str) -> Result<Vec<Custom>, Refusal> {
    let mut statement = tx.prepare_cached("SELECT * FROM role_definitions WHERE tenant = ?1 ORDER BY name")?;
    let rows = statement.query_map([tenant], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Writes a custom role.
pub(crate) fn put(tx: &Connection, role: &Custom) -> Result<(), Refusal> {
    tx.prepare_cached(
        "INSERT OR REPLACE INTO role_definitions
         (id, tenant, name, description, scopes, permissions, created, created_by, updated, updated_by)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        role.id,
        role.tenant,
        role.name,
        role.description,
        serde_json::to_string(&role.scopes)?,
        serde_json::to_string(&role.permissions)?,
        millis(role.created),
        role.created_by,
        millis(role.updated),
        role.updated_by,
    ])?;
    Ok(())
}

/// Removes a custom role.
pub(crate) fn delete(tx: &Connection, id: &str) -> Result<(), Refusal> {
    tx.prepare_cached("DELETE FROM role_definitions WHERE id = ?1")?.execute([id])?;
    Ok(())
}
