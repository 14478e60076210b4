//! Virtual networks.
//!
//! Source: <https://learn.microsoft.com/rest/api/virtualnetwork/virtual-networks>.

use serde_json::{Value, json};

use super::cidr::Prefix;
use super::subnet::{self, Asked};
use super::{API, common};
use crate::arm::kind::{Change, Draft, Facts, Kind, Style};
use crate::arm::resource;
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::store::resources::{self, Resource};

pub(super) const NAME: &str = "Microsoft.Network/virtualNetworks";

const KNOWN: &[&str] =
    &["addressSpace", "subnets", "dhcpOptions", "provisioningState", "resourceGuid", "privateEndpointVNetPolicies"];

/// The type.
pub(super) struct VirtualNetwork;

const FACTS: Facts = Facts { etag: true, ..Facts::new(NAME, API, Style::Created) };

impl Kind for VirtualNetwork {
    fn facts(&self) -> &Facts {
        &FACTS
    }

    fn check_name(&self, name: &str) -> Result<(), Refusal> {
        common::check_name(name)
    }

    fn apply(&self, cx: &mut Cx<'_>, draft: &mut Draft<'_>) -> Result<(), Refusal> {
        if draft.change == Change::Update {
            return Ok(());
        }
        let id = draft.id.to_string();
        common::only(draft.asked(), NAME, KNOWN)?;
        let spaces = subnet::space(draft.asked(), &id)?;
        if spaces.is_empty() {
            return Err(Refusal::new(
                400,
                "NoAddressPrefixOrPoolProvided",
                format!("No address prefix or pool has been provided for virtual network {id}."),
            ));
        }
        let disjoint = |(at, a): (usize, &Prefix)| !spaces.iter().skip(at + 1).any(|b| a.overlaps(*b));
        if !spaces.iter().enumerate().all(disjoint) {
            return Err(Refusal::new(
                400,
                "NetcfgInvalidVirtualNetworkAddressSpace",
                format!("The address prefixes of virtual network '{}' overlap.", draft.id.name()),
            ));
        }
        let subnets = subnets(cx, draft, &spaces)?;
        draft.take(&["dhcpOptions"]);
        let guid = common::guid(draft.old);
        let properties = draft.properties();
        properties["resourceGuid"] = guid;
        properties["addressSpace"] =
            json!({ "addressPrefixes": spaces.iter().map(Prefix::to_string).collect::<Vec<_>>() });
        properties["virtualNetworkPeerings"] = json!([]);
        properties["enableDdosProtection"] = false.into();
        properties["subnets"] = subnets;
        Ok(())
    }

    fn stored(&self, cx: &mut Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
        let mut body = resource.body.clone();
        let Some(properties) = body["properties"].as_object_mut() else { return Ok(()) };
        let Some(Value::Array(wanted)) = properties.shift_remove("subnets") else { return Ok(()) };
        let id = resource::id_of(resource)?;
        resources::put(cx.tx, &id, body, cx.now)?;
        for held in subnet::in_network(cx, &resource.id)? {
            if !wanted.iter().any(|subnet| subnet["name"].as_str().is_some_and(|n| n.eq_ignore_ascii_case(&held.name)))
            {
                cx.delete_resource(&held.id)?;
            }
        }
        for subnet in wanted {
            let name = subnet["name"].as_str().unwrap_or_default();
            let mut document = json!({ "properties": subnet["properties"], "etag": common::etag() });
            document["properties"]["provisioningState"] = "Succeeded".into();
            cx.put_resource(&part(&id, "subnets", name)?, document)?;
        }
        Ok(())
    }

    fn may_delete(&self, cx: &Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
        subnet::in_network(cx, &resource.id)?.iter().try_for_each(|subnet| subnet::Subnet.may_delete(cx, subnet))
    }

    fn shown(&self, cx: &Cx<'_>, resource: &Resource) -> Result<Value, Refusal> {
        let mut body = common::shown(resource);
        let subnets = subnet::in_network(cx, &resource.id)?;
        let shown: Vec<Value> = subnets.iter().map(|s| subnet::Subnet.shown(cx, s)).collect::<Result<_, _>>()?;
        body["properties"]["subnets"] = shown.into();
        Ok(body)
    }
}

/// Id of a part of a resource.
pub(super) fn part(of: &ResourceId, folder: &str, name: &str) -> Result<ResourceId, Refusal> {
    ResourceId::parse(&format!("{of}/{folder}/{name}"))
        .filter(|id| id.segments().len() == of.segments().len() + 2)
        .ok_or_else(|| Refusal::new(400, "InvalidResourceName", format!("Resource name {name} is invalid.")))
}

/// The subnets that a network will have: those of the body; without any in it, those that it has.
fn subnets(cx: &Cx<'_>, draft: &Draft<'_>, spaces: &[Prefix]) -> Result<Value, Refusal> {
    let held = match draft.old {
        Some(old) => subnet::in_network(cx, &old.id)?,
        None => Vec::new(),
    };
    let location = draft.location();
    let mut taken: Vec<Prefix> = Vec::new();
    let mut checked = |id: &ResourceId, properties: &Value| -> Result<Value, Refusal> {
        let old = held.iter().find(|held| held.name.eq_ignore_ascii_case(id.name()));
        let asked = Asked { id, properties, location, spaces, taken: &taken };
        let properties = subnet::check(cx, &asked, old)?;
        taken.extend(Prefix::parse(properties["addressPrefix"].as_str().unwrap_or_default()));
        Ok(properties)
    };
    let Some(given) = draft.asked()["subnets"].as_array() else {
        for subnet in &held {
            checked(&resource::id_of(subnet)?, &subnet.body["properties"])?;
        }
        return Ok(Value::Null);
    };
    let mut wanted: Vec<Value> = Vec::new();
    for subnet in given {
        let name = subnet["name"].as_str().unwrap_or_default();
        common::check_name(name)?;
        if wanted.iter().any(|w| w["name"].as_str().is_some_and(|n| n.eq_ignore_ascii_case(name))) {
            return Err(Refusal::new(
                400,
                "InvalidRequestFormat",
                format!("Cannot parse the request: there are several subnets '{name}'."),
            ));
        }
        let properties = checked(&part(&draft.id, "subnets", name)?, &subnet["properties"])?;
        wanted.push(json!({ "name": name, "properties": properties }));
    }
    for held in &held {
        if !wanted.iter().any(|w| w["name"].as_str().is_some_and(|n| n.eq_ignore_ascii_case(&held.name))) {
            subnet::Subnet.may_delete(cx, held)?;
        }
    }
    Ok(wanted.into())
}
