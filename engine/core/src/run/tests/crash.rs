//! Killed at every gate there is: before and after each record, before each request, after its commit, after its answer.
//! The run that is taken up again must come to the same end as one that nobody killed.

use std::collections::BTreeSet;
use std::sync::Arc;

use sealbook_model::problem::codes;

use super::kit::*;
use crate::journal::Gates;
use crate::run::*;

/// What a run must come to, however often it was killed.
fn judge(kit: &Kit, summary: &RunSummary, expected: &(Kit, RunSummary), where_killed: &str) {
    let (whole_kit, whole) = expected;
    assert_eq!(summary.status, Status::Succeeded, "{where_killed}: {:?}", summary.problem);
    assert_eq!(summary.outputs, whole.outputs, "{where_killed}");
    let (world, whole_world) = (kit.world(), whole_kit.world());
    // The same things, each made once, by the same effects; and no request sent more than twice.
    assert_eq!(world.things, whole_world.things, "{where_killed}");
    for sent in &world.sends {
        let times = world.sends.iter().filter(|other| *other == sent).count();
        assert!(times <= 2, "{where_killed}: {sent} was sent {times} times");
    }
}

fn undone(kit: &Kit, summary: &RunSummary, where_killed: &str) {
    assert_eq!(summary.status, Status::Undone, "{where_killed}: {:?}", summary.problem);
    let left: Vec<String> = kit.world().things.keys().cloned().collect();
    assert_eq!(left, ["there"], "{where_killed}");
    let state = kit.runs().state(&run_id()).unwrap();
    assert!(state.to_undo().is_empty(), "{where_killed}");
}

/// One process that may be killed at gate `at`; none: it was.
async fn one(
    kit: &Arc<Kit>,
    at: usize,
    undo: bool,
) -> (Option<Result<RunSummary, sealbook_model::problem::Problem>>, Option<String>) {
    let killer = Killer::at(at);
    let (engine, session) = kit.process(killer.gates());
    let request = kit.request();
    let exists = kit.home().runs_dir().join("k3f7qa.db").exists();
    let result = process(async move {
        match (undo, exists) {
            (true, _) => engine.undo(&run_id(), &session).await,
            (false, true) => engine.resume(&run_id(), &session).await,
            (false, false) => engine.start(request, &session).await,
        }
    })
    .await;
    let hit = killer.hit.lock().unwrap().clone();
    (result, hit)
}

/// The transcript of a run that was killed, or was not, holds wherever that was: what no signature covers yet is said
/// to be so. A process that died between the end of its attempt and the signature is the only one whose end is refused.
fn transcript_holds(kit: &Kit, unsigned_end: bool, where_killed: &str) {
    if !kit.home().runs_dir().join("k3f7qa.db").exists() {
        return;
    }
    let text = crate::transcript::Transcript::of(&kit.home(), &run_id()).unwrap().to_ndjson().unwrap();
    assert!(!text.contains(SECRET), "{where_killed}");
    let verdict = crate::transcript::verify(text.as_bytes(), None, &sealbook_attestation::Roots::none());
    match verdict.deciding() {
        None => assert!(verdict.passed() && !unsigned_end, "{where_killed}: {verdict:?}"),
        Some(check) => assert!(check.name == "chain.head" && unsigned_end, "{where_killed}: {check:?}"),
    }
}

const NEVER: usize = usize::MAX;

