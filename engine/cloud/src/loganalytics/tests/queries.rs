//! The audit log in a workspace: what arrives, when, and who may read it.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Lab, ask, rows};
use crate::testing;

/// Who did what with the keys of a vault.
const OPERATIONS: &str = r#"AzureDiagnostics
| where ResourceProvider == "MICROSOFT.KEYVAULT" and Category == "AuditEvent"
| where _ResourceId =~ "{resource}"
| where TimeGenerated > ago(1d)
| project TimeGenerated, OperationName, ResultType, httpStatusCode_d, id_s, identity_claim_oid_g, identity_claim_appid_g, CallerIPAddress, CorrelationId
| order by TimeGenerated asc"#;

/// What was denied.
const DENIED: &str = r#"AzureDiagnostics
| where ResourceProvider == "MICROSOFT.KEYVAULT" and Category == "AuditEvent"
| where _ResourceId =~ "{resource}"
| where httpStatusCode_d in (401, 403)
| project TimeGenerated, OperationName, ResultSignature, ResultDescription, identity_claim_oid_g, requestUri_s
| order by TimeGenerated desc"#;

/// Which keys were released; the name of the operation differs between Azure's own pages.
const RELEASES: &str = r#"AzureDiagnostics
| where ResourceProvider == "MICROSOFT.KEYVAULT" and Category == "AuditEvent"
| where _ResourceId =~ "{resource}"
| where OperationName in ("SecureKeyRelease", "KeyRelease")
| project TimeGenerated, OperationName, ResultType, httpStatusCode_d, id_s, identity_claim_oid_g
| order by TimeGenerated asc"#;

const READER: &str = "73c42c96-874c-492b-b04d-ab87d138a893";

fn about(query: &str, lab: &Lab<'_>) -> Value {
    json!({ "query": query.replace("{resource}", &lab.vault()), "timespan": "P1D" })
}

#[tokio::test]
async fn the_three_questions_of_the_labs_are_answered() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    let customer = lab.workspace("other").await;
    let key = json!({ "kty": "RSA" });
    assert_eq!(lab.keys(&lab.me, "POST", "/early/create", key.clone()).await, 200);
    lab.send_to("other", false).await;
    assert_eq!(lab.keys(&lab.me, "POST", "/kek/create", key).await, 200);
    cloud.advance(10);
    assert_eq!(lab.keys(&cloud.tools(), "GET", "/kek", Value::Null).await, 403);
    cloud.advance(10);
    let release = lab.keys(&lab.me, "POST", "/kek/release", json!({ "target": "token" })).await;
    assert!(release >= 400, "{release}");
    cloud.advance(10);

    let reply = ask(&lab.me, &customer, about(OPERATIONS, &lab)).await;
    let columns = reply.body["tables"][0]["columns"].as_array().unwrap();
    let columns: Vec<(&str, &str)> =
        columns.iter().map(|c| (c["name"].as_str().unwrap(), c["type"].as_str().unwrap())).collect();
    assert_eq!(reply.body["tables"][0]["name"], "PrimaryResult");
    assert_eq!(
        columns[..4],
        [
            ("TimeGenerated", "datetime"),
            ("OperationName", "string"),
            ("ResultType", "string"),
            ("httpStatusCode_d", "real"),
        ]
    );
    let found: Vec<(&str, f64, &str)> = rows(&reply)
        .iter()
        .map(|row| (row[1].as_str().unwrap(), row[3].as_f64().unwrap(), row[5].as_str().unwrap()))
        .collect();
    let (learner, tools) = (cloud.seed.user_oid.as_str(), cloud.seed.client_oid.as_str());
    assert_eq!(
        found,
        [("KeyCreate", 200.0, learner), ("KeyGet", 403.0, tools), ("KeyRelease", f64::from(release), learner)],
        "nothing from before the setting"
    );
    assert!(rows(&reply)[0][4].as_str().unwrap().starts_with("https://log-vault.vault.azure.net/keys/kek/"));

    let reply = ask(&lab.me, &customer, about(DENIED, &lab)).await;
    let denied = rows(&reply);
    let get = denied.iter().find(|row| row[1] == "KeyGet").unwrap();
    assert_eq!((&get[2], &get[3], &get[4]), (&json!("Forbidden"), &json!("ForbiddenByRbac"), &json!(tools)));
    let reply = ask(&lab.me, &customer, about(RELEASES, &lab)).await;
    assert_eq!(rows(&reply).len(), 1);
}

#[tokio::test]
async fn records_arrive_after_a_moment_and_leave_with_the_retention() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    let customer = lab.workspace("other").await;
    lab.send_to("other", true).await;
    lab.keys(&lab.me, "GET", "", Value::Null).await;
    let query = |timespan: &str| json!({ "query": "AZKVAuditLogs | project OperationName", "timespan": timespan });
    assert!(rows(&ask(&lab.me, &customer, query("P1D")).await).is_empty(), "not yet");
    cloud.advance(3);
    assert_eq!(rows(&ask(&lab.me, &customer, query("P1D")).await), &vec![json!(["KeyList"])]);
    assert!(rows(&ask(&lab.me, &customer, json!({ "query": "AzureDiagnostics" })).await).is_empty(), "another table");
    assert!(rows(&ask(&lab.me, &customer, query("PT1S")).await).is_empty(), "before that span");
    cloud.advance(86_400);
    assert!(rows(&ask(&lab.me, &customer, query("P1D")).await).is_empty());
    assert_eq!(rows(&ask(&lab.me, &customer, query("P30D")).await).len(), 1);
    cloud.advance(30 * 86_400);
    assert!(rows(&ask(&lab.me, &customer, query("P60D")).await).is_empty(), "kept for 30 days");
}

