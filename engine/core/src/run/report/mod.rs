//! A run as a document has it: everything that is worth telling of it, from its journal and its playbook.

mod steps;
mod times;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sealbook_attestation::Roots;
use sealbook_model::CloudName;
use sealbook_model::id::{Digest, RunId, StepPath};
use sealbook_model::journal::{Consent, Entry, Goal, Leftover, Mode, Phase, RunStarted, RunState};
use sealbook_model::playbook::{Lab, Node, Scopes};
use sealbook_model::problem::Problem;
use serde::Serialize;
use serde_json::Value;

use super::engine::problem_of;
use super::forward::replay;
use super::runs::{Runs, begun, merged};
use super::summary::next;
use super::{Live, Status};
use crate::host::Shelf;
use crate::journal::{Clock, Journal, SqliteStore, holder};
use crate::step::Failure;
use crate::transcript::{judged, needs_roots};

pub use crate::transcript::Judged;
pub use steps::{Fault, Quiz, StepReport};
pub use times::{Again, Attempt, Retry};

/// All that is told about a run. Secrets are in it as references at most.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The run.
    pub run: RunId,
    /// The playbook's id.
    pub playbook: String,
    /// Its name for people.
    pub title: String,
    /// What it is about; empty when the playbook can't be read any more.
    pub summary: String,
    /// How much it takes for granted; likewise.
    pub level: String,
    /// Where it ran.
    pub cloud: CloudName,
    /// The tenant's id.
    pub tenant: String,
    /// The subscription's id.
    pub subscription: String,
    /// Its name.
    pub subscription_name: String,
    /// Who was signed in.
    pub me: String,
    /// `User` or `ServicePrincipal`.
    pub me_kind: String,
    /// Who did the work.
    pub mode: Mode,
    /// How it stands.
    pub status: Status,
    /// Whether it goes, or went, back.
    pub undoing: bool,
    /// When it began.
    pub began: Option<DateTime<Utc>>,
    /// When its last record was written.
    pub last: Option<DateTime<Utc>>,
    /// How long its attempts worked, in milliseconds.
    pub worked_ms: u64,
    /// Its attempts.
    pub attempts: Vec<Attempt>,
    /// Its inputs.
    pub inputs: Vec<Input>,
    /// What was chosen.
    pub choices: Vec<Choice>,
    /// What the learner agreed to.
    pub consents: Vec<Consent>,
    /// Its steps, also those that were not reached.
    pub steps: Vec<StepReport>,
    /// What things cost.
    pub costs: Vec<CostLine>,
    /// What still costs by the hour.
    pub live: Vec<Live>,
    /// What the playbook says of what stays after clean-up.
    pub leaves: Vec<String>,
    /// What remains after undo.
    pub leftovers: Vec<Leftover>,
    /// The latest undo.
    pub undo: Option<Undo>,
    /// What the run stopped at.
    pub problem: Option<Problem>,
    /// Why the playbook's texts are missing.
    pub unreadable: Option<Problem>,
    /// The command that goes on.
    pub next: Option<String>,
    /// The playbook with its parts and texts.
    pub bundle: Digest,
    /// Version of the engine that started it.
    pub engine: String,
    /// What vouches for the journal.
    pub head: Head,
}

/// An input.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// What was asked.
    pub prompt: Option<String>,
    /// Its value; none: it is secret.
    pub value: Option<Value>,
}

/// A choice.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Choice {
    /// Its place in the run.
    pub path: StepPath,
    /// What was asked.
    pub question: String,
    /// The option that was taken.
    pub option: String,
}

/// What something costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CostLine {
    /// The step that made it.
    pub step: StepPath,
    /// What it is.
    pub item: String,
    /// US dollars per hour while it exists.
    pub usd_per_hour: f64,
    /// US dollars that undo can't stop.
    pub usd_after_undo: f64,
    /// Whether it stands.
    pub stands: bool,
}

/// A clean-up.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Undo {
    /// When it began.
    pub at: DateTime<Utc>,
    /// Whether it went through all steps.
    pub finished: bool,
    /// Steps that were taken back.
    pub undone: Vec<StepPath>,
    /// Steps that still have to be.
    pub open: Vec<StepPath>,
    /// Steps that could not be, and why.
    pub failed: Vec<(StepPath, String)>,
}

