//! Attestation evidence, tokens and release policies.
//!
//! Pure: bytes in, a [`Verdict`] out. Nothing here opens a connection, reads a clock or a file: trust anchors are data,
//! and the instant for which something is judged is an argument. A verdict lists every check that was made, also those
//! that passed, so that a reader sees what a "verified" stands on.

pub mod azure_guest;
pub mod azure_vm;
mod bytes;
pub mod document;
pub mod event_log;
pub mod hcl;
mod https;
mod json;
mod jwk;
mod jws;
mod line;
pub mod maa;
pub mod policy;
pub mod release;
pub mod roots;
#[cfg(test)]
#[path = "../../../tests/support/shared.rs"]
mod shared;
pub mod sniff;
pub mod snp;
pub mod tdx;
#[cfg(test)]
mod testing;
mod time;
pub mod tpm;
mod verdict;
pub mod x509;

pub use json::JsonError;
pub use roots::Roots;
pub use verdict::{Check, Outcome, Verdict};
