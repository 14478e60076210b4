//! The embedded Azure's machine room: a virtual machine that is asked to run the guest agent becomes a process of its own.
//!
//! Below the cloud's folder, `machines/<hash of vmId>/` holds the machine's disk (`disk`, the process' working folder and
//! all that it may write), the log of its processes and the lock that makes them one at a time. It goes with the machine.

mod log;
mod process;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use sealbook_cloud::{Cloud, Machine, MachineRoom, NotUnderstood, Output};
use sealbook_engine::guest::SCRIPT;
use sealbook_guest::Parameters;

use self::process::Process;

/// A machine's place: empty, or the process that it is.
type Place = Arc<tokio::sync::Mutex<Option<Process>>>;

/// The machines of one home that are processes of this one.
#[derive(Debug)]
pub struct Machines {
    dir: PathBuf,
    places: Mutex<HashMap<String, Place>>,
}

impl Machines {
    /// A room for the machines of the embedded Azure in `cloud_dir`.
    pub fn new(cloud_dir: PathBuf) -> Self {
        Self { dir: cloud_dir.join("machines"), places: Mutex::default() }
    }

    /// The folder of a machine.
    fn folder(&self, vm_id: &str) -> PathBuf {
        let digest = sealbook_crypto::sha256(vm_id.as_bytes());
        self.dir.join(hex::encode(&digest[..16]))
    }

    fn places(&self) -> std::sync::MutexGuard<'_, HashMap<String, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the machine's process, unless it already runs for the same work; what the process said when it was ready.
    async fn start(&self, cloud: &Cloud, machine: &Machine, parameters: Parameters) -> Result<String, String> {
        let place = Arc::clone(self.places().entry(machine.vm_id.clone()).or_default());
        let mut place = place.lock().await;
        if let Some(process) = place.take() {
            if process.serves(machine, &parameters) {
                let ready = process.ready().to_owned();
                *place = Some(process);
                return Ok(ready);
            }
            process.end().await;
        }
        let process = Process::start(&self.folder(&machine.vm_id), cloud, machine, parameters).await?;
        let ready = process.ready().to_owned();
        *place = Some(process);
        Ok(ready)
    }
}

impl MachineRoom for Machines {
    fn understands(&self, script: &[String], parameters: &[(String, String)]) -> Result<(), NotUnderstood> {
        if script != SCRIPT {
            return Err(NotUnderstood(
                "it runs the script that starts the Sealbook guest agent, and no other".to_owned(),
            ));
        }
        Parameters::parse(parameters).map(drop).map_err(|error| NotUnderstood(error.to_string()))
    }

    fn run<'a>(
        &'a self,
        cloud: &'a Cloud,
        machine: &'a Machine,
        _: &'a [String],
        parameters: &'a [(String, String)],
    ) -> BoxFuture<'a, Output> {
        async move {
            let started = match Parameters::parse(parameters) {
                Ok(parameters) => self.start(cloud, machine, parameters).await,
                Err(error) => Err(error.to_string()),
            };
            match started {
                Ok(ready) => Output { stdout: format!("{ready}\n"), stderr: String::new(), ok: true },
                Err(why) => Output { stdout: String::new(), stderr: format!("{why}\n"), ok: false },
            }
        }
        .boxed()
    }

    fn discard(&self, vm_id: &str) -> io::Result<()> {
        let mut places = self.places();
        if let Some(place) = places.get(vm_id) {
            // Somebody who starts the machine right now finds that it is off; the next request clears up.
            let mut place = place.try_lock().map_err(|_| io::ErrorKind::WouldBlock)?;
            if let Some(process) = place.take() {
                process.kill();
            }
        }
        places.remove(vm_id);
        match fs::remove_dir_all(self.folder(vm_id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
