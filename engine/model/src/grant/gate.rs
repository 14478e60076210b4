//! The gate in front of every call: asked for by the plugin, granted by the playbook, allowed by the machine.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::{Capability, Condition, Grant, Reach, Use, Verb, shown};
use crate::CloudName;
use crate::policy::Policy;
use crate::problem::{Problem, codes};

/// Who refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeniedBy {
    /// The plugin did not ask for it.
    Ask,
    /// The playbook does not grant it.
    Grant,
    /// The machine's policy forbids it.
    Policy,
    /// The target can be read in two ways, or lies outside the service: nothing can allow it.
    Target,
}

/// A refusal, and the line that would allow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// `azure:write`.
    pub capability: String,
    /// The target and the role to assign there, made safe to show.
    pub scope: String,
    /// The exact TOML line; empty when nothing can allow it.
    pub line: String,
    /// Who refused.
    pub by: DeniedBy,
    why: Option<String>,
}

impl Denial {
    fn new(by: DeniedBy, wanted: &Use<'_>, line: String) -> Self {
        let capability = format!("{}:{}", wanted.interface, wanted.verb);
        let role = wanted.role.map(|role| format!(" role='{}'", shown(role))).unwrap_or_default();
        Self { capability, scope: format!("{}{role}", shown(wanted.target)), line, by, why: None }
    }

    /// The problem to show.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let (code, why, fix) = match self.by {
            DeniedBy::Grant => (
                codes::NOT_GRANTED,
                "the playbook does not grant it to this step",
                format!("add to the step: {}", self.line),
            ),
            DeniedBy::Ask => {
                (codes::NOT_ASKED, "the plugin did not ask for it", format!("add to the plugin's asks: {}", self.line))
            }
            DeniedBy::Policy => (
                codes::FORBIDDEN_BY_POLICY,
                "the machine's policy forbids it",
                format!("add to policy.toml: {}", self.line),
            ),
            DeniedBy::Target => {
                (codes::NOT_GRANTED, "the target is not a plain id", "write the id in its canonical form".into())
            }
        };
        let problem = Problem::new(code, self.to_string()).because(why).fix(fix);
        match &self.why {
            Some(why) => problem.because(why.clone()),
            None => problem,
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not allowed: {}", self.capability)?;
        if self.scope.is_empty() { Ok(()) } else { write!(f, " {}", self.scope) }
    }
}

/// What one step may do.
#[derive(Debug, Clone)]
pub struct Gate {
    asks: Vec<Grant>,
    grants: Vec<Grant>,
    policy: Arc<Policy>,
    real: bool,
}

impl Gate {
    /// Puts asks, grants and policy together. All three must allow a call.
    #[must_use]
    pub fn new(asks: Vec<Grant>, grants: Vec<Grant>, policy: Arc<Policy>) -> Self {
        Self { asks, grants, policy, real: true }
    }

    /// Says which cloud the step acts on: the policy's subscriptions are those of the real one.
    #[must_use]
    pub fn on_cloud(mut self, cloud: CloudName) -> Self {
        self.real = cloud == CloudName::Azure;
        self
    }

    /// What the plugin asks for.
    #[must_use]
    pub fn asks(&self) -> &[Grant] {
        &self.asks
    }

    /// What the playbook grants.
    #[must_use]
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// The machine's policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The cloud that the step acts on.
    #[must_use]
    pub fn cloud(&self) -> CloudName {
        if self.real { CloudName::Azure } else { CloudName::Embedded }
    }

    /// Whether the machine's policy lets the engine itself act on an ARM target, for what it does on a step's behalf.
    ///
    /// # Errors
    /// A [`Denial`] with the policy's line that would change that.
    pub fn policy_allows(&self, wanted: &Use<'_>) -> Result<(), Denial> {
        let target = target(wanted)?;
        self.policed(wanted, &target)
    }

    fn policed(&self, wanted: &Use<'_>, target: &Reach) -> Result<(), Denial> {
        match target.subscription() {
            Some(guid) if self.real && !self.policy.allows_subscription(guid) => {
                let line = format!("subscriptions = [{}]", quoted(guid));
                Err(Denial::new(DeniedBy::Policy, wanted, line))
            }
            _ => Ok(()),
        }
    }

    /// The interfaces that are both asked for and granted: no others are linked.
    #[must_use]
    pub fn interfaces(&self) -> BTreeSet<Capability> {
        let of = |grants: &[Grant]| grants.iter().map(Grant::capability).collect::<BTreeSet<_>>();
        of(&self.asks).intersection(&of(&self.grants)).copied().collect()
    }

    /// Whether a call may be made.
    ///
    /// # Errors
    /// A [`Denial`] that says who refused and which line would change that.
    pub fn allows(&self, wanted: &Use<'_>) -> Result<(), Denial> {
        let target = target(wanted)?;
        let covered = |grants: &[Grant]| grants.iter().any(|g| g.covers_target(wanted, &target));
        if !covered(&self.asks) {
            return Err(Denial::new(DeniedBy::Ask, wanted, quoted(&line(wanted, &target))));
        }
        if !covered(&self.grants) {
            let line = format!("grants = [{}]", quoted(&line(wanted, &target)));
            return Err(Denial::new(DeniedBy::Grant, wanted, line));
        }
        self.policed(wanted, &target)
    }

    /// What has to be verified before something is used that this call brings: the conditions of every grant that
    /// allows it, together.
    #[must_use]
    pub fn conditions(&self, wanted: &Use<'_>) -> BTreeSet<Condition> {
        let Ok(target) = target(wanted) else { return BTreeSet::new() };
        let covering = self.asks.iter().chain(&self.grants).filter(|grant| grant.covers_target(wanted, &target));
        covering.flat_map(|grant| grant.gate.iter().cloned()).collect()
    }

    /// Asks that no grant covers: better said before the step starts than in its middle.
    #[must_use]
    pub fn missing(&self) -> Vec<Denial> {
        let mut out = Vec::new();
        for ask in self.asks.iter().flat_map(Grant::split) {
            if self.grants.iter().any(|g| g.includes(&ask)) {
                continue;
            }
            let verb = ask.verbs.first().copied().unwrap_or(Verb::Read);
            let scope = ask.reach.to_string();
            let wanted = Use { interface: ask.capability, verb, target: &scope, role: ask.role.as_deref() };
            out.push(Denial::new(DeniedBy::Grant, &wanted, format!("grants = [{}]", quoted(&ask.to_string()))));
        }
        out
    }
}

/// The grant that would cover a use.
fn line(wanted: &Use<'_>, target: &Reach) -> String {
    let (verb, scope) = match (wanted.interface, wanted.verb) {
        (Capability::Blob, Verb::Create) => (Verb::Write, format!("{target}/*")),
        (Capability::Azure, Verb::Read) if target.reveals_secrets() => (Verb::Write, target.to_string()),
        (_, verb) => (verb, target.to_string()),
    };
    let mut line = format!("{}:{verb}", wanted.interface);
    if !scope.is_empty() {
        line.push(' ');
        line.push_str(&scope);
    }
    if let Some(role) = wanted.role {
        line.push_str(&format!(" role='{}'", shown(role)));
    }
    line
}

/// The target of a call, in the one form in which it can be read.
fn target(wanted: &Use<'_>) -> Result<Reach, Denial> {
    Reach::parse(wanted.interface, wanted.target, false).map_err(|why| {
        let denial = Denial::new(DeniedBy::Target, wanted, String::new());
        Denial { why: Some(why.into()), ..denial }
    })
}

/// As a TOML basic string. Reaches hold plain ASCII; a role may hold more.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
