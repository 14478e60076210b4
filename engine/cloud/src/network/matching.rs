//! Which packets a security rule speaks about: its ports and addresses.

use std::fmt;
use std::net::Ipv4Addr;

use serde_json::Value;

use super::cidr::Prefix;
use super::common;

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

    /// Whether it holds every port that a client may come from: the dynamic ones of RFC 6335, section 6.
    fn hold_clients(self) -> bool {
        self.first <= 49_152 && self.last == u16::MAX
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
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
    /// all that it may come from speaks about it.
    pub fn matches(&self, flow: &super::reach::Flow, network: &[Prefix]) -> bool {
        self.inbound
            && (self.protocol == "*" || self.protocol.eq_ignore_ascii_case(flow.protocol))
            && self.sources.iter().any(|s| s.contain(flow.source, network))
            && self.source_ports.iter().any(|p| p.hold_clients())
            && self.destinations.iter().any(|d| d.contain(flow.destination, network))
            && self.ports.iter().any(|p| p.contain(flow.port))
    }
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
