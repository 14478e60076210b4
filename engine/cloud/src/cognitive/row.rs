//! The rows behind accounts: what Azure Resource Manager never shows, and what outlives the resource.

use chrono::{DateTime, Duration, Utc};
use rusqlite::{OptionalExtension, params};
use sealbook_crypto::SealKey;
use serde_json::Value;

use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::store::resources::Resource;
use crate::store::{instant, millis};

/// Table of the accounts, soft-deleted ones included. `dek` is sealed by the service's key when `key_name` is null,
/// else wrapped by the customer's.
pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS cognitive_accounts (
    uid          TEXT PRIMARY KEY,
    resource     TEXT NOT NULL UNIQUE COLLATE NOCASE,
    subdomain    TEXT UNIQUE COLLATE NOCASE,
    dek          BLOB NOT NULL,
    vault_uri    TEXT,
    key_name     TEXT,
    key_version  TEXT,
    access_keys  BLOB NOT NULL,
    deleted      INTEGER,
    purge        INTEGER,
    body         TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS cognitive_accounts_purge ON cognitive_accounts (purge) WHERE purge IS NOT NULL;
";

/// How long a deleted account can be recovered, on the cloud clock.
const RETENTION: Duration = Duration::hours(48);

/// Length of an access key in bytes.
pub(super) const ACCESS_KEY: usize = 16;

/// A version of a customer's key.
#[derive(Clone, Debug)]
pub(super) struct CustomerKey {
    /// Vault as the customer wrote it.
    pub vault_uri: String,
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
}

/// A soft deletion.
#[derive(Clone, Debug)]
pub(super) struct Deletion {
    /// When the account was deleted.
    pub at: DateTime<Utc>,
    /// When it will be gone for good.
    pub purge: DateTime<Utc>,
    /// Its document at that time.
    pub body: Value,
}

/// An account's row.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// 32 hexadecimal digits that no other account ever has.
    pub uid: String,
    /// ARM id.
    pub resource: String,
    /// Data encryption key, sealed or wrapped.
    pub dek: Vec<u8>,
    /// The customer's key that wraps it.
    pub key: Option<CustomerKey>,
    /// The two access keys, sealed under the data encryption key.
    pub access_keys: Vec<u8>,
    /// Set while the account is soft-deleted.
    pub deletion: Option<Deletion>,
}

impl Row {
    /// Associated data of the data encryption key.
    pub fn dek_place(&self) -> String {
        format!("cognitive-dek/{}", self.uid)
    }

    /// Associated data of the access keys.
    pub fn keys_place(&self) -> String {
        format!("cognitive-access-keys/{}", self.uid)
    }
}

fn from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let key = match row.get::<_, Option<String>>("key_name")? {
        None => None,
        Some(name) => Some(CustomerKey { vault_uri: row.get("vault_uri")?, name, version: row.get("key_version")? }),
    };
    let deletion = match (row.get::<_, Option<i64>>("deleted")?, row.get::<_, Option<i64>>("purge")?) {
        (Some(at), Some(purge)) => {
            let body: String = row.get::<_, Option<String>>("body")?.unwrap_or_default();
            let body = serde_json::from_str(&body).unwrap_or_default();
            Some(Deletion { at: instant(at), purge: instant(purge), body })
        }
        _ => None,
    };
    Ok(Row {
        uid: row.get("uid")?,
        resource: row.get("resource")?,
        dek: row.get("dek")?,
        key,
        access_keys: row.get("access_keys")?,
        deletion,
    })
}

/// Reads the row of a resource id, soft-deleted or not.
pub(super) fn get(cx: &Cx<'_>, resource: &str) -> Result<Option<Row>, Refusal> {
    let row = cx
        .tx
        .prepare_cached("SELECT * FROM cognitive_accounts WHERE resource = ?1")?
        .query_row([resource], from_row)
        .optional()?;
    Ok(row)
}

/// Reads the row of an account that is there.
pub(super) fn of(cx: &Cx<'_>, resource: &str) -> Result<Row, Refusal> {
    get(cx, resource)?.ok_or_else(|| Refusal::internal(format!("the account {resource} has no row")))
}

