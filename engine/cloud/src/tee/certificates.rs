//! X.509 certificates (RFC 5280) of the test hierarchies: RSA keys of this cloud sign them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sealbook_crypto::ec::EcPublic;
use sealbook_crypto::rsa::{RsaKey, RsaPublic, SignaturePadding};
use sealbook_crypto::Hash;
use signature::{Keypair, Signer};
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{Builder, CertificateBuilder};
use x509_cert::der::asn1::{Any, BitString, GeneralizedTime, Null, OctetString, Uint, UtcTime};
use x509_cert::der::{self, Decode, Document, Encode};
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, KeyUsage, KeyUsages, SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, ToExtension};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{
    self, AlgorithmIdentifierOwned, DynSignatureAlgorithmIdentifier, EncodePublicKey, ObjectIdentifier,
    SignatureBitStringEncoding, SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef,
};
use x509_cert::time::{Time, Validity};
use x509_cert::{TbsCertificate, builder};

use crate::refusal::Refusal;

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSASSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const SHA256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// RSASSA-PSS-params (RFC 4055 §3.1): SHA-384, MGF1 with SHA-384, a salt of 48 bytes; like AMD,
/// with the trailer field, which is the default.
const PSS_SHA384: &[u8] = &[
    0x30, 0x39, 0xa0, 0x0f, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00,
    0xa1, 0x1c, 0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0d, 0x06, 0x09,
    0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0xa2, 0x03, 0x02, 0x01, 0x30,
    0xa3, 0x03, 0x02, 0x01, 0x01,
];

/// How an authority signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// RSASSA-PSS with SHA-384, as AMD's authorities.
    PssSha384,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Pkcs1Sha256,
}

/// An authority: its name, its key and how it signs.
pub(crate) struct Authority<'a> {
    /// Its distinguished name, as RFC 4514 writes it.
    pub name: &'a str,
    /// Its key.
    pub key: &'a RsaKey,
    /// How it signs.
    pub scheme: Scheme,
}

/// What a certificate says of its subject.
pub(crate) struct Subject<'a> {
    /// Distinguished name, as RFC 4514 writes it.
    pub name: &'a str,
    /// Public key.
    pub key: SubjectPublicKeyInfoOwned,
    /// Serial number, a positive integer, big-endian.
    pub serial: &'a [u8],
    /// First and last second of its validity.
    pub validity: (DateTime<Utc>, DateTime<Utc>),
    /// Whether it may sign certificates itself.
    pub authority: bool,
    /// Extensions of its own: object identifier, content of the OCTET STRING.
    pub extensions: Vec<(ObjectIdentifier, Vec<u8>)>,
}

/// The SubjectPublicKeyInfo of an RSA key (RFC 3279 §2.3.1).
pub(crate) fn rsa_key(public: &RsaPublic) -> Result<SubjectPublicKeyInfoOwned, Refusal> {
    let key = || -> der::Result<SubjectPublicKeyInfoOwned> {
        let numbers = vec![Uint::new(&public.n)?, Uint::new(&public.e)?];
        Ok(SubjectPublicKeyInfoOwned {
            algorithm: AlgorithmIdentifierOwned { oid: RSA_ENCRYPTION, parameters: Some(Any::encode_from(&Null)?) },
            subject_public_key: BitString::from_bytes(&numbers.to_der()?)?,
        })
    };
    key().map_err(Refusal::internal)
}

/// The SubjectPublicKeyInfo of a P-384 key (RFC 5480 §2).
pub(crate) fn p384_key(public: &EcPublic) -> Result<SubjectPublicKeyInfoOwned, Refusal> {
    let key = || -> der::Result<SubjectPublicKeyInfoOwned> {
        let point = [&[4][..], &public.x, &public.y].concat();
        Ok(SubjectPublicKeyInfoOwned {
            algorithm: AlgorithmIdentifierOwned { oid: EC_PUBLIC_KEY, parameters: Some(Any::encode_from(&SECP384R1)?) },
            subject_public_key: BitString::from_bytes(&point)?,
        })
    };
    key().map_err(Refusal::internal)
}

