//! Containers, blobs, blocks and chunks in the database.
//!
//! A blob is a list of blocks, and a block is a run of encrypted chunks. Committing a block list therefore moves no
//! bytes, and a range reads only the chunks it touches. Which blocks a blob is made of, in which order, is sealed
//! like the bytes themselves (see [`super::cipher`]).

use chrono::{DateTime, Duration, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;

use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::storage::account::Account;
use crate::store::{instant, millis};

/// Tables of the data plane.
pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS storage_containers (
    id       INTEGER PRIMARY KEY,
    account  INTEGER NOT NULL,
    uid      TEXT NOT NULL,
    name     TEXT NOT NULL,
    etag     TEXT NOT NULL,
    metadata TEXT NOT NULL,
    modified INTEGER NOT NULL,
    UNIQUE (account, name)
) STRICT;
CREATE TABLE IF NOT EXISTS storage_blobs (
    id        INTEGER PRIMARY KEY,
    container INTEGER NOT NULL,
    name      TEXT NOT NULL,
    etag      TEXT NOT NULL,
    version   TEXT NOT NULL,
    created   INTEGER NOT NULL,
    modified  INTEGER NOT NULL,
    length    INTEGER NOT NULL,
    headers   TEXT NOT NULL,
    tier      TEXT,
    metadata  BLOB NOT NULL,
    manifest  BLOB NOT NULL,
    UNIQUE (container, name)
) STRICT;
CREATE TABLE IF NOT EXISTS storage_blocks (
    id        INTEGER PRIMARY KEY,
    container INTEGER NOT NULL,
    blob      TEXT NOT NULL,
    block     TEXT NOT NULL,
    uid       TEXT NOT NULL UNIQUE,
    length    INTEGER NOT NULL,
    staged    INTEGER
) STRICT;
CREATE INDEX IF NOT EXISTS storage_blocks_of_blob ON storage_blocks (container, blob);
CREATE INDEX IF NOT EXISTS storage_blocks_staged ON storage_blocks (staged) WHERE staged IS NOT NULL;
CREATE TABLE IF NOT EXISTS storage_chunks (
    block INTEGER NOT NULL,
    chunk INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (block, chunk)
) STRICT;
";

/// How long Azure keeps blocks that were never committed.
const STAGED_FOR: Duration = Duration::days(7);

/// A container.
#[derive(Clone, Debug)]
pub(super) struct Container {
    pub id: i64,
    /// 32 hexadecimal digits that no other container ever has.
    pub uid: String,
    pub name: String,
    pub etag: String,
    pub metadata: Value,
    pub modified: DateTime<Utc>,
}

/// A blob. `metadata` and `manifest` are sealed.
#[derive(Clone, Debug)]
pub(super) struct Blob {
    pub id: i64,
    pub container: i64,
    pub name: String,
    pub etag: String,
    /// 32 hexadecimal digits of this content.
    pub version: String,
    pub created: DateTime<Utc>,
    pub modified: DateTime<Utc>,
    pub length: u64,
    /// Content headers by name, in clear like Azure's.
    pub headers: Value,
    /// Access tier, when the client chose one.
    pub tier: Option<String>,
    pub metadata: Vec<u8>,
    pub manifest: Vec<u8>,
}

/// A block: one upload of bytes.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub id: i64,
    /// Base64 id that the client gave; empty for a blob that was put in one piece.
    pub block: String,
    /// 32 hexadecimal digits of this upload.
    pub uid: String,
    pub length: u64,
    /// Whether it waits to be committed.
    pub staged: bool,
}

fn container_row(row: &Row<'_>) -> rusqlite::Result<Container> {
    let metadata: String = row.get("metadata")?;
    Ok(Container {
        id: row.get("id")?,
        uid: row.get("uid")?,
        name: row.get("name")?,
        etag: row.get("etag")?,
        metadata: serde_json::from_str(&metadata).unwrap_or_default(),
        modified: instant(row.get("modified")?),
    })
}

fn blob_row(row: &Row<'_>) -> rusqlite::Result<Blob> {
    let headers: String = row.get("headers")?;
    Ok(Blob {
        id: row.get("id")?,
        container: row.get("container")?,
        name: row.get("name")?,
        etag: row.get("etag")?,
        version: row.get("version")?,
        created: instant(row.get("created")?),
        modified: instant(row.get("modified")?),
        length: row.get::<_, i64>("length")?.unsigned_abs(),
        headers: serde_json::from_str(&headers).unwrap_or_default(),
        tier: row.get("tier")?,
        metadata: row.get("metadata")?,
        manifest: row.get("manifest")?,
    })
}

fn block_row(row: &Row<'_>) -> rusqlite::Result<Block> {
    Ok(Block {
        id: row.get("id")?,
        block: row.get("block")?,
        uid: row.get("uid")?,
        length: row.get::<_, i64>("length")?.unsigned_abs(),
        staged: row.get::<_, Option<i64>>("staged")?.is_some(),
    })
}

