//! A resource group with a network, and bodies of machines.

use serde_json::{Value, json};

use crate::testing::{Client, Reply, TestCloud};

/// A group in `westeurope` with a network; interfaces are made on demand.
pub(crate) struct Lab<'a> {
    pub me: Client<'a>,
    pub cloud: &'a TestCloud,
    pub group: String,
}

pub(in crate::compute) const VERSION: &str = "2024-07-01";

pub(crate) async fn lab(cloud: &TestCloud) -> Lab<'_> {
    let group = format!("{}/resourceGroups/lab", cloud.subscription());
    let me = cloud.learner();
    for namespace in ["Microsoft.Network", "Microsoft.Compute"] {
        let url = format!("{}/providers/{namespace}/register?api-version=2021-04-01", cloud.subscription());
        assert_eq!(me.arm("POST", &url, Value::Null).await.status, 200);
    }
    cloud.advance(2);
    me.arm("PUT", &format!("{group}?api-version=2024-11-01"), json!({ "location": "westeurope" })).await;
    let lab = Lab { me, cloud, group };
    let network = json!({ "location": "westeurope", "properties": {
        "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] },
        "subnets": [{ "name": "a", "properties": { "addressPrefix": "10.0.0.0/24" } }],
    } });
    assert_eq!(lab.ask("PUT", "Microsoft.Network/virtualNetworks/net", network).await.status, 201);
    lab
}

impl Lab<'_> {
    pub fn id(&self, path: &str) -> String {
        format!("{}/providers/{path}", self.group)
    }

    pub async fn ask(&self, method: &str, path: &str, body: Value) -> Reply {
        self.me.arm(method, &format!("{}?api-version={VERSION}", self.id(path)), body).await
    }

    /// Makes an interface and returns its id.
    pub async fn nic(&self, name: &str) -> String {
        let path = format!("Microsoft.Network/networkInterfaces/{name}");
        let subnet = self.id("Microsoft.Network/virtualNetworks/net/subnets/a");
        let nic = json!({ "location": "westeurope", "properties": { "ipConfigurations": [
            { "name": "one", "properties": { "subnet": { "id": subnet } } },
        ] } });
        let reply = self.ask("PUT", &path, nic).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        self.id(&path)
    }

    /// Makes an ordinary machine `name` with an interface of its own.
    pub async fn machine(&self, name: &str) -> Value {
        let nic = self.nic(&format!("{name}-nic")).await;
        let made = self.vm("PUT", name, ordinary(&nic)).await;
        assert_eq!(made.status, 201, "{made:?}");
        self.cloud.advance(2);
        self.shown(name).await
    }

    pub async fn vm(&self, method: &str, path: &str, body: Value) -> Reply {
        self.ask(method, &format!("Microsoft.Compute/virtualMachines/{path}"), body).await
    }

    pub async fn shown(&self, name: &str) -> Value {
        let reply = self.vm("GET", name, Value::Null).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body
    }

    /// Leaves the service principal with a role of these actions only.
    pub async fn demote(&self, actions: &[&str]) {
        let subscription = self.cloud.subscription();
        let folder = format!("{subscription}/providers/Microsoft.Authorization");
        let version = "api-version=2022-04-01";
        let oid = &self.cloud.seed.client_oid;
        let list = format!("{folder}/roleAssignments?{version}&$filter=principalId%20eq%20'{oid}'");
        for row in self.me.arm("GET", &list, Value::Null).await.body["value"].as_array().unwrap() {
            self.me.arm("DELETE", &format!("{}?{version}", row["id"].as_str().unwrap()), Value::Null).await;
        }
        let role = uuid::Uuid::new_v4().to_string();
        let definition = json!({ "properties": {
            "roleName": role, "type": "CustomRole", "assignableScopes": [subscription],
            "permissions": [{ "actions": actions }],
        } });
        let made = self.me.arm("PUT", &format!("{folder}/roleDefinitions/{role}?{version}"), definition).await;
        assert_eq!(made.status, 201, "{made:?}");
        let assignment = json!({ "properties": {
            "roleDefinitionId": format!("{folder}/roleDefinitions/{role}"), "principalId": oid,
            "principalType": "ServicePrincipal",
        } });
        let url = format!("{folder}/roleAssignments/{}?{version}", uuid::Uuid::new_v4());
        assert_eq!(self.me.arm("PUT", &url, assignment).await.status, 201);
        self.cloud.advance(2);
    }

    /// `PowerState/…` of a machine.
    pub async fn power(&self, name: &str) -> String {
        let view = self.vm("GET", &format!("{name}/instanceView"), Value::Null).await;
        let statuses = view.body["statuses"].as_array().unwrap();
        let code = |status: &Value| status["code"].as_str().unwrap().to_owned();
        statuses.iter().map(code).find(|code| code.starts_with("PowerState/")).unwrap_or_default()
    }
}

/// An ordinary machine: Ubuntu, a password.
pub(crate) fn ordinary(nic: &str) -> Value {
    json!({ "location": "westeurope", "properties": {
        "hardwareProfile": { "vmSize": "Standard_B2s" },
        "storageProfile": {
            "imageReference": { "publisher": "Canonical", "offer": "ubuntu-24_04-lts", "sku": "server", "version": "latest" },
            "osDisk": { "createOption": "fromImage", "managedDisk": { "storageAccountType": null } },
        },
        "osProfile": { "computerName": "vm", "adminUsername": "azureuser", "adminPassword": "Correct-Horse-1", "customData": "aGk=" },
        "networkProfile": { "networkInterfaces": [{ "id": nic }] },
    } })
}

/// A machine with trusted launch.
pub(in crate::compute) fn trusted(nic: &str) -> Value {
    let mut body = ordinary(nic);
    body["properties"]["securityProfile"] = json!({
        "securityType": "TrustedLaunch", "uefiSettings": { "secureBootEnabled": true, "vTpmEnabled": true },
    });
    body
}

/// A confidential machine.
pub(crate) fn confidential(nic: &str) -> Value {
    let mut body = ordinary(nic);
    let properties = &mut body["properties"];
    properties["hardwareProfile"]["vmSize"] = "Standard_DC2as_v5".into();
    properties["storageProfile"]["imageReference"]["sku"] = "cvm".into();
    properties["storageProfile"]["osDisk"]["managedDisk"]["securityProfile"] =
        json!({ "securityEncryptionType": "DiskWithVMGuestState" });
    properties["securityProfile"] = json!({
        "securityType": "ConfidentialVM", "uefiSettings": { "secureBootEnabled": true, "vTpmEnabled": true },
    });
    body
}
