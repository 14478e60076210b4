//! Releases that are granted: every key type and wrap, what is signed, which version.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealbook_crypto::ec::{Curve, EcKey};
use sealbook_crypto::rsa::{Padding, RsaAesWrap, RsaBits, RsaKey};
use sealbook_crypto::{sha1, sha256};
use serde_json::{Value, json};

use super::super::{Lab, data, oid, refusal};
use super::kit::{self, TEE, claims, claims_with, exportable, open, policy, runtime_key, token};
use crate::testing;

const VAULT: &str = "lab-vault.vault.azure.net";
const POOL: &str = "pool.managedhsm.azure.net";

#[tokio::test]
async fn every_wrap_of_a_vault_opens_with_the_environments_key() {
    let cloud = kit::cloud().await;
    let lab = Lab::again(&cloud);
    lab.key("curve", exportable("EC-HSM", &policy())).await;
    let target = token(&cloud, &claims());
    let defaulted = lab.data("POST", "/keys/kek//release", json!({ "target": target })).await;
    assert_eq!(open(&cloud, VAULT, &defaulted).payload["request"]["enc"], "CKM_RSA_AES_KEY_WRAP");
    for enc in RsaAesWrap::ALL.map(RsaAesWrap::name) {
        for key in ["kek", "curve"] {
            let bundle = lab.data("GET", &format!("/keys/{key}"), Value::Null).await.body;
            let kid = bundle["key"]["kid"].as_str().unwrap();
            let path = format!("{}/release", kid.strip_prefix(&format!("https://{VAULT}")).unwrap());
            let nonce = "a-nonce_of.the~caller";
            let reply = lab.data("POST", &path, json!({ "target": target, "enc": enc, "nonce": nonce })).await;
            let opened = open(&cloud, VAULT, &reply);
            assert_eq!(
                opened.payload["request"],
                json!({ "api-version": "7.6", "enc": enc, "kid": kid, "nonce": nonce })
            );
            let header = json!({ "kid": "TpmEphemeralEncryptionKey", "alg": "dir", "enc": enc });
            assert_eq!((&opened.key_hsm["header"], &opened.key_hsm["schema_version"]), (&header, &json!("1.0")));
            let mut shown = opened.payload["response"]["key"].clone();
            shown["key"].as_object_mut().unwrap().shift_remove("key_hsm");
            let mut expected = bundle.clone();
            expected["release_policy"].as_object_mut().unwrap().shift_remove("contentType");
            assert_eq!(shown, expected, "the key as it is shown otherwise");

            let material = opened.material(&TEE).unwrap();
            if key == "kek" {
                let released = RsaKey::from_pkcs8(material.expose()).unwrap();
                assert_eq!(URL_SAFE_NO_PAD.encode(released.public().n), bundle["key"]["n"].as_str().unwrap());
                let wrapped = json!({ "alg": "RSA-OAEP-256", "value": URL_SAFE_NO_PAD.encode(b"a data key") });
                let wrapped = lab.data("POST", "/keys/kek/wrapkey", wrapped).await.body["value"].clone();
                let wrapped = URL_SAFE_NO_PAD.decode(wrapped.as_str().unwrap()).unwrap();
                assert_eq!(released.decrypt(Padding::OaepSha256, &wrapped).unwrap().expose(), b"a data key");
            } else {
                let released = EcKey::from_pkcs8(Curve::P256, material.expose()).unwrap();
                assert_eq!(URL_SAFE_NO_PAD.encode(released.public().x), bundle["key"]["x"].as_str().unwrap());
            }
        }
    }
}

#[tokio::test]
async fn a_vault_and_a_managed_hsm_sign_as_azure_does() {
    let cloud = testing::cloud();
    let lab = Lab::with_pool(&cloud).await;
    let target = token(&cloud, &claims());
    let made = [("RSA-HSM", json!({})), ("EC-HSM", json!({ "crv": "P-521" })), ("oct-HSM", json!({ "key_size": 192 }))];
    for (kty, changes) in made {
        let name = kty.to_ascii_lowercase();
        let mut body = exportable(kty, &policy());
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let bundle = lab.hsm("pool", "POST", &format!("/keys/{name}/create"), body).await.body;
        for enc in RsaAesWrap::ALL.map(RsaAesWrap::name) {
            let body = json!({ "target": target, "enc": enc });
            let opened = open(&cloud, POOL, &lab.hsm("pool", "POST", &format!("/keys/{name}/release"), body).await);
            let asked = format!("https://{POOL}/keys/{name}");
            assert_eq!(opened.payload["request"], json!({ "api-version": "7.6", "enc": enc, "kid": asked }));
            let shown = &opened.payload["response"]["key"];
            assert_eq!(shown["key"]["kid"], bundle["key"]["kid"]);
            assert_eq!(shown["key"]["kty"], kty.trim_end_matches("-HSM"), "as a real one writes it");
            assert_eq!(shown["release_policy"], bundle["release_policy"]);
            let material = opened.material(&TEE).unwrap();
            match kty {
                "RSA-HSM" => assert!(RsaKey::from_pkcs8(material.expose()).is_ok()),
                "EC-HSM" => assert!(EcKey::from_pkcs8(Curve::P521, material.expose()).is_ok()),
                _ => assert_eq!(material.len(), 24, "the bytes of the key themselves"),
            }
        }
    }
    let reply = lab.hsm("pool", "POST", "/keys/oct-hsm/release", json!({ "target": target })).await;
    let header = open(&cloud, POOL, &reply).header;
    let mut members: Vec<&String> = header.as_object().unwrap().keys().collect();
    members.sort();
    assert_eq!(members, ["alg", "kid", "x5c", "x5t#S256"]);
    assert_eq!((&header["alg"], &header["kid"]), (&json!("RS256"), &header["x5t#S256"]));

    let cloud = kit::cloud().await;
    let reply = Lab::again(&cloud).data("POST", "/keys/kek/release", json!({ "target": token(&cloud, &claims()) })).await;
    let header = open(&cloud, VAULT, &reply).header;
    let leaf = base64::engine::general_purpose::STANDARD.decode(header["x5c"][0].as_str().unwrap()).unwrap();
    assert_eq!(header["kid"], hex::encode_upper(sha1(&leaf)));
    assert_eq!(header["x5t"], URL_SAFE_NO_PAD.encode(sha1(&leaf)));
    assert_eq!(header["x5t#S256"], URL_SAFE_NO_PAD.encode(sha256(&leaf)));
    assert_eq!((&header["alg"], &header["typ"]), (&json!("RS256"), &json!("JWT")));
}

