//! X.509 certificates (RFC 5280) as attestation uses them: read, and followed to a trust anchor at a given instant.
//!
//! The encoding is read by `x509-cert`, the signatures are checked by `sealbook-crypto`. What is understood: RSA (PKCS #1
//! v1.5 and PSS) with SHA-256, SHA-384 and SHA-512, ECDSA on P-256, P-384 and P-521 each with its own hash. Other
//! algorithms are refused by name. Revocation is not looked at: that needs lists from outside.

mod algorithm;
mod chain;
pub mod issue;

pub use algorithm::{PublicKey, SignatureAlgorithm};
pub use chain::{Anchor, ChainRules, verify_chain};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use der::{Decode as _, Encode as _, Reader as _, SliceReader};
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};

/// Why bytes are no certificate that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum X509Error {
    /// The encoding is wrong.
    #[error("not a DER certificate: {0}")]
    Encoding(String),
    /// An algorithm or a key that is not understood.
    #[error("{0}")]
    Unsupported(String),
    /// A PEM text without certificates, or with a broken one.
    #[error("not a PEM certificate: {0}")]
    Pem(&'static str),
}

impl From<der::Error> for X509Error {
    fn from(error: der::Error) -> Self {
        Self::Encoding(error.to_string())
    }
}

/// A certificate is refused above this size; real ones here stay below 8 KiB (those of the attestation service carry a
/// quote).
const LARGEST: usize = 64 * 1024;

/// A parsed certificate, with the bytes it was parsed from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    signed: Vec<u8>,
    parsed: x509_cert::Certificate,
}

impl Certificate {
    /// Reads DER.
    ///
    /// # Errors
    /// [`X509Error::Encoding`] when it is no certificate, something follows it, or it is larger than 64 KiB.
    pub fn from_der(der: &[u8]) -> Result<Self, X509Error> {
        if der.len() > LARGEST {
            return Err(X509Error::Encoding(format!("{} bytes are too many", der.len())));
        }
        let parsed = x509_cert::Certificate::from_der(der)?;
        // What is signed is what stands there, not what an encoder would make of it.
        let signed = SliceReader::new(der)?.sequence(|reader| {
            let signed = reader.tlv_bytes()?.to_vec();
            reader.tlv_bytes()?;
            reader.tlv_bytes()?;
            Ok::<_, der::Error>(signed)
        })?;
        if parsed.signature_algorithm() != parsed.tbs_certificate().signature() {
            return Err(X509Error::Encoding("it names two signature algorithms".into()));
        }
        Ok(Self { der: der.to_vec(), signed, parsed })
    }

    /// Reads one certificate as DER or PEM, or a PEM bundle of several: everything between the markers; other text is
    /// a comment.
    ///
    /// # Errors
    /// [`X509Error`] when there is none or one is broken.
    pub fn bundle(bytes: &[u8]) -> Result<Vec<Self>, X509Error> {
        match std::str::from_utf8(bytes) {
            Ok(text) if text.contains(BEGIN) => pem(text)?.iter().map(|der| Self::from_der(der)).collect(),
            _ => Self::from_der(bytes).map(|certificate| vec![certificate]),
        }
    }

