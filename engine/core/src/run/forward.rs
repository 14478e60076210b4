//! The way forward: node after node, each step to its checkpoint.

use std::sync::Arc;

use sealbook_model::expr::{Expr, Scope};
use sealbook_model::id::StepPath;
use sealbook_model::journal::{Mode, Phase, Record, RunState, Stage, StepStarted};
use sealbook_model::playbook::{Enter, LessonKind, Node, Scopes, Step, matching_leave};
use sealbook_model::problem::{Problem, codes};
use serde_json::{Map, Value};

use super::attempt::{Attempt, Facts};
use super::failure::{Failed, Stop, Trouble, as_failure};
use super::step_run::{AtStage, StepRun, told};
use super::volatile::Live;
use super::{PauseAsk, QuizAsk};
use crate::event::Event;
use crate::step::{Failure, StepError};

/// How often a confidential VM may restart under one step.
const RESTARTS: u32 = 5;

/// One walk through the playbook.
pub(super) struct Forward<'a> {
    attempt: &'a Attempt,
    nodes: &'a [Node],
    scopes: Scopes,
    live: Live<'a>,
    mode: Mode,
    index: usize,
    of: usize,
}

impl<'a> Forward<'a> {
    pub(super) fn new(attempt: &'a Attempt, nodes: &'a [Node], scopes: Scopes, mode: Mode) -> Self {
        let of = nodes.iter().filter(|node| matches!(node, Node::Step(_))).count();
        Self { attempt, nodes, scopes, live: Live::new(nodes), mode, index: 0, of }
    }

    /// Goes on from wherever the journal says the run is, to the end or to what stops it.
    pub(super) async fn run(&mut self) -> Result<(), Stop> {
        let mut at = 0;
        while let Some(node) = self.nodes.get(at) {
            if self.attempt.session.cancel.is_cancelled() {
                return Err(Stop::Interrupted);
            }
            match node {
                Node::Enter(enter) => at = self.enter(enter, at).await?,
                Node::Step(step) => {
                    self.index += 1;
                    self.step(step).await?;
                }
                Node::Leave(leave) => {
                    if let Err(problem) = self.scopes.leave(leave) {
                        return Err(self.failed(&leave.path, Stage::Inputs, as_failure(&problem), 0).await);
                    }
                }
            }
            at += 1;
        }
        Ok(())
    }

    /// Returns where to go on from.
    async fn enter(&mut self, enter: &Arc<Enter>, at: usize) -> Result<usize, Stop> {
        if self.skips(&enter.path, enter.when.as_ref()).await? {
            let leave = matching_leave(self.nodes, at);
            self.index += self.nodes[at..leave].iter().filter(|node| matches!(node, Node::Step(_))).count();
            return Ok(leave);
        }
        match self.scopes.enter(enter) {
            Ok(()) => Ok(at),
            Err(problem) => Err(self.failed(&enter.path, Stage::Inputs, as_failure(&problem), 0).await),
        }
    }

    /// Whether a step or a part is to be skipped; what was decided once stays so.
    async fn skips(&mut self, path: &StepPath, when: Option<&Expr>) -> Result<bool, Stop> {
        let phase = self.attempt.journal.with(|state| state.step(path).map(|step| step.phase));
        let skipped = match (phase, when) {
            (Some(Phase::Skipped), _) => true,
            (_, Some(when)) if phase.is_none_or(|phase| phase == Phase::Pending || phase == Phase::Failed) => {
                match when.holds(self.scopes.top()) {
                    Ok(holds) => !holds,
                    Err(e) => return Err(self.failed(path, Stage::Inputs, as_failure(&e.problem()), 0).await),
                }
            }
            _ => false,
        };
        if skipped {
            if phase != Some(Phase::Skipped) {
                self.attempt.journal.record(Record::StepSkipped { step: path.clone() }).await?;
            }
            self.scopes.skip(path);
            self.attempt.session.events.send(Event::StepSkipped { step: path.clone() });
        }
        Ok(skipped)
    }

