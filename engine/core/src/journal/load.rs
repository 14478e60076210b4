//! Reading a journal and judging it, before a single record of it is believed.
//!
//! In this order: the file is ours and of a format that we know, SQLite finds it sound, it belongs to this home and this
//! run, every record follows from the one before, this home ended it where it ends, no acknowledged record is missing,
//! and the signatures hold.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use sealbook_model::id::RunId;
use sealbook_model::journal::{Entry, FORMAT};
use sealbook_model::problem::{Problem, codes};

use super::chain::{self, Link};
use super::store::{Header, Seal};
use crate::home::Home;

/// Marks the file as ours (`SBJ1`), in SQLite's own header.
pub(super) const APPLICATION: i64 = 0x5342_4a31;

/// What a journal holds, after it was verified.
pub(super) struct Contents {
    pub(super) header: Header,
    pub(super) entries: Vec<Entry>,
    pub(super) seq: u64,
    pub(super) last: Link,
    pub(super) seals: Vec<Seal>,
}

/// Why a journal is refused.
pub(super) enum Reason {
    Damaged(String),
    Newer(String),
    Foreign(String),
}

impl Reason {
    pub(super) fn problem(self, run: &RunId) -> Problem {
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

/// Opens the file of a journal that exists.
pub(super) fn connect(path: &Path, access: OpenFlags) -> Result<Connection, Reason> {
    // Without SQLITE_OPEN_CREATE: a journal that is gone must not come back empty.
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}

/// Reads everything, in one snapshot. `anchor` is the last record that is known to have been acknowledged. `keep` gets
/// each record's text as it was hashed, with its hash, before the journal as a whole was judged.
pub(super) fn load(
    connection: &mut Connection,
    home: &Home,
    run: &RunId,
    anchor: Option<u64>,
    keep: &mut dyn FnMut(&str, &Link),
) -> Result<Contents, Reason> {
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
    let (entries, hashes) = records(&transaction, &header, keep)?;
    let last = *hashes.last().ok_or_else(|| Reason::Damaged("it has no records".into()))?;
    let seq = entries.len() as u64;
    ended(&transaction, home, run, seq, &last)?;
    if let Some(acknowledged) = anchor.filter(|acknowledged| *acknowledged > seq) {
        return Err(Reason::Damaged(format!("it ends with record {seq}, but record {acknowledged} had been written")));
    }
    let seals = seals(&transaction)?;
    signed(&seals, home, run, &hashes)?;
    Ok(Contents { header, entries, seq, last, seals })
}

/// The records and their hashes, each following from the one before.
fn records(
    connection: &Connection,
    header: &Header,
    keep: &mut dyn FnMut(&str, &Link),
) -> Result<(Vec<Entry>, Vec<Link>), Reason> {
    let mut last = chain::genesis(header.format, &header.home, &header.run);
    let (mut entries, mut hashes) = (Vec::new(), Vec::new());
    let mut statement = connection.prepare("SELECT seq, json, prev, hash FROM record ORDER BY seq")?;
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
        keep(json, &hash);
        last = hash;
        hashes.push(hash);
        entries.push(entry);
    }
    Ok((entries, hashes))
}

/// Whether this home ended the journal where it ends.
fn ended(connection: &Connection, home: &Home, run: &RunId, seq: u64, last: &Link) -> Result<(), Reason> {
    let (head, tag): (i64, Vec<u8>) =
        connection.query_row("SELECT seq, mac FROM head", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if head == column(seq) && chain::authentic(&mac_key(home), run, seq, last, &tag) {
        return Ok(());
    }
    Err(Reason::Damaged(format!("it ends with record {seq}, but this home did not end it there")))
}

/// Whether every signature covers the chain up to its record.
fn signed(seals: &[Seal], home: &Home, run: &RunId, hashes: &[Link]) -> Result<(), Reason> {
    for seal in seals {
        if !seal.covers(run, &home.public(), hashes) {
            return Err(Reason::Damaged(format!("the signature over its records up to {} does not verify", seal.seq)));
        }
    }
    Ok(())
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

/// A sequence number as SQLite keeps it.
pub(super) fn column(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

/// And back; what no writer ever wrote becomes a number that no record has.
fn counted(column: i64) -> u64 {
    u64::try_from(column).unwrap_or(0)
}

/// The key of the proofs over heads.
pub(super) fn mac_key(home: &Home) -> [u8; 32] {
    home.derive("sealbook journal heads")
}
