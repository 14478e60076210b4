//! TCP connections from the internet to virtual machines, and what the machines' own processes say of their ports.

use std::io;
use std::net::Ipv4Addr;

use tokio::net::TcpStream;

use super::{Cloud, Mark};
use crate::config::CloudError;
use crate::network::route::{self, Route};
use crate::ports::{self, Unpublished};
use crate::room::Machine;
use crate::{compute, dispatch};

/// Why a port of a virtual machine was not reached from the internet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreached {
    /// No public IP address has this name. [`io::ErrorKind::NotFound`].
    #[error("{host} is no name that the embedded Azure resolves: no public IP address there has this DNS label")]
    Unknown {
        /// The name.
        host: String,
    },
    /// Nothing comes back: a security group drops what arrives, or the machine is off. [`io::ErrorKind::TimedOut`].
    #[error("{host}:{port} did not answer: {why}")]
    Silent {
        /// Name or address.
        host: String,
        /// The port.
        port: u16,
        /// What its owner finds when looking for the cause; on Azure, the client would not learn it.
        why: String,
    },
    /// The machine runs, and nothing on it listens on the port. [`io::ErrorKind::ConnectionRefused`].
    #[error("{host}:{port} refused the connection: nothing on the machine listens there")]
    Refused {
        /// Name or address.
        host: String,
        /// The port.
        port: u16,
    },
}

impl Unreached {
    /// The kind of error that a socket would report.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Unknown { .. } => io::ErrorKind::NotFound,
            Self::Silent { .. } => io::ErrorKind::TimedOut,
            Self::Refused { .. } => io::ErrorKind::ConnectionRefused,
        }
    }
}

impl From<Unreached> for io::Error {
    fn from(unreached: Unreached) -> Self {
        Self::new(unreached.kind(), unreached)
    }
}

impl Cloud {
    /// Connects to a TCP port of a virtual machine, as somebody on the internet would, with the source address
    /// [`Cloud::client_address`]. `host` is `{label}.{region}.cloudapp.azure.com` or a public IPv4 address.
    ///
    /// The bytes of the stream are those of the machine's own process; nothing is added, and no TLS ends on the way. What
    /// Azure would leave without an answer fails at once with [`io::ErrorKind::TimedOut`]: to wait would teach nothing.
    /// As on Azure, a change of the rules is about connections to come; those that stand go on.
    ///
    /// # Errors
    /// An [`Unreached`] with its kind, or what the cloud's file or the loopback interface reported.
    pub async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let (cloud, name) = (self.clone(), host.to_ascii_lowercase());
        let found = tokio::task::spawn_blocking(move || cloud.listener(&name, port)).await?;
        let at = found.map_err(io::Error::other)??;
        let refused = || io::Error::from(Unreached::Refused { host: host.to_owned(), port });
        let stream = match TcpStream::connect((Ipv4Addr::LOCALHOST, at)).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Err(refused()),
            connected => connected?,
        };
        // Where nobody listens, a connection out of the same range of ports may meet itself.
        if stream.local_addr()? == stream.peer_addr()? {
            return Err(refused());
        }
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// The loopback port that stands for a port of the machine behind a public name (lower case) or address.
    fn listener(&self, host: &str, port: u16) -> Result<Result<u16, Unreached>, CloudError> {
        let host_of = || host.to_owned();
        self.with(|tx, inner| {
            dispatch::unasked(tx, inner.setting(), |cx| {
                let machine = match route::route(cx, host, port)? {
                    Route::Unknown => return Ok(Err(Unreached::Unknown { host: host_of() })),
                    Route::Silent(why) => return Ok(Err(Unreached::Silent { host: host_of(), port, why })),
                    Route::To(machine) => machine,
                };
                let at = ports::find(cx.tx, inner.rooms.dir(), &machine, port)?;
                Ok(at.ok_or_else(|| Unreached::Refused { host: host_of(), port }))
            })
        })
    }

    /// A mark in this cloud's folder.
    pub(crate) fn mark(&self) -> Result<Mark, CloudError> {
        let dir = self.0.rooms.dir();
        Mark::set(dir).map_err(|source| CloudError::Io { path: dir.to_owned(), source })
    }

    /// Notes that a machine listens on `port` at the loopback port `at`, for as long as the mark stands and the machine is
    /// not booted again. `None`: the machine is off.
    pub(crate) fn publish_port(
        &self,
        machine: &Machine,
        (port, at): (u16, u16),
        mark: &Mark,
    ) -> Result<Option<Result<(), Unpublished>>, CloudError> {
        self.with(|tx, inner| {
            dispatch::catch_up(tx, inner.setting())?;
            if !compute::is_on(tx, machine)? {
                return Ok(None);
            }
            ports::publish(tx, inner.rooms.dir(), machine, (port, at), mark.name()).map(Some)
        })
    }

    /// Takes back what was noted under a mark.
    pub(crate) fn withdraw_port(&self, machine: &Machine, port: u16, mark: &Mark) -> Result<(), CloudError> {
        self.with(|tx, _| ports::withdraw(tx, &machine.vm_id, port, mark.name()))
    }
}
