//! Microsoft.Resources: tenants, subscriptions, locations, provider registration, resource groups, tags,
//! deployments.

mod deployments;
pub(crate) mod groups;
mod listing;
pub(crate) mod locations;
mod operations;
pub(crate) mod registration;
mod subscriptions;
mod tags;

use std::sync::LazyLock;

use serde_json::Value;

use crate::cx::Cx;
use crate::lro::Lro;
use crate::operation::Operation;
use crate::refusal::Refusal;
use crate::service::{Provider, ResourceType};

/// The provider.
pub(crate) static PROVIDER: Resources = Resources;

/// Namespace.
pub(crate) const NAMESPACE: &str = "Microsoft.Resources";

/// Accepted versions of everything in this namespace.
pub(crate) const API: &[&str] = &[
    "2025-04-01",
    "2025-03-01",
    "2024-11-01",
    "2024-08-01",
    "2024-07-01",
    "2024-03-01",
    "2023-07-01",
    "2022-12-01",
    "2022-09-01",
    "2022-06-01",
    "2022-05-01",
    "2022-01-01",
    "2021-04-01",
    "2021-01-01",
    "2020-10-01",
    "2020-08-01",
    "2020-06-01",
    "2020-05-01",
    "2020-01-01",
    "2019-11-01",
    "2019-10-01",
    "2019-08-01",
    "2019-07-01",
    "2019-06-01",
    "2019-05-10",
    "2019-05-01",
    "2019-03-01",
    "2018-11-01",
    "2018-05-01",
    "2018-02-01",
    "2018-01-01",
    "2017-08-01",
    "2017-05-10",
    "2016-09-01",
    "2016-06-01",
    "2016-02-01",
    "2015-11-01",
    "2015-01-01",
    "2014-04-01",
];

/// Microsoft.Resources.
pub(crate) struct Resources;

impl Provider for Resources {
    fn namespace(&self) -> &'static str {
        NAMESPACE
    }

    fn schema(&self) -> &'static str {
        static SCHEMA: LazyLock<String> =
            LazyLock::new(|| [registration::SCHEMA, tags::SCHEMA, deployments::SCHEMA].concat());
        &SCHEMA
    }

    fn operations(&self) -> Vec<&'static [Operation]> {
        vec![operations::OPERATIONS, deployments::OPERATIONS]
    }

    fn types(&self) -> &'static [ResourceType] {
        const fn kind(name: &'static str) -> ResourceType {
            ResourceType { name, api: API, regional: false }
        }
        const {
            &[
                kind("tenants"),
                kind("subscriptions"),
                kind("resourceGroups"),
                kind("providers"),
                kind("resources"),
                kind("tags"),
                kind("deployments"),
            ]
        }
    }

    fn complete(&self, cx: &mut Cx<'_>, lro: &Lro) -> Result<Option<Value>, Refusal> {
        match lro.kind.as_str() {
            groups::DELETE => groups::complete_delete(cx, lro),
            deployments::STEP => deployments::step(cx, lro),
            other => Err(Refusal::internal(format!("{NAMESPACE} has no operation `{other}`"))),
        }
    }

    fn failed(&self, cx: &mut Cx<'_>, lro: &Lro) -> Result<(), Refusal> {
        match lro.kind.as_str() {
            deployments::STEP => deployments::broken(cx, lro),
            _ => groups::delete_failed(cx, lro),
        }
    }
}
