//! The client: one credential, one transport, and everything reached through them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use azure_core::credentials::TokenCredential;
use azure_core::http::policies::Policy;
use azure_core::http::policies::auth::BearerTokenAuthorizationPolicy;
use azure_core::http::{ClientOptions, Pipeline, RetryOptions, UserAgentOptions};
use azure_security_keyvault_keys::KeyClient;
use uuid::Uuid;

use crate::account::{Account, Graph};
use crate::arm::Arm;
use crate::attestation::Attestations;
use crate::blobs::Blobs;
use crate::credential::{Credential, ForgetRejected, Tokens};
use crate::directory::Directory;
use crate::error::AzureError;
use crate::guard::OneHost;
use crate::hsm::Hsms;
use crate::keys::Keys;
use crate::retry::{Retry, RetryRules};
use crate::transport::Transport;

/// Resource Manager's host in the public cloud.
pub(crate) const ARM_HOST: &str = "management.azure.com";
/// Scope of Resource Manager's tokens.
pub(crate) const ARM_SCOPE: &str = "https://management.azure.com/.default";

/// Tells the time: of tokens, so always the wall clock, except in tests.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    /// Reads the time from `now`.
    pub fn new(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Returns the time.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(SystemTime::now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// What a client is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How to sign in.
    pub credential: Credential,
    /// Where requests go.
    pub transport: Transport,
    /// The tenant that is meant, by id or domain; the credential's own when `None`.
    pub tenant: Option<String>,
    /// The subscription that is meant, by id or name; the only one there is when `None`.
    pub subscription: Option<String>,
    /// How often requests are repeated.
    pub retry: RetryRules,
    /// The time.
    pub clock: Clock,
}

impl Settings {
    /// Names credential and transport and leaves the rest as it usually is.
    #[must_use]
    pub fn new(credential: Credential, transport: Transport) -> Self {
        Self {
            credential,
            transport,
            tenant: None,
            subscription: None,
            retry: RetryRules::default(),
            clock: Clock::default(),
        }
    }
}

/// The Azure client. Cheap to clone: clones share tokens and connections.
#[derive(Debug, Clone)]
pub struct Azure {
    inner: Arc<Inner>,
    correlation: Option<Uuid>,
}

pub(crate) struct Inner {
    pub tokens: Arc<Tokens>,
    pub tenant: Option<String>,
    pub subscription: Option<String>,
    pub arm: Pipeline,
    pub graph: Pipeline,
    pub vaults: Mutex<HashMap<String, Arc<KeyClient>>>,
    transport: azure_core::http::Transport,
    retry: RetryRules,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Azure").field("tokens", &self.tokens).finish_non_exhaustive()
    }
}

impl Azure {
    /// Makes a client. Nothing is sent yet.
    ///
    /// # Errors
    /// [`crate::Kind::SignIn`] when the credential cannot be used: a malformed tenant, a password for real Azure, a
    /// workload identity without its environment.
    pub fn new(settings: Settings) -> Result<Self, AzureError> {
        let Settings { credential, transport, tenant, subscription, retry, clock } = settings;
        let client = transport.client();
        let source = credential.source(tenant.as_deref(), subscription.as_deref(), &transport, &client, retry)?;
        let tokens = Tokens::new(source, clock);
        let transport = client;
        let pipeline = |host: &str, scope: &str| pipeline(host, scope, &tokens, &transport, retry);
        let arm = pipeline(ARM_HOST, ARM_SCOPE);
        let graph = pipeline(Graph::HOST, Graph::SCOPE);
        let inner = Inner { tokens, tenant, subscription, arm, graph, vaults: Mutex::default(), transport, retry };
        Ok(Self { inner: Arc::new(inner), correlation: None })
    }

    /// Returns a client whose Resource Manager requests all carry this correlation id, so that the activity log of a
    /// subscription shows what belongs together.
    #[must_use]
    pub fn with_correlation(&self, id: Uuid) -> Self {
        Self { inner: Arc::clone(&self.inner), correlation: Some(id) }
    }

    /// Signs in and finds out who and where we are.
    ///
    /// # Errors
    /// [`crate::Kind::SignIn`] when there is no token, the tenant is another one than was named, or the subscription
    /// is missing, not the only one, or not to be found under the name; else what Azure answers.
    pub async fn account(&self) -> Result<Account, AzureError> {
        crate::account::find(&self.inner, &self.arm()).await
    }

