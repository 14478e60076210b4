//! The state of the double, its gate and its ledger.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Fake;
use crate::bindings::exports::sealbook::plugin::step as wit;
use crate::bindings::sealbook::plugin::types::Denied;
use crate::problem::{Problem, Result};

/// What the cloud adds to the resource `id`.
pub type Dress = fn(id: &str, resource: &mut Value);
/// Where the deleted resource `id` shows up, and as what.
pub type Bury = fn(id: &str, resource: &Value) -> Option<(String, Value)>;

#[derive(Debug, Default)]
pub struct World {
    pub arm: BTreeMap<String, Value>,
    pub lists: BTreeMap<String, Vec<Value>>,
    pub answers: BTreeMap<String, Value>,
    pub roles: Vec<Role>,
    pub keys: BTreeMap<String, Vec<Value>>,
    pub rotation_policies: BTreeMap<String, Value>,
    pub blobs: BTreeMap<String, (Vec<u8>, Option<String>)>,
    pub containers: BTreeSet<String>,
    pub artifacts: BTreeMap<String, Vec<u8>>,
    pub principals: BTreeMap<String, Value>,
    pub pairs: BTreeMap<String, String>,
    pub secret_keys: BTreeMap<String, Vec<u8>>,
    /// What an attestation provider says of this machine; none: it is no confidential VM.
    pub claims: Option<Value>,
    pub attested: bool,
    /// The verdict on every evidence document, and what was asked to be judged by which rules.
    pub verdict: Option<Value>,
    pub judged: Vec<(Value, Value)>,
    pub ledger: Vec<Effect>,
    pub generation: u32,
    pub log: Vec<String>,
    pub adopt: bool,
    pub dress: Option<Dress>,
    pub bury: Option<Bury>,
    pub refusals: BTreeMap<String, Problem>,
    pub lost: BTreeSet<String>,
    asks: Vec<Ask>,
    effects: bool,
}

/// A role assignment.
#[derive(Debug, Clone)]
pub struct Role {
    pub id: String,
    pub scope: String,
    pub principal: String,
    pub role: String,
}

/// One effect, as the ledger keeps it.
#[derive(Debug)]
pub struct Effect {
    pub operation: wit::Operation,
    request: String,
    generation: u32,
}

/// One ask, filled in.
#[derive(Debug)]
struct Ask {
    interface: String,
    verbs: Vec<String>,
    scope: String,
    below: Below,
    role: Option<String>,
}

/// What of a scope's subtree is meant.
#[derive(Debug, PartialEq)]
enum Below {
    /// The thing and all beneath it.
    Included,
    /// Only what is beneath it, and a container itself.
    Only,
    /// The thing alone.
    Excluded,
}

impl Ask {
    /// `azure:read,write <scope> role='…'`, its templates filled from `inputs`. None: an optional input is absent.
    fn parse(ask: &str, inputs: &Value) -> Option<Self> {
        let mut text = ask.to_owned();
        while let Some(start) = text.find("${") {
            let end = start + text[start..].find('}')?;
            let path = text[start + 2..end].strip_prefix("inputs.")?;
            let value = path.split('.').try_fold(inputs, |v, key| v.get(key))?;
            let value = value.as_str().map_or_else(|| value.to_string(), Into::into);
            text.replace_range(start..=end, &value);
        }
        let (head, rest) = text.split_once(' ').unwrap_or((&text, ""));
        let (interface, verbs) = head.split_once(':')?;
        let (scope, role) = match rest.split_once(" role=") {
            Some((scope, role)) => (scope, Some(role.trim_matches('\'').to_owned())),
            None => (rest, None),
        };
        let below = match (interface, scope.strip_suffix("/*")) {
            (_, Some(_)) => Below::Only,
            ("blob", None) => Below::Excluded,
            _ => Below::Included,
        };
        let scope = scope.trim_end_matches("/*").trim_end_matches('/').to_ascii_lowercase();
        Some(Self {
            interface: interface.into(),
            verbs: verbs.split(',').map(Into::into).collect(),
            scope,
            below,
            role,
        })
    }

    fn covers(&self, interface: &str, verb: &str, target: &str, role: Option<&str>) -> bool {
        let target = target.to_ascii_lowercase();
        let inside = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'));
        let container = target.matches('/').count() == 3;
        let reached = match (interface, verb) {
            ("artifacts" | "crypto", _) => true,
            // Whoever may write into a container may make it.
            ("blob", "create") => target == self.scope || inside(&self.scope, &target),
            _ => match self.below {
                Below::Included => target == self.scope || inside(&target, &self.scope),
                Below::Only => inside(&target, &self.scope) || (container && target == self.scope),
                Below::Excluded => target == self.scope,
            },
        };
        let verb = if (interface, verb) == ("blob", "create") { "write" } else { verb };
        self.interface == interface
            && self.verbs.iter().any(|v| v == verb)
            && reached
            && role.is_none_or(|role| self.role.as_deref() == Some(role))
    }
}

