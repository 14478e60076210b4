//! Keys: creation, reading, lists, changes, rotation, soft delete.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::{DAY, Lab, data, message, refusal};
use crate::testing;

#[tokio::test]
async fn exportable_keys_carry_their_release_policy_for_life() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    let policy = |authority: &str, immutable: bool| {
        let claim = json!({ "claim": "x-ms-compliance-status", "equals": "azure-compliant-cvm" });
        let document = json!({ "version": "1.0.0", "anyOf": [{ "authority": authority, "allOf": [claim] }] });
        json!({ "data": URL_SAFE_NO_PAD.encode(document.to_string()), "immutable": immutable })
    };
    let (first, second) = (policy("https://a.attest.azure.net", false), policy("https://b.attest.azure.net", true));
    let body = json!({ "kty": "RSA-HSM", "attributes": { "exportable": true }, "release_policy": first });
    let made = lab.data("POST", "/keys/cmk/create", body).await;
    assert_eq!((made.status, &made.body["attributes"]["exportable"]), (200, &json!(true)), "{made:?}");
    assert_eq!(made.body["release_policy"]["data"], first["data"]);
    let rotated = lab.data("POST", "/keys/cmk/rotate", json!({})).await;
    assert_eq!(rotated.body["release_policy"], made.body["release_policy"], "a new version has the same policy");
    let changed = lab.data("PATCH", "/keys/cmk", json!({ "release_policy": second })).await;
    assert_eq!(changed.body["release_policy"]["data"], second["data"], "{changed:?}");
    let again = lab.data("PATCH", "/keys/cmk", json!({ "release_policy": first })).await;
    assert!(message(&again).contains("AKV.SKR.1020"), "{again:?}");
    let saved = lab.data("POST", "/keys/cmk/backup", json!({})).await;
    lab.data("DELETE", "/keys/cmk", Value::Null).await;
    assert_eq!(saved.status, 200);
    // Nobody is let in yet, and the answer says that it is the embedded Azure that can't judge.
    let other = lab.data("POST", "/keys/plain/create", json!({ "kty": "RSA-HSM" })).await;
    assert_eq!(other.body["attributes"]["exportable"], false);
    let refused = lab.data("POST", "/keys/plain/release", json!({ "target": "x" })).await;
    assert_eq!((refused.status, refused.header("x-sealbook-gap")), (403, ""), "{refused:?}");
}

#[tokio::test]
async fn a_key_is_made_as_asked() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({ "enablePurgeProtection": true })).await;
    let rows = [
        (json!({}), "RSA", 2048),
        (json!({ "kty": "RSA", "key_size": 3072 }), "RSA", 3072),
        (json!({ "kty": "RSA-HSM", "key_size": 4096, "public_exponent": 65537 }), "RSA-HSM", 4096),
    ];
    for (asked, kty, bits) in rows {
        let made = lab.key("cmk", asked).await;
        let jwk = &made["key"];
        let kid = jwk["kid"].as_str().unwrap();
        let version = kid.strip_prefix("https://lab-vault.vault.azure.net/keys/cmk/").unwrap();
        assert!(version.len() == 32 && version.chars().all(|c| c.is_ascii_hexdigit()), "{kid}");
        assert_eq!((&jwk["kty"], &jwk["e"]), (&json!(kty), &json!("AQAB")));
        assert_eq!(jwk["n"].as_str().unwrap().len(), (bits / 8usize * 4).div_ceil(3));
        assert_eq!(jwk["key_ops"], json!(["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"]));
        assert_eq!(made["attributes"]["enabled"], true);
        assert_eq!(made["attributes"]["recoveryLevel"], "CustomizedRecoverable");
        assert_eq!(made["attributes"]["recoverableDays"], 7);
        assert_eq!(made["attributes"]["exportable"], false);
        assert!(jwk.get("d").is_none() && made.get("release_policy").is_none());
    }
    let dated = lab
        .key("dated", json!({ "attributes": { "enabled": false, "nbf": 1, "exp": 2 }, "key_ops": ["wrapKey"], "tags": { "a": "b" } }))
        .await;
    assert_eq!(dated["key"]["key_ops"], json!(["wrapKey"]));
    assert_eq!(dated["tags"], json!({ "a": "b" }));
    let attributes = &dated["attributes"];
    assert_eq!((&attributes["enabled"], &attributes["nbf"], &attributes["exp"]), (&json!(false), &json!(1), &json!(2)));
}

