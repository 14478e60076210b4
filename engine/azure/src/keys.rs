//! Keys in Key Vault and Managed HSM, through the official client, with Key Vault's own JSON in and out.

mod uri;

use std::sync::Arc;

use azure_core::http::{ClientMethodOptions, Context, RequestContent, Response};
use azure_security_keyvault_keys::models::{
    KeyClientGetKeyOptions, KeyClientReleaseOptions, KeyClientUnwrapKeyOptions, KeyClientUpdateKeyPropertiesOptions,
    KeyClientWrapKeyOptions, KeyEncryptionAlgorithm, KeyOperationParameters, ReleaseParameters,
};
use azure_security_keyvault_keys::{KeyClient, KeyClientOptions};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::TryStreamExt as _;
use sealbook_crypto::{SecretBytes, SecretString};
use serde::Deserialize;
use serde_json::Value;

use crate::azure::Inner;
use crate::error::{AzureError, Effect, Kind};
use crate::retry::Repeatable;
use uri::KeyUri;

/// Key Vault's keys. A key is named by its URI, `https://{vault}.vault.azure.net/keys/{name}[/{version}]`.
///
/// All methods fail with [`Kind::BadRequest`] and `InvalidKeyUri` for anything else (another host above all), and with
/// what Key Vault answers.
#[derive(Debug, Clone)]
pub struct Keys {
    inner: Arc<Inner>,
}

impl Keys {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// Reads a key's bundle (`key`, `attributes`, `tags`): the current version unless the URI names one. `None`: there
    /// is none.
    ///
    /// # Errors
    /// See [`Keys`].
    pub async fn get(&self, uri: &str) -> Result<Option<Value>, AzureError> {
        let uri = KeyUri::parse(uri)?;
        let options = KeyClientGetKeyOptions { key_version: uri.version.clone(), ..Default::default() };
        let answer = self.client(&uri)?.get_key(&uri.name, Some(options)).await;
        if_there(answer, Effect::Read)
    }

    /// Lists a key's versions (`kid`, `attributes`, `tags`), oldest first. Empty when there is no such key.
    ///
    /// # Errors
    /// See [`Keys`].
    pub async fn versions(&self, uri: &str) -> Result<Vec<Value>, AzureError> {
        let uri = KeyUri::parse(uri)?;
        let read = async {
            let mut pages =
                self.client(&uri)?.list_key_properties_versions(&uri.name, None).map_err(read)?.into_pages();
            let mut versions = Vec::new();
            while let Some(page) = pages.try_next().await.map_err(read)? {
                let mut page: Value = page.into_body().json().map_err(read)?;
                if let Some(Value::Array(items)) = page.get_mut("value").map(Value::take) {
                    versions.extend(items);
                }
            }
            Ok(versions)
        };
        let mut versions: Vec<Value> = match read.await {
            Err(error @ AzureError { kind: Kind::NotFound, .. }) if !error.has_code("VaultNotFound") => Vec::new(),
            versions => versions?,
        };
        versions.sort_by_key(|version| version.pointer("/attributes/created").and_then(Value::as_i64));
        Ok(versions)
    }

    /// Creates a key, or a new version of it, from Key Vault's parameters (`kty`, `key_size`, `key_ops`, `attributes`,
    /// `tags`, `release_policy`).
    ///
    /// # Errors
    /// See [`Keys`]; [`AzureError::outcome_unknown`] applies.
    pub async fn create(&self, uri: &str, parameters: &Value) -> Result<Value, AzureError> {
        let uri = KeyUri::parse(uri)?.without_version()?;
        json(self.client(&uri)?.create_key(&uri.name, RequestContent::from(body(parameters)), None).await)
    }

    /// Imports a key, or a new version of it, from Key Vault's parameters (`key` with its private parts or a transfer
    /// blob in `key_hsm`, `Hsm`, `attributes`, `tags`, `release_policy`).
    ///
    /// # Errors
    /// See [`Keys`]; [`AzureError::outcome_unknown`] applies.
    pub async fn import(&self, uri: &str, parameters: &Value) -> Result<Value, AzureError> {
        let uri = KeyUri::parse(uri)?.without_version()?;
        json(self.client(&uri)?.import_key(&uri.name, RequestContent::from(body(parameters)), None).await)
    }

