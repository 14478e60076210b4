//! What a run remembers: records, and the pure fold that turns them into the run's state.
//!
//! A journal is a list of [`Entry`]; nothing else decides what a run did. [`RunState::fold`] is total: it takes every
//! prefix of every list, since a run may be killed after any record. Records are version [`FORMAT`] of the on-disk
//! format; a change that an older engine would misread raises it.

mod by_hand;
mod facts;
mod guest;
mod record;
mod state;

pub use facts::{
    AzureCause, Cost, Evidence, Failure, Intent, Leftover, Operation, Outcome, Ownership, Preview, StepError,
};
pub use guest::GuestAt;
pub use record::{
    Consent, End, Entry, FORMAT, Finding, Goal, Mode, Pinned, Record, RunStarted, Sealed, Stage, StepStarted,
};
pub use state::{Ended, Phase, QuizAnswer, RunState, StepState, UndoState};

#[cfg(test)]
mod tests;