    async fn step(&mut self, step: &Arc<Step>) -> Result<(), Stop> {
        if self.skips(&step.path, step.when.as_ref()).await? {
            return Ok(());
        }
        let done = self.attempt.journal.with(|state| {
            let known = state.step(&step.path).filter(|known| known.phase == Phase::Succeeded)?;
            known.outputs.clone()
        });
        let outputs = match done {
            Some(outputs) => outputs,
            None => {
                let scope = self.scopes.top();
                self.attempt.session.events.send(Event::StepStarted {
                    step: step.path.clone(),
                    index: self.index,
                    of: self.of,
                    title: step.title.clone(),
                    // What can't be told is the step's failure a moment later.
                    guest: step.guest(scope).ok().flatten().map(|at| at.vm),
                    what: told(&step.text.what, scope),
                    why: told(&step.text.why, scope),
                });
                match self.work(step).await {
                    Ok(outputs) => {
                        self.live.ran(&step.path);
                        outputs
                    }
                    Err((_, Trouble::Stop(stop))) => return Err(stop),
                    Err((stage, Trouble::Failed(failure, retries))) => {
                        return Err(self.failed(&step.path, stage, failure, retries).await);
                    }
                }
            }
        };
        self.scopes.record(&step.path, &outputs);
        self.quiz(step, &outputs).await?;
        self.pause(step, &outputs).await
    }

    async fn work(&mut self, step: &Arc<Step>) -> Result<Value, AtStage> {
        let early = |trouble: Trouble| (Stage::Inputs, trouble);
        self.start(step).await.map_err(early)?;
        let facts = self.attempt.facts(&step.path).map_err(|problem| early(problem.into()))?;
        let guest = facts.guest.clone();
        let mut restarts = 0;
        loop {
            let result = match self.live.revive(self.attempt, &facts.inputs).await {
                Ok(ran_again) => {
                    if ran_again {
                        // What was made again need not be the same: what is sealed anew has another digest.
                        let scopes = self.live.scopes(self.attempt, &step.path);
                        self.scopes = scopes.map_err(|problem| early(as_failure(&problem).into()))?;
                    }
                    self.once(step, facts.clone()).await
                }
                Err(trouble) => Err(early(trouble)),
            };
            match (result, &guest) {
                // What its steps held in memory is made again, and then this step goes on from its records.
                (Err((stage, Trouble::Failed(failure, _))), Some(guest))
                    if restarted(&failure) && restarts < RESTARTS =>
                {
                    restarts += 1;
                    // What was lost while its producers ran again had not reached this step.
                    if stage != Stage::Inputs {
                        self.attempt.runs_again(&step.path, failure.to_string()).await.map_err(early)?;
                    }
                    self.live.lost(self.attempt, guest);
                }
                (result, _) => return result,
            }
        }
    }

    /// One go at a step, all that it refers to being alive.
    async fn once(&self, step: &Arc<Step>, facts: Facts) -> Result<Value, AtStage> {
        let fails_on_purpose = step.lesson.as_ref().is_some_and(|l| matches!(l.kind, LessonKind::ApplyFails(_)));
        let in_guest = facts.guest.is_some();
        let run = StepRun::new(self.attempt, step, self.scopes.top(), facts);
        let begun = self.attempt.journal.with(|state| state.step(&step.path).is_some_and(|s| s.preview.is_some()));
        match &step.by_hand {
            // What fails on purpose leaves nothing to look at; what the engine has begun it finishes; and what somebody
            // does in a shell of a confidential VM stays in that shell, out of reach of the next step.
            Some(by_hand) if self.mode == Mode::HandsOn && !fails_on_purpose && !begun && !in_guest => {
                run.hands_on(by_hand).await
            }
            _ => run.auto().await,
        }
    }

    /// Fixes the step's inputs, unless an earlier attempt did.
    async fn start(&mut self, step: &Arc<Step>) -> Result<(), Trouble> {
        if self.attempt.journal.with(|state| state.step(&step.path).is_some_and(|known| known.plugin.is_some())) {
            return Ok(());
        }
        let scope = self.scopes.top();
        let evaluate = || -> Result<StepStarted, Problem> {
            let inputs = step.inputs(scope)?;
            let asks = step.asks(scope, &inputs)?.iter().map(ToString::to_string).collect();
            let grants = step.grants(scope)?.iter().map(ToString::to_string).collect();
            let adopt = step.adopt || self.mode == Mode::HandsOn;
            let (guest, plugin) = (step.guest(scope)?, step.plugin.clone());
            Ok(StepStarted { step: step.path.clone(), plugin, inputs, guest, adopt, asks, grants })
        };
        let started = evaluate().map_err(|problem| as_failure(&problem))?;
        Ok(self.attempt.journal.record(Record::StepStarted(Box::new(started))).await?)
    }

