//! Role assignments: the table and its rows.

use chrono::{DateTime, Duration, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Value, json};

use crate::cx::Cx;
use crate::fault;
use crate::refusal::Refusal;
use crate::rules::Rule;
use crate::store::{instant, millis, settings};

/// Table of the role assignments.
pub(crate) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS role_assignments (
    name            TEXT PRIMARY KEY COLLATE NOCASE,
    scope           TEXT NOT NULL COLLATE NOCASE,
    role_definition TEXT NOT NULL COLLATE NOCASE,
    principal       TEXT NOT NULL COLLATE NOCASE,
    principal_type  TEXT NOT NULL,
    description     TEXT,
    created_by      TEXT,
    created         INTEGER NOT NULL,
    effective       INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS role_assignments_by_principal ON role_assignments (principal);
";

/// A role assignment.
#[derive(Clone, Debug)]
pub(crate) struct Assignment {
    /// GUID, unique in the tenant.
    pub name: String,
    /// Scope; `/` for the root.
    pub scope: String,
    /// Full id of the role definition.
    pub role_definition: String,
    /// Object id of the principal.
    pub principal: String,
    /// `User` or `ServicePrincipal`.
    pub principal_type: String,
    /// Description.
    pub description: Option<String>,
    /// Object id of who made it.
    pub created_by: Option<String>,
    /// When it was made (cloud clock).
    pub created: DateTime<Utc>,
    /// From when it works (cloud clock).
    pub effective: DateTime<Utc>,
}

impl Assignment {
    /// Full id.
    pub fn id(&self) -> String {
        let scope = self.scope.trim_end_matches('/');
        format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{}", self.name)
    }

    /// GUID of the role definition.
    pub fn role(&self) -> &str {
        self.role_definition.rsplit('/').next().unwrap_or_default()
    }

    /// The document that ARM answers.
    pub fn document(&self) -> Value {
        let time = crate::time::rfc3339(self.created);
        json!({
            "properties": {
                "roleDefinitionId": self.role_definition,
                "principalId": self.principal,
                "principalType": self.principal_type,
                "scope": self.scope,
                "condition": null,
                "conditionVersion": null,
                "createdOn": time,
                "updatedOn": time,
                "createdBy": self.created_by,
                "updatedBy": self.created_by,
                "delegatedManagedIdentityResourceId": null,
                "description": self.description,
            },
            "id": self.id(),
            "type": "Microsoft.Authorization/roleAssignments",
            "name": self.name,
        })
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Assignment> {
    Ok(Assignment {
        name: row.get("name")?,
        scope: row.get("scope")?,
        role_definition: row.get("role_definition")?,
        principal: row.get("principal")?,
        principal_type: row.get("principal_type")?,
        description: row.get("description")?,
        created_by: row.get("created_by")?,
        created: instant(row.get("created")?),
        effective: instant(row.get("effective")?),
    })
}

/// Reads an assignment by name.
pub(crate) fn get(tx: &Connection, name: &str) -> Result<Option<Assignment>, Refusal> {
    let row =
        tx.prepare_cached("SELECT * FROM role_assignments WHERE name = ?1")?.query_row([name], from_row).optional()?;
    Ok(row)
}

/// All assignments of a principal.
pub(crate) fn of_principal(tx: &Connection, principal: &str) -> Result<Vec<Assignment>, Refusal> {
    let mut statement =
        tx.prepare_cached("SELECT * FROM role_assignments WHERE principal = ?1 ORDER BY created, name")?;
    let rows = statement.query_map([principal], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// All assignments.
pub(crate) fn all(tx: &Connection) -> Result<Vec<Assignment>, Refusal> {
    let mut statement = tx.prepare_cached("SELECT * FROM role_assignments ORDER BY created, name")?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How long an assignment that is made now takes to work, on the cloud clock.
pub(crate) fn propagation(cx: &Cx<'_>) -> Result<Duration, Refusal> {
    let delay = match fault::rbac_delay(cx)? {
        _ if !Rule::RoleAssignmentsPropagate.holds() => 0,
        Some(delay) => delay,
        None => cx.setting::<i64>(settings::RBAC_DELAY)?.unwrap_or_default(),
    };
    Ok(Duration::milliseconds(delay))
}

/// Adds an assignment.
pub(crate) fn add(tx: &Connection, assignment: &Assignment) -> Result<(), Refusal> {
    tx.prepare_cached(
        "INSERT INTO role_assignments
         (name, scope, role_definition, principal, principal_type, description, created_by, created, effective)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        assignment.name,
        assignment.scope,
        assignment.role_definition,
        assignment.principal,
        assignment.principal_type,
        assignment.description,
        assignment.created_by,
        millis(assignment.created),
        millis(assignment.effective),
    ])?;
    Ok(())
}

/// Removes an assignment; it stops working at once.
pub(crate) fn delete(tx: &Connection, name: &str) -> Result<(), Refusal> {
    tx.prepare_cached("DELETE FROM role_assignments WHERE name = ?1")?.execute([name])?;
    Ok(())
}

/// Removes the assignments at a scope and below it: they go with the resource.
pub(crate) fn delete_below(tx: &Connection, scope: &str) -> Result<(), Refusal> {
    let scope = scope.trim_end_matches('/');
    tx.prepare_cached(
        "DELETE FROM role_assignments
         WHERE scope = ?1 OR substr(scope, 1, length(?1) + 1) = ?1 || '/' COLLATE NOCASE",
    )?
    .execute([scope])?;
    Ok(())
}
