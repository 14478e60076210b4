//! Changing and deleting blobs without touching their content.

use super::headers::{self, MD5, Source};
use super::lease::{self, Place};
use super::rows::{self, Blob};
use super::{Open, checksum, conditions, read};
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::time::http_date;

/// Set Blob Metadata: replaces all of it.
pub(super) fn set_metadata(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let (container, mut blob) = read::existing(cx, params)?;
    conditions::check_change(cx.request, &blob.etag, blob.modified)?;
    lease::check_write(cx, Place::blob(&container, &blob.name))?;
    let metadata = headers::metadata(&cx.request.headers)?;
    let open = Open::new(cx)?;
    blob.etag = rows::etag(cx);
    blob.modified = cx.now;
    blob.metadata = open.seal_metadata(&container, &blob.name, &blob.etag, &metadata)?;
    rows::put_blob(cx.tx, &blob)?;
    Ok(tagged(&blob).header("x-ms-request-server-encrypted", "true"))
}

/// Set Blob Properties: replaces all content headers.
pub(super) fn set_properties(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let (container, mut blob) = read::existing(cx, params)?;
    conditions::check_change(cx.request, &blob.etag, blob.modified)?;
    lease::check_write(cx, Place::blob(&container, &blob.name))?;
    let mut content = headers::content(cx.request, Source::Other);
    if let Some(digest) = cx.request.header("x-ms-blob-content-md5") {
        checksum::well_formed(digest, 16, "x-ms-blob-content-md5", "InvalidMd5")?;
        content[MD5] = digest.into();
    }
    let open = Open::new(cx)?;
    // The metadata stays, but it is bound to the entity tag, which changes.
    let metadata = open.metadata(&container, &blob)?;
    blob.etag = rows::etag(cx);
    blob.modified = cx.now;
    blob.metadata = open.seal_metadata(&container, &blob.name, &blob.etag, &metadata)?;
    blob.headers = content;
    rows::put_blob(cx.tx, &blob)?;
    Ok(tagged(&blob))
}

/// Delete Blob. Works without the account's key, as in Azure.
pub(super) fn delete(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let (container, blob) = read::existing(cx, params)?;
    conditions::check_change(cx.request, &blob.etag, blob.modified)?;
    lease::check_write(cx, Place::blob(&container, &blob.name))?;
    rows::delete_blob(cx.tx, &blob)?;
    lease::forget(cx.tx, Place::blob(&container, &blob.name))?;
    Ok(Answer::empty(202).header("x-ms-delete-type-permanent", "true"))
}

fn tagged(blob: &Blob) -> Answer {
    Answer::empty(200).header("etag", &blob.etag).header("last-modified", http_date(blob.modified))
}
