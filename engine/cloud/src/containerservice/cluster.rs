//! Clusters. Their pools are resources of their own; a cluster's document shows them all the same.
//!
//! Source: <https://learn.microsoft.com/rest/api/aks/managed-clusters>.

use chrono::Duration;
use serde_json::{Value, json};

use super::versions::{self, Version};
use super::{
    API, CLUSTERS, POOLS, credentials, encryption, fixed, invalid, network, node_group, profile, properties, sizes,
};
use crate::arm::kind::{Change, Draft, Facts, Kind, Style};
use crate::arm::resource::{self, id_of};
use crate::cx::Cx;
use crate::lro;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::store::resources::{self, Filter, Resource};

/// Verbs of the operations that start and stop a cluster's nodes.
pub(super) const START: &str = "start";
/// See [`START`].
pub(super) const STOP: &str = "stop";

/// The type.
pub(super) struct Cluster;

const FACTS: Facts =
    Facts { takes: Duration::milliseconds(800), identities: true, ..Facts::new(CLUSTERS, API, Style::Created) };

impl Kind for Cluster {
    fn facts(&self) -> &Facts {
        &FACTS
    }

    fn check_name(&self, name: &str) -> Result<(), Refusal> {
        let fits = (1..=63).contains(&name.len())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.ends_with(|c: char| c.is_ascii_alphanumeric());
        if fits {
            return Ok(());
        }
        Err(invalid(
            "resourceName",
            format!("'{name}' has not 1 to 63 letters, digits, '-' and '_' with a letter or digit at both ends"),
        ))
    }

    fn apply(&self, cx: &mut Cx<'_>, draft: &mut Draft<'_>) -> Result<(), Refusal> {
        if draft.change != Change::Create {
            check_idle(cx, &draft.id.to_string())?;
        }
        match draft.change {
            // The operation updates tags, and its body has nothing else.
            Change::Update => match draft.given.as_object().into_iter().flatten().find(|(name, _)| *name != "tags") {
                Some((name, _)) => Err(invalid(name, "this operation updates tags alone")),
                None => Ok(()),
            },
            Change::Create => create(cx, draft),
            Change::Replace => replace(cx, draft),
        }
    }

    fn stored(&self, cx: &mut Cx<'_>, cluster: &Resource) -> Result<(), Refusal> {
        let mut body = cluster.body.clone();
        let pools =
            body["properties"].as_object_mut().and_then(|properties| properties.shift_remove("agentPoolProfiles"));
        for pool in pools.iter().filter_map(Value::as_array).flatten() {
            let mut pool = pool.clone();
            let name = pool.as_object_mut().and_then(|pool| pool.shift_remove("name"));
            let id = format!("{}/agentPools/{}", cluster.id, name.as_ref().and_then(Value::as_str).unwrap_or_default());
            let id = ResourceId::parse(&id).ok_or_else(|| Refusal::internal(format!("{id} is no resource id")))?;
            pool["provisioningState"] = "Succeeded".into();
            resources::put(cx.tx, &id, json!({ "properties": pool }), cx.now)?;
        }
        if body["properties"]["identityProfile"].is_null() {
            body["properties"]["identityProfile"] = node_group::make(cx, cluster)?;
            credentials::create(cx, &cluster.id)?;
        }
        resources::put(cx.tx, &id_of(cluster)?, body, cx.now)?;
        Ok(())
    }

    fn finish(&self, cx: &mut Cx<'_>, verb: &str, _: &Value, cluster: &mut Resource) -> Result<Option<Value>, Refusal> {
        let state = &cluster.body["properties"]["powerState"]["code"];
        if verb == START || verb == resource::PUT && state != "Stopped" {
            encryption::try_key(cx, cluster)?;
        }
        let power = match verb {
            START => "Running",
            STOP => "Stopped",
            _ => return Ok(None),
        };
        cluster.body["properties"]["powerState"]["code"] = power.into();
        cluster.body["properties"]["provisioningState"] = "Succeeded".into();
        for mut pool in pools(cx, &cluster.id)? {
            pool.body["properties"]["powerState"]["code"] = power.into();
            resources::put(cx.tx, &id_of(&pool)?, pool.body, cx.now)?;
        }
        Ok(None)
    }

    fn destroy(&self, cx: &mut Cx<'_>, cluster: &Resource) -> Result<(), Refusal> {
        node_group::remove(cx, cluster)?;
        credentials::delete(cx, &cluster.id)
    }

    fn shown(&self, cx: &Cx<'_>, cluster: &Resource) -> Result<Value, Refusal> {
        let mut body = cluster.body.clone();
        if let Some(body) = body.as_object_mut() {
            body.shift_remove("systemData");
        }
        let state = body["properties"]["provisioningState"].clone();
        let mut shown = Vec::new();
        for pool in pools(cx, &cluster.id)? {
            let mut entry = json!({ "name": pool.name });
            if let (Some(entry), Some(properties)) = (entry.as_object_mut(), pool.body["properties"].as_object()) {
                entry.extend(profile::known(cx, properties.clone()));
            }
            if state == "Creating" || state == "Failed" {
                entry["provisioningState"] = state.clone();
            }
            shown.push(entry);
        }
        body["properties"]["agentPoolProfiles"] = shown.into();
        Ok(body)
    }
}

/// The pools of a cluster, in order of name.
pub(super) fn pools(cx: &Cx<'_>, cluster: &str) -> Result<Vec<Resource>, Refusal> {
    cx.resources(Filter { below: Some(cluster), kind: Some(POOLS), ..Filter::default() })
}

