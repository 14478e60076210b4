//! Microsoft.Authorization: role definitions, role assignments and the access check.

pub(crate) mod assignments;
pub(crate) mod custom;
mod definitions;
pub(crate) mod evaluate;
mod operations;
pub(crate) mod roles;

use std::sync::LazyLock;

use crate::operation::Operation;
use crate::service::{Provider, ResourceType};

/// The provider.
pub(crate) static PROVIDER: Authorization = Authorization;

/// Accepted versions.
pub(crate) const API: &[&str] = &[
    "2022-05-01-preview",
    "2022-04-01",
    "2020-10-01-preview",
    "2020-08-01-preview",
    "2020-04-01-preview",
    "2018-09-01-preview",
    "2018-07-01",
    "2018-01-01-preview",
    "2015-07-01",
];

/// Microsoft.Authorization.
pub(crate) struct Authorization;

impl Provider for Authorization {
    fn namespace(&self) -> &'static str {
        "Microsoft.Authorization"
    }

    fn schema(&self) -> &'static str {
        static SCHEMA: LazyLock<String> = LazyLock::new(|| [assignments::SCHEMA, custom::SCHEMA].concat());
        &SCHEMA
    }

    fn inventory(&self) -> &'static [&'static str] {
        &["SELECT 'role-assignment', scope || '/providers/Microsoft.Authorization/roleAssignments/' || name,
                  role_definition || principal
           FROM role_assignments"]
    }

    fn operations(&self) -> Vec<&'static [Operation]> {
        vec![operations::OPERATIONS]
    }

    fn types(&self) -> &'static [ResourceType] {
        &[
            ResourceType { name: "roleAssignments", api: API, regional: false },
            ResourceType { name: "roleDefinitions", api: API, regional: false },
        ]
    }
}
