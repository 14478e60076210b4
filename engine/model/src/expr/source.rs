//! One CEL expression: read once, evaluated often.

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use cel::common::ast::{IdedExpr, SourceInfo};
use cel::parser::Parser;
use cel::{Context as CelContext, Env, ExecutionError};
use serde_json::Value;

use super::references::{self, Reference};
use super::scope::Scope;
use super::{cost, functions, truth, value};
use crate::grant::shown;
use crate::problem::{Problem, closest, codes};

/// Bytes of one expression.
const MAX_LEN: usize = 1024;
/// Brackets within brackets, and operators within operators.
const MAX_BRACKETS: usize = 16;
const MAX_DEPTH: usize = 48;

/// Names of types, which are values too: `type(x) == string`.
pub(super) const TYPES: &[&str] =
    &["bool", "bytes", "double", "duration", "int", "list", "map", "null_type", "string", "timestamp", "type", "uint"];

/// Names that mean something to the language, so that no step may have them.
pub(crate) const RESERVED: &[&str] = &[
    "as",
    "bool",
    "break",
    "bytes",
    "const",
    "continue",
    "double",
    "duration",
    "dyn",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "int",
    "let",
    "list",
    "loop",
    "map",
    "namespace",
    "null",
    "null_type",
    "optional",
    "package",
    "return",
    "string",
    "timestamp",
    "true",
    "type",
    "uint",
    "var",
    "void",
    "while",
];

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// An expression that can't be read, or that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct ExprError {
    /// What is wrong.
    pub what: String,
    /// The text it is wrong in: the expression, or the template around it.
    pub text: String,
    /// Where in that text, in bytes.
    pub at: Range<usize>,
    pub(crate) code: &'static str,
    /// Boxed, as in a problem: errors are to stay small.
    pub(crate) fix: Option<Box<str>>,
    /// What else is wrong in the same expression.
    pub(crate) more: Vec<ExprError>,
}

impl ExprError {
    pub(crate) fn new(code: &'static str, what: impl Into<String>, source: &str, at: Range<usize>) -> Self {
        let end = at.end.min(source.len());
        Self { what: what.into(), text: source.into(), at: at.start.min(end)..end, code, fix: None, more: Vec::new() }
    }

    pub(super) fn fix(mut self, fix: Option<String>) -> Self {
        self.fix = fix.map(Into::into);
        self
    }

    /// The same error as seen from the template that the expression stands in at `offset`.
    pub(crate) fn within(mut self, template: &str, offset: usize) -> Self {
        self.at = self.at.start + offset..self.at.end + offset;
        self.text = template.into();
        self.more = self.more.into_iter().map(|e| e.within(template, offset)).collect();
        self
    }

    /// The first of several, with the others in it.
    fn all(problems: Vec<Self>) -> Option<Self> {
        let mut problems = problems.into_iter();
        let first = problems.next()?;
        Some(Self { more: problems.collect(), ..first })
    }

    /// The problem to show; the caller adds the place.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let problem = Problem::new(self.code, self.what.clone()).maybe_fix(self.fix.clone().map(Into::into));
        match self.code {
            codes::EVALUATION => problem.because(format!("in `{}`", shown(&self.text))),
            _ => problem,
        }
    }
}

/// A condition or a value in CEL.
#[derive(Clone)]
pub struct Expr {
    source: Arc<str>,
    ast: Arc<IdedExpr>,
    references: Arc<[Reference]>,
    loops: bool,
}

impl std::fmt::Debug for Expr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Expr({})", self.source)
    }
}

impl Expr {
    /// Reads an expression.
    ///
    /// # Errors
    /// When it is too long or too deep, is not CEL, or calls a function that there is not, or as it can't be called.
    pub fn parse(source: &str) -> Result<Self, ExprError> {
        Self::read(source).map(|(expr, _)| expr)
    }

    /// Reads an expression that is to be true or false.
    ///
    /// # Errors
    /// As [`Self::parse`], and when it certainly gives something else.
    pub(crate) fn condition(source: &str) -> Result<Self, ExprError> {
        let (expr, info) = Self::read(source)?;
        let mut problems = Vec::new();
        truth::check(&expr.ast, source, &info, &mut problems);
        ExprError::all(problems).map_or(Ok(expr), Err)
    }

