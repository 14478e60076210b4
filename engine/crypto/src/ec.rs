//! ECDSA (FIPS 186-5) as Azure Key Vault uses it: over digests, signatures as `r ‖ s` (RFC 7518 §3.4).
//!
//! ```
//! use sealbook_crypto::ec::{Curve, EcKey};
//!
//! let key = EcKey::generate(Curve::P256);
//! let digest = Curve::P256.hash().digest(b"a message");
//! let signature = key.sign(&digest)?;
//! key.public().verify(&digest, &signature)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P256K1_SHA256_FIXED,
    ECDSA_P256K1_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    EcdsaVerificationAlgorithm, KeyPair as _, UnparsedPublicKey,
};
use zeroize::Zeroizing;

use crate::{BadKey, BadSignature, Digest, Hash, SecretBytes};

/// A curve, each with the one hash that its signatures use here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Curve {
    /// NIST P-256, secp256r1.
    P256,
    /// NIST P-384, secp384r1.
    P384,
    /// NIST P-521, secp521r1.
    P521,
    /// secp256k1.
    P256K,
}

impl Curve {
    /// Every curve.
    pub const ALL: [Self; 4] = [Self::P256, Self::P384, Self::P521, Self::P256K];

    /// Returns the name in Key Vault's JSON Web Keys. What it calls `P-256K` is `secp256k1` elsewhere (RFC 8812).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
            Self::P256K => "P-256K",
        }
    }

    /// Reads a name; `None` for a curve that is not offered.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|curve| curve.name() == name)
    }

    /// Returns the length of a coordinate, of `r` and of `s`, in bytes.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::P256 | Self::P256K => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// Returns the hash whose digests its keys sign.
    #[must_use]
    pub fn hash(self) -> Hash {
        match self {
            Self::P256 | Self::P256K => Hash::Sha256,
            Self::P384 => Hash::Sha384,
            Self::P521 => Hash::Sha512,
        }
    }

    fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
            Self::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
            Self::P521 => &ECDSA_P521_SHA512_FIXED_SIGNING,
            Self::P256K => &ECDSA_P256K1_SHA256_FIXED_SIGNING,
        }
    }

    fn verification(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_FIXED,
            Self::P384 => &ECDSA_P384_SHA384_FIXED,
            Self::P521 => &ECDSA_P521_SHA512_FIXED,
            Self::P256K => &ECDSA_P256K1_SHA256_FIXED,
        }
    }

    /// Brings a number to the length of the curve; `None` when it is too long.
    fn padded(self, number: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
        let number = &number[start..];
        let missing = self.bytes().checked_sub(number.len())?;
        let mut padded = Zeroizing::new(vec![0; self.bytes()]);
        padded[missing..].copy_from_slice(number);
        Some(padded)
    }
}

/// Says that a digest comes from another hash than the curve's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the digest comes from another hash than the key's curve signs")]
pub struct WrongHash;

/// The public half: a point, its coordinates big-endian with the length of the curve.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EcPublic {
    /// Curve.
    pub curve: Curve,
    /// First coordinate.
    pub x: Vec<u8>,
    /// Second coordinate.
    pub y: Vec<u8>,
}

impl EcPublic {
    /// Checks a signature `r ‖ s` over a digest.
    ///
    /// # Errors
    /// [`BadSignature`] when it does not verify, whatever the reason.
    pub fn verify(&self, digest: &Digest, signature: &[u8]) -> Result<(), BadSignature> {
        let point = self.point().ok_or(BadSignature)?;
        UnparsedPublicKey::new(self.curve.verification(), point)
            .verify_digest(&digest.digest, signature)
            .map_err(|_| BadSignature)
    }

    /// The uncompressed form of SEC 1 §2.3.3.
    fn point(&self) -> Option<Vec<u8>> {
        let mut point = vec![4];
        point.extend_from_slice(&self.curve.padded(&self.x)?);
        point.extend_from_slice(&self.curve.padded(&self.y)?);
        Some(point)
    }
}

impl fmt::Debug for EcPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EcPublic({})", self.curve.name())
    }
}

/// An elliptic-curve key pair. The private half lives in the library's memory, which is wiped when it is freed.
pub struct EcKey {
    curve: Curve,
    pair: EcdsaKeyPair,
}

impl EcKey {
    /// Makes a new key pair.
    ///
    /// # Panics
    /// When the operating system gives no entropy.
    #[must_use]
    pub fn generate(curve: Curve) -> Self {
        match EcdsaKeyPair::generate(curve.signing()) {
            Ok(pair) => Self { curve, pair },
            Err(_) => panic!("no elliptic-curve key could be made: the operating system gave no entropy"),
        }
    }

    /// Reads a PKCS#8 document (RFC 5208).
    ///
    /// # Errors
    /// [`BadKey`] when the bytes are no private key of this curve.
    pub fn from_pkcs8(curve: Curve, document: &[u8]) -> Result<Self, BadKey> {
        let pair = EcdsaKeyPair::from_pkcs8(curve.signing(), document).map_err(|_| BadKey)?;
        Ok(Self { curve, pair })
    }

    /// Builds a key from the parts of a JSON Web Key (RFC 7518 §6.2): the point and the private number.
    ///
    /// # Errors
    /// [`BadKey`] when the point is not on the curve or does not belong to the private number.
    pub fn from_components(public: &EcPublic, d: &SecretBytes) -> Result<Self, BadKey> {
        let private = public.curve.padded(d.expose()).ok_or(BadKey)?;
        let point = public.point().ok_or(BadKey)?;
        let pair = EcdsaKeyPair::from_private_key_and_public_key(public.curve.signing(), &private, &point)
            .map_err(|_| BadKey)?;
        Ok(Self { curve: public.curve, pair })
    }

    /// Writes the private key as a PKCS#8 document (RFC 5208).
    ///
    /// # Panics
    /// When memory for the document is not to be had.
    #[must_use]
    pub fn to_pkcs8(&self) -> SecretBytes {
        match self.pair.to_pkcs8v1() {
            Ok(document) => SecretBytes::new(document.as_ref().to_vec()),
            Err(_) => panic!("an elliptic-curve key could not be encoded: out of memory"),
        }
    }

    /// Returns the public half.
    #[must_use]
    pub fn public(&self) -> EcPublic {
        let point = self.pair.public_key().as_ref();
        let (x, y) = point[1..].split_at(self.curve.bytes());
        EcPublic { curve: self.curve, x: x.to_vec(), y: y.to_vec() }
    }

    /// Signs a digest; the signature is `r ‖ s`, each with the length of the curve.
    ///
    /// # Errors
    /// [`WrongHash`] when another hash made the digest than the curve's own.
    ///
    /// # Panics
    /// When memory for the operation is not to be had.
    pub fn sign(&self, digest: &Digest) -> Result<Vec<u8>, WrongHash> {
        if digest.hash() != self.curve.hash() {
            return Err(WrongHash);
        }
        match self.pair.sign_digest(&digest.digest) {
            Ok(signature) => Ok(signature.as_ref().to_vec()),
            Err(_) => panic!("an elliptic-curve signature could not be made: out of memory"),
        }
    }
}

impl fmt::Debug for EcKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EcKey({}, ..)", self.curve.name())
    }
}
