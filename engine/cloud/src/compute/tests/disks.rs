//! Managed disks: bodies, sizes, kinds of storage, types of encryption.

use serde_json::{Value, json};

use super::{CONFIDENTIAL, CUSTOMER, DOUBLE, LINE, Lab};
use crate::testing;

#[tokio::test]
async fn disks_are_made_changed_grown_and_deleted() {
    let cloud = testing::cloud();
    let lab = Lab::with_set(&cloud).await;
    let made = lab.disk("os", "des").await;
    let properties = &made["properties"];
    for (name, expected) in [
        ("osType", json!("Linux")),
        ("hyperVGeneration", json!("V2")),
        ("diskSizeGB", json!(30)),
        ("diskSizeBytes", json!(30_u64 << 30)),
        ("diskState", json!("Unattached")),
        ("diskIOPSReadWrite", json!(120)),
        ("diskMBpsReadWrite", json!(25)),
        ("tier", json!("P4")),
        ("networkAccessPolicy", json!("AllowAll")),
        ("encryption", json!({ "type": CUSTOMER, "diskEncryptionSetId": lab.compute("diskEncryptionSets/des") })),
    ] {
        assert_eq!(properties[name], expected, "{name}");
    }
    assert_eq!(made["sku"], json!({ "name": "Premium_LRS", "tier": "Premium" }));
    // What az sends to change something: all that it read, and the change.
    let mut whole = made.clone();
    whole["properties"]["diskSizeGB"] = 64.into();
    let grown = lab.done("PUT", "disks/os", whole).await;
    assert_eq!((&grown["properties"]["diskSizeGB"], &grown["properties"]["tier"]), (&json!(64), &json!("P6")));
    assert_eq!(grown["properties"]["uniqueId"], properties["uniqueId"]);
    let url = lab.grant("disks/os", "Read").await.unwrap();
    let tail = format!("bytes={}-", 64_u64 << 30);
    let footer = lab.content("GET", &url, &[("range", &tail)], "").await;
    assert!(footer.bytes.starts_with(b"conectix"), "the footer moved to the new end");
    let old_end = format!("bytes={}-{}", 30_u64 << 30, (30_u64 << 30) + 511);
    let moved = lab.content("GET", &url, &[("range", &old_end)], "").await;
    assert!(moved.bytes.iter().all(|byte| *byte == 0), "and is gone from the old one");
    assert_eq!(lab.line_at(&url).await, LINE);
    lab.revoke("disks/os").await;

    let standard =
        lab.done("PATCH", "disks/os", json!({ "sku": { "name": "StandardSSD_LRS" }, "tags": { "a": "b" } })).await;
    assert_eq!((&standard["sku"]["tier"], &standard["properties"]["tier"]), (&json!("Standard"), &Value::Null));
    assert_eq!((&standard["tags"]["a"], &standard["properties"]["diskIOPSReadWrite"]), (&json!("b"), &json!(500)));
    for path in ["resourceGroups/lab/providers", "providers"] {
        let path = format!("{}/{path}/Microsoft.Compute/disks?{}", cloud.subscription(), super::API);
        assert_eq!(lab.me.arm("GET", &path, Value::Null).await.body["value"][0]["id"], made["id"]);
    }
    assert_eq!(lab.ask("DELETE", "disks/os", Value::Null).await.status, 202);
    cloud.advance(1);
    assert_eq!(lab.ask("GET", "disks/os", Value::Null).await.code(), "ResourceNotFound");
    let left = cloud.within(|cx| {
        cx.tx.query_row("SELECT (SELECT count(*) FROM volume_chunks) + (SELECT count(*) FROM data_keys)", [], |row| {
            row.get::<_, i64>(0)
        })
    });
    assert_eq!(left.unwrap(), 0, "nothing of it is left");
}

