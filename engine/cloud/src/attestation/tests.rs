//! Attestation providers: what is made, what is refused, and what each region shares.

use serde_json::{Value, json};

use crate::testing::{self, Client, Reply, TestCloud};

const VERSION: &str = "api-version=2021-06-01";

struct Lab<'a> {
    me: Client<'a>,
    group: String,
    subscription: String,
}

async fn lab(cloud: &TestCloud) -> Lab<'_> {
    let (me, subscription) = (cloud.learner(), cloud.subscription());
    let group = format!("{subscription}/resourceGroups/lab");
    me.arm("PUT", &format!("{group}?api-version=2024-11-01"), json!({ "location": "westus" })).await;
    Lab { me, group, subscription }
}

impl Lab<'_> {
    async fn register(&self, cloud: &TestCloud) {
        let path = format!("{}/providers/Microsoft.Attestation/register?api-version=2021-04-01", self.subscription);
        assert_eq!(self.me.arm("POST", &path, json!({})).await.status, 200);
        cloud.advance(60);
    }

    async fn ask(&self, method: &str, name: &str, body: Value) -> Reply {
        let path = format!("{}/providers/Microsoft.Attestation/attestationProviders/{name}?{VERSION}", self.group);
        self.me.arm(method, &path, body).await
    }

    async fn list(&self, scope: &str, kind: &str) -> Vec<Value> {
        let path = format!("{scope}/providers/Microsoft.Attestation/{kind}?{VERSION}");
        self.me.arm("GET", &path, Value::Null).await.body["value"].as_array().unwrap().clone()
    }
}

fn at(location: &str) -> Value {
    json!({ "location": location, "properties": {} })
}

fn signed(key: Value) -> Value {
    let mut body = at("westeurope");
    body["properties"]["policySigningCertificates"] = json!({ "keys": [key] });
    body
}

#[tokio::test]
async fn a_provider_is_made_changed_listed_and_deleted() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    assert_eq!(lab.ask("PUT", "mine", at("westeurope")).await.code(), "MissingSubscriptionRegistration");
    lab.register(&cloud).await;
    let made = lab.ask("PUT", "Mine", at("West Europe")).await;
    assert_eq!(made.status, 201, "{made:?}");
    let properties = &made.body["properties"];
    assert_eq!(
        properties,
        &json!({
            "publicNetworkAccess": "Enabled",
            "tpmAttestationAuthentication": "Enabled",
            "trustModel": "AAD",
            "status": "Ready",
            "attestUri": "https://mine.weu.attest.azure.net",
        })
    );
    assert_eq!(lab.ask("PUT", "mine", at("westeurope")).await.status, 200);
    let changes = json!({ "tags": { "a": "b" }, "properties": { "publicNetworkAccess": "Disabled" } });
    let changed = lab.ask("PATCH", "mine", changes).await;
    assert_eq!((changed.status, &changed.body["tags"]["a"]), (200, &json!("b")));
    assert_eq!(changed.body["properties"]["publicNetworkAccess"], "Disabled");
    assert_eq!(changed.body["properties"]["attestUri"], "https://mine.weu.attest.azure.net");
    assert_eq!(lab.ask("GET", "mine", Value::Null).await.body, changed.body);
    for scope in [&lab.group, &lab.subscription] {
        assert_eq!(lab.list(scope, "attestationProviders").await, std::slice::from_ref(&changed.body), "{scope}");
    }
    assert_eq!(lab.ask("DELETE", "mine", Value::Null).await.status, 200);
    assert_eq!(lab.ask("DELETE", "mine", Value::Null).await.status, 204);
    assert_eq!(lab.ask("GET", "mine", Value::Null).await.code(), "ResourceNotFound");
}

