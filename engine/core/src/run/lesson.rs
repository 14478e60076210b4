//! Lessons that read: the step has its verdict once the read fails, or holds, in the stated way.

use std::time::Duration;

use sealbook_model::journal::Record;
use sealbook_model::playbook::{Lesson, LessonKind};
use serde_json::Value;

use super::attempt::Facts;
use super::failure::{Stop, Trouble, as_failure};
use super::retry::Budget;
use super::step_run::{StepRun, describe, matches};
use crate::step::{Failure, StepError};

/// What one look came to.
enum Look {
    /// The lesson is seen; in words.
    Seen(String),
    /// Not yet; why, and when to look again at the earliest.
    NotYet(String, Option<Duration>),
}

impl StepRun<'_> {
    /// Reads until the lesson shows, or until its time is over. Returns what was seen, in words.
    pub(super) async fn read_lesson(&self, lesson: &Lesson, outputs: &Value) -> Result<String, Trouble> {
        let (LessonKind::ReadFails { uri, .. } | LessonKind::ReadHolds { uri, .. }) = &lesson.kind else {
            return Ok(String::new());
        };
        let own = self.scope.with_out(outputs);
        let uri = uri.text(&own).map_err(|e| as_failure(&e.problem()))?;
        let gate = self.step.lesson_gate(self.scope, &uri, &self.attempt.policy).map_err(|p| as_failure(&p))?;
        let facts = Facts { gate: gate.into(), ..self.facts.clone() };
        let call = self.attempt.looking(&facts, &self.cancel);
        // Not capped by the policy's limit on retries: a lesson waits for something that is meant to happen.
        let within = lesson.within.unwrap_or(self.attempt.pace.lesson);
        let mut budget = Budget::new(self.attempt.pace, within, self.attempt.jitter.clone());
        loop {
            let read = self.attempt.host.read(&call, &uri).await;
            if self.attempt.session.cancel.is_cancelled() && read.is_err() {
                return Err(Trouble::Stop(Stop::Interrupted));
            }
            let (why, server) = match self.look(&lesson.kind, read)? {
                Look::Seen(detail) => return Ok(detail),
                Look::NotYet(why, server) => (why, server),
            };
            let Some(wait) = budget.next(server) else {
                let message = format!("waited {} s for it; the last look: {why}", within.as_secs());
                return Err(Trouble::Failed(StepError::Permanent { message }.into(), budget.retries()));
            };
            self.attempt.wait(&self.facts.path, &why, wait, budget.elapsed()).await.map_err(Trouble::Stop)?;
            let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            let (step, retry) = (self.facts.path.clone(), budget.retries());
            self.attempt.journal.record(Record::RetryWaited { step, why, millis, retry }).await?;
        }
    }

    fn look(&self, kind: &LessonKind, read: Result<Value, Failure>) -> Result<Look, Failure> {
        match (kind, read) {
            (LessonKind::ReadFails { refusal, .. }, Err(failure)) if matches(refusal, &failure) => {
                let cause = failure.azure.as_ref().map(|cause| format!("{} {}", cause.status, cause.code));
                Ok(Look::Seen(format!("the read was refused: {}", cause.unwrap_or_default())))
            }
            (LessonKind::ReadFails { refusal, .. }, Ok(_)) => {
                Ok(Look::NotYet(format!("the read still succeeds, where {} should come", describe(refusal)), None))
            }
            (LessonKind::ReadHolds { that: None, .. }, Ok(_)) => Ok(Look::Seen("the read succeeded".into())),
            (LessonKind::ReadHolds { that: Some(that), .. }, Ok(value)) => {
                let holds = that.holds(&self.scope.with_out(&value)).map_err(|e| as_failure(&e.problem()))?;
                Ok(if holds {
                    Look::Seen(format!("the read succeeded, and {} holds", that.source()))
                } else {
                    Look::NotYet(format!("the read succeeds, but {} does not hold", that.source()), None)
                })
            }
            (_, Err(failure)) => match &failure.error {
                StepError::Transient { retry_after, .. } => Ok(Look::NotYet(failure.to_string(), *retry_after)),
                // What the host refuses itself will not change by waiting; what Azure says may.
                _ if failure.azure.is_none() => Err(failure),
                _ => Ok(Look::NotYet(failure.to_string(), None)),
            },
            (LessonKind::ApplyFails(_), Ok(_)) => Ok(Look::Seen(String::new())),
        }
    }
}
