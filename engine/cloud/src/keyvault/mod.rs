//! Microsoft.KeyVault: vaults and managed HSMs on Azure Resource Manager, their keys and secrets on `*.vault.azure.net`
//! and `*.managedhsm.azure.net`.
//!
//! - `control` (the table), `vaults`, `hsm::pools`, `deleted_keystores`, `properties`: the control plane and its rules.
//! - `data`: who may come in on the data plane, and how it refuses; `network`: from where; `requests` reads its bodies.
//! - `operations`: the table of the operations on keys.
//! - `keys`, `deleted_keys`, `import`, `transfer`, `backup`, `rotation`, `cryptography`, `symmetric`, `signatures`: the
//!   operations on keys; `bundle` writes their answers, `new_version` and `material` make what they add,
//!   `rotation_policy` says when.
//! - `release_policy`, `release`: exportable keys, and how they leave for an environment that was attested.
//! - `secrets`: the operations on secrets, with their tables.
//! - `hsm`: what a managed HSM has of its own: activation by its security domain, its roles, its bill.
//! - [`cmk`]: what other services of the embedded Azure do with a customer's key.
//! - `entries`: what keys and secrets are alike in, from their names to their purge.
//! - `store`, `keystore`: the tables and what their rows mean. A key store is a vault or a managed HSM.

mod audit;
mod backup;
mod bundle;
pub(crate) mod cmk;
mod control;
mod cryptography;
mod data;
mod deleted_keys;
mod deleted_keystores;
mod duration;
mod entries;
pub(crate) mod hsm;
mod import;
mod keys;
mod keystore;
mod lacking;
mod material;
mod network;
mod new_version;
mod operations;
mod properties;
pub(crate) mod release;
mod release_policy;
mod requests;
mod rotation;
mod rotation_policy;
mod secrets;
mod signatures;
mod store;
mod symmetric;
#[cfg(test)]
mod tests;
mod transfer;
mod vaults;

use std::sync::LazyLock;

use serde_json::Value;

use self::keystore::Kind;
#[cfg(test)]
pub(crate) use self::tests::hsm::{CUSTODIANS, recipients};
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
        static SCHEMA: LazyLock<String> =
            LazyLock::new(|| [&[store::SCHEMA, release::SCHEMA, secrets::SCHEMA], hsm::SCHEMA].concat().concat());
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
            kind("managedHSMs", true),
            kind("checkMhsmNameAvailability", false),
            kind("deletedManagedHSMs", false),
            kind("locations/deletedManagedHSMs", true),
            kind("locations/managedHsmOperationResults", true),
        ];
        TYPES
    }

    fn registered_at_first(&self) -> bool {
        false
    }

    fn services(&self) -> &'static [&'static dyn Service] {
        &[&data::KeyVaultData, &hsm::data::ManagedHsmData]
    }

    fn delete(&self, cx: &mut Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
        let Some(kind) = Kind::ALL.into_iter().find(|kind| resource.kind.eq_ignore_ascii_case(kind.resource_type()))
        else {
            return Ok(());
        };
        match store::keystore(cx, &kind.label(&resource.name))? {
            Some(keystore) if keystore.deletion.is_none() => keystore.soft_delete(cx),
            _ => Ok(()),
        }
    }

    fn complete(&self, cx: &mut Cx<'_>, lro: &Lro) -> Result<Option<Value>, Refusal> {
        match lro.kind.as_str() {
            deleted_keystores::PURGE => deleted_keystores::complete(cx, lro),
            hsm::pools::CREATE | hsm::pools::DELETE => hsm::pools::complete(cx, lro),
            other => Err(Refusal::internal(format!("{NAMESPACE} has no operation `{other}`"))),
        }
    }

    fn tick(&self, cx: &mut Cx<'_>) -> Result<(), Refusal> {
        store::purge_due(cx)?;
        secrets::purge_due(cx)?;
        rotation::rotate_due(cx)
    }
}
