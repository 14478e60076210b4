//! What runs inside a confidential VM.
//!
//! - [`hardware`]: where the machine's TPM and event log are
//! - [`tpm`]: the commands that attestation and key release need
//! - [`collect`]: everything the machine can prove of itself, in one piece
//! - [`release`]: attestation by Microsoft Azure Attestation, and keys that are released for it
//! - [`agent`]: takes jobs out of the mailbox and runs them
//!
//! The same code runs on Azure, where the TPM is `/dev/tpmrm0`, and on the embedded Azure, where it is behind the
//! machine's door: both speak TPM 2.0.

pub mod agent;
pub mod collect;
pub mod hardware;
mod ledger;
pub mod release;
mod script;
pub mod tpm;

pub use release::Release;
pub use script::{BadParameters, Parameters, is_mailbox};
