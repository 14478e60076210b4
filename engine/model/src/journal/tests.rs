use chrono::{DateTime, TimeZone, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::CloudName;
use crate::expr::{Context, Me};
use crate::id::{Digest, StepPath};

fn at(seq: u64) -> DateTime<Utc> {
    Utc.timestamp_opt(1_700_000_000 + i64::try_from(seq).unwrap(), 0).unwrap()
}

fn path(text: &str) -> StepPath {
    text.parse().unwrap()
}

fn entries(records: impl IntoIterator<Item = Record>) -> Vec<Entry> {
    (1..).zip(records).map(|(seq, record)| Entry { seq, at: at(seq), record }).collect()
}

fn fold(records: impl IntoIterator<Item = Record>) -> RunState {
    RunState::fold(entries(records))
}

fn run_started() -> Record {
    let pinned = Pinned { component: Digest::of(b"wasm"), description: Digest::of(b"{}"), built_in: true };
    Record::RunStarted(Box::new(RunStarted {
        playbook: "demo".into(),
        title: "Demo".into(),
        bundle: Digest::of(b"bundle"),
        plugins: [("group@0.1".parse().unwrap(), pinned)].into(),
        context: Context {
            run: "k3f7qa".parse().unwrap(),
            cloud: CloudName::Embedded,
            tenant: "t".into(),
            subscription: "s".into(),
            subscription_name: "Lab".into(),
            me: Me { id: "u".into(), name: "learner".into(), kind: "User".into() },
        },
        inputs: [("note".to_owned(), json!("secret:note"))].into(),
        secrets: [("note".to_owned(), Sealed("AAAA".into()))].into(),
        answers: [(path("store"), "vault".to_owned())].into(),
        mode: Mode::Auto,
        quiet: false,
        source: None,
        policy: Digest::of(b"policy"),
        engine: "0.1.0".into(),
    }))
}

fn step_started(step: &str) -> Record {
    Record::StepStarted(Box::new(StepStarted {
        step: path(step),
        plugin: "group@0.1".parse().unwrap(),
        inputs: json!({ "name": step }),
        guest: None,
        adopt: false,
        asks: vec!["azure:read,write /subscriptions/s/resourceGroups/g".into()],
        grants: vec!["azure:read,write /subscriptions/s/resourceGroups/g".into()],
    }))
}

fn needed(step: &str, before: Value) -> Record {
    let cost = Cost { item: "vault".into(), usd_per_hour: 0.5, usd_after_undo: 0.0 };
    let preview = Preview { changes: vec!["make it".into()], before, costs: vec![cost], ..Preview::default() };
    Record::StepChecked { step: path(step), finding: Finding::Needed(Box::new(preview)) }
}

fn satisfied(step: &str) -> Record {
    Record::StepChecked { step: path(step), finding: Finding::Satisfied { outputs: json!({ "id": step }) } }
}

fn intended(step: &str, generation: u32, name: &str) -> Record {
    let intent = Intent {
        name: name.into(),
        kind: "arm-put".into(),
        target: format!("/subscriptions/s/{name}"),
        request: Digest::of(name.as_bytes()),
        prior: Value::Null,
    };
    Record::EffectIntended { step: path(step), generation, intent: Box::new(intent) }
}

fn accepted(step: &str, generation: u32, name: &str) -> Record {
    Record::EffectAccepted { step: path(step), generation, name: name.into(), follow: json!({ "url": "https://x" }) }
}

fn completed(step: &str, generation: u32, name: &str) -> Record {
    let outcome = Outcome { result: json!({ "made": name }), ownership: Ownership::Ours };
    Record::EffectCompleted { step: path(step), generation, name: name.into(), outcome }
}

fn succeeded(step: &str) -> Record {
    let evidence = Evidence { check: "exists".into(), passed: true, detail: "yes".into() };
    Record::StepSucceeded { step: path(step), outputs: json!({ "id": step }), evidence: vec![evidence] }
}

fn failed(step: &str, stage: Stage) -> Record {
    let error = StepError::Permanent { message: "no".into() };
    let azure = Some(AzureCause { status: 400, code: "KeyVaultPolicyError".into() });
    Record::StepFailed { step: path(step), stage, failure: Failure { error, azure }, retries: 2 }
}

fn undone(step: &str) -> Record {
    let leftover = Leftover { what: step.into(), why: "soft-deleted".into(), until: None, usd: 0.0, usd_per_hour: 0.0 };
    Record::UndoStepDone { step: path(step), leftovers: vec![leftover] }
}

fn attempt(attempt: u32, goal: Goal, generation: u32) -> Record {
    Record::AttemptStarted { attempt, goal, generation, pid: 7 }
}

#[test]
fn phases_of_a_step() {
    let rows: &[(&[Record], Phase)] = &[
        (&[step_started("a")], Phase::Started),
        (&[step_started("a"), satisfied("a")], Phase::Satisfied),
        (&[step_started("a"), needed("a", json!(1))], Phase::Needed),
        (&[step_started("a"), needed("a", json!(1)), intended("a", 0, "x")], Phase::Needed),
        (&[step_started("a"), failed("a", Stage::Check)], Phase::Failed),
        (&[step_started("a"), needed("a", json!(1)), succeeded("a")], Phase::Succeeded),
        (&[Record::StepSkipped { step: path("a") }], Phase::Skipped),
        (&[step_started("a"), needed("a", json!(1)), undone("a")], Phase::Undone),
        (&[Record::HintShown { step: path("a"), tier: 1 }], Phase::Pending),
    ];
    for (records, phase) in rows {
        assert_eq!(fold(records.to_vec()).step(&path("a")).unwrap().phase, *phase, "{records:?}");
    }
}

#[test]
fn undo_is_registered_by_what_is_needed_and_goes_back_latest_first() {
    let records = [
        step_started("a"),
        needed("a", json!("nothing")),
        succeeded("a"),
        step_started("b"),
        satisfied("b"),
        succeeded("b"),
        step_started("part/c"),
        needed("part/c", json!("old")),
        // A second look at a step that was already begun changes neither its place nor its prior state.
        needed("a", json!("changed by ourselves")),
        satisfied("a"),
    ];
    let state = fold(records.clone());
    assert_eq!(state.to_undo(), [&path("part/c"), &path("a")]);
    assert_eq!(state.step(&path("a")).unwrap().preview.as_ref().unwrap().before, json!("nothing"));
    assert_eq!(state.live().map(|(step, _)| step.as_str()).collect::<Vec<_>>(), ["a", "part/c"]);

    // What was refused because its lesson wanted it is not there, and costs nothing.
    let refused = Record::StepSucceeded { step: path("part/c"), outputs: Value::Null, evidence: Vec::new() };
    let state = fold(records.clone().into_iter().chain([refused]));
    assert_eq!(state.live().map(|(step, _)| step.as_str()).collect::<Vec<_>>(), ["a"]);

    let back = [Record::UndoStarted { generation: 1 }, undone("part/c")];
    let state = fold(records.into_iter().chain(back));
    assert_eq!(state.to_undo(), [&path("a")]);
    assert_eq!(state.leftovers().len(), 1);
    assert_eq!(state.live().count(), 1);
}

#[test]
fn effects_are_known_by_step_generation_and_name() {
    let state = fold([
        step_started("a"),
        needed("a", Value::Null),
        intended("a", 0, "x"),
        accepted("a", 0, "x"),
        completed("a", 0, "x"),
        intended("a", 0, "y"),
        intended("a", 1, "x"),
        intended("b", 0, "x"),
        // Nobody intended these: they change nothing.
        completed("a", 0, "z"),
        accepted("a", 2, "x"),
        // An intent that is repeated is the same effect.
        intended("a", 0, "x"),
    ]);
    let a = state.step(&path("a")).unwrap();
    assert!(a.effect(0, "x").unwrap().outcome.is_some() && a.effect(0, "x").unwrap().accepted.is_some());
    assert!(a.effect(0, "y").unwrap().outcome.is_none());
    assert!(a.effect(1, "x").unwrap().outcome.is_none());
    assert_eq!(a.effect(0, "z"), None);
    assert_eq!(a.operations().iter().map(|o| o.intent.name.as_str()).collect::<Vec<_>>(), ["x", "y"]);
    assert!(state.step(&path("b")).unwrap().effect(0, "x").is_some());
}

#[test]
fn an_intent_with_another_request_takes_the_place_of_the_first() {
    let anew = |name: &str| {
        let Record::EffectIntended { step, generation, mut intent } = intended("a", 0, name) else { unreachable!() };
        intent.request = Digest::of(b"sealed anew");
        Record::EffectIntended { step, generation, intent }
    };
    let before = [step_started("a"), intended("a", 0, "x"), completed("a", 0, "x"), intended("a", 0, "y"), anew("x")];
    let a = fold(before.clone()).step(&path("a")).unwrap().operations();
    assert_eq!(a.iter().map(|o| o.intent.name.as_str()).collect::<Vec<_>>(), ["x", "y"], "its place is the same");
    assert_eq!((a[0].intent.request, a[0].outcome.is_none()), (Digest::of(b"sealed anew"), true));
    let after = fold(before.into_iter().chain([completed("a", 0, "x")])).step(&path("a")).unwrap().operations();
    assert!(after[0].outcome.is_some() && after[1].outcome.is_none());
}

#[test]
fn what_runs_again_keeps_its_checkpoint_until_it_has_a_new_one() {
    let again = Record::StepAgain { step: path("a"), why: "cvm was restarted".into() };
    let records = [step_started("a"), needed("a", json!(1)), succeeded("a"), again];
    let state = fold(records);
    assert_eq!((state.step(&path("a")).unwrap().phase, state.to_undo()), (Phase::Succeeded, vec![&path("a")]));
    assert!(state.step(&path("a")).unwrap().outputs.is_some());
}

#[test]
fn how_attempts_end() {
    let finished = |end| Record::RunFinished { end, outputs: json!({ "rg": 1 }) };
    let rows: &[(&[Record], Option<Ended>)] = &[
        (&[attempt(1, Goal::Run, 0)], None),
        (&[attempt(1, Goal::Run, 0), finished(End::Failed)], Some(Ended::Finished(End::Failed))),
        (&[attempt(1, Goal::Run, 0), finished(End::Failed), attempt(2, Goal::Run, 0)], None),
        (&[attempt(1, Goal::Run, 0), Record::RunInterrupted], Some(Ended::Interrupted)),
        (&[attempt(1, Goal::Run, 0), finished(End::Succeeded)], Some(Ended::Finished(End::Succeeded))),
        (
            &[attempt(2, Goal::Undo, 1), Record::UndoFinished { generation: 1, complete: false }],
            Some(Ended::Undone { complete: false }),
        ),
    ];
    for (records, ended) in rows {
        assert_eq!(fold(records.to_vec()).ended, *ended, "{records:?}");
    }
}

#[test]
fn an_undo_that_was_killed_keeps_its_generation_and_a_new_one_gets_another() {
    let failure = Failure::from(StepError::Permanent { message: "locked".into() });
    let first = [Record::UndoStarted { generation: 1 }, undone("a")];
    let end = [
        Record::UndoStepFailed { step: path("b"), failure, retries: 0 },
        Record::UndoFinished { generation: 1, complete: false },
    ];
    let second = [Record::UndoStarted { generation: 2 }];
    assert_eq!(fold([]).undo_generation(), 1);
    assert_eq!(fold(first.clone()).undo_generation(), 1);
    let state = fold(first.clone().into_iter().chain(end.clone()));
    assert_eq!((state.undo_generation(), state.undo.unwrap().failed.len()), (2, 1));
    let state = fold(first.into_iter().chain(end).chain(second));
    assert_eq!((state.undo_generation(), state.leftovers().len()), (2, 1));
}

#[test]
fn what_was_done_by_hand_is_named_among_the_leftovers() {
    let cost = Cost { item: "HSM".into(), usd_per_hour: 3.2, usd_after_undo: 0.0 };
    let leaves = vec!["its name stays taken for 7 days".to_owned()];
    let wanted = Preview { costs: vec![cost], leaves, ..Preview::default() };
    let made = json!({ "id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/managedHSMs/h" });
    let by_hand = [
        step_started("a"),
        Record::StepChecked { step: path("a"), finding: Finding::Satisfied { outputs: made.clone() } },
        Record::HandsOnDone { step: path("a"), by_learner: true, wanted: Some(Box::new(wanted)) },
        Record::StepSucceeded { step: path("a"), outputs: made, evidence: Vec::new() },
        step_started("b"),
        Record::HandsOnDone { step: path("b"), by_learner: false, wanted: None },
        needed("b", Value::Null),
    ];
    let before = fold(by_hand.clone());
    assert!(before.leftovers().is_empty());
    assert_eq!(before.live().map(|(step, cost)| (step.as_str(), cost.usd_per_hour)).next(), Some(("a", 3.2)));
    let state = fold(by_hand.into_iter().chain([Record::UndoStarted { generation: 1 }]));
    let [left] = &state.leftovers()[..] else { panic!("one is left: {:?}", state.leftovers()) };
    let id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/managedHSMs/h";
    assert_eq!((left.what.as_str(), left.usd_per_hour), (format!("{id} (step a)").as_str(), 3.2));
    assert!(left.why.contains(&format!(": az resource delete --ids {id}; then its name stays")), "{}", left.why);
}

#[test]
fn a_success_forgets_the_failure_before_it() {
    let state = fold([step_started("a"), failed("a", Stage::Apply), succeeded("a")]);
    assert_eq!(state.step(&path("a")).unwrap().failure, None);
    assert!(state.step(&path("a")).unwrap().settled());
}

#[test]
fn the_component_of_a_step_is_the_pinned_one() {
    let state = fold([run_started(), step_started("a"), Record::StepSkipped { step: path("b") }]);
    assert_eq!(state.component(&path("a")), Some(Digest::of(b"wasm")));
    assert_eq!((state.component(&path("b")), state.component(&path("c"))), (None, None));
}

#[test]
fn roles_count_once_their_assignment_is_done() {
    let role = |record: Record| match record {
        Record::EffectIntended { step, generation, mut intent } => {
            intent.kind = "role-assignment".into();
            Record::EffectIntended { step, generation, intent }
        }
        other => other,
    };
    let begun = [step_started("a"), needed("a", Value::Null), role(intended("a", 0, "x"))];
    assert!(!fold(begun.clone()).assigned_roles());
    assert!(fold(begun.into_iter().chain([completed("a", 0, "x")])).assigned_roles());
    assert!(!fold([step_started("a"), intended("a", 0, "y"), completed("a", 0, "y")]).assigned_roles());
}

/// Format version 1 as it lies on disk: a change here needs a new version.
#[test]
fn records_are_written_like_this() {
    let entry = |record| serde_json::to_string(&Entry { seq: 3, at: at(0), record }).unwrap();
    insta::assert_snapshot!(entry(run_started()), @r#"{"seq":3,"at":"2023-11-14T22:13:20Z","record":{"run-started":{"playbook":"demo","title":"Demo","bundle":"sha256:1e6ed65d77d6364eeaed5a745ba5c4985ae2b700dd85d7cf7f027bdf294a33fc","plugins":{"group@0.1":{"component":"sha256:336154bf67f765f8f75d16a0accee61b5ee5f6a75b2a2905703df913bd550f3e","description":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","built_in":true}},"context":{"run":"k3f7qa","cloud":"embedded","tenant":"t","subscription":"s","subscription_name":"Lab","me":{"id":"u","name":"learner","kind":"User"}},"inputs":{"note":"secret:note"},"secrets":{"note":"AAAA"},"answers":{"store":"vault"},"mode":"auto","policy":"sha256:823412d1eacb67956220e532959f0104603057c88704863ca38e7cd188fda812","engine":"0.1.0"}}}"#);
    insta::assert_snapshot!(entry(needed("part/a", json!({ "was": 1 }))), @r#"{"seq":3,"at":"2023-11-14T22:13:20Z","record":{"step-checked":{"step":"part/a","finding":{"needed":{"changes":["make it"],"before":{"was":1},"costs":[{"item":"vault","usd_per_hour":0.5,"usd_after_undo":0.0}],"leaves":[],"az":null}}}}}"#);
    insta::assert_snapshot!(entry(failed("a", Stage::Verdict)), @r#"{"seq":3,"at":"2023-11-14T22:13:20Z","record":{"step-failed":{"step":"a","stage":"verdict","failure":{"error":{"kind":"permanent","message":"no"},"azure":{"status":400,"code":"KeyVaultPolicyError"}},"retries":2}}}"#);
    insta::assert_snapshot!(entry(Record::RunInterrupted), @r#"{"seq":3,"at":"2023-11-14T22:13:20Z","record":"run-interrupted"}"#);
}

fn any_step() -> impl Strategy<Value = String> {
    prop_oneof![Just("a"), Just("b"), Just("part/c")].prop_map(str::to_owned)
}

/// Any record about a few steps and effects, in any order: sense or nonsense.
fn any_record() -> impl Strategy<Value = Record> {
    let effect = (any_step(), 0u32..3, prop_oneof![Just("x"), Just("y")], 0..3);
    let goal = prop_oneof![Just(Goal::Run), Just(Goal::Undo)];
    let stage = prop_oneof![Just(Stage::Check), Just(Stage::Apply), Just(Stage::Lesson)];
    let error = Failure::from(StepError::Transient { message: "later".into(), retry_after: None });
    prop_oneof![
        Just(run_started()),
        (1u32..5, goal, 0u32..3).prop_map(|(n, goal, generation)| attempt(n, goal, generation)),
        any_step().prop_map(|s| step_started(&s)),
        (any_step(), any::<u8>()).prop_map(|(s, before)| needed(&s, json!(before))),
        any_step().prop_map(|s| satisfied(&s)),
        effect.prop_map(|(s, generation, name, what)| match what {
            0 => intended(&s, generation, name),
            1 => accepted(&s, generation, name),
            _ => completed(&s, generation, name),
        }),
        any_step().prop_map(|s| succeeded(&s)),
        (any_step(), stage).prop_map(|(s, stage)| failed(&s, stage)),
        any_step().prop_map(|s| Record::StepSkipped { step: path(&s) }),
        any_step().prop_map(|s| Record::StepAgain { step: path(&s), why: "gone".into() }),
        (any_step(), 1u32..9).prop_map(|(s, retry)| Record::RetryWaited {
            step: path(&s),
            why: "429".into(),
            millis: 5,
            retry
        }),
        (any_step(), 0u32..4).prop_map(|(s, tier)| Record::HintShown { step: path(&s), tier }),
        (any_step(), any::<bool>()).prop_map(|(s, right)| Record::QuizAnswered { step: path(&s), choice: None, right }),
        any_step().prop_map(|s| Record::PausePassed { step: path(&s) }),
        (any_step(), any::<bool>()).prop_map(|(s, by)| Record::HandsOnDone {
            step: path(&s),
            by_learner: by,
            wanted: None
        }),
        any_step().prop_map(|s| Record::LessonSeen { step: path(&s), detail: "403".into() }),
        (1u32..4).prop_map(|generation| Record::UndoStarted { generation }),
        any_step().prop_map(|s| undone(&s)),
        any_step().prop_map(move |s| Record::UndoStepFailed { step: path(&s), failure: error.clone(), retries: 1 }),
        (1u32..4, any::<bool>()).prop_map(|(generation, complete)| Record::UndoFinished { generation, complete }),
        any::<bool>().prop_map(|ok| Record::RunFinished {
            end: if ok { End::Succeeded } else { End::Failed },
            outputs: json!({})
        }),
        Just(Record::RunInterrupted),
        Just(Record::ConsentGiven(Consent { subject: "plan".into(), text: "yes".into() })),
        Just(Record::PromptAnswered { input: "region".into(), value: Some(json!("italynorth")) }),
    ]
}

proptest! {
    #[test]
    fn every_record_is_read_back_as_it_was_written(record in any_record()) {
        let entry = Entry { seq: 1, at: at(1), record };
        let text = serde_json::to_string(&entry).unwrap();
        prop_assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry.clone());
        // The name that gates and logs show is the one on disk.
        let name = format!("\"{}\"", entry.record.name());
        prop_assert!(text.contains(&name));
    }

    #[test]
    fn any_prefix_folds_and_the_rest_goes_on_from_there(
        records in proptest::collection::vec(any_record(), 0..60),
        cut in any::<proptest::sample::Index>(),
    ) {
        let all = entries(records);
        let cut = cut.index(all.len() + 1);
        let mut state = RunState::fold(all[..cut].to_vec());
        for entry in &all[cut..] {
            state.apply(entry.clone());
        }
        prop_assert_eq!(state, RunState::fold(all));
    }

    #[test]
    fn whatever_may_have_had_an_effect_is_registered_until_it_is_undone(
        records in proptest::collection::vec(any_record(), 0..60),
    ) {
        let state = fold(records);
        for (path, step) in &state.steps {
            let registered = state.to_undo().contains(&path);
            prop_assert_eq!(registered, step.preview.is_some() && step.phase != Phase::Undone);
            prop_assert!(state.order.contains(path));
        }
        prop_assert!(state.to_undo().len() <= state.registered.len());
    }
}
