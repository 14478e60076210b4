//! Digests that are signed: SHA-256, SHA-384 and SHA-512 (FIPS 180-4), made elsewhere and of a checked length.

use aws_lc_rs::digest;

/// A hash whose digests can be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Hash {
    /// Returns the length of a digest in bytes.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.algorithm().output_len()
    }

    /// Returns the digest of `message`.
    #[must_use]
    pub fn digest(self, message: &[u8]) -> Digest {
        Digest { hash: self, digest: digest::digest(self.algorithm(), message) }
    }

    fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }
}

/// A digest, with the hash that made it.
#[derive(Clone)]
pub struct Digest {
    hash: Hash,
    pub(crate) digest: digest::Digest,
}

impl Digest {
    /// Takes over a digest that was made elsewhere; `None` when its length is not that of the hash.
    #[must_use]
    pub fn from_bytes(hash: Hash, bytes: &[u8]) -> Option<Self> {
        let digest = digest::Digest::import_less_safe(bytes, hash.algorithm()).ok()?;
        Some(Self { hash, digest })
    }

    /// Returns the hash.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Returns the bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.digest.as_ref()
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Digest({:?}, ..)", self.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_fips_180() {
        let rows = [
            (Hash::Sha256, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                Hash::Sha384,
                48,
                "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
            ),
            (
                Hash::Sha512,
                64,
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd\
                 454d4423643ce80e2a9ac94fa54ca49f",
            ),
        ];
        for (hash, bytes, expected) in rows {
            let digest = hash.digest(b"abc");
            assert_eq!((hash.bytes(), hex::encode(digest.as_bytes()).as_str()), (bytes, expected));
            let again = Digest::from_bytes(hash, digest.as_bytes()).unwrap();
            assert_eq!((again.hash(), again.as_bytes()), (hash, digest.as_bytes()));
            for length in [0, bytes - 1, bytes + 1] {
                assert!(Digest::from_bytes(hash, &vec![0; length]).is_none(), "{hash:?} {length}");
            }
        }
    }
}
