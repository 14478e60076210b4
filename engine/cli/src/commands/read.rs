//! Commands that only read: playbooks, and the journals of runs.

use sealbook_engine::run::Runs;
use sealbook_model::id::RunId;
use serde_json::json;

use crate::app::{App, Failure};
use crate::args::{Output, RunsCommand};
use crate::render::table::table;
use crate::render::text::{Tone, line};
use crate::render::{lists, problem};
use crate::{assets, library, out};

/// Lists the standard playbooks.
pub async fn list(app: &App) -> Result<u8, Failure> {
    let runtime = app.runtime()?;
    let mut labs = Vec::new();
    for id in assets::playbooks() {
        labs.push(library::load(id, &runtime, app.policy()).await.map_err(Failure::Rejected)?.lab);
    }
    match app.output() {
        Output::Json => out::json(
            &labs
                .iter()
                .map(|l| json!({ "id": l.id, "title": l.title, "summary": l.summary, "level": l.level, "minutes": { "embedded": l.minutes.embedded, "azure": l.minutes.azure } }))
                .collect::<Vec<_>>(),
        ),
        Output::Human => {
            let rows: Vec<_> = labs.iter().map(|l| vec![l.id.clone(), l.level.clone(), format!("{} min", l.minutes.embedded), l.title.clone()]).collect();
            out::data(&table(&["PLAYBOOK", "LEVEL", "TIME", "TITLE"], &rows));
            out::note("Run one: sealbook run <playbook>");
        }
    }
    Ok(0)
}

/// Shows one playbook.
pub async fn show(app: &App, name: &str) -> Result<u8, Failure> {
    let runtime = app.runtime()?;
    let lab = library::load(name, &runtime, app.policy()).await.map_err(Failure::Rejected)?.lab;
    match app.output() {
        Output::Json => out::json(&json!({
            "id": lab.id, "title": lab.title, "summary": lab.summary, "level": lab.level,
            "inputs": lab.inputs.iter().map(|i| json!({ "name": i.name, "prompt": i.prompt, "secret": i.secret })).collect::<Vec<_>>(),
        })),
        Output::Human => app.data(&lists::lab(&lab)),
    }
    Ok(0)
}

/// Checks a playbook.
pub async fn check(app: &App, path: &str) -> Result<u8, Failure> {
    let runtime = app.runtime()?;
    match library::load(path, &runtime, app.policy()).await {
        Ok(loaded) => {
            match app.output() {
                Output::Json => out::json(&json!({ "playbook": loaded.lab.id, "problems": [] })),
                Output::Human => app.data(&[line(Tone::Good, "ok", format!("{}: no problems.", loaded.lab.id))]),
            }
            Ok(0)
        }
        Err(rejected) if app.output() == Output::Json => {
            out::json(&json!({ "playbook": path, "problems": rejected.problems }));
            Ok(rejected.problems.first().map_or(1, sealbook_model::problem::Problem::exit_code))
        }
        Err(rejected) => {
            let count = rejected.problems.len();
            let ui = app.ui();
            for p in &rejected.problems {
                out::note(&problem::render(p, &rejected.files, &ui));
            }
            out::note(&format!("{count} {}", if count == 1 { "problem" } else { "problems" }));
            Ok(rejected.problems.first().map_or(1, sealbook_model::problem::Problem::exit_code))
        }
    }
}

/// Lists runs, or removes one.
pub fn runs(app: &App, command: Option<RunsCommand>) -> Result<u8, Failure> {
    let runs = Runs::new(app.home());
    match command {
        None => {
            let infos = runs.list()?;
            match app.output() {
                Output::Json => out::json(&infos),
                Output::Human if infos.is_empty() => out::note("No runs yet. Start one: sealbook run cmk-storage"),
                Output::Human => out::data(&lists::runs(&infos)),
            }
        }
        Some(RunsCommand::Rm { run, force }) => {
            let run = runs.resolve(Some(&run))?;
            runs.remove(&run, force)?;
            out::note(&format!("Run {run} and its key are gone."));
        }
    }
    Ok(0)
}

/// Shows where a run stands.
pub fn status(app: &App, run: Option<&str>) -> Result<u8, Failure> {
    let (runs, run) = find(app, run)?;
    let info = runs.info(&run)?;
    match app.output() {
        Output::Json => out::json(&info),
        Output::Human => {
            app.data(&lists::run(&info));
            if let Some(p) = &info.problem {
                out::note(&problem::render(p, &std::collections::BTreeMap::new(), &app.ui()));
            }
        }
    }
    Ok(0)
}

/// Prints a journal.
pub fn log(app: &App, run: Option<&str>) -> Result<u8, Failure> {
    let (runs, run) = find(app, run)?;
    for entry in runs.log(&run)? {
        match app.output() {
            Output::Json => out::json_line(&entry),
            Output::Human => out::data(&crate::render::log::entry(&entry)),
        }
    }
    Ok(0)
}

/// Gives the next hint.
pub fn hint(app: &App, run: Option<&str>) -> Result<u8, Failure> {
    let (runs, run) = find(app, run)?;
    let hint = runs.hint(&run, None)?;
    match app.output() {
        Output::Json => out::json(&hint),
        Output::Human => match hint {
            Some(hint) => app.data(&[line(
                Tone::Plain,
                "hint",
                format!("{} ({} of {}, step {})", hint.text, hint.tier, hint.of, hint.step),
            )]),
            None => out::note("There is no further hint for this step."),
        },
    }
    Ok(0)
}

pub(super) fn find(app: &App, run: Option<&str>) -> Result<(Runs, RunId), Failure> {
    let runs = Runs::new(app.home());
    let run = runs.resolve(run)?;
    Ok((runs, run))
}
