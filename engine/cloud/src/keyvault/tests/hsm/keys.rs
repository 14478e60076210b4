//! Keys of a managed HSM: those of a vault, as far as hardware goes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealbook_crypto::SecretBytes;
use sealbook_crypto::rsa::{RsaAesWrap, RsaBits, RsaKey, RsaPublic};
use serde_json::{Value, json};

use super::super::{Lab, message, refusal};
use crate::testing;

#[tokio::test]
async fn a_managed_hsm_holds_hsm_keys_alone() {
    let cloud = testing::cloud();
    let lab = Lab::with_pool(&cloud).await;
    let rows = [
        (json!({ "kty": "RSA-HSM", "key_size": 3072 }), None),
        (json!({ "kty": "EC-HSM", "crv": "P-384" }), None),
        (json!({ "kty": "oct-HSM", "key_size": 128 }), None),
        (json!({ "kty": "RSA" }), Some("holds keys of the types RSA-HSM, EC-HSM, oct-HSM")),
        (json!({ "kty": "EC" }), Some("holds keys of the types")),
        (json!({ "kty": "oct" }), Some("holds keys of the types")),
        (json!({ "kty": "oct-HSM", "key_size": 100 }), Some("128, 192 or 256 bits")),
        (json!({ "kty": "oct-HSM", "key_ops": ["sign"] }), Some("not \"sign\"")),
        (json!({ "kty": "RSA-HSM", "key_size": 1024 }), Some("2048, 3072 or 4096")),
    ];
    for (i, (body, expected)) in rows.into_iter().enumerate() {
        let reply = lab.hsm("pool", "POST", &format!("/keys/key-{i}/create"), body.clone()).await;
        match expected {
            None => {
                assert_eq!(reply.status, 200, "{}", reply.body);
                assert_eq!(reply.body["key"]["kty"], body["kty"]);
                let kid = reply.body["key"]["kid"].as_str().unwrap();
                assert!(kid.starts_with(&format!("https://pool.managedhsm.azure.net/keys/key-{i}/")), "{kid}");
            }
            Some(text) => {
                assert_eq!(refusal(&reply), (400, "BadParameter", ""), "{body}");
                assert!(message(&reply).contains(text), "{}", message(&reply));
            }
        }
    }
    let vault = lab.vault("lab-vault", json!({})).await;
    assert_eq!(vault.status, 200);
}

