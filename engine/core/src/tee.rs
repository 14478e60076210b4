//! What a confidential VM offers to the steps that run in it. `sealbook-guest` implements it on the machine's vTPM.

use std::fmt;

use async_trait::async_trait;
use sealbook_attestation::maa;
use sealbook_azure::Azure;
use sealbook_crypto::rsa::RsaAesWrap;
use sealbook_crypto::{SecretBytes, SecretString};
use serde_json::Value;

use crate::step::Failure;

/// Bytes of user data that the hardware's evidence carries.
pub const USER_DATA: usize = 64;

/// The machine's trusted hardware, and the services that judge it and act on the judgement.
#[async_trait]
pub trait Tee: Send + Sync {
    /// Collects evidence that carries `user_data` and a fresh nonce, and has it judged by the attestation provider at
    /// `provider` (`https://….attest.azure.net`). The token that comes back is verified before it is handed on.
    ///
    /// # Errors
    /// The hardware or the provider refuses, or the token does not verify.
    async fn attest(&self, azure: &Azure, provider: &str, user_data: [u8; USER_DATA]) -> Result<Attested, Failure>;

    /// Has the key at `uri` released for a token, verifies who answered, and unwraps the key with the transfer key that
    /// the token names. Returns the key: PKCS#8 for an asymmetric one, the bytes of a symmetric one.
    ///
    /// # Errors
    /// The key store refuses, its answer does not verify, or the token is another machine's.
    async fn release(
        &self,
        azure: &Azure,
        uri: &str,
        token: &Attested,
        wrap: RsaAesWrap,
    ) -> Result<SecretBytes, Failure>;
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
