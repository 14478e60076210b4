//! Effects on ARM resources.

use async_trait::async_trait;
use sealbook_azure::{Answer, Arm, AzureError, Kind};
use serde_json::{Value, json};

use super::Effect;
use crate::host::address::ArmId;
use crate::host::desk::Desk;
use crate::host::failure;
use crate::host::marks::{Bearer, Mark, keep_marks};
use crate::host::reconcile::{Progress, Seen, Strangers};
use crate::step::{Failure, Ownership, StepError};

/// What all of them need: the resource, and the api-version if the plugin named one.
pub(crate) struct Target {
    arm: Arm,
    id: ArmId,
    api: Option<String>,
    strangers: Strangers,
}

impl Target {
    pub(crate) fn new(desk: &Desk, id: ArmId, api: Option<String>) -> Self {
        let strangers = if desk.call.adopt { Strangers::Use } else { Strangers::Refuse };
        Self { arm: desk.azure.arm(), id, api, strangers }
    }

    fn id(&self) -> String {
        self.id.as_str().into()
    }

    fn api(&self) -> Option<&str> {
        self.api.as_deref()
    }

    async fn get(&self) -> Result<Option<Value>, Failure> {
        self.arm.get(self.id.as_str(), self.api()).await.map_err(|error| failure::of(&error))
    }

    /// The resource as it is once the request is done.
    async fn made(&self, answer: Option<Value>) -> Result<Value, Failure> {
        match answer {
            Some(resource) if resource.is_object() => Ok(resource),
            _ => Ok(self.get().await?.unwrap_or_default()),
        }
    }
}

fn progress(resource: &Value) -> Progress {
    match resource["properties"]["provisioningState"].as_str() {
        None => Progress::Settled,
        Some(state) if state.eq_ignore_ascii_case("succeeded") => Progress::Settled,
        Some(state) if ["failed", "canceled", "cancelled"].iter().any(|s| state.eq_ignore_ascii_case(s)) => {
            Progress::Failed
        }
        Some(_) => Progress::Working,
    }
}

fn bad_tags(message: String) -> Failure {
    StepError::InvalidInput { field: "body".into(), message }.into()
}

/// Creates a resource, with tags that mark it as this effect's where it can carry tags.
pub(crate) struct ArmPut {
    target: Target,
    asked: Value,
    body: Value,
    mark: Mark,
}

impl ArmPut {
    pub(crate) fn new(target: Target, body: Value, mark: Mark) -> Result<Self, Failure> {
        let mut marked = body.clone();
        if target.id.is_tracked() {
            mark.tag(&mut marked).map_err(bad_tags)?;
        }
        Ok(Self { target, asked: body, body: marked, mark })
    }
}

#[async_trait]
impl Effect for ArmPut {
    fn kind(&self) -> &'static str {
        if self.target.id.is_tracked() { "arm-put" } else { "arm-put-untagged" }
    }

    fn target(&self) -> String {
        self.target.id()
    }

    fn request(&self) -> Value {
        json!({ "api": self.target.api, "body": self.asked })
    }

    async fn look(&self) -> Result<Option<Seen>, Failure> {
        Ok(self.target.get().await?.map(|thing| Seen {
            bearer: if self.target.id.is_tracked() {
                self.mark.bearer_of_tags(&thing)
            } else {
                Bearer::Stranger { run: None }
            },
            state: progress(&thing),
            as_asked: fits(&thing, &self.asked),
            thing,
        }))
    }

    async fn send(&self) -> Result<Answer, AzureError> {
        self.target.arm.put(self.target.id.as_str(), &self.body, self.target.api()).await
    }

    async fn made(&self, answer: Option<Value>) -> Result<Value, Failure> {
        self.target.made(answer).await
    }

    fn strangers(&self) -> Strangers {
        self.target.strangers
    }
}

