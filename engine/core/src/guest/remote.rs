//! This machine's side: steps go in, answers come out.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sealbook_azure::{Answer as Begun, Azure, AzureError, Polled};
use sealbook_crypto::SigningKey;
use sealbook_model::grant::{Capability, Use, Verb};
use sealbook_model::id::Digest;
use sealbook_model::journal::{Finding, GuestAt};
use sealbook_model::problem::codes;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::protocol::{self, Export, Job, MAIL_MAX, Mailbox, Reply, Signed};
use super::script::{DIGEST, MAILBOX, SCRIPT, SIGNER, Started, stdout};
use crate::event::Event;
use crate::host::{Components, PluginHost, refused};
use crate::references::references;
use crate::step::{Answer, Call, Checked, Evidence, Failure, Host, Leftover, Operation, StepError};

/// First and longest wait between two looks at the mailbox.
const POLL: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// What the side of this machine needs.
pub struct GuestSettings {
    /// The client for run-command and mailbox.
    pub azure: Azure,
    /// Where component bytes come from.
    pub components: Arc<dyn Components>,
    /// The agent's binary, for machines that have none. None: every machine has it.
    pub binary: Option<PathBuf>,
    /// After how long without a sign the agent is looked after.
    pub look_after: Duration,
    /// How long an agent may take to notice its first job: its identity's role may be on its way.
    pub notice_within: Duration,
}

/// A host for all steps: those of this machine run here, guest steps in their confidential VM.
pub struct Guests {
    here: PluginHost,
    settings: GuestSettings,
    /// Signs the jobs of this process.
    signing: SigningKey,
    /// The agents that this process has met.
    agents: std::sync::Mutex<HashMap<GuestAt, Agent>>,
    /// Components that are in a mailbox.
    sent: std::sync::Mutex<HashSet<(GuestAt, Digest)>>,
}

/// An agent that this process has met, through run-command.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Agent {
    /// Its id.
    id: String,
    /// The public key that it signs with.
    key: Vec<u8>,
}

fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Guests {
    /// Adds confidential VMs to a host.
    #[must_use]
    pub fn new(here: PluginHost, settings: GuestSettings) -> Self {
        Self { here, settings, signing: SigningKey::generate(), agents: Default::default(), sent: Default::default() }
    }

    /// Has a guest's agent make a call.
    async fn call(&self, call: &Call, at: &GuestAt, export: Export) -> Result<Answer, Failure> {
        permitted(call, at)?;
        if !references(&call.inputs, &["secret:"]).is_empty() {
            let message = "a secret input can't be handed to a guest step: what a confidential VM may know it gets by \
                           key release"
                .into();
            return Err(StepError::InvalidInput { field: "with".into(), message }.into());
        }
        let work = self.exchange(call, at, export);
        tokio::select! {
            biased;
            () = call.cancel.cancelled() => Err(StepError::Cancelled.into()),
            answer = work => answer,
        }
    }

    async fn exchange(&self, call: &Call, at: &GuestAt, export: Export) -> Result<Answer, Failure> {
        let mailbox = Mailbox::of(&at.mailbox, &call.run);
        let known = lock(&self.agents).get(at).cloned();
        let agent = match known {
            Some(agent) => agent,
            None => self.meet(call, at, &mailbox).await?,
        };
        self.send_component(at, &mailbox, &call.component).await?;
        let job = Job::new(call, &agent.id, Uuid::new_v4().simple().to_string(), export);
        self.put(&mailbox.job(), &job).await?;
        let reply = self.reply(call, at, &mailbox, &job, &agent).await?;
        for (level, message) in reply.log {
            call.events.send(Event::Log { step: call.step.clone(), level, message });
        }
        // What the agent has done is known here from now on: undo looks at this machine's records. A call that only looks
        // does nothing, and its reply tells of what the step did before.
        let acted = matches!(job.export, Export::Apply);
        for Operation { intent, outcome, .. } in reply.operations.into_iter().filter(|_| acted) {
            let name = intent.name.clone();
            if call.ledger.standing(&name, &intent.request).await?.is_some_and(|known| known.outcome.is_some()) {
                continue;
            }
            call.ledger.intend(intent).await?;
            if let Some(outcome) = outcome {
                call.ledger.completed(&name, outcome).await?;
            }
        }
        match reply.answer {
            protocol::Answer::Stranger | protocol::Answer::Working => Err(restarted(at)),
            protocol::Answer::Failed(failure) => Err(failure),
            protocol::Answer::Checked(Finding::Satisfied { outputs }) => {
                Ok(Answer::Checked(Checked::Satisfied(outputs)))
            }
            protocol::Answer::Checked(Finding::Needed(preview)) => Ok(Answer::Checked(Checked::Needed(*preview))),
            protocol::Answer::Outputs(outputs) => Ok(Answer::Outputs(outputs)),
            protocol::Answer::Evidence(evidence) => Ok(Answer::Evidence(evidence)),
        }
    }

    /// Waits for the reply, and looks after the agent when there is no sign of it.
    async fn reply(
        &self,
        call: &Call,
        at: &GuestAt,
        mailbox: &Mailbox,
        job: &Job,
        agent: &Agent,
    ) -> Result<Reply, Failure> {
        let begun = Instant::now();
        let (mut wait, mut sign, mut noticed) = (POLL.0, begun, false);
        loop {
            tokio::time::sleep(wait).await;
            wait = (wait * 3 / 2).min(POLL.1);
            if let Some(reply) = self.read(&mailbox.reply(), agent).await?.filter(|reply| reply.id == job.id) {
                if !matches!(reply.answer, protocol::Answer::Working) {
                    return Ok(reply);
                }
                noticed = true;
            }
            if sign.elapsed() >= self.settings.look_after {
                if self.meet(call, at, mailbox).await? != *agent {
                    return Err(restarted(at));
                }
                sign = Instant::now();
            }
            if !noticed && begun.elapsed() >= self.settings.notice_within {
                return Err(StepError::Transient { message: no_role(at), retry_after: None }.into());
            }
        }
    }

    /// Starts the agent unless it runs, and learns its id.
    async fn meet(&self, call: &Call, at: &GuestAt, mailbox: &Mailbox) -> Result<Agent, Failure> {
        let binary: Option<Bytes> = match &self.settings.binary {
            Some(path) => Some(tokio::fs::read(path).await.map_err(|error| unreadable(&error))?.into()),
            None => None,
        };
        if binary.as_ref().is_some_and(|binary| !runs_on_guests(binary)) {
            let message =
                "this program does not run on a confidential VM, which is Linux on x86-64: name a sealbook that \
                           does with SEALBOOK_GUEST_PROGRAM=FILE"
                    .into();
            return Err(StepError::Component { code: codes::GUEST_NOT_AVAILABLE.into(), message }.into());
        }
        let digest = binary.as_ref().map(|binary| Digest::of(binary).hex()).unwrap_or_default();
        let mut started = self.run_script(call, at, mailbox, &digest).await?;
        if started.missing
            && let Some(binary) = binary
        {
            self.upload(&mailbox.agent(&digest), binary, "application/octet-stream").await?;
            started = self.run_script(call, at, mailbox, &digest).await?;
        }
        if started.forbidden {
            return Err(StepError::Transient { message: no_role(at), retry_after: None }.into());
        }
        let key = hex::decode(&started.key).unwrap_or_default();
        if started.agent.is_empty() || key.is_empty() {
            return Err(unavailable(at, "its agent could not be installed"));
        }
        let agent = Agent { id: started.agent, key };
        if !started.isolation.is_empty() && !lock(&self.agents).contains_key(at) {
            let message = format!("{}: {}", at.name(), started.isolation);
            call.events.send(Event::Log { step: call.step.clone(), level: "info".into(), message });
        }
        lock(&self.agents).insert(at.clone(), agent.clone());
        Ok(agent)
    }

    async fn run_script(&self, call: &Call, at: &GuestAt, mailbox: &Mailbox, digest: &str) -> Result<Started, Failure> {
        let arm = self.settings.azure.arm();
        let body = json!({
            "commandId": "RunShellScript",
            "script": SCRIPT,
            "parameters": [
                { "name": MAILBOX, "value": mailbox.base() },
                { "name": DIGEST, "value": digest },
                { "name": SIGNER, "value": hex::encode(self.signing.public()) },
            ],
        });
        let begun = arm.post(&format!("{}/runCommand", at.vm), Some(&body), None).await;
        let mut answer = match begun.map_err(|error| not_running(at, &error))? {
            Begun::Done(answer) => answer,
            Begun::Accepted(mut follow) => loop {
                let why = format!("the agent in {} starts", at.name());
                call.events.send(Event::Progress { step: call.step.clone(), done: 0, total: None, message: why });
                tokio::time::sleep(follow.delay()).await;
                match arm.poll(&follow).await.map_err(|error| not_running(at, &error))? {
                    Polled::Pending(next) => follow = next,
                    Polled::Done(answer) => break answer,
                }
            },
        }
        .unwrap_or_default();
        if answer["value"].is_null() {
            answer = answer["properties"]["output"].take();
        }
        let said = stdout(&answer).unwrap_or_default();
        let line = said.lines().rev().find_map(|line| serde_json::from_str::<Started>(line.trim()).ok());
        line.ok_or_else(|| {
            let why = crate::host::one_line(&answer["value"].to_string(), 600);
            unavailable(at, &format!("its agent did not start: {why}"))
        })
    }

    async fn send_component(&self, at: &GuestAt, mailbox: &Mailbox, digest: &Digest) -> Result<(), Failure> {
        let key = (at.clone(), *digest);
        if lock(&self.sent).contains(&key) {
            return Ok(());
        }
        let bytes = self.settings.components.bytes(digest).ok_or_else(|| {
            let message = format!("the component {digest} is not in this home");
            Failure::from(StepError::Component { code: codes::INTERNAL.into(), message })
        })?;
        let uri = mailbox.component(digest);
        self.upload(&uri, bytes.into(), "application/wasm").await?;
        lock(&self.sent).insert(key);
        Ok(())
    }

    async fn put(&self, uri: &str, job: &Job) -> Result<(), Failure> {
        let signed = Signed::by(&self.signing, job).and_then(|signed| serde_json::to_vec(&signed));
        let bytes = signed.map_err(|error| StepError::Permanent { message: error.to_string() })?;
        self.upload(uri, bytes.into(), "application/json").await
    }

    /// Puts a blob into the mailbox, and makes its container if it is not there.
    async fn upload(&self, uri: &str, content: Bytes, media_type: &str) -> Result<(), Failure> {
        let blobs = self.settings.azure.blobs();
        let mut put = blobs.put(uri, content.clone(), media_type, &BTreeMap::new()).await;
        if put.as_ref().is_err_and(|error| error.has_code("ContainerNotFound")) {
            let container: Vec<&str> = uri.splitn(5, '/').take(4).collect();
            blobs.create_container(&container.join("/"), &BTreeMap::new()).await.map_err(|error| refused(&error))?;
            put = blobs.put(uri, content, media_type, &BTreeMap::new()).await;
        }
        put.map(drop).map_err(|error| refused(&error))
    }

    async fn read(&self, uri: &str, agent: &Agent) -> Result<Option<Reply>, Failure> {
        match self.settings.azure.blobs().get(uri, MAIL_MAX).await {
            // What that agent did not sign is not its reply, whoever put it there.
            Ok(bytes) => Ok(Signed::open(&bytes, &agent.key)),
            Err(error) if error.status == 404 => Ok(None),
            Err(error) => Err(refused(&error)),
        }
    }
}

