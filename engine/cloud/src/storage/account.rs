//! The rows behind storage accounts: what ARM never shows.

use rusqlite::{Connection, OptionalExtension, Row, params};
use sealbook_crypto::SecretBytes;

use crate::cx::Cx;
use crate::encryption;
use crate::refusal::Refusal;

/// Table of the accounts.
pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS storage_accounts (
    id          INTEGER PRIMARY KEY,
    uid         TEXT NOT NULL UNIQUE,
    name        TEXT NOT NULL UNIQUE,
    resource    TEXT NOT NULL UNIQUE COLLATE NOCASE,
    access_keys BLOB NOT NULL
) STRICT;
";

/// Kind of the owners of data keys that accounts are.
pub(super) const OWNER: &str = "storage-account";

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
}

impl Account {
    /// Its name as the owner of its data key.
    pub fn owner(&self) -> String {
        format!("{OWNER}/{}", self.uid)
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account { id: row.get("id")?, uid: row.get("uid")?, name: row.get("name")?, resource: row.get("resource")? })
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

/// Reads an account by its name as the owner of a data key.
pub(super) fn by_owner(tx: &Connection, owner: &str) -> Result<Option<Account>, Refusal> {
    match owner.split_once('/') {
        Some((OWNER, uid)) => one(tx, "uid", uid),
        _ => Ok(None),
    }
}

/// Adds an account with a fresh data key and fresh access keys.
pub(super) fn create(cx: &Cx<'_>, name: &str, resource: &str) -> Result<Account, Refusal> {
    let uid = hex::encode(cx.random::<16>());
    let keys = cx.seal(&access_keys_place(&uid), &cx.random::<{ 2 * ACCESS_KEY }>());
    cx.tx
        .prepare_cached("INSERT INTO storage_accounts (uid, name, resource, access_keys) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![uid, name, resource, keys])?;
    let account = Account { id: cx.tx.last_insert_rowid(), uid, name: name.to_owned(), resource: resource.to_owned() };
    encryption::create(cx, &account.owner())?;
    Ok(account)
}

/// Removes the account's row and its data key.
pub(super) fn delete(cx: &Cx<'_>, account: &Account) -> Result<(), Refusal> {
    encryption::destroy(cx, &account.owner())?;
    cx.tx.prepare_cached("DELETE FROM storage_accounts WHERE id = ?1")?.execute([account.id])?;
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

fn access_keys_place(uid: &str) -> String {
    format!("storage-access-keys/{uid}")
}
