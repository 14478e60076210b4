//! Who else sees a released key: nobody. And what the log says of those who asked.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::super::Lab;
use super::kit::{self, TEE, claims, claims_with, exportable, open, policy, token};
use crate::testing;

/// Everything that some bytes look like: raw, hex in both cases, base64 and base64url at every alignment.
fn shapes(secret: &[u8]) -> Vec<Vec<u8>> {
    let mut shapes = vec![secret.to_vec(), hex::encode(secret).into(), hex::encode_upper(secret).into()];
    for shift in 0..3 {
        let whole = &secret[shift..][..(secret.len() - shift) / 3 * 3];
        shapes.push(STANDARD.encode(whole).into());
        shapes.push(URL_SAFE_NO_PAD.encode(whole).into());
    }
    shapes
}

/// Windows over the secret part of a key: behind the public modulus of an RSA key, all of a symmetric one.
fn windows(material: &[u8]) -> Vec<&[u8]> {
    match material.len() {
        length @ 0..200 => vec![&material[..length.min(24)]],
        _ => material[320..].chunks_exact(24).step_by(4).collect(),
    }
}

fn found(haystack: &[u8], secrets: &[Vec<u8>]) -> bool {
    secrets.iter().any(|secret| haystack.windows(secret.len()).any(|window| window == secret))
}

/// The bytes of all that a JWS says, however often it is encoded.
fn unfolded(jws: &str) -> Vec<u8> {
    let mut all = jws.as_bytes().to_vec();
    for index in 0..3 {
        all.extend(kit::part(jws, index));
    }
    let payload: Value = serde_json::from_slice(&kit::part(jws, 1)).unwrap();
    let key_hsm = URL_SAFE_NO_PAD.decode(payload["response"]["key"]["key"]["key_hsm"].as_str().unwrap()).unwrap();
    let inner: Value = serde_json::from_slice(&key_hsm).unwrap();
    all.extend(URL_SAFE_NO_PAD.decode(inner["ciphertext"].as_str().unwrap()).unwrap());
    all.extend(key_hsm);
    all
}

#[tokio::test]
async fn a_released_key_is_nowhere_in_the_clear() {
    let vault = kit::cloud().await;
    let pool = testing::cloud();
    let hsm = Lab::with_pool(&pool).await;
    hsm.hsm("pool", "POST", "/keys/kek/create", exportable("oct-HSM", &policy())).await;
    let rows = [
        (&vault, "lab-vault.vault.azure.net", Lab::again(&vault).vault_id("lab-vault")),
        (&pool, "pool.managedhsm.azure.net", hsm.pool_id("pool")),
    ];
    for (cloud, host, resource) in rows {
        let uri = format!("https://{host}/keys/kek/release?api-version=7.6");
        let body = json!({ "target": token(cloud, &claims()), "nonce": "n" });
        let reply = cloud.learner().send("POST", &uri, Some(body)).await;
        let material = open(cloud, host, &reply).material(&TEE).unwrap();
        let secrets: Vec<Vec<u8>> = windows(material.expose()).into_iter().flat_map(shapes).collect();
        assert!(secrets.len() >= 9);
        for text in [material.expose().to_vec(), STANDARD.encode(material.expose()).into(), hex::encode(material.expose()).into()] {
            assert!(found(&text, &secrets), "the search finds what is there");
        }

        assert!(!found(&unfolded(reply.body["value"].as_str().unwrap()), &secrets), "the answer to {host}");
        let audit = json!(cloud.cloud.audit(&resource).unwrap()).to_string();
        assert!(audit.contains("KeyRelease") && !found(audit.as_bytes(), &secrets), "the audit log");
        let requests = format!("{:?}", cloud.cloud.requests(0).unwrap());
        assert!(requests.contains("/keys/kek/release") && !found(requests.as_bytes(), &secrets), "the request log");
        let mut files = 0;
        for file in std::fs::read_dir(cloud.dir.path().join("cloud")).unwrap() {
            let path = file.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            files += usize::from(bytes.len() > 1_000);
            assert!(!found(&bytes, &secrets), "{}", path.display());
        }
        assert!(files > 0, "the database was read");
    }
}

#[tokio::test]
async fn the_log_has_who_asked_for_what_and_why_it_was_refused() {
    let cloud = kit::cloud().await;
    let lab = Lab::again(&cloud);
    let vault = lab.vault_id("lab-vault");
    let before = cloud.cloud.audit(&vault).unwrap().len();
    let kid = lab.data("GET", "/keys/kek", Value::Null).await.body["key"]["kid"].as_str().unwrap().to_owned();
    let ask = async |body: Value| lab.data("POST", "/keys/kek//release", body).await;
    ask(json!({ "target": token(&cloud, &claims()), "enc": "RSA_AES_KEY_WRAP_384" })).await;
    ask(json!({ "target": token(&cloud, &claims_with(&[("/exp", json!(1))])) })).await;
    let debugged = claims_with(&[("/x-ms-isolation-tee/x-ms-sevsnpvm-is-debuggable", json!(true))]);
    ask(json!({ "target": token(&cloud, &debugged) })).await;
    ask(json!({})).await;
    super::super::data(&cloud.tools(), "POST", "/keys/kek/release", json!({ "target": "x" })).await;
    super::super::data(&cloud.anonymous(), "POST", "/keys/none/release", json!({ "target": "x" })).await;

    let records: Vec<Value> = cloud.cloud.audit(&vault).unwrap().split_off(before + 1);
    let (learner, tools) = (json!(cloud.seed.user_oid), json!(cloud.seed.client_oid));
    let rows = [
        (200, "Success", &learner, "RSA_AES_KEY_WRAP_384", Value::Null, ""),
        (403, "Failed", &learner, "CKM_RSA_AES_KEY_WRAP", json!("AccessDenied"), "token.times"),
        (403, "Failed", &learner, "CKM_RSA_AES_KEY_WRAP", json!("AccessDenied"), "release.policy: $.anyOf[0].allOf[2]"),
        (400, "Failed", &learner, "CKM_RSA_AES_KEY_WRAP", json!("BadParameter"), ""),
        (403, "Failed", &tools, "CKM_RSA_AES_KEY_WRAP", json!("ForbiddenByRbac"), ""),
        (401, "Failed", &json!(""), "CKM_RSA_AES_KEY_WRAP", json!("Unauthorized"), ""),
    ];
    assert_eq!(records.len(), rows.len(), "{records:?}");
    for (i, (record, (status, result, who, algorithm, error, reason))) in records.iter().zip(rows).enumerate() {
        let properties = &record["properties"];
        assert_eq!(
            (&record["category"], &record["operationName"], &record["resultType"], &record["resultSignature"]),
            (&json!("AuditEvent"), &json!("KeyRelease"), &json!(result), &json!(status)),
        );
        assert_eq!(&record["identity"]["claim"]["oid"], who);
        assert_eq!((&properties["algorithm"], &properties["errorCode"]), (&json!(algorithm), &error), "{i}");
        let id = if i == 5 { "https://lab-vault.vault.azure.net/keys/none" } else { kid.as_str() };
        assert_eq!(properties["id"], id, "with the version that was meant");
        let said = properties["reason"].as_str().unwrap_or_default();
        assert!(said.starts_with(reason) && (reason.is_empty() == said.is_empty()), "{i}: {said}");
    }
}