    fn read(source: &str) -> Result<(Self, SourceInfo), ExprError> {
        let all = 0..source.len();
        let too_large = |what: String| Err(ExprError::new(codes::TOO_LARGE, what, source, all.clone()));
        if source.len() > MAX_LEN {
            return too_large(format!("an expression may have {MAX_LEN} bytes, this one has {}", source.len()));
        }
        if source.trim().is_empty() {
            return Err(ExprError::new(codes::BAD_EXPRESSION, "an expression is empty", source, all));
        }
        // Looked at before the parser is, whose recursion it bounds.
        if scan(source).depth > MAX_BRACKETS {
            return too_large(format!("brackets are nested deeper than {MAX_BRACKETS}"));
        }
        let parser = Parser::default().enable_optional_syntax(false).error_recovery_limit(4);
        let (ast, info) = parser.parse_with_source_info(source).map_err(|errors| unreadable(source, &errors))?;
        if depth_exceeds(&ast, MAX_DEPTH) {
            return too_large(format!("operators are nested deeper than {MAX_DEPTH}"));
        }
        let mut problems = Vec::new();
        functions::check(&ast, source, &info, &mut problems);
        if let Some(error) = ExprError::all(problems) {
            return Err(error);
        }
        let references = references::of(&ast, source, &info);
        let expr = Self {
            source: source.into(),
            loops: references::loops(&ast),
            ast: Arc::new(ast),
            references: references.into(),
        };
        // Literal lists can make loops long whatever the values are.
        expr.check_cost(&|_| None)?;
        Ok((expr, info))
    }

    /// The source.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The names it mentions, in order.
    #[must_use]
    pub fn references(&self) -> &[Reference] {
        &self.references
    }

    /// Evaluates it.
    ///
    /// # Errors
    /// When a name or field is missing, types do not fit, or it would take too much work.
    pub fn eval(&self, scope: &Scope) -> Result<Value, ExprError> {
        let result = self.evaluate(scope)?;
        value::to_json(&result).map_err(|what| self.failed(what))
    }

    /// Evaluates it as text to put between other text.
    pub(super) fn eval_text(&self, scope: &Scope) -> Result<String, ExprError> {
        let result = self.evaluate(scope)?;
        value::to_text(&result).map_err(|what| self.failed(what))
    }

    /// Evaluates a condition.
    ///
    /// # Errors
    /// As [`Self::eval`], and when the result is not true or false.
    pub fn holds(&self, scope: &Scope) -> Result<bool, ExprError> {
        match self.evaluate(scope)? {
            cel::Value::Bool(holds) => Ok(holds),
            other => Err(self.failed(format!("a condition is true or false, this is a {}", other.type_of()))),
        }
    }

    /// What the names in it stand for, each as `out.bits is 2048`: those that are texts, numbers, true, false or null.
    #[must_use]
    pub fn seen(&self, scope: &Scope) -> Vec<String> {
        let mut seen = Vec::new();
        for reference in self.references.iter() {
            let path: Vec<&str> =
                std::iter::once(reference.root.as_str()).chain(reference.fields.iter().map(String::as_str)).collect();
            let Some(value) = scope.find(&path).filter(|value| !value.is_object() && !value.is_array()) else {
                continue;
            };
            let one = format!("{} is {value}", path.join("."));
            if !seen.contains(&one) {
                seen.push(one);
            }
        }
        seen
    }

    fn evaluate(&self, scope: &Scope) -> Result<cel::Value, ExprError> {
        let mut context = CelContext::with_env(Arc::clone(&ENV));
        for root in self.roots() {
            match scope.cel(root) {
                Some(value) => context.add_variable_from_value(root, value),
                None => return Err(self.failed(format!("nothing is called `{}` here", shown(root)))),
            }
        }
        self.check_cost(&|reference| scope.find(reference))?;
        cel::Value::resolve(&self.ast, &context).map_err(|e| self.explain(&e, scope))
    }

    /// The distinct names it starts from.
    pub(crate) fn roots(&self) -> Vec<&str> {
        let mut roots: Vec<&str> = self.references.iter().map(|r| r.root.as_str()).collect();
        roots.sort_unstable();
        roots.dedup();
        roots
    }