/// Whether nothing in `thing` contradicts what was asked for. What Azure does not show (passwords) can't.
fn fits(thing: &Value, asked: &Value) -> bool {
    match (thing, asked) {
        (Value::Object(thing), Value::Object(asked)) => {
            asked.iter().all(|(name, value)| thing.get(name).is_none_or(|there| fits(there, value)))
        }
        (Value::Array(thing), Value::Array(asked)) => {
            thing.len() == asked.len() && thing.iter().zip(asked).all(|(thing, asked)| fits(thing, asked))
        }
        // Azure writes regions, types and ids in a spelling of its own.
        (Value::String(thing), Value::String(asked)) => {
            let plain = |text: &str| text.to_ascii_lowercase().replace(' ', "");
            plain(thing) == plain(asked)
        }
        (thing, asked) => thing == asked,
    }
}

/// Changes a resource. Whose it is does not matter: the grant names it, and undo changes it back.
pub(crate) struct ArmPatch {
    target: Target,
    body: Value,
}

impl ArmPatch {
    pub(crate) fn new(target: Target, body: Value) -> Result<Self, Failure> {
        // Tried on nothing, so that a mark among the plugin's own tags is refused before anything is journaled.
        keep_marks(&mut body.clone(), &Value::Null).map_err(bad_tags)?;
        Ok(Self { target, body })
    }
}

#[async_trait]
impl Effect for ArmPatch {
    fn kind(&self) -> &'static str {
        "arm-patch"
    }

    fn target(&self) -> String {
        self.target.id()
    }

    fn request(&self) -> Value {
        json!({ "api": self.target.api, "body": self.body })
    }

    async fn look(&self) -> Result<Option<Seen>, Failure> {
        Ok(None)
    }

    async fn send(&self) -> Result<Answer, AzureError> {
        let (id, api) = (self.target.id.as_str(), self.target.api());
        let mut body = self.body.clone();
        if body.get("tags").is_some() {
            let standing = self.target.arm.get(id, api).await?.unwrap_or_default();
            keep_marks(&mut body, &standing).map_err(|why| AzureError::new(Kind::BadRequest, "InvalidTags", why))?;
        }
        self.target.arm.patch(id, &body, api).await
    }

    async fn made(&self, answer: Option<Value>) -> Result<Value, Failure> {
        self.target.made(answer).await
    }

    fn strangers(&self) -> Strangers {
        Strangers::Use
    }
}

/// Runs an action that changes something.
pub(crate) struct ArmPost {
    target: Target,
    body: Value,
}

impl ArmPost {
    pub(crate) fn new(target: Target, body: Value) -> Self {
        Self { target, body }
    }
}

#[async_trait]
impl Effect for ArmPost {
    fn kind(&self) -> &'static str {
        "arm-post"
    }

    fn target(&self) -> String {
        self.target.id()
    }

    fn request(&self) -> Value {
        json!({ "api": self.target.api, "body": self.body })
    }

    async fn look(&self) -> Result<Option<Seen>, Failure> {
        Ok(None)
    }

    async fn send(&self) -> Result<Answer, AzureError> {
        // An action without parameters has no body.
        let empty = self.body.is_null() || self.body.as_object().is_some_and(|fields| fields.is_empty());
        let body = (!empty).then_some(&self.body);
        self.target.arm.post(self.target.id.as_str(), body, self.target.api()).await
    }

    async fn made(&self, answer: Option<Value>) -> Result<Value, Failure> {
        Ok(answer.unwrap_or_default())
    }

    fn strangers(&self) -> Strangers {
        Strangers::Use
    }
}

/// Deletes a resource that is this run's.
pub(crate) struct ArmDelete {
    target: Target,
    mark: Mark,
    /// Whose it is by the ledger, for resources that carry no mark.
    touched: Option<Ownership>,
}

impl ArmDelete {
    pub(crate) fn new(desk: &Desk, target: Target, mark: Mark) -> Self {
        let touched = desk.touched(target.id.as_str());
        Self { target, mark, touched }
    }

