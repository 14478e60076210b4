//! A run as one web page that needs nothing else: no script, no font, no request.
//!
//! Everything in it is text from outside, so the only way into the page is through [`dom`], which escapes. Should
//! something get through all the same, the page's policy lets nothing run and nothing load.

mod dom;
mod markdown;
mod sections;
mod step;

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use sealbook_engine::run::Status;
use sealbook_engine::run::report::Report;
use sealbook_model::CloudName;

use self::dom::{Html, el, plain, void};
use super::text::{span, usd};

const STYLE: &str = include_str!("style.css");

/// What became of the pictures that outputs name, by artifact.
pub type Pictures = BTreeMap<String, Option<Vec<u8>>>;

/// The page.
pub fn page(report: &Report, pictures: &Pictures) -> String {
    let policy = format!(
        "default-src 'none'; img-src data:; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        STANDARD.encode(sealbook_crypto::sha256(STYLE.as_bytes()))
    );
    let title = format!("{}, run {}: {}", report.title, report.run, report.status.word());
    let head = plain(
        "head",
        [
            void("meta", &[("charset", "utf-8")]),
            void("meta", &[("http-equiv", "Content-Security-Policy"), ("content", &policy)]),
            void("meta", &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")]),
            void("meta", &[("name", "color-scheme"), ("content", "light dark")]),
            void("meta", &[("name", "referrer"), ("content", "no-referrer")]),
            plain("title", title),
            // The style sheet is our own and has nothing of the run in it.
            plain("style", Html::trusted(STYLE.to_owned())),
        ],
    );
    let main = plain(
        "main",
        [
            summary(report),
            contents(report),
            sections::about(report),
            steps(report, pictures),
            sections::costs(report),
            sections::clean_up(report),
            sections::transcript(report),
            footer(report),
        ],
    );
    let html = el("html", &[("lang", "en")], [head, plain("body", main)]);
    format!("<!doctype html>\n{}", html.markup())
}

/// What a reader wants to know first.
fn summary(report: &Report) -> Html {
    let mut inner = Html::default();
    inner.add(el("p", &[("class", "kicker")], format!("Sealbook, report of run {}", report.run)));
    inner.add(plain("h1", &report.title));
    if !report.summary.is_empty() {
        inner.add(el("p", &[("class", "lead")], &report.summary));
    }
    let (tone, word, said) = verdict(report);
    let class = format!("verdict {tone}");
    inner.add(el("div", &[("class", &class)], [plain("strong", word), plain("span", said)]));
    let figure = |name: &str, value: String, more: String| {
        let more = if more.is_empty() { Html::default() } else { plain("small", more) };
        plain("div", [plain("dt", name), plain("dd", [value.into(), more])])
    };
    let all = report.steps.len();
    let proven = report.steps.iter().filter(|step| step.proven).count();
    let skipped = report.steps.iter().filter(|step| step.phase == "skipped").count();
    let checks = report.steps.iter().flat_map(|step| &step.evidence);
    let (passed, made) = (checks.clone().filter(|check| check.passed).count(), checks.count());
    let hourly: f64 = report.live.iter().map(|live| live.usd_per_hour).sum();
    inner.add(el(
        "dl",
        &[("class", "figures")],
        [
            figure(
                "Steps with their verdict",
                format!("{proven} of {all}"),
                if skipped > 0 { format!("{skipped} skipped") } else { String::new() },
            ),
            figure("Checks that passed", format!("{passed} of {made}"), String::new()),
            figure("Time worked", lasted(report.worked_ms), attempts(report.attempts.len())),
            figure("Costs by the hour", usd(hourly), costs_note(report.cloud).to_owned()),
        ],
    ));
    plain("header", inner)
}

fn verdict(report: &Report) -> (&'static str, String, String) {
    let at = report.last.map_or_else(String::new, |at| format!(" as of {}", clock(at)));
    match report.status {
        Status::Succeeded => ("good", "Succeeded".into(), "Every step has its verdict.".into()),
        Status::Undone => {
            ("calm", "Taken back".into(), "What the run made was removed; what stays is named below.".into())
        }
        Status::Running => {
            let way = if report.undoing { "is being taken back" } else { "goes on" };
            ("warn", "Running".into(), format!("The run {way} while this is written: it shows the journal{at}."))
        }
        Status::Failed => {
            let why = report.problem.as_ref().map_or_else(|| "It stopped.".to_owned(), |p| sentence(&p.what));
            ("bad", if report.undoing { "Not all taken back" } else { "Failed" }.into(), why)
        }
        Status::Interrupted => {
            let way = if report.undoing { "being taken back" } else { "going forward" };
            ("warn", "Interrupted".into(), format!("It was stopped, or its process died, while {way}."))
        }
    }
}

/// The contents, with what became of each step.
fn contents(report: &Report) -> Html {
    let link = |id: &str, text: &str| el("a", &[("href", &format!("#{id}"))], text);
    let steps = report.steps.iter().map(|step| {
        let no = el("span", &[("class", "no")], step.index.to_string());
        plain("li", [no, link(&step::id(step), &step.title), step::badge(step)])
    });
    let items = [
        plain("li", link("about", "The run")),
        plain("li", [link("steps", "Steps"), plain("ol", steps.collect::<Html>())]),
        plain("li", link("costs", "Costs")),
        plain("li", link("clean-up", "Clean-up")),
        plain("li", link("transcript", "Transcript")),
    ];
    el("nav", &[("aria-labelledby", "contents")], [el("h2", &[("id", "contents")], "Contents"), plain("ol", items)])
}

fn steps(report: &Report, pictures: &Pictures) -> Html {
    let mut inner = Html::default();
    if let Some(problem) = &report.unreadable {
        let text = format!("The playbook can't be read any more, so its texts are missing: {problem}");
        inner.add(note("warn", None, text));
    }
    inner.add(report.steps.iter().map(|step| step::step(step, pictures)).collect::<Html>());
    section("steps", "Steps", inner)
}

fn footer(report: &Report) -> Html {
    let at = report.last.map_or_else(Html::default, |at| [Html::from(" at "), time(at)].into());
    let text = format!(
        "Made from the journal of run {} by Sealbook {}. Its last record was written",
        report.run,
        env!("CARGO_PKG_VERSION")
    );
    plain("footer", plain("p", [text.into(), at, ".".into()]))
}

/// A section of the page.
fn section(id: &'static str, title: &str, inner: impl Into<Html>) -> Html {
    let heading = format!("{id}-title");
    let inner = [el("h2", &[("id", &heading)], title), inner.into()];
    el("section", &[("id", id), ("aria-labelledby", &heading)], inner)
}

/// A remark in the margin's colour, with a word for those who do not see it.
fn note(tone: &str, label: Option<&str>, inner: impl Into<Html>) -> Html {
    let label = label.map(|label| el("p", &[("class", "label")], label)).unwrap_or_default();
    el("div", &[("class", &format!("note {tone}"))], [label, plain("div", inner.into())])
}

fn badge(tone: &str, word: &str) -> Html {
    el("span", &[("class", &format!("badge {tone}"))], word)
}

/// An instant for people and for programs.
fn time(at: DateTime<Utc>) -> Html {
    el("time", &[("datetime", &at.to_rfc3339_opts(SecondsFormat::Secs, true))], clock(at))
}

fn clock(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn lasted(ms: u64) -> String {
    span(Duration::from_millis(ms))
}

fn attempts(count: usize) -> String {
    format!("{count} {}", if count == 1 { "attempt" } else { "attempts" })
}

fn costs_note(cloud: CloudName) -> &'static str {
    match cloud {
        CloudName::Embedded => "as on Azure; here nothing costs",
        CloudName::Azure => "of what stands now",
    }
}

fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}

#[cfg(test)]
mod tests;
