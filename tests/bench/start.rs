//! The binary: from its start to the start of the first step in a home that has run the lab before, and its size.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::{at_most, figure, millis};

pub fn bench() {
    let binary = env!("CARGO_BIN_EXE_sealbook");
    let folder = tempfile::tempdir().unwrap();
    let run = || {
        let mut command = Command::new(binary);
        command.args(["--output", "json", "run", "key-vault-premium", "--yes"]).env("SEALBOOK_HOME", folder.path());
        command.env("XDG_CONFIG_HOME", folder.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let begun = Instant::now();
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.find(|line| line.as_ref().is_ok_and(|l| l.contains("\"step-started\"")));
        assert!(first.is_some(), "no step was started");
        let took = millis(begun.elapsed());
        lines.for_each(drop);
        assert!(child.wait().unwrap().success());
        took
    };
    figure("start of the binary to its first step, cold home", format!("{:.0} ms", run()));
    let mut warm: Vec<f64> = (0..7).map(|_| run()).collect();
    warm.sort_by(f64::total_cmp);
    at_most("start of the binary to its first step, warm home", warm[3], 100.0, "ms");
    let size = std::fs::metadata(binary).unwrap().len();
    figure("size of the binary", format!("{:.1} MiB", size as f64 / (1 << 20) as f64));
}
