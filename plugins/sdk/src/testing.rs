//! A double of the host, for unit tests of plugins.
//!
//! [`Fake`] keeps ARM resources, keys, blobs and artifacts in memory, marks what the step makes, keeps the ledger of
//! its effects, and denies every call that the plugin's own asks do not cover. It judges nothing that Azure judges
//! (bodies, roles, quotas): tests script that with [`Fake::dress`] and [`Fake::refuse`].
//!
//! ```
//! use sealbook_sdk::prelude::*;
//! use sealbook_sdk::testing::Fake;
//! # #[derive(Deserialize, JsonSchema)]
//! # pub struct In { id: ArmId }
//! # pub struct Tagger;
//! # impl Step for Tagger {
//! #     const ASKS: &'static [&'static str] = &["azure:read,write ${inputs.id}"];
//! #     type In = In;
//! #     type Out = Value;
//! #     fn check(cx: &Cx, i: &In) -> Result<Check<Value>> {
//! #         Ok(match cx.azure().find(&i.id)? { Some(v) => Check::Satisfied(v), None => Check::needed("create it") })
//! #     }
//! #     fn apply(cx: &Cx, i: &In) -> Result<Value> { cx.azure().put("create", &i.id, json!({})) }
//! #     fn undo(cx: &Cx, i: &In, past: Past<Value>) -> Result<Undone> {
//! #         Ok(cx.azure().take_back(cx, &past, "create", "it", &i.id)?.into())
//! #     }
//! # }
//! let fake = Fake::new();
//! let step = fake.step::<Tagger>(json!({ "id": "/subscriptions/s/resourceGroups/g" }));
//! let done = step.run().unwrap();
//! assert_eq!(fake.arm("/subscriptions/s/resourceGroups/g").unwrap()["tags"]["sealbook-run"], Fake::RUN);
//! assert_eq!(step.undo(done).unwrap(), Undone::clean());
//! assert!(fake.arm("/subscriptions/s/resourceGroups/g").is_none());
//! ```

pub(crate) mod imports;
mod pools;
mod world;

use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;

use serde_json::Value;

use crate::bindings::exports::sealbook::plugin::step as wit;
use crate::guest;
use crate::problem::{Problem, Result};
use crate::step::{Evidence, Preview, Step, Undone};
use world::World;
pub use world::{Bury, Dress};

thread_local! {
    static CURRENT: RefCell<Option<Rc<RefCell<World>>>> = const { RefCell::new(None) };
}

/// The world that the running call sees.
///
/// # Panics
/// Outside of a [`Tested`] call.
fn with_world<T>(f: impl FnOnce(&mut World) -> T) -> T {
    let world = CURRENT.with_borrow(Clone::clone);
    match world {
        Some(world) => f(&mut world.borrow_mut()),
        None => panic!("a capability was used outside of a step under test"),
    }
}

/// The double. Clones share one world.
#[derive(Debug, Clone, Default)]
pub struct Fake(Rc<RefCell<World>>);

impl Fake {
    /// The id of the run that the step under test belongs to.
    pub const RUN: &str = "run234";

    /// An empty world.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a resource there that somebody else made.
    #[must_use]
    pub fn foreign(self, id: &str, resource: Value) -> Self {
        self.0.borrow_mut().stand(id, resource, None);
        self
    }

    /// Puts a resource there that an earlier step of this run made.
    #[must_use]
    pub fn own(self, id: &str, resource: Value) -> Self {
        self.0.borrow_mut().stand(id, resource, Some(Self::RUN));
        self
    }

    /// Replaces a resource as it stands, undressed and unmarked.
    pub fn set(&self, id: &str, resource: Value) {
        self.0.borrow_mut().arm.insert(id.to_ascii_lowercase(), resource);
    }

    /// What `list` answers for a collection.
    #[must_use]
    pub fn collection(self, id: &str, members: impl IntoIterator<Item = Value>) -> Self {
        self.0.borrow_mut().lists.insert(id.to_ascii_lowercase(), members.into_iter().collect());
        self
    }

    /// What `query` answers.
    #[must_use]
    pub fn answer(self, id: &str, answer: Value) -> Self {
        self.0.borrow_mut().answers.insert(id.to_ascii_lowercase(), answer);
        self
    }

    /// Puts a key there, made by this run; missing parts of the bundle are filled in.
    #[must_use]
    pub fn key(self, uri: &str, bundle: &Value) -> Self {
        self.0.borrow_mut().add_key(uri, bundle, Some(Self::RUN));
        self
    }

