//! What commands print, where, and with which exit code.

use crate::support::Lab;

#[test]
fn every_command_explains_itself() {
    let lab = Lab::empty();
    let help = lab.run(&["--help"]).expect(0);
    for command in [
        "list",
        "show",
        "plan",
        "run",
        "resume",
        "runs",
        "status",
        "log",
        "report",
        "transcript",
        "verify-transcript",
        "hint",
        "verify",
        "undo",
        "check",
        "schema",
        "explain",
        "seal",
        "open",
        "policy",
        "attest",
        "guest",
        "cloud",
        "doctor",
        "completions",
    ] {
        assert!(help.stdout.contains(command), "{command} is not in the help");
        lab.run(&[command, "--help"]).expect(0);
    }
}

#[test]
fn mistakes_get_a_code_a_cure_and_exit_2() {
    let lab = Lab::empty();
    let table: [(&[&str], &str, &str); 7] = [
        (&["run", "cmk-storag", "--yes"], "SB0703", "did you mean `cmk-storage`"),
        (&["explain", "SB9999"], "SB0706", "sealbook explain"),
        (&["resume"], "SB0506", "no run"),
        (&["status", "zzzzzz"], "SB0506", "sealbook runs"),
        (&["undo"], "SB0506", "no run"),
        (&["cloud", "env"], "SB0603", "sealbook cloud serve"),
        (&["run", "cmk-storage", "--yes", "--set", "nonsense"], "SB0701", "name=value"),
    ];
    for (args, code, cure) in table {
        let done = lab.run(args).expect(2);
        assert!(done.stderr.contains(code) && done.stderr.contains(cure), "{args:?}: {}", done.stderr);
        assert!(done.stdout.is_empty(), "{args:?} wrote to stdout: {}", done.stdout);
    }
}

#[test]
fn inputs_that_do_not_fit_stop_before_anything_begins() {
    let lab = Lab::warm();
    let done = lab.run(&["run", "cmk-storage", "--yes", "--set", "suffix=NOT OK"]).expect(10);
    assert!(done.stderr.contains("SB0124") && done.stderr.contains("suffix"), "{}", done.stderr);
    // What stands among the arguments is no secret any more.
    let done = lab.run(&["run", "cmk-storage", "--yes", "--set", "note=hunter2"]).expect(2);
    assert!(done.stderr.contains("--set-file note=") && !done.stderr.contains("hunter2"), "{}", done.stderr);
    assert_eq!(lab.run(&["--output", "json", "runs"]).expect(0).json(), serde_json::json!([]));
}

#[test]
fn programs_get_problems_as_data() {
    let lab = Lab::empty();
    let done = lab.run(&["--output", "json", "resume"]).expect(2);
    let problem = &done.json()["problems"][0];
    assert_eq!((&problem["code"], problem["fix"].is_string()), (&"SB0506".into(), true), "{problem}");
    assert!(done.stderr.is_empty(), "{}", done.stderr);
    let nowhere = lab.home().join("nowhere");
    let table: [&[&str]; 22] = [
        &["show", "cmk-storag"],
        &["plan", "cmk-storag"],
        &["plan", "cmk-storage", "--set", "region=NO"],
        &["plan", "cmk-storage", "--set", "no_such=1"],
        &["export", "cmk-storag"],
        &["run", "cmk-storage", "--from", "zzzzzz"],
        &["run", "cmk-storage", "--set", "key_store=hsm"],
        &["run", "cmk-storage", "--hands-on"],
        &["undo"],
        &["undo", "zzzzzz", "--yes"],
        &["status"],
        &["log"],
        &["hint"],
        &["verify"],
        &["runs", "rm", "zzzzzz"],
        &["check", nowhere.to_str().unwrap()],
        &["schema", "plugin", "no-such"],
        &["explain", "SB9999"],
        &["cloud", "env"],
        &["cloud", "reset"],
        &["cloud", "clock", "--forward", "soon"],
        &["cloud", "exec", "--", "/no/such/program"],
    ];
    for args in table {
        let done = lab.run(&[&["--output", "json"], args].concat());
        assert!(!matches!(done.code, None | Some(0 | 1)), "{args:?}: {:?}", done.code);
        let problem = &done.json()["problems"][0];
        assert!(problem["code"].is_string() && problem["what"].is_string(), "{args:?}: {}", done.stdout);
        assert_eq!(done.stderr, "", "{args:?}");
    }
    let done = lab.run(&["--output", "json", "bogus"]).expect(2);
    assert_eq!((&done.json()["problems"][0]["code"], done.stderr.as_str()), (&"SB0701".into(), ""));
}