    /// Returns the bytes.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Returns the certificate as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        let text = STANDARD.encode(&self.der);
        let mut out = format!("{BEGIN}\n");
        for line in text.as_bytes().chunks(64) {
            out.push_str(&String::from_utf8_lossy(line));
            out.push('\n');
        }
        out.push_str(END);
        out.push('\n');
        out
    }

    /// Returns the subject (RFC 4514).
    #[must_use]
    pub fn subject(&self) -> String {
        self.parsed.tbs_certificate().subject().to_string()
    }

    /// Returns the issuer (RFC 4514).
    #[must_use]
    pub fn issuer(&self) -> String {
        self.parsed.tbs_certificate().issuer().to_string()
    }

    /// Returns the subject's common name, or the whole subject when it has none.
    #[must_use]
    pub fn name(&self) -> String {
        match self.parsed.tbs_certificate().subject().common_name() {
            Ok(Some(name)) => name.value().into_owned(),
            _ => self.subject(),
        }
    }

    /// Returns since when it is valid, in unix seconds.
    #[must_use]
    pub fn not_before(&self) -> i64 {
        seconds(self.parsed.tbs_certificate().validity().not_before)
    }

    /// Returns until when it is valid, in unix seconds; that second is still inside.
    #[must_use]
    pub fn not_after(&self) -> i64 {
        seconds(self.parsed.tbs_certificate().validity().not_after)
    }

    /// Returns the SHA-256 digest of the certificate.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        sealbook_crypto::sha256(&self.der)
    }

    /// Returns the subject's public key (SubjectPublicKeyInfo) in DER.
    ///
    /// # Errors
    /// [`X509Error::Encoding`] when it cannot be encoded again.
    pub fn spki(&self) -> Result<Vec<u8>, X509Error> {
        Ok(self.parsed.tbs_certificate().subject_public_key_info().to_der()?)
    }

    /// Returns the subject's public key.
    ///
    /// # Errors
    /// [`X509Error::Unsupported`] for a key that is not understood.
    pub fn public_key(&self) -> Result<PublicKey, X509Error> {
        PublicKey::from_spki(&self.spki()?)
    }

    /// Returns the content of an extension, `None` when it is not there.
    #[must_use]
    pub fn extension(&self, oid: &str) -> Option<&[u8]> {
        self.extensions().iter().find(|e| e.extn_id.to_string() == oid).map(|e| e.extn_value.as_bytes())
    }

    /// Checks that `issuer` made this certificate: its name and its key.
    ///
    /// # Errors
    /// [`X509Error::Unsupported`] when another made it, for an algorithm that is not understood or does not fit the key,
    /// and when the signature does not verify.
    pub fn issued_by(&self, issuer: &Self) -> Result<(), X509Error> {
        if !self.names(issuer) {
            return Err(X509Error::Unsupported(format!("{} was not issued by {}", self.name(), issuer.name())));
        }
        self.signed_with(&issuer.public_key()?)
    }

    /// Checks the signature under a key.
    fn signed_with(&self, key: &PublicKey) -> Result<(), X509Error> {
        let algorithm = SignatureAlgorithm::from_der(&self.parsed.signature_algorithm().to_der()?)?;
        let signature = self.parsed.signature().as_bytes().unwrap_or_default();
        key.verify(algorithm, &self.signed, signature)
            .map_err(|why| X509Error::Unsupported(format!("the signature of {}: {why}", self.name())))
    }

    fn names(&self, issuer: &Self) -> bool {
        self.parsed.tbs_certificate().issuer() == issuer.parsed.tbs_certificate().subject()
    }

    fn same_subject_and_key(&self, other: &Self) -> bool {
        let (one, two) = (self.parsed.tbs_certificate(), other.parsed.tbs_certificate());
        one.subject() == two.subject() && one.subject_public_key_info() == two.subject_public_key_info()
    }

    fn extensions(&self) -> &[x509_cert::ext::Extension] {
        self.parsed.tbs_certificate().extensions().map_or(&[], |list| list.as_slice())
    }

    fn known<T: for<'a> der::Decode<'a> + der::oid::AssociatedOid>(&self) -> Option<T> {
        let found = self.extensions().iter().find(|e| e.extn_id == T::OID)?;
        T::from_der(found.extn_value.as_bytes()).ok()
    }

    fn basic_constraints(&self) -> Option<BasicConstraints> {
        self.known()
    }

    fn key_usage(&self) -> Option<KeyUsage> {
        self.known()
    }
}

fn seconds(time: x509_cert::time::Time) -> i64 {
    i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
}

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// The contents of a PEM text (RFC 7468), read leniently: lines of any length.
fn pem(text: &str) -> Result<Vec<Vec<u8>>, X509Error> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(BEGIN) {
        let (body, after) = after.split_once(END).ok_or(X509Error::Pem("a certificate has no end marker"))?;
        let body: String = body.split_ascii_whitespace().collect();
        found.push(STANDARD.decode(body).map_err(|_| X509Error::Pem("what stands between the markers is no base64"))?);
        rest = after;
    }
    if found.is_empty() { Err(X509Error::Pem("it has no certificate")) } else { Ok(found) }
}
