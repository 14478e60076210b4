//! The ledger of one call: every effect is in the journal before it is sent, and its outcome right after.

use async_trait::async_trait;
use sealbook_model::id::{Digest, StepPath};
use sealbook_model::journal::Record;
use sealbook_model::problem::codes;
use serde_json::Value;

use super::failure::as_failure;
use crate::event::{Event, Events};
use crate::host::standing;
use crate::journal::Journal;
use crate::step::{Failure, Intent, Ledger, Operation, Outcome, StepError};

/// Effects of one step in one generation.
pub(super) struct CallLedger {
    journal: Journal,
    events: Events,
    step: StepPath,
    generation: u32,
}

impl CallLedger {
    pub(super) fn new(journal: Journal, events: Events, step: StepPath, generation: u32) -> Self {
        Self { journal, events, step, generation }
    }

    fn known(&self, name: &str) -> Option<Operation> {
        self.journal.with(|state| state.step(&self.step)?.effect(self.generation, name).cloned())
    }

    async fn record(&self, record: Record) -> Result<(), Failure> {
        self.journal.record(record).await.map_err(|problem| as_failure(&problem))
    }
}

#[async_trait]
impl Ledger for CallLedger {
    async fn standing(&self, name: &str, request: &Digest) -> Result<Option<Operation>, Failure> {
        standing(self.known(name), request)
    }

    async fn intend(&self, intent: Intent) -> Result<(), Failure> {
        // What is already recorded is not recorded twice: a repetition is a reconciled effect on its way again.
        if self.standing(&intent.name, &intent.request).await?.is_none() {
            let (step, generation) = (self.step.clone(), self.generation);
            self.record(Record::EffectIntended { step, generation, intent: Box::new(intent.clone()) }).await?;
        }
        let Intent { name, kind, target, .. } = intent;
        self.events.send(Event::EffectStarted { step: self.step.clone(), name, kind, target });
        Ok(())
    }

    async fn accepted(&self, name: &str, follow: Value) -> Result<(), Failure> {
        let (step, generation) = (self.step.clone(), self.generation);
        self.record(Record::EffectAccepted { step, generation, name: name.into(), follow }).await
    }

    async fn completed(&self, name: &str, outcome: Outcome) -> Result<(), Failure> {
        let (step, generation) = (self.step.clone(), self.generation);
        self.record(Record::EffectCompleted { step, generation, name: name.into(), outcome }).await
    }
}

/// The ledger of `check` and `verify`, which must not change anything.
pub(super) struct ReadOnly;

impl ReadOnly {
    fn refusal(name: &str) -> Failure {
        let message = format!("`check` and `verify` only look; the effect `{name}` was refused");
        StepError::Component { code: codes::OUTPUT_INVALID.into(), message }.into()
    }
}

#[async_trait]
impl Ledger for ReadOnly {
    async fn standing(&self, name: &str, _: &Digest) -> Result<Option<Operation>, Failure> {
        Err(Self::refusal(name))
    }

    async fn intend(&self, intent: Intent) -> Result<(), Failure> {
        Err(Self::refusal(&intent.name))
    }

    async fn accepted(&self, name: &str, _: Value) -> Result<(), Failure> {
        Err(Self::refusal(name))
    }

    async fn completed(&self, name: &str, _: Outcome) -> Result<(), Failure> {
        Err(Self::refusal(name))
    }
}
