//! `blob`: block blobs and their containers.

use std::sync::Arc;

use futures::TryStreamExt as _;
use sealbook_azure::Pieces;
use sealbook_model::grant::{Capability, Verb};
use serde_json::Value;
use wasmtime::component::{HasData, Resource, ResourceTable};

use super::seat::{Seat, reports};
use crate::host::address::BlobUri;
use crate::host::artifact::CHUNK;
use crate::host::bindings::sealbook::plugin::blob;
use crate::host::desk::{Desk, State};
use crate::host::effect::{BlobDelete, BlobPut, ContainerCreate, META_SECRET};
use crate::host::failure;
use crate::host::fault::Refusal;
use crate::host::handle::Artifact;
use crate::host::pair;
use crate::step::{AzureCause, Failure, StepError};

/// The interface's view of the store.
pub(crate) struct Blob<'a> {
    seat: Seat<'a>,
    table: &'a mut ResourceTable,
}
reports!(Blob);

pub(crate) struct HasBlob;

impl HasData for HasBlob {
    type Data<'a> = Blob<'a>;
}

impl State {
    pub(crate) fn blob(&mut self) -> Blob<'_> {
        let Self { desk, meter, reported, table, .. } = self;
        Blob { seat: Seat { desk: desk.as_ref(), meter, reported }, table }
    }
}

impl Blob<'_> {
    fn at(&mut self, what: &str, uri: BlobUri, verb: Verb) -> Result<(Arc<Desk>, BlobUri), Refusal> {
        let desk = self.seat.desk(what)?;
        desk.allow(Capability::Blob, verb, uri.as_str(), None)?;
        Ok((desk, uri))
    }
}

impl blob::Host for Blob<'_> {
    async fn head(&mut self, uri: String) -> Result<Option<String>, Refusal> {
        let (desk, uri) = self.at("blob.head", BlobUri::parse(&uri)?, Verb::Read)?;
        let found = self.seat.look("blob.head", desk.azure.blobs().head(uri.as_str())).await?;
        Ok(found.map(|head| head.to_string()))
    }

    async fn create_container(&mut self, effect: String, uri: String) -> Result<bool, Refusal> {
        let (desk, uri) = self.at("blob.create-container", BlobUri::parse_container(&uri)?, Verb::Create)?;
        let create = ContainerCreate::new(&desk, uri, desk.mark(&effect));
        Ok(self.seat.effect("blob.create-container", effect, create).await? == Value::Bool(true))
    }

    async fn put(
        &mut self,
        effect: String,
        uri: String,
        source: Resource<Artifact>,
        content_type: String,
    ) -> Result<String, Refusal> {
        let (desk, uri) = self.at("blob.put", BlobUri::parse_blob(&uri)?, Verb::Write)?;
        let ok = (1..=128).contains(&content_type.len()) && content_type.bytes().all(|b| (b' '..=b'~').contains(&b));
        if !ok {
            return Err(invalid("content-type", "it is a media type like text/plain").into());
        }
        let Artifact(source) = self.table.get(&source)?;
        let (sha256, secret) = (source.sha256().to_owned(), source.is_secret());
        pair::stays(source).await?;
        let content = source.content();
        let put = BlobPut::new(&desk, uri, content, content_type, sha256, secret, desk.mark(&effect));
        Ok(self.seat.effect("blob.put", effect, put).await?.to_string())
    }

    async fn get(&mut self, uri: String, name: String) -> Result<Resource<Artifact>, Refusal> {
        let (desk, uri) = self.at("blob.get", BlobUri::parse_blob(&uri)?, Verb::Read)?;
        let download = async {
            let (head, mut pieces) = download(&desk, &uri).await?;
            // Metadata names are case-insensitive, and Storage may change their case.
            let metadata = head["metadata"].as_object();
            let secret = metadata.is_some_and(|m| m.keys().any(|name| name.eq_ignore_ascii_case(META_SECRET)));
            let mut draft = desk.shelf.create(&desk.call.step, &name, secret).await?;
            while let Some(piece) = pieces.try_next().await.map_err(|error| failure::of(&error))? {
                for chunk in piece.chunks(CHUNK) {
                    draft.append(chunk.to_vec()).await?;
                }
            }
            draft.finish().await
        };
        let artifact = self.seat.look("blob.get", download).await?;
        Ok(self.table.push(Artifact(artifact))?)
    }

    async fn delete(&mut self, effect: String, uri: String) -> Result<bool, Refusal> {
        let uri = BlobUri::parse(uri.strip_suffix('/').unwrap_or(&uri))?;
        let (desk, uri) = self.at("blob.delete", uri, Verb::Write)?;
        let delete = BlobDelete::new(&desk, uri, desk.mark(&effect));
        Ok(self.seat.effect("blob.delete", effect, delete).await? == Value::Bool(true))
    }
}

/// Reads a blob's properties and, piece by piece, its content.
async fn download(desk: &Desk, uri: &BlobUri) -> Result<(Value, Pieces), Failure> {
    let blobs = desk.azure.blobs();
    let refused = |error| failure::of(&error);
    let head = blobs.head(uri.as_str()).await.map_err(refused)?.ok_or_else(|| absent(uri))?;
    Ok((head, blobs.read(uri.as_str()).await.map_err(refused)?))
}

fn absent(uri: &BlobUri) -> Failure {
    Failure {
        error: StepError::Permanent { message: format!("there is no blob at {}", uri.as_str()) },
        azure: Some(AzureCause { status: 404, code: "BlobNotFound".into() }),
    }
}

fn invalid(field: &str, message: &str) -> Failure {
    StepError::InvalidInput { field: field.into(), message: message.into() }.into()
}
