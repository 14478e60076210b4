//! AES key wrap: RFC 3394 (KW) and RFC 5649 (KWP, which pads), as NIST SP 800-38F has them too.
//!
//! ```
//! use sealbook_crypto::{AesKek, SecretBytes};
//!
//! let kek = AesKek::new(SecretBytes::new(vec![7; 32]))?;
//! let wrapped = kek.wrap_padded(b"a key of any length")?;
//! assert_eq!(kek.unwrap_padded(&wrapped)?.expose(), b"a key of any length");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod blocks;

use std::fmt;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::key_wrap::{self, AES_128, AES_256, KeyWrap, KeyWrapPadded};
use zeroize::Zeroizing;

use self::blocks::Blocks;
use crate::{BadKey, SecretBytes};

/// What a wrap adds to its input: one semiblock of 64 bits.
const SEMIBLOCK: usize = 8;

/// Why a wrap or unwrap gave no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyWrapError {
    /// The input has a length that the algorithm does not take: KW takes 16 bytes or more in steps of 8, KWP at least
    /// one byte.
    #[error("{0} bytes can't be wrapped: key wrap takes 16 bytes or more in steps of 8, with padding any but none")]
    Length(usize),
    /// The bytes were not wrapped under this key, or were changed. No more is told, on purpose.
    #[error("the bytes do not unwrap with this key")]
    Unwrap,
}

/// An AES key that wraps other keys: 128, 192 or 256 bits.
pub struct AesKek(Zeroizing<Vec<u8>>);

/// The library has no key wrap for 192 bits, so that one is made of its blocks.
enum Engine {
    Library(key_wrap::AesKek),
    Blocks(Box<Blocks>),
}

impl AesKek {
    /// Takes a key over.
    ///
    /// # Errors
    /// [`BadKey`] when it has another length than 16, 24 or 32 bytes.
    pub fn new(key: SecretBytes) -> Result<Self, BadKey> {
        match key.len() {
            16 | 24 | 32 => Ok(Self(Zeroizing::new(key.expose().to_vec()))),
            _ => Err(BadKey),
        }
    }

    /// Draws a new key of 256 bits.
    #[must_use]
    pub fn generate() -> Self {
        Self(Zeroizing::new(crate::random::<32>().to_vec()))
    }

    /// Lends the key itself, to be wrapped under another key.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Returns the number of bits.
    #[must_use]
    pub fn bits(&self) -> usize {
        self.0.len() * 8
    }

    /// Wraps 16 bytes or more in steps of 8 (KW; RFC 3394 §2.2.1).
    ///
    /// # Errors
    /// [`KeyWrapError::Length`].
    pub fn wrap(&self, plaintext: &[u8]) -> Result<Vec<u8>, KeyWrapError> {
        let wrong = KeyWrapError::Length(plaintext.len());
        if plaintext.len() < 2 * SEMIBLOCK || !plaintext.len().is_multiple_of(SEMIBLOCK) {
            return Err(wrong);
        }
        let mut out = vec![0; plaintext.len() + SEMIBLOCK];
        let length = match self.engine().map_err(|_| wrong)? {
            Engine::Library(key) => key.wrap(plaintext, &mut out).map(|wrapped| wrapped.len()),
            Engine::Blocks(blocks) => blocks.wrap(plaintext, &mut out),
        };
        cut(out, length, wrong)
    }

    /// Unwraps what [`AesKek::wrap`] made (RFC 3394 §2.2.2).
    ///
    /// # Errors
    /// [`KeyWrapError::Unwrap`] for every reason alike.
    pub fn unwrap(&self, wrapped: &[u8]) -> Result<SecretBytes, KeyWrapError> {
        if wrapped.len() < 3 * SEMIBLOCK || !wrapped.len().is_multiple_of(SEMIBLOCK) {
            return Err(KeyWrapError::Unwrap);
        }
        let mut out = Zeroizing::new(vec![0; wrapped.len()]);
        let length = match self.engine().map_err(|_| KeyWrapError::Unwrap)? {
            Engine::Library(key) => key.unwrap(wrapped, &mut out).map(|plain| plain.len()),
            Engine::Blocks(blocks) => blocks.unwrap(wrapped, &mut out),
        };
        secret(out, length)
    }

    /// Wraps bytes of any length but none (KWP; RFC 5649 §4.1).
    ///
    /// # Errors
    /// [`KeyWrapError::Length`] for nothing, and for more than 4 GiB.
    pub fn wrap_padded(&self, plaintext: &[u8]) -> Result<Vec<u8>, KeyWrapError> {
        let wrong = KeyWrapError::Length(plaintext.len());
        if plaintext.is_empty() {
            return Err(wrong);
        }
        let mut out = vec![0; plaintext.len() + 2 * SEMIBLOCK];
        let length = match self.engine().map_err(|_| wrong)? {
            Engine::Library(key) => key.wrap_with_padding(plaintext, &mut out).map(|wrapped| wrapped.len()),
            Engine::Blocks(blocks) => blocks.wrap_padded(plaintext, &mut out),
        };
        cut(out, length, wrong)
    }

