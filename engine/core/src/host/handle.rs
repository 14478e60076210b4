//! Keys, artifacts and drafts: what stands behind a guest's handles, and the keys of a run.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use sealbook_crypto::SecretBytes;
use sealbook_crypto::rsa::{RsaKey, RsaPublic};
use sealbook_model::grant::Condition;
use sealbook_model::id::RunId;
use serde_json::Value;

use super::artifact;
use super::desk::Desk;
use crate::step::{Call, StepError};
use crate::tee::Attested;

/// A key that the host holds. The guest has a number for it, nothing else.
pub struct Key {
    pub(crate) reference: String,
    pub(crate) bytes: SecretBytes,
}

/// A key pair outside of any key store: made here, its private half sealed among the run's artifacts, or released to
/// this machine and in memory only.
#[derive(Clone)]
pub struct Pair {
    pub(crate) reference: String,
    key: Arc<RsaKey>,
    /// What has to be verified before the private half is used.
    gate: Arc<BTreeSet<Condition>>,
}

impl Pair {
    /// A pair that may be used at once.
    pub(crate) fn open(reference: String, key: RsaKey) -> Self {
        Self::gated(reference, key, BTreeSet::new())
    }

    /// A pair that may be used when all conditions are met.
    pub(crate) fn gated(reference: String, key: RsaKey, gate: BTreeSet<Condition>) -> Self {
        Self { reference, key: Arc::new(key), gate: Arc::new(gate) }
    }

    /// Its public half.
    pub(crate) fn public(&self) -> RsaPublic {
        self.key.public()
    }

    /// The pair, private half and all, to be used: the one way to it.
    ///
    /// # Errors
    /// A condition that is not met in this run.
    pub(crate) fn key(&self, desk: &Desk) -> Result<&RsaKey, StepError> {
        let seen = desk.seen.of(&desk.call.run);
        match self.gate.iter().find(|condition| !seen.contains(*condition)) {
            None => Ok(&self.key),
            Some(unmet) => Err(StepError::Precondition {
                message: format!("the key can't be used yet: {}", why(unmet)),
                fix: "let the step that verifies it come before this one, and give this one its proof".into(),
            }),
        }
    }
}

/// What is missing, in words.
fn why(unmet: &Condition) -> String {
    match unmet {
        Condition::Gpu => "this machine's GPU was not verified in this run".into(),
        Condition::Measurement(wanted) => {
            format!("no launch measurement {wanted} of this machine was verified in this run")
        }
        Condition::Policy(wanted) => {
            format!("it was released under another policy than the one of SHA-256 {}", wanted.hex())
        }
    }
}

/// The pairs that were released to this machine, by run and reference. They are never written down.
#[derive(Default)]
pub(crate) struct Pairs(Mutex<HashMap<(RunId, String), Pair>>);

impl Pairs {
    /// Keeps a pair, instead of the one that stands under the same reference.
    pub(crate) fn keep(&self, run: &RunId, pair: Pair) -> Pair {
        self.lock().insert((run.clone(), pair.reference.clone()), pair.clone());
        pair
    }

    pub(crate) fn get(&self, run: &RunId, reference: &str) -> Option<Pair> {
        self.lock().get(&(run.clone(), reference.to_owned())).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(RunId, String), Pair>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What this process has verified of its machine, by run. A run's proofs are no other's, and end with the process.
#[derive(Default)]
pub(crate) struct Seen(Mutex<HashMap<RunId, BTreeSet<Condition>>>);

impl Seen {
    pub(crate) fn note(&self, run: &RunId, condition: Condition) {
        self.lock().entry(run.clone()).or_default().insert(condition);
    }

    fn of(&self, run: &RunId) -> BTreeSet<Condition> {
        self.lock().get(run).cloned().unwrap_or_default()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RunId, BTreeSet<Condition>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A token of an attestation provider.
#[derive(Clone)]
pub struct Token {
    pub(crate) reference: String,
    pub(crate) attested: Arc<Attested>,
}

/// What was verified of the machine's GPU.
pub struct Proof {
    pub(crate) reference: String,
    pub(crate) verdict: Value,
    pub(crate) document: Value,
}

/// Data that can be read.
pub struct Artifact(pub(crate) artifact::Sealed);

/// Data that is being written.
pub struct Draft(pub(crate) artifact::Writer);

/// The keys that live in this process, by run and reference. They are never written down: a resumed run makes them
/// again by running the step that made them.
#[derive(Default)]
pub(crate) struct Keyring(Mutex<HashMap<(RunId, String), SecretBytes>>);

impl Keyring {
    pub(crate) fn get(&self, run: &RunId, reference: &str) -> Option<SecretBytes> {
        self.lock().get(&(run.clone(), reference.to_owned())).cloned()
    }

    /// Stores a key, or returns the one that stands under the same reference: a step that is repeated meets its own
    /// key again, and what it wrapped before stays readable.
    pub(crate) fn get_or_insert(
        &self,
        run: &RunId,
        reference: &str,
        make: impl FnOnce() -> SecretBytes,
    ) -> SecretBytes {
        self.lock().entry((run.clone(), reference.to_owned())).or_insert_with(make).clone()
    }

    /// Stores a key, instead of the one that stands under the same reference.
    pub(crate) fn replace(&self, run: &RunId, reference: &str, bytes: SecretBytes) {
        self.lock().insert((run.clone(), reference.to_owned()), bytes);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(RunId, String), SecretBytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The tokens that live in this process, by run and reference.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<HashMap<(RunId, String), Token>>);

impl Tokens {
    /// Keeps a token under a name of its step's, instead of the one before.
    pub(crate) fn keep(&self, call: &Call, name: &str, attested: Attested) -> Token {
        let token = Token { reference: format!("token:{}/{name}", call.step), attested: Arc::new(attested) };
        self.lock().insert((call.run.clone(), token.reference.clone()), token.clone());
        token
    }

    pub(crate) fn get(&self, run: &RunId, reference: &str) -> Option<Token> {
        self.lock().get(&(run.clone(), reference.to_owned())).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(RunId, String), Token>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a plugin may give something this name: it becomes part of a reference and of an idempotency key.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}
