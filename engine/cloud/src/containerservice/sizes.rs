//! Sizes of nodes, and the vCPUs that a subscription may use for them.

use super::CLUSTERS;
use super::POOLS;
use crate::compute::offer::{self, Offer};
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::resource_id::within;
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

/// vCPUs of a family that the pools of a subscription use in a region, those below `but` aside.
fn used(cx: &Cx<'_>, subscription: &str, location: &str, family: &str, but: &str) -> Result<u32, Refusal> {
    let filter = |kind| Filter { subscription: Some(subscription), kind: Some(kind), ..Filter::default() };
    let clusters: Vec<Resource> = cx
        .resources(filter(CLUSTERS))?
        .into_iter()
        .filter(|cluster| cluster.location.as_deref() == Some(location))
        .filter(|cluster| cluster.body["properties"]["powerState"]["code"] != "Stopped")
        .collect();
    let mut sum = 0;
    for pool in cx.resources(filter(POOLS))? {
        if within(&pool.id, but) || !clusters.iter().any(|cluster| within(&pool.id, &cluster.id)) {
            continue;
        }
        let properties = &pool.body["properties"];
        let size = properties["vmSize"].as_str().unwrap_or_default();
        if let Some(offer) = offer::find(cx, location, size)?.filter(|offer| offer.family == family) {
            let count = properties["count"].as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or_default();
            sum += count.saturating_mul(offer.cpus);
        }
    }
    Ok(sum)
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
    for (offer, cpus) in asked {
        let left = offer.limit.saturating_sub(used(cx, subscription, location, offer.family, but)?);
        if cpus > left {
            return Err(Refusal::new(
                400,
                "ErrCode_InsufficientVCPUQuota",
                format!(
                    "Insufficient vcpu quota requested {cpus}, remaining {left} for family {} for region {location}.",
                    offer.family
                ),
            ));
        }
    }
    Ok(())
}
