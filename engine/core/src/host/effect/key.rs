//! Effects on keys in Key Vault.

use std::time::Duration;

use async_trait::async_trait;
use sealbook_azure::{Answer, AzureError, Keys, Kind};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::Effect;
use crate::host::address::KeyUri;
use crate::host::desk::Desk;
use crate::host::failure;
use crate::host::marks::{Bearer, Mark, keep_marks};
use crate::host::reconcile::{Progress, Seen, Strangers};
use crate::step::{Failure, Ownership, StepError};

fn refused(error: AzureError) -> Failure {
    failure::of(&error)
}

fn bad_tags(message: String) -> Failure {
    StepError::InvalidInput { field: "parameters".into(), message }.into()
}

fn strangers(desk: &Desk) -> Strangers {
    if desk.call.adopt { Strangers::Use } else { Strangers::Refuse }
}

fn seen(thing: Value, bearer: Bearer) -> Seen {
    Seen { thing, bearer, state: Progress::Settled, as_asked: true }
}

/// Whose mark a key carries: that of any of its versions, since a rotation may not repeat the tags.
async fn bearer_of(keys: &Keys, uri: &KeyUri, mark: &Mark) -> Result<Option<(Bearer, Option<String>)>, Failure> {
    let versions = keys.versions(uri.unversioned()).await.map_err(refused)?;
    let Some(newest) = versions.last() else { return Ok(None) };
    let mut best = mark.bearer_of_tags(newest);
    for version in &versions {
        match mark.bearer_of_tags(version) {
            Bearer::Effect => return Ok(Some((Bearer::Effect, version["kid"].as_str().map(Into::into)))),
            run @ Bearer::Run { .. } => best = run,
            Bearer::Stranger { .. } => {}
        }
    }
    Ok(Some((best, None)))
}

/// Creates a key with tags that mark it as this effect's.
pub(crate) struct KeyCreate {
    keys: Keys,
    uri: KeyUri,
    asked: Value,
    parameters: Value,
    mark: Mark,
    strangers: Strangers,
}

impl KeyCreate {
    pub(crate) fn new(desk: &Desk, uri: KeyUri, parameters: Value, mark: Mark) -> Result<Self, Failure> {
        let mut marked = parameters.clone();
        mark.tag(&mut marked).map_err(bad_tags)?;
        let keys = desk.azure.keys();
        Ok(Self { keys, uri, asked: parameters, parameters: marked, mark, strangers: strangers(desk) })
    }
}

#[async_trait]
impl Effect for KeyCreate {
    fn kind(&self) -> &'static str {
        "key-create"
    }

    fn target(&self) -> String {
        self.uri.unversioned().into()
    }

    fn request(&self) -> Value {
        self.asked.clone()
    }

    async fn look(&self) -> Result<Option<Seen>, Failure> {
        let Some((bearer, version)) = bearer_of(&self.keys, &self.uri, &self.mark).await? else { return Ok(None) };
        let key = version.as_deref().unwrap_or(self.uri.unversioned());
        Ok(self.keys.get(key).await.map_err(refused)?.map(|bundle| seen(bundle, bearer)))
    }

    async fn send(&self) -> Result<Answer, AzureError> {
        Ok(Answer::Done(Some(self.keys.create(self.uri.unversioned(), &self.parameters).await?)))
    }

    async fn made(&self, answer: Option<Value>) -> Result<Value, Failure> {
        Ok(answer.unwrap_or_default())
    }

    fn strangers(&self) -> Strangers {
        self.strangers
    }
}

/// Changes attributes, operations or tags of a key.
pub(crate) struct KeyUpdate {
    keys: Keys,
    uri: KeyUri,
    parameters: Value,
}

impl KeyUpdate {
    pub(crate) fn new(desk: &Desk, uri: KeyUri, parameters: Value) -> Result<Self, Failure> {
        keep_marks(&mut parameters.clone(), &Value::Null).map_err(bad_tags)?;
        Ok(Self { keys: desk.azure.keys(), uri, parameters })
    }
}

#[async_trait]
impl Effect for KeyUpdate {
    fn kind(&self) -> &'static str {
        "key-update"
    }

    fn target(&self) -> String {
        self.uri.as_str().into()
    }

    fn request(&self) -> Value {
        self.parameters.clone()
    }

    async fn look(&self) -> Result<Option<Seen>, Failure> {
        Ok(None)
    }

    async fn send(&self) -> Result<Answer, AzureError> {
        let mut parameters = self.parameters.clone();
        if parameters.get("tags").is_some() {
            let standing = self.keys.get(self.uri.as_str()).await?.unwrap_or_default();
            keep_marks(&mut parameters, &standing)
                .map_err(|why| AzureError::new(Kind::BadRequest, "InvalidTags", why))?;
        }
        Ok(Answer::Done(Some(self.keys.update(self.uri.as_str(), &parameters).await?)))
    }

    async fn made(&self, answer: Option<Value>) -> Result<Value, Failure> {
        Ok(answer.unwrap_or_default())
    }

    fn strangers(&self) -> Strangers {
        Strangers::Use
    }
}

