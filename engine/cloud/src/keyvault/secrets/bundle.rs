//! How secrets are written on the wire (SecretBundle, SecretItem, DeletedSecretBundle, DeletedSecretItem).

use sealbook_crypto::SecretString;
use serde_json::{Map, Value, json};

use super::super::keystore::{Deletion, KeyStore};
use super::store::{Secret, Version};

/// Identifier of a secret, with its version when one is given.
pub(in super::super) fn id(vault: &KeyStore, secret: &str, version: Option<&str>) -> String {
    let base = format!("{}secrets/{secret}", vault.uri());
    match version {
        Some(version) => format!("{base}/{version}"),
        None => base,
    }
}

fn attributes(vault: &KeyStore, version: &Version) -> Value {
    let mut attributes = Map::new();
    attributes.insert("enabled".into(), version.enabled.into());
    if let Some(nbf) = version.nbf {
        attributes.insert("nbf".into(), nbf.into());
    }
    if let Some(exp) = version.exp {
        attributes.insert("exp".into(), exp.into());
    }
    attributes.insert("created".into(), version.created.into());
    attributes.insert("updated".into(), version.updated.into());
    attributes.insert("recoveryLevel".into(), vault.recovery_level().into());
    attributes.insert("recoverableDays".into(), vault.retention().into());
    Value::Object(attributes)
}

/// A secret in a list (`version` is its newest), or a version of it when `versioned`; without the value.
pub(super) fn item(vault: &KeyStore, secret: &Secret, version: &Version, versioned: bool) -> Value {
    let mut document = json!({
        "id": id(vault, &secret.name, versioned.then_some(version.version.as_str())),
        "attributes": attributes(vault, version),
        "tags": version.tags,
    });
    if let Some(kind) = &version.kind {
        document["contentType"] = kind.as_str().into();
    }
    document
}

/// A version with its value.
pub(super) fn open(vault: &KeyStore, secret: &Secret, version: &Version, value: &SecretString) -> Value {
    let mut document = item(vault, secret, version, true);
    document["value"] = value.expose().into();
    document
}

/// Adds what a soft-deleted secret shows besides.
pub(super) fn deleted(mut document: Value, vault: &KeyStore, secret: &Secret, deletion: &Deletion) -> Value {
    document["recoveryId"] = format!("{}deletedsecrets/{}", vault.uri(), secret.name).into();
    document["deletedDate"] = deletion.at.timestamp().into();
    document["scheduledPurgeDate"] = deletion.purge.timestamp().into();
    document
}
