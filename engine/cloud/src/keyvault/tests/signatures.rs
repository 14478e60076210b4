//! Elliptic-curve keys, sign and verify: checked by the cryptographic library itself and by published vectors.

use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512};
use aws_lc_rs::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{Lab, message, refusal};
use crate::testing;

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(value: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap()
}

fn hash(algorithm: &str) -> &'static digest::Algorithm {
    match &algorithm[2..] {
        "384" => &SHA384,
        "512" => &SHA512,
        _ => &SHA256,
    }
}

/// Checks a signature with the library alone, over the message.
fn verified(jwk: &Value, algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
    if let "EC" | "EC-HSM" = jwk["kty"].as_str().unwrap() {
        let point = [&[4][..], &decode(&jwk["x"]), &decode(&jwk["y"])].concat();
        let scheme: &'static dyn VerificationAlgorithm = match algorithm {
            "ES256" => &signature::ECDSA_P256_SHA256_FIXED,
            "ES384" => &signature::ECDSA_P384_SHA384_FIXED,
            "ES512" => &signature::ECDSA_P521_SHA512_FIXED,
            _ => &signature::ECDSA_P256K1_SHA256_FIXED,
        };
        return UnparsedPublicKey::new(scheme, point).verify(message, signature).is_ok();
    }
    let scheme = match algorithm {
        "RS256" => &signature::RSA_PKCS1_2048_8192_SHA256,
        "RS384" => &signature::RSA_PKCS1_2048_8192_SHA384,
        "RS512" => &signature::RSA_PKCS1_2048_8192_SHA512,
        "PS256" => &signature::RSA_PSS_2048_8192_SHA256,
        "PS384" => &signature::RSA_PSS_2048_8192_SHA384,
        _ => &signature::RSA_PSS_2048_8192_SHA512,
    };
    let key = RsaPublicKeyComponents { n: decode(&jwk["n"]), e: decode(&jwk["e"]) };
    key.verify(scheme, message, signature).is_ok()
}

#[tokio::test]
async fn every_key_signs_and_verifies() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    let rows = [
        (json!({ "kty": "EC" }), "P-256", &["ES256"][..], 64),
        (json!({ "kty": "EC-HSM", "crv": "P-384" }), "P-384", &["ES384"], 96),
        (json!({ "kty": "EC", "crv": "P-521" }), "P-521", &["ES512"], 132),
        (json!({ "kty": "EC-HSM", "crv": "P-256K" }), "P-256K", &["ES256K"], 64),
        (json!({ "kty": "RSA" }), "", &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"], 256),
    ];
    for (body, curve, algorithms, length) in rows {
        let kty = body["kty"].clone();
        let key = lab.key("signer", body).await;
        let jwk = &key["key"];
        assert_eq!((&jwk["kty"], jwk["crv"].as_str().unwrap_or_default()), (&kty, curve));
        if !curve.is_empty() {
            assert_eq!(jwk["key_ops"], json!(["sign", "verify"]));
            assert_eq!((decode(&jwk["x"]).len(), decode(&jwk["y"]).len()), (length / 2, length / 2));
            assert!(jwk.get("n").is_none() && jwk.get("d").is_none());
        }
        assert_eq!(lab.data("GET", "/keys/signer/", Value::Null).await.body, key);
        for algorithm in algorithms {
            let digest = encode(digest::digest(hash(algorithm), b"message").as_ref());
            let signed = lab.data("POST", "/keys/signer//sign", json!({ "alg": algorithm, "value": digest })).await;
            assert_eq!((signed.status, &signed.body["kid"]), (200, &jwk["kid"]), "{algorithm}: {}", signed.body);
            let signature = decode(&signed.body["value"]);
            assert_eq!(signature.len(), length, "{algorithm}");
            assert!(verified(jwk, algorithm, b"message", &signature), "{algorithm}");
            let mut wrong = signature.clone();
            wrong[5] ^= 1;
            for (signature, expected) in
                [(&signature[..], true), (&wrong, false), (&signature[1..], false), (&[], false)]
            {
                let body = json!({ "alg": algorithm, "digest": digest, "value": encode(signature) });
                let version = jwk["kid"].as_str().unwrap().rsplit('/').next().unwrap();
                let reply = lab.data("POST", &format!("/keys/signer/{version}/verify"), body).await;
                assert_eq!((reply.status, reply.body), (200, json!({ "value": expected })), "{algorithm}");
            }
        }
    }
}

