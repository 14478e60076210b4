//! Looking again at what a run has done.

use std::collections::BTreeSet;

use sealbook_model::id::StepPath;
use sealbook_model::journal::{GuestAt, Operation, Phase, RunState, StepState};
use serde_json::Value;

use super::Verdict;
use super::attempt::Attempt;
use super::failure::{Stop, Trouble};
use crate::step::{Evidence, Failure, StepError};

/// Calls `verify` of the finished steps, or of the given ones. Guest steps have left nothing to look at.
pub(super) async fn verify(attempt: &Attempt, only: Option<&BTreeSet<StepPath>>) -> Result<Vec<Verdict>, Stop> {
    let steps: Vec<(StepPath, Value)> = attempt.journal.with(|state| {
        let finished = |path: &StepPath| {
            let step = state.step(path).filter(|step| step.phase == Phase::Succeeded)?;
            // A lesson shows a moment, which a later step mostly ends: it is looked at again only when it is named.
            if only.is_none() && (step.lesson.is_some() || passed(state, path)) {
                return None;
            }
            // Without outputs there is nothing to look at: the step's lesson was that it fails.
            let outputs = step.outputs.clone().filter(|outputs| *outputs != Value::Null)?;
            Some((path.clone(), outputs))
        };
        state.order.iter().filter(|path| only.is_none_or(|only| only.contains(*path))).filter_map(finished).collect()
    });
    let mut verdicts = Vec::new();
    for (step, outputs) in steps {
        let mut verdict = Verdict { step, evidence: Vec::new(), error: None, gone: None, passed: None };
        match attempt.journal.with(|state| state.step(&verdict.step)?.guest.as_ref().map(gone)) {
            Some(why) => verdict.gone = Some(why),
            None => match look(attempt, &verdict.step, &outputs).await {
                Ok(evidence) => {
                    verdict.passed = Some(evidence.iter().all(|e| e.passed));
                    verdict.evidence = evidence;
                }
                Err(Trouble::Failed(failure, _)) => (verdict.error, verdict.passed) = (Some(failure), Some(false)),
                Err(Trouble::Stop(stop)) => return Err(stop),
            },
        }
        verdicts.push(verdict);
    }
    Ok(verdicts)
}

/// Why a guest step can't be looked at again. Its machine is not asked: to answer it would have to make everything anew,
/// and what is made anew is not what is to be looked at.
fn gone(at: &GuestAt) -> String {
    format!(
        "it ran inside {}, which keeps what it makes in memory and gives none of it away: nobody can look at it again. \
         What was seen when it ran is in the report and the transcript",
        at.name()
    )
}

/// Whether a later step has switched again what this step switched: a machine that was stopped is started, a key that
/// was disabled is enabled. What it showed was a moment.
fn passed(state: &RunState, path: &StepPath) -> bool {
    let mine = switched(state, path);
    let later = state.order.iter().skip_while(|other| *other != path).skip(1);
    later.flat_map(|other| switched(state, other)).any(|target| mine.contains(&target))
}

/// What a step has switched: keys by their attributes, resources by an action.
fn switched(state: &RunState, path: &StepPath) -> BTreeSet<String> {
    let Some(step) = state.step(path) else { return BTreeSet::new() };
    let operations = step.operations();
    if operations.is_empty() {
        return meant(step);
    }
    let target = |operation: &Operation| match operation.intent.kind.as_str() {
        "key-update" => Some(operation.intent.target.clone()),
        "arm-post" => operation.intent.target.rsplit_once('/').map(|(resource, _)| resource.to_owned()),
        _ => None,
    };
    operations.iter().filter_map(target).collect()
}

/// What a step was to switch. The learner's own doing leaves no operations: inputs and grants say what it was about.
fn meant(step: &StepState) -> BTreeSet<String> {
    let keys = step.grants.iter().filter_map(|grant| {
        let (verbs, target) = grant.strip_prefix("keyvault:")?.split_once(' ')?;
        verbs.split(',').any(|verb| verb == "update").then(|| target.to_owned())
    });
    keys.chain(step.inputs["post"].as_str().map(str::to_owned)).collect()
}

async fn look(attempt: &Attempt, step: &StepPath, outputs: &Value) -> Result<Vec<Evidence>, Trouble> {
    let facts = attempt.facts(step)?;
    let cancel = attempt.session.cancel.child_token();
    let call = attempt.looking(&facts, &cancel);
    match attempt.host.verify(&call, outputs).await {
        Err(Failure { error: StepError::Cancelled, .. }) if attempt.session.cancel.is_cancelled() => {
            Err(Trouble::Stop(Stop::Interrupted))
        }
        result => result.map_err(Trouble::from),
    }
}
