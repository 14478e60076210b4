//! `report`: a run as a web page.

use std::path::{Path, PathBuf};

use sealbook_attestation::Roots;
use sealbook_model::CloudName;
use sealbook_model::id::RunId;
use sealbook_model::problem::{Problem, codes};

use super::read::find;
use crate::app::{App, Failure};
use crate::args::Output;
use crate::out;
use crate::render::html::{self, Pictures};
use crate::trust;

/// Largest picture that goes into a page, in bytes.
const PICTURE_MAX: u64 = 8 << 20;

/// Writes a run's report.
pub async fn report(app: &App, run: Option<&str>, to: Option<PathBuf>) -> Result<u8, Failure> {
    let (runs, run) = find(app, run)?;
    let mut report = runs.report(&run)?;
    if report.has_evidence() {
        let roots = match report.cloud {
            CloudName::Azure => Ok(Roots::builtin()),
            CloudName::Embedded => trust::test_roots(app, &report.tenant, &report.subscription),
        };
        match roots {
            Ok(roots) => report.judge(&roots),
            Err(why) => out::note(&format!("The evidence of its machines was not judged again: {why}.")),
        }
    }
    if app.output() == Output::Json {
        out::json(&report);
        return Ok(0);
    }
    let mut pictures = Pictures::new();
    for picture in report.steps.iter().flat_map(|step| &step.pictures) {
        // A picture that can't be read is missing from the page, which says so; the rest is worth having.
        let bytes = runs.artifact(&run, &picture.artifact, PICTURE_MAX).await.unwrap_or_else(|problem| {
            out::note(&format!("{problem}"));
            None
        });
        pictures.insert(picture.artifact.clone(), bytes);
    }
    deliver(&run, "html", to, &html::page(&report, &pictures))?;
    Ok(0)
}

/// Writes a text to where it was wanted, and says where it is when nobody said where to.
pub(super) fn deliver(run: &RunId, ending: &str, to: Option<PathBuf>, text: &str) -> Result<(), Problem> {
    let path = to.unwrap_or_else(|| PathBuf::from(format!("sealbook-{run}.{ending}")));
    if path == Path::new("-") {
        out::data(text);
        return Ok(());
    }
    std::fs::write(&path, text).map_err(|e| {
        Problem::new(codes::FILE_UNUSABLE, format!("`{}` can't be written", path.display()))
            .because(e.to_string())
            .fix("name another file: --out FILE")
    })?;
    out::data(&path.display().to_string());
    Ok(())
}
