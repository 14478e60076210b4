//! Backup and restore of keys: all versions and the rotation policy in one blob. A vault's is opened by this embedded
//! Azure alone, for a vault of the same subscription and geography; a managed HSM's by every pool of its security domain.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sealbook_crypto::aes::AesBits;
use sealbook_crypto::ec::{Curve, EcPublic};
use sealbook_crypto::rsa::RsaPublic;
use sealbook_crypto::{SealKey, SecretBytes};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::entries::KEYS;
use super::keystore::{KeyStore, Kind};
use super::material::{self, Public};
use super::requests::{self, bad};
use super::rotation_policy::{LifetimeAction, Policy};
use super::store::{self, Key, Version};
use super::{bundle, hsm, keys, keystore};
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::resources::locations::{self, Location};

/// Version of the content of a blob.
const FORMAT: u32 = 1;

/// What is in a blob. Private keys are sealed in it once more, under the identifiers that they had.
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
    #[serde(default)]
    release: Option<Value>,
}

impl SavedVersion {
    fn of(cx: &Cx<'_>, bond: &Bond, keystore: &KeyStore, key: &Key, version: Version) -> Result<Self, Refusal> {
        let kid = bundle::kid(keystore, &key.name, Some(&version.version));
        let (curve, first, second) = match &version.public {
            Public::Rsa(public) => (None, public.n.clone(), public.e.clone()),
            Public::Ec(public) => (Some(public.curve.name().to_owned()), public.x.clone(), public.y.clone()),
            Public::Aes(bits) => (None, bits.bits().to_be_bytes().to_vec(), Vec::new()),
        };
        Ok(Self {
            sealed: STANDARD.encode(bond.protect(cx, &kid, &version)?),
            kid,
            curve,
            public: [first, second].map(|part| STANDARD.encode(part)),
            version: version.version,
            kty: version.kty,
            enabled: version.enabled,
            nbf: version.nbf,
            exp: version.exp,
            created: version.created,
            updated: version.updated,
            operations: version.operations,
            tags: version.tags,
            release: version.release,
        })
    }

