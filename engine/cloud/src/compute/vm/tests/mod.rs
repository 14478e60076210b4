//! Virtual machines, seen from outside.

mod images;
mod commands;
pub(crate) mod kit;
mod lives;
mod rules;
