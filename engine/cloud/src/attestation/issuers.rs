//! Who issues attestation tokens in this cloud, and the keys that sign them.
//!
//! A provider's address is the issuer of its tokens. What its `/certs` answers is a JSON Web Key Set (RFC 7517) of
//! certificates without `n` and `e`, as Azure's is; the key id is made as Azure makes it. A provider has one key, made
//! when it is first asked for. Tokens and certificates go by the wall clock.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{Datelike as _, Days, NaiveDate};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rusqlite::{OptionalExtension as _, params};
use rustls::pki_types::PrivatePkcs8KeyDer;
use sealbook_attestation::maa::{self, SigningKeys};
use sealbook_crypto::rsa::{RsaBits, RsaKey};
use serde_json::{Value, json};

use super::{provider, shared};
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::store::resources::Filter;

/// Table of the signing keys.
pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS attestation_keys (
    issuer      TEXT PRIMARY KEY COLLATE NOCASE,
    kid         TEXT NOT NULL,
    certificate BLOB NOT NULL,
    sealed      BLOB NOT NULL
) STRICT;
";

/// Years for which a signing certificate is valid.
const YEARS: u64 = 10;

/// A provider's key.
struct Held {
    kid: String,
    certificate: Vec<u8>,
    key: RsaKey,
}

/// Whether an issuer is an attestation provider of this cloud now: one that a region shares, or a customer's own that
/// has not been deleted. No slash stands at the end.
pub(crate) fn exists(cx: &Cx<'_>, issuer: &str) -> Result<bool, Refusal> {
    if shared::uris().any(|uri| uri == issuer) {
        return Ok(true);
    }
    let own = cx.resources(Filter { kind: Some(provider::TYPE), ..Filter::default() })?;
    Ok(own.iter().any(|provider| provider.body["properties"]["attestUri"] == issuer))
}

/// The JSON Web Key Set of a provider; `None` when the issuer is none of this cloud.
pub(crate) fn jwks(cx: &Cx<'_>, issuer: &str) -> Result<Option<Value>, Refusal> {
    if !exists(cx, issuer)? {
        return Ok(None);
    }
    let held = key(cx, issuer)?;
    let entry = json!({ "kid": held.kid, "kty": "RSA", "x5c": [STANDARD.encode(&held.certificate)] });
    Ok(Some(json!({ "keys": [entry] })))
}

/// The keys of a provider for whoever verifies its tokens: what the OpenID metadata of the issuer would lead to.
pub(crate) fn signing_keys(cx: &Cx<'_>, issuer: &str) -> Result<Option<SigningKeys>, Refusal> {
    let Some(document) = jwks(cx, issuer)? else { return Ok(None) };
    SigningKeys::parse(document.to_string().as_bytes()).map(Some).map_err(Refusal::internal)
}

/// Signs a token of a provider (a JSON Web Signature in compact form, RFC 7515) with the header that Azure's tokens have.
pub(crate) fn sign(cx: &Cx<'_>, issuer: &str, claims: &Value) -> Result<String, Refusal> {
    let held = key(cx, issuer)?;
    let header = json!({ "alg": "RS256", "jku": format!("{issuer}/certs"), "kid": held.kid, "typ": "JWT" });
    let part = |document: &Value| URL_SAFE_NO_PAD.encode(document.to_string());
    let signed = format!("{}.{}", part(&header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(held.key.sign_rs256(signed.as_bytes()));
    Ok(format!("{signed}.{signature}"))
}

fn aad(issuer: &str) -> String {
    format!("attestation-key/{}", issuer.to_ascii_lowercase())
}

/// The key of an issuer, made when there is none.
fn key(cx: &Cx<'_>, issuer: &str) -> Result<Held, Refusal> {
    let stored: Option<(String, Vec<u8>, Vec<u8>)> = cx
        .tx
        .prepare_cached("SELECT kid, certificate, sealed FROM attestation_keys WHERE issuer = ?1")?
        .query_row([issuer], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    if let Some((kid, certificate, sealed)) = stored {
        let document = cx.open(&aad(issuer), &sealed)?;
        let key = RsaKey::from_pkcs8(document.expose()).map_err(Refusal::internal)?;
        return Ok(Held { kid, certificate, key });
    }
    let key = RsaKey::generate(RsaBits::B2048);
    let document = key.to_pkcs8();
    let pair = PrivatePkcs8KeyDer::from(document.expose());
    let pair = KeyPair::from_pkcs8_der_and_sign_algo(&pair, &rcgen::PKCS_RSA_SHA256).map_err(Refusal::internal)?;
    let certificate = certificate(cx, issuer, &pair)?;
    let kid = maa::key_id(&key.public().to_spki_pem().map_err(Refusal::internal)?);
    cx.tx
        .prepare_cached("INSERT INTO attestation_keys (issuer, kid, certificate, sealed) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![issuer, kid, certificate, cx.seal(&aad(issuer), document.expose())])?;
    Ok(Held { kid, certificate, key })
}

/// A certificate by the key itself, in the name of the issuer, as Azure's signing certificates are.
fn certificate(cx: &Cx<'_>, issuer: &str, pair: &KeyPair) -> Result<Vec<u8>, Refusal> {
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "SEALBOOK TEST");
    name.push(DnType::CommonName, issuer);
    params.distinguished_name = name;
    // A month and a day of the month always fit in a byte.
    let instant = |day: NaiveDate| rcgen::date_time_ymd(day.year(), day.month() as u8, day.day() as u8);
    let today = cx.wall.date_naive();
    params.not_before = instant(today - Days::new(1));
    params.not_after = instant(today + Days::new(YEARS * 365));
    Ok(params.self_signed(pair).map_err(Refusal::internal)?.der().to_vec())
}
