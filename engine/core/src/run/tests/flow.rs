//! The straight way, and what may bend it.

use std::sync::atomic::Ordering;

use sealbook_model::journal::Record;
use sealbook_model::problem::codes;
use serde_json::json;

use super::kit::*;
use crate::event::Event;
use crate::run::*;
use crate::step::StepError;

#[tokio::test]
async fn a_whole_playbook_goes_to_its_end() {
    let kit = Kit::new(&everything());
    let summary = kit.start().await;
    assert_eq!((summary.status, &summary.problem, summary.exit_code()), (Status::Succeeded, &None, 0));
    assert_eq!(summary.next.as_deref(), Some("sealbook undo k3f7qa"));
    assert_eq!(summary.leaves, ["k3f7qa stays until 2023-11-14T23:13:20Z"]);
    assert_eq!(summary.outputs["rg"], json!({ "id": "id-rg", "name": "rg" }));
    assert_eq!(summary.outputs["store"]["id"], "id-rg-second");
    assert_eq!(summary.outputs["never"], json!({}));
    assert!(summary.outputs.get("first").is_none(), "what is inside a part stays there: {}", summary.outputs);
    insta::assert_snapshot!(kit.log().join("\n"), @r"
    run-started
    prompt-answered
    prompt-answered
    consent-given
    attempt-started
    step-started rg
    step-checked rg
    effect-intended rg
    effect-accepted rg
    effect-completed rg
    step-succeeded rg
    step-started store/first
    step-checked store/first
    effect-intended store/first
    effect-accepted store/first
    effect-completed store/first
    effect-intended store/first
    effect-accepted store/first
    effect-completed store/first
    step-succeeded store/first
    step-started store/second
    step-checked store/second
    effect-intended store/second
    effect-accepted store/second
    effect-completed store/second
    step-succeeded store/second
    step-started key
    step-checked key
    effect-intended key
    effect-accepted key
    effect-completed key
    step-succeeded key
    quiz-answered key
    step-skipped never
    step-started write
    step-checked write
    effect-intended write
    effect-accepted write
    effect-completed write
    effect-intended write
    effect-accepted write
    effect-completed write
    step-succeeded write
    pause-passed write
    step-started there
    step-checked there
    step-succeeded there
    step-started off
    step-checked off
    effect-intended off
    effect-accepted off
    effect-completed off
    lesson-seen off
    step-succeeded off
    step-started on
    step-checked on
    effect-intended on
    effect-accepted on
    effect-completed on
    lesson-seen on
    step-succeeded on
    step-started refused
    step-checked refused
    lesson-seen refused
    step-succeeded refused
    step-started last
    step-checked last
    effect-intended last
    effect-accepted last
    effect-completed last
    step-succeeded last
    run-finished
    ");
    insta::assert_snapshot!(kit.learner.seen().join("\n"), @r"
    key? Who?
    key: Some(1), right is 1: It does.
    write: Look at it.
    ");
    let things: Vec<_> = kit.world().things.keys().cloned().collect();
    assert_eq!(
        things,
        ["key", "last", "off", "on", "rg", "rg-first", "rg-first.1", "rg-second", "there", "write", "write.1"]
    );
}

#[tokio::test]
async fn reporters_hear_it_in_order() {
    let kit = Kit::new(&thing("rg", "", ""));
    kit.start().await;
    let events: Vec<String> = kit.events.lock().unwrap().iter().map(|e| serde_json::to_string(e).unwrap()).collect();
    insta::assert_snapshot!(events.join("\n"), @r#"
    {"event":"run-started","run":"k3f7qa","title":"Demo","attempt":1,"undo":false}
    {"event":"step-started","step":"rg","index":1,"of":1,"title":"Rg","what":"Makes rg.","why":"Because."}
    {"event":"step-planned","step":"rg","preview":{"changes":["make rg"],"before":"nothing","costs":[{"item":"rg","usd_per_hour":0.0,"usd_after_undo":0.0}],"leaves":[],"az":null}}
    {"event":"effect-started","step":"rg","name":"put","kind":"put","target":"rg"}
    {"event":"step-succeeded","step":"rg","evidence":[{"check":"rg stands","passed":true,"detail":"yes"}],"proved":"rg in k3f7qa stands."}
    "#);
}

#[tokio::test]
async fn a_finished_run_stays_finished() {
    let kit = Kit::new(&everything());
    let first = kit.start().await;
    let records = kit.log().len();
    let again = kit.resume().await;
    assert_eq!((again.status, &again.outputs), (Status::Succeeded, &first.outputs));
    assert_eq!(kit.log().len(), records, "nothing was recorded");
}

#[tokio::test]
async fn a_failed_step_is_taken_up_again_with_the_inputs_it_had() {
    let kit = Kit::new(&[thing("rg", "", ""), thing("key", "effects = 2", ""), thing("last", "", "")].concat());
    kit.fail("between 1 key", [StepError::Permanent { message: "no more quota".into() }.into()]);
    let summary = kit.start().await;
    assert_eq!((summary.status, summary.exit_code()), (Status::Failed, 20));
    assert_eq!(summary.next.as_deref(), Some("sealbook resume k3f7qa"));
    let problem = summary.problem.unwrap();
    assert_eq!((problem.code, problem.why[0].as_str()), (codes::STEP_FAILED, "no more quota"));
    assert_eq!(summary.outputs, json!({ "rg": { "id": "id-rg", "name": "rg" } }));

    let summary = kit.resume().await;
    assert_eq!(summary.status, Status::Succeeded);
    assert_eq!((kit.calls("apply rg"), kit.calls("check key"), kit.calls("apply key")), (1, 1, 2));
    let sends = kit.world().sends.clone();
    assert_eq!(sends, ["put rg", "put key", "put key.1", "put last"], "each effect was sent once");
    assert_eq!(kit.log().iter().filter(|line| *line == "step-started key").count(), 1);
}

#[tokio::test]
async fn kinds_of_failures_and_what_is_said_of_them() {
    let rows = [
        (StepError::InvalidInput { field: "name".into(), message: "too long".into() }, codes::INPUT_REFUSED, 20),
        (StepError::Precondition { message: "no quota".into(), fix: "ask for it".into() }, codes::PRECONDITION, 20),
        (
            StepError::Denied { capability: "blob:write".into(), scope: "x".into(), line: "grants = [..]".into() },
            codes::NOT_GRANTED,
            11,
        ),
        (StepError::Conflict { message: "taken".into(), candidates: vec!["x".into()] }, codes::CONFLICT, 20),
        (StepError::Permanent { message: "no".into() }, codes::STEP_FAILED, 20),
        (StepError::Component { code: codes::FUEL_SPENT.into(), message: "loop".into() }, codes::FUEL_SPENT, 20),
    ];
    for (error, code, exit) in rows {
        let kit = Kit::new(&thing("rg", "", ""));
        kit.fail("apply rg", [error.clone().into()]);
        let summary = kit.start().await;
        let (exit_code, problem) = (summary.exit_code(), summary.problem.unwrap());
        assert_eq!((problem.code, exit_code), (code, exit), "{error:?}");
        assert_eq!(kit.calls("apply rg"), 1, "{error:?} is not tried again");
        // The problem says what to do about the cause; how to go on is the summary's.
        assert!(problem.fix.is_some(), "{error:?}");
        assert_eq!(summary.next.as_deref(), Some("sealbook resume k3f7qa"), "{error:?}");
    }
    let kit = Kit::new(&thing("rg", "", ""));
    kit.fail("apply rg", [refused(401, "InvalidAuthenticationToken")]);
    assert_eq!(kit.start().await.exit_code(), 12);
}

#[tokio::test]
async fn an_unmet_expectation_fails_the_step_and_is_looked_at_again() {
    let more = "expect = [{ that = \"inputs.suffix == 'y' || out.name == 'other'\", else = \"It is ${out.name}.\" }]";
    let kit = Kit::new(&thing("rg", "", more));
    let summary = kit.start().await;
    let problem = summary.problem.unwrap();
    let why = "It is rg. (expected: inputs.suffix == 'y' || out.name == 'other'; found: inputs.suffix is \"x\", out.name is \"rg\")";
    assert_eq!((problem.code, problem.why[0].as_str()), (codes::EXPECTATION, why));
    // Nothing was put right, so the same is said again, after a look instead of a memoised answer.
    assert_eq!(kit.resume().await.status, Status::Failed);
    assert_eq!((kit.calls("check rg"), kit.calls("apply rg")), (2, 1));
    assert_eq!(kit.undo().await.status, Status::Undone);
    assert!(!kit.world().things.contains_key("rg"), "its undo stayed registered");
}

#[tokio::test(start_paused = true)]
async fn evidence_that_lags_behind_is_waited_for_and_evidence_against_fails() {
    let kit = Kit::new(&thing("rg", "", ""));
    kit.fail("verify rg", [transient("not yet")]);
    assert_eq!(kit.start().await.status, Status::Succeeded);

    let kit = Kit::new(&[thing("rg", "", ""), thing("key", "", "")].concat());
    kit.fail("verify key", [transient("not yet")]);
    assert_eq!(kit.start().await.status, Status::Succeeded);
    kit.world().things.remove("key");
    let (engine, session) = kit.process(Default::default());
    let verdicts = engine.verify(&run_id(), None, &session).await.unwrap();
    let passed: Vec<_> = verdicts.iter().map(|v| (v.step.as_str(), v.passed)).collect();
    assert_eq!(passed, [("rg", Some(true)), ("key", Some(false))]);
    let only = engine.verify(&run_id(), Some(&step("key")), &session).await.unwrap();
    assert_eq!((only.len(), only[0].evidence[0].detail.as_str()), (1, "gone"));
    let problem = engine.verify(&run_id(), Some(&step("kez")), &session).await.unwrap_err();
    assert_eq!(problem.fix.as_deref(), Some("did you mean key?"));
}

#[tokio::test]
async fn what_somebody_else_made_is_a_conflict_unless_it_is_adopted() {
    let steps = [thing("rg", "", ""), thing("key", "", "adopt = true")].concat();
    let kit = Kit::new(&steps);
    let theirs = Thing { owner: "somebody".into(), op: "portal".into(), made: 1 };
    kit.world().things.insert("rg".into(), theirs.clone());
    kit.world().things.insert("key".into(), theirs.clone());
    let problem = kit.start().await.problem.unwrap();
    assert_eq!(problem.code, codes::CONFLICT);
    assert!(problem.why.iter().any(|why| why.contains("rg of somebody")), "{problem}");
    kit.world().things.remove("rg");
    assert_eq!(kit.resume().await.status, Status::Succeeded);
    kit.undo().await;
    assert_eq!(kit.world().things.get("key"), Some(&theirs), "what was adopted is never taken back");
    assert!(!kit.world().things.contains_key("rg"));
}

#[tokio::test]
async fn a_repeated_effect_with_another_request_is_refused() {
    use crate::run::ledger::CallLedger;
    use crate::step::{Intent, Ledger};
    use sealbook_model::id::Digest;
    let kit = Kit::new(&thing("rg", "", ""));
    kit.start().await;
    let journal = crate::journal::Journal::look(&kit.home(), &run_id(), Default::default()).unwrap();
    let ledger = CallLedger::new(journal, crate::event::Events::none(), step("rg"), 0);
    let same = Digest::of(b"put rg");
    assert!(ledger.standing("put", &same).await.unwrap().unwrap().outcome.is_some());
    assert_eq!(ledger.standing("other", &same).await.unwrap(), None);
    let other = Digest::of(b"put something else");
    let failure = ledger.standing("put", &other).await.unwrap_err();
    assert!(matches!(failure.error, StepError::Component { code, .. } if code == codes::EFFECT_CHANGED));
    let intent = Intent {
        name: "put".into(),
        kind: "put".into(),
        target: "rg".into(),
        request: other,
        prior: serde_json::Value::Null,
    };
    assert!(ledger.intend(intent).await.is_err());
}

#[tokio::test]
async fn what_lives_in_memory_only_is_made_again_for_whoever_needs_it() {
    let steps = [
        thing("key", "key = true", ""),
        thing("again", "key = true, uses = \"${key.key}\"", ""),
        thing("other", "key = true", ""),
        thing("write", "uses = \"${again.key}\"", ""),
    ]
    .concat();
    let kit = Kit::new(&steps);
    kit.fail("apply write", [StepError::Permanent { message: "no".into() }.into()]);
    assert_eq!(kit.start().await.status, Status::Failed);
    let sends = kit.world().sends.len();
    let summary = kit.resume().await;
    assert_eq!(summary.status, Status::Succeeded, "{:?}", summary.problem);
    // The producer and what it needs itself ran again, without a second effect; the one nobody needs did not.
    assert_eq!((kit.calls("apply again"), kit.calls("apply key"), kit.calls("apply other")), (2, 2, 1));
    assert_eq!(kit.world().sends[sends..], ["put write"]);
}

#[tokio::test]
async fn the_author_says_what_to_type_and_what_it_costs() {
    let kit = Kit::new(&thing("rg", "", "by_hand = \"az group create\"\ncost = { usd_per_hour = 0.5 }"));
    assert_eq!(kit.start().await.status, Status::Succeeded);
    let events = kit.events.lock().unwrap();
    let planned = events.iter().find_map(|event| match event {
        Event::StepPlanned { preview, .. } => Some(preview),
        _ => None,
    });
    let preview = planned.unwrap();
    assert_eq!(preview.az.as_deref(), Some("az group create"));
    assert!(preview.costs.iter().any(|cost| cost.usd_per_hour == 0.5), "{:?}", preview.costs);
}

#[tokio::test]
async fn lessons_that_must_fail() {
    let refused_step = |code: &str| {
        thing("rg", "refused = true", &format!("lesson = {{ fails = {{ status = 400, code = \"{code}\" }} }}"))
    };
    let kit = Kit::new(&refused_step("KeyVaultPolicyError"));
    let summary = kit.start().await;
    assert_eq!((summary.status, &summary.outputs["rg"]), (Status::Succeeded, &serde_json::Value::Null));
    assert_eq!(kit.calls("verify rg"), 0, "there is nothing to look at");
    assert!(kit.events.lock().unwrap().iter().any(|e| matches!(e, Event::LessonSeen { .. })));
    assert_eq!(kit.undo().await.status, Status::Undone);
    assert_eq!(kit.calls("undo rg"), 1);

    let other = "lesson = { fails = { status = 400, not = [\"KeyVaultPolicyError\"] } }";
    for steps in [refused_step("SomethingElse"), thing("rg", "refused = true", other)] {
        assert_eq!(Kit::new(&steps).start().await.problem.unwrap().code, codes::STEP_FAILED);
    }

    // One that goes through has not taught what it should.
    let kit = Kit::new(&refused_step("KeyVaultPolicyError").replace("refused = true", "refused = false"));
    let problem = kit.start().await.problem.unwrap();
    assert_eq!(problem.code, codes::LESSON_NOT_SEEN);
    assert!(problem.why[0].contains("400 KeyVaultPolicyError"), "{problem}");
}

#[tokio::test(start_paused = true)]
async fn lessons_that_read_wait_for_what_they_want_to_see() {
    let read = "lesson = { read = \"https://a.blob.core.windows.net/lab/x\", \
                fails = { status = 403, code = \"KeyVaultEncryptionKeyNotFound\" }, within = \"10s\" }";
    // The refusal comes late: reads succeed for a while, and once another refusal is seen.
    let kit = Kit::new(&thing("off", "", read));
    let other = |_| refused(403, "AuthorizationPermissionMismatch");
    kit.fail("read off", (0..3).map(other));
    assert_eq!(kit.start().await.status, Status::Succeeded);
    assert_eq!(kit.calls("read off"), 4);

    // It never comes.
    let kit = Kit::new(&thing("rg", "", read));
    let summary = kit.start().await;
    let problem = summary.problem.unwrap();
    assert_eq!(problem.code, codes::LESSON_NOT_SEEN);
    assert!(problem.why[0].contains("waited 10 s") && problem.why[0].contains("still succeeds"), "{problem}");
    // Seen on resume, without a second effect.
    kit.world().things.insert("off".into(), Thing { owner: "x".into(), op: "x".into(), made: 1 });
    assert_eq!(kit.resume().await.status, Status::Succeeded);
    assert_eq!(kit.calls("apply rg"), 1);
    assert_eq!(kit.world().sends.len(), 1);
}

#[tokio::test]
async fn a_stop_is_a_checkpoint() {
    // During the last wait for the learner.
    let kit = Kit::new(&[thing("rg", "", "pause = \"Look.\""), thing("key", "", "")].concat());
    kit.learner.stops_at_pause.store(1, Ordering::SeqCst);
    let summary = kit.start().await;
    assert_eq!((summary.status, summary.exit_code()), (Status::Interrupted, 130));
    assert_eq!(kit.log().last().unwrap(), "run-interrupted");
    assert_eq!(kit.resume().await.status, Status::Succeeded);
    assert_eq!(kit.calls("apply rg"), 1);
    assert_eq!(kit.learner.seen().len(), 2, "a pause that was not passed is shown again");

    // Before anything.
    let kit = Kit::new(&thing("rg", "", ""));
    kit.cancel.cancel();
    assert_eq!(kit.start().await.status, Status::Interrupted);
    assert!(kit.world().calls.is_empty());
}

#[tokio::test]
async fn nothing_is_recorded_of_a_run_that_may_not_begin() {
    let kit = Kit::new(&thing("rg", "", ""));
    let policy = |text: &str| sealbook_model::policy::Policy::parse("policy.toml", text).unwrap();
    let rows = [
        (policy("version = 1\nclouds = [\"azure\"]"), true, codes::FORBIDDEN_BY_POLICY),
        (policy("version = 1"), false, codes::PLUGIN_NOT_ADMITTED),
    ];
    for (policy, built_in, code) in rows {
        let kit = Kit { policy, ..Kit::new(&thing("rg", "", "")) };
        let (engine, session) = kit.process(Default::default());
        let mut request = kit.request();
        request.plugins.values_mut().for_each(|plugin| plugin.built_in = built_in);
        assert_eq!(engine.start(request, &session).await.unwrap_err().code, code);
        assert!(kit.runs().list().unwrap().is_empty());
    }
    let (engine, session) = kit.process(Default::default());
    let mut request = kit.request();
    request.answers.insert(step("nope"), "x".into());
    assert_eq!(engine.start(request, &session).await.unwrap_err().code, codes::BAD_CHOICE);
    let mut request = kit.request();
    request.plugins.clear();
    assert_eq!(engine.start(request, &session).await.unwrap_err().code, codes::UNKNOWN_PLUGIN);
    assert!(kit.runs().list().unwrap().is_empty());
}

#[tokio::test]
async fn a_step_that_would_cost_more_than_the_machine_allows_is_not_begun() {
    let policy = sealbook_model::policy::Policy::parse("policy.toml", "version = 1\nusd_per_hour = 1.0").unwrap();
    let steps = [thing("rg", "cost = 0.6", ""), thing("key", "cost = 0.6", "")].concat();
    let kit = Kit { policy, ..Kit::new(&steps) };
    let summary = kit.start().await;
    let problem = summary.problem.unwrap();
    assert_eq!((problem.code, summary.live.len()), (codes::COST_LIMIT, 1));
    assert_eq!(kit.calls("apply key"), 0);
}

#[tokio::test]
async fn secrets_lie_nowhere_in_the_clear() {
    use base64::Engine as _;
    let kit = Kit::new(&everything());
    kit.start().await;
    kit.undo().await;
    let needles = [SECRET.to_owned(), hex::encode(SECRET), base64::engine::general_purpose::STANDARD.encode(SECRET)];
    let mut folders = vec![kit.folder.path().to_path_buf()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let bytes = std::fs::read(&path).unwrap();
            for needle in &needles {
                assert!(!bytes.windows(needle.len()).any(|w| w == needle.as_bytes()), "{needle} in {}", path.display());
            }
        }
    }
    assert!(files >= 5, "{files}");
    let prompts: Vec<_> = kit.runs().log(&run_id()).unwrap().into_iter().map(|entry| entry.record).collect();
    assert!(prompts.contains(&Record::PromptAnswered { input: "note".into(), value: None }));
    assert!(prompts.contains(&Record::PromptAnswered { input: "suffix".into(), value: Some(json!("x")) }));
}

#[tokio::test]
async fn resume_uses_what_the_run_began_with() {
    let mut kit = Kit::new(&[thing("rg", "", ""), thing("key", "", "")].concat());
    kit.fail("apply key", [StepError::Permanent { message: "no".into() }.into()]);
    kit.start().await;
    // The playbook and the plugin change; the run does not see it.
    kit.bundle = playbook(&thing("another", "", ""));
    assert_eq!(kit.resume().await.status, Status::Succeeded);
    assert_eq!(kit.undo().await.status, Status::Undone);
    let used: Vec<_> = kit.world().components.iter().copied().collect();
    assert_eq!(used, [sealbook_model::id::Digest::of(b"the component")]);
    assert!(!kit.world().calls.iter().any(|call| call.contains("another")));

    // What is gone from the store is said by name.
    let kit = Kit::new(&thing("rg", "", ""));
    kit.fail("apply rg", [StepError::Permanent { message: "no".into() }.into()]);
    kit.start().await;
    let bundle = kit.runs().state(&run_id()).unwrap().started.unwrap().bundle;
    std::fs::remove_file(kit.folder.path().join("store").join(bundle.hex())).unwrap();
    let (engine, session) = kit.process(Default::default());
    assert_eq!(engine.resume(&run_id(), &session).await.unwrap_err().code, codes::JOURNAL_DAMAGED);
    // Undo needs no playbook.
    assert_eq!(kit.undo().await.status, Status::Undone);
    assert!(!kit.world().things.contains_key("rg"));
}
