//! What is told about runs.

use chrono::{DateTime, Utc};
use sealbook_model::CloudName;
use sealbook_model::id::{RunId, StepPath};
use sealbook_model::journal::{End, Ended, Goal, Mode, Phase, RunState};
use sealbook_model::problem::Problem;
use serde::Serialize;
use serde_json::Value;

use crate::step::{Evidence, Failure, Leftover};

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// A process works on it.
    Running,
    /// Every step has its verdict.
    Succeeded,
    /// It stopped at a failed step, or could not be taken back completely.
    Failed,
    /// It was stopped, or its process died.
    Interrupted,
    /// It was taken back.
    Undone,
}

impl Status {
    /// The exit code of the process that brought the run there.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Running | Self::Succeeded | Self::Undone => 0,
            Self::Failed => 20,
            Self::Interrupted => 130,
        }
    }

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Undone => "undone",
        }
    }

    /// The status that a state shows, of a run that nobody works on.
    pub(crate) fn of(state: &RunState) -> Self {
        match state.ended {
            Some(Ended::Finished(End::Succeeded)) => Self::Succeeded,
            Some(Ended::Finished(End::Failed) | Ended::Undone { complete: false }) => Self::Failed,
            Some(Ended::Undone { complete: true }) => Self::Undone,
            Some(Ended::Interrupted) | None => Self::Interrupted,
        }
    }
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunSummary {
    /// The run.
    pub run: RunId,
    /// How it stands.
    pub status: Status,
    /// Outputs of the top level's steps and parts, by name.
    pub outputs: Value,
    /// What remains after undo.
    pub leftovers: Vec<Leftover>,
    /// What the playbook says of what it leaves, in words.
    pub leaves: Vec<String>,
    /// What costs by the hour and stands.
    pub live: Vec<Live>,
    /// Each step and how far it came.
    pub steps: Vec<StepLine>,
    /// What went wrong.
    pub problem: Option<Problem>,
    /// The command that goes on; none when there is nothing left to do.
    pub next: Option<String>,
}

impl RunSummary {
    /// The exit code of the process: the problem's own where it has one, else the status's.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        self.problem.as_ref().map_or(self.status.exit_code(), Problem::exit_code)
    }
}

/// Something that costs by the hour and stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Live {
    /// The step that made it.
    pub step: StepPath,
    /// What it is.
    pub item: String,
    /// US dollars per hour.
    pub usd_per_hour: f64,
}

/// One step of a run in a line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepLine {
    /// Which step.
    pub step: StepPath,
    /// How far it came: `pending`, `started`, `satisfied`, `needed`, `failed`, `succeeded`, `skipped` or `undone`.
    pub phase: &'static str,
    /// What `verify` saw.
    pub evidence: Vec<Evidence>,
    /// Number of waits before another try.
    pub retries: u32,
    /// Number of hints shown.
    pub hints: u32,
    /// Whether the learner did it by hand; none: nobody was asked.
    pub by_learner: Option<bool>,
    /// Whether its quiz was answered right; none: it was passed over.
    pub quiz: Option<bool>,
    /// Why it failed.
    pub error: Option<String>,
}

/// What is known of a run without touching it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunInfo {
    /// The run.
    pub run: RunId,
    /// The playbook's id; empty when the journal can't be read.
    pub playbook: String,
    /// Its title.
    pub title: String,
    /// Where it works; none when the journal can't be read.
    pub cloud: Option<CloudName>,
    /// Who does the work.
    pub mode: Mode,
    /// When it began.
    pub started: Option<DateTime<Utc>>,
    /// When the last record was written.
    pub last: Option<DateTime<Utc>>,
    /// How it stands.
    pub status: Status,
    /// Whether it goes, or went, back.
    pub undoing: bool,
    /// Number of attempts.
    pub attempts: u32,
    /// The process that works on it.
    pub holder: Option<u32>,
    /// Each step that was reached.
    pub steps: Vec<StepLine>,
    /// Number of steps that the playbook has under the run's choices.
    pub of: usize,
    /// What costs by the hour and stands.
    pub live: Vec<Live>,
    /// What remains after undo.
    pub leftovers: Vec<Leftover>,
    /// The command that goes on.
    pub next: Option<String>,
    /// Why the journal can't be read, or what the run stopped at.
    pub problem: Option<Problem>,
}

/// What a fresh look at a finished step came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// Which step.
    pub step: StepPath,
    /// What `verify` saw.
    pub evidence: Vec<Evidence>,
    /// Why it could not look.
    pub error: Option<Failure>,
    /// Why there is nothing left to look at.
    pub gone: Option<String>,
    /// Whether everything holds; none: there is nothing left to look at, so nobody can say.
    pub passed: Option<bool>,
}

/// The steps of a state.
pub(super) fn steps(state: &RunState) -> Vec<StepLine> {
    let line = |(path, step): (&StepPath, &sealbook_model::journal::StepState)| StepLine {
        step: path.clone(),
        phase: phase(step.phase),
        evidence: step.evidence.clone(),
        retries: step.retries,
        hints: step.hints,
        by_learner: step.by_learner,
        quiz: step.quiz.filter(|quiz| quiz.choice.is_some()).map(|quiz| quiz.right),
        error: step.failure.as_ref().map(|(_, failure)| failure.to_string()),
    };
    state.order.iter().filter_map(|path| Some(line((path, state.step(path)?)))).collect()
}

/// What costs by the hour and stands.
pub(super) fn live(state: &RunState) -> Vec<Live> {
    let live = |(step, cost): (&StepPath, &crate::step::Cost)| Live {
        step: step.clone(),
        item: cost.item.clone(),
        usd_per_hour: cost.usd_per_hour,
    };
    state.live().map(live).collect()
}

/// The command that goes on with a run.
pub(super) fn next(run: &RunId, state: &RunState) -> Option<String> {
    let undo = || format!("sealbook undo {run}");
    match Status::of(state) {
        Status::Undone => None,
        _ if state.goal == Some(Goal::Undo) => Some(undo()),
        Status::Succeeded => (!state.to_undo().is_empty()).then(undo),
        _ => Some(format!("sealbook resume {run}")),
    }
}

pub(super) fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "pending",
        Phase::Started => "started",
        Phase::Satisfied => "satisfied",
        Phase::Needed => "needed",
        Phase::Failed => "failed",
        Phase::Succeeded => "succeeded",
        Phase::Skipped => "skipped",
        Phase::Undone => "undone",
    }
}
