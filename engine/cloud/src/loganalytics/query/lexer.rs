//! Words of the Kusto Query Language.

use super::Fault;

/// A word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// Name of a table, column, operator or function.
    Name(String),
    /// Text in quotes.
    Text(String),
    /// Number.
    Number(f64),
    /// Span of time in milliseconds: `30d`, `1h`, `5m`, `10s`, `1ms`.
    Span(f64),
    /// Operator or punctuation.
    Sign(&'static str),
}

/// Signs, longer ones before those they begin with.
const SIGNS: &[&str] =
    &["==", "!=", "=~", "!~", "<=", ">=", "..", "<", ">", "=", "(", ")", ",", "|", "-", "+", "*", "/"];

const UNITS: &[(&str, f64)] = &[("d", 86_400_000.0), ("h", 3_600_000.0), ("m", 60_000.0), ("s", 1_000.0), ("ms", 1.0)];

/// Splits a query into words; comments (`// …`) are left out.
pub(super) fn tokens(query: &str) -> Result<Vec<Token>, Fault> {
    let mut rest = query.trim_start();
    let mut tokens = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (token, length) = if rest.starts_with("//") {
            (None, rest.find('\n').unwrap_or(rest.len()))
        } else if first == '"' || first == '\'' {
            let (text, length) = quoted(rest, first)?;
            (Some(Token::Text(text)), length)
        } else if first.is_ascii_digit() {
            let (token, length) = number(rest)?;
            (Some(token), length)
        } else if first.is_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').unwrap_or(rest.len());
            let (name, length) = name(&rest[..end]);
            (Some(Token::Name(name)), length)
        } else {
            let negated = rest.strip_prefix("!").filter(|r| r.starts_with(|c: char| c.is_alphabetic()));
            match (negated, SIGNS.iter().find(|sign| rest.starts_with(**sign))) {
                (Some(word), _) => {
                    let end = word.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(word.len());
                    (Some(Token::Name(format!("!{}", &word[..end]))), end + 1)
                }
                (None, Some(sign)) => (Some(Token::Sign(sign)), sign.len()),
                (None, None) => return Err(Fault::syntax(&first.to_string())),
            }
        };
        // `in~` and `!in~` are one word.
        let (token, length) = match token {
            Some(Token::Name(name)) if rest[length..].starts_with('~') => {
                (Some(Token::Name(format!("{name}~"))), length + 1)
            }
            other => (other, length),
        };
        tokens.extend(token);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

/// A name; a hyphen belongs to the two operators that have one.
fn name(word: &str) -> (String, usize) {
    for operator in ["project-away", "project-rename", "project-keep", "project-reorder", "mv-expand", "mv-apply"] {
        if word == operator {
            return (word.to_owned(), word.len());
        }
    }
    let plain = word.split('-').next().unwrap_or_default();
    (plain.to_owned(), plain.len())
}

/// Text in quotes, with backslash escapes.
fn quoted(rest: &str, quote: char) -> Result<(String, usize), Fault> {
    let mut text = String::new();
    let mut escaped = false;
    for (position, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => {
                text.push(match character {
                    'n' => '\n',
                    't' => '\t',
                    other => other,
                });
                escaped = false;
            }
            '\\' => escaped = true,
            c if c == quote => return Ok((text, position + 1)),
            c => text.push(c),
        }
    }
    Err(Fault::syntax(rest))
}

/// A number, or a span when a unit follows.
fn number(rest: &str) -> Result<(Token, usize), Fault> {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let mut end = digits(rest);
    let fraction = rest[end..].strip_prefix('.').filter(|f| f.starts_with(|c: char| c.is_ascii_digit()));
    if let Some(fraction) = fraction {
        end += 1 + digits(fraction);
    }
    let number: f64 = rest[..end].parse().map_err(|_| Fault::syntax(&rest[..end]))?;
    let tail = &rest[end..];
    let unit = &tail[..tail.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(tail.len())];
    if unit.is_empty() {
        return Ok((Token::Number(number), end));
    }
    let (_, factor) =
        UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(|| Fault::syntax(&rest[..end + unit.len()]))?;
    Ok((Token::Span(number * factor), end + unit.len()))
}
