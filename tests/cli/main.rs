//! The command line as its users see it: words, streams, exit codes, and a person at a terminal.

#[cfg(unix)]
mod hands_on;
#[path = "../support/mod.rs"]
mod support;
mod words;