/// The key of the environment may have any length that Azure's wraps take; the first suitable one counts.
#[tokio::test]
async fn the_first_suitable_key_of_the_environment_gets_it() {
    let cloud = kit::cloud().await;
    let lab = Lab::again(&cloud);
    let large = RsaKey::generate(RsaBits::B3072);
    let mut signing = runtime_key(&TEE);
    signing["key_ops"] = json!(["sign"]);
    signing["kid"] = json!("HCLAkPub");
    let mut by_use = runtime_key(&large);
    by_use.as_object_mut().unwrap().shift_remove("key_ops");
    by_use["use"] = json!("enc");
    by_use["kid"] = json!("first");
    let keys = json!([signing, by_use, runtime_key(&TEE)]);
    let target = token(&cloud, &claims_with(&[("/x-ms-runtime/keys", keys)]));
    let opened = open(&cloud, VAULT, &lab.data("POST", "/keys/kek/release", json!({ "target": target })).await);
    assert_eq!(opened.key_hsm["header"]["kid"], "first");
    assert!(opened.material(&large).is_some() && opened.material(&TEE).is_none());
}

#[tokio::test]
async fn what_is_made_once_stays_and_is_made_anew_in_time() {
    let cloud = kit::cloud().await;
    let lab = Lab::again(&cloud);
    let ask = async || {
        let target = token(&cloud, &claims());
        open(&cloud, VAULT, &lab.data("POST", "/keys/kek/release", json!({ "target": target })).await).header["x5c"].clone()
    };
    let (first, again) = (ask().await, ask().await);
    assert_eq!(first, again, "one leaf for all releases");
    let root = cloud.cloud.release_root().unwrap();
    assert_eq!(cloud.again().cloud.release_root().unwrap(), root, "for every process");
    assert_ne!(testing::cloud().cloud.release_root().unwrap(), root, "and no other cloud has it");
    assert!(root.starts_with("-----BEGIN CERTIFICATE-----\n") && root.lines().all(|line| line.len() <= 64));

    let day = 86_400;
    cloud.advance_wall(340 * day);
    let mut late = claims();
    for name in ["iat", "nbf", "exp"] {
        late[name] = json!(late[name].as_i64().unwrap() + 340 * day);
    }
    let reply = Lab::again(&cloud).data("POST", "/keys/kek/release", json!({ "target": token(&cloud, &late) })).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let header: Value = serde_json::from_slice(&kit::part(reply.body["value"].as_str().unwrap(), 0)).unwrap();
    assert_ne!(header["x5c"][0], first[0], "a new leaf before the old one ends");
    assert_eq!((&header["x5c"][1], &header["x5c"][2]), (&first[1], &first[2]), "under the same authorities");
}

#[tokio::test]
async fn managed_identities_release_with_the_role_for_it_alone() {
    let cloud = kit::cloud().await;
    let lab = Lab::again(&cloud);
    let release = json!({ "target": token(&cloud, &claims()) });
    let tools = cloud.tools();
    let principal = oid(&tools).await;
    let ask = async || data(&tools, "POST", "/keys/kek/release", release.clone()).await;
    assert_eq!(refusal(&ask().await), (403, "Forbidden", "ForbiddenByRbac"));
    let scope = format!("{}/keys/kek", lab.vault_id("lab-vault"));
    lab.assign("08bbd89e-9f13-488c-ac41-acfcb10c90ab", &principal, "ServicePrincipal", &scope).await;
    assert_eq!(ask().await.status, 200, "Key Vault Crypto Service Release User");
    let read = data(&tools, "GET", "/keys/kek", Value::Null).await;
    assert_eq!(read.status, 403, "which reads nothing");

    let cloud = testing::cloud();
    let lab = Lab::with_pool(&cloud).await;
    lab.hsm("pool", "POST", "/keys/kek/create", exportable("RSA-HSM", &policy())).await;
    let release = json!({ "target": token(&cloud, &claims()) });
    let tools = cloud.tools();
    let principal = oid(&tools).await;
    let uri = format!("https://{POOL}/keys/kek/release?api-version=7.6");
    let ask = async || tools.send("POST", &uri, Some(release.clone())).await;
    assert_eq!(refusal(&ask().await), (403, "AccessDenied", ""));
    lab.local_role("pool", "21dbd100-6940-42c2-9190-5d6cb909625c", &principal, "/keys/kek").await;
    assert_eq!(ask().await.status, 200, "Managed HSM Crypto Service Release User");
}