#[tokio::test]
async fn names_regions_settings_and_signers_are_judged() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    lab.register(&cloud).await;
    let certificate = json!({ "kty": "RSA", "x5c": ["MAA="] });
    let isolated = lab.ask("PUT", "isolated", signed(certificate.clone())).await;
    assert_eq!((isolated.status, &isolated.body["properties"]["trustModel"]), (201, &json!("Isolated")));
    assert!(isolated.body["properties"]["policySigningCertificates"].is_null());
    let private = json!({ "kty": "RSA", "x5c": ["MAA="], "d": "AQ" });
    let switched = json!({ "location": "westeurope", "properties": { "publicNetworkAccess": "Perhaps" } });
    let table = [
        ("PUT", "ab", at("westeurope"), 400, "InvalidResourceName"),
        ("PUT", "with-hyphen", at("westeurope"), 400, "InvalidResourceName"),
        ("PUT", "abcdefghijklmnopqrstuvwxy", at("westeurope"), 400, "InvalidResourceName"),
        ("PUT", "mine", at("qatarcentral"), 400, "LocationNotAvailableForResourceType"),
        ("PUT", "mine", json!({ "location": "westeurope" }), 400, "BadRequest"),
        ("PUT", "mine", switched, 400, "BadRequest"),
        ("PUT", "mine", signed(json!({ "kty": "RSA" })), 400, "BadRequest"),
        ("PUT", "mine", signed(json!({ "kty": "RSA", "x5c": ["no base64!"] })), 400, "BadRequest"),
        ("PUT", "mine", signed(json!({ "kty": "oct", "x5c": ["MAA="] })), 400, "BadRequest"),
        ("PUT", "mine", signed(private), 400, "BadRequest"),
        ("PUT", "isolated", signed(certificate), 200, ""),
        ("PUT", "isolated", signed(json!({ "kty": "RSA", "x5c": ["MAE="] })), 409, "Conflict"),
        ("PATCH", "mine", json!({}), 404, "ResourceNotFound"),
    ];
    for (method, name, body, status, code) in table {
        let reply = lab.ask(method, name, body.clone()).await;
        assert_eq!((reply.status, reply.code()), (status, code), "{method} {name} {body}");
    }
    let elsewhere = format!("{}/resourceGroups/two", lab.subscription);
    lab.me.arm("PUT", &format!("{elsewhere}?api-version=2024-11-01"), json!({ "location": "westus" })).await;
    let path = format!("{elsewhere}/providers/Microsoft.Attestation/attestationProviders/isolated?{VERSION}");
    assert_eq!(lab.me.arm("PUT", &path, at("westeurope")).await.code(), "Conflict", "the host name is taken");
    assert_eq!(lab.me.arm("PUT", &path, at("eastus")).await.status, 201);
}

#[tokio::test]
async fn each_region_has_a_shared_provider_by_its_short_name() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let table = [
        ("westeurope", "https://sharedweu.weu.attest.azure.net"),
        ("West Europe", "https://sharedweu.weu.attest.azure.net"),
        ("northeurope", "https://sharedneu.neu.attest.azure.net"),
        ("eastus", "https://sharedeus.eus.attest.azure.net"),
        ("eastus2", "https://sharedeus2.eus2.attest.azure.net"),
        ("italynorth", "https://shareditn.itn.attest.azure.net"),
    ];
    for (location, uri) in table {
        let location = location.replace(' ', "%20");
        let path = format!("{}/providers/Microsoft.Attestation/Locations/{location}", lab.subscription);
        let found = lab.me.arm("GET", &format!("{path}/defaultProvider?api-version=2020-10-01"), Value::Null).await;
        assert_eq!((found.status, &found.body["properties"]["attestUri"]), (200, &json!(uri)), "{location}");
    }
    let path = format!("{}/providers/Microsoft.Attestation/locations/moon/defaultProvider?{VERSION}", lab.subscription);
    assert_eq!(lab.me.arm("GET", &path, Value::Null).await.code(), "LocationNotAvailableForResourceType");
    let all = lab.list(&lab.subscription, "defaultProviders").await;
    assert!(all.iter().any(|one| one["name"] == "sharedweu"), "{all:?}");
}

#[tokio::test]
async fn the_default_policy_of_confidential_machines_is_found_as_the_command_line_asks() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let register = format!("{}/providers/Microsoft.KeyVault/register?api-version=2021-04-01", lab.subscription);
    lab.me.arm("POST", &register, json!({})).await;
    cloud.advance(60);
    let vault = json!({ "location": "westeurope", "properties": {
        "tenantId": cloud.seed.tenant, "sku": { "family": "A", "name": "premium" }, "enableRbacAuthorization": true,
    } });
    let path = format!("{}/providers/Microsoft.KeyVault/vaults/policy-vault?api-version=2026-02-01", lab.group);
    assert_eq!(lab.me.arm("PUT", &path, vault).await.status, 200);
    let filter = "resourceType%20eq%20'Microsoft.KeyVault%2Fvaults'%20and%20name%20eq%20'policy-vault'";
    let path = format!("{}/resources?$filter={filter}&api-version=2015-11-01", lab.subscription);
    let found = lab.me.arm("GET", &path, Value::Null).await;
    let location = found.body["value"][0]["location"].as_str().unwrap().to_owned();
    let path = format!("{}/providers/Microsoft.Attestation/Locations/{location}", lab.subscription);
    let found = lab.me.arm("GET", &format!("{path}/defaultProvider?api-version=2020-10-01"), Value::Null).await;
    assert_eq!(found.body["properties"]["attestUri"], "https://sharedweu.weu.attest.azure.net");
    let refused = lab.me.arm("GET", &format!("{path}/defaultProvider?api-version=2019-01-01"), Value::Null).await;
    assert_eq!(refused.status, 404, "an unknown version");
}
