//! How keys are written on the wire (Key Vault keys REST API: KeyBundle, KeyItem, DeletedKeyBundle, DeletedKeyItem).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::keystore::{Deletion, KeyStore};
use super::material::Public;
use super::store::{Key, Version};

/// Identifier of a key, with its version when one is given.
pub(super) fn kid(keystore: &KeyStore, key: &str, version: Option<&str>) -> String {
    let base = format!("{}keys/{key}", keystore.uri());
    match version {
        Some(version) => format!("{base}/{version}"),
        None => base,
    }
}

/// Identifier of a soft-deleted key.
fn recovery_id(keystore: &KeyStore, key: &str) -> String {
    format!("{}deletedkeys/{key}", keystore.uri())
}

fn attributes(keystore: &KeyStore, version: &Version) -> Value {
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
    attributes.insert("recoveryLevel".into(), keystore.recovery_level().into());
    attributes.insert("recoverableDays".into(), keystore.retention().into());
    attributes.insert("exportable".into(), version.release.is_some().into());
    Value::Object(attributes)
}

/// The public half as a JSON Web Key (RFC 7517), with Key Vault's members.
fn json_web_key(keystore: &KeyStore, key: &Key, version: &Version) -> Value {
    let mut document = json!({
        "kid": kid(keystore, &key.name, Some(&version.version)),
        "kty": version.kty,
        "key_ops": version.operations,
    });
    match &version.public {
        Public::Rsa(public) => {
            document["n"] = URL_SAFE_NO_PAD.encode(&public.n).into();
            document["e"] = URL_SAFE_NO_PAD.encode(&public.e).into();
        }
        Public::Ec(public) => {
            document["crv"] = public.curve.name().into();
            document["x"] = URL_SAFE_NO_PAD.encode(&public.x).into();
            document["y"] = URL_SAFE_NO_PAD.encode(&public.y).into();
        }
        Public::Aes(_) => {}
    }
    document
}

/// A version of a key.
pub(super) fn bundle(keystore: &KeyStore, key: &Key, version: &Version) -> Value {
    let mut bundle = json!({
        "key": json_web_key(keystore, key, version),
        "attributes": attributes(keystore, version),
        "tags": version.tags,
    });
    if let Some(policy) = &version.release {
        bundle["release_policy"] = policy.clone();
    }
    bundle
}

/// A key in a list (`version` is its newest), or a version in the list of versions when `versioned`.
pub(super) fn item(keystore: &KeyStore, key: &Key, version: &Version, versioned: bool) -> Value {
    json!({
        "kid": kid(keystore, &key.name, versioned.then_some(version.version.as_str())),
        "attributes": attributes(keystore, version),
        "tags": version.tags,
    })
}

/// Adds what a soft-deleted key shows besides.
pub(super) fn deleted(mut document: Value, keystore: &KeyStore, key: &Key, deletion: &Deletion) -> Value {
    document["recoveryId"] = recovery_id(keystore, &key.name).into();
    document["deletedDate"] = deletion.at.timestamp().into();
    document["scheduledPurgeDate"] = deletion.purge.timestamp().into();
    document
}
