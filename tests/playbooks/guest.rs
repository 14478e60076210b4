//! Steps inside a confidential VM: attested, given a key, and gone with what they knew when the machine is.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::Value;

use crate::runs::files;
use crate::support::processes::{children, gone, kill};
use crate::support::{Lab, at_once};

const LAB: &str = "confidential-ml-training";

/// In every row of the learner's own table, and nowhere else.
const MARKER: &str = "0.48151623421987";

/// A table of one's own: who has much glucose is ill, and one in ten is not.
fn own_table() -> String {
    let mut csv =
        "Pregnancies,Glucose,BloodPressure,SkinThickness,Insulin,BMI,DiabetesPedigreeFunction,Age,Outcome\n".to_owned();
    for n in 0..200 {
        let (glucose, age) = (70 + n * 37 % 110, 21 + n * 7 % 50);
        let ill = u8::from((glucose > 125) != (n % 10 == 3));
        writeln!(csv, "{},{glucose},{},30,{},3{}.5,{MARKER},{age},{ill}", n % 6, 60 + n % 25, n % 90, n % 9).unwrap();
    }
    csv
}

/// A step's end.
#[track_caller]
fn succeeded(events: &[Value], step: &str) -> Value {
    let done = events.iter().rev().find(|e| e["event"] == "step-succeeded" && e["step"] == step);
    done.unwrap_or_else(|| panic!("{step} did not succeed")).clone()
}

/// What some bytes look like: as they are, in hex, and in base64 wherever they begin.
fn shapes(secret: &[u8]) -> Vec<Vec<u8>> {
    let hex: String = secret.iter().map(|b| format!("{b:02x}")).collect();
    let base64 = (0..3).map(|shift| {
        let whole = &secret[shift..][..(secret.len() - shift) / 3 * 3];
        BASE64_STANDARD.encode(whole).into_bytes()
    });
    [secret.to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes()].into_iter().chain(base64).collect()
}

#[test]
fn a_model_is_trained_on_data_that_nobody_sees() {
    let lab = Lab::warm();
    let table = lab.home().join("own.csv");
    std::fs::write(&table, own_table()).unwrap();
    let set = format!("csv={}", table.display());
    let done = lab.run(&["--output", "json", "run", LAB, "--yes", "--set-file", &set]).expect(0);
    std::fs::remove_file(&table).unwrap();
    let events = done.events();
    let last = done.last();
    assert_eq!(last["status"], "succeeded");

    // The machine's evidence was judged on this side, down to the root, and not one check failed.
    let proved = succeeded(&events, "proved");
    let checks = proved["evidence"].as_array().unwrap();
    for name in ["snp.signature", "snp.root", "hcl.binding", "quote.signature", "token.signature", "document.nonce"] {
        let check = checks.iter().find(|c| c["check"] == name).unwrap_or_else(|| panic!("no check {name}"));
        assert_eq!(check["passed"], true, "{name}");
    }
    // The other machine was refused for the clause that it does not meet, and got nothing out of the stolen token.
    let seen = |step: &str| {
        let seen = events.iter().find(|e| e["event"] == "lesson-seen" && e["step"] == step);
        seen.unwrap_or_else(|| panic!("{step} showed nothing"))["detail"].as_str().unwrap().to_owned()
    };
    let refused = seen("impostor/refused");
    assert!(refused.contains("vm-configuration.secure-boot is false and must be equal to true"), "{refused}");
    assert!(seen("cannot_open").contains("unwrapKey"));
    let outputs = &last["outputs"];
    assert_eq!(outputs["model_opened"]["sha256"], outputs["trained"]["sha256"]);
    assert!(outputs["stolen"]["said"].as_str().unwrap().contains("another machine's"));

    // What was sealed lies open nowhere: not in the home, not in the cloud, in no log, report or transcript.
    let run = last["run"].as_str().unwrap();
    let log = lab.run(&["--output", "json", "log"]).expect(0);
    let (page, transcript) = (lab.home().join("page.html"), lab.home().join("run.ndjson"));
    lab.run(&["report", run, "--out", page.to_str().unwrap()]).expect(0);
    lab.run(&["transcript", run, "--out", transcript.to_str().unwrap()]).expect(0);
    assert!(std::fs::read_to_string(&page).unwrap().contains("data:image/svg+xml"), "the picture is in the report");
    let mut places: Vec<(String, Vec<u8>)> = [("stdout", &done.stdout), ("stderr", &done.stderr), ("log", &log.stdout)]
        .map(|(name, text)| (name.to_owned(), text.clone().into_bytes()))
        .into();
    places.extend(files(lab.home()).iter().map(|path| (path.display().to_string(), std::fs::read(path).unwrap())));
    assert!(places.len() > 50, "{} places", places.len());
    let row = own_table().lines().nth(1).unwrap().to_owned();
    let mut secrets = vec![MARKER.as_bytes().to_vec(), row.into_bytes(), b"Pregnancies,Glucose".to_vec()];
    // The machine has both keys released once more, to a place that is not searched: this is what to look for.
    let vm = outputs["machine"]["id"].as_str().unwrap();
    let provider = outputs["attestation"]["uri"].as_str().unwrap();
    let outside = tempfile::tempdir().unwrap();
    for key in ["kek", "model_key"] {
        let (pem, kid) = (outside.path().join(key), outputs[key]["uri"].as_str().unwrap());
        let release = ["guest", "release", "--attest-url", provider, "--kid", kid, "--out", pem.to_str().unwrap()];
        let binary = env!("CARGO_BIN_EXE_sealbook");
        lab.run(&[&["cloud", "exec", "--machine", vm, "--", binary], &release[..]].concat()).expect(0);
        let text = std::fs::read_to_string(&pem).unwrap();
        let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
        // Behind the modulus all is secret.
        secrets.extend(BASE64_STANDARD.decode(body).unwrap()[320..].chunks_exact(24).step_by(7).map(<[u8]>::to_vec));
    }
    assert!(secrets.len() > 10);
    for shape in secrets.iter().flat_map(|secret| shapes(secret)) {
        let finder = memchr::memmem::Finder::new(&shape);
        for (place, bytes) in &places {
            assert!(finder.find(bytes).is_none(), "{place} holds {}", String::from_utf8_lossy(&shape));
        }
    }
}

