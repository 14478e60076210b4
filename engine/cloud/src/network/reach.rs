//! Which inbound ports of a virtual machine can be reached from the internet: public IP address, security groups of
//! subnet and interface, default rules, priorities. Pure.
//!
//! Sources: <https://learn.microsoft.com/azure/virtual-network/network-security-group-how-it-works>,
//! <https://learn.microsoft.com/azure/virtual-network/ip-services/public-ip-addresses> (a Standard address is closed
//! until a security group opens it).

use std::net::Ipv4Addr;

use super::cidr::Prefix;
use super::matching::Rule;
use super::rule;

/// The address from which Azure's load balancers probe.
pub(super) const LOAD_BALANCER: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

/// An inbound flow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    /// Where it comes from.
    pub source: Ipv4Addr,
    /// Private address of the interface, which is what rules see as destination.
    pub destination: Ipv4Addr,
    /// `Tcp` or `Udp`.
    pub protocol: &'static str,
    /// Port at the destination.
    pub port: u16,
}

/// An interface, as far as inbound flows see it.
#[derive(Clone, Debug, Default)]
pub(super) struct Interface {
    /// Whether it has a public IP address.
    pub public: bool,
    /// Address space of its network.
    pub network: Vec<Prefix>,
    /// Rules of its subnet's group; `None` without one.
    pub subnet: Option<Vec<Rule>>,
    /// Rules of its own group; `None` without one.
    pub interface: Option<Vec<Rule>>,
}

/// What becomes of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It arrives.
    Reachable,
    /// There is no public IP address.
    NoPublicAddress,
    /// There is no security group, and a Standard address is closed without one.
    NoSecurityGroup,
    /// This rule stops it.
    Denied(String),
}

/// Judges an inbound flow: first the subnet's group, then the interface's.
pub(super) fn verdict(interface: &Interface, flow: &Flow) -> Verdict {
    let inside = interface.network.iter().any(|prefix| prefix.contains(flow.source));
    if !inside && !interface.public {
        return Verdict::NoPublicAddress;
    }
    let groups: Vec<&Vec<Rule>> = [&interface.subnet, &interface.interface].into_iter().flatten().collect();
    if groups.is_empty() && !inside {
        return Verdict::NoSecurityGroup;
    }
    for rules in groups {
        if let Some(by) = stopped(rules, flow, &interface.network) {
            return Verdict::Denied(by);
        }
    }
    Verdict::Reachable
}

