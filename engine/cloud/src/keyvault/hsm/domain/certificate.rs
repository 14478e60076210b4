//! Certificates of those who hold a share of a security domain, and the transfer key's own (X.509, RFC 5280).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, Datelike, Duration, Utc};
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256};
use rustls::pki_types::PrivatePkcs8KeyDer;
use sealbook_crypto::rsa::{RsaKey, RsaPublic};
use serde_json::Value;

use super::super::super::requests::bad;
use crate::refusal::Refusal;

/// Somebody to whom a share is encrypted.
#[derive(Debug)]
pub(super) struct Recipient {
    /// The certificate's key.
    pub key: RsaPublic,
    /// SHA-256 of the certificate, base64url.
    pub thumbprint: String,
}

impl Recipient {
    /// Reads an entry of `certificates` (`SecurityDomainJsonWebKey`). Its key is that of its certificate.
    pub fn read(jwk: &Value) -> Result<Self, Refusal> {
        let invalid = |why: &str| bad(format!("Property certificates has invalid value: {why}."));
        let text = jwk["x5c"][0].as_str().ok_or_else(|| invalid("each needs its certificate in x5c"))?;
        let der = STANDARD.decode(text).map_err(|_| invalid("x5c must be base64"))?;
        let key = public_key(&der).ok_or_else(|| invalid("x5c must be the certificate of an RSA key"))?;
        if key.bits().is_none() {
            return Err(invalid("keys must be RSA keys of 2048, 3072 or 4096 bits"));
        }
        let thumbprint = thumbprint(&der);
        let named = |name: &str, value: &str| jwk[name].is_null() || jwk[name] == value;
        if !named("x5t#S256", &thumbprint) {
            return Err(invalid("x5t#S256 is not the thumbprint of x5c"));
        }
        if !named("n", &URL_SAFE_NO_PAD.encode(&key.n)) || !named("e", &URL_SAFE_NO_PAD.encode(&key.e)) {
            return Err(invalid("n and e are not the key of x5c"));
        }
        Ok(Self { key, thumbprint })
    }
}

/// SHA-256 of a certificate, base64url.
pub(super) fn thumbprint(der: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(sealbook_crypto::sha256(der))
}

/// One element of DER (X.690): its tag, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match *first {
        short @ 0..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// The content of an element with a tag, and what follows it.
fn tagged(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    element(der).filter(|(tag, ..)| *tag == wanted).map(|(_, content, rest)| (content, rest))
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const VERSION: u8 = 0xa0;
/// rsaEncryption (RFC 8017, appendix A.1), as the first element of an algorithm identifier.
const RSA_ENCRYPTION: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// The RSA key of a certificate; `None` when it is no certificate, or another kind of key.
pub(super) fn public_key(der: &[u8]) -> Option<RsaPublic> {
    let (certificate, behind) = tagged(der, SEQUENCE)?;
    behind.is_empty().then_some(())?;
    let (signed, _) = tagged(certificate, SEQUENCE)?;
    let mut rest = tagged(signed, VERSION).map_or(signed, |(_, rest)| rest);
    // Serial number, signature algorithm, issuer, validity, subject.
    for tag in [INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE] {
        rest = tagged(rest, tag)?.1;
    }
    let (info, _) = tagged(rest, SEQUENCE)?;
    let (algorithm, rest) = tagged(info, SEQUENCE)?;
    algorithm.starts_with(RSA_ENCRYPTION).then_some(())?;
    let (bits, _) = tagged(rest, BIT_STRING)?;
    let (key, _) = tagged(bits.strip_prefix(&[0])?, SEQUENCE)?;
    let (n, rest) = tagged(key, INTEGER)?;
    let (e, _) = tagged(rest, INTEGER)?;
    let number = |bytes: &[u8]| bytes[bytes.iter().take_while(|byte| **byte == 0).count()..].to_vec();
    Some(RsaPublic { n: number(n), e: number(e) })
}

/// A certificate of a key by itself, for a year from an instant on.
pub(super) fn self_signed(key: &RsaKey, name: &str, now: DateTime<Utc>) -> Result<Vec<u8>, Refusal> {
    let document = key.to_pkcs8();
    let document = PrivatePkcs8KeyDer::from(document.expose());
    let pair = KeyPair::from_pkcs8_der_and_sign_algo(&document, &PKCS_RSA_SHA256).map_err(Refusal::internal)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("{name} security domain exchange key"));
    let date = |at: DateTime<Utc>| rcgen::date_time_ymd(at.year(), month_of(at), day_of(at));
    params.not_before = date(now - Duration::days(1));
    params.not_after = date(now + Duration::days(365));
    Ok(params.self_signed(&pair).map_err(Refusal::internal)?.der().to_vec())
}

fn month_of(at: DateTime<Utc>) -> u8 {
    u8::try_from(at.month()).unwrap_or(1)
}

fn day_of(at: DateTime<Utc>) -> u8 {
    u8::try_from(at.day()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_crypto::rsa::RsaBits;
    use serde_json::json;

    fn made() -> (RsaPublic, Vec<u8>) {
        let key = RsaKey::generate(RsaBits::B2048);
        (key.public(), self_signed(&key, "pool", DateTime::UNIX_EPOCH + Duration::days(20_000)).unwrap())
    }

    #[test]
    fn the_key_of_a_certificate() {
        let (public, der) = made();
        assert_eq!(public_key(&der), Some(public));
        for length in 0..der.len() {
            assert_eq!(public_key(&der[..length]), None, "{length}");
        }
        let elliptic = rcgen::KeyPair::generate().unwrap();
        let other = CertificateParams::default().self_signed(&elliptic).unwrap();
        assert_eq!(public_key(other.der()), None);
    }

    #[test]
    fn recipients_are_their_certificates() {
        let (public, der) = made();
        let good = json!({
            "x5c": [STANDARD.encode(&der)], "x5t#S256": thumbprint(&der), "kty": "RSA",
            "n": URL_SAFE_NO_PAD.encode(&public.n), "e": "AQAB",
        });
        assert_eq!(Recipient::read(&good).unwrap().key, public);
        let rows = [
            ("x5c", json!([]), "each needs its certificate"),
            ("x5c", json!(["%"]), "must be base64"),
            ("x5c", json!(["AAAA"]), "certificate of an RSA key"),
            ("x5t#S256", json!("abc"), "is not the thumbprint"),
            ("n", json!("AQAB"), "are not the key"),
            ("e", json!("Aw"), "are not the key"),
        ];
        for (name, value, expected) in rows {
            let mut bad = good.clone();
            bad[name] = value;
            let refusal = Recipient::read(&bad).unwrap_err();
            assert!(refusal.message.contains(expected), "{}", refusal.message);
        }
    }
}
