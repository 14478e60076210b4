//! Keys and signature algorithms of certificates (RFC 3279, RFC 4055, RFC 5480, RFC 5758).

use std::fmt;

use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier, UintRef};
use der::{Decode as _, Sequence};
use sealbook_crypto::ec::{Curve, EcPublic};
use sealbook_crypto::rsa::{RsaPublic, SignaturePadding};
use sealbook_crypto::{BadSignature, Hash};

use super::X509Error;

/// How a certificate, or something else, was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// RSASSA; in PSS the mask generation uses the same hash and the salt has its length.
    Rsa(SignaturePadding, Hash),
    /// ECDSA, the signature in DER (`SEQUENCE { r, s }`).
    Ecdsa(Hash),
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, hash) = match self {
            Self::Rsa(SignaturePadding::Pkcs1v15, hash) => ("RSASSA-PKCS1-v1_5", hash),
            Self::Rsa(SignaturePadding::Pss, hash) => ("RSASSA-PSS", hash),
            Self::Ecdsa(hash) => ("ECDSA", hash),
        };
        write!(f, "{name} with SHA-{}", hash.bytes() * 8)
    }
}

#[derive(Sequence)]
struct Identifier<'a> {
    oid: ObjectIdentifier,
    parameters: Option<AnyRef<'a>>,
}

/// RSASSA-PSS-params (RFC 4055 §3.1). Real certificates write defaults out, against DER: everything is optional here.
#[derive(Sequence)]
struct PssParameters<'a> {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    hash: Option<Identifier<'a>>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    mask: Option<Identifier<'a>>,
    #[asn1(context_specific = "2", tag_mode = "EXPLICIT", optional = "true")]
    salt: Option<u32>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    trailer: Option<u32>,
}

fn hash(oid: &str) -> Option<Hash> {
    match oid {
        "2.16.840.1.101.3.4.2.1" => Some(Hash::Sha256),
        "2.16.840.1.101.3.4.2.2" => Some(Hash::Sha384),
        "2.16.840.1.101.3.4.2.3" => Some(Hash::Sha512),
        _ => None,
    }
}

impl SignatureAlgorithm {
    /// Reads an AlgorithmIdentifier.
    ///
    /// # Errors
    /// [`X509Error::Unsupported`] names what is not understood.
    pub fn from_der(der: &[u8]) -> Result<Self, X509Error> {
        let identifier = Identifier::from_der(der)?;
        let pkcs1 = |hash| Ok(Self::Rsa(SignaturePadding::Pkcs1v15, hash));
        match identifier.oid.to_string().as_str() {
            "1.2.840.113549.1.1.11" => pkcs1(Hash::Sha256),
            "1.2.840.113549.1.1.12" => pkcs1(Hash::Sha384),
            "1.2.840.113549.1.1.13" => pkcs1(Hash::Sha512),
            "1.2.840.10045.4.3.2" => Ok(Self::Ecdsa(Hash::Sha256)),
            "1.2.840.10045.4.3.3" => Ok(Self::Ecdsa(Hash::Sha384)),
            "1.2.840.10045.4.3.4" => Ok(Self::Ecdsa(Hash::Sha512)),
            "1.2.840.113549.1.1.10" => pss(identifier.parameters),
            other => Err(X509Error::Unsupported(format!("the signature algorithm {other} is not understood"))),
        }
    }
}

fn pss(parameters: Option<AnyRef<'_>>) -> Result<SignatureAlgorithm, X509Error> {
    let unsupported = |what: &str| X509Error::Unsupported(format!("RSASSA-PSS {what}"));
    let parameters: PssParameters<'_> = parameters.ok_or_else(|| unsupported("without parameters"))?.decode_as()?;
    let digest = parameters.hash.and_then(|h| hash(&h.oid.to_string()));
    let digest = digest.ok_or_else(|| unsupported("with another hash than SHA-256, SHA-384 or SHA-512"))?;
    let mask = parameters.mask.filter(|mask| mask.oid.to_string() == "1.2.840.113549.1.1.8");
    let masked = mask.and_then(|mask| mask.parameters).and_then(|inner| inner.decode_as::<Identifier<'_>>().ok());
    if masked.and_then(|inner| hash(&inner.oid.to_string())) != Some(digest) {
        return Err(unsupported("with another hash for the mask"));
    }
    if parameters.salt.and_then(|salt| usize::try_from(salt).ok()) != Some(digest.bytes()) {
        return Err(unsupported("with a salt of another length than the hash"));
    }
    if parameters.trailer.is_some_and(|trailer| trailer != 1) {
        return Err(unsupported("with another trailer"));
    }
    Ok(SignatureAlgorithm::Rsa(SignaturePadding::Pss, digest))
}

/// A public key of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// RSA.
    Rsa(RsaPublic),
    /// A point on a NIST curve.
    Ec(EcPublic),
}

