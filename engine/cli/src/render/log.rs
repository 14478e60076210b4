//! A journal's records as lines.

use sealbook_model::journal::{Entry, Finding, Record};

use super::text::{safe, span};

/// One record as one line: number, time, type, step, what is worth saying.
pub fn entry(entry: &Entry) -> String {
    let record = &entry.record;
    let step = record.step().map_or_else(|| "-".to_owned(), ToString::to_string);
    let text = format!(
        "{:>5}  {}  {:<17} {step:<24} {}",
        entry.seq,
        entry.at.format("%Y-%m-%d %H:%M:%S%.3f"),
        record.name(),
        safe(&detail(record))
    );
    text.trim_end().replace('\n', " ")
}

fn detail(record: &Record) -> String {
    match record {
        Record::RunStarted(s) => format!("{} on the {} cloud, bundle {}", s.playbook, s.context.cloud, s.bundle),
        Record::ConsentGiven(c) => format!("{}: {}", c.subject, c.text),
        Record::PromptAnswered { input, .. } => input.clone(),
        Record::AttemptStarted { attempt, generation, pid, .. } => {
            format!("attempt {attempt}, generation {generation}, process {pid}")
        }
        Record::StepStarted(s) => s.plugin.to_string(),
        Record::StepChecked { finding: Finding::Satisfied { .. }, .. } => "satisfied".into(),
        Record::StepChecked { finding: Finding::Needed(preview), .. } => {
            format!("needed: {}", preview.changes.join("; "))
        }
        Record::EffectIntended { intent, .. } => format!("{} {} {}", intent.name, intent.kind, intent.target),
        Record::EffectAccepted { name, .. } => format!("{name}: Azure works on it"),
        Record::EffectCompleted { name, outcome, .. } => format!("{name}: {:?}", outcome.ownership).to_lowercase(),
        Record::LessonSeen { detail, .. } => detail.clone(),
        Record::StepSucceeded { evidence, .. } => format!("{} checks", evidence.len()),
        Record::StepAgain { why, .. } => why.clone(),
        Record::StepFailed { failure, retries, .. } => format!("{failure} (after {retries} retries)"),
        Record::RetryWaited { why, millis, .. } => {
            format!("{} for: {why}", span(std::time::Duration::from_millis(*millis)))
        }
        Record::QuizAnswered { choice: None, .. } => "passed over".into(),
        Record::QuizAnswered { right, .. } => if *right { "right" } else { "not right" }.into(),
        Record::HintShown { tier, .. } => format!("tier {tier}"),
        Record::HandsOnDone { by_learner, .. } => if *by_learner { "by the learner" } else { "by Sealbook" }.into(),
        Record::UndoStarted { generation } => format!("generation {generation}"),
        Record::UndoStepDone { leftovers, .. } => {
            leftovers.iter().map(|l| format!("stays: {}", l.what)).collect::<Vec<_>>().join("; ")
        }
        Record::UndoStepFailed { failure, .. } => failure.to_string(),
        Record::UndoFinished { complete, .. } => if *complete { "complete" } else { "not complete" }.into(),
        Record::RunFinished { end, .. } => format!("{end:?}").to_lowercase(),
        _ => String::new(),
    }
}
