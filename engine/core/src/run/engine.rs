//! Doing things to runs.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use chrono::SubsecRound;
use sealbook_crypto::{SealKey, SecretBytes};
use sealbook_model::CloudName;
use sealbook_model::expr::Context;
use sealbook_model::id::{Digest, RunId, StepPath};
use sealbook_model::journal::{End, Ended, Goal, Pinned, Record, RunStarted, RunState};
use sealbook_model::playbook::{Lab, Node, Scopes, compile};
use sealbook_model::plugin::PluginRef;
use sealbook_model::policy::Policy;
use sealbook_model::problem::{Problem, codes};
use serde_json::Value;

use super::attempt::Attempt;
use super::back::back;
use super::failure::{self, Stop};
use super::forward::{Forward, outputs, replay};
use super::retry::{Jitter, Pace};
use super::runs::{Runs, begun, find, merged};
use super::summary::{live, next, steps};
use super::verify::verify;
use super::{RunSummary, Session, StartRequest, Status, Verdict};
use crate::event::Event;
use crate::home::Home;
use crate::journal::{Clock, Gates, Journal, RunVault};
use crate::step::Host;

/// What an engine works with besides home and host.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The machine's policy.
    pub policy: Arc<Policy>,
    /// Crash-test hooks.
    pub gates: Gates,
    /// Where the time comes from.
    pub clock: Clock,
    /// Where waits get their randomness.
    pub jitter: Jitter,
    /// The version that is recorded.
    pub version: String,
}

impl Settings {
    /// The system's clock, random waits, no gates.
    #[must_use]
    pub fn new(policy: Arc<Policy>, version: impl Into<String>) -> Self {
        let (gates, clock, jitter) = (Gates::none(), Clock::default(), Jitter::default());
        Self { policy, gates, clock, jitter, version: version.into() }
    }
}

/// Starts, resumes, takes back and verifies runs.
pub struct Engine {
    home: Arc<Home>,
    host: Arc<dyn Host>,
    runs: Runs,
    settings: Settings,
}

impl Engine {
    /// An engine for the runs of `home`, whose steps `host` runs.
    #[must_use]
    pub fn new(home: Arc<Home>, host: Arc<dyn Host>, settings: Settings) -> Self {
        Self { runs: Runs::new(home.clone()), home, host, settings }
    }

    /// Starts a run and works on it until it ends, fails or is stopped.
    ///
    /// # Errors
    /// When it could not begin (then nothing is recorded), or nothing more could be recorded (SB0504). A step that
    /// fails is no error: the summary says it.
    pub async fn start(&self, request: StartRequest, session: &Session) -> Result<RunSummary, Problem> {
        let (lab, nodes, started) = self.prepare(&request)?;
        let secrets = request.secrets.iter().map(|(k, v)| (k.clone(), SecretBytes::new(v.expose().into()))).collect();
        let vault = RunVault::new(SealKey::generate(), secrets);
        let journal = self.create(started, vault)?;
        for input in request.prompted {
            let value = request.inputs.get(&input).filter(|_| !request.secrets.contains_key(&input)).cloned();
            journal.record(Record::PromptAnswered { input, value }).await?;
        }
        for consent in request.consents {
            journal.record(Record::ConsentGiven(consent)).await?;
        }
        self.forward(journal, &lab, &nodes, session).await
    }

    /// Takes a run up where it stopped: forward, or back if that is where it was going.
    ///
    /// # Errors
    /// When it can't be taken up (SB0501 to SB0507), or nothing more could be recorded (SB0504).
    pub async fn resume(&self, run: &RunId, session: &Session) -> Result<RunSummary, Problem> {
        let journal = self.open(run)?;
        let (ended, back) = journal.with(|state| (state.ended, state.goal == Some(Goal::Undo)));
        match ended {
            Some(Ended::Undone { complete: true }) => {
                let playbook = journal.with(|state| begun(run, state).map(|started| started.playbook.clone()))?;
                Err(Problem::new(codes::RUN_ENDED, format!("run {run} was taken back"))
                    .fix(format!("start a new one: sealbook run {playbook}")))
            }
            _ if back => self.back(journal, session).await,
            _ => {
                let started = journal.with(|state| begun(run, state).cloned())?;
                self.admit(&started)?;
                let lab = self.runs.lab(&started)?;
                let nodes = lab.flatten(&started.answers).map_err(merged)?;
                if let Some(Ended::Finished(End::Succeeded)) = ended {
                    // A process that died after its last record had not signed yet.
                    journal.seal().await?;
                    return Ok(self.summary(&journal, Some((&lab, &nodes))));
                }
                self.forward(journal, &lab, &nodes, session).await
            }
        }
    }

    /// Takes back what a run made, and says what remains. Goes on with an undo that was interrupted.
    ///
    /// # Errors
    /// When the run can't be taken up (SB0501 to SB0506), or nothing more could be recorded (SB0504). A step that
    /// can't be taken back is no error: the others go on, and the summary says it.
    pub async fn undo(&self, run: &RunId, session: &Session) -> Result<RunSummary, Problem> {
        let journal = self.open(run)?;
        self.back(journal, session).await
    }

