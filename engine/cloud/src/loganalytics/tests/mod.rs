//! Workspaces and queries through HTTP requests.

mod queries;
mod workspaces;

use serde_json::{Value, json};

use crate::testing::{Client, Reply, TestCloud};

/// A group with a vault in which the learner is Key Vault Crypto Officer, and a workspace.
pub(crate) struct Lab<'a> {
    pub me: Client<'a>,
    pub cloud: &'a TestCloud,
    pub group: String,
}

const OFFICER: &str = "14b46e9e-c2b7-41b4-b07b-48a6ebf60603";
const VAULTS: &str = "Microsoft.KeyVault/vaults";
const WORKSPACES: &str = "Microsoft.OperationalInsights/workspaces";

impl<'a> Lab<'a> {
    /// A group and nothing in it; the providers are registered.
    pub async fn empty(cloud: &'a TestCloud) -> Self {
        let lab = Self { me: cloud.learner(), cloud, group: format!("{}/resourceGroups/lab", cloud.subscription()) };
        for namespace in ["Microsoft.KeyVault", "Microsoft.OperationalInsights", "Microsoft.Storage"] {
            let path = format!("{}/providers/{namespace}/register?api-version=2021-04-01", cloud.subscription());
            assert_eq!(lab.me.arm("POST", &path, json!({})).await.status, 200);
        }
        cloud.advance(60);
        let made = lab.arm("PUT", "", "2024-11-01", json!({ "location": "westeurope" })).await;
        assert_eq!(made.status, 201, "{made:?}");
        lab
    }

    pub async fn new(cloud: &'a TestCloud) -> Self {
        let lab = Self::empty(cloud).await;
        let vault = json!({ "location": "westeurope", "properties": {
            "tenantId": cloud.seed.tenant,
            "sku": { "family": "A", "name": "premium" },
            "enableRbacAuthorization": true,
            "softDeleteRetentionInDays": 7,
        } });
        let made = lab.arm("PUT", "/providers/Microsoft.KeyVault/vaults/log-vault", "2026-02-01", vault).await;
        assert_eq!(made.status, 200, "{made:?}");
        lab.assign(OFFICER, &cloud.seed.user_oid, "User", &lab.vault()).await;
        lab.workspace("logs").await;
        lab
    }

    pub fn vault(&self) -> String {
        format!("{}/providers/{VAULTS}/log-vault", self.group)
    }

    pub fn workspace_id(&self, name: &str) -> String {
        format!("{}/providers/{WORKSPACES}/{name}", self.group)
    }

    /// A request about something below the group.
    pub async fn arm(&self, method: &str, path: &str, version: &str, body: Value) -> Reply {
        let separator = if path.contains('?') { '&' } else { '?' };
        self.me.arm(method, &format!("{}{path}{separator}api-version={version}", self.group), body).await
    }

    /// A request about a workspace.
    pub async fn about(&self, method: &str, name: &str, body: Value) -> Reply {
        self.arm(method, &format!("/providers/{WORKSPACES}/{name}"), "2025-02-01", body).await
    }

    /// Makes a workspace and returns its customer id.
    pub async fn workspace(&self, name: &str) -> String {
        let made = self.about("PUT", name, json!({ "location": "westeurope" })).await;
        assert_eq!(made.status, 201, "{made:?}");
        self.cloud.advance(5);
        made.body["properties"]["customerId"].as_str().unwrap().to_owned()
    }

    /// Assigns a role and waits until it works.
    pub async fn assign(&self, role: &str, principal: &str, kind: &str, scope: &str) {
        let definitions = format!("{}/providers/Microsoft.Authorization/roleDefinitions", self.cloud.subscription());
        let name = uuid::Uuid::new_v4();
        let path = format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{name}?api-version=2022-04-01");
        let body = json!({ "properties": {
            "roleDefinitionId": format!("{definitions}/{role}"), "principalId": principal, "principalType": kind,
        } });
        let made = self.me.arm("PUT", &path, body).await;
        assert_eq!(made.status, 201, "{made:?}");
        self.cloud.advance(60);
    }

    /// Takes all role assignments of the service principal for tools away.
    pub async fn strip_tools(&self) {
        let path = format!(
            "{}/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01&$filter=principalId%20eq%20'{}'",
            self.cloud.subscription(),
            self.cloud.seed.client_oid
        );
        for row in self.me.arm("GET", &path, Value::Null).await.body["value"].as_array().unwrap() {
            let path = format!("{}?api-version=2022-04-01", row["id"].as_str().unwrap());
            self.me.arm("DELETE", &path, Value::Null).await;
        }
    }

    /// A request about a diagnostic setting of the vault.
    pub async fn setting(&self, method: &str, name: &str, properties: Value) -> Reply {
        let path = format!("/providers/{VAULTS}/log-vault/providers/Microsoft.Insights/diagnosticSettings/{name}");
        let body = if properties.is_null() { Value::Null } else { json!({ "properties": properties }) };
        self.arm(method, &path, "2021-05-01-preview", body).await
    }

    /// Sends the audit log of the vault to a workspace.
    pub async fn send_to(&self, workspace: &str, dedicated: bool) {
        let mut properties = json!({
            "workspaceId": self.workspace_id(workspace),
            "logs": [{ "categoryGroup": "audit", "enabled": true }],
        });
        if dedicated {
            properties["logAnalyticsDestinationType"] = "Dedicated".into();
        }
        let made = self.setting("PUT", workspace, properties).await;
        assert_eq!(made.status, 200, "{made:?}");
    }

    /// A request to the vault's keys.
    pub async fn keys(&self, client: &Client<'_>, method: &str, path: &str, body: Value) -> u16 {
        let uri = format!("https://log-vault.vault.azure.net/keys{path}?api-version=7.4");
        client.send(method, &uri, (!body.is_null()).then_some(body)).await.status
    }
}

/// Asks a workspace, as the client does.
pub(crate) async fn ask(client: &Client<'_>, customer: &str, body: Value) -> Reply {
    client.send("POST", &format!("https://api.loganalytics.io/v1/workspaces/{customer}/query"), Some(body)).await
}

/// The rows of an answer.
pub(crate) fn rows(reply: &Reply) -> &Vec<Value> {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body["tables"][0]["rows"].as_array().unwrap()
}
