//! Bring your own key: a target is wrapped outside under a key exchange key of the vault, and comes in by its blob.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sealbook_crypto::SecretBytes;
use sealbook_crypto::ec::{Curve, EcKey};
use sealbook_crypto::rsa::{RsaAesWrap, RsaBits, RsaKey, RsaPublic};
use serde_json::{Value, json};

use super::{Lab, data, message, oid, refusal};
use crate::testing;

/// The public half of a key bundle.
fn public(bundle: &Value) -> RsaPublic {
    let part = |name: &str| URL_SAFE_NO_PAD.decode(bundle["key"][name].as_str().unwrap()).unwrap();
    RsaPublic { n: part("n"), e: part("e") }
}

/// A blob as an HSM vendor's tool writes it.
fn blob(kid: &Value, ciphertext: &[u8]) -> Value {
    json!({
        "schema_version": "1.0.0",
        "header": { "kid": kid, "alg": "dir", "enc": "CKM_RSA_AES_KEY_WRAP" },
        "ciphertext": URL_SAFE_NO_PAD.encode(ciphertext),
        "generator": "BYOK tool; an HSM",
    })
}

/// Wraps a target under a key exchange key.
fn wrapped(kek: &Value, target: &SecretBytes) -> Value {
    blob(&kek["key"]["kid"], &RsaAesWrap::Ckm.wrap(&public(kek), target).unwrap())
}

/// The body of an import.
fn body(jwk: Value, blob: &Value) -> Value {
    let mut jwk = jwk;
    jwk["key_hsm"] = URL_SAFE_NO_PAD.encode(blob.to_string()).into();
    // `az keyvault key import --byok-file` says the type, and false here.
    json!({ "key": jwk, "Hsm": false, "attributes": { "enabled": true } })
}

async fn kek(lab: &Lab<'_>, name: &str, bits: u32) -> Value {
    lab.key(name, json!({ "kty": "RSA-HSM", "key_size": bits, "key_ops": ["import"] })).await
}

#[tokio::test]
async fn a_key_comes_in_wrapped_and_works_like_its_original() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    let original = RsaKey::generate(RsaBits::B3072);
    for bits in [2048, 4096] {
        let kek = kek(&lab, &format!("kek-{bits}"), bits).await;
        assert_eq!(kek["key"]["key_ops"], json!(["import"]));
        let blob = wrapped(&kek, &original.to_pkcs8());
        let jwk = json!({ "kty": "RSA-HSM", "key_ops": ["wrapKey", "unwrapKey"] });
        let path = format!("/keys/brought-{bits}");
        let made = lab.data("PUT", &path, body(jwk, &blob)).await;
        assert_eq!((made.status, &made.body["key"]["kty"]), (200, &json!("RSA-HSM")), "{}", made.body);
        assert_eq!(made.body["key"]["key_ops"], json!(["wrapKey", "unwrapKey"]));
        assert_eq!(made.body["attributes"]["exportable"], false);
        assert_eq!(made.body["key"]["key_hsm"], Value::Null);
        assert_eq!(public(&made.body), original.public());
        let wrapped = original.encrypt(sealbook_crypto::rsa::Padding::OaepSha256, b"a data key").unwrap();
        let value = json!({ "alg": "RSA-OAEP-256", "value": URL_SAFE_NO_PAD.encode(wrapped) });
        let opened = lab.data("POST", &format!("{path}/unwrapkey"), value).await;
        assert_eq!(opened.body["value"], URL_SAFE_NO_PAD.encode(b"a data key"), "{}", opened.body);
    }
    let kek = lab.data("GET", "/keys/kek-2048", Value::Null).await.body;
    for curve in Curve::ALL {
        let original = EcKey::generate(curve);
        let blob = wrapped(&kek, &original.to_pkcs8());
        let jwk = json!({ "kty": "EC-HSM", "crv": curve.name() });
        let made = lab.data("PUT", "/keys/elliptic", body(jwk, &blob)).await;
        let key = &made.body["key"];
        assert_eq!((made.status, &key["kty"], &key["crv"]), (200, &json!("EC-HSM"), &json!(curve.name())));
        assert_eq!(key["x"], URL_SAFE_NO_PAD.encode(original.public().x));
    }
    // Standard base64 with padding, as the documentation's own request has it, and the type by `Hsm`.
    let blob = wrapped(&kek, &original.to_pkcs8());
    let jwk = json!({ "kty": "RSA", "key_hsm": STANDARD.encode(blob.to_string()) });
    let made = lab.data("PUT", "/keys/standard", json!({ "key": jwk, "Hsm": true })).await;
    assert_eq!((made.status, &made.body["key"]["kty"]), (200, &json!("RSA-HSM")), "{}", made.body);
    let records = cloud.cloud.audit(&lab.vault_id("lab-vault")).unwrap();
    let import = records.iter().find(|record| record["operationName"] == "KeyImport").unwrap();
    assert!(import["properties"]["id"].as_str().unwrap().contains("/keys/brought-2048/"));
}