/// A certificate in DER, signed by an authority; self-signed when the authority is its own subject.
pub(crate) fn issue(subject: Subject<'_>, issuer: &Authority<'_>) -> Result<Vec<u8>, Refusal> {
    let make = || -> builder::Result<Vec<u8>> {
        let profile = Profile {
            issuer: issuer.name.parse()?,
            subject: subject.name.parse()?,
            authority: subject.authority,
        };
        let (from, to) = subject.validity;
        let mut builder = CertificateBuilder::new(
            profile,
            SerialNumber::new(subject.serial)?,
            Validity::new(time(from)?, time(to)?),
            subject.key,
        )?;
        for (oid, content) in subject.extensions {
            let extn_value = OctetString::new(content)?;
            builder.add_extension(Extension { extn_id: oid, critical: false, extn_value })?;
        }
        Ok(builder.build::<_, Signature>(&RsaSigner { key: issuer.key, scheme: issuer.scheme })?.to_der()?)
    };
    make().map_err(Refusal::internal)
}

/// A certificate in PEM (RFC 7468), with a last line feed.
pub(crate) fn pem(der: &[u8]) -> String {
    der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, der).unwrap_or_default()
}

fn time(instant: DateTime<Utc>) -> der::Result<Time> {
    let since = Duration::from_secs(u64::try_from(instant.timestamp()).unwrap_or_default());
    match UtcTime::from_unix_duration(since) {
        Ok(time) => Ok(Time::UtcTime(time)),
        Err(_) => Ok(Time::GeneralTime(GeneralizedTime::from_unix_duration(since)?)),
    }
}

struct Profile {
    issuer: Name,
    subject: Name,
    authority: bool,
}

impl BuilderProfile for Profile {
    fn get_issuer(&self, _: &Name) -> Name {
        self.issuer.clone()
    }

    fn get_subject(&self) -> Name {
        self.subject.clone()
    }

    fn build_extensions(
        &self,
        subject: SubjectPublicKeyInfoRef<'_>,
        issuer: SubjectPublicKeyInfoRef<'_>,
        tbs: &TbsCertificate,
    ) -> builder::Result<Vec<Extension>> {
        // AMD's certificates of chips have no extensions but their own.
        if !self.authority {
            return Ok(Vec::new());
        }
        let name = tbs.subject();
        Ok(vec![
            KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign).to_extension(name, &[])?,
            SubjectKeyIdentifier::try_from(subject)?.to_extension(name, &[])?,
            AuthorityKeyIdentifier::try_from(issuer)?.to_extension(name, &[])?,
            BasicConstraints { ca: true, path_len_constraint: None }.to_extension(name, &[])?,
        ])
    }
}

struct RsaSigner<'a> {
    key: &'a RsaKey,
    scheme: Scheme,
}

#[derive(Clone)]
struct Verifying(RsaPublic);

struct Signature(Vec<u8>);

impl Keypair for RsaSigner<'_> {
    type VerifyingKey = Verifying;

    fn verifying_key(&self) -> Verifying {
        Verifying(self.key.public())
    }
}

impl EncodePublicKey for Verifying {
    fn to_public_key_der(&self) -> spki::Result<Document> {
        let key = rsa_key(&self.0).map_err(|_| spki::Error::KeyMalformed)?;
        Ok(Document::try_from(key.to_der()?)?)
    }
}

impl DynSignatureAlgorithmIdentifier for RsaSigner<'_> {
    fn signature_algorithm_identifier(&self) -> spki::Result<AlgorithmIdentifierOwned> {
        Ok(match self.scheme {
            Scheme::PssSha384 => {
                AlgorithmIdentifierOwned { oid: RSASSA_PSS, parameters: Some(Any::from_der(PSS_SHA384)?) }
            }
            Scheme::Pkcs1Sha256 => {
                AlgorithmIdentifierOwned { oid: SHA256_WITH_RSA, parameters: Some(Any::encode_from(&Null)?) }
            }
        })
    }
}

impl Signer<Signature> for RsaSigner<'_> {
    fn try_sign(&self, message: &[u8]) -> Result<Signature, signature::Error> {
        let (padding, hash) = match self.scheme {
            Scheme::PssSha384 => (SignaturePadding::Pss, Hash::Sha384),
            Scheme::Pkcs1Sha256 => (SignaturePadding::Pkcs1v15, Hash::Sha256),
        };
        self.key.sign(padding, &hash.digest(message)).map(Signature).map_err(|_| signature::Error::new())
    }
}

impl SignatureBitStringEncoding for Signature {
    fn to_bitstring(&self) -> der::Result<BitString> {
        BitString::from_bytes(&self.0)
    }
}
