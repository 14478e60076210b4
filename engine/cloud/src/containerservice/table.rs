//! The operations of the namespace.

use http::Method;

use super::{API, actions, versions};
use crate::arm::rows::{part_type, polling, row, tracked_type};
use crate::operation::Operation;

static CLUSTERS: &[Operation] =
    &tracked_type!("ManagedClusters", "Microsoft.ContainerService", "managedClusters", API, long: true);
static POOLS: &[Operation] = &part_type!(
    "AgentPools",
    "Microsoft.ContainerService",
    "managedClusters/agentPools",
    "managedClusters/{cluster}/agentPools",
    API,
    long: true
);
static POLLS: &[Operation] = &polling!("Microsoft.ContainerService", "operations", API);

static OTHERS: &[Operation] = &[
    row(
        "ManagedClusters_ListClusterAdminCredentials",
        Method::POST,
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ContainerService/managedClusters/{name}/listClusterAdminCredential",
        "Microsoft.ContainerService/managedClusters/listClusterAdminCredential/action",
        API,
        false,
        actions::admin,
    ),
    row(
        "ManagedClusters_ListClusterUserCredentials",
        Method::POST,
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ContainerService/managedClusters/{name}/listClusterUserCredential",
        "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action",
        API,
        false,
        actions::user,
    ),
    row(
        "ManagedClusters_Start",
        Method::POST,
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ContainerService/managedClusters/{name}/start",
        "Microsoft.ContainerService/managedClusters/start/action",
        API,
        true,
        actions::start,
    ),
    row(
        "ManagedClusters_Stop",
        Method::POST,
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ContainerService/managedClusters/{name}/stop",
        "Microsoft.ContainerService/managedClusters/stop/action",
        API,
        true,
        actions::stop,
    ),
    row(
        "ManagedClusters_ListKubernetesVersions",
        Method::GET,
        "/subscriptions/{subscription}/providers/Microsoft.ContainerService/locations/{location}/kubernetesVersions",
        "Microsoft.ContainerService/locations/kubernetesVersions/read",
        API,
        false,
        versions::list,
    ),
];

/// All tables.
pub(super) fn tables() -> Vec<&'static [Operation]> {
    vec![CLUSTERS, POOLS, POLLS, OTHERS]
}
