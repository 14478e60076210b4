//! What the choices of the playbooks and parts lead to, and one key store for several labs.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use sealbook_cloud::Item;
use serde_json::Value;

use crate::support::{Lab, at_once, consent, copy, repository};

/// A way through a playbook that its defaults do not take.
struct Variant {
    playbook: &'static str,
    set: &'static [&'static str],
    confirm: &'static str,
    /// US dollars that undo can't stop.
    stays: f64,
}

const BY_THE_HOUR: &str = "3.20 USD an hour until it is purged";

const VARIANTS: [Variant; 10] = [
    Variant {
        playbook: "confidential-ml-training",
        set: &["key_store=hsm", "os_disk/key_of=hsm"],
        confirm: "3.20 USD an hour and 537.60 USD after clean-up",
        stays: 537.6,
    },
    Variant {
        playbook: "confidential-ml-training",
        set: &["attestation/authority=dedicated", "os_disk/key_of=vault"],
        confirm: "",
        stays: 0.0,
    },
    Variant { playbook: "secure-key-release", set: &["key_store=hsm"], confirm: BY_THE_HOUR, stays: 0.0 },
    Variant { playbook: "cmk-disks-aks", set: &["key_store=hsm"], confirm: BY_THE_HOUR, stays: 0.0 },
    Variant { playbook: "os-disk-cmk", set: &["key_store=hsm"], confirm: BY_THE_HOUR, stays: 0.0 },
    Variant { playbook: "byok", set: &["key_store=hsm"], confirm: BY_THE_HOUR, stays: 0.0 },
    Variant {
        playbook: "cmk-storage",
        set: &["key_store=hsm"],
        confirm: "3.20 USD an hour and 537.60 USD after clean-up",
        stays: 537.6,
    },
    Variant { playbook: "cmk-ai-foundry", set: &["account=user"], confirm: "", stays: 0.0 },
    Variant { playbook: "key-vault-premium", set: &["key=byok"], confirm: "", stays: 0.0 },
    Variant {
        playbook: "managed-hsm",
        set: &["key=byok"],
        confirm: "3.20 USD an hour for each of two until they are purged",
        stays: 0.0,
    },
];

/// Runs a command to its end through two kills, one in the run and one in the resume.
fn through_kills(lab: &Lab, run: &[&str], what: &str) -> String {
    let killed = lab.run_with(run, &[("SEALBOOK_CRASH_AT", "after:commit:4")]);
    assert_eq!(killed.code, None, "{what} should have died:\n{}\n{}", killed.stdout, killed.stderr);
    let again = ["--output", "json", "resume", "--yes"];
    let killed = lab.run_with(&again, &[("SEALBOOK_CRASH_AT", "before-record:effect-completed:2")]);
    assert_eq!(killed.code, None, "resume of {what} should have died:\n{}\n{}", killed.stdout, killed.stderr);
    let last = lab.run(&again).expect(0).last();
    assert_eq!(last["status"], "succeeded", "{what}: {last}");
    last["run"].as_str().unwrap().to_owned()
}

/// Verifies and undoes. Returns the leftovers.
fn verified_and_undone(lab: &Lab, run: &str, what: &str) -> Vec<Value> {
    let verdicts = lab.run(&["--output", "json", "verify", run]).expect(0).json();
    // What guest steps held in their machine's memory can't be looked at again, and is told as such.
    let holds = |v: &Value| v["passed"] == true || (v["passed"].is_null() && v["gone"].is_string());
    assert!(verdicts.as_array().unwrap().iter().all(holds), "{what}: {verdicts}");
    let undone = lab.run(&["--output", "json", "undo", run, "--yes"]).expect(0).last();
    assert_eq!(undone["status"], "undone", "{what}");
    undone["leftovers"].as_array().unwrap().clone()
}

/// Demands that what was there at first is there, and beyond it only what soft delete keeps.
fn only_soft_deleted_left(lab: &Lab, at_first: &[Item], what: &str) {
    let now = lab.inventory();
    let in_both = |items: &[Item], item: &Item| items.iter().any(|i| (&i.kind, &i.id) == (&item.kind, &item.id));
    let missing: Vec<_> = at_first.iter().filter(|item| !in_both(&now, item)).collect();
    let left: Vec<_> = now.iter().filter(|i| !in_both(at_first, i) && !i.kind.contains("deleted")).collect();
    assert!(missing.is_empty() && left.is_empty(), "{what} leaves {left:#?} and took away {missing:#?}");
}

#[test]
fn every_variant_runs_through_kills_verifies_and_undoes() {
    let warm = Lab::warm();
    at_once(&VARIANTS, |variant| {
        let lab = warm.copy();
        lab.cloud().set_role_delay(Duration::ZERO).unwrap();
        let at_first = lab.inventory();
        let what = format!("{} with {}", variant.playbook, variant.set.join(", "));
        let mut run = vec!["--output", "json", "run", variant.playbook, "--yes", "--confirm", variant.confirm];
        variant.set.iter().for_each(|set| run.extend(["--set", *set]));
        let run = through_kills(&lab, &run, &what);
        let leftovers = verified_and_undone(&lab, &run, &what);
        only_soft_deleted_left(&lab, &at_first, &what);
        let stays: f64 = leftovers.iter().filter_map(|l| l["usd"].as_f64()).sum();
        assert!((stays - variant.stays).abs() < 0.05, "{what}: {leftovers:#?}");
        // What is deleted and still paid for is not forgotten.
        let shown = lab.run(&["--output", "json", "cloud", "show"]).expect(0).json();
        let bills: Vec<&Value> =
            shown.as_array().unwrap().iter().map(|item| &item["bill"]).filter(|bill| !bill.is_null()).collect();
        let to_come: f64 = bills.iter().filter_map(|bill| bill["usd_to_come"].as_f64()).sum();
        assert!((to_come - variant.stays).abs() < 0.05, "{what}: {bills:#?}");
        for command in [&["doctor"][..], &["cloud", "show"]] {
            let told = lab.run(command).expect(0).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(told.contains("still billed"), variant.stays > 0.0, "{what}: {told}");
        }
    });
}

