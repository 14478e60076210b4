//! Effects: journaled before they are sent, recognised after a crash, and done once.
//!
//! [`perform`] is the protocol for every kind. It runs in a task of its own, so that dropping the guest's call never
//! loses a result: what was sent is awaited and recorded, whatever becomes of the plugin that asked for it.

mod arm;
mod blob;
mod key;
mod role;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sealbook_azure::{Answer, AzureError, Follow, Polled};
use serde_json::Value;
use tokio::time::Instant;

use crate::host::canonical;
use crate::host::desk::Desk;
use crate::host::failure;
use crate::host::fault::Fault;
use crate::host::reconcile::{Before, Decision, Seen, Strangers, decide, row};
pub(crate) use arm::{ArmDelete, ArmPatch, ArmPost, ArmPut, Target};
pub(crate) use blob::{BlobDelete, BlobPut, ContainerCreate, META_SECRET};
pub(crate) use key::{KeyCreate, KeyDelete, KeyRotate, KeyRotationPolicy, KeyUpdate};
pub(crate) use role::{RoleAssign, find as find_assignment};

use crate::event::Event;
use crate::step::{Failure, Intent, Operation, Outcome, Ownership, StepError};

/// Wait between looks at a thing that Azure is still making.
const RECHECK: Duration = Duration::from_secs(2);

/// One effect: what it wants, how to look at its target, how to bring it about.
#[async_trait]
pub(crate) trait Effect: Send + Sync + 'static {
    /// Its row in [`crate::host::reconcile::TABLE`].
    fn kind(&self) -> &'static str;

    /// Resource id or URI.
    fn target(&self) -> String;

    /// All that the request depends on, for its digest.
    fn request(&self) -> Value;

    /// What stands at the target now. Kinds that are repeated need not look.
    async fn look(&self) -> Result<Option<Seen>, Failure>;

    /// Sends the request, once.
    async fn send(&self) -> Result<Answer, AzureError>;

    /// What the plugin gets after the request was sent and Azure is done.
    async fn made(&self, answer: Option<Value>) -> Result<Value, Failure>;

    /// What the plugin gets for something that stood there already.
    async fn found(&self, thing: Value, _ownership: Ownership) -> Result<Value, Failure> {
        Ok(thing)
    }

    /// What the plugin gets when there was nothing to do.
    fn nothing(&self) -> Value {
        Value::Null
    }

    /// Whether a stranger's thing may be used.
    fn strangers(&self) -> Strangers;

    /// Whether this refusal says that an equal thing has appeared since the look: then it is worth looking again.
    fn appeared(&self, _error: &AzureError) -> bool {
        false
    }
}

/// Starts an effect in its own task and awaits it there.
pub(crate) async fn run(desk: &Arc<Desk>, name: String, effect: impl Effect) -> Result<Value, Failure> {
    let task = desk.tasks.spawn(perform(Arc::clone(desk), name, effect));
    task.await.unwrap_or_else(|error| Err(Fault::Host(format!("an effect ended without a result: {error}")).into()))
}

