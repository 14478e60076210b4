//! Journals in SQLite: one file per run, append-only, in WAL mode with a flush for every record.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};
use sealbook_crypto::SealKey;
use sealbook_model::id::RunId;
use sealbook_model::journal::{Entry, FORMAT};
use sealbook_model::problem::{Problem, codes};

use super::chain::{self, Link};
use super::load::{APPLICATION, Contents, Reason, column, connect, load, mac_key};
use super::lock::{self, RunLock};
use super::store::{Header, RecordStore, Recorded};
use crate::files;
use crate::home::{self, Home};

const SCHEMA: &str = "
CREATE TABLE header (
    only   INTEGER PRIMARY KEY CHECK (only = 1),
    format INTEGER NOT NULL,
    home   TEXT NOT NULL,
    run    TEXT NOT NULL,
    key    BLOB NOT NULL
) STRICT;
CREATE TABLE record (seq INTEGER PRIMARY KEY, json TEXT NOT NULL, prev BLOB NOT NULL, hash BLOB NOT NULL) STRICT;
CREATE TABLE head (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    seq  INTEGER NOT NULL,
    hash BLOB NOT NULL,
    mac  BLOB NOT NULL
) STRICT;
CREATE TABLE seal (seq INTEGER PRIMARY KEY, hash BLOB NOT NULL, signature BLOB NOT NULL, public BLOB NOT NULL) STRICT;
";

/// The journal of one run in one SQLite file.
pub struct SqliteStore {
    connection: Connection,
    header: Header,
    seq: u64,
    last: Link,
    home: Arc<Home>,
    mac_key: [u8; 32],
    lock: RunLock,
    broken: bool,
}

impl SqliteStore {
    /// Makes the journal of a new run with its first entry, or nothing at all: it appears under its name only when it
    /// is complete.
    ///
    /// # Errors
    /// SB0504 when it can't be written, SB0505 when another process makes the same run.
    pub fn create(home: &Arc<Home>, run: &RunId, key: &SealKey, first: &Entry) -> Result<Self, Problem> {
        let path = home.journal_path(run);
        let lock = RunLock::acquire(home, run)?;
        if path.exists() {
            return Err(Problem::new(codes::JOURNAL_WRITE, format!("a run {run} exists already"))
                .fix("start again: a new run gets a new id"));
        }
        let wrapped = home.wrapping_key().seal(&key_place(run), key.expose());
        let header = Header { format: FORMAT, home: home.id().into(), run: run.clone(), key: wrapped };
        let fresh = home.runs_dir().join(format!(".{run}.new"));
        let failed = |e: std::io::Error| unwritable(run, e.to_string());
        remove_files(&fresh).map_err(failed)?;
        files::private().write(true).create_new(true).open(&fresh).map_err(failed)?;
        write_new(&fresh, &header, &mac_key(home), first).map_err(|e| unwritable(run, e.to_string()))?;
        fs::rename(&fresh, &path).and_then(|()| files::sync_folder(&home.runs_dir())).map_err(failed)?;
        Self::open_locked(home, run, lock).map(|(store, _)| store)
    }

    /// Opens a journal for writing and gives back what is in it.
    ///
    /// # Errors
    /// SB0505 when another process holds the run, SB0501 to SB0503 when the journal can't be trusted.
    pub fn open(home: &Arc<Home>, run: &RunId) -> Result<(Self, Vec<Entry>), Problem> {
        if !home.journal_path(run).exists() {
            return Err(unknown(run));
        }
        let lock = RunLock::acquire(home, run)?;
        Self::open_locked(home, run, lock)
    }

    /// Reads a journal, also while another process writes it.
    ///
    /// # Errors
    /// SB0501 to SB0503 when the journal can't be trusted.
    pub fn read(home: &Home, run: &RunId) -> Result<(Header, Vec<Entry>), Problem> {
        let contents = Self::contents(home, run, &mut |_, _| {})?;
        Ok((contents.header, contents.entries))
    }

    /// Reads a journal as it was hashed and signed, also while another process writes it.
    ///
    /// # Errors
    /// SB0501 to SB0503 when the journal can't be trusted.
    pub fn recorded(home: &Home, run: &RunId) -> Result<Recorded, Problem> {
        let mut records = Vec::new();
        let contents = Self::contents(home, run, &mut |json, hash| records.push((json.to_owned(), *hash)))?;
        let Contents { header, entries, seals, .. } = contents;
        Ok(Recorded { header, entries, records, seals })
    }

    fn contents(home: &Home, run: &RunId, keep: &mut dyn FnMut(&str, &Link)) -> Result<Contents, Problem> {
        let path = home.journal_path(run);
        if !path.exists() {
            return Err(unknown(run));
        }
        (|| {
            // The anchor first: it must not be newer than the snapshot that it judges.
            let anchor = lock::anchor(home, &mac_key(home), run);
            let mut connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            load(&mut connection, home, run, anchor.map(|a| a.seq), keep)
        })()
        .map_err(|reason| reason.problem(run))
    }

    /// Unwraps the run's sealing key.
    ///
    /// # Errors
    /// SB0501 when it was changed or destroyed.
    pub fn run_key(home: &Home, header: &Header) -> Result<SealKey, Problem> {
        let damaged = || Reason::Damaged("the run's key does not open".into()).problem(&header.run);
        let bytes = home.wrapping_key().open(&key_place(&header.run), &header.key).map_err(|_| damaged())?;
        Ok(SealKey::from_bytes(bytes.expose().try_into().map_err(|_| damaged())?))
    }

