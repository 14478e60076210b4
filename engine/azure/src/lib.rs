#![doc = env!("CARGO_PKG_DESCRIPTION")]
//!
//! One client for both clouds: it speaks Azure's protocols to Azure's host names through `azure_identity`,
//! `azure_security_keyvault_keys`, `azure_storage_blob` and, for Resource Manager (which has no Rust crate), through
//! `azure_core`'s own pipeline. Only the [`Transport`] and the [`Credential`] differ between Azure and whoever stands
//! in for it.
//!
//! What is special here: requests that change something are never repeated behind the caller's back once they may have
//! arrived ([`AzureError::outcome_unknown`]), waiting for long operations is left to the caller and survives restarts
//! ([`Follow`]), and tokens go to no host but the one they are for.

mod account;
mod arm;
mod attestation;
mod azure;
mod blobs;
mod credential;
mod directory;
mod error;
mod exchange;
mod guard;
mod hsm;
mod keys;
mod retry;
mod transport;

pub use account::Account;
pub use arm::{Answer, Arm, Follow, Polled, Style, Verb, api};
pub use attestation::Attestations;
pub use azure::{Azure, Clock, Settings};
pub use blobs::{Blobs, Content, Pieces, Source};
pub use credential::Credential;
pub use directory::Directory;
pub use error::{AzureError, Kind};
pub use hsm::{Hsms, Transfer};
pub use keys::Keys;
pub use retry::RetryRules;
pub use transport::{HttpSend, Transport, TransportError};