#[tokio::test]
async fn blobs_that_are_none_are_refused() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    let kek = kek(&lab, "kek", 2048).await;
    let target = EcKey::generate(Curve::P256).to_pkcs8();
    let good = wrapped(&kek, &target);
    let with = |pointer: &str, value: Value| {
        let mut blob = good.clone();
        *blob.pointer_mut(pointer).unwrap() = value;
        blob
    };
    let ciphertext = URL_SAFE_NO_PAD.decode(good["ciphertext"].as_str().unwrap()).unwrap();
    let mut changed = ciphertext.clone();
    changed[300] ^= 1;
    let other_hash = RsaAesWrap::Sha256.wrap(&public(&kek), &target).unwrap();
    let no_key = RsaAesWrap::Ckm.wrap(&public(&kek), &SecretBytes::new(vec![7; 32])).unwrap();
    let elsewhere = "https://other-vault.vault.azure.net/keys/kek/00000000000000000000000000000000";
    let inner = "https://lab-vault.vault.azure.net/keys/kek/a/b";
    let rows = [
        (with("/schema_version", json!("2.0")), "schema_version of the key transfer blob must be \"1.0.0\""),
        (with("/header/alg", json!("RSA-OAEP")), "header.alg of the key transfer blob must be \"dir\""),
        (with("/header/enc", json!("RSA_AES_KEY_WRAP_256")), "must be \"CKM_RSA_AES_KEY_WRAP\""),
        (with("/header/kid", Value::Null), "header.kid of the key transfer blob must name"),
        (with("/header/kid", json!(elsewhere)), "is no key of this vault"),
        (with("/header/kid", json!(inner)), "is no key of this vault"),
        (with("/header/kid", json!("kek")), "is no key of this vault"),
        (with("/ciphertext", json!("+")), "ciphertext of the key transfer blob must be base64url"),
        (with("/ciphertext", json!("")), "does not unwrap"),
        (with("/generator", json!(7)), "generator of the key transfer blob must be a text"),
        (blob(&kek["key"]["kid"], &ciphertext[..ciphertext.len() - 1]), "does not unwrap"),
        (blob(&kek["key"]["kid"], &changed), "does not unwrap"),
        (blob(&kek["key"]["kid"], &other_hash), "does not unwrap"),
        (blob(&kek["key"]["kid"], &no_key), "is no PKCS#8 document of a key of type EC-HSM P-256"),
        (json!("a text"), "schema_version"),
    ];
    let jwk = json!({ "kty": "EC-HSM", "crv": "P-256" });
    for (blob, expected) in rows {
        let reply = lab.data("PUT", "/keys/k", body(jwk.clone(), &blob)).await;
        assert_eq!(refusal(&reply), (400, "BadParameter", ""), "{blob}: {}", reply.body);
        assert!(message(&reply).contains(expected), "{expected}: {}", message(&reply));
    }
    // The JSON Web Key around a good blob.
    let rows = [
        (json!({ "kty": "EC-HSM", "crv": "P-384" }), "no PKCS#8 document of a key of type EC-HSM P-384"),
        (json!({ "kty": "EC-HSM" }), "Property crv is required."),
        (json!({ "kty": "RSA-HSM" }), "no PKCS#8 document of a key of type RSA-HSM"),
        (json!({ "kty": "EC", "crv": "P-256" }), "holds a key of type RSA-HSM or EC-HSM"),
        (json!({ "kty": "oct-HSM" }), "symmetric keys are for managed HSMs"),
        (json!({ "kty": "RSA-HSM", "key_ops": ["import"] }), "a key exchange key is made in the vault"),
    ];
    for (jwk, expected) in rows {
        let reply = lab.data("PUT", "/keys/k", body(jwk.clone(), &good)).await;
        assert_eq!(refusal(&reply), (400, "BadParameter", ""), "{jwk}: {}", reply.body);
        assert!(message(&reply).contains(expected), "{expected}: {}", message(&reply));
    }
    for text in ["%", "bm8gSlNPTg"] {
        let jwk = json!({ "kty": "EC-HSM", "crv": "P-256", "key_hsm": text });
        let reply = lab.data("PUT", "/keys/k", json!({ "key": jwk })).await;
        assert_eq!(refusal(&reply), (400, "BadParameter", ""), "{text}: {}", reply.body);
    }
    assert_eq!(lab.data("GET", "/keys/k", Value::Null).await.status, 404, "nothing came in");
    assert_eq!(lab.data("PUT", "/keys/k", body(jwk, &good)).await.status, 200, "the good blob does");
}

