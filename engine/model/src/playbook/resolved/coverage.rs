//! Whether grants cover what a plugin asks for, as far as can be told before anything is evaluated.
//!
//! Scopes are compared piece by piece, equal expressions counting as equal texts. What can't be decided this way is
//! left to the gate at run time; what is certainly not covered is a problem now.

use super::signature;
use crate::expr::{Part, Template, With};
use crate::grant::{Capability, Grant, Head, Verb};
use crate::playbook::authored::StepSpec;
use crate::playbook::checked::File;
use crate::playbook::step::{LessonKind, Step};
use crate::plugin::Description;
use crate::problem::codes;

/// A part of a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// An expression of the playbook.
    Hole(String),
    /// A value of which nothing is known.
    Opaque,
}

/// An ask or a grant with its scope in pieces.
struct Claim {
    capability: Capability,
    verbs: Vec<Verb>,
    scope: Vec<Piece>,
    role: Vec<Piece>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Covered {
    Yes,
    No,
    Unknown,
}

/// Complains about asks of the plugin that no grant can cover, and about a lesson's read that none does.
pub(super) fn check(file: &mut File<'_>, step: &Step, asks: &[Template], spec: &StepSpec, plugin: &Description) {
    let defaults = signature::defaults(&plugin.inputs);
    let grants: Vec<Claim> = step.grants.iter().filter_map(|(template, _)| claim(&pieces(template))).collect();
    // A grant that could not be read has been complained about; it may well be the one that is missing.
    if spec.grants.as_ref().is_some_and(|given| given.len() != grants.len()) {
        return;
    }
    let asked: Vec<String> =
        asks.iter().filter_map(|ask| uncovered(&grants, claim(&filled(ask, &step.with, &defaults)?)?)).collect();
    let read = lesson_read(step).and_then(|claim| uncovered(&grants, claim)).filter(|read| !asked.contains(read));
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let kept = step.grants.iter().map(|(template, _)| template.source());
    let lines: Vec<String> = kept.chain(asked.iter().chain(&read).map(String::as_str)).map(quoted).collect();
    let fix = format!("write grants = [{}]", lines.join(", "));
    let at = spec.grants.as_ref().map_or_else(|| step.span.start..step.span.end, |g| g.span());
    let mut missing = |what: String, lines: Vec<String>| {
        let what = format!("step `{}` does not grant what {what}: {}", step.path, lines.join(" and "));
        file.say(codes::ASK_NOT_COVERED, what, at.clone(), Some(fix.clone()));
    };
    if !asked.is_empty() {
        missing(format!("{} asks for", step.plugin), asked);
    }
    if let Some(read) = read {
        missing("its lesson reads".into(), vec![read]);
    }
}

/// The part of an ask that certainly no grant covers, as text.
fn uncovered(grants: &[Claim], mut ask: Claim) -> Option<String> {
    let without = |verb: &Verb| {
        let by = |grant: &Claim| if grant.verbs.contains(verb) { covers(grant, &ask, *verb) } else { Covered::No };
        grants.iter().all(|grant| by(grant) == Covered::No)
    };
    ask.verbs = ask.verbs.iter().copied().filter(without).collect();
    (!ask.verbs.is_empty()).then(|| ask.to_string())
}

/// The engine's own read for a lesson, which needs a grant as a plugin's would.
fn lesson_read(step: &Step) -> Option<Claim> {
    let (LessonKind::ReadFails { uri, .. } | LessonKind::ReadHolds { uri, .. }) = &step.lesson.as_ref()?.kind else {
        return None;
    };
    Some(Claim { capability: Capability::Blob, verbs: vec![Verb::Read], scope: joined(pieces(uri)), role: Vec::new() })
}

fn pieces(template: &Template) -> Vec<Piece> {
    let piece = |part: &Part| match part {
        Part::Text(text) => Piece::Text(text.clone()),
        Part::Expr(expr, _) => Piece::Hole(expr.source().trim().to_owned()),
    };
    template.parts().iter().map(piece).collect()
}

/// An ask with the step's `with` put in for `inputs`. None: it mentions an input that is not given.
fn filled(ask: &Template, with: &With, defaults: &serde_json::Map<String, serde_json::Value>) -> Option<Vec<Piece>> {
    let mut out = Vec::new();
    for part in ask.parts() {
        let expr = match part {
            Part::Text(text) => {
                out.push(Piece::Text(text.clone()));
                continue;
            }
            Part::Expr(expr, _) => expr,
        };
        let of_inputs =
            expr.references().iter().filter(|r| r.root == "inputs" && !r.tested).filter_map(|r| r.fields.first());
        if of_inputs.clone().any(|field| with.get(field).is_none() && !defaults.contains_key(field)) {
            return None;
        }
        let whole = expr.source().trim();
        let field = whole
            .strip_prefix("inputs.")
            .filter(|f| expr.references().len() == 1 && !f.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
        match field {
            Some(field) => match (with.get(field), defaults.get(field)) {
                (Some(With::Text(template)), _) => out.extend(pieces(template)),
                (Some(With::Plain(value)), _) => out.push(Piece::Text(value.to_string())),
                (None, Some(serde_json::Value::String(text))) => out.push(Piece::Text(text.clone())),
                _ => out.push(Piece::Opaque),
            },
            // `subscription.id` means the same to plugin and playbook; what is computed from inputs does not.
            None if of_inputs.count() == 0 => out.push(Piece::Hole(whole.to_owned())),
            None => out.push(Piece::Opaque),
        }
    }
    Some(out)
}

/// Takes `capability:verbs scope role='…'` apart. The head must be text.
fn claim(pieces: &[Piece]) -> Option<Claim> {
    let (first, rest) = pieces.split_first()?;
    let Piece::Text(first) = first else { return None };
    // Holes are numbered, so that the grammar reads the text around them.
    let numbered: String = std::iter::once(first.clone())
        .chain(rest.iter().enumerate().map(|(i, piece)| match piece {
            Piece::Text(text) => text.clone(),
            _ => format!("${{{i}}}"),
        }))
        .collect();
    let head = Head::parse(&numbered).ok()?;
    let restore = |text: &str| {
        let mut out = Vec::new();
        let mut left = text;
        while let Some((before, after)) = left.split_once("${") {
            out.push(Piece::Text(before.to_owned()));
            let (number, after) = after.split_once('}').unwrap_or((after, ""));
            out.push(number.parse().ok().and_then(|i: usize| rest.get(i)).cloned().unwrap_or(Piece::Opaque));
            left = after;
        }
        out.push(Piece::Text(left.to_owned()));
        joined(out)
    };
    Some(Claim {
        capability: head.capability,
        verbs: head.verbs.iter().copied().collect(),
        scope: restore(head.scope.unwrap_or_default()),
        role: restore(head.role.unwrap_or_default()),
    })
}

/// Joins neighbouring texts and drops empty ones, so that equal scopes have equal pieces.
fn joined(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::new();
    for piece in pieces {
        match (out.last_mut(), piece) {
            (Some(Piece::Text(last)), Piece::Text(text)) => last.push_str(&text),
            (_, Piece::Text(text)) if text.is_empty() => {}
            (_, piece) => out.push(piece),
        }
    }
    out
}

fn covers(grant: &Claim, ask: &Claim, verb: Verb) -> Covered {
    if grant.capability != ask.capability {
        return Covered::No;
    }
    let role = match (text(&grant.role), text(&ask.role)) {
        _ if verb != Verb::Assign || grant.role == ask.role => Covered::Yes,
        (Some(a), Some(b)) if a.eq_ignore_ascii_case(&b) => Covered::Yes,
        (Some(_), Some(_)) => Covered::No,
        _ => Covered::Unknown,
    };
    let scope = match (text(&grant.scope), text(&ask.scope)) {
        (Some(granted), Some(asked)) => decided(grant, &granted, ask, &asked, verb),
        _ => reaches(grant.capability, &grant.scope, &ask.scope),
    };
    match (role, scope) {
        (Covered::No, _) | (_, Covered::No) => Covered::No,
        (Covered::Yes, Covered::Yes) => Covered::Yes,
        _ => Covered::Unknown,
    }
}

/// Both scopes are plain text: the gate's own rules decide.
fn decided(grant: &Claim, granted: &str, ask: &Claim, asked: &str, verb: Verb) -> Covered {
    let role = if verb == Verb::Assign { " role='x'" } else { "" };
    let full =
        |claim: &Claim, scope: &str| Grant::parse(format!("{}:{verb} {scope}{role}", claim.capability).trim_end());
    match (full(grant, granted), full(ask, asked)) {
        (Ok(grant), Ok(ask)) if grant.includes(&ask) => Covered::Yes,
        (Ok(_), Ok(_)) => Covered::No,
        _ => Covered::Unknown,
    }
}

fn text(pieces: &[Piece]) -> Option<String> {
    match pieces {
        [] => Some(String::new()),
        [Piece::Text(text)] => Some(text.clone()),
        _ => None,
    }
}

/// Walks both scopes while they are equal and judges where they part.
fn reaches(capability: Capability, grant: &[Piece], ask: &[Piece]) -> Covered {
    let (mut grant, mut ask) = (grant.to_vec(), ask.to_vec());
    let (mut at_boundary, mut after_hole) = (false, false);
    while let (Some(g), Some(a)) = (grant.first().cloned(), ask.first().cloned()) {
        match (g, a) {
            (Piece::Text(g), Piece::Text(a)) => {
                let same = |(x, y): &(char, char)| match capability {
                    Capability::Azure => x.eq_ignore_ascii_case(y),
                    _ => x == y,
                };
                let shared: usize = g.chars().zip(a.chars()).take_while(same).map(|(c, _)| c.len_utf8()).sum();
                if shared > 0 {
                    (at_boundary, after_hole) = (g[..shared].ends_with('/'), false);
                }
                let (g, a) = (&g[shared..], &a[shared..]);
                if !g.is_empty() && !a.is_empty() {
                    let star = capability == Capability::Blob && g == "*" && grant.len() == 1 && at_boundary;
                    return if star { Covered::Yes } else { Covered::No };
                }
                for (list, left) in [(&mut grant, g), (&mut ask, a)] {
                    match left.is_empty() {
                        true => _ = list.remove(0),
                        false => list[0] = Piece::Text(left.to_owned()),
                    }
                }
            }
            (Piece::Hole(g), Piece::Hole(a)) if g == a => {
                // Whether a value ends with a slash is known when it is there.
                (at_boundary, after_hole) = (false, true);
                grant.remove(0);
                ask.remove(0);
            }
            (Piece::Text(g), _) if g == "*" && capability == Capability::Blob && at_boundary => return Covered::Yes,
            _ => return Covered::Unknown,
        }
    }
    match (grant.first(), ask.first()) {
        (None, None) => Covered::Yes,
        (None, Some(Piece::Text(_))) if capability == Capability::Blob => Covered::No,
        (None, Some(Piece::Text(more))) if more.starts_with('/') || at_boundary => Covered::Yes,
        (None, Some(Piece::Text(_))) if !after_hole => Covered::No,
        (Some(Piece::Text(more)), None) if !more.trim_matches('/').is_empty() => Covered::No,
        _ => Covered::Unknown,
    }
}

impl std::fmt::Display for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verbs: Vec<String> = self.verbs.iter().map(Verb::to_string).collect();
        write!(f, "{}:{}", self.capability, verbs.join(","))?;
        let show = |pieces: &[Piece]| -> String {
            let piece = |piece: &Piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Hole(source) => format!("${{{source}}}"),
                Piece::Opaque => "…".into(),
            };
            pieces.iter().map(piece).collect()
        };
        if !self.scope.is_empty() {
            write!(f, " {}", show(&self.scope))?;
        }
        if self.verbs.contains(&Verb::Assign) { write!(f, " role='{}'", show(&self.role)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_with_expressions_are_compared_as_far_as_they_go() {
        use Covered::{No, Unknown, Yes};
        let rows = [
            ("azure:read ${rg.id}", "azure:read ${rg.id}", Yes),
            ("azure:read ${rg.id}", "azure:read ${rg.id}/providers/x", Yes),
            ("azure:read ${rg.id}/providers/x", "azure:read ${rg.id}", No),
            ("azure:read ${rg.id}/a", "azure:read ${rg.id}/A/b", Yes),
            ("azure:read ${rg.id}/a", "azure:read ${rg.id}/ab", No),
            ("azure:read ${rg.id}/a", "azure:read ${other.id}/a", Unknown),
            ("azure:read ${rg.id}/a${inputs.s}", "azure:read ${rg.id}/a${inputs.s}", Yes),
            ("azure:read ${rg.id}/a${inputs.s}", "azure:read ${rg.id}/a${inputs.t}", Unknown),
            ("azure:read /subscriptions/1/resourceGroups/a", "azure:read /subscriptions/1/resourceGroups/a/x", Yes),
            ("azure:read /subscriptions/1/resourceGroups/a", "azure:read /subscriptions/1/resourceGroups/ab", No),
            ("keyvault:read ${v.uri}keys/a", "keyvault:read ${v.uri}keys/a", Yes),
            ("keyvault:read ${v.uri}keys/a", "keyvault:read ${v.uri}keys/b", No),
            ("keyvault:read ${v.uri}", "keyvault:read ${v.uri}keys/b", Unknown),
            ("blob:write ${a.uri}lab/*", "blob:write ${a.uri}lab/note.txt", Yes),
            ("blob:write ${a.uri}lab/*", "blob:write ${a.uri}lab/${n.name}", Yes),
            ("blob:write ${a.uri}lab", "blob:write ${a.uri}lab/note.txt", No),
            ("blob:write ${a.uri}lab/*", "blob:write ${a.uri}label/x", No),
            ("azure:assign ${a.id} role='Reader'", "azure:assign ${a.id} role='reader'", Yes),
            ("azure:assign ${a.id} role='Reader'", "azure:assign ${a.id} role='Owner'", No),
            ("azure:assign ${a.id} role='Reader'", "azure:assign ${a.id} role='${inputs.role}'", Unknown),
            ("crypto:use", "crypto:use", Yes),
            ("crypto:use", "artifacts:use", No),
        ];
        for (grant, ask, expected) in rows {
            let read = |text| claim(&pieces(&Template::parse(text).unwrap())).unwrap();
            let (g, a) = (read(grant), read(ask));
            assert_eq!(covers(&g, &a, a.verbs[0]), expected, "{grant} for {ask}");
        }
    }
}
