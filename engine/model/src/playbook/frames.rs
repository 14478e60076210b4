//! The scopes of a program while it runs: one per part that has been entered.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::lab::{Enter, Leave};
use crate::expr::{Context, ExprError, Scope};
use crate::id::StepPath;
use crate::inputs::InputDefault;
use crate::problem::{Problem, Span, codes};

/// A stack of scopes. The run loop walks the program's nodes and keeps this beside it.
#[derive(Debug, Clone)]
pub struct Scopes {
    below: Vec<Scope>,
    top: Scope,
}

impl Scopes {
    /// The playbook's own scope. Secrets must stand in `inputs` as references.
    #[must_use]
    pub fn new(context: &Context, inputs: &BTreeMap<String, Value>) -> Self {
        Self { below: Vec::new(), top: Scope::new(context, inputs) }
    }

    /// The scope of the part that is being run.
    #[must_use]
    pub fn top(&self) -> &Scope {
        &self.top
    }

    /// Begins a part: evaluates its inputs outside, and opens a scope that sees those alone.
    ///
    /// # Errors
    /// When an expression fails or a value does not fit; nothing has changed then.
    pub fn enter(&mut self, enter: &Enter) -> Result<(), Problem> {
        let failed = |e: &ExprError| failed(e, &enter.path, &enter.span);
        let Value::Object(mut given) = enter.with.render(&self.top).map_err(|e| failed(&e))? else {
            return Err(Problem::new(codes::WRONG_TYPE, "a part's inputs are a table").at(enter.span.clone()));
        };
        let mut inputs = Map::new();
        for spec in &enter.inputs {
            let value = match (given.remove(&spec.name), &spec.default) {
                (Some(value), _) => value,
                (None, Some(InputDefault::Plain(value))) => value.clone(),
                (None, Some(InputDefault::Template(t))) => {
                    t.render(&self.top.inside(Value::Null)).map_err(|e| failed(&e))?
                }
                (None, None) => {
                    let what = format!("the part at `{}` needs input `{}`", enter.path, spec.name);
                    return Err(Problem::new(codes::MISSING_INPUT, what).at(enter.span.clone()));
                }
            };
            // A reference to a secret stands for a text that is not to be looked at.
            let secret = value.as_str().is_some_and(|s| s.starts_with("secret:"));
            if !secret {
                spec.admit(&value)
                    .map_err(|p| p.because(format!("given to the part at `{}`", enter.path)).at(enter.span.clone()))?;
            }
            inputs.insert(spec.name.clone(), value);
        }
        let inner = self.top.inside(Value::Object(inputs));
        self.below.push(std::mem::replace(&mut self.top, inner));
        Ok(())
    }

    /// Ends a part: evaluates its exports inside and binds them one frame out. Returns them.
    ///
    /// # Errors
    /// When an expression fails; nothing has changed then.
    pub fn leave(&mut self, leave: &Leave) -> Result<Value, Problem> {
        let mut exports = Map::new();
        for (name, template) in &leave.exports {
            let value = template.render(&self.top).map_err(|e| failed(&e, &leave.path, &leave.span))?;
            exports.insert(name.clone(), value);
        }
        if let Some(chosen) = &leave.chosen {
            exports.insert("chosen".into(), Value::String(chosen.clone()));
        }
        if let Some(outer) = self.below.pop() {
            self.top = outer;
        }
        let exports = Value::Object(exports);
        self.record(&leave.path, &exports);
        Ok(exports)
    }

    /// Binds a step's outputs, under its own name, in the scope on top.
    pub fn record(&mut self, path: &StepPath, outputs: &Value) {
        self.top.set(path.own_name(), outputs.clone());
    }

    /// Binds a skipped step or part: its fields are absent, so that `has(step.field)` is false.
    pub fn skip(&mut self, path: &StepPath) {
        self.top.set(path.own_name(), Value::Object(Map::new()));
    }
}

fn failed(error: &ExprError, path: &StepPath, span: &Span) -> Problem {
    error.problem().because(format!("at `{path}`")).at(span.clone())
}