#[tokio::test]
async fn a_run_killed_anywhere_comes_to_the_same_end() {
    let whole = Kit::new(&everything());
    let summary = whole.start().await;
    let expected = (whole, summary);
    let mut gates = BTreeSet::new();
    for at in 0.. {
        let kit = Arc::new(Kit::new(&everything()));
        let (result, hit) = one(&kit, at, false).await;
        let Some(hit) = hit else {
            judge(&kit, &result.unwrap().unwrap(), &expected, "not killed");
            assert!(at > 100, "only {at} gates were passed");
            break;
        };
        let place = format!("killed at gate {at}, {hit}");
        transcript_holds(&kit, hit == "after-record:run-finished", &place);
        let (result, _) = one(&kit, NEVER, false).await;
        judge(&kit, &result.unwrap().unwrap(), &expected, &place);
        transcript_holds(&kit, false, &place);
        undone(&kit, &kit.undo().await, &place);
        gates.insert(hit);
    }
    insta::assert_snapshot!(gates.into_iter().collect::<Vec<_>>().join("\n"), @r"
    after-record:attempt-started
    after-record:consent-given
    after-record:effect-accepted
    after-record:effect-completed
    after-record:effect-intended
    after-record:lesson-seen
    after-record:pause-passed
    after-record:prompt-answered
    after-record:quiz-answered
    after-record:run-finished
    after-record:run-started
    after-record:step-checked
    after-record:step-skipped
    after-record:step-started
    after-record:step-succeeded
    after:commit
    after:response
    before-record:attempt-started
    before-record:consent-given
    before-record:effect-accepted
    before-record:effect-completed
    before-record:effect-intended
    before-record:lesson-seen
    before-record:pause-passed
    before-record:prompt-answered
    before-record:quiz-answered
    before-record:run-finished
    before-record:run-started
    before-record:step-checked
    before-record:step-skipped
    before-record:step-started
    before-record:step-succeeded
    before:send
    ");
}

#[tokio::test]
async fn a_run_killed_again_and_again_comes_to_the_same_end() {
    let whole = Kit::new(&everything());
    let summary = whole.start().await;
    let expected = (whole, summary);
    for stride in [1, 2, 3, 5, 7, 11, 13, 17] {
        let kit = Arc::new(Kit::new(&everything()));
        let mut killed = Vec::new();
        // Each process lives `stride` gates longer than the one before, so that it gets somewhere in the end.
        let result = loop {
            match one(&kit, killed.len() * stride, false).await {
                (Some(result), _) => break result.unwrap(),
                (None, hit) => killed.push(hit.unwrap_or_default()),
            }
        };
        judge(&kit, &result, &expected, &format!("killed at {killed:?}"));
        undone(&kit, &kit.undo().await, &format!("killed at {killed:?}"));
    }
}

#[tokio::test]
async fn a_half_done_run_can_be_taken_back_from_anywhere() {
    for at in (0..).step_by(3) {
        let kit = Arc::new(Kit::new(&everything()));
        let (_, hit) = one(&kit, at, false).await;
        let Some(hit) = hit else { break };
        let (result, _) = one(&kit, NEVER, true).await;
        match result.unwrap() {
            Ok(summary) => undone(&kit, &summary, &format!("killed at gate {at}, {hit}")),
            Err(problem) => assert_eq!((problem.code, kit.world().things.len()), (codes::UNKNOWN_RUN, 1), "{hit}"),
        }
    }
}

#[tokio::test]
async fn an_undo_killed_anywhere_goes_on() {
    for (at, by_resume) in (0..).zip([true, false].into_iter().cycle()) {
        let kit = Arc::new(Kit::new(&everything()));
        kit.start().await;
        let (result, hit) = one(&kit, at, true).await;
        let Some(hit) = hit else {
            undone(&kit, &result.unwrap().unwrap(), "not killed");
            assert!(at > 60, "only {at} gates were passed");
            break;
        };
        let place = format!("undo killed at gate {at}, {hit}");
        transcript_holds(&kit, hit == "after-record:undo-finished", &place);
        // Before it was begun, a resume finds a finished run; from then on it goes on with the undo.
        let begun = kit.runs().info(&run_id()).unwrap().undoing;
        let ended = kit.runs().info(&run_id()).unwrap().status == Status::Undone;
        let summary = if by_resume && begun && !ended { kit.resume().await } else { kit.undo().await };
        undone(&kit, &summary, &place);
        transcript_holds(&kit, false, &place);
        let deletes = kit.world().sends.iter().filter(|sent| sent.starts_with("delete rg")).count();
        assert!(deletes <= 4 * 2, "{place}: {deletes}");
    }
}

/// The oracle must be able to see what it is there for.
#[tokio::test]
async fn without_reconciliation_things_are_made_twice() {
    let twice = async |reconciles: bool| {
        let mut made_twice = false;
        for at in 0.. {
            let kit = Arc::new(Kit { reconciles, ..Kit::new(&thing("rg", "", "")) });
            if one(&kit, at, false).await.1.is_none() {
                break;
            }
            one(&kit, NEVER, false).await;
            made_twice |= kit.world().things["rg"].made > 1;
        }
        made_twice
    };
    assert!(!twice(true).await);
    assert!(twice(false).await);
}

#[tokio::test]
async fn a_killed_run_shows_as_interrupted() {
    let kit = Arc::new(Kit::new(&everything()));
    one(&kit, 40, false).await;
    let info = kit.runs().info(&run_id()).unwrap();
    assert_eq!((info.status, info.holder), (Status::Interrupted, None));
    assert_eq!(info.next.as_deref(), Some("sealbook resume k3f7qa"));
    assert_eq!(kit.start_with(Gates::none()).await.unwrap_err().code, codes::JOURNAL_WRITE, "its id is taken");
}
