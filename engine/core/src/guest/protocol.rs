//! What travels between this machine and the guest's agent, as JSON.
//!
//! Below the run's mailbox there is one `job.json`, which this machine replaces, and one `reply.json`, which the agent
//! replaces: a run does one thing at a time. Components lie in `components/`, by digest.
//!
//! Whoever may write blobs there is not yet whoever may give orders: both sides sign what they write ([`Signed`]), and
//! learn each other's keys through run-command, which takes rights over the VM itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use sealbook_crypto::{SigningKey, verify};
use sealbook_model::CloudName;
use sealbook_model::grant::{Gate, Grant};
use sealbook_model::id::{Digest, RunId, StepPath};
use sealbook_model::journal::{Evidence, Failure, Finding, Operation};
use sealbook_model::policy::Policy;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::step::{Call, StepError};

/// Version of the protocol. Both sides are of one release; an older agent refuses by name.
pub const VERSION: u32 = 3;

/// Most bytes of a job or a reply, as it is signed.
pub const MAIL_MAX: usize = 16 << 20;

/// A message, and who wrote it (Ed25519, RFC 8032, over the kind of message and its text).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Signed {
    /// The message, JSON.
    text: String,
    /// 64 bytes in hex.
    signature: String,
}

impl Signed {
    /// Signs a message.
    ///
    /// # Errors
    /// It can't be written as JSON.
    pub fn by<M: Message>(key: &SigningKey, message: &M) -> Result<Self, serde_json::Error> {
        let text = serde_json::to_string(message)?;
        let signature = hex::encode(key.sign(&signed_bytes(M::KIND, &text)));
        Ok(Self { text, signature })
    }

    /// The message in `bytes`, if the holder of this key wrote it as a message of this kind.
    #[must_use]
    pub fn open<M: Message>(bytes: &[u8], public: &[u8]) -> Option<M> {
        let Self { text, signature } = serde_json::from_slice(bytes).ok()?;
        verify(public, &signed_bytes(M::KIND, &text), &hex::decode(signature).ok()?).ok()?;
        serde_json::from_str(&text).ok()
    }
}

fn signed_bytes(kind: &str, text: &str) -> Vec<u8> {
    format!("sealbook guest {kind} {VERSION}\n{text}").into_bytes()
}

/// What may be signed.
pub trait Message: Serialize + DeserializeOwned {
    /// Its kind: a message of one kind is none of another.
    const KIND: &'static str;
}

impl Message for Job {
    const KIND: &'static str = "job";
}

impl Message for Reply {
    const KIND: &'static str = "reply";
}

/// One call into a plugin.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// [`VERSION`].
    pub version: u32,
    /// Names the job: its reply says so.
    pub id: String,
    /// The agent that is meant. Another one holds none of the keys and files that the inputs may refer to.
    pub agent: String,
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: StepPath,
    /// Generation of its effects.
    pub generation: u32,
    /// The component.
    pub component: Digest,
    /// The head of the run's chain of records.
    pub record: Digest,
    /// The step's inputs. Secrets never travel.
    pub inputs: Value,
    /// Whether it may build on what it did not make.
    pub adopt: bool,
    /// What the plugin asks for, as grants in text.
    pub asks: Vec<String>,
    /// What the playbook grants.
    pub grants: Vec<String>,
    /// The cloud that the run is on.
    pub cloud: CloudName,
    /// The only subscriptions of it that the policy of the run's machine allows; none: any.
    pub subscriptions: Option<BTreeSet<String>>,
    /// What to call.
    pub export: Export,
}

/// An export of a plugin, with its arguments.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Export {
    /// `check`.
    Check,
    /// `apply`.
    Apply,
    /// `verify` of these outputs.
    Verify {
        /// What `apply` had answered.
        outputs: Value,
    },
}

/// What came of a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reply {
    /// The job.
    pub id: String,
    /// Who did it.
    pub agent: String,
    /// What came of it.
    pub answer: Answer,
    /// Lines of the plugin's log, with their level.
    #[serde(default)]
    pub log: Vec<(String, String)>,
    /// The step's effects so far.
    #[serde(default)]
    pub operations: Vec<Operation>,
}

/// The answer to a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The agent is at it.
    Working,
    /// The job is another agent's.
    Stranger,
    /// `check` answered.
    Checked(Finding),
    /// `apply` answered.
    Outputs(Value),
    /// `verify` answered.
    Evidence(Vec<Evidence>),
    /// It failed.
    Failed(Failure),
}

impl Job {
    /// A call as a job for `agent`.
    #[must_use]
    pub fn new(call: &Call, agent: &str, id: String, export: Export) -> Self {
        let texts = |grants: &[Grant]| grants.iter().map(ToString::to_string).collect();
        Self {
            version: VERSION,
            id,
            agent: agent.to_owned(),
            run: call.run.clone(),
            step: call.step.clone(),
            generation: call.generation,
            component: call.component,
            record: call.record,
            inputs: call.inputs.clone(),
            adopt: call.adopt,
            asks: texts(call.gate.asks()),
            grants: texts(call.gate.grants()),
            cloud: call.gate.cloud(),
            subscriptions: call.gate.policy().subscriptions.clone(),
            export,
        }
    }

