//! Effects on blobs and containers.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use sealbook_azure::{Answer, AzureError, Blobs, Content};
use serde_json::{Value, json};

use super::Effect;
use crate::host::address::BlobUri;
use crate::host::desk::Desk;
use crate::host::failure;
use crate::host::marks::{Bearer, Mark};
use crate::host::reconcile::{Progress, Seen, Strangers};
use crate::step::{Failure, Ownership};

/// Metadata entry of a blob that came from a secret: what is downloaded from it stays unreadable for plugins.
pub(crate) const META_SECRET: &str = "sealbooksecret";

/// A blob or container, and the mark that this run would give it.
struct Target {
    blobs: Blobs,
    uri: BlobUri,
    mark: Mark,
}

impl Target {
    fn new(desk: &Desk, uri: BlobUri, mark: Mark) -> Self {
        Self { blobs: desk.azure.blobs(), uri, mark }
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        self.mark.metadata().into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    async fn look(&self) -> Result<Option<Seen>, Failure> {
        let thing = self.blobs.head(self.uri.as_str()).await.map_err(|error| failure::of(&error))?;
        Ok(thing.map(|thing| Seen {
            bearer: self.mark.bearer_of_metadata(&thing),
            state: Progress::Settled,
            as_asked: true,
            thing,
        }))
    }
}

fn strangers(desk: &Desk) -> Strangers {
    if desk.call.adopt { Strangers::Use } else { Strangers::Refuse }
}

/// Uploads a blob with metadata that marks it as this effect's. Over one that this effect wrote earlier with other content
/// it writes again: what is sealed anew has another nonce.
pub(crate) struct BlobPut {
    target: Target,
    content: Content,
    content_type: String,
    sha256: String,
    secret: bool,
    strangers: Strangers,
    /// The ETag of what this effect wrote earlier, as of the last look.
    ours: Mutex<Option<String>>,
}

impl BlobPut {
    pub(crate) fn new(
        desk: &Desk,
        uri: BlobUri,
        content: Content,
        content_type: String,
        sha256: String,
        secret: bool,
        mark: Mark,
    ) -> Self {
        let target = Target::new(desk, uri, mark);
        Self { target, content, content_type, sha256, secret, strangers: strangers(desk), ours: Mutex::default() }
    }
}

#[async_trait]
impl Effect for BlobPut {
    fn kind(&self) -> &'static str {
        "blob-put"
    }

    fn target(&self) -> String {
        self.target.uri.as_str().into()
    }

    fn request(&self) -> Value {
        json!({ "sha256": self.sha256, "type": self.content_type })
    }

    async fn look(&self) -> Result<Option<Seen>, Failure> {
        let mut seen = self.target.look().await?;
        let mut ours = None;
        if let Some(seen) = &mut seen {
            // A blob without a digest was not written by this engine: its mark alone counts.
            seen.as_asked = seen.thing["sha256"].as_str().is_none_or(|sha256| sha256 == self.sha256);
            if seen.bearer == Bearer::Effect {
                ours = seen.thing["etag"].as_str().map(str::to_owned);
            }
        }
        *self.ours.lock().unwrap_or_else(PoisonError::into_inner) = ours;
        Ok(seen)
    }

    async fn send(&self) -> Result<Answer, AzureError> {
        let mut metadata = self.target.metadata();
        if self.secret {
            metadata.insert(META_SECRET.into(), "true".into());
        }
        let (uri, content, kind) = (self.target.uri.as_str(), self.content.clone(), &self.content_type);
        let ours = self.ours.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let blobs = &self.target.blobs;
        let head = match ours {
            // Only over what was seen to be this effect's own.
            Some(etag) => blobs.put_over(uri, content, kind, &metadata, &etag).await,
            // Only where nothing is: whoever came first keeps his blob.
            None => blobs.put_new(uri, content, kind, &metadata).await,
        };
        head.map(|head| Answer::Done(Some(head)))
    }

    async fn made(&self, answer: Option<Value>) -> Result<Value, Failure> {
        Ok(answer.unwrap_or_default())
    }

    fn strangers(&self) -> Strangers {
        self.strangers
    }

    fn appeared(&self, error: &AzureError) -> bool {
        error.has_code("BlobAlreadyExists") || error.has_code("ConditionNotMet")
    }
}

/// Makes a container with metadata that marks it as this effect's. One that is there does as well, and is foreign.
pub(crate) struct ContainerCreate {
    target: Target,
}

impl ContainerCreate {
    pub(crate) fn new(desk: &Desk, uri: BlobUri, mark: Mark) -> Self {
        Self { target: Target::new(desk, uri, mark) }
    }
}

#[async_trait]
impl Effect for ContainerCreate {
    fn kind(&self) -> &'static str {
        "container-create"
    }

    fn target(&self) -> String {
        self.target.uri.as_str().into()
    }

    fn request(&self) -> Value {
        Value::Null
    }

    async fn look(&self) -> Result<Option<Seen>, Failure> {
        self.target.look().await
    }

    async fn send(&self) -> Result<Answer, AzureError> {
        if self.target.blobs.create_container(self.target.uri.as_str(), &self.target.metadata()).await? {
            return Ok(Answer::Done(None));
        }
        Err(AzureError::answered(409, "ContainerAlreadyExists", "the container has just been made by somebody else"))
    }

    async fn made(&self, _answer: Option<Value>) -> Result<Value, Failure> {
        Ok(true.into())
    }

    async fn found(&self, _thing: Value, ownership: Ownership) -> Result<Value, Failure> {
        Ok((ownership == Ownership::Ours).into())
    }

    fn strangers(&self) -> Strangers {
        Strangers::Use
    }

    fn appeared(&self, error: &AzureError) -> bool {
        error.has_code("ContainerAlreadyExists")
    }
}

/// Deletes a blob, or a container with what is in it, if it is this run's.
pub(crate) struct BlobDelete {
    target: Target,
    strangers: Strangers,
}

impl BlobDelete {
    pub(crate) fn new(desk: &Desk, uri: BlobUri, mark: Mark) -> Self {
        Self { target: Target::new(desk, uri, mark), strangers: strangers(desk) }
    }
}

#[async_trait]
impl Effect for BlobDelete {
    fn kind(&self) -> &'static str {
        "blob-delete"
    }

    fn target(&self) -> String {
        self.target.uri.as_str().into()
    }

    fn request(&self) -> Value {
        Value::Null
    }

    async fn look(&self) -> Result<Option<Seen>, Failure> {
        self.target.look().await
    }

    async fn send(&self) -> Result<Answer, AzureError> {
        self.target.blobs.delete(self.target.uri.as_str()).await.map(|_| Answer::Done(None))
    }

    async fn made(&self, _answer: Option<Value>) -> Result<Value, Failure> {
        Ok(true.into())
    }

    async fn found(&self, _thing: Value, _ownership: Ownership) -> Result<Value, Failure> {
        Ok(true.into())
    }

    fn nothing(&self) -> Value {
        false.into()
    }

    fn strangers(&self) -> Strangers {
        self.strangers
    }
}
