//! Microsoft.OperationalInsights: Log Analytics workspaces, what diagnostic settings send into them, and queries.
//!
//! - `workspace`: the resource type; `deleted` keeps what was deleted for 14 days; `keys`: the shared keys.
//! - `schema`: the tables that diagnostic logs land in; `tables` shows them.
//! - [`shipping`]: the records in the workspaces.
//! - `query`: queries, on `api.loganalytics.io` and on Azure Resource Manager.
//!
//! Source: <https://learn.microsoft.com/rest/api/loganalytics>.

mod control;
mod deleted;
mod keys;
mod query;
mod schema;
pub(crate) mod shipping;
mod tables;
#[cfg(test)]
pub(crate) mod tests;
mod workspace;

use std::sync::LazyLock;

use crate::arm::kind::Kind;
use crate::cx::Cx;
use crate::operation::Operation;
use crate::refusal::Refusal;
use crate::service::{Provider, ResourceType, Service};

const NAMESPACE: &str = "Microsoft.OperationalInsights";

/// Type of the workspaces.
pub(crate) const WORKSPACES: &str = "Microsoft.OperationalInsights/workspaces";

/// Api-versions of the control plane, newest first.
const API: &[&str] = &[
    "2025-07-01",
    "2025-02-01",
    "2023-09-01",
    "2022-10-01",
    "2021-12-01-preview",
    "2021-06-01",
    "2020-10-01",
    "2020-08-01",
    "2020-03-01-preview",
    "2015-11-01-preview",
    "2015-03-20",
];

/// The provider.
pub(crate) static PROVIDER: LogAnalytics = LogAnalytics;

/// Microsoft.OperationalInsights.
pub(crate) struct LogAnalytics;

impl Provider for LogAnalytics {
    fn namespace(&self) -> &'static str {
        NAMESPACE
    }

    fn schema(&self) -> &'static str {
        static SCHEMA: LazyLock<String> = LazyLock::new(|| [deleted::SCHEMA, keys::SCHEMA, shipping::SCHEMA].concat());
        &SCHEMA
    }

    fn inventory(&self) -> &'static [&'static str] {
        deleted::INVENTORY
    }

    fn operations(&self) -> Vec<&'static [Operation]> {
        vec![control::WORKSPACES, control::PARTS, control::POLLS, query::ON_RESOURCE_MANAGER]
    }

    fn kinds(&self) -> &'static [&'static dyn Kind] {
        &[&workspace::Workspace]
    }

    fn types(&self) -> &'static [ResourceType] {
        const fn kind(name: &'static str) -> ResourceType {
            ResourceType { name, api: API, regional: false }
        }
        const TYPES: &[ResourceType] = &[
            kind("workspaces/tables"),
            kind("workspaces/query"),
            kind("deletedWorkspaces"),
            kind("locations"),
            kind("locations/operationStatuses"),
        ];
        TYPES
    }

    fn registered_at_first(&self) -> bool {
        false
    }

    fn services(&self) -> &'static [&'static dyn Service] {
        &[&query::LogsQuery]
    }

    fn tick(&self, cx: &mut Cx<'_>) -> Result<(), Refusal> {
        deleted::purge_due(cx)
    }
}
