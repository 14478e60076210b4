//! The state of a run as a pure fold over its records.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    Consent, Cost, End, Entry, Evidence, Failure, Finding, Goal, GuestAt, Leftover, Operation, Preview, Record,
    RunStarted, Stage, by_hand,
};
use crate::id::{Digest, StepPath};
use crate::plugin::PluginRef;

/// All that is known of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunState {
    /// How the run began; none: the journal is empty.
    pub started: Option<Box<RunStarted>>,
    /// When it began.
    pub began: Option<DateTime<Utc>>,
    /// When the last record was written.
    pub last: Option<DateTime<Utc>>,
    /// Number of records.
    pub records: u64,
    /// What the learner agreed to.
    pub consents: Vec<Consent>,
    /// Number of attempts so far.
    pub attempts: u32,
    /// Which way the last attempt went.
    pub goal: Option<Goal>,
    /// How the last attempt ended; none: it runs, or it was killed.
    pub ended: Option<Ended>,
    /// The outputs at the end.
    pub outputs: Option<Value>,
    /// The steps that were reached.
    pub steps: BTreeMap<StepPath, StepState>,
    /// The same steps in the order in which they were reached.
    pub order: Vec<StepPath>,
    /// Steps with a registered undo, oldest first.
    pub registered: Vec<StepPath>,
    /// The latest undo.
    pub undo: Option<UndoState>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The run has its verdict.
    Finished(End),
    /// The learner stopped it.
    Interrupted,
    /// Clean-up went through; `complete`: nothing was left that it should have taken back.
    Undone {
        /// Whether every step was taken back.
        complete: bool,
    },
}

/// What is known of one step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepState {
    /// How far it came.
    pub phase: Phase,
    /// Its plugin.
    pub plugin: Option<PluginRef>,
    /// Its evaluated inputs.
    pub inputs: Value,
    /// The confidential VM it runs in; none on this machine.
    pub guest: Option<GuestAt>,
    /// Whether it may use what carries no mark of this run.
    pub adopt: bool,
    /// The plugin's asks, as grants in text.
    pub asks: Vec<String>,
    /// The playbook's grants, in text.
    pub grants: Vec<String>,
    /// What `check` said was to do. Present: undo is registered.
    pub preview: Option<Box<Preview>>,
    /// Its outputs: of a checkpoint, or of a satisfied `check`.
    pub outputs: Option<Value>,
    /// What `verify` saw.
    pub evidence: Vec<Evidence>,
    /// What the lesson showed.
    pub lesson: Option<String>,
    /// The last failure and where it was; gone once the step succeeds.
    pub failure: Option<(Stage, Failure)>,
    /// Number of waits before another try, over all attempts.
    pub retries: u32,
    /// The quiz.
    pub quiz: Option<QuizAnswer>,
    /// Whether its pause was passed.
    pub paused: bool,
    /// Number of hint tiers shown.
    pub hints: u32,
    /// Whether the learner did it by hand; none: nobody was asked.
    pub by_learner: Option<bool>,
    /// What was missing before the learner did it by hand.
    pub wanted: Option<Box<Preview>>,
    /// Its effects, in the order in which they were intended, with their generation.
    pub effects: Vec<(u32, Operation)>,
    index: BTreeMap<(u32, String), usize>,
}

/// How far a step came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// Known by name only.
    #[default]
    Pending,
    /// Its inputs are fixed.
    Started,
    /// `check` found nothing to do; no verdict yet.
    Satisfied,
    /// `check` found something to do: undo is registered.
    Needed,
    /// It failed.
    Failed,
    /// It has its verdict.
    Succeeded,
    /// Its `when` is false.
    Skipped,
    /// It was taken back.
    Undone,
}

/// How a quiz was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuizAnswer {
    /// The option taken; none: passed over.
    pub choice: Option<u32>,
    /// Whether it was right.
    pub right: bool,
}

/// What is known of an undo.
#[derive(Debug, Clone, PartialEq)]
pub struct UndoState {
    /// Generation of its effects.
    pub generation: u32,
    /// When it began.
    pub at: DateTime<Utc>,
    /// Whether it went through all steps.
    pub finished: bool,
    /// Steps that could not be taken back in this undo.
    pub failed: BTreeMap<StepPath, Failure>,
    /// What remains, by step, over all undos of the run.
    pub leftovers: BTreeMap<StepPath, Vec<Leftover>>,
}

impl RunState {
    /// Folds a whole journal.
    #[must_use]
    pub fn fold(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut state = Self::default();
        for entry in entries {
            state.apply(entry);
        }
        state
    }