/// The end of the journal's chain.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Head {
    /// The home.
    pub home: String,
    /// Its public key (Ed25519), in hex.
    pub public_key: String,
    /// Number of records.
    pub records: u64,
    /// The last record's hash, in hex.
    pub hash: String,
    /// Up to which record the home has signed; none: it has not yet.
    pub signed: Option<u64>,
}

/// A picture that a step made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Picture {
    /// The artifact (`artifact:<step>/<name>`).
    pub artifact: String,
    /// Its name, which ends in `.svg` or `.png`.
    pub name: String,
}

impl Report {
    /// Whether a step handed evidence on that only trust anchors can vouch for.
    #[must_use]
    pub fn has_evidence(&self) -> bool {
        self.steps.iter().any(|step| needs_roots(&step.outputs))
    }

    /// Judges the evidence that the steps handed on again, under these trust anchors and as of when it was recorded.
    pub fn judge(&mut self, roots: &Roots) {
        for step in &mut self.steps {
            let Some(at) = step.proven_at else { continue };
            step.judged = judged(&step.outputs, roots, at);
        }
    }
}

impl Runs {
    /// Everything that is worth telling of a run. It may be at work meanwhile.
    ///
    /// # Errors
    /// SB0501 to SB0503, SB0506. A playbook that can't be read any more is no error: the report then lacks its texts,
    /// and says why.
    pub fn report(&self, run: &RunId) -> Result<Report, Problem> {
        let holder = holder(&self.home, run)?;
        let recorded = SqliteStore::recorded(&self.home, run)?;
        let state = RunState::fold(recorded.entries.iter().cloned());
        let started = begun(run, &state)?;
        let program = self.lab(started).and_then(|lab| Ok((lab.flatten(&started.answers).map_err(merged)?, lab)));
        let (program, unreadable) = match program {
            Ok(program) => (Some(program), None),
            Err(problem) => (None, Some(problem)),
        };
        let status = if holder.is_some() { Status::Running } else { Status::of(&state) };
        let head = Head {
            home: recorded.header.home.clone(),
            public_key: hex::encode(self.home.public()),
            records: state.records,
            hash: recorded.records.last().map(|(_, hash)| hex::encode(hash)).unwrap_or_default(),
            signed: recorded.seals.iter().map(|seal| seal.seq).max(),
        };
        let mut report = report(run, started, &state, &recorded.entries, program.as_ref(), status, head);
        report.unreadable = unreadable;
        report.next = if holder.is_some() { None } else { next(run, &state) };
        report.problem = problem_of(run, &state);
        Ok(report)
    }

    /// The bytes of one of a run's artifacts. None: there is none, it was made of a secret, or it has more than `most`
    /// bytes.
    ///
    /// # Errors
    /// SB0501 to SB0503, SB0506, and what its file's damage is called.
    pub async fn artifact(&self, run: &RunId, reference: &str, most: u64) -> Result<Option<Vec<u8>>, Problem> {
        if !reference.starts_with("artifact:") {
            return Ok(None);
        }
        let journal = Journal::look(&self.home, run, Clock::default())?;
        let shelf = Shelf::new(&self.home.artifacts(), run.clone(), journal.vault().clone());
        let unusable = |failure: Failure| {
            Problem::new(sealbook_model::problem::codes::JOURNAL_DAMAGED, format!("`{reference}` can't be read"))
                .because(failure.to_string())
        };
        match shelf.find(reference).await.map_err(unusable)? {
            Some(artifact) if !artifact.is_secret() && artifact.length() <= most => {
                Ok(Some(artifact.read_all().await.map_err(unusable)?.to_vec()))
            }
            _ => Ok(None),
        }
    }
}

