//! Subscriptions, resource groups, registration, api-versions.

use serde_json::{Value, json};

use crate::testing;

#[tokio::test]
async fn resource_group_lives_and_dies() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let group = format!("{}/resourceGroups/lab", cloud.subscription());
    let path = format!("{group}?api-version=2024-11-01");
    assert_eq!(me.arm("GET", &path, Value::Null).await.code(), "ResourceGroupNotFound");
    assert_eq!(me.arm("HEAD", &path, Value::Null).await.status, 404);
    let body = json!({ "location": "Italy North", "tags": { "a": "b" } });
    let lower = path.replace("resourceGroups", "resourcegroups");
    let made = me.arm("PUT", &lower, body.clone()).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.body["location"], "italynorth");
    assert_eq!(made.body["type"], "Microsoft.Resources/resourceGroups");
    assert_eq!(made.body["properties"]["provisioningState"], "Succeeded");
    assert_eq!(me.arm("PUT", &path, body).await.status, 200);
    assert_eq!(me.arm("HEAD", &path, Value::Null).await.status, 204);
    let moved = me.arm("PUT", &path, json!({ "location": "westeurope" })).await;
    assert_eq!((moved.status, moved.code()), (409, "InvalidResourceGroupLocation"));
    let patched = me.arm("PATCH", &path, json!({ "tags": { "x": "y" } })).await;
    assert_eq!(patched.body["tags"], json!({ "x": "y" }));
    let list = format!("{}/resourcegroups?api-version=2024-11-01", cloud.subscription());
    assert_eq!(me.arm("GET", &list, Value::Null).await.body["value"].as_array().unwrap().len(), 1);

    let deleted = me.arm("DELETE", &path, Value::Null).await;
    assert_eq!(deleted.status, 202);
    let location = deleted.header("location").to_owned();
    assert!(!deleted.header("retry-after").is_empty());
    assert_eq!(me.arm("DELETE", &path, Value::Null).await.header("location"), location, "the same operation");
    let state = me.arm("GET", &path, Value::Null).await;
    assert_eq!(state.body["properties"]["provisioningState"], "Deleting");
    let refused = me.arm("PUT", &path, json!({ "location": "italynorth" })).await;
    assert_eq!((refused.status, refused.code()), (409, "ResourceGroupBeingDeleted"));
    let poll = me.send("GET", &location, None).await;
    assert_eq!((poll.status, poll.header("location")), (202, location.as_str()));
    cloud.advance(1);
    assert_eq!(me.send("GET", &location, None).await.status, 200);
    assert_eq!(me.arm("GET", &path, Value::Null).await.status, 404);
    assert_eq!(me.arm("DELETE", &path, Value::Null).await.status, 404);
}

#[tokio::test]
async fn bad_groups_are_refused() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let long = "x".repeat(91);
    let table = [
        ("lab", json!({}), 400, "LocationRequired"),
        ("lab", json!({ "location": "atlantis" }), 400, "LocationNotAvailableForResourceGroup"),
        ("lab.", json!({ "location": "westus" }), 400, "InvalidParameter"),
        (long.as_str(), json!({ "location": "westus" }), 400, "InvalidParameter"),
        ("lab", json!({ "location": "westus", "tags": { "a": 1 } }), 400, "InvalidTagNameOrValue"),
        ("lab", Value::Null, 400, "MissingRequestBody"),
    ];
    for (name, body, status, code) in table {
        let path = format!("{}/resourceGroups/{name}?api-version=2024-11-01", cloud.subscription());
        let reply = me.arm("PUT", &path, body).await;
        assert_eq!((reply.status, reply.code()), (status, code), "{name}");
    }
}

#[tokio::test]
async fn versions_and_paths_are_checked_as_azure_does() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let s = cloud.subscription();
    let other = "/subscriptions/00000000-0000-0000-0000-000000000000";
    let table = [
        (format!("{s}/resourceGroups/lab"), 400, "MissingApiVersionParameter", false),
        (format!("{s}/resourceGroups/lab?api-version=1999-01-01"), 400, "InvalidApiVersionParameter", false),
        (format!("{s}/providers/Microsoft.Compute/skus?api-version=2024-11-01"), 404, "InvalidResourceType", false),
        (
            format!("{s}/providers/Microsoft.Nothing/things?api-version=2024-11-01"),
            404,
            "InvalidResourceNamespace",
            true,
        ),
        (format!("{s}/providers/Microsoft.Compute/galaxies?api-version=2024-11-01"), 404, "InvalidResourceType", true),
        ("/nothing?api-version=2024-11-01".to_owned(), 404, "InvalidRequestUri", true),
        (format!("{other}/resourceGroups?api-version=2024-11-01"), 404, "SubscriptionNotFound", false),
        ("/subscriptions/x/resourceGroups?api-version=2024-11-01".to_owned(), 400, "InvalidSubscriptionId", false),
    ];
    for (path, status, code, gap) in table {
        let reply = me.arm("GET", &path, Value::Null).await;
        assert_eq!((reply.status, reply.code()), (status, code), "{path}");
        assert_eq!(!reply.header("x-sealbook-gap").is_empty(), gap, "{path}");
    }
    let reply = me.arm("DELETE", &format!("{s}/locations?api-version=2022-12-01"), Value::Null).await;
    assert_eq!((reply.status, reply.header("allow")), (405, "GET"));
}

