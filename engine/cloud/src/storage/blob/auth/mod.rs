//! Who calls Blob Storage, and what a credential other than a token allows.
//!
//! - `shared_key`: signatures with an account key
//! - `sas`, `fields`: shared access signatures (user delegation, service, account)
//! - `need`: which permission of a signature an operation takes
//! - `delegation`: the keys behind user delegation signatures

mod delegation;
mod fields;
mod need;
mod sas;
mod shared_key;

use serde_json::json;

pub(in crate::storage) use delegation::revoke;
pub(super) use delegation::{SCHEMA, get_user_delegation_key};
pub(super) use sas::{Sas, override_headers};

use super::account::Account;
use super::rows;
use crate::cx::{Caller, Cx};
use crate::http::Request;
use crate::operation::{Operation, Params};
use crate::refusal::Refusal;

/// How a request says who sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Credential<'a> {
    /// A bearer token, or nothing at all.
    Token,
    /// `SharedKey`, with what follows the scheme.
    SharedKey(&'a str),
    /// `SharedKeyLite`, which the embedded Azure does not have.
    SharedKeyLite,
    /// A shared access signature in the query.
    Signature,
}

impl<'a> Credential<'a> {
    /// The credential of a request; an `Authorization` header comes before a signature in the query.
    pub fn of(request: &'a Request) -> Self {
        let Some(header) = request.header("authorization") else {
            return if request.query("sig").is_some() { Self::Signature } else { Self::Token };
        };
        let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
        if scheme.eq_ignore_ascii_case("SharedKey") {
            Self::SharedKey(rest)
        } else if scheme.eq_ignore_ascii_case("SharedKeyLite") {
            Self::SharedKeyLite
        } else {
            Self::Token
        }
    }
}

/// Azure's refusal of a credential; the detail says what is wrong with it.
pub(super) fn failed(detail: impl Into<String>) -> Refusal {
    Refusal::new(
        403,
        "AuthenticationFailed",
        "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly \
         including the signature.",
    )
    .details(vec![json!({ "AuthenticationErrorDetail": detail.into() })])
}

/// Azure's refusal of what a signature does not allow: the code says which of its fields.
fn mismatch(code: &str, what: &str) -> Refusal {
    Refusal::new(403, code, format!("This request is not authorized to perform this operation using this {what}."))
}

/// Refuses everything that an account key signed when the account wants none of it.
fn keys_allowed(cx: &Cx<'_>, account: &Account) -> Result<(), Refusal> {
    let forbidden = cx
        .resource(&account.resource)?
        .is_some_and(|resource| resource.body["properties"]["allowSharedKeyAccess"] == false);
    if forbidden {
        return Err(Refusal::new(
            403,
            "KeyBasedAuthenticationNotPermitted",
            "Key based authentication is not permitted on this storage account.",
        ));
    }
    Ok(())
}

/// Verifies a signature with an account key. The caller is nobody in particular: whoever has the key.
pub(super) fn by_key(cx: &Cx<'_>, account: &Account, value: &str) -> Result<Caller, Refusal> {
    keys_allowed(cx, account)?;
    shared_key::verify(cx, account, value)?;
    Ok(Caller::default())
}

/// Judges what an account key or a signature allows; a token's roles are judged elsewhere. Returns whether the roles
/// of the caller count as well: those of whoever delegated.
pub(super) fn permit(cx: &Cx<'_>, account: &Account, operation: &Operation, params: &Params) -> Result<bool, Refusal> {
    match Credential::of(cx.request) {
        Credential::Token | Credential::SharedKeyLite => Ok(true),
        Credential::SharedKey(_) if operation.name == delegation::OPERATION => {
            Err(failed("Only authentication scheme Bearer is supported"))
        }
        Credential::SharedKey(_) => Ok(false),
        Credential::Signature => {
            let sas = Sas::read(cx.request)?;
            if need::check(&sas, operation.name)? == need::Extent::New {
                refuse_overwrite(cx, account, params)?;
            }
            Ok(sas.is_delegated())
        }
    }
}

/// A signature that allows to create does not allow to overwrite.
fn refuse_overwrite(cx: &Cx<'_>, account: &Account, params: &Params) -> Result<(), Refusal> {
    let (Some(container), Some(blob)) = (params.find("container"), params.find("blob")) else { return Ok(()) };
    let Some(container) = rows::container(cx.tx, account, container)? else { return Ok(()) };
    if rows::blob(cx.tx, &container, blob)?.is_none() {
        return Ok(());
    }
    Err(Refusal::new(403, "UnauthorizedBlobOverwrite", "This request is not authorized to perform blob overwrites."))
}

/// Whether a signature allows to read the blob that it names: for the source of a copy.
pub(super) fn permit_read(sas: &Sas<'_>) -> Result<(), Refusal> {
    need::check(sas, "Blob_Download").map(|_| ())
}
