//! The kit: a home, a cloud that outlives processes, a host whose plugin makes things in it, and a scripted learner.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{TimeZone, Utc};
use sealbook_model::CloudName;
use sealbook_model::expr::{Context, Me};
use sealbook_model::id::{Digest, RunId, StepPath};
use sealbook_model::journal::{Consent, Mode, Record};
use sealbook_model::playbook::{Answers, Bundle};
use sealbook_model::plugin::Description;
use sealbook_model::policy::Policy;
use sealbook_model::problem::Problem;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::event::{Event, Events};
use crate::home::Home;
use crate::journal::{Clock, Gates};
use crate::run::*;
use crate::step::*;

/// What stands in the cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thing {
    /// The run that made it.
    pub owner: String,
    /// The effect that made it.
    pub op: String,
    /// How often it was made.
    pub made: u32,
}

/// The cloud, with a record of what was asked and a script of what goes wrong.
#[derive(Debug, Default)]
pub struct World {
    pub things: BTreeMap<String, Thing>,
    /// Calls into the plugin, `apply rg`.
    pub calls: Vec<String>,
    /// Requests that changed something.
    pub sends: Vec<String>,
    /// Failures to come, by call (`apply rg`, `read`).
    pub faults: BTreeMap<String, VecDeque<Failure>>,
    /// Components that were run.
    pub components: BTreeSet<Digest>,
}

/// A home and a cloud, for one run.
pub struct Kit {
    pub folder: TempDir,
    pub world: Arc<Mutex<World>>,
    pub bundle: Bundle,
    pub learner: Arc<Script>,
    pub events: Arc<Mutex<Vec<Event>>>,
    pub cancel: CancellationToken,
    pub policy: Policy,
    pub mode: Mode,
    pub cloud: CloudName,
    /// Whether the host looks for what it may have made before it makes it again.
    pub reconciles: bool,
}

pub const SECRET: &str = "only my key opens this";

/// A playbook of these steps; every step has its text, and the plugin may touch everything in the container `lab`.
pub fn playbook(steps: &str) -> Bundle {
    let head = "schema = 1\nid = \"demo\"\ntitle = \"Demo\"\nsummary = \"All kinds of steps.\"\nlevel = \"beginner\"\n\
                minutes = { embedded = 1, azure = 1 }\nleaves = [\"${run.id} stays until ${undo.at + duration('1h')}\"]\n\
                [inputs]\nsuffix = { type = \"string\", default = \"x\", prompt = \"Ending\" }\n\
                note = { type = \"string\", prompt = \"Note\", secret = true }\n";
    let part = "schema = 1\nid = \"pair\"\nversion = 1\ntitle = \"Pair\"\nsummary = \"Two things.\"\n\
                [inputs]\nbase = { type = \"string\" }\n\
                [[step]]\nname = \"first\"\nuse = \"thing@0.1\"\nwith = { name = \"${inputs.base}-first\", effects = 2 }\n\
                grants = [\"blob:read,write https://a.blob.core.windows.net/lab/*\"]\n\
                [[step]]\nname = \"second\"\nuse = \"thing@0.1\"\nwith = { name = \"${inputs.base}-second\", base = \"${first.id}\" }\n\
                grants = [\"blob:read,write https://a.blob.core.windows.net/lab/*\"]\n\
                [exports]\nid = \"${second.id}\"\n";
    let mut bundle = Bundle { root: "demo/playbook.toml".into(), files: BTreeMap::new() };
    for (file, text) in [("demo/playbook.toml", format!("{head}{steps}")), ("parts/pair/part.toml", part.into())] {
        let folder = Path::new(file).parent().unwrap().display();
        let names = text.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
        for name in names.collect::<Vec<_>>() {
            let text =
                format!("## What\nMakes {name}.\n\n## Why\nBecause.\n\n## Proved\n{name} in ${{run.id}} stands.\n");
            bundle.files.insert(format!("{folder}/texts/{name}.md"), text);
        }
        bundle.files.insert(file.into(), text);
    }
    bundle
}

/// A step of the playbook that makes a thing.
pub fn thing(name: &str, with: &str, more: &str) -> String {
    let with = if with.is_empty() { String::new() } else { format!(", {with}") };
    format!(
        "[[step]]\nname = \"{name}\"\nuse = \"thing@0.1\"\nwith = {{ name = \"{name}\"{with} }}\n\
         grants = [\"blob:read,write https://a.blob.core.windows.net/lab/*\"]\n{more}\n"
    )
}

