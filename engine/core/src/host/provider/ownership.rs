//! `ownership`: whose things a step may build on.

use std::sync::Arc;

use wasmtime::component::HasData;

use crate::host::bindings::sealbook::plugin::ownership;
use crate::host::desk::{Desk, State};
use crate::host::fault::Fault;

/// The interface's view of the store.
pub(crate) struct Ownership<'a> {
    desk: Option<&'a Arc<Desk>>,
}

pub(crate) struct HasOwnership;

impl HasData for HasOwnership {
    type Data<'a> = Ownership<'a>;
}

impl State {
    pub(crate) fn ownership(&mut self) -> Ownership<'_> {
        Ownership { desk: self.desk.as_ref() }
    }
}

impl ownership::Host for Ownership<'_> {
    fn usable(&mut self, mark: Option<String>) -> wasmtime::Result<bool> {
        let fault = || Fault::OutOfPhase { what: "ownership.usable".into(), phase: "describe" };
        let call = &self.desk.ok_or_else(|| wasmtime::Error::new(fault()))?.call;
        Ok(call.adopt || mark.as_deref() == Some(call.run.as_str()))
    }
}
