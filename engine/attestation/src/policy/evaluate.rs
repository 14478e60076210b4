//! A policy against the claims of a token: a tree of what was asked, what was seen, and what came of it.

use std::cmp::Ordering;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::claim::{self, Found};
use super::number::Number;
use super::{Clause, Condition, Operator, ReleasePolicy};
use crate::line;

/// What a policy says to a token. [`Evaluation::reason`] is one line; the `Display` form is the whole tree.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Whether the key would be released: one authority issued the token and its condition holds.
    pub released: bool,
    /// The token's issuer.
    pub issuer: String,
    /// The policy's statements in their order.
    pub authorities: Vec<AuthorityResult>,
}

/// What came of one statement of the policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuthorityResult {
    /// JSON path in the policy.
    pub path: String,
    /// The issuer that it trusts, as the policy writes it.
    pub authority: String,
    /// Whether that is the token's issuer.
    pub issued: bool,
    /// Whether it releases the key.
    pub met: bool,
    /// What came of its condition; `None` when another issued the token, for then it was not asked.
    pub condition: Option<Node>,
}

/// What came of one condition.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Node {
    /// All must hold.
    AllOf {
        /// JSON path in the policy.
        path: String,
        /// Whether they do.
        met: bool,
        /// Each of them.
        conditions: Vec<Node>,
    },
    /// At least one must hold.
    AnyOf {
        /// JSON path in the policy.
        path: String,
        /// Whether one does.
        met: bool,
        /// Each of them.
        conditions: Vec<Node>,
    },
    /// A claim was compared.
    Clause(ClauseResult),
}

/// What came of one comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClauseResult {
    /// JSON path in the policy.
    pub path: String,
    /// The claim's path in the token.
    pub claim: String,
    /// The comparison.
    pub operator: Operator,
    /// The policy's value.
    pub expected: Value,
    /// The token's value in text, shortened; `None` when the token has no such claim.
    pub seen: Option<String>,
    /// Whether the comparison holds.
    pub met: bool,
    /// What was found, as the rest of a sentence that begins with the claim's name.
    pub why: String,
}

impl Evaluation {
    /// Returns the comparisons that stand between the token and the key, in the policy's order; empty when it is
    /// released or no authority issued the token.
    #[must_use]
    pub fn deciding(&self) -> Vec<&ClauseResult> {
        let mut found = Vec::new();
        if !self.released {
            self.authorities.iter().filter_map(|a| a.condition.as_ref()).for_each(|node| node.unmet(&mut found));
        }
        found
    }

    /// Says in one line why the key is released or not.
    #[must_use]
    pub fn reason(&self) -> String {
        if let Some(authority) = self.authorities.iter().find(|authority| authority.met) {
            return format!("{} holds for a token of {}", authority.path, authority.authority);
        }
        let clauses = self.deciding();
        if clauses.is_empty() {
            let trusted: Vec<_> = self.authorities.iter().map(|a| a.authority.as_str()).collect();
            let issuer = line::shorten(&self.issuer);
            return format!("the token was issued by {issuer}; the policy trusts {}", trusted.join(", "));
        }
        clauses.iter().map(|clause| format!("{}: {clause}", clause.path)).collect::<Vec<_>>().join("; ")
    }
}

impl Node {
    /// Whether it holds.
    #[must_use]
    pub fn met(&self) -> bool {
        match self {
            Self::AllOf { met, .. } | Self::AnyOf { met, .. } => *met,
            Self::Clause(clause) => clause.met,
        }
    }

    fn unmet<'a>(&'a self, found: &mut Vec<&'a ClauseResult>) {
        match self {
            _ if self.met() => {}
            Self::AllOf { conditions, .. } | Self::AnyOf { conditions, .. } => {
                conditions.iter().for_each(|node| node.unmet(found));
            }
            Self::Clause(clause) => found.push(clause),
        }
    }

    fn lines(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        let mark = |met: bool| if met { "met    " } else { "not met" };
        match self {
            Self::Clause(clause) => writeln!(f, "{}{:depth$}{clause}", mark(clause.met), ""),
            Self::AllOf { met, conditions, .. } | Self::AnyOf { met, conditions, .. } => {
                let word = if matches!(self, Self::AllOf { .. }) { "all of:" } else { "any of:" };
                writeln!(f, "{}{:depth$}{word}", mark(*met), "")?;
                conditions.iter().try_for_each(|node| node.lines(f, depth + 2))
            }
        }
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for authority in &self.authorities {
            match &authority.condition {
                None => writeln!(f, "{}: issued by another authority, not asked", authority.authority)?,
                Some(node) => {
                    writeln!(f, "{}:", authority.authority)?;
                    node.lines(f, 2)?;
                }
            }
        }
        f.write_str(if self.released { "released" } else { "not released" })
    }
}

