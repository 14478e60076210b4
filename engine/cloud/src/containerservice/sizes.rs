//! Sizes of nodes, and the vCPUs that a subscription may use for them.

use super::{CLUSTERS, POOLS, profile};
use crate::compute::offer::{self, Offer};
use crate::compute::quota::{self, Quota};
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::resource_id::within;
use crate::service::Machines;
use crate::store::resources::{Filter, Resource};

/// Nodes that are asked for.
#[derive(Clone, Debug)]
pub(super) struct Nodes {
    /// Size.
    pub size: String,
    /// How many.
    pub count: u32,
}

fn offered(cx: &Cx<'_>, location: &str, size: &str) -> Result<Offer, Refusal> {
    if let Some(offer) = offer::find(cx, location, size)?.filter(|offer| offer.available) {
        return Ok(offer);
    }
    Err(Refusal::new(
        400,
        "BadRequest",
        format!(
            "The VM size of {size} is not allowed in your subscription in location '{location}'. The available VM \
             sizes are '{}'.",
            offer::names(location).join(",")
        ),
    ))
}

/// The nodes of all pools of a subscription in a region. A stopped cluster has none.
pub(super) fn machines(cx: &Cx<'_>, subscription: &str, location: &str) -> Result<Vec<Machines>, Refusal> {
    let filter = |kind| Filter { subscription: Some(subscription), kind: Some(kind), ..Filter::default() };
    let clusters: Vec<Resource> = cx
        .resources(filter(CLUSTERS))?
        .into_iter()
        .filter(|cluster| cluster.location.as_deref() == Some(location))
        .filter(|cluster| cluster.body["properties"]["powerState"]["code"] != "Stopped")
        .collect();
    let mut pools = cx.resources(filter(POOLS))?;
    pools.retain(|pool| clusters.iter().any(|cluster| within(&pool.id, &cluster.id)));
    let machines = pools.into_iter().map(|pool| {
        let Nodes { size, count } = profile::nodes(&pool.body["properties"]);
        Machines { resource: pool.id, size, count }
    });
    Ok(machines.collect())
}

/// Refuses nodes of a size that the region does not have, and more of them than the quota allows. Pools at or below
/// `but`, which these nodes replace, are not counted.
pub(super) fn check(
    cx: &Cx<'_>,
    subscription: &str,
    location: &str,
    nodes: &[Nodes],
    but: &str,
) -> Result<(), Refusal> {
    let mut asked: Vec<(Offer, u32)> = Vec::new();
    for nodes in nodes {
        let offer = offered(cx, location, &nodes.size)?;
        let cpus = nodes.count.saturating_mul(offer.cpus);
        match asked.iter_mut().find(|(known, _)| known.family == offer.family) {
            Some((_, sum)) => *sum = sum.saturating_add(cpus),
            None => asked.push((offer, cpus)),
        }
    }
    let quotas = quota::all(cx, subscription, location, Some(but))?;
    let left = |name: &str| quotas.iter().find(|quota| quota.name == name).map_or(0, Quota::left);
    for (offer, cpus) in &asked {
        let left = left(offer.family);
        if *cpus > left {
            return Err(insufficient(format!(
                "Insufficient vcpu quota requested {cpus}, remaining {left} for family {} for region {location}.",
                offer.family
            )));
        }
    }
    let cpus = asked.iter().fold(0u32, |sum, (_, cpus)| sum.saturating_add(*cpus));
    let left = left(quota::CORES);
    if cpus > left {
        return Err(insufficient(format!(
            "Insufficient regional vcpu quota left for location {location}. left regional vcpu quota {left}, requested \
             quota {cpus}."
        )));
    }
    Ok(())
}

fn insufficient(message: String) -> Refusal {
    Refusal::new(400, "ErrCode_InsufficientVCPUQuota", message)
}