    /// Changes attributes, key operations, tags or release policy of a version, the current one unless the URI names
    /// one.
    ///
    /// # Errors
    /// See [`Keys`]; [`AzureError::outcome_unknown`] applies.
    pub async fn update(&self, uri: &str, parameters: &Value) -> Result<Value, AzureError> {
        let uri = KeyUri::parse(uri)?;
        let options = KeyClientUpdateKeyPropertiesOptions { key_version: uri.version.clone(), ..Default::default() };
        let content = RequestContent::from(body(parameters));
        json(self.client(&uri)?.update_key_properties(&uri.name, content, Some(options)).await)
    }

    /// Makes a new version with the parameters of the current one.
    ///
    /// # Errors
    /// See [`Keys`]; [`AzureError::outcome_unknown`] applies.
    pub async fn rotate(&self, uri: &str) -> Result<Value, AzureError> {
        let uri = KeyUri::parse(uri)?.without_version()?;
        json(self.client(&uri)?.rotate_key(&uri.name, None).await)
    }

    /// Reads a key's rotation policy (`lifetimeActions`, `attributes`).
    ///
    /// # Errors
    /// See [`Keys`].
    pub async fn rotation_policy(&self, uri: &str) -> Result<Value, AzureError> {
        let uri = KeyUri::parse(uri)?.without_version()?;
        let answer = self.client(&uri)?.get_key_rotation_policy(&uri.name, None).await;
        answer.and_then(|answer| answer.into_body().json()).map_err(read)
    }

    /// Replaces a key's rotation policy.
    ///
    /// # Errors
    /// See [`Keys`]; [`AzureError::outcome_unknown`] applies.
    pub async fn set_rotation_policy(&self, uri: &str, policy: &Value) -> Result<Value, AzureError> {
        let uri = KeyUri::parse(uri)?.without_version()?;
        json(self.client(&uri)?.update_key_rotation_policy(&uri.name, RequestContent::from(body(policy)), None).await)
    }

    /// Deletes a key with all its versions. Returns the deleted bundle (`recoveryId`, `scheduledPurgeDate`). `None`:
    /// there was none.
    ///
    /// # Errors
    /// See [`Keys`]; [`AzureError::outcome_unknown`] applies.
    pub async fn delete(&self, uri: &str) -> Result<Option<Value>, AzureError> {
        let uri = KeyUri::parse(uri)?.without_version()?;
        let answer = self.client(&uri)?.delete_key(&uri.name, None).await;
        if_there(answer, Effect::Write)
    }

    /// Reads a deleted key that can still be recovered. `None`: there is none.
    ///
    /// # Errors
    /// See [`Keys`].
    pub async fn deleted(&self, uri: &str) -> Result<Option<Value>, AzureError> {
        let uri = KeyUri::parse(uri)?.without_version()?;
        let answer = self.client(&uri)?.get_deleted_key(&uri.name, None).await;
        if_there(answer, Effect::Read)
    }

    /// Wraps a symmetric key with a key in the vault (`RSA-OAEP-256`, …).
    ///
    /// # Errors
    /// See [`Keys`].
    pub async fn wrap(&self, uri: &str, algorithm: &str, secret: &SecretBytes) -> Result<Vec<u8>, AzureError> {
        let uri = KeyUri::parse(uri)?;
        let options = KeyClientWrapKeyOptions { key_version: uri.version.clone(), method_options: repeatable() };
        let content = operation(algorithm, secret.expose());
        let answer = self.client(&uri)?.wrap_key(&uri.name, content, Some(options)).await;
        let wrapped = result(answer)?;
        Ok(wrapped.expose().to_vec())
    }

    /// Unwraps it again.
    ///
    /// # Errors
    /// See [`Keys`].
    pub async fn unwrap(&self, uri: &str, algorithm: &str, wrapped: &[u8]) -> Result<SecretBytes, AzureError> {
        let uri = KeyUri::parse(uri)?;
        let options = KeyClientUnwrapKeyOptions { method_options: repeatable() };
        let content = operation(algorithm, wrapped);
        let answer = self.client(&uri)?.unwrap_key(&uri.name, uri.version_or_current(), content, Some(options)).await;
        result(answer)
    }

