//! Steps inside a confidential VM: attested, given a key, and gone with what they knew when the machine is.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::runs::files;
use crate::support::processes::{children, gone, kill};
use crate::support::{Lab, at_once, repository};

/// A step's end.
fn succeeded(events: &[Value], step: &str) -> Value {
    let done = events.iter().rev().find(|e| e["event"] == "step-succeeded" && e["step"] == step);
    done.unwrap_or_else(|| panic!("{step} did not succeed")).clone()
}

#[test]
fn a_model_is_trained_inside_an_attested_machine() {
    let lab = Lab::warm();
    let at_first = lab.inventory();
    let playbook = repository("tests/playbooks/guest");
    let done = lab.run(&["--output", "json", "run", playbook.to_str().unwrap(), "--yes"]).expect(0);
    let events = done.events();
    assert_eq!(done.last()["status"], "succeeded");

    // The machine's evidence was judged on this side, down to the root, and not one check failed.
    let proved = succeeded(&events, "proved");
    let checks = proved["evidence"].as_array().unwrap();
    for name in ["snp.signature", "snp.root", "hcl.binding", "quote.signature", "token.signature", "document.nonce"] {
        let check = checks.iter().find(|c| c["check"] == name).unwrap_or_else(|| panic!("no check {name}"));
        assert_eq!(check["passed"], true, "{name}");
    }
    // What was sealed and opened again lies open in no file of the home or of the cloud.
    let header = b"Pregnancies,Glucose,BloodPressure";
    for path in ["runs", "artifacts", "cloud"].iter().flat_map(|folder| files(&lab.home().join(folder))) {
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(header.len()).any(|w| w == header), "{}", path.display());
    }

    let undone = lab.run(&["--output", "json", "undo", "--yes"]).expect(0).last();
    assert_eq!(undone["status"], "undone");
    let mut left = lab.inventory();
    left.retain(|item| !at_first.contains(item));
    assert!(left.iter().all(|item| item.kind.contains("deleted")), "{left:#?}");
}

/// Runs the lab up to the beginning of its step `trained`, kills its machine or, with it, the run (which is then
/// resumed), and waits for the end.
fn disturbed(lab: &Lab, whole: bool) {
    let playbook = repository("tests/playbooks/guest");
    let arguments = ["--output", "json", "run", playbook.to_str().unwrap(), "--yes"];
    let mut child = lab.command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut killed = false;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if (&event["event"], &event["step"]) == (&"step-started".into(), &"trained".into()) {
            let [machine] = children(child.id())[..] else { panic!("not one machine") };
            kill(if whole { child.id() } else { machine });
            gone(machine);
            killed = true;
        }
    }
    assert_eq!((killed, child.wait().unwrap().success()), (true, !whole));
    lab.run(&["resume", "--yes"]).expect(0);
}

#[test]
fn a_machine_that_dies_has_the_key_released_again() {
    let lab = Lab::warm();
    at_once(&[false, true], |&whole| {
        let lab = lab.copy();
        disturbed(&lab, whole);
        let records = lab.run(&["--output", "json", "log"]).expect(0).events();
        assert_eq!(records.last().unwrap()["record"]["run-finished"]["end"], "succeeded", "{whole}");
        // Nothing that it knew is left: what a step gave the next one in memory, it gives again.
        let ends = |step: &str| records.iter().filter(|r| r["record"]["step-succeeded"]["step"] == step).count();
        assert_eq!((ends("sealed"), ends("released"), ends("opened"), ends("trained")), (1, 2, 2, 1), "{whole}");
    });
}
