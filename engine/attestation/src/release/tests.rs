use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use proptest::prelude::*;
use sealbook_crypto::{sha1, sha256};
use serde_json::{Map, json};

use super::*;
use crate::Outcome;
use crate::roots::Kind;
use crate::shared::shared;
use crate::testing::{Chain, DAY, NOW, chain, key, part, sign};
use crate::x509::Certificate;

const HOST: &str = "contoso.vault.azure.net";
const KID: &str = "https://contoso.vault.azure.net/keys/kek/0123456789abcdef0123456789abcdef";
const ENC: &str = "RSA_AES_KEY_WRAP_256";
/// The environment's key is [`key`] 3.
const TEE: usize = 3;
const SECRET: &[u8] = b"a key of thirty-two bytes, plain";

fn good_chain() -> Chain {
    chain("Test Root", &["vault.azure.net", "*.vault.azure.net"], 2027)
}

fn wrapped(enc: &str, secret: &[u8]) -> Vec<u8> {
    let secret = SecretBytes::new(secret.to_vec());
    RsaAesWrap::from_name(enc).unwrap().wrap(&key(TEE).public(), &secret).unwrap()
}

fn bundle(kid: &str) -> Map<String, Value> {
    let bundle = json!({
        "key": {"kid": kid, "kty": "oct-HSM", "key_ops": ["wrapKey"]}, "attributes": {"exportable": true},
        "release_policy": {"data": "e30", "immutable": true},
    });
    bundle.as_object().unwrap().clone()
}

fn good_payload() -> Value {
    payload("7.4", KID, ENC, Some("n-0"), bundle(KID), &key_hsm("tee-key", ENC, &wrapped(ENC, SECRET)))
}

fn trust(der: &[u8]) -> Roots {
    Roots::none().with_test("a test", Kind::Tls, Certificate::from_der(der).unwrap(), vec![])
}

fn rules(roots: &Roots) -> ReleaseRules<'_> {
    ReleaseRules {
        vault_host: HOST,
        kid: KID,
        enc: ENC,
        nonce: Some("n-0"),
        api_version: Some("7.4"),
        tee_kid: "tee-key",
        roots,
        now: NOW,
    }
}

/// The first check that failed and its words; panics when all hold.
fn refusal(jws: &str, rules: &ReleaseRules<'_>) -> String {
    let (verdict, released) = verify(jws, rules);
    assert!(released.is_none(), "{verdict:?}");
    let check = verdict.deciding().unwrap_or_else(|| panic!("nothing failed: {verdict:?}"));
    format!("{}: {}", check.name, check.detail)
}

#[test]
fn a_release_opens_in_the_environment_it_was_wrapped_to() {
    let chain = good_chain();
    let roots = trust(&chain.root);
    let (verdict, released) = verify(&sign(&chain.header(), &good_payload(), key(2)), &rules(&roots));
    let released = released.unwrap_or_else(|| panic!("{verdict:?}"));
    assert_eq!((released.kid.as_str(), released.enc.as_str()), (KID, ENC));
    assert_eq!(released.unwrap(key(TEE)).unwrap().expose(), SECRET);
    assert_eq!(released.unwrap(key(0)).unwrap_err(), RsaError::Decrypt, "a stolen answer does not open elsewhere");
    let names: Vec<_> = verdict.checks.iter().map(|check| check.name.as_str()).collect();
    let expected = [
        "format",
        "algorithm",
        "certificate",
        "chain",
        "root",
        "validity",
        "host",
        "signature",
        "kid",
        "enc",
        "nonce",
        "api_version",
        "key",
        "wrap",
        "recipient",
    ];
    assert_eq!(names, expected.map(|name| format!("release.{name}")));
    let root = verdict.checks.iter().find(|check| check.name == "release.root").unwrap();
    assert_eq!(root.detail, "Test Root (a TEST root of a test)");
    assert_eq!((&verdict.facts["kty"], &verdict.facts["root_is_test"]), (&json!("oct-HSM"), &json!(true)));
}

