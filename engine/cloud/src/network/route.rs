//! Where a TCP connection from the internet ends: at the machine behind a public IP address, or nowhere.

use std::net::Ipv4Addr;

use serde_json::Value;

use super::cidr::Prefix;
use super::matching::Rule;
use super::reach::{self, Flow, Interface, Verdict};
use super::{common, nic, pip, rule, subnet};
use crate::compute;
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::room::Machine;
use crate::store::resources::Resource;
use crate::store::settings;

/// What comes behind a machine's label: `sealbook.eastus2.cloudapp.azure.com`.
const DOMAIN: &str = ".cloudapp.azure.com";

/// Where a connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// The name has no address.
    Unknown,
    /// Nobody answers; why, in a sentence without an end.
    Silent(String),
    /// At this machine, which runs.
    To(Machine),
}

/// Whether a host (lower case) is of the form of a machine's public name or address, whether there is one or not.
pub(crate) fn is_machines(host: &str) -> bool {
    if let Ok(address) = host.parse() {
        return pip::is_public(address);
    }
    let label = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let own = host.strip_suffix(DOMAIN).and_then(|own| own.split_once('.'));
    own.is_some_and(|(name, region)| label(name) && label(region))
}

/// The way from the internet to a TCP port of a host: name or address of a public IP address.
pub(crate) fn route(cx: &Cx<'_>, host: &str, port: u16) -> Result<Route, Refusal> {
    let Some(address) = pip::named(cx, host)? else {
        // A name is asked for first; an address answers or does not.
        return Ok(match host.parse::<Ipv4Addr>() {
            Ok(_) => silent(format!("no public IP address is {host}")),
            Err(_) => Route::Unknown,
        });
    };
    let users = common::users_of(cx, &address.id, nic::NAME)?;
    let Some((interface, own)) = users.iter().find_map(|nic| Some((nic, nic::configuration(nic, &address.id)?))) else {
        return Ok(silent(format!("the public IP address {} belongs to no network interface", address.name)));
    };
    let flow =
        Flow { source: settings::client_address(cx.tx)?, destination: private_address(own)?, protocol: "Tcp", port };
    let verdict = reach::verdict(&guards(cx, interface, own)?, &flow);
    if verdict != Verdict::Reachable {
        return Ok(silent(told(&verdict, port)));
    }
    let machine = nic::machine(cx, &interface.id)?;
    let Some(machine) = machine else {
        return Ok(silent(format!("the network interface {} belongs to no virtual machine", interface.name)));
    };
    Ok(match compute::running(&machine) {
        Some(running) => Route::To(running),
        None => silent(format!("the virtual machine {} does not run", machine.name)),
    })
}

fn silent(why: String) -> Route {
    Route::Silent(why)
}

fn told(verdict: &Verdict, port: u16) -> String {
    match verdict {
        Verdict::Reachable => String::new(),
        Verdict::NoPublicAddress => "the network interface has no public IP address".to_owned(),
        Verdict::NoSecurityGroup => {
            "neither the subnet nor the network interface has a network security group, without which a Standard public \
             IP address is closed"
                .to_owned()
        }
        Verdict::Denied(rule) => format!("the security rule {rule} denies port {port}"),
    }
}

fn private_address(configuration: &Value) -> Result<Ipv4Addr, Refusal> {
    let text = configuration["properties"]["privateIPAddress"].as_str().unwrap_or_default();
    text.parse().map_err(|error| Refusal::internal(format!("the private address {text:?}: {error}")))
}

/// What stands between the internet and an IP configuration of an interface that has a public IP address.
fn guards(cx: &Cx<'_>, interface: &Resource, configuration: &Value) -> Result<Interface, Refusal> {
    let (subnet, network) = subnet_of(cx, configuration)?;
    Ok(Interface { public: true, network, subnet: rules(cx, &subnet)?, interface: rules(cx, interface)? })
}

/// The subnet of an IP configuration, and the address space of its network.
pub(super) fn subnet_of(cx: &Cx<'_>, configuration: &Value) -> Result<(Resource, Vec<Prefix>), Refusal> {
    let id = configuration["properties"]["subnet"]["id"].as_str().unwrap_or_default();
    let found = cx.resource(id)?.ok_or_else(|| Refusal::internal(format!("the subnet {id:?} is missing")))?;
    let network = ResourceId::parse(&found.id).and_then(|id| id.parent()).map(|id| cx.existing(&id)).transpose()?;
    let space = network.map(|network| subnet::space(&network.body["properties"], &network.id)).transpose()?;
    Ok((found, space.unwrap_or_default()))
}

/// Id of the security group that a subnet or an interface has.
pub(super) fn group_of(of: &Resource) -> Option<&str> {
    of.body["properties"]["networkSecurityGroup"]["id"].as_str()
}

/// The rules of the security group that a subnet or an interface has; `None` without one.
fn rules(cx: &Cx<'_>, of: &Resource) -> Result<Option<Vec<Rule>>, Refusal> {
    let Some(group) = group_of(of) else { return Ok(None) };
    let rules = rule::in_group(cx, group)?;
    Ok(Some(rules.iter().map(|rule| Rule::read(&rule.name, &rule.body["properties"])).collect()))
}

#[cfg(test)]
mod tests {
    use super::is_machines;

    #[test]
    fn names_and_addresses_of_machines() {
        for (host, expected) in [
            ("llm.eastus2.cloudapp.azure.com", true),
            ("a-1.westeurope.cloudapp.azure.com", true),
            ("203.0.113.7", true),
            ("198.51.100.1", true),
            ("127.0.0.1", false),
            ("203.0.112.7", false),
            ("eastus2.cloudapp.azure.com", false),
            ("a.b.eastus2.cloudapp.azure.com", false),
            (".eastus2.cloudapp.azure.com", false),
            ("a..cloudapp.azure.com", false),
            ("a_b.eastus2.cloudapp.azure.com", false),
            ("evilcloudapp.azure.com", false),
            ("management.azure.com", false),
            ("", false),
        ] {
            assert_eq!(is_machines(host), expected, "{host}");
        }
    }
}