    /// Looks again at what the finished steps of a run have made. A run may be verified while a process works on it.
    ///
    /// # Errors
    /// When the journal can't be read (SB0501 to SB0503, SB0506), the step is unknown (SB0701), or it was interrupted.
    pub async fn verify(
        &self,
        run: &RunId,
        step: Option<&StepPath>,
        session: &Session,
    ) -> Result<Vec<Verdict>, Problem> {
        let journal = Journal::look(&self.home, run, self.settings.clock.clone())?;
        let started = journal.with(|state| begun(run, state).cloned())?;
        if journal.with(|state| state.ended == Some(Ended::Undone { complete: true })) {
            return Err(Problem::new(codes::RUN_ENDED, format!("run {run} was taken back"))
                .because("nothing that it proved stands any more")
                .fix("sealbook status shows what was proved and what remains"));
        }
        self.admit(&started)?;
        let only = match step {
            None => None,
            Some(step) => {
                let nodes = self.runs.lab(&started)?.flatten(&started.answers).map_err(merged)?;
                journal.with(|state| find(&nodes, state, Some(step)).map(|_| ()))?;
                Some(BTreeSet::from([step.clone()]))
            }
        };
        let attempt = self.attempt(journal, started.context, 0, session);
        verify(&attempt, only.as_ref()).await.map_err(|stop| match stop {
            Stop::Broken(problem) => problem,
            Stop::Failed(failed) => failure::problem(run, &failed.step, failed.stage, &failed.failure),
            Stop::Interrupted => Problem::new(codes::INTERRUPTED, "stopped before every step was looked at"),
        })
    }

    /// Checks a request, stores what the run will use, and fixes its beginning.
    fn prepare(&self, request: &StartRequest) -> Result<(Lab, Vec<Node>, RunStarted), Problem> {
        let descriptions = request.plugins.iter().map(|(name, plugin)| (name.to_string(), plugin.description.clone()));
        let lab = compile(&request.bundle, &descriptions.collect()).map_err(merged)?;
        let nodes = lab.flatten(&request.answers).map_err(merged)?;
        let pin = |name: &&PluginRef| {
            let plugin = request.plugins.get(*name)?;
            let description = serde_json::to_vec(&plugin.description).unwrap_or_default();
            let pinned = Pinned {
                component: Digest::of(&plugin.component),
                description: Digest::of(&description),
                built_in: plugin.built_in,
            };
            Some(((*name).clone(), pinned, plugin.component.clone(), description))
        };
        let pins: Vec<_> = lab.plugins().iter().filter_map(pin).collect();
        let bundle = request.bundle.to_json();
        let started = RunStarted {
            playbook: lab.id.clone(),
            title: lab.title.clone(),
            bundle: Digest::of(bundle.as_bytes()),
            plugins: pins.iter().map(|(name, pinned, ..)| (name.clone(), *pinned)).collect(),
            context: request.context.clone(),
            inputs: request.inputs.clone(),
            secrets: Default::default(),
            answers: request.answers.clone(),
            mode: request.mode,
            quiet: request.quiet,
            source: request.source.clone(),
            policy: self.settings.policy.digest(),
            engine: self.settings.version.clone(),
        };
        self.admit(&started)?;
        let store = self.home.store();
        store.put(bundle.as_bytes())?;
        for (_, _, component, description) in &pins {
            store.put(component)?;
            store.put(description)?;
        }
        Ok((lab, nodes, started))
    }

    /// Holds a run against the machine's policy as it is today.
    fn admit(&self, started: &RunStarted) -> Result<(), Problem> {
        let (policy, context) = (&self.settings.policy, &started.context);
        policy.admits_cloud(context.cloud)?;
        // The embedded Azure makes its subscription up: the policy's are those of the real one.
        if context.cloud == CloudName::Azure {
            policy.admits_subscription(&context.subscription)?;
        }
        started.plugins.iter().try_for_each(|(name, p)| policy.admits_plugin(name, &p.component, p.built_in))
    }

    fn create(&self, started: RunStarted, vault: RunVault) -> Result<Journal, Problem> {
        Journal::create(&self.home, started, vault, self.settings.clock.clone(), self.settings.gates.clone())
    }

    fn open(&self, run: &RunId) -> Result<Journal, Problem> {
        Journal::open(&self.home, run, self.settings.clock.clone(), self.settings.gates.clone())
    }

    fn attempt(&self, journal: Journal, context: Context, generation: u32, session: &Session) -> Attempt {
        Attempt {
            journal,
            host: self.host.clone(),
            policy: self.settings.policy.clone(),
            session: session.clone(),
            pace: Pace::of(context.cloud),
            context,
            jitter: self.settings.jitter.clone(),
            generation,
        }
    }

