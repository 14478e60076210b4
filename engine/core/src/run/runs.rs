//! Looking at runs. Needs no host, no cloud and no lock: a run may be looked at while another process works on it.

use std::collections::BTreeMap;
use std::fs;
use std::str::FromStr;
use std::sync::Arc;

use sealbook_model::id::{RunId, StepPath};
use sealbook_model::journal::{Entry, Goal, Mode, Phase, Record, RunStarted, RunState};
use sealbook_model::playbook::{Bundle, Lab, Node, Scopes, Step, compile};
use sealbook_model::plugin::Description;
use sealbook_model::problem::{Problem, codes};

use super::engine::problem_of;
use super::forward::replay;
use super::hands_on;
use super::summary::{live, next, steps};
use super::{Hint, RunInfo, Status};
use crate::home::{self, Home};
use crate::journal::{Clock, Gates, Journal, SqliteStore, holder};

/// The runs of a home.
#[derive(Debug, Clone)]
pub struct Runs {
    pub(super) home: Arc<Home>,
}

impl Runs {
    /// The runs of `home`.
    #[must_use]
    pub fn new(home: Arc<Home>) -> Self {
        Self { home }
    }

    /// An id that no run has.
    #[must_use]
    pub fn fresh_id(&self) -> RunId {
        loop {
            let id = RunId::from_random(sealbook_crypto::random());
            if !self.home.journal_path(&id).exists() {
                return id;
            }
        }
    }

    /// Every run, the latest first. One whose journal can't be read is there too, with its problem.
    ///
    /// # Errors
    /// SB0704 when the folder can't be read.
    pub fn list(&self) -> Result<Vec<RunInfo>, Problem> {
        let mut runs: Vec<RunInfo> =
            self.ids()?.into_iter().map(|run| self.info(&run).unwrap_or_else(|p| unreadable(run, p))).collect();
        runs.sort_by(|a, b| (b.last, &b.run).cmp(&(a.last, &a.run)));
        Ok(runs)
    }

    /// The run that `name` means: a unique beginning of its id, or the latest run when no name is given.
    ///
    /// # Errors
    /// SB0506 when there is none, or more than one.
    pub fn resolve(&self, name: Option<&str>) -> Result<RunId, Problem> {
        let Some(name) = name else {
            let latest = self.list()?.into_iter().find(|run| run.last.is_some());
            return latest.map(|info| info.run).ok_or_else(|| {
                Problem::new(codes::UNKNOWN_RUN, "there are no runs yet").fix("sealbook list shows what to run")
            });
        };
        let mut found: Vec<RunId> = self.ids()?.into_iter().filter(|id| id.as_str().starts_with(name)).collect();
        match (found.pop(), found.is_empty()) {
            (Some(run), true) => Ok(run),
            (Some(run), false) => {
                found.push(run);
                let names: Vec<&str> = found.iter().map(RunId::as_str).collect();
                Err(Problem::new(codes::UNKNOWN_RUN, format!("`{name}` may mean several runs"))
                    .because(names.join(", "))
                    .fix("give more letters of its id"))
            }
            (None, _) => Err(Problem::new(codes::UNKNOWN_RUN, format!("there is no run `{name}`"))
                .fix("sealbook runs lists what there is")),
        }
    }

    /// The latest run that still has something to take back; none: there is nothing.
    ///
    /// # Errors
    /// SB0704 when the folder can't be read.
    pub fn latest_to_undo(&self) -> Result<Option<RunId>, Problem> {
        let open = |info: &RunInfo| self.state(&info.run).is_ok_and(|state| !state.to_undo().is_empty());
        Ok(self.list()?.into_iter().find(open).map(|info| info.run))
    }

