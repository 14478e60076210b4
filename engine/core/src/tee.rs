//! What a confidential VM offers to the steps that run in it. `sealbook-guest` implements it on the machine's vTPM.

use std::fmt;

use async_trait::async_trait;
use sealbook_attestation::maa;
use sealbook_azure::Azure;
use sealbook_crypto::rsa::RsaAesWrap;
use sealbook_crypto::{SecretBytes, SecretString, Sha256};
use sealbook_model::id::Digest;
use serde_json::Value;

use crate::step::Failure;

/// Bytes of user data that the hardware's evidence carries.
pub const USER_DATA: usize = 64;
/// Bytes of the nonce that a GPU answers (DSP0274, GET_MEASUREMENTS).
pub const GPU_NONCE: usize = 32;

/// The machine's trusted hardware, and the services that judge it and act on the judgement.
#[async_trait]
pub trait Tee: Send + Sync {
    /// Collects evidence that carries `user_data` and a fresh nonce, and has it judged by the attestation provider at
    /// `provider` (`https://….attest.azure.net`). The token that comes back is verified before it is handed on.
    ///
    /// # Errors
    /// The hardware or the provider refuses, or the token does not verify.
    async fn attest(&self, azure: &Azure, provider: &str, user_data: [u8; USER_DATA]) -> Result<Attested, Failure>;

    /// Collects the evidence of the machine's GPU over `nonce`, with what its maker publishes about it, as an evidence
    /// document that nobody has judged yet.
    ///
    /// # Errors
    /// There is no GPU, it does not answer, or the maker's services don't.
    async fn gpu(&self, azure: &Azure, nonce: [u8; GPU_NONCE]) -> Result<Value, Failure>;

    /// Has the key at `uri` released for a token, verifies who answered, and unwraps the key with the transfer key that
    /// the token names.
    ///
    /// # Errors
    /// The key store refuses, its answer does not verify, or the token is another machine's.
    async fn release(&self, azure: &Azure, uri: &str, token: &Attested, wrap: RsaAesWrap) -> Result<Released, Failure>;
}

/// A key that was released to this machine.
#[derive(Debug)]
pub struct Released {
    /// PKCS#8 for an asymmetric key, the bytes of a symmetric one.
    pub key: SecretBytes,
    /// SHA-256 of its release policy's text, as the key store signed it; none when it says none.
    pub policy: Option<Digest>,
}

/// The nonce that a step's GPU evidence answers, of its user data and 32 random bytes: it is fresh, and names the step.
#[must_use]
pub fn gpu_nonce(user_data: &[u8; USER_DATA], salt: &[u8; GPU_NONCE]) -> [u8; GPU_NONCE] {
    let mut hash = Sha256::new();
    hash.update(b"sealbook gpu evidence\n");
    hash.update(user_data);
    hash.update(salt);
    hash.finish()
}

/// A machine that was attested.
pub struct Attested {
    /// The provider's token.
    pub token: SecretString,
    /// The token's claims.
    pub claims: Value,
    /// What the machine presented, with the token, for whoever wants to verify it again.
    pub document: Value,
    /// How the machine finds the transfer key again that the token names.
    pub transfer_key: String,
}

impl Attested {
    /// The token of an evidence document, with nothing verified: whatever is asked with it has to judge it. None when
    /// it names no key that could be released to.
    #[must_use]
    pub fn presented(document: Value) -> Option<Self> {
        let token = document["token"].as_str()?;
        let claims = maa::unverified(token.as_bytes()).ok()?;
        let transfer_key = hex::encode(maa::release_key(&claims)?.n);
        Some(Self { token: token.into(), claims, transfer_key, document })
    }
}

impl fmt::Debug for Attested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attested").field("transfer_key", &self.transfer_key).finish_non_exhaustive()
    }
}
