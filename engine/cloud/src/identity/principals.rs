//! The directory: users, service principals and managed identities.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};
use sealbook_crypto::SecretString;
use uuid::Uuid;

use crate::cx::{Cx, PrincipalKind};
use crate::refusal::Refusal;
use crate::store::{instant, millis, resources};

/// Table of the directory.
pub(crate) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS principals (
    oid      TEXT PRIMARY KEY COLLATE NOCASE,
    app_id   TEXT COLLATE NOCASE,
    kind     TEXT NOT NULL,
    managed  INTEGER NOT NULL,
    name     TEXT NOT NULL,
    upn      TEXT UNIQUE COLLATE NOCASE,
    resource TEXT COLLATE NOCASE,
    secret   BLOB,
    created  INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS principals_by_resource ON principals (resource);
CREATE INDEX IF NOT EXISTS principals_by_app ON principals (app_id);
";

/// A principal of the tenant.
#[derive(Clone, Debug)]
pub(crate) struct Principal {
    /// Object id.
    pub oid: String,
    /// Application id; a person has none.
    pub app_id: Option<String>,
    /// Person or service principal.
    pub kind: PrincipalKind,
    /// Whether it is a managed identity.
    pub managed: bool,
    /// Display name.
    pub name: String,
    /// User principal name of a person.
    pub upn: Option<String>,
    /// Resource that a managed identity belongs to.
    pub resource: Option<String>,
    /// When it was created (cloud clock).
    pub created: DateTime<Utc>,
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Principal> {
    let kind: String = row.get("kind")?;
    Ok(Principal {
        oid: row.get("oid")?,
        app_id: row.get("app_id")?,
        kind: PrincipalKind::parse(&kind).unwrap_or(PrincipalKind::ServicePrincipal),
        managed: row.get("managed")?,
        name: row.get("name")?,
        upn: row.get("upn")?,
        resource: row.get("resource")?,
        created: instant(row.get("created")?),
    })
}

fn one(tx: &Connection, column: &str, value: &str) -> Result<Option<Principal>, Refusal> {
    let row = tx
        .prepare_cached(&format!("SELECT * FROM principals WHERE {column} = ?1"))?
        .query_row([value], from_row)
        .optional()?;
    Ok(row)
}

/// Reads a principal by object id.
pub(crate) fn get(tx: &Connection, oid: &str) -> Result<Option<Principal>, Refusal> {
    one(tx, "oid", oid)
}

/// Reads a service principal by application id. An application of Microsoft's own may have one in each tenant; those
/// have no secret, so whoever signs in has the only one.
pub(crate) fn by_app_id(tx: &Connection, app_id: &str) -> Result<Option<Principal>, Refusal> {
    one(tx, "app_id", app_id)
}

/// Reads a user by user principal name.
pub(crate) fn by_upn(tx: &Connection, upn: &str) -> Result<Option<Principal>, Refusal> {
    one(tx, "upn", upn)
}

/// The managed identity of a resource: the system-assigned one, or a user-assigned identity's own.
pub(crate) fn of_resource(tx: &Connection, resource: &str) -> Result<Option<Principal>, Refusal> {
    one(tx, "resource", resource)
}

/// The managed identities that a resource holds, system-assigned first. Identities that were deleted are left out.
pub(crate) fn held_by(tx: &Connection, resource: &str) -> Result<Vec<Principal>, Refusal> {
    let mut held: Vec<Principal> = of_resource(tx, resource)?.into_iter().collect();
    let document = resources::get(tx, resource)?.map(|r| r.body).unwrap_or_default();
    for (_, identity) in document["identity"]["userAssignedIdentities"].as_object().into_iter().flatten() {
        held.extend(get(tx, identity["principalId"].as_str().unwrap_or_default())?);
    }
    Ok(held)
}

/// All principals, in order of creation.
pub(crate) fn all(tx: &Connection) -> Result<Vec<Principal>, Refusal> {
    let mut statement = tx.prepare_cached("SELECT * FROM principals ORDER BY created, oid")?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a principal, with a secret that was sealed under [`secret_aad`].
pub(crate) fn add(tx: &Connection, principal: &Principal, sealed_secret: Option<&[u8]>) -> Result<(), Refusal> {
    tx.prepare_cached(
        "INSERT INTO principals (oid, app_id, kind, managed, name, upn, resource, secret, created)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        principal.oid,
        principal.app_id,
        principal.kind.as_str(),
        principal.managed,
        principal.name,
        principal.upn,
        principal.resource,
        sealed_secret,
        millis(principal.created),
    ])?;
    Ok(())
}

/// Associated data under which a principal's secret is sealed.
pub(crate) fn secret_aad(oid: &str) -> String {
    format!("principal-secret/{oid}")
}

/// Whether `given` is the principal's password or client secret; compared in constant time.
pub(crate) fn secret_matches(cx: &Cx<'_>, oid: &str, given: &SecretString) -> Result<bool, Refusal> {
    let sealed: Option<Vec<u8>> = cx
        .tx
        .prepare_cached("SELECT secret FROM principals WHERE oid = ?1")?
        .query_row([oid], |row| row.get(0))
        .optional()?
        .flatten();
    let Some(sealed) = sealed else { return Ok(false) };
    let secret = cx.open(&secret_aad(oid), &sealed)?;
    Ok(sealbook_crypto::constant_time_eq(
        &sealbook_crypto::sha256(secret.expose()),
        &sealbook_crypto::sha256(given.expose().as_bytes()),
    ))
}

/// Gives a resource its system-assigned identity; the one it has, when it has one already.
pub(crate) fn create_system_identity(cx: &mut Cx<'_>, resource: &str, name: &str) -> Result<Principal, Refusal> {
    if let Some(existing) = of_resource(cx.tx, resource)? {
        return Ok(existing);
    }
    let principal = Principal {
        oid: Uuid::new_v4().to_string(),
        app_id: Some(Uuid::new_v4().to_string()),
        kind: PrincipalKind::ServicePrincipal,
        managed: true,
        name: name.to_owned(),
        upn: None,
        resource: Some(resource.to_owned()),
        created: cx.now,
    };
    add(cx.tx, &principal, None)?;
    Ok(principal)
}

/// Removes a principal. Its role assignments stay, as in Azure, where they show as "identity not found".
pub(crate) fn delete(cx: &mut Cx<'_>, oid: &str) -> Result<bool, Refusal> {
    let gone = cx.tx.prepare_cached("DELETE FROM principals WHERE oid = ?1")?.execute([oid])?;
    Ok(gone > 0)
}
