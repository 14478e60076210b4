//! Things that live in memory only: a step that needs one brings its producer to life again.
//!
//! A handle (`key:…`, `token:…` in outputs) dies with the process, and whatever a guest step made dies with its machine. When a later step's inputs name one that no step of this
//! process made, the step whose recorded outputs hold it is applied again: with its recorded inputs and in the same
//! generation, so that its effects are known by their keys and only the handle is made anew.

use std::collections::BTreeSet;

use sealbook_model::id::StepPath;
use sealbook_model::journal::{Finding, GuestAt, Record};
use sealbook_model::problem::{Problem, codes};
use serde_json::Value;

use super::attempt::Attempt;
use super::failure::{Trouble, as_failure};
use crate::step::Checked;

/// The steps whose handles live in this process.
#[derive(Debug, Default)]
pub(super) struct Live(BTreeSet<StepPath>);

impl Live {
    /// Notes that a step ran here.
    pub(super) fn ran(&mut self, step: &StepPath) {
        self.0.insert(step.clone());
    }

    /// Notes that a confidential VM was restarted: what its steps made is gone.
    pub(super) fn lost(&mut self, attempt: &Attempt, guest: &GuestAt) {
        let here = |path: &StepPath| {
            attempt.journal.with(|state| state.step(path).is_some_and(|step| step.guest.as_ref() == Some(guest)))
        };
        self.0.retain(|path| !here(path));
    }

    /// Brings to life what `inputs` refer to.
    pub(super) async fn revive(&mut self, attempt: &Attempt, inputs: &Value) -> Result<(), Trouble> {
        for reference in references(inputs) {
            let producer = attempt.journal.with(|state| {
                let holds = |outputs: &Value| references(outputs).contains(reference);
                let made =
                    state.steps.iter().find(|(_, step)| step.settled() && step.outputs.as_ref().is_some_and(holds));
                // On this machine artifacts are kept; a guest keeps nothing.
                let (path, step) = made.filter(|(_, s)| s.guest.is_some() || !reference.starts_with("artifact:"))?;
                Some((path.clone(), step.preview.is_some()))
            });
            let Some((path, registered)) = producer else { continue };
            // Noted before it runs, so that steps that name each other's handles can't go round for ever.
            if self.0.insert(path.clone()) {
                Box::pin(self.again(attempt, &path, registered, reference)).await?;
            }
        }
        Ok(())
    }

    async fn again(
        &mut self,
        attempt: &Attempt,
        path: &StepPath,
        registered: bool,
        wanted: &str,
    ) -> Result<(), Trouble> {
        let facts = attempt.facts(path)?;
        self.revive(attempt, &facts.inputs).await?;
        let cancel = attempt.session.cancel.child_token();
        let within = attempt.patience(None);
        let found = if registered {
            None
        } else {
            let call = attempt.looking(&facts, &cancel);
            match attempt.patient(path, within, || attempt.host.check(&call)).await? {
                Checked::Satisfied(found) => Some(found),
                Checked::Needed(preview) => {
                    let finding = Finding::Needed(Box::new(preview));
                    attempt.journal.record(Record::StepChecked { step: path.clone(), finding }).await?;
                    None
                }
            }
        };
        let outputs = match found {
            Some(outputs) => outputs,
            None => {
                let call = attempt.acting(&facts, &cancel);
                let outputs = attempt.patient(path, within, || attempt.host.apply(&call)).await?;
                let record =
                    Record::StepSucceeded { step: path.clone(), outputs: outputs.clone(), evidence: Vec::new() };
                attempt.journal.record(record).await?;
                outputs
            }
        };
        if references(&outputs).contains(wanted) {
            return Ok(());
        }
        let problem = Problem::new(codes::BAD_HANDLE, format!("step {path} did not make `{wanted}` again"))
            .because("a reference must be the same each time its step runs");
        Err(as_failure(&problem).into())
    }
}

/// The references to handles in a value.
fn references(value: &Value) -> BTreeSet<&str> {
    fn collect<'a>(value: &'a Value, into: &mut BTreeSet<&'a str>) {
        match value {
            Value::String(text) if ["key:", "token:", "artifact:"].iter().any(|kind| text.starts_with(kind)) => {
                into.insert(text);
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
            Value::Object(fields) => fields.values().for_each(|field| collect(field, into)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    collect(value, &mut found);
    found
}
