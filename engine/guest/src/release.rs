//! Attestation by Microsoft Azure Attestation, and keys that a key store releases for it.
//!
//! What the published tools leave out is done here: the token is verified (signature, issuer, times, that it answers this
//! nonce and names this machine's transfer key), and so is the released key's JWS (chain, key store, key, nonce).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sealbook_attestation::azure_guest::{self, EncryptedToken, TOKEN_AAD};
use sealbook_attestation::maa::{self, Metadata, SigningKeys, TokenRules};
use sealbook_attestation::policy::{Encoded, Evaluation};
use sealbook_attestation::release::{self, ReleaseRules};
use sealbook_attestation::{Roots, Verdict, document};
use sealbook_azure::{Azure, AzureError};
use sealbook_crypto::aes::{AesKey, Sealed};
use sealbook_crypto::rsa::RsaAesWrap;
use sealbook_crypto::{AesKek, SecretBytes, SecretString};
use sealbook_engine::step::{AzureCause, Failure, StepError};
use sealbook_engine::tee::{Attested, GPU_NONCE, Released, Tee, USER_DATA};
use sealbook_model::id::Digest;
use sealbook_model::problem::codes;
use serde_json::Value;
use tpm2_protocol::data::TpmAlgId;

use crate::collect::{CollectError, Collected, collect};
use crate::hardware::Hardware;
use crate::tpm::{Padding, REPORT, Tpm, TpmError};

/// How often, and how far apart, the report is read again until it shows the user data.
const AGAIN: (u32, Duration) = (30, Duration::from_secs(1));
/// How often, and how far apart, a refused key is looked at whose role to read it may be late.
const LATE: (u32, Duration) = (10, Duration::from_secs(1));
/// How far clocks may differ, in seconds.
const LEEWAY: i64 = 300;
/// Bytes of a nonce.
const NONCE: usize = 32;

/// Opens the machine's TPM.
pub type Open = Arc<dyn Fn() -> io::Result<Box<dyn Hardware>> + Send + Sync>;

/// The machine's trusted hardware, and the services that judge it.
pub struct Release {
    open: Open,
    roots: Roots,
    clock: Arc<dyn Fn() -> i64 + Send + Sync>,
}

impl Release {
    /// `roots` are whom answers of key stores must lead to, `clock` tells unix seconds.
    pub fn new(open: Open, roots: Roots, clock: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self { open, roots, clock: Arc::new(clock) }
    }

