//! Marks of the living: what a process holds in the database of a cloud that several processes share, it holds under the
//! name of a file that it keeps locked.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::opening;

/// A locked file: what stands in the database under its name is still somebody's. The lock ends with the process.
#[derive(Debug)]
pub(crate) struct Mark {
    name: String,
    path: PathBuf,
    _file: File,
}

impl Mark {
    /// Sets a mark in the cloud's folder.
    pub fn set(dir: &Path) -> io::Result<Self> {
        let name = uuid::Uuid::new_v4().to_string();
        let path = Self::path(dir, &name);
        let file = opening::private().write(true).create_new(true).open(&path)?;
        file.try_lock()?;
        Ok(Self { name, path, _file: file })
    }

    /// What others know it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn path(dir: &Path, name: &str) -> PathBuf {
        dir.join(format!("room.{name}.lock"))
    }

    /// Whether somebody holds this name; what a dead process left of it is removed.
    pub fn stands(dir: &Path, name: &str) -> io::Result<bool> {
        let path = Self::path(dir, name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match file.try_lock_shared() {
            Ok(()) => {
                // Somebody else may have removed it by now.
                let _ = fs::remove_file(path);
                Ok(false)
            }
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