#[tokio::test]
async fn keys_live_like_a_vaults_keys() {
    let cloud = testing::cloud();
    let lab = Lab::with_pool(&cloud).await;
    lab.local_role("pool", super::CRYPTO_OFFICER, &super::oid(&lab.me).await, "/").await;
    let made = lab.hsm_key("kek", json!({ "key_ops": ["wrapKey", "unwrapKey"] })).await;
    assert_eq!(made["attributes"]["recoveryLevel"], "CustomizedRecoverable+Purgeable");
    let first = made["key"]["kid"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let wrapped = lab.hsm("pool", "POST", "/keys/kek/wrapkey", json!({ "alg": "RSA-OAEP-256", "value": "AAEC" })).await;
    let rotated = lab.hsm("pool", "POST", "/keys/kek/rotate", Value::Null).await;
    assert_eq!(rotated.status, 200);
    let unwrap = json!({ "alg": "RSA-OAEP-256", "value": wrapped.body["value"] });
    let opened = lab.hsm("pool", "POST", &format!("/keys/kek/{first}/unwrapkey"), unwrap).await;
    assert_eq!(opened.body["value"], "AAEC");
    let policy = json!({
        "lifetimeActions": [{ "trigger": { "timeAfterCreate": "P30D" }, "action": { "type": "Rotate" } }],
        "attributes": { "expiryTime": "P90D" },
    });
    assert_eq!(lab.hsm("pool", "PUT", "/keys/kek/rotationpolicy", policy).await.status, 200);
    cloud.advance(31 * 86_400);
    let versions = lab.hsm("pool", "GET", "/keys/kek/versions", Value::Null).await;
    assert_eq!(versions.body["value"].as_array().unwrap().len(), 3, "rotated by the policy");
    let release = lab.hsm("pool", "POST", "/keys/kek/release", json!({})).await;
    assert_eq!(release.status, 403, "there is nothing to release");
    assert_eq!(lab.hsm("pool", "DELETE", "/keys/kek", Value::Null).await.status, 200);
    cloud.advance(1);
    assert_eq!(lab.hsm("pool", "POST", "/keys/kek/create", json!({ "kty": "RSA-HSM" })).await.status, 409);
    assert_eq!(lab.hsm("pool", "POST", "/deletedkeys/kek/recover", Value::Null).await.status, 200);
    lab.hsm("pool", "DELETE", "/keys/kek", Value::Null).await;
    cloud.advance(1);
    assert_eq!(lab.hsm("pool", "DELETE", "/deletedkeys/kek", Value::Null).await.status, 204);
    assert_eq!(lab.hsm("pool", "GET", "/deletedkeys/kek", Value::Null).await.status, 404);
}

#[tokio::test]
async fn random_bytes_differ_and_have_a_limit() {
    let cloud = testing::cloud();
    let lab = Lab::with_pool(&cloud).await;
    lab.local_role("pool", super::CRYPTO_USER, &super::oid(&lab.me).await, "/").await;
    let draw = |count: Value| lab.hsm("pool", "POST", "/rng", json!({ "count": count }));
    let (one, two) = (draw(json!(128)).await, draw(json!(128)).await);
    assert_eq!((one.status, one.body["value"].as_str().unwrap().len()), (200, 171));
    assert_ne!(one.body, two.body);
    for bad in [json!(0), json!(129), json!(-1), json!("8"), Value::Null] {
        assert_eq!(refusal(&draw(bad.clone()).await), (400, "BadParameter", ""), "{bad}");
    }
}

/// A key exchange key of a managed HSM takes keys of every type that it holds, and none of another store.
#[tokio::test]
async fn keys_come_in_by_transfer_blobs() {
    let cloud = testing::cloud();
    let lab = Lab::with_pool(&cloud).await;
    let kek = lab.hsm_key("kek", json!({ "key_ops": ["import"] })).await;
    let part = |name: &str| URL_SAFE_NO_PAD.decode(kek["key"][name].as_str().unwrap()).unwrap();
    let public = RsaPublic { n: part("n"), e: part("e") };
    let blob = |target: &[u8], kid: &Value| {
        let ciphertext = RsaAesWrap::Ckm.wrap(&public, &SecretBytes::new(target.to_vec())).unwrap();
        let document = json!({
            "schema_version": "1.0.0",
            "header": { "kid": kid, "alg": "dir", "enc": "CKM_RSA_AES_KEY_WRAP" },
            "ciphertext": URL_SAFE_NO_PAD.encode(ciphertext),
        });
        URL_SAFE_NO_PAD.encode(document.to_string())
    };
    let kid = &kek["key"]["kid"];
    let elsewhere = json!("https://lab-vault.vault.azure.net/keys/kek");
    let rsa = RsaKey::generate(RsaBits::B2048).to_pkcs8();
    let rows = [
        ("oct-HSM", blob(&[7; 32], kid), 200),
        ("RSA-HSM", blob(rsa.expose(), kid), 200),
        ("oct-HSM", blob(&[7; 20], kid), 400),
        ("RSA-HSM", blob(&[7; 32], kid), 400),
        ("oct-HSM", blob(&[7; 32], &elsewhere), 400),
    ];
    for (i, (kty, blob, status)) in rows.into_iter().enumerate() {
        let body = json!({ "key": { "kty": kty, "key_hsm": blob } });
        let reply = lab.hsm("pool", "PUT", &format!("/keys/brought-{i}"), body).await;
        assert_eq!(reply.status, status, "{i}: {}", reply.body);
    }
}

#[tokio::test]
async fn signatures_are_made_and_verified() {
    let cloud = testing::cloud();
    let lab = Lab::with_pool(&cloud).await;
    lab.local_role("pool", super::CRYPTO_USER, &super::oid(&lab.me).await, "/").await;
    lab.hsm_key("signer", json!({ "key_ops": ["sign", "verify"] })).await;
    let (digest, other) = ("A".repeat(43), "B".repeat(42) + "A");
    let sign = json!({ "alg": "PS256", "value": digest });
    let signed = lab.hsm("pool", "POST", "/keys/signer/sign", sign).await;
    assert_eq!(signed.status, 200, "{signed:?}");
    for (digest, fits) in [(&digest, true), (&other, false)] {
        let verify = json!({ "alg": "PS256", "digest": digest, "value": signed.body["value"] });
        let judged = lab.hsm("pool", "POST", "/keys/signer/verify", verify).await;
        assert_eq!(judged.body["value"], fits, "{digest}: {judged:?}");
    }
    let short = json!({ "alg": "PS512", "value": digest });
    assert_eq!(lab.hsm("pool", "POST", "/keys/signer/sign", short).await.code(), "BadParameter");
    let short = json!({ "alg": "PS512", "digest": digest, "value": signed.body["value"] });
    assert_eq!(lab.hsm("pool", "POST", "/keys/signer/verify", short).await.code(), "BadParameter");
}
