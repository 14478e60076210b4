//! Release policies: what is no policy, which keys have one, and when it may change.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::super::{Lab, message, refusal};
use super::kit::{self, ISSUER, OTHER, claims, claims_with, envelope, exportable, policy, token};

/// A policy with one authority and one condition.
fn with(condition: Value) -> Value {
    json!({ "version": "1.0.0", "anyOf": [{ "authority": ISSUER, "allOf": [condition] }] })
}

#[tokio::test]
async fn what_is_no_policy_makes_no_key() {
    let cloud = kit::cloud().await;
    let lab = Lab::again(&cloud);
    let claim = json!({ "claim": "x-ms-compliance-status", "equals": "azure-compliant-cvm" });
    let mut bomb = claim.clone();
    for _ in 0..60 {
        bomb = json!({ "allOf": [bomb] });
    }
    let huge = json!({ "claim": "x", "equals": "y".repeat(100_000) });
    let authority = |url: &str| json!({ "version": "1.0.0", "anyOf": [{ "authority": url, "allOf": [claim.clone()] }] });
    let rows = [
        ("an unknown operator", with(json!({ "claim": "x", "matches": ".*" }))),
        ("two operators", with(json!({ "claim": "x", "equals": "a", "notEquals": "b" }))),
        ("no operator", with(json!({ "claim": "x" }))),
        ("a value that is a list", with(json!({ "claim": "x", "equals": ["a"] }))),
        ("a nested bomb", with(bomb)),
        ("a huge value", with(huge)),
        ("another version", json!({ "version": "2.0.0", "anyOf": [{ "authority": ISSUER, "allOf": [claim] }] })),
        ("no authority", json!({ "version": "1.0.0", "anyOf": [] })),
        ("an authority without conditions", json!({ "version": "1.0.0", "anyOf": [{ "authority": ISSUER }] })),
        ("an authority with empty conditions", json!({ "version": "1.0.0", "anyOf": [{ "authority": ISSUER, "allOf": [] }] })),
        ("an authority without TLS", authority("http://sharedweu.weu.attest.azure.net")),
        ("a list", json!([])),
    ];
    for (what, policy) in rows {
        let reply = lab.data("POST", "/keys/refused/create", exportable("RSA-HSM", &policy)).await;
        assert_eq!(refusal(&reply), (400, "BadParameter", ""), "{what}");
        assert!(message(&reply).starts_with("Property release_policy has invalid value: "), "{}", message(&reply));
    }
    let envelopes = [
        json!({}),
        json!({ "data": 7 }),
        json!({ "data": "%%" }),
        json!({ "data": "e30x" }),
        json!({ "data": envelope(&policy(), false)["data"], "contentType": "text/plain" }),
        json!({ "data": envelope(&policy(), false)["data"], "immutable": "yes" }),
    ];
    for given in envelopes {
        let mut body = exportable("RSA-HSM", &policy());
        body["release_policy"] = given.clone();
        let reply = lab.data("POST", "/keys/refused/create", body).await;
        assert_eq!(refusal(&reply), (400, "BadParameter", ""), "{given}");
    }
    assert_eq!(lab.data("GET", "/keys/refused", Value::Null).await.status, 404);
    let mut old = policy();
    old["version"] = json!("1.0");
    let made = lab.key("old", exportable("RSA-HSM", &old)).await;
    let data = URL_SAFE_NO_PAD.decode(made["release_policy"]["data"].as_str().unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&data).unwrap()["version"], "1.0.0", "as the service stores it");
    assert_eq!(made["release_policy"]["contentType"], "application/json; charset=utf-8");
    assert_eq!(made["release_policy"]["immutable"], false);
}

/// A mutable policy can be replaced on the key, not on a version of it, and counts at once; an immutable one stays.
#[tokio::test]
async fn policies_change_while_they_may() {
    let cloud = kit::cloud().await;
    let lab = Lab::again(&cloud);
    let mut neighbours = policy();
    neighbours["anyOf"][0]["authority"] = json!(OTHER);
    let release = async |issuer: &str| {
        let target = token(&cloud, &claims_with(&[("/iss", json!(issuer))]));
        lab.data("POST", "/keys/kek/release", json!({ "target": target })).await.status
    };
    assert_eq!((release(ISSUER).await, release(OTHER).await), (200, 403));
    let kid = lab.data("GET", "/keys/kek", Value::Null).await.body["key"]["kid"].clone();
    let path = kid.as_str().unwrap().strip_prefix("https://lab-vault.vault.azure.net").unwrap().to_owned();
    let versioned = lab.data("PATCH", &path, json!({ "release_policy": envelope(&neighbours, false) })).await;
    assert_eq!(refusal(&versioned), (400, "BadParameter", ""));
    assert_eq!(message(&versioned), "AKV.SKR.1016: Key Release Policy can only be set on versionless key.");
    let other = lab.data("PATCH", &path, json!({ "attributes": { "enabled": true, "exportable": true } })).await;
    assert_eq!(other.status, 200, "the rest of a version can be changed");

    let change = json!({ "attributes": { "exportable": true }, "release_policy": envelope(&neighbours, true) });
    let changed = lab.data("PATCH", "/keys/kek/", change).await;
    assert_eq!((changed.status, &changed.body["release_policy"]["immutable"]), (200, &json!(true)), "{changed:?}");
    assert_eq!((release(ISSUER).await, release(OTHER).await), (403, 200), "the new policy counts");
    for back in [envelope(&policy(), false), envelope(&neighbours, true), envelope(&neighbours, false)] {
        let refused = lab.data("PATCH", "/keys/kek/", json!({ "release_policy": back })).await;
        assert_eq!(refusal(&refused), (400, "BadParameter", ""));
        assert_eq!(message(&refused), "AKV.SKR.1020: Immutable Key Release Policy cannot be modified.");
    }
    let rotated = lab.data("POST", "/keys/kek/rotate", json!({})).await.body;
    assert_eq!(rotated["release_policy"], changed.body["release_policy"], "also in what follows it");
    let refused = lab.data("PATCH", "/keys/kek/", json!({ "release_policy": envelope(&policy(), false) })).await;
    assert!(message(&refused).starts_with("AKV.SKR.1020"), "{refused:?}");
}

#[tokio::test]
async fn exportable_is_for_life() {
    let cloud = kit::cloud().await;
    let lab = Lab::again(&cloud);
    lab.key("plain", json!({ "kty": "RSA-HSM" })).await;
    let rows = [
        ("plain", json!({ "attributes": { "exportable": true } }), "AKV.SKR.1003"),
        ("plain", json!({ "attributes": { "exportable": true }, "release_policy": envelope(&policy(), false) }), "AKV.SKR.1003"),
        ("plain", json!({ "release_policy": envelope(&policy(), false) }), "AKV.SKR.1005"),
        ("kek", json!({ "attributes": { "exportable": false } }), "AKV.SKR.1003"),
    ];
    for (key, change, code) in rows {
        let reply = lab.data("PATCH", &format!("/keys/{key}"), change.clone()).await;
        assert_eq!(refusal(&reply), (400, "BadParameter", ""), "{key} {change}");
        assert!(message(&reply).starts_with(code), "{}", message(&reply));
    }
    let target = token(&cloud, &claims());
    assert_eq!(lab.data("POST", "/keys/plain/release", json!({ "target": target })).await.status, 403);
}
