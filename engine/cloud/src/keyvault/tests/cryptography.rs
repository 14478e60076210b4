//! Encrypt, decrypt, wrap, unwrap: checked against the public key by the cryptographic library itself.

use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, Pkcs1PublicEncryptingKey, PublicEncryptingKey,
    PublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{Lab, message, refusal};
use crate::testing;

const ALGORITHMS: [&str; 3] = ["RSA1_5", "RSA-OAEP", "RSA-OAEP-256"];

/// Encrypts for a JSON Web Key with aws-lc-rs alone.
fn encrypt(jwk: &Value, algorithm: &str, message: &[u8]) -> Vec<u8> {
    let part = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let key: PublicEncryptingKey = PublicKeyComponents { n: part("n"), e: part("e") }.try_into().unwrap();
    let mut out = vec![0; key.key_size_bytes()];
    match algorithm {
        "RSA1_5" => Pkcs1PublicEncryptingKey::new(key).unwrap().encrypt(message, &mut out).unwrap(),
        "RSA-OAEP" => {
            OaepPublicEncryptingKey::new(key).unwrap().encrypt(&OAEP_SHA1_MGF1SHA1, message, &mut out, None).unwrap()
        }
        _ => OaepPublicEncryptingKey::new(key)
            .unwrap()
            .encrypt(&OAEP_SHA256_MGF1SHA256, message, &mut out, None)
            .unwrap(),
    };
    out
}

fn asked(algorithm: &str, value: &[u8]) -> Value {
    json!({ "alg": algorithm, "value": URL_SAFE_NO_PAD.encode(value) })
}

