//! What happens to machines from their making to their end.

use serde_json::{Value, json};

use super::kit::{VERSION, confidential, lab, ordinary, trusted};
use crate::testing;

#[tokio::test]
async fn a_machine_is_made_and_shows_everything_but_secrets() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let nic = lab.nic("nic").await;
    let mut body = ordinary(&nic);
    body["identity"] = json!({ "type": "SystemAssigned" });
    body["properties"]["userData"] = "aGVsbG8=".into();
    let made = lab.vm("PUT", "vm", body.clone()).await;
    assert_eq!((made.status, &made.body["properties"]["provisioningState"]), (201, &json!("Creating")), "{made:?}");
    assert!(!made.header("azure-asyncoperation").is_empty());
    let view = lab.vm("GET", "vm/instanceView", Value::Null).await;
    assert_eq!(view.body["statuses"][0]["code"], "ProvisioningState/creating", "{view:?}");
    cloud.advance(2);
    let shown = lab.shown("vm").await;
    let properties = &shown["properties"];
    assert_eq!(properties["provisioningState"], "Succeeded");
    assert_eq!(properties["storageProfile"]["imageReference"]["exactVersion"], "24.04.202601070");
    assert_eq!(properties["storageProfile"]["osDisk"]["createOption"], "FromImage");
    assert!(shown["identity"]["principalId"].is_string() && properties["vmId"].is_string(), "{shown}");
    for secret in ["Correct-Horse-1", "aGk=", "aGVsbG8=", "withheld", "power", "systemData"] {
        assert!(!shown.to_string().contains(secret), "{secret}");
    }
    let url = format!("{}?api-version={VERSION}", lab.id("Microsoft.Compute/virtualMachines/vm"));
    let expanded = lab.me.arm("GET", &format!("{url}&$expand=instanceView,userData"), Value::Null).await;
    assert_eq!(expanded.body["properties"]["userData"], "aGVsbG8=");
    assert_eq!(expanded.body["properties"]["instanceView"]["statuses"][1]["code"], "PowerState/running");
    assert_eq!(lab.me.arm("GET", &format!("{url}&$expand=all"), Value::Null).await.code(), "BadRequest");
    // Its disk and interface know it.
    let disk = properties["storageProfile"]["osDisk"]["managedDisk"]["id"].as_str().unwrap();
    let filter = format!("{}/resources?api-version=2021-04-01", lab.group);
    let all = lab.me.arm("GET", &filter, Value::Null).await;
    assert!(all.body["value"].as_array().unwrap().iter().any(|r| r["id"] == disk), "{all:?}");
    let nic = lab.ask("GET", "Microsoft.Network/networkInterfaces/nic", Value::Null).await;
    assert_eq!(nic.body["properties"]["virtualMachine"]["id"], shown["id"]);
    assert_eq!(nic.body["properties"]["primary"], true);
    assert_eq!(nic.body["properties"]["macAddress"].as_str().unwrap().len(), 17);
    assert_eq!(lab.ask("DELETE", "Microsoft.Network/networkInterfaces/nic", Value::Null).await.code(), "NicInUse");
    // The same again changes nothing.
    let again = lab.vm("PUT", "vm", body).await;
    assert_eq!((again.status, &again.body["properties"]["vmId"]), (200, &properties["vmId"]), "{again:?}");
    for path in ["virtualMachines", "virtualMachines/vm/vmSizes"] {
        let listed = lab.ask("GET", &format!("Microsoft.Compute/{path}"), Value::Null).await;
        assert!(!listed.body["value"].as_array().unwrap().is_empty(), "{path}");
    }
    let all = format!("{}/providers/Microsoft.Compute/virtualMachines?api-version={VERSION}", cloud.subscription());
    assert_eq!(lab.me.arm("GET", &all, Value::Null).await.body["value"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn power_goes_on_and_off() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    lab.machine("vm").await;
    let cores = || async {
        let url = format!(
            "{}/providers/Microsoft.Compute/locations/westeurope/usages?api-version={VERSION}",
            cloud.subscription()
        );
        let usages = lab.me.arm("GET", &url, Value::Null).await;
        let all = usages.body["value"].as_array().unwrap().clone();
        let of = |name: &str| all.iter().find(|u| u["name"]["value"] == name).unwrap()["currentValue"].clone();
        (of("cores"), of("standardBSFamily"), of("virtualMachines"))
    };
    let table = [
        ("restart", 202, "PowerState/running", 2),
        ("powerOff", 202, "PowerState/stopped", 2),
        ("restart", 409, "PowerState/stopped", 2),
        ("start", 202, "PowerState/running", 2),
        ("deallocate", 202, "PowerState/deallocated", 0),
        ("powerOff", 202, "PowerState/deallocated", 0),
        ("restart", 409, "PowerState/deallocated", 0),
        ("start", 202, "PowerState/running", 2),
    ];
    for (action, status, power, used) in table {
        let reply = lab.vm("POST", &format!("vm/{action}"), Value::Null).await;
        assert_eq!(reply.status, status, "{action}: {reply:?}");
        assert_eq!(reply.header("azure-asyncoperation").is_empty(), status != 202, "{action}");
        let result = reply.header("location").to_owned();
        cloud.advance(2);
        if status == 202 {
            let done = lab.me.send("GET", &result, None).await.status;
            assert!(matches!(done, 200 | 204), "{action}: {done} at {result}");
        }
        assert_eq!(lab.power("vm").await, power, "{action}");
        assert_eq!(cores().await, (json!(used), json!(used), json!(1)), "{action}");
    }
    assert_eq!(lab.shown("vm").await["properties"]["provisioningState"], "Succeeded");
    for action in ["start", "powerOff", "deallocate", "restart", "instanceView"] {
        let method = if action == "instanceView" { "GET" } else { "POST" };
        let reply = lab.vm(method, &format!("none/{action}"), Value::Null).await;
        assert_eq!(reply.code(), "ResourceNotFound", "{action}");
    }
    let url =
        format!("{}?hibernate=true&api-version={VERSION}", lab.id("Microsoft.Compute/virtualMachines/vm/deallocate"));
    assert_eq!(lab.me.arm("POST", &url, Value::Null).await.code(), "OperationNotAllowed");
}

#[tokio::test]
async fn commands_need_a_guest() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    lab.machine("vm").await;
    let script = json!({ "commandId": "RunShellScript", "script": ["id"] });
    let managed = json!({ "location": "westeurope", "properties": { "source": { "script": "id" } } });
    for (method, path, body) in [("POST", "vm/runCommand", script.clone()), ("PUT", "vm/runCommands/one", managed)] {
        let reply = lab.vm(method, path, body).await;
        assert_eq!((reply.status, reply.code()), (409, "VMAgentStatusCommunicationError"), "{path}: {reply:?}");
        assert!(!reply.header("x-sealbook-gap").is_empty());
    }
    assert_eq!(lab.vm("GET", "vm/runCommands", Value::Null).await.body["value"], json!([]));
    assert_eq!(lab.vm("GET", "vm/runCommands/one", Value::Null).await.code(), "ResourceNotFound");
    lab.vm("POST", "vm/deallocate", Value::Null).await;
    cloud.advance(2);
    assert_eq!(lab.vm("POST", "vm/runCommand", script.clone()).await.code(), "OperationNotAllowed");
    assert_eq!(lab.vm("POST", "none/runCommand", script).await.code(), "ResourceNotFound");
    assert_eq!(lab.vm("GET", "none/runCommands", Value::Null).await.code(), "ResourceNotFound");
}

