//! Steps that run inside a confidential VM.
//!
//! A guest step is the same component, byte for byte, with the same inputs and the same gate; another process calls it,
//! on another machine. What goes there and comes back travels as Azure lets it: VM run-command starts the guest's agent
//! ([`SCRIPT`]), and jobs and replies lie in a blob container that both sides reach with identities of their own
//! ([`protocol`]). [`Guests`] is this machine's side; `sealbook-guest` is the other.

pub mod protocol;
mod remote;
mod script;

pub use remote::{GuestSettings, Guests};
pub use script::{DIGEST, MAILBOX, SCRIPT, SIGNER, Started, stdout};
