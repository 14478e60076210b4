//! The little of OData `$filter` that Azure's clients send: conjunctions of comparisons and calls.

use crate::refusal::Refusal;

/// One term of a conjunction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Term {
    /// `field eq 'value'`.
    Eq(String, String),
    /// `field ne 'value'`.
    Ne(String, String),
    /// `field ge 'value'`; the value may stand without quotes, as instants do.
    Ge(String, String),
    /// `field le 'value'`; likewise.
    Le(String, String),
    /// `startswith(field,'value')`.
    StartsWith(String, String),
    /// `substringof('value',field)`.
    Contains(String, String),
    /// `name()` or `name('argument')`.
    Call(String, Option<String>),
    /// `field/any(c:c eq 'value')`.
    Any(String, String),
}

/// Parses a filter; anything else is refused by name.
pub(crate) fn parse(filter: &str) -> Result<Vec<Term>, Refusal> {
    conjuncts(filter).into_iter().map(|term| parse_term(term.trim())).collect::<Option<_>>().ok_or_else(|| {
        Refusal::new(
            400,
            "InvalidFilterInQueryString",
            format!("Invalid $filter '{filter}' specified in the query string."),
        )
        .gap(format!("the filter `{filter}`"))
    })
}

/// Splits at ` and ` outside of quotes.
fn conjuncts(filter: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut quoted) = (0, false);
    for (position, character) in filter.char_indices() {
        match character {
            '\'' => quoted = !quoted,
            ' ' if !quoted && position >= start => {
                let word = filter[position..].get(..5);
                if word.is_some_and(|w| w.eq_ignore_ascii_case(" and ")) {
                    parts.push(&filter[start..position]);
                    start = position + 5;
                }
            }
            _ => {}
        }
    }
    parts.push(&filter[start..]);
    parts
}

fn literal(text: &str) -> Option<String> {
    let inner = text.trim().strip_prefix('\'')?.strip_suffix('\'')?;
    (!inner.replace("''", "").contains('\'')).then(|| inner.replace("''", "'"))
}

fn name(text: &str) -> Option<String> {
    let text = text.trim();
    let plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "/._$".contains(c));
    plain.then(|| text.to_owned())
}

/// A literal in quotes, or a word without any: an instant, a GUID, a namespace.
fn word(text: &str) -> Option<String> {
    let text = text.trim();
    let plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || ":.-+_".contains(c));
    literal(text).or_else(|| plain.then(|| text.to_owned()))
}

fn comparison(text: &str) -> Option<(String, String)> {
    let (field, value) = text.split_once(" eq ")?;
    Some((name(field)?, literal(value)?))
}

/// The other comparisons, tried in order.
fn compared(term: &str) -> Option<Term> {
    if let Some((field, value)) = term.split_once(" eq ") {
        return Some(Term::Eq(name(field)?, word(value)?));
    }
    if let Some((field, value)) = term.split_once(" ne ") {
        return Some(Term::Ne(name(field)?, literal(value)?));
    }
    if let Some((field, value)) = term.split_once(" ge ") {
        return Some(Term::Ge(name(field)?, word(value)?));
    }
    let (field, value) = term.split_once(" le ")?;
    Some(Term::Le(name(field)?, word(value)?))
}

fn parse_term(term: &str) -> Option<Term> {
    if let Some((field, value)) = comparison(term) {
        return Some(Term::Eq(field, value));
    }
    if !term.ends_with(')') {
        return compared(term);
    }
    let (head, arguments) = term.strip_suffix(')')?.split_once('(')?;
    if head.eq_ignore_ascii_case("startswith") {
        let (field, value) = arguments.split_once(',')?;
        return Some(Term::StartsWith(name(field)?, literal(value)?));
    }
    if head.eq_ignore_ascii_case("substringof") {
        let (value, field) = arguments.rsplit_once(',')?;
        return Some(Term::Contains(name(field)?, literal(value)?));
    }
    if let Some(field) = head.strip_suffix("/any") {
        let (variable, body) = arguments.split_once(':')?;
        let (compared, value) = comparison(body.trim())?;
        return (compared == variable.trim()).then(|| name(field)).flatten().map(|f| Term::Any(f, value));
    }
    if arguments.trim().is_empty() {
        return Some(Term::Call(name(head)?, None));
    }
    Some(Term::Call(name(head)?, Some(literal(arguments)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        let eq = |a: &str, b: &str| Term::Eq(a.into(), b.into());
        let table = [
            ("roleName eq 'Key Vault Reader'", Some(vec![eq("roleName", "Key Vault Reader")])),
            (
                "resourceType eq 'Microsoft.KeyVault/vaults' and name eq 'this and that'",
                Some(vec![eq("resourceType", "Microsoft.KeyVault/vaults"), eq("name", "this and that")]),
            ),
            ("atScope()", Some(vec![Term::Call("atScope".into(), None)])),
            ("assignedTo('x')", Some(vec![Term::Call("assignedTo".into(), Some("x".into()))])),
            (
                "servicePrincipalNames/any(c:c eq 'id')",
                Some(vec![Term::Any("servicePrincipalNames".into(), "id".into())]),
            ),
            ("name eq 'it''s'", Some(vec![eq("name", "it's")])),
            ("name ne 'x'", Some(vec![Term::Ne("name".into(), "x".into())])),
            (
                "eventTimestamp ge 2026-01-02T03:04:05Z and eventTimestamp le '2026-01-03T00:00:00Z'",
                Some(vec![
                    Term::Ge("eventTimestamp".into(), "2026-01-02T03:04:05Z".into()),
                    Term::Le("eventTimestamp".into(), "2026-01-03T00:00:00Z".into()),
                ]),
            ),
            ("resourceProvider eq Microsoft.KeyVault", Some(vec![eq("resourceProvider", "Microsoft.KeyVault")])),
            ("startswith(displayName,'a, b')", Some(vec![Term::StartsWith("displayName".into(), "a, b".into())])),
            ("substringof('a,b', name)", Some(vec![Term::Contains("name".into(), "a,b".into())])),
            ("name eq x y", None),
            ("startswith(name)", None),
            ("name eq 'x' or name eq 'y'", None),
        ];
        for (filter, expected) in table {
            assert_eq!(parse(filter).ok(), expected, "{filter}");
        }
    }
}
