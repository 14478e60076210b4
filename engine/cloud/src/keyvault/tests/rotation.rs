//! Rotation policies and what they do while the cloud clock moves.

use serde_json::{Value, json};

use super::{DAY, Lab, message, refusal};
use crate::testing;

const PATH: &str = "/keys/k/rotationpolicy";

fn action(kind: &str, trigger: &str, length: &str) -> Value {
    json!({ "trigger": { trigger: length }, "action": { "type": kind } })
}

/// Creation instants and expiry instants of a key's versions, in order.
async fn versions(lab: &Lab<'_>) -> Vec<(i64, Option<i64>)> {
    let listed = lab.data("GET", "/keys/k/versions", Value::Null).await.body;
    let items = listed["value"].as_array().unwrap();
    items.iter().map(|v| (v["attributes"]["created"].as_i64().unwrap(), v["attributes"]["exp"].as_i64())).collect()
}

const fn days(count: u64) -> i64 {
    (count * DAY).cast_signed()
}

#[tokio::test]
async fn a_policy_is_read_and_set() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    lab.key("k", json!({ "kty": "EC" })).await;
    let id = "https://lab-vault.vault.azure.net/keys/k/rotationpolicy";
    let notify = action("Notify", "timeBeforeExpiry", "P30D");
    let first = lab.data("GET", PATH, Value::Null).await;
    assert_eq!(first.body, json!({ "id": id, "lifetimeActions": [notify], "attributes": {} }));

    let rotate = action("Rotate", "timeAfterCreate", "P2M");
    // The official clients send the trigger that is not used as null.
    let sent =
        json!({ "trigger": { "timeAfterCreate": "P2M", "timeBeforeExpiry": null }, "action": { "type": "rotate" } });
    let set = lab.data("PUT", PATH, json!({ "lifetimeActions": [sent], "attributes": { "expiryTime": "P90D" } })).await;
    let now = cloud.cloud.now().unwrap().timestamp();
    let expected = json!({
        "id": id,
        "lifetimeActions": [rotate, notify],
        "attributes": { "expiryTime": "P90D", "created": now, "updated": now },
    });
    assert_eq!((set.status, &set.body), (200, &expected));
    assert_eq!(lab.data("GET", "/keys/k//rotationpolicy", Value::Null).await.body, expected);
    cloud.advance(5);
    let again =
        lab.data("PUT", PATH, json!({ "lifetimeActions": [action("Notify", "timeBeforeExpiry", "P10D")] })).await;
    assert_eq!(again.body["attributes"], json!({ "created": now, "updated": now + 5 }));
    assert_eq!(again.body["lifetimeActions"], json!([action("Notify", "timeBeforeExpiry", "P10D")]));

    let bad = lab.data("PUT", PATH, json!({ "lifetimeActions": [action("Rotate", "timeAfterCreate", "P6D")] })).await;
    assert_eq!(refusal(&bad), (400, "BadParameter", ""));
    assert!(message(&bad).contains("at least 7 days"), "{}", message(&bad));
    assert_eq!(lab.data("GET", PATH, Value::Null).await.body, again.body);
    for method in ["GET", "PUT"] {
        let missing = lab.data(method, "/keys/none/rotationpolicy", json!({})).await;
        assert_eq!(refusal(&missing), (404, "KeyNotFound", ""));
    }
}

