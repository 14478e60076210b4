//! Transactions, long-running operations and the operation tables, shown on a provider made for it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::Cloud;
use crate::testing::{self, Client, TestCloud};

async fn lab(cloud: &TestCloud, me: &Client<'_>) -> String {
    let group = format!("{}/resourceGroups/lab", cloud.subscription());
    me.arm("PUT", &format!("{group}?api-version=2024-11-01"), json!({ "location": "westus" })).await;
    format!("{group}/providers/Test.Fixture/things")
}

#[tokio::test]
async fn refused_and_panicking_operations_leave_nothing_behind() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let things = lab(&cloud, &me).await;
    for (verb, status, code) in [("refuse", 409, "Refused"), ("panic", 500, "InternalServerError")] {
        let reply = me.arm("POST", &format!("{things}/a/{verb}?api-version=2026-01-01"), Value::Null).await;
        assert_eq!((reply.status, reply.code()), (status, code));
        assert!(!reply.header("x-ms-request-id").is_empty());
        let reply = me.arm("GET", &format!("{things}/a?api-version=2026-01-01"), Value::Null).await;
        assert_eq!(reply.code(), "ResourceNotFound", "{verb} left its write");
    }
    let statuses: Vec<u16> = cloud.cloud.requests(0).unwrap().iter().map(|r| r.status).collect();
    assert!(statuses.ends_with(&[409, 404, 500, 404]), "every request is in the log: {statuses:?}");
}

#[tokio::test]
async fn operations_complete_at_their_instant_or_fail() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let things = lab(&cloud, &me).await;
    let mut started = Vec::new();
    for name in ["works", "refuses", "panics"] {
        let reply = me.arm("POST", &format!("{things}/{name}/start?api-version=2026-01-01"), Value::Null).await;
        assert_eq!((reply.status, reply.header("retry-after")), (202, "5"));
        started.push((name, reply.header("azure-asyncoperation").to_owned(), reply.header("location").to_owned()));
    }
    let (_, status, location) = &started[0];
    let poll = me.send("GET", status, None).await;
    assert_eq!((poll.status, &poll.body["status"]), (200, &json!("InProgress")));
    assert!(poll.body["endTime"].is_null());
    assert_eq!(me.send("GET", location, None).await.status, 202);
    // Nobody asks for an hour; the operations still ended when they were due.
    cloud.advance(3_600);
    for (name, status, location) in &started {
        let poll = me.send("GET", status, None).await;
        let end = me.send("GET", location, None).await;
        let there = me.arm("GET", &format!("{things}/{name}?api-version=2026-01-01"), Value::Null).await;
        assert_eq!(poll.body["endTime"], "2026-01-02T03:04:10.000Z", "{name}");
        match *name {
            "works" => {
                assert_eq!(poll.body["status"], "Succeeded");
                assert_eq!(poll.body["properties"]["output"]["name"], "works");
                assert_eq!((end.status, &end.body["made"]), (200, &json!("2026-01-02T03:04:10.000Z")));
                assert_eq!(there.status, 200);
            }
            _ => {
                assert_eq!(poll.body["status"], "Failed");
                let code = if *name == "refuses" { "ThingRefused" } else { "InternalServerError" };
                assert_eq!(poll.body["error"]["code"], code);
                assert_eq!((end.status, end.code()), (409, code));
                assert_eq!(there.status, 404, "a failed completion is rolled back");
            }
        }
    }
}

#[tokio::test]
async fn group_with_a_thing_that_can_not_go_comes_back() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let things = lab(&cloud, &me).await;
    for name in ["a", "stuck"] {
        me.arm("PUT", &format!("{things}/{name}?api-version=2026-01-01"), Value::Null).await;
    }
    let group = format!("{}/resourceGroups/lab?api-version=2024-11-01", cloud.subscription());
    let deleted = me.arm("DELETE", &group, Value::Null).await;
    cloud.advance(1);
    let end = me.send("GET", deleted.header("location"), None).await;
    assert_eq!((end.status, end.code()), (409, "ThingInUse"));
    let state = me.arm("GET", &group, Value::Null).await;
    assert_eq!(state.body["properties"]["provisioningState"], "Succeeded");
    let path = format!("{}/resourceGroups/lab/resources?api-version=2021-04-01", cloud.subscription());
    let kept = me.arm("GET", &path, Value::Null).await;
    assert_eq!(kept.body["value"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn contents_of_a_group_go_with_it_and_are_listed_before() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let things = lab(&cloud, &me).await;
    me.arm("PUT", &format!("{things}/a?api-version=2026-01-01"), Value::Null).await;
    let query = "$filter=resourceType%20eq%20'Test.Fixture/things'%20and%20name%20eq%20'A'";
    let path = format!("{}/resources?api-version=2015-11-01&{query}", cloud.subscription());
    let found = me.arm("GET", &path, Value::Null).await;
    assert_eq!(found.body["value"][0]["name"], "a");
    // Who made it stands in the resource itself; Azure's short form leaves it out.
    assert_eq!(found.body["value"][0]["systemData"], Value::Null);
    let group = format!("{}/resourceGroups/lab?api-version=2024-11-01", cloud.subscription());
    me.arm("DELETE", &group, Value::Null).await;
    cloud.advance(1);
    assert_eq!(me.arm("GET", &path, Value::Null).await.body["value"], json!([]));
    let gone = me.arm("PUT", &format!("{things}/a?api-version=2026-01-01"), Value::Null).await;
    assert_eq!(gone.code(), "ResourceGroupNotFound");
}

#[tokio::test]
async fn encoded_slashes_do_not_change_the_scope() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    for path in ["resourceGroups/a%2Fb", "resourceGroups/a/../b", "resourceGroups/%2e%2e"] {
        let reply =
            me.arm("GET", &format!("{}/{path}?api-version=2024-11-01", cloud.subscription()), Value::Null).await;
        assert!(matches!(reply.code(), "InvalidRequestUri" | "InvalidRequestUrl"), "{path}: {reply:?}");
    }
}

#[test]
fn tables_hold_together() {
    let operations = Cloud::operations();
    let mut seen = BTreeSet::new();
    for operation in &operations {
        let name = operation.name;
        assert!(
            seen.insert((operation.service, operation.method, operation.path.to_ascii_lowercase(), operation.when)),
            "{name} is declared twice"
        );
        assert!(operation.path.starts_with('/'), "{name}");
        let arm = operation.service == "arm";
        assert!(!arm || !operation.versions.is_empty(), "{name} accepts any api-version");
        // Polls and lists of one's own need no role; everything else on the control plane does.
        let free = ["Tenants_List", "Subscriptions_List"].contains(&name)
            || name.ends_with("AtTenantScope")
            || operation.path.ends_with("{id}")
            || name.ends_with("Result");
        assert!(!arm || free || operation.action.is_some(), "{name} asks for no action");
        let mut versions: Vec<_> = operation.versions.to_vec();
        versions.dedup();
        assert_eq!(versions.len(), operation.versions.len(), "{name} names a version twice");
    }
    assert!(operations.len() > 40);
}
