//! What `export` prints, run by the real Azure CLI, ends where the playbook itself ends.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::support::{Lab, az, consent, playbooks};

/// Ids that differ from cloud to cloud and from run to run.
static IDS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|[0-9a-f]{32}").unwrap()
});

/// What exists in a home's cloud: kinds and ids, with how many there are.
fn inventory(lab: &Lab) -> BTreeMap<String, usize> {
    let shown = lab.run(&["--output", "json", "cloud", "show"]).expect(0).json();
    let mut found = BTreeMap::new();
    for item in shown.as_array().unwrap() {
        let text = |name: &str| item[name].as_str().map(str::to_lowercase).unwrap_or_default();
        let line = format!("{} {}", text("kind"), IDS.replace_all(&text("id"), "*"));
        *found.entry(line).or_insert(0) += 1;
    }
    found
}

/// Runs a playbook in one home, and its export in another.
fn compared(playbook: &str, az: &str) {
    let (own, exported) = (Lab::warm(), Lab::warm());
    let set = ["--set", "suffix=same23"];
    own.run(&[&["run", playbook, "--yes"], consent(playbook), &set[..]].concat()).expect(0);
    let script = exported.run(&[&["export", playbook], &set[..]].concat()).expect(0).stdout;
    let file = exported.home().join("lab.sh");
    let az_folder = Path::new(az).parent().unwrap().display().to_string();
    fs::write(&file, format!("PATH={az_folder}:$PATH\n{SIGN_IN}\n{script}")).unwrap();
    let run = ["cloud", "exec", "--", "bash", file.to_str().unwrap()];
    let done = exported.run(&run);
    assert_eq!(done.code, Some(0), "{playbook}\n{}\n{}", done.stdout, done.stderr);
    let (ours, theirs) = (inventory(&own), inventory(&exported));
    let differ: Vec<_> = ours.keys().chain(theirs.keys()).filter(|k| ours.get(*k) != theirs.get(*k)).collect();
    assert!(differ.is_empty(), "{playbook}: one cloud has another number of {differ:#?}");
}

const SIGN_IN: &str = r#"az login --username "$SEALBOOK_USER" --password "$SEALBOOK_PASSWORD" --output none"#;

/// All playbooks on demand, in minutes; of each change, one.
#[test]
fn exported_scripts_end_where_their_playbooks_end() {
    let Some(az) = az() else { return };
    for playbook in playbooks("cmk-storage") {
        compared(&playbook, &az);
    }
}

#[test]
fn every_playbook_can_be_exported_in_every_form() {
    let lab = Lab::warm();
    let listed = lab.run(&["--output", "json", "list"]).expect(0).json();
    for playbook in listed.as_array().unwrap() {
        let id = playbook["id"].as_str().unwrap();
        for (format, sign) in
            [("bash", "set -euo pipefail"), ("powershell", "$ErrorActionPreference"), ("markdown", "## 1. ")]
        {
            let text = lab.run(&["export", id, "--format", format]).expect(0).stdout;
            assert!(text.contains(sign), "{id} {format}");
            assert!(!text.contains("fill in"), "{id} {format}: a value that nobody knows how to get\n{text}");
            assert!(!text.contains('\u{E000}'), "{id} {format}: a mark is left");
        }
        let shown: Value = lab.run(&["--output", "json", "plan", id]).expect(0).json();
        let steps = shown["steps"].as_array().unwrap();
        let unconditional = steps.iter().filter(|step| step["when"].is_null()).count();
        let markdown = lab.run(&["export", id, "--format", "markdown"]).expect(0).stdout;
        // One section is about what comes before.
        let sections = markdown.matches("\n## ").count() - 1;
        assert!((unconditional..=steps.len()).contains(&sections), "{id}: {sections} of {} steps", steps.len());
    }
}
