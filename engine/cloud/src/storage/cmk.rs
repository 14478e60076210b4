//! Accounts under a customer's key: what Storage demands of the key, and what clients learn when it is out of reach.

use chrono::Duration;
use sealbook_crypto::SealKey;
use serde_json::{Value, json};

use super::account::{self, Account, OWNER};
use crate::cx::Cx;
use crate::encryption::{self, CustomerKey, DataKey, Locked};
use crate::keyvault::cmk::{self, CmkError, KeyAt};
use crate::refusal::Refusal;
use crate::rules::Rule;
use crate::store::{millis, resources};

/// How often an account without a pinned version looks for a newer one, on the cloud clock.
const CHECK_EVERY: Duration = Duration::days(1);

/// What the data plane answers (Blob Storage error codes, class 403).
pub(crate) fn for_data(locked: Locked) -> Refusal {
    match locked {
        Locked::IdentityGone => Refusal::new(
            403,
            "KeyVaultAccessTokenCannotBeAcquired",
            "Unable to acquire the key vault access token from Microsoft Entra ID with this resource's identity.",
        ),
        Locked::Key(CmkError::VaultNotFound) => {
            Refusal::new(403, "KeyVaultVaultNotFound", "The key vault is not found for encryption.")
        }
        Locked::Key(_) => Refusal::new(
            403,
            "KeyVaultEncryptionKeyNotFound",
            "The key vault key is not found to unwrap the encryption key.",
        ),
        Locked::Internal(refusal) => refusal,
    }
}

/// What an update of the account answers.
fn for_update(locked: Locked) -> Refusal {
    match locked {
        Locked::Key(CmkError::VaultNotFound) => invalid_value("encryption.keyvaultproperties.keyvaulturi"),
        Locked::Key(CmkError::KeyNotFound | CmkError::NotRsa) => invalid_value("encryption.keyvaultproperties.keyname"),
        Locked::IdentityGone | Locked::Key(_) => authentication_failure(),
        Locked::Internal(refusal) => refusal,
    }
}

/// What an update answers when the key that protects the account until now is out of reach.
fn for_leaving(locked: Locked) -> Refusal {
    match locked {
        Locked::IdentityGone | Locked::Key(_) => authentication_failure(),
        Locked::Internal(refusal) => refusal,
    }
}

fn authentication_failure() -> Refusal {
    Refusal::new(
        400,
        "KeyVaultAuthenticationFailure",
        "The operation failed because of authentication issue on the keyvault. For more information, see - \
         https://aka.ms/storagekeyvaultaccesspolicy",
    )
}

/// Azure's refusal of a value in an account's body.
pub(super) fn invalid_value(property: &str) -> Refusal {
    Refusal::new(
        400,
        "InvalidValuesForRequestParameters",
        format!("Values for request parameters are invalid: {property}."),
    )
}

/// What a customer asks for: the key and the identity that may use it.
#[derive(Debug)]
pub(super) struct Choice<'a> {
    /// Vault as the customer wrote it.
    pub vault_uri: &'a str,
    /// Key name.
    pub name: &'a str,
    /// Version, when the customer pins one.
    pub version: Option<&'a str>,
    /// Object id of the identity.
    pub principal: &'a str,
}

/// Opens the account's data key, with whatever protects it now.
pub(super) fn unlock(cx: &mut Cx<'_>, account: &Account) -> Result<SealKey, Locked> {
    let key = encryption::get(cx.tx, &account.owner())?;
    encryption::unlock(cx, &key)
}

