//! How records hang together: each hash covers the one before, and the home vouches for the last.

use sealbook_crypto::{Sha256, constant_time_eq, hmac_sha256};
use sealbook_model::id::RunId;

/// A hash in the chain.
pub(crate) type Link = [u8; 32];

/// The hash before the first record: it binds the chain to format, home and run.
pub(crate) fn genesis(format: u32, home: &str, run: &RunId) -> Link {
    hash(&[b"sealbook journal", &format.to_be_bytes(), home.as_bytes(), run.as_str().as_bytes()])
}

/// The hash of record `seq`.
pub(crate) fn link(previous: &Link, seq: u64, json: &str) -> Link {
    hash(&[b"sealbook record", previous, &seq.to_be_bytes(), json.as_bytes()])
}

/// Proves to this home that the journal of `run` ends with record `seq`.
pub(super) fn mac(key: &[u8; 32], run: &RunId, seq: u64, last: &Link) -> Link {
    hmac_sha256(key, &head(run, seq, last))
}

/// Whether a head is the one this home wrote.
pub(super) fn authentic(key: &[u8; 32], run: &RunId, seq: u64, last: &Link, tag: &[u8]) -> bool {
    constant_time_eq(&mac(key, run, seq, last), tag)
}

/// What a head says, for MACs and signatures.
pub(super) fn head(run: &RunId, seq: u64, last: &Link) -> Vec<u8> {
    format!("sealbook head 1\n{run}\n{seq}\n{}\n", hex::encode(last)).into_bytes()
}

fn hash(parts: &[&[u8]]) -> Link {
    let mut hasher = Sha256::new();
    for part in parts {
        // With its length, so that no two lists of parts hash alike.
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finish()
}