    /// Destroys the run's key, then the journal.
    ///
    /// # Errors
    /// SB0505 when another process holds the run, SB0504 when a file can't be removed.
    pub fn destroy(home: &Home, run: &RunId) -> Result<(), Problem> {
        let path = home.journal_path(run);
        let lock = RunLock::acquire(home, run)?;
        // A journal that does not open has nothing to wipe that would not go with the file.
        if let Ok(connection) = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE) {
            let _ = connection.execute_batch(
                "PRAGMA secure_delete = ON; UPDATE header SET key = zeroblob(length(key));
                 PRAGMA wal_checkpoint(TRUNCATE);",
            );
        }
        remove_files(&path)
            .and_then(|()| lock.remove())
            .and_then(|()| files::sync_folder(&home.runs_dir()))
            .map_err(|e| home::unusable(&path, &e))
    }

    fn open_locked(home: &Arc<Home>, run: &RunId, lock: RunLock) -> Result<(Self, Vec<Entry>), Problem> {
        let path = home.journal_path(run);
        let contents = (|| {
            let anchor = lock::anchor(home, &mac_key(home), run);
            let mut connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            let contents = load(&mut connection, home, run, anchor.map(|a| a.seq), &mut |_, _| {})?;
            connection.pragma_update(None, "journal_mode", "wal")?;
            connection.pragma_update(None, "synchronous", "full")?;
            Ok::<_, Reason>((connection, contents))
        })();
        let (connection, contents) = contents.map_err(|reason| reason.problem(run))?;
        let Contents { header, entries, seq, last, .. } = contents;
        let mac_key = mac_key(home);
        Ok((Self { connection, header, seq, last, home: home.clone(), mac_key, lock, broken: false }, entries))
    }

    fn try_append(&mut self, entry: &Entry, hash: &Link, json: &str) -> rusqlite::Result<bool> {
        let tag = chain::mac(&self.mac_key, &self.header.run, entry.seq, hash);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let moved = transaction
            .prepare_cached("UPDATE head SET seq = ?1, hash = ?2, mac = ?3 WHERE seq = ?4 AND hash = ?5")?
            .execute(params![column(entry.seq), hash, tag, column(self.seq), self.last])?;
        transaction
            .prepare_cached("INSERT INTO record (seq, json, prev, hash) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![column(entry.seq), json, self.last, hash])?;
        if moved == 1 { transaction.commit().map(|()| true) } else { Ok(false) }
    }
}

impl RecordStore for SqliteStore {
    fn head(&self) -> [u8; 32] {
        self.last
    }

    fn header(&self) -> &Header {
        &self.header
    }

    fn append(&mut self, entry: &Entry) -> Result<(), Problem> {
        let run = self.header.run.clone();
        if self.broken || entry.seq != self.seq + 1 {
            return Err(unwritable(&run, "an earlier record could not be written".into()));
        }
        self.broken = true;
        let json = serde_json::to_string(entry).map_err(|e| unwritable(&run, e.to_string()))?;
        let hash = chain::link(&self.last, entry.seq, &json);
        match self.try_append(entry, &hash, &json) {
            Ok(true) => {}
            Ok(false) => return Err(unwritable(&run, "something else has written into it".into())),
            Err(e) => return Err(unwritable(&run, e.to_string())),
        }
        (self.seq, self.last, self.broken) = (entry.seq, hash, false);
        // The record is durable whether or not this second opinion could be written.
        let _ = self.lock.acknowledge(&self.mac_key, &run, self.seq, &self.last);
        Ok(())
    }

    fn seal(&mut self) -> Result<(), Problem> {
        let signature = self.home.sign(&chain::head(&self.header.run, self.seq, &self.last));
        self.connection
            .execute(
                "INSERT OR REPLACE INTO seal (seq, hash, signature, public) VALUES (?1, ?2, ?3, ?4)",
                params![column(self.seq), self.last, signature, self.home.public()],
            )
            .map(drop)
            .map_err(|e| unwritable(&self.header.run, e.to_string()))
    }
}

fn write_new(
    path: &Path,
    header: &Header,
    mac_key: &[u8; 32],
    first: &Entry,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "application_id", APPLICATION)?;
    connection.pragma_update(None, "user_version", FORMAT)?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    transaction.execute(
        "INSERT INTO header (only, format, home, run, key) VALUES (1, ?1, ?2, ?3, ?4)",
        params![header.format, header.home, header.run.as_str(), header.key],
    )?;
    let genesis = chain::genesis(header.format, &header.home, &header.run);
    let json = serde_json::to_string(first)?;
    let hash = chain::link(&genesis, first.seq, &json);
    let tag = chain::mac(mac_key, &header.run, first.seq, &hash);
    transaction.execute(
        "INSERT INTO head (only, seq, hash, mac) VALUES (1, ?1, ?2, ?3)",
        params![column(first.seq), hash, tag],
    )?;
    transaction.execute(
        "INSERT INTO record (seq, json, prev, hash) VALUES (?1, ?2, ?3, ?4)",
        params![column(first.seq), json, genesis, hash],
    )?;
    transaction.commit()?;
    connection.close().map_err(|(_, e)| e)?;
    Ok(())
}

/// Removes a database and what SQLite keeps beside it.
fn remove_files(path: &Path) -> std::io::Result<()> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        match fs::remove_file(PathBuf::from(file)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

fn key_place(run: &RunId) -> Vec<u8> {
    format!("sealbook run key\0{run}").into_bytes()
}

fn unknown(run: &RunId) -> Problem {
    Problem::new(codes::UNKNOWN_RUN, format!("there is no run {run}")).fix("sealbook runs lists what there is")
}

fn unwritable(run: &RunId, why: String) -> Problem {
    Problem::new(codes::JOURNAL_WRITE, format!("the journal of run {run} can't be written"))
        .because(why)
        .fix(format!("make room on the disk, then: sealbook resume {run}"))
}
