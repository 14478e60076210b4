//! AES keys of a managed HSM.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::super::{Lab, message, refusal};
use crate::testing;

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The key of RFC 3394, section 4.3, imported.
async fn imported(lab: &Lab<'_>) {
    let kek: Vec<u8> = (0..32).collect();
    let jwk = json!({ "kty": "oct-HSM", "k": text(&kek), "key_ops": ["encrypt", "decrypt", "wrapKey", "unwrapKey"] });
    let reply = lab.hsm("pool", "PUT", "/keys/aes", json!({ "key": jwk })).await;
    assert_eq!((reply.status, &reply.body["key"]["kty"]), (200, &json!("oct-HSM")), "{}", reply.body);
    assert_eq!(reply.body["key"]["k"], Value::Null, "a symmetric key never leaves");
}

#[tokio::test]
async fn wraps_are_those_of_the_standard() {
    let cloud = testing::cloud();
    let lab = Lab::with_pool(&cloud).await;
    imported(&lab).await;
    let data = hex::decode("00112233445566778899aabbccddeeff").unwrap();
    for alg in ["A256KW", "CKM_AES_KEY_WRAP"] {
        let wrapped = lab.hsm("pool", "POST", "/keys/aes/wrapkey", json!({ "alg": alg, "value": text(&data) })).await;
        let expected = hex::decode("64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7").unwrap();
        assert_eq!(wrapped.body["value"], text(&expected), "{}", wrapped.body);
        let body = json!({ "alg": alg, "value": wrapped.body["value"] });
        let opened = lab.hsm("pool", "POST", "/keys/aes/unwrapkey", body).await;
        assert_eq!(opened.body["value"], text(&data));
    }
    let body = json!({ "alg": "CKM_AES_KEY_WRAP_PAD", "value": text(b"seven..") });
    let wrapped = lab.hsm("pool", "POST", "/keys/aes/wrapkey", body).await.body["value"].clone();
    let body = json!({ "alg": "CKM_AES_KEY_WRAP_PAD", "value": wrapped });
    assert_eq!(lab.hsm("pool", "POST", "/keys/aes/unwrapkey", body).await.body["value"], text(b"seven.."));
    let rows = [
        ("wrapkey", json!({ "alg": "A128KW", "value": text(&data) }), "needs another length"),
        ("wrapkey", json!({ "alg": "A256GCM", "value": text(&data) }), "for wrapKey they are"),
        ("wrapkey", json!({ "alg": "RSA-OAEP-256", "value": text(&data) }), "for wrapKey they are"),
        ("wrapkey", json!({ "alg": "CKM_AES_KEY_WRAP_PAD", "value": "" }), "length does not fit"),
        ("wrapkey", json!({ "alg": "A256KW", "value": text(b"seven..") }), "length does not fit"),
        ("unwrapkey", json!({ "alg": "A256KW", "value": text(&[7; 24]) }), "Unable to decrypt"),
        ("encrypt", json!({ "alg": "A256KW", "value": text(&data) }), "for encrypt they are"),
        ("sign", json!({ "alg": "RS256", "value": text(&data) }), "Operation sign is not permitted"),
    ];
    for (operation, body, expected) in rows {
        let reply = lab.hsm("pool", "POST", &format!("/keys/aes/{operation}"), body.clone()).await;
        assert!((400..404).contains(&reply.status), "{body}");
        assert!(message(&reply).contains(expected), "{}", message(&reply));
    }
}

#[tokio::test]
async fn messages_come_back_in_every_mode_and_length() {
    let cloud = testing::cloud();
    let lab = Lab::with_pool(&cloud).await;
    for bits in [128, 192, 256] {
        let name = format!("aes-{bits}");
        lab.hsm_key(&name, json!({ "kty": "oct-HSM", "key_size": bits })).await;
        let run = |operation: &str, body: Value| {
            let path = format!("/keys/{name}/{operation}");
            let lab = &lab;
            async move { lab.hsm("pool", "POST", &path, body).await }
        };
        let (message, aad, iv) = (text(b"sixteen byte msg"), text(b"context"), text(&[5; 16]));

        let alg = format!("A{bits}GCM");
        let sealed = run("encrypt", json!({ "alg": alg, "value": message, "aad": aad })).await;
        assert_eq!(sealed.status, 200, "{}", sealed.body);
        let mut open = sealed.body.clone();
        open["alg"] = alg.clone().into();
        assert_eq!(run("decrypt", open.clone()).await.body["value"], message);
        for (member, value) in [("aad", text(b"other")), ("tag", text(&[0; 16])), ("iv", text(&[0; 12]))] {
            let mut changed = open.clone();
            changed[member] = value.into();
            assert_eq!(refusal(&run("decrypt", changed).await), (400, "BadParameter", ""), "{member}");
        }
        let given = run("encrypt", json!({ "alg": alg, "value": message, "iv": text(&[0; 12]) })).await;
        assert_eq!(refusal(&given), (400, "BadParameter", ""), "the HSM draws the nonce");

        for (mode, value, good) in
            [("CBC", &message, true), ("CBCPAD", &message, true), ("CBCPAD", &aad, true), ("CBC", &aad, false)]
        {
            let alg = format!("A{bits}{mode}");
            let made = run("encrypt", json!({ "alg": alg, "value": value, "iv": iv })).await;
            assert_eq!(made.status == 200, good, "{alg}: {}", made.body);
            if good {
                let body = json!({ "alg": alg, "value": made.body["value"], "iv": made.body["iv"] });
                assert_eq!(&run("decrypt", body).await.body["value"], value);
            }
        }
        let missing = run("encrypt", json!({ "alg": format!("A{bits}CBC"), "value": message })).await;
        assert_eq!(refusal(&missing), (400, "BadParameter", ""), "CBC needs iv");
    }
}

#[tokio::test]
async fn imports_have_the_length_of_a_key() {
    let cloud = testing::cloud();
    let lab = Lab::with_pool(&cloud).await;
    imported(&lab).await;
    for jwk in [json!({ "kty": "oct-HSM", "k": text(&[0; 15]) }), json!({ "kty": "oct-HSM" })] {
        let reply = lab.hsm("pool", "PUT", "/keys/bad", json!({ "key": jwk })).await;
        assert_eq!(refusal(&reply), (400, "BadParameter", ""), "{jwk}");
    }
}
