//! The tables of secrets. A secret belongs to a vault by name; its values are sealed under the identifiers of their
//! versions.

use rusqlite::{OptionalExtension, Row, params};
use sealbook_crypto::SecretString;
use serde_json::Value;

pub(super) use super::super::entries::Entry as Secret;
use super::super::entries::SECRETS;
use super::super::keystore::KeyStore;
use super::bundle;
use crate::cx::Cx;
use crate::refusal::Refusal;

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

/// Destroys a secret with all its versions.
pub(super) fn purge(cx: &Cx<'_>, row: i64) -> Result<(), Refusal> {
    cx.tx.prepare_cached("DELETE FROM keyvault_secret_versions WHERE secret = ?1")?.execute([row])?;
    SECRETS.remove(cx, row)
}

/// Destroys the secrets of a vault that is purged.
pub(in super::super) fn purge_vault(cx: &Cx<'_>, vault: &str) -> Result<(), Refusal> {
    SECRETS.of(cx, vault)?.into_iter().try_for_each(|row| purge(cx, row))
}

/// Destroys every secret whose retention has ended by `cx.now`.
pub(in super::super) fn purge_due(cx: &Cx<'_>) -> Result<(), Refusal> {
    SECRETS.due(cx)?.into_iter().try_for_each(|row| purge(cx, row))
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
