//! New versions of keys: what a request asks for, its rules, and how a version is stored.

use chrono::{DateTime, Utc};
use sealbook_crypto::aes::AesBits;
use sealbook_crypto::ec::Curve;
use sealbook_crypto::rsa::RsaBits;
use serde_json::{Value, json};

use super::keystore::{KeyStore, Kind};
use super::material::{Private, Shape};
use super::requests::{self, Attributes, bad};
use super::store::{self, Key, Version};
use super::{bundle, release_policy};
use crate::cx::Cx;
use crate::refusal::Refusal;

/// What a new RSA key may do unless told otherwise.
const RSA_OPERATIONS: [&str; 6] = ["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"];

/// What a new AES key may do unless told otherwise: all that it offers.
const AES_OPERATIONS: [&str; 4] = ["encrypt", "decrypt", "wrapKey", "unwrapKey"];

/// What an elliptic-curve key may do.
const EC_OPERATIONS: [&str; 2] = ["sign", "verify"];

/// Where the material of a new version comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// The key store makes it.
    Made(Shape),
    /// The caller gave it.
    Given(Private),
}

/// A new version as it is wanted.
#[derive(Debug)]
pub(super) struct Wanted {
    /// `RSA`, `RSA-HSM`, `EC`, `EC-HSM` or `oct-HSM`.
    pub kty: String,
    /// Material.
    pub source: Source,
    /// Attributes.
    pub attributes: Attributes,
    /// Permitted operations.
    pub operations: Vec<String>,
    /// Tags.
    pub tags: Value,
    /// Release policy of an exportable key.
    pub release: Option<Value>,
}

impl Wanted {
    /// Reads the body of a creation (`KeyCreateParameters`).
    pub fn made(keystore: &KeyStore, body: &Value) -> Result<Self, Refusal> {
        let attributes = Attributes::read(body)?;
        let kty = key_type(keystore, body, false)?;
        let shape = match kty.as_str() {
            "EC" | "EC-HSM" => Shape::Ec(curve(body)?),
            "oct-HSM" => Shape::Aes(aes_bits(body)?),
            _ => Shape::Rsa(rsa_bits(body)?),
        };
        let release = release_policy::read(keystore, body, &kty, attributes)?;
        let operations = requested_operations(&kty, body)?;
        let tags = requests::tags(body)?.unwrap_or_else(|| json!({}));
        Ok(Self { kty, source: Source::Made(shape), attributes, operations, tags, release })
    }

    /// Makes the version and stores it as the newest of a key, at an instant of the cloud clock.
    pub fn add(self, cx: &Cx<'_>, keystore: &KeyStore, key: &Key, at: DateTime<Utc>) -> Result<Version, Refusal> {
        let version = hex::encode(cx.random::<16>());
        let private = match self.source {
            Source::Made(shape) => Private::generate(shape),
            Source::Given(private) => private,
        };
        let new = Version {
            row: 0,
            sealed: private.seal(cx, &bundle::kid(keystore, &key.name, Some(&version))),
            version,
            kty: self.kty,
            public: private.public(),
            enabled: self.attributes.enabled.unwrap_or(true),
            nbf: self.attributes.nbf,
            exp: self.attributes.exp,
            created: at.timestamp(),
            updated: at.timestamp(),
            operations: self.operations,
            tags: self.tags,
            release: self.release,
        };
        store::insert_version(cx, key.row, &new)?;
        Ok(new)
    }
}

