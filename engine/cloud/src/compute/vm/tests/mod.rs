//! Virtual machines, seen from outside.

mod commands;
mod images;
pub(crate) mod kit;
mod lives;
mod rules;