#[tokio::test]
async fn signatures_that_azure_refuses_are_refused() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    lab.key("rsa", json!({})).await;
    let ec = lab.key("ec", json!({ "kty": "EC", "crv": "P-256K" })).await;
    let short = encode(&[7; 31]);
    let right = encode(&[7; 32]);
    let kid = ec["key"]["kid"].as_str().unwrap();
    let curve = format!(
        "Key and signing algorithm are incompatible. Key {kid} uses curve 'P-256K', and algorithm 'ES256' can only be used \
         with curve 'P-256'."
    );
    let rows = [
        ("ec", "sign", json!({ "alg": "ES256", "value": right }), curve.as_str()),
        (
            "ec",
            "sign",
            json!({ "alg": "RS256", "value": right }),
            "is of type 'EC', and algorithm 'RS256' can only be used",
        ),
        (
            "rsa",
            "sign",
            json!({ "alg": "ES256", "value": right }),
            "is of type 'RSA', and algorithm 'ES256' can only be",
        ),
        (
            "ec",
            "sign",
            json!({ "alg": "ES256K", "value": short }),
            "Invalid length of 'value': 31 bytes. ES256K requires 32 bytes, encoded with base64url.",
        ),
        ("rsa", "sign", json!({ "alg": "PS512", "value": right }), "PS512 requires 64 bytes"),
        ("rsa", "verify", json!({ "alg": "RS384", "digest": right, "value": "AA" }), "Invalid length of 'digest': 32"),
        ("rsa", "verify", json!({ "alg": "RS256", "digest": right }), "Property value is required."),
        ("rsa", "verify", json!({ "alg": "RS256", "value": "AA" }), "Property digest is required."),
        ("rsa", "sign", json!({ "value": right }), "Property alg is required."),
        ("rsa", "sign", json!({ "alg": "HS256", "value": right }), "Property alg has invalid value HS256"),
        ("rsa", "sign", json!({ "alg": "RSNULL", "value": right }), "Property alg has invalid value RSNULL"),
        ("rsa", "sign", json!({ "alg": "RS256", "value": "+/" }), "must be base64url"),
        ("rsa", "sign", json!([]), "must be a JSON object"),
    ];
    for (key, operation, body, expected) in rows {
        let reply = lab.data("POST", &format!("/keys/{key}/{operation}"), body.clone()).await;
        assert_eq!(refusal(&reply), (400, "BadParameter", ""), "{key} {body}: {}", reply.body);
        assert!(message(&reply).contains(expected), "{key} {body}: {}", message(&reply));
    }
    for operation in ["encrypt", "decrypt", "wrapkey", "unwrapkey"] {
        let body = json!({ "alg": "RSA-OAEP-256", "value": "AAAA" });
        let reply = lab.data("POST", &format!("/keys/ec/{operation}"), body).await;
        assert_eq!(refusal(&reply), (403, "Forbidden", "KeyOperationForbidden"), "{operation}");
    }
    let patched = lab.data("PATCH", "/keys/ec", json!({ "key_ops": ["encrypt"] })).await;
    assert_eq!(refusal(&patched), (400, "BadParameter", ""));
    assert_eq!(refusal(&lab.data("POST", "/keys/none/sign", json!({})).await), (404, "KeyNotFound", ""));
}

/// Verifying works outside of the time window, signing does not.
#[tokio::test]
async fn state_dates_and_operations_of_the_key_count() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    let now = cloud.cloud.now().unwrap().timestamp();
    let keys = [
        ("disabled", json!({ "attributes": { "enabled": false } }), Some("KeyDisabled"), Some("KeyDisabled")),
        ("expired", json!({ "attributes": { "exp": now - 1 } }), Some("KeyExpired"), None),
        ("early", json!({ "attributes": { "nbf": now + 1_000 } }), Some("KeyNotYetValid"), None),
        ("signer", json!({ "key_ops": ["sign"] }), None, Some("KeyOperationForbidden")),
        ("verifier", json!({ "key_ops": ["verify"] }), Some("KeyOperationForbidden"), None),
    ];
    let digest = encode(&[7; 32]);
    for (name, mut body, sign, verify) in keys {
        body["kty"] = "EC".into();
        lab.key(name, body).await;
        let rows = [
            ("sign", json!({ "alg": "ES256", "value": digest }), sign),
            ("verify", json!({ "alg": "ES256", "digest": digest, "value": "AAAA" }), verify),
        ];
        for (operation, body, expected) in rows {
            let reply = lab.data("POST", &format!("/keys/{name}/{operation}"), body).await;
            match expected {
                None => assert_eq!(reply.status, 200, "{name} {operation}: {}", reply.body),
                Some(inner) => assert_eq!(refusal(&reply), (403, "Forbidden", inner), "{name} {operation}"),
            }
        }
    }
}

#[tokio::test]
async fn elliptic_private_keys_are_sealed_and_follow_a_rotation() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    let first = lab.key("ec", json!({ "kty": "EC-HSM", "crv": "P-521" })).await;
    let rotated = lab.data("POST", "/keys/ec/rotate", Value::Null).await.body;
    assert_eq!((&rotated["key"]["kty"], &rotated["key"]["crv"]), (&json!("EC-HSM"), &json!("P-521")));
    assert_ne!(first["key"]["x"], rotated["key"]["x"]);
    let file = rusqlite::Connection::open(cloud.dir.path().join("cloud/cloud.db")).unwrap();
    let sealed: Vec<u8> =
        file.query_row("SELECT sealed FROM keyvault_versions ORDER BY id", [], |row| row.get(0)).unwrap();
    assert!(sealbook_crypto::ec::EcKey::from_pkcs8(sealbook_crypto::ec::Curve::P521, &sealed).is_err());
    lab.data("DELETE", "/keys/ec", Value::Null).await;
    cloud.advance(1);
    assert_eq!(lab.data("DELETE", "/deletedkeys/ec", Value::Null).await.status, 204);
    let left: i64 = file.query_row("SELECT count(*) FROM keyvault_curves", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}
