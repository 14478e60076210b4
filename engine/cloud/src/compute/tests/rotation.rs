//! Other keys and newer versions for a set, and what becomes of the data keys under it.

use serde_json::{Value, json};

use super::{CONFIDENTIAL, CUSTOMER, DOUBLE, LINE, Lab};
use crate::compute::disks::hooks;
use crate::testing;

const HOUR: u64 = 3_600;

fn active(url: &str) -> Value {
    json!({ "properties": { "activeKey": { "keyUrl": url } } })
}

#[tokio::test]
async fn another_key_wraps_the_data_keys_anew_in_the_background() {
    for kind in [CUSTOMER, DOUBLE] {
        let cloud = testing::cloud();
        let lab = Lab::new(&cloud).await;
        lab.set("des", kind).await;
        let before = lab.disk("os", "des").await;
        let old = lab.kid().await;
        lab.key("POST", "/keys/cmk/rotate", Value::Null).await;
        let new = lab.kid().await;
        cloud.advance(10);
        let stamp = |set: &Value| set["properties"]["lastKeyRotationTimestamp"].clone();
        let first = lab.ask("GET", "diskEncryptionSets/des", Value::Null).await.body;
        let set = lab.ask("PATCH", "diskEncryptionSets/des", active(&new)).await.body;
        assert_eq!(set["properties"]["activeKey"]["keyUrl"], json!(new), "{kind}");
        assert_eq!(set["properties"]["previousKeys"][0]["keyUrl"], json!(old), "it is still needed");
        assert_ne!(stamp(&set), stamp(&first));

        // While the old version can't be used, the data keys stay with it.
        lab.enable(&old, false).await;
        cloud.advance(120);
        let set = lab.ask("GET", "diskEncryptionSets/des", Value::Null).await.body;
        assert_eq!(set["properties"]["previousKeys"].as_array().unwrap().len(), 1, "{set}");
        assert_eq!(lab.first_line("disks/os").await, "KeyVaultKeyNotEnabled");
        lab.enable(&old, true).await;
        cloud.advance(120);
        let set = lab.ask("GET", "diskEncryptionSets/des", Value::Null).await.body;
        assert_eq!(set["properties"]["previousKeys"], json!([]), "{set}");
        lab.enable(&old, false).await;
        assert_eq!(lab.first_line("disks/os").await, LINE, "{kind}: the new version is enough");
        let after = lab.ask("GET", "disks/os", Value::Null).await.body;
        assert_eq!(after["properties"]["uniqueId"], before["properties"]["uniqueId"]);
    }
}

#[tokio::test]
async fn a_key_that_the_identity_cannot_use_is_refused() {
    let cloud = testing::cloud();
    let lab = Lab::with_set(&cloud).await;
    let made = lab.key("POST", "/keys/another/create", json!({ "kty": "RSA", "key_size": 2048 })).await;
    let another = made.body["key"]["kid"].as_str().unwrap().to_owned();
    let elliptic = lab.key("POST", "/keys/elliptic/create", json!({ "kty": "EC" })).await;
    let elliptic = elliptic.body["key"]["kid"].as_str().unwrap().to_owned();
    let before = lab.ask("GET", "diskEncryptionSets/des", Value::Null).await.body;
    let principal = before["identity"]["principalId"].as_str().unwrap();
    let reply = lab.ask("PATCH", "diskEncryptionSets/des", active(&another)).await;
    assert_eq!((reply.status, reply.code()), (403, "KeyVaultAccessForbidden"), "no role on this key");
    let vault = lab.id("Microsoft.KeyVault/vaults", "labvault");
    lab.assign(super::ENCRYPTION_USER, principal, "ServicePrincipal", &vault).await;
    let gone = format!("{}0", &another[..another.len() - 1]);
    let gone = if gone == another { format!("{}1", &another[..another.len() - 1]) } else { gone };
    for (url, code) in [(&elliptic, "InvalidParameter"), (&gone, "KeyVaultKeyNotFound")] {
        assert_eq!(lab.ask("PATCH", "diskEncryptionSets/des", active(url)).await.code(), code, "{url}");
    }
    let after = lab.ask("GET", "diskEncryptionSets/des", Value::Null).await.body;
    assert_eq!(after["properties"], before["properties"], "refusals change nothing");
    let set = lab.done("PATCH", "diskEncryptionSets/des", active(&another)).await;
    assert_eq!(set["properties"]["activeKey"]["keyUrl"], json!(another));
}

