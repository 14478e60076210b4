//! The published labs' client side in Python, against a machine of the embedded Azure, both ways.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Done, Lab, python, repository};
use crate::{count, judged};

const PROVIDER: &str = "https://sharedweu.weu.attest.azure.net";

/// What the lab's playbook made: a confidential machine, a key that is released to it, a container.
struct Made {
    lab: Lab,
    vm: String,
    key: String,
    container: String,
}

impl Made {
    fn new() -> Self {
        let lab = Lab::warm();
        let playbook = repository("tests/playbooks/guest");
        let run = lab.run(&["--output", "json", "run", playbook.to_str().unwrap(), "--yes"]).expect(0).last();
        let text = |path: &str| run["outputs"].pointer(path).and_then(Value::as_str).unwrap().to_owned();
        let container = format!("{}guest", text("/account/blob_uri"));
        Self { vm: text("/vm/id"), key: text("/kek/uri"), container, lab }
    }

    /// Runs a command inside the machine.
    fn inside(&self, command: &[&str]) -> Done {
        self.lab.run(&[&["cloud", "exec", "--machine", &self.vm, "--"], command].concat()).expect(0)
    }

    /// `sealbook guest` inside the machine.
    fn guest(&self, verb: &str, more: &[&str]) -> Done {
        let guest = [env!("CARGO_BIN_EXE_sealbook"), "guest", verb, "--attest-url", PROVIDER];
        self.inside(&[&guest, more].concat())
    }
}

#[test]
fn the_labs_client_and_the_machine_open_what_the_other_sealed() {
    let Some(python) = python() else { return };
    let made = Made::new();
    let folder = made.lab.home().join("labs");
    fs::create_dir(&folder).unwrap();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    let data: Vec<u8> = (0..70_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(folder.join("data"), &data).unwrap();
    let scene = [folder.to_str().unwrap(), &made.key, &made.container];

    // Sealed by the labs' client, opened with what the machine gets released.
    judged(&made.lab, "learner", &python, "labs.py", &[&["seal"], &scene[..]].concat());
    assert_eq!(read("confidentialData.enc").len(), 12 + data.len() + 16);
    let key = ["--kid", &made.key];
    made.guest(
        "release",
        &[&key[..], &["--unwrap", &path("confidentialData.key"), "--out", &path("unwrapped")]].concat(),
    );
    assert_eq!(read("unwrapped"), read("dek"));
    made.guest("release", &[&key[..], &["--out", &path("kek.pem")]].concat());
    let open = |out: &str, more: &[&str]| {
        let open = ["open", &path("confidentialData.enc"), "--layout", "labs", "--out", &path(out)];
        made.lab.run(&[&open[..], more].concat()).expect(0);
        assert_eq!(read(out), data, "{out}");
    };
    open("by-dek", &["--key", &path("unwrapped")]);
    open("by-kek", &["--kek", &path("kek.pem"), "--wrapped", &path("confidentialData.key")]);

    // And by the component that opens files inside the machine; another seals for the labs' client.
    let playbook = repository("tests/interop/labs");
    let digest = hex::encode(sealbook_crypto::sha256(&data));
    let sets = [
        ("vm", &made.vm),
        ("container", &made.container),
        ("key", &made.key),
        ("provider", &PROVIDER.to_owned()),
        ("sha256", &digest),
    ]
    .map(|(name, value)| format!("{name}={value}"));
    let mut run = vec!["--output", "json", "run", playbook.to_str().unwrap(), "--yes"];
    run.extend(sets.iter().flat_map(|set| ["--set", set]));
    let run = made.lab.run(&run).expect(0).last();
    fs::write(folder.join("run.sha256"), run["outputs"]["dataset"]["sha256"].as_str().unwrap()).unwrap();

    let seal = ["seal", &path("data"), "--layout", "labs", "--out", &path("ours.enc")];
    made.lab.run(&[&seal[..], &["--kek", &path("kek.pub"), "--wrapped", &path("ours.key")]].concat()).expect(0);
    let said = judged(&made.lab, "learner", &python, "labs.py", &[&["open"], &scene[..]].concat());
    assert_eq!(said.lines().filter(|line| line.starts_with("ok ")).count(), 2, "{said}");
}

#[test]
fn a_released_key_opens_by_the_official_sdk_and_the_machines_tpm() {
    let Some(python) = python() else { return };
    let made = Made::new();
    let evidence = made.lab.home().join("evidence.json");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    made.guest("attest", &["--out", &text(&evidence)]);
    let script = text(&repository("tests/interop/released_in_vm.py"));
    let said = made.inside(&[&python, &script, &text(&evidence), &made.key]).stdout;
    assert_eq!(count(&said, " releases"), 3, "{said}");
}
