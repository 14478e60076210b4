//! How many vCPUs a subscription may use in a region, and how many its machines use, those of node pools included.
//!
//! Source: <https://learn.microsoft.com/azure/virtual-machines/quotas>.

use serde_json::{Value, json};

use super::sizes::{self, FAMILIES, Size};
use super::vm;
use crate::cx::Cx;
use crate::fault;
use crate::refusal::Refusal;
use crate::registry::PROVIDERS;
use crate::resource_id::within;
use crate::resources::locations;
use crate::service::Machines;
use crate::store::resources::{Filter, Resource};

/// One quota of a subscription in a region.
#[derive(Clone, Debug)]
pub(crate) struct Quota {
    /// A family, or [`CORES`].
    pub name: &'static str,
    text: &'static str,
    limit: u32,
    used: u32,
}

impl Quota {
    /// What is left of it.
    pub fn left(&self) -> u32 {
        self.limit.saturating_sub(self.used)
    }

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
pub(crate) const CORES: &str = "cores";

/// The virtual machines of a subscription in a region.
fn virtual_machines(cx: &Cx<'_>, subscription: &str, location: &str) -> Result<Vec<Resource>, Refusal> {
    let filter = Filter { subscription: Some(subscription), kind: Some(vm::NAME), ..Filter::default() };
    let mut machines = cx.resources(filter)?;
    machines.retain(|machine| machine.location.as_deref() == Some(location));
    Ok(machines)
}

/// What Compute's own machines count as. A deallocated one uses no vCPUs.
pub(super) fn machines(cx: &Cx<'_>, subscription: &str, location: &str) -> Result<Vec<Machines>, Refusal> {
    let allocated = virtual_machines(cx, subscription, location)?.into_iter().filter(vm::is_allocated);
    Ok(allocated.map(|vm| Machines { size: vm::size_of(&vm).to_owned(), resource: vm.id, count: 1 }).collect())
}

/// All quotas of a subscription in a region, with what all providers' machines use of them; those of resources at or
/// below `but` are not counted.
pub(crate) fn all(cx: &Cx<'_>, subscription: &str, location: &str, but: Option<&str>) -> Result<Vec<Quota>, Refusal> {
    let zero = fault::zero_quotas(cx)?;
    let mut running: Vec<(&Size, u32)> = Vec::new();
    for provider in PROVIDERS {
        let machines = provider.machines(cx, subscription, location)?;
        let counted = machines.into_iter().filter(|machines| !but.is_some_and(|but| within(&machines.resource, but)));
        running.extend(counted.filter_map(|machines| Some((sizes::find(&machines.size)?, machines.count))));
    }
    let used = |family: Option<&str>| {
        let counted = running.iter().filter(|(size, _)| family.is_none_or(|family| size.family == family));
        counted.fold(0u32, |sum, (size, count)| sum.saturating_add(size.cpus.saturating_mul(*count)))
    };
    let quota = |name: &'static str, text: &'static str, limit: u32, used: u32| {
        let limit = if zero.iter().any(|z| z.covers(location, name)) { 0 } else { limit };
        Quota { name, text, limit, used }
    };
    let count = u32::try_from(virtual_machines(cx, subscription, location)?.len()).unwrap_or(u32::MAX);
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
    match lack(cx, subscription, location, machine, size)? {
        None => Ok(()),
        Some(message) => Err(Refusal::new(409, "OperationNotAllowed", message)),
    }
}

/// What Azure says of a machine in a template that a quota does not allow; `None` when it may be made, or when something
/// else is wrong with it, which shows when it is made.
pub(crate) fn exceeded(
    cx: &Cx<'_>,
    subscription: &str,
    location: &str,
    machine: &str,
    size: &str,
) -> Result<Option<String>, Refusal> {
    match (sizes::find(size), locations::find(location)) {
        (Some(size), Some(location)) => lack(cx, subscription, location.name, machine, size),
        _ => Ok(None),
    }
}

fn lack(
    cx: &Cx<'_>,
    subscription: &str,
    location: &str,
    machine: &str,
    size: &Size,
) -> Result<Option<String>, Refusal> {
    let quotas = all(cx, subscription, location, Some(machine))?;
    for (name, text) in [(size.family, size.family), (CORES, "Total Regional")] {
        let Some(quota) = quotas.iter().find(|quota| quota.name == name) else { continue };
        let needed = quota.used + size.cpus;
        if needed > quota.limit {
            return Ok(Some(format!(
                "Operation could not be completed as it results in exceeding approved {text} Cores quota. Additional \
                 details - Deployment Model: Resource Manager, Location: {location}, Current Limit: {}, Current Usage: \
                 {}, Additional Required: {}, (Minimum) New Limit Required: {needed}. Setup Alerts when Quota reaches \
                 threshold. Learn more at https://aka.ms/quotamonitoringalerting .",
                quota.limit, quota.used, size.cpus
            )));
        }
    }
    Ok(None)
}
