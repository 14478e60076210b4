//! How a key comes out of another HSM: as a key transfer blob, which is the property `key_hsm` of an import. The key
//! exchange key is a key of this vault whose only operation is `import`.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sealbook_crypto::SecretBytes;
use sealbook_crypto::rsa::TransferBlob;
use serde_json::Value;

use super::cryptography::{self, Action};
use super::keystore::KeyStore;
use super::material::{self, Private};
use super::requests::{self, bad};
use super::{bundle, keys, store};
use crate::cx::Cx;
use crate::refusal::Refusal;

/// Base64 as the documentation's own request has it; the SDKs send base64url.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn invalid(why: impl std::fmt::Display) -> Refusal {
    bad(format!("Property key.key_hsm has invalid value: {why}."))
}

/// Opens the transfer blob of a JSON Web Key and returns the target in the clear: a PKCS#8 document for RSA and
/// elliptic-curve keys, the raw bytes for a symmetric key.
///
/// # Errors
/// `BadParameter` for a blob that is none, names a key of another vault, or does not unwrap; `KeyNotFound` and the
/// refusals of an operation (`KeyDisabled`, `KeyOperationForbidden`, …) for the key exchange key.
pub(super) fn open(cx: &Cx<'_>, vault: &KeyStore, jwk: &Value) -> Result<SecretBytes, Refusal> {
    let blob = read(&jwk["key_hsm"])?;
    let (name, version) = named(vault, &blob.kid)?;
    let key = keys::live(cx, vault, &name)?;
    let version = store::version(cx, key.row, version.as_deref())?.ok_or_else(|| keys::not_found(&blob.kid))?;
    cryptography::permitted(cx, &version, Action::Import).map_err(|fault| fault.refusal(Action::Import))?;
    let kid = bundle::kid(vault, &key.name, Some(&version.version));
    let Private::Rsa(private) = material::open(cx, &kid, &version)? else {
        return Err(Refusal::internal("a key exchange key is no RSA key"));
    };
    blob.unwrap(&private)
        .map_err(|_| invalid("its ciphertext does not unwrap with the key exchange key that its header names"))
}

fn read(given: &Value) -> Result<TransferBlob, Refusal> {
    let text = given.as_str().ok_or_else(|| invalid("it must be base64url"))?;
    let bytes = requests::decode(text).or_else(|| BASE64.decode(text).ok());
    TransferBlob::parse(&bytes.ok_or_else(|| invalid("it must be base64url"))?).map_err(invalid)
}

/// Name and version of a key of this vault, out of its identifier.
fn named(vault: &KeyStore, kid: &str) -> Result<(String, Option<String>), Refusal> {
    let elsewhere = || {
        invalid(format!("its key exchange key '{kid}' is no key of this vault, whose keys are {}keys/…", vault.uri()))
    };
    let lower = kid.to_ascii_lowercase();
    let base = format!("{}keys/", vault.uri());
    if !lower.starts_with(&base) {
        return Err(elsewhere());
    }
    let mut parts = kid[base.len()..].split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(name), version, None) if !name.is_empty() => {
            Ok((name.to_owned(), version.filter(|version| !version.is_empty()).map(str::to_owned)))
        }
        _ => Err(elsewhere()),
    }
}
