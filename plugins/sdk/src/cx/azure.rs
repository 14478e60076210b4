//! Azure Resource Manager, and Azure RBAC.

use serde_json::{Value, json};

use crate::cx::{Cx, mark};
use crate::ids::ArmId;
use crate::problem::{Problem, Result};
use crate::step::{Ownership, Past, Undone};
use crate::sys;

pub use sys::azure::Assignment;

/// Azure Resource Manager. The host attaches the credential, picks the api-version unless [`Azure::api`] names one,
/// follows long-running operations to their end, and journals every effect under the name it is given.
#[derive(Debug, Default)]
pub struct Azure {
    api: Option<String>,
}

impl Azure {
    /// Uses this api-version instead of the host's.
    #[must_use]
    pub fn api(self, version: Option<&str>) -> Self {
        Self { api: version.map(Into::into) }
    }

    /// Reads a resource. None: there is none.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn find(&self, id: &ArmId) -> Result<Option<Value>> {
        sys::azure::get(id.as_str(), self.version())?.map(parse).transpose()
    }

    /// Reads a resource that must be there.
    ///
    /// # Errors
    /// A precondition, when it is not.
    pub fn get(&self, id: &ArmId) -> Result<Value> {
        self.find(id)?.ok_or_else(|| {
            Problem::precondition(format!("{id} does not exist"), "Run the step that creates it, or correct the id.")
        })
    }

    /// Reads a collection, all pages of it.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn list(&self, id: &ArmId) -> Result<Vec<Value>> {
        sys::azure::list(id.as_str(), self.version())?.into_iter().map(parse).collect()
    }

    /// Reads a collection through an OData filter, where Azure has one for it.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn list_where(&self, id: &ArmId, filter: &str) -> Result<Vec<Value>> {
        sys::azure::list(&format!("{id}?$filter={filter}"), self.version())?.into_iter().map(parse).collect()
    }

    /// A POST that changes nothing.
    ///
    /// # Errors
    /// When Azure refuses it.
    pub fn query(&self, id: &ArmId, body: &Value) -> Result<Value> {
        parse(sys::azure::query(id.as_str(), &body.to_string(), self.version())?)
    }

    /// Creates or replaces a resource, marked as this run's; returns it as Azure shows it afterwards.
    ///
    /// # Errors
    /// A conflict, when a stranger's resource stands there.
    pub fn put(&self, effect: &str, id: &ArmId, body: Value) -> Result<Value> {
        parse(sys::azure::put(effect, id.as_str(), &body.to_string(), self.version())?)
    }

    /// Changes an existing resource; returns it as Azure shows it afterwards.
    ///
    /// # Errors
    /// When Azure refuses it.
    pub fn patch(&self, effect: &str, id: &ArmId, body: Value) -> Result<Value> {
        parse(sys::azure::patch(effect, id.as_str(), &body.to_string(), self.version())?)
    }

    /// Deletes a resource. True: it was there.
    ///
    /// # Errors
    /// When Azure refuses it.
    pub fn delete(&self, effect: &str, id: &ArmId) -> Result<bool> {
        sys::azure::delete(effect, id.as_str(), self.version())
    }

    /// An action that changes something. None: Azure answered without a body.
    ///
    /// # Errors
    /// When Azure refuses it.
    pub fn post(&self, effect: &str, id: &ArmId, body: Value) -> Result<Option<Value>> {
        sys::azure::post(effect, id.as_str(), &body.to_string(), self.version())?.map(parse).transpose()
    }

    /// Finds an assignment of the built-in role `role` to `principal` (an object id) at exactly `scope`.
    ///
    /// # Errors
    /// When assignments can't be read, or there is no such role.
    pub fn assigned(&self, scope: &ArmId, principal: &str, role: &str) -> Result<Option<Assignment>> {
        sys::azure::assigned(scope.as_str(), principal, role)
    }

    /// Assigns a built-in role, under a name that this run derives. `kind` is `User`, `Group` or `ServicePrincipal`.
    ///
    /// # Errors
    /// When Azure refuses it.
    pub fn assign(&self, effect: &str, scope: &ArmId, principal: &str, kind: &str, role: &str) -> Result<Assignment> {
        sys::azure::assign(effect, scope.as_str(), principal, kind, role)
    }

    /// Deletes what the effect `made` created, if it is there and still this run's; `what` names it to the learner.
    /// Returns it as it was, or what remains and why.
    ///
    /// # Errors
    /// When Azure refuses to delete it.
    pub fn take_back<O>(&self, cx: &Cx, past: &Past<O>, made: &str, what: &str, id: &ArmId) -> Result<Removed> {
        let Some(found) = self.find(id)? else { return Ok(Removed::Nothing) };
        if past.may_remove(cx, made, mark(&found)) {
            self.delete("delete", id)?;
            return Ok(Removed::Gone(found));
        }
        // What never was this run's is no leftover of it. What was, or may have been, is.
        let why = match past.operation(made).map(|op| op.ownership) {
            Some(Ownership::Ours) => "it does not carry this run's mark any more",
            Some(Ownership::Unknown) if cx.usable(None) => "the run was stopped before it learnt whose it is",
            _ => return Ok(Removed::Nothing),
        };
        Ok(Removed::Kept(Undone::clean().leaving(what, why, None)))
    }

    /// Purges what the effect `made` created and Azure kept after its deletion, if it is there and still this run's. A run
    /// that was stopped between deleting and purging comes here again. Returns its properties when purge protection
    /// keeps it.
    ///
    /// # Errors
    /// When Azure refuses to purge it.
    pub fn purge<O>(&self, cx: &Cx, past: &Past<O>, made: &str, deleted: &ArmId) -> Result<Option<Value>> {
        let found = self.find(deleted)?.map(|mut found| found["properties"].take());
        let Some(found) = found.filter(|found| past.may_remove(cx, made, mark(found))) else { return Ok(None) };
        if found["purgeProtectionEnabled"] == true {
            return Ok(Some(found));
        }
        self.post("purge", &deleted.join("purge")?, json!({}))?;
        Ok(None)
    }

    fn version(&self) -> Option<&str> {
        self.api.as_deref()
    }
}

/// What became of a resource in [`Azure::take_back`].
#[derive(Debug)]
pub enum Removed {
    /// There was nothing of ours.
    Nothing,
    /// It was deleted; this is what it had been.
    Gone(Value),
    /// It stands there without this run's mark and was left alone.
    Kept(Undone),
}

impl From<Removed> for Undone {
    fn from(removed: Removed) -> Self {
        match removed {
            Removed::Nothing | Removed::Gone(_) => Self::clean(),
            Removed::Kept(undone) => undone,
        }
    }
}

fn parse(text: String) -> Result<Value> {
    Ok(serde_json::from_str(&text)?)
}
