//! The provider through `Cloud::handle`, as clients see it.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::testing::{self, Client, Reply, TestCloud};

const API: &str = "?api-version=2024-11-30";
const READER: &str = "acdd72a7-3385-48ef-bd42-f606fba81ae7";
const IDENTITY_OPERATOR: &str = "f1a07417-d97a-45cb-824c-7a7467783830";
const IDENTITY_CONTRIBUTOR: &str = "e40ec5ca-96e0-45a2-b4ff-59039f2c2b59";

/// A cloud with the resource group `lab` and the provider registered.
async fn lab() -> TestCloud {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let group = format!("{}?api-version=2024-11-01", group(&cloud));
    assert_eq!(me.arm("PUT", &group, json!({ "location": "westeurope" })).await.status, 201);
    let path = identity(&cloud, "early");
    let early = me.arm("PUT", &format!("{path}{API}"), json!({ "location": "westeurope" })).await;
    assert_eq!((early.status, early.code()), (409, "MissingSubscriptionRegistration"), "{early:?}");
    let register =
        format!("{}/providers/Microsoft.ManagedIdentity/register?api-version=2022-12-01", cloud.subscription());
    assert_eq!(me.arm("POST", &register, Value::Null).await.status, 200);
    cloud.advance(60);
    drop(me);
    cloud
}

fn group(cloud: &TestCloud) -> String {
    format!("{}/resourceGroups/lab", cloud.subscription())
}

fn identity(cloud: &TestCloud, name: &str) -> String {
    format!("{}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}", group(cloud))
}

/// Makes or replaces an identity.
async fn put(cloud: &TestCloud, name: &str) -> Reply {
    let path = format!("{}{API}", identity(cloud, name));
    cloud.learner().arm("PUT", &path, json!({ "location": "westeurope" })).await
}

/// Gives the service principal one role and nothing else, and waits until it works.
async fn only_role<'a>(cloud: &'a TestCloud, scope: &str, role: &str) -> Client<'a> {
    const ROLES: &str = "/providers/Microsoft.Authorization/roleAssignments";
    let me = cloud.learner();
    let all = me.arm("GET", &format!("{}{ROLES}?api-version=2022-04-01", cloud.subscription()), Value::Null).await;
    for assignment in all.body["value"].as_array().unwrap() {
        if assignment["properties"]["principalId"] == json!(cloud.seed.client_oid) {
            let id = assignment["id"].as_str().unwrap();
            assert_eq!(me.arm("DELETE", &format!("{id}?api-version=2022-04-01"), Value::Null).await.status, 200);
        }
    }
    let path = format!("{scope}{ROLES}/{}?api-version=2022-04-01", uuid::Uuid::new_v4());
    let body = json!({ "properties": {
        "roleDefinitionId": format!("{}/providers/Microsoft.Authorization/roleDefinitions/{role}", cloud.subscription()),
        "principalId": cloud.seed.client_oid,
        "principalType": "ServicePrincipal"
    } });
    assert_eq!(me.arm("PUT", &path, body).await.status, 201);
    cloud.advance(5);
    cloud.tools()
}

fn holds(id: &str) -> Value {
    json!({ "type": "UserAssigned", "userAssignedIdentities": { id: {} } })
}

#[tokio::test]
async fn an_identity_has_a_principal_for_as_long_as_it_lives() {
    let cloud = lab().await;
    let me = cloud.learner();
    let path = format!("{}{API}", identity(&cloud, "worker"));
    let made = put(&cloud, "worker").await;
    assert_eq!(made.status, 201, "{made:?}");
    let shown = &made.body["properties"];
    assert_eq!(shown["tenantId"], json!(cloud.seed.tenant));
    assert_eq!(shown.as_object().unwrap().len(), 3, "{shown}");
    let again = put(&cloud, "worker").await;
    assert_eq!((again.status, &again.body["properties"]), (200, shown), "a second PUT changes nobody");

    let principal = format!(
        "https://graph.microsoft.com/v1.0/servicePrincipals/{}",
        shown["principalId"].as_str().unwrap_or_default()
    );
    let found = me.send("GET", &principal, None).await;
    assert_eq!((&found.body["appId"], &found.body["displayName"]), (&shown["clientId"], &json!("worker")), "{found:?}");

    let tagged = me.arm("PATCH", &path, json!({ "tags": { "a": "1" } })).await;
    assert_eq!((tagged.status, &tagged.body["tags"], &tagged.body["properties"]), (200, &json!({ "a": "1" }), shown));
    for list in [group(&cloud), cloud.subscription()] {
        let list = format!("{list}/providers/Microsoft.ManagedIdentity/userAssignedIdentities{API}");
        let listed = me.arm("GET", &list, Value::Null).await;
        assert_eq!(listed.body["value"][0]["name"], "worker", "{list}");
    }

    assert_eq!(me.arm("DELETE", &path, Value::Null).await.status, 200);
    assert_eq!(me.arm("DELETE", &path, Value::Null).await.status, 204);
    assert_eq!(me.arm("GET", &path, Value::Null).await.code(), "ResourceNotFound");
    assert_eq!(me.arm("PATCH", &path, json!({})).await.code(), "ResourceNotFound");
    assert_eq!(me.send("GET", &principal, None).await.status, 404);
    let third = put(&cloud, "worker").await;
    assert_ne!(third.body["properties"]["principalId"], shown["principalId"], "a new one is somebody else");
}

