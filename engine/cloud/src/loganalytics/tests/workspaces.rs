//! The resource type: what is made, recovered and refused.

use serde_json::{Value, json};

use super::Lab;
use crate::testing::{self, Client};

fn at(location: &str, properties: Value) -> Value {
    json!({ "location": location, "properties": properties })
}

#[tokio::test]
async fn a_workspace_is_made_changed_and_listed() {
    let cloud = testing::cloud();
    let lab = Lab::empty(&cloud).await;
    let body = at(
        "West Europe",
        json!({
            "retentionInDays": 30,
            "sku": { "name": "PerGB2018" },
            "publicNetworkAccessForIngestion": "Enabled",
            "publicNetworkAccessForQuery": "Enabled",
        }),
    );
    let made = lab.about("PUT", "logs", body).await;
    assert_eq!((made.status, &made.body["properties"]["provisioningState"]), (201, &json!("Creating")), "{made:?}");
    assert!(made.header("azure-asyncoperation").contains("/operationStatuses/"));
    cloud.advance(5);
    let poll = lab.me.send("GET", made.header("azure-asyncoperation"), None).await;
    assert_eq!(poll.body["status"], "Succeeded");
    let got = lab.about("GET", "LOGS", Value::Null).await;
    let properties = &got.body["properties"];
    assert_eq!(properties["provisioningState"], "Succeeded");
    assert_eq!((&properties["sku"]["name"], &properties["retentionInDays"]), (&json!("PerGB2018"), &json!(30)));
    assert_eq!(properties["customerId"], made.body["properties"]["customerId"]);
    let changes = json!({ "tags": { "a": "b" }, "properties": { "retentionInDays": 90 } });
    let changed = lab.about("PATCH", "logs", changes).await;
    assert_eq!((changed.status, &changed.body["properties"]["retentionInDays"]), (200, &json!(90)), "{changed:?}");
    assert_eq!(changed.body["properties"]["customerId"], properties["customerId"]);
    cloud.advance(5);
    for scope in [lab.group.clone(), cloud.subscription()] {
        let path = format!("{scope}/providers/Microsoft.OperationalInsights/workspaces?api-version=2025-02-01");
        assert_eq!(lab.me.arm("GET", &path, Value::Null).await.body["value"][0]["name"], "logs", "{scope}");
    }
}

#[tokio::test]
async fn names_tiers_and_retentions_are_judged() {
    let cloud = testing::cloud();
    let lab = Lab::empty(&cloud).await;
    let here = |properties: Value| at("westeurope", properties);
    let table = [
        ("abc", here(json!({})), 400, "InvalidParameter", false),
        ("-logs", here(json!({})), 400, "InvalidParameter", false),
        ("my_logs", here(json!({})), 400, "InvalidParameter", false),
        ("logs", here(json!({ "retentionInDays": 29 })), 400, "InvalidParameter", false),
        ("logs", here(json!({ "retentionInDays": 731 })), 400, "InvalidParameter", false),
        ("logs", here(json!({ "retentionInDays": "30" })), 400, "InvalidParameter", false),
        ("logs", here(json!({ "sku": { "name": "Free" } })), 400, "InvalidParameter", false),
        ("logs", here(json!({ "sku": { "name": "CapacityReservation" } })), 400, "InvalidParameter", true),
        ("logs", here(json!({ "replication": { "enabled": true } })), 400, "InvalidParameter", true),
        ("logs", here(json!({ "workspaceCapping": { "dailyQuotaGb": 1 } })), 400, "InvalidParameter", true),
        ("logs", here(json!({ "publicNetworkAccessForQuery": "Perhaps" })), 400, "InvalidParameter", false),
        ("logs", at("moon", json!({})), 400, "LocationNotAvailableForResourceType", false),
        ("logs", here(json!({ "retentionInDays": 730, "workspaceCapping": { "dailyQuotaGb": -1 } })), 201, "", false),
    ];
    for (name, body, status, code, gap) in table {
        let reply = lab.about("PUT", name, body.clone()).await;
        assert_eq!((reply.status, reply.code()), (status, code), "{name} {body}");
        assert_eq!(!reply.header("x-sealbook-gap").is_empty(), gap, "{name} {body}");
    }
    let other = cloud.subscription();
    let path = format!("{other}/providers/Microsoft.OperationalInsights?api-version=2021-04-01");
    let found = lab.me.arm("GET", &path, Value::Null).await;
    assert_eq!(found.body["registrationState"], "Registered");
}

/// Names of the deleted workspaces, and the customer id of the first.
async fn deleted(lab: &Lab<'_>, scope: &str) -> Vec<Value> {
    let path =
        format!("{scope}/providers/Microsoft.OperationalInsights/deletedWorkspaces?api-version=2021-12-01-preview");
    let found = lab.me.arm("GET", &path, Value::Null).await;
    found.body["value"].as_array().unwrap().iter().map(|w| w["properties"]["customerId"].clone()).collect()
}

