//! The activity log: what it says, and what it never holds.

use serde_json::{Value, json};

use crate::testing::{self, Client, TestCloud};

fn log(cloud: &TestCloud, filter: &str) -> String {
    let query: String = form_urlencoded::Serializer::new(String::new()).append_pair("$filter", filter).finish();
    format!(
        "{}/providers/microsoft.insights/eventtypes/management/values?api-version=2015-04-01&{query}",
        cloud.subscription()
    )
}

async fn events(cloud: &TestCloud, me: &Client<'_>, filter: &str) -> Vec<Value> {
    let reply = me.arm("GET", &log(cloud, filter), Value::Null).await;
    assert_eq!(reply.status, 200, "{filter}: {reply:?}");
    reply.body["value"].as_array().unwrap().clone()
}

#[tokio::test]
async fn writes_deletes_and_actions_are_events_and_reads_are_not() {
    let cloud = testing::cloud();
    let (me, tools) = (cloud.learner(), cloud.tools());
    let group = format!("{}/resourceGroups/lab", cloud.subscription());
    let path = format!("{group}?api-version=2024-11-01");
    let body = json!({ "location": "westus", "tags": { "note": "swordfish" } });
    me.arm("PUT", &path, body).await;
    me.arm("GET", &path, Value::Null).await;
    cloud.advance(10);
    tools.arm("PUT", &path, json!({ "location": "eastus", "tags": { "note": "swordfish" } })).await;
    let register = format!("{}/providers/Microsoft.KeyVault/register?api-version=2021-04-01", cloud.subscription());
    me.arm("POST", &register, Value::Null).await;
    let correlation = "11111111-2222-3333-4444-555555555555";
    let uri = format!("https://management.azure.com{path}");
    let headers = [("x-ms-correlation-request-id", correlation)];
    me.send_with("DELETE", &uri, &headers, bytes::Bytes::new()).await.unwrap();

    let all = events(&cloud, &me, "eventTimestamp ge '2026-01-02T00:00:00Z'").await;
    let brief: Vec<(&str, &str, &str)> = all
        .iter()
        .map(|e| {
            let text = |field: &str| e[field]["value"].as_str().unwrap();
            (text("operationName"), text("status"), e["caller"].as_str().unwrap())
        })
        .collect();
    let user = cloud.seed.user.as_str();
    let write = "Microsoft.Resources/subscriptions/resourceGroups/write";
    assert_eq!(
        brief,
        [
            ("Microsoft.Resources/subscriptions/resourceGroups/delete", "Accepted", user),
            ("Microsoft.Resources/subscriptions/providers/register/action", "Succeeded", user),
            (write, "Failed", cloud.seed.client_oid.as_str()),
            (write, "Succeeded", user),
        ]
    );
    assert!(!json!(all).to_string().contains("swordfish"), "bodies stay out");
    assert_eq!(all[0]["correlationId"], correlation);
    assert_eq!(all[2]["properties"]["statusMessage"], "{\"error\":{\"code\":\"InvalidResourceGroupLocation\"}}");
    assert_eq!((&all[2]["level"], &all[2]["subStatus"]["value"]), (&json!("Error"), &json!("Conflict")));
    assert_eq!((&all[3]["resourceId"], &all[3]["resourceGroupName"]), (&json!(group), &json!("lab")));
    assert_eq!(all[3]["subStatus"]["localizedValue"], "Created (HTTP Status Code: 201)");
    assert_eq!(all[3]["eventTimestamp"], "2026-01-02T03:04:05.000Z");

    let since = "eventTimestamp ge '2026-01-02T00:00:00Z' and ";
    let table = [
        (format!("{since}resourceGroupName eq 'LAB'"), 3),
        (format!("{since}resourceUri eq '{group}'"), 3),
        (format!("{since}correlationId eq '{correlation}'"), 1),
        (format!("{since}resourceProvider eq Microsoft.Resources"), 4),
        (format!("{since}caller eq '{user}'"), 3),
        (format!("{since}status eq 'Failed'"), 1),
        (format!("{since}eventTimestamp le 2026-01-02T03:04:05Z"), 1),
        ("eventTimestamp ge 2026-01-02T03:04:06Z".to_owned(), 3),
    ];
    for (filter, count) in table {
        assert_eq!(events(&cloud, &me, &filter).await.len(), count, "{filter}");
    }
}

#[tokio::test]
async fn bad_filters_and_callers_without_the_role_are_refused() {
    let cloud = testing::cloud();
    let (me, tools) = (cloud.learner(), cloud.tools());
    let table = [
        ("", false),
        ("resourceGroupName eq 'lab'", false),
        ("eventTimestamp ge 'yesterday'", false),
        ("eventTimestamp ge '2025-01-01T00:00:00Z'", false),
        ("eventTimestamp ge '2026-01-02T00:00:00Z' and colour eq 'red'", true),
        ("eventTimestamp ge '2026-01-02T00:00:00Z' or status eq 'x'", true),
    ];
    for (filter, gap) in table {
        let reply = me.arm("GET", &log(&cloud, filter), Value::Null).await;
        assert_eq!((reply.status, reply.code()), (400, "BadRequest"), "{filter}");
        assert_eq!(!reply.header("x-sealbook-gap").is_empty(), gap, "{filter}");
    }
    let mine = format!(
        "{}/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01&$filter=principalId%20eq%20'{}'",
        cloud.subscription(),
        cloud.seed.client_oid
    );
    for row in me.arm("GET", &mine, Value::Null).await.body["value"].as_array().unwrap() {
        me.arm("DELETE", &format!("{}?api-version=2022-04-01", row["id"].as_str().unwrap()), Value::Null).await;
    }
    let refused = tools.arm("GET", &log(&cloud, "eventTimestamp ge '2026-01-02T00:00:00Z'"), Value::Null).await;
    assert_eq!((refused.status, refused.code()), (403, "AuthorizationFailed"));
    assert!(refused.body["error"]["message"].as_str().unwrap().contains("Microsoft.Insights/eventtypes/values/read"));
}

#[tokio::test]
async fn long_logs_come_in_pages() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let path = format!("{}/resourceGroups/lab?api-version=2024-11-01", cloud.subscription());
    for _ in 0..201 {
        me.arm("PUT", &path, json!({ "location": "westus" })).await;
    }
    let first = me.arm("GET", &log(&cloud, "eventTimestamp ge '2026-01-02T00:00:00Z'"), Value::Null).await;
    assert_eq!(first.body["value"].as_array().unwrap().len(), 200);
    let rest = me.send("GET", first.body["nextLink"].as_str().unwrap(), None).await;
    assert_eq!(rest.body["value"].as_array().unwrap().len(), 1);
    assert!(rest.body["nextLink"].is_null());
}
