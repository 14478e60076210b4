//! Clusters whose nodes' disks a customer's key encrypts.

use serde_json::{Value, json};

use super::{ask, body, cluster, given, group, lab, make, outcome, with};
use crate::testing::{Reply, TestCloud};

const CRYPTO_OFFICER: &str = "14b46e9e-c2b7-41b4-b07b-48a6ebf60603";
const CRYPTO_SERVICE: &str = "e147488a-f6f5-4113-8e2d-b22465e65bf6";

async fn assign(cloud: &TestCloud, scope: &str, role: &str, principal: &str, kind: &str) -> String {
    let name = uuid::Uuid::new_v4();
    let path = format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{name}?api-version=2022-04-01");
    let body = json!({ "properties": {
        "roleDefinitionId": format!("{}/providers/Microsoft.Authorization/roleDefinitions/{role}", cloud.subscription()),
        "principalId": principal, "principalType": kind
    } });
    assert_eq!(cloud.learner().arm("PUT", &path, body).await.status, 201);
    cloud.advance(5);
    path
}

fn vault(cloud: &TestCloud) -> String {
    format!("{}/providers/Microsoft.KeyVault/vaults/labvault01", group(cloud))
}

fn set(cloud: &TestCloud, name: &str) -> String {
    format!("{}/providers/Microsoft.Compute/diskEncryptionSets/{name}", group(cloud))
}

async fn key(cloud: &TestCloud, method: &str, path: &str, body: Value) -> Reply {
    let uri = format!("https://labvault01.vault.azure.net/keys/{path}?api-version=7.5");
    cloud.learner().send(method, &uri, Some(body).filter(|body| !body.is_null())).await
}

/// A lab with a vault, its key `disks`, an identity and the sets `des` (with the key), `far` and `confidential`; the
/// path of the identity's role assignment.
async fn sets() -> (TestCloud, String) {
    let cloud = lab().await;
    let me = cloud.learner();
    let body = json!({ "location": "westeurope", "properties": {
        "tenantId": cloud.seed.tenant, "sku": { "family": "A", "name": "premium" },
        "enableRbacAuthorization": true, "softDeleteRetentionInDays": 7
    } });
    let path = vault(&cloud);
    assert!(me.arm("PUT", &format!("{path}?api-version=2023-07-01"), body).await.status < 300);
    cloud.advance(5);
    assign(&cloud, &path, CRYPTO_OFFICER, &cloud.seed.user_oid, "User").await;
    let made = key(&cloud, "POST", "disks/create", json!({ "kty": "RSA-HSM", "key_size": 4096 })).await;
    let kid = made.body["key"]["kid"].clone();
    let id = format!("{}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/disks", group(&cloud));
    let made = me.arm("PUT", &format!("{id}?api-version=2024-11-30"), json!({ "location": "westeurope" })).await;
    let identity = &made.body["properties"];
    let scope = format!("{path}/keys/disks");
    let principal = identity["principalId"].as_str().unwrap();
    let role = assign(&cloud, &scope, CRYPTO_SERVICE, principal, "ServicePrincipal").await;
    for (name, location, kind) in [
        ("des", "westeurope", "EncryptionAtRestWithCustomerKey"),
        ("far", "eastus", "EncryptionAtRestWithCustomerKey"),
        ("confidential", "westeurope", "ConfidentialVmEncryptedWithCustomerKey"),
    ] {
        let held = json!({ "principalId": identity["principalId"], "clientId": identity["clientId"] });
        given(
            &cloud,
            &set(&cloud, name),
            json!({
                "location": location,
                "identity": { "type": "UserAssigned", "userAssignedIdentities": { &id: held } },
                "properties": { "encryptionType": kind, "activeKey": { "keyUrl": kid, "sourceVault": { "id": path } } }
            }),
        );
    }
    drop(me);
    (cloud, role)
}

fn encrypted(set: &str) -> Value {
    with("/properties/diskEncryptionSetID", json!(set))
}

/// Error code of an operation that is over.
async fn ended(cloud: &TestCloud, started: &Reply) -> String {
    cloud.advance(5);
    let poll = cloud.learner().send("GET", started.header("azure-asyncoperation"), None).await;
    poll.body["error"]["code"].as_str().unwrap_or(poll.body["status"].as_str().unwrap()).to_owned()
}

