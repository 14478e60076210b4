//! Playbooks: from files to a program of steps.
//!
//! The stages are modules of their own: [`Bundle`] (the files) → `authored` (what is written, by shape) → `checked`
//! (each step by itself: names, templates, grants, texts) → `resolved` (steps among each other: references, order,
//! plugins' schemas, grants that cover asks) → [`Lab`]. Every stage goes on after a problem, so that an author sees
//! all of them at once.

mod authored;
mod bundle;
mod checked;
mod compile;
mod frames;
mod lab;
mod resolved;
mod step;
#[cfg(test)]
mod tests;
mod versioned;

pub use authored::{part_schema, schema};
pub use bundle::Bundle;
pub use compile::compile;
pub use frames::Scopes;
pub use lab::{Answers, Choice, ChoiceOption, Enter, Lab, Leave, Minutes, Node, Price, matching_leave};
pub use step::{Expect, Lesson, LessonKind, Place, Quiz, Refusal, Step, Text};