/// What the engine itself does for a guest step (run-command, mail) is within what the machine's policy allows.
fn permitted(call: &Call, at: &GuestAt) -> Result<(), Failure> {
    let mail = Mailbox::of(&at.mailbox, &call.run).job();
    let uses = [
        Use { interface: Capability::Azure, verb: Verb::Write, target: &at.vm, role: None },
        Use { interface: Capability::Blob, verb: Verb::Write, target: &mail, role: None },
    ];
    for wanted in &uses {
        call.gate.policy_allows(wanted).map_err(StepError::from)?;
    }
    Ok(())
}

/// Whether a program is an executable for Linux on x86-64, as far as its header tells: ELF, 64 bits, little endian,
/// `EM_X86_64` (System V ABI, chapter 4). Where a program is for another system that writes ELF, the VM tells.
fn runs_on_guests(program: &[u8]) -> bool {
    program.starts_with(b"\x7fELF\x02\x01") && program.get(18..20) == Some(&[62, 0][..])
}

fn no_role(at: &GuestAt) -> String {
    format!(
        "the agent in {} does not get what lies in {}: its identity may not have the role Storage Blob Data Contributor \
         there yet",
        at.name(),
        at.mailbox
    )
}

fn restarted(at: &GuestAt) -> Failure {
    let message = format!("{} was restarted: what its steps held in memory is gone", at.name());
    StepError::Component { code: codes::GUEST_RESTARTED.into(), message }.into()
}