#[test]
fn undo_without_a_name_takes_the_latest_run_that_stands() {
    let lab = Lab::warm();
    let run = |id: &str| lab.run(&["--output", "json", "run", id, "--yes"]).expect(0).last()["run"].clone();
    let (first, second) = (run("key-vault-premium"), run("key-vault-premium"));
    for expected in [second, first] {
        assert_eq!(lab.run(&["--output", "json", "undo", "--yes"]).expect(0).last()["run"], expected);
    }
}

#[test]
fn doctor_finds_a_broken_policy() {
    let lab = Lab::warm();
    let config = lab.home().join("config/sealbook");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("policy.toml"), "clouds = 1\n").unwrap();
    let done = lab.run(&["doctor"]).expect(2);
    assert!(
        done.stdout.contains("policy.toml can't be used") && done.stdout.contains("embedded Azure"),
        "{}",
        done.stdout
    );
}

#[test]
fn a_plugin_that_lies_beside_a_playbook_and_can_t_be_used_is_no_reason_to_take_another() {
    let lab = Lab::warm();
    let own = lab.home().join("key-vault-premium/plugins");
    std::fs::create_dir_all(&own).unwrap();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../playbooks/key-vault-premium");
    crate::support::copy(std::path::Path::new(root), own.parent().unwrap());
    let path = own.parent().unwrap().to_str().unwrap();
    lab.run(&["check", path]).expect(0);
    let file = own.join("role@0.1.wasm");
    std::fs::File::create(&file).unwrap().set_len(17 << 20).unwrap();
    let done = lab.run(&["check", path]);
    assert!(done.code != Some(0) && done.stderr.contains("role@0.1.wasm"), "{}", done.stderr);
    std::fs::remove_file(&file).unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("/etc/hostname", &file).unwrap();
        let done = lab.run(&["check", path]);
        assert!(done.code != Some(0) && done.stderr.contains("leads out"), "{}", done.stderr);
    }
}

#[test]
fn what_was_taken_back_is_not_looked_at() {
    let lab = Lab::warm();
    lab.run(&["run", "key-vault-premium", "--yes"]).expect(0);
    assert!(lab.run(&["status"]).expect(0).stdout.contains("8 of 8 steps done"));
    lab.run(&["verify"]).expect(0);
    lab.run(&["undo", "--yes"]).expect(0);
    let done = lab.run(&["verify"]).expect(2);
    assert!(done.stderr.contains("was taken back"), "{}", done.stderr);
}

#[test]
fn a_plan_changes_nothing_and_says_what_stays() {
    let lab = Lab::warm();
    let before = lab.inventory();
    let plan = lab.run(&["plan", "cmk-storage"]).expect(0);
    for word in ["may azure:read,write", "stays", "soft-deleted", "on Azure", "resourceGroups/${rg.name}"] {
        assert!(plan.stdout.contains(word), "{word}: {}", plan.stdout);
    }
    assert!(!plan.stdout.contains("${inputs."), "a reader of the plan knows no inputs of parts: {}", plan.stdout);
    let json = lab.run(&["--output", "json", "plan", "cmk-storage"]).expect(0).json();
    assert!(json["steps"].as_array().unwrap().len() > 10);
    assert_eq!(before, lab.inventory());
    assert!(lab.cloud().requests(0).unwrap().is_empty(), "a plan asks Azure nothing");
}

