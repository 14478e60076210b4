//! What the managed HSMs of the embedded Azure would cost on Azure: from their making until they are purged.

use chrono::{DateTime, SecondsFormat, Utc};
use sealbook_cloud::{Cloud, CloudError, HsmBill, Item};
use serde_json::{Value, json};

use crate::render::text::usd;

/// The bills as of the cloud's clock.
pub struct Bills {
    now: DateTime<Utc>,
    all: Vec<HsmBill>,
}

impl Bills {
    /// Reads them.
    pub fn of(cloud: &Cloud) -> Result<Self, CloudError> {
        Ok(Self { now: cloud.now()?, all: cloud.hsm_bills()? })
    }

    /// All of them in words.
    pub fn told(&self) -> impl Iterator<Item = String> {
        self.all.iter().map(|bill| self.tell(bill))
    }

    /// Those of soft-deleted ones in words: nothing else reminds of them.
    pub fn of_deleted(&self) -> impl Iterator<Item = String> {
        self.all.iter().filter(|bill| bill.deleted.is_some()).map(|bill| self.tell(bill))
    }

    /// The bill for a thing of the inventory.
    pub fn json(&self, item: &Item) -> Option<Value> {
        if !item.kind.to_ascii_lowercase().contains("hsm") {
            return None;
        }
        let id = item.id.split('@').next().unwrap_or_default();
        let bill = self.all.iter().find(|bill| bill.id.eq_ignore_ascii_case(id))?;
        Some(json!({
            "usd_per_hour": bill.usd_per_hour, "since": bill.since, "deleted": bill.deleted, "until": bill.purge,
            "purge_protected": bill.purge_protected, "usd_so_far": bill.spent(self.now),
            "usd_to_come": bill.remaining(self.now),
        }))
    }

    fn tell(&self, bill: &HsmBill) -> String {
        let name = bill.id.rsplit('/').next().unwrap_or_default();
        let amount = |usd_or_unknown: Option<f64>| usd_or_unknown.map_or_else(|| "an unknown sum".into(), usd);
        let (hour, so_far) = (amount(bill.usd_per_hour), amount(bill.spent(self.now)));
        let rate = format!("{hour} an hour on Azure, {so_far} so far");
        let Some(until) = bill.purge.filter(|_| bill.deleted.is_some()) else {
            return format!("the managed HSM {name} is billed until it is deleted and purged: {rate}");
        };
        let end = if bill.purge_protected {
            "nobody can purge it earlier".to_owned()
        } else {
            format!("az keyvault purge --hsm-name {name} ends it")
        };
        let (until, to_come) = (until.to_rfc3339_opts(SecondsFormat::Secs, true), amount(bill.remaining(self.now)));
        format!("the managed HSM {name} is deleted and still billed, until {until}: {rate}, {to_come} to come; {end}")
    }
}
