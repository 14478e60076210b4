//! The tables of secrets. A secret belongs to a vault by name; its values are sealed under the identifiers of their
//! versions.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row, params};
use sealbook_crypto::SecretString;
use serde_json::Value;

use super::super::keystore::{Deletion, KeyStore};
use super::bundle;
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::store::{instant, millis};

/// Instants of deletions are milliseconds since the Unix epoch, on the cloud clock; those of versions are seconds.
pub(in super::super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS keyvault_secrets (
    id      INTEGER PRIMARY KEY,
    vault   TEXT NOT NULL COLLATE NOCASE,
    name    TEXT NOT NULL COLLATE NOCASE,
    deleted INTEGER,
    settled INTEGER,
    purge   INTEGER,
    UNIQUE (vault, name)
) STRICT;
CREATE INDEX IF NOT EXISTS keyvault_secrets_purge ON keyvault_secrets (purge) WHERE purge IS NOT NULL;
CREATE TABLE IF NOT EXISTS keyvault_secret_versions (
    id      INTEGER PRIMARY KEY,
    secret  INTEGER NOT NULL,
    version TEXT NOT NULL COLLATE NOCASE,
    sealed  BLOB NOT NULL,
    kind    TEXT,
    enabled INTEGER NOT NULL,
    nbf     INTEGER,
    exp     INTEGER,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    tags    TEXT NOT NULL,
    UNIQUE (secret, version)
) STRICT;
";

/// Secrets for the cloud's inventory; never their values. A secret of a deleted vault counts as deleted.
pub(in super::super) const INVENTORY: &[&str] = &[
    "SELECT iif(s.deleted IS NULL AND v.deleted IS NULL, 'secret', 'deleted-secret'), s.vault || '/secrets/' || s.name, ''
     FROM keyvault_secrets s JOIN keyvault_vaults v ON s.vault = v.name",
    "SELECT 'secret-version', s.vault || '/secrets/' || s.name || '/' || n.version,
     n.enabled || ifnull(n.kind, '') || ifnull(n.nbf, '') || ifnull(n.exp, '') || n.tags
     FROM keyvault_secret_versions n JOIN keyvault_secrets s ON n.secret = s.id JOIN keyvault_vaults v ON s.vault = v.name
     WHERE s.deleted IS NULL AND v.deleted IS NULL",
];

/// A secret: a name in a vault that holds one or more versions.
#[derive(Clone, Debug)]
pub(super) struct Secret {
    /// Row.
    pub row: i64,
    /// Name as it was first written.
    pub name: String,
    /// Set while it is soft-deleted.
    pub deletion: Option<Deletion>,
    /// Until when a deletion is still under way.
    pub settled: DateTime<Utc>,
}

/// A version of a secret.
#[derive(Clone, Debug)]
pub(super) struct Version {
    /// Row, in order of creation.
    pub row: i64,
    /// 32 hexadecimal digits.
    pub version: String,
    /// The value, sealed under the identifier of the version.
    pub sealed: Vec<u8>,
    /// What the value is, in the words of whoever set it (`contentType`).
    pub kind: Option<String>,
    /// Whether the value can be read.
    pub enabled: bool,
    /// Not to be used before (Unix seconds).
    pub nbf: Option<i64>,
    /// Not to be used from then on (Unix seconds).
    pub exp: Option<i64>,
    /// When it was made (Unix seconds).
    pub created: i64,
    /// When its attributes were last changed (Unix seconds).
    pub updated: i64,
    /// Tags.
    pub tags: Value,
}

impl Version {
    /// Seals a value for this version of a secret.
    pub fn seal(&mut self, cx: &Cx<'_>, vault: &KeyStore, name: &str, value: &SecretString) {
        self.sealed = cx.seal(&bundle::id(vault, name, Some(&self.version)), value.expose().as_bytes());
    }

    /// Opens the value, which was sealed under the identifier `id`.
    pub fn open(&self, cx: &Cx<'_>, id: &str) -> Result<SecretString, Refusal> {
        let opened = cx.open(id, &self.sealed)?;
        let text = std::str::from_utf8(opened.expose())
            .map_err(|_| Refusal::internal(format!("the value of {id} is no text")))?;
        Ok(SecretString::from(text))
    }
}

fn secret_from(row: &Row<'_>) -> rusqlite::Result<Secret> {
    let deletion = match (row.get::<_, Option<i64>>("deleted")?, row.get::<_, Option<i64>>("purge")?) {
        (Some(at), Some(purge)) => Some(Deletion { at: instant(at), purge: instant(purge) }),
        _ => None,
    };
    let settled: Option<i64> = row.get("settled")?;
    Ok(Secret { row: row.get("id")?, name: row.get("name")?, deletion, settled: instant(settled.unwrap_or_default()) })
}

fn version_from(row: &Row<'_>) -> rusqlite::Result<Version> {
    let tags: String = row.get("tags")?;
    Ok(Version {
        row: row.get("id")?,
        version: row.get("version")?,
        sealed: row.get("sealed")?,
        kind: row.get("kind")?,
        enabled: row.get("enabled")?,
        nbf: row.get("nbf")?,
        exp: row.get("exp")?,
        created: row.get("created")?,
        updated: row.get("updated")?,
        tags: serde_json::from_str(&tags)
            .map_err(|e| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(e)))?,
    })
}

/// Reads a secret, live or soft-deleted.
pub(super) fn secret(cx: &Cx<'_>, vault: &str, name: &str) -> Result<Option<Secret>, Refusal> {
    let secret = cx
        .tx
        .prepare_cached("SELECT * FROM keyvault_secrets WHERE vault = ?1 AND name = ?2")?
        .query_row([vault, name], secret_from)
        .optional()?;
    Ok(secret)
}