#[tokio::test]
async fn the_addresses_of_a_workspace_answer_alike() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    let customer = lab.workspace("other").await;
    lab.send_to("other", true).await;
    lab.keys(&lab.me, "GET", "", Value::Null).await;
    cloud.advance(3);
    let body = json!({ "query": "AZKVAuditLogs | take 1" });
    let first = ask(&lab.me, &customer, body.clone()).await;
    assert_eq!(rows(&first).len(), 1);
    let uri =
        format!("https://api.loganalytics.io/v1/workspaces/{customer}/query?query=AZKVAuditLogs%20%7C%20take%201");
    assert_eq!(lab.me.send("GET", &uri, None).await.body, first.body);
    let uri = format!("https://api.loganalytics.io/v1{}/query", lab.workspace_id("other"));
    assert_eq!(lab.me.send("POST", &uri, Some(body.clone())).await.body, first.body);
    for path in ["other/query?api-version=2017-10-01", "other/api/query?api-version=2017-01-01-preview"] {
        let path = format!("{}/providers/Microsoft.OperationalInsights/workspaces/{path}", lab.group);
        assert_eq!(lab.me.arm("POST", &path, body.clone()).await.body, first.body, "{path}");
    }
    let path = format!("{}/query?api-version=2017-10-01", lab.workspace_id("none"));
    assert_eq!(lab.me.arm("POST", &path, body).await.code(), "ResourceNotFound");
}

#[tokio::test]
async fn who_may_not_read_a_workspace_gets_nothing_from_it() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    let customer = lab.workspace("other").await;
    lab.strip_tools().await;
    let body = json!({ "query": "AZKVAuditLogs" });
    let tools = cloud.tools();
    let refused = ask(&tools, &customer, body.clone()).await;
    assert_eq!((refused.status, refused.code()), (403, "InsufficientAccessError"));
    lab.assign(READER, &cloud.seed.client_oid, "ServicePrincipal", &lab.workspace_id("other")).await;
    assert_eq!(ask(&tools, &customer, body.clone()).await.status, 200);

    let other = cloud.cloud.add_tenant("Second").unwrap();
    assert_eq!(ask(&cloud.stranger(&other), &customer, body.clone()).await.code(), "InvalidTokenError");
    let uri = format!("https://api.loganalytics.io/v1/workspaces/{customer}/query");
    let refused = cloud.anonymous().raw("POST", &uri, &[], Bytes::new()).await.unwrap();
    assert_eq!((refused.status, refused.code()), (401, "AuthorizationRequiredError"));
    assert!(refused.header("www-authenticate").contains(&cloud.seed.tenant));
    let missing = ask(&lab.me, "00000000-0000-0000-0000-000000000000", body.clone()).await;
    assert_eq!((missing.status, missing.code()), (404, "PathNotFoundError"));

    lab.about("PATCH", "other", json!({ "properties": { "publicNetworkAccessForQuery": "Disabled" } })).await;
    let refused = ask(&lab.me, &customer, body).await;
    assert_eq!(refused.body["error"]["innererror"]["code"], "NspValidationFailedError");
}

#[tokio::test]
async fn other_queries_are_refused_in_the_format_of_the_api() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    let customer = lab.workspace("other").await;
    // Query, the inner and the innermost code, and whether it names a gap.
    let table = [
        (json!({ "query": "AZKVAuditLogs | summarize count()" }), "SyntaxError", "SYN0002", true),
        (json!({ "query": "Heartbeat" }), "SemanticError", "SEM0100", true),
        (json!({ "query": "AZKVAuditLogs | where Colour == 'red'" }), "SemanticError", "SEM0100", true),
        (json!({ "query": "AZKVAuditLogs | where HttpStatusCode == '403'" }), "SemanticError", "SEM0064", false),
        (json!({ "query": "" }), "", "", false),
        (json!({ "query": "AZKVAuditLogs", "timespan": "yesterday" }), "", "", false),
        (json!({ "query": "AZKVAuditLogs", "workspaces": ["another"] }), "", "", true),
    ];
    for (body, inner, innermost, gap) in table {
        let reply = ask(&lab.me, &customer, body.clone()).await;
        assert_eq!((reply.status, reply.code()), (400, "BadArgumentError"), "{body}");
        let error = &reply.body["error"];
        assert_eq!(error["innererror"]["code"].as_str().unwrap_or_default(), inner, "{body}");
        assert_eq!(error["innererror"]["innererror"]["code"].as_str().unwrap_or_default(), innermost, "{body}");
        assert!(error["correlationId"].is_string());
        assert_eq!(!reply.header("x-sealbook-gap").is_empty(), gap, "{body}");
    }
}
