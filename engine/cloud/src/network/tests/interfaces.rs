//! Interfaces and public IP addresses.

use serde_json::{Value, json};

use super::kit::{at, lab};
use crate::testing;

#[tokio::test]
async fn private_addresses_come_from_the_subnet() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    lab.put(
        "virtualNetworks/net",
        super::kit::network(&["10.0.0.0/16"], &[("a", "10.0.0.0/24"), ("tiny", "10.0.1.0/29")]),
    )
    .await;
    let address = |body: &Value| body["properties"]["ipConfigurations"][0]["properties"]["privateIPAddress"].clone();
    for (name, expected) in [("one", "10.0.0.4"), ("two", "10.0.0.5"), ("one", "10.0.0.4")] {
        let made = lab.put(&format!("networkInterfaces/{name}"), lab.nic("a")).await;
        assert_eq!(address(&made), expected, "{name}");
        assert_eq!(made["properties"]["macAddress"], "", "no machine has it");
    }
    lab.ask("DELETE", "networkInterfaces/one", Value::Null).await;
    cloud.advance(2);
    assert_eq!(address(&lab.put("networkInterfaces/three", lab.nic("a")).await), "10.0.0.4");
    for name in ["t1", "t2", "t3"] {
        lab.put(&format!("networkInterfaces/{name}"), lab.nic("tiny")).await;
    }
    let refused = lab.ask("PUT", "networkInterfaces/t4", at(lab.nic("tiny"))).await;
    assert_eq!(refused.code(), "SubnetIsFull");
    // Static addresses.
    let table = [
        ("10.0.0.9", ""),
        ("10.0.0.5", "PrivateIPAddressIsAllocated"),
        ("10.0.0.3", "PrivateIPAddressInReservedRange"),
        ("10.0.0.255", "PrivateIPAddressInReservedRange"),
        ("10.0.1.9", "PrivateIPAddressNotInSubnet"),
        ("nine", "InvalidPrivateIPAddressFormat"),
    ];
    for (given, code) in table {
        let mut nic = lab.nic("a");
        let properties = &mut nic["ipConfigurations"][0]["properties"];
        properties["privateIPAllocationMethod"] = "Static".into();
        properties["privateIPAddress"] = given.into();
        let reply = lab.ask("PUT", "networkInterfaces/fixed", at(nic)).await;
        assert_eq!(reply.code(), code, "{given}: {reply:?}");
    }
}

#[tokio::test]
async fn references_of_an_interface_are_judged() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    lab.network().await;
    let subnet = lab.nic("a")["ipConfigurations"][0]["properties"]["subnet"].clone();
    let table = [
        (json!({}), "NetworkInterfaceMustHaveAtLeastOneIpConfiguration"),
        (json!({ "ipConfigurations": [{ "name": "x", "properties": {} }] }), "IpConfigurationSubnetIsRequired"),
        (lab.nic("none"), "InvalidResourceReference"),
        (
            json!({ "ipConfigurations": [
                { "name": "x", "properties": { "subnet": subnet } }, { "name": "y", "properties": { "subnet": subnet } },
            ] }),
            "NetworkInterfaceMustHaveOnePrimaryIpConfiguration",
        ),
        (
            json!({ "ipConfigurations": [{ "name": "x", "properties": {
                "subnet": subnet, "privateIPAddressVersion": "IPv6",
            } }] }),
            "InvalidRequestFormat",
        ),
    ];
    for (properties, code) in table {
        let reply = lab.ask("PUT", "networkInterfaces/nic", at(properties.clone())).await;
        assert_eq!(reply.code(), code, "{properties}: {reply:?}");
    }
    let mut elsewhere = at(lab.nic("a"));
    elsewhere["location"] = "eastus".into();
    assert_eq!(lab.ask("PUT", "networkInterfaces/nic", elsewhere).await.code(), "InvalidResourceReference");
}

