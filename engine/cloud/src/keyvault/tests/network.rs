//! The vault's firewall: whom it keeps out, in which words, and what lets them in again.

use serde_json::{Value, json};

use super::{Lab, message, oid, refusal};
use crate::testing::{self, Reply};

async fn acls(lab: &Lab<'_>, acls: Value) -> Reply {
    let reply = lab.arm("PATCH", &lab.vault_id("lab-vault"), json!({ "properties": { "networkAcls": acls } })).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply
}

#[tokio::test]
async fn a_rule_for_the_address_in_the_refusal_lets_its_caller_in() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    lab.key("cmk", json!({})).await;
    let rows = [
        ("AzureServices", "caller is not a trusted service."),
        ("None", "caller was ignored because bypass is set to None"),
    ];
    for (bypass, why) in rows {
        acls(&lab, json!({ "defaultAction": "Deny", "bypass": bypass })).await;
        let reply = lab.data("GET", "/keys/cmk", Value::Null).await;
        assert_eq!(refusal(&reply), (403, "Forbidden", "ForbiddenByFirewall"));
        let expected = format!(
            "Client address is not authorized and {why}\r\nClient address: 203.0.113.10\r\nCaller: \
             appid=04b07795-8ddb-461a-bbee-02f9e1bf7b46;oid={};iss=https://sts.windows.net/{}/\r\nVault: \
             lab-vault;location=westeurope",
            oid(&lab.me).await,
            lab.tenant
        );
        assert_eq!(message(&reply), expected);
    }
    let rows = [
        (json!([{ "value": "203.0.113.11" }]), 403),
        (json!([{ "value": "203.0.113.11" }, { "value": "203.0.113.10/32" }]), 200),
        (json!([{ "value": "203.0.113.0/24" }]), 200),
        (json!([]), 403),
    ];
    for (rules, status) in rows {
        acls(&lab, json!({ "defaultAction": "Deny", "ipRules": rules })).await;
        assert_eq!(lab.data("GET", "/keys/cmk", Value::Null).await.status, status, "{rules}");
    }
    acls(&lab, json!({ "defaultAction": "Allow" })).await;
    assert_eq!(lab.data("GET", "/keys/cmk", Value::Null).await.status, 200);
}

#[tokio::test]
async fn the_firewall_stands_before_roles_and_behind_tokens() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    acls(&lab, json!({ "defaultAction": "Deny" })).await;
    let tools = super::data(&cloud.tools(), "GET", "/keys", Value::Null).await;
    assert_eq!(refusal(&tools), (403, "Forbidden", "ForbiddenByFirewall"), "without a role");
    let nobody = super::data(&cloud.anonymous(), "GET", "/keys", Value::Null).await;
    assert_eq!(refusal(&nobody), (401, "Unauthorized", ""));
    let secrets = lab.data("GET", "/secrets", Value::Null).await;
    assert_eq!(refusal(&secrets), (403, "Forbidden", "ForbiddenByFirewall"));
    assert_eq!(lab.arm("GET", &lab.vault_id("lab-vault"), Value::Null).await.status, 200, "the control plane is open");
}

#[tokio::test]
async fn without_public_access_no_rule_helps() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    lab.key("cmk", json!({})).await;
    let set = async |public: &str| {
        let body = json!({ "properties": { "publicNetworkAccess": public, "networkAcls": {
            "defaultAction": "Allow", "ipRules": [{ "value": "203.0.113.10" }] } } });
        assert_eq!(lab.arm("PATCH", &lab.vault_id("lab-vault"), body).await.status, 200);
        lab.data("GET", "/keys/cmk", Value::Null).await
    };
    let reply = set("Disabled").await;
    assert_eq!(refusal(&reply), (403, "Forbidden", "ForbiddenByConnection"));
    assert!(message(&reply).starts_with("Public network access is disabled and request is not from a trusted service"));
    assert_eq!(set("Enabled").await.status, 200);
}

#[tokio::test]
async fn the_address_is_a_setting_of_the_cloud() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    lab.key("cmk", json!({})).await;
    assert_eq!(cloud.cloud.client_address().unwrap().to_string(), "203.0.113.10");
    acls(&lab, json!({ "defaultAction": "Deny", "ipRules": [{ "value": "198.51.100.7" }] })).await;
    assert_eq!(lab.data("GET", "/keys/cmk", Value::Null).await.status, 403);
    cloud.cloud.set_client_address("198.51.100.7".parse().unwrap()).unwrap();
    let reply = lab.data("GET", "/keys/cmk", Value::Null).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(reply.header("x-ms-keyvault-network-info").contains("addr=198.51.100.7;"));
    assert_eq!(cloud.again().cloud.client_address().unwrap().to_string(), "198.51.100.7");
}

