//! Calls into plugins: a fresh store each, with everything that contains it.

use std::sync::Arc;

use async_trait::async_trait;
use futures::TryStreamExt as _;
use sealbook_attestation::Verdict;
use sealbook_azure::Azure;
use sealbook_crypto::Sha256;
use sealbook_model::grant::{Capability, Use, Verb};
use sealbook_model::id::Digest;
use sealbook_model::plugin::Description;
use sealbook_model::policy::Policy;
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;
use uuid::Uuid;
use wasmtime::{Store, Trap, UpdateDeadline};

use super::address::BlobUri;
use super::artifact::{ArtifactStore, Shelf};
use super::bindings::exports::sealbook::plugin::step as wit;
use super::bindings::sealbook::plugin::types::Problem;
use super::convert;
use super::desk::{Desk, Means, Phase, State};
use super::engine::Runtime;
use super::failure;
use super::fault::{ComponentFailure, Fault};
use super::handle::{Keyring, Pairs, Seen, Tokens};
use super::limits::{Ceilings, Meter};
use super::link::{self, Links};
use super::provider::Lines;
use super::text::one_line;
use crate::event::Events;
use crate::step::{Answer, Call, Checked, Evidence, Failure, Host, Leftover, Operation, StepError};
use crate::tee::Tee;

/// Namespace of the correlation ids that a run's requests carry (a random UUID, fixed for good).
const CORRELATION: Uuid = Uuid::from_u128(0x1f0d_7c52_93ab_4e11_8c6d_2b9e_40f7_a5d3);

/// What a host needs.
pub struct HostSettings {
    /// The engine and its components.
    pub runtime: Arc<Runtime>,
    /// The client through which capabilities reach Azure.
    pub azure: Azure,
    /// Where artifacts are kept.
    pub artifacts: ArtifactStore,
    /// The machine's policy, for its caps.
    pub policy: Arc<Policy>,
    /// Who judges evidence.
    pub judge: Judge,
    /// The machine's trusted hardware; none outside of a confidential VM.
    pub tee: Option<Arc<dyn Tee>>,
}

/// Judges an evidence document by rules, under the trust anchors of the cloud and at the present instant.
pub type Judge = Arc<dyn Fn(&Value, &Value) -> Verdict + Send + Sync>;

/// Runs plugins for the run loop. Cheap to share; calls may run at the same time.
pub struct PluginHost {
    settings: HostSettings,
    keys: Arc<Keyring>,
    pairs: Arc<Pairs>,
    seen: Arc<Seen>,
    tokens: Arc<Tokens>,
    tasks: TaskTracker,
}

/// One export, with its arguments.
enum Export<'a> {
    Check,
    Apply,
    Verify { outputs: &'a Value },
    Undo { before: &'a Value, outputs: Option<&'a Value>, operations: &'a [Operation] },
}

impl Export<'_> {
    fn phase(&self) -> Phase {
        match self {
            Self::Check => Phase::Check,
            Self::Apply => Phase::Apply,
            Self::Verify { .. } => Phase::Verify,
            Self::Undo { .. } => Phase::Undo,
        }
    }

    fn operations(&self) -> &[Operation] {
        if let Self::Undo { operations, .. } = self { operations } else { &[] }
    }
}

impl PluginHost {
    /// Makes a host.
    #[must_use]
    pub fn new(settings: HostSettings) -> Self {
        Self {
            settings,
            keys: Arc::default(),
            pairs: Arc::default(),
            seen: Arc::default(),
            tokens: Arc::default(),
            tasks: TaskTracker::new(),
        }
    }

    async fn call(&self, call: &Call, export: Export<'_>) -> Result<Answer, Failure> {
        let HostSettings { runtime, policy, .. } = &self.settings;
        let ceilings = Ceilings::of(runtime.limits(&call.component).await?, policy);
        let links = link::links(&runtime.imports(&call.component).await?, &call.gate)?;
        let desk = Arc::new(self.desk(call, &export));
        let lines = Lines::new(Some(call.step.clone()), call.events.clone(), &ceilings);
        let answer = enter(runtime, &call.component, links, ceilings, &lines, Some(desk), export).await;
        lines.close();
        answer
    }

