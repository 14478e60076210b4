//! Where scripts for virtual machines are carried out: outside of this crate, which starts no process.
//!
//! A script that a machine accepted is a long-running operation in the database. Whichever process has a room takes it
//! up after a request's commit; when that process dies, the next one that answers a request does.

use std::fmt;

use futures::future::BoxFuture;
use rusqlite::{Connection, params};

use crate::Cloud;
use crate::refusal::Refusal;

/// A virtual machine that runs, in one of its boots.
///
/// A front door puts this into the extensions of what the machine sends, so that the cloud knows who asks; nothing that
/// a client sends can take its place. Once the machine is off, or on again, it is answered 410 with [`Machine::STATE`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Machine {
    /// Resource id.
    pub id: String,
    /// `vmId`: unlike the resource id, it is given once.
    pub vm_id: String,
    /// Which boot, counted from 1: a start and a restart add one.
    pub boot: u64,
}

/// What a script left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// Whether it ended with 0.
    pub ok: bool,
}

/// Why a script is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotUnderstood(pub String);

impl Machine {
    /// Header of the answers that a machine gets which is off: its value is `off`.
    pub const STATE: &str = "x-sealbook-machine";
}

/// Carries out scripts for virtual machines.
pub trait MachineRoom: fmt::Debug + Send + Sync {
    /// Tells whether a script and its parameters (name, value) can be carried out; asked before they are accepted.
    ///
    /// # Errors
    /// [`NotUnderstood`], with the reason in a sentence.
    fn understands(&self, script: &[String], parameters: &[(String, String)]) -> Result<(), NotUnderstood>;

    /// Carries out a script on a machine of `cloud`, in a bounded time. It may be called again for the same script when
    /// a process died over it.
    fn run<'a>(
        &'a self,
        cloud: &'a Cloud,
        machine: &'a Machine,
        script: &'a [String],
        parameters: &'a [(String, String)],
    ) -> BoxFuture<'a, Output>;

    /// Throws away what it keeps of a machine that was deleted.
    ///
    /// # Errors
    /// Something is still in use: it is called again.
    fn discard(&self, vm_id: &str) -> std::io::Result<()>;
}

/// Table of the machines that a room may keep something of.
pub(crate) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS housed (
    vm_id    TEXT PRIMARY KEY,
    resource TEXT NOT NULL COLLATE NOCASE
) STRICT;
";

/// Notes that a room may keep something of a machine from now on.
pub(crate) fn house(tx: &Connection, machine: &Machine) -> Result<(), Refusal> {
    tx.prepare_cached("INSERT OR IGNORE INTO housed (vm_id, resource) VALUES (?1, ?2)")?
        .execute(params![machine.vm_id, machine.id])?;
    Ok(())
}

/// The machines of which a room may keep something (`vmId`); `gone`: only those that were deleted.
pub(crate) fn housed(tx: &Connection, gone: bool) -> Result<Vec<String>, Refusal> {
    let mut statement = tx.prepare_cached(
        "SELECT vm_id FROM housed WHERE NOT ?1 OR NOT EXISTS (
             SELECT 1 FROM resources
             WHERE resources.id = housed.resource AND resources.body ->> '$.properties.vmId' = housed.vm_id
         )",
    )?;
    let rows = statement.query_map([gone], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Notes that no room keeps anything of a machine any more.
pub(crate) fn vacate(tx: &Connection, vm_id: &str) -> Result<(), Refusal> {
    tx.prepare_cached("DELETE FROM housed WHERE vm_id = ?1")?.execute([vm_id])?;
    Ok(())
}
