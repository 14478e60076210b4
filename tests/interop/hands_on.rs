//! `run --hands-on` at a pseudo-terminal: what the playbook tells the learner to type is typed, to the letter, into the
//! real Azure CLI in a shell under `cloud exec`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use rexpect::session::{Options, PtySession, spawn_with_options};

use crate::support::{Lab, az, consent, playbooks};

/// How long the playbook may stay silent.
const SILENCE: u64 = 300_000;

/// How long a learner tries again while a role of his is on its way.
const PATIENCE: Duration = Duration::from_secs(60);

/// What services say meanwhile.
const NOT_YET: &[&str] = &["Forbidden", "AuthorizationPermissionMismatch", "required permissions", "PrincipalNotFound"];

/// Where the text begins beside the labels in the margin.
const MARGIN: &str = "          ";

/// Says that a command has ended, and how.
const ENDED: &str = "-- ended: ";

/// The learner's shell, the one that the terminal tells him to open.
struct Desk {
    shell: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Desk {
    fn new(lab: &Lab, az: &str) -> Self {
        let folder = lab.home().join("desk");
        fs::create_dir(&folder).unwrap();
        let tools = Path::new(az).parent().unwrap();
        let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
        let mut shell = lab
            .command(&["cloud", "exec", "--", "sh"])
            .env("PATH", path)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (shell.stdin.take().unwrap(), BufReader::new(shell.stdout.take().unwrap()));
        let mut desk = Self { shell, stdin, stdout };
        desk.types("az login -u \"$SEALBOOK_USER\" -p \"$SEALBOOK_PASSWORD\"");
        desk
    }

    /// Types commands. They must work, in the end; `az` takes its time to start, so that is the pace.
    fn types(&mut self, text: &str) {
        let started = Instant::now();
        loop {
            let (worked, said) = self.tries(text);
            if worked {
                return;
            }
            let soon = NOT_YET.iter().any(|sign| said.contains(sign)) && started.elapsed() < PATIENCE;
            assert!(soon, "{text}\n{said}");
        }
    }

    /// Types commands once: whether all of them worked, and what they said.
    fn tries(&mut self, text: &str) -> (bool, String) {
        writeln!(self.stdin, "(\nset -e\n{text}\n) </dev/null 2>&1\necho \"\n{ENDED}$?\"").unwrap();
        let mut said = String::new();
        loop {
            let mut line = String::new();
            let read = self.stdout.read_line(&mut line).unwrap();
            assert!(read > 0, "the shell has ended: {text}\n{said}");
            match line.strip_prefix(ENDED) {
                Some(code) => return (code.trim() == "0", said),
                None => said.push_str(&line),
            }
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // It ends with its input.
        let _ = self.stdin.write_all(b"exit\n");
        let _ = self.shell.wait();
    }
}

/// The commands that the terminal shows under `try`.
fn shown(said: &str) -> String {
    let turn = said.rfind("Your turn: ").map_or("", |at| &said[at..]);
    let lines = turn.lines().skip_while(|line| !line.starts_with("  try "));
    let lines = lines.take_while(|line| !line.starts_with("  where "));
    lines.map(|line| line.get(MARGIN.len()..).unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// What the learner says beforehand: what to store is a secret, which the playbook does not repeat to him. He means what
/// it shows in its place.
fn own_words(lab: &Lab, playbook: &str) -> Option<[String; 2]> {
    let note = lab.home().join("desk/note");
    (playbook == "cmk-storage").then(|| {
        fs::write(&note, "your note").unwrap();
        ["--set-file".into(), format!("note={}", note.display())]
    })
}

/// Runs a playbook hands-on; returns at how many steps it was the learner's turn.
fn by_hand(lab: &Lab, playbook: &str, az: &str) -> usize {
    let mut desk = Desk::new(lab, az);
    let start = ["--ui", "plain", "run", playbook, "--hands-on"];
    let mut command = lab.command(&[&start, consent(playbook)].concat());
    command.args(own_words(lab, playbook).into_iter().flatten()).stdin(Stdio::inherit());
    let options = Options::new().timeout_ms(Some(SILENCE)).strip_ansi_escape_codes(true);
    let mut terminal: PtySession = spawn_with_options(command, options).unwrap();
    let (mut turns, mut done) = (0, false);
    loop {
        let what = r"\[done\] |Number\?( \[\d+\])? |Go on\? \[Y/n\] |Start\? \[Y/n\] |Run [a-z2-7]{6} (succeeded|failed|interrupted)";
        let (said, prompt) = terminal.exp_regex(what).unwrap_or_else(|e| panic!("{playbook}: {e}"));
        match prompt.split(' ').next().unwrap() {
            "[done]" => {
                assert!(said.contains("Your turn: "), "{playbook}: judged as not done\n{said}");
                let commands = shown(&said);
                assert!(!commands.is_empty(), "{playbook}: nothing to type\n{said}");
                println!("{playbook}: {}", commands.replace('\n', "\n    "));
                desk.types(&commands);
                turns += 1;
                terminal.send_line("done").unwrap();
            }
            // Of a quiz, the first answer; of a choice, what it proposes.
            "Number?" => drop(terminal.send_line(if prompt.contains('[') { "" } else { "1" }).unwrap()),
            "Go" | "Start?" => drop(terminal.send_line("y").unwrap()),
            _ => {
                done = prompt.ends_with("succeeded");
                assert!(done, "{playbook}\n{said}{prompt}\n{}", terminal.exp_eof().unwrap_or_default());
            }
        }
        if done {
            break;
        }
    }
    terminal.exp_eof().unwrap();
    turns
}

/// All playbooks on demand, in minutes; of each change, the shortest.
#[test]
fn what_playbooks_tell_the_learner_to_type_is_what_they_look_for() {
    let Some(az) = az() else { return };
    for playbook in playbooks("key-vault-premium") {
        let lab = Lab::warm();
        let started = Instant::now();
        let turns = by_hand(&lab, &playbook, &az);
        let log = lab.run(&["--output", "json", "log"]).expect(0).stdout;
        assert_eq!(log.matches("\"by_learner\":true").count(), turns, "{playbook}");
        lab.run(&["verify"]).expect(0);
        lab.run(&["undo", "--yes"]).expect(0);
        println!("{playbook}: {turns} steps by hand, {:.0} s", started.elapsed().as_secs_f32());
    }
}
