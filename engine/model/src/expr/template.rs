//! Text with `${…}` in it.

use serde_json::Value;

use super::scope::Scope;
use super::source::{Expr, ExprError, scan};
use crate::problem::codes;

/// What the references that stand for secrets begin with.
const SECRET: &str = "secret:";

/// A text that expressions are put into. One that is exactly `${e}` keeps the type of its value; `$${` stands for `${`.
#[derive(Debug, Clone)]
pub struct Template {
    source: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
pub(crate) enum Part {
    Text(String),
    /// An expression, and where its source begins in the template's.
    Expr(Expr, usize),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// When a `${` is not closed or what it holds is not an expression.
    pub fn parse(source: &str) -> Result<Self, ExprError> {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut at = 0;
        while let Some(found) = source[at..].find("${") {
            let dollar = at + found;
            if source[at..dollar].ends_with('$') {
                text.push_str(&source[at..dollar - 1]);
                text.push_str("${");
                at = dollar + 2;
                continue;
            }
            text.push_str(&source[at..dollar]);
            let start = dollar + 2;
            let Some(end) = scan(&source[start..]).end else {
                let mut error =
                    ExprError::new(codes::BAD_EXPRESSION, "`${` is not closed", source, dollar..source.len());
                error.fix = Some("close it with `}`, or write `$${` for the characters themselves".into());
                return Err(error);
            };
            let expr = Expr::parse(&source[start..start + end]).map_err(|e| e.within(source, start))?;
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            parts.push(Part::Expr(expr, start));
            at = start + end + 1;
        }
        text.push_str(&source[at..]);
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Ok(Self { source: source.to_owned(), parts })
    }

    /// A template without expressions, whatever the text holds.
    #[must_use]
    pub fn literal(text: &str) -> Self {
        Self { source: text.to_owned(), parts: vec![Part::Text(text.to_owned())] }
    }

    /// The source.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The expressions, each with the place of its source in the template's.
    pub(crate) fn exprs(&self) -> impl Iterator<Item = (&Expr, usize)> {
        self.parts.iter().filter_map(|part| match part {
            Part::Expr(expr, at) => Some((expr, *at)),
            Part::Text(_) => None,
        })
    }

    /// Its text, when there is no expression in it.
    pub(crate) fn as_literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Evaluates it: to a text, or to any value when it is one `${e}` and nothing else.
    ///
    /// # Errors
    /// When an expression fails.
    pub fn render(&self, scope: &Scope) -> Result<Value, ExprError> {
        match self.parts.as_slice() {
            [Part::Expr(expr, at)] => expr.eval(scope).map_err(|e| e.within(&self.source, *at)),
            _ => self.text(scope).map(Value::String),
        }
    }

    /// Evaluates it to a text.
    ///
    /// # Errors
    /// When an expression fails or has no value.
    pub fn text(&self, scope: &Scope) -> Result<String, ExprError> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Expr(expr, at) => {
                    let text = expr.eval_text(scope).map_err(|e| e.within(&self.source, *at))?;
                    if self.parts.len() > 1 && text.starts_with(SECRET) {
                        let what = "a secret can't become part of a text";
                        let at = *at..*at + expr.source().len();
                        return Err(ExprError::new(codes::SECRET_IN_TEXT, what, &self.source, at));
                    }
                    out.push_str(&text);
                }
            }
        }
        Ok(out)
    }

    /// Evaluates what can be evaluated; the rest stays as it is written.
    #[must_use]
    pub fn preview(&self, scope: &Scope) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Expr(expr, _) => match expr.eval_text(scope) {
                    Ok(text) if !text.starts_with(SECRET) => out.push_str(&text),
                    _ => out.push_str(&format!("${{{}}}", expr.source())),
                },
            }
        }
        out
    }
}