impl fmt::Display for ClauseResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", line::shorten(&self.claim), self.why)
    }
}

pub(super) fn policy(policy: &ReleasePolicy, issuer: &str, claims: &Value) -> Evaluation {
    let authorities: Vec<_> = policy
        .authorities
        .iter()
        .enumerate()
        .map(|(i, authority)| {
            let path = format!("$.anyOf[{i}]");
            let issued = authority.is(issuer);
            let condition = issued.then(|| condition(&authority.condition, claims, &path));
            let met = condition.as_ref().is_some_and(Node::met);
            AuthorityResult { path, authority: authority.issuer.clone(), issued, met, condition }
        })
        .collect();
    let released = authorities.iter().any(|authority| authority.met);
    Evaluation { released, issuer: issuer.to_owned(), authorities }
}

/// Judges one condition; `path` is that of the object which holds it.
fn condition(asked: &Condition, claims: &Value, path: &str) -> Node {
    let each = |name: &str, conditions: &[Condition]| -> Vec<Node> {
        let nodes = conditions.iter().enumerate();
        nodes.map(|(i, inner)| condition(inner, claims, &format!("{path}.{name}[{i}]"))).collect()
    };
    match asked {
        Condition::AllOf(conditions) => {
            let conditions = each("allOf", conditions);
            Node::AllOf { path: path.to_owned(), met: conditions.iter().all(Node::met), conditions }
        }
        Condition::AnyOf(conditions) => {
            let conditions = each("anyOf", conditions);
            Node::AnyOf { path: path.to_owned(), met: conditions.iter().any(Node::met), conditions }
        }
        Condition::Clause(asked) => Node::Clause(clause(asked, claims, path)),
    }
}

fn clause(asked: &Clause, claims: &Value, path: &str) -> ClauseResult {
    let found = claim::find(claims, &asked.claim);
    let (met, why) = match found {
        Found::Absent if asked.operator == Operator::Exists => {
            let wanted = line::text(&asked.value).as_deref() == Some("true");
            (!wanted, "is not in the token".to_owned())
        }
        Found::Absent => (false, absent(asked, claims)),
        Found::Hidden => {
            (false, "is a name with dots of its own, and dots step into objects: no policy reaches it".to_owned())
        }
        Found::Value(value) => compare(asked, value),
    };
    ClauseResult {
        path: path.to_owned(),
        claim: asked.claim.clone(),
        operator: asked.operator,
        expected: asked.value.clone(),
        seen: match found {
            Found::Value(value) => Some(line::show(value)),
            Found::Absent | Found::Hidden => None,
        },
        met,
        why,
    }
}

/// Says that a claim is not there, and where a claim of this name is: that the tokens of a guest attestation nest what
/// other tokens have on top is the usual mistake.
fn absent(asked: &Clause, claims: &Value) -> String {
    let inside = claims.as_object().and_then(|top| {
        let holds = |object: &Value| matches!(claim::find(object, &asked.claim), Found::Value(_));
        top.iter().find(|(_, object)| holds(object)).map(|(name, _)| name)
    });
    match inside {
        Some(outer) => {
            format!("is not in the token, but {}.{} is", line::shorten(outer), line::shorten(&asked.claim))
        }
        None => "is not in the token".to_owned(),
    }
}

fn compare(asked: &Clause, value: &Value) -> (bool, String) {
    let wanted = line::show(&asked.value);
    if asked.operator == Operator::Exists {
        let met = line::text(&asked.value).as_deref() == Some("true");
        return (met, if met { "is in the token" } else { "is in the token, and must not be" }.to_owned());
    }
    let seen = line::show(value);
    let (Some(left), Some(right)) = (line::text(value), line::text(&asked.value)) else {
        return (false, format!("is {seen}, which is compared with nothing"));
    };
    let order = |holds: fn(Ordering) -> bool| {
        let (Some(a), Some(b)) = (Number::read(&left), Number::read(&right)) else { return None };
        Some(holds(a.compare(b)))
    };
    let (met, relation) = match asked.operator {
        Operator::Equals => (Some(left == right), "equal to"),
        Operator::NotEquals => (Some(left != right), "other than"),
        Operator::Less => (order(Ordering::is_lt), "less than"),
        Operator::LessOrEquals => (order(Ordering::is_le), "at most"),
        Operator::Greater => (order(Ordering::is_gt), "greater than"),
        Operator::GreaterOrEquals => (order(Ordering::is_ge), "at least"),
        Operator::Exists => (None, ""),
    };
    match met {
        Some(true) => (true, format!("is {seen}, as asked: {relation} {wanted}")),
        Some(false) => (false, format!("is {seen} and must be {relation} {wanted}")),
        None => (false, format!("is {seen}, which is no decimal number; it must be {relation} {wanted}")),
    }
}
