//! `directory`: service principals of the tenant.

use std::sync::Arc;

use sealbook_model::grant::{Capability, Verb};
use uuid::Uuid;
use wasmtime::component::HasData;

use super::seat::{Seat, reports};
use crate::host::bindings::sealbook::plugin::directory;
use crate::host::desk::{Desk, State};
use crate::host::effect::PrincipalRegister;
use crate::host::fault::Refusal;
use crate::step::{Failure, StepError};

/// The interface's view of the store.
pub(crate) struct Directory<'a> {
    seat: Seat<'a>,
}
reports!(Directory);

pub(crate) struct HasDirectory;

impl HasData for HasDirectory {
    type Data<'a> = Directory<'a>;
}

impl State {
    pub(crate) fn directory(&mut self) -> Directory<'_> {
        Directory { seat: self.seat() }
    }
}

impl Directory<'_> {
    fn app(&mut self, what: &str, app_id: &str, verb: Verb) -> Result<(Arc<Desk>, Uuid), Refusal> {
        let desk = self.seat.desk(what)?;
        let app = Uuid::try_parse(app_id).map_err(|_| {
            Failure::from(StepError::InvalidInput {
                field: "app-id".into(),
                message: "an application id is a GUID".into(),
            })
        })?;
        desk.allow(Capability::Directory, verb, &app.to_string(), None)?;
        Ok((desk, app))
    }
}

impl directory::Host for Directory<'_> {
    async fn find(&mut self, app_id: String) -> Result<Option<String>, Refusal> {
        let (desk, app) = self.app("directory.find", &app_id, Verb::Read)?;
        let directory = desk.azure.directory();
        let found = self.seat.look("directory.find", directory.service_principal(app)).await?;
        Ok(found.map(|principal| principal.to_string()))
    }

    async fn register(&mut self, effect: String, app_id: String) -> Result<String, Refusal> {
        let (desk, app) = self.app("directory.register", &app_id, Verb::Write)?;
        let register = PrincipalRegister::new(&desk, app);
        Ok(self.seat.effect("directory.register", effect, register).await?.to_string())
    }
}