#[test]
fn both_kinds_of_key_stores_and_all_wraps_are_read() {
    let chain = good_chain();
    let roots = trust(&chain.root);
    let mut vault = chain.header();
    vault["kid"] = hex::encode_upper(sha1(&chain.leaf)).into();
    vault["typ"] = "JWT".into();
    for header in [chain.header(), vault] {
        for way in RsaAesWrap::ALL {
            let enc = way.name();
            for secret in [SECRET, &[7; 7], key(0).to_pkcs8().expose()] {
                let document = key_hsm("tee-key", enc, &wrapped(enc, secret));
                let asked = "https://CONTOSO.vault.azure.net/keys/KEK";
                let answer = payload("7.5", asked, enc, None, bundle(KID), &document);
                let rules = ReleaseRules { enc, kid: asked, nonce: None, api_version: None, ..rules(&roots) };
                let (verdict, released) = verify(&sign(&header, &answer, key(2)), &rules);
                let released = released.unwrap_or_else(|| panic!("{verdict:?}"));
                assert_eq!(released.unwrap(key(TEE)).unwrap().expose(), secret);
                let silent = verdict.checks.iter().filter(|check| check.outcome == Outcome::NotApplicable);
                let silent: Vec<_> = silent.map(|check| check.name.as_str()).collect();
                assert_eq!(silent, ["release.nonce", "release.api_version"]);
            }
        }
    }
}

