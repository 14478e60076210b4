//! How many disks and snapshots a subscription has in a region, and may have.

use rusqlite::params;
use serde_json::{Value, json};

use super::{DISKS, SNAPSHOTS};
use crate::cx::Cx;
use crate::fault;
use crate::refusal::Refusal;

/// How many of each a subscription may have in a region.
const LIMIT: i64 = 50_000;

/// Names of the quotas: value, text, resource type, the SKUs that count.
const QUOTAS: &[(&str, &str, &str, &[&str])] = &[
    ("StandardDiskCount", "Standard Storage Managed Disks", DISKS, &["Standard_LRS"]),
    ("PremiumDiskCount", "Premium Storage Managed Disks", DISKS, &["Premium_LRS", "Premium_ZRS"]),
    ("StandardSSDDiskCount", "StandardSSDStorageDisks", DISKS, &["StandardSSD_LRS", "StandardSSD_ZRS"]),
    ("UltraSSDDiskCount", "UltraSSDStorageDisks", DISKS, &["UltraSSD_LRS"]),
    ("PremiumV2DiskCount", "PremiumV2StorageDisks", DISKS, &["PremiumV2_LRS"]),
    ("StandardSnapshotCount", "StandardStorageSnapshots", SNAPSHOTS, &["Standard_LRS"]),
    ("PremiumSnapshotCount", "PremiumStorageSnapshots", SNAPSHOTS, &["Premium_LRS"]),
    ("ZRSSnapshotCount", "ZrsStorageSnapshots", SNAPSHOTS, &["Standard_ZRS"]),
];

fn count(cx: &Cx<'_>, subscription: &str, location: &str, kind: &str, skus: &[&str]) -> Result<i64, Refusal> {
    let mut sum = 0;
    for sku in skus {
        let count: i64 = cx
            .tx
            .prepare_cached(
                "SELECT count(*) FROM resources WHERE type = ?1 AND subscription = ?2 AND location = ?3 COLLATE NOCASE
                 AND json_extract(body, '$.sku.name') = ?4",
            )?
            .query_row(params![kind, subscription, location, sku], |row| row.get(0))?;
        sum += count;
    }
    Ok(sum)
}

fn limit(cx: &Cx<'_>, location: &str, name: &str) -> Result<i64, Refusal> {
    let zero = fault::zero_quotas(cx)?.iter().any(|lack| lack.covers(location, name));
    Ok(if zero { 0 } else { LIMIT })
}

/// Refuses another disk or snapshot where the quota is used up.
pub(super) fn check(cx: &Cx<'_>, subscription: &str, location: &str, kind: &str, sku: &str) -> Result<(), Refusal> {
    for (name, _, of, skus) in QUOTAS {
        if *of != kind || !skus.contains(&sku) {
            continue;
        }
        let (count, limit) = (count(cx, subscription, location, kind, skus)?, limit(cx, location, name)?);
        if count >= limit {
            return Err(Refusal::new(
                409,
                "OperationNotAllowed",
                format!(
                    "Operation could not be completed as it results in exceeding approved {name} quota. Location: \
                     {location}, current limit: {limit}, current usage: {count}."
                ),
            ));
        }
    }
    Ok(())
}

/// The rows of `Usage_List`.
pub(in crate::compute) fn usages(cx: &Cx<'_>, subscription: &str, location: &str) -> Result<Vec<Value>, Refusal> {
    QUOTAS
        .iter()
        .map(|(name, text, kind, skus)| {
            Ok(json!({
                "unit": "Count",
                "currentValue": count(cx, subscription, location, kind, skus)?,
                "limit": limit(cx, location, name)?,
                "name": { "value": name, "localizedValue": text },
            }))
        })
        .collect()
}