    fn check_cost<'v>(&self, lookup: &dyn Fn(&[&str]) -> Option<&'v Value>) -> Result<(), ExprError> {
        if self.loops && cost::of(&self.ast, lookup) > cost::MAX {
            let what = "an expression would take too much work";
            return Err(ExprError::new(codes::EXPRESSION_TOO_COSTLY, what, &self.source, 0..self.source.len())
                .fix(Some("loop over less, or not within another loop".into())));
        }
        Ok(())
    }

    fn failed(&self, what: impl Into<String>) -> ExprError {
        ExprError::new(codes::EVALUATION, what, &self.source, 0..self.source.len())
    }

    /// Turns the interpreter's error into one that names what the author wrote.
    fn explain(&self, error: &ExecutionError, scope: &Scope) -> ExprError {
        match error {
            ExecutionError::NoSuchKey(key) => {
                let reference = self.references.iter().find(|r| r.fields.iter().any(|f| f == key.as_str()));
                let Some(reference) = reference else {
                    return self.failed(format!("there is no field `{}`", shown(key)));
                };
                let owner = reference.owner_of(key);
                let fields = scope.find(&owner).and_then(Value::as_object);
                let fix = fields.and_then(|f| closest(key, f.keys().map(String::as_str)));
                let empty = fields.is_some_and(serde_json::Map::is_empty);
                let hint = if empty { " (the step was skipped)" } else { "" };
                self.failed(format!("`{}` has no field `{}`{hint}", owner.join("."), shown(key)))
                    .fix(fix.map(|f| format!("did you mean `{f}`?")))
            }
            ExecutionError::NoSuchOverload(overload) => {
                let operator = overload.function().trim_matches(['_', '@']).replace("[_]", "[…]");
                let types = overload.argument_types().join(" and ");
                self.failed(format!("`{operator}` does not go with {types}"))
            }
            ExecutionError::UnsupportedBinaryOperator(name, a, b) => {
                self.failed(format!("`{}` does not go with {} and {}", symbol(name), a.type_of(), b.type_of()))
            }
            ExecutionError::Overflow(name, ..) => self.failed(format!("the result of `{}` is too large", symbol(name))),
            ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
                self.failed("something is divided by zero")
            }
            ExecutionError::IndexOutOfBounds(index) => {
                let index = value::to_text(index).unwrap_or_default();
                self.failed(format!("the list has no element {index}")).fix(Some("elements are counted from 0".into()))
            }
            ExecutionError::UndeclaredReference(name) => {
                self.failed(format!("nothing is called `{}` here", shown(name)))
            }
            ExecutionError::FunctionError { function, message } => {
                self.failed(format!("{function}: {}", shown(message)))
            }
            other => self.failed(shown(&other.to_string())),
        }
    }
}

/// An operator as it is written, from the interpreter's name for it.
fn symbol(name: &str) -> &str {
    match name {
        "add" => "+",
        "sub" => "-",
        "mul" => "*",
        "div" => "/",
        "rem" => "%",
        other => other,
    }
}

/// What the parser could not read. Only its first complaint helps; the rest follow from it.
fn unreadable(source: &str, errors: &cel::ParseErrors) -> ExprError {
    let Some(first) = errors.errors.first() else {
        return ExprError::new(codes::BAD_EXPRESSION, "this is not an expression", source, 0..source.len());
    };
    let message = first.msg.split(" expecting ").next().unwrap_or_default();
    // The parser quotes what it met: `mismatched input ')'`, `token recognition error at: '$'`.
    let met = message.split_once('\'').and_then(|(_, rest)| rest.rsplit_once('\'')).map(|(met, _)| met);
    let message = match met {
        _ if message.contains("<EOF>") => "it ends too early".to_owned(),
        _ if message.contains("Incomplete") => "it is not complete".to_owned(),
        Some(met) => format!("`{}` is not expected there", shown(met.trim())),
        None => shown(message),
    };
    let line_start = match usize::try_from(first.pos.0) {
        Ok(line) if line > 1 => source.split_inclusive('\n').take(line - 1).map(str::len).sum(),
        _ => 0,
    };
    let column = usize::try_from(first.pos.1).map_or(0, |c| c.saturating_sub(1));
    let mut start = (line_start + column).min(source.len());
    while !source.is_char_boundary(start) {
        start -= 1;
    }
    let quotes = source.matches('\'').count() % 2 == 1;
    ExprError::new(codes::BAD_EXPRESSION, format!("not an expression: {message}"), source, start..source.len())
        .fix(quotes.then(|| "a quote is not closed".into()))
}

fn depth_exceeds(expr: &IdedExpr, left: usize) -> bool {
    left == 0 || references::children(&expr.expr).into_iter().any(|child| depth_exceeds(child, left - 1))
}

/// What a look over the characters finds, without reading the language.
pub(super) struct Scan {
    /// How deep brackets are nested.
    pub(super) depth: usize,
    /// Where a `}` stands that closes nothing: the end of a `${…}`.
    pub(super) end: Option<usize>,
}

/// Looks over an expression, up to the `}` that ends it.
pub(super) fn scan(text: &str) -> Scan {
    let bytes = text.as_bytes();
    let (mut depth, mut deepest, mut i) = (0_usize, 0, 0);
    while i < bytes.len() {
        match bytes[i] {
            quote @ (b'\'' | b'"') => {
                let raw = i > 0 && matches!(bytes[i - 1], b'r' | b'R');
                i += 1;
                while i < bytes.len() && bytes[i] != quote {
                    i += if bytes[i] == b'\\' && !raw { 2 } else { 1 };
                }
            }
            b'(' | b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' if depth == 0 => return Scan { depth: deepest, end: Some(i) },
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        i += 1;
    }
    Scan { depth: deepest, end: None }
}
