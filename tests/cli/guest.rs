//! `sealbook guest` by itself: inside a confidential machine a key is released and unwraps what was wrapped for it;
//! anywhere else it says why not. And the script that run-command runs on a machine of Azure, in a folder of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealbook_crypto::SigningKey;
use sealbook_crypto::rsa::{Padding, RsaKey};
use sealbook_crypto::sha256;
use sealbook_engine::guest::SCRIPT;
use sealbook_engine::guest::protocol::{Job, Reply, Signed, VERSION};
use serde_json::{Value, json};

use crate::support::{Done, Lab, repository, skipped};

const PROVIDER: &str = "https://sharedweu.weu.attest.azure.net";

/// A home in which a playbook made a confidential machine, and a key that is released to it.
struct Site {
    lab: Lab,
    vm: String,
    kid: String,
    mailbox: String,
}

impl Site {
    fn new() -> Self {
        Self::of(Lab::warm())
    }

    fn of(lab: Lab) -> Self {
        let playbook = repository("tests/playbooks/guest");
        let run = lab.run(&["--output", "json", "run", playbook.to_str().unwrap(), "--yes"]).expect(0).last();
        let text = |path: &str| run["outputs"].pointer(path).and_then(Value::as_str).unwrap().to_owned();
        let mailbox = format!("{}guest/again", text("/account/blob_uri"));
        Self { vm: text("/vm/id"), kid: text("/kek/uri"), mailbox, lab }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.lab.home().join(name)
    }

    /// Runs the program inside the machine.
    fn inside(&self, args: &[&str]) -> Done {
        let binary = env!("CARGO_BIN_EXE_sealbook");
        self.lab.run(&[&["cloud", "exec", "--machine", &self.vm, "--", binary], args].concat())
    }

