//! Security rules: what a network security group lets through. Parts of a group.
//!
//! Source: <https://learn.microsoft.com/azure/virtual-network/network-security-groups-overview>.

use serde_json::{Value, json};

use super::API;
use super::common;
use super::matching::{Addresses, Ports};
use crate::arm::kind::{Draft, Facts, Kind, Style};
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::store::resources::{Filter, Resource};

pub(super) const NAME: &str = "Microsoft.Network/networkSecurityGroups/securityRules";

/// The type.
pub(super) struct SecurityRule;

const FACTS: Facts = Facts { tracked: false, etag: true, ..Facts::new(NAME, API, Style::Created) };

impl Kind for SecurityRule {
    fn facts(&self) -> &Facts {
        &FACTS
    }

    fn check_name(&self, name: &str) -> Result<(), Refusal> {
        common::check_name(name)
    }

    fn apply(&self, cx: &mut Cx<'_>, draft: &mut Draft<'_>) -> Result<(), Refusal> {
        let properties = check(draft.asked())?;
        let group = draft.id.parent().map_or_else(String::new, |id| id.to_string());
        let others = in_group(cx, &group)?;
        let others = others.iter().filter(|other| !other.name.eq_ignore_ascii_case(draft.id.name()));
        conflict(draft.id.name(), &properties, others.map(|o| (o.name.as_str(), &o.body["properties"])))?;
        *draft.properties() = properties;
        Ok(())
    }

    fn shown(&self, _: &Cx<'_>, resource: &Resource) -> Result<Value, Refusal> {
        Ok(common::shown(resource))
    }
}

/// Rules of a group.
pub(super) fn in_group(cx: &Cx<'_>, group: &str) -> Result<Vec<Resource>, Refusal> {
    cx.resources(Filter { kind: Some(NAME), below: Some(group), ..Filter::default() })
}

/// Refuses a rule with the direction and priority of another one.
pub(super) fn conflict<'a>(
    name: &str,
    rule: &Value,
    others: impl Iterator<Item = (&'a str, &'a Value)>,
) -> Result<(), Refusal> {
    for (other, properties) in others {
        if properties["priority"] == rule["priority"] && properties["direction"] == rule["direction"] {
            return Err(Refusal::new(
                400,
                "SecurityRuleConflict",
                format!(
                    "Security rule {name} conflicts with rule {other}. Rules cannot have the same Priority and \
                     Direction. To learn more, see aka.ms/nsgrules."
                ),
            ));
        }
    }
    Ok(())
}

const KNOWN: &[&str] = &[
    "description",
    "protocol",
    "sourcePortRange",
    "sourcePortRanges",
    "destinationPortRange",
    "destinationPortRanges",
    "sourceAddressPrefix",
    "sourceAddressPrefixes",
    "destinationAddressPrefix",
    "destinationAddressPrefixes",
    "access",
    "priority",
    "direction",
    "provisioningState",
];

