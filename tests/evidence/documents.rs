//! Attacks on the document of evidence that a run keeps: evidence and token are sound each for itself, or bent, and must
//! belong together.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use sealbook_attestation::azure_vm::Endorsement;
use sealbook_attestation::document::{self, Parts};
use sealbook_attestation::hcl::HclReport;
use sealbook_attestation::snp::GuestPolicy;
use sealbook_attestation::{Roots, Verdict};
use serde_json::{Value, json};

use crate::made::{Bend, Made, NONCE, NOW, made, worlds};
use crate::testing::{DAY, key, sign};

const PROVIDER: &str = "https://made.attest.azure.net";

fn signing_keys() -> Value {
    let public = key(0).public();
    let (n, e) = (BASE64_URL_SAFE_NO_PAD.encode(public.n), BASE64_URL_SAFE_NO_PAD.encode(public.e));
    json!({ "keys": [{ "kid": "k", "kty": "RSA", "n": n, "e": e }] })
}

/// What the provider says of a machine.
fn claims(measurement: &[u8], hcl_report: &[u8]) -> Value {
    let runtime = HclReport::parse(hcl_report).unwrap().runtime;
    json!({
        "iss": PROVIDER, "iat": NOW, "nbf": NOW, "exp": NOW + DAY,
        "x-ms-attestation-type": "azurevm",
        "x-ms-isolation-tee": {
            "x-ms-attestation-type": "sevsnpvm",
            "x-ms-runtime": serde_json::from_slice::<Value>(&runtime).unwrap(),
            "x-ms-sevsnpvm-launchmeasurement": hex::encode(measurement),
        },
        "x-ms-runtime": { "client-payload": { "nonce": BASE64_STANDARD.encode(NONCE) }, "keys": [] },
    })
}

fn signed(claims: &Value) -> String {
    sign(&json!({ "alg": "RS256", "kid": "k", "typ": "JWT" }), claims, key(0))
}

/// The document of a machine, whose claims are changed before they are signed.
fn written(machine: Made, change: impl Fn(&mut Value)) -> Value {
    let measurement = machine.report.measurement;
    let evidence = machine.evidence();
    let Endorsement::Snp(endorsements) = &evidence.endorsement else { panic!() };
    let certificates = std::iter::once(&endorsements.leaf).chain(&endorsements.intermediates);
    let vcek: String = certificates.map(|certificate| certificate.pem()).collect();
    let mut claims = claims(&measurement, &evidence.hcl_report);
    change(&mut claims);
    let quote = evidence.quote.unwrap();
    let registers: Vec<Vec<u8>> = quote.pcrs.values().map(|value| value.to_vec()).collect();
    document::write(&Parts {
        provider: PROVIDER,
        nonce: NONCE,
        hcl_report: &evidence.hcl_report,
        vcek: &vcek,
        quote: &quote.message,
        signature: &quote.signature,
        registers: &registers,
        event_log: evidence.event_log.as_deref(),
        token: &signed(&claims),
        signing_keys: &signing_keys(),
    })
}

fn judged(document: &Value, demands: &Value) -> Verdict {
    document::verify(document, demands, &worlds()[0].roots(), NOW)
}

fn decided(verdict: &Verdict) -> &str {
    verdict.deciding().map_or(if verdict.passed() { "verified" } else { "nothing" }, |check| check.name.as_str())
}

#[test]
fn a_sound_document_verifies_under_its_root_alone() {
    let document = written(made(), |_| {});
    let verdict = judged(&document, &Value::Null);
    assert!(verdict.passed(), "{:#?}", verdict.deciding());
    assert_eq!(decided(&document::verify(&document, &Value::Null, &Roots::builtin(), NOW)), "snp.root");
}

#[test]
fn a_token_must_be_of_the_machine_of_the_evidence_and_of_its_challenge() {
    let tee = "/x-ms-isolation-tee/x-ms-runtime";
    type Change = Box<dyn Fn(&mut Value)>;
    let set = |place: &str, value: Value| -> Change {
        let place = place.to_owned();
        Box::new(move |claims: &mut Value| *claims.pointer_mut(&place).unwrap() = value.clone())
    };
    let earlier = BASE64_STANDARD.encode("yesterday's challenge");
    let mut other = made();
    other.user_data = [0x66; 64];
    let other = HclReport::parse(&other.evidence().hcl_report).unwrap().runtime;
    let other: Value = serde_json::from_slice(&other).unwrap();
    let table: Vec<(&str, Change, &str)> = vec![
        ("an earlier token", set("/x-ms-runtime/client-payload/nonce", earlier.into()), "document.nonce"),
        ("a token without a challenge", set("/x-ms-runtime/client-payload", json!({})), "document.nonce"),
        ("another machine's token", set(tee, other), "document.runtime"),
        ("a token without runtime data", set(tee, json!({})), "document.runtime"),
        ("a token with a key more", set(&format!("{tee}/keys"), json!([{ "kid": "mine" }])), "document.runtime"),
        (
            "a token of another measurement",
            set("/x-ms-isolation-tee/x-ms-sevsnpvm-launchmeasurement", json!("00".repeat(48))),
            "document.measurement",
        ),
        (
            "a token without a measurement",
            set("/x-ms-isolation-tee/x-ms-sevsnpvm-launchmeasurement", Value::Null),
            "document.measurement",
        ),
        ("an expired token", set("/exp", json!(NOW - 301)), "token.times"),
        ("a token of tomorrow", set("/nbf", json!(NOW + 301)), "token.times"),
        ("another provider's token", set("/iss", json!("https://other.attest.azure.net")), "token.issuer"),
    ];
    for (what, change, expected) in table {
        let verdict = judged(&written(made(), change), &Value::Null);
        assert_eq!(decided(&verdict), expected, "{what}: {:#?}", verdict.deciding());
    }
}

