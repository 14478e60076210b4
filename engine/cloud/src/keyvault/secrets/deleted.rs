//! Soft-deleted secrets on the data plane: delete, list, get, recover, purge.
//!
//! As with keys, Azure answers a delete at once and finishes it a little later.

use super::super::keystore::{Deletion, KeyStore};
use super::super::requests::{self, Page};
use super::super::{deleted_keys, keystore};
use super::store::{self, Secret, Version};
use super::{bundle, operations};
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;

fn conflict(message: String, inner: &str) -> Refusal {
    Refusal::new(409, "Conflict", message).inner(inner)
}

/// Refuses the name of a soft-deleted secret for a new one.
pub(super) fn name_taken(cx: &Cx<'_>, secret: &Secret) -> Refusal {
    if cx.now < secret.settled {
        let message =
            format!("Secret {} is currently being deleted and cannot be re-created; retry later.", secret.name);
        return conflict(message, "ObjectIsBeingDeleted");
    }
    conflict(
        format!(
            "Secret {} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the \
             secret can only be recovered or purged.",
            secret.name
        ),
        "ObjectIsDeletedButRecoverable",
    )
}

/// The soft-deleted secret that a path names, with its newest version.
fn deleted(cx: &Cx<'_>, vault: &KeyStore, name: &str) -> Result<(Secret, Deletion, Version), Refusal> {
    requests::check_key_name(name)?;
    let secret = store::secret(cx, &vault.label, name)?.ok_or_else(|| missing(name))?;
    let deletion = secret.deletion.ok_or_else(|| missing(name))?;
    let version = store::version(cx, secret.row, None)?.ok_or_else(|| missing(name))?;
    Ok((secret, deletion, version))
}

fn missing(name: &str) -> Refusal {
    Refusal::new(404, "SecretNotFound", format!("Deleted Secret not found: {name}"))
}

/// Refuses to work on a secret whose deletion is under way.
fn settled(cx: &Cx<'_>, secret: &Secret) -> Result<(), Refusal> {
    if cx.now < secret.settled {
        let message = format!("Secret {} is currently being deleted.", secret.name);
        return Err(conflict(message, "ObjectIsBeingDeleted"));
    }
    Ok(())
}

/// Soft-deletes a secret with all its versions (`DeleteSecret`).
pub(super) fn delete(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let vault = keystore::of_request(cx)?;
    let secret = operations::live(cx, &vault, p.get("secret"))?;
    let newest = operations::version_of(cx, &secret, p)?;
    let deletion = Deletion::now(cx, vault.retention());
    store::mark_deleted(cx, secret.row, &deletion, cx.now + deleted_keys::SETTLING)?;
    let document = bundle::item(&vault, &secret, &newest, true);
    Ok(Answer::ok(&bundle::deleted(document, &vault, &secret, &deletion)))
}

/// Lists the soft-deleted secrets of a vault (`GetDeletedSecrets`).
pub(super) fn list(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let vault = keystore::of_request(cx)?;
    let page = Page::read(cx)?;
    let mut items = Vec::new();
    for secret in store::secrets(cx, &vault.label, true, &page.after, page.size + 1)? {
        if let (Some(deletion), Some(newest)) = (secret.deletion, store::version(cx, secret.row, None)?) {
            let document = bundle::item(&vault, &secret, &newest, false);
            items.push((secret.name.clone(), bundle::deleted(document, &vault, &secret, &deletion)));
        }
    }
    Ok(Answer::ok(&page.answer(cx, items)))
}

/// Answers a soft-deleted secret without its value (`GetDeletedSecret`); not found while the deletion is under way.
pub(super) fn get(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let vault = keystore::of_request(cx)?;
    let (secret, deletion, newest) = deleted(cx, &vault, p.get("secret"))?;
    if cx.now < secret.settled {
        return Err(missing(&secret.name));
    }
    let document = bundle::item(&vault, &secret, &newest, true);
    Ok(Answer::ok(&bundle::deleted(document, &vault, &secret, &deletion)))
}

/// Brings a soft-deleted secret back with all its versions (`RecoverDeletedSecret`).
pub(super) fn recover(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let vault = keystore::of_request(cx)?;
    let (secret, _, newest) = deleted(cx, &vault, p.get("secret"))?;
    settled(cx, &secret)?;
    store::mark_live(cx, secret.row)?;
    Ok(Answer::ok(&bundle::item(&vault, &secret, &newest, true)))
}

/// Destroys a soft-deleted secret (`PurgeDeletedSecret`); refused under purge protection.
pub(super) fn purge(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let vault = keystore::of_request(cx)?;
    let (secret, ..) = deleted(cx, &vault, p.get("secret"))?;
    deleted_keys::check_purge(&vault)?;
    settled(cx, &secret)?;
    store::purge(cx, secret.row)?;
    Ok(Answer::empty(204))
}
