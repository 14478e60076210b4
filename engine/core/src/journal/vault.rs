//! What a run keeps secret: its sealing key and its secret inputs.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealbook_crypto::{SealKey, SecretBytes};
use sealbook_model::id::RunId;
use sealbook_model::journal::Sealed;
use sealbook_model::problem::{Problem, codes};

/// The open secrets of one run. Destroying the run's key, as removing the run does, makes all that is sealed with it
/// unreadable, copies included.
#[derive(Debug)]
pub struct RunVault {
    key: SealKey,
    secrets: BTreeMap<String, SecretBytes>,
}

impl RunVault {
    /// Joins a key and secrets by name.
    #[must_use]
    pub fn new(key: SealKey, secrets: BTreeMap<String, SecretBytes>) -> Self {
        Self { key, secrets }
    }

    /// The key that seals what belongs to the run.
    #[must_use]
    pub fn key(&self) -> &SealKey {
        &self.key
    }

    /// The secret input behind the reference `secret:<name>`.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<&SecretBytes> {
        self.secrets.get(name)
    }

    /// Seals every secret, to be recorded.
    pub(crate) fn sealed(&self, run: &RunId) -> BTreeMap<String, Sealed> {
        let seal = |(name, secret): (&String, &SecretBytes)| {
            let sealed = self.key.seal(&place(run, name), secret.expose());
            (name.clone(), Sealed(STANDARD.encode(sealed)))
        };
        self.secrets.iter().map(seal).collect()
    }

    /// Opens recorded secrets again.
    pub(crate) fn open(run: &RunId, key: SealKey, sealed: &BTreeMap<String, Sealed>) -> Result<Self, Problem> {
        let open = |(name, Sealed(text)): (&String, &Sealed)| {
            let damaged = || {
                Problem::new(codes::JOURNAL_DAMAGED, format!("the secret input `{name}` of run {run} does not open"))
                    .because("it was changed, or sealed with another key")
                    .fix(format!("restore the journal {run}.db from a copy"))
            };
            let bytes = STANDARD.decode(text).map_err(|_| damaged())?;
            let secret = key.open(&place(run, name), &bytes).map_err(|_| damaged())?;
            Ok((name.clone(), secret))
        };
        let secrets = sealed.iter().map(open).collect::<Result<_, Problem>>()?;
        Ok(Self { key, secrets })
    }
}

fn place(run: &RunId, name: &str) -> Vec<u8> {
    format!("sealbook secret input\0{run}\0{name}").into_bytes()
}
