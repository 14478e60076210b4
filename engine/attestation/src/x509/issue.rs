//! Making certificates: for the embedded Azure's hardware and for tests. Only what those need.

use std::time::Duration;

use der::asn1::{BitString, ObjectIdentifier, OctetString, UintRef};
use der::{Any, Decode as _, Encode as _, Sequence};
use sealbook_crypto::Hash;
use sealbook_crypto::ec::EcKey;
use sealbook_crypto::rsa::{RsaKey, SignaturePadding};
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, KeyUsages};
use x509_cert::ext::{Extension, Extensions};
use x509_cert::name::Name;
use x509_cert::time::{Time, Validity};

use super::{Certificate, PublicKey, X509Error};

/// Who signs.
pub enum Signer<'a> {
    /// RSASSA-PSS with SHA-384, as AMD's authorities sign.
    RsaPss(&'a RsaKey),
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RsaPkcs1(&'a RsaKey),
    /// ECDSA with the hash of the key's curve.
    Ec(&'a EcKey),
}

/// What a certificate says.
pub struct Profile<'a> {
    /// Serial number.
    pub serial: u64,
    /// Who issues it (RFC 4514).
    pub issuer: &'a str,
    /// Whom it is for (RFC 4514).
    pub subject: &'a str,
    /// The subject's key.
    pub key: &'a PublicKey,
    /// From when it is valid, in unix seconds.
    pub not_before: i64,
    /// Until when it is valid, in unix seconds.
    pub not_after: i64,
    /// For an authority: how many authorities may stand below it.
    pub authority: Option<u8>,
    /// Other extensions: object identifier and content; never critical.
    pub extensions: &'a [(&'a str, Vec<u8>)],
}

#[derive(Sequence)]
struct Tbs {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    version: u8,
    serial: u64,
    algorithm: Any,
    issuer: Name,
    validity: Validity,
    subject: Name,
    key: Any,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT")]
    extensions: Extensions,
}

#[derive(Sequence)]
struct Signed {
    tbs: Any,
    algorithm: Any,
    signature: BitString,
}

#[derive(Sequence)]
struct Pair<'a> {
    first: UintRef<'a>,
    second: UintRef<'a>,
}

const RSA_PKCS1_SHA256: &str = "300d06092a864886f70d01010b0500";
/// RSASSA-PSS, SHA-384, MGF1 with SHA-384, 48 bytes of salt (RFC 4055 §3.1).
const RSA_PSS_SHA384: &str = "304106092a864886f70d01010a3034a00f300d06096086480165030402020500a11c301a06092a864886f70d0101\
                              08300d06096086480165030402020500a203020130";

/// Issues a certificate.
///
/// # Errors
/// [`X509Error`] when a name or an instant cannot be encoded, or the key does not sign.
pub fn issue(profile: &Profile<'_>, signer: &Signer<'_>) -> Result<Certificate, X509Error> {
    let algorithm = match signer {
        Signer::RsaPss(_) => RSA_PSS_SHA384,
        Signer::RsaPkcs1(_) => RSA_PKCS1_SHA256,
        Signer::Ec(key) => match key.public().curve.hash() {
            Hash::Sha256 => "300a06082a8648ce3d040302",
            Hash::Sha384 => "300a06082a8648ce3d040303",
            Hash::Sha512 => "300a06082a8648ce3d040304",
        },
    };
    let algorithm = Any::from_der(&hex::decode(algorithm).map_err(|e| X509Error::Encoding(e.to_string()))?)?;
    let tbs = Tbs {
        version: 2,
        serial: profile.serial,
        algorithm: algorithm.clone(),
        issuer: profile.issuer.parse()?,
        validity: Validity::new(time(profile.not_before)?, time(profile.not_after)?),
        subject: profile.subject.parse()?,
        key: Any::from_der(&spki(profile.key)?)?,
        extensions: extensions(profile)?,
    };
    let tbs = tbs.to_der()?;
    let refused = |_| X509Error::Unsupported("the key does not sign".into());
    let signature = match signer {
        Signer::RsaPss(key) => key.sign(SignaturePadding::Pss, &Hash::Sha384.digest(&tbs)).map_err(refused)?,
        Signer::RsaPkcs1(key) => key.sign(SignaturePadding::Pkcs1v15, &Hash::Sha256.digest(&tbs)).map_err(refused)?,
        Signer::Ec(key) => {
            let curve = key.public().curve;
            let fixed = key.sign(&curve.hash().digest(&tbs));
            let fixed = fixed.map_err(|_| X509Error::Unsupported("the key does not sign".into()))?;
            let (r, s) = fixed.split_at_checked(curve.bytes()).unwrap_or_default();
            Pair { first: UintRef::new(r)?, second: UintRef::new(s)? }.to_der()?
        }
    };
    let signed = Signed { tbs: Any::from_der(&tbs)?, algorithm, signature: BitString::from_bytes(&signature)? };
    Certificate::from_der(&signed.to_der()?)
}

/// Encodes a public key as SubjectPublicKeyInfo.
///
/// # Errors
/// [`X509Error::Unsupported`] for a curve without certificates here.
pub fn spki(key: &PublicKey) -> Result<Vec<u8>, X509Error> {
    #[derive(Sequence)]
    struct Algorithm {
        oid: ObjectIdentifier,
        parameters: Any,
    }
    #[derive(Sequence)]
    struct Spki {
        algorithm: Algorithm,
        key: BitString,
    }
    let (oid, parameters, key) = match key {
        PublicKey::Rsa(key) => {
            let key = Pair { first: UintRef::new(&key.n)?, second: UintRef::new(&key.e)? }.to_der()?;
            ("1.2.840.113549.1.1.1", Any::null(), key)
        }
        PublicKey::Ec(key) => {
            let curve = match key.curve.bytes() {
                32 if key.curve.name() == "P-256" => "1.2.840.10045.3.1.7",
                48 => "1.3.132.0.34",
                66 => "1.3.132.0.35",
                _ => return Err(X509Error::Unsupported(format!("no certificates for {}", key.curve.name()))),
            };
            ("1.2.840.10045.2.1", Any::encode_from(&oid(curve)?)?, [&[4], &key.x[..], &key.y[..]].concat())
        }
    };
    let algorithm = Algorithm { oid: self::oid(oid)?, parameters };
    Ok(Spki { algorithm, key: BitString::from_bytes(&key)? }.to_der()?)
}

fn extensions(profile: &Profile<'_>) -> Result<Extensions, X509Error> {
    let mut extensions = Extensions::new();
    if let Some(below) = profile.authority {
        let constraints = BasicConstraints { ca: true, path_len_constraint: Some(below) };
        let usage = KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign);
        for (oid, content) in [("2.5.29.19", constraints.to_der()?), ("2.5.29.15", usage.to_der()?)] {
            extensions.push(Extension {
                extn_id: self::oid(oid)?,
                critical: true,
                extn_value: OctetString::new(content)?,
            });
        }
    }
    for (oid, content) in profile.extensions {
        let extn_value = OctetString::new(content.clone())?;
        extensions.push(Extension { extn_id: self::oid(oid)?, critical: false, extn_value });
    }
    Ok(extensions)
}

fn oid(text: &str) -> Result<ObjectIdentifier, X509Error> {
    ObjectIdentifier::new(text).map_err(|error| X509Error::Encoding(format!("{text}: {error}")))
}

fn time(seconds: i64) -> Result<Time, X509Error> {
    let seconds = u64::try_from(seconds).map_err(|_| X509Error::Encoding("an instant before 1970".into()))?;
    Ok(Time::from(der::DateTime::from_unix_duration(Duration::from_secs(seconds))?))
}
