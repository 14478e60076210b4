//! `guest start` and `guest agent`: the agent on a machine of Azure, where run-command starts it.
//!
//! Run-command's script ends when `guest start` does; the agent goes on. Where systemd is, the agent is a transient unit,
//! outside of the control group of the VM's extensions; elsewhere it is a process of a session of its own. After a
//! restart of the VM nobody is there: the run looks after its agent, and run-command starts a new one, which knows
//! nothing of what the one before knew.

use std::fs::{self, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sealbook_crypto::SigningKey;
use sealbook_engine::guest::protocol::Mailbox;
use sealbook_guest::agent::{self, AgentSettings};
use sealbook_model::problem::{Problem, codes};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::machine::{Machine, VARIABLE};
use super::{LOCK, fresh_id, isolate, lock, make_private_folder, open_lock, signer};
use crate::app::Failure;
use crate::args::{GuestAgentArgs, GuestStartArgs};
use crate::out;

/// What an agent that is ready says of itself, in its folder.
const READY: &str = "agent.json";
/// What it writes to its standard error.
const LOG: &str = "log";
/// How long it may take until it is ready.
const PATIENCE: Duration = Duration::from_secs(40);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// How much of its log is shown when it did not start, in bytes.
const TAIL: usize = 2_000;
/// There where systemd is the first process.
const SYSTEMD: &str = "/run/systemd/system";

/// An agent that is ready.
#[derive(Debug, Serialize, Deserialize)]
struct Ready {
    agent: String,
    /// The public key that it signs with, in hex.
    key: String,
    version: String,
    mailbox: String,
    /// The public key of whoever gives it jobs, in hex.
    signer: String,
    /// The program that it is.
    program: String,
    pid: u32,
}

impl Ready {
    fn read(state: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(state.join(READY)).ok()?).ok()
    }

    /// Says who is there, as the script's last line.
    fn announce(&self) {
        out::json_line(&json!({ "agent": self.agent, "key": self.key, "version": self.version }));
    }
}

