//! Lists over types, providers at the tenant, existence checks, tags, and entity tags that are not there.

use serde_json::{Value, json};

use crate::testing::{self, Client, TestCloud};

async fn lab(cloud: &TestCloud, me: &Client<'_>) -> String {
    let group = format!("{}/resourceGroups/lab", cloud.subscription());
    let body = json!({ "location": "westus", "tags": { "Env": "test", "team": "a" } });
    me.arm("PUT", &format!("{group}?api-version=2024-11-01"), body).await;
    for name in ["one", "two"] {
        me.arm("PUT", &thing(&group, name), Value::Null).await;
    }
    group
}

fn thing(group: &str, name: &str) -> String {
    format!("{group}/providers/Test.Fixture/things/{name}?api-version=2026-01-01")
}

fn tags(scope: &str) -> String {
    format!("{scope}/providers/Microsoft.Resources/tags/default?api-version=2021-04-01")
}

#[tokio::test]
async fn lists_are_filtered_expanded_and_paged() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let group = lab(&cloud, &me).await;
    let one = format!("{group}/providers/Test.Fixture/things/one");
    me.arm("PUT", &tags(&one), json!({ "properties": { "tags": { "env": "prod", "team": "test" } } })).await;
    let query = |filter: &str| -> String {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("$filter", filter).finish();
        format!("{}/resources?api-version=2021-04-01&{query}", cloud.subscription())
    };
    let table = [
        ("resourceType eq 'test.fixture/things'", 2),
        ("resourceType ne 'Test.Fixture/things'", 0),
        ("resourceGroup eq 'LAB' and location eq 'West US'", 2),
        ("substringof('w', name)", 1),
        ("tagName eq 'ENV'", 1),
        ("tagName eq 'env' and tagValue eq 'prod'", 1),
        ("tagName eq 'env' and tagValue eq 'test'", 0),
        ("tagname eq 'env' and tagvalue eq 'prod'", 1),
        ("startswith(tagname, 'te')", 1),
        ("identity/principalId eq 'x'", 0),
    ];
    for (filter, count) in table {
        let reply = me.arm("GET", &query(filter), Value::Null).await;
        assert_eq!(reply.body["value"].as_array().map(Vec::len), Some(count), "{filter}: {reply:?}");
    }
    for filter in ["colour eq 'red'", "tagValue eq 'x'", "startswith(name,'x')", "name eq 'a' or name eq 'b'"] {
        let reply = me.arm("GET", &query(filter), Value::Null).await;
        assert_eq!((reply.status, reply.code()), (400, "InvalidFilterInQueryString"), "{filter}");
        assert!(!reply.header("x-sealbook-gap").is_empty(), "{filter}");
    }
    let base = format!("{group}/resources?api-version=2021-04-01&$expand=createdTime,changedTime,provisioningState");
    let first = me.arm("GET", &format!("{base}&$top=1"), Value::Null).await;
    assert_eq!(first.body["value"].as_array().unwrap().len(), 1);
    assert_eq!(first.body["value"][0]["createdTime"], "2026-01-02T03:04:05.000Z");
    let next = me.send("GET", first.body["nextLink"].as_str().unwrap(), None).await;
    assert_eq!(next.body["value"][0]["name"], "two");
    assert!(next.body["nextLink"].is_null());
    let bad = me.arm("GET", &format!("{group}/resources?api-version=2021-04-01&$expand=secrets"), Value::Null).await;
    assert_eq!(bad.code(), "InvalidExpandQueryStringParameter");
    let groups = format!("{}/resourcegroups?api-version=2024-11-01", cloud.subscription());
    for (filter, count) in [("tagname eq 'env' and tagvalue eq 'test'", 1), ("tagname eq 'env' and tagvalue eq 'a'", 0)]
    {
        let query: String = form_urlencoded::Serializer::new(String::new()).append_pair("$filter", filter).finish();
        let found = me.arm("GET", &format!("{groups}&{query}"), Value::Null).await;
        assert_eq!(found.body["value"].as_array().unwrap().len(), count, "{filter}");
    }
}

