//! AES keys (FIPS 197) that encrypt as Azure's managed HSM does: CBC with and without padding (NIST SP 800-38A; PKCS #7),
//! GCM (NIST SP 800-38D). Key wrap has its own place ([`crate::AesKek`]).
//!
//! ```
//! use sealbook_crypto::aes::{AesBits, AesKey};
//!
//! let key = AesKey::generate(AesBits::B256);
//! let sealed = key.encrypt_gcm(b"context", b"message")?;
//! assert_eq!(key.decrypt_gcm(b"context", &sealed)?.expose(), b"message");
//! # Ok::<(), sealbook_crypto::aes::AesError>(())
//! ```

use std::fmt;

use aws_lc_rs::aead::{AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use zeroize::Zeroizing;

use crate::{SecretBytes, random};

/// Length of a block and of a CBC initialisation vector in bytes.
pub const BLOCK: usize = 16;
/// Length of a GCM nonce in bytes.
pub const NONCE: usize = 12;
/// Length of a GCM tag in bytes.
pub const TAG: usize = 16;

/// Length of an AES key in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AesBits {
    /// 128 bits.
    B128,
    /// 192 bits.
    B192,
    /// 256 bits.
    B256,
}

impl AesBits {
    /// Reads a number of bits; `None` for a length that AES does not have.
    #[must_use]
    pub fn from_bits(bits: u64) -> Option<Self> {
        match bits {
            128 => Some(Self::B128),
            192 => Some(Self::B192),
            256 => Some(Self::B256),
            _ => None,
        }
    }

    /// Returns the number of bits.
    #[must_use]
    pub fn bits(self) -> u16 {
        match self {
            Self::B128 => 128,
            Self::B192 => 192,
            Self::B256 => 256,
        }
    }
}

/// Why an AES operation gave no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AesError {
    /// The input has a length that the operation does not take.
    #[error("the input's length does not fit the operation")]
    Length,
    /// The ciphertext was not made with this key, or was changed.
    #[error("the ciphertext does not decrypt with this key")]
    Decrypt,
}

/// An AES key.
pub struct AesKey {
    bits: AesBits,
    bytes: SecretBytes,
}

impl AesKey {
    /// Draws a new key.
    #[must_use]
    pub fn generate(bits: AesBits) -> Self {
        let drawn = Zeroizing::new(random::<32>());
        Self { bits, bytes: SecretBytes::new(drawn[..usize::from(bits.bits()) / 8].to_vec()) }
    }

    /// Takes a key over; `None` when it is not 16, 24 or 32 bytes long.
    #[must_use]
    pub fn from_bytes(bytes: SecretBytes) -> Option<Self> {
        let bits = AesBits::from_bits(bytes.len() as u64 * 8)?;
        Some(Self { bits, bytes })
    }

    /// Returns the length.
    #[must_use]
    pub fn bits(&self) -> AesBits {
        self.bits
    }

    /// Lends the key itself, to be stored sealed.
    #[must_use]
    pub fn expose(&self) -> &SecretBytes {
        &self.bytes
    }

    /// Encrypts in cipher block chaining. Without `padded`, the message must be whole blocks.
    ///
    /// # Errors
    /// [`AesError::Length`].
    pub fn encrypt_cbc(&self, iv: [u8; BLOCK], message: &[u8], padded: bool) -> Result<Vec<u8>, AesError> {
        let missing = BLOCK - message.len() % BLOCK;
        if !padded && missing != BLOCK {
            return Err(AesError::Length);
        }
        let mut out = Vec::with_capacity(message.len() + BLOCK);
        out.extend_from_slice(message);
        if padded {
            out.resize(message.len() + missing, u8::try_from(missing).map_err(|_| AesError::Length)?);
        }
        let key = EncryptingKey::cbc(self.cipher()).map_err(|_| AesError::Length)?;
        let context = EncryptionContext::Iv128(FixedLength::from(iv));
        key.less_safe_encrypt(&mut out, context).map_err(|_| AesError::Length)?;
        Ok(out)
    }

