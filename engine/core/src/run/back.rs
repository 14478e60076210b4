//! The way back: step after step, the latest first, each with what was recorded of it.
//!
//! Undo needs neither the playbook nor its expressions: component, inputs, gate, prior state, outputs and effects are
//! all in the journal.

use sealbook_model::id::StepPath;
use sealbook_model::journal::{Leftover, Record};
use sealbook_model::playbook::Node;
use serde_json::Value;

use super::attempt::Attempt;
use super::failure::{Stop, Trouble};
use crate::event::Event;
use crate::step::Failure;

/// Takes back every registered step that still stands. Goes on past a step that can't be taken back and returns all of
/// those.
///
/// `nodes` give the steps their titles; undo does without when the playbook can't be read any more.
pub(super) async fn back(attempt: &Attempt, nodes: &[Node]) -> Result<Vec<(StepPath, Failure)>, Stop> {
    let steps: Vec<StepPath> = attempt.journal.with(|state| state.to_undo().into_iter().cloned().collect());
    let mut failed = Vec::new();
    let of = steps.len();
    for (done, step) in steps.into_iter().enumerate() {
        if attempt.session.cancel.is_cancelled() {
            return Err(Stop::Interrupted);
        }
        let title = nodes.iter().find_map(|node| match node {
            Node::Step(known) if known.path == step => Some(known.title.clone()),
            _ => None,
        });
        attempt.session.events.send(Event::StepStarted {
            step: step.clone(),
            index: done + 1,
            of,
            title: title.unwrap_or_else(|| step.to_string()),
            // What a guest step left in the cloud is taken back from here.
            guest: None,
            what: String::new(),
            why: String::new(),
        });
        match undo(attempt, &step).await {
            Ok(leftovers) => {
                attempt
                    .journal
                    .record(Record::UndoStepDone { step: step.clone(), leftovers: leftovers.clone() })
                    .await?;
                attempt.session.events.send(Event::StepUndone { step, leftovers });
            }
            Err(Trouble::Failed(failure, retries)) => {
                let record = Record::UndoStepFailed { step: step.clone(), failure: failure.clone(), retries };
                attempt.journal.record(record).await?;
                attempt.session.events.send(Event::StepFailed { step: step.clone(), error: failure.error.clone() });
                failed.push((step, failure));
            }
            Err(Trouble::Stop(stop)) => return Err(stop),
        }
    }
    Ok(failed)
}

async fn undo(attempt: &Attempt, step: &StepPath) -> Result<Vec<Leftover>, Trouble> {
    let facts = attempt.facts(step)?;
    let (before, outputs, operations) = attempt.journal.with(|state| {
        let known = state.step(step).cloned().unwrap_or_default();
        let before = known.preview.as_ref().map(|preview| preview.before.clone()).unwrap_or_default();
        // A lesson whose apply had to fail has null for outputs: to undo it never finished.
        let outputs = known.outputs.clone().filter(|outputs| *outputs != Value::Null);
        (before, outputs, known.operations())
    });
    let cancel = attempt.session.cancel.child_token();
    // What may be used is not thereby ours to remove: undo sees a stranger's thing as a stranger's.
    let mut call = attempt.acting(&facts, &cancel);
    call.adopt = false;
    let within = attempt.patience(None);
    attempt.patient(step, within, || attempt.host.undo(&call, &before, outputs.as_ref(), &operations)).await
}
