//! The tenant's token-signing key: made once, its private part sealed in the database.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, EncodingKey};
use rusqlite::{Connection, OptionalExtension, params};
use sealbook_crypto::SealKey;
use sealbook_crypto::rsa::{RsaBits, RsaKey};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::cx::Cx;
use crate::refusal::Refusal;

/// Table of the signing keys; the newest signs, all verify.
pub(crate) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS token_keys (
    kid    TEXT PRIMARY KEY,
    n      BLOB NOT NULL,
    e      BLOB NOT NULL,
    sealed BLOB NOT NULL
) STRICT;
";

fn aad(kid: &str) -> String {
    format!("token-key/{kid}")
}

/// Makes the first signing key.
pub(crate) fn create(tx: &Connection, sealing: &SealKey) -> Result<(), Refusal> {
    let key = RsaKey::generate(RsaBits::B2048);
    let public = key.public();
    let kid = URL_SAFE_NO_PAD.encode(&sealbook_crypto::sha256(&public.n)[..20]);
    let sealed = sealing.seal(aad(&kid).as_bytes(), key.to_pkcs8().expose());
    tx.execute(
        "INSERT INTO token_keys (kid, n, e, sealed) VALUES (?1, ?2, ?3, ?4)",
        params![kid, public.n, public.e, sealed],
    )?;
    Ok(())
}

/// The JSON Web Key Set that `/discovery/v2.0/keys` publishes (RFC 7517).
pub(crate) fn jwks(cx: &Cx<'_>, issuer: &str) -> Result<Value, Refusal> {
    let mut statement = cx.tx.prepare_cached("SELECT kid, n, e FROM token_keys ORDER BY rowid")?;
    let rows = statement.query_map([], |row| {
        let kid: String = row.get(0)?;
        let n: Vec<u8> = row.get(1)?;
        let e: Vec<u8> = row.get(2)?;
        Ok(json!({
            "kty": "RSA",
            "use": "sig",
            "kid": kid,
            "n": URL_SAFE_NO_PAD.encode(n),
            "e": URL_SAFE_NO_PAD.encode(e),
            "issuer": issuer,
        }))
    })?;
    Ok(json!({ "keys": rows.collect::<Result<Vec<_>, _>>()? }))
}

/// The key that verifies tokens with this key id.
pub(crate) fn verifying(tx: &Connection, kid: &str) -> Result<Option<DecodingKey>, Refusal> {
    let parts: Option<(Vec<u8>, Vec<u8>)> = tx
        .prepare_cached("SELECT n, e FROM token_keys WHERE kid = ?1")?
        .query_row([kid], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(parts.map(|(n, e)| DecodingKey::from_rsa_raw_components(&n, &e)))
}

/// The key that signs new tokens, with its key id.
pub(crate) fn signing(cx: &Cx<'_>) -> Result<(String, EncodingKey), Refusal> {
    let (kid, sealed): (String, Vec<u8>) = cx
        .tx
        .prepare_cached("SELECT kid, sealed FROM token_keys ORDER BY rowid DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let pkcs8 = cx.open(&aad(&kid), &sealed)?;
    let body = Zeroizing::new(STANDARD.encode(pkcs8.expose()));
    let pem = Zeroizing::new(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", *body));
    let key = EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(Refusal::internal)?;
    Ok((kid, key))
}