#[test]
fn what_was_judged_once_is_judged_again_as_of_then_and_never_as_of_tomorrow() {
    let expired = written(made(), |claims| claims["exp"] = json!(NOW - 301));
    for (as_of, expected) in [(NOW, "token.times"), (NOW - 10, "verified"), (NOW + DAY, "token.times")] {
        let verdict = judged(&expired, &json!({ "as_of": as_of }));
        assert_eq!((decided(&verdict), &verdict.facts["judged_at"]), (expected, &json!(as_of.min(NOW))));
    }
}

#[test]
fn a_document_that_was_put_together_is_refused() {
    let sound = written(made(), |_| {});
    let (header, rest) = sound["token"].as_str().unwrap().split_once('.').unwrap();
    let unsigned = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":"k"}"#);
    let unsigned = format!("{unsigned}.{}.", rest.split_once('.').unwrap().0);
    let mut stranger = signing_keys();
    stranger["keys"][0]["n"] = BASE64_URL_SAFE_NO_PAD.encode(key(1).public().n).into();
    let claimed = json!({ "iss": PROVIDER, "exp": NOW + DAY });
    let forged = sign(&json!({ "alg": "RS256", "kid": "k" }), &claimed, key(1));
    let bomb = (0..60).fold(json!(1), |inner, _| json!([inner]));
    let other = written(Made { user_data: [0x66; 64], ..made() }, |_| {});
    let log = BASE64_URL_SAFE_NO_PAD.encode("no log");
    let table: Vec<(&str, &str, Value, &str)> = vec![
        ("another challenge", "/nonce", json!(hex::encode("yesterday's challenge")), "quote.nonce"),
        ("a challenge that is none", "/nonce", json!("%"), "document.rules"),
        (
            "another machine's report",
            "/evidence/hcl_report",
            other["evidence"]["hcl_report"].clone(),
            "document.runtime",
        ),
        ("another machine's quote", "/evidence/tpm_quote/message", json!("ff544347"), "quote.format"),
        ("no registers", "/evidence/tpm_quote/pcrs", json!([]), "quote.pcr_digest"),
        ("a log that is none", "/evidence/event_log", json!(log), "document.format"),
        ("an unsigned token", "/token", json!(unsigned), "token.algorithm"),
        ("a forged token", "/token", json!(forged), "token.signature"),
        ("no token", "/token", Value::Null, "token.format"),
        ("half a token", "/token", json!(header), "token.format"),
        ("a huge token", "/token", json!("A".repeat(70_000)), "token.format"),
        ("another provider's keys", "/signing_keys", stranger, "token.signature"),
        ("no keys", "/signing_keys", json!({}), "token.keys"),
        ("another provider", "/provider", json!("https://other.attest.azure.net"), "token.issuer"),
        ("a newer version", "/version", json!(2), "document.format"),
        ("another type", "/type", json!("azure-host"), "document.format"),
        ("a nested bomb", "/provider", bomb, "document.format"),
        ("a huge document", "/provider", json!("A".repeat(3 << 20)), "document.format"),
    ];
    for (what, place, value, expected) in table {
        let mut bent = sound.clone();
        *bent.pointer_mut(place).unwrap() = value;
        let verdict = judged(&bent, &Value::Null);
        assert_eq!(decided(&verdict), expected, "{what}: {:#?}", verdict.deciding());
    }
}

#[test]
fn demands_are_kept_and_unknown_ones_are_refused() {
    let table: [(&str, Bend<Made>, Value, &str); 8] = [
        ("debugging", |made| made.report.policy = GuestPolicy(0xb_001f), Value::Null, "snp.policy"),
        (
            "debugging, allowed",
            |made| made.report.policy = GuestPolicy(0xb_001f),
            json!({ "allow_debug": true }),
            "verified",
        ),
        ("no secure boot", |made| made.vm.secure_boot = false, json!({ "secure_boot": true }), "hcl.secure_boot"),
        ("another measurement", |_| {}, json!({ "measurements": ["00".repeat(48)] }), "snp.measurement"),
        ("a measurement that is none", |_| {}, json!({ "measurements": ["00"] }), "document.rules"),
        ("another component", |_| {}, json!({ "user_data": "00".repeat(64) }), "hcl.user_data"),
        ("another machine", |_| {}, json!({ "vm_id": "another" }), "hcl.vm_id"),
        ("a demand that is not known", |_| {}, json!({ "secureboot": true }), "document.rules"),
    ];
    for (what, bend, demands, expected) in table {
        let mut machine = made();
        bend(&mut machine);
        let verdict = judged(&written(machine, |_| {}), &demands);
        assert_eq!(decided(&verdict), expected, "{what}: {:#?}", verdict.deciding());
    }
}
