//! The functions that expressions may call, and how.

use cel::common::ast::{CallExpr, Expr as Node, IdedExpr, LiteralValue, SourceInfo};

use super::references::{children, place};
use super::source::ExprError;
use crate::grant::shown;
use crate::problem::{codes, did_you_mean, listed};

/// A function, with the numbers of arguments it takes.
pub(super) struct Function {
    pub(super) name: &'static str,
    /// As `f(x)`.
    alone: &'static [usize],
    /// As `x.f(y)`, `x` not counted.
    upon: &'static [usize],
    /// What it gives: a kind as messages name it. None: it depends.
    pub(super) gives: Option<&'static str>,
}

pub(super) const TRUTH: &str = "true or false";

const fn conversion(name: &'static str, gives: &'static str) -> Function {
    Function { name, alone: &[1], upon: &[], gives: Some(gives) }
}

const fn question(name: &'static str) -> Function {
    Function { name, alone: &[], upon: &[1], gives: Some(TRUTH) }
}

/// A part of an instant or a duration; an instant's may be asked for in a time zone.
const fn moment(name: &'static str) -> Function {
    Function { name, alone: &[], upon: &[0, 1], gives: Some("a number") }
}

/// Functions that the language offers.
pub(super) const FUNCTIONS: &[Function] = &[
    conversion("bool", TRUTH),
    conversion("bytes", "bytes"),
    question("contains"),
    conversion("double", "a number"),
    conversion("duration", "a duration"),
    Function { name: "dyn", alone: &[1], upon: &[], gives: None },
    question("endsWith"),
    moment("getDate"),
    moment("getDayOfMonth"),
    moment("getDayOfWeek"),
    moment("getDayOfYear"),
    moment("getFullYear"),
    moment("getHours"),
    moment("getMilliseconds"),
    moment("getMinutes"),
    moment("getMonth"),
    moment("getSeconds"),
    conversion("int", "a number"),
    Function { name: "matches", alone: &[2], upon: &[1], gives: Some(TRUTH) },
    Function { name: "size", alone: &[1], upon: &[0], gives: Some("a number") },
    question("startsWith"),
    conversion("string", "a text"),
    conversion("timestamp", "an instant"),
    conversion("type", "a type"),
    conversion("uint", "a number"),
];

/// Macros, with the way they are written: the parser leaves a call of one only when it is written otherwise.
const MACROS: &[(&str, &str)] = &[
    ("has", "has(step.field)"),
    ("all", "list.all(x, x > 0)"),
    ("exists", "list.exists(x, x > 0)"),
    ("exists_one", "list.exists_one(x, x > 0)"),
    ("map", "list.map(x, x + 1)"),
    ("filter", "list.filter(x, x > 0)"),
];

pub(super) fn function(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|f| f.name == name)
}

/// Complains about every call that can't work, whatever the values are.
pub(super) fn check(expr: &IdedExpr, source: &str, info: &SourceInfo, problems: &mut Vec<ExprError>) {
    if let Node::Call(call) = &expr.expr
        && call.func_name.starts_with(|c: char| c.is_ascii_alphabetic())
        && let Some((code, what, fix)) = wrong(call)
    {
        problems.push(ExprError::new(code, what, source, place(expr.id, source, info)).fix(fix));
    }
    children(&expr.expr).into_iter().for_each(|child| check(child, source, info, problems));
}

type Wrong = (&'static str, String, Option<String>);

fn wrong(call: &CallExpr) -> Option<Wrong> {
    let name = call.func_name.as_str();
    let Some(function) = function(name) else { return Some(unknown(name)) };
    let (taken, other) = match call.target {
        Some(_) => (function.upon, function.alone),
        None => (function.alone, function.upon),
    };
    let given = call.args.len();
    if !taken.contains(&given) {
        let what = match taken {
            [] if call.target.is_some() => format!("`{name}` does not stand behind a value"),
            [] => format!("`{name}` stands behind the value it looks at"),
            [.., most] => {
                let plural = if *most == 1 { "" } else { "s" };
                let verb = if given == 1 { "is" } else { "are" };
                let counts: Vec<String> = taken.iter().map(usize::to_string).collect();
                format!("`{name}` takes {} argument{plural}, there {verb} {given}", counts.join(" or "))
            }
        };
        let upon = call.target.is_some() != taken.is_empty();
        let count = taken.first().or(other.first()).copied().unwrap_or_default();
        let arguments = ["a", "b"][..count.min(2)].join(", ");
        let fix = if upon { format!("write x.{name}({arguments})") } else { format!("write {name}({arguments})") };
        return Some((codes::BAD_EXPRESSION, what, Some(fix)));
    }
    let pattern = call.args.last().filter(|_| name == "matches").map(|argument| &argument.expr);
    let Some(Node::Literal(LiteralValue::String(pattern))) = pattern else { return None };
    let why = crate::inputs::regex(pattern.inner()).err()?;
    Some((codes::BAD_EXPRESSION, format!("not a regular expression: {why}"), None))
}

fn unknown(name: &str) -> Wrong {
    if let Some((_, example)) = MACROS.iter().find(|(known, _)| *known == name) {
        let what = format!("`{name}` is not written this way");
        return (codes::BAD_EXPRESSION, what, Some(format!("write it like {example}")));
    }
    let names = FUNCTIONS.iter().map(|f| f.name).chain(MACROS.iter().map(|(name, _)| *name));
    let fix = did_you_mean(name, names).unwrap_or_else(|| {
        let common = FUNCTIONS.iter().filter(|f| f.upon.len() == 1).map(|f| f.name);
        format!("what can be asked of a value are {}", listed(common))
    });
    (codes::UNDEFINED_NAME, format!("there is no function `{}`", shown(name)), Some(fix))
}
