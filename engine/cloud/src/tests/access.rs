//! Role definitions and assignments, and what they allow when.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::testing::{self, Client, Reply, TestCloud};

const READER: &str = "acdd72a7-3385-48ef-bd42-f606fba81ae7";
const CONTRIBUTOR: &str = "b24988ac-6180-42a0-ab88-20f7382dd24c";

fn role(cloud: &TestCloud, id: &str) -> String {
    format!("{}/providers/Microsoft.Authorization/roleDefinitions/{id}", cloud.subscription())
}

fn assignment(scope: &str, name: &str) -> String {
    format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{name}?api-version=2022-04-01")
}

async fn assign(cloud: &TestCloud, by: &Client<'_>, scope: &str, role_id: &str, principal: &str) -> Reply {
    let body = json!({ "properties": {
        "roleDefinitionId": role(cloud, role_id),
        "principalId": principal,
        "principalType": "ServicePrincipal",
    } });
    by.arm("PUT", &assignment(scope, &Uuid::new_v4().to_string()), body).await
}

/// Takes the service principal's seeded ownership away.
async fn disown(cloud: &TestCloud, by: &Client<'_>) {
    let list = format!(
        "{}/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01&$filter=principalId%20eq%20'{}'",
        cloud.subscription(),
        cloud.seed.client_oid
    );
    let found = by.arm("GET", &list, Value::Null).await;
    for row in found.body["value"].as_array().unwrap() {
        let path = format!("{}?api-version=2022-04-01", row["id"].as_str().unwrap());
        assert_eq!(by.arm("DELETE", &path, Value::Null).await.status, 200);
    }
}

#[tokio::test]
async fn assignment_works_after_its_delay_and_stops_at_once() {
    let cloud = testing::cloud();
    let (me, tools) = (cloud.learner(), cloud.tools());
    disown(&cloud, &me).await;
    let group = format!("{}/resourceGroups/lab", cloud.subscription());
    let path = format!("{group}?api-version=2024-11-01");
    me.arm("PUT", &path, json!({ "location": "westus" })).await;
    let refused = tools.arm("GET", &path, Value::Null).await;
    assert_eq!((refused.status, refused.code()), (403, "AuthorizationFailed"));
    let message = refused.body["error"]["message"].as_str().unwrap();
    assert!(message.contains("'Microsoft.Resources/subscriptions/resourceGroups/read'"), "{message}");
    assert!(message.contains(&cloud.seed.client_oid), "{message}");
    let subscriptions = "/subscriptions?api-version=2022-12-01";
    assert_eq!(tools.arm("GET", subscriptions, Value::Null).await.body["value"], json!([]));

    let made = assign(&cloud, &me, &group, READER, &cloud.seed.client_oid).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(tools.arm("GET", &path, Value::Null).await.status, 403, "it has not propagated");
    cloud.advance(1);
    assert_eq!(tools.arm("GET", &path, Value::Null).await.status, 200);
    assert_eq!(tools.arm("DELETE", &path, Value::Null).await.status, 403, "a reader only reads");
    let sibling = format!("{group}-2?api-version=2024-11-01");
    assert_eq!(tools.arm("GET", &sibling, Value::Null).await.status, 403, "scopes are segments");
    let path_of = format!("{}?api-version=2022-04-01", made.body["id"].as_str().unwrap());
    assert_eq!(me.arm("DELETE", &path_of, Value::Null).await.status, 200);
    assert_eq!(tools.arm("GET", &path, Value::Null).await.status, 403);
    assert_eq!(me.arm("DELETE", &path_of, Value::Null).await.status, 204);
}

#[tokio::test]
async fn contributor_can_not_assign_roles() {
    let cloud = testing::cloud();
    let (me, tools) = (cloud.learner(), cloud.tools());
    disown(&cloud, &me).await;
    assign(&cloud, &me, &cloud.subscription(), CONTRIBUTOR, &cloud.seed.client_oid).await;
    cloud.advance(1);
    let group = format!("{}/resourceGroups/lab", cloud.subscription());
    let path = format!("{group}?api-version=2024-11-01");
    assert_eq!(tools.arm("PUT", &path, json!({ "location": "westus" })).await.status, 201);
    let refused = assign(&cloud, &tools, &group, READER, &cloud.seed.user_oid).await;
    assert_eq!((refused.status, refused.code()), (403, "AuthorizationFailed"));
}

