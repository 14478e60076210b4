//! An upper bound for the work of an expression with loops, taken before it runs.
//!
//! CEL ends always, but `[…].map(a, […].map(b, …))` may take its time. Without user-defined recursion the bound is
//! a product along the nesting, so it is found in one pass over the tree.

use cel::common::ast::{Expr as Node, IdedExpr, LiteralValue};
use serde_json::Value;

use super::references::children;

/// More than this is refused; a step of the interpreter takes well below a microsecond.
pub(super) const MAX: u64 = 2_000_000;
/// What a value is taken to measure before it is known.
const UNKNOWN: u64 = 32;

/// Bounds of one value: how much there is in it, how many elements at its top, and how much in one of them.
#[derive(Clone, Copy)]
struct Size {
    total: u64,
    count: u64,
    each: u64,
}

impl Size {
    fn element(self) -> Self {
        Self { total: self.each, count: self.each, each: self.each }
    }
}

const SMALL: Size = Size { total: 1, count: 1, each: 1 };

type Lookup<'a, 'v> = &'a dyn Fn(&[&str]) -> Option<&'v Value>;

/// The bound. `lookup` finds the value of a name with fields, when it is known.
pub(super) fn of(expr: &IdedExpr, lookup: Lookup<'_, '_>) -> u64 {
    measure(expr, lookup, &mut Vec::new()).0
}

fn measure(expr: &IdedExpr, lookup: Lookup<'_, '_>, bound: &mut Vec<(String, Size)>) -> (u64, Size) {
    match &expr.expr {
        Node::Literal(LiteralValue::String(s)) => (1, Size { total: s.inner().len() as u64 + 1, ..SMALL }),
        Node::Literal(_) | Node::Unspecified => (1, SMALL),
        Node::Ident(name) => (1, named(&[name], lookup, bound)),
        Node::Select(select) if select.test => (1 + measure(&select.operand, lookup, bound).0, SMALL),
        Node::Select(select) => {
            let (work, owner) = measure(&select.operand, lookup, bound);
            let size = path(expr).map(|p| named(&p, lookup, bound)).unwrap_or(owner);
            (work.saturating_add(1), size)
        }
        Node::Comprehension(c) => {
            let (range_work, range) = measure(&c.iter_range, lookup, bound);
            let (init_work, init) = measure(&c.accu_init, lookup, bound);
            let depth = bound.len();
            bound.push((c.iter_var.clone(), range.element()));
            bound.extend(c.iter_var2.clone().map(|v| (v, range.element())));
            bound.push((c.accu_var.clone(), Size { total: 0, count: 0, each: 0 }));
            let (cond_work, _) = measure(&c.loop_cond, lookup, bound);
            let (step_work, growth) = measure(&c.loop_step, lookup, bound);
            let grown = |start: u64, by: u64| start.saturating_add(range.count.saturating_mul(by));
            let each = init.each.max(growth.each);
            let size = Size { total: grown(init.total, growth.total), count: grown(init.count, growth.count), each };
            if let Some(accumulator) = bound.last_mut() {
                accumulator.1 = size;
            }
            let (result_work, result) = measure(&c.result, lookup, bound);
            bound.truncate(depth);
            let body = cond_work.saturating_add(step_work).saturating_add(2);
            let work = range.count.saturating_mul(body);
            let work = [range_work, init_work, result_work, size.total].iter().fold(work, |a, b| a.saturating_add(*b));
            (work, result)
        }
        other => {
            let collects = matches!(other, Node::List(_) | Node::Map(_));
            let (mut work, mut size) = (1_u64, Size { total: 1, count: 0, each: 1 });
            for child in children(other) {
                let (w, s) = measure(child, lookup, bound);
                work = work.saturating_add(w);
                size.total = size.total.saturating_add(s.total);
                size.count = size.count.saturating_add(if collects { 1 } else { s.count });
                size.each = size.each.max(if collects { s.total } else { s.each });
            }
            // Sums and texts are copied; a comparison yields one bit.
            let yields_bit = matches!(other, Node::Call(c) if is_test(&c.func_name));
            (work.saturating_add(size.total), if yields_bit { SMALL } else { size })
        }
    }
}

fn is_test(function: &str) -> bool {
    matches!(
        function,
        "_==_"
            | "_!=_"
            | "_<_"
            | "_<=_"
            | "_>_"
            | "_>=_"
            | "@in"
            | "_&&_"
            | "_||_"
            | "!_"
            | "contains"
            | "startsWith"
            | "endsWith"
            | "matches"
            | "size"
            | "@not_strictly_false"
    )
}

fn path(expr: &IdedExpr) -> Option<Vec<&str>> {
    match &expr.expr {
        Node::Ident(name) => Some(vec![name]),
        Node::Select(select) if !select.test => {
            let mut path = path(&select.operand)?;
            path.push(&select.field);
            Some(path)
        }
        _ => None,
    }
}

fn named(path: &[&str], lookup: Lookup<'_, '_>, bound: &[(String, Size)]) -> Size {
    if let Some((_, size)) = bound.iter().rev().find(|(name, _)| path.first().is_some_and(|root| name == root)) {
        return *size;
    }
    match lookup(path) {
        Some(value) => {
            let (count, each) = match value {
                Value::Array(items) => (items.len(), items.iter().map(total).max()),
                Value::Object(fields) => (fields.len(), fields.iter().map(|(k, v)| k.len() as u64 + total(v)).max()),
                _ => (1, None),
            };
            Size { total: total(value), count: count as u64, each: each.unwrap_or(1) }
        }
        None => Size { total: UNKNOWN, count: UNKNOWN, each: UNKNOWN },
    }
}

fn total(value: &Value) -> u64 {
    match value {
        Value::String(s) => s.len() as u64 + 1,
        Value::Array(items) => items.iter().map(total).fold(1, u64::saturating_add),
        Value::Object(fields) => fields.iter().map(|(k, v)| k.len() as u64 + total(v)).fold(1, u64::saturating_add),
        _ => 1,
    }
}
