//! Long-running operations, as Resource Manager documents them ("Track asynchronous Azure operations").
//!
//! Three styles exist. `Azure-AsyncOperation`: a URL whose body tells the status. `Location`: a URL that answers 202
//! until it answers something else, and may name a new URL with every answer. Neither: the resource's own
//! `provisioningState`. What to do next is a value ([`Follow`]) that can be written down: another process goes on.

use std::time::Duration;

use azure_core::http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Arm, Reply, own_url, url};
use crate::error::{AzureError, Effect, Kind};
use crate::retry::retry_after;

/// Wait between polls when Azure names none.
const USUAL_DELAY: Duration = Duration::from_secs(1);
/// Shortest and longest wait that Azure is believed.
const SHORTEST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(120);

/// What became of a write.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// It is done; with what Azure answered, if anything.
    Done(Option<Value>),
    /// It has begun. See [`Arm::poll`].
    Accepted(Follow),
}

/// What became of a poll.
#[derive(Debug, Clone, PartialEq)]
pub enum Polled {
    /// Not yet. Poll this one next: URL and wait may have changed.
    Pending(Follow),
    /// It is done; with the resource or the action's result, if there is one.
    Done(Option<Value>),
}

/// Where to ask how a long-running operation goes.
///
/// Journals keep it: fields are added with defaults, never changed. URLs may hold a signature for this one operation,
/// never a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follow {
    /// What began the operation.
    pub verb: Verb,
    /// The id that the request went to.
    pub id: String,
    /// The request's api-version.
    pub api_version: String,
    /// How the operation is followed.
    pub style: Style,
    /// Where to ask next.
    pub url: String,
    /// Where the result of an action is once it succeeded, when that is another place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// What Azure asked to wait, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// How an operation is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Style {
    /// By the status in the body of an operation's URL.
    AsyncOperation,
    /// By the status code of a `Location`.
    Location,
    /// By the resource's `provisioningState`, or its absence.
    Resource,
}

/// What begins an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verb {
    /// Create or replace.
    Put,
    /// Change.
    Patch,
    /// Run an action.
    Post,
    /// Delete.
    Delete,
}

impl Verb {
    pub(crate) fn method(self) -> Method {
        match self {
            Self::Put => Method::Put,
            Self::Patch => Method::Patch,
            Self::Post => Method::Post,
            Self::Delete => Method::Delete,
        }
    }
}

impl Follow {
    /// Returns how long to wait before the next poll: what Azure asked for, within reason.
    #[must_use]
    pub fn delay(&self) -> Duration {
        self.retry_after_ms.map_or(USUAL_DELAY, Duration::from_millis).clamp(SHORTEST_DELAY, LONGEST_DELAY)
    }

    fn next(&self, reply: &Reply) -> Self {
        Self { retry_after_ms: wait(reply), ..self.clone() }
    }

    /// Goes on by the resource itself, when the operation's own URL is no more.
    fn by_resource(&self, reply: &Reply) -> Result<Polled, AzureError> {
        let url = url(&self.id, Some(&self.api_version), &[])?.into();
        Ok(Polled::Pending(Self { style: Style::Resource, url, ..self.next(reply) }))
    }
}

/// Reads the answer to a write.
pub(super) fn answer(verb: Verb, id: &str, api_version: &str, reply: &Reply) -> Result<Answer, AzureError> {
    if !reply.is_success() {
        return Err(reply.error(Effect::Write));
    }
    let body = reply.json()?;
    // Links to other hosts count as none: the resource tells as well.
    let operation = reply.header("azure-asyncoperation").filter(|link| own_url(link).is_some());
    let location = reply.header("location").filter(|link| own_url(link).is_some());
    let follow = |style, url, result| {
        Ok(Answer::Accepted(Follow {
            verb,
            id: id.to_owned(),
            api_version: api_version.to_owned(),
            style,
            url,
            result,
            retry_after_ms: wait(reply),
        }))
    };
    if let Some(operation) = operation {
        return follow(Style::AsyncOperation, operation, location);
    }
    // A 201 names the new resource in `Location`; only a 202 means "ask there".
    if reply.status == 202
        && let Some(location) = location
    {
        return follow(Style::Location, location, None);
    }
    let linked = reply.header("azure-asyncoperation").or_else(|| reply.header("location"));
    if verb == Verb::Post
        && reply.status == 202
        && let Some(elsewhere) = linked
    {
        let message = format!("{id} has begun, but is to be followed at another host ({elsewhere}): refused");
        return Err(AzureError::new(Kind::Other, "FollowRefused", message).unknown());
    }
    let state = body.as_ref().and_then(provisioning_state);
    match (verb, state.map(State::read)) {
        (Verb::Put | Verb::Patch, Some(State::Failed)) => Err(failure(body.as_ref())),
        (Verb::Put | Verb::Patch, Some(State::Running)) => {
            follow(Style::Resource, url(id, Some(api_version), &[])?.into(), None)
        }
        (Verb::Post, _) | (_, Some(State::Succeeded)) => Ok(Answer::Done(body)),
        _ if reply.status == 202 => follow(Style::Resource, url(id, Some(api_version), &[])?.into(), None),
        _ => Ok(Answer::Done(body)),
    }
}

/// Asks once.
pub(super) async fn poll(arm: &Arm, follow: &Follow) -> Result<Polled, AzureError> {
    let url = own_url(&follow.url).ok_or_else(|| {
        let message = format!("the operation on {} is to be followed at another host: refused", follow.id);
        AzureError::new(Kind::BadRequest, "FollowRefused", message)
    })?;
    let reply = arm.send(Method::Get, url, None, Effect::Read).await?;
    match follow.style {
        Style::AsyncOperation => by_operation(arm, follow, &reply).await,
        Style::Location => by_location(arm, follow, &reply).await,
        Style::Resource => by_resource(follow, &reply),
    }
}

