//! The rows behind storage accounts: what ARM never shows.

use rusqlite::{Connection, OptionalExtension, Row, params};
use sealbook_crypto::SecretBytes;

use crate::cx::Cx;
use crate::refusal::Refusal;

/// Table of the accounts. `dek` is sealed by the service's key when `principal` is null, else wrapped by the
/// customer's key.
pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS storage_accounts (
    id          INTEGER PRIMARY KEY,
    uid         TEXT NOT NULL UNIQUE,
    name        TEXT NOT NULL UNIQUE,
    resource    TEXT NOT NULL UNIQUE COLLATE NOCASE,
    dek         BLOB NOT NULL,
    principal   TEXT,
    vault_uri   TEXT,
    key_name    TEXT,
    key_version TEXT,
    follows     INTEGER NOT NULL DEFAULT 0,
    next_check  INTEGER,
    access_keys BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS storage_accounts_due ON storage_accounts (next_check) WHERE next_check IS NOT NULL;
";

/// Length of an access key in bytes.
const ACCESS_KEY: usize = 64;

/// An account's row.
#[derive(Clone, Debug)]
pub(super) struct Account {
    /// Row id.
    pub id: i64,
    /// 32 hexadecimal digits that no other account ever has: a new account of the same name can't open the old one's
    /// bytes.
    pub uid: String,
    /// Name.
    pub name: String,
    /// ARM id.
    pub resource: String,
    /// What protects the data encryption key.
    pub protector: Protector,
}

/// What protects an account's data encryption key.
#[derive(Clone, Debug)]
pub(super) enum Protector {
    /// The service's own key (`Microsoft.Storage`).
    Service {
        /// The sealed key.
        sealed: Vec<u8>,
    },
    /// The customer's key (`Microsoft.Keyvault`).
    Customer {
        /// The wrapped key.
        wrapped: Vec<u8>,
        /// Which key wrapped it, and who asks.
        key: CustomerKey,
    },
}

/// A customer's key as an account uses it.
#[derive(Clone, Debug)]
pub(super) struct CustomerKey {
    /// Object id of the identity with which the account asks the vault.
    pub principal: String,
    /// Vault as the customer wrote it.
    pub vault_uri: String,
    /// Key name.
    pub name: String,
    /// The version that wrapped the data encryption key.
    pub version: String,
    /// Whether the account moves to newer versions by itself.
    pub follows: bool,
    /// When it looks for a newer version next, in milliseconds since the epoch.
    pub next_check: Option<i64>,
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Account> {
    let dek: Vec<u8> = row.get("dek")?;
    let protector = match row.get::<_, Option<String>>("principal")? {
        None => Protector::Service { sealed: dek },
        Some(principal) => Protector::Customer {
            wrapped: dek,
            key: CustomerKey {
                principal,
                vault_uri: row.get("vault_uri")?,
                name: row.get("key_name")?,
                version: row.get("key_version")?,
                follows: row.get("follows")?,
                next_check: row.get("next_check")?,
            },
        },
    };
    Ok(Account {
        id: row.get("id")?,
        uid: row.get("uid")?,
        name: row.get("name")?,
        resource: row.get("resource")?,
        protector,
    })
}

fn one(tx: &Connection, column: &str, value: &str) -> Result<Option<Account>, Refusal> {
    let row = tx
        .prepare_cached(&format!("SELECT * FROM storage_accounts WHERE {column} = ?1"))?
        .query_row([value], from_row)
        .optional()?;
    Ok(row)
}

/// Reads an account by name.
pub(super) fn by_name(tx: &Connection, name: &str) -> Result<Option<Account>, Refusal> {
    one(tx, "name", name)
}

/// Reads an account by ARM id.
pub(super) fn by_resource(tx: &Connection, resource: &str) -> Result<Option<Account>, Refusal> {
    one(tx, "resource", resource)
}

/// Accounts that look for a newer key version by now.
pub(super) fn due(tx: &Connection, now: i64) -> Result<Vec<Account>, Refusal> {
    let mut statement =
        tx.prepare_cached("SELECT * FROM storage_accounts WHERE next_check IS NOT NULL AND next_check <= ?1")?;
    let rows = statement.query_map([now], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds an account with a fresh data encryption key and fresh access keys.
pub(super) fn create(cx: &Cx<'_>, name: &str, resource: &str) -> Result<Account, Refusal> {
    let uid = hex::encode(cx.random::<16>());
    let dek = sealbook_crypto::SealKey::generate();
    let sealed = cx.seal(&dek_place(&uid), dek.expose());
    let keys = cx.seal(&access_keys_place(&uid), &cx.random::<{ 2 * ACCESS_KEY }>());
    cx.tx
        .prepare_cached(
            "INSERT INTO storage_accounts (uid, name, resource, dek, access_keys) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![uid, name, resource, sealed, keys])?;
    Ok(Account {
        id: cx.tx.last_insert_rowid(),
        uid,
        name: name.to_owned(),
        resource: resource.to_owned(),
        protector: Protector::Service { sealed },
    })
}

/// Stores what protects the account's data encryption key.
pub(super) fn protect(tx: &Connection, account: &Account) -> Result<(), Refusal> {
    let (dek, key) = match &account.protector {
        Protector::Service { sealed } => (sealed, None),
        Protector::Customer { wrapped, key } => (wrapped, Some(key)),
    };
    tx.prepare_cached(
        "UPDATE storage_accounts SET dek = ?2, principal = ?3, vault_uri = ?4, key_name = ?5, key_version = ?6,
         follows = ?7, next_check = ?8 WHERE id = ?1",
    )?
    .execute(params![
        account.id,
        dek,
        key.map(|key| &key.principal),
        key.map(|key| &key.vault_uri),
        key.map(|key| &key.name),
        key.map(|key| &key.version),
        key.is_some_and(|key| key.follows),
        key.and_then(|key| key.next_check),
    ])?;
    Ok(())
}

/// Removes the account's row.
pub(super) fn delete(tx: &Connection, account: &Account) -> Result<(), Refusal> {
    tx.prepare_cached("DELETE FROM storage_accounts WHERE id = ?1")?.execute([account.id])?;
    Ok(())
}

/// Number of accounts of a subscription in a region.
pub(super) fn count(tx: &Connection, subscription: &str, location: &str) -> Result<i64, Refusal> {
    let count = tx
        .prepare_cached(
            "SELECT count(*) FROM resources WHERE type = 'Microsoft.Storage/storageAccounts' AND subscription = ?1
             AND location = ?2 COLLATE NOCASE",
        )?
        .query_row([subscription, location], |row| row.get(0))?;
    Ok(count)
}

/// The two access keys, 64 bytes each.
pub(super) fn access_keys(cx: &Cx<'_>, account: &Account) -> Result<[SecretBytes; 2], Refusal> {
    let sealed: Vec<u8> = cx
        .tx
        .prepare_cached("SELECT access_keys FROM storage_accounts WHERE id = ?1")?
        .query_row([account.id], |row| row.get(0))?;
    let both = cx.open(&access_keys_place(&account.uid), &sealed)?;
    let (first, second) = both
        .expose()
        .split_at_checked(ACCESS_KEY)
        .ok_or_else(|| Refusal::internal(format!("the access keys of {} are too short", account.name)))?;
    Ok([first.to_vec().into(), second.to_vec().into()])
}

/// Replaces one of the two access keys (0 or 1).
pub(super) fn renew_access_key(cx: &Cx<'_>, account: &Account, which: usize) -> Result<(), Refusal> {
    let keys = access_keys(cx, account)?;
    let fresh: SecretBytes = cx.random::<ACCESS_KEY>().to_vec().into();
    let mut both = zeroize::Zeroizing::new(Vec::with_capacity(2 * ACCESS_KEY));
    for (index, key) in keys.iter().enumerate() {
        both.extend_from_slice(if index == which { fresh.expose() } else { key.expose() });
    }
    let sealed = cx.seal(&access_keys_place(&account.uid), &both);
    cx.tx
        .prepare_cached("UPDATE storage_accounts SET access_keys = ?2 WHERE id = ?1")?
        .execute(params![account.id, sealed])?;
    Ok(())
}

/// Associated data of a data encryption key that the service's key seals.
pub(super) fn dek_place(uid: &str) -> String {
    format!("storage-dek/{uid}")
}

fn access_keys_place(uid: &str) -> String {
    format!("storage-access-keys/{uid}")
}
