//! The tables of key stores and keys.
//!
//! `keyvault_vaults` reserves names: a row lives until the key store is purged, so a soft-deleted one keeps its name.
//! The document of a live one is its ARM resource row; that of a soft-deleted one is kept here until it is recovered
//! or purged. Keys belong to a key store by its label (`Kind::label`), which is unique worldwide: the `vault` of a key
//! and the `name` of a key store.
//!
//! `n` and `e` of a version are its public half: modulus and exponent of an RSA key; the coordinates of the point of an
//! elliptic-curve key, whose curve is in `keyvault_curves`; the length in bits of an AES key, and nothing. `since` of a rotation policy is the instant before which
//! nothing falls due: when the policy was set, or when its key or key store was recovered.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row, params};
use sealbook_crypto::aes::AesBits;
use sealbook_crypto::ec::{Curve, EcPublic};
use sealbook_crypto::rsa::RsaPublic;
use serde_json::Value;

use super::hsm;
use super::keystore::{Deletion, KeyStore, Kind};
use super::material::Public;
use super::rotation_policy::Policy;

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

fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(e)))
}

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

/// Reads the key store of a label, live or soft-deleted.
pub(super) fn keystore(cx: &Cx<'_>, label: &str) -> Result<Option<KeyStore>, Refusal> {
    let stored = cx
        .tx
        .prepare_cached("SELECT * FROM keyvault_vaults WHERE name = ?1")?
        .query_row([label], |row| {
            let deletion = match (row.get::<_, Option<i64>>("deleted")?, row.get::<_, Option<i64>>("purge")?) {
                (Some(at), Some(purge)) => Some(Deletion { at: instant(at), purge: instant(purge) }),
                _ => None,
            };
            let body = if deletion.is_some() { json(row, "body")? } else { Value::Null };
            let label: String = row.get("name")?;
            let (kind, name) = Kind::of_label(&label);
            Ok(KeyStore {
                kind,
                name: name.to_owned(),
                id: row.get("id")?,
                subscription: row.get("subscription")?,
                ready: instant(row.get("ready")?),
                deletion,
                body,
                label,
            })
        })
        .optional()?;
    let Some(mut keystore) = stored else { return Ok(None) };
    if keystore.deletion.is_none() {
        let resource = cx.resource(&keystore.id)?;
        let missing = || Refusal::internal(format!("the live key store {} has no resource row", keystore.id));
        keystore.body = resource.ok_or_else(missing)?.body;
    }
    Ok(Some(keystore))
}

/// Soft-deleted key stores of a kind in a subscription, by name.
pub(super) fn deleted_keystores(cx: &Cx<'_>, kind: Kind, subscription: &str) -> Result<Vec<KeyStore>, Refusal> {
    let mut statement = cx.tx.prepare_cached(
        "SELECT name FROM keyvault_vaults WHERE subscription = ?1 AND deleted IS NOT NULL ORDER BY name",
    )?;
    let labels = statement.query_map([subscription], |row| row.get::<_, String>(0))?;
    let mut found = Vec::new();
    for label in labels {
        found.extend(keystore(cx, &label?)?.filter(|keystore| keystore.kind == kind));
    }
    Ok(found)
}

