//! The networks of a cluster: of its nodes, its services and its pods.
//!
//! Source: <https://learn.microsoft.com/azure/aks/concepts-network-ip-address-planning>.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::{invalid, lacking};
use crate::arm::linked;
use crate::cx::Cx;
use crate::network::cidr::Prefix;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;

const SERVICES: &str = "10.0.0.0/16";
const PODS: &str = "10.244.0.0/16";

/// Settings whose only value a cluster may name.
const ONLY: &[(&str, &[&str])] = &[
    ("loadBalancerSku", &["standard"]),
    ("outboundType", &["loadBalancer"]),
    ("networkDataplane", &["azure"]),
    ("networkPluginMode", &["overlay"]),
    ("networkPlugin", &["azure", "kubenet"]),
];

/// Settings that are derived from others.
const DERIVED: &[&str] = &["serviceCidrs", "podCidrs", "ipFamilies", "loadBalancerProfile"];

fn cidr(given: &Value, name: &str, default: &str) -> Result<Prefix, Refusal> {
    let text = given[name].as_str().filter(|text| !text.is_empty()).unwrap_or(default);
    Prefix::parse(text)
        .map_err(|_| invalid(&format!("networkProfile.{name}"), format!("'{text}' is no IPv4 CIDR block")))
}

/// Checks the network profile that a body asks for and returns the whole one.
pub(super) fn profile(given: &Value) -> Result<Value, Refusal> {
    for (name, value) in given.as_object().into_iter().flatten() {
        let name = name.as_str();
        if value.is_null() || DERIVED.contains(&name) || ["serviceCidr", "dnsServiceIP", "podCidr"].contains(&name) {
            continue;
        }
        let known = ONLY.iter().find(|(known, _)| *known == name);
        let text = value.as_str().unwrap_or_default();
        if !known.is_some_and(|(_, words)| words.iter().any(|word| word.eq_ignore_ascii_case(text))) {
            return Err(lacking(&format!("networkProfile.{name}")));
        }
    }
    let plugin = given["networkPlugin"].as_str().unwrap_or("azure").to_ascii_lowercase();
    // Without a plugin, Azure chooses its own with overlay addresses for pods; with one, what it names.
    let overlay = given["networkPlugin"].is_null() || given["networkPluginMode"].is_string();
    if overlay && plugin == "kubenet" {
        return Err(invalid("networkProfile.networkPluginMode", "overlay needs the network plugin azure"));
    }
    let services = cidr(given, "serviceCidr", SERVICES)?;
    if services.length() < 12 {
        return Err(invalid("networkProfile.serviceCidr", "the range of services must be smaller than /12"));
    }
    let dns = dns(given, services)?;
    let mut profile = json!({
        "networkPlugin": plugin,
        "networkDataplane": "azure",
        "loadBalancerSku": "standard",
        "loadBalancerProfile": { "managedOutboundIPs": { "count": 1 }, "backendPoolType": "nodeIPConfiguration" },
        "serviceCidr": services.to_string(),
        "dnsServiceIP": dns.to_string(),
        "outboundType": "loadBalancer",
        "serviceCidrs": [services.to_string()],
        "ipFamilies": ["IPv4"],
    });
    if overlay || plugin == "kubenet" {
        let pods = cidr(given, "podCidr", PODS)?;
        if pods.overlaps(services) {
            return Err(Refusal::new(
                400,
                "PodCidrOverlapServiceCidr",
                format!("The specified pod CIDR {pods} is conflicted with the service CIDR {services}."),
            ));
        }
        profile["podCidr"] = pods.to_string().into();
        profile["podCidrs"] = json!([pods.to_string()]);
    }
    if overlay {
        profile["networkPluginMode"] = "overlay".into();
    }
    Ok(profile)
}

