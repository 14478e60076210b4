//! Playbooks of growing length, and very many runs in one process: the engine with plugins that do nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use sealbook_engine::event::Events;
use sealbook_engine::home::Home;
use sealbook_engine::run::{
    ByHand, Engine, HandsOn, Hint, Learner, PauseAsk, Plugin, QuizAsk, Session, Settings, StartRequest, Status,
};
use sealbook_engine::step::{Call, Checked, Evidence, Failure, Host, Leftover, Operation, Preview};
use sealbook_model::id::StepPath;
use sealbook_model::journal::Mode;
use sealbook_model::playbook::{Answers, Bundle};
use sealbook_model::plugin::Description;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::journal::context;
use crate::{at_most, figure, resident};

pub fn bench() {
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir_in(quick()).unwrap();
    let mut per_step = Vec::new();
    for steps in [10, 100, 1000] {
        let (engine, home) = engine(&folder.path().join(steps.to_string()));
        let bundle = playbook(steps);
        let begun = Instant::now();
        tokio.block_on(run(&engine, &home, &bundle));
        let took = begun.elapsed().as_secs_f64();
        per_step.push(took / steps as f64);
        figure(&format!("a run of {steps} steps"), format!("{:.1} ms", took * 1e3));
    }
    // Linear: a step of the long playbook costs what one of the shorter costs.
    at_most("a step among 1,000 / a step among 100", per_step[2] / per_step[1], 1.5, "x");

    let (engine, home) = engine(&folder.path().join("many"));
    let bundle = playbook(2);
    let count = 10_000_u32;
    tokio.block_on(async {
        for _ in 0..500 {
            run(&engine, &home, &bundle).await;
        }
        let (before, begun) = (resident(), Instant::now());
        for _ in 500..count {
            run(&engine, &home, &bundle).await;
        }
        let runs = f64::from(count - 500);
        figure("runs of two steps in one process", format!("{:.0} a second", runs / begun.elapsed().as_secs_f64()));
        if let (Some(before), Some(after)) = (before, resident()) {
            at_most("memory kept per run", after.saturating_sub(before) as f64 / runs, 1.0, "KiB");
        }
    });
}

/// A folder in memory where there is one: what is measured is the engine, the disk has its own line.
fn quick() -> &'static Path {
    let shm = Path::new("/dev/shm");
    if shm.is_dir() { shm } else { Path::new(".") }
}

fn playbook(steps: usize) -> Bundle {
    let mut text = String::from(
        "schema = 1\nid = \"bench\"\ntitle = \"Bench\"\nsummary = \"Many steps.\"\nlevel = \"beginner\"\n\
         minutes = { embedded = 1, azure = 1 }\n",
    );
    let mut bundle = Bundle { root: "bench/playbook.toml".into(), files: BTreeMap::new() };
    for n in 0..steps {
        let before = if n == 0 { "start".to_owned() } else { format!("${{s{}.name}}", n - 1) };
        text.push_str(&format!(
            "[[step]]\nname = \"s{n}\"\nuse = \"nothing@0.1\"\nwith = {{ name = \"n{n}\", before = \"{before}\" }}\n\
             expect = [{{ that = \"out.name == 'n{n}'\", else = \"No.\" }}]\n"
        ));
        bundle.files.insert(format!("bench/texts/s{n}.md"), "## What\nA.\n\n## Why\nB.\n\n## Proved\nC.\n".into());
    }
    bundle.files.insert(bundle.root.clone(), text);
    bundle
}

fn engine(folder: &Path) -> (Engine, Arc<Home>) {
    let home = Arc::new(Home::open(folder).unwrap());
    (Engine::new(home.clone(), Arc::new(Nothing), Settings::new(Arc::default(), "bench")), home)
}

async fn run(engine: &Engine, home: &Arc<Home>, bundle: &Bundle) {
    let description = Description {
        summary: "Does nothing.".into(),
        inputs: json!({ "type": "object", "properties": { "name": { "type": "string" }, "before": { "type": "string" } } }),
        outputs: json!({ "type": "object", "properties": { "name": { "type": "string" } } }),
        asks: Vec::new(),
        limits: Default::default(),
    };
    let plugin = Plugin { component: b"nothing"[..].into(), description, built_in: true };
    let request = StartRequest {
        bundle: bundle.clone(),
        plugins: BTreeMap::from([("nothing@0.1".parse().unwrap(), plugin)]),
        context: context(&sealbook_engine::run::Runs::new(home.clone()).fresh_id()),
        inputs: BTreeMap::new(),
        secrets: BTreeMap::new(),
        prompted: Vec::new(),
        answers: Answers::new(),
        consents: Vec::new(),
        mode: Mode::Auto,
        quiet: true,
        source: None,
    };
    let session = Session { learner: Arc::new(Nothing), events: Events::none(), cancel: CancellationToken::new() };
    let summary = engine.start(request, &session).await.unwrap();
    assert_eq!(summary.status, Status::Succeeded);
}

/// A plugin that does nothing, and a learner who says nothing.
struct Nothing;

#[async_trait]
impl Host for Nothing {
    async fn check(&self, _: &Call) -> Result<Checked, Failure> {
        Ok(Checked::Needed(Preview { changes: vec!["nothing".into()], ..Preview::default() }))
    }

    async fn apply(&self, call: &Call) -> Result<Value, Failure> {
        Ok(json!({ "name": call.inputs["name"] }))
    }

    async fn verify(&self, _: &Call, _: &Value) -> Result<Vec<Evidence>, Failure> {
        Ok(Vec::new())
    }

    async fn undo(&self, _: &Call, _: &Value, _: Option<&Value>, _: &[Operation]) -> Result<Vec<Leftover>, Failure> {
        Ok(Vec::new())
    }

    async fn read(&self, _: &Call, _: &str) -> Result<Value, Failure> {
        Ok(Value::Null)
    }

    async fn settle(&self) {}
}

#[async_trait]
impl Learner for Nothing {
    async fn by_hand(&self, _: &ByHand) -> HandsOn {
        HandsOn::DoItForMe
    }

    async fn quiz(&self, _: &QuizAsk) -> Option<usize> {
        None
    }

    async fn quiz_answered(&self, _: &QuizAsk, _: Option<usize>) {}

    async fn pause(&self, _: &PauseAsk) -> bool {
        true
    }

    async fn hint(&self, _: &StepPath, _: Option<&Hint>) {}
}
