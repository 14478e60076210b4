//! `policy test|explain|new`: policies and tokens in files of the test's own.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::Lab;

const ISSUER: &str = "https://sharedweu.weu.attest.azure.net";

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file and returns its path.
    fn put(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }
}

fn claims(debug: bool) -> Value {
    json!({
        "iss": ISSUER, "x-ms-attestation-type": "azurevm",
        "x-ms-isolation-tee": {
            "x-ms-attestation-type": "sevsnpvm", "x-ms-compliance-status": "azure-compliant-cvm",
            "x-ms-sevsnpvm-is-debuggable": debug, "x-ms-sevsnpvm-launchmeasurement": "04a1",
            "x-ms-runtime": {"user-data": "00ff"},
        },
    })
}

fn policy(conditions: &Value) -> String {
    json!({"version": "1.0.0", "anyOf": [{"authority": format!("{ISSUER}/"), "allOf": conditions}]}).to_string()
}

fn wanted() -> Value {
    json!([
        {"claim": "x-ms-isolation-tee.x-ms-attestation-type", "equals": "sevsnpvm"},
        {"claim": "x-ms-isolation-tee.x-ms-sevsnpvm-is-debuggable", "equals": "false"},
    ])
}

#[test]
fn a_token_that_fits_is_released_to_and_one_that_does_not_is_told_which_clause() {
    let (lab, files) = (Lab::empty(), Files::new());
    let fits = files.put("policy.json", &policy(&wanted()));
    let good = files.put("good.json", &claims(false).to_string());
    let debug = files.put("debug.json", &claims(true).to_string());

    let done = lab.run(&["policy", "test", &fits, &good]).expect(0);
    assert!(
        done.stdout.trim_end().ends_with(" released") && done.stdout.contains("is sevsnpvm, as asked"),
        "{}",
        done.stdout
    );
    assert!(done.stderr.contains("signature and times were not looked at"), "{}", done.stderr);
    assert_eq!(lab.run(&["--output", "json", "policy", "test", &fits, &good]).expect(0).json()["released"], true);

    let done = lab.run(&["policy", "test", &fits, &debug]).expect(21);
    assert!(done.stdout.contains("not met") && done.stdout.contains("is true and must be equal to false"));
    for words in ["SB0903", "$.anyOf[0].allOf[1]: x-ms-isolation-tee.x-ms-sevsnpvm-is-debuggable", "policy explain"] {
        assert!(done.stderr.contains(words), "{words}: {}", done.stderr);
    }
    let shown = lab.run(&["--output", "json", "policy", "test", &fits, &debug]).expect(21).json();
    assert_eq!((&shown["released"], &shown["code"]), (&json!(false), &json!("SB0903")));
    assert_eq!(shown["deciding"][0]["path"], "$.anyOf[0].allOf[1]");
    assert_eq!((&shown["deciding"][0]["seen"], &shown["deciding"][0]["expected"]), (&json!("true"), &json!("false")));

    let mut other = claims(false);
    other["iss"] = "https://evil.example".into();
    let other = files.put("other.json", &other.to_string());
    let done = lab.run(&["policy", "test", &fits, &other]).expect(21);
    assert!(done.stderr.contains("was issued by https://evil.example"), "{}", done.stderr);
}

#[test]
fn policies_and_tokens_come_in_many_forms_and_from_standard_input() {
    let (lab, files) = (Lab::empty(), Files::new());
    let good = files.put("good.json", &claims(false).to_string());
    // BASE64URL of {"anyOf":[{"authority":"a","allOf":[{"claim":"b","equals":1}]}]}.
    let encoded = "eyJhbnlPZiI6W3siYXV0aG9yaXR5IjoiYSIsImFsbE9mIjpbeyJjbGFpbSI6ImIiLCJlcXVhbHMiOjF9XX1dfQ";
    let envelope = json!({"contentType": "application/json; charset=utf-8", "data": encoded, "immutable": false});
    for document in [encoded.to_owned(), envelope.to_string(), json!({"releasePolicy": envelope}).to_string()] {
        let path = files.put("policy", &document);
        let shown = lab.run(&["--output", "json", "policy", "explain", &path]).expect(0).json();
        assert_eq!(shown["policy"]["anyOf"][0]["authority"], "a");
        assert_eq!(shown["policy"]["version"], "1.0.0");
    }
    // {"alg":"none"} . the claims . nothing: no signature is needed to try a policy.
    let token = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJhIiwiYiI6MX0.";
    let path = files.put("policy", encoded);
    for document in [token.to_owned(), json!({"token": token}).to_string()] {
        let token = files.put("token", &document);
        lab.run(&["policy", "test", &path, &token]).expect(0);
    }
    let mut child = lab.command(&["policy", "test", "-", &good]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(policy(&wanted()).as_bytes()).unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));
}

