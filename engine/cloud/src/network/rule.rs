//! Security rules: what a network security group lets through. Parts of a group.
//!
//! Source: <https://learn.microsoft.com/azure/virtual-network/network-security-groups-overview>.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::API;
use super::cidr::Prefix;
use super::common;
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

/// Service tags that a rule may name besides the three that have a meaning here. No caller of the embedded Azure comes
/// from one of these services.
const SERVICE_TAGS: &[&str] = &[
    "ActionGroup",
    "ApiManagement",
    "AppService",
    "AzureActiveDirectory",
    "AzureAttestation",
    "AzureBackup",
    "AzureCloud",
    "AzureContainerRegistry",
    "AzureFrontDoor.Backend",
    "AzureKeyVault",
    "AzureMonitor",
    "AzureResourceManager",
    "AzureTrafficManager",
    "EventHub",
    "GatewayManager",
    "ServiceBus",
    "Sql",
    "Storage",
];

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

/// Ports, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    first: u16,
    last: u16,
}

impl Ports {
    /// Parses `*`, `22` or `8000-8100`.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self { first: 0, last: u16::MAX });
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let ports = Self { first: first.trim().parse().ok()?, last: last.trim().parse().ok()? };
        (ports.first <= ports.last).then_some(ports)
    }

    fn contain(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

/// Where packets come from or go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Addresses {
    /// `*`.
    Any,
    /// A prefix or one address.
    Within(Prefix),
    /// The address space of the network.
    VirtualNetwork,
    /// Azure's own health probes.
    LoadBalancer,
    /// What is neither the network nor Azure.
    Internet,
    /// A service of Azure.
    Service,
}

impl Addresses {
    /// Parses an address, a prefix or a service tag.
    pub fn parse(text: &str) -> Option<Self> {
        let is = |tag: &str| text.eq_ignore_ascii_case(tag);
        let service = text.split('.').next().unwrap_or_default();
        let known = |tag: &&str| tag.eq_ignore_ascii_case(text) || tag.eq_ignore_ascii_case(service);
        Some(match text {
            "*" => Self::Any,
            _ if is("Any") || is("0.0.0.0/0") => Self::Any,
            _ if is("VirtualNetwork") => Self::VirtualNetwork,
            _ if is("AzureLoadBalancer") => Self::LoadBalancer,
            _ if is("Internet") => Self::Internet,
            _ if SERVICE_TAGS.iter().any(known) => Self::Service,
            _ if text.contains('/') => Self::Within(Prefix::parse(text).ok()?),
            _ => Self::Within(Prefix::parse(&format!("{text}/32")).ok()?),
        })
    }

    fn contain(&self, address: Ipv4Addr, network: &[Prefix]) -> bool {
        let inside = network.iter().any(|prefix| prefix.contains(address));
        match self {
            Self::Any => true,
            Self::Within(prefix) => prefix.contains(address),
            Self::VirtualNetwork => inside,
            Self::LoadBalancer => address == super::reach::LOAD_BALANCER,
            Self::Internet => !inside && address != super::reach::LOAD_BALANCER,
            Self::Service => false,
        }
    }
}

/// A stored rule, ready to judge packets.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// Its name.
    pub name: String,
    /// The lower, the earlier it is asked.
    pub priority: i64,
    /// Whether it lets through what it matches.
    pub allows: bool,
    inbound: bool,
    protocol: String,
    sources: Vec<Addresses>,
    source_ports: Vec<Ports>,
    destinations: Vec<Addresses>,
    ports: Vec<Ports>,
}

impl Rule {
    /// Reads checked `properties`.
    pub fn read(name: &str, properties: &Value) -> Self {
        let addresses =
            |one, many| common::texts(properties, one, many).iter().filter_map(|t| Addresses::parse(t)).collect();
        let ports = |one, many| common::texts(properties, one, many).iter().filter_map(|t| Ports::parse(t)).collect();
        Self {
            name: name.to_owned(),
            priority: properties["priority"].as_i64().unwrap_or(i64::MAX),
            allows: properties["access"] == "Allow",
            inbound: properties["direction"] == "Inbound",
            protocol: properties["protocol"].as_str().unwrap_or_default().to_owned(),
            sources: addresses("sourceAddressPrefix", "sourceAddressPrefixes"),
            source_ports: ports("sourcePortRange", "sourcePortRanges"),
            destinations: addresses("destinationAddressPrefix", "destinationAddressPrefixes"),
            ports: ports("destinationPortRange", "destinationPortRanges"),
        }
    }

    /// Whether it speaks about an inbound flow. The port from which a client comes is unknown beforehand: only a rule for
    /// all of them speaks about it.
    pub fn matches(&self, flow: &super::reach::Flow, network: &[Prefix]) -> bool {
        self.inbound
            && (self.protocol == "*" || self.protocol.eq_ignore_ascii_case(flow.protocol))
            && self.sources.iter().any(|s| s.contain(flow.source, network))
            && self.source_ports.contains(&Ports { first: 0, last: u16::MAX })
            && self.destinations.iter().any(|d| d.contain(flow.destination, network))
            && self.ports.iter().any(|p| p.contain(flow.port))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_addresses_that_a_rule_may_name() {
        for (text, good) in [("*", true), ("22", true), ("1-2", true), ("2-1", false), ("65536", false), ("", false)] {
            assert_eq!(Ports::parse(text).is_some(), good, "{text}");
        }
        let table = [
            ("*", true),
            ("Internet", true),
            ("virtualnetwork", true),
            ("Storage.WestEurope", true),
            ("10.0.0.0/8", true),
            ("10.0.0.1", true),
            ("10.0.0.1/8", false),
            ("Moon", false),
        ];
        for (text, good) in table {
            assert_eq!(Addresses::parse(text).is_some(), good, "{text}");
        }
    }
}
