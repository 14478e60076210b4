//! Backup and restore of keys: all versions and the rotation policy in one blob that only this embedded Azure opens,
//! and only for a vault of the same subscription and geography.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sealbook_crypto::ec::{Curve, EcPublic};
use sealbook_crypto::rsa::RsaPublic;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::material::{self, Public};
use super::requests::{self, bad};
use super::rotation_policy::{LifetimeAction, Policy};
use super::store::{self, Key, Version};
use super::vault::Vault;
use super::{bundle, data, deleted_keys, keys};
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::resources::locations::{self, Location};

/// Version of the content of a blob.
const FORMAT: u32 = 1;

/// What is in a blob. Private keys stay sealed under the identifiers that they had.
#[derive(Serialize, Deserialize)]
struct Content {
    format: u32,
    name: String,
    policy: Option<SavedPolicy>,
    versions: Vec<SavedVersion>,
}

#[derive(Serialize, Deserialize)]
struct SavedPolicy {
    actions: Vec<LifetimeAction>,
    expiry: Option<String>,
    created: i64,
    updated: i64,
}

#[derive(Serialize, Deserialize)]
struct SavedVersion {
    kid: String,
    version: String,
    kty: String,
    curve: Option<String>,
    public: [String; 2],
    sealed: String,
    enabled: bool,
    nbf: Option<i64>,
    exp: Option<i64>,
    created: i64,
    updated: i64,
    operations: Vec<String>,
    tags: Value,
}

impl SavedVersion {
    fn of(vault: &Vault, key: &Key, version: Version) -> Self {
        let (curve, first, second) = match &version.public {
            Public::Rsa(public) => (None, &public.n, &public.e),
            Public::Ec(public) => (Some(public.curve.name().to_owned()), &public.x, &public.y),
        };
        Self {
            kid: bundle::kid(vault, &key.name, Some(&version.version)),
            curve,
            public: [first, second].map(|part| STANDARD.encode(part)),
            sealed: STANDARD.encode(&version.sealed),
            version: version.version,
            kty: version.kty,
            enabled: version.enabled,
            nbf: version.nbf,
            exp: version.exp,
            created: version.created,
            updated: version.updated,
            operations: version.operations,
            tags: version.tags,
        }
    }

    /// The version for a vault, its private key sealed anew; `None` when the content does not make sense.
    fn into_version(self, cx: &Cx<'_>, vault: &Vault, name: &str) -> Option<Version> {
        let bytes = |text: &str| STANDARD.decode(text).ok();
        let (first, second) = (bytes(&self.public[0])?, bytes(&self.public[1])?);
        let public = match self.curve {
            None => Public::Rsa(RsaPublic { n: first, e: second }),
            Some(curve) => Public::Ec(EcPublic { curve: Curve::from_name(&curve)?, x: first, y: second }),
        };
        let mut version = Version {
            row: 0,
            version: self.version,
            kty: self.kty,
            public,
            sealed: bytes(&self.sealed)?,
            enabled: self.enabled,
            nbf: self.nbf,
            exp: self.exp,
            created: self.created,
            updated: self.updated,
            operations: self.operations,
            tags: self.tags,
        };
        let private = material::open(cx, &self.kid, &version).ok()?;
        version.sealed = private.seal(cx, &bundle::kid(vault, name, Some(&version.version)));
        Some(version)
    }
}

