//! The loopback server: its life from lock to shutdown, and one connection's way through TLS.

use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::authority::Authority;
use super::doors::Doors;
use super::endpoint::Endpoint;
use super::lock::ServeLock;
use super::tunnel::{self, Dial, End, Tunnel};
use crate::{Cloud, Dropped, MachineIdentities};

/// How a server behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// The loopback port; 0 lets the system choose one.
    pub port: u16,
    /// The largest request body, in bytes; larger ones get 413.
    pub body_limit: usize,
    /// How long [`Server::shutdown`] waits for requests under way.
    pub drain: Duration,
    /// The managed identities that callers of the metadata service hold; none for a desk, a machine's for a machine.
    pub identities: MachineIdentities,
    /// Wall time, for the validity of certificates.
    pub wall: fn() -> SystemTime,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            body_limit: 256 << 20,
            drain: Duration::from_secs(5),
            identities: MachineIdentities::default(),
            wall: SystemTime::now,
        }
    }
}

/// Why a server could not start or stop.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another process serves this home's cloud.
    #[error(
        "the embedded Azure in {dir} is already served{}; use it with `sealbook cloud env`, or stop that process first",
        .pid.map(|pid| format!(" by process {pid}")).unwrap_or_default()
    )]
    AlreadyServing {
        /// The holder of the lock; None in the instant before it has written its id.
        pid: Option<u32>,
        /// The cloud's folder.
        dir: PathBuf,
    },
    /// The port can't be bound.
    #[error("can't listen on 127.0.0.1:{port}: {source}; choose another port")]
    Bind {
        /// The port that was asked for.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the server can't be used.
    #[error("can't {what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A certificate can't be made.
    #[error("can't make a certificate: {0}; if the authority's key file was changed by hand, delete it")]
    Certificate(#[from] rcgen::Error),
    /// A certificate can't be used.
    #[error("can't set up TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// What answers the requests: the cloud, or a stand-in in tests.
pub(super) type Handler =
    Arc<dyn Fn(Request<Bytes>) -> BoxFuture<'static, Result<Response<Bytes>, Dropped>> + Send + Sync>;

/// A running server. Dropping it stops it at once; [`Server::shutdown`] lets requests under way finish.
#[derive(Debug)]
pub struct Server {
    endpoint: Arc<Endpoint>,
    stop: watch::Sender<bool>,
    accept: JoinHandle<()>,
    _lock: ServeLock,
}

impl Server {
    /// Starts to serve `cloud` on the loopback interface and writes its endpoint file into `dir`, the cloud's folder.
    ///
    /// # Errors
    /// Another process serves this folder, the port is taken, or a file can't be used.
    pub async fn start(cloud: Cloud, dir: &Path, options: Options) -> Result<Self, ServeError> {
        let dial = tunnel::dial(cloud.clone());
        let handler: Handler = Arc::new(move |request| {
            let cloud = cloud.clone();
            Box::pin(async move { cloud.handle(request).await })
        });
        Self::start_with((handler, dial), dir, options).await
    }

    pub(super) async fn start_with(ways: (Handler, Dial), dir: &Path, options: Options) -> Result<Self, ServeError> {
        let pid = std::process::id();
        let lock = ServeLock::take(dir, pid).await?;
        let authority = Authority::open(dir, (options.wall)())?;
        let bind = |source| ServeError::Bind { port: options.port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await.map_err(bind)?;
        let port = listener.local_addr().map_err(bind)?.port();
        let endpoint = Arc::new(Endpoint::new(dir.to_owned(), port, pid));
        let failed = |what, path: PathBuf| move |source| ServeError::Io { what, path, source };
        make_private_dir(&endpoint.az_config_dir()).map_err(failed("make the folder", endpoint.az_config_dir()))?;
        endpoint.write().map_err(failed("write the endpoint file in", dir.to_owned()))?;
        let (stop, stopped) = watch::channel(false);
        let drain = options.drain;
        let doors = Arc::new(Doors::new(ways, authority, Arc::clone(&endpoint), options));
        let accept = tokio::spawn(accept(listener, doors, stopped, drain));
        Ok(Self { endpoint, stop, accept, _lock: lock })
    }

    /// Where the server listens and what its doors demand.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Stops to accept, lets requests under way finish within the drain time, and removes the endpoint file.
    pub async fn shutdown(mut self) {
        // First the file: nobody should find an endpoint that is about to refuse.
        let _ = self.endpoint.remove();
        let _ = self.stop.send(true);
        let _ = (&mut self.accept).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.endpoint.remove();
        self.accept.abort();
    }
}

fn make_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Accepts connections until told to stop, then waits for those under way.
async fn accept(listener: TcpListener, doors: Arc<Doors>, mut stopped: watch::Receiver<bool>, drain: Duration) {
    let mut connections = JoinSet::new();
    let for_connections = stopped.clone();
    loop {
        tokio::select! {
            () = told_to_stop(&mut stopped) => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(Arc::clone(&doors), stream, for_connections.clone()));
                }
                // Out of file descriptors, most likely: the ones in use come back.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(drain, async { while connections.join_next().await.is_some() {} }).await;
    connections.abort_all();
}

/// Waits for the server's end; a server that is gone has ended, too.
async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// Serves one connection; after an accepted CONNECT, also what is inside it.
async fn connection(doors: Arc<Doors>, stream: TcpStream, stopped: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let tunnel: Tunnel = Tunnel::default();
    let outer = service_fn(|request| doors.outer(request, &tunnel));
    drive(http1_builder().serve_connection(TokioIo::new(stream), outer).with_upgrades(), stopped.clone()).await;
    let Some((end, upgrade)) = tunnel.take() else { return };
    let Ok(upgraded) = upgrade.await else { return };
    let host = match end {
        End::Azure(host) => host,
        End::Machine(machine) => return until_stopped(tunnel::splice(upgraded, machine), stopped).await,
    };
    let Ok(config) = doors.tls(&host) else { return };
    // A failed handshake is the client's to report: most often it does not trust the local authority.
    let Ok(session) = TlsAcceptor::from(config).accept(TokioIo::new(upgraded)).await else { return };
    let inner = service_fn(|request| doors.inner(request, &host));
    drive(http1_builder().serve_connection(TokioIo::new(session), inner).with_upgrades(), stopped).await;
}

/// Passes a machine's bytes on until the server stops: such a connection may have no end of its own.
async fn until_stopped(splice: impl Future<Output = ()>, mut stopped: watch::Receiver<bool>) {
    tokio::select! {
        () = splice => {}
        () = told_to_stop(&mut stopped) => {}
    }
}

pub(super) fn http1_builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new());
    builder
}

/// Runs a connection to its end, or lets it finish its request when the server stops.
async fn drive<I, S, B>(connection: http1::UpgradeableConnection<I, S>, mut stopped: watch::Receiver<bool>)
where
    http1::UpgradeableConnection<I, S>: Future<Output = hyper::Result<()>>,
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    B: hyper::body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // An error here is a client that went away, or a connection that was dropped on purpose.
        _ = connection.as_mut() => return,
        () = told_to_stop(&mut stopped) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}
