//! Reading TOML so that every problem of a file is found at once, each with its place.
//!
//! Text (size, characters) → syntax (recovering) → shape (against the JSON Schema that the authored types derive,
//! so that schema and parser can't disagree) → a tree without the pieces that did not fit, which always decodes.

mod at;
mod shape;
#[cfg(test)]
mod tests;

use std::ops::Range;

use serde::de::DeserializeOwned;
use serde_json::Value;
use toml::de::{DeTable, Deserializer};

pub(crate) use at::{At, Loose, LooseAt};
pub(crate) use shape::{article, snake};

use crate::problem::{Problem, Span, codes, line_col};

/// Bytes of one file.
pub(crate) const MAX_FILE: usize = 512 * 1024;
/// Problems reported for one file; the rest is counted.
const MAX_PROBLEMS: usize = 100;

/// A file of the bundle.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) file: &'a str,
    pub(crate) text: &'a str,
}

impl Source<'_> {
    pub(crate) fn span(&self, range: Range<usize>) -> Span {
        Span { file: self.file.to_owned(), start: range.start, end: range.end.max(range.start) }
    }
}

/// Reads `source` as a `T` whose JSON Schema is `schema`. None: not even the pieces are usable.
pub(crate) fn read<T: DeserializeOwned>(source: Source<'_>, schema: &Value, problems: &mut Vec<Problem>) -> Option<T> {
    let mut found = Vec::new();
    let result = read_all(source, schema, &mut found);
    found.sort_by_key(|p| p.span.as_ref().map_or(0, |s| s.start));
    if found.len() > MAX_PROBLEMS {
        let more = found.len() - MAX_PROBLEMS;
        found.truncate(MAX_PROBLEMS);
        let what = format!("{more} more problems in this file");
        let end = source.text.len();
        found.push(Problem::new(codes::TOO_LARGE, what).at(source.span(end..end)).fix("repair these first"));
    }
    problems.append(&mut found);
    result
}

fn read_all<T: DeserializeOwned>(source: Source<'_>, schema: &Value, problems: &mut Vec<Problem>) -> Option<T> {
    if source.text.len() > MAX_FILE {
        let what = format!("the file has {} bytes, at most {MAX_FILE} are read", source.text.len());
        problems.push(Problem::new(codes::TOO_LARGE, what).at(source.span(0..0)));
        return None;
    }
    characters(source, problems);
    if source.text.contains('\u{fffd}') {
        return None;
    }
    let spoilt = problems.len();
    let (mut table, errors) = DeTable::parse_recoverable(source.text);
    let lines: Vec<usize> = errors.iter().filter_map(|e| e.span()).map(|s| line_col(source.text, s.start).0).collect();
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        // The parser stumbles over forbidden characters too; they have been named already.
        if problems[..spoilt]
            .iter()
            .any(|p| p.span.as_ref().is_some_and(|s| s.start <= span.end && span.start <= s.end))
        {
            continue;
        }
        problems.push(syntax(error.message()).at(source.span(span)));
    }
    let before = problems.len();
    shape::check(source, schema, table.get_mut(), problems);
    if !errors.is_empty() || spoilt > 0 {
        // What recovery guessed is not worth a complaint; what stands elsewhere is.
        let sure = |p: &Problem| {
            let line = p.span.as_ref().map_or(0, |s| line_col(source.text, s.start).0);
            matches!(p.code, codes::UNKNOWN_KEY | codes::WRONG_TYPE | codes::BAD_VALUE) && !lines.contains(&line)
        };
        let mut at = 0;
        problems.retain(|p| {
            at += 1;
            at <= before || sure(p)
        });
        return None;
    }
    match T::deserialize(Deserializer::from(table)) {
        Ok(value) => Some(value),
        Err(error) => {
            let span = source.span(error.span().unwrap_or(0..0));
            problems.push(Problem::new(codes::BAD_VALUE, error.message().to_owned()).at(span));
            None
        }
    }
}

fn syntax(message: &str) -> Problem {
    if message.starts_with("duplicate key") {
        return Problem::new(codes::DUPLICATE, "the same key stands here twice").fix("keep one of the two");
    }
    if message.contains("recurs") {
        return Problem::new(codes::TOO_LARGE, "values are nested too deeply");
    }
    Problem::new(codes::SYNTAX, format!("not valid TOML: {message}"))
}

/// Refuses control characters, and those that make text read differently from what it says ("Trojan source").
pub(crate) fn characters(source: Source<'_>, problems: &mut Vec<Problem>) {
    // Who read the file put U+FFFD where its bytes are not UTF-8. Whatever else looks wrong follows from that.
    if let Some(at) = source.text.find('\u{fffd}') {
        let problem = Problem::new(codes::SYNTAX, "the file is not UTF-8 text").fix("save it as UTF-8");
        problems.push(problem.at(source.span(at..at + '\u{fffd}'.len_utf8())));
        return;
    }
    for (at, c) in source
        .text
        .char_indices()
        .filter(|(at, c)| is_forbidden(*c) && *c != '\r' && !(*at == 0 && *c == '\u{feff}'))
        .take(20)
    {
        problems.push(forbidden(c).at(source.span(at..at + c.len_utf8())));
    }
}

fn forbidden(c: char) -> Problem {
    let name = format!("U+{:04X}", u32::from(c));
    let why = match c {
        '\0' => "a NUL ends texts early in other programs",
        c if c.is_control() => "it is a control character",
        _ => "it changes how the text around it is read",
    };
    Problem::new(codes::FORBIDDEN_CHARACTER, format!("the character {name} is not allowed"))
        .because(why)
        .fix("take it out")
}

/// Control characters (a lone carriage return too: it overwrites the line before it) but for line ends and tabs, and direction overrides. Joiners stay: scripts need them.
pub(crate) fn is_forbidden(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Where in the file a byte of a decoded string stands. Exact when the string was written without escapes.
pub(crate) fn inside(source: Source<'_>, string: &Range<usize>, decoded: &str, at: Range<usize>) -> Range<usize> {
    let raw = source.text.get(string.clone()).unwrap_or_default();
    let skip = raw.find(decoded).filter(|skip| *skip <= 4 && !decoded.is_empty());
    match skip {
        Some(skip) if raw.len() - decoded.len() <= 2 * skip => {
            let start = string.start + skip;
            start + at.start..(start + at.end).min(string.end)
        }
        _ => string.clone(),
    }
}
