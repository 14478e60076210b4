//! What all parts of an attempt share: calls to the host, with patience.

use std::sync::Arc;
use std::time::Duration;

use sealbook_model::CloudName;
use sealbook_model::expr::Context;
use sealbook_model::grant::{Gate, Grant};
use sealbook_model::id::{Digest, StepPath};
use sealbook_model::journal::{GuestAt, Record, StepState};
use sealbook_model::policy::Policy;
use sealbook_model::problem::{Problem, codes};
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Session;
use super::failure::{Stop, Trouble, may_pass};
use super::ledger::{CallLedger, ReadOnly};
use super::retry::{Budget, Jitter, Pace};
use crate::event::Event;
use crate::journal::Journal;
use crate::step::{Call, Failure, Host, Ledger, StepError};

/// One attempt at a run.
pub(super) struct Attempt {
    pub(super) journal: Journal,
    pub(super) host: Arc<dyn Host>,
    pub(super) policy: Arc<Policy>,
    pub(super) session: Session,
    pub(super) context: Context,
    pub(super) pace: Pace,
    pub(super) jitter: Jitter,
    /// Generation of its effects: 0 forward.
    pub(super) generation: u32,
}

/// The fixed part of a step's calls, from its record.
#[derive(Clone)]
pub(super) struct Facts {
    pub(super) path: StepPath,
    pub(super) component: Digest,
    pub(super) guest: Option<GuestAt>,
    pub(super) inputs: Value,
    pub(super) adopt: bool,
    pub(super) gate: Arc<Gate>,
}

impl Attempt {
    /// The facts of a started step.
    pub(super) fn facts(&self, path: &StepPath) -> Result<Facts, Problem> {
        self.journal.with(|state| {
            let unreadable = |why: String| {
                Problem::new(codes::JOURNAL_DAMAGED, format!("what is recorded of step {path} can't be used"))
                    .because(why)
            };
            let step = state.step(path).ok_or_else(|| unreadable("it never started".into()))?;
            let component = state.component(path).ok_or_else(|| unreadable("its plugin is not known".into()))?;
            let gate = gate(step, &self.policy, self.context.cloud).map_err(unreadable)?;
            Ok(Facts {
                path: path.clone(),
                component,
                guest: step.guest.clone(),
                inputs: step.inputs.clone(),
                adopt: step.adopt,
                gate: Arc::new(gate),
            })
        })
    }

    /// A call that may have effects.
    pub(super) fn acting(&self, facts: &Facts, cancel: &CancellationToken) -> Call {
        let (journal, events) = (self.journal.clone(), self.session.events.clone());
        self.call(facts, cancel, Arc::new(CallLedger::new(journal, events, facts.path.clone(), self.generation)))
    }

    /// A call that only looks.
    pub(super) fn looking(&self, facts: &Facts, cancel: &CancellationToken) -> Call {
        self.call(facts, cancel, Arc::new(ReadOnly))
    }

    fn call(&self, facts: &Facts, cancel: &CancellationToken, ledger: Arc<dyn Ledger>) -> Call {
        Call {
            run: self.journal.run().clone(),
            step: facts.path.clone(),
            generation: self.generation,
            component: facts.component,
            guest: facts.guest.clone(),
            record: self.journal.head(),
            inputs: facts.inputs.clone(),
            adopt: facts.adopt,
            gate: facts.gate.clone(),
            vault: self.journal.vault().clone(),
            ledger,
            events: self.session.events.clone(),
            cancel: cancel.clone(),
        }
    }

    /// How long failures of a step may last.
    pub(super) fn patience(&self, wanted: Option<Duration>) -> Duration {
        self.policy.cap_retry(wanted.unwrap_or(self.pace.within))
    }

