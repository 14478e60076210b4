//! Deployments, seen from outside.

mod failures;
mod kit;
mod made;