#[tokio::test]
async fn refused_disks() {
    let cloud = testing::cloud();
    let lab = Lab::with_set(&cloud).await;
    let empty = |more: Value| {
        let mut body =
            json!({ "location": "westeurope", "properties": { "creationData": { "createOption": "Empty" } } });
        for (name, value) in more.as_object().unwrap() {
            body["properties"][name] = value.clone();
        }
        body
    };
    let with = |mut body: Value, member: &str, value: Value| {
        body[member] = value;
        body
    };
    let image = |from: &str, to: &str| {
        let text = lab.disk_body(json!({})).to_string();
        serde_json::from_str::<Value>(&text.replace(from, to)).unwrap()
    };
    let table = [
        (empty(json!({})), 400, "InvalidParameter", false),
        (empty(json!({ "diskSizeGB": 0 })), 400, "InvalidParameter", false),
        (empty(json!({ "diskSizeGB": 32_768 })), 400, "InvalidParameter", false),
        (empty(json!({ "diskSizeGB": "4" })), 400, "InvalidParameter", false),
        (empty(json!({ "diskSizeGB": 4, "maxShares": 2 })), 400, "InvalidParameter", true),
        (empty(json!({ "diskSizeGB": 4, "color": "red" })), 400, "BadRequest", true),
        (empty(json!({ "diskSizeGB": 4, "diskIOPSReadWrite": 9_999 })), 400, "InvalidParameter", false),
        (empty(json!({ "diskSizeGB": 4, "networkAccessPolicy": "AllowPrivate" })), 400, "InvalidParameter", true),
        (
            empty(json!({ "diskSizeGB": 4, "securityProfile": { "securityType": "TrustedLaunch" } })),
            400,
            "InvalidParameter",
            false,
        ),
        (with(empty(json!({ "diskSizeGB": 4 })), "sku", json!({ "name": "Fast" })), 400, "InvalidParameter", false),
        (with(empty(json!({ "diskSizeGB": 4 })), "zones", json!(["4"])), 400, "InvalidParameter", false),
        (
            with(empty(json!({ "diskSizeGB": 4 })), "identity", json!({ "type": "SystemAssigned" })),
            400,
            "ResourceIdentityNotSupported",
            false,
        ),
        (image("FromImage", "Import"), 400, "InvalidParameter", true),
        (image("FromImage", "Magic"), 400, "InvalidParameter", false),
        (image("FromImage", "Upload"), 400, "InvalidParameter", false),
        (image("FromImage", "Copy"), 400, "InvalidParameter", false),
        (image("imageReference", "galleryImageReference"), 400, "InvalidParameter", true),
        (image("24.04.202601010", "latest"), 400, "InvalidParameter", false),
        (image("ubuntu-24_04-lts", "beos"), 404, "PlatformImageNotFound", true),
        (lab.disk_body(json!({ "diskSizeGB": 29 })), 400, "InvalidParameter", false),
        (with(lab.disk_body(json!({})), "sku", json!({ "name": "UltraSSD_LRS" })), 400, "InvalidParameter", false),
    ];
    for (body, status, code, gap) in table {
        let reply = lab.ask("PUT", "disks/bad", body.clone()).await;
        assert_eq!((reply.status, reply.code()), (status, code), "{body}: {reply:?}");
        assert_eq!(!reply.header("x-sealbook-gap").is_empty(), gap, "{body}");
    }
    lab.disk("os", "des").await;
    for (body, status, code) in [
        (json!({ "properties": { "diskSizeGB": 8 } }), 409, "OperationNotAllowed"),
        (json!({ "properties": { "creationData": { "createOption": "Empty" } } }), 409, "PropertyChangeNotAllowed"),
        (json!({ "sku": { "name": "PremiumV2_LRS" } }), 400, "InvalidParameter"),
        (
            json!({ "properties": { "securityProfile": { "securityType": "TrustedLaunch" } } }),
            409,
            "PropertyChangeNotAllowed",
        ),
    ] {
        let reply = lab.ask("PATCH", "disks/os", body.clone()).await;
        assert_eq!((reply.status, reply.code()), (status, code), "{body}");
    }
}

