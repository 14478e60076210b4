//! What services do with a customer's key, link by link.

use serde_json::{Value, json};

use super::{ENCRYPTION_USER, Lab, OFFICER, READER, oid, within};
use crate::keyvault::cmk::{CmkError, KeyAt, VaultPolicy, Wrap, Wrapped, service_wrap, vault_policy};
use crate::testing::{self, TestCloud};

const VAULT: &str = "https://Lab-Vault.vault.azure.net/";

pub(super) fn wrap(cloud: &TestCloud, who: &str, key: &KeyAt<'_>) -> Result<Wrapped, CmkError> {
    within(cloud, |cx| service_wrap(cx, who, key, Wrap::Wrap, b"data encryption key"))
}

pub(super) fn unwrap(cloud: &TestCloud, who: &str, key: &KeyAt<'_>, bytes: &[u8]) -> Result<Wrapped, CmkError> {
    within(cloud, |cx| service_wrap(cx, who, key, Wrap::Unwrap, bytes))
}

pub(super) fn code(result: Result<Wrapped, CmkError>) -> (u16, &'static str) {
    result.map_or_else(|error| error.status_and_code(), |_| (200, ""))
}

const CMK: KeyAt<'static> = KeyAt { vault_uri: VAULT, name: "cmk", version: None };

#[tokio::test]
async fn the_chain_holds_and_breaks_link_by_link() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({ "enablePurgeProtection": true })).await;
    lab.key("cmk", json!({})).await;
    let who = oid(&cloud.tools()).await;
    let vault = lab.vault_id("lab-vault");

    assert_eq!(code(wrap(&cloud, &who, &CMK)), (403, "ForbiddenByRbac"), "no role");
    lab.assign(READER, &who, "ServicePrincipal", &vault).await;
    assert_eq!(code(wrap(&cloud, &who, &CMK)), (403, "ForbiddenByRbac"), "read alone is not enough");
    lab.assign(ENCRYPTION_USER, &who, "ServicePrincipal", &format!("{vault}/keys/cmk")).await;
    let wrapped = wrap(&cloud, &who, &CMK).unwrap();
    assert_eq!(wrapped.kid, format!("https://lab-vault.vault.azure.net/keys/cmk/{}", wrapped.version));

    lab.data("POST", "/keys/cmk/rotate", Value::Null).await;
    let newer = wrap(&cloud, &who, &KeyAt { version: Some(""), ..CMK }).unwrap();
    assert_ne!(newer.version, wrapped.version, "without a version the newest one wraps");
    let at = KeyAt { version: Some(&wrapped.version), ..CMK };
    let bytes = wrapped.bytes.expose();
    assert_eq!(unwrap(&cloud, &who, &at, bytes).unwrap().bytes.expose(), b"data encryption key");
    assert_eq!(code(unwrap(&cloud, &who, &CMK, bytes)), (400, "BadParameter"), "another version");

    let old = format!("/keys/cmk/{}", wrapped.version);
    lab.data("PATCH", &old, json!({ "attributes": { "enabled": false } })).await;
    assert_eq!(code(unwrap(&cloud, &who, &at, bytes)), (403, "KeyDisabled"));
    lab.data("PATCH", &old, json!({ "attributes": { "enabled": true, "exp": 1 } })).await;
    assert_eq!(code(unwrap(&cloud, &who, &at, bytes)), (200, ""), "an expired key still unwraps");
    assert_eq!(code(wrap(&cloud, &who, &at)), (403, "KeyExpired"));
    lab.data("PATCH", &old, json!({ "key_ops": ["wrapKey"] })).await;
    assert_eq!(code(unwrap(&cloud, &who, &at, bytes)), (403, "KeyOperationForbidden"));
    lab.data("PATCH", &old, json!({ "key_ops": ["wrapKey", "unwrapKey"] })).await;

    lab.data("DELETE", "/keys/cmk", Value::Null).await;
    assert_eq!(code(unwrap(&cloud, &who, &at, bytes)), (404, "KeyNotFound"));
    cloud.advance(1);
    lab.data("POST", "/deletedkeys/cmk/recover", Value::Null).await;
    assert_eq!(code(unwrap(&cloud, &who, &at, bytes)), (200, ""), "it is back");

    lab.arm("DELETE", &vault, Value::Null).await;
    assert_eq!(code(unwrap(&cloud, &who, &at, bytes)), (404, "VaultNotFound"));
}

