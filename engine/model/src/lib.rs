#![doc = env!("CARGO_PKG_DESCRIPTION")]

mod cloud;
pub mod codes;
mod document;
pub mod export;
pub mod expr;
pub mod grant;
pub mod id;
pub mod inputs;
pub mod journal;
pub mod plan;
pub mod playbook;
pub mod plugin;
pub mod policy;
pub mod problem;

pub use cloud::CloudName;
