//! Virtual machines whose disks are under a customer's key.

use serde_json::{Value, json};

use super::{CONFIDENTIAL, Lab, RELEASE_USER};
use crate::compute::vm::tests::kit::{confidential, ordinary};
use crate::testing::{self, Reply};

impl Lab<'_> {
    /// An interface in a network of its own.
    async fn nic(&self, name: &str) -> String {
        let register =
            format!("{}/providers/Microsoft.Network/register?api-version=2022-12-01", self.cloud.subscription());
        self.me.arm("POST", &register, Value::Null).await;
        self.cloud.advance(2);
        let network = self.id("Microsoft.Network/virtualNetworks", &format!("{name}-net"));
        let interface = self.id("Microsoft.Network/networkInterfaces", name);
        let table = [
            (
                &network,
                json!({
                    "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] },
                    "subnets": [{ "name": "a", "properties": { "addressPrefix": "10.0.0.0/24" } }],
                }),
            ),
            (
                &interface,
                json!({ "ipConfigurations": [
                { "name": "one", "properties": { "subnet": { "id": format!("{network}/subnets/a") } } },
            ] }),
            ),
        ];
        for (id, properties) in table {
            let body = json!({ "location": "westeurope", "properties": properties });
            let made = self.me.arm("PUT", &format!("{id}?api-version=2024-07-01"), body).await;
            assert_eq!(made.status, 201, "{made:?}");
        }
        interface
    }

    async fn machine(&self, method: &str, path: &str, body: Value) -> Reply {
        let url = format!("{}?api-version=2024-07-01", self.compute(&format!("virtualMachines/{path}")));
        let reply = self.me.arm(method, &url, body).await;
        self.cloud.advance(2);
        reply
    }

    async fn power(&self) -> String {
        let view = self.machine("GET", "vm/instanceView", Value::Null).await;
        view.body["statuses"][1]["code"].as_str().unwrap_or_default().to_owned()
    }
}

#[tokio::test]
async fn a_machine_without_its_key_stops_and_does_not_start() {
    let cloud = testing::cloud();
    let lab = Lab::with_set(&cloud).await;
    let set = json!({ "id": lab.compute("diskEncryptionSets/des") });
    let mut body = ordinary(&lab.nic("nic").await);
    body["properties"]["storageProfile"]["osDisk"]["managedDisk"]["diskEncryptionSet"] = set.clone();
    let made = lab.machine("PUT", "vm", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let managed = &made.body["properties"]["storageProfile"]["osDisk"]["managedDisk"];
    assert_eq!(managed["diskEncryptionSet"], set);
    let disk = managed["id"].as_str().unwrap().to_owned();
    let disk = lab.me.arm("GET", &format!("{disk}?api-version=2025-01-02"), Value::Null).await;
    assert_eq!(disk.body["properties"]["encryption"]["diskEncryptionSetId"], set["id"], "{disk:?}");
    assert_eq!((&disk.body["managedBy"], lab.power().await.as_str()), (&made.body["id"], "PowerState/running"));
    let kid = lab.kid().await;
    lab.enable(&kid, false).await;
    cloud.advance(16 * 60);
    assert_eq!(lab.power().await, "PowerState/deallocated", "the key is gone");
    let start = lab.machine("POST", "vm/start", Value::Null).await;
    let poll = lab.me.send("GET", start.header("azure-asyncoperation"), None).await;
    assert_eq!(poll.body["error"]["code"], "KeyVaultKeyNotEnabled", "{poll:?}");
    assert_eq!(lab.power().await, "PowerState/deallocated");
    lab.enable(&kid, true).await;
    assert_eq!(lab.machine("POST", "vm/start", Value::Null).await.status, 202);
    assert_eq!(lab.power().await, "PowerState/running");
    let restored = lab.machine("GET", "vm", Value::Null).await;
    assert_eq!(restored.body["properties"]["provisioningState"], "Succeeded");
}

#[tokio::test]
async fn sets_must_fit_the_disk_and_their_keys_be_within_reach() {
    let cloud = testing::cloud();
    let lab = Lab::with_set(&cloud).await;
    lab.set("cvm", CONFIDENTIAL).await;
    let nic = lab.nic("nic").await;
    let set = |name: &str| json!({ "id": lab.compute(&format!("diskEncryptionSets/{name}")) });
    let with = |mut body: Value, pointer: &str, name: &str| {
        let managed = &mut body["properties"]["storageProfile"]["osDisk"]["managedDisk"];
        match pointer {
            "confidential" => managed["securityProfile"]["diskEncryptionSet"] = set(name),
            _ => managed["diskEncryptionSet"] = set(name),
        }
        body
    };
    for body in [with(ordinary(&nic), "plain", "cvm"), with(confidential(&nic), "confidential", "des")] {
        let refused = lab.machine("PUT", "vm", body.clone()).await;
        assert!(matches!(refused.status, 400 | 409), "{body}: {refused:?}");
    }
    // Nobody may take the confidential disk's key to the machine yet.
    let body = with(confidential(&nic), "confidential", "cvm");
    assert_eq!(lab.machine("PUT", "vm", body.clone()).await.code(), "KeyVaultAccessForbidden");
    let orchestrator = cloud.within(|cx| {
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
    lab.assign(RELEASE_USER, &orchestrator, "ServicePrincipal", &scope).await;
    let made = lab.machine("PUT", "vm", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let managed = &made.body["properties"]["storageProfile"]["osDisk"]["managedDisk"];
    assert_eq!(managed["securityProfile"]["diskEncryptionSet"], set("cvm"));
    lab.enable(&lab.kid().await, false).await;
    let mut late = with(ordinary(&lab.nic("late").await), "plain", "des");
    late["properties"]["osProfile"]["computerName"] = "late".into();
    assert_eq!(lab.machine("PUT", "late", late).await.code(), "KeyVaultKeyNotEnabled");
}
