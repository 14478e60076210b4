//! The vault and key tables.
//!
//! `keyvault_vaults` reserves names: a row lives until the vault is purged, so a soft-deleted vault keeps its name.
//! The document of a live vault is its ARM resource row; that of a soft-deleted one is kept here until it is
//! recovered or purged. Keys belong to a vault by name, which is unique worldwide.
//!
//! `n` and `e` of a version are its public half: modulus and exponent of an RSA key; the coordinates of the point of an
//! elliptic-curve key, whose curve is in `keyvault_curves`. `since` of a rotation policy is the instant before which
//! nothing falls due: when the policy was set, or when its key or vault was recovered.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row, params};
use sealbook_crypto::ec::{Curve, EcPublic};
use sealbook_crypto::rsa::RsaPublic;
use serde_json::Value;

use super::material::Public;
use super::rotation_policy::Policy;
use super::vault::{Deletion, Vault};
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::store::{instant, millis};

/// Tables of this provider. Instants are milliseconds since the Unix epoch, on the cloud clock.
pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS keyvault_vaults (
    name         TEXT PRIMARY KEY COLLATE NOCASE,
    id           TEXT NOT NULL COLLATE NOCASE,
    subscription TEXT NOT NULL COLLATE NOCASE,
    ready        INTEGER NOT NULL,
    deleted      INTEGER,
    purge        INTEGER,
    body         TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS keyvault_vaults_purge ON keyvault_vaults (purge) WHERE purge IS NOT NULL;
CREATE TABLE IF NOT EXISTS keyvault_keys (
    id      INTEGER PRIMARY KEY,
    vault   TEXT NOT NULL COLLATE NOCASE,
    name    TEXT NOT NULL COLLATE NOCASE,
    deleted INTEGER,
    settled INTEGER,
    purge   INTEGER,
    UNIQUE (vault, name)
) STRICT;
CREATE INDEX IF NOT EXISTS keyvault_keys_purge ON keyvault_keys (purge) WHERE purge IS NOT NULL;
CREATE TABLE IF NOT EXISTS keyvault_versions (
    id         INTEGER PRIMARY KEY,
    key        INTEGER NOT NULL,
    version    TEXT NOT NULL COLLATE NOCASE,
    kty        TEXT NOT NULL,
    n          BLOB NOT NULL,
    e          BLOB NOT NULL,
    sealed     BLOB NOT NULL,
    enabled    INTEGER NOT NULL,
    nbf        INTEGER,
    exp        INTEGER,
    created    INTEGER NOT NULL,
    updated    INTEGER NOT NULL,
    operations TEXT NOT NULL,
    tags       TEXT NOT NULL,
    UNIQUE (key, version)
) STRICT;
CREATE TABLE IF NOT EXISTS keyvault_curves (
    version INTEGER PRIMARY KEY,
    crv     TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS keyvault_policies (
    key     INTEGER PRIMARY KEY,
    actions TEXT NOT NULL,
    expiry  TEXT,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    since   INTEGER NOT NULL
) STRICT;
";

fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(e)))
}

/// What exists here besides live vaults, for the cloud's inventory. A key of a deleted vault counts as deleted.
pub(super) const INVENTORY: &[&str] = &[
    "SELECT 'deleted-vault', id || '@' || deleted, body FROM keyvault_vaults WHERE deleted IS NOT NULL",
    "SELECT iif(k.deleted IS NULL AND v.deleted IS NULL, 'key', 'deleted-key'), k.vault || '/keys/' || k.name,
     ifnull((SELECT p.actions || ifnull(p.expiry, '') FROM keyvault_policies p WHERE p.key = k.id), '')
     FROM keyvault_keys k JOIN keyvault_vaults v ON k.vault = v.name",
    "SELECT 'key-version', k.vault || '/keys/' || k.name || '/' || n.version, n.enabled || n.operations || n.tags
     FROM keyvault_versions n JOIN keyvault_keys k ON n.key = k.id JOIN keyvault_vaults v ON k.vault = v.name
     WHERE k.deleted IS NULL AND v.deleted IS NULL",
];

