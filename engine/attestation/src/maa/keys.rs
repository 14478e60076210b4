//! Signing keys of an attestation service: the JSON Web Key Set (RFC 7517) that `{issuer}/certs` answers.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls_pki_types::CertificateDer;
use sealbook_crypto::rsa::RsaPublic;
use sealbook_crypto::sha256;
use serde_json::Value;
use webpki::EndEntityCert;

use crate::json::{self, JsonError};
use crate::{jwk, line};

/// The longest set that is read, in bytes. The service's have 40 KB: their certificates carry an SGX quote.
const MAX_BYTES: usize = 1024 * 1024;
/// The most keys that are looked at.
const MAX_KEYS: usize = 100;
/// Key lengths that are used, in bits (RFC 7518 §3.3 demands 2048; the library goes to 8192).
const BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The keys that an issuer signs with.
#[derive(Debug, Clone, Default)]
pub struct SigningKeys {
    usable: Vec<SigningKey>,
    refused: Vec<RefusedKey>,
}

/// One key that may be used.
#[derive(Debug, Clone)]
pub(super) struct SigningKey {
    kid: String,
    pub(super) public: RsaPublic,
    certified: bool,
}

/// An entry of the set that is never used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedKey {
    /// Its key identifier, when it has one.
    pub kid: Option<String>,
    /// Why it is not used.
    pub why: String,
}

/// Why a document is no key set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// No JSON, too long, nested too deep, or a name twice.
    #[error("the signing keys cannot be read: {0}")]
    Json(#[from] JsonError),
    /// It has no list of keys.
    #[error("the document has no `keys`; a JSON Web Key Set is an object with a list of them")]
    NoKeys,
    /// It has more keys than are looked at.
    #[error("the document has {0} keys; more than 100 are not read")]
    TooMany(usize),
}

impl SigningKeys {
    /// Reads a key set. Entries that must not be used (no key identifier, another key type, fewer than 2048 bits, a
    /// certificate for another key) are kept apart with the reason; the service's own set has had such an entry.
    ///
    /// # Errors
    /// [`KeysError`] when the document is no key set at all.
    pub fn parse(jwks: &[u8]) -> Result<Self, KeysError> {
        let document = json::read(jwks, MAX_BYTES, 8)?;
        let keys = document.get("keys").and_then(Value::as_array).ok_or(KeysError::NoKeys)?;
        if keys.len() > MAX_KEYS {
            return Err(KeysError::TooMany(keys.len()));
        }
        let mut all = Self::default();
        for key in keys {
            let kid = key.get("kid").and_then(Value::as_str).filter(|kid| !kid.is_empty());
            match (kid, public(key)) {
                (Some(kid), Ok((public, certified))) => {
                    all.usable.push(SigningKey { kid: kid.to_owned(), public, certified });
                }
                (None, _) => {
                    all.refused.push(RefusedKey { kid: None, why: "it has no key identifier (kid)".to_owned() })
                }
                (Some(kid), Err(why)) => all.refused.push(RefusedKey { kid: Some(kid.to_owned()), why }),
            }
        }
        Ok(all)
    }

    /// Returns the identifiers of the keys that may be used.
    pub fn usable(&self) -> impl Iterator<Item = &str> {
        self.usable.iter().map(|key| key.kid.as_str())
    }

    /// Returns the entries that are never used.
    #[must_use]
    pub fn refused(&self) -> &[RefusedKey] {
        &self.refused
    }

    /// Finds the keys of an identifier. Sets may name one twice while a certificate is replaced.
    pub(super) fn find(&self, kid: Option<&str>) -> Result<Vec<&SigningKey>, String> {
        let kid = kid.ok_or("the header names no key (kid)")?;
        let found: Vec<_> = self.usable.iter().filter(|key| key.kid == kid).collect();
        if !found.is_empty() {
            return Ok(found);
        }
        let shown = line::shorten(kid);
        match self.refused.iter().find(|key| key.kid.as_deref() == Some(kid)) {
            Some(key) => Err(format!("the key {shown} is not used: {}", key.why)),
            None => Err(format!("the issuer serves no key {shown}; it serves {}", self.names())),
        }
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.usable.iter().take(8).map(|key| line::shorten(&key.kid)).collect();
        if names.is_empty() { "none that may be used".to_owned() } else { names.join(", ") }
    }
}

