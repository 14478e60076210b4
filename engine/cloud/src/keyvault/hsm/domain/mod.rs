//! The security domain: what makes one pool able to restore another's keys. Its download activates a pool; its upload
//! activates another one as a member of the same domain.
//!
//! - `format`: what its documents hold; the documents themselves are `sealbook_crypto::security_domain`.
//! - `recipient`: the certificates of a download.

mod format;
mod recipient;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, Datelike as _, Duration, Utc};
use sealbook_crypto::SecretBytes;
use sealbook_crypto::rsa::{RsaBits, RsaKey};
use sealbook_crypto::security_domain::Holder;
use sealbook_crypto::security_domain::certificate::{self, Day};
use serde_json::{Value, json};

use super::super::keystore::{self, KeyStore};
use super::super::requests::{self, bad};
use super::state::{self, Domain, Exchange, Transfer};
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;

/// How many certificates a download takes (data-plane specification, `CertificateInfo`).
const CERTIFICATES: std::ops::RangeInclusive<usize> = 3..=10;

/// How long a transfer takes, on the cloud clock.
const TAKES: Duration = Duration::milliseconds(1_000);

/// Answers 202 with the address at which a transfer is polled.
fn started(pool: &KeyStore, which: &str, body: &Value) -> Answer {
    Answer::json(202, body)
        .header("azure-asyncoperation", format!("{}securitydomain/{which}/pending", pool.uri()))
        .header("retry-after", "1")
}

/// Downloads the security domain, encrypted to the given certificates, and activates the pool
/// (`HSMSecurityDomain_Download`). A pool that is active already gives its domain again.
pub(super) fn download(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let pool = keystore::of_request(cx)?;
    let body = requests::object(cx)?;
    let given = body["certificates"].as_array().ok_or_else(|| bad("Property certificates is required."))?;
    if !CERTIFICATES.contains(&given.len()) {
        return Err(bad(format!(
            "Property certificates has invalid value: there are {}, and between {} and {} are needed.",
            given.len(),
            CERTIFICATES.start(),
            CERTIFICATES.end()
        )));
    }
    let recipients: Vec<Holder> = given.iter().map(recipient::read).collect::<Result<_, _>>()?;
    if recipients
        .iter()
        .enumerate()
        .any(|(i, one)| recipients[..i].iter().any(|other| other.thumbprint == one.thumbprint))
    {
        return Err(bad("Property certificates has invalid value: a certificate is in it twice."));
    }
    let required = match &body["required"] {
        Value::Null => 2,
        number => number.as_u64().and_then(|n| u8::try_from(n).ok()).filter(|n| (2..=recipients.len()).contains(&(*n).into())).ok_or_else(
            || bad(format!(
                "Property required has invalid value {number}: it must be between 2 and the number of certificates ({}).",
                recipients.len()
            )),
        )?,
    };
    let domain = match state::domain(cx, &pool.label)? {
        Some(domain) => domain,
        None => Domain::generate(),
    };
    let document = format::write(&domain, &recipients, required)?;
    let done = cx.now + TAKES;
    state::set_domain(cx, &pool.label, &domain, done)?;
    state::set_transfer(cx, &pool.label, Transfer::Download, done)?;
    Ok(started(&pool, "download", &json!({ "value": document.to_string() })))
}

/// The certificate of a transfer key, for a year from an instant on.
fn own_certificate(key: &RsaKey, pool: &str, now: DateTime<Utc>) -> Result<Vec<u8>, Refusal> {
    let day = |at: DateTime<Utc>| -> Result<Day, Refusal> {
        let part = |number: u32| u8::try_from(number).map_err(Refusal::internal);
        Ok((at.year(), part(at.month())?, part(at.day())?))
    };
    let days = (day(now - Duration::days(1))?, day(now + Duration::days(365))?);
    let name = format!("{pool} security domain exchange key");
    certificate::self_signed(key, &name, days).map_err(Refusal::internal)
}

