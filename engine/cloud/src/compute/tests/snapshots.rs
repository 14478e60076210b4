//! Snapshots, and disks made from them.

use serde_json::{Value, json};

use super::{CONFIDENTIAL, CUSTOMER, LINE, Lab};
use crate::compute::vm::tests::kit as vm;
use crate::testing;

impl Lab<'_> {
    fn copy_of(&self, source: &str, more: Value) -> Value {
        let mut properties =
            json!({ "creationData": { "createOption": "Copy", "sourceResourceId": self.compute(source) } });
        for (name, value) in more.as_object().unwrap() {
            properties[name] = value.clone();
        }
        json!({ "location": "westeurope", "properties": properties })
    }
}

#[tokio::test]
async fn a_snapshot_keeps_content_and_encryption_of_its_disk() {
    let cloud = testing::cloud();
    let lab = Lab::with_set(&cloud).await;
    let disk = lab.disk("os", "des").await;
    let snapshot = lab.done("PUT", "snapshots/snap", lab.copy_of("disks/os", json!({}))).await;
    let properties = &snapshot["properties"];
    assert_eq!(properties["encryption"], disk["properties"]["encryption"]);
    assert_eq!((&properties["diskSizeGB"], &properties["incremental"]), (&json!(30), &json!(false)));
    assert_eq!((&properties["osType"], &properties["diskState"]), (&json!("Linux"), &json!("Unattached")));
    assert_eq!(properties["creationData"]["sourceUniqueId"], disk["properties"]["uniqueId"]);
    lab.ask("DELETE", "disks/os", Value::Null).await;
    cloud.advance(1);
    assert_eq!(lab.first_line("snapshots/snap").await, LINE, "it does not need its disk");
    let copy = lab.done("PUT", "disks/copy", lab.copy_of("snapshots/snap", json!({ "diskSizeGB": 64 }))).await;
    assert_eq!(copy["properties"]["encryption"]["type"], CUSTOMER, "{copy}");
    assert_eq!(lab.first_line("disks/copy").await, LINE);
    let tagged = lab.done("PATCH", "snapshots/snap", json!({ "tags": { "a": "b" } })).await;
    assert_eq!(tagged["tags"]["a"], "b");
    for path in ["resourceGroups/lab/providers", "providers"] {
        let path = format!("{}/{path}/Microsoft.Compute/snapshots?{}", cloud.subscription(), super::API);
        assert_eq!(lab.me.arm("GET", &path, Value::Null).await.body["value"][0]["id"], snapshot["id"]);
    }
    let url = lab.grant("snapshots/snap", "Read").await.unwrap();
    assert_eq!(lab.ask("DELETE", "snapshots/snap", Value::Null).await.code(), "OperationNotAllowed");
    lab.revoke("snapshots/snap").await;
    assert_eq!(lab.line_at(&url).await, "AuthenticationFailed");
    assert_eq!(lab.ask("DELETE", "snapshots/snap", Value::Null).await.status, 202);
}

#[tokio::test]
async fn snapshots_need_the_key_of_their_source_and_may_have_another() {
    let cloud = testing::cloud();
    let lab = Lab::with_set(&cloud).await;
    lab.set("second", CUSTOMER).await;
    lab.disk("os", "des").await;
    let moved = lab.done("PUT", "snapshots/moved", lab.copy_of("disks/os", lab.under("second"))).await;
    assert_eq!(
        moved["properties"]["encryption"]["diskEncryptionSetId"],
        json!(lab.compute("diskEncryptionSets/second"))
    );
    assert_eq!(lab.first_line("snapshots/moved").await, LINE);
    let kid = lab.kid().await;
    lab.enable(&kid, false).await;
    let reply = lab.ask("PUT", "snapshots/locked", lab.copy_of("disks/os", json!({}))).await;
    assert_eq!((reply.status, reply.code()), (400, "KeyVaultKeyNotEnabled"));
    assert_eq!(lab.first_line("snapshots/moved").await, "KeyVaultKeyNotEnabled");
    lab.enable(&kid, true).await;
    assert_eq!(lab.ask("PUT", "snapshots/locked", lab.copy_of("disks/os", json!({}))).await.status, 202);
}