#[test]
fn azure_is_refused_while_the_embedded_environment_is_set() {
    let lab = Lab::empty();
    for (name, value) in [
        ("SEALBOOK_USER", "learner@x"),
        ("HTTPS_PROXY", "http://sealbook:s@127.0.0.1:4711"),
        ("https_proxy", "http://sealbook:s@127.0.0.1:4711"),
        ("ALL_PROXY", "http://sealbook:s@localhost:4711"),
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:4711"),
    ] {
        let done = lab.run_with(&["run", "cmk-storage", "--cloud", "azure", "--yes"], &[(name, value)]).expect(2);
        assert!(done.stderr.contains("SB0405") && done.stderr.contains(name), "{}", done.stderr);
    }
}

#[test]
fn a_policy_that_forbids_is_obeyed_and_one_that_is_broken_stops_everything() {
    let lab = Lab::warm();
    let config = lab.home().join("config/sealbook");
    std::fs::create_dir_all(&config).unwrap();
    let with = |text: &str| {
        std::fs::write(config.join("policy.toml"), text).unwrap();
        lab.run(&["run", "cmk-storage", "--yes"])
    };
    let done = with("version = 1\nclouds = [\"azure\"]\n").expect(11);
    assert!(done.stderr.contains("SB0203"), "{}", done.stderr);
    let done = with("version = 1\nclouds = [").expect(2);
    assert!(done.stderr.contains("SB0205"), "{}", done.stderr);
}

#[test]
fn a_closed_pipe_is_no_error_and_json_stays_clean() {
    let lab = Lab::warm();
    let list = lab.run(&["--output", "json", "list"]).expect(0);
    assert!(list.stderr.is_empty(), "{}", list.stderr);
    let mut child = lab
        .command(&["explain"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_transcript_in_plain_mode_reads_from_top_to_bottom() {
    let lab = Lab::warm();
    let done = lab.run(&["run", "key-vault-premium", "--yes"]).expect(0);
    assert!(done.stdout.is_empty(), "a run's story goes to stderr");
    assert!(!done.stderr.contains('\u{1b}'), "no control sequences in a pipe");
    let position = |word: &str| done.stderr.find(word).unwrap_or_else(|| panic!("{word} is missing:\n{}", done.stderr));
    let after = |word: &str| position("  will") + done.stderr[position("  will")..].find(word).unwrap();
    assert!(position("Step 1 of ") < position("  ok") && position("  ok") < position("Step 2 of "));
    assert!(position("Step 2 of ") < position("  will") && after("  ok") < position("Step 3 of "));
    assert!(done.stderr.trim_end().lines().last().unwrap().trim().starts_with("sealbook undo "));
}

#[test]
fn the_published_schemas_are_the_ones_that_are_enforced() {
    let lab = Lab::empty();
    for what in ["playbook", "part"] {
        let path = format!("{}/../../docs/schema/{what}-1.json", env!("CARGO_MANIFEST_DIR"));
        let published = std::fs::read_to_string(&path).unwrap_or_default();
        let enforced = lab.run(&["schema", what]).expect(0).stdout;
        assert!(
            published == enforced,
            "docs/schema/{what}-1.json is out of date: sealbook schema {what} > docs/schema/{what}-1.json"
        );
    }
}

#[test]
fn the_playbook_in_the_readme_runs() {
    let lab = Lab::warm();
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();
    let playbook = readme.split("```toml\n").nth(1).unwrap().split("\n```").next().unwrap();
    let folder = lab.home().join("my-lab");
    std::fs::create_dir_all(folder.join("texts")).unwrap();
    std::fs::write(folder.join("playbook.toml"), playbook).unwrap();
    let text = readme.split("```markdown\n").nth(1).unwrap().split("\n```").next().unwrap();
    std::fs::write(folder.join("texts/group.md"), text).unwrap();
    let path = folder.to_str().unwrap();
    lab.run(&["check", path]).expect(0);
    lab.run(&["run", path, "--yes"]).expect(0);
    lab.run(&["undo", "--yes"]).expect(0);
}