/// A fresh id for a container, a content or a block.
pub(super) fn uid(cx: &Cx<'_>) -> String {
    hex::encode(cx.random::<16>())
}

/// A fresh entity tag in Azure's form.
pub(super) fn etag(cx: &Cx<'_>) -> String {
    let [high, rest @ ..] = cx.random::<7>();
    format!("\"0x8D{:X}{}\"", high & 0xF, hex::encode_upper(rest))
}

/// SQLite's integers are signed; no length comes near the difference.
fn signed(length: u64) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// Reads a container.
pub(super) fn container(tx: &Connection, account: &Account, name: &str) -> Result<Option<Container>, Refusal> {
    let row = tx
        .prepare_cached("SELECT * FROM storage_containers WHERE account = ?1 AND name = ?2")?
        .query_row(params![account.id, name], container_row)
        .optional()?;
    Ok(row)
}

/// Visits an account's containers in order of name, from `from` on, until `visit` says no.
pub(super) fn containers(
    tx: &Connection,
    account: &Account,
    from: &str,
    mut visit: impl FnMut(Container) -> bool,
) -> Result<(), Refusal> {
    let mut statement =
        tx.prepare_cached("SELECT * FROM storage_containers WHERE account = ?1 AND name >= ?2 ORDER BY name")?;
    let mut rows = statement.query_map(params![account.id, from], container_row)?;
    while rows.next().transpose()?.is_some_and(&mut visit) {}
    Ok(())
}

/// Adds a container.
pub(super) fn add_container(
    cx: &Cx<'_>,
    account: &Account,
    name: &str,
    metadata: &Value,
) -> Result<Container, Refusal> {
    let container = Container {
        id: 0,
        uid: uid(cx),
        name: name.to_owned(),
        etag: etag(cx),
        metadata: metadata.clone(),
        modified: cx.now,
    };
    cx.tx
        .prepare_cached(
            "INSERT INTO storage_containers (account, uid, name, etag, metadata, modified)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            account.id,
            container.uid,
            container.name,
            container.etag,
            container.metadata.to_string(),
            millis(container.modified),
        ])?;
    Ok(Container { id: cx.tx.last_insert_rowid(), ..container })
}

/// Stores a container's new metadata and entity tag.
pub(super) fn change_container(tx: &Connection, container: &Container) -> Result<(), Refusal> {
    tx.prepare_cached("UPDATE storage_containers SET etag = ?2, metadata = ?3, modified = ?4 WHERE id = ?1")?
        .execute(params![container.id, container.etag, container.metadata.to_string(), millis(container.modified)])?;
    Ok(())
}

/// Removes a container with everything in it.
pub(super) fn delete_container(tx: &Connection, container: i64) -> Result<(), Refusal> {
    tx.prepare_cached(
        "DELETE FROM storage_chunks WHERE block IN (SELECT id FROM storage_blocks WHERE container = ?1)",
    )?
    .execute([container])?;
    tx.prepare_cached("DELETE FROM storage_blocks WHERE container = ?1")?.execute([container])?;
    tx.prepare_cached("DELETE FROM storage_blobs WHERE container = ?1")?.execute([container])?;
    tx.prepare_cached("DELETE FROM storage_leases WHERE container = ?1")?.execute([container])?;
    tx.prepare_cached("DELETE FROM storage_containers WHERE id = ?1")?.execute([container])?;
    Ok(())
}

