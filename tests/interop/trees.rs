//! The plugin train-trees beside XGBoost: the same rows to learn from, the same rows held back, the same settings.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![allow(dead_code, reason = "of the files of others only a part is used")]

#[path = "../../plugins/patient-dataset/src/patients.rs"]
mod patients;
#[path = "../support/shared.rs"]
mod shared;

use std::path::Path;
use std::process::Command;

use sealbook_plugin_train_trees::{TrainTrees, split::split};
use sealbook_sdk::prelude::*;
use sealbook_sdk::testing::Fake;

/// Seeds of the split. The patients are always those of seed 42.
const SEEDS: std::ops::Range<u64> = 42..52;
/// How far apart the average accuracies may be.
const APART: f64 = 0.02;

/// What came of one seed: accuracy and log loss on the rows that were held back.
struct Result {
    accuracy: f64,
    loss: f64,
}

fn ours(csv: &str, seed: u64) -> Result {
    let fake = Fake::new().artifact("patients.csv", csv.as_bytes());
    let inputs = json!({ "data": "artifact:patients.csv", "seed": seed });
    let out = fake.step::<TrainTrees>(inputs).run().unwrap().outputs.unwrap();
    let last = out["curve"].as_array().unwrap().last().unwrap().clone();
    Result { accuracy: out["accuracy"].as_f64().unwrap(), loss: last["test"].as_f64().unwrap() }
}

fn theirs(python: &str, folder: &Path) -> Vec<Result> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop/trees.py");
    let done = Command::new(python).arg(script).arg(folder).args(SEEDS.map(|s| s.to_string())).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let result = |line: &str| {
        let said: Value = line.parse().unwrap();
        Result { accuracy: said["accuracy"].as_f64().unwrap(), loss: said["loss"].as_f64().unwrap() }
    };
    String::from_utf8(done.stdout).unwrap().lines().map(result).collect()
}

/// Writes the rows of each part, as the plugin parts them.
fn part(csv: &str, folder: &Path, seed: u64) {
    let lines: Vec<&str> = csv.lines().collect();
    let split = split(lines.len() - 1, 20, seed);
    for (name, rows) in [("train", split.train), ("test", split.test)] {
        let rows: Vec<&str> = std::iter::once(lines[0]).chain(rows.iter().map(|r| lines[r + 1])).collect();
        std::fs::write(folder.join(format!("{name}-{seed}.csv")), rows.join("\n")).unwrap();
    }
}

#[test]
fn the_trees_are_as_good_as_those_of_xgboost() {
    let Some(python) = shared::python("numpy, xgboost") else { return };
    let folder = tempfile::tempdir().unwrap();
    let csv = patients::table(42, 768);
    SEEDS.for_each(|seed| part(&csv, folder.path(), seed));
    let ours: Vec<Result> = SEEDS.map(|seed| ours(&csv, seed)).collect();
    let theirs = theirs(&python, folder.path());
    assert_eq!(ours.len(), theirs.len());
    println!("| seed | train-trees | XGBoost | log loss | XGBoost |\n| --- | --- | --- | --- | --- |");
    for ((a, b), seed) in ours.iter().zip(&theirs).zip(SEEDS) {
        println!("| {seed} | {:.4} | {:.4} | {:.3} | {:.3} |", a.accuracy, b.accuracy, a.loss, b.loss);
    }
    let mean = |of: fn(&Result) -> f64, all: &[Result]| all.iter().map(of).sum::<f64>() / all.len() as f64;
    let accuracy = [mean(|r| r.accuracy, &ours), mean(|r| r.accuracy, &theirs)];
    let loss = [mean(|r| r.loss, &ours), mean(|r| r.loss, &theirs)];
    println!("| mean | {:.4} | {:.4} | {:.3} | {:.3} |", accuracy[0], accuracy[1], loss[0], loss[1]);
    assert!((accuracy[0] - accuracy[1]).abs() <= APART, "{accuracy:?}");
    assert!((loss[0] / loss[1] - 1.0).abs() <= 0.1, "{loss:?}");
    assert!(accuracy.iter().all(|a| (0.72..=0.80).contains(a)), "the patients are too easy or too hard: {accuracy:?}");
}
