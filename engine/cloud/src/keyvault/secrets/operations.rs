//! Secrets on the data plane: set, get, list, update.

use sealbook_crypto::SecretString;
use serde_json::{Value, json};

use super::super::entries::SECRETS;
use super::super::keystore;
use super::super::keystore::KeyStore;
use super::super::requests::{self, Attributes, Page, bad};
use super::bundle;
use super::store::{self, Secret, Version};
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;

/// The longest value, in bytes ("About Azure Key Vault secrets": 25 KB).
const LONGEST: usize = 25 * 1024;

/// The longest content type, in characters.
const LONGEST_KIND: usize = 255;

/// The live secret that a path names.
pub(super) fn live(cx: &Cx<'_>, vault: &KeyStore, name: &str) -> Result<Secret, Refusal> {
    requests::check_key_name(name)?;
    SECRETS.find(cx, &vault.label, name)?.filter(|secret| secret.deletion.is_none()).ok_or_else(|| not_found(name))
}

/// The version that a path names: the newest one without a version.
pub(super) fn version_of(cx: &Cx<'_>, secret: &Secret, p: &Params) -> Result<Version, Refusal> {
    let version = p.find("version");
    store::version(cx, secret.row, version)?.ok_or_else(|| match version {
        Some(version) => not_found(&format!("{}/{version}", secret.name)),
        None => Refusal::internal(format!("the secret {} has no version", secret.name)),
    })
}

fn not_found(name: &str) -> Refusal {
    Refusal::new(
        404,
        "SecretNotFound",
        format!(
            "A secret with (name/id) {name} was not found in this key vault. If you recently deleted this secret you may \
             be able to recover it using the correct recovery command. For help resolving this issue, please see \
             https://go.microsoft.com/fwlink/?linkid=2125182"
        ),
    )
}

/// Takes the value out of a body, so that no copy of it stays in the document.
fn value(body: &mut Value) -> Result<SecretString, Refusal> {
    match body["value"].take() {
        Value::String(text) => {
            let value = SecretString::from(text);
            if value.len() > LONGEST {
                return Err(bad(format!(
                    "Property value has invalid value: it has {} bytes, and a secret takes at most {LONGEST}.",
                    value.len()
                )));
            }
            Ok(value)
        }
        Value::Null => Err(bad("Property value is required.")),
        _ => Err(bad("Property value has invalid value: it must be a text.")),
    }
}

/// Reads `contentType`; `None` when there is none.
fn kind(body: &Value) -> Result<Option<String>, Refusal> {
    match &body["contentType"] {
        Value::Null => Ok(None),
        Value::String(kind) if kind.chars().count() <= LONGEST_KIND => Ok(Some(kind.clone())),
        _ => Err(bad(format!(
            "Property contentType has invalid value: it must be a text of at most {LONGEST_KIND} characters."
        ))),
    }
}

/// Sets a secret, or a new version of one (`SetSecret`).
pub(super) fn set(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let vault = keystore::of_request(cx)?;
    let name = p.get("secret");
    requests::check_key_name(name)?;
    let mut body = requests::object(cx)?;
    let value = value(&mut body)?;
    let attributes = Attributes::read(&body)?;
    let mut version = Version {
        row: 0,
        version: hex::encode(cx.random::<16>()),
        sealed: Vec::new(),
        kind: kind(&body)?,
        enabled: attributes.enabled.unwrap_or(true),
        nbf: attributes.nbf,
        exp: attributes.exp,
        created: cx.now.timestamp(),
        updated: cx.now.timestamp(),
        tags: requests::tags(&body)?.unwrap_or_else(|| json!({})),
    };
    let secret = match SECRETS.find(cx, &vault.label, name)? {
        Some(secret) if secret.deletion.is_some() => return Err(SECRETS.name_taken(cx, &secret)),
        Some(secret) => secret,
        None => SECRETS.insert(cx, &vault.label, name)?,
    };
    version.seal(cx, &vault, &secret.name, &value);
    store::insert_version(cx, secret.row, &version)?;
    Ok(Answer::ok(&bundle::open(&vault, &secret, &version, &value)))
}

/// Answers the value of a version, the newest without a version (`GetSecret`). A disabled one can't be read. The time
/// window is for the reader to observe: Azure answers outside of it, too.
pub(super) fn get(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let vault = keystore::of_request(cx)?;
    let secret = live(cx, &vault, p.get("secret"))?;
    let version = version_of(cx, &secret, p)?;
    if !version.enabled {
        let message = "Operation get is not allowed on a disabled secret.";
        return Err(Refusal::new(403, "Forbidden", message).inner("SecretDisabled"));
    }
    let value = version.open(cx, &bundle::id(&vault, &secret.name, Some(&version.version)))?;
    Ok(Answer::ok(&bundle::open(&vault, &secret, &version, &value)))
}

/// Lists the secrets of a vault without their values (`GetSecrets`).
pub(super) fn list(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let vault = keystore::of_request(cx)?;
    let page = Page::read(cx)?;
    let mut items = Vec::new();
    for secret in SECRETS.page(cx, &vault.label, false, &page.after, page.size + 1)? {
        let newest = store::version(cx, secret.row, None)?;
        items.extend(newest.map(|newest| (secret.name.clone(), bundle::item(&vault, &secret, &newest, false))));
    }
    Ok(Answer::ok(&page.answer(cx, items)))
}

/// Lists the versions of a secret without their values (`GetSecretVersions`).
pub(super) fn versions(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let vault = keystore::of_request(cx)?;
    let secret = live(cx, &vault, p.get("secret"))?;
    let page = Page::read(cx)?;
    let after = match page.after.as_str() {
        "" => 0,
        row => row.parse().map_err(|_| bad("Parameter $skiptoken has invalid value."))?,
    };
    let found = store::versions(cx, secret.row, after, page.size + 1)?;
    let items = found.iter().map(|v| (v.row.to_string(), bundle::item(&vault, &secret, v, true))).collect();
    Ok(Answer::ok(&page.answer(cx, items)))
}

/// Changes attributes, content type and tags of a version (`UpdateSecret`). What is absent stays; the value can't change.
pub(super) fn update(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let vault = keystore::of_request(cx)?;
    let secret = live(cx, &vault, p.get("secret"))?;
    let mut version = version_of(cx, &secret, p)?;
    let body = requests::object(cx)?;
    let attributes = Attributes::read(&body)?;
    version.enabled = attributes.enabled.unwrap_or(version.enabled);
    version.nbf = attributes.nbf.or(version.nbf);
    version.exp = attributes.exp.or(version.exp);
    attributes.check_order(version.nbf, version.exp)?;
    if let Some(kind) = kind(&body)? {
        version.kind = Some(kind);
    }
    if let Some(tags) = requests::tags(&body)? {
        version.tags = tags;
    }
    version.updated = cx.now.timestamp();
    store::update_version(cx, &version)?;
    Ok(Answer::ok(&bundle::item(&vault, &secret, &version, true)))
}