#[tokio::test]
async fn recovery_levels_follow_the_vault() {
    let rows = [
        (json!({ "softDeleteRetentionInDays": 90 }), "Recoverable+Purgeable"),
        (json!({ "softDeleteRetentionInDays": 90, "enablePurgeProtection": true }), "Recoverable"),
        (json!({ "softDeleteRetentionInDays": 89 }), "CustomizedRecoverable+Purgeable"),
        (json!({ "softDeleteRetentionInDays": 7, "enablePurgeProtection": true }), "CustomizedRecoverable"),
    ];
    for (changes, expected) in rows {
        let cloud = testing::cloud();
        let lab = Lab::with_vault(&cloud, changes).await;
        assert_eq!(lab.key("k", json!({})).await["attributes"]["recoveryLevel"], expected);
    }
}

#[tokio::test]
async fn creations_that_azure_refuses_are_refused() {
    let premium_cloud = testing::cloud();
    let premium = Lab::with_vault(&premium_cloud, json!({})).await;
    let standard_cloud = testing::cloud();
    let standard = Lab::with_vault(&standard_cloud, json!({ "sku": { "family": "A", "name": "standard" } })).await;
    let policy = json!({ "data": "e30" });
    let exportable = |kty: &str, policy: Value| json!({ "kty": kty, "attributes": { "exportable": true }, "release_policy": policy });
    let rows = [
        (&premium, json!({}), "Property kty is required."),
        (&premium, json!({ "kty": "DSA" }), "Property kty has invalid value DSA"),
        (&premium, json!({ "kty": "RSA", "key_size": 1024 }), "2048, 3072 or 4096 bits"),
        (&premium, json!({ "kty": "RSA", "key_size": "2048" }), "2048, 3072 or 4096 bits"),
        (&premium, json!({ "kty": "RSA", "public_exponent": 3 }), "exponent 65537"),
        (&premium, json!({ "kty": "RSA", "key_ops": ["fly"] }), "key operations are encrypt"),
        (&premium, json!({ "kty": "RSA", "key_ops": ["import"] }), "needs a key of type RSA-HSM"),
        (&premium, json!({ "kty": "RSA", "attributes": { "nbf": 9, "exp": 8 } }), "later than attributes.nbf"),
        (&premium, json!({ "kty": "RSA", "tags": [1] }), "object of texts"),
        (&premium, exportable("RSA-HSM", Value::Null), "AKV.SKR.1004"),
        (&premium, exportable("RSA", policy.clone()), "AKV.SKR.1006"),
        (&standard, exportable("RSA", policy.clone()), "AKV.SKR.1001"),
        (&premium, json!({ "kty": "RSA", "release_policy": policy }), "AKV.SKR.1005"),
        (&standard, json!({ "kty": "RSA-HSM" }), "Hardware key operation not allowed on standard vault."),
        (&standard, json!({ "kty": "oct-HSM" }), "Hardware key operation not allowed on standard vault."),
        (&standard, json!({ "kty": "EC-HSM" }), "Hardware key operation not allowed on standard vault."),
        (&premium, json!({ "kty": "oct" }), "symmetric keys are for managed HSMs"),
        (&premium, json!({ "kty": "oct-HSM" }), "symmetric keys are for managed HSMs"),
        (&premium, json!({ "kty": "EC", "crv": "P-224" }), "curves are P-256, P-384, P-521, P-256K"),
        (&premium, json!({ "kty": "EC", "crv": 256 }), "curves are P-256"),
        (&premium, json!({ "kty": "EC", "key_ops": ["sign", "wrapKey"] }), "permits sign and verify, not \"wrapKey\""),
        (&premium, exportable("EC", policy.clone()), "AKV.SKR.1006"),
    ];
    for (lab, body, expected) in rows {
        let reply = lab.data("POST", "/keys/cmk/create", body.clone()).await;
        assert_eq!(refusal(&reply), (400, "BadParameter", ""), "{body}: {}", reply.body);
        assert!(message(&reply).contains(expected), "{body}: {}", message(&reply));
    }
    let empty = premium.data("POST", "/keys/cmk/create", exportable("RSA-HSM", json!({ "data": "e30" }))).await;
    assert!(message(&empty).contains("`anyOf` is missing"), "{empty:?}");
    let name = premium.data("POST", "/keys/a_b/create", json!({ "kty": "RSA" })).await;
    assert_eq!(message(&name), "The request URI contains an invalid name: a_b");
    assert_eq!(premium.data("GET", "/keys", Value::Null).await.body["value"], json!([]), "nothing was made on the way");
}

