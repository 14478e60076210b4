//! Microsoft.ContainerService: Kubernetes clusters on Azure Resource Manager. There are no nodes behind them; what
//! their creation checks (networks, sizes, quotas, the disk encryption set and its key) is checked for real.
//!
//! - `cluster`, `pool`: the resource types
//! - `properties`, `network`, `encryption`, `versions`, `sizes`: what a cluster may be
//! - `node_group`: the resource group that the cluster makes for its nodes
//! - `credentials`: its certificate authority and kubeconfigs

mod actions;
mod cluster;
mod credentials;
mod encryption;
mod network;
mod node_group;
mod pool;
mod profile;
mod properties;
mod sizes;
mod table;
#[cfg(test)]
mod tests;
mod versions;

use crate::arm::kind::Kind;
use crate::cx::Cx;
use crate::operation::Operation;
use crate::refusal::Refusal;
use crate::service::{Machines, Provider, ResourceType};

/// The provider.
pub(crate) static PROVIDER: ContainerService = ContainerService;

/// Namespace and type of clusters.
const CLUSTERS: &str = "Microsoft.ContainerService/managedClusters";
/// Namespace and type of their agent pools.
const POOLS: &str = "Microsoft.ContainerService/managedClusters/agentPools";

/// Api-versions, newest first.
const API: &[&str] = &[
    "2026-08-01",
    "2026-06-01",
    "2026-05-01",
    "2026-03-01",
    "2025-10-01",
    "2025-09-01",
    "2025-08-01",
    "2025-07-01",
    "2025-05-01",
    "2025-04-01",
    "2025-03-01",
    "2025-02-01",
    "2025-01-01",
    "2024-10-01",
    "2024-09-01",
    "2024-08-01",
    "2024-07-01",
    "2024-05-01",
    "2024-02-01",
];

/// Microsoft.ContainerService.
pub(crate) struct ContainerService;

impl Provider for ContainerService {
    fn namespace(&self) -> &'static str {
        "Microsoft.ContainerService"
    }

    fn schema(&self) -> &'static str {
        credentials::SCHEMA
    }

    fn operations(&self) -> Vec<&'static [Operation]> {
        table::tables()
    }

    fn kinds(&self) -> &'static [&'static dyn Kind] {
        &[&cluster::Cluster, &pool::AgentPool]
    }

    fn types(&self) -> &'static [ResourceType] {
        const fn plain(name: &'static str) -> ResourceType {
            ResourceType { name, api: API, regional: false }
        }
        const { &[plain("locations"), plain("locations/kubernetesVersions"), plain("locations/operations")] }
    }

    fn machines(&self, cx: &Cx<'_>, subscription: &str, location: &str) -> Result<Vec<Machines>, Refusal> {
        sizes::machines(cx, subscription, location)
    }

    fn registered_at_first(&self) -> bool {
        false
    }
}

/// Refuses the value of a parameter.
fn invalid(parameter: &str, why: impl std::fmt::Display) -> Refusal {
    Refusal::new(
        400,
        "InvalidParameter",
        format!(
            "The value of parameter {parameter} is invalid. Error details: {why}. Please see \
             https://aka.ms/aks-naming-rules for more details."
        ),
    )
}

/// Refuses a setting that Azure has and the embedded Azure has not.
fn lacking(parameter: &str) -> Refusal {
    invalid(parameter, "it is not available").gap(format!("managed clusters: {parameter}"))
}

/// Refuses to change what stays as it was made.
fn fixed(property: &str) -> Refusal {
    Refusal::new(400, "PropertyChangeNotAllowed", format!("Changing property '{property}' is not allowed."))
}
