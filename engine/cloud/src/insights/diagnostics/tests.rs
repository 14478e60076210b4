//! Diagnostic settings: what they take, and what they refuse.

use serde_json::{Value, json};

use crate::loganalytics::tests::{Lab, ask, rows};
use crate::testing;

fn to(workspace: &str, logs: Value) -> Value {
    json!({ "workspaceId": workspace, "logs": logs })
}

fn audit() -> Value {
    json!([{ "category": "AuditEvent", "enabled": true }])
}

#[tokio::test]
async fn a_setting_is_made_changed_listed_and_deleted() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    let made = lab.setting("PUT", "audit", to(&lab.workspace_id("LOGS"), audit())).await;
    assert_eq!(made.status, 200, "{made:?}");
    assert_eq!(
        made.body,
        json!({
            "id": format!("{}/providers/Microsoft.Insights/diagnosticSettings/audit", lab.vault()),
            "type": "Microsoft.Insights/diagnosticSettings",
            "name": "audit",
            "properties": {
                "workspaceId": lab.workspace_id("logs"),
                "metrics": [],
                "logs": [{
                    "category": "AuditEvent",
                    "enabled": true,
                    "retentionPolicy": { "enabled": false, "days": 0 },
                }],
            },
        })
    );
    let mut changed = to(&lab.workspace_id("logs"), json!([{ "categoryGroup": "allLogs", "enabled": true }]));
    changed["logAnalyticsDestinationType"] = "Dedicated".into();
    assert_eq!(lab.setting("PUT", "audit", changed).await.status, 200);
    let got = lab.setting("GET", "audit", Value::Null).await;
    assert_eq!(got.body["properties"]["logAnalyticsDestinationType"], "Dedicated");
    let all = format!("{}/providers/Microsoft.Insights/diagnosticSettings?api-version=2021-05-01-preview", lab.vault());
    assert_eq!(lab.me.arm("GET", &all, Value::Null).await.body["value"], json!([got.body]));
    let resources = lab.arm("GET", "/resources", "2021-04-01", Value::Null).await;
    assert!(!resources.body.to_string().contains("diagnosticSettings"), "lists leave it out");
    assert_eq!(lab.setting("DELETE", "audit", Value::Null).await.status, 200);
    assert_eq!(lab.setting("DELETE", "audit", Value::Null).await.status, 204);
    assert_eq!(lab.setting("GET", "audit", Value::Null).await.code(), "ResourceNotFound");
}

#[tokio::test]
async fn bodies_and_destinations_are_judged() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    lab.workspace("more").await;
    let here = lab.workspace_id("logs");
    let with = |member: &str, value: Value| {
        let mut body = to(&here, audit());
        body[member] = value;
        body
    };
    let log = |entry: Value| to(&here, json!([entry]));
    let retained =
        json!({ "category": "AuditEvent", "enabled": true, "retentionPolicy": { "enabled": true, "days": 7 } });
    let both = json!({ "category": "AuditEvent", "categoryGroup": "audit", "enabled": true });
    let table = [
        ("one", json!({ "logs": audit() }), 400, "BadRequest", false),
        ("one", to(&lab.workspace_id("none"), audit()), 404, "ResourceNotFound", false),
        ("one", to(&lab.vault(), audit()), 400, "BadRequest", false),
        ("one", with("storageAccountId", json!("/subscriptions/s")), 400, "BadRequest", true),
        ("one", with("eventHubAuthorizationRuleId", json!("/subscriptions/s")), 400, "BadRequest", true),
        ("one", with("metrics", json!([{ "category": "AllMetrics", "enabled": true }])), 400, "BadRequest", true),
        ("one", with("metrics", json!([{ "category": "Blips", "enabled": false }])), 400, "BadRequest", false),
        ("one", with("logAnalyticsDestinationType", json!("Somewhere")), 400, "BadRequest", false),
        ("one", log(json!({ "category": "StorageRead", "enabled": true })), 400, "BadRequest", false),
        ("one", log(json!({ "categoryGroup": "everything", "enabled": true })), 400, "BadRequest", false),
        ("one", log(json!({ "category": "AuditEvent" })), 400, "BadRequest", false),
        ("one", log(json!({ "category": "AuditEvent", "enabled": false })), 400, "BadRequest", false),
        ("one", log(both), 400, "BadRequest", false),
        ("one", log(retained), 400, "BadRequest", false),
        ("a:b", to(&here, audit()), 400, "BadRequest", false),
        ("one", with("metrics", json!([{ "category": "AllMetrics", "enabled": false }])), 200, "", false),
        ("two", to(&here, json!([{ "categoryGroup": "audit", "enabled": true }])), 409, "Conflict", false),
        ("two", log(json!({ "category": "AzurePolicyEvaluationDetails", "enabled": true })), 200, "", false),
        ("three", to(&lab.workspace_id("more"), audit()), 200, "", false),
    ];
    for (name, properties, status, code, gap) in table {
        let reply = lab.setting("PUT", name, properties.clone()).await;
        assert_eq!((reply.status, reply.code()), (status, code), "{name} {properties}");
        assert_eq!(!reply.header("x-sealbook-gap").is_empty(), gap, "{name} {properties}");
    }
    for name in ["w4", "w5", "w6"] {
        let workspace = format!("{name}-logs");
        lab.workspace(&workspace).await;
        let reply = lab.setting("PUT", name, to(&lab.workspace_id(&workspace), audit())).await;
        assert_eq!(reply.status, if name == "w6" { 400 } else { 200 }, "five at most: {name}");
    }
}

