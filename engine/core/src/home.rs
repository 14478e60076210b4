//! The home folder: its layout, its key, and the content-addressed store.
//!
//! ```text
//! home.key        the home's secret and its signing key (0600)
//! runs/<id>.db    one journal per run, with its lock beside it (<id>.lock)
//! store/<hex>     playbook bundles, components and descriptions by SHA-256
//! cache/          ahead-of-time compiled components
//! artifacts/<id>/ bulk data of a run, sealed with the run's key
//! cloud/          the embedded Azure
//! ```
//!
//! Every folder in it has mode 0700. What lies sealed in here is protected against copies and backups that do not hold
//! `home.key`; it is not protected against the same user.

mod key;
mod store;

use std::fmt;
use std::path::{Path, PathBuf};

use sealbook_crypto::{SealKey, hmac_sha256, sha256};
use sealbook_model::id::RunId;
use sealbook_model::problem::{Problem, codes};

use crate::files;
use crate::host::ArtifactStore;
use key::HomeKey;
pub use store::Store;

/// An open home folder.
pub struct Home {
    root: PathBuf,
    key: HomeKey,
    id: String,
    store: Store,
}

impl Home {
    /// Opens the home at `root`; makes folders and key when they are missing. Two processes may do so at once.
    ///
    /// # Errors
    /// SB0704 when the folder can't be used, SB0705 when its key can't.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, Problem> {
        let root = root.into();
        // The root may be a folder of the user's own choice, with a mode of its own; what we put into it is ours.
        files::new_private_folder(&root).map_err(|e| unusable(&root, &e))?;
        for folder in ["runs", "store", "cache", "artifacts", "cloud"] {
            let folder = root.join(folder);
            files::private_folder(&folder).map_err(|e| unusable(&folder, &e))?;
        }
        let key = HomeKey::load_or_create(&root)?;
        let id = hex::encode(&sha256(&key.public())[..8]);
        let store = Store::new(root.join("store"));
        Ok(Self { root, key, id, store })
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Names this home: 16 hex digits that follow from its public signing key.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The public key (Ed25519) under which this home signs the heads of journals.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.key.public()
    }

    /// A key of its own for `purpose`: HMAC-SHA-256 under the home's secret.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        hmac_sha256(self.key.secret(), purpose.as_bytes())
    }

    /// The content-addressed store.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Folder of the compiled components.
    #[must_use]
    pub fn cache_dir(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// Folder of the embedded Azure.
    #[must_use]
    pub fn cloud_dir(&self) -> PathBuf {
        self.root.join("cloud")
    }

    /// Where the artifacts of runs are kept.
    #[must_use]
    pub fn artifacts(&self) -> ArtifactStore {
        ArtifactStore::Folder(self.root.join("artifacts"))
    }

    /// Folder of a run's artifacts. It need not exist.
    #[must_use]
    pub fn artifacts_dir(&self, run: &RunId) -> PathBuf {
        self.root.join("artifacts").join(run.as_str())
    }

    /// Folder of the journals.
    #[must_use]
    pub fn runs_dir(&self) -> PathBuf {
        self.root.join("runs")
    }

    pub(crate) fn journal_path(&self, run: &RunId) -> PathBuf {
        self.runs_dir().join(format!("{run}.db"))
    }

    pub(crate) fn lock_path(&self, run: &RunId) -> PathBuf {
        self.runs_dir().join(format!("{run}.lock"))
    }

    /// The key under which run keys are wrapped.
    pub(crate) fn wrapping_key(&self) -> SealKey {
        SealKey::from_bytes(self.derive("sealbook run keys"))
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message)
    }
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Home").field("root", &self.root).field("id", &self.id).finish_non_exhaustive()
    }
}

/// SB0704 for a path that the system refused.
pub(crate) fn unusable(path: &Path, error: &std::io::Error) -> Problem {
    Problem::new(codes::HOME_UNUSABLE, format!("can't use {}", path.display()))
        .because(error.to_string())
        .fix("make the folder writable for you, or name another one in SEALBOOK_HOME")
}

#[cfg(test)]
mod tests;