#[tokio::test]
async fn providers_are_listed_at_the_tenant_too() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let found = me.arm("GET", "/providers?api-version=2021-04-01", Value::Null).await;
    assert!(found.body["value"].as_array().unwrap().iter().any(|p| p["namespace"] == "Microsoft.KeyVault"));
    let one = me.arm("GET", "/providers/microsoft.keyvault?api-version=2021-04-01", Value::Null).await;
    assert_eq!((one.status, &one.body["registrationState"]), (200, &Value::Null));
    let path = format!("{}/providers/Microsoft.KeyVault/resourceTypes?api-version=2021-04-01", cloud.subscription());
    let types = me.arm("GET", &path, Value::Null).await;
    assert!(types.body["value"].as_array().unwrap().iter().any(|t| t["resourceType"] == "vaults"));
    let none = me.arm("GET", "/providers/Microsoft.Nothing?api-version=2021-04-01", Value::Null).await;
    assert_eq!((none.status, none.code()), (404, "InvalidResourceNamespace"));
    assert_eq!(cloud.anonymous().arm("GET", "/providers?api-version=2021-04-01", Value::Null).await.status, 401);
}

#[tokio::test]
async fn existence_is_asked_with_head() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let group = lab(&cloud, &me).await;
    let table = [
        (thing(&group, "one"), 204),
        (thing(&group, "none"), 404),
        (thing(&group.replace("lab", "nolab"), "one"), 404),
        (format!("{group}/providers/Test.Fixture/things/one?api-version=1999-01-01"), 400),
        (format!("{}/resources?api-version=2021-04-01", cloud.subscription()), 405),
    ];
    for (path, status) in table {
        let reply = me.arm("HEAD", &path, Value::Null).await;
        assert_eq!((reply.status, reply.bytes.len()), (status, 0), "{path}");
    }
    assert_eq!(cloud.anonymous().arm("HEAD", &thing(&group, "one"), Value::Null).await.status, 401);
}

#[tokio::test]
async fn tags_of_subscriptions_groups_and_resources() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let group = lab(&cloud, &me).await;
    let resource = format!("{group}/providers/Test.Fixture/things/one");
    for scope in [cloud.subscription(), group.clone(), resource.clone()] {
        let path = tags(&scope);
        let put = me.arm("PUT", &path, json!({ "properties": { "tags": { "A": "1", "b": "2" } } })).await;
        assert_eq!((put.status, &put.body["properties"]["tags"]), (200, &json!({ "A": "1", "b": "2" })), "{scope}");
        assert_eq!(put.body["id"], format!("{scope}/providers/Microsoft.Resources/tags/default"));
        let patch = async |operation: &str, tags: Value| {
            let body = json!({ "operation": operation, "properties": { "tags": tags } });
            me.arm("PATCH", &path, body).await
        };
        assert_eq!(
            patch("Merge", json!({ "a": "3", "c": "4" })).await.body["properties"]["tags"],
            json!({ "A": "3", "b": "2", "c": "4" })
        );
        assert_eq!(
            patch("Delete", json!({ "b": "no", "C": "4" })).await.body["properties"]["tags"],
            json!({ "A": "3", "b": "2" })
        );
        assert_eq!(patch("Replace", json!({ "d": "5" })).await.body["properties"]["tags"], json!({ "d": "5" }));
        assert_eq!(patch("Paint", json!({})).await.code(), "InvalidTagsPatchOperation");
        assert_eq!(patch("Merge", json!({ "a<b": "1" })).await.code(), "InvalidTagNameOrValue");
        let got = me.arm("GET", &path, Value::Null).await;
        assert_eq!(got.body["properties"]["tags"], json!({ "d": "5" }));
    }
    let shown = me.arm("GET", &thing(&group, "one"), Value::Null).await;
    assert_eq!(shown.body["tags"], json!({ "d": "5" }));
    let shown = me.arm("GET", &format!("{}?api-version=2022-12-01", cloud.subscription()), Value::Null).await;
    assert_eq!(shown.body["tags"], json!({ "d": "5" }));
    assert_eq!(me.arm("DELETE", &tags(&resource), Value::Null).await.status, 200);
    assert_eq!(me.arm("GET", &tags(&resource), Value::Null).await.body["properties"]["tags"], json!({}));
    let missing = me.arm("GET", &tags(&resource.replace("one", "none")), Value::Null).await;
    assert_eq!((missing.status, missing.code()), (404, "ResourceNotFound"));
    let nowhere = me.arm("GET", &tags(""), Value::Null).await;
    assert_eq!((nowhere.status, nowhere.code()), (403, "AuthorizationFailed"), "nobody has a role at the root");
}