#[tokio::test]
async fn versions_follow_each_other() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    let first = lab.key("cmk", json!({ "key_ops": ["wrapKey", "unwrapKey"], "tags": { "run": "1" } })).await;
    lab.cloud.advance(5);
    let rotated = lab.data("POST", "/keys/cmk/rotate", Value::Null).await;
    assert_eq!(rotated.status, 200, "{}", rotated.body);
    let second = rotated.body;
    assert_ne!(first["key"]["kid"], second["key"]["kid"]);
    assert_ne!(first["key"]["n"], second["key"]["n"]);
    assert_eq!((&first["key"]["key_ops"], &first["tags"]), (&second["key"]["key_ops"], &second["tags"]));

    let path = |bundle: &Value| bundle["key"]["kid"].as_str().unwrap().replace("https://lab-vault.vault.azure.net", "");
    let rows = [
        ("/keys/cmk".to_owned(), &second),
        ("/keys/cmk/".to_owned(), &second),
        ("/keys//cmk//".to_owned(), &second),
        ("/keys/CMK".to_owned(), &second),
        (path(&first), &first),
        (path(&second), &second),
    ];
    for (path, expected) in rows {
        let got = lab.data("GET", &path, Value::Null).await;
        assert_eq!((got.status, &got.body), (200, expected), "{path}");
    }
    let listed = lab.data("GET", "/keys/cmk/versions", Value::Null).await.body;
    assert!(listed.get("nextLink").is_none());
    let kids: Vec<&Value> = listed["value"].as_array().unwrap().iter().map(|item| &item["kid"]).collect();
    assert_eq!(kids, [&first["key"]["kid"], &second["key"]["kid"]]);
    let keys = lab.data("GET", "/keys", Value::Null).await.body;
    assert_eq!(keys["value"][0]["kid"], "https://lab-vault.vault.azure.net/keys/cmk");
    assert_eq!(keys["value"][0]["attributes"], second["attributes"]);
    for path in ["/keys/none", "/keys/cmk/00000000000000000000000000000000", "/keys/none/versions"] {
        assert_eq!(refusal(&lab.data("GET", path, Value::Null).await), (404, "KeyNotFound", ""), "{path}");
    }
    assert_eq!(refusal(&lab.data("POST", "/keys/none/rotate", Value::Null).await), (404, "KeyNotFound", ""));
}

#[tokio::test]
async fn lists_come_in_pages() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    for name in ["k3", "K1", "k2"] {
        lab.key(name, json!({})).await;
    }
    lab.data("POST", "/keys/k2/rotate", Value::Null).await;
    lab.data("POST", "/keys/k2/rotate", Value::Null).await;
    for (path, size, expected) in [("/keys", 2, 3usize), ("/keys", 1, 3), ("/keys", 3, 3), ("/keys/k2/versions", 2, 3)]
    {
        let mut found: Vec<String> = Vec::new();
        let mut reply = lab.data("GET", &format!("{path}?maxresults={size}"), Value::Null).await;
        let mut pages = 1;
        loop {
            let items = reply.body["value"].as_array().unwrap();
            assert!(items.len() <= size);
            found.extend(items.iter().map(|item| item["kid"].as_str().unwrap().to_owned()));
            let Some(next) = reply.body["nextLink"].as_str() else { break };
            assert!(next.starts_with("https://lab-vault.vault.azure.net:443/keys"), "{next}");
            let bearer = format!("Bearer {}", lab.me.token("https://vault.azure.net").await);
            reply = lab.me.raw("GET", next, &[("authorization", &bearer)], Bytes::new()).await.unwrap();
            pages += 1;
        }
        let mut unique = found.clone();
        unique.sort();
        unique.dedup();
        assert_eq!((found.len(), unique.len(), pages), (expected, expected, expected.div_ceil(size)), "{path} {size}");
    }
    for query in ["maxresults=0", "maxresults=26", "maxresults=x", "$skiptoken=***"] {
        let reply = lab.data("GET", &format!("/keys?{query}"), Value::Null).await;
        assert_eq!(refusal(&reply), (400, "BadParameter", ""), "{query}");
    }
}

