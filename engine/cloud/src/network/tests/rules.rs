//! Security groups and their rules.

use serde_json::{Value, json};

use super::kit::{at, lab};
use crate::testing;

fn rule(changes: Value) -> Value {
    let mut rule = json!({
        "protocol": "TCP", "sourcePortRange": "*", "destinationPortRange": "22", "sourceAddressPrefix": "*",
        "destinationAddressPrefix": "*", "access": "allow", "priority": 1000, "direction": "Inbound",
    });
    for (name, value) in changes.as_object().unwrap() {
        rule[name] = value.clone();
    }
    rule
}

#[tokio::test]
async fn a_group_shows_its_rules_and_azures_own() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let rules = json!({ "securityRules": [{ "name": "ssh", "properties": rule(json!({})) }] });
    let group = lab.put("networkSecurityGroups/guard", rules).await;
    let ssh = &group["properties"]["securityRules"][0]["properties"];
    assert_eq!((&ssh["protocol"], &ssh["access"]), (&json!("Tcp"), &json!("Allow")));
    let defaults: Vec<i64> = group["properties"]["defaultSecurityRules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["properties"]["priority"].as_i64().unwrap())
        .collect();
    assert_eq!(defaults, [65000, 65001, 65500, 65000, 65001, 65500]);
    let many = rule(json!({ "priority": 200, "destinationPortRange": null, "destinationPortRanges": ["80", "443"] }));
    let many = lab.put("networkSecurityGroups/guard/securityRules/web", many).await;
    assert_eq!(many["properties"]["destinationPortRanges"], json!(["80", "443"]));
    assert!(many["properties"]["destinationPortRange"].is_null());
    let listed = lab.ask("GET", "networkSecurityGroups/guard/securityRules", Value::Null).await;
    assert_eq!(listed.body["value"].as_array().unwrap().len(), 2);
    assert_eq!(lab.ask("DELETE", "networkSecurityGroups/guard/securityRules/web", Value::Null).await.status, 202);
    assert_eq!(lab.ask("DELETE", "networkSecurityGroups/guard", Value::Null).await.status, 202);
}

#[tokio::test]
async fn rules_are_judged() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    lab.put(
        "networkSecurityGroups/guard",
        json!({ "securityRules": [{ "name": "ssh", "properties": rule(json!({})) }] }),
    )
    .await;
    let table = [
        (json!({ "priority": 99 }), "SecurityRuleInvalidPriority"),
        (json!({ "priority": 4097 }), "SecurityRuleInvalidPriority"),
        (json!({ "priority": 1000 }), "SecurityRuleConflict"),
        (json!({ "priority": 1000, "direction": "Outbound" }), ""),
        (json!({ "destinationPortRange": "70000" }), "SecurityRuleInvalidPortRange"),
        (json!({ "destinationPortRange": null }), "SecurityRuleParameterRequired"),
        (json!({ "sourceAddressPrefix": "10.0.0.1/24" }), "SecurityRuleInvalidAddressPrefix"),
        (json!({ "protocol": "Sctp" }), "InvalidRequestFormat"),
        (json!({ "access": null }), "SecurityRuleParameterRequired"),
        (json!({ "sourceApplicationSecurityGroups": [{ "id": "/x" }] }), "InvalidRequestFormat"),
    ];
    for (changes, code) in table {
        let mut properties = rule(json!({ "priority": 300 }));
        for (name, value) in changes.as_object().unwrap() {
            properties[name] = value.clone();
        }
        let reply = lab.ask("PUT", "networkSecurityGroups/guard/securityRules/x", at(properties)).await;
        assert_eq!(reply.code(), code, "{changes}: {reply:?}");
    }
}