#[tokio::test]
async fn equal_assignments_conflict() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let scope = cloud.subscription();
    let (first, second) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
    let body = |role_id: &str| {
        json!({ "properties": {
            "roleDefinitionId": role(&cloud, role_id),
            "principalId": cloud.seed.client_oid,
            "principalType": "ServicePrincipal",
        } })
    };
    assert_eq!(me.arm("PUT", &assignment(&scope, &first), body(READER)).await.status, 201);
    assert_eq!(me.arm("PUT", &assignment(&scope, &first), body(READER)).await.status, 201, "the same again");
    let conflict = me.arm("PUT", &assignment(&scope, &second), body(READER)).await;
    assert_eq!((conflict.status, conflict.code()), (409, "RoleAssignmentExists"));
    assert!(conflict.body["error"]["message"].as_str().unwrap().contains(&first.replace('-', "")));
    let update = me.arm("PUT", &assignment(&scope, &first), body(CONTRIBUTOR)).await;
    assert_eq!((update.status, update.code()), (409, "RoleAssignmentUpdateNotPermitted"));
}

#[tokio::test]
async fn bad_assignments_are_refused() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let scope = cloud.subscription();
    let nobody = "11111111-1111-1111-1111-111111111111";
    let known = cloud.seed.user_oid.as_str();
    let reader = role(&cloud, READER);
    let unknown_role = role(&cloud, nobody);
    let name = Uuid::new_v4().to_string();
    let lab = format!("{scope}/resourceGroups/none");
    let table = [
        (&scope, "x", known, Some("User"), &reader, 400, "InvalidRoleAssignmentId"),
        (&scope, &name, "x", Some("User"), &reader, 400, "InvalidPrincipalId"),
        (&scope, &name, nobody, None, &reader, 400, "PrincipalNotFound"),
        (&scope, &name, known, Some("ServicePrincipal"), &reader, 400, "UnmatchedPrincipalType"),
        (&scope, &name, known, Some("User"), &unknown_role, 404, "RoleDefinitionDoesNotExist"),
        (&lab, &name, known, Some("User"), &reader, 404, "ResourceGroupNotFound"),
        (&scope, &name, nobody, Some("ServicePrincipal"), &reader, 201, ""),
    ];
    for (scope, name, principal, kind, role, status, code) in table {
        let mut body = json!({ "properties": { "roleDefinitionId": role, "principalId": principal } });
        if let Some(kind) = kind {
            body["properties"]["principalType"] = kind.into();
        }
        let reply = me.arm("PUT", &assignment(scope, name), body).await;
        assert_eq!((reply.status, reply.code()), (status, code), "{reply:?}");
    }
}

#[tokio::test]
async fn definitions_are_found_by_name_and_lists_filter_by_scope() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let scope = cloud.subscription();
    let by_name = format!(
        "{scope}/providers/Microsoft.Authorization/roleDefinitions?api-version=2022-05-01-preview&$filter=roleName%20eq%20'Key%20Vault%20Crypto%20Officer'"
    );
    let found = me.arm("GET", &by_name, Value::Null).await;
    assert_eq!(found.body["value"].as_array().unwrap().len(), 1);
    assert_eq!(found.body["value"][0]["name"], "14b46e9e-c2b7-41b4-b07b-48a6ebf60603");

    let group = format!("{scope}/resourceGroups/lab");
    me.arm("PUT", &format!("{group}?api-version=2024-11-01"), json!({ "location": "westus" })).await;
    assign(&cloud, &me, &group, READER, &cloud.seed.client_oid).await;
    let count = async |scope: &str, filter: &str| {
        let path = format!("{scope}/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01{filter}");
        me.arm("GET", &path, Value::Null).await.body["value"].as_array().unwrap().len()
    };
    assert_eq!(count(&scope, "").await, 3, "above, at and below");
    assert_eq!(count(&scope, "&$filter=atScope()").await, 2, "above and at");
    assert_eq!(count(&group, "&$filter=atScope()").await, 3, "inherited");
    let mine = format!("&$filter=assignedTo('{}')", cloud.seed.client_oid);
    assert_eq!(count(&group, &mine).await, 2);
    me.arm("DELETE", &format!("{group}?api-version=2024-11-01"), Value::Null).await;
    cloud.advance(1);
    assert_eq!(count(&scope, "").await, 2, "the group's assignments went with it");
}
