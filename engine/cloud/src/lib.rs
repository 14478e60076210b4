#![doc = env!("CARGO_PKG_DESCRIPTION")]
//!
//! Start with [`Cloud`]: it answers HTTP requests to Azure's own host names out of one SQLite file. A request is one
//! transaction (`dispatch`); what can be asked is described by operation tables (`operation`), one folder per provider
//! (`registry`).

mod arm;
mod attestation;
mod audit;
mod authorization;
mod cloud;
mod cognitive;
mod compute;
mod config;
mod containerservice;
mod cx;
mod dispatch;
mod encryption;
mod entra;
mod fault;
pub mod front;
mod http;
mod identity;
mod insights;
mod inventory;
mod keyvault;
mod loganalytics;
mod lro;
mod managedidentity;
mod network;
mod odata;
mod opening;
mod operation;
mod ports;
mod refusal;
mod registry;
mod resource_id;
mod resources;
mod room;
mod rules;
mod seed;
mod service;
mod storage;
mod store;
mod tee;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod time;

pub use cloud::{Cloud, Dropped, MachineIdentities, Offered, Unreached};
pub use config::{CloudConfig, CloudError, Wall};
pub use fault::{Fault, FaultKind};
pub use inventory::Item;
pub use keyvault::hsm::billing::HsmBill;
pub use room::{Machine, MachineRoom, NotUnderstood, Output};
pub use seed::Seed;
pub use store::log::LoggedRequest;
pub use tee::{Tee, TeeError};
