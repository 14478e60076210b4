//! Microsoft.ManagedIdentity: identities that are resources of their own and that other resources are given.
//!
//! - `user_assigned`: the resource and its principal in the directory
//! - `system_assigned`: the identity of another resource, read at that resource

mod system_assigned;
#[cfg(test)]
mod tests;
mod user_assigned;

use crate::arm::kind::Kind;
use crate::operation::Operation;
use crate::service::{Provider, ResourceType};
pub(crate) use user_assigned::create;

/// The provider.
pub(crate) static PROVIDER: ManagedIdentity = ManagedIdentity;

/// Namespace and type of user-assigned identities.
pub(crate) const USER_ASSIGNED: &str = "Microsoft.ManagedIdentity/userAssignedIdentities";

/// Api-versions, newest first.
const API: &[&str] = &[
    "2025-05-31-preview",
    "2025-01-31-preview",
    "2024-11-30",
    "2023-07-31-preview",
    "2023-01-31",
    "2022-01-31-preview",
    "2021-09-30-preview",
    "2018-11-30",
    "2015-08-31-preview",
];

/// Microsoft.ManagedIdentity.
pub(crate) struct ManagedIdentity;

impl Provider for ManagedIdentity {
    fn namespace(&self) -> &'static str {
        "Microsoft.ManagedIdentity"
    }

    fn operations(&self) -> Vec<&'static [Operation]> {
        vec![user_assigned::OPERATIONS, system_assigned::OPERATIONS]
    }

    fn kinds(&self) -> &'static [&'static dyn Kind] {
        &[&user_assigned::UserAssignedIdentity]
    }

    fn types(&self) -> &'static [ResourceType] {
        &[ResourceType { name: "identities", api: API, regional: false }]
    }

    fn registered_at_first(&self) -> bool {
        false
    }
}
