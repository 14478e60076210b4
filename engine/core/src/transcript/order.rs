//! Whether records can follow each other in this order: what no engine records is no run.

use std::collections::BTreeSet;

use sealbook_model::id::StepPath;
use sealbook_model::journal::{Entry, Goal, Record};
use sealbook_model::plugin::PluginRef;

/// What the records so far allow.
#[derive(Default)]
pub(super) struct Order {
    records: u64,
    attempts: u32,
    /// The attempt at work: which way it goes, and its generation.
    open: Option<(Goal, u32)>,
    undo: bool,
    pinned: BTreeSet<PluginRef>,
    started: BTreeSet<StepPath>,
    intended: BTreeSet<(StepPath, u32, String)>,
}

impl Order {
    /// Takes the next record.
    ///
    /// # Errors
    /// Why it can't follow the ones before.
    pub(super) fn take(&mut self, entry: &Entry) -> Result<(), String> {
        self.records += 1;
        let n = self.records;
        if entry.seq != n {
            return Err(format!("record {n} says that it is record {}", entry.seq));
        }
        self.follow(&entry.record).map_err(|why| format!("record {n} ({}): {why}", entry.record.name()))
    }

    fn follow(&mut self, record: &Record) -> Result<(), String> {
        match record {
            Record::RunStarted(started) => {
                self.pinned = started.plugins.keys().cloned().collect();
                demand(self.records == 1, "only the first record begins a run")
            }
            _ if self.records == 1 => Err("a run begins with run-started".into()),
            Record::ConsentGiven(_) | Record::PromptAnswered { .. } | Record::HintShown { .. } => Ok(()),
            Record::AttemptStarted { attempt, goal, generation, .. } => {
                demand(*attempt == self.attempts.saturating_add(1), "attempts are counted one by one")?;
                demand((*goal == Goal::Run) == (*generation == 0), "forward is generation 0, and only forward")?;
                self.attempts = *attempt;
                self.open = Some((*goal, *generation));
                Ok(())
            }
            record => match self.open {
                Some((goal, generation)) => self.within(record, goal, generation),
                None => Err("no attempt is at work".into()),
            },
        }
    }

    /// A record of the attempt at work.
    fn within(&mut self, record: &Record, goal: Goal, generation: u32) -> Result<(), String> {
        let forward = || demand(goal == Goal::Run, "the attempt goes back");
        let back = || demand(goal == Goal::Undo, "the attempt goes forward");
        match record {
            Record::StepStarted(started) => {
                forward()?;
                demand(self.pinned.contains(&started.plugin), "its plugin is not one that the run began with")?;
                self.started.insert(started.step.clone());
            }
            Record::StepChecked { step, .. }
            | Record::LessonSeen { step, .. }
            | Record::StepAgain { step, .. }
            | Record::StepSucceeded { step, .. }
            | Record::QuizAnswered { step, .. }
            | Record::PausePassed { step }
            | Record::HandsOnDone { step, .. } => {
                forward()?;
                self.begun(step)?;
            }
            Record::RetryWaited { step, .. } => self.begun(step)?,
            // A step or a part may be skipped, or fail by its inputs, before it begins.
            Record::StepSkipped { .. } | Record::StepFailed { .. } => forward()?,
            Record::EffectIntended { step, generation: of, intent } => {
                self.begun(step)?;
                demand(*of == generation, "its generation is not the attempt's")?;
                self.intended.insert((step.clone(), *of, intent.name.clone()));
            }
            Record::EffectAccepted { step, generation: of, name, .. }
            | Record::EffectCompleted { step, generation: of, name, .. } => {
                demand(*of == generation, "its generation is not the attempt's")?;
                let intended = self.intended.contains(&(step.clone(), *of, name.clone()));
                demand(intended, "nobody had recorded the intent")?;
            }
            Record::UndoStarted { generation: of } => {
                back()?;
                demand(*of == generation, "its generation is not the attempt's")?;
                self.undo = true;
            }
            Record::UndoStepDone { step, .. } | Record::UndoStepFailed { step, .. } => {
                back()?;
                demand(self.undo, "no undo had begun")?;
                self.begun(step)?;
            }
            Record::UndoFinished { .. } => {
                back()?;
                demand(self.undo, "no undo had begun")?;
                self.open = None;
            }
            Record::RunFinished { .. } => {
                forward()?;
                self.open = None;
            }
            Record::RunInterrupted => self.open = None,
            // They need no attempt.
            Record::RunStarted(_)
            | Record::ConsentGiven(_)
            | Record::PromptAnswered { .. }
            | Record::HintShown { .. }
            | Record::AttemptStarted { .. } => {}
        }
        Ok(())
    }

    fn begun(&self, step: &StepPath) -> Result<(), String> {
        demand(self.started.contains(step), "its step had not begun")
    }
}

fn demand(holds: bool, why: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why.to_owned()) }
}
