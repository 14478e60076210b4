//! Custom role definitions: made, assigned, found, refused.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::testing::{self, Client, TestCloud};

fn definition(scope: &str, id: &str) -> String {
    format!("{scope}/providers/Microsoft.Authorization/roleDefinitions/{id}?api-version=2022-04-01")
}

fn body(name: &str, scope: &str, actions: &[&str]) -> Value {
    json!({ "properties": {
        "roleName": name,
        "description": "For a test",
        "type": "CustomRole",
        "assignableScopes": [scope],
        "permissions": [{ "actions": actions, "notActions": ["*/delete"] }],
    } })
}

/// Takes the service principal's seeded ownership away and gives it a role instead.
async fn only(cloud: &TestCloud, me: &Client<'_>, scope: &str, role: &str) -> String {
    let list = format!(
        "{}/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01&$filter=principalId%20eq%20'{}'",
        cloud.subscription(),
        cloud.seed.client_oid
    );
    for row in me.arm("GET", &list, Value::Null).await.body["value"].as_array().unwrap() {
        me.arm("DELETE", &format!("{}?api-version=2022-04-01", row["id"].as_str().unwrap()), Value::Null).await;
    }
    let path =
        format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{}?api-version=2022-04-01", Uuid::new_v4());
    let id = format!("{}/providers/Microsoft.Authorization/roleDefinitions/{role}", cloud.subscription());
    let body = json!({ "properties": {
        "roleDefinitionId": id, "principalId": cloud.seed.client_oid, "principalType": "ServicePrincipal",
    } });
    let made = me.arm("PUT", &path, body).await;
    assert_eq!(made.status, 201, "{made:?}");
    cloud.advance(1);
    path
}

#[tokio::test]
async fn custom_role_grants_what_it_says_until_it_is_gone() {
    let cloud = testing::cloud();
    let (me, tools) = (cloud.learner(), cloud.tools());
    let scope = cloud.subscription();
    let id = Uuid::new_v4().to_string();
    let made = me.arm("PUT", &definition(&scope, &id), body("Group Writer", &scope, &["*/read", "*/write"])).await;
    assert_eq!((made.status, &made.body["properties"]["type"]), (201, &json!("CustomRole")), "{made:?}");
    let assignment = only(&cloud, &me, &scope, &id).await;
    let group = format!("{scope}/resourceGroups/lab?api-version=2024-11-01");
    assert_eq!(tools.arm("PUT", &group, json!({ "location": "westus" })).await.status, 201);
    assert_eq!(tools.arm("DELETE", &group, Value::Null).await.status, 403, "taken out again");
    let list = format!("{scope}/providers/Microsoft.Authorization/roleDefinitions?api-version=2022-04-01&$filter=");
    for (filter, count) in [("type%20eq%20'CustomRole'", 1), ("roleName%20eq%20'group%20writer'", 1)] {
        let found = me.arm("GET", &format!("{list}{filter}"), Value::Null).await;
        assert_eq!(found.body["value"].as_array().unwrap().len(), count, "{filter}");
    }
    let used = me.arm("DELETE", &definition(&scope, &id), Value::Null).await;
    assert_eq!((used.status, used.code()), (400, "RoleDefinitionHasAssignments"));
    let changed = me.arm("PUT", &definition(&scope, &id), body("Group Writer", &scope, &["*/read"])).await;
    assert_eq!(changed.status, 201);
    assert_eq!(tools.arm("PUT", &group, json!({ "location": "westus" })).await.status, 403, "changed at once");
    me.arm("DELETE", &assignment, Value::Null).await;
    assert_eq!(me.arm("DELETE", &definition(&scope, &id), Value::Null).await.status, 200);
    assert_eq!(me.arm("DELETE", &definition(&scope, &id), Value::Null).await.status, 204);
    assert_eq!(me.arm("GET", &definition(&scope, &id), Value::Null).await.code(), "RoleDefinitionDoesNotExist");
}

#[tokio::test]
async fn bad_definitions_are_refused() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let scope = cloud.subscription();
    let owner = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635";
    let id = Uuid::new_v4().to_string();
    let foreign = "/subscriptions/00000000-0000-0000-0000-000000000000";
    let table = [
        ("x", body("A", &scope, &["*/read"]), 400, "InvalidRoleDefinitionId"),
        (owner, body("A", &scope, &["*/read"]), 400, "InvalidRequest"),
        (&id, body("", &scope, &["*/read"]), 400, "InvalidRequest"),
        (&id, body("A", "/", &["*/read"]), 400, "InvalidRequest"),
        (&id, body("A", foreign, &["*/read"]), 403, "LinkedAuthorizationFailed"),
        (&id, body("A", &scope, &["read everything"]), 400, "InvalidActionOrNotAction"),
        (&id, body("Reader", &scope, &["*/read"]), 409, "RoleDefinitionWithSameNameExists"),
        (&id, json!({ "properties": { "roleName": "A", "assignableScopes": [scope] } }), 400, "InvalidRequest"),
    ];
    for (id, body, status, code) in table {
        let reply = me.arm("PUT", &definition(&scope, id), body.clone()).await;
        assert_eq!((reply.status, reply.code()), (status, code), "{body}");
    }
    let built_in = me.arm("DELETE", &definition(&scope, owner), Value::Null).await;
    assert_eq!((built_in.status, built_in.code()), (400, "InvalidRequest"));
}

#[tokio::test]
async fn custom_role_stays_in_its_scopes() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let scope = cloud.subscription();
    for name in ["lab", "other"] {
        let path = format!("{scope}/resourceGroups/{name}?api-version=2024-11-01");
        me.arm("PUT", &path, json!({ "location": "westus" })).await;
    }
    let lab = format!("{scope}/resourceGroups/lab");
    let id = Uuid::new_v4().to_string();
    assert_eq!(me.arm("PUT", &definition(&lab, &id), body("Lab Reader", &lab, &["*/read"])).await.status, 201);
    let path = format!(
        "{scope}/resourceGroups/other/providers/Microsoft.Authorization/roleAssignments/{}?api-version=2022-04-01",
        Uuid::new_v4()
    );
    let role = format!("{scope}/providers/Microsoft.Authorization/roleDefinitions/{id}");
    let assigned = json!({ "properties": {
        "roleDefinitionId": role, "principalId": cloud.seed.client_oid, "principalType": "ServicePrincipal",
    } });
    assert_eq!(me.arm("PUT", &path, assigned).await.code(), "RoleDefinitionDoesNotExist");
    let count = async |scope: &str, filter: &str| {
        let path = format!(
            "{scope}/providers/Microsoft.Authorization/roleDefinitions?api-version=2022-04-01&$filter={filter}"
        );
        me.arm("GET", &path, Value::Null).await.body["value"].as_array().unwrap().len()
    };
    assert_eq!(count(&lab, "type%20eq%20'CustomRole'").await, 1);
    assert_eq!(count(&scope, "type%20eq%20'CustomRole'").await, 0);
    assert_eq!(count(&scope, "atScopeAndBelow()%20and%20type%20eq%20'CustomRole'").await, 1);
    let other = cloud.cloud.add_tenant("Second").unwrap();
    let you = cloud.stranger(&other);
    let there = format!("/subscriptions/{}", other.subscription);
    assert_eq!(you.arm("GET", &definition(&there, &id), Value::Null).await.status, 404, "not of this tenant");
}
