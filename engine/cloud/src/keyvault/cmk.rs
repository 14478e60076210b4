//! Customer-managed keys: what another service of the embedded Azure does with a key of a vault or managed HSM, as the
//! managed identity that the customer gave it.
//!
//! Every rule of the data plane holds: the key store must be there, its firewall must admit trusted services, the
//! identity needs get, wrapKey and unwrapKey by role assignment at the key or above, the key must be enabled and permit
//! the operation. Nothing is cached.

use chrono::{DateTime, Utc};
use sealbook_crypto::SecretBytes;
use sealbook_crypto::rsa::{Padding, RsaError};
use serde_json::json;

use super::audit::Subject;
use super::cryptography::{self, Action, Fault};
use super::keystore::{self, KeyStore};
use super::store::{self, Key, Version};
use super::{bundle, network, operations};
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::rules::Rule;

/// A key as a service's configuration names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyAt<'a> {
    /// `https://<vault>.vault.azure.net` or `https://<pool>.managedhsm.azure.net`, with or without a slash at the end,
    /// in any case.
    pub vault_uri: &'a str,
    /// Name.
    pub name: &'a str,
    /// Version; the newest one when it is `None` or empty.
    pub version: Option<&'a str>,
}

impl<'a> KeyAt<'a> {
    /// Reads the URL of a key, `https://<store>/keys/<name>[/<version>]`; `None` when it is none.
    pub fn parse(url: &'a str) -> Option<Self> {
        let host = url.get(..8).filter(|scheme| scheme.eq_ignore_ascii_case("https://"))?.len();
        let end = host + url[host..].find('/')?;
        let mut segments = url[end + 1..].trim_end_matches('/').split('/');
        segments.next().filter(|keys| keys.eq_ignore_ascii_case("keys"))?;
        let name = segments.next().filter(|name| !name.is_empty())?;
        let version = segments.next();
        segments.next().is_none().then_some(Self { vault_uri: &url[..end], name, version })
    }
}

/// What to do with a data encryption key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrap {
    /// Encrypt it with RSA-OAEP-256.
    Wrap,
    /// Decrypt it again, with the version that wrapped it.
    Unwrap,
}

/// What a wrap or unwrap gave.
#[derive(Debug)]
pub(crate) struct Wrapped {
    /// Wrapped or unwrapped bytes.
    pub bytes: SecretBytes,
    /// Identifier of the version that was used.
    pub kid: String,
    /// That version; give it again to unwrap.
    pub version: String,
}

/// Why a service can't use a customer's key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CmkError {
    /// No vault answers at the address, or it is soft-deleted.
    #[error("the key vault or managed HSM does not exist or is soft-deleted; create or recover it")]
    VaultNotFound,
    /// The vault has no such key or version, or the key is soft-deleted.
    #[error("the key or its version does not exist or is soft-deleted; create or recover it")]
    KeyNotFound,
    /// The key is disabled.
    #[error("the key is disabled; enable it")]
    KeyDisabled,
    /// The key's time window does not allow new wraps.
    #[error("the key has expired or is not yet valid; rotate it or change its dates")]
    KeyExpired,
    /// The identity lacks get, wrapKey or unwrapKey.
    #[error(
        "the identity may not use the key; assign Key Vault Crypto Service Encryption User at the vault or the key, or Managed \
         HSM Crypto Service Encryption User at the key"
    )]
    Forbidden,
    /// The vault's firewall keeps the service out, although it is a trusted one.
    #[error("the vault's firewall keeps trusted services out; set its bypass to AzureServices")]
    Firewall,
    /// The key's operations include no wrapping.
    #[error("the key does not permit wrapKey and unwrapKey; add them to its operations")]
    OperationNotPermitted,
    /// The key is no RSA key.
    #[error("the key is no RSA key; customer-managed keys are RSA keys of 2048, 3072 or 4096 bits")]
    NotRsa,
    /// The wrapped bytes were not made with this version of the key.
    #[error("the wrapped bytes do not decrypt with this version of the key")]
    BadCiphertext,
    /// The embedded Azure failed.
    #[error("the embedded Key Vault failed: {}", .0.message)]
    Internal(Refusal),
}

impl From<Refusal> for CmkError {
    fn from(refusal: Refusal) -> Self {
        Self::Internal(refusal)
    }
}

impl CmkError {
    /// Status and innermost code that the data plane would have answered.
    pub fn status_and_code(&self) -> (u16, &'static str) {
        match self {
            Self::VaultNotFound => (404, "VaultNotFound"),
            Self::KeyNotFound => (404, "KeyNotFound"),
            Self::KeyDisabled => (403, "KeyDisabled"),
            Self::KeyExpired => (403, "KeyExpired"),
            Self::Forbidden => (403, "ForbiddenByRbac"),
            Self::Firewall => (403, "ForbiddenByFirewall"),
            Self::OperationNotPermitted => (403, "KeyOperationForbidden"),
            Self::NotRsa | Self::BadCiphertext => (400, "BadParameter"),
            Self::Internal(_) => (500, "InternalServerError"),
        }
    }
}

impl From<Fault> for CmkError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Disabled => Self::KeyDisabled,
            Fault::NotYetValid | Fault::Expired => Self::KeyExpired,
            Fault::NotPermitted => Self::OperationNotPermitted,
            Fault::NotRsa => Self::NotRsa,
            Fault::Rsa(RsaError::Decrypt) => Self::BadCiphertext,
            Fault::Rsa(why) => Self::Internal(Refusal::internal(why)),
            Fault::Internal(refusal) => Self::Internal(refusal),
        }
    }
}

