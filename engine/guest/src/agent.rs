//! The guest's agent: takes jobs out of the mailbox, runs them, and writes replies.
//!
//! It takes jobs from one run alone, which signs them: run-command, and with it rights over the VM, brought the key to
//! verify them with. Whoever may write the mailbox can keep jobs from it, and no more. What it proves to others is which
//! component asked for what ([`crate::release`]). It holds keys and plaintext in memory, and nothing else.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sealbook_azure::{Azure, AzureError, Kind};
use sealbook_crypto::SigningKey;
use sealbook_crypto::{SealKey, SecretBytes};
use sealbook_engine::event::{Event, Events};
use sealbook_engine::guest::protocol::{Answer, Export, Job, MAIL_MAX, Mailbox, Reply, Signed, VERSION};
use sealbook_engine::host::{ArtifactStore, HostSettings, Judge, Memory, PluginHost, Runtime, RuntimeSettings};
use sealbook_engine::journal::RunVault;
use sealbook_engine::step::{Call, Checked, Failure, Host as _, StepError};
use sealbook_engine::tee::Tee;
use sealbook_model::id::{Digest, RunId, StepPath};
use sealbook_model::journal::Finding;
use sealbook_model::policy::Policy;
use sealbook_model::problem::codes;
use tokio_util::sync::CancellationToken;

use crate::ledger::GuestLedger;

/// First and longest wait between two looks at the mailbox.
const POLL: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
/// Largest component in bytes.
const COMPONENT: usize = 16 << 20;
/// Most lines of a plugin's log that go back with a reply.
const LINES: usize = 200;

/// What an agent needs.
pub struct AgentSettings {
    /// The client, signed in as the machine's identity.
    pub azure: Azure,
    /// The id of this start of the agent.
    pub agent: String,
    /// Where its mail lies.
    pub mailbox: Mailbox,
    /// The public key of whoever gives it jobs; nobody else does.
    pub signer: Vec<u8>,
    /// The key that it signs its replies with.
    pub signing: SigningKey,
    /// The machine's trusted hardware.
    pub tee: Arc<dyn Tee>,
    /// Who judges evidence.
    pub judge: Judge,
}

/// Why a machine can't show who it is.
#[derive(Debug, thiserror::Error)]
#[error("the machine gets no token for its identity: {0}; give the machine a system-assigned identity")]
pub struct NoIdentity(AzureError);

/// Refuses a machine that can't show who it is: it could reach nothing. Whether it may read its mailbox is another
/// matter, for roles take their time.
///
/// # Errors
/// [`NoIdentity`].
pub async fn require_identity(azure: &Azure, mailbox: &Mailbox) -> Result<(), NoIdentity> {
    match azure.blobs().get(&mailbox.job(), MAIL_MAX).await {
        Err(error) if error.kind == Kind::SignIn => Err(NoIdentity(error)),
        _ => Ok(()),
    }
}

/// Says that it is `ready`, and serves until `cancel`: a run hands over one job after the other.
///
/// # Errors
/// When this machine can't run WebAssembly. What goes wrong with a job is its reply; what goes wrong with the mailbox is
/// tried again.
pub async fn serve(
    settings: AgentSettings,
    ready: impl FnOnce() + Send,
    cancel: CancellationToken,
) -> Result<(), Failure> {
    let agent = Agent::new(settings)?;
    ready();
    let (mut done, mut wait, mut trouble) = (HashSet::new(), POLL.0, None);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            () = tokio::time::sleep(wait) => {}
        }
        match agent.next().await {
            // A job that was done is not done again, whoever puts it back.
            Ok(Some(job)) if done.insert(job.id.clone()) => {
                wait = POLL.0;
                if let Err(error) = agent.work(job).await {
                    tracing::warn!(%error, "a reply could not be written");
                }
            }
            Ok(_) => {
                wait = (wait * 3 / 2).min(POLL.1);
                trouble = None;
            }
            Err(error) => {
                // Said once, for as long as it is the same.
                if trouble.as_ref() != Some(&error.code) {
                    tracing::warn!(%error, "the mailbox can't be read");
                }
                trouble = Some(error.code);
                wait = POLL.1;
            }
        }
    }
}

struct Agent {
    settings: AgentSettings,
    host: PluginHost,
    components: Arc<Mutex<HashMap<Digest, Vec<u8>>>>,
    ledgers: Mutex<HashMap<(RunId, StepPath, u32), Arc<GuestLedger>>>,
    vaults: Mutex<HashMap<RunId, Arc<RunVault>>>,
}

