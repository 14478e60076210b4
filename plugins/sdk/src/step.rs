//! The contract of a step, in Rust's terms.

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::bindings::exports::sealbook::plugin::step as wit;
use crate::cx::Cx;
use crate::problem::{Problem, Result};

pub use crate::bindings::sealbook::plugin::types::{Cost, Evidence, Leftover};
pub use wit::{Limits, Ownership};

/// One idempotent, checkable, undoable step.
pub trait Step {
    /// The capabilities it asks for, one per line, as templates of plain paths: `${inputs.vault}`,
    /// `${subscription.id}`. The playbook grants them and the machine's policy allows them, or they are denied.
    const ASKS: &'static [&'static str];

    /// Ceilings of one call; zeros mean the host's defaults.
    const LIMITS: Limits = Limits { memory_mib: 0, fuel_millions: 0, host_calls: 0 };

    /// What the playbook's `with` holds. Doc comments become the author's help.
    type In: DeserializeOwned + JsonSchema;

    /// What later steps see as the step's outputs.
    type Out: Serialize + DeserializeOwned + JsonSchema;

    /// Looks whether the wanted state already holds. Must not change anything.
    ///
    /// # Errors
    /// When the state can't be told, or must not be touched (a stranger's thing stands there).
    fn check(cx: &Cx, i: &Self::In) -> Result<Check<Self::Out>>;

    /// Brings the wanted state about. Idempotent: after a crash it runs again, and the host answers effects that
    /// were completed before from its journal.
    ///
    /// # Errors
    /// When an effect failed.
    fn apply(cx: &Cx, i: &Self::In) -> Result<Self::Out>;

    /// Looks at the result with fresh eyes. By default: checks again and demands that nothing is left to do.
    ///
    /// # Errors
    /// When the state can't be read. A state that is wrong is evidence that did not pass, not an error.
    fn verify(cx: &Cx, i: &Self::In, outputs: &Self::Out) -> Result<Vec<Evidence>> {
        let _ = outputs;
        Ok(vec![match Self::check(cx, i)? {
            Check::Satisfied(_) => Evidence::new("the wanted state holds", true, "nothing is left to change"),
            Check::Needed(p) => {
                Evidence::new("the wanted state holds", false, format!("still to do: {}", p.changes.join("; ")))
            }
        }])
    }

    /// Takes back what `apply` did, even when it never finished. By default: fine for a step without effects.
    ///
    /// # Errors
    /// When something could not be taken back now; the engine tries again.
    fn undo(cx: &Cx, i: &Self::In, past: Past<Self::Out>) -> Result<Undone> {
        let _ = (cx, i);
        match past.operations.first() {
            None => Ok(Undone::clean()),
            Some(op) => Err(Problem::permanent(format!("this plugin can't take back `{}` on {}", op.name, op.target))),
        }
    }
}

/// What `check` found.
#[derive(Debug, Clone, PartialEq)]
pub enum Check<O> {
    /// The wanted state holds; these are the outputs.
    Satisfied(O),
    /// There is something to do.
    Needed(Preview),
}

/// What `apply` would do, in words a learner reads before consenting.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Preview {
    /// The changes, one sentence each.
    pub changes: Vec<String>,
    /// The prior state, journaled ahead of `apply` and handed to `undo`.
    pub before: Value,
    /// What it will cost.
    pub costs: Vec<Cost>,
    /// What stays after undo.
    pub leaves: Vec<String>,
    /// The equivalent `az` line.
    pub az: Option<String>,
}

impl<O> Check<O> {
    /// Something has to be done: the first change, in words. The other methods add to it.
    pub fn needed(change: impl Into<String>) -> Self {
        Self::Needed(Preview { changes: vec![change.into()], ..Preview::default() })
    }

    /// One more change.
    #[must_use]
    pub fn also(self, change: impl Into<String>) -> Self {
        self.with(|p| p.changes.push(change.into()))
    }

    /// The prior state that `undo` will need.
    #[must_use]
    pub fn before(self, state: Value) -> Self {
        self.with(|p| p.before = state)
    }

    /// What an item costs per hour while it exists.
    #[must_use]
    pub fn costs(self, item: impl Into<String>, usd_per_hour: f64) -> Self {
        self.with(|p| p.costs.push(Cost { item: item.into(), usd_per_hour, usd_after_undo: 0.0 }))
    }

