//! A lab of several providers in one cloud, as small as a rule needs it.
//!
//! It looks at no more than a lab's own steps need: what it asserted besides would fail when another rule is off.

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::Seed;
use crate::testing::{self, Client, Files, Reply, TestCloud};

const OFFICER: &str = "14b46e9e-c2b7-41b4-b07b-48a6ebf60603";
pub(super) const ENCRYPTION_USER: &str = "e147488a-f6f5-4113-8e2d-b22465e65bf6";
pub(super) const CRYPTO_USER: &str = "12338af0-0e69-4776-bea7-57ae8d297424";
const BLOB_CONTRIBUTOR: &str = "ba92f5b4-2d11-453d-a403-e96b0029c9fe";

/// Api-versions by a part of the path; the first that fits counts.
const VERSIONS: &[(&str, &str)] = &[
    ("/register", "2024-11-01"),
    ("Microsoft.Authorization/", "2022-04-01"),
    ("Microsoft.Compute/virtualMachines", "2024-07-01"),
    ("Microsoft.Compute/", "2025-01-02"),
    ("Microsoft.KeyVault/", "2026-02-01"),
    ("Microsoft.Storage/", "2023-05-01"),
    ("Microsoft.CognitiveServices/", "2025-09-01"),
    ("Microsoft.Network/", "2024-07-01"),
    ("/resourceGroups/", "2024-11-01"),
];

/// What all tests start from, made once: the vaults of [`VAULTS`] and a second tenant.
static GROUND: OnceCell<Files> = OnceCell::const_new();

