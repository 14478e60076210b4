//! Released keys whose use waits for something: whatever a component does, the host keeps them closed until it has seen
//! that itself, in this run and in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use sealbook_attestation::Verdict;
use sealbook_azure::Azure;
use sealbook_crypto::rsa::{Padding, RsaAesWrap, RsaBits, RsaKey};
use sealbook_engine::host::Judge;
use sealbook_engine::step::{Failure, Host as _, StepError};
use sealbook_engine::tee::{Attested, GPU_NONCE, Released, Tee, USER_DATA, gpu_nonce};
use sealbook_model::id::Digest;
use serde_json::{Value, json};

use crate::support::Lab;

const KEY: &str = "https://v.vault.azure.net/keys/kek";
const PROVIDER: &str = "https://p.weu.attest.azure.net";
const POLICY: &[u8] = b"the policy's text";
const NOT_YET: &str = "the key can't be used yet";

/// A machine with a GPU that can be turned bad. Its hardware is not what is tried here: what the host makes of it is.
struct Machine {
    kek: RsaKey,
    sound: AtomicBool,
}

#[async_trait]
impl Tee for Machine {
    async fn attest(&self, _: &Azure, _: &str, _: [u8; USER_DATA]) -> Result<Attested, Failure> {
        let claims = json!({ "x-ms-isolation-tee": { "x-ms-sevsnpvm-launchmeasurement": "ab".repeat(48) } });
        Ok(Attested { token: "token".into(), claims, document: json!({}), transfer_key: String::new() })
    }

    async fn gpu(&self, _: &Azure, nonce: [u8; GPU_NONCE]) -> Result<Value, Failure> {
        let sound = self.sound.load(Ordering::SeqCst);
        Ok(json!({ "type": "nvidia-gpu", "sound": sound, "answers": hex::encode(nonce) }))
    }

    async fn release(&self, _: &Azure, _: &str, _: &Attested, _: RsaAesWrap) -> Result<Released, Failure> {
        Ok(Released { key: self.kek.to_pkcs8(), policy: Some(Digest::of(POLICY)) })
    }
}

/// Judges as the real one does: soundness, and that the nonce which was asked for is answered.
fn judge(document: &Value, rules: &Value) -> Verdict {
    let mut verdict = Verdict::default();
    verdict.check("gpu.nonce", document["answers"] == rules["nonce"], "the nonce");
    verdict.check("gpu.mode", document["sound"] == true, "confidential computing is off");
    let bytes = |name: &str| hex::decode(document[name].as_str().unwrap_or_default()).unwrap();
    let named = gpu_nonce(&bytes("user_data").try_into().unwrap(), &bytes("salt").try_into().unwrap());
    verdict.check("gpu.step", document["answers"] == hex::encode(named), "the nonce names the step");
    verdict
}

/// A lab in a machine whose release has this gate, and something that the key opens.
fn lab(gate: &str) -> (Lab, Arc<Machine>, String) {
    let machine = Arc::new(Machine { kek: RsaKey::generate(RsaBits::B2048), sound: AtomicBool::new(true) });
    let sealed = machine.kek.public().encrypt(Padding::OaepSha256, &[7; 32]).unwrap();
    let tee: Arc<dyn Tee> = Arc::clone(&machine) as _;
    let judge: Judge = Arc::new(judge);
    let release = format!("keyvault:release {KEY}{gate}");
    let lab = Lab::in_machine(tee, judge).all_interfaces();
    let lab =
        lab.ask(&[&format!("keyvault:release {KEY}"), &format!("attestation:use {PROVIDER}"), "attestation:use gpu"]);
    let lab = lab.give(&[&release, &format!("attestation:use {PROVIDER}"), "attestation:use gpu"]);
    (lab, machine, hex::encode(sealed))
}

fn release() -> Value {
    json!({ "do": "keyvault.release", "uri": KEY, "provider": PROVIDER, "name": "kek" })
}

