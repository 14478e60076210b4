//! Ctrl-C: the first ends waits, finishes what is in flight and writes a checkpoint; the second stops now.

use tokio_util::sync::CancellationToken;

use crate::out;

/// Listens from now on. The token is cancelled by the first Ctrl-C (or SIGTERM).
pub fn listen() -> CancellationToken {
    let token = CancellationToken::new();
    let first = token.clone();
    tokio::spawn(async move {
        if stop_requested().await.is_err() {
            return;
        }
        out::note("Stopping at the next safe point. Ctrl-C again stops now; either way `sealbook resume` goes on.");
        first.cancel();
        if stop_requested().await.is_ok() {
            std::process::exit(130);
        }
    });
    token
}

#[cfg(unix)]
pub async fn stop_requested() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        done = tokio::signal::ctrl_c() => done,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
pub async fn stop_requested() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