#[tokio::test]
async fn deleted_workspaces_come_back_for_fourteen_days() {
    let cloud = testing::cloud();
    let lab = Lab::empty(&cloud).await;
    let customer = json!(lab.workspace("logs").await);
    let gone = lab.about("DELETE", "logs", Value::Null).await;
    assert_eq!((gone.status, lab.about("DELETE", "logs", Value::Null).await.status), (200, 204));
    assert_eq!(lab.about("GET", "logs", Value::Null).await.code(), "ResourceNotFound");
    for scope in [lab.group.clone(), cloud.subscription()] {
        assert_eq!(deleted(&lab, &scope).await, std::slice::from_ref(&customer), "{scope}");
    }
    let elsewhere = lab.about("PUT", "logs", json!({ "location": "eastus" })).await;
    assert_eq!((elsewhere.status, elsewhere.code()), (409, "InvalidResourceLocation"));
    cloud.advance(13 * 86_400);
    assert_eq!(json!(lab.workspace("logs").await), customer, "recovered as it was");
    assert!(deleted(&lab, &lab.group).await.is_empty());
    lab.about("DELETE", "logs", Value::Null).await;
    cloud.advance(14 * 86_400 + 1);
    assert_ne!(json!(lab.workspace("logs").await), customer, "too late: a new one");
    assert_eq!(lab.about("DELETE", "logs?force=true", Value::Null).await.status, 200);
    assert!(deleted(&lab, &lab.group).await.is_empty(), "gone for good");
}

#[tokio::test]
async fn a_group_takes_its_workspaces_along() {
    let cloud = testing::cloud();
    let lab = Lab::empty(&cloud).await;
    let customer = lab.workspace("logs").await;
    assert_eq!(lab.arm("DELETE", "", "2024-11-01", Value::Null).await.status, 202);
    cloud.advance(60);
    assert_eq!(deleted(&lab, &cloud.subscription()).await, [json!(customer)]);
}

async fn keys(lab: &Lab<'_>, client: &Client<'_>, action: &str) -> (u16, Value) {
    let path = format!("{}/{action}?api-version=2020-08-01", lab.workspace_id("logs"));
    let reply = client.arm("POST", &path, Value::Null).await;
    (reply.status, reply.body)
}

#[tokio::test]
async fn the_shared_keys_are_for_those_who_may_have_them() {
    let cloud = testing::cloud();
    let lab = Lab::empty(&cloud).await;
    lab.workspace("logs").await;
    let (status, first) = keys(&lab, &lab.me, "sharedKeys").await;
    assert_eq!(status, 200);
    assert_eq!(keys(&lab, &lab.me, "listKeys").await, (200, first.clone()));
    assert_ne!(first["primarySharedKey"], first["secondarySharedKey"]);
    assert_eq!(first["primarySharedKey"].as_str().unwrap().len(), 88, "64 bytes in base64");
    lab.strip_tools().await;
    let reader = "73c42c96-874c-492b-b04d-ab87d138a893";
    lab.assign(reader, &cloud.seed.client_oid, "ServicePrincipal", &lab.workspace_id("logs")).await;
    let tools = cloud.tools();
    for action in ["sharedKeys", "listKeys"] {
        let (status, body) = keys(&lab, &tools, action).await;
        assert_eq!((status, &body["error"]["code"]), (403, &json!("AuthorizationFailed")), "{action}");
    }
}

#[tokio::test]
async fn tables_can_be_looked_at_and_not_changed() {
    let cloud = testing::cloud();
    let lab = Lab::empty(&cloud).await;
    lab.workspace("logs").await;
    let all = lab.about("GET", "logs/tables", Value::Null).await;
    let names: Vec<&str> =
        all.body["value"].as_array().unwrap().iter().map(|table| table["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["AzureDiagnostics", "AZKVAuditLogs"]);
    let one = lab.about("GET", "logs/tables/azkvauditlogs", Value::Null).await;
    assert_eq!((one.status, &one.body["properties"]["retentionInDays"]), (200, &json!(30)));
    let missing = lab.about("GET", "logs/tables/Heartbeat", Value::Null).await;
    assert_eq!((missing.status, missing.code()), (404, "ResourceNotFound"));
    assert!(!missing.header("x-sealbook-gap").is_empty());
    let changed = lab.about("PUT", "logs/tables/AzureDiagnostics", json!({})).await;
    assert_eq!((changed.status, changed.header("x-sealbook-gap").is_empty()), (405, false));
    assert_eq!(lab.about("GET", "none/tables", Value::Null).await.code(), "ResourceNotFound");
}
