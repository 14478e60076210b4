//! Blob Storage: `{account}.blob.core.windows.net`, version by version as the official clients speak it.
//!
//! - `rows`: containers, blobs, blocks and their chunks in the database
//! - `cipher`: how bytes are encrypted at rest
//! - `headers`, `conditions`, `checksum`, `range`, `xml`: the protocol's parts
//! - `auth`: account keys and shared access signatures
//! - `lease`: leases of blobs and containers
//! - `container`, `list`, `upload`, `read`, `change`, `copy`: the operations

mod auth;
mod change;
mod checksum;
mod cipher;
mod conditions;
mod container;
mod copy;
mod headers;
mod lease;
mod list;
mod range;
mod read;
mod rows;
mod table;
mod upload;
mod xml;

use sealbook_crypto::SealKey;

pub(super) use auth::revoke;
pub(crate) use checksum::{check as check_body, md5 as content_md5};
pub(crate) use range::{Range as ByteRange, requested as requested_range};
pub(super) use rows::{destroy, forget_old_blocks};

use auth::{Credential, Sas};

use super::account::{self, Account};
use super::cmk;
use crate::cx::{Caller, Cx};
use crate::http::{Answer, Request};
use crate::identity::tenants;
use crate::identity::token::{self, TokenError};
use crate::operation::{Operation, Params};
use crate::refusal::Refusal;
use crate::service::Service;

/// Tables of the data plane.
pub(super) const SCHEMA: [&str; 3] = [rows::SCHEMA, lease::SCHEMA, auth::SCHEMA];

const DOMAIN: &str = ".blob.core.windows.net";

/// The audience of tokens for every account.
const AUDIENCE: &str = "https://storage.azure.com";

/// Versions of the protocol, from the first that takes Microsoft Entra tokens.
const VERSIONS: &[&str] = &[
    "2017-11-09",
    "2018-03-28",
    "2018-11-09",
    "2019-02-02",
    "2019-07-07",
    "2019-10-10",
    "2019-12-12",
    "2020-02-10",
    "2020-04-08",
    "2020-06-12",
    "2020-08-04",
    "2020-10-02",
    "2020-12-06",
    "2021-02-12",
    "2021-04-10",
    "2021-06-08",
    "2021-08-06",
    "2021-10-04",
    "2021-12-02",
    "2022-11-02",
    "2023-01-03",
    "2023-05-03",
    "2023-08-03",
    "2023-11-03",
    "2024-02-04",
    "2024-05-04",
    "2024-08-04",
    "2024-11-04",
    "2025-01-05",
    "2025-05-05",
    "2025-07-05",
    "2025-11-05",
    "2026-02-06",
    "2026-04-06",
    "2026-06-06",
    "2026-10-06",
];

/// The data plane of blobs.
#[derive(Debug)]
pub(super) struct BlobService;

