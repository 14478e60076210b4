//! One step on its way to its verdict: check, apply, expectations, verify, lesson.
//!
//! The order of records makes a kill harmless: `StepStarted` fixes the inputs, `StepChecked` registers the undo before
//! any effect, the ledger records every effect around its sending, `StepSucceeded` is the checkpoint. A step that had
//! something to do and did not finish goes straight to `apply` again, whose effects are known by their keys.

use std::time::Duration;

use sealbook_model::expr::{Scope, Template};
use sealbook_model::journal::{Finding, Record, Stage};
use sealbook_model::playbook::{LessonKind, Price, Refusal, Step};
use sealbook_model::problem::Problem;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::attempt::{Attempt, Facts, bounded};
use super::failure::{Trouble, as_failure};
use crate::event::Event;
use crate::step::{Checked, Cost, Evidence, Failure, Preview, StepError};

/// How long evidence may need to show: Azure's reads lag a little behind its writes.
const EVIDENCE_LAG: Duration = Duration::from_secs(15);

/// A trouble and where it came up.
pub(super) type AtStage = (Stage, Trouble);

/// A step that has been started.
pub(super) struct StepRun<'a> {
    pub(super) attempt: &'a Attempt,
    pub(super) step: &'a Step,
    pub(super) scope: &'a Scope,
    pub(super) facts: Facts,
    pub(super) cancel: CancellationToken,
    pub(super) deadline: Option<Instant>,
}

/// What `apply` came to.
enum Applied {
    Outputs(Value),
    /// Azure refused, as the lesson wants it.
    Refused(Failure),
}

impl<'a> StepRun<'a> {
    pub(super) fn new(attempt: &'a Attempt, step: &'a Step, scope: &'a Scope, facts: Facts) -> Self {
        let cancel = attempt.session.cancel.child_token();
        let deadline = step.timeout.map(|limit| Instant::now() + limit);
        Self { attempt, step, scope, facts, cancel, deadline }
    }

    /// Lets the engine do the step; returns its outputs.
    pub(super) async fn auto(&self) -> Result<Value, AtStage> {
        let failed_at =
            self.attempt.journal.with(|state| state.step(&self.facts.path)?.failure.as_ref().map(|(stage, _)| *stage));
        if !self.registered() {
            if let Some(outputs) = self.look_first().await? {
                return self.judge(outputs).await;
            }
        } else if matches!(failed_at, Some(Stage::Verdict | Stage::Verify | Stage::Lesson)) {
            // What apply did is done, but was not good enough. Its memoised effects would only say the same again;
            // somebody may have put it right meanwhile.
            if let Checked::Satisfied(outputs) = self.check().await.map_err(|e| (Stage::Check, e))? {
                return self.judge(outputs).await;
            }
        }
        match self.apply().await.map_err(|e| (Stage::Apply, e))? {
            Applied::Outputs(outputs) => self.judge(outputs).await,
            Applied::Refused(failure) => self.refused(&failure).await,
        }
    }

    /// Makes again what the step had made, for its handles are gone, and judges it as it was judged the first time. The
    /// effects of `apply` are known by their keys. Its lesson showed a moment, and is over.
    pub(super) async fn again(&self) -> Result<Value, AtStage> {
        let found = if self.registered() { None } else { self.look_first().await? };
        let outputs = match found {
            Some(outputs) => outputs,
            None => match self.apply().await.map_err(|e| (Stage::Apply, e))? {
                Applied::Outputs(outputs) => outputs,
                Applied::Refused(failure) => return Err((Stage::Apply, failure.into())),
            },
        };
        let evidence = self.proof(&outputs).await?;
        self.succeed(outputs, evidence).await
    }

    /// Whether its undo is registered: it had something to do.
    fn registered(&self) -> bool {
        self.attempt.journal.with(|state| state.step(&self.facts.path).is_some_and(|step| step.preview.is_some()))
    }

