//! `log`: lines for the run's log, and standard output and error, which become such lines.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use sealbook_model::id::StepPath;
use wasmtime::component::HasData;

use crate::event::{Event, Events};
use crate::host::bindings::sealbook::plugin::log;
use crate::host::desk::State;
use crate::host::fault::Fault;
use crate::host::limits::Ceilings;
use crate::host::text::one_line;

/// Lines beyond the shown ones are counted; beyond this many times as many, the call ends.
const FLOOD: u32 = 20;

/// Warnings that are quoted when a plugin crashes: Rust's panic message takes three lines.
const LAST_WORDS: usize = 3;

/// A call's log. Cheap to clone: clones write to the same log.
#[derive(Clone)]
pub(crate) struct Lines(Arc<Mutex<Inner>>);

struct Inner {
    step: Option<StepPath>,
    events: Events,
    max_lines: u32,
    max_bytes: usize,
    written: u32,
    /// A line of standard output or error that has no end yet, by level.
    partial: Vec<(&'static str, Vec<u8>)>,
    /// The last warnings.
    warnings: VecDeque<String>,
}

impl Lines {
    pub(crate) fn new(step: Option<StepPath>, events: Events, ceilings: &Ceilings) -> Self {
        let (max_lines, max_bytes) = (ceilings.log_lines, ceilings.log_line_bytes);
        let partial = Vec::new();
        Self(Arc::new(Mutex::new(Inner {
            step,
            events,
            max_lines,
            max_bytes,
            written: 0,
            partial,
            warnings: VecDeque::new(),
        })))
    }

    /// Writes one line.
    pub(crate) fn write(&self, level: &'static str, message: &str) -> Result<(), Fault> {
        self.lock().write(level, message)
    }

    /// Takes bytes of a standard stream and writes the lines that they complete.
    pub(crate) fn raw(&self, level: &'static str, bytes: &[u8]) -> Result<(), Fault> {
        let mut inner = self.lock();
        let at = inner.partial.iter().position(|(l, _)| *l == level);
        let mut pending = at.map(|at| inner.partial.swap_remove(at).1).unwrap_or_default();
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            pending.extend_from_slice(piece);
            if piece.ends_with(b"\n") || pending.len() > inner.max_bytes {
                let line = String::from_utf8_lossy(&pending).into_owned();
                pending.clear();
                inner.write(level, line.trim_end_matches(['\n', '\r']))?;
            }
        }
        inner.partial.push((level, pending));
        Ok(())
    }

    /// The last warnings: for a Rust plugin that panicked, where and why it did.
    pub(crate) fn last_words(&self) -> Option<String> {
        let inner = self.lock();
        let words: Vec<_> =
            inner.warnings.iter().filter(|line| !line.is_empty() && !line.starts_with("note: ")).collect();
        let words = words.iter().map(|line| line.as_str()).collect::<Vec<_>>().join(" ");
        (!words.is_empty()).then_some(words)
    }

    /// Writes what has no line end yet, and how much was not shown.
    pub(crate) fn close(&self) {
        let mut inner = self.lock();
        for (level, rest) in std::mem::take(&mut inner.partial) {
            if !rest.is_empty() {
                let _ = inner.write(level, &String::from_utf8_lossy(&rest));
            }
        }
        let hidden = inner.written.saturating_sub(inner.max_lines);
        if hidden > 0 {
            let message = format!("… {hidden} more log lines were cut");
            inner.send("warn", message);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn write(&mut self, level: &'static str, message: &str) -> Result<(), Fault> {
        self.written += 1;
        if self.written > self.max_lines.saturating_mul(FLOOD) {
            return Err(Fault::LogFlood(self.max_lines.saturating_mul(FLOOD)));
        }
        let message = one_line(message, self.max_bytes);
        if level == "warn" {
            if self.warnings.len() == LAST_WORDS {
                self.warnings.pop_front();
            }
            self.warnings.push_back(message.clone());
        }
        if self.written <= self.max_lines {
            self.send(level, message);
        }
        Ok(())
    }

    fn send(&self, level: &str, message: String) {
        match &self.step {
            Some(step) => self.events.send(Event::Log { step: step.clone(), level: level.into(), message }),
            // `describe` belongs to no step.
            None => tracing::debug!(level, message, "a plugin said while it described itself"),
        }
    }
}

/// The interface's view of the store.
pub(crate) struct Log<'a> {
    lines: &'a Lines,
}

pub(crate) struct HasLog;

impl HasData for HasLog {
    type Data<'a> = Log<'a>;
}

impl State {
    pub(crate) fn log(&mut self) -> Log<'_> {
        Log { lines: &self.lines }
    }
}

impl log::Host for Log<'_> {
    fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            log::Level::Debug => "debug",
            log::Level::Info => "info",
            log::Level::Warn => "warn",
        };
        self.lines.write(level, &message).map_err(wasmtime::Error::new)
    }
}
