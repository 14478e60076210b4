//! What `export` prints, run by the real Azure CLI, ends where the playbook itself ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;
use rusqlite::Connection;
use serde_json::Value;

use crate::support::{Lab, az, consent, playbooks};

/// Ids that differ from cloud to cloud and from run to run.
static IDS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|[0-9a-f]{32}").unwrap()
});

/// Instants differ likewise.
static TIMES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|\\+00:00)").unwrap());

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

/// What runs and clouds write down for themselves: a run's mark, addresses that are drawn, digests of passwords.
const OWN: &[&str] = &[
    ".tags.sealbook-",
    ".properties.macAddress",
    ".properties.fqdn",
    ".properties.azurePortalFQDN",
    ".properties.resourceUID",
    ".withheld",
];

/// The documents in a home's cloud: every value with its path, by kind and id.
fn documents(lab: &Lab) -> BTreeMap<String, BTreeSet<String>> {
    let cloud = Connection::open(lab.home().join("cloud/cloud.db")).unwrap();
    let mut all = cloud.prepare("SELECT type, id, body FROM resources").unwrap();
    let rows = all.query_map([], |row| Ok([row.get::<_, String>(0)?, row.get(1)?, row.get(2)?])).unwrap();
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for [kind, id, body] in rows.map(Result::unwrap) {
        let mut leaves = Vec::new();
        flatten("", &serde_json::from_str(&body).unwrap(), &mut leaves);
        leaves.retain(|leaf| !OWN.iter().any(|own| leaf.starts_with(own)));
        let leaves = leaves.iter().map(|leaf| TIMES.replace_all(&IDS.replace_all(leaf, "*"), "then").into_owned());
        let name = IDS.replace_all(&format!("{kind} {id}"), "*").to_lowercase();
        found.entry(name).or_default().extend(leaves);
    }
    found
}

fn flatten(path: &str, value: &Value, leaves: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, v)| flatten(&format!("{path}.{name}"), v, leaves)),
        Value::Array(items) => items.iter().for_each(|v| flatten(&format!("{path}[]"), v, leaves)),
        leaf => leaves.push(format!("{path} = {leaf}")),
    }
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
    let done = exported.run_in(exported.home(), &run);
    assert_eq!(done.code, Some(0), "{playbook}\n{}\n{}", done.stdout, done.stderr);
    let (ours, theirs) = (inventory(&own), inventory(&exported));
    let differ: Vec<_> = ours.keys().chain(theirs.keys()).filter(|k| ours.get(*k) != theirs.get(*k)).collect();
    assert!(differ.is_empty(), "{playbook}: one cloud has another number of {differ:#?}");
    let theirs = documents(&exported);
    for (name, ours) in documents(&own) {
        // `az` says some defaults aloud, so the other way round there is more.
        let lacking: Vec<_> =
            ours.iter().filter(|leaf| !theirs.get(&name).is_some_and(|t| t.contains(*leaf))).collect();
        assert!(lacking.is_empty(), "{playbook}: after its export, {name} is without {lacking:#?}");
    }
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
