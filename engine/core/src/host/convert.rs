//! Between the contract's types and the engine's.

use std::time::Duration;

use sealbook_model::plugin::{Description, Limits};
use serde_json::Value;

use super::bindings::exports::sealbook::plugin::step as wit;
use super::bindings::sealbook::plugin::types;
use super::fault::Fault;
use super::text::one_line;
use crate::step::{Checked, Cost, Evidence, Failure, Leftover, Operation, Ownership, Preview, StepError};

/// Longest text that a plugin may hand to the learner in one piece, in bytes.
const TEXT: usize = 4_000;
/// Most entries of a list that a plugin hands over.
const ENTRIES: usize = 1_000;

/// A problem as the guest gets it. What only the host may know stays here.
pub(crate) fn problem(error: &StepError) -> types::Problem {
    match error.clone() {
        StepError::InvalidInput { field, message } => {
            types::Problem::InvalidInput(types::InvalidInput { field, message })
        }
        StepError::Precondition { message, fix } => types::Problem::Precondition(types::Precondition { message, fix }),
        StepError::Denied { capability, scope, line: _ } => types::Problem::Denied(types::Denied { capability, scope }),
        StepError::Conflict { message, candidates } => {
            types::Problem::Conflict(types::Conflict { message, candidates })
        }
        StepError::Transient { message, retry_after } => types::Problem::Transient(types::Transient {
            message,
            retry_after: retry_after.map(|d| u32::try_from(d.as_millis()).unwrap_or(u32::MAX)),
        }),
        StepError::Cancelled => types::Problem::Cancelled,
        StepError::Permanent { message } | StepError::Component { message, .. } => types::Problem::Permanent(message),
    }
}

/// A problem of the plugin's own making.
pub(crate) fn failure(problem: types::Problem) -> Failure {
    let text = |t: String| one_line(&t, TEXT);
    let error = match problem {
        types::Problem::InvalidInput(p) => StepError::InvalidInput { field: text(p.field), message: text(p.message) },
        types::Problem::Precondition(p) => StepError::Precondition { message: text(p.message), fix: text(p.fix) },
        // The host never said this: no line of TOML would change it.
        types::Problem::Denied(p) => {
            StepError::Denied { capability: text(p.capability), scope: text(p.scope), line: String::new() }
        }
        types::Problem::Conflict(p) => StepError::Conflict {
            message: text(p.message),
            candidates: p.candidates.into_iter().take(ENTRIES).map(text).collect(),
        },
        types::Problem::Transient(p) => StepError::Transient {
            message: text(p.message),
            retry_after: p.retry_after.map(|ms| Duration::from_millis(ms.into())),
        },
        types::Problem::Cancelled => StepError::Cancelled,
        types::Problem::Permanent(message) => StepError::Permanent { message: text(message) },
    };
    error.into()
}

/// Reads a JSON document that the guest handed over.
pub(crate) fn json(what: &str, text: &str) -> Result<Value, Fault> {
    serde_json::from_str(text).map_err(|error| Fault::BadAnswer(format!("`{what}` is not JSON: {error}")))
}

pub(crate) fn checked(checked: wit::Checked) -> Result<Checked, Fault> {
    Ok(match checked {
        wit::Checked::Satisfied(outputs) => Checked::Satisfied(json("outputs", &outputs)?),
        wit::Checked::Needed(preview) => Checked::Needed(Preview {
            changes: texts("changes", preview.changes)?,
            before: json("before", &preview.before)?,
            costs: entries("costs", preview.costs)?.into_iter().map(cost).collect::<Result<_, _>>()?,
            leaves: texts("leaves", preview.leaves)?,
            az: preview.az.map(|line| one_line(&line, TEXT)),
        }),
    })
}

pub(crate) fn evidence(evidence: Vec<types::Evidence>) -> Result<Vec<Evidence>, Fault> {
    let one = |e: types::Evidence| Evidence {
        check: one_line(&e.check, TEXT),
        passed: e.passed,
        detail: one_line(&e.detail, TEXT),
    };
    Ok(entries("evidence", evidence)?.into_iter().map(one).collect())
}

pub(crate) fn leftovers(leftovers: Vec<types::Leftover>) -> Result<Vec<Leftover>, Fault> {
    let one = |l: types::Leftover| {
        let until = l.until.map(|t| chrono::DateTime::parse_from_rfc3339(&t).map(|_| t)).transpose();
        Ok(Leftover {
            what: one_line(&l.what, TEXT),
            why: one_line(&l.why, TEXT),
            until: until.map_err(|_| Fault::BadAnswer("`until` of a leftover is no RFC 3339 instant".into()))?,
            usd: amount(l.usd)?,
            usd_per_hour: 0.0,
        })
    };
    entries("leftovers", leftovers)?.into_iter().map(one).collect()
}

pub(crate) fn operations(operations: &[Operation]) -> Vec<wit::Operation> {
    let one = |o: &Operation| wit::Operation {
        name: o.intent.name.clone(),
        kind: o.intent.kind.clone(),
        target: o.intent.target.clone(),
        ownership: match o.outcome.as_ref().map_or(Ownership::Unknown, |outcome| outcome.ownership) {
            Ownership::Ours => wit::Ownership::Ours,
            Ownership::Foreign => wit::Ownership::Foreign,
            Ownership::Unknown => wit::Ownership::Unknown,
        },
        outcome: o.outcome.as_ref().map(|outcome| outcome.result.to_string()),
    };
    operations.iter().map(one).collect()
}

pub(crate) fn description(d: wit::Description) -> Result<Description, Fault> {
    let schema = |what: &str, text: &str| match json(what, text)? {
        schema @ Value::Object(_) => Ok(schema),
        _ => Err(Fault::BadAnswer(format!("`{what}` of the description is no JSON Schema"))),
    };
    let limits = Limits {
        memory_mib: d.limits.memory_mib,
        fuel_millions: d.limits.fuel_millions,
        host_calls: d.limits.host_calls,
    };
    Ok(Description {
        summary: one_line(&d.summary, TEXT),
        inputs: schema("inputs", &d.inputs)?,
        outputs: schema("outputs", &d.outputs)?,
        asks: texts("asks", d.asks)?,
        limits,
    })
}

fn cost(cost: types::Cost) -> Result<Cost, Fault> {
    Ok(Cost {
        item: one_line(&cost.item, TEXT),
        usd_per_hour: amount(cost.usd_per_hour)?,
        usd_after_undo: amount(cost.usd_after_undo)?,
    })
}

/// A cost that is no number could slip past a spending limit.
fn amount(usd: f64) -> Result<f64, Fault> {
    if usd.is_finite() && usd >= 0.0 { Ok(usd) } else { Err(Fault::BadAnswer(format!("{usd} US dollars are no cost"))) }
}

fn texts(what: &str, texts: Vec<String>) -> Result<Vec<String>, Fault> {
    Ok(entries(what, texts)?.iter().map(|t| one_line(t, TEXT)).collect())
}

fn entries<T>(what: &str, list: Vec<T>) -> Result<Vec<T>, Fault> {
    if list.len() > ENTRIES {
        return Err(Fault::TooMuchData(format!("`{what}` has {} entries, {ENTRIES} are allowed", list.len())));
    }
    Ok(list)
}