    /// Decrypts what [`AesKey::encrypt_cbc`] made.
    ///
    /// # Errors
    /// [`AesError::Length`] when it is not whole blocks, [`AesError::Decrypt`] when the padding is wrong.
    pub fn decrypt_cbc(&self, iv: [u8; BLOCK], ciphertext: &[u8], padded: bool) -> Result<SecretBytes, AesError> {
        if !ciphertext.len().is_multiple_of(BLOCK) || padded && ciphertext.is_empty() {
            return Err(AesError::Length);
        }
        let mut out = Zeroizing::new(ciphertext.to_vec());
        let key = DecryptingKey::cbc(self.cipher()).map_err(|_| AesError::Decrypt)?;
        let context = DecryptionContext::Iv128(FixedLength::from(iv));
        key.decrypt(&mut out, context).map_err(|_| AesError::Decrypt)?;
        if padded {
            let last = out.last().copied().unwrap_or_default();
            let length = usize::from(last);
            let good = (1..=BLOCK).contains(&length) && out[out.len() - length..].iter().all(|byte| *byte == last);
            if !good {
                return Err(AesError::Decrypt);
            }
            let kept = out.len() - length;
            out.truncate(kept);
        }
        Ok(SecretBytes::new(std::mem::take(&mut *out)))
    }

    /// Encrypts and authenticates with a fresh random nonce.
    ///
    /// # Errors
    /// [`AesError::Length`] for a message that GCM does not take (64 GiB).
    pub fn encrypt_gcm(&self, aad: &[u8], message: &[u8]) -> Result<Sealed, AesError> {
        self.encrypt_gcm_with(random(), aad, message)
    }

    /// Decrypts what [`AesKey::encrypt_gcm`] made under the same `aad`.
    ///
    /// # Errors
    /// [`AesError::Decrypt`] when anything differs.
    pub fn decrypt_gcm(&self, aad: &[u8], sealed: &Sealed) -> Result<SecretBytes, AesError> {
        let mut out = Zeroizing::new([&sealed.ciphertext[..], &sealed.tag].concat());
        let nonce = Nonce::assume_unique_for_key(sealed.nonce);
        let opened = self.gcm()?.open_in_place(nonce, Aad::from(aad), &mut out);
        let length = opened.map_err(|_| AesError::Decrypt)?.len();
        out.truncate(length);
        Ok(SecretBytes::new(std::mem::take(&mut *out)))
    }

    fn encrypt_gcm_with(&self, nonce: [u8; NONCE], aad: &[u8], message: &[u8]) -> Result<Sealed, AesError> {
        let mut ciphertext = message.to_vec();
        let made = self
            .gcm()?
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut ciphertext)
            .map_err(|_| AesError::Length)?;
        let mut tag = [0; TAG];
        tag.copy_from_slice(made.as_ref());
        Ok(Sealed { nonce, ciphertext, tag })
    }

    fn gcm(&self) -> Result<LessSafeKey, AesError> {
        let algorithm = match self.bits {
            AesBits::B128 => &AES_128_GCM,
            AesBits::B192 => &AES_192_GCM,
            AesBits::B256 => &AES_256_GCM,
        };
        UnboundKey::new(algorithm, self.bytes.expose()).map(LessSafeKey::new).map_err(|_| AesError::Length)
    }

    fn cipher(&self) -> UnboundCipherKey {
        let algorithm = match self.bits {
            AesBits::B128 => &AES_128,
            AesBits::B192 => &AES_192,
            AesBits::B256 => &AES_256,
        };
        match UnboundCipherKey::new(algorithm, self.bytes.expose()) {
            Ok(key) => key,
            Err(_) => unreachable!("the key has the length that its bits say"),
        }
    }
}

impl fmt::Debug for AesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AesKey({} bits, ..)", self.bits.bits())
    }
}

