//! The contract's imports, answered by the double. Same names and shapes as the generated bindings.
#![allow(missing_docs, reason = "the contract is documented in wit/")]

pub mod artifacts;
pub mod attestation;
pub mod azure;
pub mod blob;
pub mod crypto;
pub mod keyvault;

use serde_json::Value;

use super::with_world;
use super::world::World;
use crate::bindings::exports::sealbook::plugin::step::Ownership;
use crate::problem::{Problem, Result};

fn parse(text: &str) -> Result<Value> {
    Ok(serde_json::from_str(text)?)
}

/// Refuses to write over a stranger's thing; says whose thing it is afterwards.
fn ownership(w: &World, found: Option<&Value>, target: &str) -> Result<Ownership> {
    match found.map(crate::cx::mark) {
        None => Ok(Ownership::Ours),
        Some(mark) if mark == Some(super::Fake::RUN) => Ok(Ownership::Ours),
        Some(mark) if w.usable(mark) => Ok(Ownership::Foreign),
        Some(_) => Err(Problem::conflict("it stands there without this run's mark", [target])),
    }
}

pub use super::pools::{directory, hsm};

pub mod log {
    #[derive(Debug)]
    pub enum Level {
        Info,
        Warn,
    }

    pub fn write(level: Level, message: &str) {
        super::with_world(|w| w.log.push(format!("{level:?}: {message}")));
    }
}

pub mod progress {
    pub fn report(done: u64, total: Option<u64>, message: &str) {
        let total = total.map_or_else(|| "?".into(), |t| t.to_string());
        super::with_world(|w| w.log.push(format!("{done}/{total} {message}")));
    }
}

pub mod ownership {
    pub fn usable(mark: Option<&str>) -> bool {
        super::with_world(|w| w.usable(mark))
    }
}