/// Reads the vault of a name, live or soft-deleted.
pub(super) fn vault(cx: &Cx<'_>, name: &str) -> Result<Option<Vault>, Refusal> {
    let stored = cx
        .tx
        .prepare_cached("SELECT * FROM keyvault_vaults WHERE name = ?1")?
        .query_row([name], |row| {
            let deletion = match (row.get::<_, Option<i64>>("deleted")?, row.get::<_, Option<i64>>("purge")?) {
                (Some(at), Some(purge)) => Some(Deletion { at: instant(at), purge: instant(purge) }),
                _ => None,
            };
            let body = if deletion.is_some() { json(row, "body")? } else { Value::Null };
            Ok(Vault {
                id: row.get("id")?,
                name: row.get("name")?,
                subscription: row.get("subscription")?,
                ready: instant(row.get("ready")?),
                deletion,
                body,
            })
        })
        .optional()?;
    let Some(mut vault) = stored else { return Ok(None) };
    if vault.deletion.is_none() {
        let resource = cx.resource(&vault.id)?;
        vault.body =
            resource.ok_or_else(|| Refusal::internal(format!("the live vault {} has no resource row", vault.id)))?.body;
    }
    Ok(Some(vault))
}

/// Soft-deleted vaults of a subscription, by name.
pub(super) fn deleted_vaults(cx: &Cx<'_>, subscription: &str) -> Result<Vec<Vault>, Refusal> {
    let mut statement = cx.tx.prepare_cached(
        "SELECT name FROM keyvault_vaults WHERE subscription = ?1 AND deleted IS NOT NULL ORDER BY name",
    )?;
    let names = statement.query_map([subscription], |row| row.get::<_, String>(0))?;
    let mut vaults = Vec::new();
    for name in names {
        vaults.extend(vault(cx, &name?)?);
    }
    Ok(vaults)
}

