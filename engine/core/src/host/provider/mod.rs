//! Capabilities, one file per interface of `wit/`: each sees only what it needs of the store.

mod artifacts;
mod attestation;
mod azure;
mod blob;
mod crypto;
mod directory;
mod hsm;
mod keyvault;
mod log;
mod ownership;
mod progress;
mod seat;

pub(crate) use artifacts::HasArtifacts;
pub(crate) use attestation::HasAttestation;
pub(crate) use azure::HasAzure;
pub(crate) use blob::HasBlob;
pub(crate) use crypto::HasCrypto;
pub(crate) use directory::HasDirectory;
pub(crate) use hsm::HasHsm;
pub(crate) use keyvault::HasKeyvault;
pub(crate) use log::{HasLog, Lines};
pub(crate) use ownership::HasOwnership;
pub(crate) use progress::{HasProgress, Steps};
pub(crate) use seat::{HasTypes, Reported};
