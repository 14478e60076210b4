//! The machine's side of [`super::ports`]: a process says that a listener of its own is a port of its machine.

use std::io;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::client::{Door, SendError};
use super::host::PORTS;
use super::ports::{PROOF, Published};

/// Why a port was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The listener is not bound to the IPv4 loopback interface, or can't accept.
    #[error("the listener can't stand for a port of the machine: {0}; bind it to 127.0.0.1")]
    Listener(#[from] io::Error),
    /// The door did not answer.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The machine is off, or was booted again: its process has to end.
    #[error("the machine is off, or was booted again")]
    Off,
    /// Another process of the machine has the port, or it has too many.
    #[error("port {port} can't be published: {reason}")]
    Refused {
        /// The machine's port.
        port: u16,
        /// What the door says.
        reason: String,
    },
}

impl Door {
    /// Says that connections to a TCP port of this machine are for `listener`, a listener of this process on 127.0.0.1. It
    /// holds until the machine goes off, its door closes, or [`Door::withdraw`]; said again, the new listener takes over.
    ///
    /// Call it before anybody else accepts from the listener: the door proves by a connection that it is this process's.
    /// Who comes from where can't be told by the peer's address, which is always of the loopback interface.
    ///
    /// # Errors
    /// [`PublishError`]; nothing was published.
    pub async fn publish(&self, port: u16, listener: &TcpListener) -> Result<(), PublishError> {
        let own = listener.local_addr()?;
        if own.ip() != std::net::Ipv4Addr::LOCALHOST {
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, format!("it is bound to {own}")).into());
        }
        let proof = sealbook_crypto::random::<PROOF>();
        let body = serde_json::to_vec(&Published { at: own.port(), proof }).map_err(io::Error::other)?;
        let mut answer = std::pin::pin!(self.port(Method::PUT, port, body.into()));
        loop {
            tokio::select! {
                answer = &mut answer => return answer,
                // Whoever else connects learns nothing: the proof is of use to this door alone, and this once.
                accepted = listener.accept() => {
                    let (mut stream, _) = accepted?;
                    let _ = stream.write_all(&proof).await;
                }
            }
        }
    }

    /// Takes back what [`Door::publish`] said of a port through this door. Connections that stand go on.
    ///
    /// # Errors
    /// [`PublishError`]
    pub async fn withdraw(&self, port: u16) -> Result<(), PublishError> {
        self.port(Method::DELETE, port, Bytes::new()).await
    }

    async fn port(&self, method: Method, port: u16, body: Bytes) -> Result<(), PublishError> {
        let invalid = |error: http::Error| SendError::Invalid { reason: error.to_string() };
        let request = Request::builder().method(method).uri(format!("http://{PORTS}/{port}"));
        let answer = self.send(request.body(body).map_err(invalid)?).await?;
        match answer.status() {
            StatusCode::NO_CONTENT => Ok(()),
            StatusCode::GONE => Err(PublishError::Off),
            _ => {
                let reason = String::from_utf8_lossy(answer.body()).trim_end().to_owned();
                Err(PublishError::Refused { port, reason })
            }
        }
    }
}