/// A page of a vault's live or soft-deleted secrets in order of name, from behind `after` on.
pub(super) fn secrets(
    cx: &Cx<'_>,
    vault: &str,
    deleted: bool,
    after: &str,
    limit: usize,
) -> Result<Vec<Secret>, Refusal> {
    let mut statement = cx.tx.prepare_cached(
        "SELECT * FROM keyvault_secrets
         WHERE vault = ?1 AND name > ?2 AND (deleted IS NOT NULL) = ?3 AND (?3 = 0 OR settled <= ?4)
         ORDER BY name LIMIT ?5",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![vault, after, deleted, millis(cx.now), limit], secret_from)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a secret without versions.
pub(super) fn insert(cx: &Cx<'_>, vault: &str, name: &str) -> Result<Secret, Refusal> {
    cx.tx.prepare_cached("INSERT INTO keyvault_secrets (vault, name) VALUES (?1, ?2)")?.execute([vault, name])?;
    let row = cx.tx.last_insert_rowid();
    Ok(Secret { row, name: name.to_owned(), deletion: None, settled: DateTime::UNIX_EPOCH })
}

/// Marks a secret as soft-deleted; the deletion is under way until `settled`.
pub(super) fn mark_deleted(cx: &Cx<'_>, row: i64, deletion: &Deletion, settled: DateTime<Utc>) -> Result<(), Refusal> {
    cx.tx
        .prepare_cached("UPDATE keyvault_secrets SET deleted = ?2, purge = ?3, settled = ?4 WHERE id = ?1")?
        .execute(params![row, millis(deletion.at), millis(deletion.purge), millis(settled)])?;
    Ok(())
}

/// Marks a soft-deleted secret as live again.
pub(super) fn mark_live(cx: &Cx<'_>, row: i64) -> Result<(), Refusal> {
    cx.tx
        .prepare_cached("UPDATE keyvault_secrets SET deleted = NULL, purge = NULL, settled = NULL WHERE id = ?1")?
        .execute([row])?;
    Ok(())
}

/// Destroys a secret with all its versions.
pub(super) fn purge(cx: &Cx<'_>, row: i64) -> Result<(), Refusal> {
    cx.tx.prepare_cached("DELETE FROM keyvault_secret_versions WHERE secret = ?1")?.execute([row])?;
    cx.tx.prepare_cached("DELETE FROM keyvault_secrets WHERE id = ?1")?.execute([row])?;
    Ok(())
}

/// Destroys the secrets of a vault that is purged.
pub(in super::super) fn purge_vault(cx: &Cx<'_>, vault: &str) -> Result<(), Refusal> {
    cx.tx
        .prepare_cached(
            "DELETE FROM keyvault_secret_versions WHERE secret IN (SELECT id FROM keyvault_secrets WHERE vault = ?1)",
        )?
        .execute([vault])?;
    cx.tx.prepare_cached("DELETE FROM keyvault_secrets WHERE vault = ?1")?.execute([vault])?;
    Ok(())
}

/// Destroys every secret whose retention has ended by `cx.now`.
pub(in super::super) fn purge_due(cx: &Cx<'_>) -> Result<(), Refusal> {
    let due: Vec<i64> = cx
        .tx
        .prepare_cached("SELECT id FROM keyvault_secrets WHERE purge <= ?1")?
        .query_map([millis(cx.now)], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    due.into_iter().try_for_each(|row| purge(cx, row))
}

/// Reads a version; the newest one when `version` is `None`.
pub(super) fn version(cx: &Cx<'_>, secret: i64, version: Option<&str>) -> Result<Option<Version>, Refusal> {
    let found = cx
        .tx
        .prepare_cached(
            "SELECT * FROM keyvault_secret_versions
             WHERE secret = ?1 AND (?2 IS NULL OR version = ?2) ORDER BY id DESC LIMIT 1",
        )?
        .query_row(params![secret, version], version_from)
        .optional()?;
    Ok(found)
}

/// A page of a secret's versions in order of creation, from behind row `after` on.
pub(super) fn versions(cx: &Cx<'_>, secret: i64, after: i64, limit: usize) -> Result<Vec<Version>, Refusal> {
    let mut statement = cx
        .tx
        .prepare_cached("SELECT * FROM keyvault_secret_versions WHERE secret = ?1 AND id > ?2 ORDER BY id LIMIT ?3")?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![secret, after, limit], version_from)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a version to a secret.
pub(super) fn insert_version(cx: &Cx<'_>, secret: i64, new: &Version) -> Result<(), Refusal> {
    cx.tx
        .prepare_cached(
            "INSERT INTO keyvault_secret_versions
             (secret, version, sealed, kind, enabled, nbf, exp, created, updated, tags)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            secret,
            new.version,
            new.sealed,
            new.kind,
            new.enabled,
            new.nbf,
            new.exp,
            new.created,
            new.updated,
            new.tags.to_string(),
        ])?;
    Ok(())
}

/// Writes what may change of a version: attributes, content type, tags.
pub(super) fn update_version(cx: &Cx<'_>, version: &Version) -> Result<(), Refusal> {
    cx.tx
        .prepare_cached(
            "UPDATE keyvault_secret_versions
             SET kind = ?2, enabled = ?3, nbf = ?4, exp = ?5, updated = ?6, tags = ?7 WHERE id = ?1",
        )?
        .execute(params![
            version.row,
            version.kind,
            version.enabled,
            version.nbf,
            version.exp,
            version.updated,
            version.tags.to_string(),
        ])?;
    Ok(())
}
