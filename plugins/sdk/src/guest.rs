//! Between the contract's JSON texts and a [`Step`]'s types. Not an API: [`crate::export!`] calls it.

use schemars::{JsonSchema, schema_for};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::bindings::exports::sealbook::plugin::step as wit;
use crate::cx::Cx;
use crate::problem::{Problem, Result};
use crate::step::{Check, Evidence, Leftover, Operation, Past, Step};

/// Describes the step.
pub fn describe<S: Step>(summary: &str) -> wit::Description {
    wit::Description {
        summary: summary.into(),
        inputs: schema::<S::In>(),
        outputs: schema::<S::Out>(),
        asks: S::ASKS.iter().map(|a| (*a).into()).collect(),
        limits: S::LIMITS,
    }
}

/// Checks.
pub fn check<S: Step>(inputs: &str) -> Result<wit::Checked> {
    let cx = begin();
    Ok(match S::check(&cx, &inputs_of::<S>(inputs)?)? {
        Check::Satisfied(outputs) => wit::Checked::Satisfied(text(&outputs)?),
        Check::Needed(p) => wit::Checked::Needed(wit::Preview {
            changes: p.changes,
            before: text(&p.before)?,
            costs: p.costs,
            leaves: p.leaves,
            az: p.az,
        }),
    })
}

/// Applies.
pub fn apply<S: Step>(inputs: &str) -> Result<String> {
    let cx = begin();
    text(&S::apply(&cx, &inputs_of::<S>(inputs)?)?)
}

/// Verifies.
pub fn verify<S: Step>(inputs: &str, outputs: &str) -> Result<Vec<Evidence>> {
    let cx = begin();
    S::verify(&cx, &inputs_of::<S>(inputs)?, &parse(outputs)?)
}

/// Undoes.
pub fn undo<S: Step>(
    inputs: &str,
    before: &str,
    outputs: Option<&str>,
    operations: Vec<wit::Operation>,
) -> Result<Vec<Leftover>> {
    let cx = begin();
    let past = Past {
        before: parse(before)?,
        outputs: outputs.map(parse).transpose()?,
        operations: operations.into_iter().map(Operation::try_from).collect::<Result<_>>()?,
    };
    Ok(S::undo(&cx, &inputs_of::<S>(inputs)?, past)?.0)
}

impl TryFrom<wit::Operation> for Operation {
    type Error = Problem;

    fn try_from(op: wit::Operation) -> Result<Self> {
        let outcome = op.outcome.as_deref().map(parse::<Value>).transpose()?;
        Ok(Self { name: op.name, kind: op.kind, target: op.target, ownership: op.ownership, outcome })
    }
}

fn inputs_of<S: Step>(text: &str) -> Result<S::In> {
    serde_json::from_str(text).map_err(|e| Problem::inputs(&e))
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    Ok(serde_json::from_str(text)?)
}

fn text<T: Serialize>(value: &T) -> Result<String> {
    Ok(serde_json::to_string(value)?)
}

fn schema<T: JsonSchema>() -> String {
    schema_for!(T).to_value().to_string()
}

/// A panic ends in a trap, which says only where; the log gets what it said.
fn begin() -> Cx {
    #[cfg(target_family = "wasm")]
    std::panic::set_hook(Box::new(|panic| {
        crate::sys::log::write(crate::sys::log::Level::Warn, &format!("the plugin panicked: {panic}"));
    }));
    Cx::new()
}