#[tokio::test]
async fn the_type_of_a_set_must_be_what_the_disk_needs() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    for (name, kind) in [("customer", CUSTOMER), ("double", DOUBLE), ("cvm", CONFIDENTIAL)] {
        lab.set(name, kind).await;
    }
    let id = |set: &str| lab.compute(&format!("diskEncryptionSets/{set}"));
    let encryption = |kind: Option<&str>, set: &str| {
        let mut encryption = json!({ "diskEncryptionSetId": id(set) });
        if let Some(kind) = kind {
            encryption["type"] = kind.into();
        }
        json!({ "encryption": encryption })
    };
    let security = |kind: &str, set: Option<&str>| {
        let mut profile = json!({ "securityType": kind });
        if let Some(set) = set {
            profile["secureVMDiskEncryptionSetId"] = id(set).into();
        }
        json!({ "securityProfile": profile })
    };
    let confidential = "ConfidentialVM_DiskEncryptedWithCustomerKey";
    let mut both = security(confidential, Some("cvm"));
    both["encryption"] = json!({ "diskEncryptionSetId": id("customer") });
    let table = [
        (encryption(Some(CUSTOMER), "customer"), "ok"),
        (encryption(None, "customer"), "ok"),
        (encryption(None, "double"), "ok"),
        (encryption(Some(DOUBLE), "double"), "ok"),
        (encryption(Some(DOUBLE), "customer"), "InvalidParameter"),
        (encryption(Some(CUSTOMER), "double"), "InvalidParameter"),
        (encryption(Some(CUSTOMER), "cvm"), "InvalidParameter"),
        (encryption(None, "cvm"), "InvalidParameter"),
        (encryption(Some("EncryptionAtRestWithPlatformKey"), "customer"), "InvalidParameter"),
        (encryption(None, "none"), "InvalidResourceReference"),
        (json!({ "encryption": { "type": CUSTOMER } }), "InvalidParameter"),
        (security(confidential, Some("cvm")), "ok"),
        (security(confidential, Some("customer")), "InvalidParameter"),
        (security(confidential, None), "InvalidParameter"),
        (security("ConfidentialVM_DiskEncryptedWithPlatformKey", None), "ok"),
        (security("ConfidentialVM_DiskEncryptedWithPlatformKey", Some("cvm")), "InvalidParameter"),
        (security("TrustedLaunch", None), "ok"),
        (security("Other", None), "InvalidParameter"),
        (both, "InvalidParameter"),
    ];
    for (number, (more, expected)) in table.into_iter().enumerate() {
        let path = format!("disks/d{number}");
        let reply = lab.ask("PUT", &path, lab.disk_body(more.clone())).await;
        let outcome = if reply.status == 202 { "ok" } else { reply.code() };
        assert_eq!(outcome, expected, "{more}: {reply:?}");
        if expected == "ok" {
            cloud.advance(1);
            assert_eq!(lab.first_line(&path).await, LINE, "{more}");
        }
    }
    let mut elsewhere = lab.disk_body(lab.under("customer"));
    elsewhere["location"] = "northeurope".into();
    let reply = lab.ask("PUT", "disks/far", elsewhere).await;
    assert_eq!((reply.status, reply.code()), (400, "InvalidParameter"), "disk and set in one region");
}

#[tokio::test]
async fn quotas_count_disks() {
    let cloud = testing::cloud();
    let lab = Lab::with_set(&cloud).await;
    lab.disk("os", "des").await;
    let path = format!(
        "{}/providers/Microsoft.Compute/locations/westeurope/usages?api-version=2024-11-01",
        cloud.subscription()
    );
    let usages = lab.me.arm("GET", &path, Value::Null).await;
    let premium =
        usages.body["value"].as_array().unwrap().iter().find(|row| row["name"]["value"] == "PremiumDiskCount");
    assert_eq!(premium.unwrap()["currentValue"], 1);
    cloud.fault(crate::Fault {
        times: None,
        ..crate::Fault::once(crate::FaultKind::NoQuota {
            region: Some("westeurope".to_owned()),
            family: Some("PremiumDiskCount".to_owned()),
        })
    });
    let reply = lab.ask("PUT", "disks/more", lab.disk_body(json!({}))).await;
    assert_eq!((reply.status, reply.code()), (409, "OperationNotAllowed"));
}