    async fn forward(
        &self,
        journal: Journal,
        lab: &Lab,
        nodes: &[Node],
        session: &Session,
    ) -> Result<RunSummary, Problem> {
        let started = journal.with(|state| begun(journal.run(), state).cloned())?;
        let attempt = self.attempt(journal.clone(), started.context.clone(), 0, session);
        begin(&journal, Goal::Run, 0, session).await?;
        let scopes = Scopes::new(&started.context, &started.inputs);
        let result = Forward::new(&attempt, nodes, scopes.clone(), started.mode).run().await;
        self.host.settle().await;
        let outputs = || journal.with(|state| outputs(nodes, scopes.clone(), state));
        let last = match result {
            Ok(()) => Record::RunFinished { end: End::Succeeded, outputs: outputs() },
            Err(Stop::Failed(_)) => Record::RunFinished { end: End::Failed, outputs: outputs() },
            Err(Stop::Interrupted) => Record::RunInterrupted,
            Err(Stop::Broken(problem)) => return Err(problem),
        };
        journal.record(last).await?;
        journal.seal().await?;
        Ok(self.summary(&journal, Some((lab, nodes))))
    }

    async fn back(&self, journal: Journal, session: &Session) -> Result<RunSummary, Problem> {
        let run = journal.run().clone();
        let started = journal.with(|state| begun(&run, state).cloned())?;
        let lab = self.runs.lab(&started).ok();
        let nodes = lab.as_ref().and_then(|lab| lab.flatten(&started.answers).ok());
        let known = lab.as_ref().zip(nodes.as_deref());
        if journal.with(|state| state.ended == Some(Ended::Undone { complete: true }) && state.to_undo().is_empty()) {
            journal.seal().await?;
            return Ok(self.summary(&journal, known));
        }
        self.admit(&started)?;
        let (generation, fresh) = journal.with(|state| {
            let generation = state.undo_generation();
            (generation, state.undo.as_ref().is_none_or(|undo| undo.generation != generation))
        });
        begin(&journal, Goal::Undo, generation, session).await?;
        if fresh {
            journal.record(Record::UndoStarted { generation }).await?;
        }
        let attempt = self.attempt(journal.clone(), started.context.clone(), generation, session);
        let result = back(&attempt, nodes.as_deref().unwrap_or_default()).await;
        self.host.settle().await;
        let last = match result {
            Ok(failed) => Record::UndoFinished { generation, complete: failed.is_empty() },
            Err(Stop::Interrupted | Stop::Failed(_)) => Record::RunInterrupted,
            Err(Stop::Broken(problem)) => return Err(problem),
        };
        journal.record(last).await?;
        journal.seal().await?;
        Ok(self.summary(&journal, known))
    }

    fn summary(&self, journal: &Journal, known: Option<(&Lab, &[Node])>) -> RunSummary {
        journal.with(|state| RunSummary {
            run: journal.run().clone(),
            status: Status::of(state),
            outputs: state.outputs.clone().unwrap_or(Value::Null),
            leftovers: state.leftovers(),
            // What an unfinished run would leave is not known, and what an undone one left is in the leftovers.
            leaves: match known.filter(|_| Status::of(state) == Status::Succeeded) {
                Some((lab, nodes)) => self.leaves(lab, nodes, state),
                None => Vec::new(),
            },
            live: live(state),
            steps: steps(state),
            problem: problem_of(journal.run(), state),
            next: next(journal.run(), state),
        })
    }

    /// What the playbook says of what it leaves, as of the undo, or as if it were undone now.
    fn leaves(&self, lab: &Lab, nodes: &[Node], state: &RunState) -> Vec<String> {
        let Some(started) = &state.started else { return Vec::new() };
        let at = state.undo.as_ref().map_or_else(|| self.settings.clock.now(), |undo| undo.at).trunc_subsecs(0);
        let scope = replay(nodes, Scopes::new(&started.context, &started.inputs), state, None).with_undo(at);
        lab.leaves.iter().map(|template| template.preview(&scope)).collect()
    }
}

async fn begin(journal: &Journal, goal: Goal, generation: u32, session: &Session) -> Result<(), Problem> {
    let (attempt, title) = journal.with(|state| {
        let title = state.started.as_ref().map(|started| started.title.clone());
        (state.attempts + 1, title.unwrap_or_default())
    });
    journal.record(Record::AttemptStarted { attempt, goal, generation, pid: std::process::id() }).await?;
    let (run, undo) = (journal.run().clone(), goal == Goal::Undo);
    session.events.send(Event::RunStarted { run, title, attempt, undo });
    Ok(())
}

/// What a run stopped at, from its state.
pub(super) fn problem_of(run: &RunId, state: &RunState) -> Option<Problem> {
    match state.ended? {
        Ended::Finished(End::Failed) => state.order.iter().rev().find_map(|path| {
            let (stage, failure) = state.step(path)?.failure.as_ref()?;
            Some(failure::problem(run, path, *stage, failure))
        }),
        Ended::Undone { complete: false } => {
            let failed: Vec<_> = state.undo.iter().flat_map(|undo| undo.failed.clone()).collect();
            Some(failure::undo_problem(run, &failed))
        }
        Ended::Finished(End::Succeeded) | Ended::Undone { complete: true } | Ended::Interrupted => None,
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("home", &self.home).field("settings", &self.settings).finish_non_exhaustive()
    }
}
