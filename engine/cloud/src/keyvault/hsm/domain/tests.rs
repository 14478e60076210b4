//! The security domain through `Cloud::handle`, with custodians who hold real keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealbook_crypto::security_domain::{self, Holder};
use serde_json::{Value, json};

use crate::keyvault::tests::hsm::{CRYPTO_USER, CUSTODIANS, Custodian, recipients};
use crate::keyvault::tests::{Lab, message, oid, refusal};
use crate::testing;

/// What the Azure CLI makes of a security domain, some private keys and a transfer key's certificate.
fn restore_blob(document: &Value, custodians: &[&Custodian], exchange: &[u8]) -> Value {
    let keys: Vec<_> = custodians.iter().map(|custodian| &custodian.key).collect();
    let opened = security_domain::open(document, &keys).unwrap();
    security_domain::carry(&opened.data, &Holder::of_certificate(exchange).unwrap()).unwrap()
}

async fn exchange_certificate(lab: &Lab<'_>, pool: &str) -> Vec<u8> {
    let reply = lab.hsm(pool, "GET", "/securitydomain/upload", Value::Null).await;
    assert_eq!((reply.status, &reply.body["key_format"]), (200, &json!("jwk")), "{}", reply.body);
    let jwk: Value = serde_json::from_str(reply.body["transfer_key"].as_str().unwrap()).unwrap();
    STANDARD.decode(jwk["x5c"][0].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn keys_move_between_pools_of_one_domain_and_no_further() {
    let cloud = testing::cloud();
    let lab = Lab::with_pool(&cloud).await;
    let me = oid(&lab.me).await;
    for (name, kty) in [("rsa", "RSA-HSM"), ("ec", "EC-HSM"), ("aes", "oct-HSM")] {
        let made = lab.hsm("pool", "POST", &format!("/keys/{name}/create"), json!({ "kty": kty })).await;
        assert_eq!(made.status, 200, "{}", made.body);
    }
    let wrapped =
        lab.hsm("pool", "POST", "/keys/aes/wrapkey", json!({ "alg": "A256KW", "value": "A".repeat(43) })).await;
    let wrap_body = wrapped.body.clone();
    let domain = lab.hsm("pool", "POST", "/securitydomain/download", recipients(&CUSTODIANS, 2)).await;
    let domain: Value = serde_json::from_str(domain.body["value"].as_str().unwrap()).unwrap();
    let mut backups = Vec::new();
    for name in ["rsa", "ec", "aes"] {
        let saved = lab.hsm("pool", "POST", &format!("/keys/{name}/backup"), Value::Null).await;
        assert_eq!(saved.status, 200, "{}", saved.body);
        backups.push(saved.body);
    }
    lab.pool("second", json!({})).await;
    lab.pool("stranger", json!({})).await;
    let exchange = exchange_certificate(&lab, "second").await;
    assert_eq!(exchange, exchange_certificate(&lab, "second").await, "the transfer key stays");
    let shown = lab.arm("GET", &lab.pool_id("second"), Value::Null).await;
    assert_eq!(shown.body["properties"]["provisioningState"], "SecurityDomainRestore");
    let blob = restore_blob(&domain, &[&CUSTODIANS[2], &CUSTODIANS[0]], &exchange);
    let uploaded = lab.hsm("second", "POST", "/securitydomain/upload", json!({ "value": blob.to_string() })).await;
    assert_eq!((uploaded.status, &uploaded.body["status"]), (202, &json!("InProgress")), "{}", uploaded.body);
    let pending = uploaded.header("azure-asyncoperation").to_owned();
    assert_eq!(pending, "https://second.managedhsm.azure.net/securitydomain/upload/pending");
    assert_eq!(lab.me.send("GET", &pending, None).await.body["status"], "InProgress");
    cloud.advance(2);
    assert_eq!(lab.me.send("GET", &pending, None).await.body["status"], "Success");
    lab.activate("stranger").await;
    for pool in ["second", "stranger"] {
        lab.local_role(pool, CRYPTO_USER, &me, "/").await;
    }
    for backup in &backups {
        let foreign = lab.hsm("stranger", "POST", "/keys/restore", backup.clone()).await;
        assert_eq!(refusal(&foreign), (400, "BadParameter", ""), "another domain");
        assert!(message(&foreign).starts_with("Cannot decrypt backup blob."));
        let restored = lab.hsm("second", "POST", "/keys/restore", backup.clone()).await;
        assert_eq!(restored.status, 200, "{}", restored.body);
        assert!(restored.body["key"]["kid"].as_str().unwrap().starts_with("https://second.managedhsm.azure.net/keys/"));
    }
    let body = json!({ "alg": "A256KW", "value": wrap_body["value"] });
    let opened = lab.hsm("second", "POST", "/keys/aes/unwrapkey", body).await;
    assert_eq!(opened.body["value"], "A".repeat(43), "it is the same key: {}", opened.body);
    let again = lab.hsm("second", "POST", "/keys/restore", backups[0].clone()).await;
    assert_eq!(refusal(&again), (409, "Conflict", ""));
    for (method, path) in [("GET", "/securitydomain/upload"), ("POST", "/securitydomain/upload")] {
        let reply = lab.hsm("second", method, path, json!({ "value": blob.to_string() })).await;
        assert_eq!(refusal(&reply), (409, "Conflict", ""), "{method} for an active pool");
    }
}

/// The Python beside the Azure CLI that `SEALBOOK_AZ` names: the one that can import the CLI's modules.
fn azure_cli_python() -> Option<std::path::PathBuf> {
    let Some(az) = std::env::var_os("SEALBOOK_AZ") else {
        assert!(std::env::var_os("REQUIRE_INTEROP").is_none(), "REQUIRE_INTEROP is set, but SEALBOOK_AZ is not");
        println!("skipped: SEALBOOK_AZ doesn't name an Azure CLI");
        return None;
    };
    Some(std::path::Path::new(&az).with_file_name("python"))
}

/// The Azure CLI's own code opens the download and makes the upload.
#[tokio::test]
async fn the_azure_cli_carries_a_domain_from_pool_to_pool() {
    let Some(python) = azure_cli_python() else { return };
    let cloud = testing::cloud();
    let lab = Lab::with_pool(&cloud).await;
    let domain = lab.activate("pool").await;
    lab.hsm("pool", "POST", "/keys/kek/create", json!({ "kty": "oct-HSM" })).await;
    let backup = lab.hsm("pool", "POST", "/keys/kek/backup", Value::Null).await.body;
    lab.pool("second", json!({})).await;
    let exchange = exchange_certificate(&lab, "second").await;
    let folder = cloud.dir.path();
    let pem =
        |what: &str, der: &[u8]| format!("-----BEGIN {what}-----\n{}\n-----END {what}-----\n", STANDARD.encode(der));
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
    write("domain.json", domain.to_string());
    write("exchange.cer", pem("CERTIFICATE", &exchange));
    for (i, custodian) in CUSTODIANS.iter().enumerate() {
        write(&format!("custodian-{i}.cer"), pem("CERTIFICATE", &custodian.certificate));
        write(&format!("custodian-{i}.key"), pem("PRIVATE KEY", custodian.key.to_pkcs8().expose()));
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/interop/security_domain.py");
    let run = |keys: &[&str]| {
        let mut command = std::process::Command::new(&python);
        command.arg(script).arg(folder).args(keys).output().unwrap()
    };
    let alone = run(&["custodian-1.key"]);
    assert!(!alone.status.success(), "one key is no quorum");
    let done = run(&["custodian-1.key", "custodian-2.key"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let blob = String::from_utf8(done.stdout).unwrap();
    let uploaded = lab.hsm("second", "POST", "/securitydomain/upload", json!({ "value": blob })).await;
    assert_eq!(uploaded.status, 202, "{}", uploaded.body);
    cloud.advance(2);
    lab.local_role("second", CRYPTO_USER, &oid(&lab.me).await, "/").await;
    let restored = lab.hsm("second", "POST", "/keys/restore", backup).await;
    assert_eq!(restored.status, 200, "{}", restored.body);
}

#[tokio::test]
async fn a_download_is_finished_a_moment_later() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    lab.pool("pool", json!({})).await;
    let reply = lab.hsm("pool", "POST", "/securitydomain/download", recipients(&CUSTODIANS, 3)).await;
    assert_eq!((reply.status, reply.header("retry-after")), (202, "1"));
    let pending = reply.header("azure-asyncoperation").to_owned();
    let early = lab.me.send("GET", &pending, None).await;
    assert_eq!((early.body["status"].as_str(), early.header("retry-after")), (Some("InProgress"), "1"));
    assert_eq!(lab.hsm("pool", "GET", "/keys", Value::Null).await.code(), "Forbidden");
    cloud.advance(2);
    assert_eq!(lab.me.send("GET", &pending, None).await.body["status"], "Success");
    let document: Value = serde_json::from_str(reply.body["value"].as_str().unwrap()).unwrap();
    assert_eq!(document["SharedKeys"]["key_algorithm"], "shamir_share");
    assert_eq!(document["SharedKeys"]["required"], 3);
    assert_eq!(document["EncData"]["kdf"], "sp108_kdf");
}

#[tokio::test]
async fn certificates_and_quorum_have_their_limits() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    lab.pool("pool", json!({})).await;
    let good = recipients(&CUSTODIANS, 2);
    let with = |change: fn(&mut Value)| {
        let mut body = good.clone();
        change(&mut body);
        body
    };
    let rows = [
        (json!({}), "certificates is required"),
        (with(|b| drop(b["certificates"].as_array_mut().unwrap().pop())), "there are 2, and between 3 and 10"),
        (with(|b| b["certificates"] = vec![b["certificates"][0].clone(); 11].into()), "there are 11"),
        (with(|b| b["certificates"][1] = b["certificates"][0].clone()), "in it twice"),
        (with(|b| b["certificates"][0] = json!({ "kty": "RSA" })), "needs its certificate"),
        (with(|b| b["required"] = 1.into()), "between 2 and the number"),
        (with(|b| b["required"] = 4.into()), "between 2 and the number"),
        (with(|b| b["required"] = "2".into()), "between 2 and the number"),
    ];
    for (body, expected) in rows {
        let reply = lab.hsm("pool", "POST", "/securitydomain/download", body.clone()).await;
        assert_eq!(refusal(&reply), (400, "BadParameter", ""), "{expected}");
        assert!(message(&reply).contains(expected), "{}", message(&reply));
    }
}

#[tokio::test]
async fn an_upload_needs_a_transfer_key_and_a_domain_made_for_it() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    for name in ["first", "second"] {
        lab.pool(name, json!({})).await;
    }
    let domain = lab.activate("first").await;
    let early = lab.hsm("second", "POST", "/securitydomain/upload", json!({ "value": "{}" })).await;
    assert_eq!(refusal(&early), (409, "Conflict", ""), "no transfer key was asked for");
    exchange_certificate(&lab, "second").await;
    let other = &CUSTODIANS[0].certificate;
    let blob = restore_blob(&domain, &[&CUSTODIANS[0], &CUSTODIANS[1]], other);
    for value in [blob.to_string(), domain.to_string(), "{}".to_owned(), "no JSON".to_owned()] {
        let reply = lab.hsm("second", "POST", "/securitydomain/upload", json!({ "value": value })).await;
        assert_eq!(refusal(&reply), (400, "BadParameter", ""));
    }
    assert_eq!(lab.hsm("second", "GET", "/securitydomain/upload/pending", Value::Null).await.status, 404);
}
