//! The tables of volumes.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::cx::Cx;
use crate::encryption;
use crate::refusal::Refusal;
use crate::store::millis;

/// The tables. Chunks that hold nothing but zeros have no row.
pub(in crate::compute) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS volumes (
    id       INTEGER PRIMARY KEY,
    uid      TEXT NOT NULL UNIQUE,
    resource TEXT NOT NULL UNIQUE COLLATE NOCASE,
    host     TEXT NOT NULL UNIQUE,
    length   INTEGER NOT NULL,
    changed  INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS volume_chunks (
    volume INTEGER NOT NULL,
    chunk  INTEGER NOT NULL,
    bytes  BLOB NOT NULL,
    PRIMARY KEY (volume, chunk)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS volume_grants (
    volume    INTEGER PRIMARY KEY,
    policy    TEXT NOT NULL,
    container TEXT NOT NULL,
    secret    BLOB NOT NULL,
    writes    INTEGER NOT NULL,
    expires   INTEGER NOT NULL
) STRICT;
";

/// Kind of the owners of data keys that volumes are.
const OWNER: &str = "volume";

/// A volume.
#[derive(Clone, Debug)]
pub(in crate::compute) struct Volume {
    /// Row id.
    pub id: i64,
    /// GUID that no other volume ever has; disks show it as `uniqueId`.
    pub uid: String,
    /// ARM id of the disk or snapshot.
    pub resource: String,
    /// What is its own in the name of its host.
    pub host: String,
    /// Bytes of content, without the footer.
    pub length: u64,
    /// When the content was last written, in milliseconds since the epoch.
    pub changed: i64,
}

impl Volume {
    /// Its name as the owner of its data key.
    pub fn owner(&self) -> String {
        format!("{OWNER}/{}", self.uid)
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Volume> {
    let length: i64 = row.get("length")?;
    Ok(Volume {
        id: row.get("id")?,
        uid: row.get("uid")?,
        resource: row.get("resource")?,
        host: row.get("host")?,
        length: length.unsigned_abs(),
        changed: row.get("changed")?,
    })
}

fn one(tx: &Connection, column: &str, value: &str) -> Result<Option<Volume>, Refusal> {
    let row = tx
        .prepare_cached(&format!("SELECT * FROM volumes WHERE {column} = ?1"))?
        .query_row([value], from_row)
        .optional()?;
    Ok(row)
}

/// The volume of a disk or snapshot.
pub(in crate::compute) fn by_resource(tx: &Connection, resource: &str) -> Result<Option<Volume>, Refusal> {
    one(tx, "resource", resource)
}

/// The volume that owns a data key.
pub(in crate::compute) fn by_owner(tx: &Connection, owner: &str) -> Result<Option<Volume>, Refusal> {
    match owner.split_once('/') {
        Some((OWNER, uid)) => one(tx, "uid", uid),
        _ => Ok(None),
    }
}

/// The volume that has a host.
pub(super) fn by_host(tx: &Connection, host: &str) -> Result<Option<Volume>, Refusal> {
    one(tx, "host", host)
}

/// Makes an empty volume with a data key under the service's protection. `uid` is a fresh GUID.
pub(in crate::compute) fn create(cx: &Cx<'_>, uid: &str, resource: &str, length: u64) -> Result<Volume, Refusal> {
    let uid = uid.to_owned();
    let host = label(cx.random::<12>());
    let changed = millis(cx.now);
    cx.tx
        .prepare_cached("INSERT INTO volumes (uid, resource, host, length, changed) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![uid, resource, host, stored(length)?, changed])?;
    let volume = Volume { id: cx.tx.last_insert_rowid(), uid, resource: resource.to_owned(), host, length, changed };
    encryption::create(cx, &volume.owner())?;
    Ok(volume)
}

/// Stores another length.
pub(super) fn resize(cx: &Cx<'_>, volume: &Volume, length: u64) -> Result<(), Refusal> {
    cx.tx
        .prepare_cached("UPDATE volumes SET length = ?2 WHERE id = ?1")?
        .execute(params![volume.id, stored(length)?])?;
    Ok(())
}

/// Notes that the content changed now.
pub(super) fn touch(cx: &Cx<'_>, volume: &Volume) -> Result<(), Refusal> {
    cx.tx
        .prepare_cached("UPDATE volumes SET changed = max(changed + 1, ?2) WHERE id = ?1")?
        .execute(params![volume.id, millis(cx.now)])?;
    Ok(())
}

/// Removes a volume: its data key, its content, its signatures.
pub(in crate::compute) fn delete(cx: &Cx<'_>, volume: &Volume) -> Result<(), Refusal> {
    encryption::destroy(cx, &volume.owner())?;
    for sql in [
        "DELETE FROM volume_chunks WHERE volume = ?1",
        "DELETE FROM volume_grants WHERE volume = ?1",
        "DELETE FROM volumes WHERE id = ?1",
    ] {
        cx.tx.prepare_cached(sql)?.execute([volume.id])?;
    }
    Ok(())
}

/// One sealed chunk.
pub(super) fn chunk(tx: &Connection, volume: &Volume, chunk: i64) -> Result<Option<Vec<u8>>, Refusal> {
    let row = tx
        .prepare_cached("SELECT bytes FROM volume_chunks WHERE volume = ?1 AND chunk = ?2")?
        .query_row(params![volume.id, chunk], |row| row.get(0))
        .optional()?;
    Ok(row)
}

/// Stores a sealed chunk, or removes it.
pub(super) fn put_chunk(tx: &Connection, volume: &Volume, chunk: i64, sealed: Option<&[u8]>) -> Result<(), Refusal> {
    match sealed {
        Some(sealed) => tx
            .prepare_cached("INSERT OR REPLACE INTO volume_chunks (volume, chunk, bytes) VALUES (?1, ?2, ?3)")?
            .execute(params![volume.id, chunk, sealed])?,
        None => tx
            .prepare_cached("DELETE FROM volume_chunks WHERE volume = ?1 AND chunk = ?2")?
            .execute(params![volume.id, chunk])?,
    };
    Ok(())
}

/// Numbers of the chunks that are not all zeros, from one to another (exclusive), in order.
pub(super) fn chunks(tx: &Connection, volume: &Volume, first: i64, end: i64) -> Result<Vec<i64>, Refusal> {
    let mut statement = tx.prepare_cached(
        "SELECT chunk FROM volume_chunks WHERE volume = ?1 AND chunk >= ?2 AND chunk < ?3 ORDER BY chunk",
    )?;
    let rows = statement.query_map(params![volume.id, first, end], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn stored(length: u64) -> Result<i64, Refusal> {
    i64::try_from(length).map_err(Refusal::internal)
}

/// Twelve letters and digits, as the hosts of managed disks have them.
pub(super) fn label(random: [u8; 12]) -> String {
    const LETTERS: &[u8; 32] = b"0123456789bcdfghjklmnpqrstvwxyz5";
    random.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect()
}
