//! Local role definitions and assignments.

use serde_json::{Value, json};

use super::super::{Lab, oid, refusal};
use super::{CRYPTO_OFFICER, CRYPTO_USER, POLICY_ADMINISTRATOR, hsm};
use crate::testing;

const DEFINITIONS: &str = "/providers/Microsoft.Authorization/roleDefinitions";
const ASSIGNMENTS: &str = "/providers/Microsoft.Authorization/roleAssignments";
const PREFIX: &str = "Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions";
const GUID: &str = "0b3ffc3e-28b3-4f0e-9ed4-4ed46d4a0b60";

#[tokio::test]
async fn built_in_roles_are_listed_and_stay_as_they_are() {
    let cloud = testing::cloud();
    let lab = Lab::with_pool(&cloud).await;
    // The official clients write the root scope as a slash of its own.
    for path in [
        DEFINITIONS,
        "///providers/Microsoft.Authorization/roleDefinitions",
        "/keys/providers/Microsoft.Authorization/roleDefinitions",
    ] {
        let listed = lab.hsm("pool", "GET", path, Value::Null).await;
        let roles = listed.body["value"].as_array().unwrap();
        assert_eq!(roles.len(), 9, "{path}");
        let user = roles.iter().find(|role| role["name"] == CRYPTO_USER).unwrap();
        assert_eq!(user["id"], format!("{PREFIX}/{CRYPTO_USER}"));
        assert_eq!(user["properties"]["roleName"], "Managed HSM Crypto User");
        assert_eq!(user["properties"]["type"], "AKVBuiltInRole");
        let granted = user["properties"]["permissions"][0]["dataActions"].as_array().unwrap();
        assert!(granted.contains(&json!("Microsoft.KeyVault/managedHsm/keys/create")));
    }
    let one = lab.hsm("pool", "GET", &format!("{DEFINITIONS}/{CRYPTO_OFFICER}"), Value::Null).await;
    assert_eq!((one.status, &one.body["name"]), (200, &json!(CRYPTO_OFFICER)));
    let named = format!("{DEFINITIONS}?$filter=roleName%20eq%20'Managed%20HSM%20Crypto%20Officer'");
    assert_eq!(lab.hsm("pool", "GET", &named, Value::Null).await.body["value"], json!([one.body]));
    let missing = lab.hsm("pool", "GET", &format!("{DEFINITIONS}/{GUID}"), Value::Null).await;
    assert_eq!(refusal(&missing), (404, "RoleDefinitionNotFound", ""));
    for method in ["PUT", "DELETE"] {
        let reply = lab.hsm("pool", method, &format!("{DEFINITIONS}/{CRYPTO_USER}"), json!({ "properties": {} })).await;
        assert_eq!(refusal(&reply), (403, "Forbidden", ""), "{method}");
    }
}

#[tokio::test]
async fn custom_roles_are_made_used_and_deleted() {
    let cloud = testing::cloud();
    let lab = Lab::with_pool(&cloud).await;
    lab.hsm_key("kek", json!({})).await;
    let path = format!("{DEFINITIONS}/{GUID}");
    let body = |actions: Value, scopes: Value| {
        json!({ "properties": {
            "roleName": "Reader", "type": "CustomRole", "assignableScopes": scopes,
            "permissions": [{ "actions": [], "dataActions": actions }],
        } })
    };
    let read = json!(["Microsoft.KeyVault/managedHsm/keys/read/action"]);
    for (given, why) in [
        (body(json!(["Microsoft.KeyVault/managedHsm/keys/eat"]), json!(["/"])), "no such action"),
        (body(read.clone(), json!(["/subscriptions"])), "no such scope"),
        (body(json!("all"), json!(["/"])), "no list"),
    ] {
        assert_eq!(refusal(&lab.hsm("pool", "PUT", &path, given).await), (400, "BadParameter", ""), "{why}");
    }
    let made = lab.hsm("pool", "PUT", &path, body(read.clone(), json!(["/keys"]))).await;
    assert_eq!((made.status, &made.body["properties"]["type"]), (201, &json!("CustomRole")), "{}", made.body);
    let other = format!("{DEFINITIONS}/{}", uuid::Uuid::new_v4());
    assert_eq!(lab.hsm("pool", "PUT", &other, body(read, json!(["/"]))).await.status, 409, "the name is taken");
    let tools = cloud.tools();
    let assigned = lab.local_role("pool", GUID, &oid(&tools).await, "/keys/kek").await;
    assert_eq!(hsm(&tools, "pool", "GET", "/keys/kek", Value::Null).await.status, 200);
    assert_eq!(hsm(&tools, "pool", "GET", "/keys", Value::Null).await.code(), "AccessDenied", "one key alone");
    assert_eq!(lab.hsm("pool", "DELETE", &path, Value::Null).await.code(), "RoleDefinitionHasAssignments");
    let name = assigned.body["name"].as_str().unwrap();
    lab.hsm("pool", "DELETE", &format!("/keys/kek{ASSIGNMENTS}/{name}"), Value::Null).await;
    assert_eq!(hsm(&tools, "pool", "GET", "/keys/kek", Value::Null).await.code(), "AccessDenied", "at once");
    assert_eq!(lab.hsm("pool", "DELETE", &path, Value::Null).await.status, 200);
    assert_eq!(lab.hsm("pool", "DELETE", &path, Value::Null).await.code(), "RoleDefinitionNotFound");
}