#[tokio::test]
async fn refused_bodies() {
    let cloud = lab().await;
    let me = cloud.learner();
    let at = |properties: Value| json!({ "location": "westeurope", "properties": properties });
    let table = [
        ("ab", at(json!({})), "InvalidResourceName", false),
        ("-ab", at(json!({})), "InvalidResourceName", false),
        ("a.b", at(json!({})), "InvalidResourceName", false),
        ("abc", json!({}), "LocationRequired", false),
        ("abc", at(json!({ "isolationScope": "Mine" })), "InvalidRequestContent", false),
        ("abc", at(json!({ "isolationScope": "Regional" })), "InvalidRequestContent", true),
        ("abc", at(json!({ "assignmentRestrictions": { "providers": [] } })), "InvalidRequestContent", true),
    ];
    for (name, body, code, gap) in table {
        let reply = me.arm("PUT", &format!("{}{API}", identity(&cloud, name)), body.clone()).await;
        assert_eq!((reply.status, reply.code()), (400, code), "{name} {body}");
        assert_eq!(!reply.header("x-sealbook-gap").is_empty(), gap, "{name} {body}");
    }
    put(&cloud, "abc").await;
    let part = format!("{}/federatedIdentityCredentials/f{API}", identity(&cloud, "abc"));
    let reply = me.arm("PUT", &part, json!({})).await;
    assert_eq!((reply.status, reply.header("x-sealbook-gap").is_empty()), (404, false), "{reply:?}");
}

#[tokio::test]
async fn who_may_make_and_give_an_identity() {
    let cloud = lab().await;
    put(&cloud, "worker").await;
    let worker = identity(&cloud, "worker");
    let gadget = format!("{}/providers/Test.Fixture/gadgets/g?api-version=2026-01-01", group(&cloud));
    let body = json!({ "location": "westus", "identity": holds(&worker), "properties": {} });
    // Role; may read; may make; may give to a resource that it may write.
    for (role, read, make) in [(READER, 200, 403), (IDENTITY_OPERATOR, 200, 403), (IDENTITY_CONTRIBUTOR, 200, 201)] {
        let tools = only_role(&cloud, &group(&cloud), role).await;
        assert_eq!(tools.arm("GET", &format!("{worker}{API}"), Value::Null).await.status, read, "{role}");
        let path = format!("{}{API}", identity(&cloud, "another"));
        assert_eq!(tools.arm("PUT", &path, json!({ "location": "westus" })).await.status, make, "{role}");
    }
    let custom = format!(
        "{}/providers/Microsoft.Authorization/roleDefinitions/{}?api-version=2022-04-01",
        cloud.subscription(),
        uuid::Uuid::new_v4()
    );
    let writer = json!({ "properties": {
        "roleName": "Gadget writer", "type": "CustomRole", "assignableScopes": [cloud.subscription()],
        "permissions": [{ "actions": ["Test.Fixture/*"], "notActions": [] }]
    } });
    let me = cloud.learner();
    let role = me.arm("PUT", &custom, writer).await.body["name"].as_str().unwrap().to_owned();
    let tools = only_role(&cloud, &group(&cloud), &role).await;
    let refused = tools.arm("PUT", &gadget, body.clone()).await;
    assert_eq!((refused.status, refused.code()), (403, "LinkedAuthorizationFailed"), "{refused:?}");
    let path = format!("{worker}/providers/Microsoft.Authorization/roleAssignments/{}", uuid::Uuid::new_v4());
    let operator = json!({ "properties": {
        "roleDefinitionId":
            format!("{}/providers/Microsoft.Authorization/roleDefinitions/{IDENTITY_OPERATOR}", cloud.subscription()),
        "principalId": cloud.seed.client_oid, "principalType": "ServicePrincipal"
    } });
    let at_it = me.arm("PUT", &format!("{path}?api-version=2022-04-01"), operator).await;
    assert_eq!(at_it.status, 201, "a role at the identity: {at_it:?}");
    cloud.advance(5);
    assert_eq!(tools.arm("PUT", &gadget, body).await.status, 202);
}

