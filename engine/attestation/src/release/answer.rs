//! The signed payload: made by the vault, checked by the guest.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sealbook_crypto::rsa::RsaAesWrap;
use serde_json::{Map, Value, json};

use super::{KeyId, ReleaseRules, Released, same};
use crate::json;
use crate::line;
use crate::{Outcome, Verdict};

/// The longest `key_hsm` that is read, in bytes. An RSA key of 4096 bits takes 5 KB.
const MAX_KEY_HSM: usize = 64 * 1024;
const SCHEMA_VERSION: &str = "1.0";

/// Writes `key_hsm`: the wrapped key with the names of what wrapped it.
#[must_use]
pub fn key_hsm(tee_kid: &str, enc: &str, ciphertext: &[u8]) -> Value {
    json!({
        "schema_version": SCHEMA_VERSION,
        "header": {"kid": tee_kid, "alg": "dir", "enc": enc},
        "ciphertext": BASE64_URL_SAFE_NO_PAD.encode(ciphertext),
    })
}

/// Writes the payload: the request as it was, and the key's bundle (`KeyBundle`: `key`, `attributes`, `release_policy`)
/// with `key_hsm` in its `key`.
#[must_use]
pub fn payload(
    api_version: &str,
    kid: &str,
    enc: &str,
    nonce: Option<&str>,
    mut bundle: Map<String, Value>,
    key_hsm: &Value,
) -> Value {
    let mut request = Map::new();
    request.insert("api-version".into(), api_version.into());
    request.insert("enc".into(), enc.into());
    request.insert("kid".into(), kid.into());
    if let Some(nonce) = nonce {
        request.insert("nonce".into(), nonce.into());
    }
    if let Value::Object(key) = bundle.entry("key").or_insert_with(|| json!({})) {
        key.insert("key_hsm".into(), BASE64_URL_SAFE_NO_PAD.encode(key_hsm.to_string()).into());
    }
    json!({"request": request, "response": {"key": bundle}})
}

/// Checks what was asked and what came.
pub(super) fn verify(payload: Value, rules: &ReleaseRules<'_>, verdict: &mut Verdict) -> Option<Released> {
    asked(&payload, rules, verdict);
    let key = payload.pointer("/response/key/key");
    let kid = key.and_then(|key| key.get("kid")).and_then(Value::as_str);
    let kid = released_key(kid, rules, verdict);
    if let Some(key) = key {
        for (fact, name) in [("kty", "kty"), ("kid", "kid"), ("key_ops", "key_ops")] {
            if let Some(value) = key.get(name) {
                verdict.fact(fact, value.clone());
            }
        }
    }
    let wrapped = key.and_then(|key| key.get("key_hsm")).and_then(Value::as_str);
    let ciphertext = wrap(wrapped, rules, verdict);
    let (kid, key_hsm) = (kid?, ciphertext?);
    Some(Released { payload, key_hsm, enc: rules.enc.to_owned(), kid })
}

fn asked(payload: &Value, rules: &ReleaseRules<'_>, verdict: &mut Verdict) {
    let request = |name: &str| payload.get("request").and_then(|request| request.get(name)).and_then(Value::as_str);
    let seen = request("kid");
    let holds = match (seen.and_then(KeyId::parse), KeyId::parse(rules.kid)) {
        (Some(seen), Some(asked)) => asked.covers(seen),
        _ => false,
    };
    let shown = seen.map_or_else(|| "nothing".to_owned(), line::shorten);
    let why = if holds { shown } else { format!("the answer is to a request for {shown}, not for {}", rules.kid) };
    verdict.check("release.kid", holds, why);
    same(verdict, "release.enc", request("enc"), rules.enc);
    match (rules.nonce, request("nonce")) {
        (Some(sent), seen) => {
            same(verdict, "release.nonce", seen, sent);
        }
        (None, None) => verdict.note(
            "release.nonce",
            Outcome::NotApplicable,
            "no nonce was sent: an earlier answer to the same request would look the same",
        ),
        (None, Some(seen)) => {
            let seen = line::shorten(seen);
            verdict.check("release.nonce", false, format!("the answer is to a request with the nonce {seen}"));
        }
    }
    match rules.api_version {
        Some(sent) => {
            same(verdict, "release.api_version", request("api-version"), sent);
        }
        None => {
            let seen = request("api-version").map_or_else(|| "nothing".to_owned(), line::shorten);
            verdict.note("release.api_version", Outcome::NotApplicable, seen);
        }
    }
}

/// Checks that the key that came is the one that was asked for, in the vault that was asked.
fn released_key(kid: Option<&str>, rules: &ReleaseRules<'_>, verdict: &mut Verdict) -> Option<String> {
    let parsed = kid.and_then(KeyId::parse);
    let asked = KeyId::parse(rules.kid);
    let in_vault = parsed.is_some_and(|key| key.host.eq_ignore_ascii_case(rules.vault_host));
    let same_key = matches!((asked, parsed), (Some(asked), Some(key)) if asked.covers(key));
    let shown = kid.map_or_else(|| "nothing".to_owned(), line::shorten);
    let why = match (in_vault, same_key) {
        (true, true) => shown,
        (false, _) => format!("{shown} is no key of {}", rules.vault_host),
        (true, false) => format!("{shown} is not the key that was asked for, {}", rules.kid),
    };
    verdict.check("release.key", in_vault && same_key, why).then(|| kid.map(str::to_owned))?
}

/// Takes `key_hsm` apart and checks how and to whom the key is wrapped.
fn wrap(wrapped: Option<&str>, rules: &ReleaseRules<'_>, verdict: &mut Verdict) -> Option<Vec<u8>> {
    let read = read_wrap(wrapped, rules.enc);
    let (document, ciphertext) =
        verdict.demand("release.wrap", read, |(_, ciphertext)| format!("{}, {} bytes", rules.enc, ciphertext.len()))?;
    let recipient = document.pointer("/header/kid").and_then(Value::as_str);
    same(verdict, "release.recipient", recipient, rules.tee_kid);
    Some(ciphertext)
}

fn read_wrap(wrapped: Option<&str>, enc: &str) -> Result<(Value, Vec<u8>), String> {
    let wrapped = wrapped.ok_or("the answer has no key_hsm: no key was released")?;
    if wrapped.len() > MAX_KEY_HSM {
        return Err(format!("key_hsm has {} bytes, and more than {MAX_KEY_HSM} are not read", wrapped.len()));
    }
    let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| "key_hsm is not BASE64URL".to_owned());
    let document =
        json::read(&decode(wrapped)?, MAX_KEY_HSM, 4).map_err(|why| format!("key_hsm is not read: {why}"))?;
    let member = |path: &str, expected: &str| match document.pointer(path) {
        Some(Value::String(seen)) if seen == expected => Ok(()),
        other => {
            let seen = other.map_or_else(|| "nothing".to_owned(), line::show);
            Err(format!("{} of key_hsm is {seen}; {expected} was expected", path.trim_start_matches('/')))
        }
    };
    member("/schema_version", SCHEMA_VERSION)?;
    member("/header/alg", "dir")?;
    member("/header/enc", enc)?;
    if RsaAesWrap::from_name(enc).is_none() {
        return Err(format!("{} is no wrap that is known here", line::shorten(enc)));
    }
    let ciphertext = document.get("ciphertext").and_then(Value::as_str).ok_or("key_hsm has no ciphertext")?;
    let ciphertext = decode(ciphertext)?;
    Ok((document, ciphertext))
}
