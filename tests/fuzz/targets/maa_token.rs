//! Whatever a token, a key set or OpenID metadata hold: claims come out of nothing that the issuer did not sign, whatever
//! the header says; of what it did sign, only those that are the expected issuer's and in time; and the key that a release
//! is wrapped to has a name, a modulus and a sound exponent.
//!
//! The first byte says what the rest is: a token and a key set (with a line of dashes between), claims that are signed
//! here, a header that is signed here, or metadata.
#![no_main]

use std::sync::OnceLock;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use sealbook_attestation::maa::{Claims, Metadata, SigningKeys, TokenRules, release_key, unverified, verify};
use sealbook_crypto::rsa::RsaKey;
use serde_json::{Value, json};

#[path = "common/mod.rs"]
mod common;
#[path = "../../../engine/attestation/src/testing.rs"]
#[allow(dead_code, reason = "made for more tests than this")]
mod testing;

use testing::{DAY, NOW};

const ISSUER: &str = "https://fuzz.attest.azure.net";

fn key() -> &'static RsaKey {
    testing::key(0)
}

fn keys() -> &'static SigningKeys {
    static KEYS: OnceLock<SigningKeys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let public = key().public();
        let (n, e) = (BASE64_URL_SAFE_NO_PAD.encode(public.n), BASE64_URL_SAFE_NO_PAD.encode(public.e));
        let set = json!({ "keys": [{ "kid": "k", "kty": "RSA", "n": n, "e": e }] });
        SigningKeys::parse(set.to_string().as_bytes()).expect("a key set")
    })
}

fn judge(token: &str, keys: &SigningKeys, issuer: Option<&str>) -> Option<Claims> {
    let (verdict, claims) = verify(token, &TokenRules { issuer, keys, now: NOW, leeway: 300 });
    assert_eq!(claims.is_some(), verdict.passed());
    claims
}

fn signed(header: &[u8], payload: &[u8]) -> String {
    let signed = [header, payload].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part)).join(".");
    let signature = key().sign_rs256(signed.as_bytes());
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else { return };
    match kind % 4 {
        0 => {
            let [token, set] = common::parts(data);
            _ = unverified(token);
            let token = String::from_utf8_lossy(token);
            let set = SigningKeys::parse(set).ok();
            if let Some(set) = &set {
                assert!(set.usable().all(|kid| !kid.is_empty()));
                assert!(set.refused().iter().all(|key| !key.why.is_empty()));
            }
            assert!(judge(&token, set.as_ref().unwrap_or(keys()), Some(ISSUER)).is_none(), "nobody signed this");
            assert!(judge(&token, keys(), None).is_none(), "nobody signed this");
        }
        1 => {
            let Some(claims) = judge(&signed(br#"{"alg":"RS256","kid":"k"}"#, data), keys(), Some(ISSUER)) else {
                return;
            };
            assert!([ISSUER, "https://fuzz.attest.azure.net/"].contains(&claims.issuer()));
            assert_eq!(serde_json::from_slice::<Value>(data).as_ref().ok(), Some(claims.value()));
            let time = |name: &str| claims.value().get(name).map(|time| time.as_i64().expect("a number of seconds"));
            assert!(time("exp").expect("it expires") > NOW - 301);
            assert!(["nbf", "iat"].iter().all(|name| time(name).is_none_or(|time| time <= NOW + 300)));
        }
        2 => {
            let claims = json!({ "iss": ISSUER, "exp": NOW + DAY }).to_string();
            let Some(_) = judge(&signed(data, claims.as_bytes()), keys(), Some(ISSUER)) else { return };
            let header: Value = serde_json::from_slice(data).expect("a header");
            assert_eq!((&header["alg"], &header["kid"]), (&json!("RS256"), &json!("k")));
            assert!(header.get("crit").is_none());
        }
        _ => {
            if let Ok(metadata) = Metadata::parse(data, ISSUER) {
                assert!(metadata.issuer.starts_with(ISSUER));
                let host = metadata.jwks_uri.get(..ISSUER.len()).unwrap_or_default();
                assert!(host.eq_ignore_ascii_case(ISSUER), "the keys lie with somebody else: {}", metadata.jwks_uri);
            }
            let Ok(claims) = serde_json::from_slice::<Value>(data) else { return };
            let Some(key) = release_key(&claims) else { return };
            assert!(!key.kid.is_empty() && key.n.first().is_some_and(|byte| *byte != 0));
            assert!(key.e != [1] && key.e.last().is_some_and(|last| last % 2 == 1));
        }
    }
});