/// Refuses a change while another one is under way.
pub(super) fn check_idle(cx: &Cx<'_>, id: &str) -> Result<(), Refusal> {
    let Some(running) = lro::in_progress(cx.tx, id)? else { return Ok(()) };
    Err(Refusal::new(
        409,
        "OperationNotAllowed",
        format!(
            "Operation is not allowed because there's an in progress {} operation on the managed cluster. Please wait \
             for it to finish before starting a new operation.",
            running.kind
        ),
    ))
}

fn create(cx: &mut Cx<'_>, draft: &mut Draft<'_>) -> Result<(), Refusal> {
    properties::check_known(draft.given)?;
    check_identity(&draft.body["identity"])?;
    let asked = draft.asked().clone();
    let location = draft.location().to_owned();
    let uid = hex::encode(cx.random::<12>());
    let group = draft.id.group().unwrap_or_default();
    let mut cluster = properties::fresh(&asked, group, draft.id.name(), &location, &uid)?;
    let version = versions::resolve(asked["kubernetesVersion"].as_str())?;
    state_version(&mut cluster, &version);
    if let Some(linux) = properties::linux(&asked["linuxProfile"])? {
        cluster["linuxProfile"] = linux;
    }
    if let Some(set) = asked["diskEncryptionSetID"].as_str() {
        encryption::check(cx, &draft.id, &location, set)?;
        cluster["diskEncryptionSetID"] = set.into();
    }
    let profiles = profiles(cx, draft, &asked, &version, &cluster["networkProfile"])?;
    cluster["agentPoolProfiles"] = profiles.into();
    let tier = draft.given["sku"]["tier"].as_str().unwrap_or("Free").to_owned();
    draft.body["sku"] = json!({ "name": "Base", "tier": tier });
    *draft.properties() = cluster;
    Ok(())
}

fn replace(cx: &mut Cx<'_>, draft: &mut Draft<'_>) -> Result<(), Refusal> {
    properties::check_known(draft.given)?;
    check_identity(&draft.body["identity"])?;
    let asked = draft.asked().clone();
    let old = draft.old.map(|old| old.body.clone()).unwrap_or_default();
    let mut cluster = old["properties"].clone();
    properties::check_fixed(&asked, &cluster)?;
    let before = cluster["currentKubernetesVersion"].as_str().unwrap_or_default().to_owned();
    let wanted = asked["kubernetesVersion"].as_str().filter(|wanted| !wanted.is_empty());
    let wanted = wanted.or(cluster["kubernetesVersion"].as_str());
    let version = versions::resolve(wanted)?;
    versions::check_upgrade(&before, version.current)?;
    state_version(&mut cluster, &version);
    if let Some(linux) = properties::linux(&asked["linuxProfile"])? {
        cluster["linuxProfile"] = linux;
    }
    if !asked["agentPoolProfiles"].is_null() {
        cluster["agentPoolProfiles"] = profiles(cx, draft, &asked, &version, &cluster["networkProfile"])?.into();
    }
    let tier = draft.given["sku"]["tier"].as_str().or(old["sku"]["tier"].as_str()).unwrap_or("Free").to_owned();
    draft.body["sku"] = json!({ "name": "Base", "tier": tier });
    *draft.properties() = cluster;
    Ok(())
}

fn state_version(cluster: &mut Value, version: &Version) {
    cluster["kubernetesVersion"] = version.asked.clone().into();
    cluster["currentKubernetesVersion"] = version.current.into();
}

/// A cluster acts as one identity: its own or one that it is given.
fn check_identity(identity: &Value) -> Result<(), Refusal> {
    let held = identity["userAssignedIdentities"].as_object().map_or(0, serde_json::Map::len);
    match identity["type"].as_str() {
        Some("SystemAssigned") => Ok(()),
        Some("UserAssigned") if held == 1 => Ok(()),
        _ => Err(invalid("identity", "a cluster has a system-assigned identity or exactly one user-assigned identity")),
    }
}

/// The pools that a body asks for, checked together.
fn profiles(
    cx: &Cx<'_>,
    draft: &Draft<'_>,
    asked: &Value,
    version: &Version,
    network: &Value,
) -> Result<Vec<Value>, Refusal> {
    let id = draft.id.to_string();
    let before = pools(cx, &id)?;
    let mut profiles: Vec<Value> = Vec::new();
    for given in asked["agentPoolProfiles"].as_array().into_iter().flatten() {
        let name = given["name"].as_str().unwrap_or_default();
        profile::check_name(name)?;
        if profiles.iter().any(|other| other["name"] == name) {
            return Err(invalid("agentPoolProfile.name", format!("there are two agent pools '{name}'")));
        }
        let old = before.iter().find(|pool| pool.name == name).map(|pool| &pool.body["properties"]);
        let mut settled = profile::settle(given, old, version, network)?;
        if let Some(subnet) = settled["vnetSubnetID"].as_str() {
            network::join(cx, &draft.id, draft.location(), subnet, network)?;
        }
        settled["name"] = name.into();
        profiles.push(settled);
    }
    if before.iter().any(|pool| !profiles.iter().any(|profile| profile["name"] == pool.name.as_str())) {
        return Err(fixed("properties.agentPoolProfiles"));
    }
    if !profiles.iter().any(|profile| profile["mode"] == "System") {
        return Err(no_system_pool());
    }
    let nodes: Vec<sizes::Nodes> = profiles.iter().map(profile::nodes).collect();
    sizes::check(cx, draft.id.subscription().unwrap_or_default(), draft.location(), &nodes, &id)?;
    Ok(profiles)
}

/// Refuses a cluster without nodes for its own pods.
pub(super) fn no_system_pool() -> Refusal {
    Refusal::new(400, "MustDefineAtLeastOneSystemPool", "Must define at least one system pool.")
}
