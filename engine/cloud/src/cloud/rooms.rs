//! Scripts for virtual machines: taken up after the commit of the request that asked for them, or by the next process
//! when the one that had taken them up is gone.

use std::io;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use tokio::runtime::Handle;

use super::Cloud;
use super::mark::Mark;
use crate::compute::{self, Command, RUN_COMMAND};
use crate::config::CloudError;
use crate::dispatch::{self, Setting};
use crate::lro;
use crate::refusal::Refusal;
use crate::room::{self, Machine, MachineRoom, Output};

/// The room of this process, and its mark on what it took up.
#[derive(Debug)]
pub(super) struct Rooms {
    dir: PathBuf,
    room: Option<Arc<dyn MachineRoom>>,
    mark: Mutex<Option<Arc<Mark>>>,
}

impl Rooms {
    pub fn new(dir: PathBuf, room: Option<Arc<dyn MachineRoom>>) -> Self {
        Self { dir, room, mark: Mutex::default() }
    }

    /// The cloud's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn room(&self) -> Option<&dyn MachineRoom> {
        self.room.as_deref()
    }

    /// Throws away what the room keeps of a machine. Says whether nothing is left.
    pub fn discard(&self, vm_id: &str) -> bool {
        let Some(room) = &self.room else { return false };
        let done = room.discard(vm_id);
        if let Err(error) = &done {
            tracing::warn!(vm_id, %error, "what is left of a deleted machine can't be removed yet");
        }
        done.is_ok()
    }

    fn mark(&self) -> io::Result<Arc<Mark>> {
        let mut mark = self.mark.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mark) = &*mark {
            return Ok(Arc::clone(mark));
        }
        Ok(Arc::clone(mark.insert(Arc::new(Mark::set(&self.dir)?))))
    }
}

/// A script that this process took up.
struct Task {
    operation: String,
    machine: Machine,
    command: Command,
}

impl Cloud {
    /// Whether a machine runs, in the boot that is meant.
    ///
    /// # Errors
    /// The database can't be read.
    pub fn is_on(&self, machine: &Machine) -> Result<bool, CloudError> {
        self.with(|tx, inner| {
            dispatch::catch_up(tx, inner.setting())?;
            compute::is_on(tx, machine)
        })
    }

    /// Takes up the scripts that nobody works on, and clears up after machines that were deleted.
    pub(super) fn take_up(&self, runtime: &Handle) {
        if self.0.rooms.room.is_none() {
            return;
        }
        match self.find_work() {
            Ok(tasks) => {
                for task in tasks {
                    let cloud = self.clone();
                    runtime.spawn(async move { cloud.carry_out(task).await });
                }
            }
            Err(error) => tracing::error!(%error, "scripts for virtual machines can't be taken up"),
        }
    }

    fn find_work(&self) -> Result<Vec<Task>, CloudError> {
        let connection = self.0.pool.take()?;
        let open = lro::open(&connection, RUN_COMMAND)?;
        let gone = room::housed(&connection, true)?;
        self.0.pool.put(connection);
        for vm_id in gone {
            if self.0.rooms.discard(&vm_id) {
                self.with(|tx, _| room::vacate(tx, &vm_id))?;
            }
        }
        if open.is_empty() {
            return Ok(Vec::new());
        }
        let mark = self.0.rooms.mark().map_err(|source| CloudError::Io { path: self.0.rooms.dir.clone(), source })?;
        self.with(|tx, inner| {
            let setting = Setting { room: None, ..inner.setting() };
            dispatch::unasked(tx, setting, |cx| {
                let mut tasks = Vec::new();
                for operation in lro::open(cx.tx, RUN_COMMAND)? {
                    let holder = operation.payload["mark"].as_str();
                    let held = holder.map(|name| Mark::stands(&inner.rooms.dir, name)).transpose();
                    if held.map_err(Refusal::internal)? == Some(true) {
                        continue;
                    }
                    let (machine, command) = match Command::of(cx, &operation) {
                        Ok(found) => found,
                        // It must not stand in the way of the others.
                        Err(refusal) => {
                            lro::end(cx, &operation.id, Err(refusal))?;
                            continue;
                        }
                    };
                    if !compute::is_on(cx.tx, &machine)? {
                        lro::end(cx, &operation.id, Err(compute::preempted()))?;
                        continue;
                    }
                    let mut payload = operation.payload;
                    payload["mark"] = mark.name().into();
                    lro::set_payload(cx.tx, &operation.id, &payload)?;
                    tasks.push(Task { operation: operation.id, machine, command });
                }
                Ok(tasks)
            })
        })
    }

    async fn carry_out(&self, task: Task) {
        let Some(room) = self.0.rooms.room.clone() else { return };
        let Task { operation, machine, command } = task;
        let run = room.run(self, &machine, &command.script, &command.parameters);
        let output = AssertUnwindSafe(run).catch_unwind().await.unwrap_or_else(|_| Output {
            stdout: String::new(),
            stderr: "the machine room failed".to_owned(),
            ok: false,
        });
        let cloud = self.clone();
        let stored = tokio::task::spawn_blocking(move || {
            cloud.with(|tx, inner| {
                dispatch::unasked(tx, inner.setting(), |cx| {
                    let outcome = match compute::is_on(cx.tx, &machine)? {
                        true => Ok(Command::result(cx, &machine.id, &output)),
                        false => Err(compute::preempted()),
                    };
                    lro::end(cx, &operation, outcome)
                })
            })
        })
        .await;
        if let Ok(Err(error)) = stored {
            tracing::error!(%error, "a script's output can't be stored");
        }
    }
}
