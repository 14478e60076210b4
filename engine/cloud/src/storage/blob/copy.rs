//! Copying blobs inside an account: every chunk is encrypted anew for its new place.
//!
//! Sources: "Copy Blob", "Copy Blob From URL", "Put Blob From URL" and "Abort Copy Blob" of the Azure Storage REST
//! API.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use md5::{Digest as _, Md5};
use uuid::Uuid;

use super::auth::{self, Credential, Sas};
use super::headers::{self, MD5};
use super::lease::{self, Place};
use super::rows::{self, Blob, Container};
use super::{AUDIENCE, Open, account, conditions, container, upload};
use crate::cx::Cx;
use crate::http::{Answer, Request};
use crate::identity::token;
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::storage::account::Account;
use crate::storage::name;
use crate::time::http_date;

const READ: &str = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read";

/// The header that names the source.
const SOURCE: &str = "x-ms-copy-source";

/// What a copy is made of.
struct Source {
    container: Container,
    blob: Blob,
    /// Its URL without any credential.
    url: String,
}

/// Whose right to read the source counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// That of the request itself, when the source brings none of its own.
    Request,
    /// Only what the source's URL or `x-ms-copy-source-authorization` brings, as for requests that copy at once.
    Source,
}

/// Copy Blob: inside one account Azure is done when it answers.
pub(super) fn start(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let (written, _) = copy(cx, params, Trust::Request, Shape::Same)?;
    Ok(copied(202, &written))
}

/// Copy Blob From URL.
pub(super) fn at_once(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let (written, digest) = copy(cx, params, Trust::Source, Shape::Same)?;
    Ok(copied(202, &written).header(MD5, digest))
}

/// Put Blob From URL: the copy has no block list of its own and no properties of a copy.
pub(super) fn put_from_url(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    upload::check_kind(cx.request)?;
    let (written, digest) = copy(cx, params, Trust::Source, Shape::OnePiece)?;
    Ok(upload::created(&written).header(MD5, digest))
}

/// Abort Copy Blob: nothing is ever under way here.
pub(super) fn abort(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let (container, blob) = super::read::existing(cx, params)?;
    lease::check_write(cx, Place::blob(&container, &blob.name))?;
    Err(Refusal::new(409, "NoPendingCopyOperation", "There is currently no pending copy operation."))
}

fn copied(status: u16, blob: &Blob) -> Answer {
    let mut answer = Answer::empty(status).header("etag", &blob.etag).header("last-modified", http_date(blob.modified));
    for name in ["x-ms-copy-id", "x-ms-copy-status"] {
        answer.set(name, blob.headers[name].as_str().unwrap_or_default());
    }
    answer
}

/// What the copy looks like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Like the source, with its committed blocks, and it says what it was copied from.
    Same,
    /// Like an upload in one piece.
    OnePiece,
}

/// Copies, and returns the new blob and the MD5 of its content.
fn copy(cx: &mut Cx<'_>, params: &Params, trust: Trust, shape: Shape) -> Result<(Blob, String), Refusal> {
    let name = params.get("blob");
    name::check_blob(name)?;
    let source = source(cx, trust)?;
    conditions::check_source(cx.request, &source.blob.etag, source.blob.modified)?;
    lease::check_given(cx, Place::blob(&source.container, &source.blob.name), "x-ms-source-lease-id")?;
    let container = container::existing(cx, params)?;
    let before = upload::before(cx, &container, name)?;
    let mut metadata = headers::metadata(&cx.request.headers)?;
    let open = Open::new(cx)?;
    if metadata.is_empty() {
        metadata = open.metadata(&source.container, &source.blob)?;
    }
    // The source may be what is overwritten: its blocks go last.
    let old = rows::blocks(cx.tx, container.id, name)?;
    let mut digest = Md5::new();
    let mut parts =
        open.copy(cx, (&source.container, &source.blob), (&container, name), |bytes| digest.update(bytes))?;
    for block in old {
        rows::delete_block(cx.tx, block.id)?;
    }
    let digest = STANDARD.encode(digest.finalize());
    let mut content = source.blob.headers.clone();
    headers::without_copy(&mut content);
    match shape {
        Shape::Same => headers::set_copy(
            &mut content,
            &[
                ("x-ms-copy-id", Uuid::new_v4().to_string()),
                (SOURCE, source.url),
                ("x-ms-copy-status", "success".to_owned()),
                ("x-ms-copy-progress", format!("{0}/{0}", source.blob.length)),
                ("x-ms-copy-completion-time", http_date(cx.now)),
            ],
        ),
        Shape::OnePiece => {
            headers::replace_content(&mut content, cx.request);
            content[MD5] = digest.clone().into();
            for part in &mut parts {
                part.block.clear();
            }
        }
    }
    check_digest(cx.request, &digest)?;
    let written = upload::write(cx, &open, &container, name, before, content, &metadata, &parts)?;
    Ok((written, digest))
}