    /// `guest release` of the key, with more arguments.
    fn release(&self, more: &[&str]) -> Done {
        self.inside(&[&["guest", "release", "--attest-url", PROVIDER, "--kid", &self.kid], more].concat())
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A private key out of a PEM file.
fn pair(path: &Path) -> RsaKey {
    let pem = fs::read_to_string(path).unwrap();
    let body: String = pem.lines().filter(|row| !row.starts_with('-')).collect();
    RsaKey::from_pkcs8(&STANDARD.decode(body).unwrap()).unwrap()
}

#[test]
fn a_machine_alone_gets_its_key_and_anybody_else_a_reason() {
    let site = Site::new();
    let secret_free = |done: &Done, key: &RsaKey| {
        let document = STANDARD.encode(key.to_pkcs8().expose());
        let told = format!("{}{}", done.stdout, done.stderr).replace('\n', "");
        assert!(!told.contains(&document[64..128]), "the key was told");
    };

    // The key itself, where it was asked for, and nowhere else.
    let pem = site.path("released.pem");
    let done = site.release(&["--out", text(&pem)]).expect(0);
    for said in
        ["token.signature", "token.nonce", "release.chain", "release.host", "release.nonce", "azure-compliant-cvm"]
    {
        assert!(done.stdout.contains(said), "{said}: {}", done.stdout);
    }
    assert!(done.stderr.contains("warning") && done.stderr.contains("test roots"), "{}", done.stderr);
    assert_eq!(mode(&pem), 0o600);
    let key = pair(&pem);
    secret_free(&done, &key);
    let again = site.release(&["--out", text(&pem)]).expect(2);
    assert!(again.stderr.contains("SB0708"), "{}", again.stderr);

    // What was wrapped for it, raw and in Base64; without --out nothing is written.
    let dek = sealbook_crypto::random::<32>();
    let wrapped = key.public().encrypt(Padding::OaepSha256, &dek).unwrap();
    for (name, bytes) in [("raw", wrapped.clone()), ("base64", format!("{}\n", STANDARD.encode(&wrapped)).into_bytes())]
    {
        let (file, out) = (site.path(name), site.path(&format!("{name}.key")));
        fs::write(&file, bytes).unwrap();
        let done = site.release(&["--unwrap", text(&file), "--out", text(&out), "--output", "json"]).expect(0);
        let said = done.json();
        assert_eq!((&said["verified"], &said["unwrapped"]["bytes"]), (&json!(true), &json!(32)), "{name}");
        assert_eq!(said["policy"]["released"], true);
        assert_eq!((fs::read(&out).unwrap(), mode(&out)), (dek.to_vec(), 0o600), "{name}");
        secret_free(&done, &key);
        assert!(!done.stdout.contains(&STANDARD.encode(dek)) && !done.stdout.contains(&hex::encode(dek)));
    }
    site.release(&["--unwrap", text(&site.path("raw"))]).expect(0);
    let foreign = site.path("foreign");
    fs::write(&foreign, [7; 256]).unwrap();
    let refused = site.release(&["--unwrap", text(&foreign), "--out", text(&site.path("none"))]).expect(21);
    assert!(refused.stderr.contains("SB0802") && !site.path("none").exists(), "{}", refused.stderr);
    fs::write(&foreign, [7; 255]).unwrap();
    assert!(site.release(&["--unwrap", text(&foreign)]).expect(2).stderr.contains("SB0804"));

    // Another provider's token is not what the policy asks for, and the clause is named.
    let elsewhere = site
        .inside(&["guest", "release", "--attest-url", "https://sharedneu.neu.attest.azure.net", "--kid", &site.kid])
        .expect(21);
    assert!(elsewhere.stderr.contains("SB0903") && elsewhere.stderr.contains("sharedneu"), "{}", elsewhere.stderr);
    let nowhere = site.inside(&["guest", "release", "--attest-url", "https://evil.example", "--kid", &site.kid]);
    assert!(nowhere.expect(20).stderr.contains("InvalidProviderUri"));
    assert!(site.release(&["--nonce", &"n".repeat(65)]).expect(2).stderr.contains("SB0701"));

    // Outside there is nothing to attest; beside the machine, in the embedded Azure, one is told the way in.
    let attest = ["guest", "attest", "--attest-url", PROVIDER];
    assert!(site.lab.run(&attest).expect(2).stderr.contains("SB0524"));
    let binary = env!("CARGO_BIN_EXE_sealbook");
    let beside = site.lab.run(&[&["cloud", "exec", "--", binary][..], &attest].concat()).expect(2);
    assert!(beside.stderr.contains("SB0405") && beside.stderr.contains("--machine"), "{}", beside.stderr);
    site.lab.run(&["cloud", "exec", "--machine", &site.vm.replace("cvm", "none"), "--", "true"]).expect(2);
}

#[test]
fn a_machines_evidence_verifies_elsewhere() {
    // Evidence, tokens and certificates go by the wall clock, however far a lesson moved the cloud's.
    let lab = Lab::warm();
    lab.run(&["cloud", "clock", "--forward", "7d"]).expect(0);
    let site = Site::of(lab);
    let document = site.path("evidence.json");
    let attest = ["guest", "attest", "--attest-url", PROVIDER, "--nonce", "of the auditor", "--out", text(&document)];
    assert!(site.inside(&attest).expect(0).stdout.contains("token.transfer_key"));
    let roots = site.path("roots.pem");
    fs::write(&roots, site.lab.run(&["cloud", "roots"]).expect(0).stdout).unwrap();
    let nonce = hex::encode(b"of the auditor");
    let verify = ["attest", "verify", "--type", "az-snp-vtpm", text(&document), "--nonce", &nonce];
    assert!(site.lab.run(&verify).expect(21).stdout.contains("snp.root decides"));
    site.lab.run(&[&verify[..], &["--roots", text(&roots)]].concat()).expect(0);
}

/// `curl` as a machine has it: the metadata service answers at its address. In the embedded Azure, whoever is asked is the
/// proxy of `cloud exec`.
const CURL: &str = r#"#!/bin/sh
for word do
  shift
  case $word in
    http://169.254.169.254/*) word=$AZURE_POD_IDENTITY_AUTHORITY_HOST${word#http://169.254.169.254} ;;
  esac
  set -- "$@" "$word"
done
exec "$REAL_CURL" "$@"
"#;

/// What happens on the machine, from the first run-command to the last.
const DRIVER: &str = r#"
put() { curl -sSf -X PUT -H "Authorization: Bearer $(token)" -H 'x-ms-version: 2023-11-03' -H 'x-ms-blob-type: BlockBlob' --data-binary "@$1" "$2"; }
get() { curl -sS -H "Authorization: Bearer $(token)" -H 'x-ms-version: 2023-11-03' "$1"; }
token() { curl -sSf --noproxy '*' -H Metadata:true 'http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fstorage.azure.com%2F' | sed -n 's/.*"access_token" *: *"\([^"]*\)".*/\1/p'; }
run() { sh "$WORK/script" "mailbox=$1" "digest=$DIGEST" "signer=$SIGNER" || echo "failed $?"; }
# Its lock goes with it, a moment after the signal.
end() { kill -9 "$(agent)"; flock "$WORK/state/lock" true; }
agent() { sed -n 's/.*"pid":\([0-9]*\).*/\1/p' "$WORK/state/agent.json"; }

run "$MAILBOX"
put "$WORK/script" "$MAILBOX/agent/$DIGEST"
run "$MAILBOX"
put "$WORK/program" "$MAILBOX/agent/$DIGEST"
run "$MAILBOX"
run "$MAILBOX"
put "$WORK/job.json" "$MAILBOX/job.json"
n=0
until get "$MAILBOX/reply.json" | grep -q stranger; do n=$((n + 1)); [ $n -lt 300 ]; sleep 0.1; done
get "$MAILBOX/reply.json"; echo
end
run "$MAILBOX"
run "${MAILBOX}2"
end
run https://evil.example/mail/run
"#;

#[test]
fn run_command_installs_the_agent_and_leaves_it_running() {
    let curl = ["/usr/bin/curl", "/bin/curl", "/usr/local/bin/curl"].into_iter().find(|path| Path::new(path).exists());
    let Some(curl) = curl.or_else(|| skipped("there is no curl")) else { return };
    let syntax = Command::new("sh").args(["-n", "-c", &SCRIPT.join("\n")]).output().unwrap();
    assert!(syntax.status.success(), "{}", String::from_utf8_lossy(&syntax.stderr));

    let site = Site::new();
    let work = site.path("vm");
    fs::create_dir_all(work.join("bin")).unwrap();
    let executable = |path: &Path, body: &str| {
        fs::write(path, body).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let script = SCRIPT.join("\n");
    assert!(script.contains("home=/opt/sealbook/"));
    fs::write(work.join("script"), script.replace("/opt/sealbook", text(&work.join("opt")))).unwrap();
    executable(&work.join("bin/curl"), CURL);
    // In the program's place: itself, with a folder that a test may write.
    let (binary, state) = (env!("CARGO_BIN_EXE_sealbook"), work.join("state"));
    let program = format!("#!/bin/sh\nexec '{binary}' \"$@\" --state '{}'\n", text(&state));
    fs::write(work.join("program"), &program).unwrap();
    let signing = SigningKey::generate();
    let job = json!({
        "version": VERSION, "id": "j1", "agent": "of another boot", "run": "aaaaaa", "step": "a", "generation": 0,
        "component": format!("sha256:{}", "00".repeat(32)), "record": format!("sha256:{}", "00".repeat(32)), "inputs": {},
        "adopt": false, "asks": [], "grants": [], "cloud": "embedded", "export": "check",
    });
    let job: Job = serde_json::from_value(job).unwrap();
    fs::write(work.join("job.json"), serde_json::to_vec(&Signed::by(&signing, &job).unwrap()).unwrap()).unwrap();
    let path = format!("{}:{}", text(&work.join("bin")), std::env::var("PATH").unwrap());
    let variables = [
        ("PATH", path.as_str()),
        ("REAL_CURL", curl),
        ("WORK", text(&work)),
        ("MAILBOX", &site.mailbox),
        ("DIGEST", &hex::encode(sha256(program.as_bytes()))),
        ("SIGNER", &hex::encode(signing.public())),
    ];
    let done = site.lab.run_with(&["cloud", "exec", "--machine", &site.vm, "--", "sh", "-euc", DRIVER], &variables);
    let done = done.expect(0);
    let lines: Vec<&str> = done.stdout.lines().collect();
    let [missing, other, first, second, reply, third, fourth, evil] = lines[..] else {
        panic!("{lines:#?} {}", done.stderr)
    };
    assert_eq!((missing, other), (r#"{"missing":true}"#, "failed 1"));
    assert!(done.stderr.contains("not the agent that was named"), "{}", done.stderr);
    let started = |line: &str| -> Value {
        let started: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line} {}", done.stderr));
        assert_eq!(started["version"], env!("CARGO_PKG_VERSION"));
        started
    };
    let agent = |line: &str| started(line)["agent"].as_str().unwrap().to_owned();
    assert_eq!(agent(first), agent(second));
    let key = hex::decode(started(first)["key"].as_str().unwrap()).unwrap();
    let reply: Reply = Signed::open(reply.as_bytes(), &key).expect("the agent signs its replies");
    assert_eq!((reply.id.as_str(), reply.agent), ("j1", agent(first)));
    assert!(agent(third) != agent(first) && agent(fourth) != agent(third));
    assert_eq!(evil, "failed 2");
    assert_eq!((mode(&state), mode(&state.join("log"))), (0o700, 0o600));
}
