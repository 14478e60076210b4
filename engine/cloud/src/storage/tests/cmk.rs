//! The life of an account under a customer's key.

use serde_json::{Value, json};

use super::{
    API, CRYPTO_OFFICER, CRYPTO_SERVICE, account, account_path, allow_blobs, assign, blob, lab, outcome, text, upload,
};
use crate::testing::{Reply, TestCloud};

pub(super) const VAULT_API: &str = "?api-version=2023-07-01";
const KEY_API: &str = "?api-version=7.5";
const DAY: u64 = 24 * 3600;

pub(super) fn vault_path(cloud: &TestCloud) -> String {
    format!("{}/resourceGroups/lab/providers/Microsoft.KeyVault/vaults/labvault01", cloud.subscription())
}

/// Makes the vault `labvault01`, lets the learner make keys, and makes the RSA key `cmk`.
pub(super) async fn vault(cloud: &TestCloud, purge_protection: bool) {
    let me = cloud.learner();
    let mut body = json!({ "location": "westeurope", "properties": {
        "tenantId": cloud.seed.tenant, "sku": { "family": "A", "name": "premium" },
        "enableRbacAuthorization": true, "softDeleteRetentionInDays": 7
    } });
    if purge_protection {
        body["properties"]["enablePurgeProtection"] = true.into();
    }
    let path = vault_path(cloud);
    let reply = me.arm("PUT", &format!("{path}{VAULT_API}"), body).await;
    assert!(reply.status < 300, "{reply:?}");
    cloud.advance(5);
    assign(cloud, &path, CRYPTO_OFFICER, &cloud.seed.user_oid, "User").await;
    for (name, body) in [
        ("cmk", json!({ "kty": "RSA-HSM", "key_size": 2048 })),
        ("signing", json!({ "kty": "RSA", "key_size": 2048, "key_ops": ["sign", "verify"] })),
    ] {
        let reply = key(cloud, "POST", &format!("/keys/{name}/create"), body).await;
        assert_eq!(reply.status, 200, "{name}: {reply:?}");
    }
}

pub(super) async fn key(cloud: &TestCloud, method: &str, path: &str, body: Value) -> Reply {
    let body = Some(body).filter(|body| !body.is_null());
    cloud.learner().send(method, &format!("https://labvault01.vault.azure.net{path}{KEY_API}"), body).await
}

pub(super) fn key_properties(name: &str) -> Value {
    json!({ "keyvaulturi": "https://labvault01.vault.azure.net", "keyname": name })
}

pub(super) async fn patch_encryption(cloud: &TestCloud, encryption: Value) -> Reply {
    let path = format!("{}{API}", account_path(cloud, "lab", "labdata01"));
    cloud.learner().arm("PATCH", &path, json!({ "properties": { "encryption": encryption } })).await
}

pub(super) async fn use_key(cloud: &TestCloud, properties: Value) -> Reply {
    patch_encryption(
        cloud,
        json!({ "keySource": "Microsoft.Keyvault", "services": { "blob": {} }, "keyvaultproperties": properties }),
    )
    .await
}