    /// Has an exportable key released for an attestation token. `algorithm` is the wrap (`RSA_AES_KEY_WRAP_256`, …),
    /// `nonce` comes back in the answer. Returns the signed answer, a JWS (RFC 7515), unverified.
    ///
    /// # Errors
    /// See [`Keys`]. A token that does not satisfy the key's policy is `AccessDenied`.
    pub async fn release(
        &self,
        uri: &str,
        token: &SecretString,
        algorithm: &str,
        nonce: &str,
    ) -> Result<SecretString, AzureError> {
        let uri = KeyUri::parse(uri)?;
        let options = KeyClientReleaseOptions { key_version: uri.version.clone(), method_options: repeatable() };
        let parameters = ReleaseParameters {
            algorithm: Some(KeyEncryptionAlgorithm::UnknownValue(algorithm.to_owned())),
            nonce: Some(nonce.to_owned()),
            target_attestation_token: Some(token.expose().to_owned()),
        };
        let parameters: RequestContent<ReleaseParameters> = parameters.try_into().map_err(read)?;
        let answer = self.client(&uri)?.release(&uri.name, parameters, Some(options)).await.map_err(read)?;
        let value = answer.into_model().map_err(read)?.value;
        value.map(SecretString::from).ok_or_else(|| {
            AzureError::new(Kind::Other, "UnreadableAnswer", "the key store's answer holds no released key".to_owned())
        })
    }

    fn client(&self, uri: &KeyUri) -> Result<Arc<KeyClient>, AzureError> {
        let make = || {
            let options = KeyClientOptions {
                client_options: self.inner.options(&uri.host),
                // Otherwise whoever answers for a vault could ask for tokens of another service.
                verify_challenge_resource: Some(true),
                ..KeyClientOptions::default()
            };
            KeyClient::new(&format!("https://{}", uri.host), self.inner.credential(), Some(options))
        };
        self.inner.vault(&uri.host, make).map_err(read)
    }
}

/// Wrapping and unwrapping leave nothing behind.
fn repeatable() -> ClientMethodOptions<'static> {
    ClientMethodOptions { context: Context::new().with_value(Repeatable) }
}

fn body(parameters: &Value) -> Vec<u8> {
    parameters.to_string().into_bytes()
}

fn operation(algorithm: &str, value: &[u8]) -> RequestContent<KeyOperationParameters> {
    let algorithm = Value::from(algorithm);
    let value = SecretString::from(URL_SAFE_NO_PAD.encode(value));
    RequestContent::from(format!(r#"{{"alg":{algorithm},"value":"{}"}}"#, value.expose()).into_bytes())
}

fn json<T>(answer: azure_core::Result<Response<T>>) -> Result<Value, AzureError> {
    answer.and_then(|answer| answer.into_body().json()).map_err(|error| AzureError::from_core(&error, Effect::Write))
}

fn if_there<T>(answer: azure_core::Result<Response<T>>, effect: Effect) -> Result<Option<Value>, AzureError> {
    match answer.and_then(|answer| answer.into_body().json()) {
        Ok(value) => Ok(Some(value)),
        Err(error) => match AzureError::from_core(&error, effect) {
            absent if absent.kind == Kind::NotFound && !absent.has_code("VaultNotFound") => Ok(None),
            error => Err(error),
        },
    }
}

/// Takes the bytes out of an operation's result without leaving copies in JSON values.
fn result<T>(answer: azure_core::Result<Response<T>>) -> Result<SecretBytes, AzureError> {
    #[derive(Deserialize)]
    struct Outcome {
        value: String,
    }
    let outcome: Outcome = answer.and_then(|answer| answer.into_body().json()).map_err(read)?;
    let value = SecretString::from(outcome.value);
    // Which byte was wrong says something about the secret: not passed on.
    URL_SAFE_NO_PAD.decode(value.expose().trim_end_matches('=')).map(SecretBytes::from).map_err(|_| {
        AzureError::new(Kind::Other, "UnreadableAnswer", "Key Vault answered a value that is not base64url")
    })
}

fn read(error: azure_core::Error) -> AzureError {
    AzureError::from_core(&error, Effect::Read)
}