#[tokio::test]
async fn incremental_snapshots_are_a_family_with_one_encryption() {
    let cloud = testing::cloud();
    let lab = Lab::with_set(&cloud).await;
    lab.set("second", CUSTOMER).await;
    lab.disk("os", "des").await;
    let incremental = json!({ "incremental": true });
    let first = lab.done("PUT", "snapshots/one", lab.copy_of("disks/os", incremental.clone())).await;
    let second = lab.done("PUT", "snapshots/two", lab.copy_of("disks/os", incremental.clone())).await;
    let family = |snapshot: &Value| snapshot["properties"]["incrementalSnapshotFamilyId"].clone();
    assert!(family(&first).is_string());
    assert_eq!(family(&first), family(&second));
    let mut other = lab.under("second");
    let reply = lab.ask("PATCH", "disks/os", json!({ "properties": other.clone() })).await;
    assert_eq!((reply.status, reply.code()), (409, "OperationNotAllowed"), "the disk has incremental snapshots");
    other["incremental"] = true.into();
    let reply = lab.ask("PUT", "snapshots/three", lab.copy_of("disks/os", other)).await;
    assert_eq!((reply.status, reply.code()), (400, "InvalidParameter"));
    let full = json!({ "properties": { "incremental": false } });
    assert_eq!(lab.ask("PATCH", "snapshots/one", full).await.code(), "PropertyChangeNotAllowed");
}

#[tokio::test]
async fn refused_snapshots() {
    let cloud = testing::cloud();
    let lab = Lab::with_set(&cloud).await;
    lab.set("cvm", CONFIDENTIAL).await;
    lab.disk("os", "des").await;
    let mut far = lab.copy_of("disks/os", json!({}));
    far["location"] = "northeurope".into();
    let mut empty = lab.copy_of("disks/os", json!({}));
    empty["properties"]["creationData"]["createOption"] = "Empty".into();
    let mut start = lab.copy_of("disks/os", json!({}));
    start["properties"]["creationData"]["createOption"] = "CopyStart".into();
    let profile = json!({ "securityProfile": {
        "securityType": "ConfidentialVM_DiskEncryptedWithCustomerKey",
        "secureVMDiskEncryptionSetId": lab.compute("diskEncryptionSets/cvm"),
    } });
    for (body, status, code) in [
        (lab.copy_of("disks/none", json!({})), 400, "InvalidResourceReference"),
        (lab.copy_of("diskEncryptionSets/des", json!({})), 400, "InvalidParameter"),
        (lab.copy_of("disks/os", json!({ "diskSizeGB": 64 })), 400, "InvalidParameter"),
        (lab.copy_of("disks/os", json!({ "incremental": "yes" })), 400, "InvalidParameter"),
        (lab.copy_of("disks/os", lab.under("cvm")), 400, "InvalidParameter"),
        (far, 400, "InvalidParameter"),
        (empty, 400, "InvalidParameter"),
        (start, 400, "InvalidParameter"),
    ] {
        let reply = lab.ask("PUT", "snapshots/bad", body.clone()).await;
        assert_eq!((reply.status, reply.code()), (status, code), "{body}");
    }
    lab.done("PUT", "disks/secret", lab.disk_body(profile.clone())).await;
    let snapshot = lab.done("PUT", "snapshots/secret", lab.copy_of("disks/secret", json!({}))).await;
    assert_eq!(snapshot["properties"]["securityProfile"], profile["securityProfile"], "it takes after its disk");
    let other = json!({ "securityProfile": { "securityType": "TrustedLaunch" } });
    let reply = lab.ask("PUT", "snapshots/open", lab.copy_of("disks/secret", other)).await;
    assert_eq!((reply.status, reply.code()), (400, "InvalidParameter"));
}

#[tokio::test]
async fn the_name_of_a_group_gives_no_right_to_its_disks() {
    let cloud = testing::cloud();
    let lab = vm::lab(&cloud).await;
    lab.demote(&["Microsoft.Compute/snapshots/*"]).await;
    let group = format!("{}/resourceGroups/snapshots", cloud.subscription());
    lab.me.arm("PUT", &format!("{group}?api-version=2024-11-01"), json!({ "location": "westeurope" })).await;
    let compute = format!("{group}/providers/Microsoft.Compute");
    let api = super::API;
    let at = |data: Value| json!({ "location": "westeurope", "properties": { "creationData": data, "diskSizeGB": 4 } });
    for disk in ["plain", "snapshots"] {
        let made =
            lab.me.arm("PUT", &format!("{compute}/disks/{disk}?{api}"), at(json!({ "createOption": "Empty" }))).await;
        assert_eq!(made.status, 202, "{made:?}");
        cloud.advance(1);
        for spelled in [format!("{compute}/disks/{disk}"), format!("{compute}/disks/{disk}/")] {
            let copy = at(json!({ "createOption": "Copy", "sourceResourceId": spelled }));
            let reply = cloud.tools().arm("PUT", &format!("{compute}/snapshots/mine?{api}"), copy).await;
            assert_eq!((reply.status, reply.code()), (403, "LinkedAuthorizationFailed"), "{spelled}: {reply:?}");
        }
    }
}