/// What a malicious component would try with a key: everything there is.
fn uses(reference: &str, sealed: &str) -> Vec<(&'static str, Value)> {
    let open = json!({ "do": "crypto.open-pair", "name": "k", "reference": reference });
    let exchange = json!({ "key": { "kid": "https://v.vault.azure.net/keys/x/1", "kty": "RSA", "key_ops": ["import"],
        "n": "sXchDaQebHnPiGvyDOAT4saGEUetSyo9MKLOoWFsueri23bOdgWp4Dy1WlUzewbgBHod5pcM9H95GQRV3JDXboIRROSBigeC5yjU1hGzHHyXss8UDprecbAYxknTcQkhslANGRUZmdTOQ5qTRsLAt6BTYuyvVRdhS8exSZEy_c4gs_7svlJJQ4H9_NxsiIoLwAEk7-Q3UXERGYw_75IDrGA84-lA_-Ct4eTlXHBIY2EaV7t7LjJaynVJCpkv4LKjTTAumiGUIuQhrNhZLuF_RJLqHpM2kgWFLU7-VTdL1VbC2tejvcI2BlMkEpk1BzBZI0KQB0GaDWFLN-aEAw3vRw", "e": "AQAB" } });
    vec![
        ("unseal", json!([open, { "do": "crypto.unseal", "pair": "k", "sealed": sealed, "name": "dek" }])),
        ("transfer", json!([open, { "do": "crypto.transfer-blob", "pair": "k", "exchange": exchange, "name": "out" }])),
        (
            "holder",
            json!([open, { "do": "artifacts.write", "name": "d", "text": "{}" }, { "do": "hsm.examine", "name": "d", "holders": ["k", "k", "k"] }]),
        ),
    ]
}

/// Whether each use of the key is refused, and why.
async fn refusals(lab: &Lab, run: &str, reference: &str, sealed: &str) -> Vec<(&'static str, Option<String>)> {
    let mut out = Vec::new();
    for (name, orders) in uses(reference, sealed) {
        let mut call = lab.call("evil", json!({ "pair": reference, "apply": orders }));
        call.run = run.parse().unwrap();
        out.push((name, lab.host.apply(&call).await.err().map(|failure| failure.error.to_string())));
    }
    out
}

async fn released(lab: &Lab, run: &str) -> String {
    let made = lab.apply_with(json!([release()]), |call| call.run = run.parse().unwrap()).await.unwrap();
    made[0]["reference"].as_str().unwrap().to_owned()
}

async fn verified(lab: &Lab, run: &str) -> Result<Value, Failure> {
    lab.apply_with(json!([{ "do": "attestation.gpu", "rules": {} }]), |call| call.run = run.parse().unwrap()).await
}

#[tokio::test]
async fn before_the_gpu_is_verified_no_operation_works_whatever_the_component_does() {
    let (lab, _, sealed) = lab(" gate='gpu'");
    let reference = released(&lab, "abc234").await;
    for (name, refused) in refusals(&lab, "abc234", &reference, &sealed).await {
        let refused = refused.unwrap_or_else(|| panic!("{name} worked"));
        assert!(refused.contains(NOT_YET) && refused.contains("GPU was not verified in this run"), "{name}: {refused}");
    }
    // It is no artifact either, under any name.
    let place = reference.split_once(':').unwrap().1;
    for reference in [reference.clone(), format!("artifact:{place}"), format!("secret:{place}")] {
        let orders = json!([{ "do": "artifacts.open", "name": "a", "reference": reference }]);
        let call = lab.call("evil", json!({ "pair": reference, "apply": orders }));
        assert!(lab.host.apply(&call).await.is_err(), "{reference}");
    }
    // The step that has it released is no better off: nor does it help to have it released again.
    let orders = json!([release(), { "do": "crypto.unseal", "pair": "kek", "sealed": sealed, "name": "dek" }]);
    assert!(lab.apply(orders).await.unwrap_err().error.to_string().contains(NOT_YET));

    verified(&lab, "abc234").await.unwrap();
    let after = refusals(&lab, "abc234", &reference, &sealed).await;
    assert_eq!((&after[0], &after[1]), (&("unseal", None), &("transfer", None)));
    assert!(!after[2].1.as_ref().unwrap().contains(NOT_YET), "it is no security domain, but the key may be tried");
}

#[tokio::test]
async fn another_runs_verdict_opens_nothing() {
    let (lab, _, sealed) = lab(" gate='gpu'");
    let (first, second) = (released(&lab, "abc234").await, released(&lab, "abc235").await);
    assert_eq!(first, second, "the references alone do not tell them apart");
    verified(&lab, "abc235").await.unwrap();
    assert!(refusals(&lab, "abc234", &first, &sealed).await[0].1.as_ref().unwrap().contains(NOT_YET));
    assert_eq!(refusals(&lab, "abc235", &second, &sealed).await[0].1, None);
}

