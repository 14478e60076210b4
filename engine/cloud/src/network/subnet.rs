//! Subnets: parts of a virtual network.
//!
//! Source: <https://learn.microsoft.com/rest/api/virtualnetwork/subnets>.

use serde_json::{Value, json};

use super::API;
use super::cidr::Prefix;
use super::common::{self, SECURITY_GROUP};
use crate::arm::kind::{Draft, Facts, Kind, Style};
use crate::arm::linked;
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::store::resources::{Filter, Resource};

pub(super) const NAME: &str = "Microsoft.Network/virtualNetworks/subnets";

/// The type.
pub(super) struct Subnet;

const FACTS: Facts = Facts { tracked: false, etag: true, ..Facts::new(NAME, API, Style::Created) };

impl Kind for Subnet {
    fn facts(&self) -> &Facts {
        &FACTS
    }

    fn check_name(&self, name: &str) -> Result<(), Refusal> {
        common::check_name(name)
    }

    fn apply(&self, cx: &mut Cx<'_>, draft: &mut Draft<'_>) -> Result<(), Refusal> {
        let network = draft.id.parent().map(|id| cx.existing(&id)).transpose()?;
        let Some(network) = network else { return Err(Refusal::internal("a subnet without a network")) };
        let spaces = space(&network.body["properties"], &network.id)?;
        let others = in_network(cx, &network.id)?;
        let others = others.iter().filter(|other| !other.name.eq_ignore_ascii_case(draft.id.name()));
        let taken: Vec<Prefix> = others.flat_map(of).collect();
        let location = network.location.as_deref().unwrap_or_default();
        let asked = Asked { id: &draft.id, properties: draft.asked(), location, spaces: &spaces, taken: &taken };
        let properties = check(cx, &asked, draft.old)?;
        *draft.properties() = properties;
        Ok(())
    }

    fn may_delete(&self, cx: &Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
        match user(cx, &resource.id)? {
            None => Ok(()),
            Some(user) => Err(Refusal::new(
                400,
                "InUseSubnetCannotBeDeleted",
                format!(
                    "Subnet {} is in use by {user} and cannot be deleted. In order to delete the subnet, delete all \
                     the resources within the subnet. See aka.ms/deletesubnet.",
                    resource.name
                ),
            )),
        }
    }

    fn shown(&self, cx: &Cx<'_>, resource: &Resource) -> Result<Value, Refusal> {
        let mut body = common::shown(resource);
        let users = common::users_of(cx, &resource.id, super::nic::NAME)?;
        let configurations: Vec<Value> =
            users.iter().flat_map(|nic| super::nic::in_subnet(nic, &resource.id)).collect();
        if !configurations.is_empty() {
            body["properties"]["ipConfigurations"] = configurations.into();
        }
        Ok(body)
    }
}

/// What is asked of a subnet.
pub(super) struct Asked<'a> {
    /// Its id.
    pub id: &'a ResourceId,
    /// Its `properties`.
    pub properties: &'a Value,
    /// Region of its network.
    pub location: &'a str,
    /// Address space of its network.
    pub spaces: &'a [Prefix],
    /// Prefixes of the other subnets.
    pub taken: &'a [Prefix],
}

const KNOWN: &[&str] = &[
    "addressPrefix",
    "addressPrefixes",
    "networkSecurityGroup",
    "privateEndpointNetworkPolicies",
    "privateLinkServiceNetworkPolicies",
    "defaultOutboundAccess",
    "provisioningState",
    "ipConfigurations",
    "purpose",
];

