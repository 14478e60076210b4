//! RSA as Azure Key Vault uses it: 2048, 3072 and 4096 bits; RSAES (RFC 8017 §7) and RSASSA (RFC 8017 §8).
//!
//! ```
//! use sealbook_crypto::rsa::{Padding, RsaBits, RsaKey};
//!
//! let key = RsaKey::generate(RsaBits::B2048);
//! let wrapped = key.public().encrypt(Padding::OaepSha256, b"a data key")?;
//! let opened = key.decrypt(Padding::OaepSha256, &wrapped)?;
//! assert_eq!(opened.expose(), b"a data key");
//! # Ok::<(), sealbook_crypto::rsa::RsaError>(())
//! ```

mod digests;
mod spki;
mod transfer;
mod wrap;

pub use digests::SignaturePadding;
pub use transfer::{TransferBlob, TransferBlobError};
pub use wrap::RsaAesWrap;

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{
    KeyPair, KeyPairComponents, KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384,
    OaepAlgorithm, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, Pkcs1PrivateDecryptingKey,
    Pkcs1PublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey, PublicKeyComponents,
};
use aws_lc_rs::signature::{self, KeyPair as _};

use crate::{BadKey, BadSignature, SecretBytes};

/// Length of an RSA modulus in bits. Other lengths are no keys here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RsaBits {
    /// 2048 bits.
    B2048,
    /// 3072 bits.
    B3072,
    /// 4096 bits.
    B4096,
}

impl RsaBits {
    /// Reads a number of bits; `None` for a length that is not offered.
    #[must_use]
    pub fn from_bits(bits: u64) -> Option<Self> {
        match bits {
            2048 => Some(Self::B2048),
            3072 => Some(Self::B3072),
            4096 => Some(Self::B4096),
            _ => None,
        }
    }

    /// Returns the number of bits.
    #[must_use]
    pub fn bits(self) -> usize {
        match self {
            Self::B2048 => 2048,
            Self::B3072 => 3072,
            Self::B4096 => 4096,
        }
    }

    /// Returns the number of bytes of a modulus, a ciphertext or a signature.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.bits() / 8
    }

    fn size(self) -> KeySize {
        match self {
            Self::B2048 => KeySize::Rsa2048,
            Self::B3072 => KeySize::Rsa3072,
            Self::B4096 => KeySize::Rsa4096,
        }
    }
}

/// How a message is padded before the RSA operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Padding {
    /// RSAES-PKCS1-v1_5 (`RSA1_5`); old, kept because Key Vault offers it.
    Pkcs1v15,
    /// RSAES-OAEP with SHA-1 for hash and MGF1 and no label (`RSA-OAEP`).
    OaepSha1,
    /// RSAES-OAEP with SHA-256 for hash and MGF1 and no label (`RSA-OAEP-256`).
    OaepSha256,
    /// RSAES-OAEP with SHA-384 for hash and MGF1 and no label.
    OaepSha384,
}

impl Padding {
    /// Returns the longest message that fits a key of this length, in bytes.
    #[must_use]
    pub fn capacity(self, bits: RsaBits) -> usize {
        bits.bytes()
            - match self {
                Self::Pkcs1v15 => 11,
                Self::OaepSha1 => 2 * 20 + 2,
                Self::OaepSha256 => 2 * 32 + 2,
                Self::OaepSha384 => 2 * 48 + 2,
            }
    }

    fn oaep(self) -> Option<&'static OaepAlgorithm> {
        match self {
            Self::Pkcs1v15 => None,
            Self::OaepSha1 => Some(&OAEP_SHA1_MGF1SHA1),
            Self::OaepSha256 => Some(&OAEP_SHA256_MGF1SHA256),
            Self::OaepSha384 => Some(&OAEP_SHA384_MGF1SHA384),
        }
    }
}

/// Why an RSA encryption or decryption gave no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RsaError {
    /// The message does not fit the key with this padding.
    #[error("the message has {length} bytes and the key takes at most {capacity} with this padding")]
    TooLong {
        /// Length of the message in bytes.
        length: usize,
        /// What fits, in bytes.
        capacity: usize,
    },
    /// The ciphertext was not made for this key and padding, or was changed. No more is told, on purpose:
    /// telling padding errors apart is what Bleichenbacher's and Manger's attacks need.
    #[error("the ciphertext does not decrypt with this key and padding")]
    Decrypt,
    /// The library refused the public key.
    #[error("the public key cannot be used for encryption")]
    PublicKey,
}