async fn by_operation(arm: &Arm, follow: &Follow, reply: &Reply) -> Result<Polled, AzureError> {
    if is_gone(follow, reply) {
        return follow.by_resource(reply);
    }
    if !reply.is_success() {
        return Err(reply.error(Effect::Read));
    }
    let body = reply.json()?;
    let state = body.as_ref().and_then(status).or_else(|| body.as_ref().and_then(provisioning_state));
    match state.map_or(State::Succeeded, State::read) {
        State::Failed => Err(failure(body.as_ref())),
        State::Running => {
            let mut next = follow.next(reply);
            if let Some(newer) = reply.header("azure-asyncoperation").filter(|link| own_url(link).is_some()) {
                next.url = newer;
            }
            if let Some(newer) = reply.header("location").filter(|link| own_url(link).is_some()) {
                next.result = Some(newer);
            }
            Ok(Polled::Pending(next))
        }
        State::Succeeded => match follow.verb {
            Verb::Delete => Ok(Polled::Done(None)),
            Verb::Put | Verb::Patch => resource(arm, follow).await,
            Verb::Post => match follow.result.as_deref().and_then(own_url) {
                Some(result) => {
                    let reply = arm.send(Method::Get, result, None, Effect::Read).await?;
                    if reply.is_success() { Ok(Polled::Done(reply.json()?)) } else { Err(reply.error(Effect::Read)) }
                }
                None => Ok(Polled::Done(body.and_then(|body| body.pointer("/properties/output").cloned()))),
            },
        },
    }
}

async fn by_location(arm: &Arm, follow: &Follow, reply: &Reply) -> Result<Polled, AzureError> {
    if is_gone(follow, reply) {
        return follow.by_resource(reply);
    }
    if !reply.is_success() {
        return Err(reply.error(Effect::Read));
    }
    let body = reply.json()?;
    // Some providers (Key Vault's purge) answer 200 with an operation's status while it runs.
    let state = body.as_ref().and_then(status).map(State::read);
    if matches!(state, Some(State::Failed)) {
        return Err(failure(body.as_ref()));
    }
    if reply.status == 202 || matches!(state, Some(State::Running)) {
        let mut next = follow.next(reply);
        if let Some(newer) = reply.header("location").filter(|link| own_url(link).is_some()) {
            next.url = newer;
        }
        return Ok(Polled::Pending(next));
    }
    match follow.verb {
        Verb::Delete => Ok(Polled::Done(None)),
        Verb::Post => Ok(Polled::Done(body)),
        Verb::Put | Verb::Patch => match body {
            Some(body) if body.get("id").is_some() && body.get("properties").is_some() => Ok(Polled::Done(Some(body))),
            _ => resource(arm, follow).await,
        },
    }
}

fn by_resource(follow: &Follow, reply: &Reply) -> Result<Polled, AzureError> {
    let deleting = follow.verb == Verb::Delete;
    if deleting && matches!(reply.status, 204 | 404) {
        return Ok(Polled::Done(None));
    }
    if !reply.is_success() {
        return Err(reply.error(Effect::Read));
    }
    let body = reply.json()?;
    match body.as_ref().and_then(provisioning_state).map(State::read) {
        Some(State::Failed) => Err(failure(body.as_ref())),
        Some(State::Running) => Ok(Polled::Pending(follow.next(reply))),
        _ if deleting => Ok(Polled::Pending(follow.next(reply))),
        _ => Ok(Polled::Done(body)),
    }
}

/// Reads the resource that an operation made.
async fn resource(arm: &Arm, follow: &Follow) -> Result<Polled, AzureError> {
    match arm.get(&follow.id, Some(&follow.api_version)).await? {
        Some(resource) => Ok(Polled::Done(Some(resource))),
        None => {
            let message = format!("the operation succeeded, but {} is not there: someone else deleted it", follow.id);
            Err(AzureError::new(Kind::NotFound, "ResourceNotFound", message))
        }
    }
}

/// Providers forget operations after a while (hours to days), and a run may be resumed later than that.
fn is_gone(follow: &Follow, reply: &Reply) -> bool {
    follow.verb != Verb::Post && matches!(reply.status, 404 | 410)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Succeeded,
    Failed,
}

impl State {
    /// Everything that is not one of the documented ends is on its way (`Creating`, `Updating`, `Accepted`, …).
    fn read(text: &str) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "succeeded" | "success" | "completed" => Self::Succeeded,
            "failed" | "canceled" | "cancelled" => Self::Failed,
            _ => Self::Running,
        }
    }
}

fn status(body: &Value) -> Option<&str> {
    body.get("status").and_then(Value::as_str)
}

fn provisioning_state(body: &Value) -> Option<&str> {
    body.pointer("/properties/provisioningState").and_then(Value::as_str)
}

fn failure(body: Option<&Value>) -> AzureError {
    let fallback = match body.and_then(|body| status(body).or_else(|| provisioning_state(body))) {
        Some(state) if !state.eq_ignore_ascii_case("failed") => "OperationCanceled",
        _ => "OperationFailed",
    };
    let nested = body.and_then(|body| body.pointer("/properties/error"));
    let document = match body {
        Some(body) if body.get("error").is_some() => body,
        _ => nested.unwrap_or(&Value::Null),
    };
    AzureError::from_document(document, fallback)
}

fn wait(reply: &Reply) -> Option<u64> {
    retry_after(&reply.headers).map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX))
}
