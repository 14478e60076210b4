//! The component host: runs plugins in sandboxes of their own and lends them capabilities.
//!
//! One [`Runtime`] per process compiles components ahead of time and owns the wasmtime engine; one [`PluginHost`]
//! answers the run loop's calls. Every call gets a fresh store with limits of its own ([`limits`]), an inert WASI
//! ([`wasi`]) and only those interfaces that the plugin asked for *and* the playbook granted ([`link`]). What a
//! plugin wants done in Azure goes through [`effect`], which journals before it acts, and [`reconcile`], which knows
//! for each kind of effect how a run recognises its own work.
//!
//! Nothing outside this module names wasmtime.

mod address;
mod artifact;
mod bindings;
mod cache;
mod call;
mod canonical;
mod convert;
mod desk;
mod effect;
mod engine;
mod failure;
mod fault;
mod handle;
mod limits;
mod link;
mod marks;
mod pair;
mod provider;
mod reconcile;
mod screen;
mod sealing;
mod text;
mod wasi;

pub(crate) use artifact::Shelf;
pub use artifact::{ArtifactStore, Memory};
pub use call::{HostSettings, Judge, PluginHost};
pub use engine::{Components, Runtime, RuntimeSettings};
pub(crate) use failure::of as refused;
pub use limits::Ceilings;
pub use reconcile::{Knows, Row, TABLE, standing};
pub(crate) use text::one_line;