    /// Unwraps what [`AesKek::wrap_padded`] made (RFC 5649 §4.2).
    ///
    /// # Errors
    /// [`KeyWrapError::Unwrap`] for every reason alike.
    pub fn unwrap_padded(&self, wrapped: &[u8]) -> Result<SecretBytes, KeyWrapError> {
        if wrapped.len() < 2 * SEMIBLOCK || !wrapped.len().is_multiple_of(SEMIBLOCK) {
            return Err(KeyWrapError::Unwrap);
        }
        let mut out = Zeroizing::new(vec![0; wrapped.len()]);
        let length = match self.engine().map_err(|_| KeyWrapError::Unwrap)? {
            Engine::Library(key) => key.unwrap_with_padding(wrapped, &mut out).map(|plain| plain.len()),
            Engine::Blocks(blocks) => blocks.unwrap_padded(wrapped, &mut out),
        };
        secret(out, length)
    }

    fn engine(&self) -> Result<Engine, Unspecified> {
        match self.0.len() {
            16 => key_wrap::AesKek::new(&AES_128, &self.0).map(Engine::Library),
            32 => key_wrap::AesKek::new(&AES_256, &self.0).map(Engine::Library),
            _ => Blocks::new(&self.0).map(|blocks| Engine::Blocks(Box::new(blocks))),
        }
    }
}

impl fmt::Debug for AesKek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AesKek({} bits, ..)", self.bits())
    }
}

fn cut(mut out: Vec<u8>, length: Result<usize, Unspecified>, wrong: KeyWrapError) -> Result<Vec<u8>, KeyWrapError> {
    out.truncate(length.map_err(|_| wrong)?);
    Ok(out)
}