#[test]
fn answers_to_other_requests_are_refused() {
    let chain = good_chain();
    let roots = trust(&chain.root);
    let other = "https://contoso.vault.azure.net/keys/other/0123456789abcdef0123456789abcdef";
    let vault = "https://fabrikam.vault.azure.net/keys/kek/0123456789abcdef0123456789abcdef";
    let version = "https://contoso.vault.azure.net/keys/kek/00000000000000000000000000000000";
    type Change = Box<dyn Fn(&mut Value)>;
    let set = |path: &'static str, value: Value| -> Change {
        Box::new(move |payload: &mut Value| *payload.pointer_mut(path).unwrap() = value.clone())
    };
    let wrap = |change: fn(&mut Value)| -> Change {
        Box::new(move |payload: &mut Value| {
            let mut document = key_hsm("tee-key", ENC, b"blob");
            change(&mut document);
            payload["response"]["key"]["key"]["key_hsm"] = part(&document).into();
        })
    };
    let table: Vec<(&str, Change, String)> = vec![
        (
            "another vault's key",
            set("/request/kid", vault.into()),
            format!("release.kid: the answer is to a request for {vault}"),
        ),
        (
            "another key",
            set("/request/kid", other.into()),
            format!("release.kid: the answer is to a request for {other}"),
        ),
        (
            "another version",
            set("/request/kid", version.into()),
            format!("release.kid: the answer is to a request for {version}"),
        ),
        ("no key", set("/request", json!({})), "release.kid: the answer is to a request for nothing".into()),
        ("a request that is text", set("/request", json!("x")), "release.kid".into()),
        (
            "another wrap",
            set("/request/enc", "CKM_RSA_AES_KEY_WRAP".into()),
            "release.enc: CKM_RSA_AES_KEY_WRAP; RSA_AES".into(),
        ),
        ("another nonce", set("/request/nonce", "n-1".into()), "release.nonce: n-1; n-0 was expected".into()),
        ("a nonce that is no text", set("/request/nonce", json!(["n-0"])), "release.nonce: nothing; n-0".into()),
        ("another api-version", set("/request/api-version", "7.3".into()), "release.api_version: 7.3; 7.4".into()),
        (
            "a key of another vault in the answer",
            set("/response/key/key/kid", vault.into()),
            format!("release.key: {vault} is no key of {HOST}"),
        ),
        (
            "another key in the answer",
            set("/response/key/key/kid", other.into()),
            format!("release.key: {other} is not the key that was asked for"),
        ),
        (
            "an identifier that is none",
            set("/response/key/key/kid", "kek".into()),
            "release.key: kek is no key of".into(),
        ),
        ("no answer", set("/response", json!(null)), "release.key: nothing is no key of".into()),
        (
            "no wrapped key",
            set("/response/key/key/key_hsm", json!(null)),
            "release.wrap: the answer has no key_hsm".into(),
        ),
        (
            "a wrap that is no text",
            set("/response/key/key/key_hsm", "?".into()),
            "release.wrap: key_hsm is not BASE64URL".into(),
        ),
        (
            "a wrap that is no JSON",
            set("/response/key/key/key_hsm", "AAAA".into()),
            "release.wrap: key_hsm is not read".into(),
        ),
        (
            "a huge wrap",
            set("/response/key/key/key_hsm", "A".repeat(70_000).into()),
            "release.wrap: key_hsm has 70000".into(),
        ),
        (
            "another environment's key",
            wrap(|document| document["header"]["kid"] = "their-key".into()),
            "release.recipient: their-key; tee-key was expected".into(),
        ),
        (
            "an unknown schema",
            wrap(|document| document["schema_version"] = "2.0".into()),
            "release.wrap: schema_version of key_hsm is 2.0; 1.0 was expected".into(),
        ),
        (
            "a schema that is a number",
            wrap(|document| document["schema_version"] = 1.0.into()),
            "release.wrap: schema_version of key_hsm is 1.0".into(),
        ),
        (
            "another way to encrypt",
            wrap(|document| document["header"]["alg"] = "RSA-OAEP".into()),
            "release.wrap: header/alg of key_hsm is RSA-OAEP; dir".into(),
        ),
        (
            "two names of the wrap",
            wrap(|document| document["header"]["enc"] = "RSA_AES_KEY_WRAP_384".into()),
            "release.wrap: header/enc of key_hsm is RSA_AES_KEY_WRAP_384".into(),
        ),
        (
            "no ciphertext",
            wrap(|document| document["ciphertext"] = json!(null)),
            "release.wrap: key_hsm has no ciph".into(),
        ),
    ];
    for (what, change, expected) in table {
        let mut payload = good_payload();
        change(&mut payload);
        let why = refusal(&sign(&chain.header(), &payload, key(2)), &rules(&roots));
        assert!(why.starts_with(&expected), "{what}\n got {why}\nwant {expected}");
    }
    let sent_none = ReleaseRules { nonce: None, ..rules(&roots) };
    let why = refusal(&sign(&chain.header(), &good_payload(), key(2)), &sent_none);
    assert_eq!(why, "release.nonce: the answer is to a request with the nonce n-0");
    let unknown = ReleaseRules { enc: "RSA1_5", ..rules(&roots) };
    let answer = payload("7.4", KID, "RSA1_5", Some("n-0"), bundle(KID), &key_hsm("tee-key", "RSA1_5", b"x"));
    let why = refusal(&sign(&chain.header(), &answer, key(2)), &unknown);
    assert_eq!(why, "release.wrap: RSA1_5 is no wrap that is known here");
}

