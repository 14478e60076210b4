//! Journals in SQLite: one file per run, append-only, in WAL mode with a flush for every record.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};
use sealbook_crypto::SealKey;
use sealbook_model::id::RunId;
use sealbook_model::journal::{Entry, FORMAT};
use sealbook_model::problem::{Problem, codes};

use super::chain::{self, Link};
use super::lock::{self, RunLock};
use super::store::{Header, RecordStore, Seal};
use crate::home::{self, Home};

/// Marks the file as ours (`SBJ1`), in SQLite's own header.
const APPLICATION: i64 = 0x5342_4a31;

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
    mac_key: [u8; 32],
    signer: Signer,
    /// None: opened for reading.
    lock: Option<RunLock>,
    broken: bool,
}

/// Signs heads; the home behind it stays where it is.
struct Signer {
    sign: Box<dyn Fn(&[u8]) -> [u8; 64] + Send>,
    public: [u8; 32],
}

impl SqliteStore {
    /// Makes the journal of a new run with its first entry, or nothing at all: it appears under its name only when it
    /// is complete.
    ///
    /// # Errors
    /// SB0504 when it can't be written, SB0505 when another process makes the same run.
    pub fn create(home: &std::sync::Arc<Home>, run: &RunId, key: &SealKey, first: &Entry) -> Result<Self, Problem> {
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
        home::private().write(true).create_new(true).open(&fresh).map_err(failed)?;
        write_new(&fresh, &header, &mac_key(home), first).map_err(|e| unwritable(run, e.to_string()))?;
        fs::rename(&fresh, &path).and_then(|()| home::sync_folder(&home.runs_dir())).map_err(failed)?;
        Self::open_locked(home, run, lock).map(|(store, _)| store)
    }

    /// Opens a journal for writing and gives back what is in it.
    ///
    /// # Errors
    /// SB0505 when another process holds the run, SB0501 to SB0503 when the journal can't be trusted.
    pub fn open(home: &std::sync::Arc<Home>, run: &RunId) -> Result<(Self, Vec<Entry>), Problem> {
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
        let path = home.journal_path(run);
        if !path.exists() {
            return Err(unknown(run));
        }
        let contents = (|| {
            // The anchor first: it must not be newer than the snapshot that it judges.
            let anchor = lock::anchor(home, &mac_key(home), run);
            let mut connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            load(&mut connection, home, run, anchor.map(|a| a.seq))
        })()
        .map_err(|reason| reason.problem(run))?;
        Ok((contents.header, contents.entries))
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
            .and_then(|()| home::sync_folder(&home.runs_dir()))
            .map_err(|e| home::unusable(&path, &e))
    }

    fn open_locked(home: &std::sync::Arc<Home>, run: &RunId, lock: RunLock) -> Result<(Self, Vec<Entry>), Problem> {
        let path = home.journal_path(run);
        let contents = (|| {
            let anchor = lock::anchor(home, &mac_key(home), run);
            let mut connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            let contents = load(&mut connection, home, run, anchor.map(|a| a.seq))?;
            connection.pragma_update(None, "journal_mode", "wal")?;
            connection.pragma_update(None, "synchronous", "full")?;
            Ok::<_, Reason>((connection, contents))
        })();
        let (connection, contents) = contents.map_err(|reason| reason.problem(run))?;
        let signer = {
            let home = home.clone();
            Signer { public: home.public(), sign: Box::new(move |message| home.sign(message)) }
        };
        let Contents { header, entries, seq, last } = contents;
        let mac_key = mac_key(home);
        Ok((Self { connection, header, seq, last, mac_key, signer, lock: Some(lock), broken: false }, entries))
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
        if let Some(lock) = &mut self.lock {
            // The record is durable whether or not this second opinion could be written.
            let _ = lock.acknowledge(&self.mac_key, &run, self.seq, &self.last);
        }
        Ok(())
    }

    fn seal(&mut self) -> Result<(), Problem> {
        let signature = (self.signer.sign)(&chain::head(&self.header.run, self.seq, &self.last));
        self.connection
            .execute(
                "INSERT OR REPLACE INTO seal (seq, hash, signature, public) VALUES (?1, ?2, ?3, ?4)",
                params![column(self.seq), self.last, signature, self.signer.public],
            )
            .map(drop)
            .map_err(|e| unwritable(&self.header.run, e.to_string()))
    }
}

/// What a journal holds, after it was verified.
struct Contents {
    header: Header,
    entries: Vec<Entry>,
    seq: u64,
    last: Link,
}

/// Why a journal is refused.
enum Reason {
    Damaged(String),
    Newer(String),
    Foreign(String),
}

impl Reason {
    fn problem(self, run: &RunId) -> Problem {
        match self {
            Self::Damaged(why) => Problem::new(codes::JOURNAL_DAMAGED, format!("the journal of run {run} is damaged"))
                .because(why)
                .fix(format!("restore {run}.db and {run}.db-wal from a copy; what the run made carries the tag sealbook-run={run}")),
            Self::Newer(why) => {
                Problem::new(codes::JOURNAL_NEWER, format!("the journal of run {run} was written by a newer Sealbook"))
                    .because(why)
                    .fix("use the newer Sealbook for this run")
            }
            Self::Foreign(home) => {
                Problem::new(codes::JOURNAL_FOREIGN, format!("the journal of run {run} belongs to another home"))
                    .because(format!("home {home} wrote it, and only its key opens it"))
                    .fix("set SEALBOOK_HOME to the home it came from")
            }
        }
    }
}

