//! The command line as its users see it: words, streams, exit codes, and a person at a terminal.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod attest;
#[cfg(unix)]
mod hands_on;
#[path = "../evidence/made.rs"]
mod made;
mod problems;
#[cfg(unix)]
mod resume;
#[path = "../support/mod.rs"]
mod support;
mod words;
