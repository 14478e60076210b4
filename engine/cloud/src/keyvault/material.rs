//! Key material: made or taken over, sealed at rest under the identifier of its version, opened for one operation.

use sealbook_crypto::SecretBytes;
use sealbook_crypto::aes::{AesBits, AesKey};
use sealbook_crypto::ec::{Curve, EcKey, EcPublic};
use sealbook_crypto::rsa::{RsaBits, RsaKey, RsaPublic};

use super::store::Version;
use crate::cx::Cx;
use crate::refusal::Refusal;

/// What everybody may know of a version's key: the public half of a pair, the length of a symmetric key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Public {
    /// RSA.
    Rsa(RsaPublic),
    /// Elliptic curve.
    Ec(EcPublic),
    /// AES.
    Aes(AesBits),
}

/// What a key is made as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// RSA of a length.
    Rsa(RsaBits),
    /// Elliptic curve.
    Ec(Curve),
    /// AES of a length.
    Aes(AesBits),
}

impl Public {
    /// What another key must be made as to be like this one.
    pub fn shape(&self) -> Result<Shape, Refusal> {
        match self {
            Self::Rsa(public) => {
                let bits = public.bits().ok_or_else(|| Refusal::internal("a stored key has an odd length"))?;
                Ok(Shape::Rsa(bits))
            }
            Self::Ec(public) => Ok(Shape::Ec(public.curve)),
            Self::Aes(bits) => Ok(Shape::Aes(*bits)),
        }
    }
}

/// The secret half of a version.
#[derive(Debug)]
pub(super) enum Private {
    /// RSA.
    Rsa(RsaKey),
    /// Elliptic curve.
    Ec(EcKey),
    /// AES.
    Aes(AesKey),
}

impl Private {
    /// Makes a key.
    pub fn generate(shape: Shape) -> Self {
        match shape {
            Shape::Rsa(bits) => Self::Rsa(RsaKey::generate(bits)),
            Shape::Ec(curve) => Self::Ec(EcKey::generate(curve)),
            Shape::Aes(bits) => Self::Aes(AesKey::generate(bits)),
        }
    }

    /// What everybody may know of it.
    pub fn public(&self) -> Public {
        match self {
            Self::Rsa(key) => Public::Rsa(key.public()),
            Self::Ec(key) => Public::Ec(key.public()),
            Self::Aes(key) => Public::Aes(key.bits()),
        }
    }

    /// Seals it for the version `kid`.
    pub fn seal(&self, cx: &Cx<'_>, kid: &str) -> Vec<u8> {
        cx.seal(kid, self.document().expose())
    }

    /// What is sealed of it: PKCS#8 of a pair, the bytes of a symmetric key.
    pub fn document(&self) -> SecretBytes {
        match self {
            Self::Rsa(key) => key.to_pkcs8(),
            Self::Ec(key) => key.to_pkcs8(),
            Self::Aes(key) => key.expose().clone(),
        }
    }
}

/// Opens the secret half of the version `kid`.
pub(super) fn open(cx: &Cx<'_>, kid: &str, version: &Version) -> Result<Private, Refusal> {
    let document = cx.open(kid, &version.sealed)?;
    read(&version.public, document).ok_or_else(|| Refusal::internal(format!("the private key of {kid} is no key")))
}

/// Reads what [`Private::document`] wrote; `None` when it is no key of this type.
pub(super) fn read(public: &Public, document: SecretBytes) -> Option<Private> {
    match public {
        Public::Rsa(_) => RsaKey::from_pkcs8(document.expose()).ok().map(Private::Rsa),
        Public::Ec(public) => EcKey::from_pkcs8(public.curve, document.expose()).ok().map(Private::Ec),
        Public::Aes(bits) => AesKey::from_bytes(document).filter(|key| key.bits() == *bits).map(Private::Aes),
    }
}
