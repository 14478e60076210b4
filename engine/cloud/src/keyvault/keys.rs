//! Keys on the data plane: create, get, list, update.

use super::entries::KEYS;
use super::keystore::KeyStore;
use super::new_version::{self, Wanted};
use super::requests::{self, Attributes, Page, bad};
use super::store::{self, Key, Version};
use super::{bundle, keystore, lacking, release_policy};
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;

/// The live key that a path names.
pub(super) fn live(cx: &Cx<'_>, keystore: &KeyStore, name: &str) -> Result<Key, Refusal> {
    requests::check_key_name(name)?;
    KEYS.find(cx, &keystore.label, name)?.filter(|key| key.deletion.is_none()).ok_or_else(|| not_found(name))
}

/// The version that a path names: the newest one without a version.
pub(super) fn version_of(cx: &Cx<'_>, key: &Key, p: &Params) -> Result<Version, Refusal> {
    let version = p.find("version");
    store::version(cx, key.row, version)?.ok_or_else(|| match version {
        Some(version) => not_found(&format!("{}/{version}", key.name)),
        None => Refusal::internal(format!("the key {} has no version", key.name)),
    })
}

/// Refuses a key that is not there.
pub(super) fn not_found(name: &str) -> Refusal {
    Refusal::new(
        404,
        "KeyNotFound",
        format!(
            "A key with (name/id) {name} was not found in this key vault. If you recently deleted this key you may be able \
             to recover it using the correct recovery command. For help resolving this issue, please see \
             https://go.microsoft.com/fwlink/?linkid=2125182"
        ),
    )
}

/// The key of a name that gets a version: the live one, else a new one. Refused while a soft-deleted key holds the name.
pub(super) fn named(cx: &Cx<'_>, keystore: &KeyStore, name: &str) -> Result<Key, Refusal> {
    match KEYS.find(cx, &keystore.label, name)? {
        Some(key) if key.deletion.is_some() => Err(KEYS.name_taken(cx, &key)),
        Some(key) => Ok(key),
        None => KEYS.insert(cx, &keystore.label, name),
    }
}

/// Creates a key, or a new version of one (`CreateKey`).
pub(super) fn create(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let keystore = keystore::of_request(cx)?;
    let name = p.get("key");
    requests::check_key_name(name)?;
    let wanted = Wanted::made(&keystore, &requests::object(cx)?)?;
    let key = named(cx, &keystore, name)?;
    let version = wanted.add(cx, &keystore, &key, cx.now)?;
    Ok(Answer::ok(&bundle::bundle(&keystore, &key, &version)))
}

/// Answers a version of a key, the newest without a version (`GetKey`). A disabled key can be read.
pub(super) fn get(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let keystore = keystore::of_request(cx)?;
    // Clients that name no version ask `/keys/{key}//attestation`, whose empty segment does not count.
    if p.find("version").is_some_and(|version| version.eq_ignore_ascii_case("attestation")) {
        let message = format!("The embedded key stores have no operation 'GET {}'.", cx.request.path);
        return Err(Refusal::new(501, "NotImplemented", message).gap(lacking::KEY_ATTESTATION));
    }
    let key = live(cx, &keystore, p.get("key"))?;
    let version = version_of(cx, &key, p)?;
    Ok(Answer::ok(&bundle::bundle(&keystore, &key, &version)))
}

/// Lists the keys of a vault (`GetKeys`).
pub(super) fn list(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let keystore = keystore::of_request(cx)?;
    let page = Page::read(cx)?;
    let mut items = Vec::new();
    for key in KEYS.page(cx, &keystore.label, false, &page.after, page.size + 1)? {
        let newest = store::version(cx, key.row, None)?;
        items.extend(newest.map(|newest| (key.name.clone(), bundle::item(&keystore, &key, &newest, false))));
    }
    Ok(Answer::ok(&page.answer(cx, items)))
}

/// Lists the versions of a key (`GetKeyVersions`).
pub(super) fn versions(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let keystore = keystore::of_request(cx)?;
    let key = live(cx, &keystore, p.get("key"))?;
    let page = Page::read(cx)?;
    let after = match page.after.as_str() {
        "" => 0,
        row => row.parse().map_err(|_| bad("Parameter $skiptoken has invalid value."))?,
    };
    let found = store::versions(cx, key.row, after, page.size + 1)?;
    let items = found.iter().map(|v| (v.row.to_string(), bundle::item(&keystore, &key, v, true))).collect();
    Ok(Answer::ok(&page.answer(cx, items)))
}

/// A key exchange key has the operation `import` for good, and no other key gets it: what was wrapped for import could
/// be decrypted with it otherwise ("Bring your own key specification": fixed `key_ops`).
fn check_exchange(old: &[String], new: &[String]) -> Result<(), Refusal> {
    let exchange = |operations: &[String]| operations.iter().any(|name| name == "import");
    if exchange(old) == exchange(new) {
        return Ok(());
    }
    Err(bad("Property key_ops has invalid value: the operations of a key exchange key (\"import\") can't be changed."))
}

/// Changes attributes, operations and tags of a version (`UpdateKey`). What is absent stays.
pub(super) fn update(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let keystore = keystore::of_request(cx)?;
    let key = live(cx, &keystore, p.get("key"))?;
    let mut version = version_of(cx, &key, p)?;
    let body = requests::object(cx)?;
    let attributes = Attributes::read(&body)?;
    if attributes.exportable.is_some_and(|exportable| exportable != version.release.is_some()) {
        return Err(bad("AKV.SKR.1003: The exportable attribute of an existing key can't be changed."));
    }
    if !body["release_policy"].is_null() {
        let versioned = p.find("version").is_some();
        version.release = Some(release_policy::update(version.release.as_ref(), &body["release_policy"], versioned)?);
    }
    version.enabled = attributes.enabled.unwrap_or(version.enabled);
    version.nbf = attributes.nbf.or(version.nbf);
    version.exp = attributes.exp.or(version.exp);
    attributes.check_order(version.nbf, version.exp)?;
    if let Some(operations) = requests::operations(&body)? {
        new_version::check_operations(&version.kty, &operations)?;
        check_exchange(&version.operations, &operations)?;
        version.operations = operations;
    }
    if let Some(tags) = requests::tags(&body)? {
        version.tags = tags;
    }
    version.updated = cx.now.timestamp();
    store::update_version(cx, &version)?;
    Ok(Answer::ok(&bundle::bundle(&keystore, &key, &version)))
}
