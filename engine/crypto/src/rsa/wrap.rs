//! RSA AES key wrap (PKCS #11 v3.1 §6.1.22, `CKM_RSA_AES_KEY_WRAP`): an ephemeral AES key under RSA-OAEP, and behind it
//! the target under AES key wrap with padding. This is how keys travel into Azure Key Vault (its "Bring your own key
//! specification") and out of it again (key release).

use super::{Padding, RsaError, RsaKey, RsaPublic};
use crate::kw::AesKek;
use crate::{KeyWrapError, SecretBytes};

/// A way to wrap a key of any length under an RSA key; they differ in OAEP's hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RsaAesWrap {
    /// OAEP with SHA-1: the PKCS #11 mechanism as Key Vault has it, and the only one for import.
    Ckm,
    /// OAEP with SHA-256.
    Sha256,
    /// OAEP with SHA-384.
    Sha384,
}

/// Names in Key Vault's requests (`KeyEncryptionAlgorithm`) and the padding of the ephemeral key.
const TABLE: [(RsaAesWrap, &str, Padding); 3] = [
    (RsaAesWrap::Ckm, "CKM_RSA_AES_KEY_WRAP", Padding::OaepSha1),
    (RsaAesWrap::Sha256, "RSA_AES_KEY_WRAP_256", Padding::OaepSha256),
    (RsaAesWrap::Sha384, "RSA_AES_KEY_WRAP_384", Padding::OaepSha384),
];

impl RsaAesWrap {
    /// All of them.
    pub const ALL: [Self; 3] = [TABLE[0].0, TABLE[1].0, TABLE[2].0];

    /// Returns Key Vault's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// Reads Key Vault's name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    /// Wraps a target key, which is a PKCS #8 document for an asymmetric key and the raw bytes for a symmetric one.
    ///
    /// # Errors
    /// [`RsaError::PublicKey`] when the RSA key is not usable, [`RsaError::TooLong`] for an empty target or one beyond
    /// 4 GiB.
    pub fn wrap(self, recipient: &RsaPublic, target: &SecretBytes) -> Result<Vec<u8>, RsaError> {
        let ephemeral = AesKek::generate();
        let mut blob = recipient.encrypt(self.padding(), ephemeral.expose())?;
        let wrapped = ephemeral.wrap_padded(target.expose()).map_err(|why| match why {
            KeyWrapError::Length(length) => RsaError::TooLong { length, capacity: u32::MAX as usize },
            KeyWrapError::Unwrap => RsaError::Decrypt,
        })?;
        blob.extend_from_slice(&wrapped);
        Ok(blob)
    }

    /// Unwraps a target key.
    ///
    /// # Errors
    /// [`RsaError::Decrypt`] for every reason alike.
    pub fn unwrap(self, recipient: &RsaKey, blob: &[u8]) -> Result<SecretBytes, RsaError> {
        let (head, tail) = blob.split_at_checked(recipient.bits().bytes()).ok_or(RsaError::Decrypt)?;
        let ephemeral = recipient.decrypt(self.padding(), head)?;
        let ephemeral = AesKek::new(ephemeral).map_err(|_| RsaError::Decrypt)?;
        ephemeral.unwrap_padded(tail).map_err(|_| RsaError::Decrypt)
    }

    fn padding(self) -> Padding {
        self.row().2
    }

    fn row(self) -> &'static (Self, &'static str, Padding) {
        &TABLE[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rsa::RsaBits;

    #[test]
    fn a_target_comes_out_as_it_went_in() {
        let key = RsaKey::generate(RsaBits::B2048);
        let target = SecretBytes::new(key.to_pkcs8().expose().to_vec());
        for (way, name, padding) in TABLE {
            assert_eq!((RsaAesWrap::from_name(name), way.name()), (Some(way), name));
            let blob = way.wrap(&key.public(), &target).unwrap();
            assert_eq!(way.unwrap(&key, &blob).unwrap().expose(), target.expose(), "{name}");
            for other in RsaAesWrap::ALL {
                assert_eq!(other.unwrap(&key, &blob).is_ok(), other == way, "{name} read as {}", other.name());
            }
            // The layout is the mechanism's: RSA-OAEP first, AES key wrap with padding behind it.
            let ephemeral = key.decrypt(padding, &blob[..256]).unwrap();
            assert_eq!(ephemeral.len(), 32, "{name}");
            let tail = AesKek::new(ephemeral).unwrap().unwrap_padded(&blob[256..]).unwrap();
            assert_eq!(tail.expose(), target.expose(), "{name}");
        }
        assert_eq!(RsaAesWrap::from_name("RSA_AES_KEY_WRAP"), None);
    }

    #[test]
    fn ephemeral_keys_of_every_length_are_read_and_changed_blobs_are_not() {
        let key = RsaKey::generate(RsaBits::B2048);
        for length in [16, 24, 32] {
            let ephemeral = AesKek::new(vec![9; length].into()).unwrap();
            let mut blob = key.encrypt(Padding::OaepSha1, ephemeral.expose()).unwrap();
            blob.extend(ephemeral.wrap_padded(b"target").unwrap());
            assert_eq!(RsaAesWrap::Ckm.unwrap(&key, &blob).unwrap().expose(), b"target", "{length}");
            for at in [0, 255, 256, blob.len() - 1] {
                let mut changed = blob.clone();
                changed[at] ^= 1;
                assert_eq!(RsaAesWrap::Ckm.unwrap(&key, &changed).unwrap_err(), RsaError::Decrypt, "{length} {at}");
            }
            for cut in [0, 255, 256, blob.len() - 1] {
                assert_eq!(RsaAesWrap::Ckm.unwrap(&key, &blob[..cut]).unwrap_err(), RsaError::Decrypt, "{cut}");
            }
        }
        let mut odd = key.encrypt(Padding::OaepSha1, &[9; 20]).unwrap();
        odd.extend([0; 16]);
        assert_eq!(RsaAesWrap::Ckm.unwrap(&key, &odd).unwrap_err(), RsaError::Decrypt);
        let stranger = RsaKey::generate(RsaBits::B2048);
        let blob = RsaAesWrap::Ckm.wrap(&key.public(), &b"target".to_vec().into()).unwrap();
        assert_eq!(RsaAesWrap::Ckm.unwrap(&stranger, &blob).unwrap_err(), RsaError::Decrypt);
        assert!(RsaAesWrap::Ckm.wrap(&key.public(), &SecretBytes::default()).is_err());
    }
}
