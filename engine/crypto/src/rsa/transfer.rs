//! Key transfer blobs (`.byok`): how a key gets from one HSM into another without anybody seeing it.
//!
//! A key exchange key belongs to the HSM that takes; the target is wrapped under its public half with
//! `CKM_RSA_AES_KEY_WRAP`, and JSON around it says which key that was. Source: "Bring your own key specification",
//! learn.microsoft.com/azure/key-vault/keys/byok-specification.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Value, json};

use super::{RsaAesWrap, RsaError, RsaKey, RsaPublic};
use crate::SecretBytes;

/// Version of the layout that Azure reads.
const SCHEMA: &str = "1.0.0";

/// Base64url with padding or without: writers differ.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A key on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferBlob {
    /// Identifier of the key exchange key.
    pub kid: String,
    /// The target under that key.
    pub ciphertext: Vec<u8>,
}

/// Why bytes are no key transfer blob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransferBlobError {
    /// No JSON.
    #[error("it must hold a key transfer blob in JSON")]
    Json,
    /// A member has a value that the specification does not give it.
    #[error("{name} of the key transfer blob must be \"{expected}\", not {seen}")]
    Value {
        /// The member.
        name: &'static str,
        /// What the specification says.
        expected: &'static str,
        /// What is there, as JSON.
        seen: String,
    },
    /// A member is missing or of another kind.
    #[error("{0} of the key transfer blob must {1}")]
    Member(&'static str, &'static str),
}

impl TransferBlob {
    /// Wraps a target (PKCS #8 for RSA and elliptic keys, the raw bytes for a symmetric one) for a key exchange key.
    ///
    /// # Errors
    /// As [`RsaAesWrap::wrap`].
    pub fn wrap(kid: &str, exchange: &RsaPublic, target: &SecretBytes) -> Result<Self, RsaError> {
        Ok(Self { kid: kid.to_owned(), ciphertext: RsaAesWrap::Ckm.wrap(exchange, target)? })
    }

    /// Opens it with the key exchange key.
    ///
    /// # Errors
    /// [`RsaError::Decrypt`] for every reason alike.
    pub fn unwrap(&self, exchange: &RsaKey) -> Result<SecretBytes, RsaError> {
        RsaAesWrap::Ckm.unwrap(exchange, &self.ciphertext)
    }

    /// Reads the JSON.
    ///
    /// # Errors
    /// [`TransferBlobError`] names the member.
    pub fn parse(json: &[u8]) -> Result<Self, TransferBlobError> {
        let blob: Value = serde_json::from_slice(json).map_err(|_| TransferBlobError::Json)?;
        for (name, value, expected) in [
            ("schema_version", &blob["schema_version"], SCHEMA),
            ("header.alg", &blob["header"]["alg"], "dir"),
            ("header.enc", &blob["header"]["enc"], RsaAesWrap::Ckm.name()),
        ] {
            if value != expected {
                return Err(TransferBlobError::Value { name, expected, seen: value.to_string() });
            }
        }
        if !blob["generator"].is_null() && !blob["generator"].is_string() {
            return Err(TransferBlobError::Member("generator", "be a text"));
        }
        let kid = blob["header"]["kid"].as_str();
        let kid = kid.ok_or(TransferBlobError::Member("header.kid", "name the key exchange key"))?;
        let ciphertext = blob["ciphertext"].as_str().and_then(|text| BASE64URL.decode(text).ok());
        let ciphertext = ciphertext.ok_or(TransferBlobError::Member("ciphertext", "be base64url"))?;
        Ok(Self { kid: kid.to_owned(), ciphertext })
    }

    /// Writes the JSON; `generator` says which program made it.
    #[must_use]
    pub fn encode(&self, generator: &str) -> Vec<u8> {
        let blob = json!({
            "schema_version": SCHEMA,
            "header": { "kid": self.kid, "alg": "dir", "enc": RsaAesWrap::Ckm.name() },
            "ciphertext": URL_SAFE_NO_PAD.encode(&self.ciphertext),
            "generator": generator,
        });
        blob.to_string().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rsa::RsaBits;

    #[test]
    fn a_blob_is_read_as_it_was_written_and_the_exchange_key_opens_it() {
        let (exchange, other) = (RsaKey::generate(RsaBits::B2048), RsaKey::generate(RsaBits::B2048));
        let made = TransferBlob::wrap("https://v/keys/kek/1", &exchange.public(), &b"target".to_vec().into()).unwrap();
        let read = TransferBlob::parse(&made.encode("a test")).unwrap();
        assert_eq!(read, made);
        assert_eq!(read.unwrap(&exchange).unwrap().expose(), b"target");
        assert!(read.unwrap(&other).is_err());
    }

    #[test]
    fn what_the_specification_does_not_say_is_refused_by_its_name() {
        let sound = TransferBlob { kid: "k".into(), ciphertext: vec![0xfb, 0xff] };
        let sound: Value = serde_json::from_slice(&sound.encode("a test")).unwrap();
        let table = [
            ("/schema_version", json!("1.0"), "schema_version of the key transfer blob must be \"1.0.0\", not \"1.0\""),
            ("/header/alg", json!("RSA"), "header.alg"),
            (
                "/header/enc",
                Value::Null,
                "header.enc of the key transfer blob must be \"CKM_RSA_AES_KEY_WRAP\", not null",
            ),
            ("/header/kid", json!(1), "header.kid of the key transfer blob must name"),
            ("/ciphertext", json!("+/8="), "ciphertext of the key transfer blob must be base64url"),
            ("/ciphertext", json!([1]), "ciphertext"),
            ("/generator", json!(1), "generator"),
        ];
        for (place, value, expected) in table {
            let mut bent = sound.clone();
            *bent.pointer_mut(place).unwrap() = value;
            let why = TransferBlob::parse(bent.to_string().as_bytes()).unwrap_err().to_string();
            assert!(why.contains(expected), "{place}: {why}");
        }
        for text in ["", "[]", "\"a text\"", "{", "1"] {
            assert!(TransferBlob::parse(text.as_bytes()).is_err(), "{text}");
        }
        let mut padded = sound;
        padded["ciphertext"] = json!("-_8=");
        assert_eq!(TransferBlob::parse(padded.to_string().as_bytes()).unwrap().ciphertext, [0xfb, 0xff]);
    }
}
