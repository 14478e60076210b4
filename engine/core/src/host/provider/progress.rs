//! `progress`: how far a long piece of work has come.

use std::sync::Arc;

use wasmtime::component::HasData;

use crate::event::Event;
use crate::host::bindings::sealbook::plugin::progress;
use crate::host::desk::{Desk, State};
use crate::host::fault::Fault;
use crate::host::text::one_line;

/// Reports that are passed on; later ones are dropped, so that a plugin that reports every byte does no harm.
const SHOWN: u32 = 10_000;
/// Reports after which the call ends.
const FLOOD: u32 = 200_000;

/// How many reports a call has made.
#[derive(Default)]
pub(crate) struct Steps(u32);

/// The interface's view of the store.
pub(crate) struct Progress<'a> {
    desk: Option<&'a Arc<Desk>>,
    steps: &'a mut Steps,
}

pub(crate) struct HasProgress;

impl HasData for HasProgress {
    type Data<'a> = Progress<'a>;
}

impl State {
    pub(crate) fn progress(&mut self) -> Progress<'_> {
        Progress { desk: self.desk.as_ref(), steps: &mut self.steps }
    }
}

impl progress::Host for Progress<'_> {
    fn report(&mut self, done: u64, total: Option<u64>, message: String) -> wasmtime::Result<()> {
        self.steps.0 += 1;
        if self.steps.0 > FLOOD {
            return Err(wasmtime::Error::new(Fault::TooMuchData(format!("more than {FLOOD} progress reports"))));
        }
        if let Some(desk) = self.desk
            && self.steps.0 <= SHOWN
        {
            let (step, message) = (desk.call.step.clone(), one_line(&message, 300));
            desk.call.events.send(Event::Progress { step, done, total, message });
        }
        Ok(())
    }
}
