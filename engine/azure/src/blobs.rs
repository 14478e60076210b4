//! Blobs and containers in Storage, through the official client.

mod content;
mod uri;

use std::collections::{BTreeMap, HashMap};
use std::num::NonZero;
use std::sync::Arc;

use azure_core::http::headers::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, Headers, LAST_MODIFIED};
use azure_core::http::{Etag, Url};
use azure_storage_blob::models::{
    BlobClientDeleteOptions, BlobClientDownloadOptions, BlobClientUploadOptions, BlobContainerClientCreateOptions,
    DeleteSnapshotsOptionType,
};
use azure_storage_blob::{BlobClient, BlobClientOptions, BlobContainerClient, BlobContainerClientOptions};
use bytes::{Bytes, BytesMut};
use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};

use crate::azure::Inner;
use crate::error::{AzureError, Effect, Kind};
use uri::BlobUri;

pub use content::{Content, Source};

/// Size of the ranges that blobs are read in, and of the blocks that larger ones are written in: 8 MiB.
const PART: usize = 8 << 20;
/// How many parts are under way at once.
const PARALLEL: NonZero<usize> = NonZero::new(4).unwrap();
/// Metadata that [`Blobs::put`] adds: the content's SHA-256 in hex, so that a blob can be compared without reading it.
const SHA256: &str = "sealbooksha256";
const METADATA: &str = "x-ms-meta-";

/// What a blob holds, in order.
pub type Pieces = BoxStream<'static, Result<Bytes, AzureError>>;

/// Storage's blobs. A blob is named by its URI, `https://{account}.blob.core.windows.net/{container}/{name}`, a
/// container by the same without a name.
///
/// All methods fail with [`Kind::BadRequest`] and `InvalidBlobUri` for anything else, and with what Storage answers.
#[derive(Debug, Clone)]
pub struct Blobs {
    inner: Arc<Inner>,
}

impl Blobs {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// Reads what is known about a blob: `{uri, bytes, content_type, etag, last_modified, metadata, sha256?}`; or about
    /// a container: `{uri, etag, last_modified, metadata}`. `None`: there is none.
    ///
    /// # Errors
    /// See [`Blobs`].
    pub async fn head(&self, uri: &str) -> Result<Option<Value>, AzureError> {
        let at = BlobUri::parse(uri)?;
        let answer = match at.blob {
            Some(_) => self.blob(&at)?.get_properties(None).await.map(|answer| answer.headers().clone()),
            None => self.container(&at)?.get_properties(None).await.map(|answer| answer.headers().clone()),
        };
        if_there(answer, Effect::Read).map(|found| found.map(|headers| properties(&at, &headers)))
    }

    /// Creates a container that only its account's roles open. True: it was not there.
    ///
    /// # Errors
    /// See [`Blobs`]; [`AzureError::outcome_unknown`] applies.
    pub async fn create_container(&self, uri: &str, metadata: &BTreeMap<String, String>) -> Result<bool, AzureError> {
        let at = BlobUri::parse(uri)?.container()?;
        let options = BlobContainerClientCreateOptions { metadata: Some(checked(metadata)?), ..Default::default() };
        match self.container(&at)?.create(Some(options)).await {
            Ok(_) => Ok(true),
            Err(error) => match AzureError::from_core(&error, Effect::Write) {
                there if there.has_code("ContainerAlreadyExists") => Ok(false),
                error => Err(error),
            },
        }
    }

    /// Writes a block blob, over one that is there. Content of up to 8 MiB goes in one request; more goes in blocks and
    /// appears at once when all of them are there. Returns what [`Blobs::head`] would.
    ///
    /// # Errors
    /// See [`Blobs`]; [`AzureError::outcome_unknown`] applies.
    pub async fn put(
        &self,
        uri: &str,
        content: impl Into<Content>,
        content_type: &str,
        metadata: &BTreeMap<String, String>,
    ) -> Result<Value, AzureError> {
        self.upload(uri, content.into(), content_type, metadata, Over::Anything).await
    }

    /// Writes a block blob where none is yet; `BlobAlreadyExists` (409) otherwise.
    ///
    /// # Errors
    /// As for [`Blobs::put`].
    pub async fn put_new(
        &self,
        uri: &str,
        content: impl Into<Content>,
        content_type: &str,
        metadata: &BTreeMap<String, String>,
    ) -> Result<Value, AzureError> {
        self.upload(uri, content.into(), content_type, metadata, Over::Nothing).await
    }

    /// Writes a block blob over the one that has this ETag; `ConditionNotMet` (412) when it is another by now.
    ///
    /// # Errors
    /// As for [`Blobs::put`].
    pub async fn put_over(
        &self,
        uri: &str,
        content: impl Into<Content>,
        content_type: &str,
        metadata: &BTreeMap<String, String>,
        etag: &str,
    ) -> Result<Value, AzureError> {
        self.upload(uri, content.into(), content_type, metadata, Over::This(etag)).await
    }

    /// Reads a blob whole.
    ///
    /// # Errors
    /// See [`Blobs`]; `BlobTooLarge` if it has more than `longest` bytes, of which no more are read.
    pub async fn get(&self, uri: &str, longest: usize) -> Result<Bytes, AzureError> {
        let mut pieces = self.read(uri).await?;
        let mut content = BytesMut::new();
        while let Some(piece) = pieces.try_next().await? {
            if content.len() + piece.len() > longest {
                let message = format!("{uri} has more than the {longest} bytes that it may have");
                return Err(AzureError::new(Kind::Other, "BlobTooLarge", message));
            }
            content.extend_from_slice(&piece);
        }
        Ok(content.freeze())
    }

