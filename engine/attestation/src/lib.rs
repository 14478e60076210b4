//! Attestation evidence, tokens and release policies.
//!
//! Pure: bytes in, a [`Verdict`] out. Nothing here opens a connection, reads a clock or a file: trust anchors are data,
//! and the instant for which something is judged is an argument. A verdict lists every check that was made, also those
//! that passed, so that a reader sees what a "verified" stands on.

mod json;
pub mod policy;
#[cfg(test)]
#[path = "../../../tests/support/shared.rs"]
mod shared;
mod verdict;

pub use json::JsonError;
pub use verdict::{Check, Outcome, Verdict};
