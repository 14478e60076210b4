//! Retries, deadlines and Ctrl-C, on a clock that the test moves.

use std::sync::Arc;
use std::time::Duration;

use sealbook_model::CloudName;
use sealbook_model::problem::codes;
use tokio::time::Instant;

use super::kit::*;
use crate::event::Event;
use crate::run::*;
use crate::step::{Failure, StepError};

fn after(seconds_asked: u64) -> Failure {
    let retry_after = Some(seconds(seconds_asked));
    StepError::Transient { message: "429".into(), retry_after }.into()
}

/// The waits that were announced, in milliseconds.
fn waits(kit: &Kit) -> Vec<u128> {
    let wait = |event: &Event| match event {
        Event::Waiting { delay, .. } => Some(delay.as_millis()),
        _ => None,
    };
    kit.events.lock().unwrap().iter().filter_map(wait).collect()
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again_and_recorded() {
    let kit = Kit::new(&thing("rg", "", ""));
    kit.fail("check rg", [transient("500")]);
    kit.fail("apply rg", [after(7), transient("reset"), transient("reset")]);
    let begun = Instant::now();
    let summary = kit.start().await;
    assert_eq!((summary.status, summary.steps[0].retries), (Status::Succeeded, 4));
    assert_eq!(waits(&kit), [100, 7_100, 200, 400]);
    assert_eq!(begun.elapsed().as_millis(), 7_800);
    assert_eq!(kit.log().iter().filter(|line| *line == "retry-waited rg").count(), 4);
}

#[tokio::test(start_paused = true)]
async fn budgets_by_cloud_step_and_machine() {
    let policy = sealbook_model::policy::Policy::parse("policy.toml", "version = 1\nretry_within = \"20s\"").unwrap();
    let rows = [
        (CloudName::Embedded, "", None, 60),
        (CloudName::Azure, "", None, 300),
        (CloudName::Embedded, "retry = { within = \"90s\" }", None, 90),
        (CloudName::Embedded, "retry = { within = \"90s\" }", Some(policy.clone()), 20),
        (CloudName::Azure, "", Some(policy), 20),
    ];
    for (cloud, more, policy, budget) in rows {
        let mut kit = Kit::new(&thing("rg", "", more));
        kit.cloud = cloud;
        kit.policy = policy.unwrap_or_default();
        kit.fail("apply rg", (0..10_000).map(|_| transient("down")));
        let begun = Instant::now();
        let summary = kit.start().await;
        assert_eq!(begun.elapsed().as_secs(), budget, "{cloud} {more}");
        assert_eq!((summary.status, summary.problem.unwrap().code), (Status::Failed, codes::TRANSIENT));
        // It was not for ever: the next resume has a budget of its own.
        kit.world().faults.clear();
        assert_eq!(kit.resume().await.status, Status::Succeeded);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_wants_more_time_than_there_is_ends_the_tries_at_once() {
    let kit = Kit::new(&thing("rg", "", ""));
    kit.fail("apply rg", [after(61)]);
    let begun = Instant::now();
    assert_eq!(kit.start().await.problem.unwrap().code, codes::TRANSIENT);
    assert_eq!((begun.elapsed(), kit.calls("apply rg")), (Duration::ZERO, 1));
}

#[tokio::test(start_paused = true)]
async fn progress_makes_patient() {
    // 50 s of failures, then an effect gets through, then 50 s more: longer than one budget, but it moves.
    let kit = Kit::new(&thing("rg", "effects = 2", ""));
    let eleven = || (0..11).map(|_| after(4));
    kit.fail("apply rg", eleven());
    kit.fail("between 1 rg", eleven());
    let begun = Instant::now();
    assert_eq!(kit.start().await.status, Status::Succeeded);
    assert!(begun.elapsed() > seconds(80), "{:?}", begun.elapsed());
    assert_eq!(kit.world().sends, ["put rg", "put rg.1"]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_rights_may_pass_once_this_run_has_assigned_a_role() {
    let denied = || refused(403, "ForbiddenByRbac");
    let kit = Kit::new(&[thing("rg", "", ""), thing("key", "", "")].concat());
    kit.fail("apply key", [denied()]);
    assert_eq!(kit.start().await.problem.unwrap().code, codes::STEP_FAILED);
    assert_eq!(kit.calls("apply key"), 1);

    let kit = Kit::new(&[thing("rg", "role = true", ""), thing("key", "", "")].concat());
    kit.fail("apply key", [denied(), denied()]);
    assert_eq!(kit.start().await.status, Status::Succeeded);
    assert_eq!(kit.calls("apply key"), 3);

    // Other refusals are final all the same.
    let kit = Kit::new(&[thing("rg", "role = true", ""), thing("key", "", "")].concat());
    kit.fail("apply key", [refused(403, "RequestDisallowedByPolicy")]);
    assert_eq!(kit.start().await.status, Status::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_step_may_have_a_deadline() {
    let kit = Kit::new(&thing("rg", "", "timeout = \"3s\""));
    kit.fail("apply rg", (0..100).map(|_| after(2)));
    let problem = kit.start().await.problem.unwrap();
    assert_eq!(problem.code, codes::DEADLINE);
    kit.world().faults.clear();
    assert_eq!(kit.resume().await.status, Status::Succeeded, "every attempt has its own");
}

#[tokio::test(start_paused = true)]
async fn ctrl_c_ends_a_wait_and_the_run_goes_on_later() {
    for (call, faults) in [("apply rg", 1_000), ("check rg", 1_000), ("undo rg", 1_000)] {
        let mut kit = Kit::new(&thing("rg", "", ""));
        kit.fail(call, (0..faults).map(|_| after(10)));
        let cancel = kit.cancel.clone();
        let stop = async {
            // Moves the paused clock into the middle of a wait.
            tokio::time::sleep_until(Instant::now() + seconds(25)).await;
            cancel.cancel();
        };
        let begun = Instant::now();
        let work = async {
            if call == "undo rg" {
                kit.start().await;
                kit.undo().await
            } else {
                kit.start().await
            }
        };
        let (summary, ()) = tokio::join!(work, stop);
        assert_eq!((summary.status, begun.elapsed()), (Status::Interrupted, seconds(25)), "{call}");
        assert_eq!(kit.log().last().unwrap(), "run-interrupted");
        kit.world().faults.clear();
        kit.cancel = Default::default();
        let expected = if call == "undo rg" { Status::Undone } else { Status::Succeeded };
        assert_eq!(
            summary.next.unwrap(),
            format!("sealbook {} k3f7qa", if call == "undo rg" { "undo" } else { "resume" })
        );
        assert_eq!(kit.resume().await.status, expected, "{call}");
    }
}

#[tokio::test]
async fn ctrl_c_lets_the_effect_in_flight_finish() {
    // The host sees the cancelled token between its two effects: the first one is recorded, the second never sent.
    let mut kit = Kit::new(&thing("rg", "effects = 2", ""));
    let cancel = kit.cancel.clone();
    let gates = crate::journal::Gates::new(move |gate| {
        if gate == "after:commit" {
            cancel.cancel();
        }
    });
    let summary = kit.start_with(gates).await.unwrap();
    assert_eq!(summary.status, Status::Interrupted);
    let log = kit.log();
    assert!(log.contains(&"effect-completed rg".to_owned()), "{log:?}");
    assert_eq!(kit.world().sends, ["put rg"]);
    kit.cancel = Default::default();
    assert_eq!(kit.resume().await.status, Status::Succeeded);
    assert_eq!(kit.world().sends, ["put rg", "put rg.1"]);
}

#[tokio::test]
async fn a_run_is_worked_on_by_one_process() {
    let kit = Arc::new(Kit {
        mode: sealbook_model::journal::Mode::HandsOn,
        ..Kit::new(&thing("rg", "", "by_hand = \"az group create\""))
    });
    kit.learner.never_answers.store(true, std::sync::atomic::Ordering::SeqCst);
    let holder = tokio::spawn({
        let kit = kit.clone();
        async move { kit.start().await }
    });
    // The first process has come to the learner's turn.
    while kit.learner.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    let (engine, session) = kit.process(Default::default());
    for problem in [
        engine.resume(&run_id(), &session).await.unwrap_err(),
        engine.undo(&run_id(), &session).await.unwrap_err(),
        kit.runs().remove(&run_id(), true).unwrap_err(),
    ] {
        assert_eq!(problem.code, codes::RUN_LOCKED);
        assert!(problem.what.contains(&std::process::id().to_string()), "{problem}");
    }
    let info = kit.runs().info(&run_id()).unwrap();
    assert_eq!((info.status, info.holder), (Status::Running, Some(std::process::id())));
    kit.cancel.cancel();
    assert_eq!(holder.await.unwrap().status, Status::Interrupted);
}
