//! What virtual machines do with disks.

use serde_json::{Value, json};

use super::{CONFIDENTIAL, ENCRYPTION_USER, LINE, Lab, RELEASE_USER};
use crate::compute::disks::hooks::{self, OsDisk};
use crate::compute::volumes::image::PlatformImage;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::testing;

impl Lab<'_> {
    fn os_disk(&self, name: &str, set: Option<&str>, security: Value) -> Result<String, Refusal> {
        let image = PlatformImage::parse(self.image()["id"].as_str().unwrap()).unwrap();
        let (id, user) = (self.compute(&format!("disks/{name}")), self.compute("virtualMachines/vm"));
        let asked = OsDisk {
            id: ResourceId::parse(&id).unwrap(),
            location: "westeurope",
            user: &user,
            image: &image,
            size: None,
            sku: Some("Premium_LRS"),
            set,
            security,
            zones: Value::Null,
            tags: json!({}),
        };
        self.cloud.within(|cx| {
            cx.caller.oid = self.cloud.seed.user_oid.clone();
            hooks::create_os_disk(cx, asked).map(|disk| disk.id)
        })
    }
}

fn code<T>(result: Result<T, Refusal>) -> String {
    result.err().map(|refusal| refusal.code).unwrap_or_default()
}

#[tokio::test]
async fn a_disk_belongs_to_one_machine_at_a_time() {
    let cloud = testing::cloud();
    let lab = Lab::with_set(&cloud).await;
    let set = lab.compute("diskEncryptionSets/des");
    let disk = lab.os_disk("os", Some(&set), Value::Null).unwrap();
    assert_eq!(code(lab.os_disk("os", Some(&set), Value::Null)), "ConflictingUserInput");
    let shown = lab.ask("GET", "disks/os", Value::Null).await.body;
    let user = lab.compute("virtualMachines/vm");
    assert_eq!((&shown["managedBy"], &shown["properties"]["diskState"]), (&json!(user), &json!("Attached")));
    let other = lab.compute("virtualMachines/other");
    let attach = |user: &str, running| code(cloud.within(|cx| hooks::attach(cx, &disk, user, running)));
    assert_eq!(attach(&other, true), "OperationNotAllowed");
    for (method, path, body) in [
        ("DELETE", "disks/os", Value::Null),
        ("POST", "disks/os/beginGetAccess", json!({ "access": "Read", "durationInSeconds": 60 })),
        ("PATCH", "disks/os", json!({ "sku": { "name": "Standard_LRS" } })),
        ("PATCH", "disks/os", json!({ "properties": { "encryption": { "type": "EncryptionAtRestWithPlatformKey" } } })),
    ] {
        let reply = lab.ask(method, path, body.clone()).await;
        assert_eq!((reply.status, reply.code()), (409, "OperationNotAllowed"), "{method} {path} {body}");
    }
    // A deallocated machine's disk can be exported, and the machine does not start meanwhile.
    let power = |running| code(cloud.within(|cx| hooks::set_power(cx, &disk, running)));
    assert_eq!(power(false), "");
    assert_eq!(lab.ask("GET", "disks/os", Value::Null).await.body["properties"]["diskState"], "Reserved");
    let url = lab.grant("disks/os", "Read").await.unwrap();
    assert_eq!((lab.line_at(&url).await, power(true)), (LINE.to_owned(), "OperationNotAllowed".to_owned()));
    lab.revoke("disks/os").await;
    assert_eq!(power(true), "");
    cloud.within(|cx| hooks::detach(cx, &disk)).unwrap();
    let shown = lab.ask("GET", "disks/os", Value::Null).await.body;
    assert_eq!((&shown["managedBy"], &shown["properties"]["diskState"]), (&Value::Null, &json!("Unattached")));
    assert_eq!(attach(&other, false), "");
    assert_eq!(lab.ask("GET", "disks/os", Value::Null).await.body["properties"]["diskState"], "Reserved");
    let missing = lab.compute("disks/none");
    assert_eq!(code(cloud.within(|cx| hooks::attach(cx, &missing, &user, true))), "ResourceNotFound");
    assert_eq!(code(cloud.within(|cx| hooks::detach(cx, &missing))), "");
}