#[tokio::test]
async fn a_key_exchange_key_must_be_one_that_can_be_used() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    let target = EcKey::generate(Curve::P256).to_pkcs8();
    let jwk = json!({ "kty": "EC-HSM", "crv": "P-256" });
    let kek = kek(&lab, "kek", 2048).await;
    let good = body(jwk.clone(), &wrapped(&kek, &target));
    let plain = lab.key("plain", json!({ "kty": "RSA-HSM" })).await;
    let not_for_import = body(jwk, &wrapped(&plain, &target));
    let reply = lab.data("PUT", "/keys/k", not_for_import).await;
    assert_eq!(refusal(&reply), (403, "Forbidden", "KeyOperationForbidden"), "{}", reply.body);
    assert_eq!(message(&reply), "Operation import is not permitted on this key.");
    let rows = [
        (json!({ "enabled": false }), (403, "Forbidden", "KeyDisabled")),
        (json!({ "enabled": true, "nbf": 4_000_000_000i64 }), (403, "Forbidden", "KeyNotYetValid")),
        (json!({ "nbf": 1, "exp": 2 }), (403, "Forbidden", "KeyExpired")),
        (json!({ "nbf": 1, "exp": 4_000_000_000i64 }), (200, "", "")),
    ];
    for (attributes, expected) in rows {
        lab.data("PATCH", "/keys/kek", json!({ "attributes": attributes })).await;
        let reply = lab.data("PUT", "/keys/k", good.clone()).await;
        assert_eq!(refusal(&reply), expected, "{attributes}: {}", reply.body);
    }
    lab.data("DELETE", "/keys/kek", Value::Null).await;
    let reply = lab.data("PUT", "/keys/k", good.clone()).await;
    assert_eq!(refusal(&reply), (404, "KeyNotFound", ""), "{}", reply.body);
    let tools = cloud.tools();
    let principal = oid(&tools).await;
    lab.assign(super::CRYPTO_USER, &principal, "ServicePrincipal", &lab.vault_id("lab-vault")).await;
    let reply = data(&tools, "PUT", "/keys/k", good).await;
    assert_eq!(refusal(&reply), (403, "Forbidden", "ForbiddenByRbac"));
}

#[tokio::test]
async fn a_key_exchange_key_does_nothing_else() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    kek(&lab, "kek", 2048).await;
    let value = json!({ "alg": "RSA-OAEP", "value": "AAAA" });
    let digest = json!({ "alg": "RS256", "value": URL_SAFE_NO_PAD.encode([0; 32]) });
    let rows =
        [("encrypt", &value), ("decrypt", &value), ("wrapkey", &value), ("unwrapkey", &value), ("sign", &digest)];
    for (operation, body) in rows {
        let reply = lab.data("POST", &format!("/keys/kek/{operation}"), body.clone()).await;
        assert_eq!(refusal(&reply), (403, "Forbidden", "KeyOperationForbidden"), "{operation}: {}", reply.body);
    }
    lab.key("plain", json!({ "kty": "RSA-HSM" })).await;
    let rows = [
        ("POST", "/keys/x/create", json!({ "kty": "RSA-HSM", "key_ops": ["import", "sign"] }), "can't be combined"),
        ("POST", "/keys/x/create", json!({ "kty": "RSA", "key_ops": ["import"] }), "needs a key of type RSA-HSM"),
        ("POST", "/keys/x/create", json!({ "kty": "EC-HSM", "key_ops": ["import"] }), "permits sign and verify"),
        ("PATCH", "/keys/kek", json!({ "key_ops": ["decrypt"] }), "can't be changed"),
        ("PATCH", "/keys/kek", json!({ "key_ops": [] }), "can't be changed"),
        ("PATCH", "/keys/plain", json!({ "key_ops": ["import"] }), "can't be changed"),
    ];
    for (method, path, body, expected) in rows {
        let reply = lab.data(method, path, body.clone()).await;
        assert_eq!(refusal(&reply), (400, "BadParameter", ""), "{path} {body}: {}", reply.body);
        assert!(message(&reply).contains(expected), "{}", message(&reply));
    }
    let again = lab.data("PATCH", "/keys/kek", json!({ "key_ops": ["import"], "tags": { "a": "b" } })).await;
    assert_eq!(again.status, 200, "{}", again.body);
}
