//! The Markdown that is told about a step: `## What`, `## Why`, `## Proved`.

use std::ops::Range;

use super::File;
use crate::document::{self, Source};
use crate::grant::shown;
use crate::playbook::step::Text;
use crate::problem::{Problem, codes, did_you_mean};

const SECTIONS: [&str; 3] = ["What", "Why", "Proved"];
/// Bytes of one text.
const MAX: usize = 64 * 1024;

/// Reads a step's text and the title it may begin with. `required`: complain when it is missing, or not whole.
pub(super) fn read(
    file: &mut File<'_>,
    path: &str,
    required: bool,
    step: &Range<usize>,
) -> Option<(Option<String>, Text)> {
    let bundle = file.bundle;
    let Some(text) = bundle.files.get(path) else {
        if required {
            let what = format!("the step has no text: there is no file {path}");
            let fix = "write it, with the sections ## What, ## Why and ## Proved";
            file.say(codes::MISSING_FILE, what, step.clone(), Some(fix.into()));
        }
        return None;
    };
    let source = Source { file: path, text };
    if text.len() > MAX {
        let what = format!("the text has {} bytes, at most {MAX} are shown", text.len());
        file.problems.push(Problem::new(codes::TOO_LARGE, what).at(source.span(0..0)));
        return None;
    }
    document::characters(source, &mut file.problems);
    let (title, sections) = split(source, &mut file.problems);
    let mut take = |name: &str| {
        let body = sections.iter().find(|s| s.name == name).map(|s| s.body.trim().to_owned());
        let missing = body.as_ref().is_none_or(String::is_empty);
        if required && missing {
            let what = if body.is_some() {
                format!("the section ## {name} is empty")
            } else {
                format!("the section ## {name} is missing")
            };
            file.problems
                .push(Problem::new(codes::BAD_TEXT, what).at(source.span(0..0)).fix(format!("write it in {path}")));
        }
        body.unwrap_or_default()
    };
    let [what, why, proved] = SECTIONS.map(&mut take);
    Some((title, Text { what, why, proved }))
}

struct Section<'a> {
    name: &'a str,
    body: String,
}

/// Splits at second-level headings outside code fences.
fn split<'a>(source: Source<'a>, problems: &mut Vec<Problem>) -> (Option<String>, Vec<Section<'a>>) {
    let (mut title, mut sections, mut fence, mut at) = (None, Vec::<Section<'a>>::new(), None::<&str>, 0);
    for line in source.text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let bare = line.trim();
        let mark = ["```", "~~~"].into_iter().find(|m| bare.starts_with(m));
        match (fence, mark) {
            (Some(open), Some(mark)) if open == mark => fence = None,
            (None, Some(mark)) => fence = Some(mark),
            _ => {}
        }
        let heading =
            |level: &str| line.strip_prefix(level).map(str::trim).filter(|_| fence.is_none() && mark.is_none());
        if let Some(name) = heading("## ") {
            let span = source.span(start..start + bare.len());
            if !SECTIONS.contains(&name) {
                let fix = did_you_mean(name, SECTIONS)
                    .unwrap_or_else(|| "the sections are What, Why and Proved; use ### below them".into());
                problems.push(
                    Problem::new(codes::BAD_TEXT, format!("there is no section ## {}", shown(name))).at(span).fix(fix),
                );
            } else if sections.iter().any(|s| s.name == name) {
                problems
                    .push(Problem::new(codes::DUPLICATE, format!("the section ## {name} stands here twice")).at(span));
            }
            sections.push(Section { name, body: String::new() });
        } else if let (Some(text), true) = (heading("# "), sections.is_empty()) {
            title = Some(text.to_owned()).filter(|t| !t.is_empty());
        } else if let Some(section) = sections.last_mut() {
            section.body.push_str(line);
        }
    }
    (title, sections)
}

/// A title made from a name: `key_store` becomes "Key store".
pub(crate) fn title_of(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut chars = words.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
