//! What Azure Key Vault and Managed HSM answer to `release`: a JSON Web Signature over the request and the wrapped key.
//!
//! The answer travels through the caller's network like any other; that it is signed is what lets a guest know that *its*
//! vault released *the* key it asked for, wrapped to *its* environment. The layout is that of releases recorded from real
//! key stores, where the API's page only says "a signed object":
//!
//! - header `{alg: RS256, kid, x5c: [leaf, issuing CA, root], x5t#S256}`; the leaf is the certificate of the vault's TLS
//!   endpoint. A managed HSM's `kid` is the leaf's SHA-256 thumbprint in BASE64URL, a vault's its SHA-1 thumbprint in hex
//! - payload `{request: {api-version, enc, kid, nonce?}, response: {key: KeyBundle}}`
//! - `response.key.key.key_hsm`: BASE64URL of `{schema_version: "1.0", header: {alg: "dir", enc, kid}, ciphertext}`, where
//!   `header.kid` names the environment's key and `ciphertext` is BASE64URL of the wrap ([`RsaAesWrap`])
//!
//! All vaults of Azure share the names of one certificate (`*.vault.azure.net`), so the signature alone does not tell
//! vaults apart: the key's identifier in the signed payload does, and is compared. Nothing in the answer is a time: only
//! a nonce tells it from an earlier one.

mod answer;
mod chain;

pub use answer::{key_hsm, payload};

use sealbook_crypto::SecretBytes;
use sealbook_crypto::rsa::{RsaAesWrap, RsaError, RsaKey};
use serde_json::Value;

use crate::jws::Jws;
use crate::line;
use crate::{Roots, Verdict};

/// The longest answer that is read, in bytes. Real ones have 14 KB.
pub const MAX_BYTES: usize = 256 * 1024;

/// What an answer must be to.
#[derive(Debug, Clone, Copy)]
pub struct ReleaseRules<'a> {
    /// Host of the vault or managed HSM that was asked.
    pub vault_host: &'a str,
    /// Identifier of the key that was asked for, with or without a version.
    pub kid: &'a str,
    /// The wrap that was asked for (`enc`), by its name.
    pub enc: &'a str,
    /// The nonce that was sent.
    pub nonce: Option<&'a str>,
    /// The api-version of the request; `None` when it is not known any more.
    pub api_version: Option<&'a str>,
    /// Key identifier of the environment's key in the token (`x-ms-runtime`).
    pub tee_kid: &'a str,
    /// What chains may end at; of them, those for services ([`Kind::Tls`](crate::roots::Kind::Tls)).
    pub roots: &'a Roots,
    /// The instant for which certificates are judged, Unix seconds.
    pub now: i64,
}

/// A key that was released, still wrapped.
#[derive(Debug, Clone, PartialEq)]
pub struct Released {
    /// The signed payload.
    pub payload: Value,
    /// The wrapped key: RSA-OAEP of an AES key, then AES key wrap with padding.
    pub key_hsm: Vec<u8>,
    /// How it is wrapped, by Key Vault's name.
    pub enc: String,
    /// Identifier of the released key, with its version.
    pub kid: String,
}

impl Released {
    /// Opens the wrap with the environment's private key: a PKCS #8 document for RSA and EC keys, the bare bytes for
    /// symmetric ones.
    ///
    /// # Errors
    /// [`RsaError::Decrypt`] for every reason alike.
    pub fn unwrap(&self, key: &RsaKey) -> Result<SecretBytes, RsaError> {
        RsaAesWrap::from_name(&self.enc).ok_or(RsaError::Decrypt)?.unwrap(key, &self.key_hsm)
    }
}

/// Verifies an answer. The checks are `release.format`, `release.algorithm`, `release.chain`, `release.root`,
/// `release.validity`, `release.certificate` (the header's thumbprints), `release.host`, `release.signature`, then what
/// was asked: `release.kid`, `release.enc`, `release.nonce`, `release.api_version`; and what came: `release.key` (it is
/// the key that was asked for), `release.wrap`, `release.recipient` (it is wrapped to the environment's key). The key is
/// given only when all hold.
#[must_use]
pub fn verify(jws: &str, rules: &ReleaseRules<'_>) -> (Verdict, Option<Released>) {
    let mut verdict = Verdict::default();
    let parsed = Jws::parse(jws, MAX_BYTES);
    let Some(jws) = verdict.demand("release.format", parsed, |_| format!("a signature of {} bytes", jws.len())) else {
        return (verdict, None);
    };
    verdict.demand("release.algorithm", jws.rs256(), |name| (*name).to_owned());
    chain::verify(&jws, rules, &mut verdict);
    let released = answer::verify(jws.payload, rules, &mut verdict);
    let released = released.filter(|_| verdict.passed());
    (verdict, released)
}

/// Where a key is: `https://{host}/keys/{name}[/{version}]`.
#[derive(Debug, Clone, Copy)]
struct KeyId<'a> {
    host: &'a str,
    name: &'a str,
    version: Option<&'a str>,
}

impl<'a> KeyId<'a> {
    fn parse(kid: &'a str) -> Option<Self> {
        let authority = crate::https::authority(kid)?;
        let path = kid.get("https://".len() + authority.len()..)?.strip_prefix("/keys/")?;
        let path = path.strip_suffix('/').unwrap_or(path);
        let (name, version) = path.split_once('/').map_or((path, None), |(name, version)| (name, Some(version)));
        let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let valid = plain(name) && version.is_none_or(plain);
        valid.then_some(Self { host: crate::https::host(authority), name, version })
    }

    /// Whether another identifier is this key: names and hosts are compared as the service does, whatever their case; a
    /// version only when this one has it.
    fn covers(self, other: Self) -> bool {
        self.host.eq_ignore_ascii_case(other.host)
            && self.name.eq_ignore_ascii_case(other.name)
            && self.version.is_none_or(|version| other.version == Some(version))
    }
}

/// Compares a text of the answer with what it must be.
fn same(verdict: &mut Verdict, name: &str, seen: Option<&str>, expected: &str) -> bool {
    let shown = seen.map_or_else(|| "nothing".to_owned(), line::shorten);
    let holds = seen == Some(expected);
    verdict.check(name, holds, if holds { shown } else { format!("{shown}; {} was expected", line::shorten(expected)) })
}

#[cfg(test)]
mod tests;
