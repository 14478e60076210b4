//! Every character of signed tokens and releases, made another: a check whose name is known must refuse it.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use sealbook_attestation::maa::{self, SigningKeys, TokenRules};
use sealbook_attestation::release::{self, ReleaseRules};
use sealbook_attestation::roots::Kind;
use sealbook_attestation::x509::Certificate;
use sealbook_attestation::{Roots, Verdict};
use serde_json::{Value, json};

use crate::flips::{counted, refused};
use crate::manifest::Evidence;
use crate::testing::{DAY, NOW, chain, key, sign};

/// Puts another character of BASE64URL in each place, or another dot.
fn each_character(what: &str, sound: &str, by: &[&str], judge: impl Fn(&str) -> Verdict) -> usize {
    assert!(judge(sound).passed(), "{what}: {:?}", judge(sound).deciding());
    for at in 0..sound.len() {
        let other = if sound.as_bytes()[at] == b'A' { "B" } else { "A" };
        let mut bent = sound.to_owned();
        bent.replace_range(at..=at, other);
        refused(&judge(&bent), by, &format!("{what}, character {at}"));
    }
    sound.len()
}

const OF_TOKENS: [&str; 3] = ["token.format", "token.key", "token.signature"];
const OF_RELEASES: [&str; 3] = ["release.format", "release.chain", "release.signature"];

fn payload(jws: &str) -> Value {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(jws.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

#[test]
fn every_character_of_a_token_is_covered() {
    let public = key(0).public();
    let (n, e) = (BASE64_URL_SAFE_NO_PAD.encode(public.n), BASE64_URL_SAFE_NO_PAD.encode(public.e));
    let keys = json!({ "keys": [{ "kid": "k", "kty": "RSA", "n": n, "e": e }] });
    let keys = SigningKeys::parse(keys.to_string().as_bytes()).unwrap();
    let claims = json!({ "iss": "https://made.attest.azure.net", "exp": NOW + DAY, "x-ms-ver": "1.0" });
    let token = sign(&json!({ "alg": "RS256", "kid": "k", "typ": "JWT" }), &claims, key(0));
    let judge =
        |keys: &SigningKeys, token: &str, now| maa::verify(token, &TokenRules { issuer: None, keys, now, leeway: 0 }).0;
    each_character("made", &token, &OF_TOKENS, |bent| judge(&keys, bent, NOW));
    let Some(evidence) = Evidence::open() else { return };
    let (mut tokens, mut characters) = (std::collections::BTreeSet::new(), 0);
    for path in evidence.below("maa-recordings").iter().filter(|path| path.ends_with(".yaml")) {
        let text = String::from_utf8(evidence.read(path)).unwrap();
        let bodies = text.lines().filter_map(|line| line.trim().strip_prefix("string: '")?.strip_suffix('\''));
        let bodies: Vec<Value> = bodies.filter_map(|body| serde_json::from_str(body).ok()).collect();
        let Some(keys) = bodies.iter().find(|body| body["keys"].is_array()) else { continue };
        let keys = SigningKeys::parse(keys.to_string().as_bytes()).unwrap();
        for token in bodies.iter().filter_map(|body| body["token"].as_str()) {
            let now = payload(token)["nbf"].as_i64().unwrap();
            // Unsigned ones are refused as they are.
            if judge(&keys, token, now).passed() && tokens.insert(token.to_owned()) {
                characters += each_character(path, token, &OF_TOKENS, |bent| judge(&keys, bent, now));
            }
        }
    }
    counted("token of the attestation service", tokens.len(), characters);
}

fn answered(jws: &str, host: &str, tee_kid: &str, roots: &Roots, now: i64) -> impl Fn(&str) -> Verdict + use<> {
    let asked = payload(jws)["request"].clone();
    let text = |name: &str| asked[name].as_str().map(str::to_owned);
    let (kid, enc, nonce) = (text("kid").unwrap(), text("enc").unwrap(), text("nonce"));
    let (host, tee_kid, roots) = (host.to_owned(), tee_kid.to_owned(), roots.clone());
    move |bent: &str| {
        let rules = ReleaseRules {
            vault_host: &host,
            kid: &kid,
            enc: &enc,
            nonce: nonce.as_deref(),
            api_version: None,
            tee_kid: &tee_kid,
            roots: &roots,
            now,
        };
        release::verify(bent, &rules).0
    }
}

fn trust(der: &[u8]) -> Roots {
    Roots::none().with_test("a test", Kind::Tls, Certificate::from_der(der).unwrap(), vec![])
}

#[test]
fn every_character_of_a_release_is_covered() {
    let chain = chain("Test Root", &["*.vault.azure.net"], 2030);
    let (kid, enc) = ("https://made.vault.azure.net/keys/k/1", "RSA_AES_KEY_WRAP_256");
    let bundle = json!({ "key": { "kid": kid, "kty": "oct-HSM" } }).as_object().unwrap().clone();
    let made = release::payload("7.4", kid, enc, Some("n"), bundle, &release::key_hsm("tee", enc, &[7; 300]));
    let made = sign(&chain.header(), &made, key(2));
    each_character(
        "made",
        &made,
        &OF_RELEASES,
        answered(&made, "made.vault.azure.net", "tee", &trust(&chain.root), NOW),
    );
    let Some(evidence) = Evidence::open() else { return };
    let vectors: Value = serde_json::from_slice(&evidence.read("skr-vectors/release-vectors.json")).unwrap();
    let pem = vectors["trust_root_pem"].as_str().unwrap();
    let root = BASE64_STANDARD.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()).unwrap();
    let (mut releases, mut characters) = (0, 0);
    // One for each wrap: the kinds of keys differ in what is wrapped alone.
    for case in vectors["cases"].as_array().unwrap().iter().filter(|case| case["expect"] == "accept").take(3) {
        let value = case["value"].as_str().unwrap();
        let judge = answered(value, vectors["host"].as_str().unwrap(), "fake-key", &trust(&root), 1_748_736_000);
        characters += each_character(case["name"].as_str().unwrap(), value, &OF_RELEASES, judge);
        releases += 1;
    }
    counted("answer to a release, made by Python's cryptography", releases, characters);
}