    /// Takes this run's mark off a key: somebody else made it.
    #[must_use]
    pub fn unmark_key(self, uri: &str) -> Self {
        for bundle in self.0.borrow_mut().keys.get_mut(uri).into_iter().flatten() {
            bundle["tags"] = Value::Null;
        }
        self
    }

    /// Puts a blob there that somebody else made.
    #[must_use]
    pub fn blob(self, uri: &str, bytes: &[u8]) -> Self {
        self.0.borrow_mut().blobs.insert(uri.into(), (bytes.into(), None));
        self
    }

    /// A secret input, for the reference `secret:<name>`.
    #[must_use]
    pub fn secret(self, name: &str, bytes: &[u8]) -> Self {
        self.0.borrow_mut().artifacts.insert(format!("secret:{name}"), bytes.into());
        self
    }

    /// A key pair that an earlier step made, for the reference `artifact:<name>`: `n` is its modulus in base64url.
    #[must_use]
    pub fn pair(self, name: &str, n: &str) -> Self {
        self.0.borrow_mut().pairs.insert(format!("artifact:{name}"), n.into());
        self
    }

    /// Bytes that an earlier step left, for the reference `artifact:<name>`.
    #[must_use]
    pub fn artifact(self, name: &str, bytes: &[u8]) -> Self {
        self.0.borrow_mut().artifacts.insert(format!("artifact:{name}"), bytes.into());
        self
    }

    /// Makes the machine a confidential VM, of which attestation providers say this.
    #[must_use]
    pub fn attested_as(self, claims: Value) -> Self {
        self.0.borrow_mut().claims = Some(claims);
        self
    }

    /// The verdict on every evidence document.
    #[must_use]
    pub fn verdict(self, verdict: Value) -> Self {
        self.0.borrow_mut().verdict = Some(verdict);
        self
    }

    /// The evidence documents that were to be judged, and by which rules.
    #[must_use]
    pub fn judged(&self) -> Vec<(Value, Value)> {
        self.0.borrow().judged.clone()
    }

    /// Registers an application in the tenant by somebody else's hand.
    #[must_use]
    pub fn principal(self, app_id: &str, principal: Value) -> Self {
        self.0.borrow_mut().principals.insert(app_id.into(), principal);
        self
    }

    /// What the cloud adds to a resource when it is put or patched (addresses, identities).
    #[must_use]
    pub fn dress(self, dress: Dress) -> Self {
        self.0.borrow_mut().dress = Some(dress);
        self
    }

    /// What appears elsewhere when a resource is deleted (a soft-deleted vault).
    #[must_use]
    pub fn bury(self, bury: Bury) -> Self {
        self.0.borrow_mut().bury = Some(bury);
        self
    }

    /// Lets the step adopt what stands there without its mark.
    #[must_use]
    pub fn adopting(self) -> Self {
        self.0.borrow_mut().adopt = true;
        self
    }

    /// Refuses every call on `target` from now on.
    pub fn refuse(&self, target: &str, problem: Problem) {
        self.0.borrow_mut().refusals.insert(target.to_ascii_lowercase(), problem);
    }

    /// Loses the answer to the effect `name`, once: it happens, but the step never learns it.
    pub fn lose(&self, name: &str) {
        self.0.borrow_mut().lost.insert(name.into());
    }

    /// An ARM resource as it stands now.
    #[must_use]
    pub fn arm(&self, id: &str) -> Option<Value> {
        self.0.borrow().arm.get(&id.to_ascii_lowercase()).cloned()
    }

    /// A key's current version as it stands now.
    #[must_use]
    pub fn key_bundle(&self, uri: &str) -> Option<Value> {
        self.0.borrow().keys.get(uri).and_then(|v| v.last().cloned())
    }

    /// A blob's bytes as they stand now.
    #[must_use]
    pub fn blob_bytes(&self, uri: &str) -> Option<Vec<u8>> {
        self.0.borrow().blobs.get(uri).map(|(bytes, _)| bytes.clone())
    }

    /// The containers that stand.
    #[must_use]
    pub fn containers(&self) -> Vec<String> {
        self.0.borrow().containers.iter().cloned().collect()
    }

    /// The role assignments that stand, as `role to principal at scope`.
    #[must_use]
    pub fn roles(&self) -> Vec<String> {
        let line = |r: &world::Role| format!("{} to {} at {}", r.role, r.principal, r.scope);
        self.0.borrow().roles.iter().map(line).collect()
    }

    /// Assigns a role by somebody else's hand.
    #[must_use]
    pub fn role(self, scope: &str, principal: &str, role: &str) -> Self {
        self.0.borrow_mut().add_role("theirs", scope, principal, role);
        self
    }

