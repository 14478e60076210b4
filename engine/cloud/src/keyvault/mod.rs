//! Microsoft.KeyVault: vaults on Azure Resource Manager, their keys and secrets on `*.vault.azure.net`.
//!
//! - `control` (the table), `vaults`, `deleted_vaults`, `properties`: the control plane and its rules.
//! - `data`: who may come in on the data plane, and how it refuses; `network`: from where; `requests` reads its bodies.
//! - `keys`, `deleted_keys`, `import`, `transfer`, `backup`, `rotation`, `cryptography`, `signatures`: the operations on
//!   keys; `bundle` writes their answers, `new_version` and `material` make what they add, `rotation_policy` says when.
//! - `secrets`: the operations on secrets, with their tables.
//! - [`cmk`]: what other services of the embedded Azure do with a customer's key.
//! - `store`, `vault`: the tables and what their rows mean.

mod audit;
mod backup;
mod bundle;
pub(crate) mod cmk;
mod control;
mod cryptography;
mod data;
mod deleted_keys;
mod deleted_vaults;
mod duration;
mod import;
mod keys;
mod material;
mod network;
mod new_version;
mod properties;
mod requests;
mod rotation;
mod rotation_policy;
mod secrets;
mod signatures;
mod store;
#[cfg(test)]
mod tests;
mod transfer;
mod vault;
mod vaults;

use std::sync::LazyLock;

use serde_json::Value;

use crate::cx::Cx;
use crate::lro::Lro;
use crate::operation::Operation;
use crate::refusal::Refusal;
use crate::service::{Provider, ResourceType, Service};
use crate::store::resources::Resource;

const NAMESPACE: &str = "Microsoft.KeyVault";

/// Api-versions of the control plane, newest first.
const API: &[&str] = &[
    "2026-05-15",
    "2026-02-01",
    "2025-05-01",
    "2024-12-01-preview",
    "2024-11-01",
    "2024-04-01-preview",
    "2023-07-01",
    "2023-02-01",
    "2022-11-01",
    "2022-07-01",
    "2021-10-01",
    "2019-09-01",
];

/// The provider.
pub(crate) static PROVIDER: KeyVault = KeyVault;

/// Microsoft.KeyVault.
pub(crate) struct KeyVault;

impl Provider for KeyVault {
    fn namespace(&self) -> &'static str {
        NAMESPACE
    }

    fn schema(&self) -> &'static str {
        static SCHEMA: LazyLock<String> = LazyLock::new(|| [store::SCHEMA, secrets::SCHEMA].concat());
        &SCHEMA
    }

    fn inventory(&self) -> &'static [&'static str] {
        static INVENTORY: LazyLock<Vec<&str>> = LazyLock::new(|| [store::INVENTORY, secrets::INVENTORY].concat());
        &INVENTORY
    }

    fn operations(&self) -> Vec<&'static [Operation]> {
        vec![control::OPERATIONS]
    }

    fn types(&self) -> &'static [ResourceType] {
        const fn kind(name: &'static str, regional: bool) -> ResourceType {
            ResourceType { name, api: API, regional }
        }
        const TYPES: &[ResourceType] = &[
            kind("vaults", true),
            kind("checkNameAvailability", false),
            kind("deletedVaults", false),
            kind("locations", false),
            kind("locations/deletedVaults", true),
            kind("locations/operationResults", true),
        ];
        TYPES
    }

    fn registered_at_first(&self) -> bool {
        false
    }

    fn services(&self) -> &'static [&'static dyn Service] {
        &[&data::KeyVaultData]
    }

    fn delete(&self, cx: &mut Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
        match store::vault(cx, &resource.name)? {
            Some(vault) if vault.deletion.is_none() => vault.soft_delete(cx),
            _ => Ok(()),
        }
    }

    fn complete(&self, cx: &mut Cx<'_>, lro: &Lro) -> Result<Option<Value>, Refusal> {
        match lro.kind.as_str() {
            deleted_vaults::PURGE => deleted_vaults::complete(cx, lro),
            other => Err(Refusal::internal(format!("{NAMESPACE} has no operation `{other}`"))),
        }
    }

    fn tick(&self, cx: &mut Cx<'_>) -> Result<(), Refusal> {
        store::purge_due(cx)?;
        secrets::purge_due(cx)?;
        rotation::rotate_due(cx)
    }
}
