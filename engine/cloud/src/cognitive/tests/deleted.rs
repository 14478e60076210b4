//! Soft delete.

use serde_json::{Value, json};

use super::{account, ask, group, lab, make, named, outcome, regional};
use crate::testing::{Reply, TestCloud};

const HOUR: u64 = 3600;

/// An account that was just deleted.
async fn deleted() -> TestCloud {
    let cloud = lab().await;
    make(&cloud, "foundry", named("foundry")).await;
    let gone = ask(&cloud, "DELETE", &account(&cloud, "foundry"), Value::Null).await;
    assert_eq!(gone.status, 202, "{gone:?}");
    cloud.advance(5);
    cloud
}

async fn at(cloud: &TestCloud, method: &str, location: &str, name: &str) -> Reply {
    let path = regional(cloud, &format!("locations/{location}/resourceGroups/lab/deletedAccounts/{name}"));
    cloud.learner().arm(method, &path, Value::Null).await
}

async fn listed(cloud: &TestCloud) -> usize {
    let reply = cloud.learner().arm("GET", &regional(cloud, "deletedAccounts"), Value::Null).await;
    reply.body["value"].as_array().unwrap().len()
}

#[tokio::test]
async fn names_stay_taken_until_the_purge() {
    let cloud = deleted().await;
    let path = account(&cloud, "foundry");
    assert_eq!(outcome(&ask(&cloud, "GET", &path, Value::Null).await), "404 ResourceNotFound");
    assert_eq!(listed(&cloud).await, 1);
    let shown = at(&cloud, "GET", "westeurope", "foundry").await.body;
    assert!(
        shown["properties"]["scheduledPurgeDate"].as_str() > shown["properties"]["deletionDate"].as_str(),
        "{shown}"
    );
    assert_eq!(outcome(&at(&cloud, "GET", "eastus", "foundry").await), "404 ResourceNotFound");
    assert_eq!(outcome(&ask(&cloud, "PUT", &path, named("other")).await), "409 FlagMustBeSetForRestore");
    let other = account(&cloud, "second");
    assert_eq!(outcome(&ask(&cloud, "PUT", &other, named("foundry")).await), "409 CustomDomainInUse");

    assert_eq!(at(&cloud, "DELETE", "eastus", "foundry").await.status, 204, "none there");
    assert_eq!(at(&cloud, "DELETE", "westeurope", "foundry").await.status, 200);
    assert_eq!(listed(&cloud).await, 0);
    assert_eq!(ask(&cloud, "PUT", &path, named("foundry")).await.status, 201);
}

#[tokio::test]
async fn it_is_gone_after_48_hours() {
    let cloud = deleted().await;
    cloud.advance(47 * HOUR);
    assert_eq!(listed(&cloud).await, 1);
    cloud.advance(2 * HOUR);
    assert_eq!(listed(&cloud).await, 0);
    assert_eq!(outcome(&at(&cloud, "GET", "westeurope", "foundry").await), "404 ResourceNotFound");
    assert_eq!(ask(&cloud, "PUT", &account(&cloud, "foundry"), named("foundry")).await.status, 201);
}

#[tokio::test]
async fn it_comes_back_with_its_keys_and_another_identity() {
    let cloud = lab().await;
    let before = make(&cloud, "foundry", named("foundry")).await;
    let path = account(&cloud, "foundry");
    let keys = ask(&cloud, "POST", &format!("{path}/listKeys"), Value::Null).await.body;
    ask(&cloud, "DELETE", &path, Value::Null).await;
    cloud.advance(5);
    let elsewhere = json!({ "location": "eastus", "properties": { "restore": true } });
    assert_eq!(outcome(&ask(&cloud, "PUT", &path, elsewhere).await), "404 ResourceNotFound");
    let restore = json!({ "location": "westeurope", "properties": { "restore": true } });
    let back = ask(&cloud, "PUT", &path, restore).await;
    assert_eq!(back.status, 201, "{back:?}");
    cloud.advance(5);
    let after = ask(&cloud, "GET", &path, Value::Null).await.body;
    assert_eq!(after["properties"]["internalId"], before["properties"]["internalId"]);
    assert_eq!(after["properties"]["restore"], Value::Null);
    assert_ne!(after["identity"]["principalId"], before["identity"]["principalId"]);
    assert_eq!(ask(&cloud, "POST", &format!("{path}/listKeys"), Value::Null).await.body, keys);
    assert_eq!(listed(&cloud).await, 0);
}

#[tokio::test]
async fn it_outlives_its_resource_group() {
    let cloud = lab().await;
    make(&cloud, "foundry", named("foundry")).await;
    let project = format!("{}/projects/first", account(&cloud, "foundry"));
    let body = json!({ "location": "westeurope", "identity": { "type": "SystemAssigned" }, "properties": {} });
    assert_eq!(ask(&cloud, "PUT", &project, body).await.status, 201);
    cloud.advance(5);
    assert!(cloud.cloud.identity_of(&project).unwrap().is_some());
    cloud.learner().arm("DELETE", &format!("{}?api-version=2024-11-01", group(&cloud)), Value::Null).await;
    cloud.advance(60);
    assert_eq!(listed(&cloud).await, 1);
    assert_eq!(cloud.cloud.identity_of(&project).unwrap(), None);
}
