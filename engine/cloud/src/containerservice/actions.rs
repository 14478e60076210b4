//! Actions on clusters: kubeconfigs, start and stop.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{cluster, credentials};
use crate::arm::resource;
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;

fn kubeconfig(cx: &Cx<'_>, user: &str) -> Result<Answer, Refusal> {
    let (_, cluster) = resource::subject(cx)?;
    let text = credentials::kubeconfig(cx, &cluster, user)?;
    Ok(Answer::ok(&json!({ "kubeconfigs": [{ "name": user, "value": STANDARD.encode(text.expose()) }] })))
}

/// `ManagedClusters_ListClusterAdminCredentials`.
pub(super) fn admin(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    kubeconfig(cx, "clusterAdmin")
}

/// `ManagedClusters_ListClusterUserCredentials`. Without Microsoft Entra integration a user is an administrator.
pub(super) fn user(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    kubeconfig(cx, "clusterUser")
}

/// `ManagedClusters_Start`.
pub(super) fn start(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    act(cx, cluster::START, "Starting")
}

/// `ManagedClusters_Stop`.
pub(super) fn stop(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    act(cx, cluster::STOP, "Stopping")
}

fn act(cx: &mut Cx<'_>, verb: &'static str, state: &str) -> Result<Answer, Refusal> {
    let (kind, mut cluster) = resource::subject(cx)?;
    cluster::check_idle(cx, &cluster.id)?;
    cluster.body["properties"]["provisioningState"] = state.into();
    let id = resource::id_of(&cluster)?;
    let cluster = cx.put_resource(&id, cluster.body)?;
    resource::act(cx, kind, &cluster, verb, serde_json::Value::Null)
}
