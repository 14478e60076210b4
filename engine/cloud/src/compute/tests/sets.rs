//! Disk encryption sets: what they may name, and their life.

use serde_json::{Value, json};

use super::{CONFIDENTIAL, CUSTOMER, Lab};
use crate::testing;

#[tokio::test]
async fn a_set_needs_a_versioned_key_in_its_region_and_an_identity() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    lab.vault("othervault", "northeurope").await;
    let good = lab.set_body(CUSTOMER).await;
    let kid = good["properties"]["activeKey"]["keyUrl"].as_str().unwrap().to_owned();
    let versionless = kid.rsplit_once('/').unwrap().0.to_owned();
    let other = lab.id("Microsoft.KeyVault/vaults", "othervault");
    let foreign = format!("/subscriptions/{}/x", uuid::Uuid::nil());
    let table = [
        ("/properties/activeKey", json!({ "keyUrl": versionless }), "InvalidParameter", false),
        ("/properties/activeKey", json!({ "keyUrl": kid, "sourceVault": { "id": other } }), "InvalidParameter", false),
        (
            "/properties/activeKey",
            json!({ "keyUrl": kid, "sourceVault": { "id": foreign } }),
            "InvalidParameter",
            false,
        ),
        (
            "/properties/activeKey",
            json!({ "keyUrl": kid.replace("labvault", "othervault") }),
            "InvalidParameter",
            false,
        ),
        ("/properties/activeKey", json!({ "keyUrl": kid.replace("labvault", "novault") }), "KeyVaultNotFound", false),
        ("/properties/activeKey", Value::Null, "InvalidParameter", false),
        ("/properties/encryptionType", json!("Mine"), "InvalidParameter", false),
        ("/properties/federatedClientId", json!(uuid::Uuid::nil()), "InvalidParameter", true),
        ("/properties/rotationToLatestKeyVersionEnabled", json!("yes"), "InvalidParameter", false),
        ("/properties/unknown", json!(1), "BadRequest", true),
        ("/identity", Value::Null, "InvalidParameter", false),
        ("/identity", json!({ "type": "None" }), "InvalidParameter", false),
        ("/location", json!("northeurope"), "InvalidParameter", false),
    ];
    for (at, value, code, gap) in table {
        let mut body = good.clone();
        let (parent, name) = at.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[name] = value.clone();
        let reply = lab.ask("PUT", "diskEncryptionSets/des", body).await;
        assert_eq!((reply.status, reply.code()), (400, code), "{at} {value}: {reply:?}");
        assert_eq!(!reply.header("x-sealbook-gap").is_empty(), gap, "{at} {value}");
    }
    let mut rotating = lab.set_body(CONFIDENTIAL).await;
    rotating["properties"]["rotationToLatestKeyVersionEnabled"] = true.into();
    let reply = lab.ask("PUT", "diskEncryptionSets/des", rotating).await;
    assert_eq!((reply.status, reply.code()), (400, "InvalidParameter"), "keys of confidential sets don't rotate alone");
    assert_eq!(lab.ask("PUT", "diskEncryptionSets/-des", good.clone()).await.code(), "InvalidParameter");
    assert_eq!(lab.ask("PUT", "diskEncryptionSets/des", good).await.status, 202);
}

#[tokio::test]
async fn sets_are_made_changed_listed_and_deleted() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    let body = lab.set_body(CUSTOMER).await;
    let made = lab.done("PUT", "diskEncryptionSets/des", body.clone()).await;
    let properties = &made["properties"];
    assert_eq!(properties["activeKey"], body["properties"]["activeKey"]);
    assert_eq!((&properties["encryptionType"], &properties["previousKeys"]), (&json!(CUSTOMER), &json!([])));
    assert!(properties["lastKeyRotationTimestamp"].is_string() && made["identity"]["principalId"].is_string());

    let tagged = lab.done("PATCH", "diskEncryptionSets/des", json!({ "tags": { "a": "b" } })).await;
    assert_eq!((&tagged["tags"]["a"], &tagged["properties"]["activeKey"]), (&json!("b"), &properties["activeKey"]));
    let kind = json!({ "properties": { "encryptionType": CONFIDENTIAL } });
    assert_eq!(lab.ask("PATCH", "diskEncryptionSets/des", kind).await.code(), "PropertyChangeNotAllowed");

    for path in ["resourceGroups/lab/providers", "providers"] {
        let path = format!("{}/{path}/Microsoft.Compute/diskEncryptionSets?{}", cloud.subscription(), super::API);
        let listed = lab.me.arm("GET", &path, Value::Null).await;
        assert_eq!(listed.body["value"][0]["id"], made["id"], "{listed:?}");
    }
    assert_eq!(lab.ask("DELETE", "diskEncryptionSets/des", Value::Null).await.status, 202);
    cloud.advance(1);
    assert_eq!(lab.ask("GET", "diskEncryptionSets/des", Value::Null).await.code(), "ResourceNotFound");
}

#[tokio::test]
async fn a_set_in_use_lists_its_users_and_stays() {
    let cloud = testing::cloud();
    let lab = Lab::with_set(&cloud).await;
    let associated = async || {
        let reply = lab.ask("GET", "diskEncryptionSets/des/associatedResources", Value::Null).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body["value"].clone()
    };
    assert_eq!(associated().await, json!([]));
    let disk = lab.disk("os", "des").await;
    assert_eq!(associated().await, json!([disk["id"]]));
    let reply = lab.ask("DELETE", "diskEncryptionSets/des", Value::Null).await;
    assert_eq!((reply.status, reply.code()), (409, "OperationNotAllowed"));
    let missing = lab.ask("GET", "diskEncryptionSets/none/associatedResources", Value::Null).await;
    assert_eq!(missing.code(), "ResourceNotFound");
    lab.ask("DELETE", "disks/os", Value::Null).await;
    cloud.advance(1);
    assert_eq!(associated().await, json!([]));
    assert_eq!(lab.ask("DELETE", "diskEncryptionSets/des", Value::Null).await.status, 202);
}
