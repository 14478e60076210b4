//! Attestation of a confidential VM, and the judgement of evidence.

use serde_json::Value;

use super::keyvault::parse;
use crate::problem::Result;
use crate::sys;

/// Attestation.
#[derive(Debug)]
pub struct Attestation;

impl Attestation {
    /// Has the confidential VM that this step runs in judged by an attestation provider.
    ///
    /// # Errors
    /// Outside of a confidential VM, or when the provider does not accept its evidence.
    pub fn attest(&self, provider: &str) -> Result<Token> {
        sys::attestation::attest(provider).map(Token)
    }

    /// Verifies the GPU of the confidential VM that this step runs in; `rules` can demand more than is always demanded.
    ///
    /// # Errors
    /// Outside of a confidential VM with a GPU, or when its evidence does not verify.
    pub fn attest_gpu(&self, rules: &Value) -> Result<Proof> {
        sys::attestation::attest_gpu(&rules.to_string()).map(Proof)
    }

    /// Turns a reference from an earlier step into a handle again.
    ///
    /// # Errors
    /// When there is no such token in this machine.
    pub fn open(&self, reference: &str) -> Result<Token> {
        sys::attestation::open(reference).map(Token)
    }

    /// Takes the token out of an evidence document, whichever machine it is of, and vouches for nothing.
    ///
    /// # Errors
    /// Outside of a confidential VM, or when the document holds no token.
    pub fn present(&self, document: &Value) -> Result<Token> {
        sys::attestation::present(&document.to_string()).map(Token)
    }

    /// Verifies an evidence document offline. Answers the verdict: `{ checks: [{ name, outcome, detail }], facts }`.
    ///
    /// # Errors
    /// When the document is no JSON. What does not verify is a verdict.
    pub fn verify(&self, document: &Value, rules: &Value) -> Result<Value> {
        parse(sys::attestation::verify(&document.to_string(), &rules.to_string())?)
    }
}

/// What was verified of a GPU.
#[derive(Debug)]
pub struct Proof(sys::attestation::Proof);

impl Proof {
    /// The verdict: `{ checks: [{ name, outcome, detail }], facts }`.
    ///
    /// # Errors
    /// When the host's answer is no JSON.
    pub fn verdict(&self) -> Result<Value> {
        parse(self.0.verdict())
    }

    /// The evidence document.
    ///
    /// # Errors
    /// When the host's answer is no JSON.
    pub fn document(&self) -> Result<Value> {
        parse(self.0.document())
    }

    /// A typed reference (`proof:…`) for outputs. It lives as long as the machine runs.
    #[must_use]
    pub fn reference(&self) -> String {
        self.0.reference()
    }
}

/// A token of an attestation provider.
#[derive(Debug)]
pub struct Token(pub(super) sys::attestation::Token);

impl Token {
    /// Its claims, verified by the host.
    ///
    /// # Errors
    /// When the host's answer is no JSON.
    pub fn claims(&self) -> Result<Value> {
        parse(self.0.claims())
    }

    /// The evidence document: what was presented, and the token.
    ///
    /// # Errors
    /// When the host's answer is no JSON.
    pub fn document(&self) -> Result<Value> {
        parse(self.0.document())
    }

    /// A typed reference (`token:…`) for outputs. It lives as long as the machine runs.
    #[must_use]
    pub fn reference(&self) -> String {
        self.0.reference()
    }
}
