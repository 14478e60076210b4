//! What every provider shares: its seat at the desk, and how its problems reach the guest.

use std::future::Future;
use std::sync::Arc;

use serde_json::Value;
use wasmtime::component::HasData;

use crate::host::bindings::sealbook::plugin::types;
use crate::host::convert;
use crate::host::desk::{Desk, State};
use crate::host::effect::{self, Effect};
use crate::host::fault::{Fault, Refusal};
use crate::host::handle::is_name;
use crate::host::limits::Meter;
use crate::step::{Failure, StepError};

/// Problems that were handed to the guest, with what the host knows beyond them: the answer of Azure behind a problem,
/// the line that would lift a denial. When the plugin returns one of them, the rest is put back.
#[derive(Default)]
pub(crate) struct Reported(Vec<(types::Problem, Failure)>);

/// Problems kept; a plugin that collects more and returns an old one gets it without Azure's answer.
const KEPT: usize = 64;

impl Reported {
    pub(crate) fn tell(&mut self, failure: Failure) -> types::Problem {
        let problem = convert::problem(&failure.error);
        if self.0.len() == KEPT {
            self.0.remove(0);
        }
        self.0.push((problem.clone(), failure));
        problem
    }

    /// The failure behind a problem that the plugin returned.
    pub(crate) fn recall(&self, problem: types::Problem) -> Failure {
        let known = self.0.iter().rev().find(|(told, _)| *told == problem);
        known.map_or_else(|| convert::failure(problem), |(_, failure)| failure.clone())
    }
}

/// A provider's share of the store.
pub(crate) struct Seat<'a> {
    pub(super) desk: Option<&'a Arc<Desk>>,
    pub(super) meter: &'a mut Meter,
    pub(super) reported: &'a mut Reported,
}

impl Seat<'_> {
    /// Begins a call into a capability: counts it, whatever becomes of it, and leads to the desk. In `describe` there is
    /// none.
    pub(super) fn desk(&mut self, what: &str) -> Result<Arc<Desk>, Fault> {
        let desk = self.here(what)?;
        self.meter.enter()?;
        Ok(desk)
    }

    fn here(&self, what: &str) -> Result<Arc<Desk>, Fault> {
        self.desk.cloned().ok_or_else(|| Fault::OutOfPhase { what: what.into(), phase: "describe" })
    }

    /// Awaits something that only looks.
    pub(super) async fn look<T, E>(
        &mut self,
        what: &str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Refusal>
    where
        Refusal: From<E>,
    {
        let desk = self.here(what)?;
        desk.look(self.meter, what, work).await
    }

    /// Brings an effect about, through the ledger.
    pub(super) async fn effect(&mut self, what: &str, name: String, effect: impl Effect) -> Result<Value, Refusal> {
        let desk = self.here(what)?;
        desk.effects_allowed(what)?;
        if !is_name(&name) {
            return Err(StepError::InvalidInput {
                field: "effect".into(),
                message: "an effect's name is 1 to 64 letters, digits, `-`, `_` and `.`".into(),
            }
            .into());
        }
        let result = effect::run(&desk, name, effect).await;
        self.meter.returned();
        Ok(result?)
    }

    /// Reads a JSON argument.
    pub(super) fn json(&self, field: &str, text: &str) -> Result<Value, Refusal> {
        self.meter.data(field, text.len())?;
        serde_json::from_str(text).map_err(|error| {
            StepError::InvalidInput { field: field.into(), message: format!("it is not JSON: {error}") }.into()
        })
    }
}

/// Every interface that can refuse needs a way to say so.
macro_rules! reports {
    ($view:ident) => {
        impl crate::host::bindings::sealbook::plugin::types::Host for $view<'_> {
            fn convert_problem(
                &mut self,
                refusal: crate::host::fault::Refusal,
            ) -> wasmtime::Result<crate::host::bindings::sealbook::plugin::types::Problem> {
                match refusal {
                    crate::host::fault::Refusal::Problem(failure) => Ok(self.seat.reported.tell(*failure)),
                    crate::host::fault::Refusal::Fault(fault) => Err(wasmtime::Error::new(fault)),
                    crate::host::fault::Refusal::Trap(error) => Err(error),
                }
            }
        }
    };
}
pub(super) use reports;

/// The interface of plain types: nothing but conversions.
pub(crate) struct Types<'a> {
    seat: Seat<'a>,
}
reports!(Types);

pub(crate) struct HasTypes;

impl HasData for HasTypes {
    type Data<'a> = Types<'a>;
}

impl State {
    pub(super) fn seat(&mut self) -> Seat<'_> {
        Seat { desk: self.desk.as_ref(), meter: &mut self.meter, reported: &mut self.reported }
    }

    pub(crate) fn types(&mut self) -> Types<'_> {
        Types { seat: self.seat() }
    }
}

/// A reference that the step was not given, or that nobody made: forged, stale, or of another run.
pub(super) fn not_given(reference: &str) -> Failure {
    let shown = crate::host::text::one_line(reference, 120);
    StepError::InvalidInput {
        field: "reference".into(),
        message: format!("`{shown}` is neither among this step's inputs nor made by this step in this run"),
    }
    .into()
}
