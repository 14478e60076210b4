//! Machines that Azure does not make.

use serde_json::{Value, json};

use super::kit::{confidential, lab, ordinary, trusted};
use crate::testing;
use crate::{Fault, FaultKind};

/// A body with one member changed; the pointer is below `properties`, and what is missing on its way is made.
fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    let mut here = &mut body["properties"];
    for part in pointer.split('/') {
        here = match part.parse::<usize>() {
            Ok(index) => &mut here[index],
            Err(_) => &mut here[part],
        };
    }
    *here = value;
    body
}

#[tokio::test]
async fn sizes_images_disks_and_interfaces_are_judged() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let nic = lab.nic("nic").await;
    lab.machine("other").await;
    let taken = lab.id("Microsoft.Network/networkInterfaces/other-nic");
    let ordinary = || ordinary(&nic);
    let table = [
        (with(ordinary(), "hardwareProfile/vmSize", json!("Standard_Moon")), 400, "InvalidParameter"),
        (with(ordinary(), "hardwareProfile", Value::Null), 400, "InvalidParameter"),
        (with(ordinary(), "storageProfile", Value::Null), 400, "InvalidParameter"),
        (with(ordinary(), "storageProfile/imageReference/sku", json!("none")), 404, "PlatformImageNotFound"),
        (with(ordinary(), "storageProfile/imageReference/version", json!("1")), 404, "PlatformImageNotFound"),
        (with(ordinary(), "storageProfile/imageReference/id", json!("/x")), 400, "InvalidParameter"),
        (with(ordinary(), "storageProfile/osDisk", Value::Null), 400, "InvalidParameter"),
        (with(ordinary(), "storageProfile/osDisk/createOption", json!("Attach")), 400, "BadRequest"),
        (with(ordinary(), "storageProfile/osDisk/diskSizeGB", json!(10)), 400, "InvalidParameter"),
        (with(ordinary(), "storageProfile/osDisk/name", json!("a/b")), 400, "InvalidParameter"),
        (with(ordinary(), "storageProfile/dataDisks", json!([{ "lun": 0 }])), 400, "InvalidParameter"),
        (with(ordinary(), "networkProfile", Value::Null), 400, "InvalidParameter"),
        (with(ordinary(), "networkProfile/networkInterfaces/0/id", json!("/x")), 400, "InvalidParameter"),
        (
            with(ordinary(), "networkProfile/networkInterfaces/0/id", json!(format!("{nic}x"))),
            400,
            "InvalidResourceReference",
        ),
        (with(ordinary(), "networkProfile/networkInterfaces/0/id", json!(taken)), 400, "NicInUse"),
        (with(ordinary(), "osProfile/adminPassword", json!("short")), 400, "InvalidParameter"),
        (with(ordinary(), "osProfile", Value::Null), 400, "InvalidParameter"),
        (with(ordinary(), "priority", json!("Spot")), 400, "BadRequest"),
        (with(ordinary(), "availabilitySet", json!({ "id": "/x" })), 400, "InvalidParameter"),
        (with(ordinary(), "securityProfile/encryptionAtHost", json!(true)), 400, "InvalidParameter"),
    ];
    for (body, status, code) in table {
        let reply = lab.vm("PUT", "vm", body.clone()).await;
        assert_eq!((reply.status, reply.code()), (status, code), "{body}: {reply:?}");
    }
    let mut elsewhere = ordinary();
    elsewhere["location"] = "eastus".into();
    assert_eq!(lab.vm("PUT", "vm", elsewhere).await.code(), "InvalidResourceReference");
    assert_eq!(lab.vm("PUT", "vm-", ordinary()).await.code(), "InvalidParameter");
    let left = lab.me.arm("GET", &format!("{}/resources?api-version=2021-04-01", lab.group), Value::Null).await;
    assert!(!left.body.to_string().contains("/disks/vm_"), "a refused machine leaves no disk: {left:?}");
}

