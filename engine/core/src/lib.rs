#![doc = env!("CARGO_PKG_DESCRIPTION")]

pub mod event;
mod files;
pub mod guest;
pub mod home;
pub mod host;
pub mod journal;
mod references;
pub mod run;
pub mod step;
pub mod tee;
pub mod transcript;
