//! `NetworkInterfaces_ListEffectiveNetworkSecurityGroups`: the rules that hold for an interface, those of its subnet's
//! group and of its own, as they are applied.
//!
//! Source: <https://learn.microsoft.com/rest/api/virtualnetwork/network-interfaces/list-effective-network-security-groups>.

use serde_json::{Value, json};

use super::cidr::Prefix;
use super::matching::Ports;
use super::{common, nic, route, rule};
use crate::arm::resource;
use crate::compute;
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::store::resources::Resource;

/// The operation. Azure takes a moment for it; its contract allows the answer at once, too.
pub(super) fn list(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let (_, interface) = resource::subject(cx)?;
    let machine = nic::machine(cx, &interface.id)?;
    if machine.as_ref().and_then(compute::running).is_none() {
        return Err(Refusal::new(
            400,
            "NetworkInterfaceNotAttachedToRunningVm",
            format!(
                "Network interface {} must be attached to a running virtual machine to get its effective network \
                 security groups.",
                interface.id
            ),
        ));
    }
    let mut value = Vec::new();
    let first = &interface.body["properties"]["ipConfigurations"][0];
    let (subnet, network) = route::subnet_of(cx, first)?;
    for (member, of) in [("subnet", &subnet), ("networkInterface", &interface)] {
        let Some(group) = route::group_of(of) else { continue };
        value.push(json!({
            "networkSecurityGroup": { "id": group },
            "association": { member: { "id": of.id } },
            "effectiveSecurityRules": rules(cx, group, &network)?,
        }));
    }
    Ok(Answer::ok(&json!({ "value": value })))
}

/// The rules of a group in the order in which they are asked, inbound ones first.
fn rules(cx: &Cx<'_>, group: &str, network: &[Prefix]) -> Result<Vec<Value>, Refusal> {
    let own: Vec<Resource> = rule::in_group(cx, group)?;
    let own = own.iter().map(|rule| shown(&format!("securityRules/{}", rule.name), &rule.body["properties"], network));
    let defaults = rule::defaults().map(|(name, rule)| shown(&format!("defaultSecurityRules/{name}"), &rule, network));
    let mut all: Vec<Value> = own.chain(defaults).collect();
    all.sort_by_key(|rule| (rule["direction"] != "Inbound", rule["priority"].as_i64()));
    Ok(all)
}

fn shown(name: &str, rule: &Value, network: &[Prefix]) -> Value {
    let protocol = if rule["protocol"] == "*" { json!("All") } else { rule["protocol"].clone() };
    let mut shown = json!({ "name": name, "protocol": protocol });
    for (one, many) in [("sourcePortRange", "sourcePortRanges"), ("destinationPortRange", "destinationPortRanges")] {
        let ports = common::texts(rule, one, many);
        let ports: Vec<String> = ports.iter().filter_map(|p| Ports::parse(p)).map(|p| p.to_string()).collect();
        if let [only] = &ports[..] {
            shown[one] = only.as_str().into();
        }
        shown[many] = ports.into();
    }
    for (one, many, expanded) in [
        ("sourceAddressPrefix", "sourceAddressPrefixes", "expandedSourceAddressPrefix"),
        ("destinationAddressPrefix", "destinationAddressPrefixes", "expandedDestinationAddressPrefix"),
    ] {
        let addresses: Vec<String> = common::texts(rule, one, many).iter().map(|text| address(text)).collect();
        if let [only] = &addresses[..] {
            shown[one] = only.as_str().into();
        }
        if addresses.iter().any(|text| text == "VirtualNetwork") {
            shown[expanded] = network.iter().map(ToString::to_string).collect::<Vec<_>>().into();
        }
        shown[many] = addresses.into();
    }
    for member in ["access", "priority", "direction"] {
        shown[member] = rule[member].clone();
    }
    shown
}

/// An address as rules are applied to it: everything is a prefix, or a service tag.
fn address(text: &str) -> String {
    if text == "*" {
        return "0.0.0.0/0".to_owned();
    }
    if text.parse::<std::net::Ipv4Addr>().is_ok() { format!("{text}/32") } else { text.to_owned() }
}
