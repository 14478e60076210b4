//! The crash tests' hooks: `SEALBOOK_CRASH_AT=<gate>:<n>` kills the process at the n-th passing of a gate, and
//! `SEALBOOK_GATES=<file>` appends each gate passed. A release build has neither.

use sealbook_engine::journal::Gates;

/// The gates that the environment asks for.
#[cfg(debug_assertions)]
pub fn from_environment() -> Gates {
    use std::env::var;
    use std::io::Write;
    use std::sync::atomic::{AtomicU32, Ordering};

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
#[cfg(debug_assertions)]
fn die() -> ! {
    let _ = std::process::Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
    std::process::abort()
}

/// The gates that the environment asks for: none in a release build.
#[cfg(not(debug_assertions))]
pub fn from_environment() -> Gates {
    Gates::none()
}
