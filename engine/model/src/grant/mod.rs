//! Capabilities: what a plugin asks for, what a playbook grants, and the gate that holds a call against both.

mod condition;
mod gate;
mod reach;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

pub use condition::Condition;
pub use gate::{Denial, DeniedBy, Gate};
pub(crate) use reach::Reach;

use crate::problem::{closest, listed};

/// An interface of the host that needs a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Capability {
    /// Azure Resource Manager and Azure RBAC.
    Azure,
    /// Keys in Key Vault.
    Keyvault,
    /// Block blobs.
    Blob,
    /// Bulk data that the host keeps for the run.
    Artifacts,
    /// Keys as handles.
    Crypto,
    /// Activation and local roles of managed HSMs.
    Hsm,
    /// Service principals of the tenant.
    Directory,
    /// Attestation of the confidential VM that a step runs in, and the judgement of evidence.
    Attestation,
}

impl Capability {
    /// Every capability there is.
    pub const ALL: [Self; 8] = [
        Self::Azure,
        Self::Keyvault,
        Self::Blob,
        Self::Artifacts,
        Self::Crypto,
        Self::Hsm,
        Self::Directory,
        Self::Attestation,
    ];

    /// The verbs that can be granted.
    #[must_use]
    pub fn verbs(self) -> &'static [Verb] {
        match self {
            Self::Azure | Self::Hsm => &[Verb::Read, Verb::Write, Verb::Assign],
            Self::Keyvault => &[Verb::Read, Verb::Create, Verb::Update, Verb::Wrap, Verb::Unwrap, Verb::Release],
            Self::Blob | Self::Directory => &[Verb::Read, Verb::Write],
            Self::Artifacts | Self::Crypto | Self::Attestation => &[Verb::Use],
        }
    }

    /// How a scope looks.
    fn example(self) -> &'static str {
        match self {
            Self::Azure => "/subscriptions/…/resourceGroups/…",
            Self::Keyvault => "https://….vault.azure.net/keys/…",
            Self::Blob => "https://….blob.core.windows.net/container/*",
            Self::Artifacts | Self::Crypto => "",
            Self::Hsm => "https://….managedhsm.azure.net/",
            Self::Directory => "<application id>",
            Self::Attestation => "https://….attest.azure.net",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Azure => "azure",
            Self::Keyvault => "keyvault",
            Self::Blob => "blob",
            Self::Artifacts => "artifacts",
            Self::Crypto => "crypto",
            Self::Hsm => "hsm",
            Self::Directory => "directory",
            Self::Attestation => "attestation",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Capability {
    type Err = GrantError;

    fn from_str(s: &str) -> Result<Self, GrantError> {
        Self::ALL.into_iter().find(|c| c.name() == s).ok_or_else(|| {
            let names = Self::ALL.map(Self::name);
            let fix = closest(s, names).map(|c| format!("did you mean `{c}`?"));
            GrantError::new(format!("there is no capability `{}`", shown(s)))
                .fix(fix.unwrap_or_else(|| format!("the capabilities are {}", listed(names))))
        })
    }
}

/// What may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// Look.
    Read,
    /// Create, change or delete.
    Write,
    /// Assign a role.
    Assign,
    /// Create, rotate or delete a key; as a use of `blob`, create a container.
    Create,
    /// Change a key's attributes.
    Update,
    /// Wrap with a key.
    Wrap,
    /// Unwrap with a key.
    Unwrap,
    /// Have a key released to a confidential VM.
    Release,
    /// All that the interface offers on its scope.
    Use,
}

impl Verb {
    const ALL: [Self; 9] = [
        Self::Read,
        Self::Write,
        Self::Assign,
        Self::Create,
        Self::Update,
        Self::Wrap,
        Self::Unwrap,
        Self::Release,
        Self::Use,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Assign => "assign",
            Self::Create => "create",
            Self::Update => "update",
            Self::Wrap => "wrap",
            Self::Unwrap => "unwrap",
            Self::Release => "release",
            Self::Use => "use",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text is not a grant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct GrantError {
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub fix: Option<String>,
}

impl GrantError {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), fix: None }
    }

    fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

/// `capability:verb[,verb…] [scope] [role='Name'|gate='…']`: an ask of a plugin, or a grant of a playbook.
///
/// A `gate` stands at a release: the released key can't be used before its conditions ([`Condition`]) are met.
///
/// Scopes are ARM ids (`azure`, covering everything below them, compared without regard to case), key or vault URIs
/// (`keyvault`, likewise but exact in case), and container or blob URIs (`blob`, exact, or everything below with a
/// last segment `*`); managed HSMs and scopes in them (`hsm`: the URI, its `keys`, one key), application ids
/// (`directory`), and attestation providers or `gpu` (`attestation`). `artifacts` and `crypto` have none. A scope that could be
/// read in two ways is refused: no `..`, no `%`, no empty segment, no other host.
///
/// ```
/// use sealbook_model::grant::{Capability, Grant, Use, Verb};
/// let grant: Grant = "azure:read,write /subscriptions/1/resourceGroups/rg1".parse().unwrap();
/// let on = |target| Use { interface: Capability::Azure, verb: Verb::Write, target, role: None };
/// assert!(grant.covers(&on("/subscriptions/1/resourcegroups/RG1/providers/Microsoft.KeyVault/vaults/v")));
/// assert!(!grant.covers(&on("/subscriptions/1/resourceGroups/rg10")));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    capability: Capability,
    verbs: BTreeSet<Verb>,
    reach: Reach,
    role: Option<String>,
    gate: BTreeSet<Condition>,
}

