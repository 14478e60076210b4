//! What a release answers: a JSON Web Signature (RFC 7515, compact) over what was asked and the wrapped key.
//!
//! Vaults and managed HSMs differ in it, as Azure's do: in how the header names the leaf, in the key type, and in what
//! the policy's envelope shows.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sealbook_attestation::release;
use sealbook_crypto::{sha1, sha256};
use serde_json::{Map, Value, json};

use super::super::keystore::Kind;
use super::chain::Signer;

/// What is released, and to whom.
pub(super) struct Released<'a> {
    /// Api-version of the request.
    pub api: &'a str,
    /// Identifier of the key as it was asked for, without a version when none was named.
    pub asked_kid: String,
    /// How the key is wrapped.
    pub enc: &'a str,
    /// The caller's nonce.
    pub nonce: Option<&'a str>,
    /// The key as it is shown otherwise (`KeyBundle`).
    pub bundle: Map<String, Value>,
    /// The name of the environment's key.
    pub recipient: &'a str,
    /// The wrapped key.
    pub wrapped: &'a [u8],
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Signs a release of a key store of a kind.
pub(super) fn sign(kind: Kind, released: &Released<'_>, signer: &Signer) -> String {
    let part = |document: &Value| text(document.to_string().as_bytes());
    let signed = format!("{}.{}", part(&header(kind, signer)), part(&payload(kind, released)));
    let signature = text(&signer.key.sign_rs256(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn header(kind: Kind, signer: &Signer) -> Value {
    let [leaf, ..] = &signer.chain;
    let chain: Vec<String> = signer.chain.iter().map(|der| STANDARD.encode(der)).collect();
    let digest = text(&sha256(leaf));
    match kind {
        Kind::Vault => json!({
            "alg": "RS256",
            "kid": hex::encode_upper(sha1(leaf)),
            "x5t": text(&sha1(leaf)),
            "typ": "JWT",
            "x5t#S256": digest,
            "x5c": chain,
        }),
        Kind::Hsm => json!({ "alg": "RS256", "kid": digest, "x5c": chain, "x5t#S256": digest }),
    }
}

fn payload(kind: Kind, released: &Released<'_>) -> Value {
    let mut bundle = released.bundle.clone();
    match kind {
        Kind::Vault => {
            if let Some(policy) = bundle.get_mut("release_policy").and_then(Value::as_object_mut) {
                policy.shift_remove("contentType");
            }
        }
        // A managed HSM writes the type of a key that leaves it without the hardware.
        Kind::Hsm => {
            if let Some(kty) = bundle.get_mut("key").and_then(|key| key.get_mut("kty")) {
                *kty = kty.as_str().unwrap_or_default().trim_end_matches("-HSM").into();
            }
        }
    }
    let Released { api, asked_kid, enc, nonce, recipient, wrapped, .. } = released;
    release::payload(api, asked_kid, enc, *nonce, bundle, &release::key_hsm(recipient, enc, wrapped))
}