/// Starts the agent, unless it runs for the same run's process and is the same program, and says who it is.
pub async fn start(args: &GuestStartArgs) -> Result<u8, Failure> {
    if !sealbook_guest::is_mailbox(&args.mailbox) {
        return Err(Problem::new(codes::USAGE, "--mailbox is not the address of a folder in a blob container")
            .fix("https://ACCOUNT.blob.core.windows.net/CONTAINER/FOLDER")
            .into());
    }
    let failed = |error: io::Error| not_started(&error.to_string());
    signer(&args.signer).map_err(|why| Problem::new(codes::USAGE, why))?;
    make_private_folder(&args.state).map_err(failed)?;
    let program = std::env::current_exe().map_err(failed)?;
    let deadline = Instant::now() + PATIENCE;
    let mut ended = false;
    while runs(&args.state).map_err(failed)? {
        // An agent that holds the lock and has not said yet who it is is on its way.
        if let Some(ready) = Ready::read(&args.state).filter(|_| !ended) {
            if ready.mailbox == args.mailbox && ready.signer == args.signer && Path::new(&ready.program) == program {
                ready.announce();
                return Ok(0);
            }
            end(ready.pid);
            ended = true;
        }
        before(deadline, "another agent is in its place").await?;
    }
    let _ = fs::remove_file(args.state.join(READY));
    let instance = fresh_id();
    // A machine of the embedded Azure is a process under the systemd of somebody else.
    let systemd = std::env::var_os(VARIABLE).is_none() && Path::new(SYSTEMD).is_dir();
    let mut command = command(args, &program, &instance, systemd);
    let mut child = spawn(&mut command, &args.state.join(LOG)).map_err(failed)?;
    loop {
        if let Some(ready) = Ready::read(&args.state).filter(|ready| ready.agent == instance) {
            ready.announce();
            return Ok(0);
        }
        let over = child.try_wait().map_err(failed)?.is_some_and(|status| !status.success());
        if over || Instant::now() > deadline {
            return Err(not_started(&tail(&args.state.join(LOG))).into());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether somebody is the agent.
fn runs(state: &Path) -> io::Result<bool> {
    match open_lock(&state.join(LOCK))?.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Waits for a moment.
async fn before(deadline: Instant, why: &str) -> Result<(), Problem> {
    if Instant::now() > deadline {
        return Err(not_started(why));
    }
    tokio::time::sleep(LOOK).await;
    Ok(())
}

fn not_started(why: &str) -> Problem {
    Problem::new(codes::GUEST_NOT_AVAILABLE, "the guest's agent could not be started").because(why)
}

/// Ends an agent for another mailbox, or of another program.
fn end(pid: u32) {
    #[cfg(unix)]
    if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
    #[cfg(not(unix))]
    let _ = pid;
}

/// What starts the agent: the program itself, or systemd, which then keeps what it does not need from it.
fn command(args: &GuestStartArgs, program: &Path, instance: &str, systemd: bool) -> Command {
    let mut command = if systemd {
        let mut command = Command::new("systemd-run");
        command.args(["--quiet", "--collect", "--service-type=exec"]).arg(format!("--unit=sealbook-{instance}"));
        let state = args.state.display();
        let properties = [
            "UMask=0077".to_owned(),
            "LimitCORE=0".to_owned(),
            // Memory holds keys.
            "MemorySwapMax=0".to_owned(),
            "NoNewPrivileges=yes".to_owned(),
            "PrivateTmp=yes".to_owned(),
            "ProtectHome=yes".to_owned(),
            "ProtectSystem=strict".to_owned(),
            format!("ReadWritePaths={state}"),
            format!("StandardError=append:{state}/{LOG}"),
        ];
        command.args(properties.iter().map(|property| format!("--property={property}"))).arg("--").arg(program);
        command
    } else {
        Command::new(program)
    };
    command.args(["guest", "agent", "--mailbox", &args.mailbox, "--signer", &args.signer, "--state"]).arg(&args.state);
    command.args(["--instance", instance]);
    command
}

fn spawn(command: &mut Command, log: &Path) -> io::Result<Child> {
    // What this program opened is closed in its children anyway; this is for what run-command opened.
    #[cfg(unix)]
    close_fds::set_fds_cloexec_threadsafe(3, &[]);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(options.open(log)?).spawn()
}

fn tail(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let from = bytes.len().saturating_sub(TAIL);
    let text = String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()).trim().to_owned();
    if text.is_empty() { "it was not ready in time".to_owned() } else { text }
}

/// Is the agent, until the machine is off.
pub async fn agent(args: &GuestAgentArgs) -> Result<u8, Failure> {
    let state = &args.start.state;
    let failed = |error: &dyn std::fmt::Display| not_started(&error.to_string());
    // A leader of its own session does not end with the one that run-command made. systemd has made it one already.
    #[cfg(unix)]
    let _ = rustix::process::setsid();
    isolate::close_memory().map_err(|e| failed(&e))?;
    let _lock = lock(&state.join(LOCK)).map_err(|e| failed(&e))?;
    let machine = Machine::here(None)?;
    machine.demand_report().await?;
    let mailbox = Mailbox::at(&args.start.mailbox);
    agent::require_identity(&machine.azure, &mailbox).await.map_err(|e| failed(&e))?;
    let (signer, signing) = (signer(&args.start.signer).map_err(|e| failed(&e))?, SigningKey::generate());
    let ready = Ready {
        agent: args.instance.clone(),
        key: hex::encode(signing.public()),
        signer: args.start.signer.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        mailbox: args.start.mailbox.clone(),
        program: std::env::current_exe().map_err(|e| failed(&e))?.display().to_string(),
        pid: std::process::id(),
    };
    let settings = AgentSettings {
        azure: machine.azure,
        agent: args.instance.clone(),
        mailbox,
        signer,
        signing,
        judge: machine.judge,
        tee: Arc::new(machine.tee),
    };
    let ready = || {
        // Whoever waits for it sees all of it or nothing.
        let draft = state.join(".agent.json");
        let written = fs::write(&draft, json!(ready).to_string()).and_then(|()| fs::rename(&draft, state.join(READY)));
        if let Err(error) = written {
            out::note(&format!("the agent can't say that it is ready: {error}"));
        }
    };
    agent::serve(settings, ready, machine.off).await.map_err(|e| failed(&e))?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &Command) -> Vec<String> {
        std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| word.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn systemd_runs_the_same_command_and_keeps_it_small() {
        let mailbox = "https://lab1.blob.core.windows.net/mail/k3f7qa".to_owned();
        let args = GuestStartArgs { mailbox, signer: "0f".repeat(32), state: "/run/sealbook".into() };
        let program = Path::new("/opt/sealbook/00/sealbook");
        let plain = words(&command(&args, program, "0a", false));
        assert_eq!(plain[0], "/opt/sealbook/00/sealbook");
        let unit = words(&command(&args, program, "0a", true));
        assert_eq!(unit[0], "systemd-run");
        let (own, rest) = unit.split_at(unit.iter().position(|word| word == "--").unwrap());
        assert_eq!(rest[1..], plain);
        for property in ["LimitCORE=0", "NoNewPrivileges=yes", "ReadWritePaths=/run/sealbook"] {
            assert!(own.contains(&format!("--property={property}")), "{own:?}");
        }
        assert!(own.contains(&"--unit=sealbook-0a".to_owned()));
    }
}