    /// `check`, before anything was done: the outputs if nothing is to be done, else its undo is registered.
    async fn look_first(&self) -> Result<Option<Value>, AtStage> {
        match self.check().await.map_err(|e| (Stage::Check, e))? {
            Checked::Satisfied(outputs) => {
                self.record(Stage::Check, self.checked(Finding::Satisfied { outputs: outputs.clone() })).await?;
                self.send(Event::StepSatisfied { step: self.facts.path.clone() });
                Ok(Some(outputs))
            }
            Checked::Needed(preview) => self.register(preview).await.map(|()| None),
        }
    }

    /// Calls `check`.
    pub(super) async fn check(&self) -> Result<Checked, Trouble> {
        let call = self.attempt.looking(&self.facts, &self.cancel);
        let within = self.attempt.patience(self.step.retry_within);
        let mut found = self
            .attempt
            .patient(&self.facts.path, within, || bounded(self.deadline, &self.cancel, self.attempt.host.check(&call)))
            .await?;
        if let (Checked::Needed(preview), Some(Price { usd_per_hour, usd_after_undo })) = (&mut found, self.step.cost) {
            preview.costs.push(Cost { item: self.step.title.clone(), usd_per_hour, usd_after_undo });
        }
        // The author knows better than the plugin what a person would type.
        if let (Checked::Needed(preview), Some(by_hand)) = (&mut found, &self.step.by_hand) {
            preview.az = Some(by_hand.preview(self.scope));
        }
        if let (Checked::Needed(Preview { az: Some(az), .. }), Some(guest)) = (&mut found, &self.facts.guest) {
            *az = format!("# inside the confidential VM {}, not here:\n{az}", guest.name());
        }
        Ok(found)
    }

    /// Records what is to be done, which registers the undo, before anything is done.
    async fn register(&self, preview: Preview) -> Result<(), AtStage> {
        self.afford(&preview).map_err(|problem| (Stage::Check, as_failure(&problem).into()))?;
        self.record(Stage::Check, self.checked(Finding::Needed(Box::new(preview.clone())))).await?;
        self.send(Event::StepPlanned { step: self.facts.path.clone(), preview });
        Ok(())
    }

    /// Holds what the run costs by the hour, this step included, against the machine's policy.
    fn afford(&self, preview: &Preview) -> Result<(), Problem> {
        let wanted: f64 = preview.costs.iter().map(|cost| cost.usd_per_hour).sum();
        if wanted <= 0.0 {
            return Ok(());
        }
        let running: f64 = self.attempt.journal.with(|state| state.live().map(|(_, cost)| cost.usd_per_hour).sum());
        self.attempt.policy.admits_cost(running + wanted)
    }

    async fn apply(&self) -> Result<Applied, Trouble> {
        let call = self.attempt.acting(&self.facts, &self.cancel);
        let within = self.attempt.patience(self.step.retry_within);
        let expected = self.expected_refusal();
        self.attempt
            .patient(&self.facts.path, within, || async {
                match bounded(self.deadline, &self.cancel, self.attempt.host.apply(&call)).await {
                    Ok(outputs) => Ok(Applied::Outputs(outputs)),
                    Err(failure) if expected.is_some_and(|refusal| matches(refusal, &failure)) => {
                        Ok(Applied::Refused(failure))
                    }
                    Err(failure) => Err(failure),
                }
            })
            .await
    }

    /// The lesson was that `apply` fails, and it did. The step has no outputs then.
    async fn refused(&self, failure: &Failure) -> Result<Value, AtStage> {
        self.seen(failure.to_string()).await?;
        self.succeed(Value::Null, Vec::new()).await
    }

    /// Judges outputs: the playbook's expectations, the plugin's `verify`, the lesson.
    pub(super) async fn judge(&self, outputs: Value) -> Result<Value, AtStage> {
        if let Some(refusal) = self.expected_refusal() {
            let message = format!("it went through, but should have been refused with {}", describe(refusal));
            return Err((Stage::Lesson, Failure::from(StepError::Permanent { message }).into()));
        }
        let evidence = self.proof(&outputs).await?;
        if let Some(lesson) = &self.step.lesson {
            let detail = self.read_lesson(lesson, &outputs).await.map_err(|e| (Stage::Lesson, e))?;
            self.seen(detail).await?;
        }
        self.succeed(outputs, evidence).await
    }

