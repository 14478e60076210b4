//! The endpoint of disk content: a page blob per volume, for whoever has a shared access signature.

use http::Method;

use super::grant::{self, Grant};
use super::pages;
use super::rows::{self, Volume};
use crate::cx::{Caller, Cx};
use crate::http::{Answer, Request};
use crate::identity::token::TokenError;
use crate::operation::{Access, Operation, Params, Run};
use crate::refusal::Refusal;
use crate::service::Service;

/// The endpoint.
pub(in crate::compute) struct Endpoint;

const fn on_blob(
    name: &'static str,
    method: Method,
    when: &'static [(&'static str, &'static str)],
    run: Run,
) -> Operation {
    Operation {
        name,
        method,
        path: "/{container}/{blob}",
        when,
        api: &[],
        access: Access::Authenticated,
        lro: false,
        run,
    }
}

static OPERATIONS: &[Operation] = &[
    on_blob("Blob_Download", Method::GET, &[], pages::download),
    on_blob("Blob_GetProperties", Method::HEAD, &[], pages::properties),
    on_blob("PageBlob_GetPageRanges", Method::GET, &[("comp", "pagelist")], pages::ranges),
    on_blob("PageBlob_UploadPages", Method::PUT, &[("comp", "page")], pages::write),
];

impl Service for Endpoint {
    fn name(&self) -> &'static str {
        "disk"
    }

    fn answers(&self, host: &str) -> bool {
        grant::own_label(host).is_some()
    }

    fn tables(&self) -> Vec<&'static [Operation]> {
        vec![OPERATIONS]
    }

    fn discriminators(&self) -> &'static [&'static str] {
        &["comp", "restype", "snapshot", "prevsnapshot"]
    }

    fn authenticate(&self, cx: &Cx<'_>) -> Result<Caller, Refusal> {
        access(cx)?;
        Ok(Caller::default())
    }

    fn unauthorized(&self, _: &Cx<'_>, error: &TokenError) -> Refusal {
        failed(&error.to_string())
    }

    fn before(&self, cx: &mut Cx<'_>, _: &'static Operation, _: &Params) -> Result<(), Refusal> {
        let (volume, _) = access(cx)?;
        let resource = cx.resource(&volume.resource)?;
        // Every caller of the embedded Azure comes from outside the disk's networks.
        if resource.is_some_and(|disk| disk.body["properties"]["publicNetworkAccess"] == "Disabled") {
            return Err(Refusal::new(409, "PublicNetworkAccessDisabled", "Access not permitted for resource."));
        }
        Ok(())
    }

    fn scope(&self, cx: &Cx<'_>, _: &'static Operation, _: &Params) -> Result<String, Refusal> {
        Ok(access(cx)?.0.resource)
    }

    fn forbidden(&self, _: &Cx<'_>, _: &str, _: &str) -> Refusal {
        mismatch()
    }

    fn version(&self, request: &Request) -> Option<String> {
        request.header("x-ms-version").or_else(|| request.query("sv")).map(str::to_owned)
    }

    fn wrong_version(&self, _: &Cx<'_>, _: &'static Operation, _: &Params, _: Option<&str>) -> Refusal {
        Refusal::new(400, "InvalidHeaderValue", "The value for one of the HTTP headers is not in the correct format.")
    }

    fn throttled(&self, _: &Cx<'_>) -> Refusal {
        Refusal::new(
            503,
            "ServerBusy",
            "The server is currently unable to receive requests. Please retry your request.",
        )
    }

    fn unknown(&self, _: &Cx<'_>) -> Refusal {
        Refusal::new(400, "UnsupportedOperation", "The embedded Azure does not have this operation for disks.")
    }

    fn render(&self, cx: &Cx<'_>, refusal: &Refusal) -> Answer {
        refusal.render_storage(&cx.request_id.to_string(), &crate::time::rfc3339(cx.now))
    }

    fn finish(&self, cx: &Cx<'_>, answer: &mut Answer) {
        answer.set("server", "Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0");
        answer.set("x-ms-version", self.version(cx.request).as_deref().unwrap_or(grant::VERSION));
    }
}

/// The volume that a request is about, and the access that its signature gives.
///
/// # Errors
/// `AuthenticationFailed` when there is no signature, or it is another's, revoked or expired.
pub(super) fn access(cx: &Cx<'_>) -> Result<(Volume, Grant), Refusal> {
    let request = cx.request;
    let own = grant::own_label(&request.host).unwrap_or_default();
    let volume = rows::by_host(cx.tx, own)?.ok_or_else(|| failed("there is no disk at this host."))?;
    let given = Grant::of(cx, &volume)?.ok_or_else(|| failed("access to the disk was revoked or has expired."))?;
    let field = |name: &str| request.query(name).unwrap_or_default();
    let path = format!("/{}", request.segments.join("/"));
    let fits = field("si") == given.policy
        && field("sr") == "b"
        && path == given.path()
        && request.host == given.host(&volume)
        && given.signed(&volume, field("sig"));
    if fits { Ok((volume, given)) } else { Err(failed("the signature did not match.")) }
}

fn failed(why: &str) -> Refusal {
    Refusal::new(
        403,
        "AuthenticationFailed",
        "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly \
         including the signature.",
    )
    .details(vec![serde_json::json!({ "AuthenticationErrorDetail": why })])
}

/// Refusal of what a signature does not permit.
pub(super) fn mismatch() -> Refusal {
    Refusal::new(
        403,
        "AuthorizationPermissionMismatch",
        "This request is not authorized to perform this operation using this permission.",
    )
}