impl Service for BlobService {
    fn name(&self) -> &'static str {
        "blob"
    }

    fn answers(&self, host: &str) -> bool {
        host.strip_suffix(DOMAIN).is_some_and(|account| !account.is_empty() && !account.contains('.'))
    }

    fn tables(&self) -> Vec<&'static [Operation]> {
        vec![table::OPERATIONS]
    }

    fn discriminators(&self) -> &'static [&'static str] {
        &["comp", "restype", "snapshot", "versionid", "deletetype"]
    }

    fn audiences(&self) -> &'static [&'static str] {
        &[AUDIENCE]
    }

    fn tenant(&self, cx: &Cx<'_>) -> Result<Option<String>, Refusal> {
        match account(cx) {
            Ok(account) => Ok(tenants::of_scope(cx.tx, &account.resource)?.map(|tenant| tenant.id)),
            Err(_) => Ok(None),
        }
    }

    fn authenticate(&self, cx: &Cx<'_>) -> Result<Caller, Refusal> {
        let account = account(cx)?;
        match Credential::of(cx.request) {
            Credential::Token => {
                let own = format!("https://{}{DOMAIN}", account.name);
                token::authenticate(cx, &[AUDIENCE, &own])?.map_err(|error| self.unauthorized(cx, &error))
            }
            Credential::SharedKey(value) => auth::by_key(cx, &account, value),
            Credential::Signature => Sas::read(cx.request)?.verify(cx, &account),
            Credential::SharedKeyLite => {
                Err(auth::failed("SharedKeyLite is not supported.").gap("authentication by SharedKeyLite"))
            }
        }
    }

    fn unauthorized(&self, cx: &Cx<'_>, error: &TokenError) -> Refusal {
        let message = "Server failed to authenticate the request. Please refer to the information in the www-authenticate header.";
        let code = match error {
            TokenError::Missing => "NoAuthenticationInformation",
            _ => "InvalidAuthenticationInfo",
        };
        Refusal::new(401, code, message).header(
            "www-authenticate",
            format!(
                "Bearer authorization_uri=https://login.microsoftonline.com/{}/oauth2/authorize resource_id={AUDIENCE}",
                cx.tenant
            ),
        )
    }

    fn before(&self, cx: &mut Cx<'_>, _: &'static Operation, _: &Params) -> Result<(), Refusal> {
        let account = account(cx)?;
        let properties = match cx.resource(&account.resource)? {
            Some(resource) => resource.body["properties"].clone(),
            None => return Err(no_account(&account.name)),
        };
        // Every caller of the embedded Azure comes from outside the account's networks.
        if properties["publicNetworkAccess"] == "Disabled" || properties["networkAcls"]["defaultAction"] == "Deny" {
            return Err(Refusal::new(
                403,
                "AuthorizationFailure",
                "This request is not authorized to perform this operation.",
            ));
        }
        Ok(())
    }

    fn ready(&self, cx: &mut Cx<'_>, _: &'static Operation, _: &Params) -> Result<(), Refusal> {
        headers::refuse_unsupported(cx.request)
    }

    fn scope(&self, cx: &Cx<'_>, _: &'static Operation, params: &Params) -> Result<String, Refusal> {
        let account = account(cx)?;
        Ok(match params.find("container") {
            Some(container) => format!("{}/blobServices/default/containers/{container}", account.resource),
            None => account.resource,
        })
    }

    fn permit(
        &self,
        cx: &Cx<'_>,
        operation: &'static Operation,
        params: &Params,
        action: &str,
        data: bool,
    ) -> Result<(), Refusal> {
        if !auth::permit(cx, &account(cx)?, operation, params)? {
            return Ok(());
        }
        let scope = self.scope(cx, operation, params)?;
        if cx.authorize(action, data, &scope)?.allowed {
            return Ok(());
        }
        Err(self.forbidden(cx, action, &scope))
    }

    fn forbidden(&self, _: &Cx<'_>, _: &str, _: &str) -> Refusal {
        Refusal::new(
            403,
            "AuthorizationPermissionMismatch",
            "This request is not authorized to perform this operation using this permission.",
        )
    }

    fn version(&self, request: &Request) -> Option<String> {
        version(request).map(str::to_owned)
    }

    fn wrong_version(&self, _: &Cx<'_>, _: &'static Operation, _: &Params, given: Option<&str>) -> Refusal {
        match given {
            None => headers::missing("x-ms-version"),
            Some(_) => headers::invalid("x-ms-version"),
        }
    }

    fn throttled(&self, _: &Cx<'_>) -> Refusal {
        Refusal::new(
            503,
            "ServerBusy",
            "The server is currently unable to receive requests. Please retry your request.",
        )
    }

    fn unknown(&self, cx: &Cx<'_>) -> Refusal {
        match account(cx) {
            Ok(_) if let Some(refusal) = lease::operations::refuse_unknown(cx) => refusal,
            Ok(_) => {
                let message = "The embedded Azure does not have this operation of Blob Storage.";
                let refusal = Refusal::new(400, "UnsupportedOperation", message);
                match lacking(cx.request) {
                    Some(what) => refusal.gap(what),
                    None => refusal,
                }
            }
            Err(refusal) => refusal,
        }
    }

    fn render(&self, cx: &Cx<'_>, refusal: &Refusal) -> Answer {
        refusal.render_storage(&cx.request_id.to_string(), &crate::time::rfc3339(cx.now))
    }

    fn finish(&self, cx: &Cx<'_>, answer: &mut Answer) {
        answer.set("server", "Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0");
        let version = version(cx.request).filter(|version| VERSIONS.contains(version));
        answer.set("x-ms-version", version.unwrap_or("2017-11-09"));
        if let Some(id) = cx.request.header("x-ms-client-request-id").filter(|id| id.len() <= 1024) {
            answer.set("x-ms-client-request-id", id);
        }
        if answer.status == http::StatusCode::NOT_MODIFIED {
            answer.body = bytes::Bytes::new();
        }
    }
}

/// The account that a request's host names.
fn account(cx: &Cx<'_>) -> Result<Account, Refusal> {
    let name = cx.request.host.strip_suffix(DOMAIN).unwrap_or_default();
    account::by_name(cx.tx, name)?.ok_or_else(|| no_account(name))
}

/// In Azure the host of an account that does not exist has no address at all; here, it has no resources.
fn no_account(name: &str) -> Refusal {
    Refusal::new(
        404,
        "ResourceNotFound",
        format!("The specified resource does not exist: there is no storage account named {name}."),
    )
}

/// The version of the protocol that a request speaks; without a header that of its signature counts.
fn version(request: &Request) -> Option<&str> {
    let signed = || request.query("sv").filter(|_| Credential::of(request) == Credential::Signature);
    request.header("x-ms-version").or_else(signed)
}

/// An account whose data encryption key was opened for this request, by whoever protects it.
struct Open {
    account: Account,
    dek: SealKey,
}

impl Open {
    /// Asks the protector. Refused with Azure's codes when the customer has taken the key away.
    fn new(cx: &mut Cx<'_>) -> Result<Self, Refusal> {
        let account = account(cx)?;
        let dek = cmk::unlock(cx, &account).map_err(cmk::for_data)?;
        Ok(Self { account, dek })
    }
}

/// The name of what a request asks for and the embedded Azure lacks, by the operation that Azure has under it.
fn lacking(request: &Request) -> Option<&'static str> {
    Some(match request.query("comp")?.to_ascii_lowercase().as_str() {
        "appendblock" | "seal" => "append blobs",
        "page" | "pagelist" | "incrementalcopy" => "page blobs",
        "tags" | "blobs" => "blob index tags",
        "immutabilitypolicies" => "immutability policies",
        "legalhold" => "legal holds",
        "expiry" => "blob expiry",
        "query" => "queries of blob contents",
        "batch" => "batches of blob operations",
        "snapshot" => "snapshots of blobs",
        "tier" => "tiers of blobs",
        "acl" => "stored access policies",
        "undelete" => "soft delete of blobs and containers",
        _ => return None,
    })
}