    /// The version for a vault, its private key sealed anew; `None` when the content does not make sense.
    fn into_version(self, cx: &Cx<'_>, bond: &Bond, keystore: &KeyStore, name: &str) -> Option<Version> {
        let bytes = |text: &str| STANDARD.decode(text).ok();
        let (first, second) = (bytes(&self.public[0])?, bytes(&self.public[1])?);
        let public = match self.curve {
            None if self.kty.starts_with("oct") => {
                let bits: [u8; 2] = first.try_into().ok()?;
                Public::Aes(AesBits::from_bits(u16::from_be_bytes(bits).into())?)
            }
            None => Public::Rsa(RsaPublic { n: first, e: second }),
            Some(curve) => Public::Ec(EcPublic { curve: Curve::from_name(&curve)?, x: first, y: second }),
        };
        let mut version = Version {
            row: 0,
            version: self.version,
            kty: self.kty,
            public,
            sealed: Vec::new(),
            enabled: self.enabled,
            nbf: self.nbf,
            exp: self.exp,
            created: self.created,
            updated: self.updated,
            operations: self.operations,
            tags: self.tags,
            release: self.release,
        };
        let document = bond.reveal(cx, &self.kid, &bytes(&self.sealed)?)?;
        let private = material::read(&version.public, document)?;
        version.sealed = private.seal(cx, &bundle::kid(keystore, name, Some(&version.version)));
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

/// What a vault's blob of a key (or of a `secret`) is bound to: its subscription and geography.
pub(super) fn place(what: &str, vault: &KeyStore) -> String {
    let geography = match locations::find(vault.location()) {
        Some(location) => geography(location),
        None => vault.location(),
    };
    format!("backup of a {what}:{}:{geography}", vault.subscription.to_ascii_lowercase())
}

/// What a blob is bound to, and what seals it.
enum Bond {
    /// A vault's place. Private keys stay sealed by the cloud.
    Place(String),
    /// A managed HSM's security domain: any pool that has it opens the blob.
    Domain { place: String, key: SealKey },
}

impl Bond {
    fn of(cx: &Cx<'_>, keystore: &KeyStore) -> Result<Self, Refusal> {
        if keystore.kind == Kind::Hsm {
            let domain = hsm::backup_key(cx, keystore)?;
            let (id, key) = domain.ok_or_else(|| Refusal::internal("an active managed HSM has no security domain"))?;
            return Ok(Self::Domain { place: format!("backup of a key:{id}"), key });
        }
        Ok(Self::Place(place("key", keystore)))
    }

    fn seal(&self, cx: &Cx<'_>, content: &[u8]) -> Vec<u8> {
        match self {
            Self::Place(place) => cx.seal(place, content),
            Self::Domain { place, key } => key.seal(place.as_bytes(), content),
        }
    }

    fn open(&self, cx: &Cx<'_>, blob: &[u8]) -> Option<SecretBytes> {
        match self {
            Self::Place(place) => cx.open(place, blob).ok(),
            Self::Domain { place, key } => key.open(place.as_bytes(), blob).ok(),
        }
    }

    /// The secret half of the version `kid`, sealed for the blob.
    fn protect(&self, cx: &Cx<'_>, kid: &str, version: &Version) -> Result<Vec<u8>, Refusal> {
        match self {
            Self::Place(_) => Ok(version.sealed.clone()),
            Self::Domain { key, .. } => {
                Ok(key.seal(kid.as_bytes(), material::open(cx, kid, version)?.document().expose()))
            }
        }
    }

    /// Opens what [`Bond::protect`] sealed.
    fn reveal(&self, cx: &Cx<'_>, kid: &str, sealed: &[u8]) -> Option<SecretBytes> {
        match self {
            Self::Place(_) => cx.open(kid, sealed).ok(),
            Self::Domain { key, .. } => key.open(kid.as_bytes(), sealed).ok(),
        }
    }
}

/// Saves a key (`BackupKey`).
pub(super) fn backup(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let keystore = keystore::of_request(cx)?;
    let key = keys::live(cx, &keystore, p.get("key"))?;
    let policy = store::policy(cx, key.row)?.map(|policy| SavedPolicy {
        actions: policy.actions,
        expiry: policy.expiry,
        created: policy.created,
        updated: policy.updated,
    });
    let versions = store::versions(cx, key.row, 0, usize::MAX)?;
    let bond = Bond::of(cx, &keystore)?;
    let versions = versions
        .into_iter()
        .map(|version| SavedVersion::of(cx, &bond, &keystore, &key, version))
        .collect::<Result<_, _>>()?;
    let content = Content { format: FORMAT, name: key.name.clone(), policy, versions };
    let blob = bond.seal(cx, &serde_json::to_vec(&content)?);
    Ok(Answer::ok(&json!({ "value": URL_SAFE_NO_PAD.encode(blob) })))
}

/// Opens a blob. Azure says the same of every blob that it can't use.
fn open(cx: &Cx<'_>, bond: &Bond, blob: &[u8]) -> Result<Content, Refusal> {
    let unusable = || bad("Cannot decrypt backup blob.");
    let opened = bond.open(cx, blob).ok_or_else(unusable)?;
    let content: Content = serde_json::from_slice(opened.expose()).map_err(|_| unusable())?;
    if content.format != FORMAT || content.versions.is_empty() {
        return Err(unusable());
    }
    Ok(content)
}

/// Brings a saved key back with all its versions, under the name and the versions that it had (`RestoreKey`).
pub(super) fn restore(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let keystore = keystore::of_request(cx)?;
    let body = requests::object(cx)?;
    let bond = Bond::of(cx, &keystore)?;
    let content = open(cx, &bond, &requests::bytes(&body, "value")?)?;
    if content.versions.iter().any(|version| version.kty.ends_with("-HSM")) {
        keystore.check_takes_hsm_keys()?;
    }
    match KEYS.find(cx, &keystore.label, &content.name)? {
        Some(key) if key.deletion.is_some() => return Err(KEYS.name_taken(cx, &key)),
        Some(key) => {
            let kid = bundle::kid(&keystore, &key.name, None);
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
    let key = KEYS.insert(cx, &keystore.label, &content.name)?;
    for saved in content.versions {
        let version = saved
            .into_version(cx, &bond, &keystore, &key.name)
            .ok_or_else(|| Refusal::internal("an authentic backup blob holds a version that can't be read"))?;
        store::insert_version(cx, key.row, &version)?;
    }
    if let Some(SavedPolicy { actions, expiry, created, updated }) = content.policy {
        store::put_policy(cx, key.row, &Policy { actions, expiry, created, updated, since: cx.now })?;
    }
    let newest =
        store::version(cx, key.row, None)?.ok_or_else(|| Refusal::internal("a restored key has no version"))?;
    Ok(Answer::ok(&bundle::bundle(&keystore, &key, &newest)))
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