fn unavailable(at: &GuestAt, why: &str) -> Failure {
    let message = format!("{} does not answer: {why}", at.name());
    StepError::Component { code: codes::GUEST_NOT_AVAILABLE.into(), message }.into()
}

fn not_running(at: &GuestAt, error: &AzureError) -> Failure {
    if error.status == 409 && error.has_code("OperationNotAllowed") {
        return unavailable(at, &error.to_string());
    }
    refused(error)
}

fn unreadable(error: &std::io::Error) -> Failure {
    let message = format!("this program can't be read, to be sent to the confidential VM: {error}");
    StepError::Component { code: codes::GUEST_NOT_AVAILABLE.into(), message }.into()
}

#[async_trait]
impl Host for Guests {
    async fn check(&self, call: &Call) -> Result<Checked, Failure> {
        let Some(at) = &call.guest else { return self.here.check(call).await };
        self.call(call, at, Export::Check).await?.checked()
    }

    async fn apply(&self, call: &Call) -> Result<Value, Failure> {
        let Some(at) = &call.guest else { return self.here.apply(call).await };
        self.call(call, at, Export::Apply).await?.outputs()
    }

    async fn verify(&self, call: &Call, outputs: &Value) -> Result<Vec<Evidence>, Failure> {
        let Some(at) = &call.guest else { return self.here.verify(call, outputs).await };
        self.call(call, at, Export::Verify { outputs: outputs.clone() }).await?.evidence()
    }

    /// What a guest step left behind lies in the cloud, and is taken back from here: the machine may be gone.
    async fn undo(
        &self,
        call: &Call,
        before: &Value,
        outputs: Option<&Value>,
        operations: &[Operation],
    ) -> Result<Vec<Leftover>, Failure> {
        self.here.undo(call, before, outputs, operations).await
    }

    async fn read(&self, call: &Call, uri: &str) -> Result<Value, Failure> {
        self.here.read(call, uri).await
    }

    async fn settle(&self) {
        self.here.settle().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_for_other_machines_are_told_by_their_header() {
        let mut elf = b"\x7fELF\x02\x01\x01\0".to_vec();
        elf.resize(18, 0);
        let of = |machine: [u8; 2]| [&elf[..], &machine].concat();
        let (x86_64, arm64) = (of([62, 0]), of([183, 0]));
        for (program, runs) in
            [(&x86_64[..], true), (&arm64, false), (&x86_64[..19], false), (b"\xcf\xfa\xed\xfe", false), (b"MZ", false)]
        {
            assert_eq!(runs_on_guests(program), runs, "{program:?}");
        }
    }
}
