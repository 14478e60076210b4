//! What went wrong, as data: one error type for sign-in, Resource Manager, Key Vault and Storage.

mod body;

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use azure_core::error::ErrorKind;
use azure_core::http::headers::{ERROR_CODE, HeaderName, Headers};

use crate::retry::retry_after;
use crate::transport::TransportError;

const REQUEST_IDS: [HeaderName; 2] =
    [HeaderName::from_static("x-ms-request-id"), HeaderName::from_static("x-ms-correlation-request-id")];

/// What kind of trouble it is: what a caller decides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Too many requests (429).
    Throttled,
    /// The service failed (408, 5xx).
    Server,
    /// No answer: see [`AzureError::outcome_unknown`].
    Connection,
    /// A permission is missing (403, or a code that says so).
    Forbidden,
    /// The token was not accepted (401).
    Unauthorized,
    /// There is no such thing (404).
    NotFound,
    /// It collides with what is there (409, 412).
    Conflict,
    /// The request itself is wrong (other 4xx, or refused here before it was sent).
    BadRequest,
    /// There is no token: nobody is signed in, or which tenant or subscription is meant is not clear.
    SignIn,
    /// Anything else.
    Other,
}

/// A refusal or failure. Holds no secrets: requests are never part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AzureError {
    /// What kind of trouble it is.
    pub kind: Kind,
    /// HTTP status; 0 when there was no answer.
    pub status: u16,
    /// The innermost code (`ForbiddenByRbac`), or a name given here when Azure had no say.
    pub code: String,
    /// What Azure said, or what happened here.
    pub message: String,
    /// How long Azure asks to wait.
    pub retry_after: Option<Duration>,
    /// Azure's id of the request, for support.
    pub request_id: Option<String>,
    outer: Option<Box<str>>,
    unknown: bool,
}

impl AzureError {
    /// Makes an error that did not come out of an answer.
    #[must_use]
    pub fn new(kind: Kind, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind,
            status: 0,
            code: code.into(),
            message: message.into(),
            retry_after: None,
            request_id: None,
            outer: None,
            unknown: false,
        }
    }

    /// Makes an error out of an answer with an HTTP status. What the kind is follows from the status, and for
    /// operations that failed behind a 200 from the code.
    #[must_use]
    pub fn answered(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        let code = code.into();
        let kind = kind_of(status, &code);
        Self { status, ..Self::new(kind, code, message) }
    }

    /// Tells whether one of the codes, the innermost or the one around it, is `code`.
    #[must_use]
    pub fn has_code(&self, code: &str) -> bool {
        self.code.eq_ignore_ascii_case(code) || self.outer.as_deref().is_some_and(|o| o.eq_ignore_ascii_case(code))
    }

    /// Tells whether a role is missing, or has been assigned but has not arrived yet: the caller's own, or that of the
    /// identity with which a service reaches a customer-managed key.
    #[must_use]
    pub fn is_role_missing(&self) -> bool {
        ROLE_MISSING.iter().any(|code| self.has_code(code))
    }

    /// Tells whether the same request may succeed a little later without anybody doing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, Kind::Throttled | Kind::Server | Kind::Connection)
            || PASSING.iter().any(|code| self.has_code(code))
    }

    /// Tells whether the service may have done what was asked although this is an error: a write whose connection broke
    /// after it was sent, or that the service failed in the middle of.
    #[must_use]
    pub fn outcome_unknown(&self) -> bool {
        self.unknown
    }

    /// Says that the outcome is not known.
    #[must_use]
    pub(crate) fn unknown(mut self) -> Self {
        self.unknown = true;
        self
    }

    /// Reads an error out of an answer.
    pub(crate) fn from_answer(status: u16, headers: &Headers, body: &[u8], effect: Effect) -> Self {
        let told = body::read(body);
        // HEAD answers have no body: Storage repeats its code in a header.
        let code = told.code.or_else(|| headers.get_optional_string(&ERROR_CODE));
        let code = code.unwrap_or_else(|| format!("Http{status}"));
        let message =
            told.message.unwrap_or_else(|| format!("the service answered with status {status} and no reason"));
        let mut error = Self::answered(status, code, message);
        error.outer = told.outer.map(Into::into);
        error.retry_after = retry_after(headers);
        error.request_id = REQUEST_IDS.iter().find_map(|name| headers.get_optional_string(name));
        error.unknown = effect == Effect::Write && error.kind == Kind::Server;
        error
    }

    /// Reads an error out of what a pipeline returned.
    pub(crate) fn from_core(error: &azure_core::Error, effect: Effect) -> Self {
        // Our own errors (a failed sign-in) travel inside azure_core's.
        if let Some(own) = find::<Self>(error) {
            return own.clone();
        }
        if let ErrorKind::HttpResponse { raw_response: Some(raw), .. } = error.kind() {
            return Self::from_answer(raw.status().into(), raw.headers(), raw.body(), effect);
        }
        let message = chain(error);
        match error.kind() {
            ErrorKind::HttpResponse { status, error_code, .. } => {
                Self::answered((*status).into(), error_code.clone().unwrap_or_default(), message)
            }
            ErrorKind::Connection => Self::new(Kind::Connection, "Unreachable", message),
            ErrorKind::Io => {
                let lost = Self::new(Kind::Connection, "ConnectionLost", message);
                if effect == Effect::Write { lost.unknown() } else { lost }
            }
            ErrorKind::Credential => Self::new(Kind::SignIn, "SignInFailed", message),
            _ if matches!(find::<TransportError>(error), Some(TransportError::Refused { .. })) => {
                Self::new(Kind::Other, "HostRefused", message)
            }
            ErrorKind::DataConversion => Self::new(Kind::Other, "UnreadableAnswer", message),
            _ => Self::new(Kind::Other, "RequestNotSent", message),
        }
    }

    /// Reads an error body that stands inside another document (a failed operation's `error`).
    pub(crate) fn from_document(document: &serde_json::Value, fallback: &str) -> Self {
        let told = body::read_json(document);
        let code = told.code.unwrap_or_else(|| fallback.to_owned());
        let message = told.message.unwrap_or_else(|| "the operation failed and Azure gave no reason".to_owned());
        let mut error = Self::answered(200, code, message);
        error.outer = told.outer.map(Into::into);
        error
    }
}

