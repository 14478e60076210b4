//! Looking at runs.

use sealbook_model::CloudName;
use sealbook_model::problem::codes;

use super::kit::*;
use crate::run::*;
use crate::step::StepError;

#[tokio::test]
async fn runs_are_found_by_their_beginnings() {
    let kit = Kit::new(&thing("rg", "", ""));
    assert_eq!(kit.runs().resolve(None).unwrap_err().code, codes::UNKNOWN_RUN);
    kit.start().await;
    let (engine, session) = kit.process(Default::default());
    let mut request = kit.request();
    request.context.run = "k3zzzz".parse().unwrap();
    kit.world().things.remove("rg");
    engine.start(request, &session).await.unwrap();
    let rows = [
        (Some("k3f7qa"), Ok("k3f7qa")),
        (Some("k3f"), Ok("k3f7qa")),
        (Some("k3z"), Ok("k3zzzz")),
        (Some("k3"), Err("`k3` may mean several runs")),
        (Some("x"), Err("there is no run `x`")),
        (None, Ok("k3zzzz")),
    ];
    for (name, expected) in rows {
        let found = kit.runs().resolve(name);
        match (&found, expected) {
            (Ok(run), Ok(expected)) => assert_eq!(run.as_str(), expected, "{name:?}"),
            (Err(problem), Err(expected)) => assert_eq!(problem.what, expected),
            _ => panic!("{name:?}: {found:?}"),
        }
    }
    assert_eq!(kit.runs().list().unwrap().len(), 2);
}

#[tokio::test]
async fn a_damaged_run_is_listed_with_its_problem() {
    let kit = Kit::new(&thing("rg", "", ""));
    kit.start().await;
    std::fs::write(kit.folder.path().join("runs/aaaaaa.db"), b"not a journal").unwrap();
    let runs = kit.runs().list().unwrap();
    let codes: Vec<_> = runs.iter().map(|info| (info.run.as_str(), info.problem.as_ref().map(|p| p.code))).collect();
    assert_eq!(codes, [("k3f7qa", None), ("aaaaaa", Some(codes::JOURNAL_DAMAGED))]);
    assert_eq!(kit.runs().resolve(None).unwrap(), run_id());
    let damaged = "aaaaaa".parse().unwrap();
    assert_eq!(kit.runs().remove(&damaged, false).unwrap_err().code, codes::JOURNAL_DAMAGED);
    kit.runs().remove(&damaged, true).unwrap();
    assert_eq!(kit.runs().list().unwrap().len(), 1);
}

#[tokio::test]
async fn how_a_run_stands() {
    let kit = Kit::new(&[thing("rg", "cost = 0.5", ""), thing("key", "", "")].concat());
    kit.fail("apply key", [StepError::Permanent { message: "no".into() }.into()]);
    kit.start().await;
    let info = kit.runs().info(&run_id()).unwrap();
    assert_eq!((info.status, info.attempts, info.holder, info.undoing), (Status::Failed, 1, None, false));
    assert_eq!((info.playbook.as_str(), info.cloud), ("demo", Some(CloudName::Embedded)));
    assert_eq!(info.live, [Live { step: step("rg"), item: "rg".into(), usd_per_hour: 0.5 }]);
    let phases: Vec<_> = info.steps.iter().map(|line| (line.step.as_str(), line.phase)).collect();
    assert_eq!(phases, [("rg", "succeeded"), ("key", "failed")]);
    assert_eq!(info.problem.unwrap().code, codes::STEP_FAILED);
    kit.resume().await;
    kit.undo().await;
    let info = kit.runs().info(&run_id()).unwrap();
    assert_eq!((info.status, info.attempts, info.undoing, info.next), (Status::Undone, 3, true, None));
    assert!(info.live.is_empty() && info.problem.is_none());
}

#[tokio::test]
async fn hints_come_tier_by_tier() {
    let more =
        "hints = [\"Think of ${rg.name}.\", \"It is ${rg.id}-key.\"]\nexpect = [{ that = \"false\", else = \"No.\" }]";
    let kit = Kit::new(&[thing("rg", "", ""), thing("key", "", more)].concat());
    kit.start().await;
    let hint = || kit.runs().hint(&run_id(), None).unwrap().map(|hint| (hint.tier, hint.text));
    assert_eq!(hint(), Some((1, "Think of rg.".into())));
    assert_eq!(hint(), Some((2, "It is id-rg-key.".into())));
    assert_eq!(hint(), None);
    assert_eq!(kit.runs().hint(&run_id(), Some(&step("rg"))).unwrap(), None);
    assert_eq!(kit.runs().hint(&run_id(), Some(&step("nope"))).unwrap_err().code, codes::USAGE);
    assert_eq!(kit.log().iter().filter(|line| *line == "hint-shown key").count(), 2);
}

#[tokio::test]
async fn removing_a_run_wants_it_taken_back_first() {
    let kit = Kit::new(&thing("rg", "", ""));
    kit.start().await;
    let artifacts = kit.home().artifacts_dir(&run_id());
    std::fs::create_dir_all(&artifacts).unwrap();
    let problem = kit.runs().remove(&run_id(), false).unwrap_err();
    assert_eq!((problem.code, problem.fix.as_deref()), (codes::RUN_ENDED, Some("sealbook undo k3f7qa")));
    kit.undo().await;
    kit.runs().remove(&run_id(), false).unwrap();
    assert!(!artifacts.exists());
    assert_eq!(kit.runs().info(&run_id()).unwrap_err().code, codes::UNKNOWN_RUN);
}