impl World {
    /// Lets the calls of one `check`, `apply`, `verify` or `undo` through as far as the plugin asked for them.
    pub fn open_gate(&mut self, asks: &[&str], inputs: &Value, effects: bool) {
        self.asks = asks.iter().filter_map(|a| Ask::parse(a, inputs)).collect();
        self.effects = effects;
    }

    /// Whether the plugin asked for this.
    pub fn pass(&self, interface: &str, verb: &str, target: &str, role: Option<&str>) -> Result<()> {
        if let Some(problem) = self.refusals.get(&target.to_ascii_lowercase()) {
            return Err(problem.clone());
        }
        if self.asks.iter().any(|a| a.covers(interface, verb, target, role)) {
            return Ok(());
        }
        Err(Problem::Denied(Denied { capability: format!("{interface}:{verb}"), scope: target.into() }))
    }

    /// Puts a resource there.
    pub fn stand(&mut self, id: &str, mut resource: Value, mark: Option<&str>) {
        resource["id"] = json!(id);
        resource["name"] = json!(id.rsplit('/').next());
        if let Some(mark) = mark {
            resource["tags"]["sealbook-run"] = json!(mark);
        }
        if let Some(dress) = self.dress {
            dress(id, &mut resource);
        }
        self.arm.insert(id.to_ascii_lowercase(), resource);
    }

    /// Puts a key version there, filling in what a test left out.
    pub fn add_key(&mut self, uri: &str, wanted: &Value, mark: Option<&str>) -> Value {
        let versions = self.keys.entry(uri.to_owned()).or_default();
        let mut bundle = json!({
            "key": { "kid": format!("{uri}/{:032x}", versions.len() + 1), "kty": "RSA-HSM", "n": "A".repeat(342), "e": "AQAB",
                     "key_ops": ["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"] },
            "attributes": { "enabled": true, "exportable": false, "recoveryLevel": "CustomizedRecoverable" },
        });
        merge(&mut bundle, wanted);
        if let Some(mark) = mark {
            bundle["tags"]["sealbook-run"] = json!(mark);
        }
        versions.push(bundle.clone());
        bundle
    }

    /// Puts a role assignment there; its id tells whose it is.
    pub fn add_role(&mut self, name: &str, scope: &str, principal: &str, role: &str) -> String {
        let id = format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{name}");
        let made = Role { id: id.clone(), scope: scope.into(), principal: principal.into(), role: role.into() };
        self.roles.push(made);
        id
    }

    /// Whether a thing with this mark may be used.
    pub fn usable(&self, mark: Option<&str>) -> bool {
        self.adopt || mark == Some(Fake::RUN)
    }

    /// Runs one effect, write-ahead and at most once per name and generation.
    pub fn effect(
        &mut self,
        (name, kind, target): (&str, &str, &str),
        request: &str,
        act: impl FnOnce(&mut Self) -> Result<(Value, wit::Ownership)>,
    ) -> Result<Value> {
        if !self.effects {
            return Err(Problem::permanent(format!("the effect `{name}` in a call that may only look")));
        }
        let standing = self.ledger.iter().position(|e| e.generation == self.generation && e.operation.name == name);
        let at = match standing {
            Some(at) if self.ledger[at].request != request || self.ledger[at].operation.target != target => {
                return Err(Problem::permanent(format!("the effect `{name}` was repeated with another request")));
            }
            Some(at) => {
                if let Some(outcome) = &self.ledger[at].operation.outcome {
                    return Ok(serde_json::from_str(outcome)?);
                }
                at
            }
            None => {
                let operation = wit::Operation {
                    name: name.into(),
                    kind: kind.into(),
                    target: target.into(),
                    ownership: wit::Ownership::Unknown,
                    outcome: None,
                };
                self.ledger.push(Effect { operation, request: request.into(), generation: self.generation });
                self.ledger.len() - 1
            }
        };
        let (outcome, ownership) = act(self)?;
        if self.lost.remove(name) {
            return Err(Problem::transient(format!("the answer to `{name}` was lost")));
        }
        self.ledger[at].operation.ownership = ownership;
        self.ledger[at].operation.outcome = Some(outcome.to_string());
        Ok(outcome)
    }

    /// The ledger of apply, as undo gets it.
    pub fn operations(&self) -> Vec<wit::Operation> {
        self.ledger.iter().filter(|e| e.generation == 0).map(|e| e.operation.clone()).collect()
    }
}

/// JSON merge patch (RFC 7396).
pub fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            if let Some(object) = target.as_object_mut() {
                object.shift_remove(key);
            }
        } else {
            merge(&mut target[key], value);
        }
    }
}
