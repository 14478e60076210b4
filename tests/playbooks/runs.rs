//! Each standard playbook runs to its end, is verified, and is undone.

use crate::support::{Lab, at_once, census, consent};

#[test]
fn every_playbook_runs_verifies_and_undoes() {
    let lab = Lab::warm();
    let listed = lab.run(&["--output", "json", "list"]).expect(0).json();
    let ids: Vec<&str> = listed.as_array().unwrap().iter().map(|p| p["id"].as_str().unwrap()).collect();
    assert!(ids.contains(&"cmk-storage") && ids.contains(&"key-vault-premium"), "{ids:?}");
    let at_first = lab.inventory();
    at_once(&ids, |&id| {
        let lab = lab.copy();
        let finished = lab.run(&[&["--output", "json", "run", id, "--yes"], consent(id)].concat()).expect(0);
        assert_eq!(finished.stderr, "", "{id}");
        assert_eq!(finished.events()[0]["event"], "run-started", "{id}");
        let last = finished.last();
        assert_eq!((&last["event"], &last["status"]), (&"run-finished".into(), &"succeeded".into()), "{id}");
        let run = last["run"].as_str().unwrap();

        let verdicts = lab.run(&["--output", "json", "verify", run]).expect(0).json();
        // What ran inside a machine can't be looked at again, and says so.
        let holds = |v: &serde_json::Value| v["passed"] == true || (v["passed"].is_null() && v["gone"].is_string());
        assert!(verdicts.as_array().unwrap().iter().all(holds), "{id}: {verdicts}");

        // A second resume has nothing to do: it says how the run ended, and asks Azure for no change.
        let before = lab.inventory();
        let again = lab.run(&["--output", "json", "resume", run, "--yes"]).expect(0);
        assert_eq!((again.last()["status"].clone(), lab.inventory()), ("succeeded".into(), before), "{id}");

        let undone = lab.run(&["--output", "json", "undo", run, "--yes"]).expect(0).last();
        assert_eq!(undone["status"], "undone", "{id}");
        let mut left = lab.inventory();
        left.retain(|i| !at_first.contains(i));
        assert!(left.iter().all(|i| i.kind.contains("deleted")), "{id} leaves {left:#?}");
        // What stays is named, with its end and at no cost. A provider's registration has no end: others may rely on it.
        let stays = undone["leftovers"].as_array().unwrap();
        // What belongs to the whole subscription or tenant, and stays on purpose.
        let shared = ["registration of", "the service principal of"];
        let registration =
            |l: &serde_json::Value| shared.iter().any(|s| l["what"].as_str().is_some_and(|w| w.starts_with(s)));
        assert_eq!(stays.iter().all(registration), left.is_empty(), "{id}: {stays:?} {left:#?}");
        let told = |l: &serde_json::Value| (l["until"].is_string() || registration(l)) && l["usd"] == 0.0;
        assert!(stays.iter().all(told), "{id}: {stays:?}");
    });
}

#[test]
fn secrets_are_nowhere_in_the_home() {
    let lab = Lab::warm();
    let note = "opensesame-4711-swordfish";
    let file = lab.home().join("note.txt");
    std::fs::write(&file, note).unwrap();
    let set = format!("note={}", file.display());
    let done = lab.run(&["--output", "json", "run", "cmk-storage", "--yes", "--set-file", &set]).expect(0);
    std::fs::remove_file(&file).unwrap();
    let log = lab.run(&["--output", "json", "log"]).expect(0);
    let hex: String = note.bytes().map(|b| format!("{b:02x}")).collect();
    // Base64 of the text at each of its three alignments, without the characters that depend on the neighbours.
    let base64 =
        ["b3BlbnNlc2FtZS00NzExLXN3b3JkZmlz", "9wZW5zZXNhbWUtNDcxMS1zd29yZGZpc2", "vcGVuc2VzYW1lLTQ3MTEtc3dvcmRmaX"];
    let mut needles: Vec<&str> = vec![note, &hex];
    needles.extend(base64);
    for needle in needles {
        for text in [&done.stdout, &done.stderr, &log.stdout] {
            assert!(!text.contains(needle), "{needle} was printed");
        }
        for path in files(lab.home()) {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(needle.len()).any(|w| w == needle.as_bytes()), "{needle} is in {}", path.display());
        }
    }
}

#[test]
fn an_upgrade_between_kill_and_resume_changes_nothing() {
    let lab = Lab::warm();
    let at_first = lab.inventory();
    // A playbook of one's own, copied from the standard one, with a plugin of its own that the machine's policy admits.
    // Both then change under the run's feet.
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../playbooks");
    let own = lab.home().join("own");
    for folder in ["cmk-storage", "parts"] {
        crate::support::copy(&std::path::Path::new(root).join(folder), &own.join(folder));
    }
    let path = own.join("cmk-storage");
    let plugin = path.join("plugins/storage-cmk@0.1.wasm");
    std::fs::create_dir_all(plugin.parent().unwrap()).unwrap();
    std::fs::copy(component("storage_cmk"), &plugin).unwrap();
    let path = path.to_str().unwrap();
    let refused = lab.run(&["run", path, "--yes"]).expect(11).stderr;
    let line = refused.lines().find_map(|l| l.split_once("under [plugins]: ")).unwrap().1;
    std::fs::create_dir_all(lab.home().join("config/sealbook")).unwrap();
    std::fs::write(lab.home().join("config/sealbook/policy.toml"), format!("version = 1\n[plugins]\n{line}\n"))
        .unwrap();
    let killed = lab.run_with(&["run", path, "--yes"], &[("SEALBOOK_CRASH_AT", "before-record:effect-completed:4")]);
    assert_eq!(killed.code, None);
    // Another program under the plugin's name: used, it would fail. It is not even admitted.
    std::fs::copy(component("role"), &plugin).unwrap();
    lab.run(&["check", path]).expect(11);
    let file = own.join("cmk-storage/playbook.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("[[step]]", "[[no-longer-a-step]]")).unwrap();
    lab.run(&["check", path]).expect(10);
    let resumed = lab.run(&["--output", "json", "resume", "--yes"]).expect(0);
    assert_eq!(resumed.last()["status"], "succeeded");
    lab.run(&["undo", "--yes"]).expect(0);
    let mut left = lab.inventory();
    left.retain(|i| !at_first.contains(i));
    let left = census(&left);
    assert!(left.keys().all(|k| k.contains("deleted")), "{left:?}");
}

/// The component of a standard plugin, as the binary's build script left it.
fn component(name: &str) -> std::path::PathBuf {
    let target = std::path::Path::new(env!("CARGO_BIN_EXE_sealbook")).ancestors().nth(2).unwrap();
    target.join(format!("plugins/wasm32-wasip2/plugin/sealbook_plugin_{name}.wasm"))
}

pub fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path))
        } else if path.is_file() {
            found.push(path)
        }
    }
    found
}
