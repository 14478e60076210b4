//! Data keys under a disk encryption set.

use serde_json::Value;

use super::DOUBLE;
use super::key::KeyUrl;
use crate::arm::identity;
use crate::cx::Cx;
use crate::encryption::{self, CustomerKey, DataKey, Locked};
use crate::keyvault::cmk::CmkError;
use crate::refusal::Refusal;
use crate::store::resources::Resource;

/// Object id of the identity that asks the vault: the system-assigned one, else the first of the user's.
pub(super) fn principal(shown: &Value) -> Option<String> {
    let mut users = shown["userAssignedIdentities"].as_object().into_iter().flatten();
    let user = || users.find_map(|(_, found)| found["principalId"].as_str());
    identity::system(shown).or_else(user).map(str::to_owned)
}

/// The key that a set names, as its members use it. None when the set has no identity.
pub(in crate::compute) fn customer_key(id: &str, set: &Value) -> Option<CustomerKey> {
    let key = KeyUrl::parse(set["properties"]["activeKey"]["keyUrl"].as_str()?)?;
    Some(CustomerKey {
        principal: principal(&set["identity"])?,
        vault_uri: key.vault_uri,
        name: key.name,
        version: key.version,
        set: Some(id.to_owned()),
        double: set["properties"]["encryptionType"] == DOUBLE,
        follows: false,
        next_check: None,
    })
}

/// Puts a data key under a set.
///
/// # Errors
/// See [`refusal`]: of the set that protects the key until now, or of the one that is to.
pub(in crate::compute) fn protect(cx: &mut Cx<'_>, key: &mut DataKey, set: &Resource) -> Result<(), Refusal> {
    let url = set.body["properties"]["activeKey"]["keyUrl"].as_str().unwrap_or_default();
    let new = |locked| refusal(locked, &set.name, url);
    let by = customer_key(&set.id, &set.body).ok_or(Locked::IdentityGone).map_err(new)?;
    let old = locker(key);
    let opened =
        encryption::unlock_to_change(cx, key, &by.principal).map_err(|locked| refusal(locked, &old.0, &old.1))?;
    encryption::adopt(cx, key, &opened, by).map_err(new)?;
    Ok(())
}

/// Name of the set that protects a data key, and the identifier of the key.
pub(in crate::compute) fn locker(key: &DataKey) -> (String, String) {
    let Some(by) = key.customer() else { return Default::default() };
    let set = by.set.as_deref().and_then(|id| id.rsplit('/').next()).unwrap_or_default();
    (set.to_owned(), format!("{}/keys/{}/{}", by.vault_uri, by.name, by.version))
}

/// What operations on disks answer when the key of a set is out of reach.
///
/// Source: <https://aka.ms/keyvaultaccessssecmk>.
pub(in crate::compute) fn refusal(locked: Locked, set: &str, url: &str) -> Refusal {
    let error = match locked {
        Locked::Internal(refusal) => return refusal,
        Locked::IdentityGone => {
            return Refusal::new(
                403,
                "KeyVaultAccessTokenCannotBeAcquired",
                format!("The managed identity of disk encryption set '{set}' can't get a token for the key vault."),
            );
        }
        Locked::Key(error) => error,
    };
    let (status, code, message) = match error {
        CmkError::VaultNotFound => (
            400,
            "KeyVaultNotFound",
            format!("The key vault of '{url}', used for disk encryption set '{set}', was not found."),
        ),
        CmkError::KeyNotFound | CmkError::BadCiphertext => (
            400,
            "KeyVaultKeyNotFound",
            format!("The key vault key '{url}' used for disk encryption set '{set}' was not found."),
        ),
        CmkError::KeyDisabled => (
            400,
            "KeyVaultKeyNotEnabled",
            format!("The key vault key '{url}' used for disk encryption set '{set}' must be in enabled state."),
        ),
        CmkError::KeyExpired => {
            (400, "KeyVaultAccessForbidden", format!("Unable to access key '{url}'. Key is expired or not yet valid."))
        }
        CmkError::NotRsa => (
            400,
            "InvalidParameter",
            format!("The key '{url}' can't be used: disks are encrypted with RSA keys of 2048, 3072 or 4096 bits."),
        ),
        _ => (
            403,
            "KeyVaultAccessForbidden",
            format!(
                "Unable to access key vault resource '{url}' to enable encryption at rest. Please grant get, wrap and \
                 unwrap key permissions to disk encryption set '{set}'. Please visit \
                 https://aka.ms/keyvaultaccessssecmk for more information."
            ),
        ),
    };
    Refusal::new(status, code, message)
}