    /// Makes a call until it succeeds, fails for good, or its failure has lasted longer than `within`.
    ///
    /// The calls are futures of one type, not an `AsyncFnMut`, so that the compiler can see that they are `Send`.
    pub(super) async fn patient<T, F>(
        &self,
        step: &StepPath,
        within: Duration,
        mut call: impl FnMut() -> F,
    ) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, Failure>> + Send,
    {
        let mut budget = Budget::new(self.pace, within, self.jitter.clone());
        let mut done = self.effects_done(step);
        loop {
            let result = call().await;
            if let Some(problem) = self.journal.broken() {
                return Err(problem.into());
            }
            let failure = match result {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            if failure.error == StepError::Cancelled && self.session.cancel.is_cancelled() {
                return Err(Trouble::Stop(Stop::Interrupted));
            }
            let roles = self.journal.with(|state| state.assigned_roles());
            let Some(asked) = may_pass(&failure, roles) else {
                return Err(Trouble::Failed(failure, budget.retries()));
            };
            let now_done = self.effects_done(step);
            if now_done > done {
                done = now_done;
                budget.reset();
            }
            let Some(wait) = budget.next(asked) else {
                return Err(Trouble::Failed(failure, budget.retries()));
            };
            let why = failure.to_string();
            self.wait(step, &why, wait, budget.elapsed()).await.map_err(Trouble::Stop)?;
            let (step, millis) = (step.clone(), u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
            self.journal.record(Record::RetryWaited { step, why, millis, retry: budget.retries() }).await?;
        }
    }

    /// Tells that a step runs again, and why.
    pub(super) async fn runs_again(&self, step: &StepPath, why: String) -> Result<(), Trouble> {
        self.journal.record(Record::StepAgain { step: step.clone(), why: why.clone() }).await?;
        self.session.events.send(Event::StepAgain { step: step.clone(), why });
        Ok(())
    }

    /// Waits, unless the learner stops it.
    pub(super) async fn wait(
        &self,
        step: &StepPath,
        why: &str,
        delay: Duration,
        elapsed: Duration,
    ) -> Result<(), Stop> {
        let (step, why) = (step.clone(), why.to_owned());
        self.session.events.send(Event::Waiting { step, why, delay, elapsed });
        tokio::select! {
            biased;
            () = self.session.cancel.cancelled() => Err(Stop::Interrupted),
            () = tokio::time::sleep(delay) => Ok(()),
        }
    }

    /// Waits for the learner, unless he stops the run.
    pub(super) async fn ask<T>(&self, answer: impl Future<Output = T>) -> Result<T, Stop> {
        tokio::select! {
            biased;
            () = self.session.cancel.cancelled() => Err(Stop::Interrupted),
            answer = answer => Ok(answer),
        }
    }

    fn effects_done(&self, step: &StepPath) -> usize {
        self.journal.with(|state| {
            let done =
                |effects: &[(u32, crate::step::Operation)]| effects.iter().filter(|(_, e)| e.outcome.is_some()).count();
            state.step(step).map_or(0, |step| done(&step.effects))
        })
    }
}

/// The gate of a started step, from its recorded asks and grants and today's policy.
fn gate(step: &StepState, policy: &Arc<Policy>, cloud: CloudName) -> Result<Gate, String> {
    let parse = |texts: &[String]| -> Result<Vec<Grant>, String> {
        texts.iter().map(|text| Grant::parse(text).map_err(|e| format!("`{text}`: {e}"))).collect()
    };
    Ok(Gate::new(parse(&step.asks)?, parse(&step.grants)?, policy.clone()).on_cloud(cloud))
}

/// Runs a call under a deadline. When it is over the call is cancelled, which ends its waits but not an effect in
/// flight, and is then awaited to its end.
pub(super) async fn bounded<T>(
    deadline: Option<Instant>,
    cancel: &CancellationToken,
    call: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let Some(deadline) = deadline else { return call.await };
    // It may have passed in a wait between two tries.
    if Instant::now() >= deadline {
        return Err(too_long());
    }
    tokio::pin!(call);
    tokio::select! {
        biased;
        result = &mut call => result,
        () = tokio::time::sleep_until(deadline) => {
            cancel.cancel();
            match call.await {
                Err(failure) if failure.error == StepError::Cancelled => Err(too_long()),
                result => result,
            }
        }
    }
}

fn too_long() -> Failure {
    let message = "it took longer than the step's `timeout`".into();
    StepError::Component { code: codes::DEADLINE.into(), message }.into()
}
