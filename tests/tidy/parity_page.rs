//! The parity map as a page to read, docs/parity.md.

use std::fmt::Write as _;

use crate::parity::{Row, Service};

const INTRODUCTION: &str = "\
# What the embedded Azure offers

Rendered from [parity.toml](parity.toml), which is held against the tables that route and authorise requests:
`SEALBOOK_PARITY=write cargo test --workspace --test tidy parity`.

An operation that is not here is refused the way Azure refuses it, with the header `x-sealbook-gap` that names the gap.
*Needs* is the action that a role must grant. *Works* and *refused* name the tests that show it: of the crate
`sealbook-cloud`, or a check of `tests/interop`. Operations with ⏳ are long-running.
";

/// Renders the map: a section for each service, and for each provider of Azure Resource Manager.
pub fn page(services: &[Service], rows: &[Row]) -> String {
    let mut out = INTRODUCTION.to_owned();
    let _ = writeln!(out, "\n{} operations in {} sections.", rows.len(), services.len());
    for service in services {
        let own: Vec<&Row> =
            rows.iter().filter(|r| (&r.service, &r.provider) == (&service.name, &service.provider)).collect();
        let title = if service.provider.is_empty() { &service.name } else { &service.provider };
        let _ = writeln!(out, "\n## {title}\n");
        said(&mut out, "Enforced", &service.enforces);
        said(&mut out, "Simplified", &service.simplified);
        if own.is_empty() {
            continue;
        }
        out.push_str("\n| operation | request | needs | works | refused |\n| --- | --- | --- | --- | --- |\n");
        for row in own {
            let _ = writeln!(out, "{}", line(row));
        }
    }
    out
}

fn said(out: &mut String, what: &str, sentences: &[String]) {
    for sentence in sentences {
        let _ = writeln!(out, "- {what}: {sentence}");
    }
}

fn line(row: &Row) -> String {
    let code = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
    let requests: Vec<String> = row.request.split(", ").map(code).collect();
    let waits = if row.long_running { " ⏳" } else { "" };
    let simplified = row.simplified.as_deref().map(|text| format!("; simplified: {text}")).unwrap_or_default();
    let columns = [
        format!("{}{waits}{simplified}", code(&row.name)),
        requests.join("<br>"),
        code(row.requires.as_deref().unwrap_or_default()),
        if row.works.is_empty() { "never".to_owned() } else { code(&row.works) },
        code(row.refused.as_deref().unwrap_or_default()),
    ];
    // A bar would end the column.
    format!("| {} |", columns.map(|text| text.replace('|', "\\|")).join(" | "))
}