/// Name of the rule of a group that stops a flow; the default rules stand behind the group's own.
fn stopped(rules: &[Rule], flow: &Flow, network: &[Prefix]) -> Option<String> {
    let defaults = rule::defaults().map(|(name, properties)| Rule::read(name, &properties));
    let mut all: Vec<Rule> = rules.iter().cloned().chain(defaults).collect();
    all.sort_by_key(|rule| rule.priority);
    let first = all.into_iter().find(|rule| rule.matches(flow, network));
    first.filter(|rule| !rule.allows).map(|rule| rule.name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const HOME: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 7);
    const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);

    fn rule(name: &str, access: &str, priority: u32, source: &str, port: &str) -> Rule {
        Rule::read(
            name,
            &json!({
                "protocol": "Tcp", "sourcePortRange": "*", "destinationPortRange": port, "sourceAddressPrefix": source,
                "destinationAddressPrefix": "*", "access": access, "priority": priority, "direction": "Inbound",
            }),
        )
    }

    fn denied(by: &str) -> Verdict {
        Verdict::Denied(by.to_owned())
    }

    #[test]
    fn a_port_is_reached_only_when_address_and_every_group_let_it() {
        let ssh = || Some(vec![rule("ssh", "Allow", 1000, "*", "22")]);
        let narrow = || Some(vec![rule("home", "Allow", 300, "198.18.0.0/16", "20-30")]);
        let guarded = || Some(vec![rule("ssh", "Allow", 1000, "*", "22"), rule("no", "Deny", 200, "Internet", "*")]);
        let empty = || Some(Vec::new());
        let table = [
            // Public address, subnet's group, interface's group, source, port, verdict.
            (true, None, ssh(), HOME, 22, Verdict::Reachable),
            (true, ssh(), None, HOME, 22, Verdict::Reachable),
            (true, ssh(), ssh(), HOME, 22, Verdict::Reachable),
            (true, ssh(), narrow(), HOME, 22, Verdict::Reachable),
            (true, None, narrow(), Ipv4Addr::new(203, 0, 113, 1), 22, denied("DenyAllInBound")),
            (true, None, narrow(), HOME, 31, denied("DenyAllInBound")),
            (true, None, ssh(), HOME, 80, denied("DenyAllInBound")),
            (true, empty(), ssh(), HOME, 22, denied("DenyAllInBound")),
            (true, ssh(), guarded(), HOME, 22, denied("no")),
            (true, None, None, HOME, 22, Verdict::NoSecurityGroup),
            (false, None, ssh(), HOME, 22, Verdict::NoPublicAddress),
            (false, None, empty(), NEIGHBOUR, 22, Verdict::Reachable),
            (false, None, None, NEIGHBOUR, 80, Verdict::Reachable),
            (false, guarded(), None, NEIGHBOUR, 80, Verdict::Reachable),
            (true, None, empty(), LOAD_BALANCER, 80, Verdict::Reachable),
        ];
        for (row, (public, subnet, interface, source, port, expected)) in table.into_iter().enumerate() {
            let network = Prefix::parse("10.0.0.0/16").into_iter().collect();
            let at = Interface { public, network, subnet, interface };
            let flow = Flow { source, destination: Ipv4Addr::new(10, 0, 0, 4), protocol: "Tcp", port };
            assert_eq!(verdict(&at, &flow), expected, "row {row}");
        }
    }

    /// A row changes members of a rule that opens everything: what it matches is open, and nothing else.
    #[test]
    fn every_member_of_a_rule_narrows_it() {
        let flow = Flow { source: HOME, destination: Ipv4Addr::new(10, 0, 0, 4), protocol: "Tcp", port: 443 };
        let table = [
            (json!({}), true),
            (json!({ "protocol": "Tcp" }), true),
            (json!({ "protocol": "Icmp" }), false),
            (json!({ "sourcePortRange": "1024-65535" }), true),
            (json!({ "sourcePortRange": "1-1023" }), false),
            (json!({ "sourcePortRange": "50000" }), false),
            (json!({ "destinationPortRange": "443" }), true),
            (json!({ "destinationPortRange": "444-500" }), false),
            (json!({ "destinationPortRange": null, "destinationPortRanges": ["22", "400-443"] }), true),
            (json!({ "destinationPortRange": null, "destinationPortRanges": ["22", "80"] }), false),
            (json!({ "sourceAddressPrefix": "Internet" }), true),
            (json!({ "sourceAddressPrefix": "VirtualNetwork" }), false),
            (json!({ "sourceAddressPrefix": "AzureLoadBalancer" }), false),
            (json!({ "sourceAddressPrefix": "AzureCloud" }), false),
            (json!({ "sourceAddressPrefix": "0.0.0.0/0" }), true),
            (json!({ "sourceAddressPrefix": "198.18.0.7" }), true),
            (json!({ "sourceAddressPrefix": "198.18.0.8/29" }), false),
            (json!({ "sourceAddressPrefix": null, "sourceAddressPrefixes": ["10.0.0.0/8", "198.18.0.0/15"] }), true),
            (json!({ "destinationAddressPrefix": "VirtualNetwork" }), true),
            (json!({ "destinationAddressPrefix": "10.0.0.4" }), true),
            (json!({ "destinationAddressPrefix": "10.0.0.5" }), false),
            (json!({ "destinationAddressPrefix": "Internet" }), false),
        ];
        for (changes, open) in table {
            let mut properties = json!({
                "protocol": "*", "sourcePortRange": "*", "destinationPortRange": "*", "sourceAddressPrefix": "*",
                "destinationAddressPrefix": "*", "access": "Allow", "priority": 100, "direction": "Inbound",
            });
            for (member, value) in changes.as_object().unwrap() {
                properties[member] = value.clone();
            }
            let network = Prefix::parse("10.0.0.0/16").into_iter().collect();
            let own = Some(vec![Rule::read("one", &properties)]);
            let at = Interface { public: true, network, subnet: None, interface: own };
            let expected = if open { Verdict::Reachable } else { denied("DenyAllInBound") };
            assert_eq!(verdict(&at, &flow), expected, "{changes}");
        }
    }

    #[test]
    fn rules_for_udp_or_outbound_do_not_open_tcp() {
        let flow = Flow { source: HOME, destination: Ipv4Addr::new(10, 0, 0, 4), protocol: "Tcp", port: 22 };
        for (member, value) in [("protocol", "Udp"), ("direction", "Outbound")] {
            let mut properties = json!({
                "protocol": "*", "sourcePortRange": "*", "destinationPortRange": "*", "sourceAddressPrefix": "*",
                "destinationAddressPrefix": "*", "access": "Allow", "priority": 100, "direction": "Inbound",
            });
            let read = |properties: &serde_json::Value| Interface {
                public: true,
                interface: Some(vec![Rule::read("all", properties)]),
                ..Interface::default()
            };
            assert_eq!(verdict(&read(&properties), &flow), Verdict::Reachable);
            properties[member] = value.into();
            assert_eq!(verdict(&read(&properties), &flow), denied("DenyAllInBound"), "{member}");
        }
    }
}
