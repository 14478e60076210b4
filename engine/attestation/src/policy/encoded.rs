//! The envelope in which a policy travels (`KeyReleasePolicy` of the Key Vault keys API):
//! `{"contentType": "application/json; charset=utf-8", "data": BASE64URL(policy), "immutable": false}`.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{Fault, MAX_BYTES, MAX_DEPTH, PolicyError, ReleasePolicy};
use crate::json::{self, JsonError};
use crate::line;

/// The only content type that a policy travels under.
pub const CONTENT_TYPE: &str = "application/json; charset=utf-8";

/// BASE64URL with or without padding: the services write none, `az` users do.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A policy as it travels, or as a file has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    /// The policy.
    pub policy: ReleasePolicy,
    /// Whether it can be changed once it is on the key; `None` when the document does not say so.
    pub immutable: Option<bool>,
}

/// Why a document holds no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodedError {
    /// The document is neither JSON nor the BASE64URL of JSON.
    #[error("the document cannot be read: {0}")]
    Json(#[from] JsonError),
    /// The envelope's content type is another one.
    #[error("the content type is {0:?}; a release policy has \"application/json; charset=utf-8\"")]
    ContentType(String),
    /// A member of the envelope has another form.
    #[error("`{0}` of the envelope is not {1}")]
    Member(&'static str, &'static str),
    /// The policy breaks the grammar.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

impl Encoded {
    /// Reads what people have at hand: the policy itself, its envelope (`data`, or `encodedPolicy` as the management
    /// plane and `az` name it), a key with the envelope in it (`release_policy`, `releasePolicy`), or the bare BASE64URL.
    ///
    /// # Errors
    /// [`EncodedError`] when there is no policy, or it breaks the grammar.
    pub fn read(document: &[u8]) -> Result<Self, EncodedError> {
        let trimmed = document.trim_ascii();
        if !trimmed.is_empty() && trimmed.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_=".contains(byte)) {
            return Ok(Self { policy: decoded(trimmed)?, immutable: None });
        }
        let value = json::read(trimmed, 4 * MAX_BYTES, MAX_DEPTH)?;
        let key = ["release_policy", "releasePolicy"].into_iter().find_map(|name| value.get(name));
        let envelope = key.unwrap_or(&value);
        if ["data", "encodedPolicy"].iter().any(|name| envelope.get(name).is_some()) {
            return Self::envelope(envelope);
        }
        Ok(Self { policy: ReleasePolicy::parse(trimmed)?, immutable: None })
    }

    /// Reads the envelope.
    ///
    /// # Errors
    /// [`EncodedError`] when it has another form, or the policy breaks the grammar.
    pub fn envelope(envelope: &Value) -> Result<Self, EncodedError> {
        match envelope.get("contentType") {
            None | Some(Value::Null) => {}
            Some(Value::String(kind)) if same_type(kind) => {}
            Some(other) => return Err(EncodedError::ContentType(line::show(other))),
        }
        let data = ["data", "encodedPolicy"].into_iter().find_map(|name| envelope.get(name)).and_then(Value::as_str);
        let data = data.ok_or(EncodedError::Member("data", "a string"))?;
        let immutable = match envelope.get("immutable") {
            None | Some(Value::Null) => None,
            Some(Value::Bool(flag)) => Some(*flag),
            Some(_) => return Err(EncodedError::Member("immutable", "true or false")),
        };
        Ok(Self { policy: decoded(data.as_bytes())?, immutable })
    }

    /// Writes the envelope of the data plane.
    #[must_use]
    pub fn to_envelope(&self) -> Value {
        let data = BASE64_URL_SAFE_NO_PAD.encode(self.policy.document().to_string());
        json!({"contentType": CONTENT_TYPE, "data": data, "immutable": self.immutable.unwrap_or(false)})
    }
}

/// Whether a content type is JSON in UTF-8, whatever its blanks and letters' case.
fn same_type(kind: &str) -> bool {
    let bare: String = kind.chars().filter(|c| !c.is_whitespace()).collect();
    bare.eq_ignore_ascii_case("application/json;charset=utf-8") || bare.eq_ignore_ascii_case("application/json")
}

fn decoded(data: &[u8]) -> Result<ReleasePolicy, EncodedError> {
    if data.len() > 2 * MAX_BYTES {
        let fault = Fault::Json(JsonError::TooLong { length: data.len(), limit: 2 * MAX_BYTES });
        return Err(PolicyError { path: "$".to_owned(), fault }.into());
    }
    let bytes = BASE64.decode(data).map_err(|_| EncodedError::Member("data", "BASE64URL"))?;
    Ok(ReleasePolicy::parse(&bytes)?)
}
