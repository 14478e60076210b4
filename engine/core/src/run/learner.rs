//! The person in front of the run, as the run loop sees him.

use async_trait::async_trait;
use sealbook_model::id::StepPath;
use serde::Serialize;

/// Answers the run loop's questions. The command line implements it; tests use a script.
///
/// Every method may take as long as it likes: nothing is in flight meanwhile. On Ctrl-C the loop stops waiting for the
/// answer, so an implementation must not mind being dropped.
#[async_trait]
pub trait Learner: Send + Sync {
    /// Asks him to do a step himself.
    async fn by_hand(&self, task: &ByHand) -> HandsOn;
    /// Asks a question about what was just done. None: passed over.
    async fn quiz(&self, quiz: &QuizAsk) -> Option<usize>;
    /// Tells how he did, and why the right answer is right.
    async fn quiz_answered(&self, quiz: &QuizAsk, choice: Option<usize>);
    /// Shows what to look at after a step, and waits. False: stop here.
    async fn pause(&self, pause: &PauseAsk) -> bool;
    /// Shows a hint that he asked for. None: there are no more.
    async fn hint(&self, step: &StepPath, hint: Option<&Hint>);
}

/// What the learner says to a step that is his to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandsOn {
    /// It is done: look.
    Done,
    /// He wants a hint.
    Hint,
    /// The engine shall do it.
    DoItForMe,
    /// Enough for now.
    Stop,
}

/// A step that the learner is to do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ByHand {
    /// Which step.
    pub step: StepPath,
    /// Its title.
    pub title: String,
    /// What a person would type.
    pub by_hand: String,
    /// How often he has said "done" so far.
    pub tried: u32,
    /// What was still missing the last time.
    pub missing: Vec<String>,
    /// Number of hints there are.
    pub hints: u32,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QuizAsk {
    /// Whose.
    pub step: StepPath,
    /// The question.
    pub ask: String,
    /// The answers to choose from.
    pub options: Vec<String>,
    /// The right one, from 0.
    pub answer: usize,
    /// Why it is right.
    pub why: String,
}

/// A place to stop and read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PauseAsk {
    /// After which step.
    pub step: StepPath,
    /// Its title.
    pub title: String,
    /// What to look at before going on.
    pub text: String,
}

/// One tier of help.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hint {
    /// For which step.
    pub step: StepPath,
    /// Which tier, from 1.
    pub tier: u32,
    /// Of how many.
    pub of: u32,
    /// The help.
    pub text: String,
}
