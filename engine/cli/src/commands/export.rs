//! `export`: a playbook as `az` commands, or as a document.

use std::collections::BTreeMap;

use sealbook_engine::run::Runs;
use sealbook_model::CloudName;
use sealbook_model::export::{Shell, export as make_script, markdown, shell_script};

use super::asker::Asker;
use super::run::{rejected, unknown_place, with_files};
use crate::app::{App, Failure};
use crate::args::{ExportArgs, ExportFormat};
use crate::{library, out};

/// Prints what a playbook does.
pub async fn export(app: &App, args: ExportArgs) -> Result<u8, Failure> {
    let loaded = library::load(&args.playbook, &app.runtime()?, app.policy()).await.map_err(Failure::Rejected)?;
    let id = Runs::new(app.home()).fresh_id();
    let context = unknown_place(CloudName::Azure, id.as_str())?;
    let mut asker = Asker::new(app, &args.inputs, true, &[])?;
    let answered = asker.answer(&loaded.lab, &context).map_err(|r| with_files(r, &loaded))?;
    let descriptions: BTreeMap<_, _> =
        loaded.plugins.iter().map(|(name, plugin)| (name.to_string(), plugin.description.clone())).collect();
    let script = make_script(&loaded.lab, &descriptions, &answered.answers, &answered.inputs.values, id)
        .map_err(|problems| rejected(problems, &loaded))?;
    out::data(&match args.format {
        ExportFormat::Bash => shell_script(&script, Shell::Bash),
        ExportFormat::Powershell => shell_script(&script, Shell::PowerShell),
        ExportFormat::Markdown => markdown(&script),
    });
    Ok(0)
}
