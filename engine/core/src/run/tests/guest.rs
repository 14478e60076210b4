//! Guest steps: what they make is in a machine's memory, and gone with it.

use sealbook_model::journal::Mode;
use sealbook_model::problem::codes;

use super::kit::*;
use crate::event::Event;
use crate::run::*;
use crate::step::{Failure, StepError};

const WHERE: &str = "where = \"guest\"\n\
    guest = { vm = \"/subscriptions/1/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/cvm\", \
    mailbox = \"https://a.blob.core.windows.net/guest\" }";

fn inside(name: &str, with: &str, more: &str) -> String {
    thing(name, with, &format!("{WHERE}\n{more}"))
}

fn restarted() -> Failure {
    let message = "cvm was restarted: what its steps held in memory is gone".into();
    StepError::Component { code: codes::GUEST_RESTARTED.into(), message }.into()
}

/// The steps that ran again, and why.
fn again(kit: &Kit) -> Vec<String> {
    let events = kit.events.lock().unwrap();
    let line = |event: &Event| match event {
        Event::StepAgain { step, why } => Some(format!("{step}: {why}")),
        _ => None,
    };
    events.iter().filter_map(line).collect()
}

#[tokio::test]
async fn verify_says_of_a_guest_step_that_nobody_can_look_again() {
    let kit = Kit::new(&[thing("rg", "", ""), inside("key", "", "")].concat());
    assert_eq!(kit.start().await.status, Status::Succeeded);
    assert_eq!(kit.calls("verify key"), 1);
    let (engine, session) = kit.process(Default::default());
    let verdicts = engine.verify(&run_id(), None, &session).await.unwrap();
    let passed: Vec<_> = verdicts.iter().map(|v| (v.step.as_str(), v.passed)).collect();
    assert_eq!(passed, [("rg", Some(true)), ("key", None)]);
    let key = &verdicts[1];
    assert!(key.gone.as_ref().unwrap().starts_with("it ran inside cvm, which keeps what it makes in memory"));
    assert!(key.evidence.is_empty() && key.error.is_none() && verdicts[0].gone.is_none());
    let named = engine.verify(&run_id(), Some(&step("key")), &session).await.unwrap();
    assert_eq!(named, verdicts[1..]);
    assert_eq!(kit.calls("verify key"), 1, "the machine is not asked");
    // What is not so elsewhere is still told.
    kit.world().things.remove("rg");
    assert_eq!(engine.verify(&run_id(), None, &session).await.unwrap()[0].passed, Some(false));
}

#[tokio::test]
async fn what_is_made_again_is_told_judged_and_recorded() {
    let steps = [
        thing("rg", "", ""),
        inside("key", "key = true", "expect = [{ that = \"out.name == 'key'\", else = \"Not the key.\" }]"),
        inside("last", "uses = \"${key.key}\"", ""),
    ];
    let kit = Kit::new(&steps.concat());
    kit.fail("apply last", [restarted()]);
    assert_eq!(kit.start().await.status, Status::Succeeded);
    let expected = [
        "last: cvm was restarted: what its steps held in memory is gone",
        "key: cvm was restarted, and what it held in memory is gone",
    ];
    assert_eq!(again(&kit), expected);
    assert_eq!((kit.calls("apply key"), kit.calls("verify key"), kit.calls("apply rg")), (2, 2, 1));
    let told = kit.log().into_iter().filter(|line| line.ends_with(" key") || line.starts_with("step-again"));
    insta::assert_snapshot!(told.collect::<Vec<_>>().join("\n"), @r"
    step-started key
    step-checked key
    effect-intended key
    effect-accepted key
    effect-completed key
    step-succeeded key
    step-again last
    step-again key
    step-succeeded key
    ");
    // The evidence is that of the last time, and a report says that there was one.
    assert_eq!(kit.runs().state(&run_id()).unwrap().step(&step("key")).unwrap().evidence.len(), 1);
    let report = kit.runs().report(&run_id()).unwrap();
    let told: Vec<_> =
        report.steps.iter().map(|s| (s.step.as_str(), s.guest, s.evidence.len(), s.again.len())).collect();
    assert_eq!(told, [("rg", false, 1, 0), ("key", true, 1, 1), ("last", true, 1, 1)]);
    assert_eq!(report.steps[1].again[0].why, expected[1]["key: ".len()..]);
    assert_eq!(kit.undo().await.status, Status::Undone);
}

#[tokio::test]
async fn what_is_made_again_must_hold_as_it_did() {
    let steps = [inside("key", "key = true", ""), inside("last", "uses = \"${key.key}\"", "")];
    let kit = Kit::new(&steps.concat());
    kit.fail("apply last", [StepError::Permanent { message: "no".into() }.into()]);
    assert_eq!(kit.start().await.status, Status::Failed);
    // Somebody took away what the first step had made: its effect is remembered, and not looked for.
    kit.world().things.remove("key");
    kit.fail("verify key", [StepError::Permanent { message: "it is gone".into() }.into()]);
    let summary = kit.resume().await;
    assert_eq!(summary.status, Status::Failed);
    assert!(summary.problem.unwrap().to_string().contains("last"));
    assert_eq!(kit.calls("apply last"), 1, "it is not given what does not hold");
    assert_eq!(again(&kit), ["key: the run was taken up anew, and what cvm held in memory before can't be relied on"]);
}

#[tokio::test]
async fn a_handle_of_this_machine_dies_with_the_process_and_that_is_told_too() {
    let kit = Kit::new(&[thing("key", "key = true", ""), thing("last", "uses = \"${key.key}\"", "")].concat());
    kit.fail("apply last", [StepError::Permanent { message: "no".into() }.into()]);
    assert_eq!(kit.start().await.status, Status::Failed);
    assert_eq!(kit.resume().await.status, Status::Succeeded);
    assert_eq!(again(&kit), ["key: what it made was in the memory of a process that has ended"]);
    assert_eq!(kit.runs().state(&run_id()).unwrap().step(&step("key")).unwrap().evidence.len(), 1);
}

#[tokio::test]
async fn hands_on_a_guest_step_is_shown_and_done_by_the_engine() {
    let by_hand = "by_hand = \"sealbook guest release --kid ${rg.name}\"";
    let steps = [thing("rg", "", ""), inside("key", "", by_hand)];
    let kit = Kit { mode: Mode::HandsOn, ..Kit::new(&steps.concat()) };
    assert_eq!(kit.start().await.status, Status::Succeeded);
    assert!(kit.learner.seen().is_empty(), "nobody is asked to do it: {:?}", kit.learner.seen());
    assert_eq!(kit.calls("apply key"), 1);
    let events = kit.events.lock().unwrap();
    let begun: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::StepStarted { guest, .. } => Some(guest.as_deref().and_then(|vm| vm.rsplit('/').next())),
            _ => None,
        })
        .collect();
    assert_eq!(begun, [None, Some("cvm")]);
    let az = events.iter().find_map(|event| match event {
        Event::StepPlanned { step, preview } if step.as_str() == "key" => preview.az.clone(),
        _ => None,
    });
    let expected = "# inside the confidential VM cvm, not here:\nsealbook guest release --kid rg";
    assert_eq!(az.as_deref(), Some(expected));
}
