//! Pools on Azure Resource Manager: their life, their names, their bill.

use serde_json::{Value, json};

use super::super::{Lab, message, oid, refusal};
use crate::testing;

const DAY: u64 = 86_400;

#[tokio::test]
async fn a_pool_is_made_in_the_background_and_waits_for_activation() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    let id = lab.pool_id("pool");
    let made = lab.arm("PUT", &id, lab.pool_body(json!({})).await).await;
    assert_eq!((made.status, made.bytes.len()), (202, 0));
    let location = made.header("location").to_owned();
    assert!(location.contains("/locations/westeurope/managedHsmOperationResults/"), "{location}");
    assert_eq!(lab.me.send("GET", &location, None).await.status, 202);
    assert_eq!(lab.arm("GET", &id, Value::Null).await.body["properties"]["provisioningState"], "Provisioning");
    cloud.advance(3);
    let done = lab.me.send("GET", &location, None).await;
    assert_eq!(done.status, 200);
    let read = lab.arm("GET", &id, Value::Null).await.body;
    assert_eq!(done.body, read);
    assert_eq!(read["sku"], json!({ "name": "Standard_B1", "family": "B" }));
    let properties = &read["properties"];
    for (name, expected) in [
        ("provisioningState", json!("Succeeded")),
        ("hsmUri", json!("https://pool.managedhsm.azure.net/")),
        ("softDeleteRetentionInDays", json!(7)),
        ("enablePurgeProtection", json!(false)),
        ("initialAdminObjectIds", json!([oid(&lab.me).await])),
        ("statusMessage", json!("The Managed HSM is provisioned and ready to use.")),
    ] {
        assert_eq!(properties[name], expected, "{name}");
    }
    assert_eq!(properties["securityDomainProperties"]["activationStatus"], "NotActivated");
    lab.activate("pool").await;
    let read = lab.arm("GET", &id, Value::Null).await.body;
    assert_eq!(read["properties"]["securityDomainProperties"]["activationStatus"], "Active");
    for list in
        ["providers/Microsoft.KeyVault/managedHSMs", "resourceGroups/lab/providers/Microsoft.KeyVault/managedHSMs"]
    {
        let listed = lab.arm("GET", &lab.in_subscription(list), Value::Null).await;
        assert_eq!(listed.body["value"], json!([read]), "{list}");
    }
}

#[tokio::test]
async fn updates_change_what_may_change() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    lab.pool("pool", json!({})).await;
    let id = lab.pool_id("pool");
    let read = lab.arm("GET", &id, Value::Null).await.body;
    let written = lab.arm("PUT", &id, read.clone()).await;
    assert_eq!((written.status, &written.body["properties"]), (200, &read["properties"]), "what was read");
    let changed =
        lab.arm("PATCH", &id, json!({ "tags": { "a": "b" }, "properties": { "enablePurgeProtection": true } })).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(
        (&changed.body["tags"]["a"], &changed.body["properties"]["enablePurgeProtection"]),
        (&json!("b"), &json!(true))
    );
    let rows = [
        ("PATCH", json!({ "properties": { "enablePurgeProtection": false } }), "irreversible action"),
        ("PATCH", json!({ "properties": { "softDeleteRetentionInDays": 8 } }), "can't be modified"),
        ("PATCH", json!({ "sku": { "name": "Custom_B32", "family": "B" } }), "can't be modified"),
        ("PATCH", json!({ "identity": { "type": "SystemAssigned" } }), "has no identity"),
    ];
    for (method, body, expected) in rows {
        let reply = lab.arm(method, &id, body.clone()).await;
        assert_eq!(reply.status, 400, "{body}");
        assert!(message(&reply).contains(expected), "{}", message(&reply));
    }
    let elsewhere = lab.arm("PUT", &id, json!({ "location": "northeurope", "properties": {} })).await;
    assert_eq!(refusal(&elsewhere), (409, "InvalidResourceLocation", ""));
    assert_eq!(lab.arm("PATCH", &lab.pool_id("none"), json!({})).await.code(), "ResourceNotFound");
    assert_eq!(lab.arm("GET", &lab.pool_id("none"), Value::Null).await.code(), "ResourceNotFound");
}

