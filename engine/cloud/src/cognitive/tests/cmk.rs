//! The rules of customer-managed keys: who may protect an account, and what the loss of the key does.

use serde_json::{Value, json};

use super::{CRYPTO_OFFICER, CRYPTO_SERVICE, account, ask, body, group, lab, make, outcome};
use crate::testing::{Reply, TestCloud};

const VAULT_API: &str = "?api-version=2023-07-01";

fn vault_path(cloud: &TestCloud, name: &str) -> String {
    format!("{}/providers/Microsoft.KeyVault/vaults/{name}", group(cloud))
}

/// Assigns a role and waits until it works; the assignment's path.
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

/// Makes a vault with the RSA keys `k2048` and `k3072`, and `curve`.
async fn vault(cloud: &TestCloud, name: &str, location: &str, protected: bool) {
    let mut body = json!({ "location": location, "properties": {
        "tenantId": cloud.seed.tenant, "sku": { "family": "A", "name": "standard" },
        "enableRbacAuthorization": true, "softDeleteRetentionInDays": 7
    } });
    if protected {
        body["properties"]["enablePurgeProtection"] = true.into();
    }
    let path = vault_path(cloud, name);
    let reply = cloud.learner().arm("PUT", &format!("{path}{VAULT_API}"), body).await;
    assert!(reply.status < 300, "{reply:?}");
    cloud.advance(5);
    assign(cloud, &path, CRYPTO_OFFICER, &cloud.seed.user_oid, "User").await;
    for (key_name, body) in [
        ("k2048", json!({ "kty": "RSA", "key_size": 2048 })),
        ("k3072", json!({ "kty": "RSA", "key_size": 3072 })),
        ("curve", json!({ "kty": "EC", "crv": "P-256" })),
    ] {
        let made = key(cloud, name, "POST", &format!("{key_name}/create"), body).await;
        assert_eq!(made.status, 200, "{made:?}");
    }
}

async fn key(cloud: &TestCloud, vault: &str, method: &str, path: &str, body: Value) -> Reply {
    let uri = format!("https://{vault}.vault.azure.net/keys/{path}?api-version=7.5");
    cloud.learner().send(method, &uri, Some(body).filter(|body| !body.is_null())).await
}

