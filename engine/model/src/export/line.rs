//! Commands as words, so that each shell can be given its own quotes.

use super::symbols::{Symbols, marked};

/// One command, or several that are joined by operators.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Line(pub Vec<Token>);

/// A part of a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    /// A word.
    Word(Vec<Piece>),
    /// `&&`, `||`, `|` or `;`.
    Operator(&'static str),
}

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// As it is.
    Text(String),
    /// The value of a variable.
    Variable(String),
}

const OPERATORS: &[&str] = &["&&", "||", "|", ";"];

impl Line {
    /// Names of the variables in it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .flat_map(|token| match token {
                Token::Word(pieces) => pieces.as_slice(),
                Token::Operator(_) => &[],
            })
            .filter_map(|piece| match piece {
                Piece::Variable(name) => Some(name.as_str()),
                Piece::Text(_) => None,
            })
    }
}

/// The pieces of a text with marks.
pub(super) fn pieces(text: &str, symbols: &Symbols) -> Vec<Piece> {
    marked(text)
        .into_iter()
        .map(|part| match part {
            Ok(number) => Piece::Variable(symbols.name(number).unwrap_or("unknown").to_owned()),
            Err(text) => Piece::Text(text),
        })
        .collect()
}

/// A command without marks.
pub(super) fn words(text: &str) -> Line {
    Line(text.split(' ').map(|word| Token::Word(vec![Piece::Text(word.to_owned())])).collect())
}

/// Reads commands as a POSIX shell would: quotes and backslashes, one command per line, a backslash at its end goes on.
/// `&&` and `;` between commands separate them.
pub(super) fn commands(text: &str, symbols: &Symbols) -> Result<Vec<Line>, String> {
    let mut lines = Vec::new();
    for source in text.replace("\\\n", " ").lines().filter(|line| !line.trim().is_empty()) {
        let words = shlex::split(source).ok_or_else(|| format!("its quotes do not match: {source}"))?;
        let mut line = Line::default();
        for word in words {
            match OPERATORS.iter().find(|operator| **operator == word) {
                Some(&("&&" | ";")) => lines.push(std::mem::take(&mut line)),
                Some(operator) => line.0.push(Token::Operator(operator)),
                // A backtick further inside belongs to a JMESPath literal.
                None if word.contains("$(") || word.starts_with('`') => {
                    return Err(format!("`{word}` runs a command inside another one"));
                }
                None => line.0.push(Token::Word(pieces(&word, symbols))),
            }
        }
        lines.push(line);
    }
    lines.retain(|line| !line.0.is_empty());
    Ok(lines)
}