    /// How a run stands.
    ///
    /// # Errors
    /// SB0501 to SB0503, SB0506.
    pub fn info(&self, run: &RunId) -> Result<RunInfo, Problem> {
        // The holder before the state: a run that ends in between is then shown as running, not as killed.
        let holder = holder(&self.home, run)?;
        let state = self.state(run)?;
        let started = begun(run, &state)?;
        Ok(RunInfo {
            run: run.clone(),
            playbook: started.playbook.clone(),
            title: started.title.clone(),
            cloud: Some(started.context.cloud),
            mode: started.mode,
            started: state.began,
            last: state.last,
            status: if holder.is_some() { Status::Running } else { Status::of(&state) },
            undoing: state.goal == Some(Goal::Undo),
            attempts: state.attempts,
            holder,
            of: self.steps_of(started).unwrap_or(state.order.len()),
            steps: steps(&state),
            live: live(&state),
            leftovers: state.leftovers(),
            next: if holder.is_some() { None } else { next(run, &state) },
            problem: problem_of(run, &state),
        })
    }

    /// Everything that follows from a run's records.
    ///
    /// # Errors
    /// SB0501 to SB0503, SB0506.
    pub fn state(&self, run: &RunId) -> Result<RunState, Problem> {
        Ok(RunState::fold(self.log(run)?))
    }

    /// A run's records.
    ///
    /// # Errors
    /// SB0501 to SB0503, SB0506.
    pub fn log(&self, run: &RunId) -> Result<Vec<Entry>, Problem> {
        SqliteStore::read(&self.home, run).map(|(_, entries)| entries)
    }

    /// The playbook of a run, as it was at the start.
    ///
    /// # Errors
    /// SB0501 when it is gone or was changed, or the problems of the playbook.
    pub fn lab(&self, started: &RunStarted) -> Result<Lab, Problem> {
        let text = |bytes: Vec<u8>| {
            String::from_utf8(bytes).map_err(|_| Problem::new(codes::BAD_BUNDLE, "stored content is not text"))
        };
        let store = self.home.store();
        let bundle = Bundle::from_json(&text(store.get(&started.bundle)?)?)?;
        let mut descriptions = BTreeMap::new();
        for (plugin, pinned) in &started.plugins {
            let description: Description = serde_json::from_slice(&store.get(&pinned.description)?).map_err(|e| {
                Problem::new(codes::BAD_BUNDLE, format!("the stored description of {plugin} can't be read"))
                    .because(e.to_string())
            })?;
            descriptions.insert(plugin.to_string(), description);
        }
        compile(&bundle, &descriptions).map_err(merged)
    }

    fn steps_of(&self, started: &RunStarted) -> Result<usize, Problem> {
        let nodes = self.lab(started)?.flatten(&started.answers).map_err(merged)?;
        Ok(nodes.iter().filter(|node| matches!(node, Node::Step(_))).count())
    }

    /// The next hint for a step (none named: the one the run is at), recorded as shown when the run is not being
    /// worked on. None: there are no more.
    ///
    /// # Errors
    /// SB0501 to SB0503, SB0506.
    pub fn hint(&self, run: &RunId, step: Option<&StepPath>) -> Result<Option<Hint>, Problem> {
        let state = self.state(run)?;
        let started = begun(run, &state)?;
        let nodes = self.lab(started)?.flatten(&started.answers).map_err(merged)?;
        let step = find(&nodes, &state, step)?;
        let scopes = Scopes::new(&started.context, &started.inputs);
        let scope = replay(&nodes, scopes, &state, Some(&step.path));
        let shown = state.step(&step.path).map_or(0, |known| known.hints);
        let hint = hands_on::hint(&step.path, &step.hints, &scope, shown);
        if let Some(hint) = &hint
            && holder(&self.home, run)?.is_none()
        {
            let journal = Journal::open(&self.home, run, Clock::default(), Gates::none())?;
            journal.record_now(Record::HintShown { step: hint.step.clone(), tier: hint.tier })?;
        }
        Ok(hint)
    }