    async fn pause(&self, step: &Step, outputs: &Value) -> Result<(), Stop> {
        let Some(text) = &step.pause else { return Ok(()) };
        if self.attempt.journal.with(|state| state.step(&step.path).is_some_and(|known| known.paused)) {
            return Ok(());
        }
        let text = told(text, &self.scopes.top().with_out(outputs));
        let ask = PauseAsk { step: step.path.clone(), title: step.title.clone(), text };
        if !self.attempt.ask(self.attempt.session.learner.pause(&ask)).await? {
            return Err(Stop::Interrupted);
        }
        Ok(self.attempt.journal.record(Record::PausePassed { step: step.path.clone() }).await?)
    }

    async fn quiz(&self, step: &Step, outputs: &Value) -> Result<(), Stop> {
        let Some(quiz) = &step.quiz else { return Ok(()) };
        if self.attempt.journal.with(|state| state.step(&step.path).is_some_and(|known| known.quiz.is_some())) {
            return Ok(());
        }
        let scope = self.scopes.top().with_out(outputs);
        let ask = QuizAsk {
            step: step.path.clone(),
            ask: told(&quiz.ask, &scope),
            options: quiz.options.iter().map(|option| told(option, &scope)).collect(),
            answer: quiz.answer,
            why: told(&quiz.why, &scope),
        };
        let learner = &self.attempt.session.learner;
        let choice = self.attempt.ask(learner.quiz(&ask)).await?;
        let record = Record::QuizAnswered {
            step: step.path.clone(),
            choice: choice.and_then(|choice| u32::try_from(choice).ok()),
            right: choice == Some(quiz.answer),
        };
        self.attempt.journal.record(record).await?;
        self.attempt.ask(learner.quiz_answered(&ask, choice)).await
    }

    /// Records a failure.
    async fn failed(&self, step: &StepPath, stage: Stage, failure: Failure, retries: u32) -> Stop {
        let record = Record::StepFailed { step: step.clone(), stage, failure: failure.clone(), retries };
        if let Err(problem) = self.attempt.journal.record(record).await {
            return Stop::Broken(problem);
        }
        self.attempt.session.events.send(Event::StepFailed { step: step.clone(), error: failure.error.clone() });
        Stop::Failed(Box::new(Failed { step: step.clone(), stage, failure }))
    }
}

/// Whether a confidential VM is not the one that it was.
fn restarted(failure: &Failure) -> bool {
    matches!(&failure.error, StepError::Component { code, .. } if code == codes::GUEST_RESTARTED)
}

/// The outputs of the top level so far: of its steps, and the exports of its parts.
pub(super) fn outputs(nodes: &[Node], scopes: Scopes, state: &RunState) -> Value {
    let scope = replay(nodes, scopes, state, None);
    let mut depth = 0_u32;
    let mut outputs = Map::new();
    for node in nodes {
        match node {
            Node::Enter(_) => depth += 1,
            Node::Leave(_) => depth = depth.saturating_sub(1),
            Node::Step(_) => {}
        }
        let ends_here = depth == 0 && !matches!(node, Node::Enter(_));
        if ends_here && let Some(value) = scope.get(node.path().as_str()) {
            outputs.insert(node.path().as_str().into(), value.clone());
        }
    }
    Value::Object(outputs)
}

/// The scope as a step sees it, or as it is at the end, from what is recorded. Ends early where the records do.
pub(super) fn replay(nodes: &[Node], scopes: Scopes, state: &RunState, until: Option<&StepPath>) -> Scope {
    replayed(nodes, scopes, state, until).top().clone()
}

/// [`replay`], with the scopes around it.
pub(super) fn replayed(nodes: &[Node], mut scopes: Scopes, state: &RunState, until: Option<&StepPath>) -> Scopes {
    let mut at = 0;
    while let Some(node) = nodes.get(at) {
        if until == Some(node.path()) && !matches!(node, Node::Leave(_)) {
            break;
        }
        let known = state.step(node.path());
        match node {
            _ if known.is_some_and(|known| known.phase == Phase::Skipped) => {
                scopes.skip(node.path());
                if matches!(node, Node::Enter(_)) {
                    at = matching_leave(nodes, at);
                }
            }
            Node::Enter(enter) => {
                if scopes.enter(enter).is_err() {
                    break;
                }
            }
            Node::Leave(leave) => {
                if scopes.leave(leave).is_err() {
                    break;
                }
            }
            Node::Step(step) => {
                if let Some(outputs) = known.and_then(|known| known.outputs.as_ref()) {
                    scopes.record(&step.path, outputs);
                }
            }
        }
        at += 1;
    }
    scopes
}
