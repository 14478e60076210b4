//! The records of a journal, format version 1.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Evidence, Failure, GuestAt, Intent, Leftover, Outcome, Preview};
use crate::expr::Context;
use crate::id::{Digest, RunId, StepPath};
use crate::plugin::PluginRef;

/// Version of the record format that this engine writes, and the newest it reads.
pub const FORMAT: u32 = 1;

/// One row of a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place, counted from 1.
    pub seq: u64,
    /// When it was recorded.
    pub at: DateTime<Utc>,
    /// What happened.
    pub record: Record,
}

/// Something that happened in a run, or is about to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// The run exists. Always the first record.
    RunStarted(Box<RunStarted>),
    /// The learner agreed to something.
    ConsentGiven(Consent),
    /// The learner answered a prompt. A secret's value is in `RunStarted::secrets`, sealed.
    PromptAnswered {
        /// The input that was asked for.
        input: String,
        /// The answer; none for a secret.
        value: Option<Value>,
    },
    /// A process took the run up.
    AttemptStarted {
        /// Counted from 1.
        attempt: u32,
        /// Forward or back.
        goal: Goal,
        /// Generation of effects it works in: 0 forward, one more for each undo.
        generation: u32,
        /// Its process id, for people.
        pid: u32,
    },
    /// A step began; its inputs are fixed from here on.
    StepStarted(Box<StepStarted>),
    /// `check` answered. `Needed` registers the step's undo, before any effect.
    StepChecked {
        /// Which step.
        step: StepPath,
        /// What was found.
        finding: Finding,
    },
    /// An effect is about to be sent.
    EffectIntended {
        /// Whose effect.
        step: StepPath,
        /// In which generation.
        generation: u32,
        /// What is intended.
        intent: Box<Intent>,
    },
    /// Azure accepted a long-running operation.
    EffectAccepted {
        /// Whose effect.
        step: StepPath,
        /// In which generation.
        generation: u32,
        /// The effect's name.
        name: String,
        /// Where it is followed.
        follow: Value,
    },
    /// The effect's outcome is known.
    EffectCompleted {
        /// Whose effect.
        step: StepPath,
        /// In which generation.
        generation: u32,
        /// The effect's name.
        name: String,
        /// How it ended.
        outcome: Outcome,
    },
    /// A lesson's expected result was seen.
    LessonSeen {
        /// Which step.
        step: StepPath,
        /// What was seen, in words.
        detail: String,
    },
    /// The verdict: a checkpoint, after which the step is not done again.
    StepSucceeded {
        /// Which step.
        step: StepPath,
        /// What it hands on; null for a lesson whose `apply` failed as it should.
        outputs: Value,
        /// What `verify` saw.
        evidence: Vec<Evidence>,
    },
    /// A step runs again, from its checkpoint or in its midst: what it had made was in memory only, and is gone. What
    /// it then succeeds with is what counts.
    StepAgain {
        /// Which step.
        step: StepPath,
        /// Why, in words.
        why: String,
    },
    /// The step's `when` is false.
    StepSkipped {
        /// Which step, or which part with all that is in it.
        step: StepPath,
    },
    /// The step failed; a resume takes it up again.
    StepFailed {
        /// Which step.
        step: StepPath,
        /// Where it failed.
        stage: Stage,
        /// Why.
        failure: Failure,
        /// How often this attempt had tried again.
        retries: u32,
    },
    /// A wait before another try is over.
    RetryWaited {
        /// Which step.
        step: StepPath,
        /// What was in the way.
        why: String,
        /// How long it waited, in milliseconds.
        millis: u64,
        /// Which retry this is, counted from 1.
        retry: u32,
    },
    /// The learner answered a quiz.
    QuizAnswered {
        /// Which step's quiz.
        step: StepPath,
        /// The option taken, from 0; none: passed over.
        choice: Option<u32>,
        /// Whether it was right.
        right: bool,
    },
    /// The learner was shown a pause and went on.
    PausePassed {
        /// Which step.
        step: StepPath,
    },
    /// A hint was shown.
    HintShown {
        /// Which step's.
        step: StepPath,
        /// Its tier, from 1.
        tier: u32,
    },
    /// The learner finished a step by hand, or had it done.
    HandsOnDone {
        /// Which step.
        step: StepPath,
        /// Whether the learner did it; else the engine did at the learner's word.
        by_learner: bool,
        /// What was missing before the learner did it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wanted: Option<Box<Preview>>,
    },
    /// Clean-up began: from here on the run only goes back.
    UndoStarted {
        /// Generation of its effects.
        generation: u32,
    },
    /// One step was taken back.
    UndoStepDone {
        /// Which step.
        step: StepPath,
        /// What remains of it.
        leftovers: Vec<Leftover>,
    },
    /// One step could not be taken back; the others go on.
    UndoStepFailed {
        /// Which step.
        step: StepPath,
        /// Why.
        failure: Failure,
        /// How often this attempt had tried again.
        retries: u32,
    },
    /// Clean-up went through all steps.
    UndoFinished {
        /// Its generation.
        generation: u32,
        /// Whether every step was taken back.
        complete: bool,
    },
    /// The run went through, or stopped at a failed step.
    RunFinished {
        /// How.
        end: End,
        /// The outputs of the steps and parts of the top level, by name.
        outputs: Value,
    },
    /// The learner stopped the run at a safe place.
    RunInterrupted,
}