#[tokio::test]
async fn a_resource_that_holds_a_deleted_identity_holds_nobody() {
    let cloud = lab().await;
    let me = cloud.learner();
    let first = put(&cloud, "worker").await.body["properties"]["principalId"].clone();
    let worker = identity(&cloud, "worker");
    let gadget = format!("{}/providers/Test.Fixture/gadgets/g", group(&cloud));
    let url = format!("{gadget}?api-version=2026-01-01");
    let body = json!({ "location": "westus", "identity": holds(&worker), "properties": {} });
    assert_eq!(me.arm("PUT", &url, body.clone()).await.status, 202);
    cloud.advance(60);
    assert_eq!(json!(cloud.cloud.identities_of(&gadget).unwrap()), json!([first]));
    me.arm("DELETE", &format!("{worker}{API}"), Value::Null).await;
    let held = me.arm("GET", &url, Value::Null).await.body["identity"]["userAssignedIdentities"].clone();
    assert_eq!(held[&worker]["principalId"], first, "it still says so");
    assert!(cloud.cloud.identities_of(&gadget).unwrap().is_empty());
    assert_eq!(me.arm("PUT", &url, body.clone()).await.code(), "FailedIdentityOperation");
    let second = put(&cloud, "worker").await.body["properties"]["principalId"].clone();
    let given = me.arm("PUT", &url, body).await;
    assert_eq!(given.body["identity"]["userAssignedIdentities"][&worker]["principalId"], second, "{given:?}");
}

#[tokio::test]
async fn the_system_assigned_identity_is_read_at_its_resource() {
    let cloud = lab().await;
    let me = cloud.learner();
    let gadget = format!("{}/providers/Test.Fixture/gadgets/g", group(&cloud));
    let at = format!("{gadget}/providers/Microsoft.ManagedIdentity/identities/default{API}");
    let body = |kind: &str| json!({ "location": "westus", "identity": { "type": kind }, "properties": {} });
    let url = format!("{gadget}?api-version=2026-01-01");
    assert_eq!(me.arm("GET", &at, Value::Null).await.code(), "ResourceNotFound");
    let made = me.arm("PUT", &url, body("SystemAssigned")).await;
    let found = me.arm("GET", &at, Value::Null).await;
    assert_eq!(found.body["properties"]["principalId"], made.body["identity"]["principalId"], "{found:?}");
    cloud.advance(60);
    me.arm("PUT", &url, body("None")).await;
    assert_eq!(me.arm("GET", &at, Value::Null).await.code(), "ResourceNotFound");
}

#[tokio::test]
async fn machines_get_tokens_for_the_identities_that_they_hold() {
    let cloud = lab().await;
    let [one, two] = [put(&cloud, "one").await.body, put(&cloud, "two").await.body];
    let oid = |identity: &Value| identity["properties"]["principalId"].as_str().unwrap().to_owned();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let ask = async |held: &[String], query: String| {
        let uri = format!(
            "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2019-08-01&resource=https%3A%2F%2Fvault\
             .azure.net{query}"
        );
        let mut request = http::Request::get(uri).header("metadata", "true").body(Bytes::new()).unwrap();
        request.extensions_mut().insert(crate::MachineIdentities(held.to_vec()));
        let response = cloud.cloud.handle(request).await.unwrap();
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        let said = if response.status() == 200 { &body["client_id"] } else { &body["error_description"] };
        text(said)
    };
    let both = [oid(&one), oid(&two)];
    let (client, id) = (text(&two["properties"]["clientId"]), text(&two["id"]));
    let by_id = id.replace('/', "%2F");
    let table = [
        (&both[..], format!("&client_id={client}"), client.as_str()),
        (&both[..], format!("&object_id={}", both[1]), &client),
        (&both[..], format!("&msi_res_id={by_id}"), &client),
        (&both[..], format!("&mi_res_id={}", by_id.to_lowercase()), &client),
        (&both[1..], String::new(), &client),
        (&both[..1], format!("&client_id={client}"), "Identity not found"),
        (
            &both[..],
            String::new(),
            "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the \
             token request",
        ),
    ];
    for (held, query, expected) in table {
        assert_eq!(ask(held, query.clone()).await, expected, "{query}");
    }
}

#[tokio::test]
async fn only_an_identity_is_given_as_one() {
    let cloud = lab().await;
    let me = cloud.learner();
    let own = json!({ "location": "westus", "identity": { "type": "SystemAssigned" }, "properties": { "size": 1 } });
    let other = format!("{}/providers/Test.Fixture/gadgets/other", group(&cloud));
    assert_eq!(me.arm("PUT", &format!("{other}?api-version=2026-01-01"), own).await.status, 202);
    let url = format!("{}/providers/Test.Fixture/gadgets/g?api-version=2026-01-01", group(&cloud));
    let body = json!({ "location": "westus", "identity": holds(&other), "properties": {} });
    let refused = me.arm("PUT", &url, body).await;
    assert_eq!((refused.status, refused.code()), (400, "FailedIdentityOperation"), "{refused:?}");
}
