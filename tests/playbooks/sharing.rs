//! Several processes on one home: each ends well, or is refused by name.

use std::process::Stdio;
use std::time::Duration;

use crate::support::Lab;

#[test]
fn two_runs_at_once_on_one_home_both_succeed() {
    let lab = Lab::warm();
    let start = || {
        lab.command(&["--output", "json", "run", "cmk-storage", "--yes"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let both = [start(), start()];
    for child in both {
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let accounts = lab.inventory().iter().filter(|i| i.kind == "Microsoft.Storage/storageAccounts").count();
    assert_eq!(accounts, 2);
}

#[test]
fn a_second_resume_names_the_first() {
    let lab = Lab::warm();
    lab.cloud().set_role_delay(Duration::from_secs(3600)).unwrap();
    // The first one waits for a role that does not come.
    let mut first = lab
        .command(&["--output", "json", "run", "cmk-storage", "--yes"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(first.stdout.take().unwrap()));
    let waiting = lines.by_ref().map(Result::unwrap).find(|l| l.contains("\"waiting\""));
    assert!(waiting.is_some(), "the run never waited for its role");
    for command in ["resume", "undo"] {
        let second = lab.run(&[command, "--yes"]).expect(2);
        assert!(
            second.stderr.contains("SB0505") && second.stderr.contains(&first.id().to_string()),
            "{command}: {}",
            second.stderr
        );
    }
    // Ctrl-C in the middle of the wait: a checkpoint, and exit 130.
    let interrupt = std::process::Command::new("kill").args(["-INT", &first.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    lines.for_each(drop);
    assert_eq!(first.wait().unwrap().code(), Some(130));
    lab.cloud().set_role_delay(Duration::ZERO).unwrap();
    lab.run(&["resume", "--yes"]).expect(0);
}

#[test]
fn a_run_outlives_the_server_it_was_attached_to() {
    let lab = Lab::warm();
    lab.cloud().set_role_delay(Duration::from_secs(3600)).unwrap();
    let mut server = lab.serve();
    let mut run = lab
        .command(&["--output", "json", "run", "cmk-storage", "--yes"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(run.stdout.take().unwrap()));
    assert!(lines.by_ref().map(Result::unwrap).any(|l| l.contains("\"waiting\"")));
    server.kill();
    lab.cloud().set_role_delay(Duration::ZERO).unwrap();
    lines.for_each(drop);
    assert!(run.wait().unwrap().success());
}

#[test]
fn a_second_server_is_refused_by_name() {
    let lab = Lab::warm();
    let _first = lab.serve();
    let second = lab.run(&["cloud", "serve"]).expect(2);
    assert!(second.stderr.contains("SB0604"), "{}", second.stderr);
}
