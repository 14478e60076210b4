//! What `report`, `transcript` and `verify-transcript` make of real runs.

use std::fs;
use std::process::Stdio;

use serde_json::Value;

use crate::support::Lab;

/// A run on the embedded Azure, whose roles arrive at once.
fn ran() -> Lab {
    let lab = Lab::warm();
    lab.cloud().set_role_delay(std::time::Duration::ZERO).unwrap();
    lab.run(&["run", "key-vault-premium", "--yes"]).expect(0);
    lab
}

fn check<'a>(verdict: &'a Value, name: &str) -> &'a str {
    let checks = verdict["checks"].as_array().unwrap();
    let found = checks.iter().find(|c| c["name"] == name).unwrap_or_else(|| panic!("{name} in {verdict}"));
    found["outcome"].as_str().unwrap()
}

/// The one line that a command printed: where it wrote to.
fn written(stdout: &str) -> &str {
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    stdout.trim()
}

#[test]
fn a_run_becomes_a_page_and_a_transcript_that_anybody_can_verify() {
    let lab = ran();
    let folder = tempfile::tempdir().unwrap();
    let data = lab.run(&["--output", "json", "report"]).expect(0).json();
    let run = data["run"].as_str().unwrap().to_owned();
    assert_eq!((data["status"].as_str(), data["playbook"].as_str()), (Some("succeeded"), Some("key-vault-premium")));
    let steps = data["steps"].as_array().unwrap();
    assert!(steps.len() > 5 && steps.iter().all(|s| s["phase"] == "succeeded" || s["phase"] == "skipped"), "{steps:?}");
    assert!(steps.iter().any(|s| !s["evidence"].as_array().unwrap().is_empty() && s["az"].is_string()));

    // The page, in this folder, named after the run.
    let done = lab.run_in(folder.path(), &["report"]).expect(0);
    assert_eq!(written(&done.stdout), format!("sealbook-{run}.html"));
    let page = fs::read_to_string(folder.path().join(written(&done.stdout))).unwrap();
    assert!(page.starts_with("<!doctype html>\n") && page.trim_end().ends_with("</html>"));
    for word in
        ["A key store of your own: Key Vault Premium", "Every step has its verdict.", "az group create", "passed", &run]
    {
        assert!(page.contains(word), "{word} is not in the page");
    }
    assert!(!page.contains("<script") && !page.contains("${"), "it is made, and has no script");
    assert_eq!(lab.run(&["report", &run, "--out", "-"]).expect(0).stdout.trim(), page.trim());

    // The transcript, and a home that knows nothing of the run.
    let done = lab.run_in(folder.path(), &["transcript"]).expect(0);
    assert_eq!(written(&done.stdout), format!("sealbook-{run}.ndjson"));
    let file = folder.path().join(written(&done.stdout));
    let key = done.stderr.trim().lines().last().unwrap().to_owned();
    assert_eq!(data["head"]["public_key"], key.as_str());
    let elsewhere = Lab::empty();
    let verify = |args: &[&str]| elsewhere.run(&[&["verify-transcript"], args].concat());
    let path = file.to_str().unwrap();
    let told = verify(&[path, "--key", &key]).expect(0);
    assert!(told.stdout.contains("ok      chain.signatures"), "{}", told.stdout);
    assert!(!told.stdout.contains("failed"), "{}", told.stdout);
    assert_eq!(fs::read_dir(elsewhere.home()).unwrap().count(), 0, "verifying makes no home");
    let verdict = verify(&[path, "--output", "json"]).expect(0).json();
    assert_eq!((verdict["passed"].as_bool(), check(&verdict, "transcript.key")), (Some(true), "not_applicable"));
    assert_eq!(
        (verdict["facts"]["run"].as_str(), verdict["facts"]["status"].as_str()),
        (Some(&*run), Some("succeeded"))
    );
    // From a pipe, too.
    let piped =
        elsewhere.command(&["verify-transcript", "-"]).stdin(Stdio::from(fs::File::open(&file).unwrap())).output();
    assert_eq!(piped.unwrap().status.code(), Some(0));

    // One word of one record is another.
    let text = fs::read_to_string(&file).unwrap();
    let forged = folder.path().join("forged.ndjson");
    fs::write(&forged, text.replacen("italynorth", "westeurope", 1)).unwrap();
    let refused = verify(&[forged.to_str().unwrap()]).expect(21);
    assert!(refused.stdout.contains("failed  chain.records"), "{}", refused.stdout);
    assert!(refused.stderr.contains("SB0522") && refused.stderr.contains("chain.records"), "{}", refused.stderr);
    let verdict = verify(&["--output", "json", forged.to_str().unwrap()]).expect(21).json();
    assert_eq!((verdict["passed"].as_bool(), check(&verdict, "chain.records")), (Some(false), "failed"));
    // Another home's key.
    let refused = verify(&[path, "--key", &"ab".repeat(32)]).expect(21);
    assert!(refused.stderr.contains("transcript.key"), "{}", refused.stderr);

    // Taken back: the page says so, and the transcript still verifies.
    lab.run(&["undo", &run, "--yes"]).expect(0);
    let page = lab.run(&["report", "--out", "-"]).expect(0).stdout;
    assert!(page.contains("Taken back") && page.contains("What stays"), "{page}");
    lab.run_in(folder.path(), &["transcript", "--out", "undone.ndjson"]).expect(0);
    let verdict = verify(&[folder.path().join("undone.ndjson").to_str().unwrap(), "--key", &key, "--output", "json"]);
    let verdict = verdict.expect(0).json();
    assert_eq!((check(&verdict, "chain.head"), verdict["facts"]["status"].as_str()), ("passed", Some("undone")));
}