#[tokio::test]
async fn addresses_that_name_no_key_are_told_apart() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    lab.key("cmk", json!({})).await;
    lab.key("elliptic", json!({ "kty": "EC" })).await;
    let me = oid(&lab.me).await;
    let at = |vault_uri, name, version| KeyAt { vault_uri, name, version };
    let rows = [
        (at("https://lab-vault.vault.azure.net", "cmk", None), (200, "")),
        (at("https://lab-vault.vault.azure.net:443/", "CMK", None), (200, "")),
        (at("http://lab-vault.vault.azure.net", "cmk", None), (404, "VaultNotFound")),
        (at("https://other.vault.azure.net", "cmk", None), (404, "VaultNotFound")),
        (at("https://lab-vault.vault.example.net", "cmk", None), (404, "VaultNotFound")),
        (at("lab-vault", "cmk", None), (404, "VaultNotFound")),
        (at(VAULT, "none", None), (404, "KeyNotFound")),
        (at(VAULT, "elliptic", None), (400, "BadParameter")),
        (at(VAULT, "cmk", Some("00000000000000000000000000000000")), (404, "KeyNotFound")),
    ];
    for (key, expected) in rows {
        assert_eq!(code(wrap(&cloud, &me, &key)), expected, "{key:?}");
    }
}

#[tokio::test]
async fn the_firewall_lets_services_in_unless_told_otherwise() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    lab.key("cmk", json!({})).await;
    let me = oid(&lab.me).await;
    let rows = [
        ("AzureServices", "Deny", "Enabled", (200, "")),
        ("None", "Deny", "Enabled", (403, "ForbiddenByFirewall")),
        ("None", "Allow", "Enabled", (200, "")),
        ("None", "Allow", "Disabled", (403, "ForbiddenByFirewall")),
        ("AzureServices", "Deny", "Disabled", (200, "")),
    ];
    for (bypass, action, public, expected) in rows {
        let acls = json!({ "bypass": bypass, "defaultAction": action });
        let body = json!({ "properties": { "networkAcls": acls, "publicNetworkAccess": public } });
        assert_eq!(lab.arm("PATCH", &lab.vault_id("lab-vault"), body).await.status, 200);
        assert_eq!(code(wrap(&cloud, &me, &CMK)), expected, "{bypass} {action} {public}");
    }
}

#[tokio::test]
async fn a_role_works_when_it_has_propagated() {
    let cloud = testing::cloud();
    cloud.cloud.set_role_delay(std::time::Duration::from_secs(700)).unwrap();
    let lab = Lab::new(&cloud).await;
    lab.vault("lab-vault", json!({})).await;
    let me = oid(&lab.me).await;
    lab.assign(OFFICER, &me, "User", &lab.vault_id("lab-vault")).await;
    assert_eq!(code(wrap(&cloud, &me, &CMK)), (403, "ForbiddenByRbac"), "600 seconds later");
    cloud.advance(100);
    lab.key("cmk", json!({})).await;
    assert_eq!(code(wrap(&cloud, &me, &CMK)), (200, ""));
}

#[tokio::test]
async fn a_vault_tells_its_policy() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({ "enablePurgeProtection": true })).await;
    let expected = VaultPolicy {
        id: lab.vault_id("lab-vault"),
        location: "westeurope".to_owned(),
        tenant: lab.tenant.clone(),
        soft_delete: true,
        purge_protection: true,
    };
    assert_eq!(within(&cloud, |cx| vault_policy(cx, VAULT)).unwrap(), expected);
    assert!(matches!(
        within(&cloud, |cx| vault_policy(cx, "https://other.vault.azure.net")),
        Err(CmkError::VaultNotFound)
    ));
}

#[tokio::test]
async fn services_leave_traces_in_the_log() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    lab.key("cmk", json!({})).await;
    let who = oid(&cloud.tools()).await;
    assert_eq!(code(wrap(&cloud, &who, &CMK)), (403, "ForbiddenByRbac"));
    lab.assign(ENCRYPTION_USER, &who, "ServicePrincipal", &lab.vault_id("lab-vault")).await;
    let wrapped = wrap(&cloud, &who, &CMK).unwrap();
    let records = cloud.cloud.audit(&lab.vault_id("lab-vault")).unwrap();
    let services: Vec<&Value> = records.iter().filter(|r| r["identity"]["claim"]["oid"] == who).collect();
    assert_eq!(services.len(), 2);
    assert_eq!((&services[0]["operationName"], &services[0]["resultSignature"]), (&json!("KeyWrap"), &json!(403)));
    assert_eq!(services[0]["properties"]["errorCode"], "ForbiddenByRbac");
    assert_eq!(
        (&services[1]["resultType"], &services[1]["properties"]["id"]),
        (&json!("Success"), &json!(wrapped.kid))
    );
}