    /// Talks to the TPM, away from the threads that drive other calls.
    async fn with_tpm<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tpm) -> Result<T, CollectError> + Send + 'static,
    ) -> Result<T, Failure> {
        let open = Arc::clone(&self.open);
        let done = tokio::task::spawn_blocking(move || {
            let mut tpm = Tpm::new(open().map_err(TpmError::from)?);
            work(&mut tpm)
        });
        match done.await {
            Ok(result) => result.map_err(|error| hardware(&error)),
            Err(error) => Err(permanent(format!("the TPM was not asked: {error}"))),
        }
    }

    /// Whether there is something to attest: the TPM of a confidential VM shows its paravisor's report.
    ///
    /// # Errors
    /// There is no TPM, or this process may not use it.
    pub async fn has_report(&self) -> Result<bool, Failure> {
        self.with_tpm(|tpm| Ok(tpm.nv_find(REPORT)?.is_some())).await
    }

    async fn collect(
        &self,
        certificates: &str,
        user_data: Option<[u8; USER_DATA]>,
        nonce: &[u8],
    ) -> Result<Collected, Failure> {
        let mut left = AGAIN.0;
        loop {
            let (certificates, nonce) = (certificates.to_owned(), nonce.to_vec());
            let collected = self.with_tpm(move |tpm| match collect(tpm, &certificates, user_data.as_ref(), &nonce) {
                Err(CollectError::NotYet) => Ok(None),
                collected => collected.map(Some),
            });
            match collected.await? {
                Some(collected) => return Ok(collected),
                None if left == 0 => return Err(hardware(&CollectError::NotYet)),
                None => {
                    left -= 1;
                    tokio::time::sleep(AGAIN.1).await;
                }
            }
        }
    }

    /// Decrypts a token with the transfer key.
    async fn open_token(&self, answer: String) -> Result<SecretString, Failure> {
        let token = EncryptedToken::from_text(&answer)
            .map_err(|error| permanent(format!("the attestation provider's answer can't be read: {error}")))?;
        let EncryptedToken { jwt, encrypted_inner_key, encryption_params, authentication_data } = token;
        let key = self
            .with_tpm(move |tpm| {
                let transfer = tpm.transfer_key()?;
                let key = tpm.decrypt(&transfer, Padding::Pkcs1, &encrypted_inner_key.0);
                tpm.forget(transfer)?;
                Ok(key?)
            })
            .await?;
        let unreadable = || permanent("the attestation provider's token is not encrypted for this machine".into());
        let nonce = encryption_params.iv.0.try_into().map_err(|_| unreadable())?;
        let tag = authentication_data.0.try_into().map_err(|_| unreadable())?;
        let key = AesKey::from_bytes(key).ok_or_else(unreadable)?;
        let token = key.decrypt_gcm(TOKEN_AAD, &Sealed { nonce, ciphertext: jwt.0, tag }).map_err(|_| unreadable())?;
        let text = std::str::from_utf8(token.expose()).map_err(|_| unreadable())?;
        Ok(SecretString::from(text))
    }

    /// Verifies a token as this machine's answer to `nonce`.
    async fn verify_token(
        &self,
        azure: &Azure,
        provider: &str,
        token: &SecretString,
        nonce: &[u8],
        transfer: &[u8],
        seen: &mut Verdict,
    ) -> Result<(Value, Value), Failure> {
        let client = azure.attestations();
        let metadata = client.metadata(provider).await.map_err(|error| refused(&error))?;
        Metadata::parse(metadata.to_string().as_bytes(), provider).map_err(|error| unverified(&error.to_string()))?;
        let served = client.signing_keys(provider).await.map_err(|error| refused(&error))?;
        let keys = SigningKeys::parse(served.to_string().as_bytes()).map_err(|error| unverified(&error.to_string()))?;
        let rules = TokenRules { issuer: Some(provider), keys: &keys, now: (self.clock)(), leeway: LEEWAY };
        let (mut verdict, claims) = maa::verify(token.expose(), &rules);
        let claims = claims.map(|claims| claims.value().clone()).unwrap_or_default();
        let answered = claims.pointer("/x-ms-runtime/client-payload/nonce").and_then(Value::as_str).unwrap_or_default();
        let same = STANDARD.decode(answered).is_ok_and(|answered| answered == nonce);
        verdict.check("token.nonce", same, "the token answers this request");
        let key = maa::release_key(&claims);
        let same = key.is_some_and(|key| key.n == transfer);
        verdict.check("token.transfer_key", same, "the token names this machine's transfer key");
        demand(verdict, seen)?;
        Ok((claims, served))
    }

    /// Has the machine attested, as [`Tee::attest`] does, for a caller who wants to see each check: they are noted in
    /// `seen`, those that fail too. Without `user_data` the report's stays as it is; the evidence answers `nonce`, of at
    /// most 64 bytes.
    ///
    /// # Errors
    /// As [`Tee::attest`].
    pub async fn prove(
        &self,
        azure: &Azure,
        provider: &str,
        user_data: Option<[u8; USER_DATA]>,
        nonce: &[u8],
        seen: &mut Verdict,
    ) -> Result<Attested, Failure> {
        let provider = provider.trim_end_matches('/');
        let client = azure.attestations();
        let processor = client.processor().await.map_err(|error| refused(&error))?;
        let part = |name: &str| processor[name].as_str().unwrap_or_default();
        let certificates = format!("{}\n{}", part("vcekCert").trim_end(), part("certificateChain"));
        let Collected { hcl_report, quote, registers, transfer_key, info } =
            self.collect(&certificates, user_data, nonce).await?;
        let answer = client.attest(provider, "AzureGuest", azure_guest::API, &info.body()).await;
        let token = self.open_token(answer.map_err(|error| refused(&error))?).await?;
        let verified = self.verify_token(azure, provider, &token, nonce, &transfer_key, seen);
        let (claims, signing_keys) = verified.await?;
        let document = document::write(&document::Parts {
            provider,
            nonce,
            hcl_report: &hcl_report,
            vcek: &certificates,
            quote: &quote.message,
            signature: &quote.signature,
            registers: &registers,
            // It may be long, and what it explains is in the quote: the registers.
            event_log: None,
            token: token.expose(),
            signing_keys: &signing_keys,
        });
        Ok(Attested { token, claims, document, transfer_key: hex::encode(&transfer_key) })
    }

    /// Has a key released, as [`Tee::release`] does, for a caller who wants to see each check: they are noted in `seen`,
    /// those that fail too. [`unmet`] says more of a refusal.
    ///
    /// # Errors
    /// As [`Tee::release`].
    pub async fn obtain(
        &self,
        azure: &Azure,
        uri: &str,
        token: &Attested,
        wrap: RsaAesWrap,
        seen: &mut Verdict,
    ) -> Result<Obtained, Failure> {
        let nonce = hex::encode(sealbook_crypto::random::<NONCE>());
        let answer = azure.keys().release(uri, &token.token, wrap.name(), &nonce).await;
        let answer = answer.map_err(|error| refused(&error))?;
        let recipient = maa::release_key(&token.claims)
            .ok_or_else(|| permanent("the token names no key that a key could be released to".into()))?;
        let host = uri.trim_start_matches("https://").split('/').next().unwrap_or_default();
        let rules = ReleaseRules {
            vault_host: host,
            kid: uri,
            enc: wrap.name(),
            nonce: Some(&nonce),
            api_version: None,
            tee_kid: &recipient.kid,
            roots: &self.roots,
            now: (self.clock)(),
        };
        let (verdict, released) = release::verify(answer.expose(), &rules);
        demand(verdict, seen)?;
        let released = released.ok_or_else(|| unverified("the answer holds no key"))?;
        let key = self.unwrap(&released.key_hsm, wrap, recipient.n.len(), token.transfer_key.clone()).await?;
        Ok(Obtained { key, bundle: released.payload["response"]["key"].clone() })
    }

    /// Opens a wrapped key: its first `head` bytes with the transfer key, which should be the one named `expected`, and
    /// what is behind them with the key that comes out.
    async fn unwrap(
        &self,
        wrapped: &[u8],
        wrap: RsaAesWrap,
        head: usize,
        expected: String,
    ) -> Result<SecretBytes, Failure> {
        let hash = match wrap {
            RsaAesWrap::Ckm => TpmAlgId::Sha1,
            RsaAesWrap::Sha256 => TpmAlgId::Sha256,
            RsaAesWrap::Sha384 => TpmAlgId::Sha384,
        };
        let (head, tail) = wrapped
            .split_at_checked(head)
            .map(|(head, tail)| (head.to_vec(), tail))
            .ok_or_else(|| unverified("the released key is not wrapped for this machine"))?;
        let ephemeral = self
            .with_tpm(move |tpm| {
                let transfer = tpm.transfer_key()?;
                let ours = hex::encode(&transfer.n) == expected;
                let key = tpm.decrypt(&transfer, Padding::Oaep(hash), &head);
                tpm.forget(transfer)?;
                // For another machine's token the TPM was asked all the same.
                if ours { Ok(Some(key?)) } else { Ok(key.ok()) }
            })
            .await?;
        let ephemeral = ephemeral.ok_or_else(|| {
            Failure::from(StepError::Precondition {
                message: "the key was released, and it is wrapped for the machine of the token: this machine's TPM can't open it. The token is another machine's, or of before this one was restarted".into(),
                fix: "attest this machine, and ask with the token that it gets".into(),
            })
        })?;
        let wrong = || unverified("the released key does not unwrap on this machine");
        AesKek::new(ephemeral).map_err(|_| wrong())?.unwrap_padded(tail).map_err(|_| wrong())
    }
}