    /// Reads a blob piece by piece, in ranges of one and the same version of it.
    ///
    /// # Errors
    /// See [`Blobs`].
    pub async fn read(&self, uri: &str) -> Result<Pieces, AzureError> {
        let at = BlobUri::parse(uri)?.blob()?;
        let options = BlobClientDownloadOptions {
            parallel: Some(PARALLEL),
            partition_size: NonZero::new(PART),
            ..Default::default()
        };
        let answer = self.blob(&at)?.download(Some(options)).await.map_err(read)?;
        Ok(answer.body.map_err(read).boxed())
    }

    /// Deletes a blob with its snapshots, or a container with what is in it. True: it was there.
    ///
    /// # Errors
    /// See [`Blobs`]; [`AzureError::outcome_unknown`] applies.
    pub async fn delete(&self, uri: &str) -> Result<bool, AzureError> {
        let at = BlobUri::parse(uri)?;
        let answer = match at.blob {
            Some(_) => {
                let snapshots = Some(DeleteSnapshotsOptionType::Include);
                let options = BlobClientDeleteOptions { delete_snapshots: snapshots, ..Default::default() };
                self.blob(&at)?.delete(Some(options)).await.map(drop)
            }
            None => self.container(&at)?.delete(None).await.map(drop),
        };
        if_there(answer, Effect::Write).map(|found| found.is_some())
    }

    async fn upload(
        &self,
        uri: &str,
        content: Content,
        content_type: &str,
        metadata: &BTreeMap<String, String>,
        over: Over<'_>,
    ) -> Result<Value, AzureError> {
        let at = BlobUri::parse(uri)?.blob()?;
        let mut metadata = metadata.clone();
        metadata.insert(SHA256.to_owned(), content.sha256.clone());
        let (if_match, if_none_match) = match over {
            Over::Anything => (None, None),
            Over::Nothing => (None, Some(Etag::from("*"))),
            Over::This(etag) => (Some(Etag::from(etag.to_owned())), None),
        };
        let options = BlobClientUploadOptions {
            blob_content_type: Some(content_type.to_owned()),
            if_match,
            if_none_match,
            metadata: Some(checked(&metadata)?),
            parallel: Some(PARALLEL),
            partition_size: NonZero::new(PART as u64),
            ..Default::default()
        };
        let answer = self.blob(&at)?.upload(content.body(), Some(options)).await;
        let answer = answer.map_err(|error| AzureError::from_core(&error, Effect::Write))?;
        let headers = answer.raw_response.headers();
        Ok(json!({
            "uri": at.url(),
            "bytes": content.length,
            "content_type": content_type,
            "etag": headers.get_optional_str(&ETAG),
            "last_modified": headers.get_optional_str(&LAST_MODIFIED),
            "metadata": metadata,
            "sha256": content.sha256,
        }))
    }

    // These clients hold no connection and no token of their own, so each call makes one: a URL whose blob name keeps
    // its slashes, which the official way from account to blob would encode.
    fn blob(&self, at: &BlobUri) -> Result<BlobClient, AzureError> {
        let options = BlobClientOptions { client_options: self.inner.options(&at.host), ..Default::default() };
        BlobClient::new(parsed(at)?, Some(self.inner.credential()), Some(options)).map_err(read)
    }

    fn container(&self, at: &BlobUri) -> Result<BlobContainerClient, AzureError> {
        let options = BlobContainerClientOptions { client_options: self.inner.options(&at.host), ..Default::default() };
        BlobContainerClient::new(parsed(at)?, Some(self.inner.credential()), Some(options)).map_err(read)
    }
}

/// What a blob may be written over.
enum Over<'a> {
    Anything,
    Nothing,
    This(&'a str),
}

fn parsed(at: &BlobUri) -> Result<Url, AzureError> {
    at.url().parse().map_err(|error| read(azure_core::Error::from(error)))
}

fn if_there<T>(answer: azure_core::Result<T>, effect: Effect) -> Result<Option<T>, AzureError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) => match AzureError::from_core(&error, effect) {
            absent if absent.kind == Kind::NotFound => Ok(None),
            error => Err(error),
        },
    }
}

fn properties(at: &BlobUri, headers: &Headers) -> Value {
    let metadata: BTreeMap<&str, &str> = headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().strip_prefix(METADATA)?, value.as_str())))
        .collect();
    let mut found = json!({ "uri": at.url() });
    if at.blob.is_some() {
        let bytes = headers.get_optional_str(&CONTENT_LENGTH).and_then(|bytes| bytes.parse::<u64>().ok());
        found["bytes"] = json!(bytes);
        found["content_type"] = json!(headers.get_optional_str(&CONTENT_TYPE));
    }
    found["etag"] = json!(headers.get_optional_str(&ETAG));
    found["last_modified"] = json!(headers.get_optional_str(&LAST_MODIFIED));
    found["metadata"] = json!(metadata);
    if let Some(sha256) = metadata.get(SHA256) {
        found["sha256"] = json!(sha256);
    }
    found
}

/// Checks metadata: names are C# identifiers, values stand in headers.
fn checked(metadata: &BTreeMap<String, String>) -> Result<HashMap<String, String>, AzureError> {
    for (name, value) in metadata {
        let name_is_fine = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && name.bytes().next().is_some_and(|first| !first.is_ascii_digit());
        if !name_is_fine || !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            let message = format!(
                "metadata {name:?} cannot be stored: names have letters, digits and underscores, values printable ASCII"
            );
            return Err(AzureError::new(Kind::BadRequest, "InvalidMetadata", message));
        }
    }
    Ok(metadata.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read(error: azure_core::Error) -> AzureError {
    AzureError::from_core(&error, Effect::Read)
}
