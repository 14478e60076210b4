//! The table of data keys.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{CustomerKey, Protector};
use crate::refusal::Refusal;

/// Table of the data keys. `bytes` is sealed by the service's key when `principal` is null, else wrapped by the
/// customer's key.
pub(crate) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS data_keys (
    owner          TEXT PRIMARY KEY,
    bytes          BLOB NOT NULL,
    principal      TEXT,
    vault_uri      TEXT,
    key_name       TEXT,
    key_version    TEXT,
    encryption_set TEXT COLLATE NOCASE,
    double         INTEGER NOT NULL DEFAULT 0,
    follows        INTEGER NOT NULL DEFAULT 0,
    next_check     INTEGER
) STRICT;
CREATE INDEX IF NOT EXISTS data_keys_due ON data_keys (next_check) WHERE next_check IS NOT NULL;
CREATE INDEX IF NOT EXISTS data_keys_by_set ON data_keys (encryption_set) WHERE encryption_set IS NOT NULL;
";

/// The data key of an owner.
#[derive(Clone, Debug)]
pub(crate) struct DataKey {
    /// Whose content it encrypts: `kind/id`.
    pub owner: String,
    /// What protects it.
    pub protector: Protector,
}

impl DataKey {
    /// The customer's key that protects it.
    pub fn customer(&self) -> Option<&CustomerKey> {
        match &self.protector {
            Protector::Service { .. } => None,
            Protector::Customer { key, .. } => Some(key),
        }
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<DataKey> {
    let bytes: Vec<u8> = row.get("bytes")?;
    let protector = match row.get::<_, Option<String>>("principal")? {
        None => Protector::Service { sealed: bytes },
        Some(principal) => Protector::Customer {
            wrapped: bytes,
            key: CustomerKey {
                principal,
                vault_uri: row.get("vault_uri")?,
                name: row.get("key_name")?,
                version: row.get("key_version")?,
                set: row.get("encryption_set")?,
                double: row.get("double")?,
                follows: row.get("follows")?,
                next_check: row.get("next_check")?,
            },
        },
    };
    Ok(DataKey { owner: row.get("owner")?, protector })
}

fn all(tx: &Connection, sql: &str, values: impl rusqlite::Params) -> Result<Vec<DataKey>, Refusal> {
    let mut statement = tx.prepare_cached(sql)?;
    let rows = statement.query_map(values, from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The data key of an owner, which must have one.
pub(crate) fn get(tx: &Connection, owner: &str) -> Result<DataKey, Refusal> {
    let row = tx.prepare_cached("SELECT * FROM data_keys WHERE owner = ?1")?.query_row([owner], from_row).optional()?;
    row.ok_or_else(|| Refusal::internal(format!("{owner} has no data key")))
}

/// Data keys of a kind of owner that look for a newer version by now.
pub(crate) fn due(tx: &Connection, kind: &str, now: i64) -> Result<Vec<DataKey>, Refusal> {
    all(
        tx,
        "SELECT * FROM data_keys
         WHERE next_check IS NOT NULL AND next_check <= ?2 AND substr(owner, 1, length(?1) + 1) = ?1 || '/'
         ORDER BY owner",
        params![kind, now],
    )
}

/// Data keys under a disk encryption set, by its id.
pub(crate) fn members(tx: &Connection, set: &str) -> Result<Vec<DataKey>, Refusal> {
    all(tx, "SELECT * FROM data_keys WHERE encryption_set = ?1 ORDER BY owner", [set])
}

/// Lets another identity ask for the data keys under a disk encryption set.
pub(crate) fn hand_over(tx: &Connection, set: &str, principal: &str) -> Result<(), Refusal> {
    tx.prepare_cached("UPDATE data_keys SET principal = ?2 WHERE encryption_set = ?1")?
        .execute(params![set, principal])?;
    Ok(())
}

/// Stores a data key.
pub(super) fn put(tx: &Connection, key: &DataKey) -> Result<(), Refusal> {
    let (bytes, by) = match &key.protector {
        Protector::Service { sealed } => (sealed, None),
        Protector::Customer { wrapped, key } => (wrapped, Some(key)),
    };
    tx.prepare_cached(
        "INSERT OR REPLACE INTO data_keys
         (owner, bytes, principal, vault_uri, key_name, key_version, encryption_set, double, follows, next_check)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        key.owner,
        bytes,
        by.map(|by| &by.principal),
        by.map(|by| &by.vault_uri),
        by.map(|by| &by.name),
        by.map(|by| &by.version),
        by.and_then(|by| by.set.as_ref()),
        by.is_some_and(|by| by.double),
        by.is_some_and(|by| by.follows),
        by.and_then(|by| by.next_check),
    ])?;
    Ok(())
}

/// Removes a data key.
pub(super) fn delete(tx: &Connection, owner: &str) -> Result<(), Refusal> {
    tx.prepare_cached("DELETE FROM data_keys WHERE owner = ?1")?.execute([owner])?;
    Ok(())
}