/// A grant longer than this is refused.
const MAX_LEN: usize = 2048;

impl Grant {
    /// Reads a grant.
    ///
    /// # Errors
    /// When a part of it is unknown, missing or ambiguous.
    pub fn parse(text: &str) -> Result<Self, GrantError> {
        let head = Head::parse(text)?;
        let scope = head.scope.unwrap_or_default();
        let reach = Reach::parse(head.capability, scope, true).map_err(|why| {
            GrantError::new(format!("`{}` is not a scope of {}: {why}", shown(scope), head.capability))
                .fix(format!("write it like {}", head.capability.example()))
        })?;
        let gate = head.gate.map(Condition::parse_all).transpose()?.unwrap_or_default();
        Ok(Self { capability: head.capability, verbs: head.verbs, reach, role: head.role.map(Into::into), gate })
    }

    /// The interface it opens.
    #[must_use]
    pub fn capability(&self) -> Capability {
        self.capability
    }

    /// Whether it allows `wanted`.
    #[must_use]
    pub fn covers(&self, wanted: &Use<'_>) -> bool {
        if wanted.interface != self.capability {
            return false;
        }
        let Ok(target) = Reach::parse(wanted.interface, wanted.target, false) else { return false };
        self.covers_target(wanted, &target)
    }

    /// As [`Self::covers`], for a target that has been read already.
    fn covers_target(&self, wanted: &Use<'_>, target: &Reach) -> bool {
        if wanted.interface != self.capability {
            return false;
        }
        match (wanted.interface, wanted.verb) {
            // Whoever may write into a container may make it: an empty container gives nothing away.
            (Capability::Blob, Verb::Create) => {
                self.verbs.contains(&Verb::Write) && (self.reach.lies_in(target) || self.reach.covers(target))
            }
            (Capability::Azure | Capability::Hsm, Verb::Assign) => {
                self.verbs.contains(&Verb::Assign)
                    && same_role(self.role.as_deref(), wanted.role)
                    && self.reach.covers(target)
            }
            (Capability::Azure, verb) => {
                // `listKeys` and its kin hand out secrets: that is more than reading.
                let verb = if verb == Verb::Read && target.reveals_secrets() { Verb::Write } else { verb };
                self.verbs.contains(&verb)
                    && self.reach.covers(target)
                    // Rights are given by `assign`, with the role named, and never by writing.
                    && !(verb == Verb::Write && target.enters_authorization_below(&self.reach))
            }
            (_, verb) => self.verbs.contains(&verb) && self.reach.covers(target),
        }
    }

    /// Whether it allows all that `other` allows.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        other.split().iter().all(|one| self.includes_verb(one))
    }

    fn includes_verb(&self, one: &Self) -> bool {
        self.capability == one.capability
            && one.verbs.is_subset(&self.verbs)
            && self.reach.covers(&one.reach)
            && (!one.verbs.contains(&Verb::Assign) || same_role(self.role.as_deref(), one.role.as_deref()))
    }

    /// One grant per verb.
    fn split(&self) -> Vec<Self> {
        let one = |verb: &Verb| Self {
            verbs: BTreeSet::from([*verb]),
            role: self.role.clone().filter(|_| *verb == Verb::Assign),
            gate: if *verb == Verb::Release { self.gate.clone() } else { BTreeSet::new() },
            ..self.clone()
        };
        self.verbs.iter().map(one).collect()
    }
}

/// Azure compares role names without regard to case. An assignment without a role is never covered.
fn same_role(granted: Option<&str>, wanted: Option<&str>) -> bool {
    matches!((granted, wanted), (Some(a), Some(b)) if a.eq_ignore_ascii_case(b))
}

impl FromStr for Grant {
    type Err = GrantError;

    fn from_str(s: &str) -> Result<Self, GrantError> {
        Self::parse(s)
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verbs: Vec<_> = self.verbs.iter().map(|v| v.name()).collect();
        write!(f, "{}:{}", self.capability, verbs.join(","))?;
        let scope = self.reach.to_string();
        if !scope.is_empty() {
            write!(f, " {scope}")?;
        }
        if let Some(role) = &self.role {
            write!(f, " role='{role}'")?;
        }
        if !self.gate.is_empty() {
            let all: Vec<_> = self.gate.iter().map(ToString::to_string).collect();
            write!(f, " gate='{}'", all.join(" "))?;
        }
        Ok(())
    }
}

