//! The way back.

use sealbook_model::problem::codes;

use super::kit::*;
use crate::run::*;
use crate::step::StepError;

fn permanent(message: &str) -> crate::step::Failure {
    StepError::Permanent { message: message.into() }.into()
}

#[tokio::test]
async fn undo_goes_back_in_reverse_and_leaves_strangers_alone() {
    let kit = Kit::new(&everything());
    kit.start().await;
    kit.world().sends.clear();
    let summary = kit.undo().await;
    assert_eq!((summary.status, summary.next, summary.problem), (Status::Undone, None, None));
    let undone: Vec<_> =
        kit.world().calls.iter().filter_map(|call| call.strip_prefix("undo ").map(String::from)).collect();
    assert_eq!(undone, ["last", "refused", "on", "off", "write", "key", "store/second", "store/first", "rg"]);
    let left: Vec<_> = kit.world().things.keys().cloned().collect();
    assert_eq!(left, ["there"], "the thing of somebody else, which was satisfied, stays");
    // Again: there is nothing to do, and nothing is recorded.
    let records = kit.log().len();
    assert_eq!(kit.undo().await.status, Status::Undone);
    assert_eq!(kit.log().len(), records);
    let (engine, session) = kit.process(Default::default());
    assert_eq!(engine.resume(&run_id(), &session).await.unwrap_err().code, codes::RUN_ENDED);
}

#[tokio::test]
async fn an_unfinished_step_is_taken_back_too() {
    let kit = Kit::new(&thing("rg", "effects = 3", ""));
    kit.fail("between 2 rg", [permanent("no")]);
    assert_eq!(kit.start().await.status, Status::Failed);
    assert!(kit.world().things.contains_key("rg.1"));
    assert_eq!(kit.undo().await.status, Status::Undone);
    assert_eq!(kit.world().things.keys().cloned().collect::<Vec<_>>(), ["there"]);
}

#[tokio::test]
async fn a_step_that_can_t_be_taken_back_does_not_stop_the_others() {
    let steps = [thing("rg", "keeps = true", ""), thing("key", "", ""), thing("last", "", "")].concat();
    let kit = Kit::new(&steps);
    kit.start().await;
    kit.fail("undo key", [permanent("a lock is on it")]);
    let summary = kit.undo().await;
    assert_eq!((summary.status, summary.exit_code()), (Status::Failed, 20));
    assert_eq!(summary.next.as_deref(), Some("sealbook undo k3f7qa"));
    let problem = summary.problem.unwrap();
    assert_eq!((problem.code, problem.why), (codes::UNDO_INCOMPLETE, vec!["key: a lock is on it".to_owned()]));
    assert_eq!(kit.world().things.keys().cloned().collect::<Vec<_>>(), ["key", "there"]);
    assert_eq!(summary.leftovers.iter().map(|l| l.what.as_str()).collect::<Vec<_>>(), ["rg"]);
    assert_eq!(kit.runs().remove(&run_id(), false).unwrap_err().code, codes::RUN_ENDED);

    let summary = kit.undo().await;
    assert_eq!((summary.status, summary.leftovers.len()), (Status::Undone, 1));
    assert_eq!(kit.calls("undo rg"), 1, "what was taken back is not taken back again");
    let state = kit.runs().state(&run_id()).unwrap();
    assert_eq!(state.undo.unwrap().generation, 2, "a new undo has effects of its own");
    kit.runs().remove(&run_id(), false).unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again_on_the_way_back() {
    let kit = Kit::new(&thing("rg", "", ""));
    kit.start().await;
    kit.fail("undo rg", [transient("409 AnotherOperationInProgress"), transient("429")]);
    assert_eq!(kit.undo().await.status, Status::Undone);
    assert_eq!(kit.calls("undo rg"), 3);
}

#[tokio::test]
async fn a_run_with_nothing_to_take_back_is_taken_back_at_once() {
    let kit = Kit::new(&thing("there", "", ""));
    let summary = kit.start().await;
    assert_eq!(summary.next, None);
    assert_eq!(kit.undo().await.status, Status::Undone);
    assert_eq!(kit.calls("undo there"), 0);
}
