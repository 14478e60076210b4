//! The names that expressions see.

use std::collections::BTreeMap;
use std::sync::Arc;

use cel::Value as Cel;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::value;
use crate::CloudName;
use crate::id::RunId;

/// What a run is made in: who, where, which. Journaled, so that a resume sees the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// The run.
    pub run: RunId,
    /// Where it works.
    pub cloud: CloudName,
    /// The tenant's id.
    pub tenant: String,
    /// The subscription's id, without `/subscriptions/`.
    pub subscription: String,
    /// Its name.
    pub subscription_name: String,
    /// Who is signed in.
    pub me: Me,
}

/// Who is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Me {
    /// Object id in the tenant.
    pub id: String,
    /// Name to show.
    pub name: String,
    /// `User` or `ServicePrincipal`.
    pub kind: String,
}

/// Names every scope has, with their fields; none: a plain text.
pub(crate) const BUILT_IN: &[(&str, &[&str])] = &[
    ("cloud", &[]),
    ("me", &["id", "name", "type"]),
    ("run", &["id", "short"]),
    ("subscription", &["guid", "id", "name"]),
    ("tenant", &["id"]),
];

impl Context {
    fn vars(&self) -> BTreeMap<String, Arc<Value>> {
        let (run, guid) = (self.run.as_str(), &self.subscription);
        let vars = [
            ("cloud", json!(self.cloud)),
            ("me", json!({ "id": self.me.id, "name": self.me.name, "type": self.me.kind })),
            ("run", json!({ "id": run, "short": run })),
            (
                "subscription",
                json!({ "id": format!("/subscriptions/{guid}"), "guid": guid, "name": self.subscription_name }),
            ),
            ("tenant", json!({ "id": self.tenant })),
        ];
        vars.into_iter().map(|(name, value)| (name.to_owned(), Arc::new(value))).collect()
    }
}

/// Names and their values. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    vars: Arc<BTreeMap<String, Arc<Value>>>,
    out: Option<Arc<Value>>,
    undo: Option<DateTime<Utc>>,
}

impl Scope {
    /// A scope with the built-in names and `inputs`. Secrets must stand in `inputs` as references.
    #[must_use]
    pub fn new(context: &Context, inputs: &BTreeMap<String, Value>) -> Self {
        let mut scope = Self { vars: Arc::new(context.vars()), ..Self::default() };
        scope.set("inputs", inputs.iter().map(|(k, v)| (k.clone(), v.clone())).collect());
        scope
    }

    /// A scope with no names but those set later. For templates over inputs alone.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Binds a name, a step's to its outputs.
    pub fn set(&mut self, name: &str, value: Value) {
        Arc::make_mut(&mut self.vars).insert(name.to_owned(), Arc::new(value));
    }

    /// The same names around other inputs and no steps: what the inside of a part sees.
    pub(crate) fn inside(&self, inputs: Value) -> Self {
        let mut scope = Self::default();
        for (name, _) in BUILT_IN {
            if let Some(value) = self.vars.get(*name) {
                Arc::make_mut(&mut scope.vars).insert((*name).to_owned(), Arc::clone(value));
            }
        }
        scope.set("inputs", inputs);
        scope
    }

    /// This scope with `out`, a step's own outputs, for `expect` and `lesson.that`.
    #[must_use]
    pub fn with_out(&self, outputs: &Value) -> Self {
        Self { out: Some(Arc::new(outputs.clone())), ..self.clone() }
    }

    /// This scope with `undo.at`, for what a playbook leaves behind.
    #[must_use]
    pub fn with_undo(&self, at: DateTime<Utc>) -> Self {
        Self { undo: Some(at), ..self.clone() }
    }

    /// A name's value; `undo` has none in JSON.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        match name {
            "out" => self.out.as_deref(),
            _ => self.vars.get(name).map(Arc::as_ref),
        }
    }

    pub(super) fn cel(&self, name: &str) -> Option<Cel> {
        if name == "undo" {
            let at = self.undo?.fixed_offset();
            return Some(Cel::from(std::collections::HashMap::from([("at", Cel::Timestamp(at))])));
        }
        self.get(name).map(value::from_json)
    }

    pub(super) fn find(&self, path: &[&str]) -> Option<&Value> {
        let (root, fields) = path.split_first()?;
        fields.iter().try_fold(self.get(root)?, |value, field| value.get(*field))
    }
}