#[tokio::test]
async fn what_goes_with_a_machine_is_said_beforehand() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    for (name, option, left) in [("keeps", "Detach", true), ("takes", "Delete", false)] {
        let nic = lab.nic(&format!("{name}-nic")).await;
        let mut body = ordinary(&nic);
        body["properties"]["storageProfile"]["osDisk"]["deleteOption"] = option.into();
        body["properties"]["storageProfile"]["osDisk"]["name"] = format!("{name}-disk").into();
        body["properties"]["networkProfile"]["networkInterfaces"][0]["properties"] = json!({ "deleteOption": option });
        assert_eq!(lab.vm("PUT", name, body).await.status, 201);
        cloud.advance(2);
        assert_eq!(lab.vm("DELETE", name, Value::Null).await.status, 202);
        cloud.advance(2);
        assert_eq!(lab.vm("GET", name, Value::Null).await.code(), "ResourceNotFound");
        let all = lab.me.arm("GET", &format!("{}/resources?api-version=2021-04-01", lab.group), Value::Null).await;
        let listed = all.body.to_string();
        for part in ["nic", "disk"] {
            assert_eq!(listed.contains(&format!("{name}-{part}\"")), left, "{name}-{part}: {listed}");
        }
    }
    assert_eq!(lab.vm("DELETE", "none", Value::Null).await.status, 204);
    // A whole group goes, machine and all.
    lab.machine("last").await;
    assert_eq!(lab.me.arm("DELETE", &format!("{}?api-version=2024-11-01", lab.group), Value::Null).await.status, 202);
    cloud.advance(60);
    assert_eq!(lab.me.arm("GET", &format!("{}?api-version=2024-11-01", lab.group), Value::Null).await.status, 404);
}