    /// Takes the next entry in.
    ///
    /// Total: what does not follow from the entries before (an outcome without an intent) changes nothing. The store
    /// has already made sure that the entries are the ones that were written.
    pub fn apply(&mut self, entry: Entry) {
        self.records += 1;
        self.last = Some(entry.at);
        match entry.record {
            Record::RunStarted(started) => {
                self.began.get_or_insert(entry.at);
                self.started.get_or_insert(started);
            }
            Record::ConsentGiven(consent) => self.consents.push(consent),
            Record::PromptAnswered { .. } => {}
            Record::AttemptStarted { attempt, goal, .. } => {
                self.attempts = attempt;
                self.goal = Some(goal);
                self.ended = None;
            }
            Record::UndoStarted { generation } => {
                let leftovers = self.undo.take().map(|undo| undo.leftovers).unwrap_or_default();
                let failed = BTreeMap::new();
                self.undo = Some(UndoState { generation, at: entry.at, finished: false, failed, leftovers });
            }
            Record::UndoStepDone { step, leftovers } => {
                self.step_mut(&step).phase = Phase::Undone;
                if let Some(undo) = &mut self.undo {
                    undo.failed.remove(&step);
                    undo.leftovers.insert(step, leftovers);
                }
            }
            Record::UndoStepFailed { step, failure, .. } => {
                if let Some(undo) = &mut self.undo {
                    undo.failed.insert(step, failure);
                }
            }
            Record::UndoFinished { complete, .. } => {
                self.ended = Some(Ended::Undone { complete });
                if let Some(undo) = &mut self.undo {
                    undo.finished = true;
                }
            }
            Record::RunFinished { end, outputs } => {
                self.ended = Some(Ended::Finished(end));
                self.outputs = Some(outputs);
            }
            Record::RunInterrupted => self.ended = Some(Ended::Interrupted),
            Record::StepChecked { step, finding } => {
                let state = self.step_mut(&step);
                if state.check(finding) {
                    self.registered.push(step);
                }
            }
            Record::StepStarted(started) => {
                let state = self.step_mut(&started.step);
                state.phase = Phase::Started;
                state.plugin = Some(started.plugin);
                state.inputs = started.inputs;
                state.guest = started.guest;
                state.adopt = started.adopt;
                state.asks = started.asks;
                state.grants = started.grants;
            }
            Record::EffectIntended { step, generation, intent } => self.step_mut(&step).intend(generation, *intent),
            Record::EffectAccepted { step, generation, name, follow } => {
                if let Some(effect) = self.step_mut(&step).effect_mut(generation, name) {
                    effect.accepted = Some(follow);
                }
            }
            Record::EffectCompleted { step, generation, name, outcome } => {
                if let Some(effect) = self.step_mut(&step).effect_mut(generation, name) {
                    effect.outcome = Some(outcome);
                }
            }
            Record::LessonSeen { step, detail } => self.step_mut(&step).lesson = Some(detail),
            Record::StepSucceeded { step, outputs, evidence } => {
                let state = self.step_mut(&step);
                state.phase = Phase::Succeeded;
                state.outputs = Some(outputs);
                state.evidence = evidence;
                state.failure = None;
            }
            // Its checkpoint holds until there is a new one: undo needs what it knows.
            Record::StepAgain { .. } => {}
            Record::StepSkipped { step } => self.step_mut(&step).phase = Phase::Skipped,
            Record::StepFailed { step, stage, failure, .. } => {
                let state = self.step_mut(&step);
                state.phase = Phase::Failed;
                state.failure = Some((stage, failure));
            }
            Record::RetryWaited { step, .. } => self.step_mut(&step).retries += 1,
            Record::QuizAnswered { step, choice, right } => {
                self.step_mut(&step).quiz = Some(QuizAnswer { choice, right });
            }
            Record::PausePassed { step } => self.step_mut(&step).paused = true,
            Record::HintShown { step, tier } => {
                let state = self.step_mut(&step);
                state.hints = state.hints.max(tier);
            }
            Record::HandsOnDone { step, by_learner, wanted } => {
                let step = self.step_mut(&step);
                step.by_learner = Some(by_learner);
                step.wanted = wanted;
            }
        }
    }

    /// What is known of a step.
    #[must_use]
    pub fn step(&self, path: &StepPath) -> Option<&StepState> {
        self.steps.get(path)
    }

    /// The steps that still have to be taken back, in the order in which to do it: the latest first.
    #[must_use]
    pub fn to_undo(&self) -> Vec<&StepPath> {
        let open = |path: &&StepPath| self.steps.get(*path).is_some_and(|step| step.phase != Phase::Undone);
        self.registered.iter().rev().filter(open).collect()
    }

