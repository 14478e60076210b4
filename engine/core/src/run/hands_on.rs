//! Hands-on mode: the learner acts, the engine judges.

use sealbook_model::expr::Template;
use sealbook_model::journal::{Finding, Preview, Record, Stage};
use serde_json::Value;

use super::failure::{Stop, Trouble};
use super::step_run::{AtStage, StepRun};
use super::{ByHand, HandsOn, Hint};
use crate::event::Event;
use crate::step::{Checked, StepError};

/// How the learner's work looks.
enum Judged {
    Good(Value),
    Missing { missing: Vec<String>, wanted: Option<Box<Preview>> },
}

impl StepRun<'_> {
    /// Lets the learner do the step, until it is done or he wants it done.
    pub(super) async fn hands_on(&self, by_hand: &Template) -> Result<Value, AtStage> {
        let learner = &self.attempt.session.learner;
        let mut task = ByHand {
            step: self.facts.path.clone(),
            title: self.step.title.clone(),
            by_hand: by_hand.preview(self.scope),
            tried: 0,
            missing: Vec::new(),
            hints: u32::try_from(self.step.hints.len()).unwrap_or(u32::MAX),
        };
        // Looked at before it is asked for: after a kill he may have done it already.
        let mut judged = self.look_at_it().await?;
        // What was missing before he did anything is what he makes: its price, and what stays of it.
        let mut first = None;
        loop {
            match judged {
                Judged::Good(outputs) => return self.done_by_hand(task.tried > 0, outputs, first).await,
                Judged::Missing { missing, wanted } => {
                    first = first.or(wanted);
                    // At the first time nothing is missing yet: nothing was done.
                    task.missing = if task.tried == 0 { Vec::new() } else { missing };
                }
            }
            judged = match self.ask(learner.by_hand(&task)).await? {
                HandsOn::Done => {
                    task.tried += 1;
                    self.look_at_it().await?
                }
                HandsOn::Hint => {
                    self.give_hint().await?;
                    Judged::Missing { missing: std::mem::take(&mut task.missing), wanted: None }
                }
                HandsOn::DoItForMe => {
                    let step = self.facts.path.clone();
                    self.record(Stage::Check, Record::HandsOnDone { step, by_learner: false, wanted: None }).await?;
                    return self.auto().await;
                }
                HandsOn::Stop => return Err(stop(Stop::Interrupted)),
            };
        }
    }

    async fn done_by_hand(
        &self,
        by_learner: bool,
        outputs: Value,
        wanted: Option<Box<Preview>>,
    ) -> Result<Value, AtStage> {
        let step = self.facts.path.clone();
        self.record(Stage::Check, self.checked(Finding::Satisfied { outputs: outputs.clone() })).await?;
        self.record(Stage::Check, Record::HandsOnDone { step: step.clone(), by_learner, wanted }).await?;
        self.send(Event::StepSatisfied { step });
        self.judge(outputs).await
    }

    /// `check` and the expectations. What the learner can put right is missing; what he can't is a failure.
    async fn look_at_it(&self) -> Result<Judged, AtStage> {
        let found = match self.check().await {
            Ok(found) => found,
            Err(Trouble::Failed(failure, retries)) => match &failure.error {
                StepError::Precondition { message, fix } => {
                    return Ok(Judged::Missing { missing: vec![message.clone(), fix.clone()], wanted: None });
                }
                StepError::Conflict { message, .. } | StepError::Permanent { message } => {
                    return Ok(Judged::Missing { missing: vec![message.clone()], wanted: None });
                }
                _ => return Err((Stage::Check, Trouble::Failed(failure, retries))),
            },
            Err(trouble) => return Err((Stage::Check, trouble)),
        };
        Ok(match found {
            Checked::Needed(preview) => {
                Judged::Missing { missing: preview.changes.clone(), wanted: Some(Box::new(preview)) }
            }
            Checked::Satisfied(outputs) => match self.expectations(&outputs) {
                Ok(()) => Judged::Good(outputs),
                Err(failure) => Judged::Missing { missing: vec![failure.to_string()], wanted: None },
            },
        })
    }

    async fn give_hint(&self) -> Result<(), AtStage> {
        let step = &self.facts.path;
        let shown = self.attempt.journal.with(|state| state.step(step).map_or(0, |step| step.hints));
        let hint = hint(step, &self.step.hints, self.scope, shown);
        if let Some(hint) = &hint {
            self.record(Stage::Check, Record::HintShown { step: step.clone(), tier: hint.tier }).await?;
        }
        self.ask(self.attempt.session.learner.hint(step, hint.as_ref())).await
    }

    async fn ask<T>(&self, answer: impl Future<Output = T>) -> Result<T, AtStage> {
        self.attempt.ask(answer).await.map_err(stop)
    }
}

/// The tier after `shown`, if there is one.
pub(super) fn hint(
    step: &sealbook_model::id::StepPath,
    hints: &[Template],
    scope: &sealbook_model::expr::Scope,
    shown: u32,
) -> Option<Hint> {
    let text = hints.get(usize::try_from(shown).ok()?)?.preview(scope);
    let of = u32::try_from(hints.len()).unwrap_or(u32::MAX);
    Some(Hint { step: step.clone(), tier: shown + 1, of, text })
}

fn stop(stop: Stop) -> AtStage {
    (Stage::Check, Trouble::Stop(stop))
}
