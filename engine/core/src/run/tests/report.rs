//! Runs as documents: whatever became of them, everything is told and no secret is.

use std::sync::Arc;

use super::kit::*;
use crate::host::Shelf;
use crate::journal::{Clock, Gates, Journal};
use crate::run::report::Report;
use crate::run::*;

fn report(kit: &Kit) -> Report {
    let report = kit.runs().report(&run_id()).unwrap();
    assert!(!serde_json::to_string(&report).unwrap().contains(SECRET), "a report has no secret");
    report
}

/// Each step in a line: its number, its place, what became of it, and what else is told.
fn lines(report: &Report) -> String {
    let line = |step: &report::StepReport| {
        let mut words = vec![format!("{} {} {}", step.index, step.step, step.phase)];
        words.extend(step.proven.then(|| "proven".to_owned()));
        words.extend((!step.evidence.is_empty()).then(|| format!("{} checks", step.evidence.len())));
        words.extend(step.lesson.as_ref().map(|lesson| format!("seen: {lesson}")));
        words.extend(step.quiz.as_ref().map(|quiz| format!("quiz: {:?} of {}", quiz.choice, quiz.options.len())));
        words.extend(step.fault.as_ref().map(|fault| format!("{:?}: {}", fault.stage, fault.message)));
        words.extend((!step.retries.is_empty()).then(|| format!("{} retries", step.retries.len())));
        words.join("; ")
    };
    report.steps.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_whole_run_and_its_way_back() {
    let kit = Kit::new(&everything());
    kit.fail("apply key", [transient("429")]);
    kit.start().await;
    let told = report(&kit);
    insta::assert_snapshot!(lines(&told), @r"
    1 rg succeeded; proven; 1 checks
    2 store/first succeeded; proven; 1 checks
    3 store/second succeeded; proven; 1 checks
    4 key succeeded; proven; 1 checks; quiz: Some(1) of 2; 1 retries
    5 never skipped
    6 write succeeded; proven; 1 checks
    7 there succeeded; proven; 1 checks
    8 off succeeded; proven; 1 checks; seen: the read was refused: 403 KeyVaultEncryptionKeyNotFound
    9 on succeeded; proven; 1 checks; seen: the read succeeded, and out.sha256 == 'aa' holds
    10 refused succeeded; proven; seen: Azure refused: KeyVaultPolicyError
    11 last succeeded; proven; 1 checks
    ");
    assert_eq!((told.status, told.undoing, told.attempts.len()), (Status::Succeeded, false, 1));
    assert_eq!((told.attempts[0].end, told.head.signed), (Some("succeeded"), Some(told.head.records)));
    let first = &told.steps[0];
    assert_eq!((first.what.trim(), first.proved.trim()), ("Makes rg.", "rg in k3f7qa stands."));
    let values: Vec<_> = told.inputs.iter().map(|i| (i.name.as_str(), i.value.clone())).collect();
    assert_eq!(values, [("note", None), ("suffix", Some("x".into()))]);
    assert_eq!((told.choices[0].path.as_str(), told.choices[0].option.as_str()), ("store", "pair"));
    assert!(told.leaves[0].starts_with("k3f7qa stays until 2023-11-14T23:13:20"), "{:?}", told.leaves);

    kit.undo().await;
    let told = report(&kit);
    assert_eq!((told.status, told.undoing, told.attempts.len()), (Status::Undone, true, 2));
    let undo = told.undo.unwrap();
    assert!(undo.finished && undo.open.is_empty() && undo.failed.is_empty() && undo.undone.contains(&step("rg")));
    // What was proved stays told, although it was taken back.
    assert_eq!((told.steps[0].phase, told.steps[0].proven, told.steps[0].evidence.len()), ("undone", true, 1));
}

#[tokio::test]
async fn a_failed_run_and_one_that_was_killed() {
    let kit = Kit::new(&everything());
    kit.fail("apply write", [refused(403, "Forbidden")]);
    kit.start().await;
    let told = report(&kit);
    insta::assert_snapshot!(lines(&told), @r"
    1 rg succeeded; proven; 1 checks
    2 store/first succeeded; proven; 1 checks
    3 store/second succeeded; proven; 1 checks
    4 key succeeded; proven; 1 checks; quiz: Some(1) of 2
    5 never skipped
    6 write failed; Apply: Azure refused: Forbidden
    7 there pending
    8 off pending
    9 on pending
    10 refused pending
    11 last pending
    ");
    assert_eq!((told.status, told.next.as_deref()), (Status::Failed, Some("sealbook resume k3f7qa")));
    assert!(told.problem.unwrap().to_string().contains("write"));

    let kit = Arc::new(Kit::new(&everything()));
    let killer = Killer::at(40);
    let other = kit.clone();
    assert!(process(async move { other.start_with(killer.gates()).await }).await.is_none());
    let told = report(&kit);
    assert_eq!((told.status, told.attempts[0].end, told.head.signed), (Status::Interrupted, None, None));
    assert!(told.steps.iter().any(|s| s.phase == "pending") && told.steps.iter().any(|s| s.proven), "{}", lines(&told));
}

#[tokio::test]
async fn without_its_playbook_a_run_is_told_from_its_journal() {
    let kit = Kit::new(&everything());
    kit.start().await;
    let whole = report(&kit);
    for file in std::fs::read_dir(kit.folder.path().join("store")).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    let told = report(&kit);
    assert!(told.unreadable.as_ref().unwrap().to_string().contains("can't be used"));
    assert_eq!((told.status, told.title.as_str()), (Status::Succeeded, "Demo"));
    // Also what is secret is still known to be so: the journal says it.
    assert_eq!(told.inputs[0].value, None);
    let place = |report: &Report, name: &str| {
        report.steps.iter().find(|s| s.step == step(name)).map(|s| (s.phase, s.evidence.clone(), s.outputs.clone()))
    };
    assert_eq!(place(&told, "store/second"), place(&whole, "store/second"));
}

#[tokio::test]
async fn artifacts_are_given_out_but_for_secrets_and_giants() {
    let kit = Kit::new(&thing("rg", "", ""));
    kit.start().await;
    let (home, run) = (kit.home(), run_id());
    let journal = Journal::open(&home, &run, Clock::default(), Gates::none()).unwrap();
    let shelf = Shelf::new(&home.artifacts(), run.clone(), journal.vault().clone());
    drop(journal);
    shelf.write(&step("rg"), "curve.svg", b"<svg/>".to_vec(), false).await.unwrap();
    shelf.write(&step("rg"), "key.png", b"made of a secret".to_vec(), true).await.unwrap();
    let table: [(&str, u64, Option<&[u8]>); 6] = [
        ("artifact:rg/curve.svg", 6, Some(b"<svg/>")),
        ("artifact:rg/curve.svg", 5, None),
        ("artifact:rg/key.png", 99, None),
        ("artifact:rg/other.svg", 99, None),
        ("secret:note", 99, None),
        ("../../home.key", 99, None),
    ];
    for (reference, most, expected) in table {
        let got = kit.runs().artifact(&run, reference, most).await.unwrap();
        assert_eq!(got.as_deref(), expected, "{reference} {most}");
    }
    // One that was changed is damaged, not missing.
    for file in std::fs::read_dir(home.artifacts_dir(&run)).unwrap() {
        std::fs::write(file.unwrap().path(), b"SBART\0\0\x01 and something else").unwrap();
    }
    assert!(kit.runs().artifact(&run, "artifact:rg/curve.svg", 99).await.is_err());
}