/// The public half: modulus and exponent as big-endian bytes without leading zeros, as a JSON Web Key has them.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RsaPublic {
    /// Modulus.
    pub n: Vec<u8>,
    /// Public exponent.
    pub e: Vec<u8>,
}

impl RsaPublic {
    /// Returns the length of the modulus, `None` for a length that is not offered.
    #[must_use]
    pub fn bits(&self) -> Option<RsaBits> {
        let leading = self.n.first()?.leading_zeros() as usize;
        RsaBits::from_bits((self.n.len() * 8 - leading) as u64)
    }

    /// Encrypts a short message (a data key, say) for the holder of the private key.
    ///
    /// # Errors
    /// [`RsaError::TooLong`] when it does not fit, [`RsaError::PublicKey`] when the key is no usable RSA key.
    pub fn encrypt(&self, padding: Padding, message: &[u8]) -> Result<Vec<u8>, RsaError> {
        let bits = self.bits().ok_or(RsaError::PublicKey)?;
        let capacity = padding.capacity(bits);
        if message.len() > capacity {
            return Err(RsaError::TooLong { length: message.len(), capacity });
        }
        let key: PublicEncryptingKey =
            PublicKeyComponents { n: &self.n, e: &self.e }.try_into().map_err(|_| RsaError::PublicKey)?;
        let mut out = vec![0; bits.bytes()];
        let length = match padding.oaep() {
            None => Pkcs1PublicEncryptingKey::new(key).and_then(|key| key.encrypt(message, &mut out).map(|c| c.len())),
            Some(oaep) => OaepPublicEncryptingKey::new(key)
                .and_then(|key| key.encrypt(oaep, message, &mut out, None).map(|c| c.len())),
        }
        .map_err(|_| RsaError::PublicKey)?;
        out.truncate(length);
        Ok(out)
    }

    /// Checks an RS256 signature (RSASSA-PKCS1-v1_5 with SHA-256; RFC 7518 §3.3) over `message`.
    ///
    /// # Errors
    /// [`BadSignature`] when it does not verify.
    pub fn verify_rs256(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        PublicKeyComponents { n: &self.n, e: &self.e }
            .verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, signature)
            .map_err(|_| BadSignature)
    }
}

impl fmt::Debug for RsaPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaPublic({} bits)", self.n.len() * 8)
    }
}

/// The parts of an RSA private key as a JSON Web Key carries them (RFC 7518 §6.3), big-endian, for import.
#[derive(Debug)]
pub struct RsaComponents {
    /// Modulus and public exponent.
    pub public: RsaPublic,
    /// Private exponent.
    pub d: SecretBytes,
    /// First prime factor.
    pub p: SecretBytes,
    /// Second prime factor.
    pub q: SecretBytes,
    /// `d mod (p - 1)`.
    pub dp: SecretBytes,
    /// `d mod (q - 1)`.
    pub dq: SecretBytes,
    /// `q⁻¹ mod p`.
    pub qi: SecretBytes,
}

/// An RSA key pair. The private half lives in the library's memory, which is wiped when it is freed.
pub struct RsaKey {
    bits: RsaBits,
    signing: KeyPair,
    decrypting: PrivateDecryptingKey,
}

impl RsaKey {
    /// Makes a new key pair with exponent 65537. Takes 0.05 to 1 s: keep it off threads that must not wait.
    ///
    /// # Panics
    /// When the operating system gives no entropy.
    #[must_use]
    pub fn generate(bits: RsaBits) -> Self {
        let made = KeyPair::generate(bits.size()).ok().and_then(|pair| Self::from_pair(pair).ok());
        match made {
            Some(key) => key,
            None => panic!("no RSA key could be made: the operating system gave no entropy"),
        }
    }

    /// Reads a PKCS#8 document (RFC 5208).
    ///
    /// # Errors
    /// [`BadKey`] when the bytes are no RSA private key of an offered length, or its parts contradict each other.
    pub fn from_pkcs8(document: &[u8]) -> Result<Self, BadKey> {
        Self::from_pair(KeyPair::from_pkcs8(document).map_err(|_| BadKey)?)
    }

