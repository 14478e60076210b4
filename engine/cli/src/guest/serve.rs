//! `sealbook guest serve`: the process that a virtual machine of the embedded Azure is.
//!
//! It is started by [`crate::machines`] with an empty environment, and learns everything from one line on stdin
//! ([`Order`]). Its stdin stays open as its lifeline: when it ends, the process ends.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use sealbook_crypto::SigningKey;
use sealbook_engine::guest::protocol::Mailbox;
use sealbook_guest::agent::{self, AgentSettings};
use serde_json::json;

use super::machine::Machine;
use super::order::Order;
use super::{LOCK, isolate, lock, signer};
use crate::out;

/// What every process of a machine starts with.
pub(super) struct Start {
    pub(super) order: Order,
    pub(super) isolation: String,
    _lock: File,
}

impl Start {
    /// Reads the order, becomes the machine's only process and gives up the account's rights.
    pub(super) fn make() -> io::Result<Self> {
        let order = Order::read(&mut io::stdin().lock())?;
        let disk = std::env::current_dir()?;
        let lock = lock(&disk.join("..").join(LOCK))?;
        let isolation = isolate::enter(&disk, order.access.port)?;
        Ok(Self { order, isolation, _lock: lock })
    }
}

pub(super) fn serve() -> io::Result<()> {
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
    let machine = Machine::of(&order.access, None).map_err(io::Error::other)?;
    let mailbox = Mailbox::at(&order.mailbox);
    agent::require_identity(&machine.azure, &mailbox).await.map_err(io::Error::other)?;
    let (signer, signing) = (signer(&order.signer).map_err(io::Error::other)?, SigningKey::generate());
    let key = hex::encode(signing.public());
    let settings = AgentSettings {
        azure: machine.azure,
        agent: order.instance.clone(),
        mailbox,
        signer,
        signing,
        judge: machine.judge,
        tee: Arc::new(machine.tee),
    };
    let ready =
        json!({ "agent": order.instance, "key": key, "version": env!("CARGO_PKG_VERSION"), "isolation": isolation });
    agent::serve(settings, || out::json_line(&ready), machine.off).await.map_err(io::Error::other)
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