#[tokio::test]
async fn each_type_has_its_categories() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    let account = json!({ "location": "westeurope", "kind": "StorageV2", "sku": { "name": "Standard_LRS" } });
    lab.arm("PUT", "/providers/Microsoft.Storage/storageAccounts/logaccount1", "2023-05-01", account).await;
    cloud.advance(60);
    let path = format!("{}/providers/Test.Fixture/quiets/q?api-version=2026-01-01", lab.group);
    lab.me.arm("PUT", &path, json!({ "location": "westeurope", "properties": {} })).await;
    let table = [
        ("Microsoft.KeyVault/vaults/log-vault", 200, "AuditEvent,AzurePolicyEvaluationDetails,AllMetrics"),
        ("Microsoft.Storage/storageAccounts/logaccount1", 200, "Capacity,Transaction"),
        ("Microsoft.OperationalInsights/workspaces/logs", 200, "Audit,SummaryLogs,AllMetrics"),
        ("Microsoft.KeyVault/vaults/none", 404, ""),
        ("Test.Fixture/quiets/q", 400, ""),
    ];
    for (resource, status, expected) in table {
        let path = format!("/providers/{resource}/providers/Microsoft.Insights/diagnosticSettingsCategories");
        let found = lab.arm("GET", &path, "2017-05-01-preview", Value::Null).await;
        let names: Vec<&str> =
            found.body["value"].as_array().into_iter().flatten().map(|c| c["name"].as_str().unwrap()).collect();
        assert_eq!((found.status, names.join(",").as_str()), (status, expected), "{resource}: {found:?}");
    }
    let base =
        "/providers/Microsoft.KeyVault/vaults/log-vault/providers/Microsoft.Insights/diagnosticSettingsCategories";
    let one = lab.arm("GET", &format!("{base}/auditevent"), "2021-05-01-preview", Value::Null).await;
    assert_eq!(one.body["properties"]["categoryType"], "Logs");
    assert_eq!(lab.arm("GET", &format!("{base}/Blips"), "2021-05-01-preview", Value::Null).await.status, 404);
    let path = format!(
        "{}/providers/Microsoft.Insights/diagnosticSettings?api-version=2021-05-01-preview",
        cloud.subscription()
    );
    let refused = lab.me.arm("GET", &path, Value::Null).await;
    assert_eq!((refused.status, refused.header("x-sealbook-gap").is_empty()), (400, false));
}

#[tokio::test]
async fn whoever_sends_to_a_workspace_needs_a_right_in_it() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    lab.strip_tools().await;
    let contributor = "92aaf0da-9dab-42b6-94a3-d43ce8d16293";
    let tools = cloud.tools();
    let path =
        format!("{}/providers/Microsoft.Insights/diagnosticSettings/audit?api-version=2021-05-01-preview", lab.vault());
    let body = json!({ "properties": to(&lab.workspace_id("logs"), audit()) });
    assert_eq!(tools.arm("PUT", &path, body.clone()).await.code(), "AuthorizationFailed");
    lab.assign(contributor, &cloud.seed.client_oid, "ServicePrincipal", &lab.vault()).await;
    assert_eq!(tools.arm("PUT", &path, body.clone()).await.code(), "LinkedAuthorizationFailed");
    lab.assign(contributor, &cloud.seed.client_oid, "ServicePrincipal", &lab.workspace_id("logs")).await;
    assert_eq!(tools.arm("PUT", &path, body).await.status, 200);
}

#[tokio::test]
async fn a_setting_ends_with_its_deletion_or_its_resource() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    let customer = lab.workspace("other").await;
    lab.send_to("other", true).await;
    lab.keys(&lab.me, "GET", "", Value::Null).await;
    assert_eq!(lab.setting("DELETE", "other", Value::Null).await.status, 200);
    lab.keys(&lab.me, "GET", "", Value::Null).await;
    cloud.advance(3);
    let query = json!({ "query": "AZKVAuditLogs" });
    assert_eq!(rows(&ask(&lab.me, &customer, query.clone()).await).len(), 1, "what was sent stays");
    lab.send_to("other", true).await;
    lab.about("DELETE", "other", Value::Null).await;
    lab.keys(&lab.me, "GET", "", Value::Null).await;
    lab.workspace("other").await;
    assert_eq!(rows(&ask(&lab.me, &customer, query).await).len(), 1, "a deleted workspace receives nothing");
    let vault = "/providers/Microsoft.KeyVault/vaults/log-vault";
    assert_eq!(lab.arm("DELETE", vault, "2026-02-01", Value::Null).await.status, 200);
    assert_eq!(lab.setting("GET", "other", Value::Null).await.status, 404);
}