#[tokio::test]
async fn assignments_are_found_at_their_scope_and_work_after_a_while() {
    let cloud = testing::cloud();
    let lab = Lab::with_pool(&cloud).await;
    let tools = cloud.tools();
    let principal = oid(&tools).await;
    let body = |role: &str| json!({ "properties": { "principalId": principal, "roleDefinitionId": format!("{PREFIX}/{role}") } });
    let path = format!("/keys{ASSIGNMENTS}/{GUID}");
    let made = lab.hsm("pool", "PUT", &path, body(CRYPTO_USER)).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(made.body["id"], path);
    assert_eq!(
        made.body["properties"],
        json!({ "principalId": principal, "roleDefinitionId": format!("{PREFIX}/{CRYPTO_USER}"), "scope": "/keys" })
    );
    assert_eq!(hsm(&tools, "pool", "GET", "/keys", Value::Null).await.code(), "AccessDenied", "not propagated yet");
    cloud.advance(1);
    assert_eq!(hsm(&tools, "pool", "GET", "/keys", Value::Null).await.status, 200);
    assert_eq!(lab.hsm("pool", "GET", &path, Value::Null).await.body, made.body);
    assert_eq!(lab.hsm("pool", "PUT", &path, body(CRYPTO_USER)).await.code(), "RoleAssignmentExists");
    let count = |scope: &'static str, filter: String| {
        let lab = &lab;
        async move {
            let reply = lab.hsm("pool", "GET", &format!("{scope}{ASSIGNMENTS}{filter}"), Value::Null).await;
            reply.body["value"].as_array().map(Vec::len)
        }
    };
    assert_eq!(count("", String::new()).await, Some(3), "the administrator and two users");
    assert_eq!(count("", "?$filter=atScope()".to_owned()).await, Some(1));
    assert_eq!(count("/keys", "?$filter=atScope()".to_owned()).await, Some(3));
    assert_eq!(count("", format!("?$filter=principalId%20eq%20'{principal}'")).await, Some(1));
    assert_eq!(count("", "?$filter=color%20eq%20'red'".to_owned()).await, None);
    assert_eq!(count("/nowhere", String::new()).await, None, "no such scope");
    let rows = [
        (format!("{ASSIGNMENTS}/x"), body(CRYPTO_USER), "BadParameter"),
        (format!("{ASSIGNMENTS}/{}", uuid::Uuid::nil()), body(GUID), "RoleDefinitionNotFound"),
        (
            format!("{ASSIGNMENTS}/{}", uuid::Uuid::nil()),
            json!({ "properties": { "principalId": "me" } }),
            "BadParameter",
        ),
    ];
    for (path, body, code) in rows {
        assert_eq!(lab.hsm("pool", "PUT", &path, body).await.code(), code, "{path}");
    }
    assert_eq!(
        lab.hsm("pool", "DELETE", &format!("{ASSIGNMENTS}/{GUID}"), Value::Null).await.code(),
        "RoleAssignmentNotFound"
    );
    assert_eq!(lab.hsm("pool", "DELETE", &path, Value::Null).await.status, 200);
    assert_eq!(lab.hsm("pool", "GET", &path, Value::Null).await.code(), "RoleAssignmentNotFound");
}

#[tokio::test]
async fn a_role_is_changed_only_by_whoever_may_at_all_its_scopes() {
    let cloud = testing::cloud();
    let lab = Lab::with_pool(&cloud).await;
    lab.hsm_key("mine", json!({})).await;
    lab.hsm_key("other", json!({})).await;
    let tools = cloud.tools();
    let principal = oid(&tools).await;
    let body = |actions: &[&str], scopes: Value| {
        let actions: Vec<String> = actions.iter().map(|a| format!("Microsoft.KeyVault/managedHsm/{a}")).collect();
        json!({ "properties": {
            "roleName": "Reader", "assignableScopes": scopes, "permissions": [{ "dataActions": actions }],
        } })
    };
    let reads = body(&["keys/read/action"], json!(["/"]));
    let path = format!("{DEFINITIONS}/{GUID}");
    assert_eq!(lab.hsm("pool", "PUT", &path, reads.clone()).await.status, 201);
    lab.local_role("pool", GUID, &principal, "/").await;
    lab.local_role("pool", POLICY_ADMINISTRATOR, &principal, "/keys/mine").await;
    let everything = body(&["keys/read/action", "keys/delete", "roleAssignments/write/action"], json!(["/"]));
    let narrowed = body(&["keys/delete"], json!(["/keys/mine"]));
    for (what, given) in [("more for all keys", everything.clone()), ("other scopes", narrowed.clone())] {
        let reply = hsm(&tools, "pool", "PUT", &format!("/keys/mine{path}"), given).await;
        assert_eq!(refusal(&reply), (403, "AccessDenied", ""), "{what}: {}", reply.body);
    }
    let stolen = format!("/keys/mine{DEFINITIONS}/{}", uuid::Uuid::new_v4());
    let reply = hsm(&tools, "pool", "PUT", &stolen, everything).await;
    assert_eq!(refusal(&reply), (403, "AccessDenied", ""), "a role for everywhere");
    let reply = hsm(&tools, "pool", "DELETE", &format!("/keys/mine{path}"), Value::Null).await;
    assert_eq!(refusal(&reply), (403, "AccessDenied", ""));
    let reply = hsm(&tools, "pool", "DELETE", "/keys/other", Value::Null).await;
    assert_eq!(refusal(&reply), (403, "AccessDenied", ""), "the role is what it was");
    let mut own = narrowed;
    own["properties"]["roleName"] = "Mine".into();
    let at_home = format!("/keys/mine{DEFINITIONS}/{}", uuid::Uuid::new_v4());
    assert_eq!(hsm(&tools, "pool", "PUT", &at_home, own).await.status, 201);
    assert_eq!(hsm(&tools, "pool", "DELETE", &at_home, Value::Null).await.status, 200);
}