/// Checks a rule and returns its `properties`.
pub(super) fn check(given: &Value) -> Result<Value, Refusal> {
    common::only(given, NAME, KNOWN)?;
    let needed = |name: &str, words: &[&'static str]| {
        if given[name].is_null() {
            return Err(Refusal::new(
                400,
                "SecurityRuleParameterRequired",
                format!("Required security rule parameter '{name}' is missing."),
            ));
        }
        common::word(&given[name], name, words, "")
    };
    let priority = given["priority"].as_i64().unwrap_or_default();
    if !(100..=4096).contains(&priority) {
        return Err(Refusal::new(
            400,
            "SecurityRuleInvalidPriority",
            format!(
                "Security rule has invalid Priority. Value provided: {} Allowed range 100-4096.",
                given["priority"]
            ),
        ));
    }
    let mut properties = json!({
        "protocol": needed("protocol", &["Tcp", "Udp", "Icmp", "Esp", "Ah", "*"])?,
        "access": needed("access", &["Allow", "Deny"])?,
        "priority": priority,
        "direction": needed("direction", &["Inbound", "Outbound"])?,
    });
    if given["description"].is_string() {
        properties["description"] = given["description"].clone();
    }
    for (one, many) in [("sourcePortRange", "sourcePortRanges"), ("destinationPortRange", "destinationPortRanges")] {
        let ranges = common::texts(given, one, many);
        for range in &ranges {
            Ports::parse(range).ok_or_else(|| {
                Refusal::new(
                    400,
                    "SecurityRuleInvalidPortRange",
                    format!(
                        "Security rule has invalid Port range. Value provided: {range}. Value should be an integer OR \
                         integer range with '-' delimiter. Valid range 0-65535."
                    ),
                )
            })?;
        }
        place(&mut properties, one, many, &ranges)?;
    }
    for (one, many) in
        [("sourceAddressPrefix", "sourceAddressPrefixes"), ("destinationAddressPrefix", "destinationAddressPrefixes")]
    {
        let addresses = common::texts(given, one, many);
        for address in &addresses {
            Addresses::parse(address).ok_or_else(|| {
                Refusal::new(
                    400,
                    "SecurityRuleInvalidAddressPrefix",
                    format!("Security rule has invalid Address prefix. Value provided: {address}"),
                )
            })?;
        }
        place(&mut properties, one, many, &addresses)?;
    }
    Ok(properties)
}

/// Keeps a list under the singular name when there is one text, else under the plural one.
fn place(properties: &mut Value, one: &str, many: &str, texts: &[String]) -> Result<(), Refusal> {
    let (single, plural) = match texts {
        [] => {
            return Err(Refusal::new(
                400,
                "SecurityRuleParameterRequired",
                format!("Required security rule parameter '{one}' is missing."),
            ));
        }
        [text] => (json!(text), json!([])),
        texts => (Value::Null, json!(texts)),
    };
    if !single.is_null() {
        properties[one] = single;
    }
    properties[many] = plural;
    Ok(())
}

/// The rules that every group has: name, description, priority, access, direction, source, destination.
const DEFAULTS: &[(&str, &str, i64, &str, &str, &str, &str)] = &[
    (
        "AllowVnetInBound",
        "Allow inbound traffic from all VMs in VNET",
        65000,
        "Allow",
        "Inbound",
        "VirtualNetwork",
        "VirtualNetwork",
    ),
    (
        "AllowAzureLoadBalancerInBound",
        "Allow inbound traffic from azure load balancer",
        65001,
        "Allow",
        "Inbound",
        "AzureLoadBalancer",
        "*",
    ),
    ("DenyAllInBound", "Deny all inbound traffic", 65500, "Deny", "Inbound", "*", "*"),
    (
        "AllowVnetOutBound",
        "Allow outbound traffic from all VMs to all VMs in VNET",
        65000,
        "Allow",
        "Outbound",
        "VirtualNetwork",
        "VirtualNetwork",
    ),
    (
        "AllowInternetOutBound",
        "Allow outbound traffic from all VMs to Internet",
        65001,
        "Allow",
        "Outbound",
        "*",
        "Internet",
    ),
    ("DenyAllOutBound", "Deny all outbound traffic", 65500, "Deny", "Outbound", "*", "*"),
];

/// Name and `properties` of the rules that every group has.
pub(super) fn defaults() -> impl Iterator<Item = (&'static str, Value)> {
    DEFAULTS.iter().map(|(name, description, priority, access, direction, source, destination)| {
        let properties = json!({
            "description": description,
            "protocol": "*",
            "sourcePortRange": "*",
            "sourcePortRanges": [],
            "destinationPortRange": "*",
            "destinationPortRanges": [],
            "sourceAddressPrefix": source,
            "sourceAddressPrefixes": [],
            "destinationAddressPrefix": destination,
            "destinationAddressPrefixes": [],
            "access": access,
            "priority": priority,
            "direction": direction,
            "provisioningState": "Succeeded",
        });
        (*name, properties)
    })
}