/// Every kind of step once.
pub fn everything() -> String {
    [
        thing("rg", "", ""),
        "[[step]]\nname = \"store\"\nchoose = \"Where?\"\ndefault = \"pair\"\n[[step.option]]\nid = \"pair\"\n\
         part = \"pair@1\"\nwith = { base = \"${rg.name}\" }\nwhen = \"Always.\"\n"
            .into(),
        thing(
            "key",
            "key = true, base = \"${store.id}\"",
            "expect = [{ that = \"out.name == 'key'\", else = \"Not the key.\" }]\n\
             quiz = { ask = \"Who?\", options = [\"You\", \"It\"], answer = 1, why = \"It does.\" }",
        ),
        thing("never", "", "when = \"inputs.suffix == 'nope'\""),
        thing("write", "uses = \"${key.key}\", secret = \"${inputs.note}\", effects = 2", "pause = \"Look at it.\""),
        thing("there", "", ""),
        thing(
            "off",
            "",
            "lesson = { read = \"https://a.blob.core.windows.net/lab/write\", \
             fails = { status = 403, code = \"KeyVaultEncryptionKeyNotFound\" }, within = \"10s\" }",
        ),
        thing(
            "on",
            "",
            "lesson = { read = \"https://a.blob.core.windows.net/lab/write\", that = \"out.sha256 == 'aa'\" }",
        ),
        thing("refused", "refused = true", "lesson = { fails = { status = 400, code = \"KeyVaultPolicyError\" } }"),
        thing("last", "uses = \"${key.key}\"", ""),
    ]
    .concat()
}

pub fn run_id() -> RunId {
    "k3f7qa".parse().unwrap()
}

pub fn step(path: &str) -> StepPath {
    path.parse().unwrap()
}

pub fn transient(message: &str) -> Failure {
    StepError::Transient { message: message.into(), retry_after: None }.into()
}

pub fn refused(status: u16, code: &str) -> Failure {
    let error = StepError::Permanent { message: format!("Azure refused: {code}") };
    Failure { error, azure: Some(AzureCause { status, code: code.into() }) }
}

impl Kit {
    pub fn new(steps: &str) -> Self {
        // Memory-backed where there is such a folder: these tests write thousands of records.
        let shm = Path::new("/dev/shm");
        let folder = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() };
        let world = World {
            things: BTreeMap::from([(
                "there".into(),
                Thing { owner: "somebody".into(), op: "portal".into(), made: 1 },
            )]),
            ..World::default()
        };
        Self {
            folder: folder.unwrap(),
            world: Arc::new(Mutex::new(world)),
            bundle: playbook(steps),
            learner: Arc::new(Script::default()),
            events: Arc::default(),
            cancel: CancellationToken::new(),
            policy: Policy::default(),
            mode: Mode::Auto,
            cloud: CloudName::Embedded,
            reconciles: true,
        }
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub fn home(&self) -> Arc<Home> {
        Arc::new(Home::open(self.folder.path()).unwrap())
    }

    pub fn runs(&self) -> Runs {
        Runs::new(self.home())
    }

    /// A process: everything in it is new, only home and cloud stay.
    pub fn process(&self, gates: Gates) -> (Engine, Session) {
        let (world, reconciles) = (self.world.clone(), self.reconciles);
        let host = ScriptHost { world, gates: gates.clone(), handles: Mutex::default(), reconciles };
        let mut settings = Settings::new(Arc::new(self.policy.clone()), "test");
        settings.gates = gates;
        settings.clock = Clock::new(|| Utc.timestamp_opt(1_700_000_000, 0).unwrap());
        settings.jitter = Jitter::new(|| 1.0);
        let events = self.events.clone();
        let session = Session {
            learner: self.learner.clone(),
            events: Events::new(move |event| events.lock().unwrap().push(event)),
            cancel: self.cancel.clone(),
        };
        (Engine::new(self.home(), Arc::new(host), settings), session)
    }

