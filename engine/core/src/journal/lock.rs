//! One process per run: an OS lock, with the holder's process id inside for people, and the last acknowledged head.
//!
//! The head is a second opinion: SQLite drops frames of a damaged or missing write-ahead log without a word, and the
//! journal would then end early but in good order. The lock file is not flushed, so it may lag behind after a power
//! cut, but it is never ahead of what was acknowledged.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sealbook_model::id::RunId;
use sealbook_model::problem::{Problem, codes};

use super::chain::{self, Link};
use crate::files;
use crate::home::{self, Home};

/// How often, and how long each time, a taken lock is tried again: a process that only looks who holds it has it for
/// an instant, and a killed one may not be quite gone.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(20);

/// Length of the first line.
const PID_LINE: u64 = 11;

/// The exclusive right to write one run's journal. Given back on drop, or by the system when the process dies.
#[derive(Debug)]
pub struct RunLock {
    file: File,
    path: PathBuf,
}

/// The head that the last holder had acknowledged.
pub(super) struct Anchor {
    pub(super) seq: u64,
}

impl RunLock {
    /// Takes the lock of `run`.
    ///
    /// # Errors
    /// SB0505, naming the holder, when another process has it.
    pub fn acquire(home: &Home, run: &RunId) -> Result<Self, Problem> {
        let path = home.lock_path(run);
        let unusable = |e: std::io::Error| home::unusable(&path, &e);
        let mut file = open(&path).map_err(unusable)?;
        for left in (0..TRIES).rev() {
            match file.try_lock() {
                Ok(()) => {
                    let pid = std::process::id();
                    file.seek(SeekFrom::Start(0)).map_err(unusable)?;
                    file.write_all(format!("{pid:>10}\n").as_bytes()).map_err(unusable)?;
                    return Ok(Self { file, path });
                }
                Err(TryLockError::Error(e)) => return Err(unusable(e)),
                Err(TryLockError::WouldBlock) if left > 0 => std::thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        let holder = pid(&mut file).map_or_else(|| "another process".into(), |pid| format!("process {pid}"));
        Err(Problem::new(codes::RUN_LOCKED, format!("run {run} is held by {holder}"))
            .because("one process works on a run at a time")
            .fix(format!("wait for it, or stop it with Ctrl-C, then: sealbook resume {run}")))
    }

    /// Notes the head that has just been made durable.
    pub(super) fn acknowledge(&mut self, key: &[u8; 32], run: &RunId, seq: u64, last: &Link) -> std::io::Result<()> {
        let tag = chain::mac(key, run, seq, last);
        let line = format!("{seq:020} {} {}\n", hex::encode(last), hex::encode(tag));
        self.file.seek(SeekFrom::Start(PID_LINE))?;
        self.file.write_all(line.as_bytes())
    }

    /// Gives the lock up and removes its file, for a run that is being removed.
    pub(super) fn remove(self) -> std::io::Result<()> {
        std::fs::remove_file(&self.path)
    }
}

/// The process that holds `run` now, if one does.
///
/// # Errors
/// SB0704 when the lock file can't be read.
pub fn holder(home: &Home, run: &RunId) -> Result<Option<u32>, Problem> {
    let path = home.lock_path(run);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(home::unusable(&path, &e)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(pid(&mut file).unwrap_or_default())),
        Err(TryLockError::Error(e)) => Err(home::unusable(&path, &e)),
    }
}

/// The last acknowledged head, if the file holds one that this home wrote.
pub(super) fn anchor(home: &Home, key: &[u8; 32], run: &RunId) -> Option<Anchor> {
    let text = std::fs::read_to_string(home.lock_path(run)).ok()?;
    let mut words = text.lines().nth(1)?.split(' ');
    let seq = words.next()?.parse().ok()?;
    let mut last = [0; 32];
    hex::decode_to_slice(words.next()?, &mut last).ok()?;
    let tag = hex::decode(words.next()?).ok()?;
    chain::authentic(key, run, seq, &last, &tag).then_some(Anchor { seq })
}

fn open(path: &Path) -> std::io::Result<File> {
    files::private().read(true).write(true).create(true).truncate(false).open(path)
}

fn pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.take(PID_LINE).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
