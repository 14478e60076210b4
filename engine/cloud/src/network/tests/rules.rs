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
