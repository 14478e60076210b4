//! Encryption at rest: data keys, and who protects them.
//!
//! A data key encrypts the content of one owner (a storage account, a disk). The service protects it, or a customer
//! does with a key of a vault that the customer can take away. Nothing is cached: whoever wants a data key asks its
//! protector at that moment, so a key that was disabled, deleted or closed to the asking identity makes the content
//! unreadable with the next request.
//!
//! - `rows`: the table of data keys
//! - `customer`: what is asked of the customer's vault
//!
//! What a [`Locked`] data key looks like to a client is the business of each consumer.

mod customer;
mod rows;
#[cfg(test)]
mod tests;

use sealbook_crypto::{SealKey, SecretBytes};

pub(crate) use customer::probe;
pub(crate) use rows::{DataKey, SCHEMA, due, get, hand_over, members};

use crate::cx::Cx;
use crate::keyvault::cmk::CmkError;
use crate::refusal::Refusal;

/// What protects a data key.
#[derive(Clone, Debug)]
pub(crate) enum Protector {
    /// The service's own key.
    Service {
        /// The sealed data key.
        sealed: Vec<u8>,
    },
    /// A customer's key.
    Customer {
        /// The wrapped data key.
        wrapped: Vec<u8>,
        /// Which key wrapped it, and who asks.
        key: CustomerKey,
    },
}

/// A customer's key as an owner uses it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CustomerKey {
    /// Object id of the identity that asks the vault.
    pub principal: String,
    /// Vault or managed HSM as the customer wrote it.
    pub vault_uri: String,
    /// Key name.
    pub name: String,
    /// The version that wrapped the data key.
    pub version: String,
    /// Id of the disk encryption set that names this key for several owners.
    pub set: Option<String>,
    /// Whether the service's key seals the wrapped data key once more (double encryption).
    pub double: bool,
    /// Whether the owner moves to newer versions by itself.
    pub follows: bool,
    /// When it looks for a newer version next, in milliseconds since the epoch.
    pub next_check: Option<i64>,
}

/// Why a data key can't be had.
#[derive(Debug)]
pub(crate) enum Locked {
    /// The identity that asks the vault is gone.
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

/// Makes the data key of an owner, under the service's protection. The owner's name is never used twice.
pub(crate) fn create(cx: &Cx<'_>, owner: &str) -> Result<DataKey, Refusal> {
    let sealed = cx.seal(&place(owner), SealKey::generate().expose());
    let key = DataKey { owner: owner.to_owned(), protector: Protector::Service { sealed } };
    rows::put(cx.tx, &key)?;
    Ok(key)
}

/// Removes an owner's data key: what it encrypted is gone.
pub(crate) fn destroy(cx: &Cx<'_>, owner: &str) -> Result<(), Refusal> {
    rows::delete(cx.tx, owner)
}

/// Opens a data key with whatever protects it now.
pub(crate) fn unlock(cx: &mut Cx<'_>, key: &DataKey) -> Result<SealKey, Locked> {
    let bytes = match &key.protector {
        Protector::Service { sealed } => cx.open(&place(&key.owner), sealed)?,
        Protector::Customer { wrapped, key: by } => customer::unwrap(cx, &key.owner, wrapped, by, &by.principal)?,
    };
    as_key(&bytes, &key.owner)
}

/// Opens a data key whose protector changes: as the identity that asked until now or, when that one is gone or lost its
/// role, as the one that is to ask. Else an owner could never get a new identity.
pub(crate) fn unlock_to_change(cx: &mut Cx<'_>, key: &DataKey, successor: &str) -> Result<SealKey, Locked> {
    match (unlock(cx, key), &key.protector) {
        (Err(Locked::IdentityGone | Locked::Key(_)), Protector::Customer { wrapped, key: by }) => {
            let bytes = customer::unwrap(cx, &key.owner, wrapped, by, successor)?;
            as_key(&bytes, &key.owner)
        }
        (result, _) => result,
    }
}

/// Puts an opened data key under a customer's key, in the version that `by` names or the newest one, and returns that
/// version's identifier. It is unwrapped again at once: an identity that can only do half would lock the data away.
pub(crate) fn adopt(cx: &mut Cx<'_>, key: &mut DataKey, opened: &SealKey, by: CustomerKey) -> Result<String, Locked> {
    let (wrapped, used) = customer::wrap(cx, &key.owner, opened.expose(), &by)?;
    key.protector = Protector::Customer { wrapped, key: CustomerKey { version: used.version, ..by } };
    rows::put(cx.tx, key)?;
    Ok(used.kid)
}

/// Puts a data key back under the service's protection. Needs the customer's key one last time.
pub(crate) fn release(cx: &mut Cx<'_>, key: &mut DataKey) -> Result<(), Locked> {
    if matches!(key.protector, Protector::Service { .. }) {
        return Ok(());
    }
    let opened = unlock(cx, key)?;
    key.protector = Protector::Service { sealed: cx.seal(&place(&key.owner), opened.expose()) };
    rows::put(cx.tx, key)?;
    Ok(())
}

/// Moves a data key to another version of the key that protects it (the newest one when it is empty). Returns the
/// version's identifier when it changed.
pub(crate) fn rewrap(cx: &mut Cx<'_>, key: &mut DataKey, version: &str) -> Result<Option<String>, Locked> {
    let Protector::Customer { key: by, .. } = &key.protector else { return Ok(None) };
    let by = by.clone();
    let opened = unlock(cx, key)?;
    let before = by.version.clone();
    let (wrapped, used) =
        customer::wrap(cx, &key.owner, opened.expose(), &CustomerKey { version: version.to_owned(), ..by.clone() })?;
    if used.version == before {
        return Ok(None);
    }
    key.protector = Protector::Customer { wrapped, key: CustomerKey { version: used.version, ..by } };
    rows::put(cx.tx, key)?;
    Ok(Some(used.kid))
}

/// Notes when a data key's owner looks for a newer version next.
pub(crate) fn check_again(cx: &Cx<'_>, key: &mut DataKey, at: i64) -> Result<(), Refusal> {
    if let Protector::Customer { key, .. } = &mut key.protector {
        key.next_check = Some(at);
    }
    rows::put(cx.tx, key)
}

fn as_key(bytes: &SecretBytes, owner: &str) -> Result<SealKey, Locked> {
    let bytes = <[u8; 32]>::try_from(bytes.expose())
        .map_err(|_| Refusal::internal(format!("the data key of {owner} has {} bytes", bytes.len())))?;
    Ok(SealKey::from_bytes(bytes))
}

/// Associated data of a data key that the service's key seals.
fn place(owner: &str) -> String {
    format!("data-key/{owner}")
}