/// The resource that has a subdomain, soft-deleted ones included.
pub(super) fn with_subdomain(cx: &Cx<'_>, subdomain: &str) -> Result<Option<String>, Refusal> {
    let row = cx
        .tx
        .prepare_cached("SELECT resource FROM cognitive_accounts WHERE subdomain = ?1")?
        .query_row([subdomain], |row| row.get(0))
        .optional()?;
    Ok(row)
}

/// All soft-deleted accounts, in order of id.
pub(super) fn deleted(cx: &Cx<'_>) -> Result<Vec<Row>, Refusal> {
    let mut statement =
        cx.tx.prepare_cached("SELECT * FROM cognitive_accounts WHERE purge IS NOT NULL ORDER BY resource")?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds an account with a fresh data encryption key and fresh access keys.
pub(super) fn create(cx: &Cx<'_>, resource: &str) -> Result<Row, Refusal> {
    let dek = SealKey::generate();
    let mut row = Row {
        uid: hex::encode(cx.random::<16>()),
        resource: resource.to_owned(),
        dek: Vec::new(),
        key: None,
        access_keys: Vec::new(),
        deletion: None,
    };
    row.dek = cx.seal(&row.dek_place(), dek.expose());
    row.access_keys = dek.seal(row.keys_place().as_bytes(), &cx.random::<{ 2 * ACCESS_KEY }>());
    cx.tx
        .prepare_cached("INSERT INTO cognitive_accounts (uid, resource, dek, access_keys) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![row.uid, row.resource, row.dek, row.access_keys])?;
    Ok(row)
}

/// Stores what protects the account's keys, and the keys.
pub(super) fn protect(cx: &Cx<'_>, row: &Row) -> Result<(), Refusal> {
    let key = row.key.as_ref();
    cx.tx
        .prepare_cached(
            "UPDATE cognitive_accounts SET dek = ?2, vault_uri = ?3, key_name = ?4, key_version = ?5, access_keys = ?6
             WHERE uid = ?1",
        )?
        .execute(params![
            row.uid,
            row.dek,
            key.map(|key| &key.vault_uri),
            key.map(|key| &key.name),
            key.map(|key| &key.version),
            row.access_keys,
        ])?;
    Ok(())
}

/// Gives an account its subdomain.
pub(super) fn name(cx: &Cx<'_>, resource: &str, subdomain: &str) -> Result<(), Refusal> {
    cx.tx
        .prepare_cached("UPDATE cognitive_accounts SET subdomain = ?2 WHERE resource = ?1")?
        .execute([resource, subdomain])?;
    Ok(())
}

/// Soft-deletes the account of a resource.
pub(super) fn delete(cx: &Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
    cx.tx
        .prepare_cached("UPDATE cognitive_accounts SET deleted = ?2, purge = ?3, body = ?4 WHERE resource = ?1")?
        .execute(params![resource.id, millis(cx.now), millis(cx.now + RETENTION), resource.body.to_string()])?;
    Ok(())
}

/// Takes a soft deletion back.
pub(super) fn recover(cx: &Cx<'_>, row: &Row) -> Result<(), Refusal> {
    cx.tx
        .prepare_cached("UPDATE cognitive_accounts SET deleted = NULL, purge = NULL, body = NULL WHERE uid = ?1")?
        .execute([&row.uid])?;
    Ok(())
}

/// Removes a soft-deleted account for good.
pub(super) fn purge(cx: &Cx<'_>, row: &Row) -> Result<(), Refusal> {
    cx.tx.prepare_cached("DELETE FROM cognitive_accounts WHERE uid = ?1 AND purge IS NOT NULL")?.execute([&row.uid])?;
    Ok(())
}

/// Removes what has been soft-deleted for long enough.
pub(super) fn purge_due(cx: &Cx<'_>) -> Result<(), Refusal> {
    cx.tx
        .prepare_cached("DELETE FROM cognitive_accounts WHERE purge IS NOT NULL AND purge <= ?1")?
        .execute([millis(cx.now)])?;
    Ok(())
}
