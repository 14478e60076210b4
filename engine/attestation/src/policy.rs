//! Release policies of Azure Key Vault and Managed HSM: to which attested machines a key is released.
//!
//! Grammar 1.0.0 in full ("Azure Key Vault secure key release policy grammar", learn.microsoft.com/azure/key-vault/keys/
//! policy-grammar; where the page is silent, docs/release-policy.md says what is done here and why):
//!
//! ```
//! use sealbook_attestation::policy::ReleasePolicy;
//!
//! let policy = ReleasePolicy::parse(br#"{"version": "1.0.0", "anyOf": [{
//!     "authority": "https://sharedweu.weu.attest.azure.net",
//!     "allOf": [{"claim": "x-ms-isolation-tee.x-ms-attestation-type", "equals": "sevsnpvm"}]
//! }]}"#)?;
//! let claims = serde_json::json!({"x-ms-isolation-tee": {"x-ms-attestation-type": "tdxvm"}});
//! let evaluation = policy.evaluate("https://sharedweu.weu.attest.azure.net", &claims);
//! assert!(!evaluation.released);
//! assert_eq!(evaluation.deciding()[0].path, "$.anyOf[0].allOf[0]");
//! # Ok::<(), sealbook_attestation::policy::PolicyError>(())
//! ```

mod claim;
mod compose;
mod encoded;
mod evaluate;
mod lint;
mod number;
mod parse;
mod words;

pub use compose::{ComposeError, Selection, from_claims};
pub use encoded::{CONTENT_TYPE, Encoded, EncodedError};
pub use evaluate::{AuthorityResult, ClauseResult, Evaluation, Node};
pub use lint::{Level, Warning, lint};
pub use parse::{Fault, PolicyError};

use serde_json::Value;

use crate::https;

/// The longest policy that is read, in bytes. The largest published one, for 27 authorities, has 14 KB.
pub const MAX_BYTES: usize = 64 * 1024;
/// How deep arrays and objects of a policy may be nested; a condition in a condition takes two levels.
pub const MAX_DEPTH: usize = 64;

/// A release policy that keeps to the grammar.
#[derive(Debug, Clone, PartialEq)]
pub struct ReleasePolicy {
    document: Value,
    authorities: Vec<Authority>,
}

/// One statement: what a token of one issuer must fulfil.
#[derive(Debug, Clone, PartialEq)]
struct Authority {
    issuer: String,
    condition: Condition,
}

impl Authority {
    fn is(&self, issuer: &str) -> bool {
        https::same_issuer(&self.issuer, issuer)
    }
}

/// A condition on the claims of a token.
#[derive(Debug, Clone, PartialEq)]
enum Condition {
    /// At least one must hold.
    AnyOf(Vec<Condition>),
    /// All must hold.
    AllOf(Vec<Condition>),
    /// One claim is compared.
    Clause(Clause),
}

#[derive(Debug, Clone, PartialEq)]
struct Clause {
    claim: String,
    operator: Operator,
    value: Value,
}

/// How a claim is compared with the policy's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Operator {
    /// The texts are the same.
    Equals,
    /// The texts differ.
    NotEquals,
    /// The claim's number is smaller.
    Less,
    /// The claim's number is smaller or the same.
    LessOrEquals,
    /// The claim's number is greater.
    Greater,
    /// The claim's number is greater or the same.
    GreaterOrEquals,
    /// The claim is there (`true`) or is not (`false`).
    Exists,
}

impl Operator {
    /// All of them, in the grammar's order.
    pub const ALL: [Self; 7] = [
        Self::Equals,
        Self::NotEquals,
        Self::Less,
        Self::LessOrEquals,
        Self::Greater,
        Self::GreaterOrEquals,
        Self::Exists,
    ];

    /// Returns the grammar's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Equals => "equals",
            Self::NotEquals => "notEquals",
            Self::Less => "less",
            Self::LessOrEquals => "lessOrEquals",
            Self::Greater => "greater",
            Self::GreaterOrEquals => "greaterOrEquals",
            Self::Exists => "exists",
        }
    }

    /// Reads the grammar's name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operator| operator.name() == name)
    }
}

impl ReleasePolicy {
    /// Reads a policy and checks every rule of the grammar. A missing version and `1.0` become `1.0.0`, as the service
    /// stores them.
    ///
    /// # Errors
    /// [`PolicyError`] with the JSON path of the first place that breaks a rule.
    pub fn parse(json: &[u8]) -> Result<Self, PolicyError> {
        parse::policy(json)
    }

    /// Returns the normalised document.
    #[must_use]
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// Whether the policy trusts an issuer's tokens at all: by the comparison that [`ReleasePolicy::evaluate`] makes.
    #[must_use]
    pub fn trusts(&self, issuer: &str) -> bool {
        self.authorities.iter().any(|authority| authority.is(issuer))
    }

    /// Judges the claims of a token whose signature, times and issuer were verified already.
    ///
    /// Values are compared by text, as the live service does. A claim that is not there fulfils nothing but
    /// `"exists": false`. An issuer belongs to an authority when both are the same text after one trailing slash each
    /// was taken off.
    #[must_use]
    pub fn evaluate(&self, issuer: &str, claims: &Value) -> Evaluation {
        evaluate::policy(self, issuer, claims)
    }
}

#[cfg(test)]
mod tests;
