//! An account that uses its key as a user-assigned identity: that one exists before the account does.

use serde_json::{Value, json};

use super::cmk::{VAULT_API, key, key_properties, vault, vault_path};
use super::{API, CRYPTO_SERVICE, account_body, account_path, allow_blobs, assign, blob, lab, outcome, upload};
use crate::testing::{Reply, TestCloud};

/// Makes an identity; its id and its principal.
async fn identity(cloud: &TestCloud, name: &str) -> (String, String) {
    let me = cloud.learner();
    let register =
        format!("{}/providers/Microsoft.ManagedIdentity/register?api-version=2022-12-01", cloud.subscription());
    me.arm("POST", &register, Value::Null).await;
    cloud.advance(5);
    let group = format!("{}/resourceGroups/lab", cloud.subscription());
    let id = format!("{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}");
    let reply = me.arm("PUT", &format!("{id}?api-version=2024-11-30"), json!({ "location": "westeurope" })).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    (id, reply.body["properties"]["principalId"].as_str().unwrap().to_owned())
}

/// Makes the account `labdata01` with a customer's key in its first PUT, used as `asks`.
async fn create(cloud: &TestCloud, holds: &str, asks: &str) -> Reply {
    let mut body = account_body();
    body["identity"] = json!({ "type": "UserAssigned", "userAssignedIdentities": { holds: {} } });
    body["properties"]["encryption"] = json!({
        "keySource": "Microsoft.Keyvault",
        "services": { "blob": {} },
        "identity": { "userAssignedIdentity": asks },
        "keyvaultproperties": key_properties("cmk"),
    });
    cloud.learner().arm("PUT", &format!("{}{API}", account_path(cloud, "lab", "labdata01")), body).await
}

#[tokio::test]
async fn the_first_put_may_name_a_customers_key() {
    let cloud = lab().await;
    vault(&cloud, true).await;
    let (id, principal) = identity(&cloud, "worker").await;
    let refused = create(&cloud, &id, &id).await;
    assert_eq!((refused.status, refused.code()), (400, "KeyVaultAuthenticationFailure"), "no role yet: {refused:?}");
    assign(&cloud, &vault_path(&cloud), CRYPTO_SERVICE, &principal, "ServicePrincipal").await;
    let (other, _) = identity(&cloud, "other").await;
    let refused = create(&cloud, &id, &other).await;
    assert_eq!((refused.status, refused.code()), (400, "MissingMsiHeaders"), "not held: {refused:?}");

    let made = create(&cloud, &id, &id).await;
    assert_eq!(made.status, 202, "{made:?}");
    cloud.advance(1);
    let path = format!("{}{API}", account_path(&cloud, "lab", "labdata01"));
    let shown = cloud.learner().arm("GET", &path, Value::Null).await.body;
    let encryption = &shown["properties"]["encryption"];
    assert_eq!(encryption["keySource"], "Microsoft.Keyvault", "{shown}");
    assert_eq!(encryption["identity"]["userAssignedIdentity"], json!(id));
    assert_eq!(shown["identity"]["userAssignedIdentities"][&id]["principalId"], json!(principal));
    let log = cloud.cloud.audit(&vault_path(&cloud)).unwrap();
    let wrapped = log.iter().rfind(|entry| entry["operationName"] == "KeyWrap").unwrap();
    assert_eq!(wrapped["identity"]["claim"]["oid"], json!(principal), "{wrapped}");
}

#[tokio::test]
async fn a_deleted_identity_or_key_locks_the_data() {
    let cloud = lab().await;
    vault(&cloud, true).await;
    let (id, principal) = identity(&cloud, "worker").await;
    assign(&cloud, &vault_path(&cloud), CRYPTO_SERVICE, &principal, "ServicePrincipal").await;
    create(&cloud, &id, &id).await;
    cloud.advance(1);
    allow_blobs(&cloud).await;
    let me = cloud.learner();
    assert_eq!(blob(&me, "PUT", "/data?restype=container", &[], "").await.status, 201);
    assert_eq!(upload(&me, "/data/one", "first").await.status, 201);
    let read = async || outcome(&blob(&me, "GET", "/data/one", &[], "").await);
    assert_eq!(read().await, "200");

    for (enabled, expected) in [(false, "403 KeyVaultEncryptionKeyNotFound"), (true, "200")] {
        key(&cloud, "PATCH", "/keys/cmk", json!({ "attributes": { "enabled": enabled } })).await;
        assert_eq!(read().await, expected, "enabled: {enabled}");
    }
    assert_eq!(me.arm("DELETE", &format!("{id}?api-version=2024-11-30"), Value::Null).await.status, 200);
    assert_eq!(read().await, "403 KeyVaultAccessTokenCannotBeAcquired");

    // Another identity opens it again once it has the role and the account was told to use it.
    let (second, principal) = identity(&cloud, "second").await;
    assign(&cloud, &vault_path(&cloud), CRYPTO_SERVICE, &principal, "ServicePrincipal").await;
    let body = json!({
        "identity": { "type": "UserAssigned", "userAssignedIdentities": { &second: {} } },
        "properties": { "encryption": {
            "keySource": "Microsoft.Keyvault",
            "identity": { "userAssignedIdentity": second },
            "keyvaultproperties": key_properties("cmk"),
        } }
    });
    let told = me.arm("PATCH", &format!("{}{API}", account_path(&cloud, "lab", "labdata01")), body).await;
    assert_eq!(told.status, 200, "{told:?}");
    assert_eq!(read().await, "200");
    let gone = me.arm("DELETE", &format!("{}{VAULT_API}", vault_path(&cloud)), Value::Null).await;
    assert_eq!(gone.status, 200);
    assert_eq!(read().await, "403 KeyVaultVaultNotFound");
}