/// Reserves the label of a new key store.
pub(super) fn insert_keystore(
    cx: &Cx<'_>,
    label: &str,
    id: &str,
    subscription: &str,
    ready: DateTime<Utc>,
) -> Result<(), Refusal> {
    cx.tx
        .prepare_cached("INSERT INTO keyvault_vaults (name, id, subscription, ready) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![label, id, subscription, millis(ready)])?;
    Ok(())
}

/// Marks a key store as soft-deleted and keeps its document.
pub(super) fn mark_keystore_deleted(cx: &Cx<'_>, keystore: &KeyStore, deletion: &Deletion) -> Result<(), Refusal> {
    cx.tx
        .prepare_cached("UPDATE keyvault_vaults SET deleted = ?2, purge = ?3, body = ?4 WHERE name = ?1")?
        .execute(params![keystore.label, millis(deletion.at), millis(deletion.purge), keystore.body.to_string()])?;
    Ok(())
}

/// Marks a soft-deleted key store as live again.
pub(super) fn mark_keystore_live(cx: &Cx<'_>, label: &str, ready: DateTime<Utc>) -> Result<(), Refusal> {
    cx.tx
        .prepare_cached(
            "UPDATE keyvault_vaults SET deleted = NULL, purge = NULL, body = NULL, ready = ?2 WHERE name = ?1",
        )?
        .execute(params![label, millis(ready)])?;
    cx.tx
        .prepare_cached(
            "UPDATE keyvault_policies SET since = ?2 WHERE key IN (SELECT id FROM keyvault_keys WHERE vault = ?1)",
        )?
        .execute(params![label, millis(cx.now)])?;
    Ok(())
}

/// Destroys a key store with its keys; its name is free afterwards.
pub(super) fn purge_keystore(cx: &Cx<'_>, label: &str) -> Result<(), Refusal> {
    let keys: Vec<i64> = cx
        .tx
        .prepare_cached("SELECT id FROM keyvault_keys WHERE vault = ?1")?
        .query_map([label], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for key in keys {
        purge_key(cx, key)?;
    }
    super::secrets::purge_vault(cx, label)?;
    hsm::purge(cx, label)?;
    cx.tx.prepare_cached("DELETE FROM keyvault_vaults WHERE name = ?1")?.execute([label])?;
    Ok(())
}

/// Destroys every key store and key whose retention has ended by `cx.now`.
pub(super) fn purge_due(cx: &Cx<'_>) -> Result<(), Refusal> {
    let now = millis(cx.now);
    let labels: Vec<String> = cx
        .tx
        .prepare_cached("SELECT name FROM keyvault_vaults WHERE purge <= ?1")?
        .query_map([now], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for label in labels {
        purge_keystore(cx, &label)?;
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

/// A key: a name in a key store that holds one or more versions.
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
    /// `RSA`, `RSA-HSM`, `EC`, `EC-HSM` or `oct-HSM`.
    pub kty: String,
    /// What everybody may know of the key.
    pub public: Public,
    /// The secret half, sealed under the key identifier.
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
    /// Release policy as the key shows it; only exportable keys have one.
    pub release: Option<Value>,
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
    let (first, second): (Vec<u8>, Vec<u8>) = (row.get("n")?, row.get("e")?);
    if row.get::<_, String>("kty")?.starts_with("oct") {
        let bits = first.try_into().ok().and_then(|two: [u8; 2]| AesBits::from_bits(u16::from_be_bytes(two).into()));
        return bits
            .map(Public::Aes)
            .ok_or_else(|| rusqlite::Error::InvalidColumnType(0, "n".to_owned(), rusqlite::types::Type::Blob));
    }
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
        release: row.get::<_, Option<String>>("release")?.and_then(|text| serde_json::from_str(&text).ok()),
    })
}

/// Reads a key, live or soft-deleted.
pub(super) fn key(cx: &Cx<'_>, label: &str, name: &str) -> Result<Option<Key>, Refusal> {
    let key = cx
        .tx
        .prepare_cached("SELECT * FROM keyvault_keys WHERE vault = ?1 AND name = ?2")?
        .query_row([label, name], key_from)
        .optional()?;
    Ok(key)
}

/// A page of a key store's live or soft-deleted keys in order of name, from behind `after` on.
pub(super) fn keys(cx: &Cx<'_>, label: &str, deleted: bool, after: &str, limit: usize) -> Result<Vec<Key>, Refusal> {
    let mut statement = cx.tx.prepare_cached(
        "SELECT * FROM keyvault_keys
         WHERE vault = ?1 AND name > ?2 AND (deleted IS NOT NULL) = ?3 AND (?3 = 0 OR settled <= ?4)
         ORDER BY name LIMIT ?5",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![label, after, deleted, millis(cx.now), limit], key_from)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a key without versions.
pub(super) fn insert_key(cx: &Cx<'_>, label: &str, name: &str) -> Result<Key, Refusal> {
    cx.tx.prepare_cached("INSERT INTO keyvault_keys (vault, name) VALUES (?1, ?2)")?.execute([label, name])?;
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
        Public::Rsa(public) => (public.n.clone(), public.e.clone(), None),
        Public::Ec(public) => (public.x.clone(), public.y.clone(), Some(public.curve)),
        Public::Aes(bits) => (bits.bits().to_be_bytes().to_vec(), Vec::new(), None),
    };
    cx.tx
        .prepare_cached(
            "INSERT INTO keyvault_versions
             (key, version, kty, n, e, sealed, enabled, nbf, exp, created, updated, operations, tags, release)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
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
            new.release.as_ref().map(Value::to_string),
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
             SET enabled = ?2, nbf = ?3, exp = ?4, updated = ?5, operations = ?6, tags = ?7, release = ?8
             WHERE id = ?1",
        )?
        .execute(params![
            version.row,
            version.enabled,
            version.nbf,
            version.exp,
            version.updated,
            serde_json::to_string(&version.operations)?,
            version.tags.to_string(),
            version.release.as_ref().map(Value::to_string),
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

/// Live keys of live key stores that have a rotation policy: the store's label, the key, the policy.
pub(super) fn policies(cx: &Cx<'_>) -> Result<Vec<(String, Key, Policy)>, Refusal> {
    let mut statement = cx.tx.prepare_cached(
        "SELECT p.key, v.name FROM keyvault_policies p JOIN keyvault_keys k ON k.id = p.key
         JOIN keyvault_vaults v ON v.name = k.vault
         WHERE k.deleted IS NULL AND v.deleted IS NULL ORDER BY p.key",
    )?;
    let rows: Vec<(i64, String)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    let mut found = Vec::new();
    for (row, label) in rows {
        let key =
            cx.tx.prepare_cached("SELECT * FROM keyvault_keys WHERE id = ?1")?.query_row([row], key_from).optional()?;
        if let (Some(key), Some(policy)) = (key, policy(cx, row)?) {
            found.push((label, key, policy));
        }
    }
    Ok(found)
}
