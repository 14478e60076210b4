//! Key encryption keys: what wraps the content key of a sealed file, and how they stand in files.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::header::{ContentKey, Wrap};
use super::{SealedError, cobblestone};
use crate::rsa::{Padding, RsaComponents, RsaKey, RsaPublic};
use crate::{AesKek, SecretBytes};

/// A key encryption key. An RSA key wraps with RSA-OAEP-256, an AES key of 256 bits with A256KW.
#[derive(Debug)]
pub enum Kek {
    /// The public half: it wraps and does not unwrap.
    RsaPublic(RsaPublic),
    /// The pair.
    Rsa(Box<RsaKey>),
    /// An AES key.
    Aes(AesKek),
}

impl Kek {
    /// Wraps a content key.
    ///
    /// # Errors
    /// [`SealedError::KeyLength`], [`SealedError::Kek`].
    pub fn wrap(&self, key: &SecretBytes, kid: Option<String>) -> Result<ContentKey, SealedError> {
        if key.len() != cobblestone::KEY {
            return Err(SealedError::KeyLength(key.len()));
        }
        let rsa = |public: &RsaPublic| {
            public
                .encrypt(Padding::OaepSha256, key.expose())
                .map_err(|_| SealedError::Kek("it is no RSA key of 2048, 3072 or 4096 bits"))
        };
        let (wrap, wrapped) = match self {
            Self::RsaPublic(public) => (Wrap::RsaOaep256, rsa(public)?),
            Self::Rsa(pair) => (Wrap::RsaOaep256, rsa(&pair.public())?),
            Self::Aes(aes) => (Wrap::A256Kw, a256(aes)?.wrap(key.expose()).map_err(|_| SealedError::Library)?),
        };
        Ok(ContentKey::Wrapped { wrap, kid, wrapped })
    }

    /// Unwraps a content key.
    ///
    /// # Errors
    /// [`SealedError::Kek`] when this key does not fit the wrap, [`SealedError::Unwrap`] for every other reason.
    pub fn unwrap(&self, key: &ContentKey) -> Result<SecretBytes, SealedError> {
        match (key, self) {
            (ContentKey::Direct { .. }, _) => {
                Err(SealedError::Kek("the file's header holds no wrapped key: the content key itself opens it"))
            }
            (ContentKey::Wrapped { wrap: Wrap::RsaOaep256, wrapped, .. }, Self::Rsa(pair)) => {
                pair.decrypt(Padding::OaepSha256, wrapped).map_err(|_| SealedError::Unwrap)
            }
            (ContentKey::Wrapped { wrap: Wrap::RsaOaep256, .. }, Self::RsaPublic(_)) => {
                Err(SealedError::Kek("it is the public half, and unwrapping takes the private one"))
            }
            (ContentKey::Wrapped { wrap: Wrap::A256Kw, wrapped, .. }, Self::Aes(aes)) => {
                a256(aes)?.unwrap(wrapped).map_err(|_| SealedError::Unwrap)
            }
            (ContentKey::Wrapped { wrap: Wrap::RsaOaep256, .. }, Self::Aes(_)) => {
                Err(SealedError::Kek("the content key is wrapped with RSA-OAEP-256, and this is an AES key"))
            }
            (ContentKey::Wrapped { wrap: Wrap::A256Kw, .. }, _) => {
                Err(SealedError::Kek("the content key is wrapped with A256KW, and this is an RSA key"))
            }
        }
    }
}

fn a256(aes: &AesKek) -> Result<&AesKek, SealedError> {
    match aes.bits() {
        256 => Ok(aes),
        _ => Err(SealedError::Kek("A256KW takes an AES key of 256 bits")),
    }
}

/// Why the bytes are no key encryption key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadKek(&'static str);

const FORMS: BadKek = BadKek("it is none of: a JSON Web Key, PEM with PUBLIC KEY or PRIVATE KEY, 32 raw bytes");
const NO_RSA: BadKek = BadKek("it is no RSA key of 2048, 3072 or 4096 bits, or its parts do not fit together");

/// A key encryption key from a file, with its id where the file names one.
#[derive(Debug)]
pub struct KekFile {
    /// The key.
    pub kek: Kek,
    /// Its id.
    pub kid: Option<String>,
}

