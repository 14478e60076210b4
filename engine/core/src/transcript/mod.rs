//! Transcripts: what a home recorded of a run, in one text that anybody can check without the home.
//!
//! Format version 1 is NDJSON in UTF-8. The first line is the [`Head`]; as many lines with records follow as it says,
//! then as many with signatures:
//!
//! ```text
//! {"sealbook-transcript":1,"journal":1,"home":…,"public":…,"run":…,"playbook":…,"plugins":{…},"records":2,"signatures":1}
//! {"hash":"<64 hex digits>","entry":{"seq":1,…}}
//! {"hash":"<64 hex digits>","entry":{"seq":2,…}}
//! {"seq":2,"hash":…,"public":…,"signature":…}
//! ```
//!
//! A record's line is framed to the byte: what stands between `"entry":` and the last brace is the text that the chain
//! of hashes covers, so a tool that lays the JSON out anew breaks it. Secrets are in it as they are in the journal,
//! sealed with a key that never leaves the home; they need not be opened for the chain to be checked.
//!
//! A transcript shows what this home recorded, no more: the home could have recorded something else. What a step proved
//! by evidence that others signed is therefore judged again, from the documents in its outputs.

mod evidence;
mod order;
mod read;
#[cfg(test)]
mod tests;
mod verify;
mod write;

use std::collections::BTreeMap;

use sealbook_model::id::{Digest, RunId};
use sealbook_model::plugin::PluginRef;
use serde::{Deserialize, Serialize};

pub use evidence::Judged;
pub(crate) use evidence::{judged, needs_roots};
pub use verify::verify;
pub use write::Transcript;

/// Version of the format that this engine writes, and the only one it reads.
pub const FORMAT: u32 = 1;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Version of the format.
    #[serde(rename = "sealbook-transcript")]
    pub format: u32,
    /// Version of the journal's records.
    pub journal: u32,
    /// The home that recorded the run: the first 8 bytes of SHA-256 over its public key, in hex.
    pub home: String,
    /// The home's public key (Ed25519), in hex.
    #[serde(with = "hex_text")]
    pub public: Vec<u8>,
    /// The run.
    pub run: RunId,
    /// Digest of the playbook with its parts and texts.
    pub playbook: Digest,
    /// Digests of the components that the run may use.
    pub plugins: BTreeMap<PluginRef, Digest>,
    /// Number of records.
    pub records: u64,
    /// Number of signatures.
    pub signatures: u64,
    /// The test roots of the embedded Azure that the run was on, where it has evidence that they vouch for: PEM, as
    /// [`sealbook_attestation::Roots`] reads it. The chain does not cover them, and no other roots may stand here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roots: Option<String>,
}

/// A signature's line: this home recorded the chain up to here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SealLine {
    seq: u64,
    #[serde(with = "hex_text")]
    hash: Vec<u8>,
    #[serde(with = "hex_text")]
    public: Vec<u8>,
    #[serde(with = "hex_text")]
    signature: Vec<u8>,
}

/// What stands before a record's hash, between it and the record, and after the record.
const FRAME: [&str; 3] = ["{\"hash\":\"", "\",\"entry\":", "}"];

/// Bytes as hex digits.
mod hex_text {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&hex::encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        hex::decode(String::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}
