//! Content under the name of its digest: what a run used at its start stays as it was.

use std::io;
use std::path::PathBuf;

use sealbook_model::id::Digest;
use sealbook_model::problem::{Problem, codes};

use super::{files, unusable};

/// The content-addressed store of a home.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Stores `bytes` and returns their name. Content that is there already is left alone, unless it was damaged.
    ///
    /// # Errors
    /// SB0704 when the folder can't be written.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, Problem> {
        let digest = Digest::of(bytes);
        if self.read(&digest)?.is_none_or(|stored| stored != bytes) {
            let path = self.path(&digest);
            files::write_atomic(&path, bytes).map_err(|e| unusable(&path, &e))?;
        }
        Ok(digest)
    }

    /// Reads content back and checks that it still is what its name says.
    ///
    /// # Errors
    /// SB0501 when it is missing or was changed.
    pub fn get(&self, digest: &Digest) -> Result<Vec<u8>, Problem> {
        let damaged = |why: &str| {
            Problem::new(codes::JOURNAL_DAMAGED, format!("the stored content {digest} can't be used"))
                .because(why)
                .fix(format!("restore {} from a copy", self.path(digest).display()))
        };
        let bytes = self.read(digest)?.ok_or_else(|| damaged("it is missing"))?;
        if Digest::of(&bytes) == *digest { Ok(bytes) } else { Err(damaged("it was changed")) }
    }

    /// Whether something is stored under this name.
    #[must_use]
    pub fn has(&self, digest: &Digest) -> bool {
        self.path(digest).exists()
    }

    fn read(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Problem> {
        let path = self.path(digest);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(unusable(&path, &e)),
        }
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(digest.hex())
    }
}
