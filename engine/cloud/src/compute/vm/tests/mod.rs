//! Virtual machines, seen from outside.

mod images;
pub(in crate::compute) mod kit;
mod lives;
mod rules;
