//! A host over the embedded Azure, a ledger in memory, and components to run.

pub mod components;
mod ledger;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use sealbook_azure::{Azure, Credential, HttpSend, Settings, Transport, TransportError};
use sealbook_cloud::{Cloud, CloudConfig, Dropped, Seed};
use sealbook_crypto::{SealKey, SecretBytes};
use sealbook_engine::event::{Event, Events};
use sealbook_engine::host::{ArtifactStore, HostSettings, Judge, PluginHost, Runtime, RuntimeSettings};
use sealbook_engine::journal::RunVault;
use sealbook_engine::step::{Call, Failure, Host as _, StepError};
use sealbook_engine::tee::Tee;
use sealbook_model::grant::{Gate, Grant};
use sealbook_model::id::Digest;
use sealbook_model::plugin::Limits;
use sealbook_model::policy::Policy;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

pub use ledger::Book;

/// Everything that one test needs. Each test has a cloud of its own.
pub struct Lab {
    pub cloud: Cloud,
    pub seed: Seed,
    pub host: PluginHost,
    pub book: Arc<Book>,
    pub cancel: CancellationToken,
    pub folder: tempfile::TempDir,
    settings: Box<dyn Fn() -> HostSettings + Send + Sync>,
    events: Arc<Mutex<Vec<Event>>>,
    asks: Vec<String>,
    grants: Vec<String>,
    vault: Arc<RunVault>,
}

impl Lab {
    pub fn new() -> Self {
        // Rogues are to be stopped soon, not after the twenty seconds that a real plugin may compute.
        Self::with_limits(Limits { memory_mib: 0, fuel_millions: 500, host_calls: 0 })
    }

    pub fn with_limits(limits: Limits) -> Self {
        let judge: Judge = Arc::new(|_: &Value, _: &Value| sealbook_attestation::Verdict::default());
        Self::built(limits, judge, None)
    }

    /// As in a confidential VM.
    pub fn in_machine(tee: Arc<dyn Tee>, judge: Judge) -> Self {
        Self::built(Limits { memory_mib: 0, fuel_millions: 500, host_calls: 0 }, judge, Some(tee))
    }

    fn built(limits: Limits, judge: Judge, tee: Option<Arc<dyn Tee>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cloud = Cloud::open(CloudConfig::new(folder.path().join("cloud"))).unwrap();
        cloud.set_role_delay(Default::default()).unwrap();
        let seed = cloud.seed().unwrap();
        let credential = Credential::Password {
            tenant: seed.tenant.clone(),
            user: seed.user.clone(),
            password: seed.password.clone(),
        };
        let azure = Azure::new(Settings::new(credential, Transport::Injected(Arc::new(Wire(cloud.clone()))))).unwrap();
        let mut policy = Policy::default();
        policy.limits = limits;
        let policy = Arc::new(policy);
        let artifacts = ArtifactStore::Folder(folder.path().join("artifacts"));
        let settings = move || HostSettings {
            runtime: runtime(),
            azure: azure.clone(),
            artifacts: artifacts.clone(),
            policy: Arc::clone(&policy),
            judge: Arc::clone(&judge),
            tee: tee.clone(),
        };
        let host = PluginHost::new(settings());
        let secrets = BTreeMap::from([("note".to_owned(), SecretBytes::from(b"only my key opens this".to_vec()))]);
        let everything = ["azure:read,write /subscriptions/*", "crypto:use", "artifacts:use"];
        let subscription = format!("/subscriptions/{}", seed.subscription);
        let grants = everything.map(|g| g.replace("/subscriptions/*", &subscription)).to_vec();
        Self {
            cloud,
            seed,
            host,
            settings: Box::new(settings),
            book: Arc::default(),
            cancel: CancellationToken::new(),
            folder,
            events: Arc::default(),
            asks: grants.clone(),
            grants,
            vault: Arc::new(RunVault::new(SealKey::from_bytes([7; 32]), secrets)),
        }
    }

    /// As if the process had ended and another had begun: nothing is in memory.
    pub fn restart(&mut self) {
        self.host = PluginHost::new((self.settings)());
    }

    /// Asks for and grants more.
    pub fn grant(mut self, grants: &[&str]) -> Self {
        self.asks.extend(grants.iter().map(|g| (*g).to_owned()));
        self.grants.extend(grants.iter().map(|g| (*g).to_owned()));
        self
    }

    /// Asks for more.
    pub fn ask(mut self, asks: &[&str]) -> Self {
        self.asks.extend(asks.iter().map(|g| (*g).to_owned()));
        self
    }

    /// Grants more.
    pub fn give(mut self, grants: &[&str]) -> Self {
        self.grants.extend(grants.iter().map(|g| (*g).to_owned()));
        self
    }

