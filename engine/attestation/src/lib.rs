//! Attestation evidence, tokens and release policies.
//!
//! Pure: bytes in, a [`Verdict`] out. Nothing here opens a connection, reads a clock or a file: trust anchors are data,
//! and the instant for which something is judged is an argument. A verdict lists every check that was made, also those
//! that passed, so that a reader sees what a "verified" stands on.

mod https;
mod json;
mod jws;
mod line;
pub mod policy;
pub mod release;
#[cfg(test)]
#[path = "../../../tests/support/shared.rs"]
mod shared;
#[cfg(test)]
mod testing;
mod verdict;

pub use json::JsonError;
pub use verdict::{Check, Outcome, Verdict};