impl SigningKey {
    /// The key for people.
    pub(super) fn words(&self) -> String {
        let bits = bits(&self.public);
        let named = self.public.to_spki_pem().is_ok_and(|pem| key_id(&pem) == self.kid);
        let origin = if self.certified { ", from its certificate" } else { "" };
        let rule = if named { ", named after the key" } else { "" };
        format!("{}, {bits} bits{origin}{rule}", line::shorten(&self.kid))
    }
}

/// Names a key as the service does: BASE64(SHA-256(text || 0x00)), where text is the PEM of its `SubjectPublicKeyInfo`
/// with its line ends. Found on recorded keys; documented nowhere. Older keys have thumbprints of certificates.
#[must_use]
pub fn key_id(spki_pem: &str) -> String {
    BASE64_STANDARD.encode(sha256(&[spki_pem.as_bytes(), &[0]].concat()))
}

/// The public key of an entry, out of its first certificate (`x5c`), its `n` and `e`, or both; and whether there was a
/// certificate.
fn public(key: &Value) -> Result<(RsaPublic, bool), String> {
    match key.get("kty") {
        Some(Value::String(kty)) if kty == "RSA" => {}
        other => {
            return Err(format!("its type is {}, not RSA", other.map_or_else(|| "missing".to_owned(), line::show)));
        }
    }
    if let Some(usage) = key.get("use").filter(|usage| *usage != "sig") {
        return Err(format!("it is for {}, not for signatures", line::show(usage)));
    }
    let certified = key.get("x5c").map(|chain| certified(chain.get(0))).transpose()?;
    let bare = (key.get("n").is_some() || key.get("e").is_some()).then(|| bare(key)).transpose()?;
    let (public, certified) = match (certified, bare) {
        (Some(certified), Some(bare)) if certified != bare => {
            return Err("its certificate (x5c) is for another key than n and e".to_owned());
        }
        (Some(public), _) => (public, true),
        (None, Some(public)) => (public, false),
        (None, None) => return Err("it has neither a certificate (x5c) nor n and e".to_owned()),
    };
    if !jwk::sound(&public.e) {
        return Err("its exponent is even or one: what it signs can be forged".to_owned());
    }
    let bits = bits(&public);
    if !BITS.contains(&bits) {
        return Err(format!("it has {bits} bits; {} to {} are used", BITS.start(), BITS.end()));
    }
    Ok((public, certified))
}

fn certified(certificate: Option<&Value>) -> Result<RsaPublic, String> {
    let certificate = certificate.and_then(Value::as_str).and_then(|text| BASE64_STANDARD.decode(text).ok());
    let certificate = CertificateDer::from(certificate.ok_or("its certificate (x5c) is not BASE64")?);
    let certificate =
        EndEntityCert::try_from(&certificate).map_err(|why| format!("its certificate is not read: {why:?}"))?;
    RsaPublic::from_spki(&certificate.subject_public_key_info())
        .map_err(|_| "its certificate is not for an RSA key".to_owned())
}

fn bare(key: &Value) -> Result<RsaPublic, String> {
    let public = jwk::components(key).ok_or("its n or e is not BASE64URL")?;
    // The library says whether the numbers are a key at all.
    public.to_spki().map_err(|_| "its n and e are no RSA key".to_owned())?;
    Ok(public)
}

fn bits(public: &RsaPublic) -> usize {
    let leading = public.n.first().map_or(0, |byte| byte.leading_zeros() as usize);
    (public.n.len() * 8).saturating_sub(leading)
}