    pub fn request(&self) -> StartRequest {
        let description = Description {
            summary: "Makes a thing.".into(),
            inputs: json!({ "type": "object", "properties": {
                "name": { "type": "string" }, "base": { "type": "string" }, "effects": { "type": "integer" },
                "key": { "type": "boolean" }, "uses": { "type": "string" }, "secret": { "type": "string" },
                "refused": { "type": "boolean" }, "role": { "type": "boolean" }, "cost": { "type": "number" },
                "keeps": { "type": "boolean" },
            }, "required": ["name"] }),
            outputs: json!({ "type": "object" }),
            asks: vec!["blob:read,write https://a.blob.core.windows.net/lab/${inputs.name}".into()],
            limits: Default::default(),
        };
        let plugin = Plugin { component: b"the component"[..].into(), description, built_in: true };
        StartRequest {
            bundle: self.bundle.clone(),
            plugins: BTreeMap::from([("thing@0.1".parse().unwrap(), plugin)]),
            context: Context {
                run: run_id(),
                cloud: self.cloud,
                tenant: "72f988bf-86f1-41af-91ab-2d7cd011db47".into(),
                subscription: "1b4df8a5-4c55-4fb6-9a24-4c5f6e7a8b9c".into(),
                subscription_name: "Lab".into(),
                me: Me { id: "u".into(), name: "learner".into(), kind: "User".into() },
            },
            inputs: BTreeMap::from([("suffix".into(), json!("x")), ("note".into(), json!("secret:note"))]),
            secrets: BTreeMap::from([("note".into(), SECRET.into())]),
            prompted: vec!["note".into(), "suffix".into()],
            answers: Answers::new(),
            consents: vec![Consent { subject: "plan".into(), text: "yes".into() }],
            mode: self.mode,
            quiet: false,
            source: None,
        }
    }

    pub async fn start(&self) -> RunSummary {
        self.start_with(Gates::none()).await.unwrap()
    }

    pub async fn start_with(&self, gates: Gates) -> Result<RunSummary, Problem> {
        let ((engine, session), request) = (self.process(gates), self.request());
        engine.start(request, &session).await
    }

    pub async fn resume(&self) -> RunSummary {
        let (engine, session) = self.process(Gates::none());
        engine.resume(&run_id(), &session).await.unwrap()
    }

    pub async fn undo(&self) -> RunSummary {
        let (engine, session) = self.process(Gates::none());
        engine.undo(&run_id(), &session).await.unwrap()
    }

    /// The names of the records, and their steps.
    pub fn log(&self) -> Vec<String> {
        let line = |record: &Record| match record.step() {
            Some(step) => format!("{} {step}", record.name()),
            None => record.name().to_owned(),
        };
        self.runs().log(&run_id()).unwrap().iter().map(|entry| line(&entry.record)).collect()
    }

    /// Lets the next calls of `what` (`apply rg`) fail.
    pub fn fail(&self, what: &str, failures: impl IntoIterator<Item = Failure>) {
        self.world().faults.entry(what.into()).or_default().extend(failures);
    }

    pub fn calls(&self, what: &str) -> usize {
        self.world().calls.iter().filter(|call| *call == what).count()
    }
}

/// Kills the process at the gate with this number.
pub struct Killer {
    at: usize,
    passed: AtomicUsize,
    pub hit: Mutex<Option<String>>,
}

/// What a killed process says.
struct Killed;

impl Killer {
    pub fn at(at: usize) -> Arc<Self> {
        Arc::new(Self { at, passed: AtomicUsize::new(0), hit: Mutex::new(None) })
    }

    pub fn gates(self: &Arc<Self>) -> Gates {
        let killer = self.clone();
        Gates::new(move |gate| {
            if killer.passed.fetch_add(1, Ordering::SeqCst) == killer.at {
                *killer.hit.lock().unwrap() = Some(gate.to_owned());
                std::panic::resume_unwind(Box::new(Killed));
            }
        })
    }
}

/// Runs a process to its end; none: it was killed.
pub async fn process<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Option<T> {
    match tokio::spawn(work).await {
        Ok(result) => Some(result),
        Err(e) => {
            assert!(e.into_panic().is::<Killed>(), "a panic of our own");
            None
        }
    }
}

