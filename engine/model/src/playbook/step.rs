//! One step of a compiled playbook, and what it may do.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::lab::Price;
use crate::CloudName;
use crate::expr::{Expr, ExprError, Scope, Template, With};
use crate::grant::{Capability, Gate, Grant, Verb};
use crate::id::StepPath;
use crate::journal::GuestAt;
use crate::plugin::{Limits, PluginRef};
use crate::policy::Policy;
use crate::problem::{Problem, Span, codes};

/// A step that runs a plugin.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its place in the run.
    pub path: StepPath,
    /// Its name for people.
    pub title: String,
    /// What is told about it.
    pub text: Text,
    /// The plugin.
    pub plugin: PluginRef,
    /// The plugin's inputs, not yet evaluated.
    pub with: With,
    /// When it is false the step is skipped.
    pub when: Option<Expr>,
    /// Where it runs.
    pub place: Place,
    /// Whether it may build on things that it finds and did not make.
    pub adopt: bool,
    /// How long to retry failures that may pass.
    pub retry_within: Option<Duration>,
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
    /// What it costs, beyond what its plugin tells.
    pub cost: Option<Price>,
    /// What a person would type.
    pub by_hand: Option<Template>,
    /// Hints, each saying more than the one before.
    pub hints: Vec<Template>,
    /// Conditions on the outputs.
    pub expect: Vec<Expect>,
    /// An action whose expected result may be a failure.
    pub lesson: Option<Lesson>,
    /// A question to the learner.
    pub quiz: Option<Quiz>,
    /// What to look at before going on.
    pub pause: Option<String>,
    /// Steps of the same frame that must be done first: named in `needs`, or mentioned.
    pub needs: Vec<StepPath>,
    /// Steps of the same frame whose outputs it mentions.
    pub uses: Vec<StepPath>,
    /// Ceilings that the plugin asks for.
    pub limits: Limits,
    pub(crate) grants: Vec<(Template, Span)>,
    pub(crate) asks: Vec<Template>,
    /// Inputs that the plugin fills in by itself.
    pub(crate) defaults: Map<String, Value>,
    pub(crate) span: Span,
}

/// What is told about a step, in Markdown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    /// What happens.
    pub what: String,
    /// Why.
    pub why: String,
    /// What is proved once it is done.
    pub proved: String,
}

/// Where a step runs.
#[derive(Debug, Clone)]
pub enum Place {
    /// On this machine.
    Host,
    /// Inside a confidential VM.
    Guest {
        /// The VM's resource id.
        vm: Template,
        /// The container through which it is reached.
        mailbox: Template,
    },
}

/// One condition on a step's outputs.
#[derive(Debug, Clone)]
pub struct Expect {
    /// What must hold, over `out`.
    pub that: Expr,
    /// What to say when it does not.
    pub otherwise: Template,
}

/// An action whose expected result may be a failure.
#[derive(Debug, Clone)]
pub struct Lesson {
    /// The action and what is expected of it.
    pub kind: LessonKind,
    /// How long to wait for it.
    pub within: Option<Duration>,
}

/// What a lesson expects.
#[derive(Debug, Clone)]
pub enum LessonKind {
    /// The step's own `apply` is refused.
    ApplyFails(Refusal),
    /// Reading a blob is refused.
    ReadFails {
        /// The blob.
        uri: Template,
        /// The refusal.
        refusal: Refusal,
    },
    /// Reading a blob works.
    ReadHolds {
        /// The blob.
        uri: Template,
        /// What must hold of what was read.
        that: Option<Expr>,
    },
}

/// A refusal by Azure; what is not named may be anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: Option<u16>,
    /// Azure's error code.
    pub code: Option<String>,
    /// Codes of other refusals, which pass.
    pub not: Vec<String>,
}

impl Refusal {
    /// Whether an answer is this refusal.
    #[must_use]
    pub fn matches(&self, status: u16, code: &str) -> bool {
        self.status.is_none_or(|s| s == status)
            && self.code.as_deref().is_none_or(|c| c.eq_ignore_ascii_case(code))
            && !self.not.iter().any(|other| other.eq_ignore_ascii_case(code))
    }
}

/// A question to the learner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quiz {
    /// The question.
    pub ask: String,
    /// The possible answers.
    pub options: Vec<String>,
    /// The right one, counted from 0.
    pub answer: usize,
    /// Why it is right.
    pub why: String,
}

