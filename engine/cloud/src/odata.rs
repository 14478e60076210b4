//! The little of OData `$filter` that Azure's clients send: conjunctions of comparisons and calls.

use crate::refusal::Refusal;

/// One term of a conjunction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Term {
    /// `field eq 'value'`.
    Eq(String, String),
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

fn comparison(text: &str) -> Option<(String, String)> {
    let (field, value) = text.split_once(" eq ")?;
    Some((name(field)?, literal(value)?))
}

fn parse_term(term: &str) -> Option<Term> {
    if let Some((field, value)) = comparison(term) {
        return Some(Term::Eq(field, value));
    }
    let (head, arguments) = term.strip_suffix(')')?.split_once('(')?;
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
            ("name ne 'x'", None),
            ("name eq 'x' or name eq 'y'", None),
        ];
        for (filter, expected) in table {
            assert_eq!(parse(filter).ok(), expected, "{filter}");
        }
    }
}
