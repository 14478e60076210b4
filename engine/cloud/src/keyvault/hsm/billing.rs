//! What managed HSMs cost: a pool is billed by the hour from its creation until it is purged, soft-deleted or not.

use chrono::{DateTime, Utc};
use rusqlite::Connection;
use serde::Serialize;

use crate::refusal::Refusal;
use crate::store::instant;

/// Price of a pool of the SKU Standard_B1 in US dollars per hour (Azure Key Vault pricing, Managed HSM pools).
const USD_PER_HOUR: f64 = 3.20;

/// A pool that is billed, live or soft-deleted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HsmBill {
    /// ARM id; of a soft-deleted pool, the id that it had.
    pub id: String,
    /// Price in US dollars per hour; `None` for a SKU whose price is not public.
    pub usd_per_hour: Option<f64>,
    /// When billing began (cloud clock).
    pub since: DateTime<Utc>,
    /// When it was soft-deleted.
    pub deleted: Option<DateTime<Utc>>,
    /// When a soft-deleted pool is purged by itself, which ends the billing.
    pub purge: Option<DateTime<Utc>>,
    /// Whether nobody can purge it earlier.
    pub purge_protected: bool,
}

impl HsmBill {
    /// What the pool has cost by an instant, in US dollars.
    #[must_use]
    pub fn spent(&self, at: DateTime<Utc>) -> Option<f64> {
        let end = self.purge.map_or(at, |purge| purge.min(at));
        Some(self.usd_per_hour? * hours(self.since, end))
    }

    /// What a soft-deleted pool still costs from an instant on when nobody purges it earlier, in US dollars.
    #[must_use]
    pub fn remaining(&self, from: DateTime<Utc>) -> Option<f64> {
        Some(self.usd_per_hour? * hours(from, self.purge?))
    }
}

fn hours(from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "seconds of a pool's life fit the 52 bits")]
    let seconds = (to - from).num_seconds().max(0) as f64;
    seconds / 3600.0
}

/// Reads all pools that are billed, by name.
pub(crate) fn read(tx: &Connection) -> Result<Vec<HsmBill>, Refusal> {
    let mut statement = tx.prepare_cached(
        "SELECT v.id, h.made, v.deleted, v.purge, ifnull(v.body, r.body) FROM keyvault_hsms h
         JOIN keyvault_vaults v ON v.name = h.label LEFT JOIN resources r ON r.id = v.id ORDER BY h.label",
    )?;
    let rows = statement.query_map([], |row| {
        let body: Option<String> = row.get(4)?;
        let body: serde_json::Value = body.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        Ok(HsmBill {
            id: row.get(0)?,
            usd_per_hour: (body["sku"]["name"] == "Standard_B1").then_some(USD_PER_HOUR),
            since: instant(row.get(1)?),
            deleted: row.get::<_, Option<i64>>(2)?.map(instant),
            purge: row.get::<_, Option<i64>>(3)?.map(instant),
            purge_protected: body["properties"]["enablePurgeProtection"] == true,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
