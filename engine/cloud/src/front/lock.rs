//! One server per home: an operating-system lock that ends with the process that holds it.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use super::server::ServeError;
use crate::opening::private;

const FILE: &str = "serve.lock";

/// How often a server tries, and how long it waits in between: a look at the lock ([`is_held`]) takes it for an
/// instant.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(10);

/// The held lock. Dropping it releases it.
#[derive(Debug)]
pub(super) struct ServeLock {
    _file: File,
}

impl ServeLock {
    /// Takes the lock and writes this process's id into it, for those who find it held.
    ///
    /// The file stays when the lock is released: deleting it would let two processes hold "the" lock, one on the
    /// deleted file and one on its successor.
    ///
    /// # Errors
    /// [`ServeError::AlreadyServing`] with the holder's process id, [`ServeError::Io`] when the file can't be used.
    pub(super) async fn take(dir: &Path, pid: u32) -> Result<Self, ServeError> {
        let path = dir.join(FILE);
        let failed = |source| ServeError::Io { what: "take the lock", path: path.clone(), source };
        let mut file = private().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        let mut tries = TRIES;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(source)) => return Err(failed(source)),
                Err(TryLockError::WouldBlock) => tries -= 1,
            }
            if tries == 0 {
                let mut text = String::new();
                // The holder may be between taking the lock and writing its id.
                let _ = file.read_to_string(&mut text);
                return Err(ServeError::AlreadyServing { pid: text.trim().parse().ok(), dir: dir.to_owned() });
            }
            tokio::time::sleep(PAUSE).await;
        }
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "{pid}"))
            .and_then(|()| file.sync_data())
            .map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// Whether a living process serves the cloud in `dir`.
pub(super) fn is_held(dir: &Path) -> io::Result<bool> {
    let file = match File::open(dir.join(FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
