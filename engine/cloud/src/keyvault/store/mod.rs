//! The tables of key stores and keys.
//!
//! `keyvault_vaults` reserves names: a row lives until the key store is purged, so a soft-deleted one keeps its name.
//! The document of a live one is its ARM resource row; that of a soft-deleted one is kept here until it is recovered
//! or purged. Keys belong to a key store by its label (`Kind::label`), which is unique worldwide: the `vault` of a key
//! and the `name` of a key store.
//!
//! `n` and `e` of a version are its public half: modulus and exponent of an RSA key; the coordinates of the point of an
//! elliptic-curve key, whose curve is in `keyvault_curves`; the length in bits of an AES key, and nothing. `since` of a
//! rotation policy is the instant before which nothing falls due: when the policy was set, or when its key or key store
//! was recovered.

mod keystores;
mod policies;
mod versions;

use rusqlite::{Row, params};

pub(super) use self::{
    keystores::{deleted_keystores, insert_keystore, keystore, mark_keystore_deleted, mark_keystore_live},
    policies::{policies, policy, put_policy},
    versions::{Version, insert_version, update_version, version, versions},
};
pub(super) use super::entries::Entry as Key;
use super::entries::KEYS;
use super::hsm;
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::store::millis;

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
    release    TEXT,
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

/// What exists here besides live key stores, for the cloud's inventory. A key of a deleted one counts as deleted.
pub(super) const INVENTORY: &[&str] = &[
    "SELECT iif(name LIKE '%.managedhsm', 'deleted-managed-hsm', 'deleted-vault'), id || '@' || deleted, body FROM keyvault_vaults WHERE deleted IS NOT NULL",
    "SELECT iif(k.deleted IS NULL AND v.deleted IS NULL, 'key', 'deleted-key'), k.vault || '/keys/' || k.name,
     ifnull((SELECT p.actions || ifnull(p.expiry, '') FROM keyvault_policies p WHERE p.key = k.id), '')
     FROM keyvault_keys k JOIN keyvault_vaults v ON k.vault = v.name",
    "SELECT 'key-version', k.vault || '/keys/' || k.name || '/' || n.version, n.enabled || n.operations || n.tags
     FROM keyvault_versions n JOIN keyvault_keys k ON n.key = k.id JOIN keyvault_vaults v ON k.vault = v.name
     WHERE k.deleted IS NULL AND v.deleted IS NULL",
    "SELECT 'local-role-assignment', a.label || a.scope || ':' || a.name, a.role || a.principal
     FROM keyvault_hsm_assignments a JOIN keyvault_vaults v ON a.label = v.name WHERE v.deleted IS NULL",
    "SELECT 'local-role', r.label || ':' || r.id, r.name || r.permissions
     FROM keyvault_hsm_roles r JOIN keyvault_vaults v ON r.label = v.name WHERE v.deleted IS NULL",
];

fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(e)))
}

/// Reads a key, live or soft-deleted.
pub(super) fn key(cx: &Cx<'_>, label: &str, name: &str) -> Result<Option<Key>, Refusal> {
    KEYS.find(cx, label, name)
}

/// Marks a soft-deleted key as live again.
pub(super) fn mark_key_live(cx: &Cx<'_>, row: i64) -> Result<(), Refusal> {
    KEYS.mark_live(cx, row)?;
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
    KEYS.remove(cx, row)
}

/// Destroys a key store with its keys; its name is free afterwards.
pub(super) fn purge_keystore(cx: &Cx<'_>, label: &str) -> Result<(), Refusal> {
    KEYS.of(cx, label)?.into_iter().try_for_each(|row| purge_key(cx, row))?;
    super::secrets::purge_vault(cx, label)?;
    hsm::purge(cx, label)?;
    cx.tx.prepare_cached("DELETE FROM keyvault_vaults WHERE name = ?1")?.execute([label])?;
    Ok(())
}

/// Destroys every key store and key whose retention has ended by `cx.now`.
pub(super) fn purge_due(cx: &Cx<'_>) -> Result<(), Refusal> {
    let labels: Vec<String> = cx
        .tx
        .prepare_cached("SELECT name FROM keyvault_vaults WHERE purge <= ?1")?
        .query_map([millis(cx.now)], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for label in labels {
        purge_keystore(cx, &label)?;
    }
    KEYS.due(cx)?.into_iter().try_for_each(|row| purge_key(cx, row))
}