#[tokio::test]
async fn machines_change_within_limits() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let nic = lab.nic("nic").await;
    assert_eq!(lab.vm("PUT", "vm", trusted(&nic)).await.status, 201);
    cloud.advance(2);
    let patch = |properties: Value| json!({ "properties": properties });
    let uefi = json!({ "uefiSettings": { "secureBootEnabled": false } });
    let table = [
        (patch(json!({ "hardwareProfile": { "vmSize": "Standard_B2ms" } })), ""),
        (patch(json!({ "securityProfile": uefi })), ""),
        (json!({ "tags": { "a": "1" } }), ""),
        (json!({ "identity": { "type": "SystemAssigned" } }), ""),
        (patch(json!({ "diagnosticsProfile": { "bootDiagnostics": { "enabled": true } } })), ""),
        (patch(json!({ "securityProfile": { "securityType": "Standard" } })), "PropertyChangeNotAllowed"),
        (patch(json!({ "osProfile": { "adminUsername": "other" } })), "PropertyChangeNotAllowed"),
        (patch(json!({ "osProfile": { "customData": "eW8=" } })), "PropertyChangeNotAllowed"),
        (patch(json!({ "osProfile": { "customData": "aGk=" } })), ""),
        (patch(json!({ "storageProfile": { "imageReference": { "sku": "cvm" } } })), "PropertyChangeNotAllowed"),
        (patch(json!({ "storageProfile": { "osDisk": { "name": "other" } } })), "PropertyChangeNotAllowed"),
        (patch(json!({ "hardwareProfile": { "vmSize": "Standard_DC2as_v5" } })), "BadRequest"),
        (patch(json!({ "userData": "%" })), "InvalidParameter"),
    ];
    for (body, code) in table {
        let reply = lab.vm("PATCH", "vm", body.clone()).await;
        assert_eq!(reply.code(), code, "{body}: {reply:?}");
        cloud.advance(2);
    }
    let shown = lab.shown("vm").await;
    assert_eq!(shown["properties"]["hardwareProfile"]["vmSize"], "Standard_B2ms");
    assert_eq!(
        shown["properties"]["securityProfile"]["uefiSettings"],
        json!({ "secureBootEnabled": false, "vTpmEnabled": true })
    );
    assert_eq!(shown["tags"]["a"], "1");
}

#[tokio::test]
async fn a_confidential_machine_has_a_confidential_disk() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let nic = lab.nic("nic").await;
    let made = lab.vm("PUT", "vm", confidential(&nic)).await;
    assert_eq!(made.status, 201, "{made:?}");
    cloud.advance(2);
    let shown = lab.shown("vm").await;
    assert_eq!(shown["properties"]["securityProfile"]["securityType"], "ConfidentialVM");
    let disk = shown["properties"]["storageProfile"]["osDisk"]["managedDisk"]["securityProfile"].clone();
    assert_eq!(disk["securityEncryptionType"], "DiskWithVMGuestState");
}
