//! Keys within and out of reach: what services refuse, and that everything comes back.
//!
//! Each test breaks one link of the chain. The machine's breaks two at once, so that neither of them alone decides.

use serde_json::{Value, json};

use super::kit::{self, ENCRYPTION_USER, Lab, message, outcome};
use crate::compute::kit::ordinary;
use crate::testing::{Reply, TestCloud};

#[tokio::test]
async fn updates_need_wrap_key() {
    let cloud = kit::cloud().await;
    let lab = Lab::new(&cloud);
    let (kid, next) = (lab.kid("labvault01", "cmk").await, lab.kid("labvault01", "next").await);
    let identities = [lab.storage().await, lab.foundry().await, lab.set(&kid).await];
    let update = async || {
        let moved = json!({ "properties": { "activeKey": { "keyUrl": next } } });
        [
            outcome(&lab.protect_storage("labvault01", "cmk").await),
            outcome(&lab.protect_ai(&kid).await),
            outcome(&lab.ask("PATCH", &lab.id("Compute/diskEncryptionSets/des"), moved).await),
        ]
    };
    let refused =
        ["400 KeyVaultAuthenticationFailure", "400 KeyVaultAuthenticationFailure", "403 KeyVaultAccessForbidden"];
    assert_eq!(update().await, refused, "no role");
    let half = lab.role(&["read", "unwrap/action"]).await;
    for identity in &identities {
        lab.assign(&half, identity, &lab.here()).await;
    }
    assert_eq!(update().await, refused, "whoever can only unwrap");
    for identity in &identities {
        lab.assign(ENCRYPTION_USER, identity, &lab.here()).await;
    }
    assert_eq!(update().await, ["200", "200", "202"]);
}

/// Data of three services under one key, and the role assignments by which they reach it.
struct Protected<'a> {
    lab: Lab<'a>,
    identities: [String; 3],
    roles: Vec<String>,
    /// A signed address of the disk's content.
    content: String,
}

impl<'a> Protected<'a> {
    async fn new(cloud: &'a TestCloud) -> Self {
        let lab = Lab::new(cloud);
        let kid = lab.kid("labvault01", "cmk").await;
        let identities = [lab.storage().await, lab.foundry().await, lab.set(&kid).await];
        let mut roles = Vec::new();
        for identity in &identities {
            roles.push(lab.assign(ENCRYPTION_USER, identity, &lab.here()).await);
        }
        lab.fill_storage().await;
        assert_eq!(outcome(&lab.protect_storage("labvault01", "cmk").await), "200");
        assert_eq!(outcome(&lab.protect_ai(&kid).await), "200");
        lab.make(&lab.id("Compute/disks/data"), lab.disk_body()).await;
        let mut protected = Self { lab, identities, roles, content: String::new() };
        let granted = protected.export().await;
        cloud.advance(5);
        let granted = protected.lab.me.send("GET", granted.header("location"), None).await;
        protected.content = granted.body["accessSAS"].as_str().unwrap_or_else(|| panic!("{granted:?}")).to_owned();
        protected
    }

    async fn export(&self) -> Reply {
        let body = json!({ "access": "Read", "durationInSeconds": 86_400 });
        self.lab.ask("POST", &self.lab.id("Compute/disks/data/beginGetAccess"), body).await
    }

    /// What those get who want a blob, the keys of the AI account, the content of the disk, an export of it, and a
    /// new disk.
    async fn look(&self) -> [String; 5] {
        let lab = &self.lab;
        let range = [("x-ms-version", "2024-08-04"), ("x-ms-range", "bytes=0-511")];
        let content = lab.me.raw("GET", &self.content, &range, bytes::Bytes::new()).await.unwrap();
        let new = lab.id(&format!("Compute/disks/{}", uuid::Uuid::new_v4()));
        let seen = [
            outcome(&lab.blob("GET", "/data/one", "").await),
            outcome(&lab.ask("POST", &lab.id("CognitiveServices/accounts/foundry/listKeys"), Value::Null).await),
            outcome(&content),
            outcome(&self.export().await),
            outcome(&lab.ask("PUT", &new, lab.disk_body()).await),
        ];
        lab.cloud.advance(5);
        seen
    }
}

const OPEN: [&str; 5] = ["200", "200", "206", "202", "202"];

/// What a key out of reach looks like: to data planes, and to those who manage disks.
fn closed(disks: &str) -> [&str; 5] {
    const GONE: &str = "403 KeyVaultEncryptionKeyNotFound";
    [GONE, GONE, GONE, disks, disks]
}