#[tokio::test]
async fn an_update_changes_what_it_names() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    let made = lab.key("cmk", json!({ "tags": { "a": "b" } })).await;
    lab.cloud.advance(5);
    let disabled = lab.data("PATCH", "/keys/cmk/", json!({ "attributes": { "enabled": false } })).await.body;
    assert_eq!(disabled["attributes"]["enabled"], false);
    assert_eq!((&disabled["tags"], &disabled["key"]), (&made["tags"], &made["key"]));
    assert_eq!(
        disabled["attributes"]["updated"].as_i64().unwrap() - disabled["attributes"]["created"].as_i64().unwrap(),
        5
    );
    let body =
        json!({ "attributes": { "enabled": true, "exp": 4_000_000_000i64 }, "key_ops": ["decrypt"], "tags": {} });
    let changed = lab.data("PATCH", "/keys/cmk", body).await.body;
    assert_eq!(
        (&changed["attributes"]["exp"], &changed["key"]["key_ops"]),
        (&json!(4_000_000_000i64), &json!(["decrypt"]))
    );
    assert_eq!(changed["tags"], json!({}));
    let rows = [
        (json!({ "attributes": { "exportable": true } }), "AKV.SKR.1003"),
        (json!({ "attributes": { "nbf": 4_000_000_001i64 } }), "later than attributes.nbf"),
        (json!({ "release_policy": { "data": "e30" } }), "AKV.SKR.1005"),
        (json!({ "key_ops": ["fly"] }), "key operations are"),
        (json!([]), "must be a JSON object"),
    ];
    for (body, expected) in rows {
        let reply = lab.data("PATCH", "/keys/cmk", body.clone()).await;
        assert_eq!(refusal(&reply), (400, "BadParameter", ""), "{body}");
        assert!(message(&reply).contains(expected), "{body}: {}", message(&reply));
    }
    assert_eq!(lab.data("GET", "/keys/cmk", Value::Null).await.body, changed);
}