#[tokio::test]
async fn a_set_follows_its_key_within_an_hour() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    let role = lab.set("des", CUSTOMER).await;
    lab.disk("os", "des").await;
    let follow = json!({ "properties": { "rotationToLatestKeyVersionEnabled": true } });
    lab.done("PATCH", "diskEncryptionSets/des", follow).await;
    let old = lab.kid().await;
    lab.key("POST", "/keys/cmk/rotate", Value::Null).await;
    let new = lab.kid().await;
    cloud.advance(HOUR);
    let set = lab.ask("GET", "diskEncryptionSets/des", Value::Null).await.body;
    assert_eq!(set["properties"]["activeKey"]["keyUrl"], json!(new));
    assert_eq!(set["properties"]["previousKeys"], json!([]));
    lab.enable(&old, false).await;
    assert_eq!(lab.first_line("disks/os").await, LINE);

    lab.me.arm("DELETE", &role, Value::Null).await;
    lab.key("POST", "/keys/cmk/rotate", Value::Null).await;
    cloud.advance(HOUR);
    let set = lab.ask("GET", "diskEncryptionSets/des", Value::Null).await.body;
    assert_eq!(set["properties"]["autoKeyRotationError"]["code"], "KeyVaultAccessForbidden", "{set}");
    assert_eq!(set["properties"]["activeKey"]["keyUrl"], json!(new), "it stays with the version it has");

    let none = json!({ "identity": { "type": "None" } });
    lab.done("PATCH", "diskEncryptionSets/des", none).await;
    cloud.advance(HOUR);
    let set = lab.ask("GET", "diskEncryptionSets/des", Value::Null).await.body;
    assert_eq!(set["properties"]["autoKeyRotationError"]["code"], "ManagedServiceIdentityNotFound", "{set}");
    assert_eq!(lab.first_line("disks/os").await, "KeyVaultAccessTokenCannotBeAcquired");
}

#[tokio::test]
async fn a_new_identity_brings_the_disks_back() {
    let cloud = testing::cloud();
    let lab = Lab::with_set(&cloud).await;
    lab.disk("os", "des").await;
    for kind in ["None", "SystemAssigned"] {
        lab.done("PATCH", "diskEncryptionSets/des", json!({ "identity": { "type": kind } })).await;
    }
    assert_eq!(lab.first_line("disks/os").await, "KeyVaultAccessForbidden");
    let set = lab.ask("GET", "diskEncryptionSets/des", Value::Null).await.body;
    let principal = set["identity"]["principalId"].as_str().unwrap();
    let scope = format!("{}/keys/cmk", lab.id("Microsoft.KeyVault/vaults", "labvault"));
    lab.assign(super::ENCRYPTION_USER, principal, "ServicePrincipal", &scope).await;
    assert_eq!(lab.first_line("disks/os").await, LINE);
}

#[tokio::test]
async fn keys_of_confidential_machines_change_only_while_they_are_off() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    lab.set("cvm", CONFIDENTIAL).await;
    let profile = json!({ "securityProfile": {
        "securityType": "ConfidentialVM_DiskEncryptedWithCustomerKey",
        "secureVMDiskEncryptionSetId": lab.compute("diskEncryptionSets/cvm"),
    } });
    lab.done("PUT", "disks/os", lab.disk_body(profile)).await;
    lab.key("POST", "/keys/cmk/rotate", Value::Null).await;
    let new = lab.kid().await;
    let disk = lab.compute("disks/os");
    let user = lab.compute("virtualMachines/vm");
    cloud.within(|cx| hooks::attach(cx, &disk, &user, true)).unwrap();
    assert_eq!(lab.ask("PATCH", "diskEncryptionSets/cvm", active(&new)).await.code(), "OperationNotAllowed");
    cloud.within(|cx| hooks::set_power(cx, &disk, false)).unwrap();
    let set = lab.done("PATCH", "diskEncryptionSets/cvm", active(&new)).await;
    assert_eq!(set["properties"]["activeKey"]["keyUrl"], json!(new));
}