impl Record {
    /// The record's type as it is written, for gates, logs and people.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::RunStarted(_) => "run-started",
            Self::ConsentGiven(_) => "consent-given",
            Self::PromptAnswered { .. } => "prompt-answered",
            Self::AttemptStarted { .. } => "attempt-started",
            Self::StepStarted(_) => "step-started",
            Self::StepChecked { .. } => "step-checked",
            Self::EffectIntended { .. } => "effect-intended",
            Self::EffectAccepted { .. } => "effect-accepted",
            Self::EffectCompleted { .. } => "effect-completed",
            Self::LessonSeen { .. } => "lesson-seen",
            Self::StepSucceeded { .. } => "step-succeeded",
            Self::StepAgain { .. } => "step-again",
            Self::StepSkipped { .. } => "step-skipped",
            Self::StepFailed { .. } => "step-failed",
            Self::RetryWaited { .. } => "retry-waited",
            Self::QuizAnswered { .. } => "quiz-answered",
            Self::PausePassed { .. } => "pause-passed",
            Self::HintShown { .. } => "hint-shown",
            Self::HandsOnDone { .. } => "hands-on-done",
            Self::UndoStarted { .. } => "undo-started",
            Self::UndoStepDone { .. } => "undo-step-done",
            Self::UndoStepFailed { .. } => "undo-step-failed",
            Self::UndoFinished { .. } => "undo-finished",
            Self::RunFinished { .. } => "run-finished",
            Self::RunInterrupted => "run-interrupted",
        }
    }

    /// The step it is about, if it is about one.
    #[must_use]
    pub fn step(&self) -> Option<&StepPath> {
        match self {
            Self::StepStarted(started) => Some(&started.step),
            Self::StepChecked { step, .. }
            | Self::EffectIntended { step, .. }
            | Self::EffectAccepted { step, .. }
            | Self::EffectCompleted { step, .. }
            | Self::LessonSeen { step, .. }
            | Self::StepSucceeded { step, .. }
            | Self::StepAgain { step, .. }
            | Self::StepSkipped { step }
            | Self::StepFailed { step, .. }
            | Self::RetryWaited { step, .. }
            | Self::QuizAnswered { step, .. }
            | Self::PausePassed { step }
            | Self::HintShown { step, .. }
            | Self::HandsOnDone { step, .. }
            | Self::UndoStepDone { step, .. }
            | Self::UndoStepFailed { step, .. } => Some(step),
            _ => None,
        }
    }
}

/// All that fixes a run: whatever is upgraded or edited later, resume and undo use this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunStarted {
    /// The playbook's id.
    pub playbook: String,
    /// Its title.
    pub title: String,
    /// The bundle (playbook, parts and their texts) in the home's store.
    pub bundle: Digest,
    /// Components and their descriptions in the home's store.
    pub plugins: BTreeMap<PluginRef, Pinned>,
    /// Run id, cloud, tenant, subscription and account.
    pub context: Context,
    /// Inputs, defaults included. A secret stands there as the reference `secret:<name>`.
    pub inputs: BTreeMap<String, Value>,
    /// The secret inputs, sealed with the run's key.
    pub secrets: BTreeMap<String, Sealed>,
    /// What was chosen, by choice.
    pub answers: BTreeMap<StepPath, String>,
    /// Who does the work.
    pub mode: Mode,
    /// Whether nobody is asked on the way: questions are passed over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quiet: bool,
    /// The file that the playbook was read from; none: it came with the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The machine's policy at the start.
    pub policy: Digest,
    /// Version of the engine that started it.
    pub engine: String,
}

impl RunStarted {
    /// The run's id.
    #[must_use]
    pub fn run(&self) -> &RunId {
        &self.context.run
    }
}

/// One plugin as a run uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// The component's bytes.
    pub component: Digest,
    /// Its description as JSON.
    pub description: Digest,
    /// Whether it came with the program that started the run.
    pub built_in: bool,
}

/// Who does the work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The engine.
    #[default]
    Auto,
    /// The learner; the engine judges.
    HandsOn,
}

/// Which way an attempt goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// Towards the end of the playbook.
    Run,
    /// Back.
    Undo,
}

/// What the learner agreed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// What it was about: `plan`, or the path of a choice.
    pub subject: String,
    /// The words that were shown, or typed.
    pub text: String,
}

/// A step's fixed beginning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepStarted {
    /// Which step.
    pub step: StepPath,
    /// Its plugin.
    pub plugin: PluginRef,
    /// The evaluated `with`; secrets as references.
    pub inputs: Value,
    /// The confidential VM it runs in; none on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest: Option<GuestAt>,
    /// Whether it may use what carries no mark of this run.
    pub adopt: bool,
    /// What the plugin asked for, over these inputs, in the canonical text of a grant.
    pub asks: Vec<String>,
    /// What the playbook granted.
    pub grants: Vec<String>,
}

/// What `check` found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// The wanted state held already: never undone.
    Satisfied {
        /// The outputs that `check` gave.
        outputs: Value,
    },
    /// There is something to do.
    Needed(Box<Preview>),
}

/// Where a step failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Before the plugin was called: its inputs, its `when`, its grants.
    Inputs,
    /// In `check`.
    Check,
    /// In `apply`.
    Apply,
    /// An `expect` did not hold.
    Verdict,
    /// In `verify`, or by what it saw.
    Verify,
    /// The lesson did not show what it should.
    Lesson,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// Every step has its verdict.
    Succeeded,
    /// It stopped at a failed step.
    Failed,
}

/// Bytes sealed with the run's key, as base64 (RFC 4648 §4).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(pub String);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} characters)", self.0.len())
    }
}