    /// What its step may do there: no more than it might on the run's own machine.
    ///
    /// # Errors
    /// A grant that can't be read.
    pub fn gate(&self) -> Result<Gate, StepError> {
        let grants = |texts: &[String]| {
            let all: Result<Vec<_>, _> = texts.iter().map(|text| Grant::parse(text)).collect();
            all.map_err(|error| StepError::InvalidInput { field: "grants".into(), message: error.to_string() })
        };
        let mut policy = Policy::default();
        policy.subscriptions.clone_from(&self.subscriptions);
        Ok(Gate::new(grants(&self.asks)?, grants(&self.grants)?, Arc::new(policy)).on_cloud(self.cloud))
    }
}

/// Where a run's mail lies.
#[derive(Debug, Clone)]
pub struct Mailbox(String);

impl Mailbox {
    /// The mail of `run` in a container.
    #[must_use]
    pub fn of(container: &str, run: &RunId) -> Self {
        Self(format!("{container}/{run}"))
    }

    /// The mail at a base that [`Mailbox::base`] told.
    #[must_use]
    pub fn at(base: &str) -> Self {
        Self(base.trim_end_matches('/').to_owned())
    }

    /// The URI below which everything lies.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.0
    }

    /// The one job.
    #[must_use]
    pub fn job(&self) -> String {
        format!("{}/job.json", self.0)
    }

    /// Its reply.
    #[must_use]
    pub fn reply(&self) -> String {
        format!("{}/reply.json", self.0)
    }

    /// A component.
    #[must_use]
    pub fn component(&self, digest: &Digest) -> String {
        format!("{}/components/{}.wasm", self.0, digest.hex())
    }

    /// The agent's binary.
    #[must_use]
    pub fn agent(&self, digest: &str) -> String {
        format!("{}/agent/{digest}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use sealbook_model::grant::{Capability, DeniedBy, Use, Verb};

    use super::*;

    #[test]
    fn a_job_takes_the_policy_of_the_runs_machine_along() {
        let (mine, other) = ("11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222");
        let everything =
            || vec![format!("azure:write /subscriptions/{mine}"), format!("azure:write /subscriptions/{other}")];
        let mut job = Job {
            version: VERSION,
            id: "1".into(),
            agent: "a".into(),
            run: "abc234".parse().unwrap(),
            step: "step".parse().unwrap(),
            generation: 0,
            component: Digest::of(b"wasm"),
            record: Digest::of(b"head"),
            inputs: Value::Null,
            adopt: false,
            asks: everything(),
            grants: everything(),
            cloud: CloudName::Azure,
            subscriptions: None,
            export: Export::Apply,
        };
        let denied = |job: &Job, subscription: &str| {
            let target = format!("/subscriptions/{subscription}/resourceGroups/rg");
            let wanted = Use { interface: Capability::Azure, verb: Verb::Write, target: &target, role: None };
            job.gate().unwrap().allows(&wanted).err().map(|denial| denial.by)
        };
        assert_eq!((denied(&job, mine), denied(&job, other)), (None, None));
        job.subscriptions = Some([mine.to_owned()].into());
        let job: Job = serde_json::from_str(&serde_json::to_string(&job).unwrap()).unwrap();
        assert_eq!((denied(&job, mine), denied(&job, other)), (None, Some(DeniedBy::Policy)));
    }

    #[test]
    fn a_message_is_its_writers_and_of_its_kind() {
        let (writer, other) = (SigningKey::generate(), SigningKey::generate());
        let reply = Reply {
            id: "1".into(),
            agent: "a".into(),
            answer: Answer::Working,
            log: Vec::new(),
            operations: Vec::new(),
        };
        let bytes = serde_json::to_vec(&Signed::by(&writer, &reply).unwrap()).unwrap();
        let opened = |bytes: &[u8], key: &SigningKey| Signed::open::<Reply>(bytes, &key.public()).map(|reply| reply.id);
        assert_eq!(opened(&bytes, &writer).as_deref(), Some("1"));
        let bent = String::from_utf8(bytes.clone()).unwrap().replace("\\\"1\\\"", "\\\"2\\\"");
        assert_ne!(bent.as_bytes(), bytes);
        for (what, bytes, key) in [
            ("another's", bytes.as_slice(), &other),
            ("bent", bent.as_bytes(), &writer),
            ("unsigned", &serde_json::to_vec(&reply).unwrap(), &writer),
            ("nothing", b"", &writer),
        ] {
            assert_eq!(opened(bytes, key), None, "{what}");
        }
        assert!(Signed::open::<Job>(&bytes, &writer.public()).is_none(), "a reply is no job");
    }
}
