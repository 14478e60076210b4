//! Operations on disk content: reading ranges, and writing pages during an upload.
//!
//! Source: <https://learn.microsoft.com/rest/api/storageservices/operations-on-page-blobs>.

use super::content::Content;
use super::grant::Right;
use super::rows;
use super::service::{access, mismatch};
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::storage::{ByteRange, check_body, content_md5, locked_content, requested_range};
use crate::store::instant;
use crate::time::http_date;

/// Most bytes of one answer: it is held in memory.
const ANSWER: u64 = 64 << 20;
/// Most bytes of one write.
const WRITE: u64 = 4 << 20;
/// Bytes of a page.
const PAGE: u64 = 512;

/// Opens the content that a request is about. Refused with Azure's codes when the customer has taken the key away.
fn open(cx: &mut Cx<'_>) -> Result<(Content, Right), Refusal> {
    let (volume, grant) = access(cx)?;
    Ok((Content::open(cx, &volume).map_err(locked_content)?, grant.right))
}

/// Get Blob.
pub(super) fn download(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let (content, _) = open(cx)?;
    let total = content.total();
    let range = requested_range(cx.request, total)?;
    let ByteRange { start, length } = range.unwrap_or(ByteRange { start: 0, length: total });
    if length > ANSWER {
        return Err(Refusal::new(
            400,
            "OutOfRangeInput",
            format!("One of the request inputs is out of range: ask for at most {ANSWER} bytes at once."),
        )
        .gap("answers of more than 64 MiB of a disk"));
    }
    let bytes = content.read(cx, start, length)?;
    let mut answer = Answer::empty(if range.is_some() { 206 } else { 200 });
    describe(&mut answer, &content);
    answer.set("content-length", length.to_string());
    if range.is_some() {
        answer.set("content-range", format!("bytes {start}-{}/{total}", start + length - 1));
        if cx.request.header("x-ms-range-get-content-md5").is_some_and(|asked| asked.eq_ignore_ascii_case("true")) {
            answer.set("content-md5", content_md5(&bytes));
        }
    }
    answer.body = bytes.into();
    Ok(answer)
}

/// Get Blob Properties.
pub(super) fn properties(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let (content, _) = open(cx)?;
    let mut answer = Answer::empty(200).header("content-length", content.total().to_string());
    describe(&mut answer, &content);
    Ok(answer)
}

/// Get Page Ranges.
pub(super) fn ranges(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let (content, _) = open(cx)?;
    let total = content.total();
    let ByteRange { start, length } =
        requested_range(cx.request, total)?.unwrap_or(ByteRange { start: 0, length: total });
    let list: String = content
        .ranges(cx, start, length)?
        .into_iter()
        .map(|(first, length)| {
            format!("<PageRange><Start>{first}</Start><End>{}</End></PageRange>", first + length - 1)
        })
        .collect();
    let mut answer = Answer::xml(200, &format!("<PageList>{list}</PageList>"));
    describe(&mut answer, &content);
    answer.set("content-type", "application/xml");
    answer.set("x-ms-blob-content-length", total.to_string());
    Ok(answer)
}

/// Put Page: writes or clears.
pub(super) fn write(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let (content, right) = open(cx)?;
    if right != Right::Write {
        return Err(mismatch());
    }
    let total = content.total();
    let ByteRange { start, length } =
        requested_range(cx.request, total)?.ok_or_else(|| header("x-ms-range", "MissingRequiredHeader"))?;
    if start % PAGE != 0 || length % PAGE != 0 {
        return Err(Refusal::new(416, "InvalidPageRange", "The page range specified is invalid."));
    }
    match cx.request.header("x-ms-page-write").unwrap_or_default().to_ascii_lowercase().as_str() {
        "update" => {
            if cx.request.body.len() as u64 != length {
                return Err(header("content-length", "InvalidHeaderValue"));
            }
            if length > WRITE {
                return Err(Refusal::new(
                    413,
                    "RequestBodyTooLarge",
                    "The request body is too large and exceeds the maximum permissible limit.",
                ));
            }
            check_body(cx.request)?;
            content.write(cx, start, &cx.request.body)?;
        }
        "clear" => content.clear(cx, start, length)?,
        _ => return Err(header("x-ms-page-write", "InvalidHeaderValue")),
    }
    let volume = rows::by_host(cx.tx, &content.volume().host)?;
    let mut answer =
        Answer::empty(201).header("x-ms-blob-sequence-number", "0").header("x-ms-request-server-encrypted", "true");
    if let Some(volume) = volume {
        answer.set("etag", etag(volume.changed));
        answer.set("last-modified", http_date(instant(volume.changed)));
    }
    if !cx.request.body.is_empty() {
        answer.set("content-md5", content_md5(&cx.request.body));
    }
    Ok(answer)
}

/// Adds what every answer about the content carries.
fn describe(answer: &mut Answer, content: &Content) {
    let changed = content.volume().changed;
    answer.set("etag", etag(changed));
    answer.set("last-modified", http_date(instant(changed)));
    answer.set("accept-ranges", "bytes");
    answer.set("content-type", "application/octet-stream");
    answer.set("x-ms-blob-type", "PageBlob");
    answer.set("x-ms-blob-sequence-number", "0");
    answer.set("x-ms-lease-status", "unlocked");
    answer.set("x-ms-lease-state", "available");
    answer.set("x-ms-server-encrypted", "true");
}

fn etag(changed: i64) -> String {
    format!("\"0x8D{changed:013X}\"")
}

fn header(name: &str, code: &str) -> Refusal {
    Refusal::new(
        400,
        code,
        format!("The value for one of the HTTP headers is missing or not in the correct format: {name}."),
    )
}
