//! What stands behind one call: the store's data, and the desk at which capabilities find what they need.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;

use sealbook_azure::Azure;
use sealbook_model::grant::{Capability, Use, Verb};
use tokio_util::task::TaskTracker;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::WasiCtx;

use super::artifact::Shelf;
use super::call::Judge;
use super::fault::{Fault, Refusal};
use super::handle::{Keyring, Pairs, Seen, Tokens};
use super::limits::{HANDLES, Meter};
use super::marks::Mark;
use super::provider::{Lines, Reported, Steps};
use super::wasi;
use crate::references::references;
use crate::step::{Call, Failure, Operation, Ownership, StepError};
use crate::tee::{Tee, USER_DATA};

/// Which export of the plugin is running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Check,
    Apply,
    Verify,
    Undo,
}

impl Phase {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Apply => "apply",
            Self::Verify => "verify",
            Self::Undo => "undo",
        }
    }
}

/// What the host lends to one call.
pub(crate) struct Means {
    pub(crate) azure: Azure,
    pub(crate) shelf: Shelf,
    pub(crate) keys: Arc<Keyring>,
    pub(crate) pairs: Arc<Pairs>,
    pub(crate) seen: Arc<Seen>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) judge: Judge,
    pub(crate) tee: Option<Arc<dyn Tee>>,
    /// Effects run here, so that they outlive the guest that asked for them.
    pub(crate) tasks: TaskTracker,
}

/// What the providers of one call share. It never changes while the call runs.
pub(crate) struct Desk {
    pub(crate) call: Call,
    pub(crate) phase: Phase,
    means: Means,
    /// References (`key:…`, `token:…`, `artifact:…`, `secret:…`) that the step was given in its inputs.
    references: BTreeSet<String>,
    /// In `undo`: what `apply` did, by target.
    done: BTreeMap<String, Ownership>,
}

impl Desk {
    pub(crate) fn new(call: &Call, phase: Phase, means: Means, operations: &[Operation]) -> Self {
        let given = references(&call.inputs, &["key:", "token:", "artifact:", "secret:"]);
        let references = given.into_iter().map(str::to_owned).collect();
        let ownership = |o: &Operation| o.outcome.as_ref().map_or(Ownership::Unknown, |outcome| outcome.ownership);
        // A change to a thing does not make it the run's own: only what made it does.
        let made = operations.iter().filter(|o| !matches!(o.intent.kind.as_str(), "arm-patch" | "arm-post"));
        let done = made.map(|o| (o.intent.target.to_ascii_lowercase(), ownership(o))).collect();
        Self { call: call.clone(), phase, means, references, done }
    }

    /// The second gate: whether this very target may be touched in this way.
    pub(crate) fn allow(
        &self,
        interface: Capability,
        verb: Verb,
        target: &str,
        role: Option<&str>,
    ) -> Result<(), Failure> {
        Ok(self.call.gate.allows(&Use { interface, verb, target, role }).map_err(StepError::from)?)
    }

    /// What evidence says of this step, as user data: the digest of its component, and the head of the run's records.
    pub(crate) fn user_data(&self) -> [u8; USER_DATA] {
        let mut data = [0; USER_DATA];
        let (component, record) = data.split_at_mut(USER_DATA / 2);
        component.copy_from_slice(self.call.component.bytes());
        record.copy_from_slice(self.call.record.bytes());
        data
    }

    /// Refuses effects where a plugin may only look.
    pub(crate) fn effects_allowed(&self, what: &str) -> Result<(), Fault> {
        match self.phase {
            Phase::Apply | Phase::Undo => Ok(()),
            Phase::Check | Phase::Verify => Err(Fault::OutOfPhase { what: what.into(), phase: self.phase.name() }),
        }
    }

    /// Whether the step was given this reference, or made the thing itself.
    pub(crate) fn may_open(&self, reference: &str) -> bool {
        let own = reference.split_once(':').and_then(|(_, place)| place.rsplit_once('/'));
        self.references.contains(reference) || own.is_some_and(|(step, _)| step == self.call.step.as_str())
    }

    /// The mark of the effect `name` of this call.
    pub(crate) fn mark(&self, name: &str) -> Mark {
        Mark::new(&self.call.run, &self.call.step, self.call.generation, name)
    }

    /// Whose thing `apply` found or made at `target`, as `undo` was told. None: `apply` did not touch it.
    pub(crate) fn touched(&self, target: &str) -> Option<Ownership> {
        self.done.get(&target.to_ascii_lowercase()).copied()
    }

    /// Awaits something that only looks: a deadline bounds it, and the first Ctrl-C ends it.
    pub(crate) async fn look<T, E>(
        &self,
        meter: &mut Meter,
        what: &str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Refusal>
    where
        Refusal: From<E>,
    {
        let deadline = meter.ceilings().request;
        let answer = tokio::select! {
            biased;
            () = self.call.cancel.cancelled() => Err(StepError::Cancelled.into()),
            answer = tokio::time::timeout(deadline, work) => match answer {
                Ok(answer) => answer.map_err(Refusal::from),
                Err(_) => Err(StepError::Transient {
                    message: format!("`{what}` had no answer within {} s", deadline.as_secs()),
                    retry_after: None,
                }.into()),
            },
        };
        meter.returned();
        answer
    }
}

impl Deref for Desk {
    type Target = Means;

    fn deref(&self) -> &Means {
        &self.means
    }
}

/// The data of one store. Each interface sees only its own view of it, see [`super::provider`].
pub(crate) struct State {
    pub(super) table: ResourceTable,
    pub(super) wasi: WasiCtx,
    pub(super) meter: Meter,
    pub(super) lines: Lines,
    pub(super) reported: Reported,
    pub(super) steps: Steps,
    /// None in `describe`, which has no capability at all.
    pub(super) desk: Option<Arc<Desk>>,
}

impl State {
    pub(crate) fn new(meter: Meter, lines: Lines, desk: Option<Arc<Desk>>) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES);
        let wasi = wasi::context(desk.as_ref().map(|d| &d.call.run), &lines);
        Self { table, wasi, meter, lines, reported: Reported::default(), steps: Steps::default(), desk }
    }
}
