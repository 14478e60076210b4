//! Managed HSMs beyond their keys, and the tenant's directory.

use serde_json::Value;

use crate::cx::{Artifact, Pair};
use crate::ids::{ArmId, StoreUri};
use crate::problem::{Problem, Result};
use crate::sys;

pub use sys::hsm::LocalAssignment;

/// Managed HSMs: activation by a security domain, and local roles.
#[derive(Debug)]
pub struct Hsm;

impl Hsm {
    /// Activates a managed HSM and writes its security domain as the artifact `name` of this step, so that `quorum` of
    /// the holders open it together.
    ///
    /// # Errors
    /// A conflict, when somebody else has activated it.
    pub fn download(
        &self,
        effect: &str,
        (id, uri): (&ArmId, &StoreUri),
        holders: &[&Pair],
        quorum: u32,
        name: &str,
    ) -> Result<Artifact> {
        let holders: Vec<_> = holders.iter().map(|pair| &pair.0).collect();
        sys::hsm::download(effect, id.as_str(), uri.as_str(), &holders, quorum, name).map(Artifact)
    }

    /// Opens a security domain in the host and tells `{ shares, required, secrets }`.
    ///
    /// # Errors
    /// An invalid input, when these holders do not open it.
    pub fn examine(&self, domain: &Artifact, holders: &[&Pair]) -> Result<Value> {
        let holders: Vec<_> = holders.iter().map(|pair| &pair.0).collect();
        Ok(serde_json::from_str(&sys::hsm::examine(&domain.0, &holders)?)?)
    }

    /// Activates another managed HSM with a security domain.
    ///
    /// # Errors
    /// A conflict, when it is active already.
    pub fn upload(
        &self,
        effect: &str,
        (id, uri): (&ArmId, &StoreUri),
        domain: &Artifact,
        holders: &[&Pair],
    ) -> Result<()> {
        let holders: Vec<_> = holders.iter().map(|pair| &pair.0).collect();
        sys::hsm::upload(effect, id.as_str(), uri.as_str(), &domain.0, &holders)
    }

    /// Finds a local assignment of `role` to `principal` (an object id) at exactly `scope`.
    ///
    /// # Errors
    /// When assignments can't be read, or there is no such role.
    pub fn assigned(
        &self,
        uri: &StoreUri,
        scope: &str,
        principal: &str,
        role: &str,
    ) -> Result<Option<LocalAssignment>> {
        sys::hsm::assigned(uri.as_str(), scope, principal, role)
    }

    /// Assigns a built-in local role, under a name that this run derives.
    ///
    /// # Errors
    /// When the managed HSM refuses it.
    pub fn assign(
        &self,
        effect: &str,
        uri: &StoreUri,
        scope: &str,
        principal: &str,
        role: &str,
    ) -> Result<LocalAssignment> {
        sys::hsm::assign(effect, uri.as_str(), scope, principal, role)
    }

    /// Removes a local assignment of `role`. True: it was there.
    ///
    /// # Errors
    /// When the managed HSM refuses it.
    pub fn unassign(&self, effect: &str, uri: &StoreUri, scope: &str, name: &str, role: &str) -> Result<bool> {
        sys::hsm::unassign(effect, uri.as_str(), scope, name, role)
    }
}

/// The tenant's directory. Service principals are `{ id, appId, displayName }`.
#[derive(Debug)]
pub struct Directory;

impl Directory {
    /// Finds the service principal of an application. None: there is none.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn find(&self, app_id: &str) -> Result<Option<Value>> {
        Ok(sys::directory::find(app_id)?.map(|text| serde_json::from_str(&text)).transpose()?)
    }

    /// Registers an application in the tenant.
    ///
    /// # Errors
    /// When the directory refuses it.
    pub fn register(&self, effect: &str, app_id: &str) -> Result<Value> {
        serde_json::from_str(&sys::directory::register(effect, app_id)?).map_err(Problem::from)
    }
}
