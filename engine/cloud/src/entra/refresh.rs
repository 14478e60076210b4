//! Refresh tokens: opaque, stored as digests.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Duration;
use rusqlite::{OptionalExtension, params};
use sealbook_crypto::SecretString;

use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::store::millis;

/// Table of the refresh tokens.
pub(crate) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS refresh_tokens (
    digest  BLOB PRIMARY KEY,
    oid     TEXT NOT NULL,
    client  TEXT NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
";

/// Issues a refresh token, valid for 90 days.
pub(super) fn issue(cx: &Cx<'_>, oid: &str, client: &str) -> Result<SecretString, Refusal> {
    let token = SecretString::new(format!("1.{}", URL_SAFE_NO_PAD.encode(cx.random::<48>())));
    let expires = cx.wall + Duration::days(90);
    cx.tx
        .prepare_cached("INSERT INTO refresh_tokens (digest, oid, client, expires) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![sealbook_crypto::sha256(token.expose().as_bytes()), oid, client, millis(expires)])?;
    cx.tx.prepare_cached("DELETE FROM refresh_tokens WHERE expires < ?1")?.execute([millis(cx.wall)])?;
    Ok(token)
}

/// Object id that a refresh token was issued to, when it is valid for this client.
pub(super) fn redeem(cx: &Cx<'_>, token: &SecretString, client: &str) -> Result<Option<String>, Refusal> {
    let oid = cx
        .tx
        .prepare_cached("SELECT oid FROM refresh_tokens WHERE digest = ?1 AND client = ?2 AND expires > ?3")?
        .query_row(params![sealbook_crypto::sha256(token.expose().as_bytes()), client, millis(cx.wall)], |row| {
            row.get(0)
        })
        .optional()?;
    Ok(oid)
}