    /// Asks and grants what the probe needs to be linked at all, on things that no test touches.
    pub fn all_interfaces(self) -> Self {
        self.grant(&[
            "keyvault:read https://nobody.vault.azure.net/keys/none",
            "blob:read https://nobody.blob.core.windows.net/none/*",
            "hsm:read https://nobody.managedhsm.azure.net/",
            "directory:read 00000000-0000-0000-0000-000000000000",
            "attestation:use https://nobody.weu.attest.azure.net",
        ])
    }

    /// Takes every grant of an interface away; the plugin goes on asking for it.
    pub fn without(mut self, interface: &str) -> Self {
        self.grants.retain(|g| !g.starts_with(interface));
        self
    }

    /// A resource group's id.
    pub fn group(&self, name: &str) -> String {
        format!("/subscriptions/{}/resourceGroups/{name}", self.seed.subscription)
    }

    /// A call of step `step` into the probe.
    pub fn call(&self, step: &str, inputs: Value) -> Call {
        self.call_into(Digest::of(components::probe()), step, inputs)
    }

    pub fn call_into(&self, component: Digest, step: &str, inputs: Value) -> Call {
        let parse = |grants: &[String]| grants.iter().map(|g| Grant::parse(g).unwrap()).collect::<Vec<_>>();
        let events = Arc::clone(&self.events);
        Call {
            run: "abc234".parse().unwrap(),
            step: step.parse().unwrap(),
            generation: 0,
            component,
            guest: None,
            record: Digest::of(b"record"),
            inputs,
            adopt: false,
            gate: Arc::new(Gate::new(parse(&self.asks), parse(&self.grants), Arc::default())),
            vault: Arc::clone(&self.vault),
            ledger: Arc::clone(&self.book) as _,
            events: Events::new(move |event| events.lock().unwrap().push(event)),
            cancel: self.cancel.clone(),
        }
    }

    /// Carries orders out in `apply` of a step called `probe`.
    pub async fn apply(&self, orders: Value) -> Result<Value, Failure> {
        self.host.apply(&self.call("probe", json!({ "apply": orders }))).await
    }

    /// As [`Self::apply`], for a call that was changed by hand.
    pub async fn apply_with(&self, orders: Value, change: impl FnOnce(&mut Call)) -> Result<Value, Failure> {
        let mut call = self.call("probe", json!({ "apply": orders }));
        change(&mut call);
        self.host.apply(&call).await
    }

    /// Shows that the host is unharmed.
    pub async fn works(&self) {
        assert_eq!(self.apply(json!([{ "do": "work", "rounds": 3 }])).await.unwrap(), json!([33]));
    }

    /// The log so far, as `level: message`.
    pub fn log(&self) -> Vec<String> {
        let line = |event: &Event| match event {
            Event::Log { level, message, .. } => Some(format!("{level}: {message}")),
            _ => None,
        };
        self.events.lock().unwrap().iter().filter_map(line).collect()
    }

    pub fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    /// How often an operation was carried out by the cloud.
    pub fn carried_out(&self, operation: &str) -> usize {
        let all = self.cloud.requests(0).unwrap();
        all.iter().filter(|r| r.operation == operation && (200..300).contains(&r.status)).count()
    }
}

/// One engine for all tests: compiling the probe takes longer than all of them.
pub fn runtime() -> Arc<Runtime> {
    static RUNTIME: OnceLock<Arc<Runtime>> = OnceLock::new();
    let make = || {
        let settings = RuntimeSettings {
            cache: None::<PathBuf>,
            cache_key: SecretBytes::new(vec![1; 32]),
            components: Arc::new(components::find),
        };
        Runtime::new(settings).unwrap()
    };
    Arc::clone(RUNTIME.get_or_init(make))
}

/// The code of a fault of the component, or the kind of problem.
pub fn code<T: fmt::Debug>(result: Result<T, Failure>) -> String {
    match result.unwrap_err().error {
        StepError::Component { code, .. } => code,
        StepError::InvalidInput { .. } => "invalid-input".into(),
        StepError::Precondition { .. } => "precondition".into(),
        StepError::Denied { .. } => "denied".into(),
        StepError::Conflict { .. } => "conflict".into(),
        StepError::Transient { .. } => "transient".into(),
        StepError::Cancelled => "cancelled".into(),
        StepError::Permanent { .. } => "permanent".into(),
    }
}

/// Hands requests to the embedded Azure.
struct Wire(Cloud);

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

#[async_trait]
impl HttpSend for Wire {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, TransportError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let lost = |dropped: Dropped| TransportError::Lost { host, why: dropped.to_string() };
        self.0.handle(request).await.map_err(lost)
    }
}
