//! Agent pools as resources of their own.
//!
//! Source: <https://learn.microsoft.com/rest/api/aks/agent-pools>.

use chrono::Duration;
use serde_json::Value;

use super::{API, CLUSTERS, POOLS, cluster, encryption, network, profile, sizes, versions};
use crate::arm::kind::{Draft, Facts, Kind, Style};
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::store::resources::Resource;

/// The type.
pub(super) struct AgentPool;

const FACTS: Facts =
    Facts { takes: Duration::milliseconds(500), tracked: false, ..Facts::new(POOLS, API, Style::Created) };

impl Kind for AgentPool {
    fn facts(&self) -> &Facts {
        &FACTS
    }

    fn shown(&self, cx: &Cx<'_>, pool: &Resource) -> Result<Value, Refusal> {
        let mut body = pool.body.clone();
        if let Some(body) = body.as_object_mut() {
            body.shift_remove("systemData");
        }
        if let Some(properties) = body["properties"].as_object_mut() {
            *properties = profile::known(cx, std::mem::take(properties));
        }
        Ok(body)
    }

    fn check_name(&self, name: &str) -> Result<(), Refusal> {
        profile::check_name(name)
    }

    fn apply(&self, cx: &mut Cx<'_>, draft: &mut Draft<'_>) -> Result<(), Refusal> {
        let id = draft.id.to_string();
        let owner = cluster_of(cx, &id)?;
        cluster::check_idle(cx, &owner.id)?;
        cluster::check_idle(cx, &id)?;
        let properties = &owner.body["properties"];
        let version = versions::resolve(properties["kubernetesVersion"].as_str())?;
        let old = draft.old.map(|old| &old.body["properties"]);
        let settled = profile::settle(draft.asked(), old, &version, &properties["networkProfile"])?;
        let location = owner.location.as_deref().unwrap_or_default();
        if let Some(subnet) = settled["vnetSubnetID"].as_str() {
            network::join(cx, &draft.id, location, subnet, &properties["networkProfile"])?;
        }
        sizes::check(cx, &owner.subscription, location, &[profile::nodes(&settled)], &id)?;
        if settled["mode"] != "System" && is_last_system_pool(cx, &owner.id, draft.id.name())? {
            return Err(cluster::no_system_pool());
        }
        *draft.properties() = settled;
        Ok(())
    }

    fn finish(&self, cx: &mut Cx<'_>, verb: &str, _: &Value, pool: &mut Resource) -> Result<Option<Value>, Refusal> {
        if verb == crate::arm::resource::PUT {
            let owner = cluster_of(cx, &pool.id)?;
            encryption::try_key(cx, &owner)?;
        }
        Ok(None)
    }

    fn may_delete(&self, cx: &Cx<'_>, pool: &Resource) -> Result<(), Refusal> {
        let owner = cluster_of(cx, &pool.id)?;
        if is_last_system_pool(cx, &owner.id, &pool.name)? { Err(cluster::no_system_pool()) } else { Ok(()) }
    }
}

fn cluster_of(cx: &Cx<'_>, pool: &str) -> Result<Resource, Refusal> {
    let parent = ResourceId::parse(pool).and_then(|id| id.parent());
    let found = parent.map(|id| cx.resource(&id.to_string())).transpose()?.flatten();
    found
        .filter(|cluster| cluster.kind.eq_ignore_ascii_case(CLUSTERS))
        .ok_or_else(|| Refusal::internal(format!("the agent pool {pool} has no cluster")))
}

/// Whether a cluster has no system pool besides this one.
fn is_last_system_pool(cx: &Cx<'_>, cluster: &str, name: &str) -> Result<bool, Refusal> {
    let pools = cluster::pools(cx, cluster)?;
    Ok(!pools.iter().any(|pool| pool.name != name && pool.body["properties"]["mode"] == "System"))
}
