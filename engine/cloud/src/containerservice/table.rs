//! The operations of the namespace.

use http::Method;

use super::{API, actions, versions};
use crate::arm::rows::{part_type, polling, tracked_type};
use crate::operation::{Access, Operation, Run};

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

const fn row(
    name: &'static str,
    method: Method,
    path: &'static str,
    action: &'static str,
    lro: bool,
    run: Run,
) -> Operation {
    Operation { name, method, path, when: &[], api: API, access: Access::Control(action), lro, run }
}

static OTHERS: &[Operation] = &[
    row(
        "ManagedClusters_ListClusterAdminCredentials",
        Method::POST,
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ContainerService/managedClusters/{name}/listClusterAdminCredential",
        "Microsoft.ContainerService/managedClusters/listClusterAdminCredential/action",
        false,
        actions::admin,
    ),
    row(
        "ManagedClusters_ListClusterUserCredentials",
        Method::POST,
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ContainerService/managedClusters/{name}/listClusterUserCredential",
        "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action",
        false,
        actions::user,
    ),
    row(
        "ManagedClusters_Start",
        Method::POST,
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ContainerService/managedClusters/{name}/start",
        "Microsoft.ContainerService/managedClusters/start/action",
        true,
        actions::start,
    ),
    row(
        "ManagedClusters_Stop",
        Method::POST,
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ContainerService/managedClusters/{name}/stop",
        "Microsoft.ContainerService/managedClusters/stop/action",
        true,
        actions::stop,
    ),
    row(
        "ManagedClusters_ListKubernetesVersions",
        Method::GET,
        "/subscriptions/{subscription}/providers/Microsoft.ContainerService/locations/{location}/kubernetesVersions",
        "Microsoft.ContainerService/locations/kubernetesVersions/read",
        false,
        versions::list,
    ),
];

/// All tables.
pub(super) fn tables() -> Vec<&'static [Operation]> {
    vec![CLUSTERS, POOLS, POLLS, OTHERS]
}
