//! The command line as its users see it: words, streams, exit codes, and a person at a terminal.

#[cfg(unix)]
mod hands_on;
mod words;
#[path = "../support/mod.rs"]
mod support;