/// Reads `kty`; `hardware` asks for the HSM form of the type besides. A managed HSM holds HSM keys alone; symmetric keys
/// are for managed HSMs only.
pub(super) fn key_type(keystore: &KeyStore, body: &Value, hardware: bool) -> Result<String, Refusal> {
    let given = body["kty"].as_str().ok_or_else(|| bad("Property kty is required."))?;
    let hardware = hardware || given.ends_with("-HSM");
    let family = given.strip_suffix("-HSM").unwrap_or(given);
    if keystore.kind == Kind::Hsm {
        return match family {
            "RSA" | "EC" | "oct" if hardware => Ok(format!("{family}-HSM")),
            _ => Err(bad(format!(
                "Property kty has invalid value {given}: a managed HSM holds keys of the types RSA-HSM, EC-HSM, oct-HSM."
            ))),
        };
    }
    if hardware && ["RSA", "EC", "oct"].contains(&family) {
        keystore.check_takes_hsm_keys()?;
    }
    match family {
        "RSA" | "EC" if hardware => Ok(format!("{family}-HSM")),
        "RSA" | "EC" => Ok(family.to_owned()),
        "oct" => Err(bad(format!(
            "Property kty has invalid value {given}: a vault holds RSA and EC keys; symmetric keys are for managed HSMs."
        ))),
        _ => Err(bad(format!("Property kty has invalid value {given}: key types are RSA, RSA-HSM, EC, EC-HSM."))),
    }
}

fn rsa_bits(body: &Value) -> Result<RsaBits, Refusal> {
    if !matches!(&body["public_exponent"], Value::Null) && body["public_exponent"] != 65537 {
        return Err(bad("Property public_exponent has invalid value: a vault makes RSA keys with exponent 65537."));
    }
    match &body["key_size"] {
        Value::Null => Ok(RsaBits::B2048),
        size => size.as_u64().and_then(RsaBits::from_bits).ok_or_else(|| {
            bad(format!("Property key_size has invalid value {size}: RSA keys have 2048, 3072 or 4096 bits."))
        }),
    }
}

fn aes_bits(body: &Value) -> Result<AesBits, Refusal> {
    match &body["key_size"] {
        Value::Null => Ok(AesBits::B256),
        size => size.as_u64().and_then(AesBits::from_bits).ok_or_else(|| {
            bad(format!("Property key_size has invalid value {size}: symmetric keys have 128, 192 or 256 bits."))
        }),
    }
}

/// Reads `crv`: P-256 when there is none.
pub(super) fn curve(body: &Value) -> Result<Curve, Refusal> {
    match &body["crv"] {
        Value::Null => Ok(Curve::P256),
        name => name.as_str().and_then(Curve::from_name).ok_or_else(|| {
            let known = Curve::ALL.map(Curve::name).join(", ");
            bad(format!("Property crv has invalid value {name}: curves are {known}."))
        }),
    }
}

/// Reads `key_ops`: everything that the key type offers when there are none.
pub(super) fn requested_operations(kty: &str, body: &Value) -> Result<Vec<String>, Refusal> {
    match requests::operations(body)?.filter(|operations| !operations.is_empty()) {
        Some(operations) => {
            check_operations(kty, &operations)?;
            Ok(operations)
        }
        None if kty.starts_with("EC") => Ok(EC_OPERATIONS.map(str::to_owned).to_vec()),
        None if kty.starts_with("oct") => Ok(AES_OPERATIONS.map(str::to_owned).to_vec()),
        None => Ok(RSA_OPERATIONS.map(str::to_owned).to_vec()),
    }
}

/// Refuses operations that a key type does not offer.
pub(super) fn check_operations(kty: &str, operations: &[String]) -> Result<(), Refusal> {
    if let Some(name) = operations.iter().find(|name| kty.starts_with("EC") && !EC_OPERATIONS.contains(&name.as_str()))
    {
        return Err(bad(format!(
            "Property key_ops has invalid value: a key of type {kty} permits sign and verify, not \"{name}\"."
        )));
    }
    if let Some(name) =
        operations.iter().find(|name| kty.starts_with("oct") && !AES_OPERATIONS.contains(&name.as_str()))
    {
        return Err(bad(format!(
            "Property key_ops has invalid value: a key of type {kty} permits encrypt, decrypt, wrapKey and unwrapKey, not \
             \"{name}\"."
        )));
    }
    if operations.iter().any(|name| name == "import") && kty != "RSA-HSM" {
        return Err(bad("Property key_ops has invalid value: \"import\" needs a key of type RSA-HSM."));
    }
    Ok(())
}
