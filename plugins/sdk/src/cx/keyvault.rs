//! Keys in Key Vault or Managed HSM.

use serde_json::Value;

use crate::cx::{Artifact, Crypto, Key, Pair, Token};
use crate::ids::KeyUri;
use crate::problem::{Problem, Result};
use crate::sys;

/// A data key, and what a key in a store made of it.
#[derive(Debug)]
pub struct DataKey {
    /// The version of the key that wrapped it.
    pub kid: KeyUri,
    /// The data key.
    pub key: Key,
    /// The wrapped data key: harmless without the key in the store.
    pub wrapped: Vec<u8>,
}

/// Keys in a store. Bundles are the JSON that Key Vault answers: `key` (public JWK), `attributes`, `tags`.
#[derive(Debug)]
pub struct KeyVault;

impl KeyVault {
    /// Reads a key, the current version unless the address names one. None: there is none.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn find(&self, key: &KeyUri) -> Result<Option<Value>> {
        sys::keyvault::get(key.as_str())?.map(parse).transpose()
    }

    /// Lists a key's versions, oldest first.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn versions(&self, key: &KeyUri) -> Result<Vec<Value>> {
        sys::keyvault::versions(key.as_str())?.into_iter().map(parse).collect()
    }

    /// Creates a key, marked as this run's.
    ///
    /// # Errors
    /// When Key Vault refuses it.
    pub fn create(&self, effect: &str, key: &KeyUri, parameters: Value) -> Result<Value> {
        parse(sys::keyvault::create(effect, key.as_str(), &parameters.to_string())?)
    }

    /// Imports a key out of a key transfer blob, marked as this run's.
    ///
    /// # Errors
    /// When Key Vault refuses it.
    pub fn import(&self, effect: &str, key: &KeyUri, parameters: Value, blob: &Artifact) -> Result<Value> {
        parse(sys::keyvault::import(effect, key.as_str(), &parameters.to_string(), &blob.0)?)
    }

    /// Changes attributes, key operations or tags.
    ///
    /// # Errors
    /// When Key Vault refuses it.
    pub fn update(&self, effect: &str, key: &KeyUri, parameters: Value) -> Result<Value> {
        parse(sys::keyvault::update(effect, key.as_str(), &parameters.to_string())?)
    }

    /// Makes a new version.
    ///
    /// # Errors
    /// When Key Vault refuses it.
    pub fn rotate(&self, effect: &str, key: &KeyUri) -> Result<Value> {
        parse(sys::keyvault::rotate(effect, key.as_str())?)
    }

    /// Reads a key's rotation policy.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn rotation_policy(&self, key: &KeyUri) -> Result<Value> {
        parse(sys::keyvault::rotation_policy(key.as_str())?)
    }

    /// Replaces a key's rotation policy.
    ///
    /// # Errors
    /// When Key Vault refuses it.
    pub fn set_rotation_policy(&self, effect: &str, key: &KeyUri, policy: Value) -> Result<Value> {
        parse(sys::keyvault::set_rotation_policy(effect, key.as_str(), &policy.to_string())?)
    }

    /// Deletes a key with all its versions; returns the deleted bundle. None: there was none.
    ///
    /// # Errors
    /// When Key Vault refuses it.
    pub fn delete(&self, effect: &str, key: &KeyUri) -> Result<Option<Value>> {
        sys::keyvault::delete(effect, key.as_str())?.map(parse).transpose()
    }

    /// Draws a random 256-bit data key and wraps it with a key, its current version unless the address names one.
    ///
    /// # Errors
    /// When there is no such key, or Key Vault refuses it.
    pub fn data_key(&self, key: &KeyUri, algorithm: &str) -> Result<DataKey> {
        let bundle = self.find(key)?.ok_or_else(|| {
            Problem::precondition(
                format!("There is no key {key}"),
                "Run the step that creates it, or correct the address.",
            )
        })?;
        let kid: KeyUri = bundle["key"]["kid"].as_str().unwrap_or_default().parse()?;
        let key = Crypto.generate("data-key", 256)?;
        let wrapped = self.wrap(&kid, algorithm, &key)?;
        Ok(DataKey { kid, key, wrapped })
    }

    /// Wraps `secret` with a key in the store, for example by `RSA-OAEP-256`.
    ///
    /// # Errors
    /// When Key Vault refuses it.
    pub fn wrap(&self, key: &KeyUri, algorithm: &str, secret: &Key) -> Result<Vec<u8>> {
        sys::keyvault::wrap(key.as_str(), algorithm, &secret.0)
    }

    /// Has an RSA key released to the confidential VM that this step runs in. `algorithm` is `RSA_AES_KEY_WRAP_256` or one
    /// of its kin.
    ///
    /// # Errors
    /// When the key's release policy does not let it go, or who answered is not the key store.
    pub fn release(&self, key: &KeyUri, token: &Token, algorithm: &str) -> Result<Pair> {
        sys::keyvault::release(key.as_str(), &token.0, algorithm).map(Pair)
    }

    /// Unwraps it again, into a handle.
    ///
    /// # Errors
    /// When Key Vault refuses it.
    pub fn unwrap(&self, key: &KeyUri, algorithm: &str, wrapped: &[u8]) -> Result<Key> {
        sys::keyvault::unwrap(key.as_str(), algorithm, wrapped).map(Key)
    }
}

pub(super) fn parse(text: String) -> Result<Value> {
    Ok(serde_json::from_str(&text)?)
}
