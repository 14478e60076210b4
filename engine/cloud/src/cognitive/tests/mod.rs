//! The provider through `Cloud::handle`, as clients see it.

mod accounts;
mod cmk;
mod deleted;
mod projects;

use serde_json::{Value, json};

use crate::testing::{self, Reply, TestCloud};

const API: &str = "?api-version=2025-09-01";
const CRYPTO_OFFICER: &str = "14b46e9e-c2b7-41b4-b07b-48a6ebf60603";
const CRYPTO_SERVICE: &str = "e147488a-f6f5-4113-8e2d-b22465e65bf6";

/// A cloud with the resource group `lab` and the providers registered.
async fn lab() -> TestCloud {
    let cloud = testing::cloud();
    let me = cloud.learner();
    for provider in ["CognitiveServices", "KeyVault", "ManagedIdentity"] {
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

fn account(cloud: &TestCloud, name: &str) -> String {
    format!("{}/providers/Microsoft.CognitiveServices/accounts/{name}", group(cloud))
}

/// A path below the subscription's namespace.
fn regional(cloud: &TestCloud, path: &str) -> String {
    format!("{}/providers/Microsoft.CognitiveServices/{path}{API}", cloud.subscription())
}

fn body() -> Value {
    json!({
        "location": "westeurope", "kind": "AIServices", "sku": { "name": "S0" },
        "identity": { "type": "SystemAssigned" },
        "properties": { "allowProjectManagement": true }
    })
}

/// [`body`] with a subdomain.
fn named(subdomain: &str) -> Value {
    let mut body = body();
    body["properties"]["customSubDomainName"] = subdomain.into();
    body
}

async fn ask(cloud: &TestCloud, method: &str, path: &str, body: Value) -> Reply {
    cloud.learner().arm(method, &format!("{path}{API}"), body).await
}

/// Makes an account and waits for it.
async fn make(cloud: &TestCloud, name: &str, body: Value) -> Value {
    let path = account(cloud, name);
    let reply = ask(cloud, "PUT", &path, body).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    cloud.advance(5);
    ask(cloud, "GET", &path, Value::Null).await.body
}

/// `status code` of an answer.
fn outcome(reply: &Reply) -> String {
    format!("{} {}", reply.status, reply.code()).trim_end().to_owned()
}
