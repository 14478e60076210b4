//! `sealbook guest serve`: the process that a virtual machine of the embedded Azure is.
//!
//! It is started by [`crate::machines`] with an empty environment, and learns everything from one line on stdin
//! ([`Order`]). Its stdin stays open as its lifeline: when it ends, the process ends.

mod isolate;
mod order;
#[cfg(debug_assertions)]
mod probe;

use std::fs::{File, TryLockError};
use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use sealbook_attestation::Roots;
use sealbook_azure::{Azure, Credential, HttpSend, Settings, Transport, TransportError};
use sealbook_cloud::front::client::{Door, SendError};
use sealbook_engine::guest::protocol::Mailbox;
use sealbook_guest::Release;
use sealbook_guest::agent::{self, AgentSettings};
use sealbook_guest::hardware::{self, Hardware};
use serde_json::json;
use tokio_util::sync::CancellationToken;

pub use self::order::Order;
use crate::args::GuestCommand;
use crate::out;
use crate::trust;

/// Beside the machine's disk: held by the process that is the machine.
pub const LOCK: &str = "lock";

/// How long a process waits for the one before it to end.
const HANDOVER: Duration = Duration::from_secs(10);

/// Carries out a command inside a machine. It comes before everything else of the program: what follows must not see the
/// account's files.
pub fn run(command: &GuestCommand) -> ExitCode {
    let done = match command {
        GuestCommand::Serve => serve(),
        #[cfg(debug_assertions)]
        GuestCommand::Probe(probe) => probe::probe(probe),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            out::note(&format!("the guest agent can't serve: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// What every process of a machine starts with.
struct Start {
    order: Order,
    isolation: String,
    _lock: File,
}

impl Start {
    /// Reads the order, becomes the machine's only process and gives up the account's rights.
    fn make() -> io::Result<Self> {
        let order = Order::read(&mut io::stdin().lock())?;
        let disk = std::env::current_dir()?;
        let lock = lock(&disk.join("..").join(LOCK))?;
        let isolation = isolate::enter(&disk, order.port)?;
        Ok(Self { order, isolation, _lock: lock })
    }
}

fn serve() -> io::Result<()> {
    let start = Start::make()?;
    // From here on threads may start: they are isolated as this one is.
    std::thread::Builder::new().name("lifeline".to_owned()).spawn(lifeline)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(agent(start));
    runtime.shutdown_background();
    served
}

async fn agent(start: Start) -> io::Result<()> {
    let Start { order, isolation, _lock } = start;
    let door = Door::at(order.port, order.pid, &order.secret).map_err(io::Error::other)?;
    let off = CancellationToken::new();
    let way: Arc<dyn HttpSend> = Arc::new(Way { door, off: off.clone() });
    sealbook_guest::require_identity(way.as_ref()).await.map_err(io::Error::other)?;
    let roots = Roots::from_pem(&order.roots).map_err(io::Error::other)?;
    let credential = Credential::ManagedIdentity { client_id: None };
    let azure =
        Azure::new(Settings::new(credential, Transport::Injected(Arc::clone(&way)))).map_err(io::Error::other)?;
    let runtime = tokio::runtime::Handle::current();
    let open = move || Ok(Box::new(hardware::Door::new(Arc::clone(&way), runtime.clone())) as Box<dyn Hardware>);
    let settings = AgentSettings {
        azure,
        agent: order.instance.clone(),
        mailbox: Mailbox::at(&order.mailbox),
        judge: trust::judge(roots.clone()),
        tee: Arc::new(Release::new(Arc::new(open), roots, trust::now)),
    };
    let ready = json!({ "agent": order.instance, "version": env!("CARGO_PKG_VERSION"), "isolation": isolation });
    agent::serve(settings, || out::json_line(&ready), off).await.map_err(io::Error::other)
}

/// Ends the process with its stdin, whatever else it is doing.
fn lifeline() {
    let mut rest = [0; 64];
    loop {
        match io::stdin().read(&mut rest) {
            Ok(1..) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => std::process::exit(0),
        }
    }
}

/// Takes the machine's lock; a process that was told to end may still hold it for a moment.
fn lock(path: &Path) -> io::Result<File> {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
    let deadline = Instant::now() + HANDOVER;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other("another process of this home already is this machine"));
            }
        }
    }
}

/// The machine's way to Azure: its own door.
#[derive(Debug)]
struct Way {
    door: Door,
    off: CancellationToken,
}

#[async_trait]
impl HttpSend for Way {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let answer = self.door.send(request).await.map_err(|error| match error {
            SendError::Lost { reason } => TransportError::Lost { host, why: reason },
            error @ SendError::Refused { .. } => TransportError::Unreachable { host, why: error.to_string() },
            SendError::Invalid { reason } => TransportError::Refused { host, why: reason },
        })?;
        if answer.status() == StatusCode::GONE && answer.headers().contains_key("x-sealbook-machine") {
            self.off.cancel();
        }
        Ok(answer)
    }
}
