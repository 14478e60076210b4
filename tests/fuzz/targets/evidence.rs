//! Whatever a document of evidence holds (a VM's evidence in JSON, a run's evidence with its token, a request to the
//! attestation service, the service's answer): what is read can be looked at and written again, and no verdict passes
//! under the built-in roots for evidence that answers what no recorded evidence answers.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use sealbook_attestation::azure_guest::{AttestationInfo, EncryptedToken};
use sealbook_attestation::azure_vm::{self, Evidence};
use sealbook_attestation::{Roots, document, sniff};
use serde_json::{Value, json};

#[path = "common/mod.rs"]
mod common;
#[path = "../../evidence/made.rs"]
mod made;

/// When the recorded evidence of VMs is in date.
const NOW: i64 = 1_775_001_600;

fn roots() -> &'static Roots {
    static ROOTS: OnceLock<Roots> = OnceLock::new();
    ROOTS.get_or_init(Roots::builtin)
}

fuzz_target!(|data: &[u8]| {
    if let Some(seen) = sniff::look(data) {
        assert!(!seen.kind.is_empty() && !Value::Object(seen.facts).to_string().is_empty());
    }
    if let Ok(evidence) = Evidence::from_json(data) {
        let mut rules = azure_vm::Rules::default();
        rules.quote.nonce = Some(common::NOBODYS.to_vec());
        assert!(!azure_vm::verify(&evidence, &rules, roots(), NOW).passed(), "it answers what nobody asked");
    }
    let text = std::str::from_utf8(data).unwrap_or_default();
    if let Ok(token) = EncryptedToken::from_text(text) {
        assert_eq!(EncryptedToken::from_text(&token.text()).as_ref(), Ok(&token));
    }
    let Ok(value) = serde_json::from_str::<Value>(text) else { return };
    let mut bound = value.clone();
    if let Some(object) = bound.as_object_mut() {
        object.insert("nonce".into(), hex(&common::NOBODYS).into());
    }
    assert!(!document::verify(&bound, &json!({}), roots(), NOW).passed(), "it answers what nobody asked");
    _ = document::verify(&json!({}), &value, roots(), NOW);
    for body in [value.clone(), json!({ "AttestationInfo": text })] {
        if let Ok(info) = AttestationInfo::from_body(&body) {
            assert_eq!(AttestationInfo::from_body(&info.body()).as_ref(), Ok(&info));
            _ = info.isolation_info.evidence.proof();
        }
    }
    patched(&value);
});

/// A sound document in which members are put in the place of others: it stays sound only when nothing that counts is
/// another.
fn patched(patch: &Value) {
    static SOUND: OnceLock<(Value, Roots)> = OnceLock::new();
    let (sound, roots) = SOUND.get_or_init(|| (evidence(), made::worlds()[0].roots()));
    let Some(members) = patch.as_object().filter(|members| members.len() < 8) else { return };
    let mut bent = sound.clone();
    for (place, value) in members {
        if let Some(target) = bent.pointer_mut(place) {
            *target = value.clone();
        }
    }
    let Ok(read) = Evidence::from_json(bent.to_string().as_bytes()) else { return };
    let whole = Evidence::from_json(sound.to_string().as_bytes()).expect("sound evidence");
    let passed = azure_vm::verify(&read, &azure_vm::Rules::default(), roots, made::NOW).passed();
    let quote = |of: &Evidence| of.quote.as_ref().map(|quote| (quote.message.clone(), quote.signature.clone()));
    assert!(!passed || quote(&read) == quote(&whole), "another quote");
}

fn evidence() -> Value {
    let made = made::made();
    let certificates: String = [made.vcek(), made.world.ask.clone()].iter().map(|each| each.pem()).collect();
    let evidence = made.evidence();
    let quote = evidence.quote.expect("it has one");
    json!({
        "hcl_report": evidence.hcl_report,
        "vcek": certificates,
        "tpm_quote": {
            "message": hex(&quote.message),
            "signature": hex(&quote.signature),
            "pcrs": quote.pcrs.values().map(|value| hex(value)).collect::<Vec<_>>(),
        },
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
