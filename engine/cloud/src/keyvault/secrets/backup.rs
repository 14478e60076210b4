//! Backup and restore of secrets: all versions in one blob that only this embedded Azure opens, and only for a vault of
//! the same subscription and geography.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::entries::SECRETS;
use super::super::keystore::KeyStore;
use super::super::requests::{self, bad};
use super::super::{backup as keys_backup, keystore};
use super::store::{self, Secret, Version};
use super::{bundle, operations};
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;

/// Version of the content of a blob.
const FORMAT: u32 = 1;

/// What is in a blob. Values stay sealed under the identifiers that they had.
#[derive(Serialize, Deserialize)]
struct Content {
    format: u32,
    name: String,
    versions: Vec<Saved>,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    id: String,
    version: String,
    sealed: String,
    kind: Option<String>,
    enabled: bool,
    nbf: Option<i64>,
    exp: Option<i64>,
    created: i64,
    updated: i64,
    tags: Value,
}

impl Saved {
    fn of(vault: &KeyStore, secret: &Secret, version: Version) -> Self {
        Self {
            id: bundle::id(vault, &secret.name, Some(&version.version)),
            sealed: STANDARD.encode(&version.sealed),
            version: version.version,
            kind: version.kind,
            enabled: version.enabled,
            nbf: version.nbf,
            exp: version.exp,
            created: version.created,
            updated: version.updated,
            tags: version.tags,
        }
    }

    /// The version for a vault, its value sealed anew; `None` when the content does not make sense.
    fn into_version(self, cx: &Cx<'_>, vault: &KeyStore, name: &str) -> Option<Version> {
        let mut version = Version {
            row: 0,
            version: self.version,
            sealed: STANDARD.decode(&self.sealed).ok()?,
            kind: self.kind,
            enabled: self.enabled,
            nbf: self.nbf,
            exp: self.exp,
            created: self.created,
            updated: self.updated,
            tags: self.tags,
        };
        let value = version.open(cx, &self.id).ok()?;
        version.seal(cx, vault, name, &value);
        Some(version)
    }
}

/// Saves a secret (`BackupSecret`).
pub(super) fn backup(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let vault = keystore::of_request(cx)?;
    let secret = operations::live(cx, &vault, p.get("secret"))?;
    let versions = store::versions(cx, secret.row, 0, usize::MAX)?;
    let versions = versions.into_iter().map(|version| Saved::of(&vault, &secret, version)).collect();
    let content = Content { format: FORMAT, name: secret.name.clone(), versions };
    let blob = cx.seal(&keys_backup::place("secret", &vault), &serde_json::to_vec(&content)?);
    Ok(Answer::ok(&json!({ "value": URL_SAFE_NO_PAD.encode(blob) })))
}

fn open(cx: &Cx<'_>, vault: &KeyStore, blob: &[u8]) -> Result<Content, Refusal> {
    let unusable = || bad("Cannot decrypt backup blob.");
    let opened = cx.open(&keys_backup::place("secret", vault), blob).map_err(|_| unusable())?;
    let content: Content = serde_json::from_slice(opened.expose()).map_err(|_| unusable())?;
    if content.format != FORMAT || content.versions.is_empty() {
        return Err(unusable());
    }
    Ok(content)
}

/// Brings a saved secret back with all its versions, under the name and the versions that it had (`RestoreSecret`).
pub(super) fn restore(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let vault = keystore::of_request(cx)?;
    let body = requests::object(cx)?;
    let content = open(cx, &vault, &requests::bytes(&body, "value")?)?;
    match SECRETS.find(cx, &vault.label, &content.name)? {
        Some(secret) if secret.deletion.is_some() => return Err(SECRETS.name_taken(cx, &secret)),
        Some(secret) => {
            let id = bundle::id(&vault, &secret.name, None);
            return Err(Refusal::new(
                409,
                "Conflict",
                format!(
                    "There was a conflict restoring the secret '{id}': a secret of this name exists. Delete and purge it, \
                     then restore the backup."
                ),
            ));
        }
        None => {}
    }
    let secret = SECRETS.insert(cx, &vault.label, &content.name)?;
    for saved in content.versions {
        let version = saved
            .into_version(cx, &vault, &secret.name)
            .ok_or_else(|| Refusal::internal("an authentic backup blob holds a version that can't be read"))?;
        store::insert_version(cx, secret.row, &version)?;
    }
    let newest =
        store::version(cx, secret.row, None)?.ok_or_else(|| Refusal::internal("a restored secret has no version"))?;
    Ok(Answer::ok(&bundle::item(&vault, &secret, &newest, true)))
}