/// Reserves the name of a new vault.
pub(super) fn insert_vault(
    cx: &Cx<'_>,
    name: &str,
    id: &str,
    subscription: &str,
    ready: DateTime<Utc>,
) -> Result<(), Refusal> {
    cx.tx
        .prepare_cached("INSERT INTO keyvault_vaults (name, id, subscription, ready) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![name, id, subscription, millis(ready)])?;
    Ok(())
}

/// Marks a vault as soft-deleted and keeps its document.
pub(super) fn mark_vault_deleted(cx: &Cx<'_>, vault: &Vault, deletion: &Deletion) -> Result<(), Refusal> {
    cx.tx
        .prepare_cached("UPDATE keyvault_vaults SET deleted = ?2, purge = ?3, body = ?4 WHERE name = ?1")?
        .execute(params![vault.name, millis(deletion.at), millis(deletion.purge), vault.body.to_string()])?;
    Ok(())
}

/// Marks a soft-deleted vault as live again.
pub(super) fn mark_vault_live(cx: &Cx<'_>, name: &str, ready: DateTime<Utc>) -> Result<(), Refusal> {
    cx.tx
        .prepare_cached(
            "UPDATE keyvault_vaults SET deleted = NULL, purge = NULL, body = NULL, ready = ?2 WHERE name = ?1",
        )?
        .execute(params![name, millis(ready)])?;
    cx.tx
        .prepare_cached(
            "UPDATE keyvault_policies SET since = ?2 WHERE key IN (SELECT id FROM keyvault_keys WHERE vault = ?1)",
        )?
        .execute(params![name, millis(cx.now)])?;
    Ok(())
}

/// Destroys a vault with its keys; its name is free afterwards.
pub(super) fn purge_vault(cx: &Cx<'_>, name: &str) -> Result<(), Refusal> {
    let keys: Vec<i64> = cx
        .tx
        .prepare_cached("SELECT id FROM keyvault_keys WHERE vault = ?1")?
        .query_map([name], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for key in keys {
        purge_key(cx, key)?;
    }
    super::secrets::purge_vault(cx, name)?;
    cx.tx.prepare_cached("DELETE FROM keyvault_vaults WHERE name = ?1")?.execute([name])?;
    Ok(())
}

/// Destroys every vault and key whose retention has ended by `cx.now`.
pub(super) fn purge_due(cx: &Cx<'_>) -> Result<(), Refusal> {
    let now = millis(cx.now);
    let vaults: Vec<String> = cx
        .tx
        .prepare_cached("SELECT name FROM keyvault_vaults WHERE purge <= ?1")?
        .query_map([now], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for name in vaults {
        purge_vault(cx, &name)?;
    }
    let keys: Vec<i64> = cx
        .tx
        .prepare_cached("SELECT id FROM keyvault_keys WHERE purge <= ?1")?
        .query_map([now], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for id in keys {
        purge_key(cx, id)?;
    }
    Ok(())
}

/// A key: a name in a vault that holds one or more versions.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// Row.
    pub row: i64,
    /// Name as it was first written.
    pub name: String,
    /// Set while the key is soft-deleted.
    pub deletion: Option<Deletion>,
    /// Until when a deletion is still under way: Azure answers the delete at once and finishes it later.
    pub settled: DateTime<Utc>,
}

/// A version of a key.
#[derive(Clone, Debug)]
pub(super) struct Version {
    /// Row, in order of creation.
    pub row: i64,
    /// 32 hexadecimal digits.
    pub version: String,
    /// `RSA`, `RSA-HSM`, `EC` or `EC-HSM`.
    pub kty: String,
    /// Public half.
    pub public: Public,
    /// PKCS#8 of the private key, sealed under the key identifier.
    pub sealed: Vec<u8>,
    /// Whether it may be used.
    pub enabled: bool,
    /// Not usable for new data before (Unix seconds).
    pub nbf: Option<i64>,
    /// Not usable for new data from then on (Unix seconds).
    pub exp: Option<i64>,
    /// When it was made (Unix seconds).
    pub created: i64,
    /// When its attributes were last changed (Unix seconds).
    pub updated: i64,
    /// Permitted operations.
    pub operations: Vec<String>,
    /// Tags.
    pub tags: Value,
}

fn key_from(row: &Row<'_>) -> rusqlite::Result<Key> {
    let deletion = match (row.get::<_, Option<i64>>("deleted")?, row.get::<_, Option<i64>>("purge")?) {
        (Some(at), Some(purge)) => Some(Deletion { at: instant(at), purge: instant(purge) }),
        _ => None,
    };
    let settled: Option<i64> = row.get("settled")?;
    Ok(Key { row: row.get("id")?, name: row.get("name")?, deletion, settled: instant(settled.unwrap_or_default()) })
}

fn public_from(row: &Row<'_>) -> rusqlite::Result<Public> {
    let (first, second) = (row.get("n")?, row.get("e")?);
    let Some(name) = row.get::<_, Option<String>>("crv")? else {
        return Ok(Public::Rsa(RsaPublic { n: first, e: second }));
    };
    let curve = Curve::from_name(&name)
        .ok_or_else(|| rusqlite::Error::InvalidColumnType(0, name, rusqlite::types::Type::Text))?;
    Ok(Public::Ec(EcPublic { curve, x: first, y: second }))
}

fn version_from(row: &Row<'_>) -> rusqlite::Result<Version> {
    Ok(Version {
        row: row.get("id")?,
        version: row.get("version")?,
        kty: row.get("kty")?,
        public: public_from(row)?,
        sealed: row.get("sealed")?,
        enabled: row.get("enabled")?,
        nbf: row.get("nbf")?,
        exp: row.get("exp")?,
        created: row.get("created")?,
        updated: row.get("updated")?,
        operations: json(row, "operations")?,
        tags: json(row, "tags")?,
    })
}

/// Reads a key, live or soft-deleted.
pub(super) fn key(cx: &Cx<'_>, vault: &str, name: &str) -> Result<Option<Key>, Refusal> {
    let key = cx
        .tx
        .prepare_cached("SELECT * FROM keyvault_keys WHERE vault = ?1 AND name = ?2")?
        .query_row([vault, name], key_from)
        .optional()?;
    Ok(key)
}

/// A page of a vault's live or soft-deleted keys in order of name, from behind `after` on.
pub(super) fn keys(cx: &Cx<'_>, vault: &str, deleted: bool, after: &str, limit: usize) -> Result<Vec<Key>, Refusal> {
    let mut statement = cx.tx.prepare_cached(
        "SELECT * FROM keyvault_keys
         WHERE vault = ?1 AND name > ?2 AND (deleted IS NOT NULL) = ?3 AND (?3 = 0 OR settled <= ?4)
         ORDER BY name LIMIT ?5",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![vault, after, deleted, millis(cx.now), limit], key_from)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a key without versions.
pub(super) fn insert_key(cx: &Cx<'_>, vault: &str, name: &str) -> Result<Key, Refusal> {
    cx.tx.prepare_cached("INSERT INTO keyvault_keys (vault, name) VALUES (?1, ?2)")?.execute([vault, name])?;
    let row = cx.tx.last_insert_rowid();
    Ok(Key { row, name: name.to_owned(), deletion: None, settled: DateTime::UNIX_EPOCH })
}

/// Marks a key as soft-deleted; the deletion is under way until `settled`.
pub(super) fn mark_key_deleted(
    cx: &Cx<'_>,
    row: i64,
    deletion: &Deletion,
    settled: DateTime<Utc>,
) -> Result<(), Refusal> {
    cx.tx
        .prepare_cached("UPDATE keyvault_keys SET deleted = ?2, purge = ?3, settled = ?4 WHERE id = ?1")?
        .execute(params![row, millis(deletion.at), millis(deletion.purge), millis(settled)])?;
    Ok(())
}

/// Marks a soft-deleted key as live again.
pub(super) fn mark_key_live(cx: &Cx<'_>, row: i64) -> Result<(), Refusal> {
    cx.tx
        .prepare_cached("UPDATE keyvault_keys SET deleted = NULL, purge = NULL, settled = NULL WHERE id = ?1")?
        .execute([row])?;
    cx.tx
        .prepare_cached("UPDATE keyvault_policies SET since = ?2 WHERE key = ?1")?
        .execute(params![row, millis(cx.now)])?;
    Ok(())
}

/// Destroys a key with all its versions and its rotation policy.
pub(super) fn purge_key(cx: &Cx<'_>, row: i64) -> Result<(), Refusal> {
    cx.tx
        .prepare_cached(
            "DELETE FROM keyvault_curves WHERE version IN (SELECT id FROM keyvault_versions WHERE key = ?1)",
        )?
        .execute([row])?;
    cx.tx.prepare_cached("DELETE FROM keyvault_policies WHERE key = ?1")?.execute([row])?;
    cx.tx.prepare_cached("DELETE FROM keyvault_versions WHERE key = ?1")?.execute([row])?;
    cx.tx.prepare_cached("DELETE FROM keyvault_keys WHERE id = ?1")?.execute([row])?;
    Ok(())
}

/// Reads a version; the newest one when `version` is `None`.
pub(super) fn version(cx: &Cx<'_>, key: i64, version: Option<&str>) -> Result<Option<Version>, Refusal> {
    let found = cx
        .tx
        .prepare_cached(
            "SELECT v.*, c.crv FROM keyvault_versions v LEFT JOIN keyvault_curves c ON c.version = v.id
             WHERE v.key = ?1 AND (?2 IS NULL OR v.version = ?2) ORDER BY v.id DESC LIMIT 1",
        )?
        .query_row(params![key, version], version_from)
        .optional()?;
    Ok(found)
}

/// A page of a key's versions in order of creation, from behind row `after` on.
pub(super) fn versions(cx: &Cx<'_>, key: i64, after: i64, limit: usize) -> Result<Vec<Version>, Refusal> {
    let mut statement = cx.tx.prepare_cached(
        "SELECT v.*, c.crv FROM keyvault_versions v LEFT JOIN keyvault_curves c ON c.version = v.id
         WHERE v.key = ?1 AND v.id > ?2 ORDER BY v.id LIMIT ?3",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![key, after, limit], version_from)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a version to a key.
pub(super) fn insert_version(cx: &Cx<'_>, key: i64, new: &Version) -> Result<(), Refusal> {
    let (first, second, curve) = match &new.public {
        Public::Rsa(public) => (&public.n, &public.e, None),
        Public::Ec(public) => (&public.x, &public.y, Some(public.curve)),
    };
    cx.tx
        .prepare_cached(
            "INSERT INTO keyvault_versions
             (key, version, kty, n, e, sealed, enabled, nbf, exp, created, updated, operations, tags)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .execute(params![
            key,
            new.version,
            new.kty,
            first,
            second,
            new.sealed,
            new.enabled,
            new.nbf,
            new.exp,
            new.created,
            new.updated,
            serde_json::to_string(&new.operations)?,
            new.tags.to_string(),
        ])?;
    if let Some(curve) = curve {
        let row = cx.tx.last_insert_rowid();
        cx.tx
            .prepare_cached("INSERT INTO keyvault_curves (version, crv) VALUES (?1, ?2)")?
            .execute(params![row, curve.name()])?;
    }
    Ok(())
}

/// Writes what may change of a version: attributes, operations, tags.
pub(super) fn update_version(cx: &Cx<'_>, version: &Version) -> Result<(), Refusal> {
    cx.tx
        .prepare_cached(
            "UPDATE keyvault_versions
             SET enabled = ?2, nbf = ?3, exp = ?4, updated = ?5, operations = ?6, tags = ?7 WHERE id = ?1",
        )?
        .execute(params![
            version.row,
            version.enabled,
            version.nbf,
            version.exp,
            version.updated,
            serde_json::to_string(&version.operations)?,
            version.tags.to_string(),
        ])?;
    Ok(())
}

fn policy_from(row: &Row<'_>) -> rusqlite::Result<Policy> {
    Ok(Policy {
        actions: json(row, "actions")?,
        expiry: row.get("expiry")?,
        created: row.get("created")?,
        updated: row.get("updated")?,
        since: instant(row.get("since")?),
    })
}

/// Reads the rotation policy of a key, if one was ever set.
pub(super) fn policy(cx: &Cx<'_>, key: i64) -> Result<Option<Policy>, Refusal> {
    let policy = cx
        .tx
        .prepare_cached("SELECT * FROM keyvault_policies WHERE key = ?1")?
        .query_row([key], policy_from)
        .optional()?;
    Ok(policy)
}

/// Writes the rotation policy of a key.
pub(super) fn put_policy(cx: &Cx<'_>, key: i64, policy: &Policy) -> Result<(), Refusal> {
    cx.tx
        .prepare_cached(
            "INSERT OR REPLACE INTO keyvault_policies (key, actions, expiry, created, updated, since)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            key,
            serde_json::to_string(&policy.actions)?,
            policy.expiry,
            policy.created,
            policy.updated,
            millis(policy.since),
        ])?;
    Ok(())
}

/// Live keys of live vaults that have a rotation policy: the vault's name, the key, the policy.
pub(super) fn policies(cx: &Cx<'_>) -> Result<Vec<(String, Key, Policy)>, Refusal> {
    let mut statement = cx.tx.prepare_cached(
        "SELECT p.key, v.name FROM keyvault_policies p JOIN keyvault_keys k ON k.id = p.key
         JOIN keyvault_vaults v ON v.name = k.vault
         WHERE k.deleted IS NULL AND v.deleted IS NULL ORDER BY p.key",
    )?;
    let rows: Vec<(i64, String)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    let mut found = Vec::new();
    for (row, vault) in rows {
        let key =
            cx.tx.prepare_cached("SELECT * FROM keyvault_keys WHERE id = ?1")?.query_row([row], key_from).optional()?;
        if let (Some(key), Some(policy)) = (key, policy(cx, row)?) {
            found.push((vault, key, policy));
        }
    }
    Ok(found)
}
