//! Rows of the versions of keys.

use rusqlite::{OptionalExtension, Row, params};
use sealbook_crypto::aes::AesBits;
use sealbook_crypto::ec::{Curve, EcPublic};
use sealbook_crypto::rsa::RsaPublic;
use serde_json::Value;

use super::super::material::Public;
use super::json;
use crate::cx::Cx;
use crate::refusal::Refusal;

/// A version of a key.
#[derive(Clone, Debug)]
pub(in crate::keyvault) struct Version {
    /// Row, in order of creation.
    pub row: i64,
    /// 32 hexadecimal digits.
    pub version: String,
    /// `RSA`, `RSA-HSM`, `EC`, `EC-HSM` or `oct-HSM`.
    pub kty: String,
    /// What everybody may know of the key.
    pub public: Public,
    /// The secret half, sealed under the key identifier.
    pub sealed: Vec<u8>,
    /// Whether it may be used.
    pub enabled: bool,
    /// Not usable for new data before (Unix seconds).
    pub nbf: Option<i64>,
    /// Not usable for new data from then on (Unix seconds).
    pub exp: Option<i64>,
    /// When it was made (Unix seconds).
    pub created: i64,
    /// When its attributes were last changed (Unix seconds).
    pub updated: i64,
    /// Permitted operations.
    pub operations: Vec<String>,
    /// Tags.
    pub tags: Value,
    /// Release policy as the key shows it; only exportable keys have one.
    pub release: Option<Value>,
}

fn public_from(row: &Row<'_>) -> rusqlite::Result<Public> {
    let (first, second): (Vec<u8>, Vec<u8>) = (row.get("n")?, row.get("e")?);
    if row.get::<_, String>("kty")?.starts_with("oct") {
        let bits = first.try_into().ok().and_then(|two: [u8; 2]| AesBits::from_bits(u16::from_be_bytes(two).into()));
        return bits
            .map(Public::Aes)
            .ok_or_else(|| rusqlite::Error::InvalidColumnType(0, "n".to_owned(), rusqlite::types::Type::Blob));
    }
    let Some(name) = row.get::<_, Option<String>>("crv")? else {
        return Ok(Public::Rsa(RsaPublic { n: first, e: second }));
    };
    let curve = Curve::from_name(&name)
        .ok_or_else(|| rusqlite::Error::InvalidColumnType(0, name, rusqlite::types::Type::Text))?;
    Ok(Public::Ec(EcPublic { curve, x: first, y: second }))
}

fn version_from(row: &Row<'_>) -> rusqlite::Result<Version> {
    Ok(Version {
        row: row.get("id")?,
        version: row.get("version")?,
        kty: row.get("kty")?,
        public: public_from(row)?,
        sealed: row.get("sealed")?,
        enabled: row.get("enabled")?,
        nbf: row.get("nbf")?,
        exp: row.get("exp")?,
        created: row.get("created")?,
        updated: row.get("updated")?,
        operations: json(row, "operations")?,
        tags: json(row, "tags")?,
        release: row.get::<_, Option<String>>("release")?.and_then(|text| serde_json::from_str(&text).ok()),
    })
}

/// Reads a version; the newest one when `version` is `None`.
pub(in crate::keyvault) fn version(cx: &Cx<'_>, key: i64, version: Option<&str>) -> Result<Option<Version>, Refusal> {
    let found = cx
        .tx
        .prepare_cached(
            "SELECT v.*, c.crv FROM keyvault_versions v LEFT JOIN keyvault_curves c ON c.version = v.id
             WHERE v.key = ?1 AND (?2 IS NULL OR v.version = ?2) ORDER BY v.id DESC LIMIT 1",
        )?
        .query_row(params![key, version], version_from)
        .optional()?;
    Ok(found)
}

/// A page of a key's versions in order of creation, from behind row `after` on.
pub(in crate::keyvault) fn versions(cx: &Cx<'_>, key: i64, after: i64, limit: usize) -> Result<Vec<Version>, Refusal> {
    let mut statement = cx.tx.prepare_cached(
        "SELECT v.*, c.crv FROM keyvault_versions v LEFT JOIN keyvault_curves c ON c.version = v.id
         WHERE v.key = ?1 AND v.id > ?2 ORDER BY v.id LIMIT ?3",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![key, after, limit], version_from)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a version to a key.
pub(in crate::keyvault) fn insert_version(cx: &Cx<'_>, key: i64, new: &Version) -> Result<(), Refusal> {
    let (first, second, curve) = match &new.public {
        Public::Rsa(public) => (public.n.clone(), public.e.clone(), None),
        Public::Ec(public) => (public.x.clone(), public.y.clone(), Some(public.curve)),
        Public::Aes(bits) => (bits.bits().to_be_bytes().to_vec(), Vec::new(), None),
    };
    cx.tx
        .prepare_cached(
            "INSERT INTO keyvault_versions
             (key, version, kty, n, e, sealed, enabled, nbf, exp, created, updated, operations, tags, release)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )?
        .execute(params![
            key,
            new.version,
            new.kty,
            first,
            second,
            new.sealed,
            new.enabled,
            new.nbf,
            new.exp,
            new.created,
            new.updated,
            serde_json::to_string(&new.operations)?,
            new.tags.to_string(),
            new.release.as_ref().map(Value::to_string),
        ])?;
    if let Some(curve) = curve {
        let row = cx.tx.last_insert_rowid();
        cx.tx
            .prepare_cached("INSERT INTO keyvault_curves (version, crv) VALUES (?1, ?2)")?
            .execute(params![row, curve.name()])?;
    }
    Ok(())
}

/// Writes what may change of a version: attributes, operations, tags.
pub(in crate::keyvault) fn update_version(cx: &Cx<'_>, version: &Version) -> Result<(), Refusal> {
    cx.tx
        .prepare_cached(
            "UPDATE keyvault_versions
             SET enabled = ?2, nbf = ?3, exp = ?4, updated = ?5, operations = ?6, tags = ?7, release = ?8
             WHERE id = ?1",
        )?
        .execute(params![
            version.row,
            version.enabled,
            version.nbf,
            version.exp,
            version.updated,
            serde_json::to_string(&version.operations)?,
            version.tags.to_string(),
            version.release.as_ref().map(Value::to_string),
        ])?;
    Ok(())
}
