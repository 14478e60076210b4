//! Disk encryption sets, disks and snapshots through `Cloud::handle`, as clients see them.

mod access;
mod disks;
mod guarded;
mod keys;
mod machines;
mod rotation;
mod sets;
mod snapshots;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::testing::{Client, Reply, TestCloud};

const API: &str = "api-version=2025-01-02";
const OFFICER: &str = "14b46e9e-c2b7-41b4-b07b-48a6ebf60603";
const ENCRYPTION_USER: &str = "e147488a-f6f5-4113-8e2d-b22465e65bf6";
const RELEASE_USER: &str = "08bbd89e-9f13-488c-ac41-acfcb10c90ab";

const CUSTOMER: &str = "EncryptionAtRestWithCustomerKey";
const DOUBLE: &str = "EncryptionAtRestWithPlatformAndCustomerKeys";
const CONFIDENTIAL: &str = "ConfidentialVmEncryptedWithCustomerKey";

/// A cloud with the resource group `lab`, the vault `labvault` in West Europe and its key `cmk`.
struct Lab<'a> {
    cloud: &'a TestCloud,
    me: Client<'a>,
}

impl<'a> Lab<'a> {
    async fn new(cloud: &'a TestCloud) -> Self {
        let lab = Self { cloud, me: cloud.learner() };
        for provider in ["Microsoft.KeyVault", "Microsoft.Compute"] {
            let path = format!("{}/providers/{provider}/register?api-version=2022-12-01", cloud.subscription());
            assert_eq!(lab.me.arm("POST", &path, Value::Null).await.status, 200);
        }
        cloud.advance(60);
        for group in ["lab", "other"] {
            let path = format!("{}/resourceGroups/{group}?api-version=2024-11-01", cloud.subscription());
            assert_eq!(lab.me.arm("PUT", &path, json!({ "location": "westeurope" })).await.status, 201);
        }
        lab.vault("labvault", "westeurope").await;
        lab.key("POST", "/keys/cmk/create", json!({ "kty": "RSA", "key_size": 2048 })).await;
        lab
    }

    /// A lab with the set `des`, whose identity may use the key.
    async fn with_set(cloud: &'a TestCloud) -> Self {
        let lab = Self::new(cloud).await;
        lab.set("des", CUSTOMER).await;
        lab
    }

    async fn vault(&self, name: &str, location: &str) {
        let id = self.id("Microsoft.KeyVault/vaults", name);
        let body = json!({ "location": location, "properties": {
            "tenantId": self.cloud.seed.tenant, "sku": { "family": "A", "name": "premium" },
            "enableRbacAuthorization": true, "softDeleteRetentionInDays": 7,
        } });
        assert_eq!(self.me.arm("PUT", &format!("{id}?api-version=2023-07-01"), body).await.status, 200);
        self.assign(OFFICER, &self.cloud.seed.user_oid, "User", &id).await;
    }

    fn id(&self, kind: &str, name: &str) -> String {
        format!("{}/resourceGroups/lab/providers/{kind}/{name}", self.cloud.subscription())
    }

    fn compute(&self, path: &str) -> String {
        self.id("Microsoft.Compute", path)
    }

    /// A request about a resource of Microsoft.Compute in `lab`.
    async fn ask(&self, method: &str, path: &str, body: Value) -> Reply {
        self.me.arm(method, &format!("{}?{API}", self.compute(path)), body).await
    }

    /// The same, which must be accepted, and what the resource is then.
    async fn done(&self, method: &str, path: &str, body: Value) -> Value {
        let reply = self.ask(method, path, body).await;
        assert_eq!(reply.status, 202, "{method} {path}: {reply:?}");
        assert!(!reply.header("azure-asyncoperation").is_empty() && !reply.header("location").is_empty());
        self.cloud.advance(1);
        self.ask("GET", path, Value::Null).await.body
    }

    async fn key(&self, method: &str, path: &str, body: Value) -> Reply {
        let body = Some(body).filter(|body| !body.is_null());
        let uri = format!("https://labvault.vault.azure.net{path}?api-version=7.5");
        let reply = self.me.send(method, &uri, body).await;
        assert_eq!(reply.status, 200, "{method} {path}: {reply:?}");
        reply
    }

    /// Identifier of the newest version of the key.
    async fn kid(&self) -> String {
        self.key("GET", "/keys/cmk", Value::Null).await.body["key"]["kid"].as_str().unwrap().to_owned()
    }

    /// Enables or disables a version of the key, the newest one when it is empty.
    async fn enable(&self, version: &str, enabled: bool) {
        let path = format!("/keys/cmk/{}", version.rsplit('/').next().unwrap());
        self.key("PATCH", &path, json!({ "attributes": { "enabled": enabled } })).await;
    }

