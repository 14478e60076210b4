use std::collections::BTreeSet;
use std::path::Path;

use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;
use sealbook_crypto::hmac_sha256;
use sealbook_crypto::rsa::{RsaAesWrap, RsaBits, RsaKey, RsaPublic};
use serde_json::json;

use super::*;
use crate::shared::shared;
use crate::testing::{DAY, NOW, key, part, self_signed, sign};
use crate::{policy, release};

const ISS: &str = "https://test.attest.azure.net";

fn jwk(kid: &str, public: &RsaPublic) -> Value {
    let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    json!({"kid": kid, "kty": "RSA", "n": text(&public.n), "e": text(&public.e)})
}

fn set(keys: &[Value]) -> SigningKeys {
    SigningKeys::parse(json!({"keys": keys}).to_string().as_bytes()).unwrap()
}

/// The issuer's key is [`key`] 0, named `k-0`.
fn served() -> SigningKeys {
    set(&[jwk("k-0", &key(0).public()), jwk("k-1", &key(1).public())])
}

fn rules(keys: &SigningKeys) -> TokenRules<'_> {
    TokenRules { issuer: Some(ISS), keys, now: NOW, leeway: 60 }
}

fn header() -> Value {
    json!({"alg": "RS256", "jku": "https://evil.example/certs", "kid": "k-0", "typ": "JWT"})
}

fn claims() -> Value {
    json!({
        "iss": ISS, "iat": NOW - 10, "nbf": NOW - 10, "exp": NOW + 8 * 3600, "jti": "1",
        "x-ms-attestation-type": "azurevm", "secureboot": true,
        "x-ms-isolation-tee": {
            "x-ms-attestation-type": "sevsnpvm", "x-ms-compliance-status": "azure-compliant-cvm",
            "x-ms-sevsnpvm-is-debuggable": false, "x-ms-sevsnpvm-guestsvn": 2,
            "x-ms-runtime": {"user-data": "00ff", "keys": []},
        },
        "x-ms-runtime": {"keys": [jwk("tee-key", &key(3).public())]},
    })
}

fn refusal(token: &str, rules: &TokenRules<'_>) -> String {
    let (verdict, claims) = verify(token, rules);
    assert!(claims.is_none(), "{verdict:?}");
    let check = verdict.deciding().unwrap_or_else(|| panic!("nothing failed: {verdict:?}"));
    format!("{}: {}", check.name, check.detail)
}

#[test]
fn a_good_token_shows_what_it_says() {
    let keys = served();
    let (verdict, verified) = verify(&sign(&header(), &claims(), key(0)), &rules(&keys));
    let verified = verified.unwrap_or_else(|| panic!("{verdict:?}"));
    assert_eq!((verified.issuer(), verified.value()), (ISS, &claims()));
    let names: Vec<_> = verdict.checks.iter().map(|check| check.name.as_str()).collect();
    let expected = ["format", "algorithm", "issuer", "key", "signature", "times"];
    assert_eq!(names, expected.map(|name| format!("token.{name}")));
    assert_eq!(verdict.facts["x-ms-isolation-tee.x-ms-attestation-type"], "sevsnpvm");
    assert_eq!(verdict.facts["x-ms-isolation-tee.x-ms-runtime.user-data"], "00ff");
    assert_eq!(verdict.facts["x-ms-isolation-tee.x-ms-sevsnpvm-guestsvn"], 2);
    let slash = format!("{ISS}/");
    for issuer in [None, Some(slash.as_str())] {
        assert!(verify(&sign(&header(), &claims(), key(0)), &TokenRules { issuer, ..rules(&keys) }).1.is_some());
    }
}

