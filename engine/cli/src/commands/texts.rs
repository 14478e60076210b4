//! `explain`, `schema`, `completions`.

use clap::CommandFactory;
use clap_complete::Shell;
use sealbook_model::playbook;
use sealbook_model::plugin::PluginRef;
use sealbook_model::problem::{CODES, Problem, closest, codes};

use crate::app::{App, Failure};
use crate::args::{Cli, Output, SchemaChoice};
use crate::{assets, library, out};

/// Prints the page of a code, or all codes with their titles.
pub fn explain(code: Option<&str>, output: Output) -> Result<u8, Failure> {
    let Some(code) = code else {
        match output {
            Output::Json => out::json(
                &CODES.iter().map(|c| serde_json::json!({ "code": c.code, "title": c.title })).collect::<Vec<_>>(),
            ),
            Output::Human => out::data(&CODES.iter().map(|c| format!("{}  {}\n", c.code, c.title)).collect::<String>()),
        }
        return Ok(0);
    };
    let code = code.to_ascii_uppercase();
    let Some(page) = assets::page(&code) else {
        let problem = Problem::new(codes::UNKNOWN_CODE, format!("there is no problem code `{code}`"));
        return Err(match closest(&code, CODES.iter().map(|c| c.code)) {
            Some(near) => problem.fix(format!("did you mean {near}? `sealbook explain` lists all codes")),
            None => problem.fix("`sealbook explain` lists all codes"),
        }
        .into());
    };
    match output {
        Output::Json => out::json(&serde_json::json!({ "code": code, "page": page })),
        Output::Human => out::data(page),
    }
    Ok(0)
}

/// Prints a JSON Schema.
pub async fn schema(app: &App, what: SchemaChoice, plugin: Option<&str>) -> Result<u8, Failure> {
    match (what, plugin) {
        (SchemaChoice::Playbook, _) => out::json(&playbook::schema()),
        (SchemaChoice::Part, _) => out::json(&playbook::part_schema()),
        (SchemaChoice::Plugin, Some(name)) => {
            let known = || assets::plugins().find(|p| p == name || p.split('@').next() == Some(name));
            let component = known().and_then(|p| p.parse::<PluginRef>().ok()).and_then(|r| assets::plugin(&r));
            let Some(component) = component else {
                let all = assets::plugins().collect::<Vec<_>>().join(", ");
                return Err(Problem::new(codes::USAGE, format!("there is no plugin `{name}`"))
                    .fix(format!("one of: {all}"))
                    .into());
            };
            let runtime = app.runtime()?;
            out::json(&library::describe(&runtime, &component).await?);
        }
        (SchemaChoice::Plugin, None) => {
            return Err(Problem::new(codes::USAGE, "which plugin?")
                .fix("sealbook schema plugin resource-group")
                .into());
        }
    }
    Ok(0)
}

/// Prints a completion script.
pub fn completions(shell: Shell) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sealbook", &mut script);
    out::data(&String::from_utf8_lossy(&script));
    0
}