async fn perform(desk: Arc<Desk>, name: String, effect: impl Effect) -> Result<Value, Failure> {
    let ledger = &desk.call.ledger;
    let (kind, target) = (effect.kind(), effect.target());
    let row = row(kind).ok_or_else(|| Fault::Host(format!("no reconcile row for `{kind}`")))?;
    let request = canonical::digest(kind, &target, &effect.request());
    let mut standing = ledger.standing(&name, &request).await?;
    if let Some(Operation { outcome: Some(outcome), .. }) = standing {
        return Ok(outcome.result);
    }
    stopped(&desk)?;
    if let Some(follow) = standing.as_ref().and_then(|op| op.accepted.clone()) {
        let follow = serde_json::from_value(follow)
            .map_err(|error| Fault::Host(format!("the journal's operation can't be read: {error}")))?;
        match follow_to_end(&desk, &name, &target, follow, true).await {
            Ok(answer) => return complete(&desk, &name, effect.made(answer).await?, Ownership::Ours).await,
            Err(Ended::Broken(failure)) => return Err(failure),
            // Azure gave up on it, or forgot it: what stands there now decides.
            Err(Ended::Failed(_)) => {}
        }
    }
    let started = Instant::now();
    let mut looked_again = false;
    loop {
        let seen = effect.look().await?;
        let before = match &standing {
            Some(op) => Before::Intended { prior: &op.intent.prior },
            None => Before::Never,
        };
        let decision = decide(row.knows, &target, before, seen.as_ref(), effect.strangers());
        let prior = match &decision {
            Decision::Act { prior } => prior.clone(),
            Decision::Done { .. } => Value::Null,
            Decision::Nothing => return Ok(effect.nothing()),
            Decision::Refuse(error) => return Err(error.clone().into()),
            Decision::Wait => {
                wait(&desk, &target, RECHECK, started).await?;
                continue;
            }
        };
        stopped(&desk)?;
        if standing.is_none() {
            let (name, kind, target) = (name.clone(), kind.to_owned(), target.clone());
            let intent = Intent { name, kind, target, request, prior };
            ledger.intend(intent.clone()).await?;
            standing = Some(Operation { intent, accepted: None, outcome: None });
        }
        if let Decision::Done { result, ownership } = decision {
            let result = effect.found(result, ownership).await?;
            return complete(&desk, &name, result, ownership).await;
        }
        let answer = match effect.send().await {
            Ok(Answer::Done(answer)) => answer,
            Ok(Answer::Accepted(follow)) => {
                ledger.accepted(&name, journaled(&follow)?).await?;
                follow_to_end(&desk, &name, &target, follow, false).await.map_err(Ended::failure)?
            }
            Err(error) if effect.appeared(&error) && !looked_again => {
                looked_again = true;
                continue;
            }
            Err(error) => return Err(failure::of(&error)),
        };
        return complete(&desk, &name, effect.made(answer).await?, Ownership::Ours).await;
    }
}

async fn complete(desk: &Desk, name: &str, result: Value, ownership: Ownership) -> Result<Value, Failure> {
    desk.call.ledger.completed(name, Outcome { result: result.clone(), ownership }).await?;
    Ok(result)
}

/// Why following an operation ended without its result.
enum Ended {
    /// The operation itself failed, or Azure knows nothing of it any more.
    Failed(AzureError),
    /// It may still be going on, but we can't see it now.
    Broken(Failure),
}

impl Ended {
    fn failure(self) -> Failure {
        match self {
            Self::Failed(error) => failure::of(&error),
            Self::Broken(failure) => failure,
        }
    }
}

/// Polls until the operation ends. Where to ask is in the journal, so that stopping here loses nothing.
async fn follow_to_end(
    desk: &Desk,
    name: &str,
    target: &str,
    mut follow: Follow,
    ask_at_once: bool,
) -> Result<Option<Value>, Ended> {
    let started = Instant::now();
    let mut waited = ask_at_once;
    loop {
        if !waited {
            wait(desk, target, follow.delay(), started).await.map_err(Ended::Broken)?;
        }
        waited = false;
        match desk.azure.arm().poll(&follow).await {
            Ok(Polled::Done(answer)) => return Ok(answer),
            Ok(Polled::Pending(next)) => {
                if (&next.url, next.style) != (&follow.url, follow.style) {
                    let next = journaled(&next).map_err(Ended::Broken)?;
                    desk.call.ledger.accepted(name, next).await.map_err(Ended::Broken)?;
                }
                follow = next;
            }
            // Status 200 is the operation's own failure, 404 an operation that Azure has forgotten.
            Err(error) if matches!(error.status, 200 | 404) && !error.is_transient() => {
                return Err(Ended::Failed(error));
            }
            Err(error) => return Err(Ended::Broken(failure::of(&error))),
        }
    }
}

fn journaled(follow: &Follow) -> Result<Value, Failure> {
    serde_json::to_value(follow)
        .map_err(|error| Fault::Host(format!("an operation can't be journaled: {error}")).into())
}

/// Waits, and says so. The first Ctrl-C ends the wait.
async fn wait(desk: &Desk, target: &str, delay: Duration, started: Instant) -> Result<(), Failure> {
    let why = format!("Azure is at work on {}", target.rsplit('/').next().unwrap_or(target));
    desk.call.events.send(Event::Waiting { step: desk.call.step.clone(), why, delay, elapsed: started.elapsed() });
    tokio::select! {
        biased;
        () = desk.call.cancel.cancelled() => Err(StepError::Cancelled.into()),
        () = tokio::time::sleep(delay) => Ok(()),
    }
}

/// After the first Ctrl-C nothing new is begun.
fn stopped(desk: &Desk) -> Result<(), Failure> {
    if desk.call.cancel.is_cancelled() { Err(StepError::Cancelled.into()) } else { Ok(()) }
}
