//! Network interfaces.
//!
//! Source: <https://learn.microsoft.com/rest/api/virtualnetwork/network-interfaces>.

use serde_json::{Value, json};

use super::common::{self, SECURITY_GROUP};
use super::{API, address};
use crate::arm::kind::{Change, Draft, Facts, Kind, Style};
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::store::resources::Resource;

pub(crate) const NAME: &str = "Microsoft.Network/networkInterfaces";

/// The type whose documents name the interfaces of a machine.
const MACHINE: &str = "Microsoft.Compute/virtualMachines";

const KNOWN: &[&str] = &[
    "ipConfigurations",
    "networkSecurityGroup",
    "dnsSettings",
    "enableAcceleratedNetworking",
    "enableIPForwarding",
    "disableTcpStateTracking",
    "nicType",
    "auxiliaryMode",
    "auxiliarySku",
    "provisioningState",
    "resourceGuid",
    "macAddress",
    "primary",
    "virtualMachine",
    "hostedWorkloads",
    "tapConfigurations",
    "vnetEncryptionSupported",
    "defaultOutboundConnectivityEnabled",
    "allowPort25Out",
];

/// The type.
pub(super) struct Interface;

const FACTS: Facts = Facts { etag: true, ..Facts::new(NAME, API, Style::Created) };

impl Kind for Interface {
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
        let asked = draft.asked();
        common::only(asked, NAME, KNOWN)?;
        for (member, plain) in [("nicType", "Standard"), ("auxiliaryMode", "None"), ("auxiliarySku", "None")] {
            common::word(&asked[member], member, &[plain], plain)
                .map_err(|refusal| refusal.gap(format!("{NAME}: {member}")))?;
        }
        let group = common::reference(cx, &draft.id, &asked["networkSecurityGroup"], SECURITY_GROUP, draft.location())?;
        let configurations = address::configurations(cx, draft)?;
        let servers = asked["dnsSettings"]["dnsServers"].as_array().cloned().unwrap_or_default();
        let flag = |name: &str| asked[name].as_bool().unwrap_or_default();
        let mut properties = json!({
            "resourceGuid": common::guid(draft.old),
            "ipConfigurations": configurations,
            "dnsSettings": { "dnsServers": servers, "appliedDnsServers": [] },
            "enableAcceleratedNetworking": flag("enableAcceleratedNetworking"),
            "enableIPForwarding": flag("enableIPForwarding"),
            "disableTcpStateTracking": flag("disableTcpStateTracking"),
            "hostedWorkloads": [],
            "tapConfigurations": [],
            "nicType": "Standard",
            "auxiliaryMode": "None",
            "auxiliarySku": "None",
            "macAddress": draft.old.map_or_else(|| mac(cx), |old| old.body["properties"]["macAddress"].clone()),
        });
        if let Some(group) = group {
            properties["networkSecurityGroup"] = json!({ "id": group.id });
        }
        *draft.properties() = properties;
        Ok(())
    }

    fn may_delete(&self, cx: &Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
        match machine(cx, &resource.id)? {
            None => Ok(()),
            Some(machine) => Err(Refusal::new(
                400,
                "NicInUse",
                format!(
                    "Network Interface {} is used by existing resource {}. In order to delete the network interface, \
                     it must be dissociated from the resource. To learn more, see aka.ms/deletenic.",
                    resource.id, machine.id
                ),
            )),
        }
    }

    fn shown(&self, cx: &Cx<'_>, resource: &Resource) -> Result<Value, Refusal> {
        let mut body = common::shown(resource);
        let state = body["properties"]["provisioningState"].clone();
        for configuration in body["properties"]["ipConfigurations"].as_array_mut().into_iter().flatten() {
            configuration["properties"]["provisioningState"] = state.clone();
        }
        match machine(cx, &resource.id)? {
            Some(machine) => {
                body["properties"]["primary"] = is_primary(&machine, &resource.id).into();
                body["properties"]["virtualMachine"] = json!({ "id": machine.id });
            }
            // An interface has a hardware address once a machine has the interface.
            None => body["properties"]["macAddress"] = "".into(),
        }
        Ok(body)
    }
}

/// The machine that has an interface.
pub(crate) fn machine(cx: &Cx<'_>, interface: &str) -> Result<Option<Resource>, Refusal> {
    Ok(common::users_of(cx, interface, MACHINE)?.into_iter().next())
}

fn is_primary(machine: &Resource, interface: &str) -> bool {
    let all = machine.body["properties"]["networkProfile"]["networkInterfaces"].as_array();
    let all = all.map(Vec::as_slice).unwrap_or_default();
    all.len() == 1
        || all.iter().any(|entry| {
            let this = entry["id"].as_str().is_some_and(|id| id.eq_ignore_ascii_case(interface));
            this && entry["properties"]["primary"] == true
        })
}

/// A hardware address out of a range of Azure's.
fn mac(cx: &Cx<'_>) -> Value {
    let [a, b, c] = cx.random::<3>();
    format!("00-0D-3A-{a:02X}-{b:02X}-{c:02X}").into()
}

fn configurations(nic: &Resource) -> impl Iterator<Item = &Value> {
    nic.body["properties"]["ipConfigurations"].as_array().into_iter().flatten()
}

fn names(configuration: &Value, member: &str, id: &str) -> bool {
    configuration["properties"][member]["id"].as_str().is_some_and(|given| given.eq_ignore_ascii_case(id))
}

/// `{ "id": … }` of the IP configurations of an interface that lie in a subnet.
pub(super) fn in_subnet(nic: &Resource, subnet: &str) -> Vec<Value> {
    configurations(nic).filter(|c| names(c, "subnet", subnet)).map(|c| json!({ "id": c["id"] })).collect()
}

/// The IP configuration of an interface that has a public IP address.
pub(super) fn configuration<'a>(nic: &'a Resource, address: &str) -> Option<&'a Value> {
    configurations(nic).find(|c| names(c, "publicIPAddress", address))
}

/// Id of the IP configuration of an interface that has a public IP address.
pub(super) fn with_address(nic: &Resource, address: &str) -> Option<String> {
    configuration(nic, address)?["id"].as_str().map(str::to_owned)
}
