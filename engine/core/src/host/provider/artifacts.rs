//! `artifacts`: bulk data that the host keeps for the run.

use std::sync::Arc;

use sealbook_model::grant::{Capability, Verb};
use wasmtime::component::{HasData, Resource, ResourceTable};

use super::seat::{Seat, reports};
use crate::host::artifact::CHUNK;
use crate::host::bindings::sealbook::plugin::artifacts;
use crate::host::desk::{Desk, State};
use crate::host::fault::Refusal;
use crate::host::handle::{Artifact, Draft};
use crate::step::{Failure, StepError};

/// The interface's view of the store.
pub(crate) struct Artifacts<'a> {
    seat: Seat<'a>,
    table: &'a mut ResourceTable,
}
reports!(Artifacts);

pub(crate) struct HasArtifacts;

impl HasData for HasArtifacts {
    type Data<'a> = Artifacts<'a>;
}

impl State {
    pub(crate) fn artifacts(&mut self) -> Artifacts<'_> {
        let Self { desk, meter, reported, table, .. } = self;
        Artifacts { seat: Seat { desk: desk.as_ref(), meter, reported }, table }
    }
}

impl Artifacts<'_> {
    fn granted(&mut self, what: &str) -> Result<Arc<Desk>, Refusal> {
        let desk = self.seat.desk(what)?;
        desk.allow(Capability::Artifacts, Verb::Use, "", None)?;
        Ok(desk)
    }
}

impl artifacts::Host for Artifacts<'_> {
    async fn open(&mut self, reference: String) -> Result<Resource<Artifact>, Refusal> {
        let desk = self.granted("artifacts.open")?;
        if !desk.may_open(&reference) {
            return Err(super::seat::not_given(&reference).into());
        }
        let artifact = self.seat.look("artifacts.open", desk.shelf.open(&reference)).await?;
        Ok(self.table.push(Artifact(artifact))?)
    }

    async fn create(&mut self, name: String) -> Result<Resource<Draft>, Refusal> {
        let desk = self.granted("artifacts.create")?;
        let draft = self.seat.look("artifacts.create", desk.shelf.create(&desk.call.step, &name, false)).await?;
        Ok(self.table.push(Draft(draft))?)
    }

    async fn finish(&mut self, draft: Resource<Draft>) -> Result<Resource<Artifact>, Refusal> {
        self.seat.desk("artifacts.finish")?;
        let Draft(writer) = self.table.delete(draft)?;
        let artifact = self.seat.look("artifacts.finish", writer.finish()).await?;
        Ok(self.table.push(Artifact(artifact))?)
    }
}

impl artifacts::HostArtifact for Artifacts<'_> {
    async fn length(&mut self, artifact: Resource<Artifact>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&artifact)?.0.length())
    }

    async fn sha256(&mut self, artifact: Resource<Artifact>) -> wasmtime::Result<String> {
        Ok(self.table.get(&artifact)?.0.sha256().to_owned())
    }

    async fn read(&mut self, artifact: Resource<Artifact>, offset: u64, length: u32) -> Result<Vec<u8>, Refusal> {
        self.seat.desk("artifact.read")?;
        let Artifact(artifact) = self.table.get(&artifact)?;
        if artifact.is_secret() {
            let message = "what came from a secret is not shown to plugins; hand it on as a reference".into();
            return Err(StepError::Permanent { message }.into());
        }
        let length = within_chunk("length", length as usize)?;
        self.seat.look("artifact.read", artifact.read(offset, length)).await
    }

    async fn reference(&mut self, artifact: Resource<Artifact>) -> wasmtime::Result<String> {
        Ok(self.table.get(&artifact)?.0.reference.clone())
    }

    async fn drop(&mut self, artifact: Resource<Artifact>) -> wasmtime::Result<()> {
        self.table.delete(artifact)?;
        Ok(())
    }
}

impl artifacts::HostDraft for Artifacts<'_> {
    async fn append(&mut self, draft: Resource<Draft>, bytes: Vec<u8>) -> Result<(), Refusal> {
        self.seat.desk("draft.append")?;
        within_chunk("bytes", bytes.len())?;
        let Draft(writer) = self.table.get_mut(&draft)?;
        self.seat.look("draft.append", writer.append(bytes)).await
    }

    async fn drop(&mut self, draft: Resource<Draft>) -> wasmtime::Result<()> {
        self.table.delete(draft)?;
        Ok(())
    }
}

fn within_chunk(field: &str, length: usize) -> Result<usize, Failure> {
    if length <= CHUNK {
        return Ok(length);
    }
    let message = format!("at most {CHUNK} bytes cross the sandbox in one call");
    Err(StepError::InvalidInput { field: field.into(), message }.into())
}
