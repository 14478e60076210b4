//! The provider through `Cloud::handle`, as clients see it.

mod clusters;
mod credentials;
mod encryption;
mod pools;

use serde_json::{Value, json};

use crate::resource_id::ResourceId;
use crate::store::resources;
use crate::testing::{self, Reply, TestCloud};

const API: &str = "?api-version=2026-06-01";
const SSH: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl learner";

/// A cloud with the resource group `lab` and the providers registered.
async fn lab() -> TestCloud {
    let cloud = testing::cloud();
    let me = cloud.learner();
    for provider in ["ContainerService", "Compute", "KeyVault", "ManagedIdentity"] {
        let path = format!("{}/providers/Microsoft.{provider}/register?api-version=2022-12-01", cloud.subscription());
        assert_eq!(me.arm("POST", &path, Value::Null).await.status, 200, "{provider}");
    }
    let path = format!("{}?api-version=2024-11-01", group(&cloud));
    assert_eq!(me.arm("PUT", &path, json!({ "location": "westeurope" })).await.status, 201);
    cloud.advance(60);
    drop(me);
    cloud
}

fn group(cloud: &TestCloud) -> String {
    format!("{}/resourceGroups/lab", cloud.subscription())
}

fn cluster(cloud: &TestCloud, name: &str) -> String {
    format!("{}/providers/Microsoft.ContainerService/managedClusters/{name}", group(cloud))
}

/// What `az aks create --node-count 1 --node-vm-size Standard_B2s` sends, and a trusted launch.
fn body() -> Value {
    json!({
        "location": "westeurope",
        "identity": { "type": "SystemAssigned" },
        "sku": { "name": "Base", "tier": "Free" },
        "properties": {
            "kubernetesVersion": "", "dnsPrefix": "aks1-lab", "enableRBAC": true, "disableLocalAccounts": false,
            "addonProfiles": {}, "storageProfile": {}, "bootstrapProfile": { "artifactSource": "Direct" },
            "linuxProfile": { "adminUsername": "azureuser", "ssh": { "publicKeys": [{ "keyData": SSH }] } },
            "networkProfile": { "loadBalancerSku": "standard", "outboundType": "loadBalancer" },
            "agentPoolProfiles": [{
                "name": "nodepool1", "orchestratorVersion": "", "vmSize": "Standard_B2s", "osType": "Linux",
                "enableNodePublicIP": false, "count": 1, "enableAutoScaling": false, "scaleSetPriority": "Regular",
                "nodeTaints": [], "upgradeSettings": {}, "type": "VirtualMachineScaleSets", "mode": "System",
                "enableEncryptionAtHost": false, "enableUltraSSD": false, "enableFIPS": false,
                "securityProfile": { "enableVTPM": true, "enableSecureBoot": true }
            }]
        }
    })
}

/// [`body`] with another value at a JSON pointer.
fn with(pointer: &str, value: Value) -> Value {
    let mut body = body();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = body.pointer_mut(parent).unwrap();
    match name.parse::<usize>() {
        Ok(index) if parent.is_array() => parent[index] = value,
        _ => parent[name] = value,
    }
    body
}

async fn ask(cloud: &TestCloud, method: &str, path: &str, body: Value) -> Reply {
    cloud.learner().arm(method, &format!("{path}{API}"), body).await
}

/// Makes a cluster and waits for it.
async fn make(cloud: &TestCloud, name: &str, body: Value) -> Value {
    let path = cluster(cloud, name);
    let reply = ask(cloud, "PUT", &path, body).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    cloud.advance(5);
    ask(cloud, "GET", &path, Value::Null).await.body
}

/// Puts a resource of a provider that is not under test into the cloud.
fn given(cloud: &TestCloud, id: &str, body: Value) {
    let connection = rusqlite::Connection::open(cloud.dir.path().join("cloud").join("cloud.db")).unwrap();
    resources::put(&connection, &ResourceId::parse(id).unwrap(), body, chrono::Utc::now()).unwrap();
}

/// `status code` of an answer.
fn outcome(reply: &Reply) -> String {
    format!("{} {}", reply.status, reply.code()).trim_end().to_owned()
}