#[tokio::test]
async fn a_group_in_use_stays() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    lab.network().await;
    lab.put("networkSecurityGroups/guard", json!({})).await;
    let group = json!({ "id": lab.id("networkSecurityGroups/guard") });
    let mut nic = lab.nic("a");
    nic["networkSecurityGroup"] = group.clone();
    lab.put("networkInterfaces/nic", nic).await;
    lab.put("virtualNetworks/net/subnets/a", json!({ "addressPrefix": "10.0.0.0/24", "networkSecurityGroup": group }))
        .await;
    let refused = lab.ask("DELETE", "networkSecurityGroups/guard", Value::Null).await;
    assert_eq!(refused.code(), "InUseNetworkSecurityGroupCannotBeDeleted", "{refused:?}");
    let shown = lab.ask("GET", "networkSecurityGroups/guard", Value::Null).await;
    for member in ["networkInterfaces", "subnets"] {
        assert_eq!(shown.body["properties"][member].as_array().unwrap().len(), 1, "{member}: {shown:?}");
    }
}

#[tokio::test]
async fn the_rules_that_hold_for_an_interface_are_listed() {
    let cloud = testing::cloud();
    let lab = crate::compute::lab(&cloud).await;
    let put = async |path: &str, properties: Value| {
        let reply = lab.ask("PUT", &format!("Microsoft.Network/{path}"), at(properties)).await;
        assert!(matches!(reply.status, 200 | 201), "{path}: {reply:?}");
        cloud.advance(2);
    };
    let nic = lab.nic("nic").await;
    let list = async || {
        lab.ask("POST", "Microsoft.Network/networkInterfaces/nic/effectiveNetworkSecurityGroups", Value::Null).await
    };
    assert_eq!(list().await.status, 400, "no machine has it");
    assert_eq!(lab.vm("PUT", "vm", crate::compute::kit::ordinary(&nic)).await.status, 201);
    cloud.advance(2);
    assert_eq!(list().await.body["value"], json!([]));
    let many = json!({ "destinationPortRange": null, "destinationPortRanges": ["80", "443"], "sourceAddressPrefix": "Internet" });
    put(
        "networkSecurityGroups/guard",
        json!({ "securityRules": [
        { "name": "ssh", "properties": rule(json!({ "sourceAddressPrefix": "198.51.100.7" })) },
        { "name": "web", "properties": rule(json!({ "priority": 200, "protocol": "*" })) },
    ] }),
    )
    .await;
    put("networkSecurityGroups/guard/securityRules/web", rule(json!({ "priority": 200 }))).await;
    let mut web = rule(json!({ "priority": 200, "protocol": "*" }));
    for (name, value) in many.as_object().unwrap() {
        web[name] = value.clone();
    }
    put("networkSecurityGroups/guard/securityRules/web", web).await;
    let group = json!({ "id": lab.id("Microsoft.Network/networkSecurityGroups/guard") });
    let subnet = json!({ "addressPrefix": "10.0.0.0/24", "networkSecurityGroup": group });
    put("virtualNetworks/net/subnets/a", subnet).await;
    let shown = list().await;
    let [only] = &shown.body["value"].as_array().unwrap()[..] else { panic!("{shown:?}") };
    assert_eq!(only["networkSecurityGroup"], group);
    let id = only["association"]["subnet"]["id"].as_str().unwrap();
    assert!(id.ends_with("/virtualNetworks/net/subnets/a"), "{id}");
    let rules = only["effectiveSecurityRules"].as_array().unwrap();
    let names: Vec<&str> = rules.iter().map(|rule| rule["name"].as_str().unwrap()).collect();
    assert_eq!(names[..3], ["securityRules/web", "securityRules/ssh", "defaultSecurityRules/AllowVnetInBound"]);
    assert_eq!((names.len(), names[5]), (8, "defaultSecurityRules/AllowVnetOutBound"));
    assert_eq!(
        (&rules[0]["protocol"], &rules[0]["destinationPortRanges"], &rules[0]["destinationPortRange"]),
        (&json!("All"), &json!(["80-80", "443-443"]), &Value::Null)
    );
    assert_eq!(
        (&rules[1]["sourceAddressPrefix"], &rules[1]["destinationAddressPrefix"], &rules[1]["sourcePortRange"]),
        (&json!("198.51.100.7/32"), &json!("0.0.0.0/0"), &json!("0-65535"))
    );
    assert_eq!(rules[2]["expandedSourceAddressPrefix"], json!(["10.0.0.0/16"]));
    lab.vm("POST", "vm/deallocate", Value::Null).await;
    cloud.advance(2);
    assert_eq!(list().await.status, 400, "the machine is off");
}
