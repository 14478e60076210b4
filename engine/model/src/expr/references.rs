//! The names an expression mentions, and where.

use std::ops::Range;

use cel::common::ast::{EntryExpr, Expr as Node, IdedExpr, SourceInfo};

use super::source::TYPES;

/// A name with the fields selected from it: `key_store.uri`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The first name.
    pub root: String,
    /// The fields, outermost first.
    pub fields: Vec<String>,
    /// Whether the last field is only asked for (`has(a.b)`).
    pub tested: bool,
    /// Where in the expression, in bytes.
    pub at: Range<usize>,
}

impl Reference {
    /// The path up to the thing that `field` was looked for in.
    pub(super) fn owner_of(&self, field: &str) -> Vec<&str> {
        let upto = self.fields.iter().position(|f| f == field).unwrap_or(self.fields.len());
        std::iter::once(self.root.as_str()).chain(self.fields[..upto].iter().map(String::as_str)).collect()
    }
}

/// All names in source order, but for those that a loop binds.
pub(super) fn of(ast: &IdedExpr, source: &str, info: &SourceInfo) -> Vec<Reference> {
    let mut found = Vec::new();
    collect(ast, source, info, &mut Vec::new(), &mut found);
    found.sort_by_key(|r| (r.at.start, r.at.end));
    found.dedup();
    found
}

fn collect(expr: &IdedExpr, source: &str, info: &SourceInfo, bound: &mut Vec<String>, found: &mut Vec<Reference>) {
    if let Some((root, mut fields, tested, id)) = chain(expr) {
        let own = root.starts_with('@') || TYPES.contains(&root) || bound.iter().any(|b| b == root);
        if !own {
            fields.reverse();
            let start = place(id, source, info);
            found.push(Reference { root: root.into(), fields, tested, at: start });
        }
        return;
    }
    if let Node::Comprehension(c) = &expr.expr {
        collect(&c.iter_range, source, info, bound, found);
        collect(&c.accu_init, source, info, bound, found);
        let before = bound.len();
        bound.extend([c.iter_var.clone(), c.accu_var.clone()]);
        bound.extend(c.iter_var2.clone());
        for part in [&c.loop_cond, &c.loop_step, &c.result] {
            collect(part, source, info, bound, found);
        }
        bound.truncate(before);
        return;
    }
    for child in children(&expr.expr) {
        collect(child, source, info, bound, found);
    }
}

/// `a.b.c` as its root, its fields innermost first, whether it is a presence test, and the root's node.
fn chain(expr: &IdedExpr) -> Option<(&str, Vec<String>, bool, u64)> {
    let (mut at, mut fields, mut tested) = (expr, Vec::new(), false);
    loop {
        match &at.expr {
            Node::Ident(name) => return Some((name, fields, tested, at.id)),
            Node::Select(select) => {
                tested |= select.test;
                fields.push(select.field.clone());
                at = &select.operand;
            }
            _ => return None,
        }
    }
}

/// Whether there is a loop in it.
pub(super) fn loops(expr: &IdedExpr) -> bool {
    matches!(expr.expr, Node::Comprehension(_)) || children(&expr.expr).into_iter().any(loops)
}

/// The parts of a node.
pub(super) fn children(expr: &Node) -> Vec<&IdedExpr> {
    match expr {
        Node::Unspecified | Node::Ident(_) | Node::Literal(_) => Vec::new(),
        Node::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Node::Comprehension(c) => vec![&c.iter_range, &c.accu_init, &c.loop_cond, &c.loop_step, &c.result],
        Node::List(list) => list.elements.iter().collect(),
        Node::Map(map) => map.entries.iter().flat_map(|e| entry(&e.expr)).collect(),
        Node::Select(select) => vec![&select.operand],
        Node::Struct(s) => s.entries.iter().flat_map(|e| entry(&e.expr)).collect(),
    }
}

fn entry(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(pair) => vec![&pair.key, &pair.value],
    }
}

/// Where a node stands, in bytes.
pub(super) fn place(id: u64, source: &str, info: &SourceInfo) -> Range<usize> {
    let Some((first, last)) = info.offset_for(id) else { return 0..source.len() };
    let boundary =
        |at: u32| (0..=(at as usize).min(source.len())).rev().find(|at| source.is_char_boundary(*at)).unwrap_or(0);
    let (start, end) = (boundary(first), boundary(last.saturating_add(1)));
    start..end.max(start)
}