#[tokio::test]
async fn refused_sets() {
    let (cloud, _) = sets().await;
    let elsewhere = set(&cloud, "des").replace(&cloud.seed.subscription, &uuid::Uuid::nil().to_string());
    let table = [
        (String::new(), "400 LinkedInvalidPropertyId"),
        ("des".to_owned(), "400 LinkedInvalidPropertyId"),
        (elsewhere, "400 InvalidParameter"),
        (set(&cloud, "none"), "400 InvalidResourceReference"),
        (vault(&cloud), "400 InvalidParameter"),
        (set(&cloud, "far"), "400 InvalidParameter"),
        (set(&cloud, "confidential"), "400 InvalidParameter"),
    ];
    for (set, expected) in table {
        let reply = ask(&cloud, "PUT", &cluster(&cloud, "aks1"), encrypted(&set)).await;
        assert_eq!(outcome(&reply), expected, "{set}: {reply:?}");
    }
}

#[tokio::test]
async fn the_set_is_chosen_at_creation() {
    let (cloud, _) = sets().await;
    let shown = make(&cloud, "aks1", encrypted(&set(&cloud, "des"))).await;
    assert_eq!(shown["properties"]["diskEncryptionSetID"], json!(set(&cloud, "des")));
    assert_eq!(shown["properties"]["provisioningState"], "Succeeded", "{shown}");
    let log = cloud.cloud.audit(&vault(&cloud)).unwrap();
    assert!(log.iter().any(|entry| entry["operationName"] == "KeyUnwrap"), "the set's identity tried the key");
    make(&cloud, "plain", body()).await;
    let late = ask(&cloud, "PUT", &cluster(&cloud, "plain"), encrypted(&set(&cloud, "des"))).await;
    assert_eq!(outcome(&late), "400 PropertyChangeNotAllowed");
    let other = ask(&cloud, "PUT", &cluster(&cloud, "aks1"), encrypted(&set(&cloud, "confidential"))).await;
    assert_eq!(outcome(&other), "400 PropertyChangeNotAllowed");
}

#[tokio::test]
async fn nodes_need_the_key_to_be_made_and_to_start() {
    let (cloud, role) = sets().await;
    let path = cluster(&cloud, "aks1");
    let enable = async |enabled: bool| {
        assert_eq!(key(&cloud, "PATCH", "disks", json!({ "attributes": { "enabled": enabled } })).await.status, 200);
    };
    enable(false).await;
    let made = ask(&cloud, "PUT", &path, encrypted(&set(&cloud, "des"))).await;
    assert_eq!((made.status, ended(&cloud, &made).await.as_str()), (201, "KeyVaultKeyNotEnabled"), "{made:?}");
    let shown = ask(&cloud, "GET", &path, Value::Null).await.body;
    assert_eq!(shown["properties"]["provisioningState"], "Failed");
    enable(true).await;
    let again = ask(&cloud, "PUT", &path, encrypted(&set(&cloud, "des"))).await;
    assert_eq!((again.status, ended(&cloud, &again).await.as_str()), (200, "Succeeded"), "{again:?}");

    let act = async |verb: &str| {
        let started = ask(&cloud, "POST", &format!("{path}/{verb}"), Value::Null).await;
        assert_eq!(started.status, 202, "{started:?}");
        ended(&cloud, &started).await
    };
    assert_eq!(act("stop").await, "Succeeded");
    assert_eq!(cloud.learner().arm("DELETE", &role, Value::Null).await.status, 200);
    assert_eq!(act("start").await, "KeyVaultAccessForbidden");
    let identity = format!("{}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/disks", group(&cloud));
    let url = format!("{identity}?api-version=2024-11-30");
    let principal = cloud.learner().arm("GET", &url, Value::Null).await.body["properties"]["principalId"].clone();
    assign(&cloud, &vault(&cloud), CRYPTO_SERVICE, principal.as_str().unwrap(), "ServicePrincipal").await;
    assert_eq!(act("start").await, "Succeeded", "access came back");
    let shown = ask(&cloud, "GET", &path, Value::Null).await.body;
    assert_eq!(shown["properties"]["powerState"]["code"], "Running");
    cloud.learner().arm("DELETE", &url, Value::Null).await;
    assert_eq!(act("stop").await, "Succeeded");
    assert_eq!(act("start").await, "KeyVaultAccessForbidden", "the identity is gone");
}
