//! The steps of a report: what the playbook says of each, and what became of it.

use sealbook_model::id::{Digest, StepPath};
use sealbook_model::journal::{Entry, Evidence, Failure, Phase, RunStarted, RunState, Stage, StepError, StepState};
use sealbook_model::playbook::{Node, Place, Scopes, Step};
use serde::Serialize;
use serde_json::Value;

use super::super::forward::replay;
use super::super::step_run::told;
use super::times::{self, Again, Retry, Times};
use super::{Picture, steps_of};
use crate::transcript::Judged;

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepReport {
    /// Its number, from 1.
    pub index: usize,
    /// Its place in the run.
    pub step: StepPath,
    /// Its name for people.
    pub title: String,
    /// What happens, in Markdown.
    pub what: String,
    /// Why, in Markdown.
    pub why: String,
    /// What is proved, in Markdown; empty unless the step succeeded.
    pub proved: String,
    /// Its plugin.
    pub plugin: Option<String>,
    /// Its plugin's component.
    pub component: Option<Digest>,
    /// Whether it runs inside a confidential VM.
    pub guest: bool,
    /// How far it came: `pending`, `started`, `satisfied`, `needed`, `failed`, `succeeded`, `skipped` or `undone`.
    pub phase: &'static str,
    /// Whether it had its verdict, also when it was taken back afterwards.
    pub proven: bool,
    /// Whether the learner did it by hand; none: nobody was asked.
    pub by_learner: Option<bool>,
    /// What it was to change, in words; empty: there was nothing to do.
    pub changes: Vec<String>,
    /// What a person would type.
    pub az: Option<String>,
    /// What it was allowed to do.
    pub grants: Vec<String>,
    /// When it began.
    pub began: Option<chrono::DateTime<chrono::Utc>>,
    /// When its last record was written.
    pub ended: Option<chrono::DateTime<chrono::Utc>>,
    /// How long it was worked on, in milliseconds.
    pub worked_ms: u64,
    /// Waits before another try.
    pub retries: Vec<Retry>,
    /// When and why it ran again: what it had made was in memory only. All else is told of the last time.
    pub again: Vec<Again>,
    /// What `verify` saw.
    pub evidence: Vec<Evidence>,
    /// What its lesson showed.
    pub lesson: Option<String>,
    /// Its quiz.
    pub quiz: Option<Quiz>,
    /// Number of hints shown.
    pub hints: u32,
    /// Why it failed.
    pub fault: Option<Fault>,
    /// What it handed on; secrets and bulk data as references.
    pub outputs: Value,
    /// Pictures that it made.
    pub pictures: Vec<Picture>,
    /// When it had its verdict, the last time.
    pub proven_at: Option<chrono::DateTime<chrono::Utc>>,
    /// Evidence documents that it handed on, judged again ([`super::Report::judge`]).
    pub judged: Vec<Judged>,
}

/// A quiz that was put to the learner.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quiz {
    /// The question.
    pub ask: String,
    /// The answers to choose from.
    pub options: Vec<String>,
    /// The right one, from 0.
    pub answer: usize,
    /// The one that was taken; none: it was passed over.
    pub choice: Option<u32>,
    /// Why the right one is right.
    pub why: String,
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fault {
    /// Where.
    pub stage: Stage,
    /// What happened.
    pub message: String,
    /// What to do about it.
    pub fix: Option<String>,
}

/// The steps of the program, or of the journal alone where the program can't be read.
pub(super) fn steps(started: &RunStarted, state: &RunState, entries: &[Entry], nodes: &[Node]) -> Vec<StepReport> {
    let mut times = times::steps(entries);
    let mut reports: Vec<StepReport> = steps_of(nodes)
        .map(|step| {
            let scopes = Scopes::new(&started.context, &started.inputs);
            let scope = replay(nodes, scopes, state, Some(&step.path));
            let known = state.step(&step.path);
            let mut report = journaled(&step.path, known, times.remove(&step.path).unwrap_or_default());
            authored(&mut report, step, known, &scope);
            if within_skipped(&step.path, state) {
                report.phase = "skipped";
            }
            report
        })
        .collect();
    if nodes.is_empty() {
        let reached =
            state.order.iter().map(|path| journaled(path, state.step(path), times.remove(path).unwrap_or_default()));
        reports.extend(reached);
    }
    for (n, report) in reports.iter_mut().enumerate() {
        report.index = n + 1;
        report.component = state.component(&report.step);
    }
    reports
}