/// A grant's text taken apart; the scope is not looked at, so that it may still hold `${…}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    pub(crate) capability: Capability,
    pub(crate) verbs: BTreeSet<Verb>,
    pub(crate) scope: Option<&'a str>,
    pub(crate) role: Option<&'a str>,
    pub(crate) gate: Option<&'a str>,
}

impl<'a> Head<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, GrantError> {
        if text.len() > MAX_LEN {
            return Err(GrantError::new(format!("a grant may have {MAX_LEN} bytes, this one has {}", text.len())));
        }
        let text = text.trim_matches(' ');
        let (head, rest) = text.split_once(' ').unwrap_or((text, ""));
        let (capability, verbs) = head.split_once(':').ok_or_else(|| {
            GrantError::new(format!("`{}` is not a grant", shown(text)))
                .fix("write capability:verb scope, like azure:read /subscriptions/…")
        })?;
        let capability: Capability = capability.parse()?;
        let verbs = verbs.split(',').map(|v| verb(capability, v)).collect::<Result<BTreeSet<_>, _>>()?;
        let (scope, role, gate) = split_scope(rest.trim_matches(' '))?;
        let scopeless = matches!(capability, Capability::Artifacts | Capability::Crypto);
        match (scope.is_empty(), scopeless) {
            (true, false) => {
                let fix = format!("write {head} {}", capability.example());
                return Err(GrantError::new(format!("{head} needs a scope")).fix(fix));
            }
            (false, true) => {
                return Err(GrantError::new(format!("{capability} has no scopes")).fix(format!("write {head}")));
            }
            _ => {}
        }
        match (verbs.contains(&Verb::Assign), role) {
            (true, None) => {
                return Err(GrantError::new("assign needs the role it may assign")
                    .fix(format!("write {head} {} role='Reader'", shown(scope))));
            }
            (false, Some(_)) => return Err(GrantError::new("only assign has a role").fix("take role=… away")),
            _ => {}
        }
        if gate.is_some() && !verbs.contains(&Verb::Release) {
            return Err(GrantError::new("only a release has a gate").fix("take gate=… away"));
        }
        Ok(Self { capability, verbs, scope: Some(scope).filter(|s| !s.is_empty()), role, gate })
    }
}

fn verb(capability: Capability, text: &str) -> Result<Verb, GrantError> {
    let known = Verb::ALL.into_iter().find(|v| v.name() == text);
    known.filter(|v| capability.verbs().contains(v)).ok_or_else(|| {
        let names = || capability.verbs().iter().map(|v| v.name());
        let fix = closest(text, names()).map(|v| format!("did you mean `{v}`?"));
        GrantError::new(format!("{capability} has no verb `{}`", shown(text)))
            .fix(fix.unwrap_or_else(|| format!("its verbs are {}", listed(names()))))
    })
}

/// Splits `scope role='Name'` and `scope gate='condition …'`.
fn split_scope(text: &str) -> Result<(&str, Option<&str>, Option<&str>), GrantError> {
    let bad = |what: &str| GrantError::new(what).fix("write role='Key Vault Crypto User' after the scope");
    if let Some((scope, gate)) = text.split_once(" gate=") {
        let conditions = quoted(gate).filter(|text| !text.contains(['\'', '"']));
        let conditions =
            conditions.ok_or_else(|| GrantError::new("a gate's conditions stand in quotes").fix("write gate='gpu'"))?;
        return Ok((scope.trim_end_matches(' '), None, Some(conditions)));
    }
    let Some((scope, role)) = text.split_once(" role=") else {
        return if text.contains([' ', '\t', '\n']) && !text.contains("${") {
            Err(bad("a scope has no spaces"))
        } else {
            Ok((text, None, None))
        };
    };
    let name = quoted(role).ok_or_else(|| bad("a role's name stands in quotes"))?;
    if name.contains('*') {
        return Err(GrantError::new("a role is named, there are no wildcards").fix("write one grant for each role"));
    }
    if name.is_empty() || name.contains(['\'', '"', '\\']) || name.chars().any(char::is_control) {
        return Err(bad("that is not a role's name"));
    }
    Ok((scope.trim_end_matches(' '), Some(name), None))
}

/// What stands between quotes of either kind.
fn quoted(text: &str) -> Option<&str> {
    ['\'', '"'].into_iter().find_map(|q| text.strip_prefix(q)?.strip_suffix(q))
}

/// One call that wants to be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use<'a> {
    /// The interface.
    pub interface: Capability,
    /// What it does.
    pub verb: Verb,
    /// ARM id, key URI, container or blob URI, scope in a managed HSM, application id; empty for interfaces without scopes.
    pub target: &'a str,
    /// The role to assign.
    pub role: Option<&'a str>,
}

/// Text from outside as it may appear in a message: no control or direction-changing characters, not endless.
pub(crate) fn shown(text: &str) -> String {
    const MAX: usize = 200;
    let mut out: String = text.chars().take(MAX).map(|c| if is_treacherous(c) { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(MAX).is_some() {
        out.push('…');
    }
    out
}

/// Control characters, and those that change how the text around them is read (Unicode "Trojan source").
pub(crate) fn is_treacherous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{061c}' | '\u{feff}')
}