/// Makes a new version of a key. It carries no mark: the versions before are what tells.
pub(crate) struct KeyRotate {
    keys: Keys,
    uri: KeyUri,
}

impl KeyRotate {
    pub(crate) fn new(desk: &Desk, uri: KeyUri) -> Self {
        Self { keys: desk.azure.keys(), uri }
    }
}

#[async_trait]
impl Effect for KeyRotate {
    fn kind(&self) -> &'static str {
        "key-rotate"
    }

    fn target(&self) -> String {
        self.uri.unversioned().into()
    }

    fn request(&self) -> Value {
        Value::Null
    }

    async fn look(&self) -> Result<Option<Seen>, Failure> {
        let versions = self.keys.versions(self.uri.unversioned()).await.map_err(refused)?;
        Ok(Some(seen(versions.into(), Bearer::Stranger { run: None })))
    }

    async fn send(&self) -> Result<Answer, AzureError> {
        Ok(Answer::Done(Some(self.keys.rotate(self.uri.unversioned()).await?)))
    }

    async fn made(&self, answer: Option<Value>) -> Result<Value, Failure> {
        Ok(answer.unwrap_or_default())
    }

    async fn found(&self, thing: Value, _ownership: Ownership) -> Result<Value, Failure> {
        let version = thing["kid"].as_str().unwrap_or(self.uri.unversioned());
        Ok(self.keys.get(version).await.map_err(refused)?.unwrap_or(thing))
    }

    fn strangers(&self) -> Strangers {
        Strangers::Use
    }
}

/// Replaces a key's rotation policy.
pub(crate) struct KeyRotationPolicy {
    keys: Keys,
    uri: KeyUri,
    policy: Value,
}

impl KeyRotationPolicy {
    pub(crate) fn new(desk: &Desk, uri: KeyUri, policy: Value) -> Self {
        Self { keys: desk.azure.keys(), uri, policy }
    }
}

#[async_trait]
impl Effect for KeyRotationPolicy {
    fn kind(&self) -> &'static str {
        "key-rotation-policy"
    }

    fn target(&self) -> String {
        self.uri.unversioned().into()
    }

    fn request(&self) -> Value {
        self.policy.clone()
    }

    async fn look(&self) -> Result<Option<Seen>, Failure> {
        Ok(None)
    }

    async fn send(&self) -> Result<Answer, AzureError> {
        Ok(Answer::Done(Some(self.keys.set_rotation_policy(self.uri.unversioned(), &self.policy).await?)))
    }

    async fn made(&self, answer: Option<Value>) -> Result<Value, Failure> {
        Ok(answer.unwrap_or_default())
    }

    fn strangers(&self) -> Strangers {
        Strangers::Use
    }
}

/// How often, and how long apart, the vault is asked for a key that it is still deleting.
const DELETING: (u32, Duration) = (15, Duration::from_secs(2));

/// Deletes a key of this run, with all its versions.
pub(crate) struct KeyDelete {
    keys: Keys,
    cancel: CancellationToken,
    uri: KeyUri,
    mark: Mark,
    strangers: Strangers,
}

impl KeyDelete {
    pub(crate) fn new(desk: &Desk, uri: KeyUri, mark: Mark) -> Self {
        Self { keys: desk.azure.keys(), cancel: desk.call.cancel.clone(), uri, mark, strangers: strangers(desk) }
    }
}

#[async_trait]
impl Effect for KeyDelete {
    fn kind(&self) -> &'static str {
        "key-delete"
    }

    fn target(&self) -> String {
        self.uri.unversioned().into()
    }

    fn request(&self) -> Value {
        Value::Null
    }

    async fn look(&self) -> Result<Option<Seen>, Failure> {
        let found = bearer_of(&self.keys, &self.uri, &self.mark).await?;
        Ok(found.map(|(bearer, _)| seen(json!({ "key": self.uri.unversioned() }), bearer)))
    }

    async fn send(&self) -> Result<Answer, AzureError> {
        Ok(Answer::Done(self.keys.delete(self.uri.unversioned()).await?))
    }

    async fn made(&self, answer: Option<Value>) -> Result<Value, Failure> {
        Ok(answer.unwrap_or_default())
    }

    /// It is gone, and the answer that said until when it can be recovered was lost. The vault still knows, once it has
    /// finished deleting. It says nothing of a key that was purged since.
    async fn found(&self, _thing: Value, _ownership: Ownership) -> Result<Value, Failure> {
        let (tries, apart) = DELETING;
        for _ in 0..tries {
            if let Some(bundle) = self.keys.deleted(self.uri.unversioned()).await.map_err(refused)? {
                return Ok(bundle);
            }
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(StepError::Cancelled.into()),
                () = tokio::time::sleep(apart) => {}
            }
        }
        Ok(Value::Null)
    }

    fn strangers(&self) -> Strangers {
        self.strangers
    }
}
