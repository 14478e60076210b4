//! Virtual machines, seen from outside.

mod images;
mod kit;
mod lives;
mod rules;
