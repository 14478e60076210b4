//! An inert WASI: what Rust's standard library imports unasked, and nothing behind it.
//!
//! Thirteen interfaces are linked because every Rust component imports them: `wasi:io` (error, poll, streams) and
//! `wasi:cli` (environment, exit, standard streams, terminals). The environment is empty, standard input is closed,
//! standard output and error become log lines. Of `wasi:random`, only `insecure-seed` answers (it keys hash maps),
//! with a value that depends on the run alone; `random` and `insecure` are linked so that such a component loads, and
//! trap when they are called. Clocks, files, sockets and HTTP are not linked: importing them is refused by name.

use bytes::Bytes;
use sealbook_model::id::RunId;
use tokio::io::AsyncWrite;
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream, WasiCli, WasiCliView as _};
use wasmtime_wasi::p2::bindings::{cli, io, random};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::random::WasiRandom;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::desk::State;
use super::fault::Fault;
use super::provider::Lines;

/// The interfaces that are offered, without their versions.
const OFFERED: [&str; 16] = [
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
    "wasi:random/insecure-seed",
    "wasi:random/insecure",
    "wasi:random/random",
];

/// Whether an import is one of the inert interfaces, of the 0.2 track.
pub(crate) fn offers(import: &str) -> bool {
    import.split_once('@').is_some_and(|(name, version)| version.starts_with("0.2.") && OFFERED.contains(&name))
}

/// The state behind one store's WASI.
pub(crate) fn context(run: Option<&RunId>, lines: &Lines) -> WasiCtx {
    let seed = sealbook_crypto::sha256(format!("sealbook-seed {}", run.map_or("", RunId::as_str)).as_bytes());
    let (seed, _) = seed.split_at(16);
    WasiCtx::builder()
        .stdout(Output(lines.clone(), "info"))
        .stderr(Output(lines.clone(), "warn"))
        .insecure_random_seed(u128::from_le_bytes(seed.try_into().unwrap_or_default()))
        .allow_tcp(false)
        .allow_udp(false)
        .build()
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

struct HasIo;

impl HasData for HasIo {
    type Data<'a> = &'a mut ResourceTable;
}

pub(crate) fn add_to_linker(l: &mut Linker<State>) -> wasmtime::Result<()> {
    io::error::add_to_linker::<State, HasIo>(l, |s| &mut s.table)?;
    io::poll::add_to_linker::<State, HasIo>(l, |s| &mut s.table)?;
    io::streams::add_to_linker::<State, HasIo>(l, |s| &mut s.table)?;
    cli::environment::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::exit::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stdin::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stdout::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stderr::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_input::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_output::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stdin::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stdout::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stderr::add_to_linker::<State, WasiCli>(l, State::cli)?;
    random::insecure_seed::add_to_linker::<State, WasiRandom>(l, |s| s.wasi.random())?;
    for (interface, bytes, number) in [
        ("wasi:random/random@0.2.0", "get-random-bytes", "get-random-u64"),
        ("wasi:random/insecure@0.2.0", "get-insecure-random-bytes", "get-insecure-random-u64"),
    ] {
        let mut instance = l.instance(interface)?;
        instance.func_wrap(bytes, |_, _: (u64,)| -> wasmtime::Result<(Vec<u8>,)> { Err(no_entropy()) })?;
        instance.func_wrap(number, |_, (): ()| -> wasmtime::Result<(u64,)> { Err(no_entropy()) })?;
    }
    Ok(())
}

fn no_entropy() -> wasmtime::Error {
    wasmtime::Error::new(Fault::Crashed(
        "it asked for randomness of its own; keys and nonces are made by the host".into(),
    ))
}

/// Standard output or error: whole lines go to the step's log.
#[derive(Clone)]
struct Output(Lines, &'static str);

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for this form, and 0.3 is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let Self(lines, level) = self;
        lines.raw(level, &bytes).map_err(|fault| StreamError::Trap(wasmtime::Error::new(fault)))
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(16 << 10)
    }
}

#[async_trait::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}