#[tokio::test]
async fn data_needs_unwrap_key() {
    let cloud = kit::cloud().await;
    let protected = Protected::new(&cloud).await;
    assert_eq!(protected.look().await, OPEN);
    for role in &protected.roles {
        assert_eq!(protected.lab.ask("DELETE", role, Value::Null).await.status, 200);
    }
    assert_eq!(protected.look().await, closed("403 KeyVaultAccessForbidden"), "the role was removed");
    let half = protected.lab.role(&["read", "wrap/action"]).await;
    for identity in &protected.identities {
        protected.lab.assign(&half, identity, &protected.lab.here()).await;
    }
    assert_eq!(protected.look().await, closed("403 KeyVaultAccessForbidden"), "whoever can only wrap");
    for identity in &protected.identities {
        protected.lab.assign(ENCRYPTION_USER, identity, &protected.lab.here()).await;
    }
    assert_eq!(protected.look().await, OPEN);
}

#[tokio::test]
async fn data_needs_the_key_enabled() {
    let cloud = kit::cloud().await;
    let protected = Protected::new(&cloud).await;
    protected.lab.enable("labvault01", "cmk", false).await;
    assert_eq!(protected.look().await, closed("400 KeyVaultKeyNotEnabled"));
    protected.lab.enable("labvault01", "cmk", true).await;
    assert_eq!(protected.look().await, OPEN);
}

#[tokio::test]
async fn data_needs_the_key_undeleted() {
    let cloud = kit::cloud().await;
    let protected = Protected::new(&cloud).await;
    assert_eq!(protected.lab.data("labvault01", "DELETE", "/keys/cmk", Value::Null).await.status, 200);
    cloud.advance(60);
    assert_eq!(protected.look().await, closed("400 KeyVaultKeyNotFound"));
    assert_eq!(protected.lab.data("labvault01", "POST", "/deletedkeys/cmk/recover", Value::Null).await.status, 200);
    cloud.advance(60);
    assert_eq!(protected.look().await, OPEN);
}

impl Lab<'_> {
    /// Makes the virtual machine `vm`, whose disk is under `des`.
    async fn machine(&self) {
        let network = self.id("Network/virtualNetworks/net");
        let space = json!({
            "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] },
            "subnets": [{ "name": "a", "properties": { "addressPrefix": "10.0.0.0/24" } }],
        });
        self.make(&network, json!({ "location": "westeurope", "properties": space })).await;
        let nic = self.id("Network/networkInterfaces/nic");
        let address = json!({ "name": "one", "properties": { "subnet": { "id": format!("{network}/subnets/a") } } });
        let body = json!({ "location": "westeurope", "properties": { "ipConfigurations": [address] } });
        self.make(&nic, body).await;
        let mut body = ordinary(&nic);
        let set = json!({ "id": self.id("Compute/diskEncryptionSets/des") });
        body["properties"]["storageProfile"]["osDisk"]["managedDisk"]["diskEncryptionSet"] = set;
        self.make(&self.id("Compute/virtualMachines/vm"), body).await;
    }

    /// Asks the machine for something, waits, and tells how it ended and what the machine does then.
    async fn act(&self, verb: &str) -> (String, String) {
        let path = self.id("Compute/virtualMachines/vm");
        let started = self.ask("POST", &format!("{path}/{verb}"), Value::Null).await;
        assert_eq!(started.status, 202, "{started:?}");
        self.cloud.advance(5);
        let ended = self.me.send("GET", started.header("location"), None).await;
        let view = self.ask("GET", &format!("{path}/instanceView"), Value::Null).await;
        (ended.code().to_owned(), view.body["statuses"][1]["code"].as_str().unwrap_or_default().to_owned())
    }
}

#[tokio::test]
async fn machines_start_only_with_their_keys() {
    let cloud = kit::cloud().await;
    let lab = Lab::new(&cloud);
    let kid = lab.kid("labvault01", "cmk").await;
    let identity = lab.set(&kid).await;
    let role = lab.assign(ENCRYPTION_USER, &identity, &lab.here()).await;
    lab.machine().await;
    let (stopped, running) = ("PowerState/deallocated", "PowerState/running");
    assert_eq!(lab.act("deallocate").await, (String::new(), stopped.to_owned()));
    lab.enable("labvault01", "cmk", false).await;
    assert_eq!(lab.ask("DELETE", &role, Value::Null).await.status, 200);
    let (code, power) = lab.act("start").await;
    assert_eq!(power, stopped);
    assert!(["KeyVaultAccessForbidden", "KeyVaultKeyNotEnabled"].contains(&code.as_str()), "{code:?}");
    lab.enable("labvault01", "cmk", true).await;
    lab.assign(ENCRYPTION_USER, &identity, &lab.here()).await;
    assert_eq!(lab.act("start").await, (String::new(), running.to_owned()));
    let shown = lab.ask("GET", &lab.id("Compute/virtualMachines/vm"), Value::Null).await;
    assert_eq!(shown.body["properties"]["provisioningState"], "Succeeded", "{}", message(&shown));
}