/// Whether the part that a step is in was skipped.
fn within_skipped(path: &StepPath, state: &RunState) -> bool {
    let skipped = |outer: &StepPath| {
        state.step(outer).is_some_and(|step| step.phase == Phase::Skipped)
            && path.as_str().strip_prefix(outer.as_str()).is_some_and(|rest| rest.starts_with('/'))
    };
    state.order.iter().any(skipped)
}

/// What the journal says.
fn journaled(path: &StepPath, known: Option<&StepState>, times: Times) -> StepReport {
    let state = known.cloned().unwrap_or_default();
    let preview = state.preview.as_deref().or(state.wanted.as_deref());
    let outputs = state.outputs.clone().unwrap_or(Value::Null);
    let mut pictures = Vec::new();
    collect(&outputs, &mut pictures);
    StepReport {
        index: 0,
        step: path.clone(),
        title: path.to_string(),
        what: String::new(),
        why: String::new(),
        proved: String::new(),
        plugin: state.plugin.as_ref().map(ToString::to_string),
        component: None,
        guest: state.guest.is_some(),
        phase: super::super::summary::phase(state.phase),
        proven: matches!(state.phase, Phase::Succeeded | Phase::Undone)
            && state.outputs.is_some()
            && state.failure.is_none(),
        by_learner: state.by_learner,
        changes: preview.map(|preview| preview.changes.clone()).unwrap_or_default(),
        az: preview.and_then(|preview| preview.az.clone()),
        grants: state.grants.clone(),
        began: times.began,
        ended: times.ended,
        worked_ms: times.worked_ms,
        retries: times.retries,
        again: times.again,
        evidence: state.evidence.clone(),
        proven_at: times.proven,
        judged: Vec::new(),
        lesson: state.lesson.clone(),
        quiz: None,
        hints: state.hints,
        fault: state.failure.as_ref().map(|(stage, failure)| fault(*stage, failure)),
        outputs,
        pictures,
    }
}

/// What the playbook says, as the learner read it.
fn authored(report: &mut StepReport, step: &Step, known: Option<&StepState>, scope: &sealbook_model::expr::Scope) {
    let out = report.outputs.clone();
    let after = scope.with_out(&out);
    report.title.clone_from(&step.title);
    report.what = told(&step.text.what, scope);
    report.why = told(&step.text.why, scope);
    if report.proven {
        report.proved = told(&step.text.proved, &after);
    }
    report.guest |= matches!(step.place, Place::Guest { .. });
    report.plugin.get_or_insert_with(|| step.plugin.to_string());
    let answered = known.and_then(|known| known.quiz);
    report.quiz = step.quiz.as_ref().zip(answered).map(|(quiz, answered)| Quiz {
        ask: told(&quiz.ask, &after),
        options: quiz.options.iter().map(|option| told(option, &after)).collect(),
        answer: quiz.answer,
        choice: answered.choice,
        why: told(&quiz.why, &after),
    });
}

fn fault(stage: Stage, failure: &Failure) -> Fault {
    let fix = match &failure.error {
        StepError::Precondition { fix, .. } => Some(fix.clone()),
        StepError::Denied { line, .. } if !line.is_empty() => Some(line.clone()),
        _ => None,
    };
    Fault { stage, message: failure.to_string(), fix }
}

/// The pictures that outputs name.
fn collect(value: &Value, found: &mut Vec<Picture>) {
    match value {
        Value::String(text) => {
            let name = text.strip_prefix("artifact:").and_then(|path| path.rsplit('/').next());
            if let Some(name) = name.filter(|name| name.ends_with(".svg") || name.ends_with(".png"))
                && !found.iter().any(|picture| picture.artifact == *text)
            {
                found.push(Picture { artifact: text.clone(), name: name.to_owned() });
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(members) => members.values().for_each(|member| collect(member, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pictures_are_named_by_outputs() {
        let mut found = Vec::new();
        let outputs = json!({
            "a": "artifact:train/curve.svg", "again": ["artifact:train/curve.svg", { "b": "artifact:train/matrix.png" }],
            "no": "curve.svg", "not": "artifact:train/model.bin", "nor": "secret:x.svg",
        });
        collect(&outputs, &mut found);
        let names: Vec<_> = found.iter().map(|p| (p.artifact.as_str(), p.name.as_str())).collect();
        assert_eq!(names, [("artifact:train/curve.svg", "curve.svg"), ("artifact:train/matrix.png", "matrix.png")]);
    }
}
