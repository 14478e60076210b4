//! When things happened, from the times of the records.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sealbook_model::id::StepPath;
use sealbook_model::journal::{End, Entry, Goal, Record};
use serde::Serialize;

/// One attempt at a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attempt {
    /// Its number, from 1.
    pub number: u32,
    /// Which way it went.
    pub goal: Goal,
    /// When it began.
    pub began: DateTime<Utc>,
    /// How it ended: `succeeded`, `failed`, `interrupted`, `undone` or `undo-incomplete`; none: it is at work, or its
    /// process died.
    pub end: Option<&'static str>,
    /// From its beginning to its last record, in milliseconds.
    pub worked_ms: u64,
}

/// A wait before another try.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Retry {
    /// When it was over.
    pub at: DateTime<Utc>,
    /// What was in the way.
    pub why: String,
    /// How long it waited, in milliseconds.
    pub millis: u64,
}

/// A step that ran again, since what it had made was in memory only.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Again {
    /// When it began to.
    pub at: DateTime<Utc>,
    /// Why.
    pub why: String,
}

/// When a step was worked on, on the way forward.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Times {
    pub(super) began: Option<DateTime<Utc>>,
    pub(super) ended: Option<DateTime<Utc>>,
    pub(super) worked_ms: u64,
    pub(super) retries: Vec<Retry>,
    pub(super) again: Vec<Again>,
    /// When it last had its verdict.
    pub(super) proven: Option<DateTime<Utc>>,
}

/// The attempts of a journal.
pub(super) fn attempts(entries: &[Entry]) -> Vec<Attempt> {
    let mut attempts: Vec<Attempt> = Vec::new();
    for entry in entries {
        if let Record::AttemptStarted { attempt, goal, .. } = entry.record {
            attempts.push(Attempt { number: attempt, goal, began: entry.at, end: None, worked_ms: 0 });
            continue;
        }
        let Some(attempt) = attempts.last_mut().filter(|attempt| attempt.end.is_none()) else { continue };
        attempt.end = match &entry.record {
            Record::RunFinished { end: End::Succeeded, .. } => Some("succeeded"),
            Record::RunFinished { end: End::Failed, .. } => Some("failed"),
            Record::RunInterrupted => Some("interrupted"),
            Record::UndoFinished { complete: true, .. } => Some("undone"),
            Record::UndoFinished { complete: false, .. } => Some("undo-incomplete"),
            // Hints may be asked for between attempts.
            Record::HintShown { .. } => continue,
            _ => None,
        };
        attempt.worked_ms = millis(attempt.began, entry.at);
    }
    attempts
}

/// When each step was worked on. Time between attempts does not count.
pub(super) fn steps(entries: &[Entry]) -> BTreeMap<StepPath, Times> {
    let mut all: BTreeMap<StepPath, Times> = BTreeMap::new();
    let mut forward = true;
    // The step at work, and when its part of this attempt began.
    let mut open: Option<(StepPath, DateTime<Utc>)> = None;
    let mut last = None;
    for entry in entries {
        let before = last.replace(entry.at);
        if let Record::AttemptStarted { goal, .. } = entry.record {
            (forward, open) = (goal == Goal::Run, None);
        }
        let Some(step) = entry.record.step().filter(|_| forward) else { continue };
        if matches!(entry.record, Record::HintShown { .. } | Record::StepSkipped { .. }) {
            continue;
        }
        let since = match &open {
            Some((at_work, since)) if at_work == step => *since,
            // What came before it was another step, or the beginning of the attempt.
            _ if all.contains_key(step) => before.unwrap_or(entry.at),
            _ => entry.at,
        };
        let times = all.entry(step.clone()).or_default();
        times.began.get_or_insert(entry.at);
        if let Record::RetryWaited { why, millis, .. } = &entry.record {
            times.retries.push(Retry { at: entry.at, why: why.clone(), millis: *millis });
        }
        if let Record::StepSucceeded { .. } = &entry.record {
            times.proven = Some(entry.at);
        }
        if let Record::StepAgain { why, .. } = &entry.record {
            times.again.push(Again { at: entry.at, why: why.clone() });
        }
        // Questions come after the verdict: the learner's time is not the step's.
        if !matches!(entry.record, Record::QuizAnswered { .. } | Record::PausePassed { .. }) {
            times.ended = Some(entry.at);
            times.worked_ms = times.worked_ms.saturating_add(millis(since, entry.at));
            open = Some((step.clone(), entry.at));
        }
    }
    all
}

fn millis(from: DateTime<Utc>, to: DateTime<Utc>) -> u64 {
    u64::try_from((to - from).num_milliseconds()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;

    use super::*;

    fn entries(rows: &[(i64, Record)]) -> Vec<Entry> {
        let at = |seconds| Utc.timestamp_opt(1_700_000_000 + seconds, 0).unwrap();
        (1..).zip(rows).map(|(seq, (s, record))| Entry { seq, at: at(*s), record: record.clone() }).collect()
    }

    fn attempt(attempt: u32, goal: Goal) -> Record {
        Record::AttemptStarted { attempt, goal, generation: u32::from(goal == Goal::Undo), pid: 1 }
    }

    fn lesson(step: &str) -> Record {
        Record::LessonSeen { step: step.parse().unwrap(), detail: "403".into() }
    }

    fn retry(step: &str) -> Record {
        Record::RetryWaited { step: step.parse().unwrap(), why: "429".into(), millis: 500, retry: 1 }
    }

    #[test]
    fn attempts_end_as_they_ended_and_pauses_between_them_do_not_count() {
        let attempts = attempts(&entries(&[
            (0, attempt(1, Goal::Run)),
            (4, lesson("a")),
            // Killed; taken up the next day.
            (86_400, attempt(2, Goal::Run)),
            (86_403, Record::RunFinished { end: End::Failed, outputs: serde_json::Value::Null }),
            (90_000, Record::HintShown { step: "a".parse().unwrap(), tier: 1 }),
            (99_000, attempt(3, Goal::Undo)),
            (99_001, Record::UndoFinished { generation: 1, complete: false }),
        ]));
        let told: Vec<_> = attempts.iter().map(|a| (a.number, a.end, a.worked_ms)).collect();
        assert_eq!(told, [(1, None, 4000), (2, Some("failed"), 3000), (3, Some("undo-incomplete"), 1000)]);
    }

    #[test]
    fn the_time_of_a_step_is_the_time_that_was_spent_on_it() {
        let answered = Record::QuizAnswered { step: "a".parse().unwrap(), choice: Some(0), right: true };
        let times = steps(&entries(&[
            (0, attempt(1, Goal::Run)),
            (1, lesson("a")),
            (3, retry("a")),
            (1000, attempt(2, Goal::Run)),
            (1002, lesson("a")),
            (1500, answered),
            (1501, lesson("b")),
            (1504, lesson("b")),
            (9000, attempt(3, Goal::Undo)),
            (9999, retry("b")),
        ]));
        let told: Vec<_> = times.values().map(|t| (t.worked_ms, t.retries.len())).collect();
        // What went on after the attempt was taken up counts from there.
        assert_eq!(told, [(4000, 1), (3000, 0)]);
    }
}
