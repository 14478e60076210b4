//! Rows of key stores.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, params};
use serde_json::Value;

use super::super::entries::deletion;
use super::super::keystore::{Deletion, KeyStore, Kind};
use super::json;
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::store::{instant, millis};

/// Reads the key store of a label, live or soft-deleted.
pub(in crate::keyvault) fn keystore(cx: &Cx<'_>, label: &str) -> Result<Option<KeyStore>, Refusal> {
    let stored = cx
        .tx
        .prepare_cached("SELECT * FROM keyvault_vaults WHERE name = ?1")?
        .query_row([label], |row| {
            let deletion = deletion(row)?;
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
pub(in crate::keyvault) fn deleted_keystores(
    cx: &Cx<'_>,
    kind: Kind,
    subscription: &str,
) -> Result<Vec<KeyStore>, Refusal> {
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
pub(in crate::keyvault) fn insert_keystore(
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
pub(in crate::keyvault) fn mark_keystore_deleted(
    cx: &Cx<'_>,
    keystore: &KeyStore,
    deletion: &Deletion,
) -> Result<(), Refusal> {
    cx.tx
        .prepare_cached("UPDATE keyvault_vaults SET deleted = ?2, purge = ?3, body = ?4 WHERE name = ?1")?
        .execute(params![keystore.label, millis(deletion.at), millis(deletion.purge), keystore.body.to_string()])?;
    Ok(())
}

/// Marks a soft-deleted key store as live again.
pub(in crate::keyvault) fn mark_keystore_live(cx: &Cx<'_>, label: &str, ready: DateTime<Utc>) -> Result<(), Refusal> {
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