/// What a service must know of a vault before it accepts one of its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VaultPolicy {
    /// ARM id.
    pub id: String,
    /// Region.
    pub location: String,
    /// Tenant.
    pub tenant: String,
    /// Whether deleted keys stay recoverable.
    pub soft_delete: bool,
    /// Whether nobody can purge before the retention ends.
    pub purge_protection: bool,
}

fn keystore_at(cx: &Cx<'_>, uri: &str) -> Result<KeyStore, CmkError> {
    let lower = uri.trim().to_ascii_lowercase();
    let host = lower.strip_prefix("https://").ok_or(CmkError::VaultNotFound)?.trim_end_matches('/');
    keystore::at_host(cx, host.strip_suffix(":443").unwrap_or(host))?.ok_or(CmkError::VaultNotFound)
}

/// Reads the policy of the vault at an address.
///
/// # Errors
/// [`CmkError::VaultNotFound`] when there is none.
pub(crate) fn vault_policy(cx: &mut Cx<'_>, vault_uri: &str) -> Result<VaultPolicy, CmkError> {
    let keystore = keystore_at(cx, vault_uri)?;
    Ok(VaultPolicy {
        id: keystore.id.clone(),
        location: keystore.location().to_owned(),
        tenant: keystore.tenant().to_owned(),
        soft_delete: true,
        purge_protection: keystore.purge_protected(),
    })
}

/// Wraps or unwraps with a customer's key as the principal `principal_id`, and records it in the vault's log.
///
/// # Errors
/// A [`CmkError`] that says which link of the chain is broken.
pub(crate) fn service_wrap(
    cx: &mut Cx<'_>,
    principal_id: &str,
    key: &KeyAt<'_>,
    op: Wrap,
    input: &[u8],
) -> Result<Wrapped, CmkError> {
    let keystore = keystore_at(cx, key.vault_uri)?;
    let result = wrap_in(cx, &keystore, principal_id, key, op, input);
    let (status, error) = match &result {
        Ok(_) => (200, None),
        Err(why) => {
            let (status, code) = why.status_and_code();
            (status, Some(code.to_owned()))
        }
    };
    let version = key.version.filter(|version| !version.is_empty());
    let id = result.as_ref().map_or_else(|_| bundle::kid(&keystore, key.name, version), |wrapped| wrapped.kid.clone());
    let subject = Subject {
        keystore: &keystore,
        operation: match op {
            Wrap::Wrap => "KeyWrap",
            Wrap::Unwrap => "KeyUnwrap",
        },
        status,
        uri: format!("{id}/{}", if op == Wrap::Wrap { "wrapkey" } else { "unwrapkey" }),
        id: Some(id),
        algorithm: Some("RSA-OAEP-256".to_owned()),
        error,
    };
    let entry = subject.entry(cx);
    cx.audit_as(entry, json!({ "claim": { "oid": principal_id, "idtyp": "app", "tid": keystore.tenant() } }));
    result
}

/// When a version of a customer's key expires; `None`: never, or there is no such version.
///
/// # Errors
/// The database can't be read.
pub(crate) fn expiry(cx: &Cx<'_>, key: &KeyAt<'_>) -> Result<Option<DateTime<Utc>>, Refusal> {
    let found = keystore_at(cx, key.vault_uri).and_then(|keystore| find(cx, &keystore, key));
    match found {
        Ok((_, version)) => Ok(version.exp.and_then(|seconds| DateTime::from_timestamp(seconds, 0))),
        Err(CmkError::Internal(refusal)) => Err(refusal),
        Err(_) => Ok(None),
    }
}

fn wrap_in(
    cx: &Cx<'_>,
    keystore: &KeyStore,
    principal_id: &str,
    key: &KeyAt<'_>,
    op: Wrap,
    input: &[u8],
) -> Result<Wrapped, CmkError> {
    let actions = operations::actions(keystore.kind);
    let (action, permission, rule) = match op {
        Wrap::Wrap => (Action::Wrap, actions.wrap, Rule::UpdatesNeedWrapKey),
        Wrap::Unwrap => (Action::Unwrap, actions.unwrap, Rule::DataNeedsUnwrapKey),
    };
    if !network::admits_services(keystore) {
        return Err(CmkError::Firewall);
    }
    for needed in [actions.read, permission] {
        if rule.holds() && !keystore.allows(cx, principal_id, needed, key.name)? {
            return Err(CmkError::Forbidden);
        }
    }
    let (key, version) = find(cx, keystore, key)?;
    if !version.kty.starts_with("RSA") {
        return Err(CmkError::NotRsa);
    }
    let kid = bundle::kid(keystore, &key.name, Some(&version.version));
    cryptography::permitted(cx, &version, action)?;
    let bytes = cryptography::perform(cx, &kid, &version, action, Padding::OaepSha256, input)?;
    Ok(Wrapped { bytes, kid, version: version.version })
}

fn find(cx: &Cx<'_>, keystore: &KeyStore, at: &KeyAt<'_>) -> Result<(Key, Version), CmkError> {
    let key = store::key(cx, &keystore.label, at.name)?
        .filter(|key| key.deletion.is_none() || !Rule::DataNeedsTheKeyUndeleted.holds())
        .ok_or(CmkError::KeyNotFound)?;
    let version = store::version(cx, key.row, at.version.filter(|version| !version.is_empty()))?;
    Ok((key, version.ok_or(CmkError::KeyNotFound)?))
}