#[tokio::test]
async fn versions_follow_each_other_after_their_creation() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    let made = lab.key("k", json!({ "kty": "EC", "crv": "P-384", "tags": { "a": "b" } })).await;
    let created = made["attributes"]["created"].as_i64().unwrap();
    let body = json!({
        "lifetimeActions": [action("Rotate", "timeAfterCreate", "P10D")],
        "attributes": { "expiryTime": "P28D" },
    });
    lab.data("PUT", PATH, body).await;
    cloud.advance(10 * DAY - 60);
    assert_eq!(versions(&lab).await, [(created, None)], "the present version is left as it is");
    cloud.advance(60);
    let second = (created + days(10), Some(created + days(38)));
    assert_eq!(versions(&lab).await, [(created, None), second]);
    assert_eq!(versions(&lab).await.len(), 2, "a rotation takes place once");
    let newest = lab.data("GET", "/keys/k", Value::Null).await.body;
    assert_eq!((&newest["key"]["crv"], &newest["tags"]), (&json!("P-384"), &json!({ "a": "b" })));
    // A long jump of the clock: each rotation at its own instant.
    cloud.advance(25 * DAY);
    let found = versions(&lab).await;
    let starts: Vec<i64> = found.iter().map(|(start, _)| (start - created) / days(1)).collect();
    assert_eq!(starts, [0, 10, 20, 30]);
    // By hand: now, with the policy's expiry; the next one by policy counts from there.
    let by_hand = lab.data("POST", "/keys/k/rotate", Value::Null).await.body;
    let now = cloud.cloud.now().unwrap().timestamp();
    assert_eq!(by_hand["attributes"]["exp"], now + days(28));
    cloud.advance(9 * DAY);
    assert_eq!(versions(&lab).await.len(), 5);
    cloud.advance(DAY);
    assert_eq!(versions(&lab).await.len(), 6);
    let records = cloud.cloud.audit(&lab.vault_id("lab-vault")).unwrap();
    assert_eq!(records.iter().filter(|r| r["operationName"] == "KeyRotateIfDue").count(), 4);
}

#[tokio::test]
async fn versions_follow_each_other_before_they_expire() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    let made = lab.key("k", json!({ "kty": "EC" })).await;
    let created = made["attributes"]["created"].as_i64().unwrap();
    let body = json!({
        "lifetimeActions": [action("Rotate", "timeBeforeExpiry", "P10D")],
        "attributes": { "expiryTime": "P30D" },
    });
    lab.data("PUT", PATH, body).await;
    cloud.advance(40 * DAY);
    assert_eq!(versions(&lab).await.len(), 1, "a version without an expiry is not followed");
    let now = cloud.cloud.now().unwrap().timestamp();
    lab.data("PATCH", "/keys/k", json!({ "attributes": { "exp": now + days(15) } })).await;
    cloud.advance(5 * DAY);
    let second = (now + days(5), Some(now + days(35)));
    assert_eq!(versions(&lab).await, [(created, Some(now + days(15))), second]);
    cloud.advance(20 * DAY);
    assert_eq!(versions(&lab).await[2], (now + days(25), Some(now + days(55))));
}

#[tokio::test]
async fn keys_that_are_away_are_not_rotated() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({ "softDeleteRetentionInDays": 90 })).await;
    lab.key("k", json!({ "kty": "EC" })).await;
    lab.data("PUT", PATH, json!({ "lifetimeActions": [action("Rotate", "timeAfterCreate", "P10D")] })).await;
    lab.data("PATCH", "/keys/k", json!({ "attributes": { "enabled": false } })).await;
    cloud.advance(15 * DAY);
    assert_eq!(versions(&lab).await.len(), 1, "a disabled key waits");
    lab.data("DELETE", "/keys/k", Value::Null).await;
    cloud.advance(15 * DAY);
    lab.data("POST", "/deletedkeys/k/recover", Value::Null).await;
    lab.data("PATCH", "/keys/k", json!({ "attributes": { "enabled": true } })).await;
    let enabled = cloud.cloud.now().unwrap().timestamp();
    assert_eq!(versions(&lab).await.last(), Some(&(enabled, None)), "due long ago, carried out now");
    lab.data("DELETE", "/keys/k", Value::Null).await;
    cloud.advance(30 * DAY);
    lab.data("POST", "/deletedkeys/k/recover", Value::Null).await;
    let recovered = cloud.cloud.now().unwrap().timestamp();
    let found = versions(&lab).await;
    assert_eq!((found.len(), found[2]), (3, (recovered, None)), "none while it was deleted");
}
