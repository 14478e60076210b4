//! The vocabulary that the run loop and the component host share: calls, their answers, and the ledger of effects.

use std::sync::Arc;

use async_trait::async_trait;
use sealbook_model::grant::Gate;
use sealbook_model::id::{Digest, RunId, StepPath};
pub use sealbook_model::journal::{
    AzureCause, Cost, Evidence, Failure, GuestAt, Intent, Leftover, Operation, Outcome, Ownership, Preview, StepError,
};
use sealbook_model::problem::codes;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::event::Events;
use crate::journal::RunVault;

/// One call into a plugin.
#[derive(Clone)]
pub struct Call {
    /// The run it belongs to.
    pub run: RunId,
    /// The step it belongs to.
    pub step: StepPath,
    /// 0 for apply; every undo starts a new generation, so that its effects have keys of their own.
    pub generation: u32,
    /// The component, by the digest of its bytes.
    pub component: Digest,
    /// The confidential VM it runs in; none on this machine.
    pub guest: Option<GuestAt>,
    /// The head of the run's chain of records when the call is made: what evidence says about the run.
    pub record: Digest,
    /// The step's evaluated `with`. Secrets appear as references (`secret:…`), never in clear.
    pub inputs: Value,
    /// Whether the step may use things that stand there without this run's mark (playbook `adopt`, or hands-on).
    pub adopt: bool,
    /// What the step may do: its asks, its grants and the machine's policy in one.
    pub gate: Arc<Gate>,
    /// The run's sealing key and its secrets.
    pub vault: Arc<RunVault>,
    /// Where effects are journaled.
    pub ledger: Arc<dyn Ledger>,
    /// Where log lines and progress go.
    pub events: Events,
    /// Cancelled by the first Ctrl-C: waits end, effects finish.
    pub cancel: CancellationToken,
}

/// What `check` found.
#[derive(Debug, Clone, PartialEq)]
pub enum Checked {
    /// The wanted state holds already; these are the outputs.
    Satisfied(Value),
    /// There is something to do.
    Needed(Preview),
}

/// What an export of a plugin answered.
pub(crate) enum Answer {
    Checked(Checked),
    Outputs(Value),
    Evidence(Vec<Evidence>),
    Leftovers(Vec<Leftover>),
}

impl Answer {
    pub(crate) fn checked(self) -> Result<Checked, Failure> {
        if let Self::Checked(checked) = self { Ok(checked) } else { Err(mixed_up()) }
    }

    pub(crate) fn outputs(self) -> Result<Value, Failure> {
        if let Self::Outputs(outputs) = self { Ok(outputs) } else { Err(mixed_up()) }
    }

    pub(crate) fn evidence(self) -> Result<Vec<Evidence>, Failure> {
        if let Self::Evidence(evidence) = self { Ok(evidence) } else { Err(mixed_up()) }
    }

    pub(crate) fn leftovers(self) -> Result<Vec<Leftover>, Failure> {
        if let Self::Leftovers(leftovers) = self { Ok(leftovers) } else { Err(mixed_up()) }
    }
}

/// An answer is of the kind of its question, unless the engine, or a guest's agent, mixed them up.
fn mixed_up() -> Failure {
    let message = "a plugin's answer was taken for another export's".into();
    StepError::Component { code: codes::INTERNAL.into(), message }.into()
}

/// The write-ahead ledger of one call's effects. Every method returns only once its record is durable.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// What is known of the effect `name`; refuses another request under a known name.
    async fn standing(&self, name: &str, request: &Digest) -> Result<Option<Operation>, Failure>;
    /// Records the intent. Must precede the request.
    async fn intend(&self, intent: Intent) -> Result<(), Failure>;
    /// Records where a long-running operation is followed.
    async fn accepted(&self, name: &str, follow: Value) -> Result<(), Failure>;
    /// Records the outcome.
    async fn completed(&self, name: &str, outcome: Outcome) -> Result<(), Failure>;
}

/// Runs components. `crate::host` implements it on wasmtime; tests of the run loop use a script.
#[async_trait]
pub trait Host: Send + Sync {
    /// `check` of the plugin.
    async fn check(&self, call: &Call) -> Result<Checked, Failure>;
    /// `apply` of the plugin.
    async fn apply(&self, call: &Call) -> Result<Value, Failure>;
    /// `verify` of the plugin.
    async fn verify(&self, call: &Call, outputs: &Value) -> Result<Vec<Evidence>, Failure>;
    /// `undo` of the plugin.
    async fn undo(
        &self,
        call: &Call,
        before: &Value,
        outputs: Option<&Value>,
        operations: &[Operation],
    ) -> Result<Vec<Leftover>, Failure>;
    /// Reads a blob the way a lesson does: `{ uri, sha256, bytes }`, or Azure's refusal.
    async fn read(&self, call: &Call, uri: &str) -> Result<Value, Failure>;
    /// Awaits the effects whose callers are gone: what was sent gets its outcome recorded.
    async fn settle(&self);
}
