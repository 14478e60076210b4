//! Whole playbooks on the embedded Azure: to the end, through every fault, across upgrades and between processes.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod faults;
#[cfg(unix)]
mod forms;
#[cfg(target_os = "linux")]
mod guest;
mod runs;
mod sharing;
#[path = "../support/mod.rs"]
mod support;
mod variants;
