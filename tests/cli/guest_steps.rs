//! Guest steps as a person meets them: what the plan, the exports, `verify`, the report and the transcript say of them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::OnceLock;

use serde_json::Value;

use crate::support::processes::{children, gone, kill};
use crate::support::{Lab, copy, repository};

const BY_HAND: &str = "sealbook guest release --kid";

/// The test lab with guest steps, its playbook changed; it lies in the folder `guest` of what is returned.
fn changed(change: impl Fn(&str) -> String) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    // A playbook's folder has its name.
    copy(&repository("tests/playbooks/guest"), &folder.path().join("guest"));
    let file = folder.path().join("guest/playbook.toml");
    fs::write(&file, change(&fs::read_to_string(&file).unwrap())).unwrap();
    folder
}

fn path(folder: &tempfile::TempDir) -> String {
    folder.path().join("guest").to_str().unwrap().to_owned()
}

/// The test lab with guest steps, with a command by hand for the first of them.
fn playbook() -> String {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    path(FOLDER.get_or_init(|| {
        changed(|text| {
            let step = "name   = \"released\"\n";
            assert!(text.contains(step));
            text.replace(step, &format!("{step}by_hand = \"{BY_HAND} ${{kek.uri}}\"\n"))
        })
    }))
}

fn lab() -> Lab {
    let lab = Lab::warm();
    lab.cloud().set_role_delay(std::time::Duration::ZERO).unwrap();
    lab
}

#[test]
fn the_plan_and_every_export_say_where_a_guest_step_runs() {
    let lab = lab();
    let plan = lab.run(&["--output", "json", "plan", &playbook()]).expect(0).json();
    let steps = plan["steps"].as_array().unwrap();
    let inside: Vec<_> = steps.iter().filter(|s| s["guest"].is_string()).filter_map(|s| s["path"].as_str()).collect();
    assert_eq!(inside, ["released", "opened", "trained", "scored"]);
    let told = lab.run(&["plan", &playbook()]).expect(0).stdout;
    for word in
        ["Released (inside the confidential VM)", "inside the confidential VM ${vm.id}", "in there: sealbook guest"]
    {
        assert!(told.contains(word), "{word} in {told}");
    }
    for (format, place) in [
        ("bash", "# This runs inside the confidential VM $vm_id, not in this shell."),
        ("powershell", "# This runs inside the confidential VM $vm_id, not in this shell."),
        ("markdown", "This runs **inside the confidential VM** `$vm_id`, not in your shell."),
    ] {
        let text = lab.run(&["export", &playbook(), "--format", format]).expect(0).stdout;
        assert_eq!(text.matches(place).count(), 4, "{format}: {text}");
        assert!(
            text.contains("vm_id") && text.contains("There is nothing to type: in a run, Sealbook does it in there.")
        );
        // In a script, what is typed in there is a remark.
        let typed = text.lines().filter(|line| line.contains(BY_HAND)).collect::<Vec<_>>();
        let shown = |line: &&str| line.starts_with('#') == (format != "markdown");
        assert!(typed.len() == 1 && typed.iter().all(shown), "{format}: {typed:?}");
    }
}

fn check<'a>(verdict: &'a Value, name: &str) -> &'a Value {
    let checks = verdict["checks"].as_array().unwrap();
    checks.iter().find(|c| c["name"] == name).unwrap_or_else(|| panic!("{name} in {verdict:#}"))
}

/// Verifies a transcript in a home that knows nothing of it.
fn judge(lines: &[String], folder: &Path, arguments: &[&str]) -> (Option<i32>, Value) {
    let file = folder.join("judged.ndjson");
    fs::write(&file, lines.join("\n") + "\n").unwrap();
    let arguments = [&["--output", "json", "verify-transcript", file.to_str().unwrap()], arguments].concat();
    let done = Lab::empty().run(&arguments);
    (done.code, done.json())
}

/// The evidence checks of a step that failed.
fn failed(verdict: &Value, step: &str) -> Vec<String> {
    let of = |check: &Value| check["name"].as_str()?.strip_prefix(&format!("evidence.{step}.")).map(str::to_owned);
    let checks = verdict["checks"].as_array().unwrap();
    checks.iter().filter(|c| c["outcome"] == "failed").filter_map(of).collect()
}

/// Another digit or letter in a text.
fn bend(text: &mut Value, at: impl Fn(usize) -> usize) {
    let mut bytes = text.as_str().unwrap().as_bytes().to_vec();
    let at = at(bytes.len());
    bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
    *text = String::from_utf8(bytes).unwrap().into();
}

