//! Certificates of those who hold a share of a security domain, and the transfer key's own (X.509, RFC 5280).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{CertificateParams, DnType, KeyPair};

use super::DomainError;
use crate::rsa::{RsaKey, RsaPublic};

/// A day: year, month, day of the month.
pub type Day = (i32, u8, u8);

/// SHA-256 of a certificate, base64url (`x5t#S256`, RFC 7515 §4.1.8).
#[must_use]
pub fn thumbprint(der: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(crate::sha256(der))
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
#[must_use]
pub fn public_key(der: &[u8]) -> Option<RsaPublic> {
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

/// A certificate of a key by itself, valid between two days.
///
/// # Errors
/// [`DomainError::Malformed`] when the library refuses the key.
pub fn self_signed(key: &RsaKey, name: &str, (from, to): (Day, Day)) -> Result<Vec<u8>, DomainError> {
    let pair = KeyPair::try_from(key.to_pkcs8().expose()).map_err(|_| DomainError::Malformed)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
    params.not_after = rcgen::date_time_ymd(to.0, to.1, to.2);
    Ok(params.self_signed(&pair).map_err(|_| DomainError::Malformed)?.der().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rsa::RsaBits;

    #[test]
    fn the_key_of_a_certificate() {
        let key = RsaKey::generate(RsaBits::B2048);
        let der = self_signed(&key, "a holder", ((2026, 11, 22), (2027, 11, 22))).unwrap();
        assert_eq!(public_key(&der), Some(key.public()));
        for length in 0..der.len() {
            assert_eq!(public_key(&der[..length]), None, "{length}");
        }
        let elliptic = KeyPair::generate().unwrap();
        let other = CertificateParams::default().self_signed(&elliptic).unwrap();
        assert_eq!(public_key(other.der()), None);
    }
}