fn dns(given: &Value, services: Prefix) -> Result<Ipv4Addr, Refusal> {
    const NAME: &str = "networkProfile.dnsServiceIP";
    let Some(text) = given["dnsServiceIP"].as_str().filter(|text| !text.is_empty()) else { return Ok(services.at(10)) };
    let address: Ipv4Addr = text.parse().map_err(|_| invalid(NAME, format!("'{text}' is no IPv4 address")))?;
    if !services.contains(address) {
        return Err(invalid(NAME, format!("{address} is not within the service CIDR {services}")));
    }
    if address == services.at(0) || address == services.at(1) {
        return Err(invalid(NAME, format!("{address} is among the first addresses of the service CIDR {services}")));
    }
    Ok(address)
}

/// The subnet that a pool of `cluster` names: it must be there, in the cluster's region, for the caller to join, and
/// apart from the cluster's own ranges.
pub(super) fn join(
    cx: &Cx<'_>,
    cluster: &ResourceId,
    location: &str,
    subnet: &str,
    profile: &Value,
) -> Result<(), Refusal> {
    let found = linked::require(cx, cluster, subnet, "Microsoft.Network/virtualNetworks/subnets/join/action")?;
    if !found.kind.eq_ignore_ascii_case("Microsoft.Network/virtualNetworks/subnets") {
        return Err(invalid("agentPoolProfile.vnetSubnetID", format!("{subnet} is no subnet")));
    }
    let network = ResourceId::parse(&found.id).and_then(|id| id.parent());
    let network = network.map(|id| cx.resource(&id.to_string())).transpose()?.flatten();
    let there = network.and_then(|network| network.location).unwrap_or_default();
    if !there.eq_ignore_ascii_case(location) {
        return Err(invalid(
            "agentPoolProfile.vnetSubnetID",
            format!("the virtual network is in {there}, and the cluster in {location}"),
        ));
    }
    let properties = &found.body["properties"];
    let one = properties["addressPrefix"].as_str();
    let many = properties["addressPrefixes"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for prefix in one.into_iter().chain(many).filter_map(|text| Prefix::parse(text).ok()) {
        for (name, code, what) in [
            ("serviceCidr", "ServiceCidrOverlapExistingSubnetsCidr", "service"),
            ("podCidr", "PodCidrOverlapExistingSubnetsCidr", "pod"),
        ] {
            let Some(range) = profile[name].as_str().and_then(|text| Prefix::parse(text).ok()) else { continue };
            if range.overlaps(prefix) {
                return Err(Refusal::new(
                    400,
                    code,
                    format!("The specified {what} CIDR {range} is conflicted with an existing subnet CIDR {prefix}"),
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let table = [
            (json!({}), Some(("10.0.0.0/16", "10.0.0.10"))),
            (
                json!({ "serviceCidr": "10.240.0.0/24", "dnsServiceIP": "10.240.0.10" }),
                Some(("10.240.0.0/24", "10.240.0.10")),
            ),
            (json!({ "serviceCidr": "10.240.0.0/24" }), Some(("10.240.0.0/24", "10.240.0.10"))),
            (json!({ "serviceCidr": "10.240.0.1/24" }), None),
            (json!({ "serviceCidr": "10.240.0.0" }), None),
            (json!({ "serviceCidr": "10.0.0.0/8" }), None),
            (json!({ "serviceCidr": "fd00::/108" }), None),
            (json!({ "dnsServiceIP": "10.240.0.10" }), None),
            (json!({ "dnsServiceIP": "10.0.0.1" }), None),
            (json!({ "dnsServiceIP": "ten" }), None),
            (json!({ "serviceCidr": "10.244.8.0/24" }), None),
            (json!({ "networkPlugin": "none" }), None),
            (json!({ "networkPolicy": "calico" }), None),
            (json!({ "networkPlugin": "kubenet", "networkPluginMode": "overlay" }), None),
        ];
        for (given, expected) in table {
            let profile = profile(&given).ok();
            let shown =
                profile.as_ref().map(|p| (p["serviceCidr"].as_str().unwrap(), p["dnsServiceIP"].as_str().unwrap()));
            assert_eq!(shown, expected, "{given}");
        }
    }
}