    /// Returns Resource Manager.
    #[must_use]
    pub fn arm(&self) -> Arm {
        Arm::new(Arc::clone(&self.inner), self.correlation)
    }

    /// Returns Key Vault's keys.
    #[must_use]
    pub fn keys(&self) -> Keys {
        Keys::new(Arc::clone(&self.inner))
    }

    /// Returns managed HSMs, as far as they are more than their keys.
    #[must_use]
    pub fn hsms(&self) -> Hsms {
        Hsms::new(Arc::clone(&self.inner))
    }

    /// Returns the tenant's directory.
    #[must_use]
    pub fn directory(&self) -> Directory {
        Directory::new(Arc::clone(&self.inner))
    }

    /// Returns attestation providers.
    #[must_use]
    pub fn attestations(&self) -> Attestations {
        Attestations::new(Arc::clone(&self.inner))
    }

    /// Returns Storage's blobs.
    #[must_use]
    pub fn blobs(&self) -> Blobs {
        Blobs::new(Arc::clone(&self.inner))
    }
}

impl Inner {
    /// Returns the options of a client of one host.
    pub fn options(&self, host: &str) -> ClientOptions {
        options(host, &self.tokens, &self.transport, self.retry)
    }

    /// Returns a pipeline to one host, with tokens for one service.
    pub fn pipeline(&self, host: &str, scope: &str) -> Pipeline {
        pipeline(host, scope, &self.tokens, &self.transport, self.retry)
    }

    /// Returns a pipeline to one host that takes no tokens.
    pub fn anonymous(&self, host: &str) -> Pipeline {
        let (name, version) = (option_env!("CARGO_PKG_NAME"), option_env!("CARGO_PKG_VERSION"));
        Pipeline::new(name, version, self.options(host), Vec::new(), Vec::new(), None)
    }

    /// Returns a pipeline to the instance metadata service, which has no TLS and takes no tokens.
    pub fn metadata(&self) -> Pipeline {
        let options = ClientOptions {
            per_call_policies: vec![Arc::new(Retry(self.retry))],
            retry: RetryOptions::none(),
            transport: Some(self.transport.clone()),
            ..ClientOptions::default()
        };
        let (name, version) = (option_env!("CARGO_PKG_NAME"), option_env!("CARGO_PKG_VERSION"));
        Pipeline::new(name, version, options, Vec::new(), Vec::new(), None)
    }

    /// Returns the credential as the official crates want it.
    pub fn credential(&self) -> Arc<dyn TokenCredential> {
        Arc::clone(&self.tokens) as Arc<dyn TokenCredential>
    }

    /// Returns the client of one vault, made on first use: it remembers where the vault's tokens come from.
    pub fn vault(
        &self,
        host: &str,
        make: impl FnOnce() -> azure_core::Result<KeyClient>,
    ) -> azure_core::Result<Arc<KeyClient>> {
        let mut vaults = self.vaults.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = vaults.get(host) {
            return Ok(Arc::clone(client));
        }
        let client = Arc::new(make()?);
        vaults.insert(host.to_owned(), Arc::clone(&client));
        Ok(client)
    }
}

fn pipeline(
    host: &str,
    scope: &str,
    tokens: &Arc<Tokens>,
    transport: &azure_core::http::Transport,
    retry: RetryRules,
) -> Pipeline {
    let options = options(host, tokens, transport, retry);
    let credential = Arc::clone(tokens) as Arc<dyn TokenCredential>;
    let bearer: Arc<dyn Policy> = Arc::new(BearerTokenAuthorizationPolicy::new(credential, [scope]));
    let (name, version) = (option_env!("CARGO_PKG_NAME"), option_env!("CARGO_PKG_VERSION"));
    Pipeline::new(name, version, options, Vec::new(), vec![bearer], None)
}

fn options(
    host: &str,
    tokens: &Arc<Tokens>,
    transport: &azure_core::http::Transport,
    retry: RetryRules,
) -> ClientOptions {
    ClientOptions {
        // Outermost first: where to, how often; then, per attempt, the token and what becomes of it.
        per_call_policies: vec![Arc::new(OneHost(host.to_owned())), Arc::new(Retry(retry))],
        per_try_policies: vec![Arc::new(ForgetRejected(Arc::clone(tokens)))],
        retry: RetryOptions::none(),
        transport: Some(transport.clone()),
        user_agent: UserAgentOptions { application_id: Some("sealbook".to_owned()) },
        ..ClientOptions::default()
    }
}
