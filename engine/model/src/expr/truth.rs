//! Whether a condition can be true or false, as far as its own text tells.

use cel::common::ast::{Expr as Node, IdedExpr, LiteralValue, SourceInfo, operators};

use super::functions::{TRUTH, function};
use super::references::place;
use super::source::ExprError;
use crate::problem::codes;

/// Complains about every piece of a condition that must be true or false and certainly is something else.
pub(super) fn check(expr: &IdedExpr, source: &str, info: &SourceInfo, problems: &mut Vec<ExprError>) {
    if let Node::Call(call) = &expr.expr {
        let pieces = match call.func_name.as_str() {
            operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT => call.args.as_slice(),
            operators::CONDITIONAL => call.args.get(1..).unwrap_or_default(),
            _ => &[],
        };
        pieces.iter().for_each(|piece| check(piece, source, info, problems));
    }
    if let Some(kind) = kind(&expr.expr).filter(|kind| *kind != TRUTH) {
        let at = place(expr.id, source, info);
        let fix = "compare it with something: `==`, `!=`, `<`, `in`";
        problems.push(
            ExprError::new(codes::BAD_EXPRESSION, format!("a condition is true or false, this is {kind}"), source, at)
                .fix(Some(fix.into())),
        );
    }
}

/// What an expression gives. None: that depends on values.
fn kind(expr: &Node) -> Option<&'static str> {
    match expr {
        Node::Literal(literal) => Some(match literal {
            LiteralValue::Boolean(_) => TRUTH,
            LiteralValue::Bytes(_) => "bytes",
            LiteralValue::Double(_) | LiteralValue::Int(_) | LiteralValue::UInt(_) => "a number",
            LiteralValue::Null => "no value",
            LiteralValue::String(_) => "a text",
        }),
        Node::List(_) => Some("a list"),
        Node::Map(_) => Some("a table"),
        // `map` and `filter` collect into a list; `all` and `exists` fold truth values.
        Node::Comprehension(c) => match (&c.accu_init.expr, &c.result.expr) {
            (Node::List(_), Node::Ident(name)) if *name == c.accu_var => Some("a list"),
            _ => None,
        },
        Node::Call(call) => match call.func_name.as_str() {
            operators::ADD | operators::SUBSTRACT | operators::MULTIPLY => sum(call.args.iter()),
            operators::DIVIDE | operators::MODULO | operators::NEGATE => Some("a number"),
            name => function(name).and_then(|f| f.gives),
        },
        _ => None,
    }
}

/// What comes out of adding: never a truth value; what it is, one of the operands may tell.
fn sum<'a>(operands: impl Iterator<Item = &'a IdedExpr>) -> Option<&'static str> {
    let mut kinds = operands.filter_map(|operand| kind(&operand.expr));
    Some(kinds.find(|kind| ["a number", "a text", "a list"].contains(kind)).unwrap_or("the result of a calculation"))
}
