//! SHA-256 (FIPS 180-4), HMAC with SHA-256 and SHA-512 (RFC 2104), random bytes and comparison in constant time.

use aws_lc_rs::{constant_time, digest, hmac, rand};

/// Says that an authentication tag does not belong to the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the authentication tag does not match the message: it was changed, or made with another key")]
pub struct TagMismatch;

/// Hashes a message that arrives in pieces.
#[derive(Clone)]
pub struct Sha256(digest::Context);

impl Sha256 {
    /// Starts with the empty message.
    #[must_use]
    pub fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    /// Appends a piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// Returns the 32-byte digest of all pieces.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        to_32(self.0.finish().as_ref())
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sha256(..)")
    }
}

/// Returns the SHA-256 digest of `message`.
#[must_use]
pub fn sha256(message: &[u8]) -> [u8; 32] {
    to_32(digest::digest(&digest::SHA256, message).as_ref())
}

/// Returns the SHA-1 digest of `message` (RFC 3174). For names alone that other formats make of it, such as `x5t`
/// (RFC 7515 §4.1.7): it resists no collisions.
#[must_use]
pub fn sha1(message: &[u8]) -> [u8; 20] {
    let mut out = [0; 20];
    out.copy_from_slice(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, message).as_ref());
    out
}

/// Returns the HMAC-SHA-256 tag of `message` under `key` (a key of any length).
#[must_use]
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    to_32(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref())
}

/// Returns the HMAC-SHA-512 tag of `message` under `key` (a key of any length).
#[must_use]
pub fn hmac_sha512(key: &[u8], message: &[u8]) -> [u8; 64] {
    let mut out = [0; 64];
    out.copy_from_slice(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA512, key), message).as_ref());
    out
}

/// Checks an HMAC-SHA-256 tag in constant time.
///
/// # Errors
/// [`TagMismatch`] when the tag has another value or another length than 32 bytes.
pub fn verify_hmac_sha256(key: &[u8], message: &[u8], tag: &[u8]) -> Result<(), TagMismatch> {
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, key), message, tag).map_err(|_| TagMismatch)
}

/// Compares without telling by its duration where the difference is. Different lengths answer at once.
#[must_use]
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// Draws `N` bytes from the library's generator, which is seeded by the operating system.
///
/// # Panics
/// When the operating system gives no entropy. Going on would mean keys that can be guessed.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if rand::fill(&mut bytes).is_err() {
        panic!("the operating system gave no entropy; no key can be made safely");
    }
    bytes
}

/// Draws `length` bytes from the library's generator.
///
/// # Panics
/// When the operating system gives no entropy.
#[must_use]
pub fn random_bytes(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    if rand::fill(&mut bytes).is_err() {
        panic!("the operating system gave no entropy; no key can be made safely");
    }
    bytes
}

/// Copies a digest whose length the algorithm fixes at 32 bytes.
fn to_32(digest: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_gives_the_vectors_of_fips_180() {
        let million = vec![b'a'; 1_000_000];
        let rows: &[(&[u8], &str)] = &[
            (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            ),
            (&million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
        ];
        for (message, expected) in rows {
            assert_eq!(hex::encode(sha256(message)), *expected);
            let mut pieces = Sha256::new();
            message.chunks(7).for_each(|piece| pieces.update(piece));
            assert_eq!(hex::encode(pieces.finish()), *expected);
        }
    }

    #[test]
    fn sha1_gives_the_vector_of_rfc_3174() {
        assert_eq!(hex::encode(sha1(b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
    }

    #[test]
    fn hmac_gives_the_vectors_of_rfc_4231() {
        let rows: &[(&[u8], &[u8], &str)] = &[
            (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ];
        for (key, message, expected) in rows {
            let tag = hmac_sha256(key, message);
            assert_eq!(hex::encode(tag), *expected);
            assert_eq!(verify_hmac_sha256(key, message, &tag), Ok(()));
            let mut changed = tag;
            changed[31] ^= 1;
            for bad in [&changed[..], &tag[..31], &[]] {
                assert_eq!(verify_hmac_sha256(key, message, bad), Err(TagMismatch));
            }
        }
    }

    #[test]
    fn hmac_512_gives_the_vectors_of_rfc_4231() {
        let rows: &[(&[u8], &[u8], &str)] = &[
            (
                &[0x0b; 20],
                b"Hi There",
                "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1\
                 702e696c203a126854",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b\
                 4b636e070a38bce737",
            ),
        ];
        for (key, message, expected) in rows {
            assert_eq!(hex::encode(hmac_sha512(key, message)), *expected);
        }
    }

    #[test]
    fn comparison_sees_content_and_length() {
        let rows: &[(&[u8], &[u8], bool)] =
            &[(b"", b"", true), (b"a", b"a", true), (b"a", b"b", false), (b"a", b"ab", false), (b"", b"a", false)];
        for (a, b, equal) in rows {
            assert_eq!(constant_time_eq(a, b), *equal, "{a:?} {b:?}");
        }
    }

    #[test]
    fn random_draws_differ() {
        assert_ne!(random::<32>(), random::<32>());
        assert_ne!(random_bytes(32), random_bytes(32));
        assert_eq!(random_bytes(128).len(), 128);
    }
}
