//! For each fault of the embedded Azure, the outcome that the documentation states.

use crate::support::{Lab, at_once, consent};

const RUN: [&str; 5] = ["--output", "json", "run", "cmk-storage", "--yes"];

/// Faults that pass: the run completes.
const PASSING: [(&str, &[&str]); 8] = [
    ("throttled", &["throttle", "--times", "3", "--seconds", "1"]),
    ("throttled on one effect", &["throttle", "--times", "2", "--match", "storageAccounts", "--method", "PUT"]),
    ("server errors", &["server-error", "--times", "3"]),
    ("requests lost", &["drop-request", "--times", "3"]),
    ("answers lost after a key was made", &["drop-answer", "--times", "1", "--match", "/create", "--method", "POST"]),
    (
        "answers lost after an account was made",
        &["drop-answer", "--times", "1", "--match", "storageAccounts", "--method", "PUT"],
    ),
    ("slow operations", &["slow-operation", "--seconds", "3"]),
    ("late roles", &["rbac-delay", "--seconds", "4"]),
];

#[test]
fn what_passes_by_itself_does_not_stop_a_run() {
    for (name, fault) in PASSING {
        let lab = Lab::warm();
        lab.run(&[&["cloud", "fault"], fault].concat()).expect(0);
        let done = lab.run(&RUN);
        assert_eq!(done.code, Some(0), "{name}:\n{}\n{}", done.stdout, done.stderr);
        let accounts = lab.inventory().iter().filter(|i| i.kind == "Microsoft.Storage/storageAccounts").count();
        assert_eq!(accounts, 1, "{name}");
        // Asked at most twice for each of its effects: nothing is sent blindly again and again.
        let creations = lab
            .cloud()
            .requests(0)
            .unwrap()
            .iter()
            .filter(|r| r.operation == "StorageAccounts_Create" && r.status < 300)
            .count();
        assert!(creations <= 2, "{name}: {creations} accepted creations");
    }
}

/// Faults that preflight finds: the run stops before anything is made, and says what to do.
const FOUND: [(&str, &[&str], &str); 2] = [
    ("no quota", &["quota-zero", "--region", "italynorth"], "quota"),
    ("no such size", &["missing-sku", "--region", "italynorth"], "region"),
];

#[test]
fn preflight_stops_before_anything_is_made_and_names_the_cure() {
    for (name, fault, word) in FOUND {
        let lab = Lab::warm();
        lab.run(&[&["cloud", "fault"], fault].concat()).expect(0);
        let done = lab.run(&["run", "key-vault-premium", "--yes"]).expect(20);
        assert!(done.stderr.contains(word) && done.stderr.contains("fix"), "{name}: {}", done.stderr);
        let last = done.stderr.trim_end().lines().last().unwrap().trim();
        assert!(last.starts_with("sealbook resume "), "{name}: the last line is the command that continues: {last}");
        let vaults = lab.inventory().iter().filter(|i| i.kind.contains("KeyVault")).count();
        assert_eq!(vaults, 0, "{name}: nothing was made");
        lab.run(&["cloud", "fault", "--clear"]).expect(0);
        lab.run(&["resume", "--yes"]).expect(0);
    }
}

/// A text without its line breaks.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_region_that_does_not_exist_is_named_with_those_that_do_and_with_what_else_is_wrong() {
    let warm = Lab::warm();
    let listed = warm.run(&["--output", "json", "list"]).expect(0).json();
    let ids: Vec<&str> = listed.as_array().unwrap().iter().map(|p| p["id"].as_str().unwrap()).collect();
    let at_first = warm.inventory();
    at_once(&ids, |&id| {
        let lab = warm.copy();
        let run = [&["run", id, "--yes", "--set", "region=nowhere"], consent(id)].concat();
        let said = words(&lab.run(&run).expect(20).stderr);
        for word in ["`region` can't be `nowhere`", "--set region=", "italynorth", "westeurope"] {
            assert!(said.contains(word), "{id}: {word} is not in {said}");
        }
        assert_eq!(lab.inventory(), at_first, "{id}: nothing was made");
    });
    warm.run(&["run", "cmk-storage", "--yes", "--set", "suffix=same23"]).expect(0);
    let again = ["run", "cmk-storage", "--yes", "--set", "suffix=same23", "--set", "region=nowhere"];
    let said = words(&warm.run(&again).expect(20).stderr);
    assert!(said.contains("`nowhere`") && said.contains("storage account name cmklabsame23"), "{said}");
}

#[test]
fn a_fault_that_stays_ends_resumable() {
    for (name, fault) in [
        ("server errors", ["server-error", "--match", "storageAccounts"]),
        ("throttling", ["throttle", "--match", "storageAccounts"]),
        ("lost connections", ["drop-request", "--match", "storageAccounts"]),
    ] {
        let lab = Lab::warm();
        let config = lab.home().join("config/sealbook");
        std::fs::create_dir_all(&config).unwrap();
        std::fs::write(config.join("policy.toml"), "version = 1\nretry_within = \"2s\"\n").unwrap();
        lab.run(&[&["cloud", "fault"], &fault[..]].concat()).expect(0);
        let done = lab.run(&RUN).expect(20);
        let last = done.last();
        assert_eq!(last["status"], "failed", "{name}");
        let next = last["next"].as_str().unwrap().to_owned();
        assert!(next.starts_with("sealbook resume "), "{name}: {next}");
        lab.run(&["cloud", "fault", "--clear"]).expect(0);
        lab.run(&["resume", "--yes"]).expect(0);
    }
}