/// What the policy in a key's bundle says to a token; none when there is none that can be read.
#[must_use]
pub fn evaluate(bundle: &Value, token: &Attested) -> Option<Evaluation> {
    let policy = Encoded::envelope(&bundle["release_policy"]).ok()?.policy;
    Some(policy.evaluate(token.claims["iss"].as_str()?, &token.claims))
}

/// What the policy of a key says to a token for which it was not released. A key store does not tell which clause stands
/// in the way; whoever may read the key finds out. None when the policy is not what stands in the way, or can't be read.
pub async fn unmet(azure: &Azure, uri: &str, token: &Attested, failure: &Failure) -> Option<Evaluation> {
    failure.azure.as_ref().filter(|cause| cause.status == 403)?;
    let bundle = readable(azure, uri).await?;
    evaluate(&bundle, token).filter(|evaluation| !evaluation.released)
}

/// The key's bundle, if this machine may read it. The role may have been given together with the one to have the key
/// released, and be on its way still.
async fn readable(azure: &Azure, uri: &str) -> Option<Value> {
    let mut left = LATE.0;
    loop {
        match azure.keys().get(uri).await {
            Err(error) if error.is_role_missing() && left > 0 => {
                left -= 1;
                tokio::time::sleep(LATE.1).await;
            }
            found => return found.ok().flatten(),
        }
    }
}

