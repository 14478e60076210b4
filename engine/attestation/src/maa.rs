//! Tokens of Microsoft Azure Attestation: JSON Web Tokens (RFC 7519) that say what the service found in evidence.
//!
//! A token is believed on three grounds: it was signed (RS256) with a key that the issuer serves, the issuer is the one
//! that was expected, and the times in it fit. The keys are handed in ([`SigningKeys`], what `{issuer}/certs` answers):
//! where they came from is what makes them the issuer's, so the header's `jku`, which whoever wrote the token chose, is
//! never followed. The certificates of the keys sign themselves and are containers, not proof.
//!
//! Tokens have two shapes. Those of a guest attestation (`/attest/AzureGuest`) have `x-ms-attestation-type: azurevm` on
//! top and the hardware's claims in `x-ms-isolation-tee`; those of `/attest/SevSnpVm` and its like have the hardware's
//! claims on top.

mod keys;
mod metadata;
mod runtime;

pub use keys::{KeysError, RefusedKey, SigningKeys, key_id};
pub use metadata::{Metadata, MetadataError};
pub use runtime::{Jwk, release_key};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sealbook_crypto::sha256;
use serde_json::Value;

use crate::jws::Jws;
use crate::time::utc;
use crate::{Verdict, https, json, line};

/// The longest token that is read, in bytes. Real ones have 3 to 11 KB.
pub const MAX_BYTES: usize = 64 * 1024;

/// What a token must be.
#[derive(Debug, Clone, Copy)]
pub struct TokenRules<'a> {
    /// Who must have issued it, `https://…` with or without a slash at the end. `None` accepts whatever https URL the
    /// token names: then only that the keys are those of that issuer proves anything.
    pub issuer: Option<&'a str>,
    /// The issuer's signing keys.
    pub keys: &'a SigningKeys,
    /// The instant for which times are judged, Unix seconds.
    pub now: i64,
    /// How far clocks may differ, in seconds.
    pub leeway: i64,
}

/// Claims of a token that was verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims(Value);

impl Claims {
    /// Returns who issued the token.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.0.get("iss").and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns all claims, an object.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.0
    }
}

/// Verifies a token. The checks are `token.format`, `token.algorithm`, `token.issuer`, `token.key`, `token.signature` and
/// `token.times`; facts are all claims that are one value, by their dotted paths. The claims are given only when all
/// checks hold.
#[must_use]
pub fn verify(token: &str, rules: &TokenRules<'_>) -> (Verdict, Option<Claims>) {
    let mut verdict = Verdict::default();
    let parsed = Jws::parse(token, MAX_BYTES);
    let Some(jws) = verdict.demand("token.format", parsed, |_| format!("a token of {} bytes", token.len())) else {
        return (verdict, None);
    };
    verdict.demand("token.algorithm", jws.rs256(), |name| (*name).to_owned());
    verdict.demand("token.issuer", issuer(&jws.payload, rules.issuer), |issuer| line::shorten(issuer));
    let found = rules.keys.find(jws.text("kid"));
    if let Some(keys) =
        verdict.demand("token.key", found, |keys| keys.first().map(|key| key.words()).unwrap_or_default())
    {
        let verified = keys.iter().any(|key| key.public.verify_rs256(jws.signed, &jws.signature).is_ok());
        let why = if verified { "by that key" } else { "not made by that key over this header and these claims" };
        verdict.check("token.signature", verified, why);
    }
    verdict.demand("token.times", times(&jws.payload, rules), Clone::clone);
    facts(&jws.payload, "", &mut verdict);
    let claims = verdict.passed().then_some(Claims(jws.payload));
    (verdict, claims)
}

/// Why a document shows no claims.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnreadableToken(String);

/// Reads claims without verifying anything, for people who look at a token or try a policy: a token, the service's
/// answer with one (`{"token": …}`), or the claims themselves.
///
/// # Errors
/// [`UnreadableToken`] when it is none of them.
pub fn unverified(document: &[u8]) -> Result<Value, UnreadableToken> {
    let refuse = |why: &dyn std::fmt::Display| UnreadableToken(why.to_string());
    let text = std::str::from_utf8(document).map_err(|why| refuse(&why))?.trim();
    let token = |text: &str| Jws::parse(text, MAX_BYTES).map(|jws| jws.payload).map_err(|why| refuse(&why));
    if !text.starts_with('{') {
        return token(text);
    }
    let value = json::read(text.as_bytes(), 2 * MAX_BYTES, 32).map_err(|why| refuse(&why))?;
    match value.get("token").and_then(Value::as_str) {
        Some(text) => token(text),
        None => Ok(value),
    }
}

/// Hashes the text of an attestation policy as the claim `x-ms-policy-hash` has it:
/// BASE64URL(SHA-256(BASE64URL(text))).
#[must_use]
pub fn policy_hash(text: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(sha256(BASE64_URL_SAFE_NO_PAD.encode(text).as_bytes()))
}

fn issuer<'a>(claims: &'a Value, expected: Option<&str>) -> Result<&'a str, String> {
    let seen = match claims.get("iss") {
        Some(Value::String(seen)) => seen,
        Some(other) => return Err(format!("iss is {}, which is no issuer", line::show(other))),
        None => return Err("the token names no issuer (iss)".to_owned()),
    };
    if https::authority(seen).is_none() {
        return Err(format!("the issuer {} is no https URL", line::shorten(seen)));
    }
    match expected {
        Some(expected) if !https::same_issuer(expected, seen) => {
            Err(format!("the token was issued by {}; {expected} was expected", line::shorten(seen)))
        }
        _ => Ok(seen),
    }
}

/// Judges `exp` (which must be there), `nbf` and `iat` (RFC 7519 §4.1): seconds since 1970, whole ones, as the service
/// writes them.
fn times(claims: &Value, rules: &TokenRules<'_>) -> Result<String, String> {
    let read = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => match value.as_i64() {
            Some(seconds) => Ok(Some(seconds)),
            None => Err(format!("{name} is {}, which is no number of seconds", line::show(value))),
        },
    };
    let (expires, begins, issued) = (read("exp")?, read("nbf")?, read("iat")?);
    let leeway = rules.leeway.max(0);
    let now = || utc(rules.now);
    let expires = expires.ok_or("the token never expires (no exp); the service's do")?;
    if rules.now >= expires.saturating_add(leeway) {
        return Err(format!("it expired at {}, and it is {}", utc(expires), now()));
    }
    if let Some(begins) = begins.filter(|&begins| rules.now < begins.saturating_sub(leeway)) {
        return Err(format!("it is valid from {} on, and it is {}", utc(begins), now()));
    }
    if let Some(issued) = issued.filter(|&issued| rules.now < issued.saturating_sub(leeway)) {
        return Err(format!("it was issued at {}, and it is {}", utc(issued), now()));
    }
    Ok(format!("valid until {}", utc(expires)))
}

/// Notes the claims that are one value, on top and in objects: an array is no fact that a line could show.
fn facts(claims: &Value, prefix: &str, verdict: &mut Verdict) {
    for (name, value) in claims.as_object().into_iter().flatten() {
        let path = format!("{prefix}{name}");
        match value {
            Value::Object(_) => facts(value, &format!("{path}."), verdict),
            Value::Array(_) | Value::Null => {}
            _ => verdict.fact(path, value.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