/// What `az keyvault network-rule add`, `remove` and `az keyvault update` do: read the vault and write it back.
#[tokio::test]
async fn a_vault_that_is_written_back_keeps_its_rules() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    let id = lab.vault_id("lab-vault");
    let change = async |name: &str, value: Value| {
        let read = lab.arm("GET", &id, Value::Null).await.body;
        let mut body = json!({ "location": read["location"], "tags": read["tags"], "properties": read["properties"] });
        body["properties"]["networkAcls"][name] = value;
        let written = lab.arm("PUT", &id, body).await;
        assert_eq!(written.status, 200, "{}", written.body);
        written.body["properties"]["networkAcls"].clone()
    };
    change("defaultAction", json!("Deny")).await;
    let added = change("ipRules", json!([{ "value": "203.0.113.10" }])).await;
    assert_eq!(
        (&added["ipRules"], &added["defaultAction"]),
        (&json!([{ "value": "203.0.113.10/32" }]), &json!("Deny"))
    );
    let kept = change("bypass", json!("None")).await;
    assert_eq!((&kept["ipRules"], &kept["bypass"]), (&added["ipRules"], &json!("None")));
    assert_eq!(lab.data("GET", "/keys", Value::Null).await.status, 200);
    assert_eq!(change("ipRules", json!([])).await["ipRules"], json!([]));
    assert_eq!(lab.data("GET", "/keys", Value::Null).await.status, 403);
    let refused =
        lab.arm("PATCH", &id, json!({ "properties": { "networkAcls": { "ipRules": [{ "value": "10.0.0.0/8" }] } } }));
    let refused = refused.await;
    assert_eq!(refusal(&refused), (400, "BadRequest", ""));
    assert_eq!(
        message(&refused),
        "Invalid value found at properties.networkAcls.ipRules[0].value: 10.0.0.0/8 belongs to forbidden range \
         10.0.0.0–10.255.255.255 (private IP addresses)"
    );
}

#[tokio::test]
async fn subnets_must_be_there_and_have_a_service_endpoint() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    let network = lab.in_subscription("resourceGroups/lab/providers/Microsoft.Network/virtualNetworks/net");
    let subnets = json!([
        { "name": "with", "properties": { "serviceEndpoints": [{ "service": "Microsoft.KeyVault" }] } },
        { "name": "without", "properties": {} },
    ]);
    super::within(&cloud, |cx| {
        let id = crate::resource_id::ResourceId::parse(&network).unwrap();
        cx.put_resource(&id, json!({ "location": "westeurope", "properties": { "subnets": subnets } })).unwrap();
    });
    let rule = |name: &str, ignore: Value| json!([{ "id": format!("{network}/subnets/{name}"), "ignoreMissingVnetServiceEndpoint": ignore }]);
    let rows = [
        (rule("with", Value::Null), "", ""),
        (rule("without", json!(true)), "", ""),
        (rule("without", Value::Null), "VirtualNetworkNotValid", "SubnetsHaveNoServiceEndpointsConfigured"),
        (rule("none", json!(true)), "VirtualNetworkNotValid", "The subnet 'none' of virtual network"),
        (json!([{ "id": network }]), "BadRequest", "is not the id of a subnet"),
    ];
    for (rules, code, text) in rows {
        let body = json!({ "properties": { "networkAcls": { "virtualNetworkRules": rules } } });
        for method in ["PATCH", "PUT"] {
            let body = if method == "PUT" { lab.vault_body(body["properties"].clone()) } else { body.clone() };
            let reply = lab.arm(method, &lab.vault_id("lab-vault"), body).await;
            assert_eq!((reply.status == 200, reply.code()), (code.is_empty(), code), "{rules}: {}", reply.body);
            assert!(message(&reply).contains(text), "{}", message(&reply));
        }
    }
    let kept = lab.arm("GET", &lab.vault_id("lab-vault"), Value::Null).await.body;
    let id = kept["properties"]["networkAcls"]["virtualNetworkRules"][0]["id"].as_str().unwrap();
    assert_eq!(id, format!("{network}/subnets/without").to_ascii_lowercase());
}