/// A key that was released to this machine.
#[derive(Debug)]
pub struct Obtained {
    /// PKCS#8 for an asymmetric key, the bytes of a symmetric one.
    pub key: SecretBytes,
    /// The key's bundle as the key store signed it (`KeyBundle`: `key`, `attributes`, `release_policy`).
    pub bundle: Value,
}

#[async_trait]
impl Tee for Release {
    async fn attest(&self, azure: &Azure, provider: &str, user_data: [u8; USER_DATA]) -> Result<Attested, Failure> {
        let nonce = sealbook_crypto::random::<NONCE>();
        self.prove(azure, provider, Some(user_data), &nonce, &mut Verdict::default()).await
    }

    async fn gpu(&self, _: &Azure, _: [u8; GPU_NONCE]) -> Result<Value, Failure> {
        Err(StepError::Precondition {
            message: "this machine has no GPU that could be attested".into(),
            fix: "run this step in a confidential VM with a GPU".into(),
        }
        .into())
    }

    async fn release(&self, azure: &Azure, uri: &str, token: &Attested, wrap: RsaAesWrap) -> Result<Released, Failure> {
        let mut failure = match self.obtain(azure, uri, token, wrap, &mut Verdict::default()).await {
            Ok(Obtained { key, bundle }) => return Ok(Released { key, policy: policy_digest(&bundle) }),
            Err(failure) => failure,
        };
        let unmet = unmet(azure, uri, token, &failure).await;
        if let (StepError::Permanent { message }, Some(evaluation)) = (&mut failure.error, unmet) {
            message.push_str(&format!(" Not met: {}", evaluation.reason()));
        }
        Err(failure)
    }
}

/// SHA-256 of the policy's text in a key's bundle.
fn policy_digest(bundle: &Value) -> Option<Digest> {
    let data = bundle["release_policy"]["data"].as_str()?;
    let text = URL_SAFE_NO_PAD.decode(data.trim_end_matches('=')).ok()?;
    Some(Digest::of(&text))
}

/// Notes a verdict, and turns one that did not pass into a failure that names the check.
fn demand(verdict: Verdict, seen: &mut Verdict) -> Result<(), Failure> {
    let answer = match verdict.deciding() {
        None if verdict.passed() => Ok(()),
        None => Err(unverified("nothing could be checked")),
        Some(check) => Err(unverified(&format!("{}: {}", check.name, check.detail))),
    };
    seen.absorb(verdict);
    answer
}

fn unverified(why: &str) -> Failure {
    let message = format!("it did not verify: {why}");
    StepError::Component { code: codes::EVIDENCE_REFUSED.into(), message }.into()
}

fn permanent(message: String) -> Failure {
    StepError::Permanent { message }.into()
}

fn hardware(error: &CollectError) -> Failure {
    match error {
        CollectError::NotYet => StepError::Transient { message: error.to_string(), retry_after: None }.into(),
        CollectError::Tpm(TpmError::Device(_)) => StepError::Precondition {
            message: error.to_string(),
            fix: "run in a confidential VM with a vTPM, as root or in the group tss".into(),
        }
        .into(),
        _ => permanent(error.to_string()),
    }
}

fn refused(error: &AzureError) -> Failure {
    let azure = Some(AzureCause { status: error.status, code: error.code.clone() });
    let message = error.to_string();
    let error = match error.is_transient() {
        true => StepError::Transient { message, retry_after: error.retry_after },
        false => StepError::Permanent { message },
    };
    Failure { error, azure }
}