#[tokio::test]
async fn every_key_wraps_and_unwraps() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    for (kty, bits) in [("RSA", 2048), ("RSA-HSM", 3072), ("RSA", 4096)] {
        let key = lab.key("cmk", json!({ "kty": kty, "key_size": bits })).await;
        let kid = key["key"]["kid"].as_str().unwrap();
        let version = kid.rsplit('/').next().unwrap();
        for algorithm in ALGORITHMS {
            for (forth, back) in [("wrapkey", "unwrapkey"), ("encrypt", "decrypt")] {
                let there = lab.data("POST", &format!("/keys/cmk//{forth}"), asked(algorithm, b"data key")).await;
                assert_eq!((there.status, there.body["kid"].as_str()), (200, Some(kid)), "{}", there.body);
                let wrapped = URL_SAFE_NO_PAD.decode(there.body["value"].as_str().unwrap()).unwrap();
                assert_eq!(wrapped.len(), bits / 8);
                for (wrapped, who) in
                    [(wrapped, "the vault"), (encrypt(&key["key"], algorithm, b"data key"), "the public key")]
                {
                    let path = format!("/keys/cmk/{version}/{back}");
                    let here = lab.data("POST", &path, asked(algorithm, &wrapped)).await;
                    assert_eq!(
                        here.body["value"],
                        URL_SAFE_NO_PAD.encode(b"data key"),
                        "{algorithm} by {who}: {}",
                        here.body
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn an_old_version_still_unwraps_what_it_wrapped() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    lab.key("cmk", json!({})).await;
    let wrapped = lab.data("POST", "/keys/cmk/wrapkey", asked("RSA-OAEP-256", b"dek")).await.body;
    lab.data("POST", "/keys/cmk/rotate", Value::Null).await;
    let value = json!({ "alg": "RSA-OAEP-256", "value": wrapped["value"] });
    let newest = lab.data("POST", "/keys/cmk/unwrapkey", value.clone()).await;
    assert_eq!(refusal(&newest), (400, "BadParameter", ""), "{}", newest.body);
    let path = wrapped["kid"].as_str().unwrap().replace("https://lab-vault.vault.azure.net", "");
    let same = lab.data("POST", &format!("{path}/unwrapkey"), value).await;
    assert_eq!(same.body["value"], URL_SAFE_NO_PAD.encode(b"dek"));
}

#[tokio::test]
async fn operations_that_azure_refuses_are_refused() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    lab.key("cmk", json!({})).await;
    let long = vec![7; 191];
    let rows = [
        ("wrapkey", json!({}), "Property alg is required."),
        ("wrapkey", json!({ "alg": "A256KW", "value": "AAAA" }), "Property alg has invalid value A256KW"),
        ("wrapkey", json!({ "alg": "RSA-OAEP" }), "Property value is required."),
        (
            "wrapkey",
            json!({ "alg": "RSA-OAEP", "value": "+/+/" }),
            "Property value has invalid value: it must be base64url.",
        ),
        ("encrypt", asked("RSA-OAEP-256", &long), "it has 191 bytes, and this key and algorithm take at most 190"),
        ("unwrapkey", asked("RSA-OAEP-256", &[1; 256]), "Unable to decrypt specified value with this key."),
        ("decrypt", asked("RSA1_5", &[1; 255]), "Unable to decrypt specified value with this key."),
        ("decrypt", json!([]), "The request body must be a JSON object."),
    ];
    for (operation, body, expected) in rows {
        let reply = lab.data("POST", &format!("/keys/cmk/{operation}"), body.clone()).await;
        assert_eq!(refusal(&reply), (400, "BadParameter", ""), "{operation} {body}");
        assert!(message(&reply).contains(expected), "{operation} {body}: {}", message(&reply));
    }
    let missing = lab.data("POST", "/keys/none/wrapkey", asked("RSA-OAEP", b"x")).await;
    assert_eq!(refusal(&missing), (404, "KeyNotFound", ""));
    let release = lab.data("POST", "/keys/cmk//release", json!({ "target": "x" })).await;
    assert_eq!(release.status, 403, "Crypto Officer may release, and there is nothing to release: {}", release.body);
    assert!(message(&release).contains("not exportable"), "{}", message(&release));
}

/// Which operation is refused in which state, with Azure's inner code. Operations that bring protected data back work
/// outside of the time window, so that nobody is locked out by a date.
#[tokio::test]
async fn state_dates_and_operations_of_the_key_count() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    let now = u64::try_from(cloud.cloud.now().unwrap().timestamp()).unwrap();
    let keys = [
        ("disabled", json!({ "attributes": { "enabled": false } })),
        ("expired", json!({ "attributes": { "exp": now - 1 } })),
        ("early", json!({ "attributes": { "nbf": now + 100 } })),
        ("narrow", json!({ "key_ops": ["sign"] })),
    ];
    let operations =
        [("encrypt", "encrypt"), ("wrapkey", "wrapKey"), ("decrypt", "decrypt"), ("unwrapkey", "unwrapKey")];
    for (name, body) in keys {
        let key = lab.key(name, body).await;
        let value = encrypt(&key["key"], "RSA-OAEP-256", b"dek");
        for (operation, word) in operations {
            let back = matches!(operation, "decrypt" | "unwrapkey");
            let expected = match name {
                "disabled" => Some(("KeyDisabled", format!("Operation {word} is not allowed on a disabled key."))),
                "expired" if !back => {
                    Some(("KeyExpired", format!("Operation {word} is not allowed on an expired key.")))
                }
                "early" if !back => {
                    Some(("KeyNotYetValid", format!("Operation {word} is not allowed on a key that is not yet valid.")))
                }
                "narrow" => Some(("KeyOperationForbidden", format!("Operation {word} is not permitted on this key."))),
                _ => None,
            };
            let input: &[u8] = if back { &value } else { b"dek" };
            let reply = lab.data("POST", &format!("/keys/{name}/{operation}"), asked("RSA-OAEP-256", input)).await;
            match expected {
                None => assert_eq!(reply.status, 200, "{name} {operation}: {}", reply.body),
                Some((inner, text)) => {
                    assert_eq!(refusal(&reply), (403, "Forbidden", inner), "{name} {operation}");
                    assert_eq!(message(&reply), text);
                }
            }
        }
        assert_eq!(lab.data("GET", &format!("/keys/{name}"), Value::Null).await.status, 200, "it can still be read");
    }
    cloud.advance(100);
    assert_eq!(lab.data("POST", "/keys/early/wrapkey", asked("RSA-OAEP-256", b"dek")).await.status, 200);
    lab.data("PATCH", "/keys/disabled", json!({ "attributes": { "enabled": true } })).await;
    assert_eq!(lab.data("POST", "/keys/disabled/wrapkey", asked("RSA-OAEP-256", b"dek")).await.status, 200);
}

#[tokio::test]
async fn private_keys_are_sealed_at_rest() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    lab.key("cmk", json!({})).await;
    let file = rusqlite::Connection::open(cloud.dir.path().join("cloud/cloud.db")).unwrap();
    let sealed: Vec<u8> = file.query_row("SELECT sealed FROM keyvault_versions", [], |row| row.get(0)).unwrap();
    assert!(sealed.len() > 1_000);
    assert!(sealbook_crypto::rsa::RsaKey::from_pkcs8(&sealed).is_err());
    // Moved to another row, the sealed key does not open: the identifier is authenticated.
    lab.key("other", json!({})).await;
    file.execute("UPDATE keyvault_versions SET sealed = ?1", [&sealed]).unwrap();
    let wrapped = lab.data("POST", "/keys/other/wrapkey", asked("RSA-OAEP-256", b"dek")).await;
    let reply = lab
        .data("POST", "/keys/other/unwrapkey", json!({ "alg": "RSA-OAEP-256", "value": wrapped.body["value"] }))
        .await;
    assert_eq!(reply.status, 500, "{}", reply.body);
}
