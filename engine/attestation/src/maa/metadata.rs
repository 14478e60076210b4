//! What an issuer says of itself (`{issuer}/.well-known/openid-configuration`, OpenID Connect Discovery 1.0 §3).

use serde_json::Value;

use crate::json::{self, JsonError};
use crate::{https, line};

/// The longest document that is read, in bytes.
const MAX_BYTES: usize = 64 * 1024;

/// What is needed of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// The issuer of its tokens.
    pub issuer: String,
    /// Where its signing keys are.
    pub jwks_uri: String,
}

/// Why a document is not the metadata of an issuer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// No JSON, too long, nested too deep, or a name twice.
    #[error("the OpenID metadata cannot be read: {0}")]
    Json(#[from] JsonError),
    /// A member is missing or no text.
    #[error("the OpenID metadata has no `{0}`")]
    Missing(&'static str),
    /// It is another issuer's.
    #[error("the OpenID metadata is that of {found}; {expected} was asked")]
    Issuer {
        /// Who was asked.
        expected: String,
        /// Whose it is.
        found: String,
    },
    /// The keys lie with somebody else.
    #[error("the signing keys are at {found}, which is not served by the issuer {issuer}")]
    Keys {
        /// The issuer.
        issuer: String,
        /// Where it says the keys are.
        found: String,
    },
}

impl Metadata {
    /// Reads the metadata that `issuer` answered. It must be that issuer's, and its keys must lie on the same host and
    /// port: a document that points elsewhere lets another sign.
    ///
    /// # Errors
    /// [`MetadataError`] when it is not.
    pub fn parse(document: &[u8], issuer: &str) -> Result<Self, MetadataError> {
        let document = json::read(document, MAX_BYTES, 8)?;
        let text = |name: &'static str| {
            let text = document.get(name).and_then(Value::as_str).ok_or(MetadataError::Missing(name))?;
            Ok::<_, MetadataError>(text.to_owned())
        };
        let (named, jwks_uri) = (text("issuer")?, text("jwks_uri")?);
        if !https::same_issuer(issuer, &named) {
            return Err(MetadataError::Issuer { expected: issuer.to_owned(), found: line::shorten(&named) });
        }
        match (https::authority(&named), https::authority(&jwks_uri)) {
            (Some(host), Some(keys)) if host.eq_ignore_ascii_case(keys) => Ok(Self { issuer: named, jwks_uri }),
            _ => Err(MetadataError::Keys { issuer: issuer.to_owned(), found: line::shorten(&jwks_uri) }),
        }
    }
}