    /// The generation in which an undo works now: the unfinished one's, or a new one.
    #[must_use]
    pub fn undo_generation(&self) -> u32 {
        match &self.undo {
            None => 1,
            Some(undo) if undo.finished => undo.generation + 1,
            Some(undo) => undo.generation,
        }
    }

    /// What costs by the hour and stands: from the previews of the steps that were not taken back, the learner's too.
    pub fn live(&self) -> impl Iterator<Item = (&StepPath, &Cost)> {
        self.steps
            .iter()
            .filter(|(_, step)| step.phase != Phase::Undone)
            // Refused, as its lesson wanted it: it was planned, and there is nothing.
            .filter(|(_, step)| step.outputs != Some(Value::Null))
            .filter_map(|(path, step)| Some((path, step.preview.as_deref().or(step.wanted.as_deref())?)))
            .flat_map(|(path, preview)| preview.costs.iter().map(move |cost| (path, cost)))
            .filter(|(_, cost)| cost.usd_per_hour > 0.0)
    }

    /// What remains after undo: what the plugins said, and what the learner did by hand, which nobody takes back for him.
    #[must_use]
    pub fn leftovers(&self) -> Vec<Leftover> {
        let Some(undo) = &self.undo else { return Vec::new() };
        let mut leftovers: Vec<Leftover> = undo.leftovers.values().flatten().cloned().collect();
        for path in &self.order {
            let step = &self.steps[path];
            if step.by_learner == Some(true) && step.preview.is_none() {
                leftovers.push(by_hand::leftover(path, step.outputs.as_ref(), step.wanted.as_deref()));
            }
        }
        leftovers
    }

    /// The component of a step, as it was pinned at the start.
    #[must_use]
    pub fn component(&self, path: &StepPath) -> Option<Digest> {
        let plugin = self.steps.get(path)?.plugin.as_ref()?;
        Some(self.started.as_ref()?.plugins.get(plugin)?.component)
    }

    /// Whether a role assignment of this run exists, so that a refusal for rights may pass by itself.
    #[must_use]
    pub fn assigned_roles(&self) -> bool {
        let assigned = |(_, operation): &(u32, Operation)| {
            matches!(operation.intent.kind.as_str(), "role-assignment" | "hsm-role-assignment")
                && operation.outcome.is_some()
        };
        self.steps.values().any(|step| step.phase != Phase::Undone && step.effects.iter().any(assigned))
    }

    fn step_mut(&mut self, path: &StepPath) -> &mut StepState {
        let order = &mut self.order;
        self.steps.entry(path.clone()).or_insert_with(|| {
            order.push(path.clone());
            StepState::default()
        })
    }
}

impl StepState {
    /// An effect by its key.
    #[must_use]
    pub fn effect(&self, generation: u32, name: &str) -> Option<&Operation> {
        let at = self.index.get(&(generation, name.to_owned()))?;
        self.effects.get(*at).map(|(_, operation)| operation)
    }

    /// The effects of `apply`, as `undo` sees them.
    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        self.effects.iter().filter(|(generation, _)| *generation == 0).map(|(_, operation)| operation.clone()).collect()
    }

    /// Whether it needs no more work on the way forward.
    #[must_use]
    pub fn settled(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Skipped)
    }

    /// Returns true when this registers the undo.
    fn check(&mut self, finding: Finding) -> bool {
        match finding {
            // A step that had something to do once stays registered, whatever a later look finds.
            Finding::Satisfied { outputs } => {
                self.phase = Phase::Satisfied;
                self.outputs = Some(outputs);
                false
            }
            Finding::Needed(preview) => {
                self.phase = Phase::Needed;
                // The state before the first effect is the one to go back to.
                let first = self.preview.is_none();
                self.preview.get_or_insert(preview);
                first
            }
        }
    }

    fn intend(&mut self, generation: u32, intent: super::Intent) {
        match self.effect_mut(generation, intent.name.clone()) {
            // The same again goes on; one with another request is in its place from now on.
            Some(known) if known.intent.request == intent.request => {}
            Some(known) => *known = Operation { intent, accepted: None, outcome: None },
            None => {
                self.index.insert((generation, intent.name.clone()), self.effects.len());
                self.effects.push((generation, Operation { intent, accepted: None, outcome: None }));
            }
        }
    }

    fn effect_mut(&mut self, generation: u32, name: String) -> Option<&mut Operation> {
        let at = *self.index.get(&(generation, name))?;
        self.effects.get_mut(at).map(|(_, operation)| operation)
    }
}