    /// Removes a run: destroys its key, its journal and its artifacts. What it made in the cloud stays, so a run with
    /// something to take back is refused unless `force` is given.
    ///
    /// # Errors
    /// SB0507 when there is something to take back, SB0505 when another process holds it, SB0704 when a file stays.
    pub fn remove(&self, run: &RunId, force: bool) -> Result<(), Problem> {
        if !self.home.journal_path(run).exists() {
            return Err(Problem::new(codes::UNKNOWN_RUN, format!("there is no run {run}")));
        }
        if !force {
            let state = self.state(run)?;
            let open = state.to_undo().len();
            if open > 0 {
                return Err(Problem::new(codes::RUN_ENDED, format!("run {run} still has {open} steps to take back"))
                    .because("without its journal nobody knows what it made")
                    .fix(format!("sealbook undo {run}")));
            }
        }
        SqliteStore::destroy(&self.home, run)?;
        let artifacts = self.home.artifacts_dir(run);
        match fs::remove_dir_all(&artifacts) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(home::unusable(&artifacts, &e)),
            _ => Ok(()),
        }
    }

    fn ids(&self) -> Result<Vec<RunId>, Problem> {
        let folder = self.home.runs_dir();
        let unusable = |e: std::io::Error| home::unusable(&folder, &e);
        let mut ids = Vec::new();
        for entry in fs::read_dir(&folder).map_err(unusable)? {
            let name = entry.map_err(unusable)?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".db")).map(RunId::from_str);
            if let Some(Ok(id)) = id {
                ids.push(id);
            }
        }
        ids.sort();
        Ok(ids)
    }
}

/// How a run began.
pub(crate) fn begun<'a>(run: &RunId, state: &'a RunState) -> Result<&'a RunStarted, Problem> {
    state.started.as_deref().ok_or_else(|| {
        Problem::new(codes::JOURNAL_DAMAGED, format!("the journal of run {run} is damaged"))
            .because("it does not say how the run began")
    })
}

/// The first of several problems, with the others as causes.
pub(super) fn merged(problems: Vec<Problem>) -> Problem {
    let mut problems = problems.into_iter();
    match problems.next() {
        None => Problem::new(codes::INTERNAL, "a playbook was refused without a reason"),
        Some(first) => problems.fold(first, |first, other| first.because(other.to_string())),
    }
}

/// The step of a flattened playbook with this path; without one, the step that the run is at.
pub(super) fn find<'a>(nodes: &'a [Node], state: &RunState, path: Option<&StepPath>) -> Result<&'a Arc<Step>, Problem> {
    let mut steps = nodes.iter().filter_map(|node| match node {
        Node::Step(step) => Some(step),
        _ => None,
    });
    match path {
        Some(path) => steps.find(|step| step.path == *path).ok_or_else(|| {
            let names = nodes.iter().map(|node| node.path().as_str());
            let problem = Problem::new(codes::USAGE, format!("this run has no step {path}"));
            match sealbook_model::problem::closest(path.as_str(), names) {
                Some(name) => problem.fix(format!("did you mean {name}?")),
                None => problem,
            }
        }),
        None => steps
            .find(|step| state.step(&step.path).is_none_or(|known| !known.settled() && known.phase != Phase::Undone))
            .ok_or_else(|| {
                Problem::new(codes::RUN_ENDED, "every step of this run has its verdict")
                    .fix("sealbook runs lists your runs; sealbook undo cleans up after the latest")
            }),
    }
}

fn unreadable(run: RunId, problem: Problem) -> RunInfo {
    RunInfo {
        run,
        playbook: String::new(),
        title: String::new(),
        cloud: None,
        mode: Mode::Auto,
        started: None,
        last: None,
        status: Status::Failed,
        undoing: false,
        attempts: 0,
        holder: None,
        steps: Vec::new(),
        of: 0,
        live: Vec::new(),
        leftovers: Vec::new(),
        next: None,
        problem: Some(problem),
    }
}