    /// The playbook's expectations, and what the plugin's `verify` sees.
    async fn proof(&self, outputs: &Value) -> Result<Vec<Evidence>, AtStage> {
        self.expectations(outputs).map_err(|failure| (Stage::Verdict, failure.into()))?;
        self.verify(outputs).await.map_err(|e| (Stage::Verify, e))
    }

    /// Whether every `expect` of the step holds.
    pub(super) fn expectations(&self, outputs: &Value) -> Result<(), Failure> {
        let scope = self.scope.with_out(outputs);
        for expect in &self.step.expect {
            if !expect.that.holds(&scope).map_err(|e| as_failure(&e.problem()))? {
                let found = expect.that.seen(&scope);
                let found = if found.is_empty() { String::new() } else { format!("; found: {}", found.join(", ")) };
                let message =
                    format!("{} (expected: {}{found})", expect.otherwise.preview(&scope), expect.that.source());
                return Err(StepError::Permanent { message }.into());
            }
        }
        Ok(())
    }

    async fn verify(&self, outputs: &Value) -> Result<Vec<Evidence>, Trouble> {
        let call = self.attempt.looking(&self.facts, &self.cancel);
        let within = self.attempt.patience(self.step.retry_within).min(EVIDENCE_LAG);
        self.attempt
            .patient(&self.facts.path, within, || async {
                let evidence = bounded(self.deadline, &self.cancel, self.attempt.host.verify(&call, outputs)).await?;
                match failed_checks(&evidence) {
                    None => Ok(evidence),
                    Some(message) => Err(StepError::Transient { message, retry_after: None }.into()),
                }
            })
            .await
    }

    async fn seen(&self, detail: String) -> Result<(), AtStage> {
        let step = self.facts.path.clone();
        self.record(Stage::Lesson, Record::LessonSeen { step: step.clone(), detail: detail.clone() }).await?;
        self.send(Event::LessonSeen { step, detail });
        Ok(())
    }

    async fn succeed(&self, outputs: Value, evidence: Vec<Evidence>) -> Result<Value, AtStage> {
        let step = self.facts.path.clone();
        let record = Record::StepSucceeded { step: step.clone(), outputs: outputs.clone(), evidence: evidence.clone() };
        self.record(Stage::Verify, record).await?;
        let proved = told(&self.step.text.proved, &self.scope.with_out(&outputs));
        self.send(Event::StepSucceeded { step, evidence, proved });
        Ok(outputs)
    }

    fn expected_refusal(&self) -> Option<&Refusal> {
        match &self.step.lesson.as_ref()?.kind {
            LessonKind::ApplyFails(refusal) => Some(refusal),
            _ => None,
        }
    }

    pub(super) fn checked(&self, finding: Finding) -> Record {
        Record::StepChecked { step: self.facts.path.clone(), finding }
    }

    pub(super) async fn record(&self, stage: Stage, record: Record) -> Result<(), AtStage> {
        self.attempt.journal.record(record).await.map_err(|problem| (stage, problem.into()))
    }

    pub(super) fn send(&self, event: Event) {
        self.attempt.session.events.send(event);
    }
}

/// A text with its expressions evaluated, as far as that goes.
pub(super) fn told(text: &str, scope: &Scope) -> String {
    Template::parse(text).map_or_else(|_| text.to_owned(), |template| template.preview(scope))
}

/// Whether a failure is the refusal that a lesson wants to see.
pub(super) fn matches(refusal: &Refusal, failure: &Failure) -> bool {
    failure.azure.as_ref().is_some_and(|cause| refusal.matches(cause.status, &cause.code))
}

/// A refusal in words: `403 KeyVaultEncryptionKeyNotFound`.
pub(super) fn describe(refusal: &Refusal) -> String {
    let status = refusal.status.map(|status| status.to_string());
    [status, refusal.code.clone()].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// What did not hold; none when everything did.
fn failed_checks(evidence: &[Evidence]) -> Option<String> {
    let failed: Vec<String> =
        evidence.iter().filter(|e| !e.passed).map(|e| format!("{}: {}", e.check, e.detail)).collect();
    (!failed.is_empty()).then(|| failed.join("; "))
}