#[tokio::test]
async fn security_needs_size_image_and_settings_that_fit() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let nic = lab.nic("nic").await;
    let (plain, trusted, confidential) = (|| ordinary(&nic), || trusted(&nic), || confidential(&nic));
    let (size, sku) = ("hardwareProfile/vmSize", "storageProfile/imageReference/sku");
    let disk = "storageProfile/osDisk/managedDisk/securityProfile";
    let set = json!({ "id": lab.id("Microsoft.Compute/diskEncryptionSets/x") });
    let table = [
        (with(plain(), size, json!("Standard_DC2as_v5")), "BadRequest", "'<NULL>' security type"),
        (with(plain(), "securityProfile/uefiSettings/vTpmEnabled", json!(true)), "InvalidParameter", "UEFI"),
        (
            with(plain(), &format!("{disk}/securityEncryptionType"), json!("VMGuestStateOnly")),
            "InvalidParameter",
            "ConfidentialVM",
        ),
        (with(trusted(), size, json!("Standard_DC2as_v5")), "BadRequest", "'TrustedLaunch' security type"),
        (with(trusted(), sku, json!("server-gen1")), "BadRequest", "TrustedLaunch"),
        (with(confidential(), size, json!("Standard_B2s")), "BadRequest", "set as 'DiskWithVMGuestState'"),
        (with(confidential(), sku, json!("server")), "InvalidParameter", "ConfidentialVM_DiskEncryptedWithPlatformKey"),
        (with(confidential(), sku, json!("server-gen1")), "BadRequest", "Generation '1'"),
        (with(confidential(), disk, Value::Null), "BadRequest", "securityEncryptionType' is missing"),
        (
            with(confidential(), &format!("{disk}/securityEncryptionType"), json!("NonPersistedTPM")),
            "InvalidParameter",
            "NonPersistedTPM",
        ),
        (with(confidential(), "securityProfile/uefiSettings/vTpmEnabled", json!(false)), "BadRequest", "vTpmEnabled"),
        (
            with(confidential(), "securityProfile/uefiSettings/secureBootEnabled", json!(false)),
            "BadRequest",
            "secureBootEnabled",
        ),
        (
            with(
                confidential(),
                disk,
                json!({ "securityEncryptionType": "VMGuestStateOnly", "diskEncryptionSet": set }),
            ),
            "InvalidParameter",
            "DiskWithVMGuestState",
        ),
        (
            with(plain(), "storageProfile/osDisk/managedDisk/diskEncryptionSet", set),
            "InvalidResourceReference",
            "diskEncryptionSets/x",
        ),
    ];
    for (body, code, text) in table {
        let reply = lab.vm("PUT", "vm", body.clone()).await;
        assert_eq!(reply.code(), code, "{body}: {reply:?}");
        assert!(reply.body["error"]["message"].as_str().unwrap().contains(text), "{text}: {reply:?}");
    }
    let relaxed = with(confidential(), "securityProfile/uefiSettings/secureBootEnabled", json!(false));
    let relaxed = with(relaxed, &format!("{disk}/securityEncryptionType"), json!("VMGuestStateOnly"));
    assert_eq!(lab.vm("PUT", "vm", relaxed).await.status, 201);
}

#[tokio::test]
async fn quotas_hold_for_families_and_regions() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let body = |nic: &str, size: &str| with(ordinary(nic), "hardwareProfile/vmSize", json!(size));
    // Twenty vCPUs of a family.
    for (name, size, status) in [
        ("one", "Standard_D8s_v5", 201),
        ("two", "Standard_D8s_v5", 201),
        ("three", "Standard_D8s_v5", 409),
        ("three", "Standard_D4s_v5", 201),
        ("four", "Standard_D2s_v5", 409),
        ("four", "Standard_B2s", 201),
    ] {
        let nic = lab.nic(&format!("nic-{name}-{status}")).await;
        let reply = lab.vm("PUT", name, body(&nic, size)).await;
        assert_eq!(reply.status, status, "{name}: {reply:?}");
        if status == 409 {
            assert_eq!(reply.code(), "OperationNotAllowed");
            assert!(reply.body["error"]["message"].as_str().unwrap().contains("standardDSv5Family Cores quota"));
        }
    }
    cloud.advance(2);
    // Another one takes the place of a deallocated one, which then can't start.
    lab.vm("POST", "three/deallocate", Value::Null).await;
    cloud.advance(2);
    let nic = lab.nic("nic-five").await;
    assert_eq!(lab.vm("PUT", "five", body(&nic, "Standard_D2s_v5")).await.status, 201);
    cloud.advance(2);
    assert_eq!(lab.vm("POST", "three/start", Value::Null).await.code(), "OperationNotAllowed");
    let nic = lab.nic("nic-six").await;
    cloud.fault(Fault {
        times: None,
        ..Fault::once(FaultKind::NoQuota { region: None, family: Some("standardBSFamily".into()) })
    });
    assert_eq!(lab.vm("PUT", "six", body(&nic, "Standard_B2s")).await.code(), "OperationNotAllowed");
    cloud.fault(Fault {
        times: None,
        ..Fault::once(FaultKind::NoSku { region: None, size: Some("Standard_D2s_v3".into()) })
    });
    assert_eq!(lab.vm("PUT", "six", body(&nic, "Standard_D2s_v3")).await.code(), "SkuNotAvailable");
}

