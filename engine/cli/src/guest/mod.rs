//! What runs inside a confidential virtual machine, of Azure or of the embedded Azure.
//!
//! - [`machine`]: the machine that a process is in, wherever that is
//! - [`serve`]: the agent as the process that a machine of the embedded Azure is
//! - [`resident`]: the agent on a machine of Azure, where run-command starts it

mod isolate;
pub mod machine;
mod order;
#[cfg(debug_assertions)]
mod probe;
pub mod resident;
mod serve;

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

pub use self::order::{Access, Order};
use crate::args::GuestCommand;
use crate::out;

/// Beside the machine's disk, and in an agent's folder: held by the process that is the agent.
pub const LOCK: &str = "lock";

/// How long a process waits for the one before it to end.
const HANDOVER: Duration = Duration::from_secs(10);

/// Carries out what comes before everything else of the program, for what follows must not see the account's files. None
/// for every other command.
pub fn run(command: &GuestCommand) -> Option<ExitCode> {
    let done = match command {
        GuestCommand::Serve => serve::serve(),
        #[cfg(debug_assertions)]
        GuestCommand::Probe(probe) => probe::probe(probe),
        _ => return None,
    };
    Some(match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            out::note(&format!("the guest agent can't serve: {error}"));
            ExitCode::FAILURE
        }
    })
}

/// The public key of whoever gives an agent its jobs.
fn signer(digits: &str) -> Result<Vec<u8>, String> {
    hex::decode(digits)
        .ok()
        .filter(|key| key.len() == 32)
        .ok_or_else(|| "the signer is no public key: 64 digits of hex".to_owned())
}

/// Opens the file of the agent's lock, whoever holds it.
fn open_lock(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).open(path)
}

/// Takes the agent's lock; a process that was told to end may still hold it for a moment.
fn lock(path: &Path) -> io::Result<File> {
    let file = open_lock(path)?;
    let deadline = Instant::now() + HANDOVER;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other("another process already is this machine's agent"));
            }
        }
    }
}

/// A folder for its owner alone, with those above it.
pub fn make_private_folder(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// An id that no other process has: 128 random bits in hex.
pub fn fresh_id() -> String {
    hex::encode(sealbook_crypto::random::<16>())
}
