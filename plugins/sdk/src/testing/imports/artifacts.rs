//! The contract's imports: artifacts of a run.

use sha2::Digest;

use super::{Problem, Result, with_world};

#[derive(Debug)]
pub struct Artifact {
    pub(in super::super) reference: String,
    pub(in super::super) bytes: Vec<u8>,
}

#[derive(Debug)]
pub struct Draft {
    name: String,
    bytes: std::cell::RefCell<Vec<u8>>,
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    sha2::Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

impl Artifact {
    pub fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub fn sha256(&self) -> String {
        sha256(&self.bytes)
    }

    pub fn read(&self, offset: u64, length: u32) -> Result<Vec<u8>> {
        if self.reference.starts_with("secret:") {
            return Err(Problem::permanent("what came from a secret is not read"));
        }
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.bytes.len());
        Ok(self.bytes[start..].iter().take(length.min(1 << 20) as usize).copied().collect())
    }

    pub fn reference(&self) -> String {
        self.reference.clone()
    }
}

impl Draft {
    pub fn append(&self, bytes: &[u8]) -> Result<()> {
        self.bytes.borrow_mut().extend_from_slice(bytes);
        Ok(())
    }
}

pub fn open(reference: &str) -> Result<Artifact> {
    with_world(|w| {
        w.pass("artifacts", "use", "", None)?;
        let bytes = w.artifacts.get(reference).cloned();
        let bytes = bytes.ok_or_else(|| Problem::permanent(format!("there is no {reference}")))?;
        Ok(Artifact { reference: reference.into(), bytes })
    })
}

pub fn create(name: &str) -> Result<Draft> {
    with_world(|w| w.pass("artifacts", "use", "", None))?;
    Ok(Draft { name: name.into(), bytes: Vec::new().into() })
}

pub fn finish(draft: Draft) -> Result<Artifact> {
    let artifact = Artifact { reference: format!("artifact:{}", draft.name), bytes: draft.bytes.into_inner() };
    with_world(|w| w.artifacts.insert(artifact.reference.clone(), artifact.bytes.clone()));
    Ok(artifact)
}