impl fmt::Display for AzureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.message.trim_end(), self.code)?;
        if self.status != 0 {
            write!(f, ", status {}", self.status)?;
        }
        if let Some(id) = &self.request_id {
            write!(f, ", request {id}")?;
        }
        f.write_str(")")
    }
}

impl StdError for AzureError {}

/// Whether a request may change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Read,
    Write,
}

/// Codes that mean a role is missing or on its way. The last three are what services say when the identity that holds
/// their customer-managed key cannot use it (disks and disk encryption sets, Storage, Recovery Services).
const ROLE_MISSING: [&str; 8] = [
    "AccessDenied",
    "ForbiddenByRbac",
    "AuthorizationPermissionMismatch",
    "AuthorizationFailed",
    "LinkedAuthorizationFailed",
    "KeyVaultAccessForbidden",
    "KeyVaultAuthenticationFailure",
    "UserErrorCMKKeyVaultAuthFailure",
];

/// Codes of 4xx answers that pass by themselves.
const PASSING: [&str; 8] = [
    "AnotherOperationInProgress",
    "ConflictingConcurrentWriteNotAllowed",
    "ContainerBeingDeleted",
    "OperationPreempted",
    "PrincipalNotFound",
    "ReferencedResourceNotProvisioned",
    "RetryableError",
    "StorageAccountOperationInProgress",
];

fn kind_of(status: u16, code: &str) -> Kind {
    match status {
        // Storage answers 400 when its identity may not use the key: a missing role all the same.
        400.. if ROLE_MISSING.contains(&code) => Kind::Forbidden,
        401 => Kind::Unauthorized,
        403 => Kind::Forbidden,
        404 | 410 => Kind::NotFound,
        409 | 412 => Kind::Conflict,
        408 | 500..=599 => Kind::Server,
        429 => Kind::Throttled,
        400..=499 => Kind::BadRequest,
        _ => match code {
            "InternalServerError" | "InternalError" | "ServiceUnavailable" | "OperationTimedOut" => Kind::Server,
            "TooManyRequests" | "OperationThrottled" => Kind::Throttled,
            _ if ROLE_MISSING.contains(&code) => Kind::Forbidden,
            _ => Kind::Other,
        },
    }
}

/// Looks for an error of one type down the chain of causes.
pub(crate) fn find<T: StdError + 'static>(error: &azure_core::Error) -> Option<&T> {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// Joins the messages down the chain of causes, without those that only repeat what stands above them.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let below = error.to_string();
        if !text.contains(&below) {
            text.push_str(": ");
            text.push_str(&below);
        }
        cause = error.source();
    }
    body::tidy(&text)
}

#[cfg(test)]
mod tests;