#[derive(Sequence)]
struct Spki<'a> {
    algorithm: Identifier<'a>,
    key: BitStringRef<'a>,
}

#[derive(Sequence)]
struct RsaPublicKey<'a> {
    n: UintRef<'a>,
    e: UintRef<'a>,
}

/// Ecdsa-Sig-Value (RFC 3279 §2.2.3).
#[derive(Sequence)]
struct EcdsaSignature<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo in DER.
    ///
    /// # Errors
    /// [`X509Error::Unsupported`] for another kind of key or curve, [`X509Error::Encoding`] for a broken one.
    pub fn from_spki(der: &[u8]) -> Result<Self, X509Error> {
        let spki = Spki::from_der(der)?;
        let key = spki.key.as_bytes().ok_or_else(|| X509Error::Encoding("the key has odd bits".into()))?;
        match spki.algorithm.oid.to_string().as_str() {
            "1.2.840.113549.1.1.1" => {
                let key = RsaPublicKey::from_der(key)?;
                Ok(Self::Rsa(RsaPublic { n: key.n.as_bytes().to_vec(), e: key.e.as_bytes().to_vec() }))
            }
            "1.2.840.10045.2.1" => {
                let curve = spki.algorithm.parameters.map(|p| p.decode_as::<ObjectIdentifier>()).transpose()?;
                let curve = curve.map(|oid| oid.to_string()).unwrap_or_default();
                let curve = match curve.as_str() {
                    "1.2.840.10045.3.1.7" => Curve::P256,
                    "1.3.132.0.34" => Curve::P384,
                    "1.3.132.0.35" => Curve::P521,
                    other => return Err(X509Error::Unsupported(format!("the curve {other} is not understood"))),
                };
                let (x, y) = (key.strip_prefix(&[4]).filter(|point| point.len() == 2 * curve.bytes()))
                    .and_then(|point| point.split_at_checked(curve.bytes()))
                    .ok_or_else(|| X509Error::Unsupported("the point is not uncompressed".into()))?;
                Ok(Self::Ec(EcPublic { curve, x: x.to_vec(), y: y.to_vec() }))
            }
            other => Err(X509Error::Unsupported(format!("keys of the algorithm {other} are not understood"))),
        }
    }

    /// Checks a signature.
    ///
    /// # Errors
    /// In words: the algorithm does not fit the key, or the signature does not verify.
    pub fn verify(&self, algorithm: SignatureAlgorithm, message: &[u8], signature: &[u8]) -> Result<(), String> {
        let wrong = |_: BadSignature| "it does not verify with the issuer's key".to_owned();
        match (self, algorithm) {
            (Self::Rsa(key), SignatureAlgorithm::Rsa(padding, hash)) => {
                key.verify(padding, &hash.digest(message), signature).map_err(wrong)
            }
            (Self::Ec(key), SignatureAlgorithm::Ecdsa(hash)) if key.curve.hash() == hash => {
                let length = key.curve.bytes();
                let parts = EcdsaSignature::from_der(signature).ok();
                let fixed = parts.and_then(|EcdsaSignature { r, s }| {
                    let mut fixed = vec![0; length.checked_sub(r.as_bytes().len())?];
                    fixed.extend_from_slice(r.as_bytes());
                    fixed.resize(length + length.checked_sub(s.as_bytes().len())?, 0);
                    fixed.extend_from_slice(s.as_bytes());
                    Some(fixed)
                });
                key.verify(&hash.digest(message), &fixed.ok_or("it is no pair of numbers")?).map_err(wrong)
            }
            _ => Err(format!("{algorithm} does not fit the issuer's key")),
        }
    }
}
