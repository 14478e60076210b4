//! Volumes: the content of managed disks and snapshots, encrypted at rest under a data key of each volume's own, and
//! the endpoint at which it can be read and written with a shared access signature.
//!
//! - `rows`: the tables
//! - `content`: sparse, encrypted chunks
//! - `image`: what the content of a platform image says
//! - `vhd`: the footer that makes the content a virtual hard disk
//! - `grant`: shared access signatures
//! - `service`, `pages`: the endpoint `md-….z….blob.storage.azure.net`

mod content;
mod grant;
pub(super) mod image;
mod pages;
mod rows;
mod service;
mod vhd;

pub(super) use content::Content;
pub(super) use grant::{Grant, Right};
pub(super) use rows::{SCHEMA, Volume, by_owner, by_resource, create, delete};
pub(super) use service::Endpoint;
