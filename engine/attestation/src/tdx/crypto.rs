//! This project's cryptography for `dcap-qvl`.

use dcap_qvl::config::{Config, CryptoProvider};
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};
use sealbook_crypto::Hash;
use sealbook_crypto::ec::{Curve, EcPublic};

use crate::x509::{PublicKey, SignatureAlgorithm};

/// The parser and the encoder of `dcap-qvl`, our primitives.
pub(super) struct Backend;

impl Config for Backend {
    type X509 = dcap_qvl::x509::X509CertBackend;
    type SigEncoder = dcap_qvl::signature::DerSigEncoder;
    type Crypto = Self;
}

impl CryptoProvider for Backend {
    fn sig_algo() -> &'static dyn SignatureVerificationAlgorithm {
        &EcdsaP256Sha256
    }

    fn sha256(data: &[u8]) -> [u8; 32] {
        sealbook_crypto::sha256(data)
    }

    fn sha384(data: &[u8]) -> [u8; 48] {
        let mut out = [0; 48];
        out.copy_from_slice(Hash::Sha384.digest(data).as_bytes());
        out
    }
}

#[derive(Debug)]
struct EcdsaP256Sha256;

impl SignatureVerificationAlgorithm for EcdsaP256Sha256 {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let (x, y) = key.strip_prefix(&[4]).and_then(|point| point.split_at_checked(32)).ok_or(InvalidSignature)?;
        let key = PublicKey::Ec(EcPublic { curve: Curve::P256, x: x.to_vec(), y: y.to_vec() });
        key.verify(SignatureAlgorithm::Ecdsa(Hash::Sha256), message, signature).map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P256
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_SHA256
    }
}