#[test]
fn a_finished_run_is_verified_and_its_evidence_judged_again_by_anybody() {
    let lab = lab();
    let done = lab.run(&["--output", "json", "run", &playbook(), "--yes"]).expect(0);
    let begun =
        |step: &str| done.events().into_iter().find(|e| e["event"] == "step-started" && e["step"] == step).unwrap();
    assert!(begun("released")["guest"].as_str().unwrap().ends_with("/virtualMachines/cvm"));
    assert!(begun("proved").get("guest").is_none());

    // What ran in there can't be looked at again, and all else can.
    let verdicts = lab.run(&["--output", "json", "verify"]).expect(0).json();
    for verdict in verdicts.as_array().unwrap() {
        let inside = ["released", "opened", "trained", "scored"].contains(&verdict["step"].as_str().unwrap());
        assert_eq!(verdict["passed"], if inside { Value::Null } else { true.into() }, "{verdict}");
        assert_eq!(verdict["gone"].is_string(), inside, "{verdict}");
    }
    let told = lab.run(&["verify"]).expect(0).stdout;
    assert!(told.contains("gone") && told.contains("it ran inside cvm"), "{told}");

    // The transcript brings the test roots, and says that they are such.
    let folder = tempfile::tempdir().unwrap();
    let text = lab.run(&["transcript", "--out", "-"]).expect(0).stdout;
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let (code, verdict) = judge(&lines, folder.path(), &[]);
    assert_eq!((code, &verdict["passed"]), (Some(0), &Value::Bool(true)), "{verdict:#}");
    for name in ["snp.signature", "hcl.binding", "quote.signature", "token.signature", "document.nonce"] {
        assert_eq!(check(&verdict, &format!("evidence.released.{name}"))["outcome"], "passed");
    }
    let root = check(&verdict, "evidence.released.snp.root");
    assert!(root["outcome"] == "passed" && root["detail"].as_str().unwrap().contains("TEST root of"), "{root}");
    assert!(check(&verdict, "transcript.roots")["detail"].as_str().unwrap().contains("nothing about real hardware"));
    assert!(verdict["facts"]["test_roots"].is_array());
    let file = folder.path().join("judged.ndjson");
    let told = Lab::empty().run(&["verify-transcript", file.to_str().unwrap()]).expect(0);
    assert!(told.stderr.contains("TEST roots"), "{}", told.stderr);

    // Without them nobody vouches for it, unless the reader knows them from elsewhere.
    let mut head: Value = serde_json::from_str(&lines[0]).unwrap();
    head.as_object_mut().unwrap().remove("roots").unwrap();
    let bare = [vec![head.to_string()], lines[1..].to_vec()].concat();
    let (code, verdict) = judge(&bare, folder.path(), &[]);
    assert_eq!((code, failed(&verdict, "released").first().map(String::as_str)), (Some(21), Some("snp.root")));
    let roots = folder.path().join("roots.pem");
    fs::write(&roots, lab.run(&["cloud", "roots"]).expect(0).stdout).unwrap();
    let (code, verdict) = judge(&bare, folder.path(), &["--roots", roots.to_str().unwrap()]);
    assert_eq!((code, failed(&verdict, "released")), (Some(0), vec![]));

    // One bent character anywhere in the document is found by its own checks, whatever the chain says.
    let record = lines.iter().position(|line| line.contains("\"step-succeeded\":{\"step\":\"released\"")).unwrap();
    let bent = |path: &str, change: &dyn Fn(&mut Value)| {
        let (hash, entry) = lines[record].split_once(",\"entry\":").unwrap();
        let mut entry: Value = serde_json::from_str(entry.strip_suffix('}').unwrap()).unwrap();
        change(entry.pointer_mut(&format!("/record/step-succeeded/outputs/document{path}")).unwrap());
        let mut lines = lines.clone();
        lines[record] = format!("{hash},\"entry\":{entry}}}");
        let (code, verdict) = judge(&lines, folder.path(), &[]);
        assert_eq!(code, Some(21), "{path}");
        failed(&verdict, "released")
    };
    for path in [
        "/evidence/hcl_report",
        "/evidence/tpm_quote/message",
        "/evidence/tpm_quote/signature",
        "/evidence/tpm_quote/pcrs/7",
        "/nonce",
        "/provider",
        "/token",
        "/type",
        "/signing_keys/keys/0/x5c/0",
    ] {
        assert!(!bent(path, &|text| bend(text, |length| length / 2)).is_empty(), "{path} is not looked at");
    }
    // The machine's own certificate comes first; what stands above it is known anyway, and not taken from the evidence.
    assert_eq!(bent("/evidence/vcek", &|text| bend(text, |length| length / 8)), ["document.format"]);
    assert_eq!(bent("/version", &|version| *version = 2.into()), ["document.format"]);
    // Genuine evidence of another run: everything about it holds, but that it is this run's.
    let elsewhere = lab.copy();
    elsewhere.run(&["run", &playbook(), "--yes"]).expect(0);
    let text = elsewhere.run(&["transcript", "--out", "-"]).expect(0).stdout;
    let line = text.lines().find(|line| line.contains("\"step-succeeded\":{\"step\":\"released\"")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    let foreign = &line["entry"]["record"]["step-succeeded"]["outputs"]["document"];
    assert!(foreign["evidence"]["hcl_report"].is_string(), "{foreign}");
    assert_eq!(bent("", &|document| *document = foreign.clone()), ["bound"]);

    // The page says the same.
    let report = lab.run(&["--output", "json", "report"]).expect(0).json();
    let released = report["steps"].as_array().unwrap().iter().find(|s| s["step"] == "released").unwrap().clone();
    let judged = &released["judged"][0];
    assert_eq!((&judged["kind"], judged["test"].is_array()), (&"azure-guest".into(), true));
    assert!(judged["verdict"]["checks"].as_array().unwrap().iter().all(|c| c["outcome"] != "failed"), "{judged:#}");
    let page = lab.run(&["report", "--out", "-"]).expect(0).stdout;
    for word in ["Judged again, offline", "holds: ", "TEST roots", "inside the confidential VM", "not here:"] {
        assert!(page.contains(word), "{word} is not in the page");
    }
}

#[test]
fn what_runs_again_is_told_everywhere() {
    let lab = lab();
    let mut command = lab.command(&["--output", "json", "run", &playbook(), "--yes"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut events: Vec<Value> = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if (&event["event"], &event["step"]) == (&"step-started".into(), &"trained".into()) {
            let [machine] = children(child.id())[..] else { panic!("not one machine") };
            kill(machine);
            gone(machine);
        }
        events.push(event);
    }
    assert!(child.wait().unwrap().success());
    let again: Vec<&Value> = events.iter().filter(|e| e["event"] == "step-again").collect();
    let steps: Vec<_> = again.iter().map(|e| e["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["trained", "released", "opened"]);
    assert!(again.iter().all(|e| e["why"].as_str().unwrap().contains("cvm was restarted")), "{again:?}");

    // What counts is the last time, with its own evidence; the first one is judged again as well.
    let report = lab.run(&["--output", "json", "report"]).expect(0).json();
    let step = |name: &str| report["steps"].as_array().unwrap().iter().find(|s| s["step"] == name).unwrap().clone();
    for name in ["released", "opened"] {
        let step = step(name);
        assert_eq!(step["again"].as_array().unwrap().len(), 1, "{name}");
        assert!(!step["evidence"].as_array().unwrap().is_empty(), "{name} has no evidence");
    }
    let page = lab.run(&["report", "--out", "-"]).expect(0).stdout;
    assert!(page.contains("Ran again") && page.contains("what it held in memory is gone"), "{page}");
    let text = lab.run(&["transcript", "--out", "-"]).expect(0).stdout;
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let (code, verdict) = judge(&lines, lab.home(), &[]);
    let roots =
        verdict["checks"].as_array().unwrap().iter().filter(|c| c["name"] == "evidence.released.snp.root").count();
    assert_eq!((code, roots), (Some(0), 2), "{verdict:#}");
}

#[test]
fn a_released_key_does_not_leave_the_machine_as_a_file() {
    // What a malicious author would write: he has every grant for it, and the key's reference.
    let evil = changed(|text| {
        let way = r#"
name   = "opened"
use    = "seal-file@0.1"
where  = "guest"
with   = { source = "${released.pair}", key = "${kek.uri}", name = "kek" }
grants = ["keyvault:read,wrap ${kek.uri}", "artifacts:use", "crypto:use"]
"#;
        format!("{}[[step]]{way}", text.split_once("[[step]]\nname   = \"proved\"").unwrap().0)
    });
    let done = lab().run(&["--output", "json", "run", &path(&evil), "--yes"]);
    let failed = done.events().into_iter().find(|e| e["event"] == "step-failed");
    let failed = failed.unwrap_or_else(|| panic!("{}{}", done.stdout, done.stderr));
    assert_eq!((&failed["step"], done.code == Some(0)), (&"opened".into(), false), "{failed}");
    assert!(failed.to_string().contains("this run has no `key:released/"), "{failed}");
}
