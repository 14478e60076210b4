//! What is stored of a pool besides what every key store has: its security domain and where its activation stands.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, params};
use zeroize::Zeroizing;

use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::store::{instant, millis};

/// The table. `made` is when billing began; `activates`, `download` and `upload` are the instants at which the
/// activation, the last download and the last upload are complete; `exchange` and `certificate` are the transfer key
/// while an upload is awaited.
pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS keyvault_hsms (
    label       TEXT PRIMARY KEY COLLATE NOCASE,
    made        INTEGER NOT NULL,
    domain      TEXT,
    sealed      BLOB,
    activates   INTEGER,
    download    INTEGER,
    upload      INTEGER,
    exchange    BLOB,
    certificate BLOB
) STRICT;
";

/// The secrets that pools of one security domain share.
pub(super) struct Domain {
    /// Name: 32 hexadecimal digits.
    pub id: String,
    /// Seals the backups of keys.
    pub backup_key: Zeroizing<[u8; 32]>,
}

impl Domain {
    /// Draws a new one.
    pub fn generate() -> Self {
        Self { id: hex::encode(sealbook_crypto::random::<16>()), backup_key: Zeroizing::new(sealbook_crypto::random()) }
    }
}

/// Where the activation of a pool stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Status {
    /// Whether it can be used.
    pub active: bool,
    /// Whether it awaits the upload of a security domain.
    pub awaits_upload: bool,
}

/// The key with which a security domain is carried into a pool.
pub(super) struct Exchange {
    /// PKCS#8, sealed.
    pub sealed: Vec<u8>,
    /// Its certificate.
    pub certificate: Vec<u8>,
}

fn aad(label: &str, what: &str) -> String {
    format!("managed HSM:{}:{what}", label.to_ascii_lowercase())
}

/// Place of the exchange key's sealing.
pub(super) fn exchange_aad(label: &str) -> String {
    aad(label, "exchange key")
}

/// Adds a pool that is made now.
pub(super) fn insert(cx: &Cx<'_>, label: &str) -> Result<(), Refusal> {
    cx.tx
        .prepare_cached("INSERT INTO keyvault_hsms (label, made) VALUES (?1, ?2)")?
        .execute(params![label, millis(cx.now)])?;
    Ok(())
}

/// Removes a pool.
pub(super) fn purge(cx: &Cx<'_>, label: &str) -> Result<(), Refusal> {
    cx.tx.prepare_cached("DELETE FROM keyvault_hsms WHERE label = ?1")?.execute([label])?;
    Ok(())
}

/// Reads where the activation stands.
pub(super) fn status(cx: &Cx<'_>, label: &str) -> Result<Status, Refusal> {
    let found = cx
        .tx
        .prepare_cached("SELECT activates, exchange IS NOT NULL FROM keyvault_hsms WHERE label = ?1")?
        .query_row([label], |row| {
            let activates: Option<i64> = row.get(0)?;
            let active = activates.is_some_and(|at| at <= millis(cx.now));
            Ok(Status { active, awaits_upload: row.get(1)? })
        })
        .optional()?;
    Ok(found.unwrap_or_default())
}

/// Reads the security domain.
pub(super) fn domain(cx: &Cx<'_>, label: &str) -> Result<Option<Domain>, Refusal> {
    let found: Option<(String, Vec<u8>)> = cx
        .tx
        .prepare_cached("SELECT domain, sealed FROM keyvault_hsms WHERE label = ?1 AND domain IS NOT NULL")?
        .query_row([label], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((id, sealed)) = found else { return Ok(None) };
    let opened = cx.open(&aad(label, "security domain"), &sealed)?;
    let backup_key: [u8; 32] =
        opened.expose().try_into().map_err(|_| Refusal::internal("a stored security domain has an odd length"))?;
    Ok(Some(Domain { id, backup_key: Zeroizing::new(backup_key) }))
}

/// Stores the security domain of a pool that becomes active with it at an instant, unless it already is.
pub(super) fn set_domain(cx: &Cx<'_>, label: &str, domain: &Domain, active: DateTime<Utc>) -> Result<(), Refusal> {
    let sealed = cx.seal(&aad(label, "security domain"), &domain.backup_key[..]);
    cx.tx
        .prepare_cached(
            "UPDATE keyvault_hsms SET domain = ?2, sealed = ?3, activates = ifnull(activates, ?4), exchange = NULL,
             certificate = NULL WHERE label = ?1",
        )?
        .execute(params![label, domain.id, sealed, millis(active)])?;
    Ok(())
}

/// A transfer of the security domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transfer {
    /// Out of the pool.
    Download,
    /// Into the pool.
    Upload,
}

impl Transfer {
    fn column(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Upload => "upload",
        }
    }
}

/// When the last transfer is complete; `None` when there was none.
pub(super) fn transfer(cx: &Cx<'_>, label: &str, which: Transfer) -> Result<Option<DateTime<Utc>>, Refusal> {
    let sql = format!("SELECT {} FROM keyvault_hsms WHERE label = ?1", which.column());
    let found: Option<Option<i64>> = cx.tx.prepare_cached(&sql)?.query_row([label], |row| row.get(0)).optional()?;
    Ok(found.flatten().map(instant))
}

/// Notes when a transfer is complete.
pub(super) fn set_transfer(cx: &Cx<'_>, label: &str, which: Transfer, done: DateTime<Utc>) -> Result<(), Refusal> {
    let sql = format!("UPDATE keyvault_hsms SET {} = ?2 WHERE label = ?1", which.column());
    cx.tx.prepare_cached(&sql)?.execute(params![label, millis(done)])?;
    Ok(())
}

/// Reads the transfer key.
pub(super) fn exchange(cx: &Cx<'_>, label: &str) -> Result<Option<Exchange>, Refusal> {
    let found = cx
        .tx
        .prepare_cached("SELECT exchange, certificate FROM keyvault_hsms WHERE label = ?1 AND exchange IS NOT NULL")?
        .query_row([label], |row| Ok(Exchange { sealed: row.get(0)?, certificate: row.get(1)? }))
        .optional()?;
    Ok(found)
}

/// Stores the transfer key.
pub(super) fn set_exchange(cx: &Cx<'_>, label: &str, exchange: &Exchange) -> Result<(), Refusal> {
    cx.tx
        .prepare_cached("UPDATE keyvault_hsms SET exchange = ?2, certificate = ?3 WHERE label = ?1")?
        .execute(params![label, exchange.sealed, exchange.certificate])?;
    Ok(())
}
