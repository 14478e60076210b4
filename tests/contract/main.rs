//! The contract between host and plugins, judged with real components: what a plugin may do works and is journaled,
//! and what it may not do ends the call with a problem code, leaves the host unharmed, and the next call works.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "what fails in a test is to fail the test")]

mod capabilities;
mod effects;
mod gated;
mod links;
mod rogues;
mod support;