/// Removes all data of an account.
pub(in crate::storage) fn destroy(cx: &Cx<'_>, account: &Account) -> Result<(), Refusal> {
    let containers: Vec<i64> = cx
        .tx
        .prepare_cached("SELECT id FROM storage_containers WHERE account = ?1")?
        .query_map([account.id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    containers.into_iter().try_for_each(|container| delete_container(cx.tx, container))
}

/// Reads a blob.
pub(super) fn blob(tx: &Connection, container: &Container, name: &str) -> Result<Option<Blob>, Refusal> {
    let row = tx
        .prepare_cached("SELECT * FROM storage_blobs WHERE container = ?1 AND name = ?2")?
        .query_row(params![container.id, name], blob_row)
        .optional()?;
    Ok(row)
}

/// Visits a container's blobs in order of name, from `from` on, until `visit` says no.
pub(super) fn blobs(
    tx: &Connection,
    container: &Container,
    from: &str,
    mut visit: impl FnMut(Blob) -> Result<bool, Refusal>,
) -> Result<(), Refusal> {
    let mut statement =
        tx.prepare_cached("SELECT * FROM storage_blobs WHERE container = ?1 AND name >= ?2 ORDER BY name")?;
    for blob in statement.query_map(params![container.id, from], blob_row)? {
        if !visit(blob?)? {
            break;
        }
    }
    Ok(())
}

/// Writes a blob over the one of its name.
pub(super) fn put_blob(tx: &Connection, blob: &Blob) -> Result<(), Refusal> {
    tx.prepare_cached(
        "INSERT INTO storage_blobs
         (container, name, etag, version, created, modified, length, headers, tier, metadata, manifest)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT (container, name) DO UPDATE SET etag = excluded.etag, version = excluded.version,
         modified = excluded.modified, length = excluded.length, headers = excluded.headers, tier = excluded.tier,
         metadata = excluded.metadata, manifest = excluded.manifest",
    )?
    .execute(params![
        blob.container,
        blob.name,
        blob.etag,
        blob.version,
        millis(blob.created),
        millis(blob.modified),
        signed(blob.length),
        blob.headers.to_string(),
        blob.tier,
        blob.metadata,
        blob.manifest,
    ])?;
    Ok(())
}

/// Removes a blob with its blocks, committed or not.
pub(super) fn delete_blob(tx: &Connection, blob: &Blob) -> Result<(), Refusal> {
    for block in blocks(tx, blob.container, &blob.name)? {
        delete_block(tx, block.id)?;
    }
    tx.prepare_cached("DELETE FROM storage_blobs WHERE id = ?1")?.execute([blob.id])?;
    Ok(())
}

/// Blocks of a blob, committed or not, in order of upload.
pub(super) fn blocks(tx: &Connection, container: i64, blob: &str) -> Result<Vec<Block>, Refusal> {
    let mut statement =
        tx.prepare_cached("SELECT * FROM storage_blocks WHERE container = ?1 AND blob = ?2 ORDER BY id")?;
    let rows = statement.query_map(params![container, blob], block_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What a new block has to do with the staged blocks of a blob.
pub(super) struct Staged {
    /// How many there are.
    pub count: i64,
    /// Whether some have ids of another length.
    pub other_length: bool,
    /// The row of the one with the same id.
    pub same: Option<i64>,
}

/// Looks among the staged blocks of a blob without reading them all.
pub(super) fn staged(tx: &Connection, container: i64, blob: &str, id: &str) -> Result<Staged, Refusal> {
    let staged = tx
        .prepare_cached(
            "SELECT count(*), coalesce(max(length(block) <> length(?3)), 0), max(CASE WHEN block = ?3 THEN id END)
             FROM storage_blocks WHERE container = ?1 AND blob = ?2 AND staged IS NOT NULL",
        )?
        .query_row(params![container, blob, id], |row| {
            Ok(Staged { count: row.get(0)?, other_length: row.get(1)?, same: row.get(2)? })
        })?;
    Ok(staged)
}

/// Adds a block's row; its chunks follow with [`add_chunk`].
pub(super) fn add_block(
    cx: &Cx<'_>,
    container: &Container,
    blob: &str,
    block: &str,
    length: u64,
    staged: bool,
) -> Result<Block, Refusal> {
    let uid = uid(cx);
    cx.tx
        .prepare_cached(
            "INSERT INTO storage_blocks (container, blob, block, uid, length, staged) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![container.id, blob, block, uid, signed(length), staged.then(|| millis(cx.now))])?;
    Ok(Block { id: cx.tx.last_insert_rowid(), block: block.to_owned(), uid, length, staged })
}

/// Marks a block as committed.
pub(super) fn commit_block(tx: &Connection, block: i64) -> Result<(), Refusal> {
    tx.prepare_cached("UPDATE storage_blocks SET staged = NULL WHERE id = ?1")?.execute([block])?;
    Ok(())
}

/// Removes a block and its chunks.
pub(super) fn delete_block(tx: &Connection, block: i64) -> Result<(), Refusal> {
    tx.prepare_cached("DELETE FROM storage_chunks WHERE block = ?1")?.execute([block])?;
    tx.prepare_cached("DELETE FROM storage_blocks WHERE id = ?1")?.execute([block])?;
    Ok(())
}

/// Stores one encrypted chunk.
pub(super) fn add_chunk(tx: &Connection, block: i64, chunk: u32, bytes: &[u8]) -> Result<(), Refusal> {
    tx.prepare_cached("INSERT INTO storage_chunks (block, chunk, bytes) VALUES (?1, ?2, ?3)")?
        .execute(params![block, chunk, bytes])?;
    Ok(())
}

/// Reads one encrypted chunk.
pub(super) fn chunk(tx: &Connection, block: i64, chunk: u32) -> Result<Option<Vec<u8>>, Refusal> {
    let bytes = tx
        .prepare_cached("SELECT bytes FROM storage_chunks WHERE block = ?1 AND chunk = ?2")?
        .query_row(params![block, chunk], |row| row.get(0))
        .optional()?;
    Ok(bytes)
}

/// Drops blocks that were staged a week ago and never committed.
pub(in crate::storage) fn forget_old_blocks(cx: &Cx<'_>) -> Result<(), Refusal> {
    let old: Vec<i64> = cx
        .tx
        .prepare_cached("SELECT id FROM storage_blocks WHERE staged IS NOT NULL AND staged <= ?1")?
        .query_map([millis(cx.now - STAGED_FOR)], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    old.into_iter().try_for_each(|block| delete_block(cx.tx, block))
}
