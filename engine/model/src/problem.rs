//! Diagnostics as data. A problem says what happened, why, and what to do next; the binary draws it.

use std::fmt;

use serde::{Deserialize, Serialize};

pub use crate::codes::{self, CODES, CodeInfo, code};

/// A place in a file of the playbook.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    /// Path inside the bundle.
    pub file: String,
    /// First byte.
    pub start: usize,
    /// Byte after the last one.
    pub end: usize,
}

/// What a problem means for whoever started the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Our own mistake.
    Bug,
    /// Wrong arguments, or a question without a terminal.
    Usage,
    /// The playbook is invalid.
    Playbook,
    /// A capability is not granted.
    Denied,
    /// Somebody must sign in.
    SignIn,
    /// A step failed; the run can be resumed.
    Step,
    /// Evidence did not verify.
    Evidence,
    /// Interrupted; the run can be resumed.
    Interrupted,
}

impl Class {
    /// The process's exit code.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Bug => 1,
            Self::Usage => 2,
            Self::Playbook => 10,
            Self::Denied => 11,
            Self::SignIn => 12,
            Self::Step => 20,
            Self::Evidence => 21,
            Self::Interrupted => 130,
        }
    }
}

/// One diagnostic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Its row in [`CODES`].
    pub code: &'static str,
    /// What happened.
    pub what: String,
    /// Why, nearest cause first.
    pub why: Vec<String>,
    /// What to do next: one command, or one line of TOML. Boxed, so that a problem stays small enough to be an error.
    pub fix: Option<Box<str>>,
    /// Where.
    pub span: Option<Span>,
}

impl Problem {
    /// Makes a problem of `code` (a constant of [`codes`]).
    #[must_use]
    pub fn new(code: &'static str, what: impl Into<String>) -> Self {
        Self { code, what: what.into(), why: Vec::new(), fix: None, span: None }
    }

    /// Adds a cause.
    #[must_use]
    pub fn because(mut self, why: impl Into<String>) -> Self {
        self.why.push(why.into());
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into().into());
        self
    }

    /// Says what to do next, when there is something to say.
    #[must_use]
    pub(crate) fn maybe_fix(mut self, fix: Option<String>) -> Self {
        self.fix = fix.map(Into::into).or(self.fix);
        self
    }

    /// Says where.
    #[must_use]
    pub fn at(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }

    /// Its class. A code without a row is our own mistake.
    #[must_use]
    pub fn class(&self) -> Class {
        code(self.code).map_or(Class::Bug, |info| info.class)
    }

    /// The process's exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        self.class().exit_code()
    }

    /// One line of plain text: `file:line:col: SB0103 what — why; fix`. `source` gives a file's text.
    #[must_use]
    pub fn plain<'a>(&self, source: &dyn Fn(&str) -> Option<&'a str>) -> String {
        let place = self.span.as_ref().map(|span| match source(&span.file) {
            Some(text) => {
                let (line, column) = line_col(text, span.start);
                format!("{}:{line}:{column}: ", span.file)
            }
            None => format!("{}: ", span.file),
        });
        format!("{}{self}", place.unwrap_or_default())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.what)?;
        for (i, why) in self.why.iter().enumerate() {
            write!(f, "{}{why}", if i == 0 { " — " } else { ": " })?;
        }
        if let Some(fix) = &self.fix {
            write!(f, "; {fix}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

/// Line and column of a byte offset, both from 1; columns count characters. An offset past the end, or inside a
/// character, means the character before it.
#[must_use]
pub fn line_col(text: &str, offset: usize) -> (usize, usize) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// The candidate that `given` was probably meant to be.
#[must_use]
pub fn closest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |s: &str| s.to_lowercase().replace('-', "_");
    let wanted = plain(given);
    // A third of the letters may be wrong, at least one and at most three.
    let reach = (wanted.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .filter(|c| *c != given)
        .map(|c| (strsim::damerau_levenshtein(&wanted, &plain(c)), c))
        .filter(|(distance, c)| *distance <= reach && *distance < c.chars().count())
        .min()
        .map(|(_, c)| c)
}

/// "did you mean `x`?", when something is close enough.
pub(crate) fn did_you_mean<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    closest(given, candidates).map(|c| format!("did you mean `{c}`?"))
}

/// `` `a`, `b` and `c` ``.
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    joined(names, "and")
}

/// `` `a`, `b` or `c` ``.
pub(crate) fn either<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    joined(names, "or")
}

fn joined<'a>(names: impl IntoIterator<Item = &'a str>, word: &str) -> String {
    let mut names: Vec<String> = names.into_iter().map(|n| format!("`{n}`")).collect();
    match names.pop() {
        None => "none".into(),
        Some(only) if names.is_empty() => only,
        Some(last) => format!("{} {word} {last}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_from_one() {
        let text = "ab\ncdé x\n";
        for (offset, expected) in [(0, (1, 1)), (2, (1, 3)), (3, (2, 1)), (7, (2, 4)), (6, (2, 3)), (999, (3, 1))] {
            assert_eq!(line_col(text, offset), expected, "offset {offset}");
        }
        assert_eq!(line_col("", 5), (1, 1));
    }

    #[test]
    fn what_was_probably_meant() {
        let names = ["key_store", "rg", "account", "may_wrap"];
        for (given, expected) in [
            ("key-store", Some("key_store")),
            ("keystore", Some("key_store")),
            ("acount", Some("account")),
            ("RG", Some("rg")),
            ("x", None),
            ("wrapper", None),
        ] {
            assert_eq!(closest(given, names), expected, "{given}");
        }
    }

    #[test]
    fn the_plain_line_holds_all_four_parts() {
        let problem = Problem::new(codes::UNKNOWN_KEY, "unknown key `tile`")
            .because("a playbook has `title`")
            .fix("did you mean `title`?")
            .at(Span { file: "x/playbook.toml".into(), start: 3, end: 7 });
        insta::assert_snapshot!(
            problem.plain(&|_| Some("a\nb\n")),
            @"x/playbook.toml:2:2: SB0103 unknown key `tile` — a playbook has `title`; did you mean `title`?"
        );
        assert_eq!(problem.exit_code(), 10);
        assert_eq!(Problem::new("SB9999", "x").class(), Class::Bug);
    }
}
