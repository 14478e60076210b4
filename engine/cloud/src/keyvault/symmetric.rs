//! Encrypt, decrypt, wrapKey and unwrapKey with the AES keys of a managed HSM (`JsonWebKeyEncryptionAlgorithm`).
//!
//! The HSM draws the nonce of GCM and answers it as `iv`; the initialisation vector of CBC comes from the caller.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealbook_crypto::aes::{AesBits, AesError, AesKey, BLOCK, NONCE, Sealed, TAG};
use sealbook_crypto::{AesKek, KeyWrapError, SecretBytes};
use serde_json::{Value, json};

use super::cryptography::Action;
use super::requests::{self, bad};
use crate::http::Answer;
use crate::refusal::Refusal;

/// How an algorithm works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Key wrap.
    Kw,
    /// Key wrap with padding.
    Kwp,
    /// Galois counter mode.
    Gcm,
    /// Cipher block chaining over whole blocks.
    Cbc,
    /// Cipher block chaining with padding.
    CbcPad,
}

/// Reads `alg`: the length of the key that it needs, if it needs one, and the mode.
fn algorithm(name: &str) -> Option<(Option<AesBits>, Mode)> {
    match name {
        "CKM_AES_KEY_WRAP" => return Some((None, Mode::Kw)),
        "CKM_AES_KEY_WRAP_PAD" => return Some((None, Mode::Kwp)),
        _ => {}
    }
    let (bits, mode) = name.strip_prefix('A')?.split_at_checked(3)?;
    let mode = match mode {
        "KW" => Mode::Kw,
        "GCM" => Mode::Gcm,
        "CBC" => Mode::Cbc,
        "CBCPAD" => Mode::CbcPad,
        _ => return None,
    };
    Some((Some(AesBits::from_bits(bits.parse().ok()?)?), mode))
}

/// Performs an action that the version permits.
pub(super) fn run(key: &AesKey, kid: &str, action: Action, body: &Value) -> Result<Answer, Refusal> {
    let name = body["alg"].as_str().ok_or_else(|| bad("Property alg is required."))?;
    let wraps = matches!(action, Action::Wrap | Action::Unwrap);
    let unknown = || {
        let known = match wraps {
            true => "A128KW, A192KW, A256KW, CKM_AES_KEY_WRAP, CKM_AES_KEY_WRAP_PAD",
            false => "A128GCM, A128CBC, A128CBCPAD (and 192, 256)",
        };
        bad(format!("Property alg has invalid value {name}: for {} they are {known}.", action.word()))
    };
    let (bits, mode) =
        algorithm(name).filter(|(_, mode)| matches!(mode, Mode::Kw | Mode::Kwp) == wraps).ok_or_else(unknown)?;
    if bits.is_some_and(|bits| bits != key.bits()) {
        return Err(bad(format!(
            "Key and algorithm are incompatible. Key {kid} has {} bits, and algorithm '{name}' needs another length.",
            key.bits().bits()
        )));
    }
    let input = SecretBytes::from(requests::bytes(body, "value")?);
    let answer = match action {
        Action::Encrypt => encrypt(key, mode, body, &input)?,
        Action::Decrypt => decrypt(key, mode, body, &input)?,
        Action::Wrap => json!({ "value": encoded(&wrap(key, mode, &input)?) }),
        Action::Unwrap => json!({ "value": encoded(unwrap(key, mode, &input)?.expose()) }),
        Action::Sign | Action::Verify | Action::Import => {
            return Err(Refusal::internal(format!("{} is no operation of a symmetric key", action.word())));
        }
    };
    let mut document = json!({ "kid": kid });
    if let (Some(all), Value::Object(members)) = (document.as_object_mut(), answer) {
        all.extend(members);
    }
    Ok(Answer::ok(&document))
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn refused(error: AesError) -> Refusal {
    match error {
        AesError::Length => bad("Property value has invalid value: its length does not fit the algorithm."),
        AesError::Decrypt => bad("Unable to decrypt specified value with this key."),
    }
}

fn kek(key: &AesKey) -> Result<AesKek, Refusal> {
    AesKek::new(key.expose().clone()).map_err(Refusal::internal)
}

fn not_wrapped(error: KeyWrapError) -> Refusal {
    refused(match error {
        KeyWrapError::Length(_) => AesError::Length,
        KeyWrapError::Unwrap => AesError::Decrypt,
    })
}

fn wrap(key: &AesKey, mode: Mode, input: &SecretBytes) -> Result<Vec<u8>, Refusal> {
    let kek = kek(key)?;
    match mode {
        Mode::Kwp => kek.wrap_padded(input.expose()),
        _ => kek.wrap(input.expose()),
    }
    .map_err(not_wrapped)
}

fn unwrap(key: &AesKey, mode: Mode, input: &SecretBytes) -> Result<SecretBytes, Refusal> {
    let kek = kek(key)?;
    match mode {
        Mode::Kwp => kek.unwrap_padded(input.expose()),
        _ => kek.unwrap(input.expose()),
    }
    .map_err(not_wrapped)
}

/// A property of a fixed number of bytes.
fn exactly<const N: usize>(body: &Value, name: &str) -> Result<[u8; N], Refusal> {
    let bytes = requests::bytes(body, name)?;
    bytes.try_into().map_err(|bytes: Vec<u8>| {
        bad(format!("Property {name} has invalid value: it has {} bytes, and the algorithm takes {N}.", bytes.len()))
    })
}

fn aad(body: &Value) -> Result<Vec<u8>, Refusal> {
    if body["aad"].is_null() { Ok(Vec::new()) } else { requests::bytes(body, "aad") }
}

fn encrypt(key: &AesKey, mode: Mode, body: &Value, input: &SecretBytes) -> Result<Value, Refusal> {
    if mode == Mode::Gcm {
        if !body["iv"].is_null() {
            return Err(bad("Property iv has invalid value: the managed HSM draws it for GCM, so it must be absent."));
        }
        let aad = aad(body)?;
        let sealed = key.encrypt_gcm(&aad, input.expose()).map_err(refused)?;
        return Ok(json!({
            "value": encoded(&sealed.ciphertext),
            "iv": encoded(&sealed.nonce),
            "tag": encoded(&sealed.tag),
            "aad": encoded(&aad),
        }));
    }
    let iv = exactly::<BLOCK>(body, "iv")?;
    let value = key.encrypt_cbc(iv, input.expose(), mode == Mode::CbcPad).map_err(refused)?;
    Ok(json!({ "value": encoded(&value), "iv": encoded(&iv) }))
}

fn decrypt(key: &AesKey, mode: Mode, body: &Value, input: &SecretBytes) -> Result<Value, Refusal> {
    let opened = if mode == Mode::Gcm {
        let sealed = Sealed {
            nonce: exactly::<NONCE>(body, "iv")?,
            tag: exactly::<TAG>(body, "tag")?,
            ciphertext: input.expose().to_vec(),
        };
        key.decrypt_gcm(&aad(body)?, &sealed)
    } else {
        key.decrypt_cbc(exactly::<BLOCK>(body, "iv")?, input.expose(), mode == Mode::CbcPad)
    };
    Ok(json!({ "value": encoded(opened.map_err(refused)?.expose()) }))
}