fn report(
    run: &RunId,
    started: &RunStarted,
    state: &RunState,
    entries: &[Entry],
    program: Option<&(Vec<Node>, Lab)>,
    status: Status,
    head: Head,
) -> Report {
    let (nodes, lab) = program.map_or((&[][..], None), |(nodes, lab)| (nodes.as_slice(), Some(lab)));
    let attempts = times::attempts(entries);
    let context = &started.context;
    Report {
        run: run.clone(),
        playbook: started.playbook.clone(),
        title: started.title.clone(),
        summary: lab.map(|lab| lab.summary.clone()).unwrap_or_default(),
        level: lab.map(|lab| lab.level.clone()).unwrap_or_default(),
        cloud: context.cloud,
        tenant: context.tenant.clone(),
        subscription: context.subscription.clone(),
        subscription_name: context.subscription_name.clone(),
        me: context.me.name.clone(),
        me_kind: context.me.kind.clone(),
        mode: started.mode,
        status,
        undoing: state.goal == Some(Goal::Undo),
        began: state.began,
        last: state.last,
        worked_ms: attempts.iter().map(|attempt| attempt.worked_ms).sum(),
        attempts,
        inputs: inputs(started, lab),
        choices: choices(started, lab),
        consents: state.consents.clone(),
        steps: steps::steps(started, state, entries, nodes),
        costs: costs(state),
        live: super::summary::live(state),
        leaves: lab.map(|lab| leaves(lab, nodes, started, state)).unwrap_or_default(),
        leftovers: state.leftovers(),
        undo: state.undo.as_ref().map(|undo| Undo {
            at: undo.at,
            finished: undo.finished,
            undone: paths(state, |phase| phase == Phase::Undone),
            open: state.to_undo().into_iter().cloned().collect(),
            failed: undo.failed.iter().map(|(step, failure)| (step.clone(), failure.to_string())).collect(),
        }),
        problem: None,
        unreadable: None,
        next: None,
        bundle: started.bundle,
        engine: started.engine.clone(),
        head,
    }
}

fn paths(state: &RunState, of: impl Fn(Phase) -> bool) -> Vec<StepPath> {
    state.order.iter().filter(|path| state.step(path).is_some_and(|step| of(step.phase))).cloned().collect()
}

fn inputs(started: &RunStarted, lab: Option<&Lab>) -> Vec<Input> {
    let declared = |name: &str| lab.and_then(|lab| lab.inputs.iter().find(|input| input.name == name));
    let input = |(name, value): (&String, &Value)| {
        let spec = declared(name);
        let secret = started.secrets.contains_key(name) || spec.is_some_and(|spec| spec.secret);
        Input {
            name: name.clone(),
            prompt: spec.and_then(|spec| spec.prompt.clone()),
            value: (!secret).then(|| value.clone()),
        }
    };
    started.inputs.iter().map(input).collect()
}

fn choices(started: &RunStarted, lab: Option<&Lab>) -> Vec<Choice> {
    let Some(lab) = lab else {
        let bare = |(path, option): (&StepPath, &String)| Choice {
            path: path.clone(),
            question: String::new(),
            option: option.clone(),
        };
        return started.answers.iter().map(bare).collect();
    };
    let taken = |choice: sealbook_model::playbook::Choice| {
        let option = started.answers.get(&choice.path).or(choice.default.as_ref())?.clone();
        Some(Choice { path: choice.path, question: choice.question, option })
    };
    lab.choices(&started.answers).into_iter().filter_map(taken).collect()
}

/// What the previews said things cost, and whether they stand.
fn costs(state: &RunState) -> Vec<CostLine> {
    let mut lines = Vec::new();
    for path in &state.order {
        let Some(step) = state.step(path) else { continue };
        let preview = step.preview.as_deref().or(step.wanted.as_deref());
        for cost in preview.into_iter().flat_map(|preview| &preview.costs) {
            if cost.usd_per_hour > 0.0 || cost.usd_after_undo > 0.0 {
                lines.push(CostLine {
                    step: path.clone(),
                    item: cost.item.clone(),
                    usd_per_hour: cost.usd_per_hour,
                    usd_after_undo: cost.usd_after_undo,
                    stands: step.phase != Phase::Undone,
                });
            }
        }
    }
    lines
}

/// What the playbook says of what it leaves, as of the undo, or as of the last record.
fn leaves(lab: &Lab, nodes: &[Node], started: &RunStarted, state: &RunState) -> Vec<String> {
    use chrono::SubsecRound as _;
    let at = state.undo.as_ref().map(|undo| undo.at).or(state.last).unwrap_or_default().trunc_subsecs(0);
    let scope = replay(nodes, Scopes::new(&started.context, &started.inputs), state, None).with_undo(at);
    lab.leaves.iter().map(|template| template.preview(&scope)).collect()
}

/// The steps of a program, in order.
fn steps_of(nodes: &[Node]) -> impl Iterator<Item = &Arc<sealbook_model::playbook::Step>> {
    nodes.iter().filter_map(|node| match node {
        Node::Step(step) => Some(step),
        _ => None,
    })
}