#[tokio::test]
async fn a_machine_writes_what_an_export_reads() {
    let cloud = testing::cloud();
    let lab = Lab::with_set(&cloud).await;
    let disk = lab.os_disk("os", Some(&lab.compute("diskEncryptionSets/des")), Value::Null).unwrap();
    cloud.within(|cx| hooks::write(cx, &disk, 0, b"from the guest\n")).unwrap();
    assert_eq!(cloud.within(|cx| hooks::read(cx, &disk, 5, 3)).unwrap(), b"the");
    let end = 30_u64 << 30;
    cloud.within(|cx| hooks::write(cx, &disk, end - 1, b"xyz")).unwrap();
    assert_eq!(cloud.within(|cx| hooks::read(cx, &disk, end - 2, 100)).unwrap(), b"\0x", "nothing beyond the end");
    cloud.within(|cx| hooks::detach(cx, &disk)).unwrap();
    assert_eq!(lab.first_line("disks/os").await, "from the guest");
}

#[tokio::test]
async fn running_machines_are_cut_off_when_the_key_goes() {
    let cloud = testing::cloud();
    let lab = Lab::with_set(&cloud).await;
    let disk = lab.os_disk("os", Some(&lab.compute("diskEncryptionSets/des")), Value::Null).unwrap();
    lab.os_disk("plain", None, Value::Null).unwrap();
    let cut_off = || cloud.within(hooks::cut_off).unwrap();
    let available = || code(cloud.within(|cx| hooks::require_key_available(cx, &disk)));
    assert_eq!((cut_off().len(), available()), (0, String::new()));
    let kid = lab.kid().await;
    lab.enable(&kid, false).await;
    let found = cut_off();
    let found: Vec<_> = found.iter().map(|it| (&it.disk[..], &it.user[..], &it.refusal.code[..])).collect();
    assert_eq!(found, [(&disk[..], &lab.compute("virtualMachines/vm")[..], "KeyVaultKeyNotEnabled")]);
    assert_eq!(available(), "KeyVaultKeyNotEnabled");
    cloud.within(|cx| hooks::set_power(cx, &disk, false)).unwrap();
    assert_eq!(cut_off().len(), 0, "it is deallocated");
    lab.enable(&kid, true).await;
    assert_eq!(available(), "");
}

#[tokio::test]
async fn confidential_disks_need_a_release_for_the_orchestrator() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    lab.set("cvm", CONFIDENTIAL).await;
    let security = json!({
        "securityType": "ConfidentialVM_DiskEncryptedWithCustomerKey",
        "secureVMDiskEncryptionSetId": lab.compute("diskEncryptionSets/cvm"),
    });
    let disk = lab.os_disk("os", None, security).unwrap();
    let plain = lab.os_disk("plain", None, Value::Null).unwrap();
    let release = |disk: &str| code(cloud.within(|cx| hooks::require_release(cx, disk)));
    assert_eq!((release(&plain), release(&disk)), (String::new(), "KeyVaultAccessForbidden".to_owned()));
    let principal = cloud.within(|cx| {
        let principal = crate::identity::principals::Principal {
            oid: uuid::Uuid::new_v4().to_string(),
            app_id: Some("bf7b6499-ff71-4aa2-97a4-f372087be7f0".to_owned()),
            kind: crate::cx::PrincipalKind::ServicePrincipal,
            managed: false,
            name: "Confidential VM Orchestrator".to_owned(),
            upn: None,
            resource: None,
            created: cx.now,
        };
        crate::identity::principals::add(cx.tx, &principal, None).unwrap();
        principal.oid
    });
    let scope = format!("{}/keys/cmk", lab.id("Microsoft.KeyVault/vaults", "labvault"));
    for (role, expected) in [(ENCRYPTION_USER, "KeyVaultAccessForbidden"), (RELEASE_USER, "")] {
        lab.assign(role, &principal, "ServicePrincipal", &scope).await;
        assert_eq!(release(&disk), expected, "{role}");
    }
}