/// What GCM gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Nonce.
    pub nonce: [u8; NONCE],
    /// Ciphertext, as long as the message.
    pub ciphertext: Vec<u8>,
    /// Tag.
    pub tag: [u8; TAG],
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(text: &str) -> AesKey {
        AesKey::from_bytes(SecretBytes::new(hex::decode(text).unwrap())).unwrap()
    }

    const K192: &str = "000102030405060708090a0b0c0d0e0f1011121314151617";

    /// Sections F.2.1, F.2.3 and F.2.5 of NIST SP 800-38A: the first two blocks.
    #[test]
    fn chains_like_the_vectors_of_sp_800_38a() {
        let plain = hex::decode("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51").unwrap();
        let rows = [
            ("2b7e151628aed2a6abf7158809cf4f3c", "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2"),
            (
                "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
                "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a",
            ),
            (
                "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
                "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d",
            ),
        ];
        let iv: [u8; 16] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        for (text, expected) in rows {
            let key = key(text);
            let made = key.encrypt_cbc(iv, &plain, false).unwrap();
            assert_eq!(hex::encode(&made), expected);
            assert_eq!(key.decrypt_cbc(iv, &made, false).unwrap().expose(), plain);
            let padded = key.encrypt_cbc(iv, &plain, true).unwrap();
            assert_eq!((padded.len(), &padded[..32]), (48, &made[..]));
            assert_eq!(key.decrypt_cbc(iv, &made, true).unwrap_err(), AesError::Decrypt, "no padding is there");
            assert_eq!(key.encrypt_cbc(iv, &plain[1..], false).unwrap_err(), AesError::Length);
            assert_eq!(key.decrypt_cbc(iv, &made[1..], true).unwrap_err(), AesError::Length);
        }
    }

    /// Cases 4, 10 and 16 of the GCM specification (McGrew and Viega): one message under keys of each length.
    #[test]
    fn seals_like_the_vectors_of_the_gcm_specification() {
        const KEY: &str = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
        let plain = hex::decode(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de6\
             57ba637b39",
        )
        .unwrap();
        let aad = hex::decode("feedfacedeadbeeffeedfacedeadbeefabaddad2").unwrap();
        let rows = [
            (&KEY[..32], "42831ec2217774244b7221b784d0d49c", "5bc94fbc3221a5db94fae95ae7121a47"),
            (&KEY[..48], "3980ca0b3c00e841eb06fac4872a2757", "2519498e80f1478f37ba55bd6d27618c"),
            (KEY, "522dc1f099567d07f47f37a32a84427d", "76fc6ece0f4e1768cddf8853bb2d551b"),
        ];
        for (text, start, tag) in rows {
            let key = key(text);
            let nonce = hex::decode("cafebabefacedbaddecaf888").unwrap().try_into().unwrap();
            let sealed = key.encrypt_gcm_with(nonce, &aad, &plain).unwrap();
            assert_eq!(
                (hex::encode(&sealed.ciphertext[..16]).as_str(), hex::encode(sealed.tag).as_str()),
                (start, tag)
            );
            assert_eq!(key.decrypt_gcm(&aad, &sealed).unwrap().expose(), plain);
            assert_eq!(key.decrypt_gcm(b"", &sealed).unwrap_err(), AesError::Decrypt);
        }
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", key(K192)), "AesKey(192 bits, ..)");
        assert!(AesKey::from_bytes(SecretBytes::new(vec![0; 17])).is_none());
    }

    proptest! {
        #[test]
        fn padded_messages_of_any_length_come_back(message in proptest::collection::vec(any::<u8>(), 0..70)) {
            let key = AesKey::generate(AesBits::B192);
            let made = key.encrypt_cbc([7; 16], &message, true).unwrap();
            let opened = key.decrypt_cbc([7; 16], &made, true).unwrap();
            prop_assert_eq!(opened.expose(), &message[..]);
            let sealed = key.encrypt_gcm(b"aad", &message).unwrap();
            let opened = key.decrypt_gcm(b"aad", &sealed).unwrap();
            prop_assert_eq!(opened.expose(), &message[..]);
        }
    }
}
