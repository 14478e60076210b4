//! Rows of the rotation policies of keys.

use rusqlite::{OptionalExtension, Row, params};

use super::super::entries::KEYS;
use super::super::rotation_policy::Policy;
use super::{Key, json};
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::store::{instant, millis};

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
pub(in crate::keyvault) fn policy(cx: &Cx<'_>, key: i64) -> Result<Option<Policy>, Refusal> {
    let policy = cx
        .tx
        .prepare_cached("SELECT * FROM keyvault_policies WHERE key = ?1")?
        .query_row([key], policy_from)
        .optional()?;
    Ok(policy)
}

/// Writes the rotation policy of a key.
pub(in crate::keyvault) fn put_policy(cx: &Cx<'_>, key: i64, policy: &Policy) -> Result<(), Refusal> {
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
pub(in crate::keyvault) fn policies(cx: &Cx<'_>) -> Result<Vec<(String, Key, Policy)>, Refusal> {
    let mut statement = cx.tx.prepare_cached(
        "SELECT p.key, v.name FROM keyvault_policies p JOIN keyvault_keys k ON k.id = p.key
         JOIN keyvault_vaults v ON v.name = k.vault
         WHERE k.deleted IS NULL AND v.deleted IS NULL ORDER BY p.key",
    )?;
    let rows: Vec<(i64, String)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    let mut found = Vec::new();
    for (row, label) in rows {
        if let (Some(key), Some(policy)) = (KEYS.at(cx, row)?, policy(cx, row)?) {
            found.push((label, key, policy));
        }
    }
    Ok(found)
}
