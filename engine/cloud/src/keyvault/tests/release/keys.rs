//! Which keys are released: states, dates and versions; what rotation, import, backup and restore do with a policy.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealbook_crypto::rsa::{RsaBits, RsaKey};
use serde_json::{Value, json};

use super::super::{Lab, message, refusal};
use super::kit::{self, TEE, claims, envelope, exportable, open, policy, token};
use crate::testing::START;

const HOST: &str = "lab-vault.vault.azure.net";

#[tokio::test]
async fn keys_are_released_by_their_state() {
    let cloud = kit::cloud().await;
    let lab = Lab::again(&cloud);
    let release = json!({ "target": token(&cloud, &claims()) });
    let with = |attributes: Value| {
        let mut body = exportable("RSA-HSM", &policy());
        body["attributes"].as_object_mut().unwrap().extend(attributes.as_object().unwrap().clone());
        body
    };
    let mut narrow = with(json!({}));
    narrow["key_ops"] = json!(["sign"]);
    // What was protected with a key must be had back, so the time window of a key does not count.
    let rows = [
        ("expired", with(json!({ "exp": START - 1 })), (200, "", "")),
        ("early", with(json!({ "nbf": START + 86_400 })), (200, "", "")),
        ("narrow", narrow, (200, "", "")),
        ("disabled", with(json!({ "enabled": false })), (403, "Forbidden", "KeyDisabled")),
        ("plain", json!({ "kty": "RSA-HSM" }), (403, "Forbidden", "AccessDenied")),
    ];
    for (name, body, expected) in rows {
        lab.key(name, body).await;
        let reply = lab.data("POST", &format!("/keys/{name}/release"), release.clone()).await;
        assert_eq!(refusal(&reply), expected, "{name}: {}", reply.body);
    }
    let none = lab.data("POST", "/keys/none/release", release.clone()).await;
    assert_eq!(refusal(&none), (404, "KeyNotFound", ""));
    let version = format!("/keys/kek/{}/release", "0".repeat(32));
    assert_eq!(refusal(&lab.data("POST", &version, release.clone()).await), (404, "KeyNotFound", ""));
    lab.data("DELETE", "/keys/expired", Value::Null).await;
    assert_eq!(lab.data("POST", "/keys/expired/release", release.clone()).await.status, 404);
    lab.data("PATCH", "/keys/disabled", json!({ "attributes": { "enabled": true } })).await;
    assert_eq!(lab.data("POST", "/keys/disabled/release", release).await.status, 200);
}

/// Rotation gives the new version the policy that the newest one has; each version is released as itself.
#[tokio::test]
async fn versions_are_released_apart() {
    let cloud = kit::cloud().await;
    let lab = Lab::again(&cloud);
    let release = json!({ "target": token(&cloud, &claims()) });
    let first = lab.data("GET", "/keys/kek", Value::Null).await.body;
    let second = lab.data("POST", "/keys/kek/rotate", json!({})).await.body;
    assert_eq!(first["release_policy"], second["release_policy"]);
    assert_eq!(second["attributes"]["exportable"], true);
    let released = async |path: &str| {
        let reply = lab.data("POST", path, release.clone()).await;
        let opened = open(&cloud, HOST, &reply);
        let key = RsaKey::from_pkcs8(opened.material(&TEE).unwrap().expose()).unwrap();
        let kid = opened.payload["response"]["key"]["key"]["kid"].clone();
        (kid, json!(URL_SAFE_NO_PAD.encode(key.public().n)))
    };
    for bundle in [&first, &second] {
        let kid = bundle["key"]["kid"].as_str().unwrap();
        let path = kid.strip_prefix(&format!("https://{HOST}")).unwrap();
        let expected = (bundle["key"]["kid"].clone(), bundle["key"]["n"].clone());
        assert_eq!(released(&format!("{path}/release")).await, expected);
    }
    assert_eq!(released("/keys/kek//release").await.0, second["key"]["kid"], "the newest without a version");
}

#[tokio::test]
async fn imported_and_restored_keys_keep_policy_and_exportability() {
    let cloud = kit::cloud().await;
    let lab = Lab::again(&cloud);
    let release = json!({ "target": token(&cloud, &claims()) });
    let kek = lab.key("exchange", json!({ "kty": "RSA-HSM", "key_ops": ["import"] })).await;
    let part = |name: &str| URL_SAFE_NO_PAD.decode(kek["key"][name].as_str().unwrap()).unwrap();
    let public = sealbook_crypto::rsa::RsaPublic { n: part("n"), e: part("e") };
    let brought = RsaKey::generate(RsaBits::B2048);
    let wrapped = sealbook_crypto::rsa::RsaAesWrap::Ckm.wrap(&public, &brought.to_pkcs8()).unwrap();
    let blob = json!({
        "schema_version": "1.0.0",
        "header": { "kid": kek["key"]["kid"], "alg": "dir", "enc": "CKM_RSA_AES_KEY_WRAP" },
        "ciphertext": URL_SAFE_NO_PAD.encode(wrapped),
    });
    let body = json!({
        "key": { "kty": "RSA-HSM", "key_hsm": URL_SAFE_NO_PAD.encode(blob.to_string()) },
        "attributes": { "exportable": true }, "release_policy": envelope(&policy(), true),
    });
    let made = lab.data("PUT", "/keys/brought", body.clone()).await;
    assert_eq!((made.status, &made.body["attributes"]["exportable"]), (200, &json!(true)), "{made:?}");
    let open_brought = async || {
        let opened = open(&cloud, HOST, &lab.data("POST", "/keys/brought/release", release.clone()).await);
        assert_eq!(opened.material(&TEE).unwrap().expose(), brought.to_pkcs8().expose());
    };
    open_brought().await;
    let mut bare = body;
    bare["release_policy"] = Value::Null;
    let refused = lab.data("PUT", "/keys/bare", bare).await;
    assert!(message(&refused).starts_with("AKV.SKR.1004"), "{refused:?}");

    let saved = lab.data("POST", "/keys/brought/backup", Value::Null).await.body;
    lab.data("DELETE", "/keys/brought", Value::Null).await;
    cloud.advance(1);
    assert_eq!(lab.data("DELETE", "/deletedkeys/brought", Value::Null).await.status, 204);
    let restored = lab.data("POST", "/keys/restore", json!({ "value": saved["value"] })).await;
    assert_eq!(restored.body["release_policy"], made.body["release_policy"]);
    assert_eq!(restored.body["release_policy"]["immutable"], true);
    open_brought().await;
}