impl KekFile {
    /// Reads a JSON Web Key (RFC 7517; `RSA`, `oct`, and Key Vault's `RSA-HSM`, `oct-HSM`), a key as Key Vault answers
    /// it (`{"key": …}`), PEM (RFC 7468: `PUBLIC KEY`, `PRIVATE KEY`), or the 32 raw bytes of an AES key.
    ///
    /// # Errors
    /// [`BadKek`] says what is wrong.
    pub fn parse(bytes: &SecretBytes) -> Result<Self, BadKek> {
        let text = bytes.expose();
        let start = text.trim_ascii_start();
        let plain = |kek| Self { kek, kid: None };
        if start.starts_with(b"-----BEGIN") {
            return pem(start).map(plain);
        }
        if text.len() != 32 && start.starts_with(b"{") {
            return match serde_json::from_slice::<Bundle>(text) {
                Ok(bundle) => bundle.key.read(),
                Err(_) => serde_json::from_slice::<Jwk>(text).map_err(|_| BadKek("it is no JSON Web Key"))?.read(),
            };
        }
        match text.len() {
            32 => AesKek::new(bytes.clone()).map(Kek::Aes).map(plain).map_err(|_| FORMS),
            _ => Err(FORMS),
        }
    }
}

fn pem(text: &[u8]) -> Result<Kek, BadKek> {
    if let Ok(document) = PrivatePkcs8KeyDer::from_pem_slice(text) {
        let pair = RsaKey::from_pkcs8(document.secret_pkcs8_der()).map_err(|_| NO_RSA)?;
        return Ok(Kek::Rsa(Box::new(pair)));
    }
    if let Ok(info) = SubjectPublicKeyInfoDer::from_pem_slice(text) {
        let public = RsaPublic::from_spki(&info).ok().filter(|key| key.bits().is_some());
        return public.map(Kek::RsaPublic).ok_or(NO_RSA);
    }
    Err(BadKek("it is PEM without PUBLIC KEY or PRIVATE KEY (openssl pkcs8 -topk8 -nocrypt makes the latter)"))
}

/// A key as Key Vault answers it.
#[derive(Deserialize)]
struct Bundle {
    key: Jwk,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    n: Option<String>,
    e: Option<String>,
    d: Option<Secret>,
    p: Option<Secret>,
    q: Option<Secret>,
    dp: Option<Secret>,
    dq: Option<Secret>,
    qi: Option<Secret>,
    k: Option<Secret>,
}

/// A private part, wiped when it goes.
#[derive(Deserialize)]
#[serde(from = "String")]
struct Secret(Zeroizing<String>);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl Jwk {
    fn read(self) -> Result<KekFile, BadKek> {
        let kek = match self.kty.as_str() {
            "RSA" | "RSA-HSM" => self.rsa()?,
            "oct" | "oct-HSM" => {
                let k = secret(self.k.as_ref(), "the JSON Web Key has no `k`: an AES key of an HSM does not leave it")?;
                Kek::Aes(AesKek::new(k).map_err(|_| BadKek("`k` is no AES key"))?)
            }
            _ => return Err(BadKek("a JSON Web Key of this type wraps no keys: `kty` must be RSA or oct")),
        };
        Ok(KekFile { kek, kid: self.kid })
    }

    fn rsa(&self) -> Result<Kek, BadKek> {
        let number = |text: Option<&String>| {
            let bytes = decode(text.ok_or(BadKek("the JSON Web Key has no `n` or `e`"))?)?;
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            Ok(bytes.get(zeros..).unwrap_or_default().to_vec())
        };
        let public = RsaPublic { n: number(self.n.as_ref())?, e: number(self.e.as_ref())? };
        if self.d.is_none() {
            return public.bits().map(|_| Kek::RsaPublic(public)).ok_or(NO_RSA);
        }
        let part =
            |text: &Option<Secret>| secret(text.as_ref(), "the private JSON Web Key lacks one of p, q, dp, dq, qi");
        let parts = RsaComponents {
            public,
            d: part(&self.d)?,
            p: part(&self.p)?,
            q: part(&self.q)?,
            dp: part(&self.dp)?,
            dq: part(&self.dq)?,
            qi: part(&self.qi)?,
        };
        RsaKey::from_components(&parts).map(|pair| Kek::Rsa(Box::new(pair))).map_err(|_| NO_RSA)
    }
}

fn secret(text: Option<&Secret>, missing: &'static str) -> Result<SecretBytes, BadKek> {
    decode(&text.ok_or(BadKek(missing))?.0).map(SecretBytes::new)
}

/// base64url without padding (RFC 7515 §2).
fn decode(text: &str) -> Result<Vec<u8>, BadKek> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| BadKek("a part of the JSON Web Key is not base64url"))
}
