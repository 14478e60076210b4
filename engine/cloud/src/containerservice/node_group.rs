//! The resource group of a cluster's nodes, with the identity of their kubelets in it.

use serde_json::{Value, json};

use crate::cx::Cx;
use crate::managedidentity;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::resources::groups;
use crate::store::resources::Resource;

/// Makes the group and the identity; the cluster's `identityProfile`.
pub(super) fn make(cx: &mut Cx<'_>, cluster: &Resource) -> Result<Value, Refusal> {
    let name = cluster.body["properties"]["nodeResourceGroup"].as_str().unwrap_or_default();
    let location = cluster.location.as_deref().unwrap_or_default();
    groups::make_managed(cx, &cluster.subscription, name, location, &cluster.id)?;
    let id = ResourceId::resource(
        &cluster.subscription,
        name,
        managedidentity::USER_ASSIGNED,
        &format!("{}-agentpool", cluster.name),
    );
    let kubelet = managedidentity::create(cx, &id, location)?;
    let properties = &kubelet.body["properties"];
    Ok(json!({ "kubeletidentity": {
        "resourceId": kubelet.id,
        "clientId": properties["clientId"],
        "objectId": properties["principalId"],
    } }))
}

/// Deletes the group with all that is in it.
pub(super) fn remove(cx: &mut Cx<'_>, cluster: &Resource) -> Result<(), Refusal> {
    let name = cluster.body["properties"]["nodeResourceGroup"].as_str().unwrap_or_default();
    let id = format!("/subscriptions/{}/resourceGroups/{name}", cluster.subscription);
    match cx.resource(&id)? {
        Some(group) if group.body["managedBy"] == cluster.id.as_str() => groups::remove(cx, &group),
        _ => Ok(()),
    }
}