/// A lab whose account uses the key `cmk` and holds one blob; the path of the identity's role assignment.
async fn protected() -> (TestCloud, String) {
    let cloud = lab().await;
    let account = account(&cloud).await;
    vault(&cloud, true).await;
    let principal = account["identity"]["principalId"].as_str().unwrap();
    let role = assign(&cloud, &vault_path(&cloud), CRYPTO_SERVICE, principal, "ServicePrincipal").await;
    allow_blobs(&cloud).await;
    {
        let me = cloud.learner();
        assert_eq!(blob(&me, "PUT", "/data?restype=container", &[], "").await.status, 201);
        // Written under the service's key, read under the customer's: the data key is wrapped anew, not the data.
        assert_eq!(upload(&me, "/data/one", "first").await.status, 201);
    }
    let reply = use_key(&cloud, key_properties("cmk")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    (cloud, role)
}

async fn read(cloud: &TestCloud) -> String {
    let reply = blob(&cloud.learner(), "GET", "/data/one", &[], "").await;
    if reply.status == 200 { text(&reply).to_owned() } else { outcome(&reply) }
}

#[tokio::test]
async fn refused_keys() {
    let cloud = lab().await;
    let account = account(&cloud).await;
    vault(&cloud, false).await;
    let reply = use_key(&cloud, key_properties("cmk")).await;
    assert_eq!((reply.status, reply.code()), (400, "KeyVaultPolicyError"), "{reply:?}");
    assert_eq!(reply.body["error"]["message"], "Keyvault policy recoverable is not set");

    let me = cloud.learner();
    let protect = json!({ "properties": { "enablePurgeProtection": true } });
    let reply = me.arm("PATCH", &format!("{}{VAULT_API}", vault_path(&cloud)), protect).await;
    assert!(reply.status < 300, "{reply:?}");
    let reply = use_key(&cloud, key_properties("cmk")).await;
    assert_eq!((reply.status, reply.code()), (400, "KeyVaultAuthenticationFailure"), "no role: {reply:?}");

    let principal = account["identity"]["principalId"].as_str().unwrap();
    assign(&cloud, &vault_path(&cloud), CRYPTO_SERVICE, principal, "ServicePrincipal").await;
    for (properties, code) in [
        (Value::Null, "MissingKeyvaultProperties"),
        (json!({ "keyname": "cmk" }), "MissingKeyvaultProperties"),
        (
            json!({ "keyvaulturi": "https://elsewhere.vault.azure.net", "keyname": "cmk" }),
            "InvalidValuesForRequestParameters",
        ),
        (key_properties("missing"), "InvalidValuesForRequestParameters"),
        (key_properties("signing"), "KeyVaultAuthenticationFailure"),
        (
            json!({ "keyvaulturi": "https://labvault01.vault.azure.net", "keyname": "cmk", "keyversion": "0".repeat(32) }),
            "InvalidValuesForRequestParameters",
        ),
    ] {
        let reply = use_key(&cloud, properties.clone()).await;
        assert_eq!((reply.status, reply.code()), (400, code), "{properties}: {reply:?}");
    }
    let shown = me.arm("GET", &format!("{}{API}", account_path(&cloud, "lab", "labdata01")), Value::Null).await;
    assert_eq!(shown.body["properties"]["encryption"]["keySource"], "Microsoft.Storage");

    let reply = use_key(&cloud, key_properties("cmk")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let encryption = &reply.body["properties"]["encryption"];
    assert_eq!(encryption["keySource"], "Microsoft.Keyvault");
    let shown = &encryption["keyvaultproperties"];
    assert_eq!(shown["keyvaulturi"], "https://labvault01.vault.azure.net");
    assert_eq!((&shown["keyname"], shown.get("keyversion")), (&json!("cmk"), None));
    let current = key(&cloud, "GET", "/keys/cmk", Value::Null).await.body["key"]["kid"].clone();
    assert_eq!(shown["currentVersionedKeyIdentifier"], current);
}

#[tokio::test]
async fn a_disabled_key_locks_the_data_and_an_enabled_one_opens_it() {
    let (cloud, role) = protected().await;
    assert_eq!(read(&cloud).await, "first");
    const GONE: &str = "403 KeyVaultEncryptionKeyNotFound";
    let enable = async |enabled: bool| {
        let reply = key(&cloud, "PATCH", "/keys/cmk", json!({ "attributes": { "enabled": enabled } })).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    };

    enable(false).await;
    assert_eq!(read(&cloud).await, GONE);
    let me = cloud.learner();
    let range = [("x-ms-range", "bytes=0-1")];
    let put = [("x-ms-blob-type", "BlockBlob")];
    for (method, path, headers, body, expected) in [
        ("HEAD", "/data/one", &[][..], "", GONE),
        ("GET", "/data/one", &range[..], "", GONE),
        ("GET", "/data/one?comp=metadata", &[], "", GONE),
        ("PUT", "/data/one?comp=metadata", &[], "", GONE),
        ("PUT", "/data/two", &put[..], "x", GONE),
        ("PUT", "/data/two?comp=block&blockid=QQ==", &[], "x", GONE),
        ("GET", "/data?restype=container&comp=list&include=metadata", &[], "", GONE),
        // Azure's list of what needs no key.
        ("GET", "/data?restype=container&comp=list", &[], "", "200"),
        ("GET", "/?comp=list", &[], "", "200"),
        ("GET", "/data?restype=container", &[], "", "200"),
    ] {
        let reply = blob(&me, method, path, headers, body).await;
        assert_eq!(outcome(&reply), expected, "{method} {path}");
    }
    assert_eq!(use_key(&cloud, key_properties("cmk")).await.code(), "KeyVaultAuthenticationFailure");

    enable(true).await;
    assert_eq!(read(&cloud).await, "first");

    assert_eq!(cloud.learner().arm("DELETE", &role, Value::Null).await.status, 200);
    cloud.advance(DAY / 24);
    assert_eq!(read(&cloud).await, GONE);
    let principal = cloud.cloud.identity_of(&account_path(&cloud, "lab", "labdata01")).unwrap().unwrap();
    assign(&cloud, &vault_path(&cloud), CRYPTO_SERVICE, &principal, "ServicePrincipal").await;
    assert_eq!(read(&cloud).await, "first");
}

#[tokio::test]
async fn a_deleted_key_or_identity_locks_the_data() {
    let (cloud, _) = protected().await;
    assert_eq!(key(&cloud, "DELETE", "/keys/cmk", Value::Null).await.status, 200);
    assert_eq!(read(&cloud).await, "403 KeyVaultEncryptionKeyNotFound");
    cloud.advance(60);
    assert_eq!(key(&cloud, "POST", "/deletedkeys/cmk/recover", Value::Null).await.status, 200);
    cloud.advance(60);
    assert_eq!(read(&cloud).await, "first");

    let me = cloud.learner();
    let account = format!("{}{API}", account_path(&cloud, "lab", "labdata01"));
    assert_eq!(me.arm("PATCH", &account, json!({ "identity": { "type": "None" } })).await.status, 200);
    assert_eq!(read(&cloud).await, "403 KeyVaultAccessTokenCannotBeAcquired");

    // A new identity helps once it has the role, and the account was told to use it.
    let reply = me.arm("PATCH", &account, json!({ "identity": { "type": "SystemAssigned" } })).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(read(&cloud).await, "403 KeyVaultAccessTokenCannotBeAcquired");
    assert_eq!(use_key(&cloud, key_properties("cmk")).await.code(), "KeyVaultAuthenticationFailure");
    let principal = reply.body["identity"]["principalId"].as_str().unwrap();
    assign(&cloud, &vault_path(&cloud), CRYPTO_SERVICE, principal, "ServicePrincipal").await;
    assert_eq!(use_key(&cloud, key_properties("cmk")).await.status, 200);
    assert_eq!(read(&cloud).await, "first");
}

#[tokio::test]
async fn a_deleted_vault_is_named() {
    let (cloud, _) = protected().await;
    let me = cloud.learner();
    assert_eq!(me.arm("DELETE", &format!("{}{VAULT_API}", vault_path(&cloud)), Value::Null).await.status, 200);
    assert_eq!(read(&cloud).await, "403 KeyVaultVaultNotFound");
}

#[tokio::test]
async fn the_account_follows_rotations_within_a_day() {
    let (cloud, _) = protected().await;
    let account = format!("{}{API}", account_path(&cloud, "lab", "labdata01"));
    let me = cloud.learner();
    let shown = async || {
        let reply = me.arm("GET", &account, Value::Null).await;
        reply.body["properties"]["encryption"]["keyvaultproperties"]["currentVersionedKeyIdentifier"].clone()
    };
    let first = shown().await;
    assert_eq!(key(&cloud, "POST", "/keys/cmk/rotate", Value::Null).await.status, 200);
    let second = key(&cloud, "GET", "/keys/cmk", Value::Null).await.body["key"]["kid"].clone();
    assert_ne!(first, second);
    assert_eq!((shown().await, read(&cloud).await), (first.clone(), "first".to_owned()));
    cloud.advance(DAY);
    assert_eq!(shown().await, second);
    // The old version is no longer needed.
    let old = first.as_str().unwrap().strip_prefix("https://labvault01.vault.azure.net").unwrap();
    assert_eq!(key(&cloud, "PATCH", old, json!({ "attributes": { "enabled": false } })).await.status, 200);
    assert_eq!(read(&cloud).await, "first");

    // A pinned version stays.
    let version = second.as_str().unwrap().rsplit('/').next().unwrap();
    let mut pinned = key_properties("cmk");
    pinned["keyversion"] = version.into();
    assert_eq!(use_key(&cloud, pinned).await.status, 200);
    assert_eq!(key(&cloud, "POST", "/keys/cmk/rotate", Value::Null).await.status, 200);
    cloud.advance(2 * DAY);
    assert_eq!((shown().await, read(&cloud).await), (second, "first".to_owned()));
}

#[tokio::test]
async fn the_account_says_when_its_key_expires() {
    let (cloud, _) = protected().await;
    let account = format!("{}{API}", account_path(&cloud, "lab", "labdata01"));
    let me = cloud.learner();
    let shown = async || {
        let reply = me.arm("GET", &account, Value::Null).await;
        let shown = &reply.body["properties"]["encryption"]["keyvaultproperties"];
        shown.get("currentVersionedKeyExpirationTimestamp").cloned()
    };
    assert_eq!(shown().await, None, "a key without an expiry");
    let seconds = (chrono::Utc::now() + chrono::Duration::days(30)).timestamp();
    let expires = chrono::DateTime::from_timestamp(seconds, 0).unwrap();
    let dated = json!({ "kty": "RSA", "attributes": { "exp": seconds } });
    assert_eq!(key(&cloud, "POST", "/keys/cmk/create", dated).await.status, 200);
    cloud.advance(DAY);
    assert_eq!(shown().await, Some(json!(crate::time::rfc3339(expires))));
    assert_eq!(key(&cloud, "POST", "/keys/cmk/create", json!({ "kty": "RSA" })).await.status, 200);
    cloud.advance(DAY);
    assert_eq!(shown().await, None);
}

#[tokio::test]
async fn the_account_can_go_back() {
    let (cloud, _) = protected().await;
    let reply = patch_encryption(&cloud, json!({ "keySource": "Microsoft.Storage" })).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let encryption = &reply.body["properties"]["encryption"];
    assert_eq!(
        (&encryption["keySource"], &encryption["keyvaultproperties"]),
        (&json!("Microsoft.Storage"), &Value::Null)
    );
    assert_eq!(key(&cloud, "DELETE", "/keys/cmk", Value::Null).await.status, 200);
    assert_eq!(read(&cloud).await, "first");
}

#[tokio::test]
async fn leaving_needs_the_key_one_last_time() {
    let (cloud, _) = protected().await;
    assert_eq!(key(&cloud, "PATCH", "/keys/cmk", json!({ "attributes": { "enabled": false } })).await.status, 200);
    let reply = patch_encryption(&cloud, json!({ "keySource": "Microsoft.Storage" })).await;
    assert_eq!((reply.status, reply.code()), (400, "KeyVaultAuthenticationFailure"));
    assert_eq!(read(&cloud).await, "403 KeyVaultEncryptionKeyNotFound");
}

#[tokio::test]
async fn the_vault_logs_who_asked() {
    let (cloud, _) = protected().await;
    assert_eq!(read(&cloud).await, "first");
    let principal = cloud.cloud.identity_of(&account_path(&cloud, "lab", "labdata01")).unwrap().unwrap();
    let log = cloud.cloud.audit(&vault_path(&cloud)).unwrap();
    let last = log.iter().rfind(|entry| entry["operationName"] == "KeyUnwrap").unwrap();
    assert_eq!(last["identity"]["claim"]["oid"], json!(principal), "{last}");
    assert_eq!(last["resultSignature"], 200);
}
