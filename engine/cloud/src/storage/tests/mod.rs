//! The provider through `Cloud::handle`, as clients see it.

mod account_keys;
mod blobs;
mod cmk;
mod control;
mod copies;
mod encryption;
mod large;
mod leases;
mod signatures;
mod user_identity;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::testing::{self, Client, Reply, TestCloud};

const API: &str = "?api-version=2023-05-01";
const VERSION: (&str, &str) = ("x-ms-version", "2024-08-04");
const HOST: &str = "https://labdata01.blob.core.windows.net";

const BLOB_CONTRIBUTOR: &str = "ba92f5b4-2d11-453d-a403-e96b0029c9fe";
const BLOB_READER: &str = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1";
const CRYPTO_OFFICER: &str = "14b46e9e-c2b7-41b4-b07b-48a6ebf60603";
const CRYPTO_SERVICE: &str = "e147488a-f6f5-4113-8e2d-b22465e65bf6";

/// A cloud with the resource group `lab` and the providers registered.
async fn lab() -> TestCloud {
    let cloud = testing::cloud();
    let me = cloud.learner();
    for provider in ["Microsoft.Storage", "Microsoft.KeyVault"] {
        let path = format!("{}/providers/{provider}/register?api-version=2022-12-01", cloud.subscription());
        assert_eq!(me.arm("POST", &path, Value::Null).await.status, 200, "{provider}");
    }
    group(&cloud, "lab").await;
    cloud.advance(60);
    drop(me);
    cloud
}

async fn group(cloud: &TestCloud, name: &str) {
    let path = format!("{}/resourcegroups/{name}?api-version=2024-11-01", cloud.subscription());
    let reply = cloud.learner().arm("PUT", &path, json!({ "location": "westeurope" })).await;
    assert!(reply.status < 300, "{reply:?}");
}

fn account_path(cloud: &TestCloud, group: &str, account: &str) -> String {
    format!("{}/resourceGroups/{group}/providers/Microsoft.Storage/storageAccounts/{account}", cloud.subscription())
}

fn account_body() -> Value {
    json!({
        "sku": { "name": "Standard_LRS" },
        "kind": "StorageV2",
        "location": "westeurope",
        "identity": { "type": "SystemAssigned" },
        "properties": { "encryption": { "keySource": "Microsoft.Storage", "services": { "blob": {} } } }
    })
}

/// Makes the account `labdata01` and waits for it.
async fn account(cloud: &TestCloud) -> Value {
    let path = account_path(cloud, "lab", "labdata01");
    let me = cloud.learner();
    let reply = me.arm("PUT", &format!("{path}{API}"), account_body()).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    cloud.advance(1);
    let reply = me.arm("GET", &format!("{path}{API}"), Value::Null).await;
    assert_eq!(reply.body["properties"]["provisioningState"], "Succeeded", "{reply:?}");
    reply.body
}

/// Assigns a role and waits until it works. Returns the assignment's path.
async fn assign(cloud: &TestCloud, scope: &str, role: &str, principal: &str, kind: &str) -> String {
    let name = uuid::Uuid::new_v4();
    let path = format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{name}?api-version=2022-04-01");
    let body = json!({ "properties": {
        "roleDefinitionId": format!("{}/providers/Microsoft.Authorization/roleDefinitions/{role}", cloud.subscription()),
        "principalId": principal,
        "principalType": kind
    } });
    let reply = cloud.learner().arm("PUT", &path, body).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    cloud.advance(5);
    path
}

/// Takes every role from the service principal, which has one on the subscription.
async fn strip_tools(cloud: &TestCloud) {
    const ROLES: &str = "/providers/Microsoft.Authorization/roleAssignments";
    let me = cloud.learner();
    let list = format!("{}{ROLES}?api-version=2022-04-01", cloud.subscription());
    for assignment in me.arm("GET", &list, Value::Null).await.body["value"].as_array().unwrap() {
        if assignment["properties"]["principalId"] == cloud.seed.client_oid {
            let path = format!("{}?api-version=2022-04-01", assignment["id"].as_str().unwrap());
            assert_eq!(me.arm("DELETE", &path, Value::Null).await.status, 200);
        }
    }
    cloud.advance(5);
}

/// Lets the learner use blobs of `labdata01`.
async fn allow_blobs(cloud: &TestCloud) {
    let scope = account_path(cloud, "lab", "labdata01");
    assign(cloud, &scope, BLOB_CONTRIBUTOR, &cloud.seed.user_oid, "User").await;
}

/// A lab with an account, the container `data` and a learner who may use it.
async fn ready() -> TestCloud {
    let cloud = lab().await;
    account(&cloud).await;
    allow_blobs(&cloud).await;
    assert_eq!(blob(&cloud.learner(), "PUT", "/data?restype=container", &[], "").await.status, 201);
    cloud
}

/// Changes a property of `labdata01`.
async fn set_property(cloud: &TestCloud, name: &str, value: Value) {
    let path = format!("{}{API}", account_path(cloud, "lab", "labdata01"));
    let reply = cloud.learner().arm("PATCH", &path, json!({ "properties": { name: value } })).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

/// The account's access keys.
async fn access_keys(cloud: &TestCloud) -> Vec<Vec<u8>> {
    let path = format!("{}/listKeys{API}", account_path(cloud, "lab", "labdata01"));
    let reply = cloud.learner().arm("POST", &path, Value::Null).await;
    let keys = reply.body["keys"].as_array().unwrap().clone();
    keys.iter().map(|key| STANDARD.decode(key["value"].as_str().unwrap()).unwrap()).collect()
}

/// A signature in base64.
fn sign(key: &[u8], text: &str) -> String {
    STANDARD.encode(sealbook_crypto::hmac_sha256(key, text.as_bytes()))
}

/// Sends a request to the account's blob endpoint.
async fn blob(me: &Client<'_>, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
    let mut all = vec![VERSION];
    all.extend_from_slice(headers);
    me.send_with(method, &format!("{HOST}{path}"), &all, body.into()).await.unwrap()
}

/// Uploads a blob in one piece.
async fn upload(me: &Client<'_>, path: &str, body: impl Into<Bytes>) -> Reply {
    blob(me, "PUT", path, &[("x-ms-blob-type", "BlockBlob")], body).await
}

/// `status code` of an answer of the blob endpoint.
fn outcome(reply: &Reply) -> String {
    format!("{} {}", reply.status, reply.header("x-ms-error-code")).trim_end().to_owned()
}

fn text(reply: &Reply) -> &str {
    std::str::from_utf8(&reply.bytes).unwrap()
}

/// The text of every element of a name, in order.
fn elements(reply: &Reply, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    text(reply).split(&open).skip(1).map(|rest| rest.split(&close).next().unwrap().to_owned()).collect()
}
