//! One file per command: what it reads, what it asks, what it prints.

mod asker;
mod attest;
mod bills;
mod cloud;
mod doctor;
mod export;
mod guest;
mod input;
mod policy;
mod read;
mod report;
mod run;
mod sealed;
mod texts;
mod transcript;

use crate::app::{App, Failure};
use crate::args::{Cli, Command, Global};
use crate::out;
use crate::render::text::Line;
use crate::ui::{self, Surroundings};

/// Carries out a command. The number is the exit code.
pub async fn dispatch(cli: Cli) -> Result<u8, Failure> {
    // What needs no home comes first: it works on a broken one too.
    match &cli.command {
        Command::Explain { code } => return texts::explain(code.as_deref(), cli.global.output),
        Command::Completions { shell } => return Ok(texts::completions(*shell)),
        Command::VerifyTranscript { file, key, roots } => {
            return transcript::verify(&cli.global, file, key.as_deref(), roots.as_deref());
        }
        _ => {}
    }
    if let Command::Policy { command } = cli.command {
        return policy::policy(&cli.global, command);
    }
    if matches!(cli.command, Command::Doctor) {
        return doctor::doctor(cli.global).await;
    }
    match cli.command {
        Command::Guest { command } => return guest::guest(&cli.global, command).await,
        Command::Seal(args) => return sealed::seal(&cli.global, args).await,
        Command::Open(args) => return sealed::open(&cli.global, args).await,
        _ => {}
    }
    let app = App::open(cli.global)?;
    match cli.command {
        Command::List => read::list(&app).await,
        Command::Show { playbook } => read::show(&app, &playbook).await,
        Command::Check { path } => read::check(&app, &path).await,
        Command::Plan(args) => run::plan(&app, args).await,
        Command::Export(args) => export::export(&app, args).await,
        Command::Run(args) => run::run(&app, args).await,
        Command::Resume(args) => run::resume(&app, args).await,
        Command::Undo { run, yes, azure } => run::undo(&app, run.as_deref(), yes, &azure).await,
        Command::Verify { run, step, azure } => run::verify(&app, run.as_deref(), step.as_deref(), &azure).await,
        Command::Runs { command } => read::runs(&app, command),
        Command::Status { run } => read::status(&app, run.as_deref()),
        Command::Log { run } => read::log(&app, run.as_deref()),
        Command::Report { run, out } => report::report(&app, run.as_deref(), out).await,
        Command::Transcript { run, out } => transcript::transcript(&app, run.as_deref(), out),
        Command::Hint { run } => read::hint(&app, run.as_deref()),
        Command::Schema { what, plugin } => texts::schema(&app, what, plugin.as_deref()).await,
        Command::Attest { command } => attest::attest(&app, command),
        Command::Cloud { command } => cloud::cloud(&app, command).await,
        Command::Doctor
        | Command::Explain { .. }
        | Command::Completions { .. }
        | Command::Guest { .. }
        | Command::Seal(_)
        | Command::Open(_)
        | Command::Policy { .. }
        | Command::VerifyTranscript { .. } => Ok(0),
    }
}

/// Prints lines to stdout, for commands that need no home.
fn print(global: &Global, lines: &[Line]) {
    let color = ui::decide(global, Surroundings::read()).color && ui::stdout_is_terminal();
    let text: Vec<_> = lines.iter().map(|line| line.layout(100, color)).collect();
    out::data(&text.join("\n"));
}