/// `encryption` that names the newest version of a key.
async fn naming(cloud: &TestCloud, vault: &str, name: &str) -> Value {
    let found = key(cloud, vault, "GET", name, Value::Null).await.body;
    let version = found["key"]["kid"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    json!({ "keySource": "Microsoft.KeyVault", "keyVaultProperties": {
        "keyVaultUri": format!("https://{vault}.vault.azure.net/"), "keyName": name, "keyVersion": version
    } })
}

async fn encrypt(cloud: &TestCloud, encryption: Value) -> Reply {
    let body = json!({ "properties": { "encryption": encryption } });
    ask(cloud, "PATCH", &account(cloud, "foundry"), body).await
}

async fn keys(cloud: &TestCloud) -> Reply {
    ask(cloud, "POST", &format!("{}/listKeys", account(cloud, "foundry")), Value::Null).await
}

/// A lab whose account is under `k2048` of `labvault01`; the path of the identity's role assignment.
async fn protected() -> (TestCloud, String) {
    let cloud = lab().await;
    vault(&cloud, "labvault01", "westeurope", true).await;
    let made = make(&cloud, "foundry", body()).await;
    let principal = made["identity"]["principalId"].as_str().unwrap();
    let scope = format!("{}/keys/k2048", vault_path(&cloud, "labvault01"));
    let role = assign(&cloud, &scope, CRYPTO_SERVICE, principal, "ServicePrincipal").await;
    let encryption = naming(&cloud, "labvault01", "k2048").await;
    let changed = encrypt(&cloud, encryption.clone()).await;
    assert_eq!((changed.status, &changed.body["properties"]["encryption"]), (200, &encryption), "{changed:?}");
    cloud.advance(5);
    (cloud, role)
}

#[tokio::test]
async fn refused_keys() {
    let cloud = lab().await;
    vault(&cloud, "labvault01", "westeurope", true).await;
    vault(&cloud, "openvault", "westeurope", false).await;
    vault(&cloud, "farvault", "eastus", true).await;
    let made = make(&cloud, "foundry", body()).await;
    let good = naming(&cloud, "labvault01", "k2048").await;
    assert_eq!(outcome(&encrypt(&cloud, good.clone()).await), "400 KeyVaultAuthenticationFailure", "no role yet");
    let principal = made["identity"]["principalId"].as_str().unwrap();
    assign(&cloud, &group(&cloud), CRYPTO_SERVICE, principal, "ServicePrincipal").await;
    let with = |name: &str, value: &str| {
        let mut changed = good.clone();
        changed["keyVaultProperties"][name] = value.into();
        changed
    };
    let table = [
        ("another region", naming(&cloud, "farvault", "k2048").await, "400 InvalidResourceProperties"),
        ("no purge protection", naming(&cloud, "openvault", "k2048").await, "400 KeyVaultPolicyError"),
        ("another size", naming(&cloud, "labvault01", "k3072").await, "400 InvalidResourceProperties"),
        ("another type", naming(&cloud, "labvault01", "curve").await, "400 InvalidResourceProperties"),
        ("no version", with("keyVersion", ""), "400 InvalidResourceProperties"),
        ("a version that is not there", with("keyVersion", &"0".repeat(32)), "400 InvalidResourceProperties"),
        ("a key that is not there", with("keyName", "none"), "400 InvalidResourceProperties"),
        (
            "a vault that is not there",
            with("keyVaultUri", "https://none.vault.azure.net"),
            "400 InvalidResourceProperties",
        ),
        ("an identity that it has not", with("identityClientId", "x"), "400 InvalidResourceProperties"),
        ("no such source", json!({ "keySource": "Mine" }), "400 InvalidResourceProperties"),
    ];
    for (why, encryption, expected) in table {
        assert_eq!(outcome(&encrypt(&cloud, encryption).await), expected, "{why}");
    }
    let disable = async |enabled: bool| {
        key(&cloud, "labvault01", "PATCH", "k2048", json!({ "attributes": { "enabled": enabled } })).await
    };
    disable(false).await;
    assert_eq!(outcome(&encrypt(&cloud, good.clone()).await), "400 KeyVaultAuthenticationFailure", "disabled");
    disable(true).await;

    let mut none = body();
    none["identity"] = json!({ "type": "None" });
    make(&cloud, "nobody", none).await;
    let body = json!({ "properties": { "encryption": good.clone() } });
    let refused = ask(&cloud, "PATCH", &account(&cloud, "nobody"), body).await;
    assert_eq!(outcome(&refused), "400 InvalidResourceProperties", "no identity");
    assert_eq!(encrypt(&cloud, json!({ "keySource": "Microsoft.CognitiveServices" })).await.status, 200);
    assert_eq!(encrypt(&cloud, good).await.status, 200);
}

#[tokio::test]
async fn there_is_no_way_back_and_no_way_to_another_vault() {
    let (cloud, _) = protected().await;
    vault(&cloud, "labvault02", "westeurope", true).await;
    let principal = cloud.cloud.identity_of(&account(&cloud, "foundry")).unwrap().unwrap();
    assign(&cloud, &group(&cloud), CRYPTO_SERVICE, &principal, "ServicePrincipal").await;
    let back = encrypt(&cloud, json!({ "keySource": "Microsoft.CognitiveServices" })).await;
    assert_eq!(outcome(&back), "400 InvalidResourceProperties");
    let away = encrypt(&cloud, naming(&cloud, "labvault02", "k2048").await).await;
    assert_eq!(outcome(&away), "400 InvalidResourceProperties");
    key(&cloud, "labvault01", "POST", "second/create", json!({ "kty": "RSA", "key_size": 2048 })).await;
    let within = encrypt(&cloud, naming(&cloud, "labvault01", "second").await).await;
    assert_eq!(outcome(&within), "200");
    // A PUT that says nothing about it changes nothing.
    let replaced = ask(&cloud, "PUT", &account(&cloud, "foundry"), body()).await;
    assert_eq!(replaced.body["properties"]["encryption"]["keyVaultProperties"]["keyName"], "second", "{replaced:?}");
}

#[tokio::test]
async fn a_new_version_is_set_by_hand() {
    let (cloud, _) = protected().await;
    let before = naming(&cloud, "labvault01", "k2048").await;
    let old = before["keyVaultProperties"]["keyVersion"].as_str().unwrap().to_owned();
    assert_eq!(key(&cloud, "labvault01", "POST", "k2048/rotate", Value::Null).await.status, 200);
    cloud.advance(7 * 24 * 3600);
    let shown = ask(&cloud, "GET", &account(&cloud, "foundry"), Value::Null).await.body;
    assert_eq!(shown["properties"]["encryption"], before, "rotation in the vault moves nothing");
    assert_eq!(encrypt(&cloud, naming(&cloud, "labvault01", "k2048").await).await.status, 200);
    let off = json!({ "attributes": { "enabled": false } });
    assert_eq!(key(&cloud, "labvault01", "PATCH", &format!("k2048/{old}"), off).await.status, 200);
    assert_eq!(outcome(&keys(&cloud).await), "200", "the old version is no longer needed");
}

#[tokio::test]
async fn without_the_key_nobody_reads_the_accounts_keys() {
    let (cloud, role) = protected().await;
    let before = keys(&cloud).await.body;
    for (enabled, expected) in [(false, "403 KeyVaultEncryptionKeyNotFound"), (true, "200")] {
        key(&cloud, "labvault01", "PATCH", "k2048", json!({ "attributes": { "enabled": enabled } })).await;
        assert_eq!(outcome(&keys(&cloud).await), expected, "enabled: {enabled}");
    }
    let me = cloud.learner();
    assert_eq!(me.arm("DELETE", &role, Value::Null).await.status, 200);
    assert_eq!(outcome(&keys(&cloud).await), "403 KeyVaultEncryptionKeyNotFound", "no role");
    let renew = format!("{}/regenerateKey", account(&cloud, "foundry"));
    let refused = ask(&cloud, "POST", &renew, json!({ "keyName": "Key1" })).await;
    assert_eq!(outcome(&refused), "403 KeyVaultEncryptionKeyNotFound");
    let none = json!({ "identity": { "type": "None" } });
    assert_eq!(ask(&cloud, "PATCH", &account(&cloud, "foundry"), none).await.status, 200);
    assert_eq!(outcome(&keys(&cloud).await), "403 KeyVaultAccessTokenCannotBeAcquired", "no identity");
    let again = json!({ "identity": { "type": "SystemAssigned" } });
    let again = ask(&cloud, "PATCH", &account(&cloud, "foundry"), again).await;
    let principal = again.body["identity"]["principalId"].as_str().unwrap();
    let scope = vault_path(&cloud, "labvault01");
    assign(&cloud, &scope, CRYPTO_SERVICE, principal, "ServicePrincipal").await;
    assert_eq!(keys(&cloud).await.body, before, "the new identity has the role");
    me.arm("DELETE", &format!("{scope}{VAULT_API}"), Value::Null).await;
    assert_eq!(outcome(&keys(&cloud).await), "403 KeyVaultVaultNotFound");
    let shown = ask(&cloud, "GET", &account(&cloud, "foundry"), Value::Null).await;
    assert_eq!(shown.status, 200, "the resource itself stays visible");
}

#[tokio::test]
async fn a_user_assigned_identity_takes_the_key_at_creation() {
    let cloud = lab().await;
    vault(&cloud, "labvault01", "westeurope", true).await;
    let id = format!("{}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/worker", group(&cloud));
    let me = cloud.learner();
    let url = format!("{id}?api-version=2024-11-30");
    let identity = me.arm("PUT", &url, json!({ "location": "westeurope" })).await.body["properties"].clone();
    let principal = identity["principalId"].as_str().unwrap();
    assign(&cloud, &vault_path(&cloud, "labvault01"), CRYPTO_SERVICE, principal, "ServicePrincipal").await;
    let mut new = body();
    new["properties"]["encryption"] = naming(&cloud, "labvault01", "k2048").await;
    let refused = ask(&cloud, "PUT", &account(&cloud, "foundry"), new.clone()).await;
    assert_eq!(outcome(&refused), "400 KeyVaultAuthenticationFailure", "the system-assigned one is new");
    new["identity"] = json!({ "type": "UserAssigned", "userAssignedIdentities": { &id: {} } });
    new["properties"]["encryption"]["keyVaultProperties"]["identityClientId"] = identity["clientId"].clone();
    make(&cloud, "foundry", new).await;
    assert_eq!(outcome(&keys(&cloud).await), "200");
    me.arm("DELETE", &url, Value::Null).await;
    assert_eq!(outcome(&keys(&cloud).await), "403 KeyVaultAccessTokenCannotBeAcquired");

    // Another identity takes over, once it has the role.
    let heir = id.replace("worker", "heir");
    let url = format!("{heir}?api-version=2024-11-30");
    let identity = me.arm("PUT", &url, json!({ "location": "westeurope" })).await.body["properties"].clone();
    let mut encryption = naming(&cloud, "labvault01", "k2048").await;
    encryption["keyVaultProperties"]["identityClientId"] = identity["clientId"].clone();
    let change = json!({
        "identity": { "type": "UserAssigned", "userAssignedIdentities": { &heir: {} } },
        "properties": { "encryption": encryption }
    });
    let given = async || ask(&cloud, "PATCH", &account(&cloud, "foundry"), change.clone()).await;
    assert_eq!(outcome(&given().await), "400 KeyVaultAuthenticationFailure");
    let principal = identity["principalId"].as_str().unwrap();
    assign(&cloud, &vault_path(&cloud, "labvault01"), CRYPTO_SERVICE, principal, "ServicePrincipal").await;
    assert_eq!(outcome(&given().await), "200");
    assert_eq!(outcome(&keys(&cloud).await), "200");
}
