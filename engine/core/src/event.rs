//! What happens in a run, as notices to reporters. The engine never prints.

use std::sync::Arc;
use std::time::Duration;

use sealbook_model::id::{RunId, StepPath};
use serde::{Serialize, Serializer};

use crate::step::{Evidence, Leftover, Preview, StepError};

/// A notice. Reporters ignore the ones they do not know.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
#[expect(missing_docs, reason = "the fields of a notice are named for what they are")]
#[non_exhaustive]
pub enum Event {
    /// An attempt at a run, or at its undo, began.
    RunStarted { run: RunId, title: String, attempt: u32, undo: bool },
    /// A step began; `index` counts from 1. `guest` is the resource id of the confidential VM that it runs inside. `what`
    /// and `why` are the playbook's texts, evaluated.
    StepStarted {
        step: StepPath,
        index: usize,
        of: usize,
        title: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        guest: Option<String>,
        what: String,
        why: String,
    },
    /// `check` said what has to be done.
    StepPlanned { step: StepPath, preview: Preview },
    /// `check` found nothing to do.
    StepSatisfied { step: StepPath },
    /// A step runs again, although it was done or under way: what it had made was in memory only, and is gone.
    StepAgain { step: StepPath, why: String },
    /// Skipped because its `when` is false.
    StepSkipped { step: StepPath },
    /// An effect is about to be sent.
    EffectStarted { step: StepPath, name: String, kind: String, target: String },
    /// A wait before another try. In JSON, spans are seconds.
    Waiting {
        step: StepPath,
        why: String,
        #[serde(serialize_with = "seconds")]
        delay: Duration,
        #[serde(serialize_with = "seconds")]
        elapsed: Duration,
    },
    /// Progress of the plugin or of the host on its behalf.
    Progress { step: StepPath, done: u64, total: Option<u64>, message: String },
    /// A line of the plugin's log, made safe for a terminal.
    Log { step: StepPath, level: String, message: String },
    /// The verdict on a step.
    StepSucceeded { step: StepPath, evidence: Vec<Evidence>, proved: String },
    /// A lesson's expected failure was seen.
    LessonSeen { step: StepPath, detail: String },
    /// The step failed.
    StepFailed { step: StepPath, error: StepError },
    /// One step was taken back.
    StepUndone { step: StepPath, leftovers: Vec<Leftover> },
}

fn seconds<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(span.as_secs_f64())
}

/// Where events go. Cheap to clone.
#[derive(Clone)]
pub struct Events(Arc<dyn Fn(Event) + Send + Sync>);

impl Events {
    /// Sends every event to `sink`, which must not block.
    pub fn new(sink: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// Drops every event.
    #[must_use]
    pub fn none() -> Self {
        Self::new(|_| {})
    }

    /// Sends one.
    pub fn send(&self, event: Event) {
        (self.0)(event);
    }
}
