//! Keys, artifacts and drafts: what stands behind a guest's handles, and the keys of a run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sealbook_crypto::SecretBytes;
use sealbook_crypto::rsa::RsaKey;
use sealbook_model::id::RunId;

use super::artifact;
use crate::step::Call;
use crate::tee::Attested;

/// A key that the host holds. The guest has a number for it, nothing else.
pub struct Key {
    pub(crate) reference: String,
    pub(crate) bytes: SecretBytes,
}

/// A key pair outside of any key store, whose private half lies sealed among the run's artifacts.
pub struct Pair {
    pub(crate) reference: String,
    pub(crate) key: RsaKey,
}

/// A token of an attestation provider.
#[derive(Clone)]
pub struct Token {
    pub(crate) reference: String,
    pub(crate) attested: Arc<Attested>,
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
