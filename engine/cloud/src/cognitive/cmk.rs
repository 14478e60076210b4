//! Who protects an account's data encryption key: the service, or a key of the customer's vault.
//!
//! Nothing is cached: whoever needs the access keys asks the vault at that moment, as the account's identity.
//!
//! Sources: <https://learn.microsoft.com/azure/ai-foundry/concepts/encryption-keys-portal>,
//! <https://learn.microsoft.com/azure/ai-services/encryption/cognitive-services-encryption-keys-portal>. The service's
//! own error codes for these rules are not documented; Azure Storage's for the same rules stand in for them.

use sealbook_crypto::{SealKey, SecretBytes};
use serde_json::{Value, json};

use super::invalid;
use super::row::{self, CustomerKey, Row};
use crate::arm::identity;
use crate::cx::Cx;
use crate::identity::principals;
use crate::keyvault::cmk::{self, CmkError, KeyAt, Wrap};
use crate::refusal::Refusal;
use crate::rules::Rule;

/// Size of the only keys that the service takes, in bytes.
const MODULUS: usize = 2048 / 8;

/// Why the data encryption key can't be had.
pub(super) enum Locked {
    /// The account has no identity, or the one that it names is gone.
    NoIdentity,
    /// The vault or the key refused.
    Key(CmkError),
    /// The embedded Azure failed.
    Internal(Refusal),
}

impl From<CmkError> for Locked {
    fn from(error: CmkError) -> Self {
        match error {
            CmkError::Internal(refusal) => Self::Internal(refusal),
            other => Self::Key(other),
        }
    }
}

impl From<Refusal> for Locked {
    fn from(refusal: Refusal) -> Self {
        Self::Internal(refusal)
    }
}

impl Locked {
    /// What a request for the account's data answers.
    pub fn for_data(self) -> Refusal {
        match self {
            Self::NoIdentity => Refusal::new(
                403,
                "KeyVaultAccessTokenCannotBeAcquired",
                "Unable to acquire the key vault access token with the identity of this account.",
            ),
            Self::Key(CmkError::VaultNotFound) => Refusal::new(
                403,
                "KeyVaultVaultNotFound",
                "The key vault of the account's encryption key is not found.",
            ),
            Self::Key(why) => Refusal::new(
                403,
                "KeyVaultEncryptionKeyNotFound",
                format!("The account's data can't be decrypted with the customer-managed key: {why}."),
            ),
            Self::Internal(refusal) => refusal,
        }
    }

    /// What a change of the account's encryption answers.
    fn for_update(self) -> Refusal {
        match self {
            Self::NoIdentity => invalid(
                "A customer-managed key needs a managed identity of the account that can reach the key: assign one, \
                 and name its client id in identityClientId when it is user-assigned.",
            ),
            Self::Key(CmkError::VaultNotFound) => {
                invalid("The key vault of encryption.keyVaultProperties is not found.")
            }
            Self::Key(CmkError::KeyNotFound) => {
                invalid("The key or version of encryption.keyVaultProperties is not found in its vault.")
            }
            Self::Key(CmkError::NotRsa) => size(),
            Self::Key(why) => Refusal::new(
                400,
                "KeyVaultAuthenticationFailure",
                format!(
                    "The operation failed because the account's identity can't get, wrap and unwrap with the key: {why}."
                ),
            ),
            Self::Internal(refusal) => refusal,
        }
    }
}

fn size() -> Refusal {
    invalid("Only RSA and RSA-HSM keys of 2048 bits can encrypt this account.")
}

/// Object id of the identity with which an account with this document asks its vault.
fn principal(cx: &Cx<'_>, document: &Value) -> Result<String, Locked> {
    let mine = &document["identity"];
    let client = document["properties"]["encryption"]["keyVaultProperties"]["identityClientId"].as_str();
    let found = match client.filter(|client| !client.is_empty()) {
        None => identity::system(mine),
        Some(client) => {
            let held = mine["userAssignedIdentities"].as_object();
            let mut held = held.into_iter().flat_map(serde_json::Map::values);
            held.find(|held| held["clientId"].as_str().is_some_and(|id| id.eq_ignore_ascii_case(client)))
                .and_then(|held| held["principalId"].as_str())
        }
    };
    let oid = found.ok_or(Locked::NoIdentity)?.to_owned();
    if principals::get(cx.tx, &oid)?.is_none() {
        return Err(Locked::NoIdentity);
    }
    Ok(oid)
}

/// Opens the data encryption key of an account with this document.
pub(super) fn unlock(cx: &mut Cx<'_>, row: &Row, document: &Value) -> Result<SealKey, Locked> {
    let dek = match &row.key {
        None => cx.open(&row.dek_place(), &row.dek)?,
        Some(key) => {
            let oid = principal(cx, document)?;
            let at = KeyAt { vault_uri: &key.vault_uri, name: &key.name, version: Some(&key.version) };
            cmk::service_wrap(cx, &oid, &at, Wrap::Unwrap, &row.dek)?.bytes
        }
    };
    as_key(&dek).map_err(Locked::from)
}