    /// The names of the effects so far, in order, over apply and undo.
    #[must_use]
    pub fn effects(&self) -> Vec<String> {
        self.0.borrow().ledger.iter().map(|e| format!("{} {}", e.operation.kind, e.operation.target)).collect()
    }

    /// The lines written to the log.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.0.borrow().log.clone()
    }

    /// The step `S` with these inputs, in this world.
    #[must_use]
    pub fn step<S: Step>(&self, inputs: Value) -> Tested<S> {
        Tested { fake: self.clone(), inputs, step: PhantomData }
    }
}

/// A step in a [`Fake`] world. Every call goes through the same JSON as on the real host.
#[derive(Debug)]
pub struct Tested<S> {
    fake: Fake,
    inputs: Value,
    step: PhantomData<S>,
}

/// What a step has done: what `undo` needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    /// What `check` said.
    pub preview: Option<Preview>,
    /// The outputs; none when `apply` never finished.
    pub outputs: Option<Value>,
    /// What `verify` saw.
    pub evidence: Vec<Evidence>,
}

/// What `check` answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Checked {
    /// The wanted state holds.
    Satisfied(Value),
    /// There is something to do.
    Needed(Preview),
}

impl Checked {
    /// The preview, when something is to be done.
    #[must_use]
    pub fn needed(self) -> Option<Preview> {
        match self {
            Self::Needed(preview) => Some(preview),
            Self::Satisfied(_) => None,
        }
    }

    /// The outputs, when nothing is.
    #[must_use]
    pub fn satisfied(self) -> Option<Value> {
        match self {
            Self::Satisfied(outputs) => Some(outputs),
            Self::Needed(_) => None,
        }
    }
}

impl<S: Step> Tested<S> {
    /// Calls `check`.
    ///
    /// # Errors
    /// What the plugin answers.
    pub fn check(&self) -> Result<Checked> {
        Ok(match self.call(false, || guest::check::<S>(&self.inputs.to_string()))? {
            wit::Checked::Satisfied(outputs) => Checked::Satisfied(serde_json::from_str(&outputs)?),
            wit::Checked::Needed(p) => Checked::Needed(Preview {
                changes: p.changes,
                before: serde_json::from_str(&p.before)?,
                costs: p.costs,
                leaves: p.leaves,
                az: p.az,
            }),
        })
    }

    /// Calls `apply`.
    ///
    /// # Errors
    /// What the plugin answers.
    pub fn apply(&self) -> Result<Value> {
        let text = self.call(true, || guest::apply::<S>(&self.inputs.to_string()))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Calls `verify`.
    ///
    /// # Errors
    /// What the plugin answers.
    pub fn verify(&self, outputs: &Value) -> Result<Vec<Evidence>> {
        self.call(false, || guest::verify::<S>(&self.inputs.to_string(), &outputs.to_string()))
    }

    /// Checks, applies where needed, verifies: what the engine does with a step.
    ///
    /// # Errors
    /// What the plugin answers.
    pub fn run(&self) -> Result<Done> {
        let (preview, outputs) = match self.check()? {
            Checked::Satisfied(outputs) => (None, outputs),
            Checked::Needed(preview) => (Some(preview), self.apply()?),
        };
        let evidence = self.verify(&outputs)?;
        Ok(Done { preview, outputs: Some(outputs), evidence })
    }

    /// Undoes what was done, unless `check` had found nothing to do.
    ///
    /// # Errors
    /// What the plugin answers.
    pub fn undo(&self, done: Done) -> Result<Undone> {
        let Some(preview) = done.preview else { return Ok(Undone::clean()) };
        self.undo_from(&preview.before, done.outputs.as_ref())
    }

    /// Undoes from a prior state and, when `apply` finished, its outputs.
    ///
    /// # Errors
    /// What the plugin answers.
    pub fn undo_from(&self, before: &Value, outputs: Option<&Value>) -> Result<Undone> {
        let operations = {
            let mut world = self.fake.0.borrow_mut();
            world.generation += 1;
            world.operations()
        };
        let outputs = outputs.map(Value::to_string);
        let (inputs, before) = (self.inputs.to_string(), before.to_string());
        self.call(true, || guest::undo::<S>(&inputs, &before, outputs.as_deref(), operations)).map(Undone)
    }

    fn call<T>(&self, effects: bool, f: impl FnOnce() -> Result<T>) -> Result<T> {
        self.fake.0.borrow_mut().open_gate(S::ASKS, &self.inputs, effects);
        CURRENT.set(Some(Rc::clone(&self.fake.0)));
        let result = f();
        CURRENT.set(None);
        result
    }
}