/// A host with one plugin, which makes things in the world.
pub struct ScriptHost {
    world: Arc<Mutex<World>>,
    gates: Gates,
    /// Handles that live in this process.
    handles: Mutex<BTreeSet<String>>,
    reconciles: bool,
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

impl ScriptHost {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    fn called(&self, what: &str, call: &Call) -> Result<(), Failure> {
        if call.cancel.is_cancelled() {
            return Err(StepError::Cancelled.into());
        }
        let line = format!("{what} {}", call.step);
        let mut world = self.world();
        world.calls.push(line.clone());
        world.components.insert(call.component);
        match world.faults.get_mut(&line).and_then(VecDeque::pop_front) {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    fn outputs(&self, call: &Call) -> Value {
        let name = text(&call.inputs, "name");
        let mut outputs = json!({ "id": format!("id-{name}"), "name": name });
        if call.inputs["key"] == true {
            let handle = format!("key:{}/k", call.step);
            self.handles.lock().unwrap().insert(handle.clone());
            outputs["key"] = handle.into();
        }
        outputs
    }

    /// One effect, the way a host does it: standing, intend, send, completed; a known one is reconciled.
    async fn effect(&self, call: &Call, name: &str, thing: &str, make: bool) -> Result<Value, Failure> {
        let kind = if call.inputs["role"] == true { "role-assignment" } else { "put" };
        let request = Digest::of(format!("{name} {thing}").as_bytes());
        let mark = format!("{}/{}/{name}", call.step, call.generation);
        let known = call.ledger.standing(name, &request).await?;
        if let Some(outcome) = known.as_ref().and_then(|operation| operation.outcome.clone()) {
            return Ok(outcome.result);
        }
        let done_already = {
            let world = self.world();
            let ours = world.things.get(thing).is_some_and(|t| t.op == mark);
            self.reconciles && known.is_some() && (if make { ours } else { !world.things.contains_key(thing) })
        };
        if !done_already {
            let (target, prior) = (thing.to_owned(), Value::Null);
            call.ledger.intend(Intent { name: name.into(), kind: kind.into(), target, request, prior }).await?;
            self.gates.pass("before", "send");
            {
                let mut world = self.world();
                world.sends.push(format!("{} {thing}", if make { "put" } else { "delete" }));
                if make {
                    let owner = call.run.to_string();
                    let entry = world.things.entry(thing.into());
                    entry.or_insert(Thing { owner, op: mark, made: 0 }).made += 1;
                } else {
                    world.things.remove(thing);
                }
            }
            self.gates.pass("after", "commit");
            call.ledger.accepted(name, json!({ "url": thing })).await?;
            self.gates.pass("after", "response");
        }
        let outcome = Outcome { result: json!({ "made": thing }), ownership: Ownership::Ours };
        call.ledger.completed(name, outcome.clone()).await?;
        Ok(outcome.result)
    }
}

#[async_trait]
impl Host for ScriptHost {
    async fn check(&self, call: &Call) -> Result<Checked, Failure> {
        self.called("check", call)?;
        let (name, mine) = (text(&call.inputs, "name"), call.run.to_string());
        let owner = self.world().things.get(&name).map(|thing| thing.owner.clone());
        match owner {
            Some(owner) if owner == mine || call.adopt || name == "there" => Ok(Checked::Satisfied(self.outputs(call))),
            Some(owner) => Err(StepError::Conflict {
                message: format!("{name} stands there already"),
                candidates: vec![format!("{name} of {owner}")],
            }
            .into()),
            None => {
                let cost = call.inputs["cost"].as_f64().unwrap_or_default();
                let cost = Cost { item: name.clone(), usd_per_hour: cost, usd_after_undo: 0.0 };
                let changes = vec![format!("make {name}")];
                Ok(Checked::Needed(Preview {
                    changes,
                    before: json!("nothing"),
                    costs: vec![cost],
                    ..Preview::default()
                }))
            }
        }
    }

    async fn apply(&self, call: &Call) -> Result<Value, Failure> {
        self.called("apply", call)?;
        if call.inputs["refused"] == true {
            return Err(refused(400, "KeyVaultPolicyError"));
        }
        let uses = text(&call.inputs, "uses");
        if !uses.is_empty() && !self.handles.lock().unwrap().contains(&uses) {
            return Err(StepError::Permanent { message: format!("no handle {uses}") }.into());
        }
        if let Some(name) = text(&call.inputs, "secret").strip_prefix("secret:") {
            assert_eq!(call.vault.secret(name).unwrap().expose(), SECRET.as_bytes());
        }
        let name = text(&call.inputs, "name");
        self.effect(call, "put", &name, true).await?;
        for i in 1..call.inputs["effects"].as_u64().unwrap_or(1) {
            // Between two effects the run may be asked to stop, or time may run out.
            if call.cancel.is_cancelled() {
                return Err(StepError::Cancelled.into());
            }
            self.called(&format!("between {i}"), call)?;
            self.effect(call, &format!("put{i}"), &format!("{name}.{i}"), true).await?;
        }
        Ok(self.outputs(call))
    }

