//! Key material: made or taken over, sealed at rest under the identifier of its version, opened for one operation.

use sealbook_crypto::SecretBytes;
use sealbook_crypto::ec::{Curve, EcKey, EcPublic};
use sealbook_crypto::rsa::{RsaBits, RsaKey, RsaPublic};

use super::store::Version;
use crate::cx::Cx;
use crate::refusal::Refusal;

/// The public half of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Public {
    /// RSA.
    Rsa(RsaPublic),
    /// Elliptic curve.
    Ec(EcPublic),
}

/// What a key is made as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// RSA of a length.
    Rsa(RsaBits),
    /// Elliptic curve.
    Ec(Curve),
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
        }
    }
}

/// The private half of a version.
#[derive(Debug)]
pub(super) enum Private {
    /// RSA.
    Rsa(RsaKey),
    /// Elliptic curve.
    Ec(EcKey),
}

impl Private {
    /// Makes a key pair.
    pub fn generate(shape: Shape) -> Self {
        match shape {
            Shape::Rsa(bits) => Self::Rsa(RsaKey::generate(bits)),
            Shape::Ec(curve) => Self::Ec(EcKey::generate(curve)),
        }
    }

    /// The public half.
    pub fn public(&self) -> Public {
        match self {
            Self::Rsa(key) => Public::Rsa(key.public()),
            Self::Ec(key) => Public::Ec(key.public()),
        }
    }

    /// Seals it for the version `kid`.
    pub fn seal(&self, cx: &Cx<'_>, kid: &str) -> Vec<u8> {
        let document: SecretBytes = match self {
            Self::Rsa(key) => key.to_pkcs8(),
            Self::Ec(key) => key.to_pkcs8(),
        };
        cx.seal(kid, document.expose())
    }
}

/// Opens the private half of the version `kid`.
pub(super) fn open(cx: &Cx<'_>, kid: &str, version: &Version) -> Result<Private, Refusal> {
    let document = cx.open(kid, &version.sealed)?;
    let opened = match &version.public {
        Public::Rsa(_) => RsaKey::from_pkcs8(document.expose()).map(Private::Rsa),
        Public::Ec(public) => EcKey::from_pkcs8(public.curve, document.expose()).map(Private::Ec),
    };
    opened.map_err(|why| Refusal::internal(format!("the private key of {kid}: {why}")))
}