/// Runs the lab up to the beginning of a step, kills its newest machine or, with it, the run (which is then resumed),
/// and waits for the end.
fn disturbed(lab: &Lab, at: &str, whole: bool) {
    let mut child = lab.command(&["--output", "json", "run", LAB, "--yes"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut killed = false;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if (&event["event"], &event["step"]) == (&"step-started".into(), &at.into()) {
            let machines = children(child.id());
            let machine = *machines.last().unwrap_or_else(|| panic!("no machine at {at}"));
            kill(if whole { child.id() } else { machine });
            gone(machine);
            killed = true;
        }
    }
    assert_eq!((killed, child.wait().unwrap().success()), (true, !whole), "{at}");
    lab.run(&["resume", "--yes"]).expect(0);
}

/// How often each of some steps ended well, when the lab is disturbed at a step.
type Disturbance = (&'static str, bool, &'static [(&'static str, usize)]);

#[test]
fn a_machine_that_dies_has_the_key_released_again() {
    // Nothing that it knew is left: what a step gave the next one in memory, it gives again, and no more than that.
    let table: [Disturbance; 4] = [
        ("trained", false, &[("sealed", 1), ("released", 2), ("opened", 2), ("trained", 1)]),
        ("trained", true, &[("sealed", 1), ("released", 2), ("opened", 2), ("trained", 1)]),
        ("model_out", false, &[("released", 2), ("trained", 2), ("model_sealed", 2), ("model_out", 1)]),
        ("stolen", true, &[("released", 1), ("impostor/refused", 1), ("stolen", 1), ("seen", 1)]),
    ];
    let lab = Lab::warm();
    let at_first = lab.inventory();
    at_once(&table, |(at, whole, expected)| {
        let lab = lab.copy();
        disturbed(&lab, at, *whole);
        let records = lab.run(&["--output", "json", "log"]).expect(0).events();
        assert_eq!(records.last().unwrap()["record"]["run-finished"]["end"], "succeeded", "{at} {whole}");
        for (step, times) in *expected {
            let ends = records.iter().filter(|r| r["record"]["step-succeeded"]["step"] == *step).count();
            assert_eq!(ends, *times, "{at} {whole}: {step}");
        }
        let undone = lab.run(&["--output", "json", "undo", "--yes"]).expect(0).last();
        assert_eq!(undone["status"], "undone", "{at} {whole}");
        let mut left = lab.inventory();
        left.retain(|item| !at_first.contains(item));
        assert!(left.iter().all(|item| item.kind.contains("deleted")), "{at} {whole}: {left:#?}");
    });
}