#[test]
fn forged_and_altered_tokens_are_refused_by_the_check_that_finds_it() {
    let keys = set(&[jwk("k-0", &key(0).public()), jwk("k-1", &key(1).public()), weak_key()]);
    let good = sign(&header(), &claims(), key(0));
    let with = |change: &dyn Fn(&mut Value)| {
        let mut header = header();
        change(&mut header);
        sign(&header, &claims(), key(0))
    };
    let unsigned = |alg: Value| {
        let mut header = header();
        header["alg"] = alg;
        format!("{}.{}.", part(&header), part(&claims()))
    };
    let confused = {
        let mut header = header();
        header["alg"] = "HS256".into();
        let body = format!("{}.{}", part(&header), part(&claims()));
        let secret = key(0).public().to_spki_pem().unwrap();
        format!("{body}.{}", BASE64_URL_SAFE_NO_PAD.encode(hmac_sha256(secret.as_bytes(), body.as_bytes())))
    };
    let parts: Vec<_> = good.split('.').collect();
    let mut debug = claims();
    debug["x-ms-isolation-tee"]["x-ms-sevsnpvm-is-debuggable"] = true.into();
    let swapped = format!("{}.{}.{}", parts[0], part(&debug), parts[2]);
    let mut signature = BASE64_URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
    signature[0] ^= 0x80;
    let flipped = format!("{}.{}.{}", parts[0], parts[1], BASE64_URL_SAFE_NO_PAD.encode(signature));
    let raw = |text: &str| {
        let body = format!("{}.{}", parts[0], BASE64_URL_SAFE_NO_PAD.encode(text));
        format!("{body}.{}", BASE64_URL_SAFE_NO_PAD.encode(key(0).sign_rs256(body.as_bytes())))
    };
    let doubled = raw(&format!(r#"{{"iss":"{ISS}","exp":{},"a":{{"x":1,"x":2}}}}"#, NOW + 60));
    let bomb = raw(&format!(r#"{{"a":{}1{}}}"#, "[".repeat(5000), "]".repeat(5000)));
    let table: Vec<(&str, String, &str)> = vec![
        ("alg none", unsigned("none".into()), "token.algorithm: the algorithm is none"),
        ("alg None", unsigned("None".into()), "token.algorithm: the algorithm is none"),
        ("no alg", unsigned(json!(null)), "token.algorithm: the algorithm is null"),
        ("HS256 with the public key", confused, "token.algorithm: the algorithm is HS256"),
        ("RS512", with(&|h| h["alg"] = "RS512".into()), "token.algorithm: the algorithm is RS512"),
        ("PS256", with(&|h| h["alg"] = "PS256".into()), "token.algorithm: the algorithm is PS256"),
        ("critical extensions", with(&|h| h["crit"] = json!(["b64"])), "token.format: the header demands extensions"),
        (
            "unknown kid",
            with(&|h| h["kid"] = "k-9".into()),
            "token.key: the issuer serves no key k-9; it serves k-0, k-1",
        ),
        ("no kid", with(&|h| h["kid"] = json!(null)), "token.key: the header names no key"),
        (
            "a weak key's kid",
            with(&|h| h["kid"] = "weak".into()),
            "token.key: the key weak is not used: it has 1024 bits",
        ),
        ("another key's kid", with(&|h| h["kid"] = "k-1".into()), "token.signature: not made by that key"),
        ("a key of its own in the header", with(&|h| h["jwk"] = jwk("k-9", &key(2).public())), ""),
        ("another signer", sign(&header(), &claims(), key(2)), "token.signature: not made by that key"),
        ("flipped signature", flipped, "token.signature"),
        ("swapped claims", swapped, "token.signature"),
        ("no signature", format!("{}.{}.", parts[0], parts[1]), "token.signature"),
        ("doubled claims", doubled, "token.format: the payload is not read: the name \"x\" is there twice"),
        ("nested bomb", bomb, "token.format: the payload is not read: it is nested deeper than 32 levels"),
        ("huge token", format!("{good}{}", "A".repeat(MAX_BYTES)), "token.format: it has"),
        ("five parts, encrypted", format!("{good}.x.y"), "token.format: it has 5 parts"),
        ("a line end behind it", format!("{good}\n"), "token.format: the signature is not BASE64URL"),
        ("nothing", String::new(), "token.format: it has 1 parts"),
    ];
    for (what, token, expected) in table {
        if expected.is_empty() {
            assert!(verify(&token, &rules(&keys)).1.is_some(), "{what}: members that are not asked change nothing");
            continue;
        }
        let why = refusal(&token, &rules(&keys));
        assert!(why.starts_with(expected), "{what}\n got {why}\nwant {expected}");
    }
}

#[test]
fn issuers_and_times_are_judged() {
    let keys = served();
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        sign(&header(), &claims, key(0))
    };
    let table: Vec<(String, &str)> = vec![
        (with("iss", "https://test.attest.azure.net.evil.example".into()), "token.issuer: the token was issued by"),
        (with("iss", "https://sharedweu.weu.attest.azure.net".into()), "token.issuer: the token was issued by"),
        (with("iss", "http://test.attest.azure.net".into()), "token.issuer: the issuer http://"),
        (with("iss", "test.attest.azure.net".into()), "token.issuer: the issuer test"),
        (with("iss", json!([ISS])), "token.issuer: iss is an array of 1"),
        (
            with("exp", (NOW - 61).into()),
            "token.times: it expired at 2025-12-31T23:58:59Z, and it is 2026-01-01T00:00:00Z",
        ),
        (with("exp", (NOW - 60).into()), "token.times: it expired"),
        (with("exp", json!("never")), "token.times: exp is never, which is no number"),
        (with("exp", json!(1e300)), "token.times: exp is 1e+300"),
        (with("exp", json!(i64::MIN)), "token.times: it expired"),
        (with("exp", json!(null)), "token.times: exp is null"),
        (with("nbf", (NOW + 61).into()), "token.times: it is valid from 2026-01-01T00:01:01Z on"),
        (with("nbf", json!(i64::MAX)), "token.times: it is valid from"),
        (with("iat", (NOW + DAY).into()), "token.times: it was issued at 2026-01-02T00:00:00Z"),
    ];
    for (token, expected) in table {
        let why = refusal(&token, &rules(&keys));
        assert!(why.starts_with(expected), "got {why}\nwant {expected}");
    }
    let mut timeless = claims();
    timeless.as_object_mut().unwrap().shift_remove("exp");
    assert!(refusal(&sign(&header(), &timeless, key(0)), &rules(&keys)).contains("never expires"));
    timeless.as_object_mut().unwrap().shift_remove("iss");
    let nobody = TokenRules { issuer: None, ..rules(&keys) };
    assert!(
        refusal(&sign(&header(), &timeless, key(0)), &nobody).starts_with("token.issuer: the token names no issuer")
    );
    for (name, value) in [("exp", NOW - 59), ("nbf", NOW + 60), ("iat", NOW + 60)] {
        assert!(verify(&with(name, value.into()), &rules(&keys)).1.is_some(), "{name}: within the leeway");
    }
    for leeway in [i64::MIN, i64::MAX] {
        let _ = verify(&sign(&header(), &claims(), key(0)), &TokenRules { leeway, ..rules(&keys) });
    }
}

#[test]
fn claims_can_be_looked_at_before_they_are_believed() {
    let token = sign(&header(), &claims(), key(0));
    let good = [token.clone(), format!(" {token}\n"), json!({"token": token}).to_string(), claims().to_string()];
    for document in good {
        assert_eq!(unverified(document.as_bytes()).unwrap(), claims(), "{document}");
    }
    let table: [(&[u8], &str); 6] = [
        (b"", "it has 1 parts"),
        (b"\xff", "invalid utf-8"),
        (b"{", "EOF"),
        (b"[]", "it has 1 parts"),
        (br#"{"iss":"a","iss":"b"}"#, "is there twice"),
        (br#"{"token":"a.b"}"#, "it has 2 parts"),
    ];
    for (document, expected) in table {
        let why = unverified(document).unwrap_err().to_string();
        assert!(why.contains(expected), "{why}");
    }
}

/// A key of 1024 bits, made by openssl for this test.
fn weak_key() -> Value {
    let n = "qYGVrymfW6PowykqLXxi-ETt1WBSXo_j-PS8-dzRjkzHYD0NCGazQUA5QarnP46HXlY2SCmduz8GA0nO5CN7WPOVIhGEHQN4ieScTYri9-lt\
             93MgBtFYuIG3jF8iqxxnhOcSMJEs4SDaPr2JmdciGxZ6jUkQS_P5WsMLps6VLyU";
    json!({"kid": "weak", "kty": "RSA", "n": n, "e": "AQAB"})
}

#[test]
fn keys_that_must_not_be_used_are_kept_apart() {
    let good = jwk("good", &key(0).public());
    let with = |name: &str, value: Value| {
        let mut key = good.clone();
        key[name] = value;
        key
    };
    let table = [
        (good.clone(), None),
        (with("use", "sig".into()), None),
        (json!({"kid": "good", "kty": "RSA", "x5c": [self_signed(0)]}), None),
        (with("x5c", json!([self_signed(0)])), None),
        (with("x5c", json!([self_signed(1)])), Some("its certificate (x5c) is for another key")),
        (with("x5c", json!([])), Some("its certificate (x5c) is not BASE64")),
        (with("x5c", json!("x")), Some("its certificate (x5c) is not BASE64")),
        (with("x5c", json!(["AAAA"])), Some("its certificate is not read")),
        (with("kid", json!("")), Some("it has no key identifier")),
        (with("kid", json!(1)), Some("it has no key identifier")),
        (with("kty", "EC".into()), Some("its type is EC, not RSA")),
        (with("kty", "oct".into()), Some("its type is oct, not RSA")),
        (with("kty", json!(null)), Some("its type is null, not RSA")),
        (with("use", "enc".into()), Some("it is for enc, not for signatures")),
        (with("n", "?".into()), Some("its n or e is not BASE64URL")),
        (with("n", "AA".into()), Some("its n or e is not BASE64URL")),
        (with("e", "AQ".into()), Some("its exponent is even or one")),
        (with("e", "AQAA".into()), Some("its exponent is even or one")),
        (json!({"kid": "bare", "kty": "RSA"}), Some("it has neither a certificate")),
        (weak_key(), Some("it has 1024 bits; 2048 to 8192 are used")),
        (json!("text"), Some("it has no key identifier")),
    ];
    for (entry, refused) in table {
        let keys = set(std::slice::from_ref(&entry));
        match refused {
            None => assert_eq!((keys.usable().count(), keys.refused().len()), (1, 0), "{entry} {:?}", keys.refused()),
            Some(why) => {
                assert_eq!(keys.usable().count(), 0, "{entry}");
                assert!(keys.refused()[0].why.starts_with(why), "{entry}: {}", keys.refused()[0].why);
            }
        }
    }
    let documents = [
        ("{}".to_owned(), "has no `keys`"),
        ("[]".to_owned(), "has no `keys`"),
        (r#"{"keys":{}}"#.to_owned(), "has no `keys`"),
        ("{".to_owned(), "cannot be read"),
        (r#"{"keys":[],"keys":[]}"#.to_owned(), "the name \"keys\" is there twice"),
        (json!({"keys": vec![good; 101]}).to_string(), "has 101 keys"),
        (" ".repeat(1 << 21), "more than 1048576 are not read"),
    ];
    for (document, expected) in documents {
        let why = SigningKeys::parse(document.as_bytes()).unwrap_err().to_string();
        assert!(why.contains(expected), "{why}");
    }
}

#[test]
fn the_key_to_wrap_to_is_the_first_that_encrypts() {
    let public = key(3).public();
    let named = |kid: &str, extra: Value| {
        let mut key = jwk(kid, &public);
        key.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        key
    };
    let table: Vec<(Value, Option<&str>)> = vec![
        (json!([named("a", json!({"use": "enc"}))]), Some("a")),
        (json!([named("a", json!({"key_use": "enc"}))]), Some("a")),
        (json!([named("a", json!({"key_ops": ["sign", "encrypt"]}))]), Some("a")),
        (json!([named("a", json!({"use": "sig", "key_ops": ["encrypt"]}))]), Some("a")),
        (json!([named("a", json!({"key_ops": ["sign"]})), named("b", json!({"use": "enc"}))]), Some("b")),
        (json!([named("a", json!({"kty": "EC", "use": "enc"})), named("b", json!({"use": "enc"}))]), Some("b")),
        (json!([named("a", json!({}))]), None),
        (json!([named("a", json!({"use": "sig"}))]), None),
        (json!([named("", json!({"use": "enc"})), named("b", json!({"use": "enc"}))]), None),
        (json!([named("a", json!({"use": "enc", "n": "?"})), named("b", json!({"use": "enc"}))]), None),
        (json!([named("a", json!({"use": "enc", "e": "AQ"}))]), None),
        (json!([]), None),
        (json!({"a": 1}), None),
    ];
    for (keys, expected) in table {
        let found = release_key(&json!({"x-ms-runtime": {"keys": keys}}));
        assert_eq!(found.as_ref().map(|key| key.kid.as_str()), expected, "{keys}");
        assert!(found.is_none_or(|key| (key.n, key.e) == (public.n.clone(), public.e.clone())));
    }
    // A guest attestation nests the hardware's runtime data; the key to wrap to is the one on top.
    let nested = json!({"x-ms-isolation-tee": {"x-ms-runtime": {"keys": [named("a", json!({"use": "enc"}))]}}});
    assert_eq!(release_key(&nested), None);
}

#[test]
fn hashes_and_names_follow_the_service() {
    let policy = "version=1.0; authorizationrules{=> permit();}; issuancerules{};";
    assert_eq!(policy_hash(policy), "z0FRjKS0ssQTNur1V6BV8WIrh9M3fzgTo0EfHRvapWU");
    // Of `printf 'a\0' | openssl dgst -sha256 -binary | base64`.
    assert_eq!(key_id("a"), BASE64_STANDARD.encode(sha256(b"a\0")));
    let kid = key_id(&key(0).public().to_spki_pem().unwrap());
    let keys = set(&[jwk(&kid, &key(0).public())]);
    assert_eq!(keys.find(Some(&kid)).unwrap()[0].words(), format!("{kid}, 2048 bits, named after the key"));
}

#[test]
fn metadata_must_be_the_issuers_and_keep_the_keys_with_it() {
    let document = |issuer: &str, keys: &str| json!({"issuer": issuer, "jwks_uri": keys, "x": []}).to_string();
    let certs = format!("{ISS}/certs");
    let good = Metadata::parse(document(ISS, &certs).as_bytes(), &format!("{ISS}/")).unwrap();
    assert_eq!(good, Metadata { issuer: ISS.to_owned(), jwks_uri: certs.clone() });
    let table = [
        (document("https://evil.example", &certs), "is that of https://evil.example"),
        (document(ISS, "https://evil.example/certs"), "are at https://evil.example/certs"),
        (document(ISS, "http://test.attest.azure.net/certs"), "are at http://"),
        (document(ISS, "https://test.attest.azure.net:8443/certs"), "are at https://test.attest.azure.net:8443"),
        (document(ISS, "https://test.attest.azure.net@evil.example/"), "are at"),
        (document(ISS, "/certs"), "are at /certs"),
        (json!({"issuer": ISS}).to_string(), "has no `jwks_uri`"),
        (json!({"issuer": 1, "jwks_uri": certs}).to_string(), "has no `issuer`"),
        ("[]".to_owned(), "has no `issuer`"),
        ("x".to_owned(), "cannot be read"),
    ];
    for (document, expected) in table {
        let why = Metadata::parse(document.as_bytes(), ISS).unwrap_err().to_string();
        assert!(why.contains(expected), "{why}");
    }
}

/// Bodies of recorded answers that begin so, in their order.
fn recorded(file: &Path, begin: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    let bodies = text.lines().filter_map(|line| line.trim().strip_prefix("string: '")?.strip_suffix('\''));
    bodies.filter(|body| body.starts_with(begin)).map(|body| serde_json::from_str(body).unwrap()).collect()
}

/// The text in a policy as the service answers it: a signature over `{"AttestationPolicy": BASE64URL(text)}`.
fn policy_text(jws: &str) -> Option<String> {
    let payload = BASE64_URL_SAFE_NO_PAD.decode(jws.split('.').nth(1)?).ok()?;
    let payload: Value = serde_json::from_slice(&payload).ok()?;
    String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(payload["AttestationPolicy"].as_str()?).ok()?).ok()
}

#[test]
fn recorded_tokens_of_the_live_service_verify_and_unsigned_ones_do_not() {
    let Some(folder) = shared("evidence/maa-recordings") else { return };
    let (mut verified, mut unsigned, mut named) = (0, 0, 0);
    // What tokens say of the policy that they were issued under, and what recorded policies hash to.
    let (mut said, mut hashed) = (BTreeSet::new(), BTreeSet::new());
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let sets: Vec<_> = recorded(&path, r#"{"keys""#).iter().map(|set| set.to_string()).collect();
        for token in recorded(&path, r#"{"token""#) {
            let token = token["token"].as_str().unwrap();
            let payload = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
            let payload: Value = serde_json::from_slice(&payload).unwrap();
            let now = payload["nbf"].as_i64().unwrap();
            let keys = SigningKeys::parse(sets[0].as_bytes()).unwrap();
            named +=
                keys.usable().filter(|kid| keys.find(Some(kid)).unwrap()[0].words().contains("named after")).count();
            let rules = TokenRules { issuer: payload["iss"].as_str(), keys: &keys, now, leeway: 0 };
            let (verdict, claims) = verify(token, &rules);
            if token.starts_with("eyJhbGciOiJub25l") {
                assert_eq!(verdict.deciding().unwrap().name, "token.algorithm");
                unsigned += 1;
                continue;
            }
            let claims = claims.unwrap_or_else(|| panic!("{}: {verdict:?}", path.display()));
            assert_eq!(claims.issuer(), payload["iss"]);
            let late = TokenRules { now: payload["exp"].as_i64().unwrap(), ..rules };
            assert!(refusal(token, &late).starts_with("token.times"));
            let text = |name: &str| claims.value().get(name).and_then(Value::as_str);
            said.extend(text("x-ms-policy-hash").map(str::to_owned));
            hashed.extend(text("x-ms-policy").and_then(policy_text).map(|text| policy_hash(&text)));
            verified += 1;
        }
    }
    println!("{verified} verified, {unsigned} unsigned, {named} keys named after themselves");
    assert!(said.len() == 2 && said.is_subset(&hashed), "{said:?} {hashed:?}");
    assert!(verified > 40 && unsigned == 3 && named > 0, "{verified} {unsigned} {named}");
}

#[test]
fn the_weak_key_that_the_service_once_served_is_not_used() {
    let Some(folder) = shared("evidence/maa-samples/sgx.attest.sample.oe.sdk/validatequotes.net/samples") else {
        return;
    };
    let mut refused = Vec::new();
    let Some(recordings) = shared("evidence/maa-recordings") else { return };
    let mut sets = recorded(&recordings.join("test_attestation.test_shared_getsigningcertificates.yaml"), r#"{"keys""#);
    sets.push(serde_json::from_slice(&std::fs::read(folder.join("get.certs.response.body.json")).unwrap()).unwrap());
    for document in sets {
        let keys = SigningKeys::parse(document.to_string().as_bytes()).unwrap();
        assert!(keys.usable().count() > 0);
        refused.extend(keys.refused().iter().map(|key| key.why.clone()));
    }
    assert!(refused.iter().any(|why| why.contains("1024 bits")), "{refused:?}");
}

#[test]
fn keys_recovered_from_real_tokens_are_named_by_the_rule() {
    let Some(folder) = shared("evidence/maa-cvm-tokens") else { return };
    for (name, prefix) in [("sharedeus2-J0pAPdf.pub.pem", "J0pAPdf"), ("sharedweu-dRKh.pub.pem", "dRKh")] {
        let pem = std::fs::read_to_string(folder.join(name)).unwrap();
        assert!(key_id(&pem).starts_with(prefix), "{name}: {}", key_id(&pem));
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let public = RsaPublic::from_spki(&BASE64_STANDARD.decode(body).unwrap()).unwrap();
        assert_eq!(public.to_spki_pem().unwrap(), pem);
        let token = std::fs::read_to_string(folder.join("sharedeus2-2022-04-14.jwt")).unwrap();
        let keys = set(&[jwk(&key_id(&pem), &public)]);
        let rules = TokenRules { issuer: None, keys: &keys, now: 1_649_979_800, leeway: 0 };
        // It was signed with an older key of the same service, whose public half is not to be had.
        assert!(
            refusal(token.trim(), &rules).starts_with("token.key: the issuer serves no key rj/UuoedUDeC1WTpnxBo2f")
        );
    }
}

#[test]
fn genuine_evidence_leads_through_token_and_release_to_the_key() {
    let Some(folder) = shared("evidence/azure-cleanroom/samples/reports/insecure-virtual/encryption") else { return };
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    // The runtime data that the hardware's report binds, as the request to the service had it.
    let request: Value = serde_json::from_str(&read("maa-request.json")).unwrap();
    let runtime = BASE64_URL_SAFE_NO_PAD.decode(request["runtimeData"]["data"].as_str().unwrap()).unwrap();
    let mut said = claims();
    said["x-ms-runtime"] = serde_json::from_slice(&runtime).unwrap();
    said["x-ms-attestation-type"] = "sevsnpvm".into();
    let keys = served();
    let (_, verified) = verify(&sign(&header(), &said, key(0)), &rules(&keys));
    let verified = verified.unwrap();
    let policy = policy::from_claims(verified.issuer(), verified.value(), policy::Selection::default()).unwrap();
    assert!(policy.evaluate(verified.issuer(), verified.value()).released);

    let tee = release_key(verified.value()).unwrap();
    let recipient = RsaPublic { n: tee.n, e: tee.e };
    let secret = RsaKey::generate(RsaBits::B2048).to_pkcs8();
    let enc = RsaAesWrap::Sha256;
    let wrapped = enc.wrap(&recipient, &secret).unwrap();
    let kid = "https://contoso.vault.azure.net/keys/kek/1";
    let bundle = json!({"key": {"kid": kid, "kty": "RSA-HSM"}}).as_object().unwrap().clone();
    let key_hsm = release::key_hsm(&tee.kid, enc.name(), &wrapped);
    let answer = release::payload("7.4", kid, enc.name(), Some("n"), bundle, &key_hsm);
    let chain = crate::testing::chain("Test Root", &["*.vault.azure.net"], 2030);
    let root = crate::x509::Certificate::from_der(&chain.root).unwrap();
    let roots = crate::Roots::none().with_test("a test", crate::roots::Kind::Tls, root, vec![]);
    let rules = release::ReleaseRules {
        vault_host: "contoso.vault.azure.net",
        kid,
        enc: enc.name(),
        nonce: Some("n"),
        api_version: Some("7.4"),
        tee_kid: &tee.kid,
        roots: &roots,
        now: NOW,
    };
    let (verdict, released) = release::verify(&sign(&chain.header(), &answer, key(2)), &rules);
    let released = released.unwrap_or_else(|| panic!("{verdict:?}"));
    // The private key that was published with the evidence opens it.
    let pem = read("priv_key.pem");
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let private = RsaKey::from_pkcs8(&BASE64_STANDARD.decode(body).unwrap()).unwrap();
    assert_eq!(private.public(), recipient);
    assert_eq!(released.unwrap(&private).unwrap().expose(), secret.expose());
}

proptest! {
    #[test]
    fn nothing_makes_a_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in "\\PC{0,80}") {
        let keys = SigningKeys::default();
        let token = String::from_utf8_lossy(&bytes);
        prop_assert!(verify(&token, &rules(&keys)).1.is_none());
        let parts = format!("{}.{}.AA", part(&header()), BASE64_URL_SAFE_NO_PAD.encode(&text));
        prop_assert!(verify(&parts, &rules(&keys)).1.is_none());
        let _ = SigningKeys::parse(&bytes);
        let _ = Metadata::parse(&bytes, &text);
        if let Ok(value) = serde_json::from_slice(&bytes) {
            let _ = release_key(&value);
        }
    }

    #[test]
    fn no_changed_byte_of_a_token_passes(at in 0..10_000_usize, bit in 0..8_u8) {
        static GOOD: std::sync::OnceLock<(SigningKeys, String)> = std::sync::OnceLock::new();
        let (keys, good) = GOOD.get_or_init(|| (served(), sign(&header(), &claims(), key(0))));
        let mut bytes = good.clone().into_bytes();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        if let Ok(text) = String::from_utf8(bytes) {
            prop_assert!(verify(&text, &rules(keys)).1.is_none());
        }
    }
}
