//! RSASSA over digests (RFC 8017 §8; RFC 7518 §3.3 and §3.5).

use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaParameters, RsaPublicKeyComponents, RsaSignatureEncoding,
};

use super::{RsaKey, RsaPublic};
use crate::{BadKey, BadSignature, Digest, Hash};

/// How a digest is padded before it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignaturePadding {
    /// RSASSA-PKCS1-v1_5 (`RS256`, `RS384`, `RS512`).
    Pkcs1v15,
    /// RSASSA-PSS, MGF1 with the digest's own hash, a salt as long as the digest (`PS256`, `PS384`, `PS512`).
    Pss,
}

impl SignaturePadding {
    fn signing(self, hash: Hash) -> &'static RsaSignatureEncoding {
        match (self, hash) {
            (Self::Pkcs1v15, Hash::Sha256) => &RSA_PKCS1_SHA256,
            (Self::Pkcs1v15, Hash::Sha384) => &RSA_PKCS1_SHA384,
            (Self::Pkcs1v15, Hash::Sha512) => &RSA_PKCS1_SHA512,
            (Self::Pss, Hash::Sha256) => &RSA_PSS_SHA256,
            (Self::Pss, Hash::Sha384) => &RSA_PSS_SHA384,
            (Self::Pss, Hash::Sha512) => &RSA_PSS_SHA512,
        }
    }

    fn verification(self, hash: Hash) -> &'static RsaParameters {
        match (self, hash) {
            (Self::Pkcs1v15, Hash::Sha256) => &RSA_PKCS1_2048_8192_SHA256,
            (Self::Pkcs1v15, Hash::Sha384) => &RSA_PKCS1_2048_8192_SHA384,
            (Self::Pkcs1v15, Hash::Sha512) => &RSA_PKCS1_2048_8192_SHA512,
            (Self::Pss, Hash::Sha256) => &RSA_PSS_2048_8192_SHA256,
            (Self::Pss, Hash::Sha384) => &RSA_PSS_2048_8192_SHA384,
            (Self::Pss, Hash::Sha512) => &RSA_PSS_2048_8192_SHA512,
        }
    }
}

impl RsaKey {
    /// Signs a digest.
    ///
    /// # Errors
    /// [`BadKey`] when the primitive finds that the key does not work.
    pub fn sign(&self, padding: SignaturePadding, digest: &Digest) -> Result<Vec<u8>, BadKey> {
        let mut signature = vec![0; self.bits.bytes()];
        self.signing.sign_digest(padding.signing(digest.hash()), &digest.digest, &mut signature).map_err(|_| BadKey)?;
        Ok(signature)
    }
}

impl RsaPublic {
    /// Checks a signature over a digest.
    ///
    /// # Errors
    /// [`BadSignature`] when it does not verify.
    pub fn verify(&self, padding: SignaturePadding, digest: &Digest, signature: &[u8]) -> Result<(), BadSignature> {
        RsaPublicKeyComponents { n: &self.n, e: &self.e }
            .to_parsed_public_key(padding.verification(digest.hash()))
            .map_err(|_| BadSignature)?
            .verify_digest_sig(&digest.digest, signature)
            .map_err(|_| BadSignature)
    }
}
