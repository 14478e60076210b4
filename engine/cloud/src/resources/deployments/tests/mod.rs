//! Deployments, seen from outside.

mod failures;
mod kit;
mod limits;
mod made;
