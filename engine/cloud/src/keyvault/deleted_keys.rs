//! Soft-deleted keys on the data plane: delete, list, get, recover, purge.

use super::entries::KEYS;
use super::keystore::{Deletion, KeyStore};
use super::requests::Page;
use super::store::{self, Key, Version};
use super::{bundle, keys, keystore};
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;

/// The soft-deleted key that a path names, with its newest version.
fn deleted(cx: &Cx<'_>, keystore: &KeyStore, name: &str) -> Result<(Key, Deletion, Version), Refusal> {
    let (key, deletion) = KEYS.deleted(cx, keystore, name)?;
    let version = store::version(cx, key.row, None)?.ok_or_else(|| KEYS.missing(name))?;
    Ok((key, deletion, version))
}

/// Soft-deletes a key with all its versions (`DeleteKey`).
pub(super) fn delete(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let keystore = keystore::of_request(cx)?;
    let key = keys::live(cx, &keystore, p.get("key"))?;
    let newest = keys::version_of(cx, &key, p)?;
    let deletion = KEYS.delete(cx, &keystore, key.row)?;
    let document = bundle::bundle(&keystore, &key, &newest);
    Ok(Answer::ok(&bundle::deleted(document, &keystore, &key, &deletion)))
}

/// Lists the soft-deleted keys of a vault (`GetDeletedKeys`).
pub(super) fn list(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let keystore = keystore::of_request(cx)?;
    let page = Page::read(cx)?;
    let mut items = Vec::new();
    for key in KEYS.page(cx, &keystore.label, true, &page.after, page.size + 1)? {
        if let (Some(deletion), Some(newest)) = (key.deletion, store::version(cx, key.row, None)?) {
            let document = bundle::item(&keystore, &key, &newest, false);
            items.push((key.name.clone(), bundle::deleted(document, &keystore, &key, &deletion)));
        }
    }
    Ok(Answer::ok(&page.answer(cx, items)))
}

/// Answers a soft-deleted key (`GetDeletedKey`); not found while the deletion is under way, as in Azure.
pub(super) fn get(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let keystore = keystore::of_request(cx)?;
    let (key, deletion, newest) = deleted(cx, &keystore, p.get("key"))?;
    if cx.now < key.settled {
        return Err(KEYS.missing(&key.name));
    }
    let document = bundle::bundle(&keystore, &key, &newest);
    Ok(Answer::ok(&bundle::deleted(document, &keystore, &key, &deletion)))
}

/// Brings a soft-deleted key back with all its versions (`RecoverDeletedKey`).
pub(super) fn recover(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let keystore = keystore::of_request(cx)?;
    let (key, _, newest) = deleted(cx, &keystore, p.get("key"))?;
    KEYS.check_settled(cx, &key)?;
    store::mark_key_live(cx, key.row)?;
    Ok(Answer::ok(&bundle::bundle(&keystore, &key, &newest)))
}

/// Refuses to purge anything in a key store with purge protection.
pub(super) fn check_purge(keystore: &KeyStore) -> Result<(), Refusal> {
    if keystore.purge_protected() {
        return Err(Refusal::new(
            403,
            "Forbidden",
            format!(
                "Operation \"purge\" is not allowed because purge protection is enabled for this vault. Key Vault service \
                 will automatically purge it after the retention period has passed.\r\nVault: {};location={}",
                keystore.name,
                keystore.location()
            ),
        )
        .inner("ForbiddenByPolicy"));
    }
    Ok(())
}

/// Destroys a soft-deleted key (`PurgeDeletedKey`); refused under purge protection.
pub(super) fn purge(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let keystore = keystore::of_request(cx)?;
    let (key, ..) = deleted(cx, &keystore, p.get("key"))?;
    check_purge(&keystore)?;
    KEYS.check_settled(cx, &key)?;
    store::purge_key(cx, key.row)?;
    Ok(Answer::empty(204))
}