    /// Builds a key from the parts of a JSON Web Key, and tries it: factors that are no primes fit together too, but
    /// what is encrypted under such a key is lost.
    ///
    /// # Errors
    /// [`BadKey`] when the parts contradict each other, the key does not work, or its length is not offered.
    pub fn from_components(parts: &RsaComponents) -> Result<Self, BadKey> {
        let pair = KeyPair::from_components(&KeyPairComponents {
            public_key: PublicKeyComponents { n: &parts.public.n[..], e: &parts.public.e[..] },
            d: parts.d.expose(),
            p: parts.p.expose(),
            q: parts.q.expose(),
            dP: parts.dp.expose(),
            dQ: parts.dq.expose(),
            qInv: parts.qi.expose(),
        });
        let key = Self::from_pair(pair.map_err(|_| BadKey)?)?;
        let probe = crate::random::<32>();
        let wrapped = key.encrypt(Padding::OaepSha256, &probe).map_err(|_| BadKey)?;
        match key.decrypt(Padding::OaepSha256, &wrapped) {
            Ok(back) if crate::constant_time_eq(back.expose(), &probe) => Ok(key),
            _ => Err(BadKey),
        }
    }

    /// Writes the private key as a PKCS#8 document (RFC 5208).
    ///
    /// # Panics
    /// When memory for the document is not to be had.
    #[must_use]
    pub fn to_pkcs8(&self) -> SecretBytes {
        match AsDer::<Pkcs8V1Der<'_>>::as_der(&self.signing) {
            Ok(der) => SecretBytes::new(der.as_ref().to_vec()),
            Err(_) => panic!("an RSA key could not be encoded: out of memory"),
        }
    }

    /// Returns the length of the key.
    #[must_use]
    pub fn bits(&self) -> RsaBits {
        self.bits
    }

    /// Returns the public half.
    #[must_use]
    pub fn public(&self) -> RsaPublic {
        let public = self.signing.public_key();
        RsaPublic {
            n: public.modulus().big_endian_without_leading_zero().to_vec(),
            e: public.exponent().big_endian_without_leading_zero().to_vec(),
        }
    }

    /// Encrypts with the public half.
    ///
    /// # Errors
    /// [`RsaError::TooLong`] when the message does not fit.
    pub fn encrypt(&self, padding: Padding, message: &[u8]) -> Result<Vec<u8>, RsaError> {
        self.public().encrypt(padding, message)
    }

    /// Decrypts with the private half.
    ///
    /// # Errors
    /// [`RsaError::Decrypt`] for every reason alike.
    pub fn decrypt(&self, padding: Padding, ciphertext: &[u8]) -> Result<SecretBytes, RsaError> {
        let mut out = zeroize::Zeroizing::new(vec![0; self.bits.bytes()]);
        let key = self.decrypting.clone();
        let length = match padding.oaep() {
            None => {
                Pkcs1PrivateDecryptingKey::new(key).and_then(|key| key.decrypt(ciphertext, &mut out).map(|p| p.len()))
            }
            Some(oaep) => OaepPrivateDecryptingKey::new(key)
                .and_then(|key| key.decrypt(oaep, ciphertext, &mut out, None).map(|p| p.len())),
        }
        .map_err(|_| RsaError::Decrypt)?;
        out.truncate(length);
        Ok(SecretBytes::new(std::mem::take(&mut *out)))
    }

    /// Signs with RS256 (RSASSA-PKCS1-v1_5 with SHA-256; RFC 7518 §3.3).
    ///
    /// # Panics
    /// When memory for the operation is not to be had.
    #[must_use]
    pub fn sign_rs256(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.bits.bytes()];
        match self.signing.sign(&signature::RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature) {
            Ok(()) => signature,
            Err(_) => panic!("an RSA signature could not be made: out of memory"),
        }
    }

    fn from_pair(signing: KeyPair) -> Result<Self, BadKey> {
        let bits = RsaBits::from_bits(signing.public_modulus_len() as u64 * 8).ok_or(BadKey)?;
        let document = AsDer::<Pkcs8V1Der<'_>>::as_der(&signing).map_err(|_| BadKey)?;
        let decrypting = PrivateDecryptingKey::from_pkcs8(document.as_ref()).map_err(|_| BadKey)?;
        if decrypting.key_size_bits() != bits.bits() {
            return Err(BadKey);
        }
        Ok(Self { bits, signing, decrypting })
    }
}

impl fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaKey({} bits, ..)", self.bits.bits())
    }
}