impl From<rusqlite::Error> for Reason {
    fn from(error: rusqlite::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}

fn connect(path: &Path, access: OpenFlags) -> Result<Connection, Reason> {
    // Without SQLITE_OPEN_CREATE: a journal that is gone must not come back empty.
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}

fn load(connection: &mut Connection, home: &Home, run: &RunId, anchor: Option<u64>) -> Result<Contents, Reason> {
    let transaction = connection.transaction()?;
    let pragma = |name: &str| transaction.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    if pragma("application_id")? != APPLICATION {
        return Err(Reason::Damaged("it is not a journal, or its beginning is gone".into()));
    }
    let version = pragma("user_version")?;
    if version != i64::from(FORMAT) {
        return Err(Reason::Newer(format!("its format is {version}; this Sealbook reads {FORMAT}")));
    }
    let sound: String = transaction.pragma_query_value(None, "quick_check", |row| row.get(0))?;
    if sound != "ok" {
        return Err(Reason::Damaged(sound));
    }
    let header = header(&transaction, home, run)?;
    let mut last = chain::genesis(header.format, &header.home, run);
    let mut hashes = Vec::new();
    let mut entries = Vec::new();
    let mut statement = transaction.prepare("SELECT seq, json, prev, hash FROM record ORDER BY seq")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let seq = entries.len() as u64 + 1;
        let json = row.get_ref(1)?.as_str().map_err(|e| Reason::Damaged(e.to_string()))?;
        let hash = chain::link(&last, seq, json);
        if row.get::<_, i64>(0)? != column(seq) || row.get::<_, Link>(2)? != last || row.get::<_, Link>(3)? != hash {
            return Err(Reason::Damaged(format!("record {seq} is missing or was changed")));
        }
        let entry: Entry = serde_json::from_str(json)
            .map_err(|e| Reason::Newer(format!("record {seq} is of a kind that this Sealbook does not know: {e}")))?;
        if entry.seq != seq {
            return Err(Reason::Damaged(format!("record {seq} says that it is record {}", entry.seq)));
        }
        last = hash;
        hashes.push(hash);
        entries.push(entry);
    }
    let seq = entries.len() as u64;
    if seq == 0 {
        return Err(Reason::Damaged("it has no records".into()));
    }
    let (head, tag): (i64, Vec<u8>) =
        transaction.query_row("SELECT seq, mac FROM head", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if head != column(seq) || !chain::authentic(&mac_key(home), run, seq, &last, &tag) {
        return Err(Reason::Damaged(format!("it ends with record {seq}, but this home did not end it there")));
    }
    if let Some(acknowledged) = anchor.filter(|acknowledged| *acknowledged > seq) {
        return Err(Reason::Damaged(format!("it ends with record {seq}, but record {acknowledged} had been written")));
    }
    for seal in seals(&transaction)? {
        let covered = usize::try_from(seal.seq).ok().and_then(|seq| hashes.get(seq.checked_sub(1)?));
        let message = chain::head(run, seal.seq, &seal.hash);
        let good = covered == Some(&seal.hash)
            && seal.public == home.public()
            && sealbook_crypto::verify(&seal.public, &message, &seal.signature).is_ok();
        if !good {
            return Err(Reason::Damaged(format!("the signature over its records up to {} does not verify", seal.seq)));
        }
    }
    drop(rows);
    drop(statement);
    Ok(Contents { header, entries, seq, last })
}

fn header(connection: &Connection, home: &Home, run: &RunId) -> Result<Header, Reason> {
    let (format, owner, name, key): (u32, String, String, Vec<u8>) =
        connection.query_row("SELECT format, home, run, key FROM header", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
    if format != FORMAT {
        return Err(Reason::Newer(format!("its format is {format}; this Sealbook reads {FORMAT}")));
    }
    if owner != home.id() {
        return Err(Reason::Foreign(owner));
    }
    if name != run.as_str() {
        return Err(Reason::Damaged(format!("it is the journal of run {name} under another name")));
    }
    Ok(Header { format, home: owner, run: run.clone(), key })
}

fn seals(connection: &Connection) -> rusqlite::Result<Vec<Seal>> {
    let mut statement = connection.prepare("SELECT seq, hash, signature, public FROM seal ORDER BY seq")?;
    let rows = statement.query_map([], |row| {
        Ok(Seal { seq: counted(row.get(0)?), hash: row.get(1)?, signature: row.get(2)?, public: row.get(3)? })
    })?;
    rows.collect()
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

/// A sequence number as SQLite keeps it.
fn column(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

/// And back; what no writer ever wrote becomes a number that no record has.
fn counted(column: i64) -> u64 {
    u64::try_from(column).unwrap_or(0)
}

fn mac_key(home: &Home) -> [u8; 32] {
    home.derive("sealbook journal heads")
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