#[test]
fn what_cannot_be_read_gets_a_code_and_a_place() {
    let (lab, files) = (Lab::empty(), Files::new());
    let fits = files.put("policy.json", &policy(&wanted()));
    let good = files.put("good.json", &claims(false).to_string());
    let unknown = policy(&json!([{"claim": "x-ms-sgx-svn", "greater-than": 1}]));
    let unknown = files.put("unknown.json", &unknown);
    let bomb = files.put("bomb.json", &"[".repeat(60_000));
    let long = files.put("long.json", &" ".repeat(1_100_000));
    let nobody = files.put("nobody.json", "{}");
    let missing = files.path("missing").to_str().unwrap().to_owned();
    let table: [(&[&str], &str, &str); 8] = [
        (&["test", &unknown, &good], "SB0901", "$.anyOf[0].allOf[0]: `greater-than` is no operator"),
        (&["test", &bomb, &good], "SB0901", "deeper than 64 levels"),
        (&["test", &nobody, &good], "SB0901", "$: `anyOf` is missing"),
        (&["test", &long, &good], "SB0701", "longer than 1 MiB"),
        (&["test", &missing, &good], "SB0701", "can't be read"),
        (&["test", &fits, &nobody], "SB0902", "names no issuer"),
        (&["test", &fits, &unknown], "SB0902", "names no issuer"),
        (&["new", &nobody], "SB0902", "names no issuer"),
    ];
    for (args, code, words) in table {
        let done = lab.run(&[&["policy"], args].concat()).expect(2);
        assert!(done.stderr.contains(code), "{args:?}: {}", done.stderr);
        let flat = done.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(words), "{args:?}: {flat}");
        assert!(done.stdout.is_empty(), "{args:?} wrote to stdout: {}", done.stdout);
    }
}

#[test]
fn a_policy_is_explained_with_its_weak_spots() {
    let (lab, files) = (Lab::empty(), Files::new());
    let top = json!([{"claim": "x-ms-compliance-status", "equals": "azure-compliant-cvm"}]);
    let top = files.put("top.json", &policy(&top));
    let good = files.put("good.json", &claims(false).to_string());
    let done = lab.run(&["policy", "explain", &top, &good]).expect(0);
    let flat = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "x-ms-compliance-status is azure-compliant-cvm",
        "warning $.anyOf[0]: `x-ms-compliance-status` is asked at the top level",
        "note $.anyOf[0]: no clause says that the environment must not be debuggable",
        "is not in the token, but x-ms-isolation-tee.x-ms-compliance-status is",
        "not released",
    ] {
        assert!(flat.contains(words), "{words}: {flat}");
    }
    let shown = lab.run(&["--output", "json", "policy", "explain", &top, &good]).expect(0).json();
    assert_eq!((&shown["warnings"][0]["name"], &shown["evaluation"]["released"]), (&json!("top_level"), &json!(false)));
}

#[test]
fn a_new_policy_fits_its_token_and_no_other_machine() {
    let (lab, files) = (Lab::empty(), Files::new());
    let good = files.put("good.json", &claims(false).to_string());
    let mut changed = claims(false);
    changed["x-ms-isolation-tee"]["x-ms-sevsnpvm-launchmeasurement"] = "ffff".into();
    let changed = files.put("changed.json", &changed.to_string());
    let out = files.path("new.json");
    let out = out.to_str().unwrap();
    lab.run(&["policy", "new", &good, "--measurement", "--user-data", "--out", out]).expect(0);
    lab.run(&["policy", "test", out, &good]).expect(0);
    lab.run(&["policy", "test", out, &changed]).expect(21);
    let again = lab.run(&["policy", "new", &good, "--out", out]).expect(2);
    assert!(again.stderr.contains("SB0701") && again.stderr.contains("not there yet"), "{}", again.stderr);

    let printed = lab.run(&["policy", "new", &good, "--authority", "https://contoso.weu.attest.azure.net"]).expect(0);
    let printed: Value = serde_json::from_str(&printed.stdout).unwrap();
    assert_eq!(printed["anyOf"][0]["authority"], "https://contoso.weu.attest.azure.net");
    assert_eq!(printed["anyOf"][0]["allOf"].as_array().unwrap().len(), 3);

    let debug = files.put("debug.json", &claims(true).to_string());
    let done = lab.run(&["policy", "new", &debug]).expect(2);
    assert!(done.stderr.contains("SB0904") && done.stderr.contains("can be read by its host"), "{}", done.stderr);
}
