//! Who protects an account's data encryption key: the service, or a key that the customer can take away.
//!
//! Nothing is cached. Every read and every write of blob data asks the protector at that moment, so a key that was
//! disabled, deleted or closed to the account's identity makes the data unreadable with the next request.

use chrono::Duration;
use sealbook_crypto::{SealKey, SecretBytes};
use serde_json::{Value, json};

use super::account::{self, Account, CustomerKey, Protector};
use crate::cx::Cx;
use crate::identity::principals;
use crate::keyvault::cmk::{self, CmkError, KeyAt, Wrap};
use crate::refusal::Refusal;
use crate::store::{millis, resources};

/// How often an account without a pinned version looks for a newer one, on the cloud clock.
const CHECK_EVERY: Duration = Duration::days(1);

/// Why a data encryption key can't be had.
#[derive(Debug)]
pub(super) enum Locked {
    /// The identity with which the account asks the vault is gone.
    IdentityGone,
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
    /// What the data plane answers (Blob Storage error codes, class 403).
    pub(super) fn for_data(self) -> Refusal {
        match self {
            Self::IdentityGone => Refusal::new(
                403,
                "KeyVaultAccessTokenCannotBeAcquired",
                "Unable to acquire the key vault access token from Microsoft Entra ID with this resource's identity.",
            ),
            Self::Key(CmkError::VaultNotFound) => {
                Refusal::new(403, "KeyVaultVaultNotFound", "The key vault is not found for encryption.")
            }
            Self::Key(_) => Refusal::new(
                403,
                "KeyVaultEncryptionKeyNotFound",
                "The key vault key is not found to unwrap the encryption key.",
            ),
            Self::Internal(refusal) => refusal,
        }
    }

    /// What an update of the account answers.
    pub(super) fn for_update(self) -> Refusal {
        match self {
            Self::Key(CmkError::VaultNotFound) => invalid_value("encryption.keyvaultproperties.keyvaulturi"),
            Self::Key(CmkError::KeyNotFound | CmkError::NotRsa) => {
                invalid_value("encryption.keyvaultproperties.keyname")
            }
            Self::IdentityGone | Self::Key(_) => authentication_failure(),
            Self::Internal(refusal) => refusal,
        }
    }

