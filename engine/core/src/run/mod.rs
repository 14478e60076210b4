//! Runs: start, resume, undo, verify.
//!
//! [`Engine`] does things to runs and needs a [`Host`](crate::step::Host); [`Runs`] only looks at them. Whatever an
//! engine does is recorded before and after ([`crate::journal`]), so that a process may die at any instant and the next
//! one goes on where it stopped.
//!
//! The way forward (`forward`) walks the flattened playbook; one step (`attempt`) is check, apply, verdicts, verify,
//! lesson. The way back (`back`) needs the journal alone.

mod attempt;
mod back;
mod engine;
mod failure;
mod forward;
mod hands_on;
mod learner;
mod ledger;
mod lesson;
pub mod report;
mod request;
mod retry;
mod runs;
mod step_run;
mod summary;
mod verify;
mod volatile;

pub use engine::{Engine, Settings};
pub use learner::{ByHand, HandsOn, Hint, Learner, PauseAsk, QuizAsk};
pub use request::{Plugin, Session, StartRequest};
pub use retry::{Jitter, Pace};
pub use runs::Runs;
pub(crate) use runs::begun;
pub use summary::{Live, RunInfo, RunSummary, Status, StepLine, Verdict};

#[cfg(test)]
mod tests;