/// Vaults in which the learner is Crypto Officer: name, region, what is changed, RSA keys of 2048 bits.
const VAULTS: &[(&str, &str, &str, &[&str])] = &[
    ("labvault01", "westeurope", "{}", &["cmk", "next"]),
    ("openvault", "westeurope", r#"{ "enablePurgeProtection": null }"#, &["cmk"]),
    ("farvault", "northeurope", "{}", &["cmk"]),
    ("softvault", "westeurope", r#"{ "sku": { "family": "A", "name": "standard" } }"#, &[]),
];

/// A cloud in which both tenants have all providers registered and the group `lab`, and the learner has vaults.
pub(super) async fn cloud() -> TestCloud {
    let ground = GROUND.get_or_init(async || {
        let cloud = testing::cloud();
        cloud.cloud.add_tenant("Second").unwrap();
        {
            let (lab, theirs) = (Lab::new(&cloud), Lab::stranger(&cloud));
            lab.prepare().await;
            theirs.prepare().await;
            lab.group("other").await;
            for (name, location, changes, keys) in VAULTS {
                let id = lab.vault_id(name);
                lab.make(&id, lab.vault_body(location, serde_json::from_str(changes).unwrap())).await;
                lab.assign(OFFICER, &lab.seed.user_oid, &id).await;
                for key in *keys {
                    lab.rsa(name, key, 2048).await;
                }
            }
        }
        cloud.into_files()
    });
    ground.await.open()
}

/// A subscription with the resource group `lab` in West Europe, and who works in it.
pub(super) struct Lab<'a> {
    pub cloud: &'a TestCloud,
    pub me: Client<'a>,
    pub seed: Seed,
}

/// Status and code of an answer, of a data plane's too.
pub(super) fn outcome(reply: &Reply) -> String {
    let code = if reply.code().is_empty() { reply.header("x-ms-error-code") } else { reply.code() };
    format!("{} {code}", reply.status).trim_end().to_owned()
}

/// What a refusal says.
pub(super) fn message(reply: &Reply) -> &str {
    reply.body["error"]["message"].as_str().unwrap_or_default()
}

impl<'a> Lab<'a> {
    /// The learner's.
    pub fn new(cloud: &'a TestCloud) -> Self {
        Self { cloud, me: cloud.learner(), seed: cloud.seed.clone() }
    }

    /// That of somebody in another tenant.
    pub fn stranger(cloud: &'a TestCloud) -> Self {
        let seed = cloud.cloud.tenants().unwrap().remove(1);
        Self { cloud, me: cloud.stranger(&seed), seed }
    }

    async fn prepare(&self) {
        for provider in ["KeyVault", "Storage", "CognitiveServices", "Compute", "Network"] {
            let path = format!("/subscriptions/{}/providers/Microsoft.{provider}/register", self.seed.subscription);
            assert_eq!(self.ask("POST", &path, Value::Null).await.status, 200, "{provider}");
        }
        self.cloud.advance(60);
        self.group("lab").await;
    }

    async fn group(&self, name: &str) {
        let path = format!("/subscriptions/{}/resourceGroups/{name}", self.seed.subscription);
        assert_eq!(self.ask("PUT", &path, json!({ "location": "westeurope" })).await.status, 201);
    }

    /// Id of the group `lab`.
    pub fn here(&self) -> String {
        format!("/subscriptions/{}/resourceGroups/lab", self.seed.subscription)
    }

    /// Id of a resource in the group: `id("Storage/storageAccounts/x")`.
    pub fn id(&self, path: &str) -> String {
        format!("{}/providers/Microsoft.{path}", self.here())
    }

    /// The same in the group `other`.
    pub fn elsewhere(&self, path: &str) -> String {
        self.id(path).replace("/resourceGroups/lab/", "/resourceGroups/other/")
    }

    pub async fn ask(&self, method: &str, path: &str, body: Value) -> Reply {
        let version = VERSIONS.iter().find(|(part, _)| path.contains(part)).map_or("", |(_, version)| version);
        self.me.arm(method, &format!("{path}?api-version={version}"), body).await
    }

    /// Makes a resource, waits for it and reads it.
    pub async fn make(&self, path: &str, body: Value) -> Value {
        let made = self.ask("PUT", path, body).await;
        assert!(made.status < 300, "{path}: {made:?}");
        self.cloud.advance(5);
        self.ask("GET", path, Value::Null).await.body
    }

    /// Assigns a role and waits until it works. Returns the assignment.
    pub async fn assign(&self, role: &str, principal: &str, scope: &str) -> String {
        let path = format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{}", uuid::Uuid::new_v4());
        let kind = if principal == self.seed.user_oid { "User" } else { "ServicePrincipal" };
        let body = json!({ "properties": {
            "roleDefinitionId": self.definition(role), "principalId": principal, "principalType": kind,
        } });
        let made = self.ask("PUT", &path, body).await;
        assert_eq!(made.status, 201, "{made:?}");
        self.cloud.advance(5);
        path
    }

    /// Makes a role of these data actions on keys.
    pub async fn role(&self, actions: &[&str]) -> String {
        let role = uuid::Uuid::new_v4().to_string();
        let actions: Vec<String> = actions.iter().map(|a| format!("Microsoft.KeyVault/vaults/keys/{a}")).collect();
        let body = json!({ "properties": {
            "roleName": role, "type": "CustomRole",
            "assignableScopes": [format!("/subscriptions/{}", self.seed.subscription)],
            "permissions": [{ "dataActions": actions }],
        } });
        assert_eq!(self.ask("PUT", &self.definition(&role), body).await.status, 201);
        role
    }

    fn definition(&self, role: &str) -> String {
        let subscription = &self.seed.subscription;
        format!("/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}")
    }

    /// Body of a premium vault with purge protection, with changes of its properties.
    pub fn vault_body(&self, location: &str, changes: Value) -> Value {
        let mut properties = json!({
            "tenantId": self.seed.tenant, "sku": { "family": "A", "name": "premium" },
            "enableRbacAuthorization": true, "softDeleteRetentionInDays": 7, "enablePurgeProtection": true,
        });
        for (name, value) in changes.as_object().into_iter().flatten() {
            properties[name] = value.clone();
        }
        json!({ "location": location, "properties": properties })
    }

    pub fn vault_id(&self, name: &str) -> String {
        self.id(&format!("KeyVault/vaults/{name}"))
    }

    /// A request to a vault's data plane.
    pub async fn data(&self, vault: &str, method: &str, path: &str, body: Value) -> Reply {
        let uri = format!("https://{vault}.vault.azure.net{path}?api-version=7.6");
        self.me.send(method, &uri, Some(body).filter(|body| !body.is_null())).await
    }

    /// Makes an RSA key. Returns its identifier, with the version.
    pub async fn rsa(&self, vault: &str, name: &str, bits: u32) -> String {
        let body = json!({ "kty": "RSA", "key_size": bits });
        let made = self.data(vault, "POST", &format!("/keys/{name}/create"), body).await;
        assert_eq!(made.status, 200, "{made:?}");
        made.body["key"]["kid"].as_str().unwrap().to_owned()
    }

    /// Identifier of a key, with its newest version.
    pub async fn kid(&self, vault: &str, name: &str) -> String {
        let found = self.data(vault, "GET", &format!("/keys/{name}"), Value::Null).await;
        found.body["key"]["kid"].as_str().unwrap_or_else(|| panic!("{found:?}")).to_owned()
    }

    pub async fn enable(&self, vault: &str, key: &str, enabled: bool) {
        let body = json!({ "attributes": { "enabled": enabled } });
        assert_eq!(self.data(vault, "PATCH", &format!("/keys/{key}"), body).await.status, 200);
    }

    /// Makes the storage account `labdata01`. Returns its identity.
    pub async fn storage(&self) -> String {
        principal(&self.make(&self.id("Storage/storageAccounts/labdata01"), storage_body()).await)
    }

    /// Puts the storage account under a key of a vault, without naming a version.
    pub async fn protect_storage(&self, vault: &str, key: &str) -> Reply {
        let encryption = json!({ "keySource": "Microsoft.Keyvault", "services": { "blob": {} }, "keyvaultproperties": {
            "keyvaulturi": format!("https://{vault}.vault.azure.net"), "keyname": key,
        } });
        let body = json!({ "properties": { "encryption": encryption } });
        self.ask("PATCH", &self.id("Storage/storageAccounts/labdata01"), body).await
    }

    /// Makes a container and a blob in the storage account.
    pub async fn fill_storage(&self) {
        self.assign(BLOB_CONTRIBUTOR, &self.seed.user_oid, &self.here()).await;
        assert_eq!(self.blob("PUT", "/data?restype=container", "").await.status, 201);
        assert_eq!(self.blob("PUT", "/data/one", "first").await.status, 201);
    }

    pub async fn blob(&self, method: &str, path: &str, body: &'static str) -> Reply {
        let headers = [("x-ms-version", "2024-08-04"), ("x-ms-blob-type", "BlockBlob")];
        let uri = format!("https://labdata01.blob.core.windows.net{path}");
        self.me.send_with(method, &uri, &headers, Bytes::from(body)).await.unwrap()
    }

    /// Makes the AI Services account `foundry`. Returns its identity.
    pub async fn foundry(&self) -> String {
        principal(&self.make(&self.id("CognitiveServices/accounts/foundry"), ai_body()).await)
    }

    /// Puts the AI Services account under a version of a key.
    pub async fn protect_ai(&self, kid: &str) -> Reply {
        let (key, version) = kid.rsplit_once('/').unwrap();
        let (vault, key) = key.split_once("keys/").unwrap();
        self.encrypt_ai(json!({ "keySource": "Microsoft.KeyVault", "keyVaultProperties": {
            "keyVaultUri": vault, "keyName": key, "keyVersion": version,
        } }))
        .await
    }

    pub async fn encrypt_ai(&self, encryption: Value) -> Reply {
        let path = self.id("CognitiveServices/accounts/foundry");
        let reply = self.ask("PATCH", &path, json!({ "properties": { "encryption": encryption } })).await;
        self.cloud.advance(5);
        reply
    }

    /// Body of a disk encryption set in West Europe.
    pub fn set_body(kid: &str) -> Value {
        json!({
            "location": "westeurope", "identity": { "type": "SystemAssigned" },
            "properties": { "activeKey": { "keyUrl": kid } },
        })
    }

    /// Asks for the disk encryption set `des`.
    pub async fn ask_set(&self, kid: &str) -> Reply {
        self.ask("PUT", &self.id("Compute/diskEncryptionSets/des"), Self::set_body(kid)).await
    }

    /// Makes the disk encryption set `des`. Returns its identity.
    pub async fn set(&self, kid: &str) -> String {
        principal(&self.make(&self.id("Compute/diskEncryptionSets/des"), Self::set_body(kid)).await)
    }

    /// Body of an empty disk under `des`.
    pub fn disk_body(&self) -> Value {
        json!({ "location": "westeurope", "properties": {
            "creationData": { "createOption": "Empty" }, "diskSizeGB": 4,
            "encryption": { "diskEncryptionSetId": self.id("Compute/diskEncryptionSets/des") },
        } })
    }
}

/// Object id of a resource's system-assigned identity.
fn principal(document: &Value) -> String {
    document["identity"]["principalId"].as_str().unwrap_or_else(|| panic!("{document}")).to_owned()
}

pub(super) fn storage_body() -> Value {
    json!({
        "sku": { "name": "Standard_LRS" }, "kind": "StorageV2", "location": "westeurope",
        "identity": { "type": "SystemAssigned" },
    })
}

pub(super) fn ai_body() -> Value {
    json!({
        "location": "westeurope", "kind": "AIServices", "sku": { "name": "S0" },
        "identity": { "type": "SystemAssigned" }, "properties": {},
    })
}