impl Step {
    /// Its own name: the last part of its path.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.own_name()
    }

    /// Evaluates `with`. Secrets come out as references (`secret:<input>`).
    ///
    /// # Errors
    /// When an expression fails.
    pub fn inputs(&self, scope: &Scope) -> Result<Value, Problem> {
        self.with.render(scope).map_err(|e| self.failed(&e))
    }

    /// The id of the confidential VM that it runs in; none on this machine.
    #[must_use]
    pub fn vm(&self) -> Option<&Template> {
        match &self.place {
            Place::Guest { vm, .. } => Some(vm),
            Place::Host => None,
        }
    }

    /// Evaluates which confidential VM it runs in; none on this machine.
    ///
    /// # Errors
    /// When an expression fails, or what comes out is neither a VM nor a container.
    pub fn guest(&self, scope: &Scope) -> Result<Option<GuestAt>, Problem> {
        let Place::Guest { vm, mailbox } = &self.place else { return Ok(None) };
        let text = |template: &Template| template.text(scope).map_err(|e| self.failed(&e));
        let at = GuestAt { vm: text(vm)?, mailbox: text(mailbox)? };
        at.check().map_err(|why| {
            let what = format!("step `{}` can't run in a confidential VM: {why}", self.path);
            Problem::new(codes::BAD_VALUE, what).at(self.span.clone())
        })?;
        Ok(Some(at))
    }

    /// Evaluates the grants.
    ///
    /// # Errors
    /// When an expression fails, or what comes out is not a grant.
    pub fn grants(&self, scope: &Scope) -> Result<Vec<Grant>, Problem> {
        self.grants.iter().map(|(template, span)| self.grant(template, span, scope)).collect()
    }

    fn grant(&self, template: &Template, span: &Span, scope: &Scope) -> Result<Grant, Problem> {
        let text = template.text(scope).map_err(|e| self.failed(&e).at(span.clone()))?;
        Grant::parse(&text).map_err(|e| {
            Problem::new(codes::BAD_GRANT, e.what)
                .because(format!("step `{}` grants {}", self.path, template.source()))
                .maybe_fix(e.fix)
                .at(span.clone())
        })
    }

    /// Evaluates what the plugin asks for, over its evaluated inputs. An ask that mentions an input which was not
    /// given asks for nothing.
    ///
    /// # Errors
    /// When what comes out is not a grant.
    pub fn asks(&self, scope: &Scope, inputs: &Value) -> Result<Vec<Grant>, Problem> {
        let mut filled = self.defaults.clone();
        let given = inputs.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        filled.extend(given.map(|(name, value)| (name.clone(), value.clone())));
        let inputs = Value::Object(filled);
        let scope = scope.inside(inputs.clone());
        let absent = |ask: &Template| {
            ask.exprs().any(|(expr, _)| {
                expr.references().iter().any(|r| {
                    let given = r.fields.first().and_then(|field| inputs.get(field));
                    r.root == "inputs" && !r.tested && given.is_none_or(Value::is_null)
                })
            })
        };
        let asks = self.asks.iter().filter(|ask| !absent(ask));
        asks.map(|ask| self.grant(ask, &self.span, &scope)).collect()
    }

    /// The gate for the plugin's calls.
    ///
    /// # Errors
    /// When an ask or a grant can't be evaluated.
    pub fn gate(&self, scope: &Scope, inputs: &Value, policy: &Arc<Policy>) -> Result<Gate, Problem> {
        let gate = Gate::new(self.asks(scope, inputs)?, self.grants(scope)?, Arc::clone(policy));
        Ok(gate.on_cloud(cloud(scope)))
    }

    /// The gate for the engine's own read in a lesson: the plugin does not ask for it, the playbook grants it.
    ///
    /// # Errors
    /// When a grant can't be evaluated, or `uri` is not a blob's.
    pub fn lesson_gate(&self, scope: &Scope, uri: &str, policy: &Arc<Policy>) -> Result<Gate, Problem> {
        let ask = Grant::parse(&format!("{}:{} {uri}", Capability::Blob, Verb::Read));
        let ask = ask.map_err(|e| Problem::new(codes::BAD_GRANT, e.what).at(self.span.clone()))?;
        Ok(Gate::new(vec![ask], self.grants(scope)?, Arc::clone(policy)).on_cloud(cloud(scope)))
    }

    fn failed(&self, error: &ExprError) -> Problem {
        error.problem().because(format!("in step `{}`", self.path)).at(self.span.clone())
    }
}

fn cloud(scope: &Scope) -> CloudName {
    // A scope that does not say it gets the stricter rules.
    scope.get("cloud").and_then(|name| CloudName::deserialize(name).ok()).unwrap_or(CloudName::Azure)
}
