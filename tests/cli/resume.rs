//! What a resumed run keeps, and what it says of a playbook that was edited meanwhile.

use std::fs;

use rexpect::session::{Options, spawn_with_options};

use crate::support::{Lab, copy, repository};

/// A run that nobody was to be asked in, dead after its second effect.
fn killed() -> Lab {
    let lab = Lab::warm();
    lab.cloud().set_role_delay(std::time::Duration::ZERO).unwrap();
    let dead = lab
        .run_with(&["run", "key-vault-premium", "--yes"], &[("SEALBOOK_CRASH_AT", "before-record:effect-completed:2")]);
    assert_eq!(dead.code, None, "{}", dead.stderr);
    lab
}

fn at_terminal(lab: &Lab, args: &[&str]) -> rexpect::session::PtySession {
    let mut command = lab.command(args);
    command.stdin(std::process::Stdio::inherit());
    spawn_with_options(command, Options::new().timeout_ms(Some(120_000)).strip_ansi_escape_codes(true)).unwrap()
}

#[test]
fn a_run_that_was_to_ask_nobody_asks_nobody_when_it_is_resumed() {
    let lab = killed();
    let said = at_terminal(&lab, &["--ui", "plain", "resume"]).exp_eof().unwrap();
    assert!(said.contains("succeeded."), "{said}");
    assert!(!said.contains("Number?") && !said.contains("Go on?"), "{said}");
}

#[test]
fn a_resume_that_is_told_to_ask_asks() {
    let lab = killed();
    let mut terminal = at_terminal(&lab, &["--ui", "plain", "resume", "--ask"]);
    loop {
        let (_, prompt) = terminal.exp_regex(r"Number\?|Go on\?|Run [a-z2-7]{6} (succeeded|failed)").unwrap();
        match prompt.as_str() {
            "Number?" => terminal.send_line("1").map(drop).unwrap(),
            "Go on?" => {
                terminal.send_line("y").unwrap();
                terminal.exp_regex("succeeded").unwrap();
                break;
            }
            end => panic!("it asked nothing: {end}"),
        }
    }
    terminal.exp_eof().unwrap();
}

#[test]
fn an_edited_playbook_is_named_and_the_run_goes_on_with_what_it_began_with() {
    let lab = Lab::warm();
    lab.cloud().set_role_delay(std::time::Duration::ZERO).unwrap();
    let own = lab.home().join("own");
    for folder in ["key-vault-premium", "parts"] {
        copy(&repository("playbooks").join(folder), &own.join(folder));
    }
    let path = own.join("key-vault-premium");
    let run = ["run", path.to_str().unwrap(), "--yes"];
    let dead = lab.run_with(&run, &[("SEALBOOK_CRASH_AT", "before-record:effect-completed:2")]);
    assert_eq!(dead.code, None, "{}", dead.stderr);
    // The last two steps change places, and a text says something else.
    let file = path.join("playbook.toml");
    let text = fs::read_to_string(&file).unwrap();
    let mut steps: Vec<&str> = text.split("[[step]]\n").collect();
    let last = steps.len() - 1;
    steps.swap(last - 1, last);
    fs::write(&file, steps.join("\n[[step]]\n")).unwrap();
    let story = path.join("texts/proof.md");
    fs::write(&story, fs::read_to_string(&story).unwrap() + "More.\n").unwrap();

    let copied = lab.copy();
    let first = copied.run(&["--output", "json", "resume"]).expect(0).events().remove(0);
    // The copy has another home, and the playbook is where it was.
    assert_eq!(first["event"], "playbook-changed", "{first}");
    let said = lab.run(&["resume"]).expect(0).stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    for word in [
        "come in another order: preflight, rg, key_store, key, harden, proof",
        "texts/proof.md says",
        "goes on with what it began",
    ] {
        assert!(said.contains(word), "{word} is not in {said}");
    }
    let order = |word: &str| said.rfind(word).unwrap();
    assert!(order(" proof:") < order(" harden:"), "it goes on as it began: {said}");
    // What did not change is not mentioned.
    lab.run(&["run", path.to_str().unwrap(), "--yes"]);
    assert!(!lab.run(&["resume"]).stderr.contains("is not what it was"));
}