#[test]
fn a_managed_hsm_is_not_given_without_its_price_typed() {
    let lab = Lab::warm();
    for playbook in
        ["cmk-disks-aks", "os-disk-cmk", "byok", "cmk-storage", "confidential-ml-training", "secure-key-release"]
    {
        let refused = lab.run(&["run", playbook, "--yes", "--set", "key_store=hsm"]).expect(2);
        assert!(refused.stderr.contains("3.20 USD an hour"), "{playbook}: {}", refused.stderr);
    }
    assert_eq!(lab.run(&["--output", "json", "runs"]).expect(0).json(), serde_json::json!([]));
}

/// The parts that confidential labs begin with, each option of them, in a playbook of the tests' own.
#[test]
fn the_choices_of_confidential_machines_lead_on() {
    let warm = Lab::warm();
    copy(&repository("tests/playbooks/choices"), &warm.home().join("choices"));
    let table: [(&[&str], &str, bool); 3] = [
        (&["os_disk/key_of=platform"], "https://shared", false),
        (&["key=byok", "attestation/authority=dedicated", "os_disk/key_of=vault"], "https://word", true),
        (&["key_store=hsm", "key=byok", "os_disk/key_of=hsm"], "https://shared", true),
    ];
    at_once(&table, |(set, authority, own_key)| {
        let lab = warm.copy();
        lab.cloud().set_role_delay(Duration::ZERO).unwrap();
        let at_first = lab.inventory();
        let what = set.join(", ");
        let path = lab.home().join("choices");
        let mut run = vec!["--output", "json", "run", path.to_str().unwrap(), "--yes"];
        set.iter().for_each(|set| run.extend(["--set", *set]));
        let run = through_kills(&lab, &run, &what);
        let outputs = lab.run(&["--output", "json", "resume", &run]).expect(0).last()["outputs"].clone();
        let said = outputs["attestation"]["uri"].as_str().unwrap();
        assert!(said.starts_with(*authority) && said.ends_with(".itn.attest.azure.net"), "{what}: {said}");
        let set = outputs["os_disk"]["des"].as_str().unwrap();
        assert_eq!(set.contains("/diskEncryptionSets/"), *own_key, "{what}: {set}");
        verified_and_undone(&lab, &run, &what);
        only_soft_deleted_left(&lab, &at_first, &what);
    });
}

/// The playbooks that can go on with the key store of an earlier run.
fn takers() -> BTreeSet<String> {
    let folders = fs::read_dir(repository("playbooks")).unwrap().map(|entry| entry.unwrap().path());
    let offers = |folder: &PathBuf| {
        let text = fs::read_to_string(folder.join("playbook.toml")).unwrap_or_default();
        text.contains("from = \"key_store.id\"")
    };
    folders.filter(offers).map(|folder| folder.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

#[test]
fn one_key_store_serves_every_lab_that_offers_it() {
    let lab = Lab::warm();
    lab.cloud().set_role_delay(Duration::ZERO).unwrap();
    let first = lab.run(&["--output", "json", "run", "key-vault-premium", "--yes"]).expect(0).last();
    let (first, store) = (first["run"].as_str().unwrap(), first["outputs"]["key_store"]["id"].as_str().unwrap());
    let with_store = lab.inventory();
    let go_on = |playbook: &String| {
        let run = [&["--output", "json", "run", playbook, "--yes", "--from", first], consent(playbook)].concat();
        let last = lab.run(&run).expect(0).last();
        let used = &last["outputs"]["key_store"];
        assert_eq!(used["id"], store, "{playbook}");
        last["run"].as_str().unwrap().to_owned()
    };
    let takers = takers();
    let expected = [
        "byok",
        "cmk-disks-aks",
        "cmk-storage",
        "confidential-ml-training",
        "harden-key-vault",
        "os-disk-cmk",
        "secure-key-release",
    ];
    assert_eq!(takers.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    // All at once; one closes the vault's firewall for a while, so it comes when the others are done.
    let (alone, together): (Vec<String>, Vec<String>) = takers.into_iter().partition(|t| t == "harden-key-vault");
    let runs = std::sync::Mutex::new(Vec::new());
    let add = |playbook: &String| {
        let run = go_on(playbook);
        runs.lock().unwrap().push((playbook.clone(), run));
    };
    at_once(&together, add);
    at_once(&alone, add);
    for (playbook, run) in runs.into_inner().unwrap().into_iter().rev() {
        let leftovers = verified_and_undone(&lab, &run, &playbook);
        // The store is the first run's: no other run takes it away.
        assert!(!leftovers.iter().any(|l| l["what"].as_str().unwrap().contains("vault cmk-lab")), "{leftovers:?}");
    }
    only_soft_deleted_left(&lab, &with_store, "reuse");
    lab.run(&["verify", first]).expect(0);
    lab.run(&["undo", first, "--yes"]).expect(0);

    // A run that made no store has none to give.
    let other = lab.run(&["--output", "json", "run", "cmk-ai-foundry", "--yes"]).expect(0).last();
    let refused = lab.run(&["run", "byok", "--yes", "--from", other["run"].as_str().unwrap()]).expect(2);
    assert!(refused.stderr.contains("key_store.id"), "{}", refused.stderr);
}
