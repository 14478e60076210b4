//! Things that live in memory only: a step that needs one brings its producer to life again.
//!
//! A handle (`key:…`, `token:…`, `proof:…` in outputs) dies with the process, and whatever a guest step made dies with its machine.
//! When a later step's inputs name one that no step of this process made, the step whose recorded outputs hold it is
//! applied again: with its recorded inputs and in the same generation, so that its effects are known by their keys. What
//! it then makes is judged as it was the first time, and recorded in its place.

use std::collections::BTreeSet;

use sealbook_model::id::StepPath;
use sealbook_model::journal::GuestAt;
use sealbook_model::playbook::{Node, Scopes};
use sealbook_model::problem::{Problem, codes};
use serde_json::Value;

use super::attempt::Attempt;
use super::failure::{Trouble, as_failure};
use super::forward::replayed;
use super::runs::{begun, find};
use super::step_run::StepRun;
use crate::references::references;

/// What lives in this process, and in the machines that it met.
#[derive(Debug)]
pub(super) struct Live<'a> {
    nodes: &'a [Node],
    /// The steps that ran here.
    ran: BTreeSet<StepPath>,
    /// The machines that were restarted meanwhile.
    lost: BTreeSet<GuestAt>,
}

impl<'a> Live<'a> {
    /// Nothing lives yet of what these nodes make.
    pub(super) fn new(nodes: &'a [Node]) -> Self {
        Self { nodes, ran: BTreeSet::new(), lost: BTreeSet::new() }
    }

    /// Notes that a step ran here.
    pub(super) fn ran(&mut self, step: &StepPath) {
        self.ran.insert(step.clone());
    }

    /// Notes that a confidential VM was restarted: what its steps made is gone.
    pub(super) fn lost(&mut self, attempt: &Attempt, guest: &GuestAt) {
        let here = |path: &StepPath| {
            attempt.journal.with(|state| state.step(path).is_some_and(|step| step.guest.as_ref() == Some(guest)))
        };
        self.ran.retain(|path| !here(path));
        self.lost.insert(guest.clone());
    }

    /// Brings to life what `inputs` refer to. Returns whether any step ran again for it.
    pub(super) async fn revive(&mut self, attempt: &Attempt, inputs: &Value) -> Result<bool, Trouble> {
        let mut ran_again = false;
        for reference in handles(inputs) {
            let producer = attempt.journal.with(|state| {
                let holds = |outputs: &Value| handles(outputs).contains(reference);
                let made =
                    state.steps.iter().find(|(_, step)| step.settled() && step.outputs.as_ref().is_some_and(holds));
                // On this machine artifacts are kept; a guest keeps nothing.
                made.filter(|(_, step)| step.guest.is_some() || !reference.starts_with("artifact:"))
                    .map(|(path, _)| path.clone())
            });
            let Some(path) = producer else { continue };
            // Noted before it runs, so that steps that name each other's handles can't go round for ever.
            if self.ran.insert(path.clone()) {
                Box::pin(self.again(attempt, &path, reference)).await?;
                ran_again = true;
            }
        }
        Ok(ran_again)
    }

    /// The scopes as a step sees them, from what is recorded by now.
    pub(super) fn scopes(&self, attempt: &Attempt, of: &StepPath) -> Result<Scopes, Problem> {
        attempt.journal.with(|state| {
            let inputs = &begun(attempt.journal.run(), state)?.inputs;
            Ok(replayed(self.nodes, Scopes::new(&attempt.context, inputs), state, Some(of)))
        })
    }

    async fn again(&mut self, attempt: &Attempt, path: &StepPath, wanted: &str) -> Result<(), Trouble> {
        let facts = attempt.facts(path)?;
        self.revive(attempt, &facts.inputs).await?;
        attempt.runs_again(path, self.why(facts.guest.as_ref())).await?;
        let step = attempt.journal.with(|state| find(self.nodes, state, Some(path)))?;
        let scopes = self.scopes(attempt, path)?;
        let outputs = StepRun::new(attempt, step, scopes.top(), facts).again().await.map_err(|(_, trouble)| trouble)?;
        if handles(&outputs).contains(wanted) {
            return Ok(());
        }
        let problem = Problem::new(codes::BAD_HANDLE, format!("step {path} did not make `{wanted}` again"))
            .because("a reference must be the same each time its step runs");
        Err(as_failure(&problem).into())
    }

    /// Why a step runs again, in words.
    fn why(&self, guest: Option<&GuestAt>) -> String {
        match guest {
            Some(at) if self.lost.contains(at) => {
                format!("{} was restarted, and what it held in memory is gone", at.name())
            }
            Some(at) => {
                format!("the run was taken up anew, and what {} held in memory before can't be relied on", at.name())
            }
            None => "what it made was in the memory of a process that has ended".to_owned(),
        }
    }
}

/// The references to handles in a value.
fn handles(value: &Value) -> BTreeSet<&str> {
    references(value, &["key:", "token:", "proof:", "artifact:"])
}
