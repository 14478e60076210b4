//! What an accepted CONNECT leads to: a TLS session with a host of Azure, or the bytes of a machine's process.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::{Cloud, Unreached};

/// Where a tunnel ends.
pub(super) enum End {
    /// At this host of Azure: what comes is HTTPS.
    Azure(String),
    /// At this machine's process: what comes is its own business.
    Machine(TcpStream),
}

/// The CONNECT that a connection accepted: its end, and the stream to come.
#[derive(Default)]
pub(super) struct Tunnel(Mutex<Option<(End, OnUpgrade)>>);

impl Tunnel {
    pub(super) fn take(&self) -> Option<(End, OnUpgrade)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn set(&self, end: End, upgrade: OnUpgrade) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((end, upgrade));
    }
}

/// The way to the ports of machines: the cloud's, or a stand-in in tests.
pub(super) type Dial = Arc<dyn Fn(String, u16) -> BoxFuture<'static, io::Result<TcpStream>> + Send + Sync>;

/// The way to the ports of a cloud's machines.
pub(super) fn dial(cloud: Cloud) -> Dial {
    Arc::new(move |host, port| {
        let cloud = cloud.clone();
        Box::pin(async move { cloud.connect(&host, port).await })
    })
}

/// Why nobody was reached, if it is for one of the reasons that a socket knows.
pub(super) fn reason(error: &io::Error) -> Option<&Unreached> {
    error.get_ref()?.downcast_ref()
}

/// Passes bytes both ways, unchanged, until both sides have ended theirs; each end is passed on by itself.
pub(super) async fn splice(upgraded: Upgraded, mut machine: TcpStream) {
    // An error is a side that went away: the other one sees its connection end.
    let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(upgraded), &mut machine).await;
}