fn secret(mut out: Zeroizing<Vec<u8>>, length: Result<usize, Unspecified>) -> Result<SecretBytes, KeyWrapError> {
    out.truncate(length.map_err(|_| KeyWrapError::Unwrap)?);
    Ok(SecretBytes::new(std::mem::take(&mut *out)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(text: &str) -> Vec<u8> {
        hex::decode(text.replace(' ', "")).unwrap()
    }

    fn kek(text: &str) -> AesKek {
        AesKek::new(bytes(text).into()).unwrap()
    }

    /// The six examples of RFC 3394 §4.
    #[test]
    fn wraps_like_the_examples_of_rfc_3394() {
        const K128: &str = "000102030405060708090A0B0C0D0E0F";
        const K192: &str = "000102030405060708090A0B0C0D0E0F1011121314151617";
        const K256: &str = "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F";
        const P128: &str = "00112233445566778899AABBCCDDEEFF";
        const P192: &str = "00112233445566778899AABBCCDDEEFF0001020304050607";
        const P256: &str = "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F";
        let rows = [
            (K128, P128, "1FA68B0A8112B447 AEF34BD8FB5A7B82 9D3E862371D2CFE5"),
            (K192, P128, "96778B25AE6CA435 F92B5B97C050AED2 468AB8A17AD84E5D"),
            (K256, P128, "64E8C3F9CE0F5BA2 63E9777905818A2A 93C8191E7D6E8AE7"),
            (K192, P192, "031D33264E15D332 68F24EC260743EDC E1C6C7DDEE725A93 6BA814915C6762D2"),
            (K256, P192, "A8F9BC1612C68B3F F6E6F4FBE30E71E4 769C8B80A32CB895 8CD5D17D6B254DA1"),
            (K256, P256, "28C9F404C4B810F4 CBCCB35CFB87F826 3F5786E2D80ED326 CBC7F0E71A99F43B FB988B9B7A02DD21"),
        ];
        for (key, plain, wrapped) in rows {
            assert_eq!(kek(key).wrap(&bytes(plain)).unwrap(), bytes(wrapped), "{wrapped}");
            assert_eq!(kek(key).unwrap(&bytes(wrapped)).unwrap().expose(), bytes(plain), "{wrapped}");
        }
    }

    /// The two examples of RFC 5649 §6: 20 bytes, and 7 bytes in a single block.
    #[test]
    fn pads_like_the_examples_of_rfc_5649() {
        let key = kek("5840df6e29b02af1 ab493b705bf16ea1 ae8338f4dcc176a8");
        let rows = [
            (
                "c37b7e6492584340 bed1220780894115 5068f738",
                "138bdeaa9b8fa7fc 61f97742e72248ee 5ae6ae5360d1ae6a 5f54f373fa543b6a",
            ),
            ("466f7250617369", "afbeb0f07dfbf541 9200f2ccb50bb24f"),
        ];
        for (plain, wrapped) in rows {
            assert_eq!(key.wrap_padded(&bytes(plain)).unwrap(), bytes(wrapped), "{wrapped}");
            assert_eq!(key.unwrap_padded(&bytes(wrapped)).unwrap().expose(), bytes(plain), "{wrapped}");
        }
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        for length in [0, 1, 15, 17, 31, 33] {
            assert_eq!(AesKek::new(vec![0; length].into()).unwrap_err(), BadKey, "{length}");
        }
        for length in [16, 24, 32] {
            let key = AesKek::new(vec![1; length].into()).unwrap();
            assert_eq!(format!("{key:?}"), format!("AesKek({} bits, ..)", length * 8));
            for plain in [0, 8, 15, 20] {
                assert_eq!(key.wrap(&vec![0; plain]).unwrap_err(), KeyWrapError::Length(plain), "{length} {plain}");
            }
            assert_eq!(key.wrap_padded(&[]).unwrap_err(), KeyWrapError::Length(0));
            for wrapped in [0, 8, 16, 23, 25] {
                assert_eq!(key.unwrap(&vec![0; wrapped]).unwrap_err(), KeyWrapError::Unwrap, "{length} {wrapped}");
            }
            for wrapped in [0, 8, 15, 17, 24] {
                let refused = key.unwrap_padded(&vec![0; wrapped]).unwrap_err();
                assert_eq!(refused, KeyWrapError::Unwrap, "{length} {wrapped}");
            }
        }
    }

    /// What Wycheproof's `aes_kwp` cases are about: a wrong constant, a length that does not fit the blocks, and padding
    /// that is not zero.
    #[test]
    fn forged_paddings_do_not_unwrap() {
        for length in [16, 24, 32] {
            let key = vec![3; length];
            let blocks = Blocks::new(&key).unwrap();
            let kek = AesKek::new(key.into()).unwrap();
            let good = *b"\xa6\x59\x59\xa6\x00\x00\x00\x09";
            let rows: [(&str, [u8; 8], [u8; 16], bool); 7] = [
                ("right", good, *b"123456789\0\0\0\0\0\0\0", true),
                ("constant", *b"\xa6\x59\x59\xa7\x00\x00\x00\x09", *b"123456789\0\0\0\0\0\0\0", false),
                ("constant of KW", [0xa6; 8], *b"123456789\0\0\0\0\0\0\0", false),
                ("too short", *b"\xa6\x59\x59\xa6\x00\x00\x00\x08", *b"123456789\0\0\0\0\0\0\0", false),
                ("too long", *b"\xa6\x59\x59\xa6\x00\x00\x00\x11", *b"123456789\0\0\0\0\0\0\0", false),
                ("far too long", *b"\xa6\x59\x59\xa6\xff\xff\xff\xff", *b"123456789\0\0\0\0\0\0\0", false),
                ("padding", good, *b"123456789\0\0\0\0\0\0\x01", false),
            ];
            for (name, head, body, opens) in rows {
                let mut forged = [0; 24];
                blocks.forward(head, &body, &mut forged).unwrap();
                assert_eq!(kek.unwrap_padded(&forged).is_ok(), opens, "{length} {name}");
            }
        }
    }

    proptest! {
        /// The part of its own against the library, where both can do it.
        #[test]
        fn blocks_and_library_agree(
            strong in any::<bool>(),
            key in any::<[u8; 32]>(),
            plain in proptest::collection::vec(any::<u8>(), 1..80),
        ) {
            let key = if strong { &key[..] } else { &key[..16] };
            let blocks = Blocks::new(key).unwrap();
            let kek = AesKek::new(key.to_vec().into()).unwrap();
            let mut out = vec![0; plain.len() + 16];
            let length = blocks.wrap_padded(&plain, &mut out).unwrap();
            let wrapped = kek.wrap_padded(&plain).unwrap();
            prop_assert_eq!(&out[..length], &wrapped[..]);
            let mut back = vec![0; wrapped.len()];
            let length = blocks.unwrap_padded(&wrapped, &mut back).unwrap();
            prop_assert_eq!(&back[..length], &plain[..]);
            let whole = [&plain[..], &[0; 96 - 16]].concat();
            let whole = &whole[..whole.len() / 8 * 8];
            let mut out = vec![0; whole.len() + 8];
            blocks.wrap(whole, &mut out).unwrap();
            prop_assert_eq!(out, kek.wrap(whole).unwrap());
        }

        #[test]
        fn no_flipped_bit_goes_unnoticed(
            size in proptest::sample::select(vec![16usize, 24, 32]),
            plain in proptest::collection::vec(any::<u8>(), 1..60),
            at in any::<proptest::sample::Index>(),
            bit in 0u8..8,
        ) {
            let key = AesKek::new(crate::random::<32>()[..size].to_vec().into()).unwrap();
            let mut wrapped = key.wrap_padded(&plain).unwrap();
            let opened = key.unwrap_padded(&wrapped).unwrap();
            prop_assert_eq!(opened.expose(), &plain[..]);
            let index = at.index(wrapped.len());
            wrapped[index] ^= 1 << bit;
            prop_assert!(key.unwrap_padded(&wrapped).is_err());
            prop_assert!(key.unwrap(&wrapped).is_err());
        }
    }
}
