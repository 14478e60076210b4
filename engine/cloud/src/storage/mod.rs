//! Microsoft.Storage: accounts on Azure Resource Manager, and block blobs that are encrypted at rest under a key
//! which the account's customer can take away.
//!
//! - `account`, `name`: the accounts' own rows (the sealed data encryption key, the access keys) and name rules
//! - `arm`, `put`, `settings`, `document`, `regional`: the control plane
//! - `cmk`: accounts under a customer's key, and what clients learn when it is out of reach
//! - `blob`: the data plane

mod account;
mod arm;
mod blob;
mod cmk;
mod document;
mod name;
mod put;
mod regional;
mod settings;
#[cfg(test)]
mod tests;

pub(crate) use blob::{ByteRange, check_body, content_md5, requested_range};
pub(crate) use cmk::for_data as locked_content;

use std::sync::LazyLock;

use serde_json::Value;

use crate::cx::Cx;
use crate::lro::Lro;
use crate::operation::Operation;
use crate::refusal::Refusal;
use crate::service::{Provider, ResourceType, Service};
use crate::store::resources::Resource;

/// The provider.
pub(crate) static PROVIDER: Storage = Storage;

/// Namespace and type of storage accounts.
const ACCOUNTS: &str = "Microsoft.Storage/storageAccounts";

/// Versions of the control plane, newest first.
const API: &[&str] = &[
    "2026-09-01",
    "2025-08-01",
    "2025-06-01",
    "2025-01-01",
    "2024-01-01",
    "2023-05-01",
    "2023-04-01",
    "2023-01-01",
    "2022-09-01",
    "2022-05-01",
    "2021-09-01",
    "2021-08-01",
    "2021-06-01",
    "2021-04-01",
    "2021-02-01",
    "2021-01-01",
    "2019-06-01",
];

/// Microsoft.Storage.
pub(crate) struct Storage;

impl Provider for Storage {
    fn namespace(&self) -> &'static str {
        "Microsoft.Storage"
    }

    fn schema(&self) -> &'static str {
        static SCHEMA: LazyLock<String> = LazyLock::new(|| [&[account::SCHEMA][..], &blob::SCHEMA].concat().concat());
        &SCHEMA
    }

    fn inventory(&self) -> &'static [&'static str] {
        &[
            "SELECT 'container', a.name || '/' || c.name, c.etag
             FROM storage_containers c JOIN storage_accounts a ON c.account = a.id",
            "SELECT 'blob', a.name || '/' || c.name || '/' || b.name, b.etag
             FROM storage_blobs b JOIN storage_containers c ON b.container = c.id JOIN storage_accounts a ON c.account = a.id",
        ]
    }

    fn operations(&self) -> Vec<&'static [Operation]> {
        vec![arm::OPERATIONS]
    }

    fn types(&self) -> &'static [ResourceType] {
        &[
            ResourceType { name: "storageAccounts", api: API, regional: true },
            ResourceType { name: "locations/usages", api: API, regional: false },
            ResourceType { name: "locations/asyncoperations", api: API, regional: false },
            ResourceType { name: "checkNameAvailability", api: API, regional: false },
            ResourceType { name: "skus", api: API, regional: false },
        ]
    }

    fn registered_at_first(&self) -> bool {
        false
    }

    fn services(&self) -> &'static [&'static dyn Service] {
        &[&blob::BlobService]
    }

    fn delete(&self, cx: &mut Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
        arm::destroy(cx, resource)
    }

    fn complete(&self, cx: &mut Cx<'_>, lro: &Lro) -> Result<Option<Value>, Refusal> {
        put::complete(cx, lro)
    }

    fn tick(&self, cx: &mut Cx<'_>) -> Result<(), Refusal> {
        cmk::follow_rotations(cx)?;
        blob::forget_old_blocks(cx)
    }
}
