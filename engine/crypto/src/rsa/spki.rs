//! RSA public keys as certificates carry them (`SubjectPublicKeyInfo`, RFC 5280 §4.1.2.7).

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{PublicKey, PublicKeyComponents};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::RsaPublic;
use crate::BadKey;

impl RsaPublic {
    /// Reads the DER of a `SubjectPublicKeyInfo`. Any length of the modulus is read, so that a caller can say what is
    /// wrong with a short one; [`bits`](Self::bits) says which are keys here.
    ///
    /// # Errors
    /// [`BadKey`] when it is no RSA key.
    pub fn from_spki(der: &[u8]) -> Result<Self, BadKey> {
        let key = PublicKey::from_der(der).map_err(|_| BadKey)?;
        Ok(Self {
            n: key.modulus().big_endian_without_leading_zero().to_vec(),
            e: key.exponent().big_endian_without_leading_zero().to_vec(),
        })
    }

    /// Writes the DER of a `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    /// [`BadKey`] when modulus and exponent are no RSA key.
    pub fn to_spki(&self) -> Result<Vec<u8>, BadKey> {
        let key = PublicKeyComponents { n: &self.n, e: &self.e };
        let der: PublicKeyX509Der<'_> = key.as_der().map_err(|_| BadKey)?;
        Ok(der.as_ref().to_vec())
    }

    /// Writes the `SubjectPublicKeyInfo` as PEM (RFC 7468 §13): 64 characters a line, every line ended by `\n`.
    ///
    /// # Errors
    /// [`BadKey`] when modulus and exponent are no RSA key.
    pub fn to_spki_pem(&self) -> Result<String, BadKey> {
        let body = BASE64_STANDARD.encode(self.to_spki()?);
        let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
        for (at, character) in body.char_indices() {
            if at > 0 && at % 64 == 0 {
                pem.push('\n');
            }
            pem.push(character);
        }
        pem.push_str("\n-----END PUBLIC KEY-----\n");
        Ok(pem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rsa::{RsaBits, RsaKey};

    /// Made for this test by `openssl genrsa 1024 | openssl rsa -pubout`; the private key is gone.
    const OPENSSL: &str = "-----BEGIN PUBLIC KEY-----\n\
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCpgZWvKZ9bo+jDKSotfGL4RO3V\n\
YFJej+P49Lz53NGOTMdgPQ0IZrNBQDlBquc/jodeVjZIKZ27PwYDSc7kI3tY85Ui\n\
EYQdA3iJ5JxNiuL36W33cyAG0Vi4gbeMXyKrHGeE5xIwkSzhINo+vYmZ1yIbFnqN\n\
SRBL8/lawwumzpUvJQIDAQAB\n\
-----END PUBLIC KEY-----\n\
";

    #[test]
    fn keys_come_out_as_they_went_in() {
        let public = RsaKey::generate(RsaBits::B2048).public();
        assert_eq!(RsaPublic::from_spki(&public.to_spki().unwrap()).unwrap(), public);
        let pem = public.to_spki_pem().unwrap();
        assert!(pem.lines().all(|line| line.len() <= 64) && pem.ends_with("KEY-----\n"));
    }

    #[test]
    fn a_key_of_openssl_is_read_and_written_the_same() {
        let body: String = OPENSSL.lines().filter(|line| !line.starts_with('-')).collect();
        let key = RsaPublic::from_spki(&BASE64_STANDARD.decode(body).unwrap()).unwrap();
        assert_eq!((key.n.len(), &key.e[..], key.bits()), (128, &[1, 0, 1][..], None));
        assert_eq!(key.to_spki_pem().unwrap(), OPENSSL);
    }

    #[test]
    fn what_is_no_rsa_key_is_refused() {
        for der in [&[][..], &[0x30, 0x00], &[0xff; 40]] {
            assert_eq!(RsaPublic::from_spki(der).unwrap_err(), BadKey);
        }
        let none = RsaPublic { n: vec![], e: vec![1, 0, 1] };
        assert_eq!(none.to_spki().unwrap_err(), BadKey);
    }
}
