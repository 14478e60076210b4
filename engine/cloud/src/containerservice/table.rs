//! The operations of the namespace.

use http::Method;

use super::{API, actions, versions};
use crate::arm::rows::{in_group, in_subscription, part_type, polling, tracked_type};
use crate::operation::{Operation, Rows};

const ROWS: Rows = Rows::control(API);

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
    ROWS.row(
        "ManagedClusters_ListClusterAdminCredentials",
        Method::POST,
        in_group!("Microsoft.ContainerService/managedClusters/{name}/listClusterAdminCredential"),
        "Microsoft.ContainerService/managedClusters/listClusterAdminCredential/action",
        actions::admin,
    ),
    ROWS.row(
        "ManagedClusters_ListClusterUserCredentials",
        Method::POST,
        in_group!("Microsoft.ContainerService/managedClusters/{name}/listClusterUserCredential"),
        "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action",
        actions::user,
    ),
    ROWS.row(
        "ManagedClusters_Start",
        Method::POST,
        in_group!("Microsoft.ContainerService/managedClusters/{name}/start"),
        "Microsoft.ContainerService/managedClusters/start/action",
        actions::start,
    )
    .lasting(true),
    ROWS.row(
        "ManagedClusters_Stop",
        Method::POST,
        in_group!("Microsoft.ContainerService/managedClusters/{name}/stop"),
        "Microsoft.ContainerService/managedClusters/stop/action",
        actions::stop,
    )
    .lasting(true),
    ROWS.row(
        "ManagedClusters_ListKubernetesVersions",
        Method::GET,
        in_subscription!("Microsoft.ContainerService/locations/{location}/kubernetesVersions"),
        "Microsoft.ContainerService/locations/kubernetesVersions/read",
        versions::list,
    ),
];

/// All tables.
pub(super) fn tables() -> Vec<&'static [Operation]> {
    vec![CLUSTERS, POOLS, POLLS, OTHERS]
}