fn as_key(dek: &SecretBytes) -> Result<SealKey, Refusal> {
    let bytes = <[u8; 32]>::try_from(dek.expose())
        .map_err(|_| Refusal::internal(format!("a data encryption key has {} bytes", dek.len())))?;
    Ok(SealKey::from_bytes(bytes))
}

/// Moves an account to what `given` (its `encryption`) names. `document` is the account's as it will be; its
/// `encryption` is still the old one on entry and the new one on return.
pub(super) fn apply(cx: &mut Cx<'_>, row: &mut Row, document: &mut Value, given: &Value) -> Result<(), Refusal> {
    let source = given["keySource"].as_str().unwrap_or_default();
    if source.eq_ignore_ascii_case("Microsoft.CognitiveServices") {
        if row.key.is_some() && Rule::AiAccountsDoNotGoBack.holds() {
            return Err(invalid(
                "The account is encrypted with a customer-managed key and can't go back to a Microsoft-managed one.",
            ));
        }
        document["properties"]["encryption"] = json!({ "keySource": "Microsoft.CognitiveServices" });
        return Ok(());
    }
    if !source.eq_ignore_ascii_case("Microsoft.KeyVault") {
        return Err(invalid(format!(
            "'{source}' is no key source: Microsoft.CognitiveServices or Microsoft.KeyVault."
        )));
    }
    let asked = &given["keyVaultProperties"];
    let text = |name: &str| {
        let text = asked[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        text.ok_or_else(|| invalid(format!("encryption.keyVaultProperties.{name} is missing.")))
    };
    let key = CustomerKey { vault_uri: text("keyVaultUri")?, name: text("keyName")?, version: text("keyVersion")? };
    if row.key.as_ref().is_some_and(|old| vault(&old.vault_uri) != vault(&key.vault_uri)) {
        return Err(invalid("The key of an account can change only to another one in the same key vault."));
    }
    let opened = unlock(cx, row, document);
    let mut shown = json!({ "keyName": key.name, "keyVersion": key.version, "keyVaultUri": key.vault_uri });
    if let Some(client) = asked["identityClientId"].as_str().filter(|client| !client.is_empty()) {
        shown["identityClientId"] = client.into();
    }
    document["properties"]["encryption"] = json!({ "keySource": "Microsoft.KeyVault", "keyVaultProperties": shown });
    // As the identity that asked until now or, when that one is gone or lost its role, as the one that is to ask. Else an
    // account could never get a new identity.
    let opened = match opened {
        Err(Locked::NoIdentity | Locked::Key(_)) => unlock(cx, row, document),
        opened => opened,
    };
    let dek = opened.map_err(Locked::for_update)?;
    check_vault(cx, &key, document["location"].as_str().unwrap_or_default())?;
    wrap(cx, row, &dek, key, document)
}

fn vault(uri: &str) -> String {
    uri.trim().trim_end_matches('/').to_ascii_lowercase()
}

/// Refuses a vault of another region or tenant, and one from which somebody could purge the key.
fn check_vault(cx: &mut Cx<'_>, key: &CustomerKey, location: &str) -> Result<(), Refusal> {
    let policy = cmk::vault_policy(cx, &key.vault_uri).map_err(|error| Locked::from(error).for_update())?;
    if Rule::AiKeysAreInTheRegion.holds() && !policy.location.eq_ignore_ascii_case(location) {
        return Err(invalid(format!(
            "The key vault is in {}, and the account in {location}: they must be in the same region.",
            policy.location
        )));
    }
    if !policy.tenant.eq_ignore_ascii_case(&cx.tenant) {
        return Err(invalid("The key vault and the account must be in the same tenant."));
    }
    if policy.soft_delete && policy.purge_protection || !Rule::AiKeysArePurgeProtected.holds() {
        return Ok(());
    }
    Err(Refusal::new(
        400,
        "KeyVaultPolicyError",
        "The key vault must have soft delete and purge protection enabled to hold a customer-managed key.",
    ))
}

/// Wraps the data encryption key and unwraps it again at once: an identity that can do half would lock the data away.
fn wrap(cx: &mut Cx<'_>, row: &mut Row, dek: &SealKey, key: CustomerKey, document: &Value) -> Result<(), Refusal> {
    let oid = principal(cx, document).map_err(Locked::for_update)?;
    let at = KeyAt { vault_uri: &key.vault_uri, name: &key.name, version: Some(&key.version) };
    let update = |error: CmkError| Locked::from(error).for_update();
    let wrapped = cmk::service_wrap(cx, &oid, &at, Wrap::Wrap, dek.expose()).map_err(update)?;
    if Rule::AiKeysHave2048Bits.holds() && wrapped.bytes.len() != MODULUS {
        return Err(size());
    }
    let back = cmk::service_wrap(cx, &oid, &at, Wrap::Unwrap, wrapped.bytes.expose()).map_err(update)?;
    if !sealbook_crypto::constant_time_eq(back.bytes.expose(), dek.expose()) {
        return Err(Refusal::internal("a wrapped data encryption key did not come back from its vault"));
    }
    row.dek = wrapped.bytes.expose().to_vec();
    row.key = Some(key);
    row::protect(cx, row)
}
