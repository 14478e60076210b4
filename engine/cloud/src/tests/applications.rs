//! Service principals of Microsoft's own applications, registered in a tenant.

use serde_json::{Value, json};

use crate::testing::{self, Client, Reply};

const ORCHESTRATOR: &str = "bf7b6499-ff71-4aa2-97a4-f372087be7f0";

async fn ask(client: &Client<'_>, method: &str, path: &str, body: Value) -> Reply {
    client.send(method, &format!("https://graph.microsoft.com/v1.0/{path}"), (!body.is_null()).then_some(body)).await
}

fn registration(app_id: &str) -> Value {
    json!({ "appId": app_id, "accountEnabled": true })
}

#[tokio::test]
async fn the_orchestrator_is_registered_once_and_found_by_its_application_id() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    // What the command line asks first: an application of the tenant by that id, then by that object id.
    let apps = ask(&me, "GET", &format!("applications?$filter=appId%20eq%20'{ORCHESTRATOR}'"), Value::Null).await;
    assert_eq!((apps.status, &apps.body["value"]), (200, &json!([])));
    let app = ask(&me, "GET", &format!("applications/{ORCHESTRATOR}"), Value::Null).await;
    assert_eq!((app.status, app.code()), (404, "Request_ResourceNotFound"));
    let missing = ask(&me, "GET", &format!("servicePrincipals(appId='{ORCHESTRATOR}')"), Value::Null).await;
    assert_eq!(missing.code(), "Request_ResourceNotFound");

    let made = ask(&me, "POST", "servicePrincipals", registration(ORCHESTRATOR)).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.body["displayName"], "Confidential VM Orchestrator");
    assert_eq!(made.body["appOwnerOrganizationId"], "f8cdef31-a31e-4b4a-93e4-5f571e91255a");
    let id = made.body["id"].as_str().unwrap();
    let paths = [
        format!("servicePrincipals(appId='{ORCHESTRATOR}')"),
        format!("servicePrincipals/{id}"),
        format!("servicePrincipals?$filter=appId%20eq%20'{ORCHESTRATOR}'"),
        format!("servicePrincipals?$filter=servicePrincipalNames/any(c:c%20eq%20'{ORCHESTRATOR}')"),
    ];
    for path in paths {
        let found = ask(&me, "GET", &path, Value::Null).await;
        let one = if found.body["value"].is_array() { &found.body["value"][0] } else { &found.body };
        assert_eq!((found.status, &one["id"]), (200, &json!(id)), "{path}");
    }
    let again = ask(&me, "POST", "servicePrincipals", registration(ORCHESTRATOR)).await;
    assert_eq!((again.status, again.code()), (409, "Request_MultipleObjectsWithSameKeyValue"));

    let other = cloud.cloud.add_tenant("Second").unwrap();
    let made = ask(&cloud.stranger(&other), "POST", "servicePrincipals", registration(ORCHESTRATOR)).await;
    assert_eq!(made.status, 201, "each tenant has its own: {made:?}");
    assert_ne!(made.body["id"], id);
    let found = ask(&me, "GET", &format!("servicePrincipals(appId='{ORCHESTRATOR}')"), Value::Null).await;
    assert_eq!(found.body["id"], id);
}

#[tokio::test]
async fn applications_without_the_permission_and_unknown_ones_are_refused() {
    let cloud = testing::cloud();
    let (me, tools) = (cloud.learner(), cloud.tools());
    let refused = ask(&tools, "POST", "servicePrincipals", registration(ORCHESTRATOR)).await;
    assert_eq!((refused.status, refused.code()), (403, "Authorization_RequestDenied"));
    let table = [
        (registration("11111111-2222-3333-4444-555555555555"), 400, "Request_BadRequest", false),
        (registration(&cloud.seed.client_id), 409, "Request_MultipleObjectsWithSameKeyValue", false),
        (json!({}), 400, "Request_BadRequest", false),
        (json!({ "appId": ORCHESTRATOR, "accountEnabled": false }), 400, "Request_BadRequest", true),
        (json!({ "appId": ORCHESTRATOR, "tags": ["a"] }), 400, "Request_BadRequest", true),
    ];
    for (body, status, code, gap) in table {
        let reply = ask(&me, "POST", "servicePrincipals", body.clone()).await;
        assert_eq!((reply.status, reply.code()), (status, code), "{body}");
        assert_eq!(!reply.header("x-sealbook-gap").is_empty(), gap, "{body}");
    }
}

#[tokio::test]
async fn the_applications_of_the_tenant_are_listed() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let all = ask(&me, "GET", "applications", Value::Null).await;
    assert_eq!(all.body["value"][0]["appId"], cloud.seed.client_id);
    let id = all.body["value"][0]["id"].as_str().unwrap();
    assert_ne!(id, cloud.seed.client_oid);
    let one = ask(&me, "GET", &format!("applications/{id}"), Value::Null).await;
    assert_eq!((one.status, &one.body["displayName"]), (200, &json!("sealbook-tools")));
    let uris = ask(&me, "GET", "applications?$filter=identifierUris/any(s:s%20eq%20'x')", Value::Null).await;
    assert_eq!(uris.body["value"], json!([]));
    let refused = ask(&me, "GET", "applications?$filter=tags%20eq%20'x'", Value::Null).await;
    assert_eq!((refused.status, refused.code()), (400, "Request_UnsupportedQuery"));
}