/// The geography of a region, within which backups may be restored ("Azure Key Vault security worlds").
fn geography(location: &'static Location) -> &'static str {
    match location.name {
        "northeurope" | "westeurope" => "Europe",
        "eastasia" | "southeastasia" => "Asia Pacific",
        "centralindia" | "southindia" => "India",
        "southafricanorth" => "South Africa",
        "newzealandnorth" => "New Zealand",
        _ if location.group == "US" => "United States",
        // The others are named after their country.
        _ => location.display.split(' ').next().unwrap_or(location.display),
    }
}

/// What the blob of a key (or of a `secret`) is bound to.
pub(super) fn bond(what: &str, vault: &Vault) -> String {
    let geography = match locations::find(vault.location()) {
        Some(location) => geography(location),
        None => vault.location(),
    };
    format!("backup of a {what}:{}:{geography}", vault.subscription.to_ascii_lowercase())
}

/// Saves a key (`BackupKey`).
pub(super) fn backup(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let vault = data::vault(cx)?;
    let key = keys::live(cx, &vault, p.get("key"))?;
    let policy = store::policy(cx, key.row)?.map(|policy| SavedPolicy {
        actions: policy.actions,
        expiry: policy.expiry,
        created: policy.created,
        updated: policy.updated,
    });
    let versions = store::versions(cx, key.row, 0, usize::MAX)?;
    let versions = versions.into_iter().map(|version| SavedVersion::of(&vault, &key, version)).collect();
    let content = Content { format: FORMAT, name: key.name.clone(), policy, versions };
    let blob = cx.seal(&bond("key", &vault), &serde_json::to_vec(&content)?);
    Ok(Answer::ok(&json!({ "value": URL_SAFE_NO_PAD.encode(blob) })))
}

/// Opens a blob. Azure says the same of every blob that it can't use.
fn open(cx: &Cx<'_>, vault: &Vault, blob: &[u8]) -> Result<Content, Refusal> {
    let unusable = || bad("Cannot decrypt backup blob.");
    let opened = cx.open(&bond("key", vault), blob).map_err(|_| unusable())?;
    let content: Content = serde_json::from_slice(opened.expose()).map_err(|_| unusable())?;
    if content.format != FORMAT || content.versions.is_empty() {
        return Err(unusable());
    }
    Ok(content)
}

/// Brings a saved key back with all its versions, under the name and the versions that it had (`RestoreKey`).
pub(super) fn restore(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let vault = data::vault(cx)?;
    let body = requests::object(cx)?;
    let content = open(cx, &vault, &requests::bytes(&body, "value")?)?;
    if !vault.premium() && content.versions.iter().any(|version| version.kty.ends_with("-HSM")) {
        return Err(bad("Hardware key operation not allowed on standard vault."));
    }
    match store::key(cx, &vault.name, &content.name)? {
        Some(key) if key.deletion.is_some() => return Err(deleted_keys::name_taken(cx, &key)),
        Some(key) => {
            let kid = bundle::kid(&vault, &key.name, None);
            return Err(Refusal::new(
                409,
                "Conflict",
                format!(
                    "There was a conflict restoring the key '{kid}': a key of this name exists. Delete and purge it, \
                     then restore the backup."
                ),
            ));
        }
        None => {}
    }
    let key = store::insert_key(cx, &vault.name, &content.name)?;
    for saved in content.versions {
        let version = saved
            .into_version(cx, &vault, &key.name)
            .ok_or_else(|| Refusal::internal("an authentic backup blob holds a version that can't be read"))?;
        store::insert_version(cx, key.row, &version)?;
    }
    if let Some(SavedPolicy { actions, expiry, created, updated }) = content.policy {
        store::put_policy(cx, key.row, &Policy { actions, expiry, created, updated, since: cx.now })?;
    }
    let newest =
        store::version(cx, key.row, None)?.ok_or_else(|| Refusal::internal("a restored key has no version"))?;
    Ok(Answer::ok(&bundle::bundle(&vault, &key, &newest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_have_geographies() {
        let rows = [
            ("westeurope", "Europe"),
            ("northeurope", "Europe"),
            ("germanywestcentral", "Germany"),
            ("uksouth", "UK"),
            ("ukwest", "UK"),
            ("eastus", "United States"),
            ("westus3", "United States"),
            ("canadaeast", "Canada"),
            ("japanwest", "Japan"),
            ("australiasoutheast", "Australia"),
            ("southindia", "India"),
        ];
        for (region, expected) in rows {
            assert_eq!(locations::find(region).map(geography), Some(expected), "{region}");
        }
    }
}