#[tokio::test]
async fn one_machine_with_a_gpu_fits_its_quota() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let gpu = |nic: &str| with(confidential(nic), "hardwareProfile/vmSize", json!("Standard_NCC40ads_H100_v5"));
    let none = |region: &str| FaultKind::NoQuota {
        region: Some(region.to_owned()),
        family: Some("standardnccads2023family".to_owned()),
    };
    let make = async |name: &str| {
        let nic = lab.nic(&format!("nic-{name}")).await;
        lab.vm("PUT", name, gpu(&nic)).await
    };
    cloud.fault(Fault { times: None, ..Fault::once(none("westeurope")) });
    let refused = make("one").await;
    assert_eq!((refused.status, refused.code()), (409, "OperationNotAllowed"), "{refused:?}");
    let message = refused.body["error"]["message"].as_str().unwrap();
    assert!(message.contains("StandardNCCads2023Family Cores quota"), "{message}");
    assert!(
        message.contains("Location: westeurope, Current Limit: 0, Current Usage: 0, Additional Required: 40"),
        "{message}"
    );
    cloud.cloud.clear_faults().unwrap();
    cloud.fault(Fault { times: None, ..Fault::once(none("eastus2")) });
    let nic = lab.id("Microsoft.Network/networkInterfaces/nic-one");
    assert_eq!(lab.vm("PUT", "one", gpu(&nic)).await.status, 201, "another region's quota is another one");
    cloud.advance(2);
    assert_eq!(make("two").await.code(), "OperationNotAllowed");
    let skus = format!(
        "{}/providers/Microsoft.Compute/skus?api-version=2021-07-01&$filter=location%20eq%20'eastus2'",
        cloud.subscription()
    );
    let skus = lab.me.arm("GET", &skus, Value::Null).await.body;
    let sku = skus["value"].as_array().unwrap().iter().find(|s| s["name"] == "Standard_NCC40ads_H100_v5").unwrap();
    assert_eq!(sku["family"], "StandardNCCads2023Family");
    let capability = |name: &str| {
        let all = sku["capabilities"].as_array().unwrap();
        all.iter().find(|c| c["name"] == name).unwrap()["value"].as_str().unwrap().to_owned()
    };
    let shown = ["vCPUs", "MemoryGB", "GPUs", "ConfidentialComputingType", "HyperVGenerations", "MaxResourceVolumeMB"];
    assert_eq!(shown.map(capability), ["40", "320", "1", "SNP", "V2", "819200"]);
}

#[tokio::test]
async fn who_makes_a_machine_must_be_allowed_to_use_its_interface() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let nic = lab.nic("nic").await;
    let tools = cloud.tools();
    let url = format!("{}?api-version=2024-07-01", lab.id("Microsoft.Compute/virtualMachines/vm"));
    let table: [(&[&str], &str); 3] = [
        (&["*/read"], "AuthorizationFailed"),
        (&["Microsoft.Compute/*"], "LinkedAuthorizationFailed"),
        (&["Microsoft.Compute/*", "Microsoft.Network/networkInterfaces/join/action"], ""),
    ];
    for (actions, code) in table {
        lab.demote(actions).await;
        let reply = tools.arm("PUT", &url, ordinary(&nic)).await;
        assert_eq!(reply.code(), code, "{actions:?}: {reply:?}");
    }
}

#[tokio::test]
async fn who_lets_a_machine_take_an_interface_with_it_must_be_allowed_to_delete_it() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let nic = lab.nic("nic").await;
    let tools = cloud.tools();
    let url = format!("{}?api-version=2024-07-01", lab.id("Microsoft.Compute/virtualMachines/vm"));
    let going =
        with(ordinary(&nic), "networkProfile/networkInterfaces/0/properties", json!({ "deleteOption": "Delete" }));
    let join = "Microsoft.Network/networkInterfaces/join/action";
    let delete = "Microsoft.Network/networkInterfaces/delete";
    let table: [(&[&str], &Value, &str); 4] = [
        (&["Microsoft.Compute/*", join], &going, "LinkedAuthorizationFailed"),
        (&["Microsoft.Compute/*", join], &ordinary(&nic), ""),
        (&["Microsoft.Compute/*", join, delete], &going, ""),
        (&["Microsoft.Compute/*", join], &going, ""),
    ];
    for (actions, body, code) in table {
        lab.demote(actions).await;
        let reply = tools.arm("PUT", &url, body.clone()).await;
        assert_eq!(reply.code(), code, "{actions:?}: {reply:?}");
        cloud.advance(2);
    }
}