    fn desk(&self, call: &Call, export: &Export<'_>) -> Desk {
        let HostSettings { azure, artifacts, judge, tee, .. } = &self.settings;
        let shelf = Shelf::new(artifacts, call.run.clone(), Arc::clone(&call.vault));
        let correlation =
            Uuid::new_v5(&CORRELATION, format!("{}/{}/{}", call.run, call.step, call.generation).as_bytes());
        let means = Means {
            azure: azure.with_correlation(correlation),
            shelf,
            keys: Arc::clone(&self.keys),
            pairs: Arc::clone(&self.pairs),
            seen: Arc::clone(&self.seen),
            tokens: Arc::clone(&self.tokens),
            judge: Arc::clone(judge),
            tee: tee.clone(),
            tasks: self.tasks.clone(),
        };
        Desk::new(call, export.phase(), means, export.operations())
    }
}

#[async_trait]
impl Host for PluginHost {
    async fn check(&self, call: &Call) -> Result<Checked, Failure> {
        self.call(call, Export::Check).await?.checked()
    }

    async fn apply(&self, call: &Call) -> Result<Value, Failure> {
        self.call(call, Export::Apply).await?.outputs()
    }

    async fn verify(&self, call: &Call, outputs: &Value) -> Result<Vec<Evidence>, Failure> {
        self.call(call, Export::Verify { outputs }).await?.evidence()
    }

    async fn undo(
        &self,
        call: &Call,
        before: &Value,
        outputs: Option<&Value>,
        operations: &[Operation],
    ) -> Result<Vec<Leftover>, Failure> {
        self.call(call, Export::Undo { before, outputs, operations }).await?.leftovers()
    }

    async fn settle(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.tasks.reopen();
    }

    async fn read(&self, call: &Call, uri: &str) -> Result<Value, Failure> {
        let uri = BlobUri::parse_blob(uri)?;
        let wanted = Use { interface: Capability::Blob, verb: Verb::Read, target: uri.as_str(), role: None };
        call.gate.allows(&wanted).map_err(StepError::from)?;
        let blobs = self.settings.azure.blobs();
        let look = async {
            let (mut bytes, mut hash) = (0, Sha256::new());
            let mut pieces = blobs.read(uri.as_str()).await?;
            while let Some(piece) = pieces.try_next().await? {
                bytes += piece.len();
                hash.update(&piece);
            }
            Ok(json!({ "uri": uri.as_str(), "sha256": hex::encode(hash.finish()), "bytes": bytes }))
        };
        tokio::select! {
            biased;
            () = call.cancel.cancelled() => Err(StepError::Cancelled.into()),
            seen = look => seen.map_err(|error| failure::of(&error)),
        }
    }
}

/// Calls `describe`, without any capability.
pub(crate) async fn describe(runtime: &Runtime, component: &Digest) -> Result<Description, Failure> {
    let ceilings = Ceilings::describe();
    let lines = Lines::new(None, Events::none(), &ceilings);
    // All of them are linked, so that any plugin loads; without a desk, calling one ends the call.
    let ready = runtime.ready(component, Capability::ALL.into_iter().collect()).await?;
    let mut store = store(runtime, ceilings, &lines, None)?;
    let _clock = runtime.ticker().running();
    let described = async {
        let plugin = ready.plugin.instantiate_async(&mut store).await?;
        plugin.sealbook_plugin_step().call_describe(&mut store).await
    };
    let description = described.await.map_err(|error| trapped(&error, &lines, &ceilings))?;
    Ok(convert::description(description)?)
}

