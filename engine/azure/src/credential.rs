//! Who the engine is for Azure: the official `azure_identity` credentials, and a password for the embedded learner.

mod cache;
mod password;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::cloud::CloudConfiguration;
use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{AsyncRawResponse, ClientOptions, Context, Request, RetryOptions};
use azure_identity::{
    AzureCliCredential, AzureCliCredentialOptions, AzureDeveloperCliCredential, AzureDeveloperCliCredentialOptions,
    ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions, ManagedIdentityCredential,
    ManagedIdentityCredentialOptions, UserAssignedId, WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};
use sealbook_crypto::SecretString;

use crate::error::{AzureError, Effect, Kind, chain, find};
use crate::retry::{Repeatable, Retry, RetryRules};
use crate::transport::Transport;

pub(crate) use cache::{ForgetRejected, Tokens};
use password::PasswordCredential;

/// How to sign in.
#[derive(Clone)]
pub enum Credential {
    /// Through the developer's tools: the Azure CLI (`az login`), else the Azure Developer CLI (`azd auth login`).
    Developer,
    /// As the managed identity of the machine this runs on.
    ManagedIdentity {
        /// Client id of a user-assigned identity; the system-assigned one when `None`.
        client_id: Option<String>,
    },
    /// As a Kubernetes workload. Its webhook passes tenant, client id and token file in the environment, which
    /// `azure_identity` reads.
    WorkloadIdentity,
    /// As a service principal.
    ClientSecret {
        /// Tenant id.
        tenant: String,
        /// Application (client) id.
        client_id: String,
        /// The secret.
        secret: SecretString,
    },
    /// As a user, by name and password (OAuth 2.0 resource owner password grant, RFC 6749 §4.3). For the embedded
    /// Azure only: a real user's password has no business here.
    Password {
        /// Tenant id.
        tenant: String,
        /// User principal name.
        user: String,
        /// The password.
        password: SecretString,
    },
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Developer => f.write_str("Developer"),
            Self::ManagedIdentity { client_id } => write!(f, "ManagedIdentity({client_id:?})"),
            Self::WorkloadIdentity => f.write_str("WorkloadIdentity"),
            Self::ClientSecret { tenant, client_id, .. } => write!(f, "ClientSecret({tenant}, {client_id}, ..)"),
            Self::Password { tenant, user, .. } => write!(f, "Password({tenant}, {user}, ..)"),
        }
    }
}

impl Credential {
    /// Makes the source of tokens.
    pub(crate) fn source(
        &self,
        tenant: Option<&str>,
        subscription: Option<&str>,
        transport: &Transport,
        client: &azure_core::http::Transport,
        rules: RetryRules,
    ) -> Result<Arc<dyn TokenCredential>, AzureError> {
        let options = || client_options(client, Some(rules));
        let made: azure_core::Result<Arc<dyn TokenCredential>> = match self {
            Self::Developer => developer(tenant, subscription),
            Self::ManagedIdentity { client_id } => ManagedIdentityCredential::new(Some(managed(client_id, client)))
                .map(|credential| credential as Arc<dyn TokenCredential>),
            Self::WorkloadIdentity => WorkloadIdentityCredential::new(Some(WorkloadIdentityCredentialOptions {
                credential_options: ClientAssertionCredentialOptions { client_options: options() },
                tenant_id: tenant.map(str::to_owned),
                ..WorkloadIdentityCredentialOptions::default()
            }))
            .map(|credential| credential as Arc<dyn TokenCredential>),
            Self::ClientSecret { tenant, client_id, secret } => ClientSecretCredential::new(
                tenant,
                client_id.clone(),
                Secret::new(secret.expose().to_owned()),
                Some(ClientSecretCredentialOptions { client_options: options() }),
            )
            .map(|credential| credential as Arc<dyn TokenCredential>),
            Self::Password { tenant, user, password } => {
                if matches!(transport, Transport::Internet) {
                    return Err(AzureError::new(
                        Kind::SignIn,
                        "PasswordNotAllowed",
                        "signing in with a password is only for the embedded Azure: sign in with `az login` instead",
                    ));
                }
                PasswordCredential::new(tenant, user, password.clone(), options())
                    .map(|credential| Arc::new(credential) as Arc<dyn TokenCredential>)
            }
        };
        made.map_err(|error| sign_in_error(&error))
    }
}

