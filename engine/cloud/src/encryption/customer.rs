//! What is asked of a customer's vault.

use sealbook_crypto::SecretBytes;

use super::{CustomerKey, Locked};
use crate::cx::Cx;
use crate::identity::principals;
use crate::keyvault::cmk::{self, KeyAt, Wrap};
use crate::refusal::Refusal;

/// The version of a customer's key that was used.
#[derive(Clone, Debug)]
pub(crate) struct Used {
    /// Identifier.
    pub kid: String,
    /// Version.
    pub version: String,
}

/// Wraps a key and unwraps it again at once.
pub(super) fn wrap(cx: &mut Cx<'_>, owner: &str, plain: &[u8], by: &CustomerKey) -> Result<(Vec<u8>, Used), Locked> {
    require_identity(cx, &by.principal)?;
    let at = KeyAt { vault_uri: &by.vault_uri, name: &by.name, version: Some(&by.version) };
    let wrapped = cmk::service_wrap(cx, &by.principal, &at, Wrap::Wrap, plain)?;
    let at = KeyAt { version: Some(&wrapped.version), ..at };
    let back = cmk::service_wrap(cx, &by.principal, &at, Wrap::Unwrap, wrapped.bytes.expose())?;
    if !sealbook_crypto::constant_time_eq(back.bytes.expose(), plain) {
        return Err(Refusal::internal(format!("the data key of {owner} did not come back from its vault")).into());
    }
    let bytes = wrapped.bytes.expose();
    let bytes = if by.double { cx.seal(&outer(owner), bytes) } else { bytes.to_vec() };
    Ok((bytes, Used { kid: wrapped.kid, version: wrapped.version }))
}

/// Unwraps a key as a principal.
pub(super) fn unwrap(
    cx: &mut Cx<'_>,
    owner: &str,
    wrapped: &[u8],
    by: &CustomerKey,
    principal: &str,
) -> Result<SecretBytes, Locked> {
    require_identity(cx, principal)?;
    let at = KeyAt { vault_uri: &by.vault_uri, name: &by.name, version: Some(&by.version) };
    let inner;
    let bytes = if by.double {
        inner = cx.open(&outer(owner), wrapped)?;
        inner.expose()
    } else {
        wrapped
    };
    Ok(cmk::service_wrap(cx, principal, &at, Wrap::Unwrap, bytes)?.bytes)
}

/// Tries a customer's key without a data key: the version that `by` names, or the newest one. Tells which one answered.
pub(crate) fn probe(cx: &mut Cx<'_>, by: &CustomerKey) -> Result<Used, Locked> {
    let sample = cx.random::<32>();
    Ok(wrap(cx, "a probe", &sample, by)?.1)
}

fn require_identity(cx: &Cx<'_>, principal: &str) -> Result<(), Locked> {
    match principals::get(cx.tx, principal)? {
        Some(_) => Ok(()),
        None => Err(Locked::IdentityGone),
    }
}

/// Associated data of a wrapped data key that the service's key seals once more.
fn outer(owner: &str) -> String {
    format!("wrapped-data-key/{owner}")
}
