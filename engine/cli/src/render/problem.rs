//! Problems for people: a labelled snippet where there is a source, a narrated form where there is no terminal.

use std::collections::BTreeMap;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};
use sealbook_model::problem::Problem;

use super::text::safe;
use crate::ui::{Mode, Ui};

/// Shows one problem.
pub fn render(problem: &Problem, files: &BTreeMap<String, String>, ui: &Ui) -> String {
    // Boxes and carets mean nothing to a pipe or a screen reader, and miette would draw them there all the same.
    if ui.mode == Mode::Rich
        && let Some(span) = &problem.span
        && let Some(text) = files.get(&span.file)
    {
        let theme = if ui.color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let shown = Shown { problem, source: NamedSource::new(safe(&span.file), harmless(text)) };
        let mut out = String::new();
        if GraphicalReportHandler::new_themed(theme).with_width(100).render_report(&mut out, &shown).is_ok() {
            return out;
        }
    }
    narrated(problem, files)
}

/// The text with every character that a terminal would act on replaced by as many bytes, so that places stay right.
fn harmless(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let shown = c == '\n' || c == '\t' || safe(c.encode_utf8(&mut [0; 4])).starts_with(c);
            let n = if shown { 1 } else { c.len_utf8() };
            std::iter::repeat_n(if shown { c } else { '?' }, n)
        })
        .collect()
}

fn narrated(problem: &Problem, files: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    if let Some(span) = &problem.span {
        let at = files.get(&span.file).map(|text| sealbook_model::problem::line_col(text, span.start));
        match at {
            Some((line, column)) => out.push_str(&format!("{}:{line}:{column}: ", safe(&span.file))),
            None => out.push_str(&format!("{}: ", safe(&span.file))),
        }
    }
    out.push_str(&format!("error {}: {}\n", problem.code, safe(&problem.what)));
    for why in &problem.why {
        out.push_str(&format!("  why: {}\n", safe(why)));
    }
    if let Some(fix) = &problem.fix {
        out.push_str(&format!("  fix: {}\n", safe(fix)));
    }
    out.push_str(&format!("  more: sealbook explain {}", problem.code));
    out
}

/// A problem with its source, as miette wants it.
#[derive(Debug)]
struct Shown<'a> {
    problem: &'a Problem,
    source: NamedSource<String>,
}

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&safe(&self.problem.what))
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn code<'b>(&'b self) -> Option<Box<dyn std::fmt::Display + 'b>> {
        Some(Box::new(self.problem.code))
    }

    fn help<'b>(&'b self) -> Option<Box<dyn std::fmt::Display + 'b>> {
        let mut parts: Vec<String> = self.problem.why.iter().map(|w| safe(w)).collect();
        parts.extend(self.problem.fix.iter().map(|f| safe(f)));
        (!parts.is_empty()).then(|| Box::new(parts.join("\n")) as Box<dyn std::fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.problem.span.as_ref()?;
        Some(Box::new(std::iter::once(LabeledSpan::new(
            Some("here".into()),
            span.start,
            span.end.saturating_sub(span.start).max(1),
        ))))
    }
}

#[cfg(test)]
mod tests {
    use sealbook_model::problem::{Problem, Span};

    use super::*;

    #[test]
    fn names_place_cause_and_cure() {
        let files = BTreeMap::from([("lab/playbook.toml".to_owned(), "schema = 1\nnme = 2\n".to_owned())]);
        let span = Span { file: "lab/playbook.toml".into(), start: 11, end: 14 };
        let problem = Problem::new("SB0102", "unknown key `nme`")
            .because("a playbook has no such key")
            .fix("did you mean `name`?")
            .at(span);
        let plain = Ui { mode: Mode::Plain, color: false, can_ask: false };
        insta::assert_snapshot!(render(&problem, &files, &plain), @r"
        lab/playbook.toml:2:1: error SB0102: unknown key `nme`
          why: a playbook has no such key
          fix: did you mean `name`?
          more: sealbook explain SB0102
        ");
        let rich = Ui { mode: Mode::Rich, ..plain };
        assert!(render(&problem, &files, &rich).contains("here"));
        let text = "a\u{1b}[2Jb\u{202e}c\u{7}é\r\n";
        assert_eq!((harmless(text).as_str(), harmless(text).len()), ("a?[2Jb???c?é?\n", text.len()));
    }
}