    /// What an item costs per hour while it exists, and in all what it still costs after undo.
    #[must_use]
    pub fn costs_on(self, item: impl Into<String>, usd_per_hour: f64, usd_after_undo: f64) -> Self {
        self.with(|p| p.costs.push(Cost { item: item.into(), usd_per_hour, usd_after_undo }))
    }

    /// What stays after undo.
    #[must_use]
    pub fn leaves(self, what: impl Into<String>) -> Self {
        self.with(|p| p.leaves.push(what.into()))
    }

    /// The `az` line that does the same.
    #[must_use]
    pub fn az(self, line: impl Into<String>) -> Self {
        self.with(|p| p.az = Some(line.into()))
    }

    fn with(mut self, add: impl FnOnce(&mut Preview)) -> Self {
        if let Self::Needed(preview) = &mut self {
            add(preview);
        }
        self
    }
}

impl Evidence {
    /// One look and what came of it.
    pub fn new(check: impl Into<String>, passed: bool, detail: impl Into<String>) -> Self {
        Self { check: check.into(), passed, detail: detail.into() }
    }

    /// Compares what was seen with what was wanted.
    pub fn same(check: impl Into<String>, seen: &str, wanted: &str) -> Self {
        let passed = seen == wanted;
        let detail = if passed { seen.to_owned() } else { format!("{seen:?} instead of {wanted:?}") };
        Self::new(check, passed, detail)
    }
}

/// One journaled effect of `apply`.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// The plugin's own name for it.
    pub name: String,
    /// Its row in the host's reconcile table (`arm-put`, `key-create`, …).
    pub kind: String,
    /// Resource id or URI.
    pub target: String,
    /// Whose thing it touched.
    pub ownership: Ownership,
    /// What the host answered; none when the run was stopped before it learnt it.
    pub outcome: Option<Value>,
}

/// What `undo` knows of the step's past.
#[derive(Debug, Clone, PartialEq)]
pub struct Past<O> {
    /// The prior state that `check` recorded.
    pub before: Value,
    /// The outputs; none when `apply` never finished.
    pub outputs: Option<O>,
    /// Every effect that was intended, in order.
    pub operations: Vec<Operation>,
}

impl<O> Past<O> {
    /// The effect of that name, if the step ever came to it.
    #[must_use]
    pub fn operation(&self, name: &str) -> Option<&Operation> {
        self.operations.iter().find(|op| op.name == name)
    }

    /// Whether undo may take away what the effect `name` made and what now carries `mark`.
    ///
    /// It must be in the ledger as this run's, and it must still carry this run's mark: what somebody else made
    /// under the same name in the meantime is his. When the outcome was never learnt, the mark alone decides, and
    /// where a learner let the step adopt things the mark decides nothing: then it stays.
    #[must_use]
    pub fn may_remove(&self, cx: &Cx, name: &str, mark: Option<&str>) -> bool {
        let Some(op) = self.operation(name) else { return false };
        match op.ownership {
            // Some resources can't carry tags; of these the ledger alone knows.
            Ownership::Ours => op.kind == "arm-put-untagged" || cx.usable(mark),
            Ownership::Unknown => !cx.usable(None) && cx.usable(mark),
            Ownership::Foreign => false,
        }
    }

    /// Whether the effect `name` may have changed something: it was intended, and not on a stranger's thing.
    #[must_use]
    pub fn may_restore(&self, name: &str) -> bool {
        self.operation(name).is_some_and(|op| op.ownership != Ownership::Foreign)
    }
}

/// What came of `undo`: what remains.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Undone(pub Vec<Leftover>);

impl Undone {
    /// Nothing remains.
    #[must_use]
    pub fn clean() -> Self {
        Self::default()
    }

    /// Something remains: what, why, and until when (RFC 3339; none: until somebody removes it).
    #[must_use]
    pub fn leaving(self, what: impl Into<String>, why: impl Into<String>, until: Option<&str>) -> Self {
        self.leaving_at_cost(what, why, until, 0.0)
    }

    /// Something remains that goes on costing: so many US dollars in all.
    #[must_use]
    pub fn leaving_at_cost(
        self,
        what: impl Into<String>,
        why: impl Into<String>,
        until: Option<&str>,
        usd: f64,
    ) -> Self {
        let mut all = self.0;
        all.push(Leftover { what: what.into(), why: why.into(), until: until.map(Into::into), usd });
        Self(all)
    }
}
