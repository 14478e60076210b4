//! Moving disk encryption sets to newer versions of their keys, and wrapping data keys anew.
//!
//! A set that follows its key looks for a newer version within an hour. Whoever changes the key, the data keys of the
//! set's members are wrapped anew in the background; until the last one is, `previousKeys` names the keys that are
//! still needed.

use chrono::Duration;
use rusqlite::params;
use serde_json::{Value, json};

use super::{CONFIDENTIAL, customer_key, refusal};
use crate::arm::resource::id_of;
use crate::compute::volumes;
use crate::cx::Cx;
use crate::encryption::{self, CustomerKey, DataKey, Locked};
use crate::refusal::Refusal;
use crate::store::millis;
use crate::store::resources::{self, Resource};

/// When a set is looked after next.
pub(in crate::compute) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS disk_encryption_set_checks (
    resource TEXT PRIMARY KEY COLLATE NOCASE,
    due      INTEGER NOT NULL
) STRICT;
";

/// How often a set that follows its key looks for a newer version.
const FOLLOW: Duration = Duration::minutes(30);
/// How soon data keys are wrapped anew after a change, and how often that is tried again.
const REWRAP: Duration = Duration::milliseconds(500);

/// Whether a data key waits to be wrapped with the key that its set names.
fn waits(key: &DataKey, active: &CustomerKey) -> bool {
    key.customer()
        .is_none_or(|by| (&by.vault_uri, &by.name, &by.version) != (&active.vault_uri, &active.name, &active.version))
}

/// Notes the key that a set had until now, when data keys still need it.
pub(super) fn remember(cx: &Cx<'_>, set: &str, properties: &mut Value, before: &Value) -> Result<(), Refusal> {
    if before.is_null() || encryption::members(cx.tx, set)?.is_empty() {
        return Ok(());
    }
    let mut previous = properties["previousKeys"].as_array().cloned().unwrap_or_default();
    previous.retain(|key| key["keyUrl"] != before["keyUrl"] && key["keyUrl"] != properties["activeKey"]["keyUrl"]);
    previous.push(before.clone());
    properties["previousKeys"] = previous.into();
    Ok(())
}

/// Refuses another key for a set for confidential virtual machines while one of them runs: their disks are wrapped
/// anew only offline.
pub(super) fn check_offline(cx: &Cx<'_>, set: &str, kind: &str) -> Result<(), Refusal> {
    if kind != CONFIDENTIAL {
        return Ok(());
    }
    for key in encryption::members(cx.tx, set)? {
        let Some(volume) = volumes::by_owner(cx.tx, &key.owner)? else { continue };
        let Some(disk) = cx.resource(&volume.resource)? else { continue };
        if disk.body["properties"]["diskState"] == "Attached" {
            return Err(Refusal::new(
                409,
                "OperationNotAllowed",
                format!(
                    "The key of the disk encryption set can't change while disk '{}' is in use by a running \
                     confidential virtual machine. Deallocate '{}' first.",
                    disk.name,
                    disk.body["managedBy"].as_str().unwrap_or_default()
                ),
            ));
        }
    }
    Ok(())
}

/// Plans the next look after a set.
pub(super) fn schedule(cx: &Cx<'_>, set: &Resource) -> Result<(), Refusal> {
    let active = customer_key(&set.id, &set.body);
    let waiting = match &active {
        Some(active) => encryption::members(cx.tx, &set.id)?.iter().any(|key| waits(key, active)),
        None => false,
    };
    let follows = set.body["properties"]["rotationToLatestKeyVersionEnabled"] == true;
    let after = match (waiting, follows) {
        (true, _) => REWRAP,
        (false, true) => FOLLOW,
        (false, false) => return forget(cx, &set.id),
    };
    cx.tx
        .prepare_cached("INSERT OR REPLACE INTO disk_encryption_set_checks (resource, due) VALUES (?1, ?2)")?
        .execute(params![set.id, millis(cx.now + after)])?;
    Ok(())
}

