//! Ed25519 signatures (RFC 8032), used for the heads of journals.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::SecretBytes;

/// Says that a signature does not belong to this message and this public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify: message or signature were changed, or another key signed")]
pub struct BadSignature;

/// Says that stored bytes are no key of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are not a valid private key of the expected kind; restore the key file or make a new key")]
pub struct BadKey;

/// Signs with an Ed25519 private key.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// Makes a new key pair.
    ///
    /// # Panics
    /// When the operating system gives no entropy.
    #[must_use]
    pub fn generate() -> Self {
        match Ed25519KeyPair::generate() {
            Ok(pair) => Self(pair),
            Err(_) => panic!("the operating system gave no entropy; no key can be made safely"),
        }
    }

    /// Reads a PKCS#8 document (RFC 5208 or RFC 5958).
    ///
    /// # Errors
    /// [`BadKey`] when the bytes are not an Ed25519 private key.
    pub fn from_pkcs8(document: &[u8]) -> Result<Self, BadKey> {
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(document).map(Self).map_err(|_| BadKey)
    }

    /// Writes the private key as a PKCS#8 version 1 document (RFC 5208).
    ///
    /// # Panics
    /// When memory for the document is not to be had.
    #[must_use]
    pub fn to_pkcs8(&self) -> SecretBytes {
        match AsDer::<Pkcs8V1Der<'_>>::as_der(&self.0) {
            Ok(der) => SecretBytes::new(der.as_ref().to_vec()),
            Err(_) => panic!("an Ed25519 key could not be encoded: out of memory"),
        }
    }

    /// Signs a message; the signature has 64 bytes.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.0.sign(message).as_ref());
        signature
    }

    /// Returns the public key, 32 bytes.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        let mut public = [0; 32];
        public.copy_from_slice(self.0.public_key().as_ref());
        public
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// Checks an Ed25519 signature.
///
/// # Errors
/// [`BadSignature`] when it does not verify, whatever the reason.
pub fn verify(public: &[u8], message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
    UnparsedPublicKey::new(&ED25519, public).verify(message, signature).map_err(|_| BadSignature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// PKCS#8 version 1 of an Ed25519 seed, written out by hand (RFC 8410 §7).
    fn pkcs8(seed_hex: &str) -> Vec<u8> {
        hex::decode(format!("302e020100300506032b657004220420{seed_hex}")).unwrap()
    }

    #[test]
    fn signs_like_the_vectors_of_rfc_8032() {
        let rows = [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                "",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                "72",
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
            ),
        ];
        for (seed, public, message, signature) in rows {
            let key = SigningKey::from_pkcs8(&pkcs8(seed)).unwrap();
            let message = hex::decode(message).unwrap();
            assert_eq!(hex::encode(key.public()), public);
            assert_eq!(hex::encode(key.sign(&message)), signature);
            assert_eq!(verify(&key.public(), &message, &key.sign(&message)), Ok(()));
            assert_eq!(key.to_pkcs8().expose(), pkcs8(seed));
        }
    }

    #[test]
    fn wrong_keys_and_documents_are_refused() {
        let key = SigningKey::generate();
        let other = SigningKey::generate();
        let signature = key.sign(b"head");
        let rows: &[(&[u8], &[u8], &[u8])] = &[
            (&other.public(), b"head", &signature),
            (&key.public(), b"HEAD", &signature),
            (&key.public(), b"head", &signature[..63]),
            (&key.public()[..31], b"head", &signature),
            (&[], b"head", &signature),
        ];
        for (public, message, signature) in rows {
            assert_eq!(verify(public, message, signature), Err(BadSignature));
        }
        for document in [&b""[..], b"junk", &pkcs8(&"00".repeat(31))] {
            assert_eq!(SigningKey::from_pkcs8(document).unwrap_err(), BadKey);
        }
        assert_eq!(format!("{key:?}"), "SigningKey(..)");
    }

    proptest! {
        #[test]
        fn stored_keys_sign_the_same(message in proptest::collection::vec(any::<u8>(), 0..200)) {
            let key = SigningKey::generate();
            let again = SigningKey::from_pkcs8(key.to_pkcs8().expose()).unwrap();
            prop_assert_eq!(key.public(), again.public());
            prop_assert_eq!(key.sign(&message), again.sign(&message));
            prop_assert!(verify(&key.public(), &message, &again.sign(&message)).is_ok());
        }
    }
}
