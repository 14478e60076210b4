//! Cryptographic operations with a key: what permits them; encrypt, decrypt, wrapKey, unwrapKey.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealbook_crypto::SecretBytes;
use sealbook_crypto::rsa::{Padding, RsaError};
use serde_json::json;

use super::material::{Private, Public};
use super::requests::{self, bad};
use super::store::Version;
use super::{bundle, keys, keystore, material, symmetric};
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::rules::Rule;

/// An operation with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Encrypt,
    Decrypt,
    Wrap,
    Unwrap,
    Sign,
    Verify,
    /// Opening a key transfer blob with a key exchange key.
    Import,
}

impl Action {
    /// Its word in `key_ops` and in Azure's messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
            Self::Wrap => "wrapKey",
            Self::Unwrap => "unwrapKey",
            Self::Sign => "sign",
            Self::Verify => "verify",
            Self::Import => "import",
        }
    }

    /// Whether it brings protected data back or checks what was signed. Such operations also work outside of the key's time window, so that an
    /// expired key does not lock anybody out ("About keys", date-time controlled operations).
    fn recovers(self) -> bool {
        matches!(self, Self::Decrypt | Self::Unwrap | Self::Verify)
    }
}

/// Why an operation did not take place.
#[derive(Debug)]
pub(super) enum Fault {
    /// The key is disabled.
    Disabled,
    /// The key's time has not come.
    NotYetValid,
    /// The key's time is over.
    Expired,
    /// The key's operations do not include it.
    NotPermitted,
    /// The key is no RSA key.
    NotRsa,
    /// The input does not fit the key, or does not decrypt with it.
    Rsa(RsaError),
    /// The embedded Azure failed.
    Internal(Refusal),
}

impl Fault {
    /// What the data plane answers.
    pub fn refusal(self, action: Action) -> Refusal {
        let forbidden = |message: String, inner: &str| Refusal::new(403, "Forbidden", message).inner(inner);
        let word = action.word();
        match self {
            Self::Disabled => forbidden(format!("Operation {word} is not allowed on a disabled key."), "KeyDisabled"),
            Self::NotYetValid => {
                forbidden(format!("Operation {word} is not allowed on a key that is not yet valid."), "KeyNotYetValid")
            }
            Self::Expired => forbidden(format!("Operation {word} is not allowed on an expired key."), "KeyExpired"),
            Self::NotPermitted => {
                forbidden(format!("Operation {word} is not permitted on this key."), "KeyOperationForbidden")
            }
            Self::NotRsa => bad(format!("Operation {word} needs a key of type RSA or RSA-HSM.")),
            Self::Rsa(RsaError::Decrypt) => bad("Unable to decrypt specified value with this key."),
            Self::Rsa(RsaError::TooLong { length, capacity }) => bad(format!(
                "Property value has invalid value: it has {length} bytes, and this key and algorithm take at most {capacity}."
            )),
            Self::Rsa(RsaError::PublicKey) => Refusal::internal("a stored public key is unusable"),
            Self::Internal(refusal) => refusal,
        }
    }
}

/// Whether a version permits an action at this instant.
pub(super) fn permitted(cx: &Cx<'_>, version: &Version, action: Action) -> Result<(), Fault> {
    let now = cx.now.timestamp();
    if Rule::DataNeedsTheKeyEnabled.holds() && !version.enabled {
        return Err(Fault::Disabled);
    }
    if !action.recovers() && version.nbf.is_some_and(|nbf| now < nbf) {
        return Err(Fault::NotYetValid);
    }
    if !action.recovers() && version.exp.is_some_and(|exp| now >= exp) {
        return Err(Fault::Expired);
    }
    if !version.operations.iter().any(|name| name == action.word()) {
        return Err(Fault::NotPermitted);
    }
    Ok(())
}

/// Performs an action that [`permitted`] allowed, with the version `kid`.
pub(super) fn perform(
    cx: &Cx<'_>,
    kid: &str,
    version: &Version,
    action: Action,
    padding: Padding,
    input: &[u8],
) -> Result<SecretBytes, Fault> {
    match action {
        Action::Encrypt | Action::Wrap => {
            let Public::Rsa(public) = &version.public else { return Err(Fault::NotRsa) };
            public.encrypt(padding, input).map(SecretBytes::from).map_err(Fault::Rsa)
        }
        Action::Decrypt | Action::Unwrap => {
            let Private::Rsa(key) = material::open(cx, kid, version).map_err(Fault::Internal)? else {
                return Err(Fault::NotRsa);
            };
            key.decrypt(padding, input).map_err(Fault::Rsa)
        }
        Action::Sign | Action::Verify | Action::Import => {
            Err(Fault::Internal(Refusal::internal(format!("{} is no operation with a padding", action.word()))))
        }
    }
}

fn padding(algorithm: &str) -> Result<Padding, Refusal> {
    match algorithm {
        "RSA1_5" => Ok(Padding::Pkcs1v15),
        "RSA-OAEP" => Ok(Padding::OaepSha1),
        "RSA-OAEP-256" => Ok(Padding::OaepSha256),
        other => Err(bad(format!(
            "Property alg has invalid value {other}: an RSA key takes RSA-OAEP-256, RSA-OAEP or RSA1_5."
        ))),
    }
}

fn run(cx: &Cx<'_>, p: &Params, action: Action) -> Result<Answer, Refusal> {
    let keystore = keystore::of_request(cx)?;
    let key = keys::live(cx, &keystore, p.get("key"))?;
    let version = keys::version_of(cx, &key, p)?;
    let kid = bundle::kid(&keystore, &key.name, Some(&version.version));
    permitted(cx, &version, action).map_err(|fault| fault.refusal(action))?;
    let body = requests::object(cx)?;
    if let Public::Aes(_) = &version.public {
        let Private::Aes(key) = material::open(cx, &kid, &version)? else {
            return Err(Refusal::internal(format!("the key {kid} is no AES key")));
        };
        return symmetric::run(&key, &kid, action, &body);
    }
    let padding = padding(body["alg"].as_str().ok_or_else(|| bad("Property alg is required."))?)?;
    let input = SecretBytes::from(requests::bytes(&body, "value")?);
    let output = perform(cx, &kid, &version, action, padding, input.expose()).map_err(|fault| fault.refusal(action))?;
    Ok(Answer::ok(&json!({ "kid": kid, "value": URL_SAFE_NO_PAD.encode(output.expose()) })))
}

/// Encrypts a short message (`encrypt`).
pub(super) fn encrypt(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    run(cx, p, Action::Encrypt)
}

/// Decrypts a short message (`decrypt`).
pub(super) fn decrypt(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    run(cx, p, Action::Decrypt)
}

/// Wraps a data key (`wrapKey`).
pub(super) fn wrap(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    run(cx, p, Action::Wrap)
}

/// Unwraps a data key (`unwrapKey`).
pub(super) fn unwrap(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    run(cx, p, Action::Unwrap)
}
