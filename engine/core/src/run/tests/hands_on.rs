//! Hands-on mode.

use sealbook_model::journal::Mode;

use super::kit::*;
use crate::run::*;
use crate::step::StepError;

const BY_HAND: &str = "by_hand = \"az group create --name ${rg.name}-key\"\n\
                       hints = [\"Look at the portal.\", \"Its name is ${rg.name}.\"]\n\
                       expect = [{ that = \"out.id == 'id-key'\", else = \"Another one.\" }]";

fn kit(hands: impl IntoIterator<Item = HandsOn>, makes: &[&str]) -> Kit {
    let steps = [thing("rg", "", ""), thing("key", "", BY_HAND), thing("last", "", "")].concat();
    let kit = Kit { mode: Mode::HandsOn, ..Kit::new(&steps) };
    kit.learner.hands.lock().unwrap().extend(hands);
    let makes = makes.iter().map(|name| ((*name).to_owned(), kit.world.clone()));
    kit.learner.makes.lock().unwrap().extend(makes);
    kit
}

#[tokio::test]
async fn the_learner_does_it_and_the_engine_judges() {
    use HandsOn::{Done, Hint};
    let kit = kit([Hint, Done, Hint, Hint, Done], &["something else", "key"]);
    let summary = kit.start().await;
    assert_eq!(summary.status, Status::Succeeded);
    insta::assert_snapshot!(kit.learner.seen().join("\n"), @r"
    key: az group create --name rg-key (tried 0; missing: )
    key: hint 1 of 2: Look at the portal.
    key: az group create --name rg-key (tried 0; missing: )
    key: az group create --name rg-key (tried 1; missing: make key)
    key: hint 2 of 2: Its name is rg.
    key: az group create --name rg-key (tried 1; missing: make key)
    key: no more hints
    key: az group create --name rg-key (tried 1; missing: make key)
    ");
    let line = summary.steps.iter().find(|line| line.step == step("key")).unwrap();
    assert_eq!((line.by_learner, line.hints), (Some(true), 2));
    assert_eq!(kit.calls("apply key"), 0);
    // What the learner made is his: undo leaves it, and says so.
    let summary = kit.undo().await;
    assert_eq!(summary.status, Status::Undone);
    assert!(kit.world().things.contains_key("key") && !kit.world().things.contains_key("rg"));
    assert_eq!(summary.leftovers.iter().map(|l| l.what.as_str()).collect::<Vec<_>>(), ["id-key (step key)"]);
}

#[tokio::test]
async fn he_may_have_it_done() {
    let kit = kit([HandsOn::Done, HandsOn::DoItForMe], &[]);
    let summary = kit.start().await;
    assert_eq!(summary.status, Status::Succeeded);
    assert_eq!((kit.calls("apply key"), summary.steps[1].by_learner), (1, Some(false)));
    kit.undo().await;
    assert!(!kit.world().things.contains_key("key"));
}

#[tokio::test]
async fn he_may_stop_and_come_back_with_the_work_done() {
    let kit = kit([HandsOn::Stop], &[]);
    let summary = kit.start().await;
    assert_eq!((summary.status, summary.exit_code()), (Status::Interrupted, 130));
    let by_hand = Thing { owner: "learner".into(), op: "az".into(), made: 1 };
    kit.world().things.insert("key".into(), by_hand);
    assert_eq!(kit.resume().await.status, Status::Succeeded);
    assert_eq!(kit.learner.seen().len(), 1, "he is not asked again for what is there");
}

#[tokio::test]
async fn what_he_can_put_right_is_no_failure() {
    let kit = kit([HandsOn::Done, HandsOn::DoItForMe], &[]);
    let error = StepError::Precondition { message: "sign in".into(), fix: "az login".into() };
    kit.fail("check key", [error.into()]);
    assert_eq!(kit.start().await.status, Status::Succeeded);

    let denied = StepError::Denied { capability: "azure:read".into(), scope: "x".into(), line: "y".into() };
    let kit = self::kit([], &[]);
    kit.fail("check key", [denied.into()]);
    assert_eq!(kit.start().await.exit_code(), 11);
}

#[tokio::test]
async fn what_the_engine_has_begun_it_finishes() {
    let kit = kit([HandsOn::DoItForMe], &[]);
    kit.fail("apply key", [StepError::Permanent { message: "no".into() }.into()]);
    assert_eq!(kit.start().await.status, Status::Failed);
    assert_eq!(kit.resume().await.status, Status::Succeeded);
    assert_eq!(kit.learner.seen().len(), 1, "he is not asked twice");
}
