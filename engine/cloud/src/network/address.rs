//! IP configurations of network interfaces: which private addresses they get.
//!
//! Source: <https://learn.microsoft.com/azure/virtual-network/ip-services/private-ip-addresses>.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::cidr::Prefix;
use super::common::{self, PUBLIC_IP, SUBNET};
use super::vnet::part;
use super::{nic, pip, subnet};
use crate::arm::kind::Draft;
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::store::resources::Resource;

const KNOWN: &[&str] = &[
    "subnet",
    "privateIPAddress",
    "privateIPAllocationMethod",
    "privateIPAddressVersion",
    "publicIPAddress",
    "primary",
    "provisioningState",
];

/// Checks the IP configurations that a body asks for, gives each an address and returns them.
pub(super) fn configurations(cx: &Cx<'_>, draft: &Draft<'_>) -> Result<Value, Refusal> {
    let empty = Vec::new();
    let given = draft.asked()["ipConfigurations"].as_array().unwrap_or(&empty);
    if given.is_empty() {
        return Err(Refusal::new(
            400,
            "NetworkInterfaceMustHaveAtLeastOneIpConfiguration",
            format!("Network Interface {} must have at least one IP configuration.", draft.id),
        ));
    }
    let primaries = given.iter().filter(|c| c["properties"]["primary"] == true).count();
    if primaries > 1 || (given.len() > 1 && primaries == 0) {
        return Err(Refusal::new(
            400,
            "NetworkInterfaceMustHaveOnePrimaryIpConfiguration",
            format!("Network Interface {} must have exactly one primary IP configuration.", draft.id),
        ));
    }
    let mut shown: Vec<Value> = Vec::new();
    for configuration in given {
        let name = configuration["name"].as_str().unwrap_or_default();
        common::check_name(name)?;
        let id = part(&draft.id, "ipConfigurations", name)?;
        let properties = one(cx, draft, &id, &configuration["properties"], &shown, given.len() == 1)?;
        shown.push(json!({
            "name": name,
            "id": id.to_string(),
            "etag": common::etag(),
            "type": "Microsoft.Network/networkInterfaces/ipConfigurations",
            "properties": properties,
        }));
    }
    Ok(shown.into())
}

/// One configuration. `before` are those of the same interface that have their addresses.
fn one(
    cx: &Cx<'_>,
    draft: &Draft<'_>,
    id: &ResourceId,
    asked: &Value,
    before: &[Value],
    only: bool,
) -> Result<Value, Refusal> {
    common::only(asked, "ipConfigurations", KNOWN)?;
    let method = common::word(
        &asked["privateIPAllocationMethod"],
        "privateIPAllocationMethod",
        &["Dynamic", "Static"],
        "Dynamic",
    )?;
    common::word(&asked["privateIPAddressVersion"], "privateIPAddressVersion", &["IPv4"], "IPv4")
        .map_err(|refusal| refusal.gap("IPv6 addresses"))?;
    let Some(subnet) = common::reference(cx, &draft.id, &asked["subnet"], SUBNET, draft.location())? else {
        return Err(Refusal::new(
            400,
            "IpConfigurationSubnetIsRequired",
            format!("IP configuration {id} does not name a subnet."),
        ));
    };
    if let Some(first) = before.first().and_then(|c| c["properties"]["subnet"]["id"].as_str())
        && ResourceId::parse(first).and_then(|f| f.parent()).map(|n| n.to_string().to_ascii_lowercase())
            != ResourceId::parse(&subnet.id).and_then(|f| f.parent()).map(|n| n.to_string().to_ascii_lowercase())
    {
        return Err(Refusal::new(
            400,
            "SubnetsNotInSameVnet",
            format!("The subnets of network interface {} are in different virtual networks.", draft.id),
        ));
    }
    let Some(prefix) = subnet::of(&subnet).first().copied() else {
        return Err(Refusal::internal(format!("{} has no prefix", subnet.id)));
    };
    let mut taken = taken(cx, &subnet, draft.old)?;
    for other in before.iter().filter(|c| c["properties"]["subnet"]["id"].as_str() == Some(&subnet.id)) {
        let (at, of) = (&other["properties"]["privateIPAddress"], other["id"].as_str().unwrap_or_default());
        taken.extend(at.as_str().and_then(|at| Some((at.parse().ok()?, of.to_owned()))));
    }
    let address = if method == "Static" {
        fixed(&asked["privateIPAddress"], id, prefix, &taken)?
    } else {
        // A dynamic address stays what it is as long as it fits.
        let held = held(draft.old, id).filter(|held| prefix.contains(*held) && !taken.contains_key(held));
        held.or_else(|| prefix.usable().find(|address| !taken.contains_key(address)))
            .ok_or_else(|| full(&subnet, prefix))?
    };
    let mut properties = json!({
        "privateIPAddress": address.to_string(),
        "privateIPAllocationMethod": method,
        "privateIPAddressVersion": "IPv4",
        "primary": only || asked["primary"] == true,
        "subnet": { "id": subnet.id },
    });
    if let Some(public) = common::reference(cx, &draft.id, &asked["publicIPAddress"], PUBLIC_IP, draft.location())? {
        let again = before.iter().any(|c| c["properties"]["publicIPAddress"]["id"].as_str() == Some(&public.id));
        let user = pip::user(cx, &public.id)?;
        let other = user.filter(|user| !crate::resource_id::within(user, &draft.id.to_string()));
        if again || other.is_some() {
            return Err(Refusal::new(
                400,
                "PublicIPAddressInUse",
                format!(
                    "Resource {id} is referencing public IP address {} that is already allocated to resource {}.",
                    public.id,
                    other.unwrap_or_else(|| draft.id.to_string())
                ),
            ));
        }
        properties["publicIPAddress"] = json!({ "id": public.id });
    }
    Ok(properties)
}

