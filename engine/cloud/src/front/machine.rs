//! The door of one virtual machine: whatever comes through it was sent by that machine.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use http::uri::Scheme;
use http::{Extensions, Request};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sealbook_crypto::SecretString;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::answers::{refuse_metadata, unknown};
use super::endpoint::fresh_secret;
use super::host::{self, METADATA, PORTS, VTPM};
use super::ports::Ports;
use super::relay::{Answer, Relay, target};
use super::server::{Options, ServeError, http1_builder};
use super::tpm::Hardware;
use crate::{Cloud, Machine};

/// A loopback listener for one boot of one virtual machine. It speaks the engine's protocol ([`super::client`]) under a
/// secret of its own and reaches what a machine reaches on Azure: its hosts, the instance metadata service, the
/// machine's virtual TPM (`http://vtpm.internal/`), and the place where it says on which ports it listens
/// (`http://ports.internal/`, see [`super::client::Door::publish`]). Dropping it closes it, and the ports with it.
///
/// Identities are those that the machine holds when it asks. Once the machine is off or was booted again, everything is
/// answered 410 with `x-sealbook-machine: off`.
pub struct MachineDoor {
    port: u16,
    secret: SecretString,
    ports: Arc<Ports>,
    accept: JoinHandle<()>,
}

impl MachineDoor {
    /// Opens a door for `machine`, which is one of `cloud`.
    ///
    /// # Errors
    /// [`ServeError::Bind`] when the loopback interface can't be listened on.
    pub async fn open(cloud: Cloud, machine: Machine) -> Result<Self, ServeError> {
        let bind = |source| ServeError::Bind { port: 0, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(bind)?;
        let port = listener.local_addr().map_err(bind)?.port();
        let secret = fresh_secret();
        let hardware = Hardware::new(cloud.clone(), machine.clone());
        let ports = Arc::new(Ports::new(cloud.clone(), machine.clone()));
        let handler = Arc::new(move |request| -> futures::future::BoxFuture<'static, _> {
            let cloud = cloud.clone();
            Box::pin(async move { cloud.handle(request).await })
        });
        let relay = Relay::new(handler, Options::default().body_limit);
        let own = secret.expose().to_owned().into();
        let doorway = Arc::new(Doorway { relay, hardware, ports: Arc::clone(&ports), machine, secret: own });
        Ok(Self { port, secret, ports, accept: tokio::spawn(accept(listener, doorway)) })
    }

    /// The loopback port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What every request must show in `x-sealbook-door`.
    #[must_use]
    pub fn secret(&self) -> &SecretString {
        &self.secret
    }
}

impl fmt::Debug for MachineDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MachineDoor").field("port", &self.port).finish_non_exhaustive()
    }
}

impl Drop for MachineDoor {
    fn drop(&mut self) {
        self.ports.close();
        self.accept.abort();
    }
}

/// What the connections of a door share.
struct Doorway {
    relay: Relay,
    hardware: Hardware,
    ports: Arc<Ports>,
    machine: Machine,
    secret: SecretString,
}

impl Doorway {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (scheme, target) = match target(&request, &self.secret, "it belongs to one machine's process") {
            Ok(found) => found,
            Err(refused) => return Ok(*refused),
        };
        let host = target.host();
        let scheme = match (scheme.as_str(), target.port_u16()) {
            ("https", None | Some(443)) if host::known(host) => Scheme::HTTPS,
            ("http", None | Some(80)) if host == VTPM => return self.hardware.answer(request).await,
            ("http", None | Some(80)) if host == PORTS => return self.ports.answer(request).await,
            ("http", None | Some(80)) if host == METADATA => match refuse_metadata(request.headers()) {
                Some(refused) => return Ok(refused),
                None => Scheme::HTTP,
            },
            _ => return Ok(unknown(target.as_str())),
        };
        let machine = self.machine.clone();
        let note = |extensions: &mut Extensions| {
            extensions.insert(machine);
        };
        self.relay.pass(request, scheme, host, note).await
    }
}

async fn accept(listener: TcpListener, doorway: Arc<Doorway>) {
    // Connections end with the door: they belong to this task.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(Arc::clone(&doorway), stream));
                }
                // Out of file descriptors, most likely: the ones in use come back.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(doorway: Arc<Doorway>, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| async { doorway.answer(request).await });
    // An error here is a machine that went away, or a connection that was dropped on purpose.
    let _ = http1_builder().serve_connection(TokioIo::new(stream), service).await;
}