#[tokio::test]
async fn a_deleted_pool_keeps_its_name_and_comes_back_with_everything() {
    let cloud = testing::cloud();
    let lab = Lab::with_pool(&cloud).await;
    lab.hsm_key("kek", json!({})).await;
    let id = lab.pool_id("pool");
    let deleted = lab.arm("DELETE", &id, Value::Null).await;
    assert_eq!(deleted.status, 202);
    cloud.advance(3);
    assert_eq!(lab.me.send("GET", deleted.header("location"), None).await.status, 204);
    assert_eq!(lab.arm("DELETE", &id, Value::Null).await.status, 204);
    assert_eq!(lab.hsm("pool", "GET", "/keys/kek", Value::Null).await.status, 404);
    let gone = lab.in_subscription("providers/Microsoft.KeyVault/locations/westeurope/deletedManagedHSMs/pool");
    let shown = lab.arm("GET", &gone, Value::Null).await;
    assert_eq!((shown.status, &shown.body["properties"]["mhsmId"]), (200, &json!(id)));
    let listed =
        lab.arm("GET", &lab.in_subscription("providers/Microsoft.KeyVault/deletedManagedHSMs"), Value::Null).await;
    assert_eq!(listed.body["value"], json!([shown.body]));
    let again = lab.arm("PUT", &id, lab.pool_body(json!({})).await).await;
    assert_eq!(refusal(&again), (409, "ConflictError", ""));
    let available = lab.in_subscription("providers/Microsoft.KeyVault/checkMhsmNameAvailability");
    for (name, free, reason) in [
        ("pool", false, json!("AlreadyExists")),
        ("1pool", false, json!("AccountNameInvalid")),
        ("other", true, Value::Null),
    ] {
        let reply = lab.arm("POST", &available, json!({ "name": name })).await;
        assert_eq!((&reply.body["nameAvailable"], &reply.body["reason"]), (&json!(free), &reason), "{name}");
    }
    assert_eq!(lab.arm("POST", &available, json!({})).await.status, 400);
    let recovered = lab.arm("PUT", &id, lab.pool_body(json!({ "createMode": "recover" })).await).await;
    assert_eq!(recovered.status, 202);
    cloud.advance(3);
    let back = lab.hsm("pool", "GET", "/keys/kek", Value::Null).await;
    assert_eq!(back.status, 200, "keys, activation and local roles are back: {}", back.body);
    let none = lab.arm("PUT", &lab.pool_id("none"), lab.pool_body(json!({ "createMode": "recover" })).await).await;
    assert_eq!(refusal(&none), (404, "ManagedHsmNotFound", ""));
}

#[tokio::test]
async fn purge_frees_the_name_unless_purge_protection_forbids_it() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    lab.pool("open", json!({})).await;
    lab.pool("protected", json!({ "enablePurgeProtection": true })).await;
    let purge = |name: &str| {
        lab.in_subscription(&format!(
            "providers/Microsoft.KeyVault/locations/westeurope/deletedManagedHSMs/{name}/purge"
        ))
    };
    assert_eq!(lab.arm("POST", &purge("open"), json!({})).await.code(), "DeletedManagedHsmNotFound");
    for name in ["open", "protected"] {
        lab.arm("DELETE", &lab.pool_id(name), Value::Null).await;
    }
    assert_eq!(refusal(&lab.arm("POST", &purge("protected"), json!({})).await), (405, "MethodNotAllowed", ""));
    let purged = lab.arm("POST", &purge("open"), json!({})).await;
    assert_eq!(purged.status, 202);
    cloud.advance(3);
    assert_eq!(lab.me.send("GET", purged.header("location"), None).await.status, 200);
    lab.pool("open", json!({})).await;
    assert_eq!(lab.hsm("open", "GET", "/keys", Value::Null).await.status, 403, "a new pool is not activated");
    cloud.advance(7 * DAY);
    assert_eq!(lab.arm("POST", &purge("protected"), json!({})).await.code(), "DeletedManagedHsmNotFound");
    lab.pool("protected", json!({})).await;
}

#[tokio::test]
async fn names_are_taken_worldwide_and_by_pools_alone() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    lab.vault("pool", json!({})).await;
    lab.pool("pool", json!({})).await;
    lab.group("other").await;
    let elsewhere = lab.in_subscription("resourceGroups/other/providers/Microsoft.KeyVault/managedHSMs/POOL");
    let taken = lab.arm("PUT", &elsewhere, lab.pool_body(json!({})).await).await;
    assert_eq!(refusal(&taken), (409, "ManagedHsmAlreadyExists", ""));
    let bad = lab.arm("PUT", &lab.pool_id("a--b"), lab.pool_body(json!({})).await).await;
    assert_eq!(refusal(&bad), (400, "ManagedHsmNameNotValid", ""));
    let group = lab.arm("DELETE", &lab.in_subscription("resourceGroups/lab"), Value::Null).await;
    assert_eq!(group.status, 202);
    cloud.advance(60);
    let listed =
        lab.arm("GET", &lab.in_subscription("providers/Microsoft.KeyVault/deletedManagedHSMs"), Value::Null).await;
    assert_eq!(listed.body["value"][0]["name"], "pool", "the group took the pool with it");
}

#[tokio::test]
async fn a_pool_is_billed_until_it_is_purged() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    assert_eq!(cloud.cloud.hsm_bills().unwrap(), []);
    let start = cloud.cloud.now().unwrap();
    lab.pool("pool", json!({})).await;
    cloud.advance(DAY - 3);
    let bill = cloud.cloud.hsm_bills().unwrap().remove(0);
    let now = cloud.cloud.now().unwrap();
    assert_eq!((bill.id.as_str(), bill.since, bill.usd_per_hour), (lab.pool_id("pool").as_str(), start, Some(3.2)));
    assert_eq!((bill.spent(now).map(f64::round), bill.remaining(now)), (Some(77.0), None), "76.80 a day, and no end");
    lab.arm("DELETE", &lab.pool_id("pool"), Value::Null).await;
    let bill = cloud.cloud.hsm_bills().unwrap().remove(0);
    let left = bill.remaining(now).unwrap();
    assert!((left - 537.6).abs() < 0.01, "seven days of retention: {left}");
    cloud.advance(7 * DAY);
    assert_eq!(cloud.cloud.hsm_bills().unwrap(), []);
}