#[test]
fn a_run_that_was_killed_has_both_and_says_what_is_not_signed() {
    let lab = Lab::warm();
    lab.cloud().set_role_delay(std::time::Duration::ZERO).unwrap();
    let dead = lab
        .run_with(&["run", "key-vault-premium", "--yes"], &[("SEALBOOK_CRASH_AT", "before-record:effect-completed:2")]);
    assert_eq!(dead.code, None, "{}", dead.stderr);
    let page = lab.run(&["report", "--out", "-"]).expect(0).stdout;
    for word in ["Interrupted", "not reached", "its process died", "sealbook resume", "none yet: the home signs"] {
        assert!(page.contains(word), "{word} is not in the page");
    }
    let transcript = lab.run(&["transcript", "--out", "-"]).expect(0);
    assert!(transcript.stderr.contains("not signed yet"), "{}", transcript.stderr);
    let file = lab.home().join("t.ndjson");
    fs::write(&file, &transcript.stdout).unwrap();
    let path = file.to_str().unwrap();
    let verdict = lab.run(&["verify-transcript", path, "--output", "json"]).expect(0).json();
    assert_eq!((check(&verdict, "chain.head"), check(&verdict, "chain.records")), ("not_applicable", "passed"));
    // Whoever demands a signature is refused.
    let key = transcript.stderr.trim().lines().last().unwrap();
    let refused = lab.run(&["verify-transcript", path, "--key", key]).expect(21);
    assert!(refused.stderr.contains("nothing in it is signed"), "{}", refused.stderr);
}

#[test]
fn a_secret_is_in_neither() {
    const NOTE: &str = "nobody but me shall ever read this";
    let lab = Lab::warm();
    lab.cloud().set_role_delay(std::time::Duration::ZERO).unwrap();
    let note = lab.home().join("note.txt");
    fs::write(&note, NOTE).unwrap();
    let given = format!("note={}", note.display());
    lab.run(&["run", "cmk-storage", "--yes", "--set-file", &given]).expect(0);
    let page = lab.run(&["report", "--out", "-"]).expect(0).stdout;
    assert!(page.contains("secret: sealed, and not shown"));
    let data = lab.run(&["--output", "json", "report"]).expect(0).stdout;
    let transcript = lab.run(&["transcript", "--out", "-"]).expect(0).stdout;
    for (what, text) in [("page", page), ("data", data), ("transcript", transcript)] {
        assert!(!text.contains(NOTE), "the secret is in the {what}");
    }
}

#[test]
fn files_that_can_t_be_used_are_named() {
    let lab = Lab::empty();
    let table: [(&[&str], i32, &str, &str); 6] = [
        (&["report"], 2, "SB0506", "no run"),
        (&["transcript"], 2, "SB0506", "no run"),
        (&["verify-transcript", "nowhere.ndjson"], 2, "SB0708", "nowhere.ndjson"),
        (&["verify-transcript", "/"], 2, "SB0708", "can't be read"),
        (&["verify-transcript", "nowhere.ndjson", "--key", "abc"], 2, "SB0701", "64 hex digits"),
        (&["verify-transcript", "-"], 21, "SB0522", "it is empty"),
    ];
    for (args, code, problem, word) in table {
        let done = lab.run(args).expect(code);
        assert!(done.stderr.contains(problem) && done.stderr.contains(word), "{args:?}: {}", done.stderr);
    }
}