fn status(cx: &Cx<'_>, which: Transfer) -> Result<Answer, Refusal> {
    let pool = keystore::of_request(cx)?;
    let done = state::transfer(cx, &pool.label, which)?.ok_or_else(|| {
        Refusal::new(404, "NotFound", "There has been no such transfer of the security domain of this managed HSM.")
    })?;
    let answer = |status: &str| Answer::ok(&json!({ "status": status, "status_details": "" }));
    Ok(if cx.now < done { answer("InProgress").header("retry-after", "1") } else { answer("Success") })
}

/// Tells where the last download stands (`HSMSecurityDomain_DownloadPending`).
pub(super) fn download_status(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    status(cx, Transfer::Download)
}

/// Tells where the last upload stands (`HSMSecurityDomain_UploadPending`).
pub(super) fn upload_status(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    status(cx, Transfer::Upload)
}

/// Refuses another domain for a pool that has one.
fn without_domain(cx: &Cx<'_>, pool: &KeyStore) -> Result<(), Refusal> {
    if state::domain(cx, &pool.label)?.is_none() {
        return Ok(());
    }
    Err(Refusal::new(
        409,
        "Conflict",
        "The managed HSM is activated already and has a security domain: upload it to a new managed HSM.",
    ))
}

/// Answers the key to which a security domain must be encrypted for this pool (`HSMSecurityDomain_TransferKey`). The
/// pool awaits the upload from then on.
pub(super) fn transfer_key(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let pool = keystore::of_request(cx)?;
    without_domain(cx, &pool)?;
    let exchange = match state::exchange(cx, &pool.label)? {
        Some(exchange) => exchange,
        None => {
            let key = RsaKey::generate(RsaBits::B2048);
            let sealed = cx.seal(&state::exchange_aad(&pool.label), key.to_pkcs8().expose());
            let made = Exchange { sealed, certificate: own_certificate(&key, &pool.name, cx.now)? };
            state::set_exchange(cx, &pool.label, &made)?;
            made
        }
    };
    let public = certificate::public_key(&exchange.certificate)
        .ok_or_else(|| Refusal::internal("the transfer key's own certificate can't be read"))?;
    let thumbprint = certificate::thumbprint(&exchange.certificate);
    let jwk = json!({
        "kid": thumbprint,
        "kty": "RSA",
        "key_ops": ["wrapKey", "encrypt"],
        "alg": "RSA-OAEP-256",
        "n": URL_SAFE_NO_PAD.encode(&public.n),
        "e": URL_SAFE_NO_PAD.encode(&public.e),
        "x5c": [STANDARD.encode(&exchange.certificate)],
        "x5t#S256": thumbprint,
    });
    Ok(Answer::ok(&json!({ "key_format": "jwk", "transfer_key": jwk.to_string() })))
}

/// Takes over a security domain that was encrypted to the transfer key, and activates the pool with it
/// (`HSMSecurityDomain_Upload`).
pub(super) fn upload(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let pool = keystore::of_request(cx)?;
    without_domain(cx, &pool)?;
    let exchange = state::exchange(cx, &pool.label)?.ok_or_else(|| {
        Refusal::new(409, "Conflict", "The managed HSM awaits no security domain: get its transfer key first.")
    })?;
    let body = requests::object(cx)?;
    let document: Value = body["value"]
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok())
        .ok_or_else(|| bad("Property value has invalid value: it must be a security domain as JSON text."))?;
    let opened: SecretBytes = cx.open(&state::exchange_aad(&pool.label), &exchange.sealed)?;
    let key = RsaKey::from_pkcs8(opened.expose()).map_err(Refusal::internal)?;
    let domain = format::read(&document, &key, &certificate::thumbprint(&exchange.certificate)).ok_or_else(|| {
        bad("The security domain can't be decrypted: it was not made for this managed HSM's transfer key.")
    })?;
    let done = cx.now + TAKES;
    state::set_domain(cx, &pool.label, &domain, done)?;
    state::set_transfer(cx, &pool.label, Transfer::Upload, done)?;
    Ok(started(&pool, "upload", &json!({ "status": "InProgress", "status_details": "" })))
}