/// Makes the options of the credentials' own pipelines.
fn client_options(client: &azure_core::http::Transport, rules: Option<RetryRules>) -> ClientOptions {
    let mut options = ClientOptions {
        transport: Some(client.clone()),
        // Named, because otherwise an environment variable decides which authority gets the secret.
        cloud: Some(Arc::new(CloudConfiguration::AzurePublic)),
        per_try_policies: vec![Arc::new(EntraErrors)],
        ..ClientOptions::default()
    };
    if let Some(rules) = rules {
        options.retry = RetryOptions::none();
        options.per_call_policies = vec![Arc::new(TokenRequest), Arc::new(Retry(rules))];
    }
    options
}

/// The metadata endpoint has retry rules of its own (it answers 404 and 410 while it starts): they stay.
fn managed(client_id: &Option<String>, client: &azure_core::http::Transport) -> ManagedIdentityCredentialOptions {
    ManagedIdentityCredentialOptions {
        user_assigned_id: client_id.clone().map(UserAssignedId::ClientId),
        client_options: client_options(client, None),
    }
}

fn developer(tenant: Option<&str>, subscription: Option<&str>) -> azure_core::Result<Arc<dyn TokenCredential>> {
    // `az` takes a tenant or a subscription, not both.
    let az = AzureCliCredential::new(Some(AzureCliCredentialOptions {
        tenant_id: tenant.map(str::to_owned),
        subscription: subscription.filter(|_| tenant.is_none()).map(str::to_owned),
        ..AzureCliCredentialOptions::default()
    }))?;
    let azd = AzureDeveloperCliCredential::new(Some(AzureDeveloperCliCredentialOptions {
        tenant_id: tenant.map(str::to_owned),
        ..AzureDeveloperCliCredentialOptions::default()
    }))?;
    Ok(Arc::new(FirstThatWorks { sources: vec![az, azd] }))
}

/// Asks tools in order until one has a token (as `azure_identity`'s own chain does, which cannot be told a tenant).
#[derive(Debug)]
struct FirstThatWorks {
    sources: Vec<Arc<dyn TokenCredential>>,
}

#[async_trait]
impl TokenCredential for FirstThatWorks {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let mut reasons = vec!["no developer tool has a token: run `az login`".to_owned()];
        for source in &self.sources {
            match source.get_token(scopes, options.clone()).await {
                Ok(token) => return Ok(token),
                Err(error) => reasons.push(chain(&error)),
            }
        }
        Err(azure_core::Error::with_message(ErrorKind::Credential, reasons.join("\n")))
    }
}

/// Asking for a token changes nothing, so it may be repeated.
#[derive(Debug)]
struct TokenRequest;

#[async_trait]
impl Policy for TokenRequest {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        next[0].send(&ctx.clone().with_value(Repeatable), request, &next[1..]).await
    }
}

/// Reads Entra's refusals before `azure_identity` does: it gives up on descriptions with escaped line ends, which is
/// what Entra sends, and the `AADSTS` code that tells what to do is lost.
#[derive(Debug)]
struct EntraErrors;

#[async_trait]
impl Policy for EntraErrors {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let answer = next[0].send(ctx, request, &next[1..]).await?;
        let status = u16::from(answer.status());
        if !matches!(status, 400 | 401 | 403) || request.url().scheme() != "https" {
            return Ok(answer);
        }
        let (code, headers, body) = answer.deconstruct();
        let body = body.collect().await?;
        let mut error = AzureError::from_answer(status, &headers, &body, Effect::Read);
        if error.code == format!("Http{status}") {
            return Ok(AsyncRawResponse::from_bytes(code, headers, body));
        }
        error.kind = Kind::SignIn;
        Err(azure_core::Error::new(ErrorKind::Credential, error))
    }
}

/// Makes every failure to get a token say so, and keeps what passes by itself apart from what needs the learner.
fn sign_in_error(error: &azure_core::Error) -> AzureError {
    if let Some(own) = find::<AzureError>(error) {
        return own.clone();
    }
    let mut found = None;
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(core) = error.downcast_ref::<azure_core::Error>() {
            match core.kind() {
                ErrorKind::HttpResponse { .. } | ErrorKind::Connection | ErrorKind::Io => found = Some(core),
                _ => {}
            }
        }
        cause = error.source();
    }
    match found.map(|core| AzureError::from_core(core, Effect::Read)) {
        Some(passing) if passing.is_transient() => passing,
        Some(mut refused) => {
            refused.kind = Kind::SignIn;
            refused
        }
        None => AzureError::new(Kind::SignIn, "SignInFailed", chain(error)),
    }
}
