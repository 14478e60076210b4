//! Soft-deleted vaults and managed HSMs on Azure Resource Manager: list, get, purge.

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

/// Name of the long-running operation that purges a key store.
pub(super) const PURGE: &str = "purge-vault";

/// Lists the soft-deleted ones of a subscription (`Vaults_ListDeleted`, `ManagedHsms_ListDeleted`).
pub(super) fn list(cx: &Cx<'_>, p: &Params, kind: Kind) -> Result<Answer, Refusal> {
    let found = store::deleted_keystores(cx, kind, p.get("subscription"))?;
    let documents: Vec<Value> =
        found.iter().filter_map(|k| k.deletion.as_ref().map(|deletion| k.deleted_document(deletion))).collect();
    Ok(Answer::ok(&json!({ "value": documents })))
}

/// The soft-deleted one that a path names.
fn deleted(cx: &Cx<'_>, p: &Params, kind: Kind) -> Result<(KeyStore, Deletion), Refusal> {
    let name = p.get("name");
    let here = |keystore: &KeyStore| {
        keystore.subscription.eq_ignore_ascii_case(p.get("subscription"))
            && keystore.location().eq_ignore_ascii_case(&p.get("location").replace(' ', ""))
    };
    let found = store::keystore(cx, &kind.label(name))?.filter(here);
    found.and_then(|keystore| keystore.deletion.map(|deletion| (keystore, deletion))).ok_or_else(|| {
        let code = match kind {
            Kind::Vault => "DeletedVaultNotFound",
            Kind::Hsm => "DeletedManagedHsmNotFound",
        };
        Refusal::new(404, code, format!("The specified deleted {} '{name}' does not exist.", kind.noun()))
    })
}

/// Answers a soft-deleted one (`Vaults_GetDeleted`, `ManagedHsms_GetDeleted`).
pub(super) fn get(cx: &Cx<'_>, p: &Params, kind: Kind) -> Result<Answer, Refusal> {
    let (keystore, deletion) = deleted(cx, p, kind)?;
    Ok(Answer::ok(&keystore.deleted_document(&deletion)))
}

/// Starts a purge (`Vaults_PurgeDeleted`, `ManagedHsms_PurgeDeleted`): 202 with a `Location` to poll.
pub(super) fn purge(cx: &mut Cx<'_>, p: &Params, kind: Kind) -> Result<Answer, Refusal> {
    let (keystore, deletion) = deleted(cx, p, kind)?;
    if keystore.purge_protected() {
        let operation = match kind {
            Kind::Vault => "DeletedVaultPurge",
            Kind::Hsm => "DeletedManagedHsmPurge",
        };
        return Err(Refusal::new(405, "MethodNotAllowed", format!("Operation '{operation}' is not allowed.")));
    }
    let document = keystore.deleted_document(&deletion);
    let id = document["id"].as_str().unwrap_or_default();
    // The deletion belongs to the purge: a key store that is recovered and deleted again is another matter.
    let payload = json!({ "vault": keystore.label, "deleted": millis(deletion.at) });
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
    Ok(started(cx, &keystore, &under_way))
}

/// Answers 202 with the address at which an operation on a key store is polled.
pub(super) fn started(cx: &Cx<'_>, keystore: &KeyStore, under_way: &Lro) -> Answer {
    let results = match keystore.kind {
        Kind::Vault => "operationResults",
        Kind::Hsm => "managedHsmOperationResults",
    };
    let path = format!(
        "/subscriptions/{}/providers/{NAMESPACE}/locations/{}/{results}/{}",
        keystore.subscription,
        keystore.location(),
        under_way.id
    );
    let location = answers::location(&path, answers::api_version(cx), false);
    answers::started(cx, under_way, Answer::empty(202).header("location", location))
}

/// Finishes a purge. A key store that was recovered meanwhile stays.
pub(super) fn complete(cx: &Cx<'_>, lro: &Lro) -> Result<Option<Value>, Refusal> {
    let label = lro.payload["vault"].as_str().unwrap_or_default();
    let deletion = store::keystore(cx, label)?.and_then(|keystore| keystore.deletion);
    if deletion.is_some_and(|deletion| lro.payload["deleted"] == millis(deletion.at)) {
        store::purge_keystore(cx, label)?;
    }
    Ok(Some(json!({ "status": "Succeeded" })))
}
