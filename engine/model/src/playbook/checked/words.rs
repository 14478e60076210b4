//! Templates and conditions of a file, and the names they mention.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{File, in_order};
use crate::document::{Loose, LooseAt, inside, snake};
use crate::expr::{Expr, ExprError, Part, Reference, Template, With};
use crate::playbook::authored::Text;

/// What `out` is where a name is mentioned, and which other names there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum See {
    /// Before the step: no `out`.
    Before,
    /// After it: `out` is the plugin's outputs.
    Outputs,
    /// After a lesson's read: `out` is what was read.
    Read,
    /// After undo: `undo` has the instant.
    Undo,
    /// Before the run: built-in names only.
    Start,
}

/// A name that a file mentions.
#[derive(Debug, Clone)]
pub(crate) struct Mention {
    pub(crate) reference: Reference,
    /// Where in the file.
    pub(crate) at: Range<usize>,
    pub(crate) see: See,
    /// The word with hyphens that the name was cut from.
    pub(crate) hyphenated: Option<Hyphenated>,
    pub(crate) role: Role,
}

/// A name, and what is selected from it, that was written with hyphens: several names to CEL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hyphenated {
    /// As it should have been spelt: `key_store`, `inputs.my_region`.
    pub(crate) meant: String,
    /// What stands before the first hyphen.
    pub(crate) head: String,
    /// Whether the mention is that head.
    pub(crate) first: bool,
}

/// What a mentioned value is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It is all there is of a value that a plugin or part is given.
    Given,
    /// It is put into a text.
    Piece,
    /// Something is computed from it, or decided.
    Operand,
}

/// Collects mentions while templates are read.
#[derive(Debug, Default)]
pub(crate) struct Words {
    pub(crate) mentions: Vec<Mention>,
    /// Whether what is read is given to a plugin or part.
    giving: bool,
}

impl Words {
    /// Reads a template; what is wrong goes to the file's problems.
    pub(crate) fn template(&mut self, file: &mut File<'_>, text: &Text, see: See) -> Option<Template> {
        self.text(file, text, text.span(), see)
    }

    /// Reads a template that stands at `span`.
    pub(crate) fn text(&mut self, file: &mut File<'_>, text: &str, span: Range<usize>, see: See) -> Option<Template> {
        match Template::parse(text) {
            Ok(template) => {
                let given = self.giving && matches!(template.parts(), [Part::Expr(..)]);
                let role = if given { Role::Given } else { Role::Piece };
                for (expr, offset) in template.exprs() {
                    self.mention(file, expr, (offset, text), &span, see, role);
                }
                Some(template)
            }
            Err(error) => {
                refuse(file, &error, text, &span);
                None
            }
        }
    }

    /// Reads a condition.
    pub(crate) fn expr(&mut self, file: &mut File<'_>, text: &Text, see: See) -> Option<Expr> {
        match Expr::condition(text) {
            Ok(expr) => {
                self.mention(file, &expr, (0, text), &text.span(), see, Role::Operand);
                Some(expr)
            }
            Err(mut error) => {
                if text.contains("${") {
                    error.fix = Some("a condition is an expression as it is: write it without `${` and `}`".into());
                }
                refuse(file, &error, text, &text.span());
                None
            }
        }
    }

    /// Reads a table of inputs.
    pub(crate) fn with(&mut self, file: &mut File<'_>, with: &BTreeMap<Text, LooseAt>) -> With {
        self.giving = true;
        let fields = in_order(with).into_iter();
        let fields = fields.filter_map(|(key, value)| Some((key.value().clone(), self.value(file, value)?))).collect();
        self.giving = false;
        With::Table(fields)
    }

    fn value(&mut self, file: &mut File<'_>, value: &LooseAt) -> Option<With> {
        Some(match value.value() {
            Loose::Text(text) => With::Text(self.text(file, text, value.span(), See::Before)?),
            Loose::Plain(value) => With::Plain(value.clone()),
            Loose::List(items) => With::List(items.iter().filter_map(|item| self.value(file, item)).collect()),
            Loose::Table(fields) => {
                let fields = fields.iter().filter_map(|(k, v)| Some((k.value().clone(), self.value(file, v)?)));
                With::Table(fields.collect())
            }
        })
    }

    fn mention(
        &mut self,
        file: &File<'_>,
        expr: &Expr,
        (offset, text): (usize, &str),
        span: &Range<usize>,
        see: See,
        role: Role,
    ) {
        for reference in expr.references() {
            let name = std::iter::once(&reference.root)
                .chain(&reference.fields)
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(".");
            let local = offset + reference.at.start..offset + reference.at.end;
            self.mentions.push(Mention {
                at: inside(file.source, span, text, local),
                hyphenated: hyphenated(expr.source(), &reference.at),
                role: if expr.source().trim() == name { role } else { Role::Operand },
                reference: reference.clone(),
                see,
            });
        }
    }
}

fn refuse(file: &mut File<'_>, error: &ExprError, text: &str, span: &Range<usize>) {
    let at = inside(file.source, span, text, error.at.clone());
    let problem = error.problem().at(file.source.span(at));
    file.problems.push(problem);
    error.more.iter().for_each(|other| refuse(file, other, text, span));
}

/// The word around a name, when there are hyphens in it.
fn hyphenated(source: &str, at: &Range<usize>) -> Option<Hyphenated> {
    let word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let bytes = source.as_bytes();
    let before = bytes[..at.start.min(bytes.len())].iter().rev().take_while(|b| word(b)).count();
    let after = bytes[at.start.min(bytes.len())..].iter().take_while(|b| word(b)).count();
    let range = at.start.checked_sub(before)?..at.start + after;
    let text = source.get(range)?.trim_matches('-');
    // Hyphens further down would be in the fields of a field, of which nothing is known.
    let (head, _) = text.split_once('-').filter(|(head, _)| head.matches('.').count() < 2)?;
    let meant: Option<Vec<String>> = text.split('.').take(2).map(snake).collect();
    Some(Hyphenated { meant: meant?.join("."), head: head.to_owned(), first: before == 0 })
}