fn check_digest(request: &Request, digest: &str) -> Result<(), Refusal> {
    const NAME: &str = "x-ms-source-content-md5";
    let Some(given) = request.header(NAME) else { return Ok(()) };
    super::checksum::well_formed(given, 16, NAME, "InvalidMd5")?;
    if given == digest {
        return Ok(());
    }
    Err(Refusal::new(
        400,
        "Md5Mismatch",
        "The MD5 value specified in the request did not match with the MD5 value calculated by the server.",
    ))
}

/// The source that a request names.
fn source(cx: &Cx<'_>, trust: Trust) -> Result<Source, Refusal> {
    let url = cx.request.header(SOURCE).ok_or_else(|| headers::missing(SOURCE))?;
    let request = http::Request::get(url).body(Bytes::new()).ok().and_then(|request| Request::parse(request).ok());
    let Some(request) = request.filter(|request| request.segments.len() > 1) else {
        return Err(headers::invalid(SOURCE));
    };
    if request.host != cx.request.host {
        let refusal = Refusal::new(404, "ResourceNotFound", "The specified resource does not exist.");
        return Err(unverified(refusal).gap(format!("copying from {}", request.host)));
    }
    if request.query("snapshot").or_else(|| request.query("versionid")).is_some() {
        return Err(unverified(missing_blob()).gap("copying from snapshots and versions"));
    }
    let account = account(cx)?;
    let (container, blob) = (&request.segments[0], request.tail(1));
    authorize(cx, &account, &request, container, trust).map_err(unverified)?;
    let container = rows::container(cx.tx, &account, container)?
        .ok_or_else(|| unverified(Refusal::new(404, "ContainerNotFound", "The specified container does not exist.")))?;
    let blob = rows::blob(cx.tx, &container, &blob)?.ok_or_else(|| unverified(missing_blob()))?;
    let url = format!("https://{}{}", request.host, request.path);
    Ok(Source { container, blob, url })
}

fn missing_blob() -> Refusal {
    Refusal::new(404, "BlobNotFound", "The specified blob does not exist.")
}

/// Judges who may read the source.
fn authorize(cx: &Cx<'_>, account: &Account, source: &Request, container: &str, trust: Trust) -> Result<(), Refusal> {
    let reader = if Credential::of(source) == Credential::Signature {
        let sas = Sas::read(source)?;
        let caller = sas.verify(cx, account)?;
        auth::permit_read(&sas)?;
        if !sas.is_delegated() {
            return Ok(());
        }
        caller.oid
    } else if let Some(header) = cx.request.header("x-ms-copy-source-authorization") {
        let bearer = header.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let own = format!("https://{}", cx.request.host);
        let valid = match bearer {
            Some((_, token)) => token::validate(cx, token.trim(), &[AUDIENCE, &own])?.ok(),
            None => None,
        };
        valid.map(|caller| caller.oid).ok_or_else(|| {
            Refusal::new(
                401,
                "InvalidAuthenticationInfo",
                "Server failed to authenticate the request. Please refer to the information in the www-authenticate \
                 header.",
            )
        })?
    } else {
        match (trust, Credential::of(cx.request)) {
            (Trust::Request, Credential::SharedKey(_)) => return Ok(()),
            (Trust::Request, Credential::Token) => cx.caller.oid.clone(),
            // Who brings nothing is anonymous.
            _ => {
                return Err(Refusal::new(
                    409,
                    "PublicAccessNotPermitted",
                    "Public access is not permitted on this storage account.",
                ));
            }
        }
    };
    let scope = format!("{}/blobServices/default/containers/{container}", account.resource);
    if cx.allows(&reader, READ, true, &scope)?.allowed {
        return Ok(());
    }
    Err(Refusal::new(
        403,
        "AuthorizationPermissionMismatch",
        "This request is not authorized to perform this operation using this permission.",
    ))
}

/// What a copy answers when its source can't be read: the source's own answer goes into headers.
fn unverified(refusal: Refusal) -> Refusal {
    if refusal.status >= 500 {
        return refusal;
    }
    let status = refusal.status.to_string();
    let mut answer = Refusal::new(refusal.status, "CannotVerifyCopySource", refusal.message)
        .header("x-ms-copy-source-status-code", status)
        .header("x-ms-copy-source-error-code", refusal.code);
    answer.gap = refusal.gap;
    answer
}
