//! `sealbook attest`: verdicts and exit codes over evidence made here, for people and for programs.

use std::fs;

use sealbook_attestation::azure_vm::Endorsement;
use serde_json::json;

use crate::made::{NONCE, made, worlds};
use crate::support::Lab;

const AT: [&str; 2] = ["--at", "2026-01-01T00:00:00Z"];

#[test]
fn a_vm_verifies_under_the_roots_that_were_given_and_no_other() {
    let lab = Lab::empty();
    let file = |name: &str, bytes: &[u8]| {
        let path = lab.home().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let evidence = made().evidence();
    let Endorsement::Snp(endorsements) = &evidence.endorsement else { panic!() };
    let quote = evidence.quote.clone().unwrap();
    let document = json!({
        "hcl_report": evidence.hcl_report,
        "vcek": endorsements.leaf.pem(),
        "tpm_quote": {
            "message": quote.message,
            "signature": quote.signature,
            "pcrs": quote.pcrs.values().collect::<Vec<_>>(),
        },
    });
    let vm = file("vm.json", document.to_string().as_bytes());
    let roots = file("roots.pem", worlds()[0].roots().to_pem().as_bytes());
    let nonce = hex::encode(NONCE);
    let verify = ["attest", "verify", "--type", "az-snp-vtpm", &vm, AT[0], AT[1]];
    let given = [&verify[..], &["--roots", &roots, "--nonce", &nonce]].concat();

    let done = lab.run(&given).expect(0);
    assert!(done.stdout.contains("a TEST root of TRUSTED"), "{}", done.stdout);
    assert!(done.stdout.trim_end().ends_with("Verified: every check that was made holds."), "{}", done.stdout);

    let found = lab.run(&[&given[..], &["--output", "json"]].concat()).expect(0).json();
    assert_eq!((&found["verified"], &found["deciding"]), (&json!(true), &json!(null)));
    assert_eq!(found["facts"]["snp.policy"]["debug_allowed"], false);
    assert!(found["checks"].as_array().unwrap().len() > 20);

    for (arguments, decides) in [
        // Without their roots, nobody has issued the certificates.
        (verify.to_vec(), "snp.chain"),
        ([&verify[..], &["--roots", &roots, "--nonce", "00"]].concat(), "quote.nonce"),
        ([&given[..6], &["2040-01-01T00:00:00Z"], &given[7..]].concat(), "snp.validity"),
    ] {
        let found = lab.run(&[&arguments[..], &["--output", "json"]].concat()).expect(21).json();
        assert_eq!((&found["verified"], &found["deciding"]), (&json!(false), &json!(decides)));
        assert!(lab.run(&arguments).expect(21).stdout.contains(&format!("{decides} decides")));
    }

    let shown = lab.run(&["attest", "show", &vm]).expect(0);
    assert!(shown.stdout.contains("11111111-2222-3333-4444-555555555555"), "{}", shown.stdout);
}

#[test]
fn a_debug_guest_needs_its_own_word() {
    let lab = Lab::empty();
    let mut parts = made();
    parts.report.policy = sealbook_attestation::snp::GuestPolicy(0xb_001f);
    let paths: Vec<String> = [
        ("report.bin", parts.report()),
        ("vcek.der", parts.vcek().der().to_vec()),
        ("roots.pem", worlds()[0].roots().to_pem().into_bytes()),
    ]
    .into_iter()
    .map(|(name, bytes)| {
        fs::write(lab.home().join(name), bytes).unwrap();
        lab.home().join(name).to_str().unwrap().to_owned()
    })
    .collect();
    let verify = ["attest", "verify", "--type", "snp", &paths[0], &paths[1], "--roots", &paths[2], AT[0], AT[1]];
    assert!(lab.run(&verify).expect(21).stdout.contains("snp.policy decides"));
    lab.run(&[&verify[..], &["--allow-debug"]].concat()).expect(0);
}

#[test]
fn what_cannot_be_judged_is_a_matter_of_usage() {
    let lab = Lab::empty();
    let nothing = lab.home().join("nothing");
    fs::write(&nothing, b"nothing").unwrap();
    let nothing = nothing.to_str().unwrap();
    let verify = |kind, rest: &[&str]| {
        let done = lab.run(&[&["attest", "verify", "--type", kind, nothing], rest].concat()).expect(2);
        assert!(done.stderr.contains("SB0701"), "{}", done.stderr);
        done.stderr
    };
    assert!(verify("snp", &[]).contains("certificates"));
    assert!(verify("snp", &["/no/such/file"]).contains("/no/such/file"));
    assert!(verify("az-snp-vtpm", &[]).contains("JSON"));
    assert!(verify("tdx", &[nothing, nothing]).contains("one file of collateral"));
    assert!(verify("tdx", &["--at", "yesterday"]).contains("--at 2026"));
    assert!(verify("tdx", &["--nonce", "0g"]).contains("hex"));
    assert!(verify("tdx", &["--roots", nothing]).contains("roots"));
    lab.run(&["attest", "show", nothing]).expect(2);
    // What is no quote did not verify: that is no mistake in the command.
    lab.run(&["attest", "verify", "--type", "tdx", nothing]).expect(21);
}
