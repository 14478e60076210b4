//! Whole playbooks on the embedded Azure: to the end, through every fault, across upgrades and between processes.

mod faults;
mod runs;
mod sharing;
#[path = "../support/mod.rs"]
mod support;