#[tokio::test]
async fn hosts_that_are_not_emulated_are_refused_by_name() {
    let cloud = testing::cloud();
    let reply = cloud.anonymous().raw("GET", "https://example.com/", &[], bytes::Bytes::new()).await.unwrap();
    assert_eq!((reply.status, reply.code()), (421, "HostNotEmulated"));
    assert_eq!(reply.header("x-sealbook-gap"), "the host example.com");
}

#[tokio::test]
async fn providers_must_be_registered() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let s = cloud.subscription();
    let provider = format!("{s}/providers/Microsoft.KeyVault");
    let state = async || {
        let reply = me.arm("GET", &format!("{provider}?api-version=2021-04-01"), Value::Null).await;
        reply.body["registrationState"].as_str().unwrap().to_owned()
    };
    assert_eq!(state().await, "NotRegistered");
    me.arm("PUT", &format!("{s}/resourceGroups/lab?api-version=2024-11-01"), json!({ "location": "westus" })).await;
    let vault = format!("{s}/resourceGroups/lab/providers/Microsoft.KeyVault/vaults/v-0123?api-version=2023-07-01");
    let body = json!({ "location": "westus", "properties": { "tenantId": cloud.seed.tenant, "sku": { "family": "A", "name": "standard" } } });
    let refused = me.arm("PUT", &vault, body).await;
    assert_eq!((refused.status, refused.code()), (409, "MissingSubscriptionRegistration"));
    let registered = me.arm("POST", &format!("{provider}/register?api-version=2021-04-01"), Value::Null).await;
    assert_eq!(registered.body["registrationState"], "Registering");
    cloud.advance(1);
    assert_eq!(state().await, "Registered");
}

#[tokio::test]
async fn subscription_and_tenant_are_listed() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let found = me.arm("GET", "/subscriptions?api-version=2022-12-01", Value::Null).await;
    assert_eq!(found.body["value"][0]["subscriptionId"], cloud.seed.subscription);
    let found = me.arm("GET", "/tenants?api-version=2022-12-01", Value::Null).await;
    assert_eq!(found.body["value"][0]["tenantId"], cloud.seed.tenant);
    let path = format!("{}/locations?api-version=2022-12-01", cloud.subscription());
    let found = me.arm("GET", &path, Value::Null).await;
    assert!(found.body["value"].as_array().unwrap().iter().any(|l| l["name"] == "italynorth"));
    assert!(!found.header("x-ms-ratelimit-remaining-subscription-reads").is_empty());
}

#[tokio::test]
async fn odd_names_are_names_or_refused() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let groups = format!("{}/resourceGroups", cloud.subscription());
    let at = json!({ "location": "westus" });
    let group = format!("{groups}/providers");
    let made = me.arm("PUT", &format!("{group}?api-version=2024-11-01"), at.clone()).await;
    assert_eq!((made.status, &made.body["type"]), (201, &json!("Microsoft.Resources/resourceGroups")), "{made:?}");
    let listed = me.arm("GET", &format!("{groups}?api-version=2024-11-01"), Value::Null).await;
    assert_eq!(listed.body["value"][0]["name"], "providers");
    let thing = format!("{group}/providers/Test.Fixture/things/providers?api-version=2026-01-01");
    let made = me.arm("PUT", &thing, at.clone()).await;
    assert_eq!((made.status, &made.body["type"]), (200, &json!("Test.Fixture/things")), "{made:?}");
    for name in ["%1b%5b31mred", "two%0alines", "bell%07", "%7f", "%c2%9b31m"] {
        let path = format!("{group}/providers/Test.Fixture/things/{name}?api-version=2026-01-01");
        let refused = me.arm("PUT", &path, at.clone()).await;
        assert_eq!((refused.status, refused.code()), (400, "InvalidRequestUri"), "{name}");
    }
}
