//! The command line as its users see it: words, streams, exit codes, and a person at a terminal.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod attest;
#[cfg(target_os = "linux")]
mod guest;
mod guest_steps;
#[cfg(unix)]
mod hands_on;
#[cfg(target_os = "linux")]
mod machines;
#[path = "../evidence/made.rs"]
mod made;
mod policy;
mod problems;
mod report;
#[cfg(unix)]
mod resume;
mod sealed;
#[path = "../support/mod.rs"]
mod support;
mod words;