/// Puts the account under a customer's key: checks the vault's policy and that the identity can wrap *and* unwrap,
/// then wraps the data key. Returns `keyvaultproperties` as the account shows them.
pub(super) fn adopt(cx: &mut Cx<'_>, account: &Account, choice: &Choice<'_>) -> Result<Value, Refusal> {
    let mut key = encryption::get(cx.tx, &account.owner())?;
    let opened = encryption::unlock_to_change(cx, &key, choice.principal).map_err(for_leaving)?;
    let policy = cmk::vault_policy(cx, choice.vault_uri).map_err(|error| for_update(error.into()))?;
    if Rule::StorageKeysArePurgeProtected.holds() && !(policy.soft_delete && policy.purge_protection) {
        return Err(Refusal::new(400, "KeyVaultPolicyError", "Keyvault policy recoverable is not set"));
    }
    let pinned = choice.version.unwrap_or_default();
    let by = CustomerKey {
        principal: choice.principal.to_owned(),
        vault_uri: choice.vault_uri.to_owned(),
        name: choice.name.to_owned(),
        version: pinned.to_owned(),
        follows: pinned.is_empty(),
        next_check: pinned.is_empty().then(|| millis(cx.now + CHECK_EVERY)),
        ..CustomerKey::default()
    };
    let kid = encryption::adopt(cx, &mut key, &opened, by).map_err(for_update)?;
    let mut shown = json!({
        "keyvaulturi": choice.vault_uri,
        "keyname": choice.name,
        "currentVersionedKeyIdentifier": kid,
        "lastKeyRotationTimestamp": crate::time::rfc3339(cx.now),
    });
    if !pinned.is_empty() {
        shown["keyversion"] = pinned.into();
    }
    show_expiry(cx, &mut shown)?;
    Ok(shown)
}

/// Shows when the version in use expires, if it ever does (`KeyVaultProperties` of Microsoft.Storage).
fn show_expiry(cx: &Cx<'_>, shown: &mut Value) -> Result<(), Refusal> {
    const EXPIRY: &str = "currentVersionedKeyExpirationTimestamp";
    let kid = shown["currentVersionedKeyIdentifier"].as_str().unwrap_or_default();
    let expiry = match KeyAt::parse(kid) {
        Some(at) => cmk::expiry(cx, &at)?,
        None => None,
    };
    match (expiry, shown.as_object_mut()) {
        (Some(expiry), Some(shown)) => _ = shown.insert(EXPIRY.into(), crate::time::rfc3339(expiry).into()),
        (None, Some(shown)) => _ = shown.shift_remove(EXPIRY),
        (_, None) => {}
    }
    Ok(())
}

/// Puts the account back under the service's key. Needs the customer's key one last time.
pub(super) fn release(cx: &mut Cx<'_>, account: &Account) -> Result<(), Refusal> {
    let mut key = encryption::get(cx.tx, &account.owner())?;
    encryption::release(cx, &mut key).map_err(for_leaving)
}

/// Moves accounts that follow their key to its newest version, once a day on the cloud clock. An account whose key
/// is out of reach stays with the version it has and tries again a day later, as in Azure.
pub(super) fn follow_rotations(cx: &mut Cx<'_>) -> Result<(), Refusal> {
    for mut key in encryption::due(cx.tx, OWNER, millis(cx.now))? {
        match follow(cx, &mut key) {
            Ok(()) | Err(Locked::IdentityGone | Locked::Key(_)) => {}
            // One account that can't move must not stop every request to the cloud.
            Err(Locked::Internal(refusal)) => {
                let cause = refusal.cause().unwrap_or(&refusal.message);
                tracing::error!(account = key.owner, cause, "an account can't follow its key");
            }
        }
        encryption::check_again(cx, &mut key, millis(cx.now + CHECK_EVERY))?;
    }
    Ok(())
}

fn follow(cx: &mut Cx<'_>, key: &mut DataKey) -> Result<(), Locked> {
    let Some(kid) = encryption::rewrap(cx, key, "")? else { return Ok(()) };
    let Some(account) = account::by_owner(cx.tx, &key.owner)? else { return Ok(()) };
    if let Some(mut resource) = cx.resource(&account.resource)? {
        let shown = &mut resource.body["properties"]["encryption"]["keyvaultproperties"];
        shown["currentVersionedKeyIdentifier"] = kid.into();
        shown["lastKeyRotationTimestamp"] = crate::time::rfc3339(cx.now).into();
        show_expiry(cx, shown).map_err(Locked::Internal)?;
        let id = crate::arm::resource::id_of(&resource)?;
        resources::put(cx.tx, &id, resource.body, cx.now)?;
    }
    Ok(())
}
