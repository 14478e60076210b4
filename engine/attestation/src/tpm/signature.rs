//! Signatures of a TPM: TPMT_SIGNATURE (TPM 2.0 library, part 2, §11.3.4).

use std::fmt;

use sealbook_crypto::Hash;
use sealbook_crypto::rsa::SignaturePadding;

use super::Bank;
use crate::bytes::Reader;
use crate::x509::PublicKey;

const TPM_ALG_RSASSA: u16 = 0x0014;
const TPM_ALG_RSAPSS: u16 = 0x0016;
const TPM_ALG_ECDSA: u16 = 0x0018;

/// Why a signature does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It cannot be read, or is of a kind that is not understood.
    #[error("{0}")]
    Format(String),
    /// It does not belong to this message and key.
    #[error("the attestation key did not sign this quote")]
    Wrong,
}

/// A signature of a quote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuoteSignature {
    /// RSASSA.
    Rsa {
        /// The padding.
        padding: SignaturePadding,
        /// The hash.
        hash: Hash,
        /// The bytes.
        signature: Vec<u8>,
    },
    /// ECDSA, numbers with the highest byte first.
    Ecdsa {
        /// The hash.
        hash: Hash,
        /// r.
        r: Vec<u8>,
        /// s.
        s: Vec<u8>,
    },
}

impl QuoteSignature {
    /// Reads TPMT_SIGNATURE; bytes exactly as long as an RSA key's modulus are RSASSA-PKCS1-v1_5 with SHA-256, the one
    /// scheme of Azure's attestation keys.
    ///
    /// # Errors
    /// [`SignatureError::Format`].
    pub fn parse(bytes: &[u8], key: &PublicKey) -> Result<Self, SignatureError> {
        if let PublicKey::Rsa(key) = key
            && key.n.len() == bytes.len()
        {
            let (padding, hash) = (SignaturePadding::Pkcs1v15, Hash::Sha256);
            return Ok(Self::Rsa { padding, hash, signature: bytes.to_vec() });
        }
        let short = || SignatureError::Format("the signature ends too early".into());
        let mut reader = Reader::new(bytes);
        let scheme = reader.u16_be().ok_or_else(short)?;
        let id = reader.u16_be().ok_or_else(short)?;
        let hash = match Bank::from_id(id) {
            Some(Bank::Sha256) => Hash::Sha256,
            Some(Bank::Sha384) => Hash::Sha384,
            Some(Bank::Sha512) => Hash::Sha512,
            _ => return Err(SignatureError::Format(format!("the hash {id:#06x} is not accepted"))),
        };
        let mut number = || reader.sized_be().ok_or_else(short).map(<[u8]>::to_vec);
        let signature = match scheme {
            TPM_ALG_RSASSA => Self::Rsa { padding: SignaturePadding::Pkcs1v15, hash, signature: number()? },
            TPM_ALG_RSAPSS => Self::Rsa { padding: SignaturePadding::Pss, hash, signature: number()? },
            TPM_ALG_ECDSA => Self::Ecdsa { hash, r: number()?, s: number()? },
            other => return Err(SignatureError::Format(format!("the scheme {other:#06x} is not understood"))),
        };
        match reader.rest().len() {
            0 => Ok(signature),
            more => Err(SignatureError::Format(format!("{more} bytes follow the signature"))),
        }
    }

    /// Writes TPMT_SIGNATURE.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let id = |hash: Hash| match hash {
            Hash::Sha256 => Bank::Sha256.id(),
            Hash::Sha384 => Bank::Sha384.id(),
            Hash::Sha512 => Bank::Sha512.id(),
        };
        let (scheme, hash, numbers) = match self {
            Self::Rsa { padding: SignaturePadding::Pkcs1v15, hash, signature } => {
                (TPM_ALG_RSASSA, hash, vec![signature])
            }
            Self::Rsa { padding: SignaturePadding::Pss, hash, signature } => (TPM_ALG_RSAPSS, hash, vec![signature]),
            Self::Ecdsa { hash, r, s } => (TPM_ALG_ECDSA, hash, vec![r, s]),
        };
        let mut out = [scheme.to_be_bytes(), id(*hash).to_be_bytes()].concat();
        for number in numbers {
            out.extend(u16::try_from(number.len()).unwrap_or(u16::MAX).to_be_bytes());
            out.extend(number);
        }
        out
    }

    /// Checks it.
    ///
    /// # Errors
    /// [`SignatureError::Wrong`], also when the key is of another kind.
    pub fn verify(&self, key: &PublicKey, message: &[u8]) -> Result<(), SignatureError> {
        let result = match (self, key) {
            (Self::Rsa { padding, hash, signature }, PublicKey::Rsa(key)) => {
                key.verify(*padding, &hash.digest(message), signature)
            }
            (Self::Ecdsa { hash, r, s }, PublicKey::Ec(key)) if key.curve.hash() == *hash => {
                let length = key.curve.bytes();
                let mut fixed = Vec::with_capacity(2 * length);
                for number in [r, s] {
                    let missing = length.checked_sub(number.len()).ok_or(SignatureError::Wrong)?;
                    fixed.resize(fixed.len() + missing, 0);
                    fixed.extend_from_slice(number);
                }
                key.verify(&hash.digest(message), &fixed)
            }
            _ => return Err(SignatureError::Wrong),
        };
        result.map_err(|_| SignatureError::Wrong)
    }
}

impl fmt::Display for QuoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, hash) = match self {
            Self::Rsa { padding: SignaturePadding::Pkcs1v15, hash, .. } => ("RSASSA-PKCS1-v1_5", hash),
            Self::Rsa { padding: SignaturePadding::Pss, hash, .. } => ("RSASSA-PSS", hash),
            Self::Ecdsa { hash, .. } => ("ECDSA", hash),
        };
        write!(f, "{name} with SHA-{}", hash.bytes() * 8)
    }
}