#[tokio::test]
async fn a_deleted_key_comes_back_or_goes_for_good() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    let made = lab.key("cmk", json!({})).await;
    let deleted = lab.data("DELETE", "/keys/cmk", Value::Null).await;
    assert_eq!(deleted.status, 200);
    assert_eq!(
        (&deleted.body["key"], &deleted.body["recoveryId"]),
        (&made["key"], &json!("https://lab-vault.vault.azure.net/deletedkeys/cmk"))
    );
    let date = |name: &str| deleted.body[name].as_u64().unwrap();
    assert_eq!(date("scheduledPurgeDate") - date("deletedDate"), 7 * DAY);

    let under_way = [
        ("GET", "/keys/cmk", Value::Null, (404, "KeyNotFound", "")),
        ("GET", "/deletedkeys/cmk", Value::Null, (404, "KeyNotFound", "")),
        ("POST", "/keys/cmk/create", json!({ "kty": "RSA" }), (409, "Conflict", "ObjectIsBeingDeleted")),
        ("POST", "/deletedkeys/cmk/recover", Value::Null, (409, "Conflict", "ObjectIsBeingDeleted")),
        ("DELETE", "/deletedkeys/cmk", Value::Null, (409, "Conflict", "ObjectIsBeingDeleted")),
        ("DELETE", "/keys/cmk", Value::Null, (404, "KeyNotFound", "")),
    ];
    for (method, path, body, expected) in under_way {
        assert_eq!(refusal(&lab.data(method, path, body).await), expected, "{method} {path}");
    }
    lab.cloud.advance(1);
    assert_eq!(lab.data("GET", "/deletedkeys/cmk", Value::Null).await.body, deleted.body);
    let listed = lab.data("GET", "/deletedkeys", Value::Null).await.body;
    assert_eq!(listed["value"][0]["recoveryId"], deleted.body["recoveryId"]);
    let taken = lab.data("POST", "/keys/cmk/create", json!({ "kty": "RSA" })).await;
    assert_eq!(refusal(&taken), (409, "Conflict", "ObjectIsDeletedButRecoverable"));

    let recovered = lab.data("POST", "/deletedkeys/cmk/recover", Value::Null).await;
    assert_eq!((recovered.status, &recovered.body["key"]), (200, &made["key"]));
    assert_eq!(lab.data("GET", "/keys/cmk", Value::Null).await.body, made);

    lab.data("DELETE", "/keys/cmk", Value::Null).await;
    lab.cloud.advance(1);
    assert_eq!(lab.data("DELETE", "/deletedkeys/cmk", Value::Null).await.status, 204);
    assert_eq!(lab.data("GET", "/deletedkeys/cmk", Value::Null).await.status, 404);
    assert_ne!(lab.key("cmk", json!({})).await["key"]["n"], made["key"]["n"]);

    lab.data("DELETE", "/keys/cmk", Value::Null).await;
    lab.cloud.advance(7 * DAY - 1);
    assert_eq!(lab.data("GET", "/deletedkeys/cmk", Value::Null).await.status, 200);
    lab.cloud.advance(1);
    assert_eq!(lab.data("GET", "/deletedkeys/cmk", Value::Null).await.status, 404);
    lab.key("cmk", json!({})).await;
}

#[tokio::test]
async fn purge_protection_keeps_deleted_keys() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({ "enablePurgeProtection": true })).await;
    lab.key("cmk", json!({})).await;
    lab.data("DELETE", "/keys/cmk", Value::Null).await;
    lab.cloud.advance(1);
    let purge = lab.data("DELETE", "/deletedkeys/cmk", Value::Null).await;
    assert_eq!((purge.status, &purge.body["error"]["code"]), (403, &json!("Forbidden")));
    assert!(message(&purge).starts_with("Operation \"purge\" is not allowed because purge protection is enabled"));
    assert_eq!(lab.data("GET", "/deletedkeys/cmk", Value::Null).await.status, 200);
    assert_eq!(lab.data("POST", "/deletedkeys/cmk/recover", Value::Null).await.status, 200);
}

#[tokio::test]
async fn another_process_sees_the_same_keys() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    let made = lab.key("cmk", json!({})).await;
    let other = cloud.again();
    let there = other.learner();
    assert_eq!(data(&there, "GET", "/keys/cmk", Value::Null).await.body, made);
    let wrap = json!({ "alg": "RSA-OAEP-256", "value": "AAAA" });
    let wrapped = data(&there, "POST", "/keys/cmk/wrapkey", wrap).await.body["value"].clone();
    let unwrap = json!({ "alg": "RSA-OAEP-256", "value": wrapped });
    assert_eq!(lab.data("POST", "/keys/cmk/unwrapkey", unwrap.clone()).await.body["value"], "AAAA");
    // Both at once: each request is a transaction, so nothing is lost and no version is made twice.
    let create = || json!({ "kty": "RSA" });
    let (here, there) = tokio::join!(
        lab.data("POST", "/keys/cmk/create", create()),
        data(&there, "POST", "/keys/cmk/create", create())
    );
    assert_ne!(here.body["key"]["kid"], there.body["key"]["kid"]);
    let versions = lab.data("GET", "/keys/cmk/versions", Value::Null).await.body;
    assert_eq!(versions["value"].as_array().map(Vec::len), Some(3));
}
