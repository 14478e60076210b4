//! A resource group with a few networks in it.

use serde_json::{Value, json};

use crate::testing::{Client, Reply, TestCloud};

/// A group in `westeurope` and a client.
pub(super) struct Lab<'a> {
    pub me: Client<'a>,
    pub cloud: &'a TestCloud,
    pub group: String,
}

pub(super) async fn lab(cloud: &TestCloud) -> Lab<'_> {
    let group = format!("{}/resourceGroups/lab", cloud.subscription());
    let me = cloud.learner();
    let url = format!("{}/providers/Microsoft.Network/register?api-version=2021-04-01", cloud.subscription());
    assert_eq!(me.arm("POST", &url, Value::Null).await.status, 200);
    cloud.advance(2);
    me.arm("PUT", &format!("{group}?api-version=2024-11-01"), json!({ "location": "westeurope" })).await;
    Lab { me, cloud, group }
}

impl Lab<'_> {
    pub fn id(&self, path: &str) -> String {
        format!("{}/providers/Microsoft.Network/{path}", self.group)
    }

    pub async fn ask(&self, method: &str, path: &str, body: Value) -> Reply {
        self.me.arm(method, &format!("{}?api-version=2024-07-01", self.id(path)), body).await
    }

    /// Makes or changes what must succeed, and waits.
    pub async fn put(&self, path: &str, properties: Value) -> Value {
        let reply = self.ask("PUT", path, at(properties)).await;
        assert!(matches!(reply.status, 200 | 201), "{path}: {reply:?}");
        self.cloud.advance(2);
        let now = self.ask("GET", path, Value::Null).await;
        assert_eq!(now.body["properties"]["provisioningState"], "Succeeded", "{path}: {now:?}");
        now.body
    }

    /// A network `net` of 10.0.0.0/16 with a subnet `a` of 10.0.0.0/24.
    pub async fn network(&self) -> Value {
        self.put("virtualNetworks/net", network(&["10.0.0.0/16"], &[("a", "10.0.0.0/24")])).await
    }

    /// `properties` of an interface in a subnet of `net`.
    pub fn nic(&self, subnet: &str) -> Value {
        json!({ "ipConfigurations": [{ "name": "one", "properties": {
            "subnet": { "id": self.id(&format!("virtualNetworks/net/subnets/{subnet}")) },
        } }] })
    }
}

pub(super) fn at(properties: Value) -> Value {
    json!({ "location": "westeurope", "sku": { "name": "Standard" }, "properties": properties })
}

pub(super) fn network(spaces: &[&str], subnets: &[(&str, &str)]) -> Value {
    let subnets: Vec<Value> = subnets
        .iter()
        .map(|(name, prefix)| json!({ "name": name, "properties": { "addressPrefix": prefix } }))
        .collect();
    json!({ "addressSpace": { "addressPrefixes": spaces }, "subnets": subnets })
}