    /// Assigns a role and waits until it works. Returns the assignment's path.
    async fn assign(&self, role: &str, principal: &str, kind: &str, scope: &str) -> String {
        let name = uuid::Uuid::new_v4();
        let path = format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{name}?api-version=2022-04-01");
        let definition =
            format!("{}/providers/Microsoft.Authorization/roleDefinitions/{role}", self.cloud.subscription());
        let body = json!({ "properties": {
            "roleDefinitionId": definition, "principalId": principal, "principalType": kind
        } });
        let made = self.me.arm("PUT", &path, body).await;
        assert_eq!(made.status, 201, "{made:?}");
        self.cloud.advance(10);
        path
    }

    async fn set_body(&self, kind: &str) -> Value {
        json!({
            "location": "westeurope",
            "identity": { "type": "SystemAssigned" },
            "properties": {
                "encryptionType": kind,
                "activeKey": {
                    "keyUrl": self.kid().await,
                    "sourceVault": { "id": self.id("Microsoft.KeyVault/vaults", "labvault") },
                },
            },
        })
    }

    /// Makes a set and lets its identity use the key. Returns the path of the role assignment.
    async fn set(&self, name: &str, kind: &str) -> String {
        let body = self.set_body(kind).await;
        let made = self.done("PUT", &format!("diskEncryptionSets/{name}"), body).await;
        assert_eq!(made["properties"]["provisioningState"], "Succeeded", "{made}");
        let principal = made["identity"]["principalId"].as_str().unwrap();
        let scope = format!("{}/keys/cmk", self.id("Microsoft.KeyVault/vaults", "labvault"));
        self.assign(ENCRYPTION_USER, principal, "ServicePrincipal", &scope).await
    }

    fn image(&self) -> Value {
        json!({ "id": format!(
            "/Subscriptions/{}/Providers/Microsoft.Compute/Locations/westeurope/Publishers/Canonical/ArtifactTypes\
             /VMImage/Offers/ubuntu-24_04-lts/Skus/server/Versions/24.04.202601010",
            self.cloud.seed.subscription
        ) })
    }

    /// Body of a disk made from an image, with more properties.
    fn disk_body(&self, more: Value) -> Value {
        let mut properties = json!({ "creationData": { "createOption": "FromImage", "imageReference": self.image() } });
        for (name, value) in more.as_object().into_iter().flatten() {
            properties[name] = value.clone();
        }
        json!({ "location": "westeurope", "sku": { "name": "Premium_LRS" }, "properties": properties })
    }

    /// `encryption` with a set.
    fn under(&self, set: &str) -> Value {
        json!({ "encryption": { "diskEncryptionSetId": self.compute(&format!("diskEncryptionSets/{set}")) } })
    }

    /// Makes a disk from an image under a set.
    async fn disk(&self, name: &str, set: &str) -> Value {
        let made = self.done("PUT", &format!("disks/{name}"), self.disk_body(self.under(set))).await;
        assert_eq!(made["properties"]["provisioningState"], "Succeeded", "{made}");
        made
    }

    /// Asks for access and returns the signed URL, or the code of the refusal.
    async fn grant(&self, path: &str, access: &str) -> Result<String, String> {
        let body = json!({ "access": access, "durationInSeconds": 3600 });
        let reply = self.ask("POST", &format!("{path}/beginGetAccess"), body).await;
        if reply.status != 202 {
            return Err(reply.code().to_owned());
        }
        self.cloud.advance(1);
        let given = self.me.send("GET", reply.header("location"), None).await;
        assert_eq!(given.status, 200, "{given:?}");
        let status = self.me.send("GET", reply.header("azure-asyncoperation"), None).await;
        assert_eq!(status.body["properties"]["output"], given.body);
        Ok(given.body["accessSAS"].as_str().unwrap().to_owned())
    }

    async fn revoke(&self, path: &str) {
        assert_eq!(self.ask("POST", &format!("{path}/endGetAccess"), Value::Null).await.status, 202);
        self.cloud.advance(1);
    }

    /// Exports a disk or snapshot and returns the first line of its content, or the refusal's code.
    async fn first_line(&self, path: &str) -> String {
        let url = match self.grant(path, "Read").await {
            Ok(url) => url,
            Err(code) => return code,
        };
        let line = self.line_at(&url).await;
        self.revoke(path).await;
        line
    }

    /// First line of the content at a signed URL, or the refusal's code.
    async fn line_at(&self, url: &str) -> String {
        let reply = self.content("GET", url, &[("x-ms-range", "bytes=0-511")], "").await;
        if reply.status != 206 {
            return reply.header("x-ms-error-code").to_owned();
        }
        String::from_utf8_lossy(&reply.bytes).lines().next().unwrap_or_default().to_owned()
    }

    /// A request with a signed URL.
    async fn content(&self, method: &str, url: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
        let mut all = vec![("x-ms-version", "2024-08-04")];
        all.extend_from_slice(headers);
        self.cloud.anonymous().raw(method, url, &all, body.into()).await.unwrap()
    }
}

/// What the first line of a disk made from the lab's image says.
const LINE: &str = "platform image Canonical:ubuntu-24_04-lts:server:24.04.202601010";
