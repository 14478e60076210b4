//! The embedded Azure before judges that are not ours: the official SDKs, the Azure CLI, and the official contracts.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "../support/mod.rs"]
mod support;

mod exports;
mod hands_on;
mod labs;

use support::{Lab, az, consent, python, repository, shared};

/// Checks that `sdk.py all` makes: fewer would mean that some were lost.
const SDK_CHECKS: u32 = 138;
/// Of these, the ones on sign-in.
const IDENTITY_CHECKS: u32 = 9;
/// Checks that `sealed_file.py` makes.
const SEALED_CHECKS: u32 = 7 * (3 * (3 + 4) + 2) + 4;
/// Commands of `az_commands.txt`.
const AZ_COMMANDS: u32 = 79;

/// Runs one of the scripts under `cloud exec` and shows what it said if it fails.
fn judged(lab: &Lab, who: &str, python: &str, script: &str, args: &[&str]) -> String {
    let script = repository("tests/interop").join(script);
    let command = ["cloud", "exec", "--as", who, "--", python, script.to_str().unwrap()];
    let done = lab.run(&[&command[..], args].concat());
    assert_eq!(done.code, Some(0), "{script:?} {args:?}\n{}\n{}", done.stdout, done.stderr);
    done.stdout
}

/// The number before `word` in the last line that has it.
fn count(said: &str, word: &str) -> u32 {
    let line = said.lines().rev().find(|l| l.contains(word)).unwrap_or_else(|| panic!("no {word} in {said}"));
    line.split(word).next().unwrap().split_whitespace().last().unwrap().parse().unwrap()
}

#[test]
fn official_sdks_work_unmodified() {
    let Some(python) = python() else { return };
    let lab = Lab::warm();
    assert_eq!(count(&judged(&lab, "learner", &python, "sdk.py", &["all"]), " checks"), SDK_CHECKS);
    assert_eq!(count(&judged(&lab, "app", &python, "sdk.py", &["identity"]), " checks"), IDENTITY_CHECKS);
}

#[test]
fn sealed_files_are_those_of_another_implementation() {
    let Some(python) = python() else { return };
    let script = repository("tests/interop/sealed_file.py");
    let done = std::process::Command::new(python).arg(script).arg(env!("CARGO_BIN_EXE_sealbook")).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(count(&said, " checks"), SEALED_CHECKS);
}

#[test]
fn a_managed_identity_signs_in_where_its_machine_is() {
    let Some(python) = python() else { return };
    let lab = Lab::warm();
    let run = lab.run(&["--output", "json", "run", "cmk-storage", "--yes"]).expect(0).last();
    let account = run["outputs"]["account"]["id"].as_str().unwrap().to_owned();
    let principal = run["outputs"]["account"]["principal_id"].as_str().unwrap().to_owned();
    let script = "import base64, json\n\
        from azure.identity import ManagedIdentityCredential\n\
        token = ManagedIdentityCredential().get_token('https://vault.azure.net/.default').token\n\
        claims = token.split('.')[1]\n\
        print(json.loads(base64.urlsafe_b64decode(claims + '=='))['oid'])\n";
    let command = ["cloud", "exec", "--identity", &account, "--", &python, "-c", script];
    assert_eq!(lab.run(&command).expect(0).stdout.trim(), principal);
    let nobody = account.replace("storageAccounts/", "storageAccounts/none");
    lab.run(&["cloud", "exec", "--identity", &nobody, "--", "true"]).expect(2);
}

#[test]
fn the_azure_cli_works_unmodified() {
    let (Some(python), Some(az)) = (python(), az()) else { return };
    let said = judged(&Lab::warm(), "app", &python, "az.py", &["--az", &az]);
    assert_eq!(count(&said, " commands"), AZ_COMMANDS);
}

#[test]
fn what_the_engine_and_the_embedded_azure_say_to_each_other_fits_the_contracts() {
    let (Some(python), Some(specs)) = (python(), shared("specs")) else { return };
    let lab = Lab::warm();
    let file = lab.home().join("exchanges.ndjson");
    let recorded = [("SEALBOOK_EXCHANGES", file.to_str().unwrap())];
    let listed = lab.run(&["--output", "json", "list"]).expect(0).json();
    for playbook in listed.as_array().unwrap() {
        let id = playbook["id"].as_str().unwrap();
        lab.run_with(&[&["run", id, "--yes"], consent(id)].concat(), &recorded).expect(0);
        lab.run_with(&["verify"], &recorded).expect(0);
        lab.run_with(&["undo", "--yes"], &recorded).expect(0);
    }
    let judge = repository("tests/interop/judge.py");
    let uncovered = repository("tests/contract/uncovered.toml");
    let said = std::process::Command::new(python)
        .arg(judge)
        .arg("exchanges")
        .args([&specs, &file])
        .arg("--uncovered")
        .arg(uncovered)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success(), "{text}{}", String::from_utf8_lossy(&said.stderr));
    println!("{}", text.lines().last().unwrap_or_default());
}

#[test]
fn official_examples_are_answered_as_the_contracts_say() {
    let (Some(python), Some(specs)) = (python(), shared("specs")) else { return };
    let said = judged(&Lab::warm(), "app", &python, "judge.py", &["examples", specs.to_str().unwrap()]);
    let operations = said.lines().find(|l| l.contains("claimed operations")).unwrap_or_default();
    println!("{operations}; {}", said.lines().last().unwrap_or_default());
}