#[test]
fn signatures_of_others_are_refused() {
    let chain = good_chain();
    let roots = trust(&chain.root);
    let good = sign(&chain.header(), &good_payload(), key(2));
    let header = |change: &dyn Fn(&mut Value)| {
        let mut header = chain.header();
        change(&mut header);
        sign(&header, &good_payload(), key(2))
    };
    let flipped = {
        let (body, signature) = good.rsplit_once('.').unwrap();
        let mut signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
        signature[100] ^= 1;
        format!("{body}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    };
    let swapped = {
        let parts: Vec<_> = good.split('.').collect();
        let mut payload = good_payload();
        payload["response"]["key"]["key"]["key_hsm"] = part(&key_hsm("tee-key", ENC, b"theirs")).into();
        format!("{}.{}.{}", parts[0], part(&payload), parts[2])
    };
    let unsigned = {
        let mut header = chain.header();
        header["alg"] = "none".into();
        format!("{}.{}.", part(&header), part(&good_payload()))
    };
    let confused = {
        let mut header = chain.header();
        header["alg"] = "HS256".into();
        let body = format!("{}.{}", part(&header), part(&good_payload()));
        let tag = sealbook_crypto::hmac_sha256(&key(2).public().to_spki().unwrap(), body.as_bytes());
        format!("{body}.{}", BASE64_URL_SAFE_NO_PAD.encode(tag))
    };
    let foreign = crate::testing::chain("Evil Root", &["*.vault.azure.net"], 2027);
    let elliptic = rcgen::generate_simple_self_signed(["*.vault.azure.net".to_owned()]).unwrap().cert;
    let table: Vec<(&str, String, &str)> = vec![
        ("flipped signature", flipped, "release.signature: the signature does not verify"),
        ("swapped payload", swapped, "release.signature: the signature does not verify"),
        ("another key's signature", sign(&chain.header(), &good_payload(), key(1)), "release.signature"),
        ("alg none", unsigned, "release.algorithm: the algorithm is none"),
        ("HS256 with the public key", confused, "release.algorithm: the algorithm is HS256"),
        ("RS512", header(&|h| h["alg"] = "RS512".into()), "release.algorithm: the algorithm is RS512"),
        ("no certificates", header(&|h| h["x5c"] = json!(null)), "release.chain: the header has no certificates"),
        ("an empty list", header(&|h| h["x5c"] = json!([])), "release.chain: x5c has 0 certificates"),
        ("many certificates", header(&|h| h["x5c"] = vec!["AAAA"; 9].into()), "release.chain: x5c has 9"),
        ("no base64", header(&|h| h["x5c"][0] = "?".into()), "release.chain: x5c has an entry that is not BASE64"),
        ("no certificate", header(&|h| h["x5c"][0] = "AAAA".into()), "release.certificate: x5t#S256 is"),
        ("another kid", header(&|h| h["kid"] = "x".into()), "release.certificate: kid is x, and the leaf's"),
        ("no kid", header(&|h| h["kid"] = json!(1)), "release.certificate: the header has no kid"),
        ("no thumbprint", header(&|h| h["x5t#S256"] = json!(null)), "release.certificate: the header has no x5t#S256"),
        ("another thumbprint", header(&|h| h["x5t#S256"] = "x".into()), "release.certificate: x5t#S256 is x"),
        (
            "a missing link",
            header(&|h| {
                h["x5c"].as_array_mut().unwrap().drain(1..);
            }),
            "release.root: the chain ends at none",
        ),
        (
            "another root",
            sign(&foreign.header(), &good_payload(), key(2)),
            "release.root: the chain ends at none of the trusted roots: Test Root",
        ),
        (
            "an elliptic leaf",
            header(&|h| {
                let digest = BASE64_URL_SAFE_NO_PAD.encode(sha256(elliptic.der()));
                h["x5c"][0] = BASE64_STANDARD.encode(elliptic.der()).into();
                (h["x5t#S256"], h["kid"]) = (digest.clone().into(), digest.into());
            }),
            "release.root",
        ),
        ("too long", "A".repeat(MAX_BYTES + 1), "release.format: it has 262145 bytes"),
        ("no signature at all", "not.a-jws".to_owned(), "release.format: it has 2 parts"),
    ];
    for (what, jws, expected) in table {
        let why = refusal(&jws, &rules(&roots));
        assert!(why.starts_with(expected), "{what}\n got {why}\nwant {expected}");
    }
    // A root that only has the trusted one's name.
    let impostor = crate::testing::impostor("Test Root", &["*.vault.azure.net"], 2027);
    let why = refusal(&sign(&impostor.header(), &good_payload(), key(2)), &rules(&roots));
    assert_eq!(why, "release.chain: a certificate was not signed by the key of the issuer it names");
}

#[test]
fn certificates_are_judged_by_name_time_and_root() {
    let chain = good_chain();
    let jws = sign(&chain.header(), &good_payload(), key(2));
    let roots = trust(&chain.root);
    let (nobody, azure) = (Roots::none(), Roots::builtin());
    let year = 366 * DAY;
    let table = [
        (
            ReleaseRules { now: NOW + year, ..rules(&roots) },
            "release.validity: a certificate expired at 2027-01-01T00:00:00Z, and it is 2027-01-02T00:00:00Z",
        ),
        (
            ReleaseRules { now: NOW - 2 * year, ..rules(&roots) },
            "release.validity: a certificate is valid from 2025-01-01T00:00:00Z on, and it is 2023-12-31T00:00:00Z",
        ),
        (ReleaseRules { now: -1, ..rules(&roots) }, "release.validity: the instant lies before 1970"),
        (
            ReleaseRules { roots: &nobody, ..rules(&roots) },
            "release.root: the chain ends at none of the trusted roots: no root",
        ),
        (
            ReleaseRules { roots: &azure, ..rules(&roots) },
            "release.root: the chain ends at none of the trusted roots: DigiCert Global Root G2 (built in), DigiCert",
        ),
        (
            ReleaseRules { vault_host: "contoso.managedhsm.azure.net", ..rules(&roots) },
            "release.host: the leaf is for vault.azure.net, *.vault.azure.net, not for contoso.managedhsm.azure.net",
        ),
        (ReleaseRules { vault_host: "a.b.vault.azure.net", ..rules(&roots) }, "release.host"),
        (ReleaseRules { vault_host: "", ..rules(&roots) }, "release.host"),
        (ReleaseRules { vault_host: "fabrikam.vault.azure.net", ..rules(&roots) }, "release.key"),
    ];
    for (rules, expected) in table {
        let why = refusal(&jws, &rules);
        assert!(why.starts_with(expected), "got {why}\nwant {expected}");
    }
    let expired = crate::testing::chain("Test Root", &["*.vault.azure.net"], 2026);
    let why =
        refusal(&sign(&expired.header(), &good_payload(), key(2)), &ReleaseRules { now: NOW + 1, ..rules(&roots) });
    assert!(
        why.starts_with(
            "release.validity: a certificate expired at 2026-01-01T00:00:00Z, and it is 2026-01-01T00:00:01Z"
        ),
        "{why}"
    );
}

#[test]
fn identifiers_of_keys_are_compared_as_the_service_does() {
    let table = [
        ("https://a.example/keys/k", "https://a.example/keys/k/1", true),
        ("https://a.example/keys/k/", "https://a.example/keys/k/1", true),
        ("https://a.example/keys/k/1", "https://a.example/keys/k/1", true),
        ("https://a.example/keys/k/1", "https://a.example/keys/k/2", false),
        ("https://a.example/keys/k/1", "https://a.example/keys/k", false),
        ("https://a.example/keys/k", "https://A.example:443/keys/K", true),
        ("https://a.example/keys/k", "https://a.example/keys/k2", false),
        ("https://a.example/keys/k", "https://b.example/keys/k", false),
        ("https://a.example/keys/k", "https://a.example@b.example/keys/k", false),
        ("https://a.example/keys/k", "http://a.example/keys/k", false),
        ("https://a.example/keys/k", "https://a.example/secrets/k", false),
        ("https://a.example/keys/k", "https://a.example/keys/k/1/2", false),
        ("https://a.example/keys/k", "https://a.example/keys/k?x", false),
        ("https://a.example/keys/k", "https://a.example/keys/", false),
    ];
    for (asked, answered, expected) in table {
        let covers = match (KeyId::parse(asked), KeyId::parse(answered)) {
            (Some(asked), Some(answered)) => asked.covers(answered),
            _ => false,
        };
        assert_eq!(covers, expected, "{asked} {answered}");
    }
}

#[test]
fn the_vectors_made_in_python_are_judged_as_they_expect() {
    let Some(folder) = shared("evidence/skr-vectors") else { return };
    let vectors: Value = serde_json::from_slice(&std::fs::read(folder.join("release-vectors.json")).unwrap()).unwrap();
    let der = |pem: &str| {
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        BASE64_STANDARD.decode(body).unwrap()
    };
    let tee = RsaKey::from_pkcs8(&der(&std::fs::read_to_string(folder.join("tee_priv_key.pem")).unwrap())).unwrap();
    let root = der(vectors["trust_root_pem"].as_str().unwrap());
    let roots = trust(&root);
    let mut counted = (0, 0);
    for case in vectors["cases"].as_array().unwrap() {
        let (name, value) = (case["name"].as_str().unwrap(), case["value"].as_str().unwrap());
        let payload = BASE64_URL_SAFE_NO_PAD.decode(value.split('.').nth(1).unwrap()).unwrap();
        let payload: Value = serde_json::from_slice(&payload).unwrap();
        let rules = ReleaseRules {
            vault_host: vectors["host"].as_str().unwrap(),
            kid: payload["request"]["kid"].as_str().unwrap(),
            enc: payload["request"]["enc"].as_str().unwrap(),
            nonce: None,
            api_version: Some("7.4"),
            tee_kid: "fake-key",
            roots: &roots,
            now: 1_748_736_000,
        };
        let (verdict, released) = verify(value, &rules);
        let opened = released.as_ref().map(|released| released.unwrap(&tee));
        if case["expect"] == "accept" {
            let opened = opened.unwrap_or_else(|| panic!("{name}: {verdict:?}")).unwrap();
            if let Some(plain) = case["plaintext_b64url"].as_str() {
                // The vectors of asymmetric keys have the document; those of symmetric ones the bytes.
                assert_eq!(opened.expose(), BASE64_URL_SAFE_NO_PAD.decode(plain).unwrap(), "{name}");
            }
            counted.0 += 1;
            continue;
        }
        let decided = match opened {
            None => verdict.deciding().unwrap().name.clone(),
            Some(opened) => opened.map(|_| "nothing").unwrap_err().to_string(),
        };
        let expected = match name {
            "kwp-tampered" | "oaep-tampered" | "truncated" | "wrong-enc-label" => "the ciphertext does not decrypt",
            "wrong-host-chain" => "release.chain",
            "payload-swapped" => "release.signature",
            "alg-none" => "release.algorithm",
            other => panic!("a new vector: {other}"),
        };
        assert!(decided.starts_with(expected), "{name}: {decided}");
        counted.1 += 1;
    }
    assert_eq!(counted, (30, 7));
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(header in "\\PC{0,60}", payload in "\\PC{0,120}", kid in "https://[a-z./]{0,30}") {
        let roots = Roots::builtin();
        let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        let jws = format!("{}.{}.AA", part(&header), part(&payload));
        let asked = ReleaseRules { kid: &kid, ..rules(&roots) };
        prop_assert!(verify(&jws, &asked).1.is_none());
        prop_assert!(verify(&header, &asked).1.is_none());
        let _ = KeyId::parse(&kid);
    }

    #[test]
    fn no_changed_byte_of_an_answer_passes(at in 0..10_000_usize, bit in 0..8_u8) {
        static GOOD: std::sync::OnceLock<(Chain, String)> = std::sync::OnceLock::new();
        let (chain, good) = GOOD.get_or_init(|| {
            let chain = good_chain();
            let jws = sign(&chain.header(), &good_payload(), key(2));
            (chain, jws)
        });
        let mut bytes = good.clone().into_bytes();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        if let Ok(text) = String::from_utf8(bytes) {
            let roots = trust(&chain.root);
            prop_assert!(verify(&text, &rules(&roots)).1.is_none());
        }
    }
}