#[tokio::test]
async fn a_new_process_has_neither_the_key_nor_the_verdict() {
    let (mut lab, _, sealed) = lab(" gate='gpu'");
    let reference = released(&lab, "abc234").await;
    verified(&lab, "abc234").await.unwrap();
    lab.restart();
    let refused = refusals(&lab, "abc234", &reference, &sealed).await;
    assert!(refused.iter().all(|(_, why)| why.is_some()), "{refused:?}");
    // Released again, it waits again.
    let again = released(&lab, "abc234").await;
    assert_eq!(again, reference);
    assert!(refusals(&lab, "abc234", &again, &sealed).await[0].1.as_ref().unwrap().contains(NOT_YET));
    // What has been verified again counts again, and nothing of the key lies on the disk.
    verified(&lab, "abc234").await.unwrap();
    assert_eq!(refusals(&lab, "abc234", &again, &sealed).await[0].1, None);
}

#[tokio::test]
async fn a_gpu_that_does_not_verify_opens_nothing_and_says_which_check_decided() {
    let (lab, machine, sealed) = lab(" gate='gpu'");
    let reference = released(&lab, "abc234").await;
    machine.sound.store(false, Ordering::SeqCst);
    let refused = verified(&lab, "abc234").await.unwrap_err().error;
    let StepError::Component { code, message } = &refused else { panic!("{refused:?}") };
    assert!(!code.is_empty() && message.contains("gpu.mode: confidential computing is off"), "{message}");
    // Rules of the component's own don't loosen what is demanded: the nonce stays the host's.
    machine.sound.store(true, Ordering::SeqCst);
    for rules in [json!({ "nonce": "00".repeat(32) }), json!({})] {
        let orders = json!([{ "do": "attestation.gpu", "rules": rules }]);
        assert_eq!(lab.apply(orders).await.unwrap()[0]["reference"], "proof:probe/gpu");
    }
    assert!(lab.apply(json!([{ "do": "attestation.gpu", "rules": [] }])).await.is_err());
    assert_eq!(refusals(&lab, "abc234", &reference, &sealed).await[0].1, None);
}

#[tokio::test]
async fn measurement_and_policy_are_held_against_what_was_verified() {
    let (right, wrong) = ("ab".repeat(48), "cd".repeat(48));
    let (policy, other) = (Digest::of(POLICY).hex(), Digest::of(b"another").hex());
    let table = [
        (String::new(), None),
        (format!(" gate='measurement={right}'"), None),
        (format!(" gate='measurement={wrong}'"), Some("no launch measurement cdcd")),
        (format!(" gate='policy={policy}'"), None),
        (format!(" gate='policy={other}'"), Some("released under another policy")),
        (format!(" gate='policy={policy} measurement={right}'"), None),
        (format!(" gate='gpu policy={policy} measurement={right}'"), Some("GPU was not verified")),
    ];
    for (gate, expected) in table {
        let (lab, _, sealed) = lab(&gate);
        let reference = released(&lab, "abc234").await;
        let refused = refusals(&lab, "abc234", &reference, &sealed).await[0].1.clone();
        match expected {
            None => assert_eq!(refused, None, "{gate}"),
            Some(why) => assert!(refused.as_ref().is_some_and(|r| r.contains(why)), "{gate}: {refused:?}"),
        }
    }
}

#[tokio::test]
async fn a_pair_made_here_leaves_as_no_file() {
    let lab = Lab::new().all_interfaces().grant(&["blob:read,write https://account1.blob.core.windows.net/data/*"]);
    let made = lab.apply(json!([{ "do": "crypto.generate-pair", "name": "pair", "bits": 2048 }])).await.unwrap();
    let open = json!({ "do": "artifacts.open", "name": "pair", "reference": made[0]["reference"] });
    for order in [
        json!({ "do": "blob.put", "effect": "out", "uri": "https://account1.blob.core.windows.net/data/pair", "name": "pair" }),
        json!({ "do": "crypto.seal-file", "name": "pair" }),
    ] {
        let refused = lab.apply(json!([open, order])).await.unwrap_err().error.to_string();
        assert!(refused.contains("it is a key pair, whose private half stays where it is"), "{refused}");
    }
}

#[tokio::test]
async fn outside_of_such_a_machine_there_is_nothing_to_verify() {
    let lab = Lab::new().all_interfaces().grant(&["attestation:use gpu"]);
    let refused = lab.apply(json!([{ "do": "attestation.gpu", "rules": {} }])).await.unwrap_err().error;
    assert!(matches!(refused, StepError::Precondition { .. }), "{refused:?}");
    let (lab, ..) = self::lab(" gate='gpu'");
    let lab = lab.without("attestation:use gpu");
    assert!(matches!(verified(&lab, "abc234").await.unwrap_err().error, StepError::Denied { .. }));
}
