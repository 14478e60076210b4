//! Everything a plugin may touch.

mod attestation;
mod azure;
mod data;
mod hsm;
mod keyvault;

use serde_json::Value;

use crate::problem::{Problem, Result};
use crate::sys;

pub use attestation::{Attestation, Token};
pub use azure::Azure;
pub use data::{Artifact, Artifacts, Blobs, Crypto, Key, Pair};
pub use hsm::{Directory, Hsm, LocalAssignment};
pub use keyvault::{DataKey, KeyVault};

/// What a call into a plugin may use. Each part works only as far as it was asked for, granted and allowed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Cx;

impl Cx {
    pub(crate) fn new() -> Self {
        Self
    }

    /// Azure Resource Manager and Azure RBAC.
    #[must_use]
    pub fn azure(&self) -> Azure {
        Azure::default()
    }

    /// Keys in Key Vault or Managed HSM.
    #[must_use]
    pub fn keyvault(&self) -> KeyVault {
        KeyVault
    }

    /// Blobs.
    #[must_use]
    pub fn blobs(&self) -> Blobs {
        Blobs
    }

    /// Bulk data that the host keeps for the run.
    #[must_use]
    pub fn artifacts(&self) -> Artifacts {
        Artifacts
    }

    /// Keys as handles.
    #[must_use]
    pub fn crypto(&self) -> Crypto {
        Crypto
    }

    /// Managed HSMs: activation and local roles.
    #[must_use]
    pub fn hsm(&self) -> Hsm {
        Hsm
    }

    /// Attestation of the confidential VM that the step runs in.
    #[must_use]
    pub fn attestation(&self) -> Attestation {
        Attestation
    }

    /// The tenant's directory.
    #[must_use]
    pub fn directory(&self) -> Directory {
        Directory
    }

    /// Writes a line into the run's log.
    pub fn log(&self, message: impl AsRef<str>) {
        sys::log::write(sys::log::Level::Info, message.as_ref());
    }

    /// Writes a warning into the run's log.
    pub fn warn(&self, message: impl AsRef<str>) {
        sys::log::write(sys::log::Level::Warn, message.as_ref());
    }

    /// Reports how far a long piece of work has come; `total` none: unknown.
    pub fn progress(&self, done: u64, total: Option<u64>, message: &str) {
        sys::progress::report(done, total, message);
    }

    /// Whether this step may use an existing thing that carries `mark`: it is this run's own, or the step was told
    /// to adopt what stands there.
    #[must_use]
    pub fn usable(&self, mark: Option<&str>) -> bool {
        sys::ownership::usable(mark)
    }

    /// Refuses to build on a stranger's thing: a conflict that names it and the cure.
    ///
    /// # Errors
    /// A conflict, when `thing` is neither this run's nor to be adopted.
    pub fn claim(&self, what: &str, id: impl AsRef<str>, thing: &Value) -> Result<()> {
        if self.usable(mark(thing)) {
            return Ok(());
        }
        let owner = mark(thing).map_or_else(|| "nobody's run".to_owned(), |run| format!("run {run}"));
        let message = format!(
            "{what} stands there already and belongs to {owner}, so this run leaves it alone. Choose another name \
             (another `suffix`, for most labs), or write `adopt = true` into the playbook's step to build on it"
        );
        Err(Problem::conflict(message, [id.as_ref()]))
    }
}

/// The run that made a thing: its `sealbook-run` tag, or for blobs its `sealbookrun` metadata.
#[must_use]
pub fn mark(thing: &Value) -> Option<&str> {
    thing["tags"]["sealbook-run"].as_str().or_else(|| thing["metadata"]["sealbookrun"].as_str())
}
