//! Virtual networks and their subnets.

use serde_json::{Value, json};

use super::kit::{at, lab, network};
use crate::testing;

#[tokio::test]
async fn a_network_shows_its_subnets_and_keeps_them() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let made = lab.ask("PUT", "virtualNetworks/net", at(network(&["10.0.0.0/16"], &[("a", "10.0.0.0/24")]))).await;
    assert_eq!((made.status, &made.body["properties"]["provisioningState"]), (201, &json!("Updating")), "{made:?}");
    assert!(
        made.header("azure-asyncoperation").contains("/providers/Microsoft.Network/locations/westeurope/operations/")
    );
    assert_eq!(made.body["properties"]["subnets"][0]["properties"]["addressPrefix"], "10.0.0.0/24");
    assert!(made.body["etag"].as_str().unwrap().starts_with("W/"));
    // One more, as a part; then a PUT that says nothing about subnets.
    lab.put("virtualNetworks/net/subnets/b", json!({ "addressPrefixes": ["10.0.1.0/24"] })).await;
    let again = lab.put("virtualNetworks/net", json!({ "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] } })).await;
    let names: Vec<&str> =
        again["properties"]["subnets"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "b"]);
    // One that names its subnets removes the others.
    let fewer = lab.put("virtualNetworks/net", network(&["10.0.0.0/16"], &[("b", "10.0.1.0/24")])).await;
    assert_eq!(fewer["properties"]["subnets"].as_array().unwrap().len(), 1);
    assert_eq!(fewer["properties"]["resourceGuid"], again["properties"]["resourceGuid"]);
    let listed = lab.ask("GET", "virtualNetworks/net/subnets", Value::Null).await;
    assert_eq!(listed.body["value"][0]["name"], "b", "{listed:?}");
    let tagged = lab.ask("PATCH", "virtualNetworks/net", json!({ "tags": { "a": "1" } })).await;
    assert_eq!((tagged.status, &tagged.body["tags"]["a"]), (200, &json!("1")), "{tagged:?}");
    assert_eq!(lab.ask("DELETE", "virtualNetworks/net", Value::Null).await.status, 202);
    cloud.advance(2);
    assert_eq!(lab.ask("GET", "virtualNetworks/net/subnets/b", Value::Null).await.status, 404);
}

#[tokio::test]
async fn address_spaces_are_judged() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    lab.network().await;
    let prefix = |text: &str| json!({ "addressPrefix": text });
    let table = [
        ("virtualNetworks/x", network(&[], &[]), "NoAddressPrefixOrPoolProvided"),
        ("virtualNetworks/x", network(&["10.0.0.0"], &[]), "InvalidAddressPrefixFormat"),
        ("virtualNetworks/x", network(&["10.0.0.1/16"], &[]), "InvalidCIDRNotation"),
        ("virtualNetworks/x", network(&["10.0.0.0/16", "10.0.1.0/24"], &[]), "NetcfgInvalidVirtualNetworkAddressSpace"),
        ("virtualNetworks/x", network(&["10.0.0.0/16"], &[("s", "10.1.0.0/24")]), "NetcfgSubnetRangeOutsideVnet"),
        (
            "virtualNetworks/x",
            network(&["10.0.0.0/16"], &[("s", "10.0.0.0/24"), ("t", "10.0.0.128/25")]),
            "NetcfgSubnetRangesOverlap",
        ),
        ("virtualNetworks/x", network(&["10.0.0.0/16"], &[("s", "10.0.0.0/30")]), "NetcfgInvalidSubnet"),
        ("virtualNetworks/-x", network(&["10.0.0.0/16"], &[]), "InvalidResourceName"),
        (
            "virtualNetworks/net",
            json!({ "addressSpace": { "addressPrefixes": ["10.9.0.0/16"] } }),
            "NetcfgSubnetRangeOutsideVnet",
        ),
        ("virtualNetworks/net/subnets/b", prefix("10.0.0.64/26"), "NetcfgSubnetRangesOverlap"),
        ("virtualNetworks/net/subnets/b", prefix("10.1.0.0/24"), "NetcfgSubnetRangeOutsideVnet"),
        ("virtualNetworks/net/subnets/b", json!({}), "NoAddressPrefixOrPoolProvided"),
        ("virtualNetworks/none/subnets/b", prefix("10.0.0.0/24"), "ParentResourceNotFound"),
        (
            "virtualNetworks/net/subnets/b",
            json!({ "addressPrefix": "10.0.1.0/24", "networkSecurityGroup": { "id": "/x" } }),
            "InvalidResourceReference",
        ),
    ];
    for (path, properties, code) in table {
        let reply = lab.ask("PUT", path, at(properties.clone())).await;
        assert_eq!(reply.code(), code, "{path} {properties}: {reply:?}");
    }
    let gap = json!({ "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] }, "ipAllocations": [{ "id": "x" }] });
    let reply = lab.ask("PUT", "virtualNetworks/x", at(gap)).await;
    assert_eq!((reply.code(), reply.header("x-sealbook-gap").is_empty()), ("InvalidRequestFormat", false), "{reply:?}");
}

#[tokio::test]
async fn a_subnet_in_use_stays() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    lab.network().await;
    lab.put("networkInterfaces/nic", lab.nic("a")).await;
    for path in ["virtualNetworks/net/subnets/a", "virtualNetworks/net"] {
        let reply = lab.ask("DELETE", path, Value::Null).await;
        assert_eq!((reply.status, reply.code()), (400, "InUseSubnetCannotBeDeleted"), "{path}: {reply:?}");
    }
    let moved = lab.ask("PUT", "virtualNetworks/net/subnets/a", at(json!({ "addressPrefix": "10.0.2.0/24" }))).await;
    assert_eq!(moved.code(), "InUsePrefixCannotBeDeleted");
    let gone = lab.ask("PUT", "virtualNetworks/net", at(network(&["10.0.0.0/16"], &[]))).await;
    assert_eq!(gone.code(), "InUseSubnetCannotBeDeleted");
    let subnet = lab.ask("GET", "virtualNetworks/net/subnets/a", Value::Null).await;
    let user = subnet.body["properties"]["ipConfigurations"][0]["id"].as_str().unwrap();
    assert!(user.ends_with("/networkInterfaces/nic/ipConfigurations/one"), "{user}");
    lab.ask("DELETE", "networkInterfaces/nic", Value::Null).await;
    cloud.advance(2);
    assert_eq!(lab.ask("DELETE", "virtualNetworks/net/subnets/a", Value::Null).await.status, 202);
}

#[tokio::test]
async fn without_registration_nothing_is_made() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let group = format!("{}/resourceGroups/lab", cloud.subscription());
    me.arm("PUT", &format!("{group}?api-version=2024-11-01"), json!({ "location": "westeurope" })).await;
    let url = format!("{group}/providers/Microsoft.Network/virtualNetworks/net?api-version=2024-07-01");
    let reply = me.arm("PUT", &url, at(network(&["10.0.0.0/16"], &[]))).await;
    assert_eq!((reply.status, reply.code()), (409, "MissingSubscriptionRegistration"));
}
