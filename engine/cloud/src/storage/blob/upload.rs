//! Writing content: in one piece, or block by block.

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::cipher::Part;
use super::headers::{self, MD5, Source};
use super::lease::{self, Place};
use super::rows::{self, Blob, Block, Container};
use super::{Open, checksum, conditions, container, xml};
use crate::cx::Cx;
use crate::http::{Answer, Request};
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::storage::name;
use crate::time::http_date;

/// How many blocks a blob may have.
const BLOCKS: usize = 50_000;

/// Put Blob: the whole content in one request.
pub(super) fn put_blob(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    check_kind(cx.request)?;
    let blob = params.get("blob");
    name::check_blob(blob)?;
    checksum::check(cx.request)?;
    let container = container::existing(cx, params)?;
    let before = before(cx, &container, blob)?;
    let mut content = headers::content(cx.request, Source::Upload);
    let digest = checksum::md5(&cx.request.body);
    if let Some(claimed) = cx.request.header("x-ms-blob-content-md5") {
        checksum::well_formed(claimed, 16, "x-ms-blob-content-md5", "InvalidMd5")?;
        if claimed != digest {
            return Err(Refusal::new(
                400,
                "Md5Mismatch",
                "The MD5 value specified in the request did not match with the MD5 value calculated by the server.",
            ));
        }
    }
    content[MD5] = digest.clone().into();

    let open = Open::new(cx)?;
    for block in rows::blocks(cx.tx, container.id, blob)? {
        rows::delete_block(cx.tx, block.id)?;
    }
    let bytes = cx.request.body.clone();
    let block = rows::add_block(cx, &container, blob, "", bytes.len() as u64, false)?;
    open.store(cx, &container, blob, &block, &bytes)?;
    let metadata = headers::metadata(&cx.request.headers)?;
    let written = write(cx, &open, &container, blob, before, content, &metadata, &[Part::from(&block)])?;
    Ok(created(&written).header(MD5, digest).header("x-ms-content-crc64", checksum::crc64(&bytes)))
}

/// Refuses a blob of another type than block blobs.
pub(super) fn check_kind(request: &Request) -> Result<(), Refusal> {
    match request.header("x-ms-blob-type") {
        None => Err(headers::missing("x-ms-blob-type")),
        Some(kind) if kind.eq_ignore_ascii_case("BlockBlob") => Ok(()),
        Some(kind @ ("PageBlob" | "AppendBlob")) => {
            Err(headers::invalid("x-ms-blob-type").gap(format!("blobs of type {kind}")))
        }
        Some(_) => Err(headers::invalid("x-ms-blob-type")),
    }
}

/// Put Block: a part of the content, to be committed later.
pub(super) fn stage_block(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    headers::refuse_header(cx.request, "x-ms-copy-source", "blocks from a URL")?;
    let blob = params.get("blob");
    name::check_blob(blob)?;
    let id = cx.request.query("blockid").unwrap_or_default().to_owned();
    if id.is_empty() {
        return Err(Refusal::new(
            400,
            "MissingRequiredQueryParameter",
            "A query parameter that's mandatory for this request is not specified: blockid.",
        ));
    }
    if !STANDARD.decode(&id).is_ok_and(|id| (1..=64).contains(&id.len())) {
        return Err(Refusal::new(
            400,
            "InvalidQueryParameterValue",
            "Value for one of the query parameters specified in the request URI is invalid: blockid.",
        ));
    }
    if cx.request.body.is_empty() {
        return Err(headers::invalid("Content-Length"));
    }
    checksum::check(cx.request)?;
    let container = container::existing(cx, params)?;
    lease::check_write(cx, Place::blob(&container, blob))?;
    let open = Open::new(cx)?;
    let staged = rows::staged(cx.tx, container.id, blob, &id)?;
    if staged.other_length {
        return Err(Refusal::new(400, "InvalidBlobOrBlock", "The specified blob or block content is invalid."));
    }
    // The same id again replaces the staged block, which is how clients retry.
    if let Some(same) = staged.same {
        rows::delete_block(cx.tx, same)?;
    } else if staged.count >= 2 * BLOCKS as i64 {
        return Err(Refusal::new(
            409,
            "BlockCountExceedsLimit",
            "The uncommitted block count cannot exceed the maximum limit of 100,000 blocks.",
        ));
    }
    let bytes = cx.request.body.clone();
    let block = rows::add_block(cx, &container, blob, &id, bytes.len() as u64, true)?;
    open.store(cx, &container, blob, &block, &bytes)?;
    let answer = Answer::empty(201).header("x-ms-request-server-encrypted", "true");
    // Azure repeats the digest that the client sent, or else gives its own checksum.
    Ok(match cx.request.header("content-md5") {
        Some(digest) => answer.header(MD5, digest),
        None => answer.header("x-ms-content-crc64", checksum::crc64(&bytes)),
    })
}