    async fn verify(&self, call: &Call, outputs: &Value) -> Result<Vec<Evidence>, Failure> {
        self.called("verify", call)?;
        let name = text(outputs, "name");
        let passed = self.world().things.contains_key(&name);
        Ok(vec![Evidence {
            check: format!("{name} stands"),
            passed,
            detail: if passed { "yes" } else { "gone" }.into(),
        }])
    }

    async fn undo(
        &self,
        call: &Call,
        before: &Value,
        outputs: Option<&Value>,
        operations: &[Operation],
    ) -> Result<Vec<Leftover>, Failure> {
        self.called("undo", call)?;
        assert_eq!(before, "nothing");
        assert!(outputs.is_none_or(|outputs| outputs["name"] == call.inputs["name"]));
        for operation in operations.iter().rev() {
            let ours = self.world().things.get(&operation.intent.target).is_some_and(|t| t.owner == call.run.as_str());
            let standing = call.ledger.standing(&format!("delete-{}", operation.intent.name), &Digest::of(b"")).await;
            if ours || !matches!(standing, Ok(None)) {
                let name = format!("delete-{}", operation.intent.name);
                self.effect(call, &name, &operation.intent.target, false).await?;
            }
        }
        let keeps = call.inputs["keeps"] == true;
        let leftover = Leftover {
            what: text(&call.inputs, "name"),
            why: "soft-deleted".into(),
            until: Some("2026-01-01T00:00:00Z".into()),
            usd: 0.0,
            usd_per_hour: 0.0,
        };
        Ok(if keeps { vec![leftover] } else { Vec::new() })
    }

    async fn settle(&self) {}

    async fn read(&self, call: &Call, uri: &str) -> Result<Value, Failure> {
        self.called("read", call)?;
        let allowed = call.gate.allows(&sealbook_model::grant::Use {
            interface: sealbook_model::grant::Capability::Blob,
            verb: sealbook_model::grant::Verb::Read,
            target: uri,
            role: None,
        });
        assert!(allowed.is_ok(), "{allowed:?}");
        let world = self.world();
        if world.things.contains_key("off") && !world.things.contains_key("on") {
            return Err(refused(403, "KeyVaultEncryptionKeyNotFound"));
        }
        Ok(json!({ "uri": uri, "sha256": "aa", "bytes": 2 }))
    }
}

/// A learner who follows a script; without one he is agreeable.
#[derive(Default)]
pub struct Script {
    pub hands: Mutex<VecDeque<HandsOn>>,
    pub seen: Mutex<Vec<String>>,
    /// What he does in the cloud before he says "done": things by name.
    pub makes: Mutex<VecDeque<(String, Arc<Mutex<World>>)>>,
    pub stops_at_pause: AtomicUsize,
    pub never_answers: std::sync::atomic::AtomicBool,
}

impl Script {
    fn note(&self, line: String) {
        self.seen.lock().unwrap().push(line);
    }

    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

#[async_trait]
impl Learner for Script {
    async fn by_hand(&self, task: &ByHand) -> HandsOn {
        self.note(format!(
            "{}: {} (tried {}; missing: {})",
            task.step,
            task.by_hand,
            task.tried,
            task.missing.join(", ")
        ));
        if self.never_answers.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let answer = self.hands.lock().unwrap().pop_front().unwrap_or(HandsOn::DoItForMe);
        if answer == HandsOn::Done
            && let Some((name, world)) = self.makes.lock().unwrap().pop_front()
        {
            let thing = Thing { owner: "learner".into(), op: "az".into(), made: 1 };
            world.lock().unwrap().things.insert(name, thing);
        }
        answer
    }

    async fn quiz(&self, quiz: &QuizAsk) -> Option<usize> {
        self.note(format!("{}? {}", quiz.step, quiz.ask));
        Some(1)
    }

    async fn quiz_answered(&self, quiz: &QuizAsk, choice: Option<usize>) {
        self.note(format!("{}: {choice:?}, right is {}: {}", quiz.step, quiz.answer, quiz.why));
    }

    async fn pause(&self, pause: &PauseAsk) -> bool {
        self.note(format!("{}: {}", pause.step, pause.text));
        let stops = &self.stops_at_pause;
        stops.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_err()
    }

    async fn hint(&self, step: &StepPath, hint: Option<&Hint>) {
        self.note(match hint {
            Some(hint) => format!("{step}: hint {} of {}: {}", hint.tier, hint.of, hint.text),
            None => format!("{step}: no more hints"),
        });
    }
}

/// For tests that only need a duration.
pub fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}
