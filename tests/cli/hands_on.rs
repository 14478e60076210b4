//! `run --hands-on` at a pseudo-terminal: the learner's part is done by the official Python SDK through `cloud exec`.

use std::path::Path;

use rexpect::session::{Options, spawn_with_options};

use crate::support::{Lab, python};

#[test]
fn a_learner_does_steps_by_hand_and_is_judged() {
    let Some(python) = python() else { return };
    let lab = Lab::warm();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop/by_hand.py");
    let by_sdk = |step: &str, target: &str| {
        let done = lab.run(&["cloud", "exec", "--", &python, script.to_str().unwrap(), step, target]);
        assert_eq!(done.code, Some(0), "{step}:\n{}\n{}", done.stdout, done.stderr);
    };

    let mut command = lab.command(&[
        "--ui",
        "plain",
        "run",
        "cmk-storage",
        "--hands-on",
        "--set",
        "suffix=byhand",
        "--set",
        "key_store=vault",
    ]);
    command.stdin(std::process::Stdio::inherit());
    let mut terminal =
        spawn_with_options(command, Options::new().timeout_ms(Some(120_000)).strip_ansi_escape_codes(true)).unwrap();
    terminal.exp_string("Start?").unwrap();
    terminal.send_line("y").unwrap();
    let (mut turns, mut judged) = (0, false);
    loop {
        let (before, prompt) =
            terminal.exp_regex(r"\[done\]|Number\?|Go on\?|Run [a-z2-7]{6} (succeeded|failed|interrupted)").unwrap();
        match prompt.as_str() {
            "[done]" => {
                turns += 1;
                if before.contains("keys/cmk-lab-storage") && before.contains("keyvault key create") {
                    if !judged {
                        // Saying "done" without having done it is noticed.
                        terminal.send_line("done").unwrap();
                        terminal.exp_string("not yet").unwrap();
                        terminal.exp_string("[done]").unwrap();
                        terminal.send_line("hint").unwrap();
                        terminal.exp_string("hint").unwrap();
                        terminal.exp_string("[done]").unwrap();
                        judged = true;
                    }
                    by_sdk("key", "https://cmk-lab-byhand.vault.azure.net/keys/cmk-lab-storage");
                    terminal.send_line("done").unwrap();
                } else {
                    terminal.send_line("do").unwrap();
                }
            }
            "Number?" => terminal.send_line("1").map(drop).unwrap(),
            "Go on?" => terminal.send_line("y").map(drop).unwrap(),
            end => {
                assert!(end.ends_with("succeeded"), "{before}{end}");
                break;
            }
        }
    }
    assert!(judged && turns > 3, "{turns} turns");
    terminal.exp_eof().unwrap();
    let status = format!("{:?}", terminal.process().wait().unwrap());
    assert!(status.starts_with("Exited") && status.ends_with("0)"), "{status}");
    let state = lab.run(&["--output", "json", "log"]).expect(0);
    assert!(state.stdout.contains("\"by_learner\":true") && state.stdout.contains("\"by_learner\":false"));
    // What the learner made by hand is the learner's: undo goes through all the same.
    lab.run(&["undo", "--yes"]).expect(0);
}