/// Plans no further look after a set.
pub(super) fn forget(cx: &Cx<'_>, set: &str) -> Result<(), Refusal> {
    cx.tx.prepare_cached("DELETE FROM disk_encryption_set_checks WHERE resource = ?1")?.execute([set])?;
    Ok(())
}

/// Looks after the sets that are due.
pub(in crate::compute) fn tick(cx: &mut Cx<'_>) -> Result<(), Refusal> {
    let due: Vec<String> = {
        let mut statement =
            cx.tx.prepare_cached("SELECT resource FROM disk_encryption_set_checks WHERE due <= ?1 ORDER BY due")?;
        let rows = statement.query_map([millis(cx.now)], |row| row.get(0))?;
        rows.collect::<Result<_, _>>()?
    };
    for id in due {
        let Some(mut set) = cx.resource(&id)? else {
            forget(cx, &id)?;
            continue;
        };
        let before = set.body.clone();
        if set.body["properties"]["rotationToLatestKeyVersionEnabled"] == true {
            follow(cx, &mut set)?;
        }
        wrap_anew(cx, &mut set)?;
        if set.body != before {
            set = resources::put(cx.tx, &id_of(&set)?, set.body, cx.now)?;
        }
        schedule(cx, &set)?;
    }
    Ok(())
}

/// Moves a set to the newest version of its key, or shows why it can't.
fn follow(cx: &mut Cx<'_>, set: &mut Resource) -> Result<(), Refusal> {
    let before = set.body["properties"]["activeKey"].clone();
    let found = match customer_key(&set.id, &set.body) {
        None => Err(Locked::IdentityGone),
        Some(by) => encryption::probe(cx, &CustomerKey { version: String::new(), ..by.clone() })
            .map(|used| (used.version != by.version).then_some(used.kid)),
    };
    let properties = &mut set.body["properties"];
    match found {
        Ok(newer) => {
            if let Some(properties) = properties.as_object_mut() {
                properties.shift_remove("autoKeyRotationError");
            }
            if let Some(kid) = newer {
                properties["activeKey"]["keyUrl"] = kid.into();
                properties["lastKeyRotationTimestamp"] = crate::time::rfc3339(cx.now).into();
                remember(cx, &set.id, properties, &before)?;
            }
        }
        Err(Locked::IdentityGone) => {
            properties["autoKeyRotationError"] = json!({
                "code": "ManagedServiceIdentityNotFound",
                "message": format!(
                    "The key can't be rotated: the managed identity of disk encryption set '{}' was not found. Give \
                     the set an identity that may use the key.",
                    set.name
                ),
            });
        }
        Err(locked) => {
            let url = before["keyUrl"].as_str().unwrap_or_default();
            let refusal = refusal(locked, &set.name, url);
            if let Some(cause) = refusal.cause() {
                tracing::error!(set = set.id, cause, "a disk encryption set can't follow its key");
            }
            properties["autoKeyRotationError"] = refusal.arm_error();
        }
    }
    Ok(())
}

/// Wraps the data keys of a set's members with the key that it names. A member whose old key is out of reach stays
/// with it and is tried again.
fn wrap_anew(cx: &mut Cx<'_>, set: &mut Resource) -> Result<(), Refusal> {
    let Some(active) = customer_key(&set.id, &set.body) else { return Ok(()) };
    let mut left = false;
    for mut key in encryption::members(cx.tx, &set.id)? {
        if !waits(&key, &active) {
            continue;
        }
        let moved = encryption::unlock_to_change(cx, &key, &active.principal)
            .and_then(|opened| encryption::adopt(cx, &mut key, &opened, active.clone()));
        if let Err(locked) = moved {
            left = true;
            if let Locked::Internal(refusal) = locked {
                let cause = refusal.cause().unwrap_or(&refusal.message);
                tracing::error!(owner = key.owner, cause, "a data key can't be wrapped anew");
            }
        }
    }
    if !left {
        set.body["properties"]["previousKeys"] = json!([]);
    }
    Ok(())
}
