//! Projects.

use serde_json::{Value, json};

use super::{account, ask, body, lab, make, named, outcome};
use crate::testing::TestCloud;

fn project(cloud: &TestCloud, name: &str) -> String {
    format!("{}/projects/{name}", account(cloud, "foundry"))
}

fn new() -> Value {
    json!({
        "location": "westeurope", "identity": { "type": "SystemAssigned" },
        "properties": { "displayName": "A project", "description": "To learn with." }
    })
}

#[tokio::test]
async fn the_first_project_is_the_default() {
    let cloud = lab().await;
    make(&cloud, "foundry", named("foundry")).await;
    for (name, default) in [("first", true), ("second", false)] {
        let made = ask(&cloud, "PUT", &project(&cloud, name), new()).await;
        assert_eq!(made.status, 201, "{made:?}");
        cloud.advance(5);
        let shown = ask(&cloud, "GET", &project(&cloud, name), Value::Null).await.body;
        assert_eq!(shown["properties"]["isDefault"], default, "{shown}");
        let endpoint = format!("https://foundry.services.ai.azure.com/api/projects/{name}");
        assert_eq!(shown["properties"]["endpoints"]["AI Foundry API"], json!(endpoint));
        assert!(shown["identity"]["principalId"].is_string(), "{shown}");
    }
    let shown = ask(&cloud, "GET", &account(&cloud, "foundry"), Value::Null).await.body;
    assert_eq!(shown["properties"]["defaultProject"], "first");
    assert_eq!(shown["properties"]["associatedProjects"], json!(["first", "second"]));
    let listed = ask(&cloud, "GET", &format!("{}/projects", account(&cloud, "foundry")), Value::Null).await.body;
    assert_eq!(listed["value"].as_array().unwrap().len(), 2);

    let change = json!({ "properties": { "displayName": "Another name" } });
    let changed = ask(&cloud, "PATCH", &project(&cloud, "first"), change).await;
    assert_eq!(changed.body["properties"]["displayName"], "Another name", "{changed:?}");
    let default = json!({ "properties": { "defaultProject": "second" } });
    assert_eq!(ask(&cloud, "PATCH", &account(&cloud, "foundry"), default).await.status, 200);
    cloud.advance(5);
    assert_eq!(ask(&cloud, "DELETE", &project(&cloud, "second"), Value::Null).await.status, 202);
    cloud.advance(5);
    let shown = ask(&cloud, "GET", &account(&cloud, "foundry"), Value::Null).await.body;
    assert_eq!(shown["properties"]["defaultProject"], Value::Null);
    assert_eq!(shown["properties"]["associatedProjects"], json!(["first"]));
    assert_eq!(cloud.cloud.identity_of(&project(&cloud, "second")).unwrap(), None);
}

#[tokio::test]
async fn refused_projects() {
    let cloud = lab().await;
    let elsewhere = ask(&cloud, "PUT", &project(&cloud, "first"), new()).await;
    assert_eq!(outcome(&elsewhere), "404 ParentResourceNotFound");
    let mut plain = body();
    plain["properties"] = json!({});
    make(&cloud, "foundry", plain).await;
    assert_eq!(outcome(&ask(&cloud, "PUT", &project(&cloud, "first"), new()).await), "400 BadRequest");
    let path = account(&cloud, "foundry");
    ask(&cloud, "PATCH", &path, json!({ "properties": { "allowProjectManagement": true } })).await;
    let with = |member: &str, value: Value| {
        let mut body = new();
        body[member] = value;
        body
    };
    let table = [
        ("a", new(), "400 InvalidResourceName"),
        ("first", with("location", json!("eastus")), "400 InvalidResourceProperties"),
        ("first", with("location", Value::Null), "400 LocationRequired"),
        ("first", with("properties", json!({ "hidden": 1 })), "400 InvalidResourceProperties"),
        ("first", new(), "201"),
    ];
    for (name, body, expected) in table {
        assert_eq!(outcome(&ask(&cloud, "PUT", &project(&cloud, name), body.clone()).await), expected, "{name} {body}");
    }
    cloud.advance(5);
    assert_eq!(outcome(&ask(&cloud, "DELETE", &path, Value::Null).await), "409 CannotDeleteResource");
    let off = json!({ "properties": { "allowProjectManagement": false } });
    assert_eq!(outcome(&ask(&cloud, "PATCH", &path, off).await), "400 InvalidResourceProperties");
    assert_eq!(outcome(&ask(&cloud, "GET", &project(&cloud, "none"), Value::Null).await), "404 ResourceNotFound");
    assert_eq!(ask(&cloud, "DELETE", &project(&cloud, "none"), Value::Null).await.status, 204);
}
