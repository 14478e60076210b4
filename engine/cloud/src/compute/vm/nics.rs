//! `networkProfile`: the network interfaces of a machine.

use serde_json::{Value, json};

use super::body::{invalid, missing, only, word};
use crate::arm::kind::Draft;
use crate::arm::linked;
use crate::compute::sizes::Size;
use crate::cx::Cx;
use crate::network::nic;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;

/// Checks a `networkProfile` and returns it.
pub(super) fn check(cx: &Cx<'_>, draft: &Draft<'_>, given: &Value, size: &Size) -> Result<Value, Refusal> {
    only(given, "networkProfile", &["networkInterfaces", "networkApiVersion"])?;
    let interfaces = given["networkInterfaces"].as_array().map(Vec::as_slice).unwrap_or_default();
    if interfaces.is_empty() {
        return Err(missing("networkProfile"));
    }
    if interfaces.len() > size.interfaces {
        return Err(Refusal::new(
            409,
            "OperationNotAllowed",
            format!(
                "The number of network interfaces for virtual machine {} exceeds the maximum allowed for the virtual \
                 machine size {}. The number of network interfaces is {} and the maximum allowed is {}.",
                draft.id.name(),
                size.name,
                interfaces.len(),
                size.interfaces
            ),
        ));
    }
    let primaries = interfaces.iter().filter(|nic| nic["properties"]["primary"] == true).count();
    if primaries > 1 || (interfaces.len() > 1 && primaries == 0) {
        return Err(Refusal::new(
            400,
            "VirtualMachineMustHaveOneNetworkInterfaceAsPrimary",
            format!("Virtual machine {} must have one network interface set as the primary.", draft.id.name()),
        ));
    }
    let mut shown: Vec<Value> = Vec::new();
    for interface in interfaces {
        let entry = one(cx, draft, interface)?;
        if shown.iter().any(|other| other["id"] == entry["id"]) {
            return Err(invalid("networkProfile.networkInterfaces.id", "A network interface is named twice."));
        }
        shown.push(entry);
    }
    Ok(json!({ "networkInterfaces": shown }))
}

fn one(cx: &Cx<'_>, draft: &Draft<'_>, given: &Value) -> Result<Value, Refusal> {
    let Some(id) = given["id"].as_str() else { return Err(missing("networkProfile.networkInterfaces.id")) };
    let is_interface = ResourceId::parse(id).is_some_and(|id| id.kind().eq_ignore_ascii_case(nic::NAME));
    if !is_interface {
        return Err(invalid("networkProfile.networkInterfaces.id", &format!("Id '{id}' is no network interface.")));
    }
    let found = linked::require(cx, &draft.id, id, "Microsoft.Network/networkInterfaces/join/action")?;
    if found.location.as_deref() != Some(draft.location()) {
        return Err(Refusal::new(
            400,
            "InvalidResourceReference",
            format!(
                "Resource {id} referenced by resource {} was not found. Please make sure that the referenced resource \
                 exists, and that both resources are in the same region.",
                draft.id
            ),
        ));
    }
    let other = nic::machine(cx, &found.id)?.filter(|machine| !machine.id.eq_ignore_ascii_case(&draft.id.to_string()));
    if let Some(other) = other {
        return Err(Refusal::new(
            400,
            "NicInUse",
            format!("Network Interface {} is used by existing resource {}.", found.id, other.id),
        ));
    }
    let mut entry = json!({ "id": found.id });
    let properties = &given["properties"];
    only(properties, "networkProfile.networkInterfaces.properties", &["primary", "deleteOption"])?;
    if properties["primary"].is_boolean() {
        entry["properties"]["primary"] = properties["primary"].clone();
    }
    if !properties["deleteOption"].is_null() {
        let option = word(&properties["deleteOption"], "networkInterfaces.deleteOption", &["Delete", "Detach"])?;
        if option == "Delete" && !goes_already(draft, &found.id) {
            // It will be deleted in the name of whoever deletes the machine, who may have no right to it.
            linked::authorize(cx, &draft.id, &found.id, "Microsoft.Network/networkInterfaces/delete")?;
        }
        entry["properties"]["deleteOption"] = option.into();
    }
    Ok(entry)
}

/// Whether the machine is to take an interface with it since an earlier request.
fn goes_already(draft: &Draft<'_>, interface: &str) -> bool {
    let held = draft.old.and_then(|old| old.body["properties"]["networkProfile"]["networkInterfaces"].as_array());
    held.into_iter().flatten().any(|held| {
        held["id"].as_str().is_some_and(|id| id.eq_ignore_ascii_case(interface))
            && held["properties"]["deleteOption"] == "Delete"
    })
}
