//! The binary: reads the command line and the surroundings, connects the engine to a cloud and to a person, and shows
//! what happens. All that prints, prompts or reads the environment is here.

mod app;
mod args;
mod assets;
mod commands;
mod connect;
mod guest;
mod hooks;
mod learner;
mod library;
mod machines;
mod out;
mod prompt;
mod render;
mod signals;
mod transport;
mod trust;
mod ui;

use std::process::ExitCode;

use clap::Parser;
use sealbook_model::problem::{Problem, codes};
use tracing_subscriber::EnvFilter;

use crate::app::Failure;
use crate::args::{Cli, Command};
use crate::ui::{Mode, Surroundings, Ui};

/// Answers arguments that make no sense, and requests for help.
fn misunderstood(error: &clap::Error) -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let json = args.windows(2).any(|w| w == ["--output", "json"]) || args.iter().any(|a| a == "--output=json");
    if !json || !error.use_stderr() {
        error.exit();
    }
    let what = error.to_string();
    let what = what.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    let ui = Ui { mode: Mode::Json, color: false, can_ask: false };
    Failure::from(Problem::new(codes::USAGE, what).fix("sealbook --help")).report(&ui).into()
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misunderstood(&error),
    };
    if let Command::Guest { command } = &cli.command
        && let Some(code) = guest::run(command)
    {
        return code;
    }
    // Diagnosis for the curious (`SEALBOOK_LOG=debug`), on stderr; runs themselves are told by events.
    let filter = EnvFilter::try_from_env("SEALBOOK_LOG").unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();

    let ui = ui::decide(&cli.global, Surroundings::read());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            return Failure::from(
                Problem::new(codes::HOME_UNUSABLE, "threads can't be started").because(e.to_string()),
            )
            .report(&ui)
            .into();
        }
    };
    let code = match runtime.block_on(commands::dispatch(cli)) {
        Ok(code) => code,
        Err(failure) => failure.report(&ui),
    };
    // A question that nobody answered may still block a thread: it must not keep the process.
    runtime.shutdown_background();
    code.into()
}