#[tokio::test]
async fn public_addresses_and_names_are_unique() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    lab.network().await;
    let properties =
        json!({ "publicIPAllocationMethod": "Static", "dnsSettings": { "domainNameLabel": "sealbook-lab" } });
    let made = lab.put("publicIPAddresses/one", properties.clone()).await;
    assert_eq!(made["properties"]["ipAddress"], "203.0.113.1");
    assert_eq!(made["properties"]["dnsSettings"]["fqdn"], "sealbook-lab.westeurope.cloudapp.azure.com");
    let two = lab.put("publicIPAddresses/two", json!({ "publicIPAllocationMethod": "static" })).await;
    assert_eq!(two["properties"]["ipAddress"], "203.0.113.2");
    let table = [
        (json!({}), "StandardSkuPublicIPAddressesMustBeStatic"),
        (properties, "DnsRecordInUse"),
        (
            json!({ "publicIPAllocationMethod": "Static", "dnsSettings": { "domainNameLabel": "Bad" } }),
            "InvalidDomainNameLabel",
        ),
        (
            json!({ "publicIPAllocationMethod": "Static", "idleTimeoutInMinutes": 31 }),
            "PublicIPAddressIdleTimeoutIsOutOfRange",
        ),
        (
            json!({ "publicIPAllocationMethod": "Static", "dnsSettings": {
                "domainNameLabel": "scoped", "domainNameLabelScope": "TenantReuse",
            } }),
            "InvalidRequestFormat",
        ),
        (
            json!({ "publicIPAllocationMethod": "Static", "publicIPAddressVersion": "IPv6" }),
            "UnsupportedPublicIPAddress",
        ),
    ];
    for (properties, code) in table {
        let reply = lab.ask("PUT", "publicIPAddresses/x", at(properties.clone())).await;
        assert_eq!(reply.code(), code, "{properties}: {reply:?}");
    }
    let mut basic = at(json!({}));
    basic["sku"]["name"] = "Basic".into();
    assert_eq!(lab.ask("PUT", "publicIPAddresses/x", basic).await.code(), "IPv4BasicSkuPublicIpCountLimitReached");
    let names = format!("{}/providers/Microsoft.Network/locations/westeurope", cloud.subscription());
    for (label, free) in [("sealbook-lab", false), ("sealbook-lab2", true)] {
        let url = format!("{names}/CheckDnsNameAvailability?domainNameLabel={label}&api-version=2022-01-01");
        assert_eq!(lab.me.arm("GET", &url, Value::Null).await.body["available"], free, "{label}");
    }
    let usages = lab.me.arm("GET", &format!("{names}/usages?api-version=2022-01-01"), Value::Null).await;
    let used = |name: &str| {
        let all = usages.body["value"].as_array().unwrap();
        all.iter().find(|u| u["name"]["value"] == name).unwrap()["currentValue"].clone()
    };
    assert_eq!((used("PublicIPAddresses"), used("VirtualNetworks")), (json!(2), json!(1)));
    let moon = names.replace("westeurope", "moon");
    for path in ["usages?", "CheckDnsNameAvailability?domainNameLabel=x&"] {
        let reply = lab.me.arm("GET", &format!("{moon}/{path}api-version=2022-01-01"), Value::Null).await;
        assert_eq!(reply.code(), "InvalidLocation", "{path}");
    }
}

#[tokio::test]
async fn no_address_is_that_of_the_internets_clients() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    cloud.cloud.set_client_address([203, 0, 113, 2].into()).unwrap();
    for (name, expected) in [("one", "203.0.113.1"), ("two", "203.0.113.3")] {
        let made = lab.put(&format!("publicIPAddresses/{name}"), json!({ "publicIPAllocationMethod": "Static" })).await;
        assert_eq!(made["properties"]["ipAddress"], expected);
    }
}

#[tokio::test]
async fn a_public_address_belongs_to_one_interface() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    lab.network().await;
    lab.put("publicIPAddresses/one", json!({ "publicIPAllocationMethod": "Static" })).await;
    let mut nic = lab.nic("a");
    nic["ipConfigurations"][0]["properties"]["publicIPAddress"] = json!({ "id": lab.id("publicIPAddresses/one") });
    lab.put("networkInterfaces/nic", nic.clone()).await;
    lab.put("networkInterfaces/nic", nic.clone()).await;
    assert_eq!(lab.ask("PUT", "networkInterfaces/other", at(nic)).await.code(), "PublicIPAddressInUse");
    let shown = lab.ask("GET", "publicIPAddresses/one", Value::Null).await;
    let user = shown.body["properties"]["ipConfiguration"]["id"].as_str().unwrap();
    assert!(user.ends_with("/networkInterfaces/nic/ipConfigurations/one"), "{user}");
    let refused = lab.ask("DELETE", "publicIPAddresses/one", Value::Null).await;
    assert_eq!(refused.code(), "PublicIPAddressCannotBeDeleted");
    lab.ask("DELETE", "networkInterfaces/nic", Value::Null).await;
    cloud.advance(2);
    assert_eq!(lab.ask("DELETE", "publicIPAddresses/one", Value::Null).await.status, 202);
}

#[tokio::test]
async fn every_type_is_listed_and_tagged() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    lab.network().await;
    let group = format!("{}/resourceGroups/lab/providers/Microsoft.Network", cloud.subscription());
    let everywhere = format!("{}/providers/Microsoft.Network", cloud.subscription());
    let table = [
        ("networkInterfaces", lab.nic("a")),
        ("networkSecurityGroups", json!({})),
        ("publicIPAddresses", json!({ "publicIPAllocationMethod": "Static" })),
        ("virtualNetworks", super::kit::network(&["10.1.0.0/16"], &[])),
    ];
    for (kind, properties) in table {
        let path = format!("{kind}/listed");
        let reply = lab.ask("PUT", &path, at(properties)).await;
        assert_eq!(reply.status, 201, "{kind}: {reply:?}");
        cloud.advance(2);
        let tagged = lab.ask("PATCH", &path, json!({ "tags": { "lab": kind } })).await;
        assert_eq!((tagged.status, &tagged.body["tags"]["lab"]), (200, &json!(kind)), "{kind}: {tagged:?}");
        for list in [&group, &everywhere] {
            let found = lab.me.arm("GET", &format!("{list}/{kind}?api-version=2024-07-01"), Value::Null).await;
            let listed = found.body["value"].as_array().unwrap();
            assert!(listed.iter().any(|each| each["id"] == tagged.body["id"]), "{kind}: {found:?}");
        }
    }
}
