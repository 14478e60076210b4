//! Soft-deleted secrets on the data plane: delete, list, get, recover, purge.

use super::super::entries::SECRETS;
use super::super::keystore::{Deletion, KeyStore};
use super::super::requests::Page;
use super::super::{deleted_keys, keystore};
use super::store::{self, Secret, Version};
use super::{bundle, operations};
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;

/// The soft-deleted secret that a path names, with its newest version.
fn deleted(cx: &Cx<'_>, vault: &KeyStore, name: &str) -> Result<(Secret, Deletion, Version), Refusal> {
    let (secret, deletion) = SECRETS.deleted(cx, vault, name)?;
    let version = store::version(cx, secret.row, None)?.ok_or_else(|| SECRETS.missing(name))?;
    Ok((secret, deletion, version))
}

/// Soft-deletes a secret with all its versions (`DeleteSecret`).
pub(super) fn delete(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let vault = keystore::of_request(cx)?;
    let secret = operations::live(cx, &vault, p.get("secret"))?;
    let newest = operations::version_of(cx, &secret, p)?;
    let deletion = SECRETS.delete(cx, &vault, secret.row)?;
    let document = bundle::item(&vault, &secret, &newest, true);
    Ok(Answer::ok(&bundle::deleted(document, &vault, &secret, &deletion)))
}

/// Lists the soft-deleted secrets of a vault (`GetDeletedSecrets`).
pub(super) fn list(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let vault = keystore::of_request(cx)?;
    let page = Page::read(cx)?;
    let mut items = Vec::new();
    for secret in SECRETS.page(cx, &vault.label, true, &page.after, page.size + 1)? {
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
        return Err(SECRETS.missing(&secret.name));
    }
    let document = bundle::item(&vault, &secret, &newest, true);
    Ok(Answer::ok(&bundle::deleted(document, &vault, &secret, &deletion)))
}

/// Brings a soft-deleted secret back with all its versions (`RecoverDeletedSecret`).
pub(super) fn recover(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let vault = keystore::of_request(cx)?;
    let (secret, _, newest) = deleted(cx, &vault, p.get("secret"))?;
    SECRETS.check_settled(cx, &secret)?;
    SECRETS.mark_live(cx, secret.row)?;
    Ok(Answer::ok(&bundle::item(&vault, &secret, &newest, true)))
}

/// Destroys a soft-deleted secret (`PurgeDeletedSecret`); refused under purge protection.
pub(super) fn purge(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let vault = keystore::of_request(cx)?;
    let (secret, ..) = deleted(cx, &vault, p.get("secret"))?;
    deleted_keys::check_purge(&vault)?;
    SECRETS.check_settled(cx, &secret)?;
    store::purge(cx, secret.row)?;
    Ok(Answer::empty(204))
}