/// Instantiates a plugin in a store of its own and calls one of its exports.
async fn enter(
    runtime: &Runtime,
    component: &Digest,
    links: Links,
    ceilings: Ceilings,
    lines: &Lines,
    desk: Option<Arc<Desk>>,
    export: Export<'_>,
) -> Result<Answer, Failure> {
    let ready = runtime.ready(component, links).await?;
    let inputs = desk.as_ref().map(|d| d.call.inputs.to_string()).unwrap_or_default();
    let mut store = store(runtime, ceilings, lines, desk)?;
    let _clock = runtime.ticker().running();
    let plugin = ready.plugin.instantiate_async(&mut store).await.map_err(|error| trapped(&error, lines, &ceilings))?;
    let step = plugin.sealbook_plugin_step();
    let trap = |error: wasmtime::Error| trapped(&error, lines, &ceilings);
    match export {
        Export::Check => {
            let answer = step.call_check(&mut store, &inputs).await.map_err(trap)?;
            let checked = returned(&store, answer)?;
            let size = match &checked {
                wit::Checked::Satisfied(outputs) => outputs.len(),
                wit::Checked::Needed(preview) => preview.before.len(),
            };
            store.data().meter.data("the answer of `check`", size)?;
            Ok(Answer::Checked(convert::checked(checked)?))
        }
        Export::Apply => {
            let answer = step.call_apply(&mut store, &inputs).await.map_err(trap)?;
            let outputs = returned(&store, answer)?;
            store.data().meter.data("the output of `apply`", outputs.len())?;
            Ok(Answer::Outputs(convert::json("outputs", &outputs)?))
        }
        Export::Verify { outputs } => {
            let answer = step.call_verify(&mut store, &inputs, &outputs.to_string()).await.map_err(trap)?;
            Ok(Answer::Evidence(convert::evidence(returned(&store, answer)?)?))
        }
        Export::Undo { before, outputs, operations } => {
            let (before, outputs) = (before.to_string(), outputs.map(Value::to_string));
            let operations = convert::operations(operations);
            let answer =
                step.call_undo(&mut store, &inputs, &before, outputs.as_ref(), &operations).await.map_err(trap)?;
            Ok(Answer::Leftovers(convert::leftovers(returned(&store, answer)?)?))
        }
    }
}

fn store(runtime: &Runtime, ceilings: Ceilings, lines: &Lines, desk: Option<Arc<Desk>>) -> Result<Store<State>, Fault> {
    let meter = Meter::new(ceilings, runtime.ticker().ticks());
    let mut store = Store::new(runtime.engine(), State::new(meter, lines.clone(), desk));
    store.limiter(|state| &mut state.meter);
    store.set_fuel(ceilings.fuel).map_err(|error| Fault::Host(format!("fuel can't be set: {error}")))?;
    // Lists can share their elements' memory, so a small guest could make the host copy without end: this bounds
    // what one call may hand over, in either direction of control.
    store.set_hostcall_fuel(ceilings.data.saturating_mul(2));
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|mut store| {
        store.data_mut().meter.tick().map_err(wasmtime::Error::new)?;
        // Yielding lets other calls run on this thread, and lets a call be dropped.
        Ok(UpdateDeadline::Yield(1))
    });
    Ok(store)
}

/// What the plugin returned; a problem that the host gave it gets back what the host knows of it.
fn returned<T>(store: &Store<State>, answer: Result<T, Problem>) -> Result<T, Failure> {
    answer.map_err(|problem| store.data().reported.recall(problem))
}

/// Says why a call ended without an answer.
fn trapped(error: &wasmtime::Error, lines: &Lines, ceilings: &Ceilings) -> Failure {
    if let Some(ComponentFailure(failure)) = error.downcast_ref() {
        return failure.clone();
    }
    if let Some(fault) = error.downcast_ref::<Fault>() {
        return fault.clone().into();
    }
    let fault = match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Fault::Cpu(format!("{} million units of fuel", ceilings.fuel / 1_000_000)),
        Some(Trap::Interrupt) => Fault::Cpu(format!("{} s", ceilings.cpu.as_secs())),
        Some(Trap::StackOverflow) => Fault::Stack,
        Some(trap) => Fault::Crashed(match lines.last_words() {
            Some(words) => format!("{trap}; its last words: {words}"),
            None => trap.to_string(),
        }),
        None => other(error),
    };
    fault.into()
}

/// wasmtime says these in words only.
fn other(error: &wasmtime::Error) -> Fault {
    let text = one_line(&format!("{error:#}"), 600);
    if error.downcast_ref::<wasmtime_wasi::I32Exit>().is_some() {
        Fault::Crashed("it called `exit`; a plugin returns".into())
    } else if text.contains("resource limit exceeded") {
        Fault::Unloadable(text)
    } else if text.contains("fuel allocated for hostcalls") {
        Fault::TooMuchData("one call handed over more than the host takes".into())
    } else if text.contains("handle index") {
        Fault::BadHandle(text)
    } else {
        Fault::Crashed(text)
    }
}
