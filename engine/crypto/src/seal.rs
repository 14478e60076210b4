//! Sealing at rest: AES-256-GCM (NIST SP 800-38D) with a random nonce and additional authenticated data.
//!
//! Sealed form: `nonce (12) ‖ ciphertext ‖ tag (16)`. Random 96-bit nonces keep one key safe for about 2³² seals,
//! far more than a home folder or an embedded cloud will make.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::{SecretBytes, random};

/// Length of the tag at the end of a sealed value, in bytes.
const TAG: usize = 16;

/// Says that a sealed value did not open. It tells nothing more, so that nobody learns more by asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed value does not open: it was changed, belongs to another place, or was sealed with another key")]
pub struct OpenError;

/// Seals and opens values with one 256-bit key.
pub struct SealKey(Zeroizing<[u8; 32]>);

impl SealKey {
    /// Draws a new key.
    #[must_use]
    pub fn generate() -> Self {
        Self::from_bytes(random())
    }

    /// Takes an existing key over.
    #[must_use]
    pub fn from_bytes(key: [u8; 32]) -> Self {
        Self(Zeroizing::new(key))
    }

    /// Lends the key itself, to be stored or sealed under another key.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Seals `plaintext`; `aad` names the place where it belongs and must be given again to open it.
    ///
    /// # Panics
    /// When the plaintext is longer than AES-GCM allows (64 GiB).
    #[must_use]
    pub fn seal(&self, aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = random();
        self.seal_with_nonce(nonce, aad, plaintext)
    }

    /// Opens what [`SealKey::seal`] made with the same `aad`.
    ///
    /// # Errors
    /// [`OpenError`] when anything differs: key, place, or any bit of the sealed value.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<SecretBytes, OpenError> {
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(OpenError)?;
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.cipher().open_in_place(nonce, Aad::from(aad), &mut buffer).map_err(|_| OpenError)?.len();
        // The tag's bytes are behind the plaintext in the same buffer, so that no second copy of the secret is made.
        buffer.truncate(length);
        Ok(SecretBytes::new(std::mem::take(&mut *buffer)))
    }

    fn seal_with_nonce(&self, nonce: [u8; NONCE_LEN], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
        // Room for everything from the start: growing would leave copies of the plaintext behind in freed memory.
        let mut sealed = Vec::with_capacity(NONCE_LEN + plaintext.len() + TAG);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plaintext);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let body = &mut sealed[NONCE_LEN..];
        match self.cipher().seal_in_place_separate_tag(nonce, Aad::from(aad), body) {
            Ok(tag) => sealed.extend_from_slice(tag.as_ref()),
            Err(_) => panic!("a value of {} bytes is longer than AES-GCM can seal", plaintext.len()),
        }
        sealed
    }

    fn cipher(&self) -> LessSafeKey {
        match UnboundKey::new(&AES_256_GCM, &self.0[..]) {
            Ok(key) => LessSafeKey::new(key),
            Err(_) => unreachable!("AES-256-GCM takes every 32-byte key"),
        }
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(hex_text: &str) -> Vec<u8> {
        hex::decode(hex_text).unwrap()
    }

    /// Cases 13 to 16 of the GCM specification (McGrew and Viega), which have 256-bit keys and 96-bit nonces.
    #[test]
    fn seals_like_the_vectors_of_the_gcm_specification() {
        const KEY: &str = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
        const NONCE: &str = "cafebabefacedbaddecaf888";
        const AAD: &str = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
        const PLAIN: &str = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
                             1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255";
        const CIPHER: &str = "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
                              8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad";
        let zero = "00".repeat(32);
        let rows = [
            (zero.as_str(), "000000000000000000000000", "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
            (
                zero.as_str(),
                "000000000000000000000000",
                "",
                "00000000000000000000000000000000",
                "cea7403d4d606b6e074ec5d3baf39d18",
                "d0d1c8a799996bf0265b98b5d48ab919",
            ),
            (KEY, NONCE, "", PLAIN, CIPHER, "b094dac5d93471bdec1a502270e3cc6c"),
            (KEY, NONCE, AAD, &PLAIN[..120], &CIPHER[..120], "76fc6ece0f4e1768cddf8853bb2d551b"),
        ];
        for (key, nonce, aad, plain, cipher, tag) in rows {
            let key = SealKey::from_bytes(bytes(key).try_into().unwrap());
            let sealed = key.seal_with_nonce(bytes(nonce).try_into().unwrap(), &bytes(aad), &bytes(plain));
            assert_eq!(hex::encode(&sealed), format!("{nonce}{cipher}{tag}"));
            assert_eq!(key.open(&bytes(aad), &sealed).unwrap().expose(), bytes(plain));
        }
    }

    #[test]
    fn short_values_do_not_open_and_do_not_panic() {
        let key = SealKey::generate();
        for length in 0..NONCE_LEN + TAG {
            assert_eq!(key.open(b"", &vec![0; length]).unwrap_err(), OpenError, "{length}");
        }
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", SealKey::from_bytes([7; 32])), "SealKey(..)");
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens_with_the_same_place_only(
            plain in proptest::collection::vec(any::<u8>(), 0..300),
            aad in proptest::collection::vec(any::<u8>(), 0..40),
            other in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let key = SealKey::generate();
            let sealed = key.seal(&aad, &plain);
            prop_assert_eq!(sealed.len(), NONCE_LEN + plain.len() + TAG);
            let opened = key.open(&aad, &sealed).unwrap();
            prop_assert_eq!(opened.expose(), &plain[..]);
            prop_assert_eq!(key.open(&other, &sealed).is_ok(), other == aad);
            prop_assert!(SealKey::generate().open(&aad, &sealed).is_err());
        }

        #[test]
        fn no_flipped_bit_and_no_cut_goes_unnoticed(
            plain in proptest::collection::vec(any::<u8>(), 0..80),
            at in any::<proptest::sample::Index>(),
            bit in 0u8..8,
        ) {
            let key = SealKey::generate();
            let sealed = key.seal(b"place", &plain);
            let mut changed = sealed.clone();
            let index = at.index(changed.len());
            changed[index] ^= 1 << bit;
            prop_assert!(key.open(b"place", &changed).is_err());
            prop_assert!(key.open(b"place", &sealed[..index]).is_err());
        }

        #[test]
        fn two_seals_of_one_value_differ(plain in proptest::collection::vec(any::<u8>(), 0..40)) {
            let key = SealKey::generate();
            prop_assert_ne!(key.seal(b"", &plain), key.seal(b"", &plain));
        }
    }
}