/// None of the control-plane types offered so far has an entity tag: subscriptions, resource groups, tags, providers,
/// role definitions and assignments, events of the activity log, vaults, storage accounts. So none is sent, and, as in
/// Azure, a condition on what has none is ignored. Azure has them on virtual machines, blob containers and private
/// endpoint connections, which whoever adds those must send and judge.
#[tokio::test]
async fn resource_manager_sends_no_entity_tags_and_ignores_conditions_on_them() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let group = lab(&cloud, &me).await;
    let definitions = format!(
        "{}/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7?api-version=2022-04-01",
        cloud.subscription()
    );
    let paths = [
        format!("{}?api-version=2022-12-01", cloud.subscription()),
        format!("{group}?api-version=2024-11-01"),
        thing(&group, "one"),
        tags(&group),
        definitions,
    ];
    for path in paths {
        let uri = format!("https://management.azure.com{path}");
        for (name, value) in [("if-match", "\"nonsense\""), ("if-none-match", "*")] {
            let reply = me.send_with("GET", &uri, &[(name, value)], bytes::Bytes::new()).await.unwrap();
            assert_eq!(reply.status, 200, "{path}");
            assert!(reply.header("etag").is_empty() && reply.body["etag"].is_null(), "{path}");
        }
    }
    let uri = format!("https://management.azure.com{group}?api-version=2024-11-01");
    for (name, value) in [("if-match", "\"nonsense\""), ("if-none-match", "*")] {
        let body = json!({ "location": "westus" }).to_string();
        let reply = me.send_with("PUT", &uri, &[(name, value)], body.into()).await.unwrap();
        assert_eq!(reply.status, 200, "{name}");
    }
}

#[tokio::test]
async fn providers_are_listed_registered_and_unregistered() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let path = |rest: &str| format!("{}/providers{rest}?api-version=2022-12-01", cloud.subscription());
    let state = async |me: &Client<'_>| {
        let all = me.arm("GET", &path(""), Value::Null).await.body;
        let found = all["value"].as_array().unwrap().iter().find(|p| p["namespace"] == "Microsoft.Storage").unwrap();
        found["registrationState"].clone()
    };
    assert_eq!(state(&me).await, "NotRegistered");
    assert_eq!(me.arm("POST", &path("/Microsoft.Storage/register"), Value::Null).await.status, 200);
    cloud.advance(60);
    assert_eq!(state(&me).await, "Registered");
    assert_eq!(me.arm("POST", &path("/Microsoft.Storage/unregister"), Value::Null).await.status, 200);
    cloud.advance(60);
    assert_ne!(state(&me).await, "Registered");
    assert_eq!(me.arm("POST", &path("/Microsoft.Nothing/unregister"), Value::Null).await.status, 404);
}

#[tokio::test]
async fn a_role_assignment_is_read_back() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let list = format!(
        "{}/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01&$filter=atScope()",
        cloud.subscription()
    );
    let all = me.arm("GET", &list, Value::Null).await.body;
    let id = all["value"][0]["id"].as_str().unwrap();
    assert_eq!(me.arm("GET", &format!("{id}?api-version=2022-04-01"), Value::Null).await.body, all["value"][0]);
    let none = format!("{}00?api-version=2022-04-01", &id[..id.len() - 2]);
    assert_eq!(me.arm("GET", &none, Value::Null).await.status, 404);
}
