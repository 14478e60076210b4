//! What Azure refuses, in the contract's terms: one place decides what may pass by itself, what the learner must do,
//! and what won't get better.

use sealbook_azure::{AzureError, Kind};

use super::fault::Refusal;
use super::text::one_line;
use crate::step::{AzureCause, Failure, StepError};

/// Codes whose cure is known. Azure's message says what is wrong, this says what to do.
const CURES: &[(&str, &str)] = &[
    (
        "ObjectIsDeletedButRecoverable",
        "its name is kept by soft delete: recover it (`az keyvault key recover`), purge it, or choose another name",
    ),
    (
        "VaultAlreadyExists",
        "vault names are unique worldwide and stay taken while a deleted vault is kept: choose another name, or purge the deleted one if its purge protection allows it",
    ),
    (
        "ConflictError",
        "a deleted vault may still hold this name (`az keyvault list-deleted`): recover or purge it, or choose another name",
    ),
    ("StorageAccountAlreadyTaken", "account names are unique worldwide: choose another name"),
    ("StorageAccountAlreadyExists", "account names are unique worldwide: choose another name"),
    (
        "RequestDisallowedByPolicy",
        "a policy of the subscription forbids it: ask its owner, or use another subscription",
    ),
    ("QuotaExceeded", "ask for more quota in this region, or use another region"),
    ("SkuNotAvailable", "choose another size or region: `az vm list-skus` shows what there is"),
    (
        "MissingSubscriptionRegistration",
        "register the resource provider: `az provider register --namespace <namespace>`",
    ),
    ("SubscriptionNotRegistered", "register the resource provider: `az provider register --namespace <namespace>`"),
    ("ScopeLocked", "a lock forbids it: remove the lock, or leave the resource as it is"),
    ("KeyVaultPolicyError", "the vault needs purge protection before a service may depend on its keys"),
];

const WAIT_FOR_ROLE: &str =
    "assign a role that allows it at this scope; one that was assigned just now takes minutes to arrive";
const SIGN_IN: &str = "sign in again (`az login`) and resume";

/// Maps a refusal or failure of Azure.
pub(crate) fn of(error: &AzureError) -> Failure {
    let azure = Some(AzureCause { status: error.status, code: error.code.clone() });
    let message = format!("Azure: {}", one_line(&error.to_string(), 1_000));
    let cure = CURES.iter().find(|(code, _)| error.has_code(code)).map(|(_, fix)| (*fix).to_owned());
    let error = match error.kind {
        _ if error.outcome_unknown() => StepError::Transient {
            message: format!("{message}; whether it was done is not known yet and will be looked up"),
            retry_after: error.retry_after,
        },
        Kind::Throttled | Kind::Server | Kind::Connection => {
            StepError::Transient { message, retry_after: error.retry_after }
        }
        // Key Vault finishes deleting in the background.
        _ if error.has_code("ObjectIsBeingDeleted") => StepError::Transient { message, retry_after: error.retry_after },
        // A missing role is the one refusal that time heals, but only the run loop knows whether one is on its way.
        Kind::Forbidden => StepError::Precondition {
            message,
            fix: cure.unwrap_or_else(|| {
                if error.is_role_missing() {
                    WAIT_FOR_ROLE.into()
                } else {
                    "see what Azure says about access to it".into()
                }
            }),
        },
        _ if error.is_transient() => StepError::Transient { message, retry_after: error.retry_after },
        Kind::Unauthorized | Kind::SignIn => StepError::Precondition { message, fix: SIGN_IN.into() },
        _ if cure.is_some() => StepError::Precondition { message, fix: cure.unwrap_or_default() },
        Kind::Conflict => StepError::Conflict { message, candidates: Vec::new() },
        Kind::NotFound | Kind::BadRequest | Kind::Other => StepError::Permanent { message },
    };
    Failure { error, azure }
}

impl From<AzureError> for Refusal {
    fn from(error: AzureError) -> Self {
        of(&error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, code: &str) -> &'static str {
        let failure = of(&AzureError::answered(status, code, "no\nno"));
        assert_eq!(failure.azure, Some(AzureCause { status, code: code.into() }));
        assert!(!failure.to_string().contains('\n'));
        match failure.error {
            StepError::Transient { .. } => "transient",
            StepError::Precondition { .. } => "precondition",
            StepError::Conflict { .. } => "conflict",
            StepError::Permanent { .. } => "permanent",
            _ => "other",
        }
    }

    #[test]
    fn refusals_become_problems() {
        for (status, code, expected) in [
            (429, "TooManyRequests", "transient"),
            (500, "InternalServerError", "transient"),
            (503, "ServerBusy", "transient"),
            (409, "AnotherOperationInProgress", "transient"),
            (400, "PrincipalNotFound", "transient"),
            (403, "ForbiddenByRbac", "precondition"),
            (403, "KeyVaultEncryptionKeyNotFound", "precondition"),
            (401, "ExpiredAuthenticationToken", "precondition"),
            (404, "ResourceNotFound", "permanent"),
            (409, "ResourceExists", "conflict"),
            (409, "ObjectIsBeingDeleted", "transient"),
            (409, "ObjectIsDeletedButRecoverable", "precondition"),
            (409, "VaultAlreadyExists", "precondition"),
            (409, "QuotaExceeded", "precondition"),
            (400, "KeyVaultPolicyError", "precondition"),
            (400, "BadRequest", "permanent"),
        ] {
            assert_eq!(kind(status, code), expected, "{status} {code}");
        }
    }

    #[test]
    fn no_answer_and_no_token() {
        let lost = of(&AzureError::new(Kind::Connection, "ConnectionLost", "gone"));
        assert!(matches!(lost.error, StepError::Transient { .. }) && lost.azure.unwrap().status == 0);
        let nobody = of(&AzureError::new(Kind::SignIn, "SignInFailed", "nobody"));
        assert!(matches!(nobody.error, StepError::Precondition { fix, .. } if fix.contains("sign in")));
    }
}
