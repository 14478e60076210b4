//! JSON Web Encryption in its compact form (RFC 7516): `A256CBC-HS512` content (RFC 7518 §5.2.5), under a key that both
//! sides have (`dir`) or encrypted to an RSA key (`RSA-OAEP-256`).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::DomainError;
use crate::aes::AesKey;
use crate::rsa::{Padding, RsaKey, RsaPublic};
use crate::{SecretBytes, constant_time_eq, hmac_sha512};

/// Content encryption.
const ENC: &str = "A256CBC-HS512";
/// Length of a content encryption key in bytes: half for the MAC, half for the cipher.
const CEK: usize = 64;
/// Length of an authentication tag in bytes.
const TAG: usize = 32;

/// Encrypts under a 512-bit key.
pub(super) fn with_key(key: &SecretBytes, kid: &str, plaintext: &[u8]) -> Result<String, DomainError> {
    compact(&json!({ "alg": "dir", "enc": ENC, "kid": kid }), &[], key, plaintext)
}

/// Encrypts to the holder of an RSA key.
pub(super) fn for_recipient(recipient: &RsaPublic, plaintext: &SecretBytes) -> Result<String, DomainError> {
    let cek = SecretBytes::new(crate::random::<CEK>().to_vec());
    let wrapped = recipient.encrypt(Padding::OaepSha256, cek.expose()).map_err(|_| DomainError::Malformed)?;
    compact(&json!({ "alg": "RSA-OAEP-256", "enc": ENC, "kid": "not used" }), &wrapped, &cek, plaintext.expose())
}

/// Decrypts what was encrypted under a 512-bit key; `None` when it was not.
pub(super) fn open_with_key(compact: &str, key: &SecretBytes) -> Option<SecretBytes> {
    let (header, parts) = split(compact)?;
    (header["alg"] == "dir").then_some(())?;
    decrypt(&header, &parts, key)
}

/// Decrypts what was encrypted to an RSA key; `None` when it was not.
pub(super) fn open_with_private_key(compact: &str, key: &RsaKey) -> Option<SecretBytes> {
    let (header, parts) = split(compact)?;
    (header["alg"] == "RSA-OAEP-256").then_some(())?;
    let cek = key.decrypt(Padding::OaepSha256, &parts.wrapped).ok()?;
    decrypt(&header, &parts, &cek)
}

fn compact(header: &Value, wrapped: &[u8], cek: &SecretBytes, plaintext: &[u8]) -> Result<String, DomainError> {
    let header = URL_SAFE_NO_PAD.encode(header.to_string());
    let iv: [u8; 16] = crate::random();
    let (mac, cipher) = halves(cek).ok_or(DomainError::Malformed)?;
    let ciphertext = cipher.encrypt_cbc(iv, plaintext, true).map_err(|_| DomainError::Malformed)?;
    let tag = tag(&mac, &header, &iv, &ciphertext);
    let parts = [wrapped, &iv, &ciphertext, &tag].map(|part| URL_SAFE_NO_PAD.encode(part));
    Ok(format!("{header}.{}", parts.join(".")))
}

/// The parts behind the header.
struct Parts {
    header: String,
    wrapped: Vec<u8>,
    iv: [u8; 16],
    ciphertext: Vec<u8>,
    tag: Vec<u8>,
}

fn split(compact: &str) -> Option<(Value, Parts)> {
    let parts: Vec<&str> = compact.split('.').collect();
    let [header, wrapped, iv, ciphertext, tag] = parts[..] else { return None };
    let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let document = serde_json::from_slice(&bytes(header)?).ok()?;
    let parts = Parts {
        header: header.to_owned(),
        wrapped: bytes(wrapped)?,
        iv: bytes(iv)?.try_into().ok()?,
        ciphertext: bytes(ciphertext)?,
        tag: bytes(tag)?,
    };
    Some((document, parts))
}

fn decrypt(header: &Value, parts: &Parts, cek: &SecretBytes) -> Option<SecretBytes> {
    (header["enc"] == ENC).then_some(())?;
    let (mac, cipher) = halves(cek)?;
    let expected = tag(&mac, &parts.header, &parts.iv, &parts.ciphertext);
    constant_time_eq(&expected, &parts.tag).then_some(())?;
    cipher.decrypt_cbc(parts.iv, &parts.ciphertext, true).ok()
}

/// The key of the MAC and that of the cipher.
fn halves(cek: &SecretBytes) -> Option<(SecretBytes, AesKey)> {
    let (mac, cipher) = cek.expose().split_at_checked(CEK / 2)?;
    (cek.len() == CEK).then_some(())?;
    Some((SecretBytes::new(mac.to_vec()), AesKey::from_bytes(SecretBytes::new(cipher.to_vec()))?))
}

fn tag(mac: &SecretBytes, header: &str, iv: &[u8], ciphertext: &[u8]) -> [u8; TAG] {
    let length = (header.len() as u64 * 8).to_be_bytes();
    let message = [header.as_bytes(), iv, ciphertext, &length].concat();
    let mut out = [0; TAG];
    out.copy_from_slice(&hmac_sha512(mac.expose(), &message)[..TAG]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rsa::RsaBits;

    /// RFC 7518, appendix B.3: the tag covers header, initialisation vector, ciphertext and the header's length.
    #[test]
    fn encrypts_like_rfc_7518() {
        let key: Vec<u8> = (0..64).collect();
        let key = SecretBytes::new(key);
        let plain =
            b"A cipher system must not be required to be secret, and it must be able to fall into the hands of the \
                      enemy without inconvenience";
        let iv: [u8; 16] = hex::decode("1af38c2dc2b96ffdd86694092341bc04").unwrap().try_into().unwrap();
        let (mac, cipher) = halves(&key).unwrap();
        let ciphertext = cipher.encrypt_cbc(iv, plain, true).unwrap();
        assert_eq!(hex::encode(&ciphertext[..16]), "4affaaadb78c31c5da4b1b590d10ffbd");
        let header = "The second principle of Auguste Kerckhoffs";
        assert_eq!(
            hex::encode(tag(&mac, header, &iv, &ciphertext)),
            "4dd3b4c088a7f45c216839645b2012bf2e6269a8c56a816dbc1b267761955bc5"
        );
    }

    #[test]
    fn what_was_changed_does_not_open() {
        let key = SecretBytes::new(vec![3; 64]);
        let made = with_key(&key, "tag", b"secret").unwrap();
        assert_eq!(open_with_key(&made, &key).unwrap().expose(), b"secret");
        assert!(open_with_key(&made, &SecretBytes::new(vec![4; 64])).is_none());
        assert!(open_with_key(&made, &SecretBytes::new(vec![3; 63])).is_none());
        assert!(open_with_private_key(&made, &RsaKey::generate(RsaBits::B2048)).is_none());
        for position in 0..5 {
            let mut parts: Vec<String> = made.split('.').map(str::to_owned).collect();
            parts[position].insert(0, 'A');
            assert!(open_with_key(&parts.join("."), &key).is_none(), "{position}");
        }
        assert!(open_with_key("a.b", &key).is_none());
    }
}
