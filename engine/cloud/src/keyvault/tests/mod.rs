//! The Key Vault through `Cloud::handle`: every rule with its refusal, life cycles on the moved cloud clock.

mod access;
mod backup;
mod cmk;
mod cryptography;
pub(super) mod hsm;
mod import;
mod keys;
mod network;
mod release;
mod rotation;
mod secrets;
mod signatures;
mod transfer;
mod vaults;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::cx::Cx;
use crate::testing::{Client, Reply, TestCloud};

const API: &str = "api-version=2026-02-01";
const DATA_API: &str = "api-version=7.6";
const OFFICER: &str = "14b46e9e-c2b7-41b4-b07b-48a6ebf60603";
const CRYPTO_USER: &str = "12338af0-0e69-4776-bea7-57ae8d297424";
const READER: &str = "21090545-7ca7-4776-b22c-e363652d74d2";
const ENCRYPTION_USER: &str = "e147488a-f6f5-4113-8e2d-b22465e65bf6";
const DAY: u64 = 86_400;

/// A cloud with a registered provider and the resource group `lab`, used by the learner.
pub(super) struct Lab<'a> {
    pub cloud: &'a TestCloud,
    pub me: Client<'a>,
    tenant: String,
}

impl<'a> Lab<'a> {
    pub async fn new(cloud: &'a TestCloud) -> Self {
        let lab = Self { me: cloud.learner(), tenant: cloud.seed.tenant.clone(), cloud };
        let registered =
            lab.arm("POST", &lab.in_subscription("providers/Microsoft.KeyVault/register"), json!({})).await;
        assert_eq!(registered.status, 200, "{}", registered.body);
        cloud.advance(60);
        lab.group("lab").await;
        lab
    }

    fn in_subscription(&self, rest: &str) -> String {
        format!("{}/{rest}", self.cloud.subscription())
    }

    fn vault_id(&self, name: &str) -> String {
        self.in_subscription(&format!("resourceGroups/lab/providers/Microsoft.KeyVault/vaults/{name}"))
    }

    fn deleted_id(&self, name: &str) -> String {
        self.in_subscription(&format!("providers/Microsoft.KeyVault/locations/westeurope/deletedVaults/{name}"))
    }

    pub async fn arm(&self, method: &str, path: &str, body: Value) -> Reply {
        let version = if path.contains("Microsoft.KeyVault/")
            && !path.ends_with("/register")
            && !path.contains("Authorization")
        {
            API
        } else if path.contains("roleAssignments") {
            "api-version=2022-04-01"
        } else {
            "api-version=2024-11-01"
        };
        self.me.arm(method, &format!("{path}?{version}"), body).await
    }

    async fn group(&self, name: &str) {
        let path = self.in_subscription(&format!("resourceGroups/{name}"));
        let made = self.arm("PUT", &path, json!({ "location": "westeurope" })).await;
        assert_eq!(made.status, 201, "{}", made.body);
    }

    /// Properties of a vault as `az keyvault create` sends them, with changes.
    fn vault_body(&self, changes: Value) -> Value {
        let mut properties = json!({
            "tenantId": self.tenant,
            "sku": { "family": "A", "name": "premium" },
            "accessPolicies": [],
            "enableRbacAuthorization": true,
            "enableSoftDelete": true,
            "softDeleteRetentionInDays": 7,
            "networkAcls": { "bypass": "AzureServices", "defaultAction": "Allow" },
        });
        for (name, value) in changes.as_object().unwrap() {
            properties[name] = value.clone();
        }
        json!({ "location": "westeurope", "properties": properties })
    }

    async fn vault(&self, name: &str, changes: Value) -> Reply {
        let made = self.arm("PUT", &self.vault_id(name), self.vault_body(changes)).await;
        assert_eq!(made.status, 200, "{}", made.body);
        made
    }

    /// Assigns a role and waits until it works.
    async fn assign(&self, role: &str, principal: &str, kind: &str, scope: &str) {
        let name = uuid::Uuid::new_v4();
        let path = format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{name}");
        let definition = self.in_subscription(&format!("providers/Microsoft.Authorization/roleDefinitions/{role}"));
        let body = json!({ "properties": { "roleDefinitionId": definition, "principalId": principal, "principalType": kind } });
        let made = self.arm("PUT", &path, body).await;
        assert_eq!(made.status, 201, "{}", made.body);
        self.cloud.advance(600);
    }

    /// A vault in which the learner is Crypto Officer.
    async fn with_vault(cloud: &'a TestCloud, changes: Value) -> Self {
        let lab = Self::new(cloud).await;
        lab.vault("lab-vault", changes).await;
        let me = oid(&lab.me).await;
        lab.assign(OFFICER, &me, "User", &lab.vault_id("lab-vault")).await;
        lab
    }

    /// A request to the data plane of `lab-vault`.
    async fn data(&self, method: &str, path: &str, body: Value) -> Reply {
        data(&self.me, method, path, body).await
    }

    async fn key(&self, name: &str, changes: Value) -> Value {
        let mut body = json!({ "kty": "RSA" });
        for (name, value) in changes.as_object().unwrap() {
            body[name] = value.clone();
        }
        let made = self.data("POST", &format!("/keys/{name}/create"), body).await;
        assert_eq!(made.status, 200, "{}", made.body);
        made.body
    }
}

/// Runs code as an operation of the cloud would, with its audit entries.
fn within<T>(cloud: &TestCloud, work: impl FnOnce(&mut Cx<'_>) -> T) -> T {
    cloud.within(work)
}

/// Object id of a client, out of its token.
pub(super) async fn oid(client: &Client<'_>) -> String {
    let token = client.token("https://vault.azure.net").await;
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    claims["oid"].as_str().unwrap().to_owned()
}

async fn data(client: &Client<'_>, method: &str, path: &str, body: Value) -> Reply {
    let separator = if path.contains('?') { '&' } else { '?' };
    let uri = format!("https://lab-vault.vault.azure.net{path}{separator}{DATA_API}");
    client.send(method, &uri, (!body.is_null()).then_some(body)).await
}

/// Status, outer code and innermost code of a refusal.
pub(super) fn refusal(reply: &Reply) -> (u16, &str, &str) {
    let error = &reply.body["error"];
    (reply.status, error["code"].as_str().unwrap_or_default(), error["innererror"]["code"].as_str().unwrap_or_default())
}

pub(super) fn message(reply: &Reply) -> &str {
    reply.body["error"]["message"].as_str().unwrap_or_default()
}
