//! Where a cloud lives, which clock it goes by, and why it can't be opened.

use std::path::PathBuf;
use std::sync::Arc;
use std::{fmt, io};

use chrono::{DateTime, Utc};

use crate::refusal::Refusal;
use crate::room::MachineRoom;

/// A wall clock.
#[derive(Clone)]
pub struct Wall(Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

impl Wall {
    /// A clock that asks a function.
    pub fn new(read: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// The system's clock.
    pub fn system() -> Self {
        Self::new(Utc::now)
    }

    pub(crate) fn read(&self) -> DateTime<Utc> {
        (self.0)()
    }
}

impl fmt::Debug for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wall(..)")
    }
}

/// Where a cloud lives.
#[derive(Clone, Debug)]
pub struct CloudConfig {
    /// Folder of its file and its key; made when it is missing.
    pub dir: PathBuf,
    /// The wall clock that tokens and TLS go by.
    pub wall: Wall,
    /// Where scripts for virtual machines are carried out. None: run command is refused.
    pub room: Option<Arc<dyn MachineRoom>>,
}

impl CloudConfig {
    /// A cloud in a folder, on the system's clock.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), wall: Wall::system(), room: None }
    }
}

/// Why a cloud can't be opened or asked.
#[derive(Debug, thiserror::Error)]
pub enum CloudError {
    /// A file of the cloud's folder can't be used.
    #[error("the embedded Azure can't use {path}: {source}; check the folder's owner and free space")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The key file does not hold a key.
    #[error(
        "{path} is not the embedded Azure's key (32 bytes): restore it, or start afresh with `sealbook cloud reset`"
    )]
    Key {
        /// The key file.
        path: PathBuf,
    },
    /// The file was written by a newer version.
    #[error(
        "{path} has format {found}, and this version reads up to {supported}: use the newer sealbook, or start afresh \
         with `sealbook cloud reset`"
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format that this version reads.
        supported: i64,
    },
    /// The database was written in an earlier format, for which there is no way up.
    #[error(
        "{path} has format {found}, and this version works with {supported}: start afresh with `sealbook cloud reset`"
    )]
    Older {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The format of this version.
        supported: i64,
    },
    /// The clock would leave the years that certificates and tokens can name.
    #[error("the embedded Azure's clock can't be moved to {to}: it goes to the year 2999")]
    Clock {
        /// Where it would have stood; the end of time when no calendar has it.
        to: DateTime<Utc>,
    },
    /// The database refused.
    #[error("the embedded Azure's database failed: {0}")]
    Database(#[from] rusqlite::Error),
    /// Anything else that should not happen.
    #[error("the embedded Azure failed: {0}")]
    Internal(String),
}

impl From<Refusal> for CloudError {
    fn from(refusal: Refusal) -> Self {
        Self::Internal(refusal.cause().unwrap_or(&refusal.message).to_owned())
    }
}
