//! One process that is a virtual machine: from its start to its end.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sealbook_cloud::front::MachineDoor;
use sealbook_cloud::{Cloud, Machine};
use sealbook_guest::Parameters;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio_util::sync::CancellationToken;

use super::log::Log;
use crate::guest::{Access, Order, fresh_id, make_private_folder};

/// How long a process may take until it is ready.
const READY: Duration = Duration::from_secs(40);

/// How often it is looked whether the machine is still on.
const LOOK: Duration = Duration::from_secs(1);

/// The longest line that is read from a process, in bytes; a longer one is cut into several.
const LINE: u64 = 1 << 16;

/// A process that was ready when it was started.
#[derive(Debug)]
pub struct Process {
    machine: Machine,
    parameters: Parameters,
    ready: String,
    /// Tells the keeper to kill it.
    stop: CancellationToken,
    /// The keeper tells that it has ended.
    ended: CancellationToken,
}

impl Process {
    /// Starts the process of a machine and waits until it is ready, in a bounded time.
    ///
    /// # Errors
    /// Why it did not become ready, with the last lines of its log.
    pub async fn start(
        folder: &Path,
        cloud: &Cloud,
        machine: &Machine,
        parameters: Parameters,
    ) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| format!("the machine's process can't be started: {error}");
        let disk = folder.join("disk");
        make_private_folder(&disk).map_err(|e| failed(&e))?;
        let log = Log::open(&folder.join("log")).map_err(|e| failed(&e))?;
        let log = Arc::new(Mutex::new(log));
        let door = MachineDoor::open(cloud.clone(), machine.clone()).await.map_err(|e| failed(&e))?;
        let access = Access::through(&door, cloud).await.map_err(|e| failed(&e))?;
        let order = Order {
            access,
            mailbox: parameters.mailbox.clone(),
            signer: parameters.signer.clone(),
            instance: fresh_id(),
        };
        let mut child = spawn(&disk).map_err(|e| failed(&e))?;
        let (Some(mut stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(failed(&"it has no streams"));
        };
        // A process that ended at once is told by its log.
        let _ = stdin.write_all(order.line().as_bytes()).await;
        let (ready, said) = tokio::sync::oneshot::channel();
        tokio::spawn(copy(stdout, Arc::clone(&log), Some(ready)));
        let errors = tokio::spawn(copy(stderr, Arc::clone(&log), None));
        let stop = CancellationToken::new();
        let ended = CancellationToken::new();
        let keeper = Keeper { child, stdin, door, cloud: cloud.clone(), machine: machine.clone(), stop: stop.clone() };
        tokio::spawn(keeper.keep(ended.clone()));
        let said = tokio::time::timeout(READY, said).await;
        let is_ready = |line: &String| {
            let line: Option<serde_json::Value> = serde_json::from_str(line).ok();
            line.is_some_and(|line| line["agent"] == order.instance.as_str())
        };
        if let Ok(Ok(ready)) = &said
            && is_ready(ready)
        {
            let ready = ready.clone();
            return Ok(Self { machine: machine.clone(), parameters, ready, stop, ended });
        }
        let in_time = said.is_ok();
        stop.cancel();
        ended.cancelled().await;
        let _ = errors.await;
        let tail = log.lock().unwrap_or_else(PoisonError::into_inner).tail();
        let what = if in_time { "ended before it was ready" } else { "was not ready in time" };
        Err(format!("the machine's process {what}\n{tail}"))
    }

    /// What it said when it was ready: a line of JSON.
    pub fn ready(&self) -> &str {
        &self.ready
    }

    /// Whether it runs, for this boot of the machine and for this work.
    pub fn serves(&self, machine: &Machine, parameters: &Parameters) -> bool {
        !self.ended.is_cancelled() && self.machine == *machine && self.parameters == *parameters
    }

    /// Kills it.
    pub fn kill(self) {
        self.stop.cancel();
    }

    /// Kills it and waits for its end.
    pub async fn end(self) {
        self.stop.cancel();
        self.ended.cancelled().await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Holds what a process lives by, until one of them is gone.
struct Keeper {
    child: Child,
    /// Its lifeline.
    stdin: ChildStdin,
    door: MachineDoor,
    cloud: Cloud,
    machine: Machine,
    stop: CancellationToken,
}

impl Keeper {
    /// Waits until the process ends, or ends it: when it is told to, and when the machine goes off.
    async fn keep(self, ended: CancellationToken) {
        // Whatever happens here, nobody waits for this process any longer.
        let _ended = ended.drop_guard();
        let Self { mut child, stdin, door, cloud, machine, stop } = self;
        tokio::select! {
            _ = child.wait() => {}
            () = stop.cancelled() => {}
            () = off(cloud, machine) => {}
        }
        drop(stdin);
        kill(&mut child);
        let _ = child.wait().await;
        drop(door);
    }
}

/// Waits until a machine is off.
async fn off(cloud: Cloud, machine: Machine) {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let (cloud, machine) = (cloud.clone(), machine.clone());
        let on = tokio::task::spawn_blocking(move || cloud.is_on(&machine)).await;
        // A cloud that can't be read now may be read later.
        if matches!(on, Ok(Ok(false))) {
            return;
        }
    }
}

/// Kills a process with its whole group, like a machine whose power is cut.
fn kill(child: &mut Child) {
    #[cfg(unix)]
    if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    }
    let _ = child.start_kill();
}

/// Starts the program as a machine: nothing of the environment, nothing of the open files, a process group of its own.
fn spawn(disk: &Path) -> io::Result<Child> {
    // What this program opened is closed in its children anyway; this is for what it inherited itself.
    #[cfg(unix)]
    close_fds::set_fds_cloexec_threadsafe(3, &[]);
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["guest", "serve"])
        .env_clear()
        .current_dir(disk)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    #[cfg(unix)]
    command.process_group(0);
    command.spawn()
}

/// Copies lines into the log; the first goes to `first` instead.
async fn copy(
    from: impl AsyncRead + Unpin,
    log: Arc<Mutex<Log>>,
    mut first: Option<tokio::sync::oneshot::Sender<String>>,
) {
    use tokio::io::AsyncReadExt;
    let mut from = BufReader::new(from);
    loop {
        let mut line = Vec::new();
        match (&mut from).take(LINE).read_until(b'\n', &mut line).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        match first.take() {
            // Nobody listens any more when it came too late.
            Some(first) => drop(first.send(line)),
            None => log.lock().unwrap_or_else(PoisonError::into_inner).line(&line),
        }
    }
}
