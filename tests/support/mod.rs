//! A laboratory for tests: homes of their own, the real binary in a cleared environment, and a look into the embedded
//! Azure.

#![allow(dead_code, reason = "every test binary uses another part of it")]

#[cfg(target_os = "linux")]
pub mod processes;
mod shared;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use sealbook_cloud::{Cloud, CloudConfig, Item};
use serde_json::Value;
use tempfile::TempDir;

#[allow(unused_imports, reason = "every test binary uses another part of it")]
pub use shared::{repository, shared, skipped};

/// A home folder that goes away with the test.
pub struct Lab {
    dir: TempDir,
}

/// What a playbook's run needs besides `--yes`: what costs by the hour wants its own words, typed.
pub fn consent(playbook: &str) -> &'static [&'static str] {
    match playbook {
        "managed-hsm" => &["--confirm", "3.20 USD an hour for each of two until they are purged"],
        _ => &[],
    }
}

/// What a command did.
pub struct Done {
    /// Exit code; none when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Demands an exit code, and shows everything otherwise.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }

    /// The JSON documents of stdout, one a line.
    pub fn events(&self) -> Vec<Value> {
        self.stdout.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
    }

    /// The last event.
    pub fn last(&self) -> Value {
        self.events().pop().expect("an event")
    }

    /// stdout as one JSON document.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.stdout))
    }
}

impl Lab {
    /// An empty home.
    pub fn empty() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// A copy of a home in which the plugins are compiled already: what a second run meets.
    pub fn warm() -> Self {
        static WARM: OnceLock<Lab> = OnceLock::new();
        let warm = WARM.get_or_init(|| {
            let lab = Lab::empty();
            lab.run(&["doctor"]).expect(0);
            lab
        });
        warm.copy()
    }

    /// A copy of this home.
    pub fn copy(&self) -> Self {
        let lab = Self::empty();
        copy(self.home(), lab.home());
        lab
    }

    pub fn home(&self) -> &Path {
        self.dir.path()
    }

    /// The binary in a cleared environment with this home.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealbook"));
        command
            .args(args)
            .env_clear()
            .env("SEALBOOK_HOME", self.home())
            .env("HOME", self.home())
            .env("XDG_CONFIG_HOME", self.home().join("config"));
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub fn run(&self, args: &[&str]) -> Done {
        Done::of(self.command(args).output().unwrap())
    }

    /// Runs it in a folder.
    pub fn run_in(&self, folder: &Path, args: &[&str]) -> Done {
        Done::of(self.command(args).current_dir(folder).output().unwrap())
    }

    /// Runs it with more environment.
    pub fn run_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Done {
        Done::of(self.command(args).envs(variables.iter().copied()).output().unwrap())
    }

    /// Starts it, and kills it (SIGKILL) after `delay` unless it ends before. True: it was killed.
    pub fn kill_after(&self, args: &[&str], delay: Duration) -> bool {
        let mut child = self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let pid = child.id();
        let (ended, wait) = channel();
        let waiter = std::thread::spawn(move || {
            let status = child.wait().unwrap();
            // Nobody listens any more when the child was killed.
            let _ = ended.send(());
            status
        });
        let killed = wait.recv_timeout(delay) == Err(RecvTimeoutError::Timeout);
        if killed {
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status();
        }
        let status = waiter.join().unwrap();
        killed && status.code().is_none()
    }

    /// Starts `cloud serve` and waits until it listens.
    pub fn serve(&self) -> Served {
        let mut child = self
            .command(&["--output", "json", "cloud", "serve"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("serving"), "cloud serve said: {line}");
        Served { child }
    }

    /// The embedded Azure of this home, opened by this process too.
    pub fn cloud(&self) -> Cloud {
        Cloud::open(CloudConfig::new(self.home().join("cloud"))).unwrap()
    }

    /// What exists in the embedded Azure, sorted.
    pub fn inventory(&self) -> Vec<Item> {
        let mut items = self.cloud().inventory().unwrap();
        items.sort();
        items
    }
}

/// A running `cloud serve`; killed when dropped.
pub struct Served {
    child: Child,
}

impl Served {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Does the work for each of these at once: runs mostly wait for Azure. Panics when one did.
pub fn at_once<T: Sync>(all: &[T], work: impl Fn(&T) + Sync) {
    std::thread::scope(|scope| {
        let work = &work;
        let each: Vec<_> = all.iter().map(|one| scope.spawn(move || work(one))).collect();
        for one in each {
            one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
}

/// Counts by kind.
pub fn census(items: &[Item]) -> BTreeMap<String, usize> {
    let mut census = BTreeMap::new();
    for item in items {
        *census.entry(item.kind.clone()).or_default() += 1;
    }
    census
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target: PathBuf = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
            fs::set_permissions(&target, fs::metadata(entry.path()).unwrap().permissions()).unwrap();
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// The Python that has the official SDKs.
pub fn python() -> Option<String> {
    shared::python("azure.identity, azure.keyvault.keys, azure.storage.blob, azure.mgmt.keyvault, jsonschema")
}

/// The Azure CLI: `SEALBOOK_AZ`, else `az`.
pub fn az() -> Option<String> {
    let az = std::env::var("SEALBOOK_AZ").unwrap_or_else(|_| "az".into());
    if Command::new(&az).arg("version").output().is_ok_and(|o| o.status.success()) {
        return Some(az);
    }
    skipped(&format!("{az} is no Azure CLI: pip install -r tests/interop/az_requirements.txt"))
}

/// The playbooks that a test with the Azure CLI takes: with `SEALBOOK_LABS=full` all, or those that `SEALBOOK_LABS`
/// names (with commas), else `usual` alone. Each takes a minute or more. With `full`, those are left out whose steps run
/// inside a confidential VM: no person does these.
pub fn playbooks(usual: &str) -> Vec<String> {
    match std::env::var("SEALBOOK_LABS").as_deref() {
        Ok("full") => {
            let lab = Lab::warm();
            let listed = lab.run(&["--output", "json", "list"]).expect(0).json();
            let ids = listed.as_array().unwrap().iter().filter_map(|p| p["id"].as_str().map(str::to_owned));
            let by_a_person = |id: &String| {
                let plan = lab.run(&["--output", "json", "plan", id]).expect(0).json();
                plan["steps"].as_array().unwrap().iter().all(|step| step["guest"].is_null())
            };
            let (taken, left): (Vec<_>, Vec<_>) = ids.partition(by_a_person);
            println!("left out, for their steps inside a machine: {}", left.join(", "));
            taken
        }
        Ok(named) if !named.is_empty() => named.split(',').map(str::to_owned).collect(),
        _ => vec![usual.to_owned()],
    }
}
