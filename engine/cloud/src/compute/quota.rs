//! How many vCPUs a subscription may use in a region, and how many its machines use.
//!
//! Source: <https://learn.microsoft.com/azure/virtual-machines/quotas>.

use serde_json::{Value, json};

use super::sizes::{self, FAMILIES, Size};
use super::vm;
use crate::cx::Cx;
use crate::fault;
use crate::refusal::Refusal;
use crate::store::resources::{Filter, Resource};

/// One quota of a subscription in a region.
#[derive(Clone, Debug)]
pub(super) struct Quota {
    name: &'static str,
    text: &'static str,
    limit: u32,
    used: u32,
}

impl Quota {
    /// The document that `Usage_List` answers.
    pub fn document(&self) -> Value {
        json!({
            "unit": "Count",
            "currentValue": self.used,
            "limit": self.limit,
            "name": { "value": self.name, "localizedValue": self.text },
        })
    }
}

/// Quota of all vCPUs of a region.
const CORES: &str = "cores";

/// The machines of a subscription in a region.
fn machines(cx: &Cx<'_>, subscription: &str, location: &str) -> Result<Vec<Resource>, Refusal> {
    let filter = Filter { subscription: Some(subscription), kind: Some(vm::NAME), ..Filter::default() };
    let mut machines = cx.resources(filter)?;
    machines.retain(|machine| machine.location.as_deref() == Some(location));
    Ok(machines)
}

/// All quotas of a subscription in a region. A deallocated machine uses no vCPUs.
pub(super) fn all(cx: &Cx<'_>, subscription: &str, location: &str) -> Result<Vec<Quota>, Refusal> {
    of(cx, location, &machines(cx, subscription, location)?)
}

fn of(cx: &Cx<'_>, location: &str, machines: &[Resource]) -> Result<Vec<Quota>, Refusal> {
    let zero = fault::zero_quotas(cx)?;
    let allocated: Vec<&Size> =
        machines.iter().filter(|m| vm::is_allocated(m)).filter_map(|m| sizes::find(vm::size_of(m))).collect();
    let used = |family: Option<&str>| {
        allocated.iter().filter(|size| family.is_none_or(|family| size.family == family)).map(|size| size.cpus).sum()
    };
    let quota = |name: &'static str, text: &'static str, limit: u32, used: u32| {
        let limit = if zero.iter().any(|z| z.covers(location, name)) { 0 } else { limit };
        Quota { name, text, limit, used }
    };
    let count = u32::try_from(machines.len()).unwrap_or(u32::MAX);
    let mut all = vec![
        quota("availabilitySets", "Availability Sets", 2_500, 0),
        quota(CORES, "Total Regional vCPUs", 100, used(None)),
        quota("virtualMachines", "Virtual Machines", 25_000, count),
    ];
    all.extend(FAMILIES.iter().map(|f| quota(f.name, f.text, f.limit, used(Some(f.name)))));
    Ok(all)
}

/// Refuses a machine of `size` that a quota does not allow. `machine` is its id, so that it does not count twice.
pub(super) fn require(
    cx: &Cx<'_>,
    subscription: &str,
    location: &str,
    machine: &str,
    size: &Size,
) -> Result<(), Refusal> {
    let mut others = machines(cx, subscription, location)?;
    others.retain(|other| !other.id.eq_ignore_ascii_case(machine));
    let quotas = of(cx, location, &others)?;
    for (name, text) in [(size.family, size.family), (CORES, "Total Regional")] {
        let Some(quota) = quotas.iter().find(|quota| quota.name == name) else { continue };
        let needed = quota.used + size.cpus;
        if needed > quota.limit {
            return Err(Refusal::new(
                409,
                "OperationNotAllowed",
                format!(
                    "Operation could not be completed as it results in exceeding approved {text} Cores quota. \
                     Additional details - Deployment Model: Resource Manager, Location: {location}, Current Limit: {}, \
                     Current Usage: {}, Additional Required: {}, (Minimum) New Limit Required: {needed}. Setup Alerts \
                     when Quota reaches threshold. Learn more at https://aka.ms/quotamonitoringalerting .",
                    quota.limit, quota.used, size.cpus
                ),
            ));
        }
    }
    Ok(())
}
