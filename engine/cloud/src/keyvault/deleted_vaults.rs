//! Soft-deleted vaults on Azure Resource Manager: list, get, purge.

use chrono::Duration;
use serde_json::{Value, json};

use super::keystore::{Deletion, KeyStore, Kind};
use super::{NAMESPACE, store};
use crate::arm::answers;
use crate::cx::Cx;
use crate::http::Answer;
use crate::lro::{self, Lro, NewLro};
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::store::millis;

/// Name of the long-running operation that purges a vault.
pub(super) const PURGE: &str = "purge-vault";

/// Lists the soft-deleted vaults of a subscription (`Vaults_ListDeleted`).
pub(super) fn list(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let vaults = store::deleted_keystores(cx, Kind::Vault, p.get("subscription"))?;
    let documents: Vec<Value> =
        vaults.iter().filter_map(|v| v.deletion.as_ref().map(|deletion| v.deleted_document(deletion))).collect();
    Ok(Answer::ok(&json!({ "value": documents })))
}

/// The soft-deleted vault that a path names.
fn deleted(cx: &Cx<'_>, p: &Params) -> Result<(KeyStore, Deletion), Refusal> {
    let name = p.get("vault");
    let here = |keystore: &KeyStore| {
        keystore.subscription.eq_ignore_ascii_case(p.get("subscription"))
            && keystore.location().eq_ignore_ascii_case(&p.get("location").replace(' ', ""))
    };
    store::keystore(cx, name)?
        .filter(here)
        .and_then(|keystore| keystore.deletion.map(|deletion| (keystore, deletion)))
        .ok_or_else(|| {
            let message = format!("The specified deleted vault '{name}' does not exist.");
            Refusal::new(404, "DeletedVaultNotFound", message)
        })
}

/// Answers a soft-deleted vault (`Vaults_GetDeleted`).
pub(super) fn get(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let (keystore, deletion) = deleted(cx, p)?;
    Ok(Answer::ok(&keystore.deleted_document(&deletion)))
}

/// Starts a purge (`Vaults_PurgeDeleted`): 202 with a `Location` to poll.
pub(super) fn purge(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let (keystore, deletion) = deleted(cx, p)?;
    if keystore.purge_protected() {
        return Err(Refusal::new(405, "MethodNotAllowed", "Operation 'DeletedVaultPurge' is not allowed."));
    }
    let document = keystore.deleted_document(&deletion);
    let id = document["id"].as_str().unwrap_or_default();
    // The deletion belongs to the purge: a vault that is recovered and deleted again is another matter.
    let payload = json!({ "vault": keystore.name, "deleted": millis(deletion.at) });
    let under_way = match lro::in_progress(cx.tx, id)?.filter(|lro| lro.payload == payload) {
        Some(lro) => lro,
        None => cx.start(NewLro {
            provider: NAMESPACE,
            kind: PURGE,
            resource: id,
            payload,
            takes: Duration::milliseconds(500),
        })?,
    };
    let path = format!(
        "/subscriptions/{}/providers/{NAMESPACE}/locations/{}/operationResults/{}",
        keystore.subscription,
        keystore.location(),
        under_way.id
    );
    let location = answers::location(&path, answers::api_version(cx), false);
    Ok(answers::started(cx, &under_way, Answer::empty(202).header("location", location)))
}

/// Finishes a purge. A vault that was recovered meanwhile stays.
pub(super) fn complete(cx: &Cx<'_>, lro: &Lro) -> Result<Option<Value>, Refusal> {
    let name = lro.payload["vault"].as_str().unwrap_or_default();
    let deletion = store::keystore(cx, name)?.and_then(|keystore| keystore.deletion);
    if deletion.is_some_and(|deletion| lro.payload["deleted"] == millis(deletion.at)) {
        store::purge_keystore(cx, name)?;
    }
    Ok(Some(json!({ "status": "Succeeded" })))
}