/// Checks a subnet and returns its `properties`.
pub(super) fn check(cx: &Cx<'_>, asked: &Asked<'_>, old: Option<&Resource>) -> Result<Value, Refusal> {
    let (id, given) = (asked.id, asked.properties);
    common::only(given, NAME, KNOWN)?;
    let network = id.parent().map_or_else(String::new, |id| id.name().to_owned());
    let texts = common::texts(given, "addressPrefix", "addressPrefixes");
    let prefixes = common::prefixes(&texts, &id.to_string())?;
    let invalid = |code: &str, why: &str| {
        Refusal::new(400, code, format!("Subnet '{}' is not valid because its IP address range {why}.", id.name()))
    };
    let [prefix] = prefixes[..] else {
        return Err(match prefixes.len() {
            0 => Refusal::new(
                400,
                "NoAddressPrefixOrPoolProvided",
                format!("No address prefix or pool for subnet {id}."),
            ),
            _ => invalid("MultiplePrefixesNotSupported", "has several prefixes").gap("subnets with several prefixes"),
        });
    };
    if prefix.length() > 29 {
        return Err(Refusal::new(
            400,
            "NetcfgInvalidSubnet",
            format!("Subnet '{}' is not valid in virtual network '{network}'.", id.name()),
        ));
    }
    if !asked.spaces.iter().any(|space| prefix.within(*space)) {
        let why = format!("is outside the IP address range of virtual network '{network}'");
        return Err(invalid("NetcfgSubnetRangeOutsideVnet", &why));
    }
    if asked.taken.iter().any(|other| prefix.overlaps(*other)) {
        let why = format!("overlaps with that of an existing subnet in virtual network '{network}'");
        return Err(invalid("NetcfgSubnetRangesOverlap", &why));
    }
    if let Some(old) = old
        && of(old) != [prefix]
        && user(cx, &old.id)?.is_some()
    {
        return Err(Refusal::new(
            400,
            "InUsePrefixCannotBeDeleted",
            format!(
                "IpPrefix {} on Subnet {} has active allocations and cannot be deleted.",
                old.body["properties"]["addressPrefix"].as_str().unwrap_or_default(),
                old.name
            ),
        ));
    }
    let group = common::reference(cx, id, &given["networkSecurityGroup"], SECURITY_GROUP, asked.location)?;
    let policies = |name: &str, default| {
        common::word(
            &given[name],
            name,
            &["Enabled", "Disabled", "NetworkSecurityGroupEnabled", "RouteTableEnabled"],
            default,
        )
    };
    let mut properties = json!({
        "addressPrefix": prefix.to_string(),
        "delegations": [],
        "privateEndpointNetworkPolicies": policies("privateEndpointNetworkPolicies", "Disabled")?,
        "privateLinkServiceNetworkPolicies": policies("privateLinkServiceNetworkPolicies", "Enabled")?,
    });
    if let Some(group) = group {
        properties["networkSecurityGroup"] = json!({ "id": group.id });
    }
    if given["defaultOutboundAccess"].is_boolean() {
        properties["defaultOutboundAccess"] = given["defaultOutboundAccess"].clone();
    }
    Ok(properties)
}

/// Address space of a virtual network.
pub(super) fn space(properties: &Value, network: &str) -> Result<Vec<Prefix>, Refusal> {
    common::prefixes(&common::texts(&properties["addressSpace"], "addressPrefix", "addressPrefixes"), network)
}

/// Prefixes of a stored subnet.
pub(super) fn of(subnet: &Resource) -> Vec<Prefix> {
    let text = subnet.body["properties"]["addressPrefix"].as_str().unwrap_or_default();
    Prefix::parse(text).into_iter().collect()
}

/// Subnets of a network.
pub(super) fn in_network(cx: &Cx<'_>, network: &str) -> Result<Vec<Resource>, Refusal> {
    cx.resources(Filter { kind: Some(NAME), below: Some(network), ..Filter::default() })
}

/// Id of something that lies in a subnet: an IP configuration of an interface, else the resource that names it.
fn user(cx: &Cx<'_>, subnet: &str) -> Result<Option<String>, Refusal> {
    let users = linked::users(cx, subnet)?;
    Ok(users.first().map(|user| {
        let configurations = super::nic::in_subnet(user, subnet);
        let first = configurations.first().and_then(|c| c["id"].as_str()).map(str::to_owned);
        first.unwrap_or_else(|| user.id.clone())
    }))
}