    /// What an update answers when the key that protects the account until now is out of reach.
    fn for_leaving(self) -> Refusal {
        match self {
            Self::IdentityGone | Self::Key(_) => authentication_failure(),
            Self::Internal(refusal) => refusal,
        }
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

/// Opens the account's data encryption key, with whatever protects it now.
pub(super) fn unlock(cx: &mut Cx<'_>, account: &Account) -> Result<SealKey, Locked> {
    let dek = match &account.protector {
        Protector::Service { sealed } => cx.open(&account::dek_place(&account.uid), sealed)?,
        Protector::Customer { wrapped, key } => unwrap(cx, wrapped, key, &key.principal)?,
    };
    as_key(&dek, account)
}

/// Opens the key of an account whose protector changes: as the identity that it used until now or, when that one is
/// gone or lost its role, as the one that it is to use. Else an account could never get a new identity.
fn unlock_to_change(cx: &mut Cx<'_>, account: &Account, successor: &str) -> Result<SealKey, Locked> {
    match (unlock(cx, account), &account.protector) {
        (Err(Locked::IdentityGone | Locked::Key(_)), Protector::Customer { wrapped, key }) => {
            let dek = unwrap(cx, wrapped, key, successor)?;
            as_key(&dek, account)
        }
        (result, _) => result,
    }
}

fn unwrap(cx: &mut Cx<'_>, wrapped: &[u8], key: &CustomerKey, principal: &str) -> Result<SecretBytes, Locked> {
    if principals::get(cx.tx, principal)?.is_none() {
        return Err(Locked::IdentityGone);
    }
    let at = KeyAt { vault_uri: &key.vault_uri, name: &key.name, version: Some(&key.version) };
    Ok(cmk::service_wrap(cx, principal, &at, Wrap::Unwrap, wrapped)?.bytes)
}

fn as_key(dek: &SecretBytes, account: &Account) -> Result<SealKey, Locked> {
    let bytes = <[u8; 32]>::try_from(dek.expose()).map_err(|_| {
        Refusal::internal(format!("the data encryption key of {} has {} bytes", account.name, dek.len()))
    })?;
    Ok(SealKey::from_bytes(bytes))
}

/// Puts the account under a customer's key: checks the vault's policy and that the identity can wrap *and* unwrap,
/// then wraps the data encryption key. Returns `keyvaultproperties` as the account shows them.
pub(super) fn adopt(cx: &mut Cx<'_>, account: &mut Account, choice: &Choice<'_>) -> Result<Value, Refusal> {
    let dek = unlock_to_change(cx, account, choice.principal).map_err(Locked::for_leaving)?;
    let policy = cmk::vault_policy(cx, choice.vault_uri).map_err(|error| Locked::from(error).for_update())?;
    if !(policy.soft_delete && policy.purge_protection) {
        return Err(Refusal::new(400, "KeyVaultPolicyError", "Keyvault policy recoverable is not set"));
    }
    let pinned = choice.version.filter(|version| !version.is_empty());
    let key = CustomerKey {
        principal: choice.principal.to_owned(),
        vault_uri: choice.vault_uri.to_owned(),
        name: choice.name.to_owned(),
        version: String::new(),
        follows: pinned.is_none(),
        next_check: pinned.is_none().then(|| millis(cx.now + CHECK_EVERY)),
    };
    let (kid, protector) = wrap(cx, &dek, key, pinned).map_err(Locked::for_update)?;
    account.protector = protector;
    account::protect(cx.tx, account)?;
    Ok(json!({
        "keyvaulturi": choice.vault_uri,
        "keyname": choice.name,
        "keyversion": pinned.unwrap_or_default(),
        "currentVersionedKeyIdentifier": kid,
        "lastKeyRotationTimestamp": crate::time::rfc3339(cx.now),
    }))
}

/// Wraps the data encryption key with a version (or the current one) and unwraps it again at once: an identity that
/// can only do half would lock the data away.
fn wrap(
    cx: &mut Cx<'_>,
    dek: &SealKey,
    mut key: CustomerKey,
    version: Option<&str>,
) -> Result<(String, Protector), Locked> {
    if principals::get(cx.tx, &key.principal)?.is_none() {
        return Err(Locked::IdentityGone);
    }
    let at = KeyAt { vault_uri: &key.vault_uri, name: &key.name, version };
    let wrapped = cmk::service_wrap(cx, &key.principal, &at, Wrap::Wrap, dek.expose())?;
    let at = KeyAt { version: Some(&wrapped.version), ..at };
    let back = cmk::service_wrap(cx, &key.principal, &at, Wrap::Unwrap, wrapped.bytes.expose())?;
    if !sealbook_crypto::constant_time_eq(back.bytes.expose(), dek.expose()) {
        return Err(Refusal::internal("a wrapped data encryption key did not come back from its vault").into());
    }
    key.version = wrapped.version;
    Ok((wrapped.kid, Protector::Customer { wrapped: wrapped.bytes.expose().to_vec(), key }))
}

/// Puts the account back under the service's key. Needs the customer's key one last time.
pub(super) fn release(cx: &mut Cx<'_>, account: &mut Account) -> Result<(), Refusal> {
    if matches!(account.protector, Protector::Service { .. }) {
        return Ok(());
    }
    let dek = unlock(cx, account).map_err(Locked::for_leaving)?;
    account.protector = Protector::Service { sealed: cx.seal(&account::dek_place(&account.uid), dek.expose()) };
    account::protect(cx.tx, account)
}

/// Moves accounts that follow their key to its newest version, once a day on the cloud clock. An account whose key
/// is out of reach stays with the version it has and tries again a day later, as in Azure.
pub(super) fn follow_rotations(cx: &mut Cx<'_>) -> Result<(), Refusal> {
    for mut account in account::due(cx.tx, millis(cx.now))? {
        match follow(cx, &mut account) {
            Ok(()) | Err(Locked::IdentityGone | Locked::Key(_)) => {}
            // One account that can't move must not stop every request to the cloud.
            Err(Locked::Internal(refusal)) => {
                let cause = refusal.cause().unwrap_or(&refusal.message);
                tracing::error!(account = account.name, cause, "an account can't follow its key");
            }
        }
        if let Protector::Customer { key, .. } = &mut account.protector {
            key.next_check = Some(millis(cx.now + CHECK_EVERY));
        }
        account::protect(cx.tx, &account)?;
    }
    Ok(())
}

fn follow(cx: &mut Cx<'_>, account: &mut Account) -> Result<(), Locked> {
    let Protector::Customer { key, .. } = &account.protector else { return Ok(()) };
    let key = key.clone();
    let dek = unlock(cx, account)?;
    let before = key.version.clone();
    let (kid, protector) = wrap(cx, &dek, key, None)?;
    let Protector::Customer { key, .. } = &protector else { return Ok(()) };
    if key.version == before {
        return Ok(());
    }
    account.protector = protector;
    if let Some(mut resource) = cx.resource(&account.resource)? {
        let shown = &mut resource.body["properties"]["encryption"]["keyvaultproperties"];
        shown["currentVersionedKeyIdentifier"] = kid.into();
        shown["lastKeyRotationTimestamp"] = crate::time::rfc3339(cx.now).into();
        let id = crate::arm::resource::id_of(&resource)?;
        resources::put(cx.tx, &id, resource.body, cx.now)?;
    }
    Ok(())
}
