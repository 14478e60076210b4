//! Processes of this machine, as Linux tells of them.

#![allow(dead_code, reason = "every test binary uses another part of it")]

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

/// Waits for something that happens elsewhere.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// Parent, group and whether it still runs, out of `/proc/PID/stat` (proc_pid_stat(5)).
pub fn stat(pid: u32) -> Option<(u32, u32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    if fields.next()? == "Z" {
        return None;
    }
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Its children that run.
pub fn children(parent: u32) -> Vec<u32> {
    let names = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name());
    let pids = names.filter_map(|name| name.to_str()?.parse().ok());
    pids.filter(|pid| stat(*pid).is_some_and(|(of, _)| of == parent)).collect()
}

/// Kills it (SIGKILL).
pub fn kill(pid: u32) {
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
}

/// Waits for its end.
#[track_caller]
pub fn gone(pid: u32) {
    until("the process' end", || stat(pid).is_none().then_some(()));
}