/// Put Block List: makes the blob of blocks.
pub(super) fn commit_block_list(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let blob = params.get("blob");
    name::check_blob(blob)?;
    checksum::check(cx.request)?;
    let list = xml::block_list(&cx.request.body)?;
    if list.len() > BLOCKS {
        return Err(Refusal::new(400, "BlockListTooLong", "The block list may not contain more than 50,000 blocks."));
    }
    let mut content = headers::content(cx.request, Source::Other);
    if let Some(digest) = cx.request.header("x-ms-blob-content-md5") {
        checksum::well_formed(digest, 16, "x-ms-blob-content-md5", "InvalidMd5")?;
        content[MD5] = digest.into();
    }
    let container = container::existing(cx, params)?;
    let before = before(cx, &container, blob)?;
    let open = Open::new(cx)?;
    let blocks = rows::blocks(cx.tx, container.id, blob)?;
    // The first of each id counts.
    let by_id: HashMap<(&str, bool), &Block> =
        blocks.iter().rev().map(|block| ((block.block.as_str(), block.staged), block)).collect();
    let find = |id: &str, staged: bool| by_id.get(&(id, staged)).copied();
    let parts: Vec<Part> = list
        .iter()
        .map(|(from, id)| {
            let found = match from {
                _ if id.is_empty() => None,
                xml::From::Committed => find(id, false),
                xml::From::Uncommitted => find(id, true),
                xml::From::Latest => find(id, true).or_else(|| find(id, false)),
            };
            found.map(Part::from)
        })
        .collect::<Option<_>>()
        .ok_or_else(|| Refusal::new(400, "InvalidBlockList", "The specified block list is invalid."))?;
    let kept: HashSet<i64> = parts.iter().map(|part| part.row).collect();
    let used = |block: &Block| kept.contains(&block.id);
    for block in &blocks {
        match (used(block), block.staged) {
            (true, true) => rows::commit_block(cx.tx, block.id)?,
            (true, false) => {}
            // What the list leaves out is gone.
            (false, _) => rows::delete_block(cx.tx, block.id)?,
        }
    }
    let metadata = headers::metadata(&cx.request.headers)?;
    let written = write(cx, &open, &container, blob, before, content, &metadata, &parts)?;
    // The checksum is that of the list, not of the content.
    Ok(created(&written).header("x-ms-content-crc64", checksum::crc64(&cx.request.body)))
}

/// The blob that is about to be overwritten, once the request's conditions hold for it and its lease allows it.
pub(super) fn before(cx: &Cx<'_>, container: &Container, blob: &str) -> Result<Option<Blob>, Refusal> {
    let before = rows::blob(cx.tx, container, blob)?;
    conditions::check_create(cx.request, before.as_ref().map(|blob| (blob.etag.as_str(), blob.modified)))?;
    lease::check_write(cx, Place::blob(container, blob))?;
    Ok(before)
}

/// Writes the blob's row over the one before.
#[expect(clippy::too_many_arguments, reason = "a blob is all of this at once")]
pub(super) fn write(
    cx: &Cx<'_>,
    open: &Open,
    container: &Container,
    name: &str,
    before: Option<Blob>,
    headers: serde_json::Value,
    metadata: &[(String, String)],
    parts: &[Part],
) -> Result<Blob, Refusal> {
    let (etag, version) = (rows::etag(cx), rows::uid(cx));
    let blob = Blob {
        id: 0,
        container: container.id,
        name: name.to_owned(),
        created: before.map_or(cx.now, |blob| blob.created),
        modified: cx.now,
        length: parts.iter().map(|part| part.length).sum(),
        headers,
        tier: tier(cx)?,
        metadata: open.seal_metadata(container, name, &etag, metadata)?,
        manifest: open.seal_manifest(container, name, &version, parts)?,
        etag,
        version,
    };
    rows::put_blob(cx.tx, &blob)?;
    Ok(blob)
}

/// The access tier that a client chooses for a blob.
fn tier(cx: &Cx<'_>) -> Result<Option<String>, Refusal> {
    let Some(given) = cx.request.header("x-ms-access-tier") else { return Ok(None) };
    if given.eq_ignore_ascii_case("Archive") {
        return Err(headers::invalid("x-ms-access-tier").gap("the archive tier"));
    }
    ["Hot", "Cool", "Cold"]
        .into_iter()
        .find(|tier| tier.eq_ignore_ascii_case(given))
        .map(|tier| Some(tier.to_owned()))
        .ok_or_else(|| headers::invalid("x-ms-access-tier"))
}

/// The answer to a blob that was made.
pub(super) fn created(blob: &Blob) -> Answer {
    Answer::empty(201)
        .header("etag", &blob.etag)
        .header("last-modified", http_date(blob.modified))
        .header("x-ms-request-server-encrypted", "true")
}
