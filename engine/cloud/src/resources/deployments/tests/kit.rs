//! Templates like those that the Azure CLI sends for a virtual machine.

use serde_json::{Value, json};

use crate::testing::{Client, Reply, TestCloud};

pub(super) struct Lab<'a> {
    pub me: Client<'a>,
    pub cloud: &'a TestCloud,
    pub group: String,
}

pub(super) async fn lab(cloud: &TestCloud) -> Lab<'_> {
    let group = format!("{}/resourceGroups/lab", cloud.subscription());
    let me = cloud.learner();
    for namespace in ["Microsoft.Network", "Microsoft.Compute"] {
        let url = format!("{}/providers/{namespace}/register?api-version=2021-04-01", cloud.subscription());
        assert_eq!(me.arm("POST", &url, Value::Null).await.status, 200);
    }
    cloud.advance(2);
    me.arm("PUT", &format!("{group}?api-version=2024-11-01"), json!({ "location": "westeurope" })).await;
    Lab { me, cloud, group }
}

impl Lab<'_> {
    pub fn id(&self, path: &str) -> String {
        format!("{}/providers/{path}", self.group)
    }

    pub async fn ask(&self, method: &str, path: &str, body: Value) -> Reply {
        let url = format!("{}?api-version=2024-11-01", self.id(&format!("Microsoft.Resources/deployments{path}")));
        self.me.arm(method, &url, body).await
    }

    pub async fn resource(&self, path: &str, api: &str) -> Reply {
        self.me.arm("GET", &format!("{}?api-version={api}", self.id(path)), Value::Null).await
    }

    /// Deploys and waits; returns what the deployment is then.
    pub async fn deploy(&self, name: &str, body: Value) -> Value {
        let made = self.ask("PUT", &format!("/{name}"), body).await;
        assert!(matches!(made.status, 200 | 201), "{made:?}");
        let url = made.header("azure-asyncoperation").to_owned();
        let poll = self.me.send("GET", &url, None).await;
        assert_eq!(poll.body["status"], "Accepted", "{poll:?}");
        self.cloud.advance(30);
        let ended = self.ask("GET", &format!("/{name}"), Value::Null).await;
        let poll = self.me.send("GET", &url, None).await;
        assert_eq!(poll.body["status"], ended.body["properties"]["provisioningState"], "{poll:?}");
        ended.body
    }

    /// What the Azure CLI sends for an ordinary machine with a password.
    pub fn machine(&self) -> Value {
        let network = self.id("Microsoft.Network");
        let resources = json!([
            {
                "apiVersion": "2015-06-15", "type": "Microsoft.Network/networkInterfaces", "name": "vmVMNic",
                "location": "westeurope", "tags": {},
                "dependsOn": [
                    "Microsoft.Network/virtualNetworks/vmVNET", "Microsoft.Network/networkSecurityGroups/vmNSG",
                    "Microsoft.Network/publicIpAddresses/vmPublicIP",
                ],
                "properties": {
                    "ipConfigurations": [{ "name": "ipconfigvm", "properties": {
                        "privateIPAllocationMethod": "Dynamic",
                        "subnet": { "id": format!("{network}/virtualNetworks/vmVNET/subnets/vmSubnet") },
                        "publicIPAddress": { "id": format!("{network}/publicIPAddresses/vmPublicIP") },
                    } }],
                    "networkSecurityGroup": { "id": format!("{network}/networkSecurityGroups/vmNSG") },
                },
            },
            {
                "name": "vmVNET", "type": "Microsoft.Network/virtualNetworks", "location": "westeurope",
                "apiVersion": "2015-06-15", "dependsOn": [], "tags": {},
                "properties": {
                    "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] },
                    "subnets": [{ "name": "vmSubnet", "properties": { "addressPrefix": "10.0.0.0/24" } }],
                },
            },
            {
                "type": "Microsoft.Network/networkSecurityGroups", "name": "vmNSG", "apiVersion": "2015-06-15",
                "location": "westeurope", "tags": {}, "dependsOn": [],
                "properties": { "securityRules": [{ "name": "default-allow-ssh", "properties": {
                    "protocol": "Tcp", "sourcePortRange": "*", "destinationPortRange": "22", "sourceAddressPrefix": "*",
                    "destinationAddressPrefix": "*", "access": "Allow", "priority": 1000, "direction": "Inbound",
                } }] },
            },
            {
                "apiVersion": "2022-01-01", "type": "Microsoft.Network/publicIPAddresses", "name": "vmPublicIP",
                "location": "westeurope", "tags": {}, "dependsOn": [], "sku": { "name": "Standard" },
                "properties": { "publicIPAllocationMethod": "Static", "dnsSettings": { "domainNameLabel": "sealbook-vm" } },
            },
            {
                "apiVersion": "2026-04-01", "type": "Microsoft.Compute/virtualMachines", "name": "[variables('machine')]",
                "location": "[resourceGroup().location]", "tags": {},
                "dependsOn": ["Microsoft.Network/networkInterfaces/vmVMNic"],
                "properties": {
                    "hardwareProfile": { "vmSize": "Standard_B2s" },
                    "networkProfile": { "networkInterfaces": [
                        { "id": format!("{network}/networkInterfaces/vmVMNic"), "properties": { "deleteOption": null } },
                    ] },
                    "storageProfile": {
                        "osDisk": {
                            "createOption": "fromImage", "name": null, "caching": "ReadWrite",
                            "managedDisk": { "storageAccountType": null },
                        },
                        "imageReference": {
                            "publisher": "Canonical", "offer": "ubuntu-24_04-lts", "sku": "server", "version": "latest",
                        },
                    },
                    "osProfile": {
                        "computerName": "vm", "adminUsername": "azureuser",
                        "adminPassword": "[parameters('adminPassword')]",
                    },
                },
            },
        ]);
        deployment(
            json!({
                "$schema": "https://schema.management.azure.com/schemas/2015-01-01/deploymentTemplate.json#",
                "contentVersion": "1.0.0.0",
                "parameters": { "adminPassword": { "type": "securestring", "metadata": { "description": "x" } } },
                "variables": { "machine": "[concat('v', 'm')]" },
                "resources": resources,
                "outputs": {
                    "address": { "type": "string", "value": "[reference('vmPublicIP').ipAddress]" },
                    "kind": {
                        "type": "string",
                        "value": "[reference(resourceId('Microsoft.Compute/virtualMachines', 'vm'), '2024-07-01', 'Full').type]",
                    },
                },
            }),
            json!({ "adminPassword": { "value": "Correct-Horse-1" } }),
        )
    }
}

pub(super) fn deployment(template: Value, parameters: Value) -> Value {
    json!({ "properties": { "template": template, "parameters": parameters, "mode": "incremental" } })
}

/// A template with one virtual network.
pub(super) fn network(name: &str, prefix: &str) -> Value {
    json!({
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "resources": [{
            "type": "Microsoft.Network/virtualNetworks", "name": name, "apiVersion": "2022-01-01",
            "location": "westeurope", "properties": { "addressSpace": { "addressPrefixes": [prefix] } },
        }],
    })
}
