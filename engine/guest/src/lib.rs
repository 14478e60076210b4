#![doc = env!("CARGO_PKG_DESCRIPTION")]
//!
//! A confidential virtual machine is reached as Azure lets one be reached: by run command, which starts the agent
//! ([`SCRIPT`]), and from inside, where the agent speaks to Azure with the machine's own identity ([`agent`]). Nothing
//! else goes in or out.

pub mod agent;
mod script;

pub use script::{BadParameters, DIGEST, MAILBOX, Parameters, SCRIPT, stdout};