fn full(subnet: &Resource, prefix: Prefix) -> Refusal {
    Refusal::new(
        400,
        "SubnetIsFull",
        format!(
            "Subnet {} with address prefix {prefix} does not have enough capacity for 1 IP addresses.",
            subnet.name
        ),
    )
}

/// The address that a configuration of this id has.
fn held(old: Option<&Resource>, id: &ResourceId) -> Option<Ipv4Addr> {
    let old = old?.body["properties"]["ipConfigurations"].as_array()?;
    let same = old.iter().find(|c| c["name"].as_str().is_some_and(|n| n.eq_ignore_ascii_case(id.name())))?;
    same["properties"]["privateIPAddress"].as_str()?.parse().ok()
}

/// The addresses of a subnet that other interfaces have, with the ids of their configurations.
fn taken(cx: &Cx<'_>, subnet: &Resource, own: Option<&Resource>) -> Result<HashMap<Ipv4Addr, String>, Refusal> {
    let mut taken = HashMap::new();
    for nic in common::users_of(cx, &subnet.id, nic::NAME)? {
        if own.is_some_and(|own| own.id == nic.id) {
            continue;
        }
        for configuration in nic.body["properties"]["ipConfigurations"].as_array().into_iter().flatten() {
            let address = configuration["properties"]["privateIPAddress"].as_str().and_then(|a| a.parse().ok());
            let here = configuration["properties"]["subnet"]["id"].as_str();
            if let (Some(address), true) = (address, here.is_some_and(|id| id.eq_ignore_ascii_case(&subnet.id))) {
                taken.insert(address, configuration["id"].as_str().unwrap_or_default().to_owned());
            }
        }
    }
    Ok(taken)
}

/// The address that a static configuration asks for.
fn fixed(
    given: &Value,
    id: &ResourceId,
    prefix: Prefix,
    taken: &HashMap<Ipv4Addr, String>,
) -> Result<Ipv4Addr, Refusal> {
    let text = given.as_str().unwrap_or_default();
    let Ok(address) = text.parse::<Ipv4Addr>() else {
        return Err(Refusal::new(
            400,
            "InvalidPrivateIPAddressFormat",
            format!("IP configuration {id} has the private IP address '{text}', which is not an IPv4 address."),
        ));
    };
    if !prefix.contains(address) {
        return Err(Refusal::new(
            400,
            "PrivateIPAddressNotInSubnet",
            format!("Private static IP address {address} does not belong to the range of subnet prefix {prefix}."),
        ));
    }
    if prefix.reserves(address) {
        return Err(Refusal::new(
            400,
            "PrivateIPAddressInReservedRange",
            format!("Private static IP address {address} falls within reserved IP range of subnet prefix {prefix}."),
        ));
    }
    if let Some(other) = taken.get(&address) {
        return Err(Refusal::new(
            400,
            "PrivateIPAddressIsAllocated",
            format!(
                "IP configuration {id} is using the private IP address {address} which is already allocated to \
                 resource {other}."
            ),
        ));
    }
    Ok(address)
}