impl Agent {
    fn new(settings: AgentSettings) -> Result<Self, Failure> {
        let components: Arc<Mutex<HashMap<Digest, Vec<u8>>>> = Arc::default();
        let held = Arc::clone(&components);
        let runtime = Runtime::new(RuntimeSettings {
            cache: None,
            cache_key: SecretBytes::new(vec![0; 32]),
            components: Arc::new(move |digest: &Digest| lock(&held).get(digest).cloned()),
        })?;
        let host = PluginHost::new(HostSettings {
            runtime,
            azure: settings.azure.clone(),
            artifacts: ArtifactStore::Memory(Memory::default()),
            policy: Arc::new(Policy::default()),
            judge: Arc::clone(&settings.judge),
            tee: Some(Arc::clone(&settings.tee)),
        });
        Ok(Self { settings, host, components, ledgers: Mutex::default(), vaults: Mutex::default() })
    }

    /// The job that lies in the mailbox.
    async fn next(&self) -> Result<Option<Job>, AzureError> {
        let uri = self.settings.mailbox.job();
        let bytes = match self.settings.azure.blobs().get(&uri, MAIL_MAX).await {
            Ok(bytes) => bytes,
            Err(error) if error.status == 404 => return Ok(None),
            Err(error) => return Err(error),
        };
        // Whoever may write blobs may put anything here; a job is what the run has signed.
        Ok(Signed::open(&bytes, &self.settings.signer))
    }

    async fn work(&self, job: Job) -> Result<(), AzureError> {
        if job.agent != self.settings.agent || job.version != VERSION {
            return self.reply(&job, Answer::Stranger, Vec::new(), &GuestLedger::default()).await;
        }
        let ledger =
            Arc::clone(lock(&self.ledgers).entry((job.run.clone(), job.step.clone(), job.generation)).or_default());
        self.reply(&job, Answer::Working, Vec::new(), &ledger).await?;
        let log: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let answer = match self.run(&job, &ledger, &log).await {
            Ok(answer) => answer,
            Err(failure) => Answer::Failed(failure),
        };
        let lines = lock(&log).clone();
        self.reply(&job, answer, lines, &ledger).await
    }

    async fn run(
        &self,
        job: &Job,
        ledger: &Arc<GuestLedger>,
        log: &Arc<Mutex<Vec<(String, String)>>>,
    ) -> Result<Answer, Failure> {
        self.fetch(&job.component).await?;
        let gate = job.gate()?;
        let vault = {
            let mut vaults = lock(&self.vaults);
            let fresh = || Arc::new(RunVault::new(SealKey::generate(), BTreeMap::new()));
            Arc::clone(vaults.entry(job.run.clone()).or_insert_with(fresh))
        };
        let lines = Arc::clone(log);
        let events = Events::new(move |event| {
            if let Event::Log { level, message, .. } = event {
                let mut lines = lock(&lines);
                if lines.len() < LINES {
                    lines.push((level, message));
                }
            }
        });
        let call = Call {
            run: job.run.clone(),
            step: job.step.clone(),
            generation: job.generation,
            component: job.component,
            guest: None,
            record: job.record,
            inputs: job.inputs.clone(),
            adopt: job.adopt,
            gate: Arc::new(gate),
            vault,
            ledger: Arc::clone(ledger) as _,
            events,
            cancel: CancellationToken::new(),
        };
        Ok(match &job.export {
            Export::Check => Answer::Checked(match self.host.check(&call).await? {
                Checked::Satisfied(outputs) => Finding::Satisfied { outputs },
                Checked::Needed(preview) => Finding::Needed(Box::new(preview)),
            }),
            Export::Apply => Answer::Outputs(self.host.apply(&call).await?),
            Export::Verify { outputs } => Answer::Evidence(self.host.verify(&call, outputs).await?),
        })
    }

    /// Gets a component out of the mailbox, and makes sure that it is the one that was named.
    async fn fetch(&self, digest: &Digest) -> Result<(), Failure> {
        if lock(&self.components).contains_key(digest) {
            return Ok(());
        }
        let bytes = self.settings.azure.blobs().get(&self.settings.mailbox.component(digest), COMPONENT).await;
        let bytes = bytes.map_err(|error| StepError::Transient { message: error.to_string(), retry_after: None })?;
        if Digest::of(&bytes) != *digest {
            let message = format!("what lies in the mailbox is not the component {digest}");
            return Err(StepError::Component { code: codes::EVIDENCE_REFUSED.into(), message }.into());
        }
        lock(&self.components).insert(*digest, bytes.to_vec());
        Ok(())
    }

    async fn reply(
        &self,
        job: &Job,
        answer: Answer,
        log: Vec<(String, String)>,
        ledger: &GuestLedger,
    ) -> Result<(), AzureError> {
        let agent = self.settings.agent.clone();
        let reply = Reply { id: job.id.clone(), agent, answer, log, operations: ledger.operations() };
        let signed = Signed::by(&self.settings.signing, &reply).and_then(|signed| serde_json::to_vec(&signed));
        let bytes = signed.unwrap_or_default();
        let (uri, kind) = (self.settings.mailbox.reply(), "application/json");
        self.settings.azure.blobs().put(&uri, Bytes::from(bytes), kind, &BTreeMap::new()).await.map(drop)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
