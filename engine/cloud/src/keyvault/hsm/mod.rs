//! Managed HSMs: pools on Azure Resource Manager and their data plane on `*.managedhsm.azure.net`.
//!
//! - `pools`, `properties`: the control plane and its rules; its table is that of the vaults.
//! - `data`: who may come in on the data plane, and how it refuses. Keys are the shared operations of a key store.
//! - `domain`: the security domain, whose download activates a pool.
//! - `rbac`: the role definitions and assignments that a managed HSM has of its own.
//! - [`billing`]: what pools cost.
//! - `state`: what is stored of a pool besides what every key store has.

pub(crate) mod billing;
pub(super) mod data;
mod domain;
pub(super) mod pools;
mod properties;
pub(super) mod rbac;
mod state;

use sealbook_crypto::SealKey;

use super::keystore::KeyStore;
use crate::cx::Cx;
use crate::refusal::Refusal;

/// Tables of managed HSMs, created after those of key stores.
pub(super) const SCHEMA: &[&str] = &[state::SCHEMA, rbac::SCHEMA];

/// Destroys what is stored of a pool besides its keys. Labels of vaults have nothing here.
pub(super) fn purge(cx: &Cx<'_>, label: &str) -> Result<(), Refusal> {
    state::purge(cx, label)?;
    rbac::purge(cx, label)
}

/// The key of a pool's security domain under which its keys are backed up, with the domain's name; `None` before
/// activation.
pub(super) fn backup_key(cx: &Cx<'_>, keystore: &KeyStore) -> Result<Option<(String, SealKey)>, Refusal> {
    let domain = state::domain(cx, &keystore.label)?;
    Ok(domain.map(|domain| (domain.id, SealKey::from_bytes(*domain.backup_key))))
}
