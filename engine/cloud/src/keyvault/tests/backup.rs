//! Backup and restore: where a blob opens, and what comes back.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{Lab, OFFICER, message, oid, refusal};
use crate::testing::{self, Reply};

async fn blob(lab: &Lab<'_>, key: &str) -> String {
    let saved = lab.data("POST", &format!("/keys/{key}/backup"), Value::Null).await;
    assert_eq!(saved.status, 200, "{}", saved.body);
    saved.body["value"].as_str().unwrap().to_owned()
}

/// Restores into a vault of a name.
async fn restore(lab: &Lab<'_>, vault: &str, blob: &str) -> Reply {
    let uri = format!("https://{vault}.vault.azure.net/keys/restore?api-version=7.4");
    lab.me.send("POST", &uri, Some(json!({ "value": blob }))).await
}

/// Another vault in which the learner is Crypto Officer.
async fn second_vault(lab: &Lab<'_>, name: &str, location: &str, sku: &str) {
    let mut body = lab.vault_body(json!({ "sku": { "family": "A", "name": sku } }));
    body["location"] = location.into();
    assert_eq!(lab.arm("PUT", &lab.vault_id(name), body).await.status, 200);
    let me = oid(&lab.me).await;
    lab.assign(OFFICER, &me, "User", &lab.vault_id(name)).await;
}

#[tokio::test]
async fn a_purged_key_comes_back_with_all_its_versions() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    let wrap = json!({ "alg": "RSA-OAEP-256", "value": "AAAA" });
    lab.key("k", json!({ "kty": "RSA-HSM", "tags": { "a": "b" } })).await;
    let wrapped = lab.data("POST", "/keys/k/wrapkey", wrap).await.body;
    let policy = json!({ "lifetimeActions": [
        { "trigger": { "timeAfterCreate": "P90D" }, "action": { "type": "Rotate" } },
    ] });
    lab.data("PUT", "/keys/k/rotationpolicy", policy).await;
    cloud.advance(5);
    lab.data("POST", "/keys/k/create", json!({ "kty": "EC", "crv": "P-256K", "attributes": { "enabled": false } }))
        .await;
    let before = [
        lab.data("GET", "/keys/k", Value::Null).await.body,
        lab.data("GET", "/keys/k/versions", Value::Null).await.body,
        lab.data("GET", "/keys/k/rotationpolicy", Value::Null).await.body,
    ];
    let blob = blob(&lab, "k").await;
    let bytes = URL_SAFE_NO_PAD.decode(&blob).unwrap();
    assert!(!bytes.windows(6).any(|part| part == b"RSA-HS"), "the blob shows nothing");

    let live = restore(&lab, "lab-vault", &blob).await;
    assert_eq!(refusal(&live), (409, "Conflict", ""));
    assert!(message(&live).starts_with("There was a conflict restoring the key"), "{}", message(&live));
    lab.data("DELETE", "/keys/k", Value::Null).await;
    cloud.advance(1);
    let deleted = restore(&lab, "lab-vault", &blob).await;
    assert_eq!(refusal(&deleted), (409, "Conflict", "ObjectIsDeletedButRecoverable"));
    lab.data("DELETE", "/deletedkeys/k", Value::Null).await;

    let restored = restore(&lab, "lab-vault", &blob).await;
    assert_eq!((restored.status, &restored.body), (200, &before[0]));
    let after = [
        lab.data("GET", "/keys/k", Value::Null).await.body,
        lab.data("GET", "/keys/k/versions", Value::Null).await.body,
        lab.data("GET", "/keys/k/rotationpolicy", Value::Null).await.body,
    ];
    assert_eq!(before, after);
    let path = wrapped["kid"].as_str().unwrap().replace("https://lab-vault.vault.azure.net", "");
    let unwrap = json!({ "alg": "RSA-OAEP-256", "value": wrapped["value"] });
    let opened = lab.data("POST", &format!("{path}/unwrapkey"), unwrap).await;
    assert_eq!(opened.body["value"], "AAAA", "{}", opened.body);
    assert_eq!(refusal(&lab.data("POST", "/keys/none/backup", Value::Null).await), (404, "KeyNotFound", ""));
}

#[tokio::test]
async fn a_blob_opens_in_its_subscription_and_geography_only() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    lab.key("k", json!({ "kty": "EC-HSM" })).await;
    let signed =
        lab.data("POST", "/keys/k/sign", json!({ "alg": "ES256", "value": URL_SAFE_NO_PAD.encode([7; 32]) })).await;
    let blob = blob(&lab, "k").await;
    for (name, location, sku) in [
        ("lab-near", "northeurope", "premium"),
        ("lab-soft", "westeurope", "standard"),
        ("lab-far", "eastus", "premium"),
        ("lab-paris", "francecentral", "premium"),
    ] {
        second_vault(&lab, name, location, sku).await;
    }
    let near = restore(&lab, "lab-near", &blob).await;
    assert_eq!(near.status, 200, "{}", near.body);
    assert!(near.body["key"]["kid"].as_str().unwrap().starts_with("https://lab-near.vault.azure.net/keys/k/"));
    let uri = "https://lab-near.vault.azure.net/keys/k/verify?api-version=7.5";
    let digest = URL_SAFE_NO_PAD.encode([7; 32]);
    let body = json!({ "alg": "ES256", "digest": digest, "value": signed.body["value"] });
    assert_eq!(lab.me.send("POST", uri, Some(body)).await.body, json!({ "value": true }));
    // The private key is sealed for its new place.
    let uri = "https://lab-near.vault.azure.net/keys/k//sign?api-version=7.5";
    let sign = json!({ "alg": "ES256", "value": digest });
    assert_eq!(lab.me.send("POST", uri, Some(sign)).await.status, 200);

    let mut bytes = URL_SAFE_NO_PAD.decode(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let tampered = URL_SAFE_NO_PAD.encode(&bytes);
    let elsewhere = testing::cloud();
    let other = Lab::with_vault(&elsewhere, json!({})).await;
    let rows = [
        (&lab, "lab-far", blob.as_str(), "Cannot decrypt backup blob."),
        (&lab, "lab-paris", &blob, "Cannot decrypt backup blob."),
        (&lab, "lab-soft", &blob, "Hardware key operation not allowed on standard vault."),
        (&lab, "lab-vault", &tampered, "Cannot decrypt backup blob."),
        (&lab, "lab-vault", &blob[..40], "Cannot decrypt backup blob."),
        (&lab, "lab-vault", "", "Cannot decrypt backup blob."),
        (&lab, "lab-vault", "+", "must be base64url"),
        (&other, "lab-vault", &blob, "Cannot decrypt backup blob."),
    ];
    for (lab, vault, blob, expected) in rows {
        let reply = restore(lab, vault, blob).await;
        assert_eq!(refusal(&reply), (400, "BadParameter", ""), "{vault}: {}", reply.body);
        assert!(message(&reply).contains(expected), "{vault}: {}", message(&reply));
    }
    assert_eq!(refusal(&lab.data("POST", "/keys/restore", json!({})).await), (400, "BadParameter", ""));
}
