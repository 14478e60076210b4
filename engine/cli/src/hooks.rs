//! The tests' hooks, which a release build does not have:
//!
//! - `SEALBOOK_CRASH_AT=<gate>:<n>` kills the process at the n-th passing of a gate,
//! - `SEALBOOK_GATES=<file>` appends each gate passed,
//! - `SEALBOOK_EXCHANGES=<file>` appends each exchange with the embedded Azure as a line of JSON, for judges of its
//!   protocol. Tokens and passwords are left out.

use bytes::Bytes;
use http::{Request, Response};
use sealbook_engine::journal::Gates;

/// What a test wants to see and to break.
#[derive(Clone)]
pub struct Hooks {
    /// Crash points.
    pub gates: Gates,
    /// The record of exchanges.
    pub exchanges: Exchanges,
}

impl Hooks {
    /// The hooks that the environment asks for.
    #[cfg(debug_assertions)]
    pub fn from_environment() -> Self {
        Self { gates: armed::gates(), exchanges: Exchanges { file: std::env::var("SEALBOOK_EXCHANGES").ok() } }
    }

    /// A release build has none.
    #[cfg(not(debug_assertions))]
    pub fn from_environment() -> Self {
        Self { gates: Gates::none(), exchanges: Exchanges { file: None } }
    }
}

/// Where exchanges are recorded, if anywhere.
#[derive(Clone)]
pub struct Exchanges {
    file: Option<String>,
}

impl Exchanges {
    /// The part of a request that is recorded; none when nobody asked.
    pub fn asked(&self, request: &Request<Bytes>) -> Option<Asked> {
        self.file.as_ref()?;
        let host = request.uri().host().unwrap_or_default();
        // Sign-in has no contract to be held against, and is all secrets.
        (!host.starts_with("login.")).then(|| Asked {
            method: request.method().to_string(),
            url: request.uri().to_string(),
            headers: headers(request.headers()),
            body: request.body().clone(),
        })
    }

    /// Records an exchange.
    pub fn answered(&self, asked: Option<Asked>, answer: &Response<Bytes>) {
        let (Some(file), Some(asked)) = (&self.file, asked) else { return };
        let line = serde_json::json!({
            "method": asked.method,
            "url": asked.url,
            "request": { "headers": asked.headers, "body": String::from_utf8_lossy(&asked.body) },
            "status": answer.status().as_u16(),
            "answer": { "headers": headers(answer.headers()), "body": String::from_utf8_lossy(answer.body()) },
        });
        use std::io::Write as _;
        if let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(file) {
            let _ = writeln!(file, "{line}");
        }
    }
}

/// A request, before its answer is known.
pub struct Asked {
    method: String,
    url: String,
    headers: serde_json::Value,
    body: Bytes,
}

fn headers(all: &http::HeaderMap) -> serde_json::Value {
    let shown = all.iter().filter(|(name, _)| *name != http::header::AUTHORIZATION);
    let text = |value: &http::HeaderValue| serde_json::Value::from(String::from_utf8_lossy(value.as_bytes()));
    shown.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

#[cfg(debug_assertions)]
mod armed {
    use std::env::var;
    use std::io::Write;
    use std::sync::atomic::{AtomicU32, Ordering};

    use sealbook_engine::journal::Gates;

    pub fn gates() -> Gates {
        let crash = var("SEALBOOK_CRASH_AT").ok().and_then(|at| {
            let (gate, count) = at.rsplit_once(':')?;
            Some((gate.to_owned(), count.parse::<u32>().ok()?))
        });
        let trace = var("SEALBOOK_GATES").ok();
        if crash.is_none() && trace.is_none() {
            return Gates::none();
        }
        let passed = AtomicU32::new(0);
        Gates::new(move |gate| {
            if let Some(file) = &trace
                && let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(file)
            {
                let _ = writeln!(file, "{gate}");
            }
            if let Some((at, count)) = &crash
                && at == gate
                && passed.fetch_add(1, Ordering::Relaxed) + 1 == *count
            {
                die();
            }
        })
    }

    /// Dies as under `kill -9`: no destructor runs, nothing is flushed.
    fn die() -> ! {
        let _ = std::process::Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
        std::process::abort()
    }
}
