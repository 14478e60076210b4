//! Reading blobs: content, properties, metadata, block list.

use super::headers::{self, MD5};
use super::lease::{self, Place};
use super::rows::{self, Blob, Container};
use super::xml::Xml;
use super::{Open, auth, checksum, conditions, container, range};
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::time::http_date;

/// Largest range for which Azure computes a digest on request.
const DIGEST_LIMIT: u64 = 4 << 20;

/// The blob that a request names.
pub(super) fn existing(cx: &Cx<'_>, params: &Params) -> Result<(Container, Blob), Refusal> {
    let container = container::existing(cx, params)?;
    let blob = rows::blob(cx.tx, &container, params.get("blob"))?
        .ok_or_else(|| Refusal::new(404, "BlobNotFound", "The specified blob does not exist."))?;
    Ok((container, blob))
}

/// Get Blob.
pub(super) fn download(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let (container, blob) = existing(cx, params)?;
    conditions::check_read(cx.request, &blob.etag, blob.modified)?;
    lease::check_read(cx, Place::blob(&container, &blob.name))?;
    let range = range::requested(cx.request, blob.length)?;
    let open = Open::new(cx)?;
    let (start, length) = range.map_or((0, blob.length), |range| (range.start, range.length));
    let bytes = open.load(cx, &container, &blob, start, length)?;
    let mut answer = Answer::empty(if range.is_some() { 206 } else { 200 });
    describe(cx, &mut answer, &open, &container, &blob)?;
    answer.set("content-length", length.to_string());
    let digest = blob.headers[MD5].as_str();
    if range.is_some() {
        answer.set("content-range", format!("bytes {start}-{}/{}", start + length - 1, blob.length));
        if let Some(digest) = digest {
            answer.set("x-ms-blob-content-md5", digest);
        }
        digest_of_range(cx, &mut answer, &bytes)?;
    } else if let Some(digest) = digest {
        answer.set(MD5, digest);
    }
    answer.body = bytes.into();
    Ok(answer)
}

/// Adds the checksum of a range that the client asked for.
fn digest_of_range(cx: &Cx<'_>, answer: &mut Answer, bytes: &[u8]) -> Result<(), Refusal> {
    for (request, header, digest) in [
        ("x-ms-range-get-content-md5", MD5, checksum::md5 as fn(&[u8]) -> String),
        ("x-ms-range-get-content-crc64", "x-ms-content-crc64", checksum::crc64),
    ] {
        if cx.request.header(request).is_none_or(|value| !value.eq_ignore_ascii_case("true")) {
            continue;
        }
        if bytes.len() as u64 > DIGEST_LIMIT {
            return Err(headers::invalid(request));
        }
        answer.set(header, digest(bytes));
    }
    Ok(())
}

/// Get Blob Properties.
pub(super) fn properties(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let (container, blob) = existing(cx, params)?;
    conditions::check_read(cx.request, &blob.etag, blob.modified)?;
    lease::check_read(cx, Place::blob(&container, &blob.name))?;
    let open = Open::new(cx)?;
    let mut answer = Answer::empty(200);
    describe(cx, &mut answer, &open, &container, &blob)?;
    answer.set("content-length", blob.length.to_string());
    if let Some(digest) = blob.headers[MD5].as_str() {
        answer.set(MD5, digest);
    }
    answer.set("x-ms-access-tier", blob.tier.as_deref().unwrap_or("Hot"));
    if blob.tier.is_none() {
        answer.set("x-ms-access-tier-inferred", "true");
    }
    Ok(answer)
}

/// Get Blob Metadata.
pub(super) fn metadata(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let (container, blob) = existing(cx, params)?;
    conditions::check_read(cx.request, &blob.etag, blob.modified)?;
    lease::check_read(cx, Place::blob(&container, &blob.name))?;
    let open = Open::new(cx)?;
    let mut answer = Answer::empty(200).header("etag", &blob.etag).header("last-modified", http_date(blob.modified));
    set_metadata(&mut answer, &open, &container, &blob)?;
    Ok(answer)
}

/// Get Block List.
pub(super) fn block_list(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let wanted = cx.request.query("blocklisttype").unwrap_or("committed").to_ascii_lowercase();
    let (committed, uncommitted) = match wanted.as_str() {
        "all" => (true, true),
        "committed" => (true, false),
        "uncommitted" => (false, true),
        _ => {
            return Err(Refusal::new(
                400,
                "InvalidQueryParameterValue",
                "Value for one of the query parameters specified in the request URI is invalid: blocklisttype.",
            ));
        }
    };
    let container = container::existing(cx, params)?;
    let name = params.get("blob");
    lease::check_read(cx, Place::blob(&container, name))?;
    let blob = rows::blob(cx.tx, &container, name)?;
    let staged: Vec<_> = rows::blocks(cx.tx, container.id, name)?.into_iter().filter(|block| block.staged).collect();
    if blob.is_none() && staged.is_empty() {
        return Err(Refusal::new(404, "BlobNotFound", "The specified blob does not exist."));
    }
    let mut xml = Xml::default();
    let mut write = |name: &str, blocks: &mut dyn Iterator<Item = (String, u64)>| {
        xml.open(name, &[]);
        for (id, length) in blocks {
            xml.open("Block", &[]);
            xml.text("Name", &id);
            xml.text("Size", &length.to_string());
            xml.close("Block");
        }
        xml.close(name);
    };
    if committed {
        let parts = match &blob {
            Some(blob) => Open::new(cx)?.manifest(&container, blob)?,
            None => Vec::new(),
        };
        // A blob that was put in one piece has no committed blocks.
        let named = parts.into_iter().filter(|part| !part.block.is_empty());
        write("CommittedBlocks", &mut named.map(|part| (part.block, part.length)));
    }
    if uncommitted {
        write("UncommittedBlocks", &mut staged.into_iter().map(|block| (block.block, block.length)));
    }
    let mut answer = Answer::xml(200, &format!("<BlockList>{}</BlockList>", xml.finish()));
    if let Some(blob) = &blob {
        answer.set("etag", &blob.etag);
        answer.set("last-modified", http_date(blob.modified));
        answer.set("x-ms-blob-content-length", blob.length.to_string());
    }
    Ok(answer)
}

/// Adds what every answer about a blob carries.
fn describe(cx: &Cx<'_>, answer: &mut Answer, open: &Open, container: &Container, blob: &Blob) -> Result<(), Refusal> {
    answer.set("etag", &blob.etag);
    answer.set("last-modified", http_date(blob.modified));
    answer.set("accept-ranges", "bytes");
    answer.set("x-ms-creation-time", http_date(blob.created));
    answer.set("x-ms-blob-type", "BlockBlob");
    lease::describe(cx, Place::blob(container, &blob.name), answer)?;
    answer.set("x-ms-server-encrypted", "true");
    headers::set_content(answer, &blob.headers);
    auth::override_headers(cx.request, answer);
    set_metadata(answer, open, container, blob)
}

fn set_metadata(answer: &mut Answer, open: &Open, container: &Container, blob: &Blob) -> Result<(), Refusal> {
    let metadata = open.metadata(container, blob)?;
    headers::set_metadata(answer, metadata.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    Ok(())
}