    /// A resource without tags is this run's if the ledger says so, or if it is part of something of this run.
    async fn bearer(&self, thing: &Value) -> Result<Bearer, Failure> {
        // What Azure keeps of a deleted resource shows the tags that it had, at an address that takes none.
        let by_tags = self.mark.bearer_of_tags(thing);
        if self.target.id.is_tracked() || !matches!(by_tags, Bearer::Stranger { .. }) {
            return Ok(by_tags);
        }
        match self.touched {
            Some(Ownership::Ours) => return Ok(Bearer::Run { op: String::new() }),
            Some(Ownership::Foreign) => return Ok(Bearer::Stranger { run: None }),
            // The name of a role assignment is derived from run and effect: nobody else's has it.
            Some(Ownership::Unknown) if self.target.id.role_assignment().is_some() => {
                return Ok(Bearer::Run { op: String::new() });
            }
            // Sent or not, somebody else may have made it meanwhile: only what it is part of can tell.
            Some(Ownership::Unknown) | None => {}
        }
        // Rights and locks on a thing of ours may be somebody else's: they are known by the ledger alone.
        let Some(whole) = self.target.id.whole() else { return Ok(Bearer::Stranger { run: None }) };
        let owner = self.target.arm.get(whole.as_str(), None).await.map_err(|error| failure::of(&error))?;
        Ok(self.mark.bearer_of_tags(&owner.unwrap_or_default()))
    }
}

#[async_trait]
impl Effect for ArmDelete {
    fn kind(&self) -> &'static str {
        "arm-delete"
    }

    fn target(&self) -> String {
        self.target.id()
    }

    fn request(&self) -> Value {
        json!({ "api": self.target.api })
    }

    async fn look(&self) -> Result<Option<Seen>, Failure> {
        let Some(thing) = self.target.get().await? else { return Ok(None) };
        let bearer = self.bearer(&thing).await?;
        let leaving =
            thing["properties"]["provisioningState"].as_str().is_some_and(|s| s.eq_ignore_ascii_case("deleting"));
        let state = if leaving { Progress::Working } else { Progress::Settled };
        Ok(Some(Seen { thing: json!({ "id": thing["id"] }), bearer, state, as_asked: true }))
    }

    async fn send(&self) -> Result<Answer, AzureError> {
        self.target.arm.delete(self.target.id.as_str(), self.target.api()).await
    }

    async fn made(&self, _answer: Option<Value>) -> Result<Value, Failure> {
        Ok(true.into())
    }

    async fn found(&self, _thing: Value, _ownership: Ownership) -> Result<Value, Failure> {
        Ok(true.into())
    }

    fn nothing(&self) -> Value {
        false.into()
    }

    fn strangers(&self) -> Strangers {
        self.target.strangers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_azure_adds_or_hides_does_not_contradict() {
        let asked = json!({ "location": "italynorth", "properties": { "level": "CanNotDelete", "password": "x", "list": [1, 2] } });
        let there = json!({ "id": "/x", "location": "Italy North", "properties": { "level": "cannotdelete", "list": [1, 2], "more": 1 } });
        assert!(fits(&there, &asked));
        for (path, value) in
            [("/properties/level", json!("ReadOnly")), ("/properties/list", json!([1])), ("/location", json!(null))]
        {
            let mut other = there.clone();
            *other.pointer_mut(path).unwrap() = value;
            assert!(!fits(&other, &asked), "{path}");
        }
    }

    #[test]
    fn provisioning_states() {
        for (state, expected) in [
            (json!(null), Progress::Settled),
            (json!("Succeeded"), Progress::Settled),
            (json!("Failed"), Progress::Failed),
            (json!("Canceled"), Progress::Failed),
            (json!("Creating"), Progress::Working),
            (json!("ResolvingDNS"), Progress::Working),
        ] {
            assert_eq!(progress(&json!({ "properties": { "provisioningState": state } })), expected);
        }
    }
}
