//! A release asked for by the official SDK for Python, and opened and verified by `cryptography`.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::Lab;
use super::super::hsm::CRYPTO_USER;
use super::kit::{TEE, claims, claims_with, exportable, policy, token};
use crate::front::{Options, Server, SignIn, environment};
use crate::testing;

#[tokio::test(flavor = "multi_thread")]
async fn the_official_sdk_opens_what_is_released() {
    let Some(python) = testing::python("azure.identity, azure.keyvault.keys, cryptography") else { return };
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    lab.key("rsa", exportable("RSA-HSM", &policy())).await;
    lab.key("curve", exportable("EC-HSM", &policy())).await;
    lab.pool("pool", json!({})).await;
    lab.activate("pool").await;
    lab.local_role("pool", CRYPTO_USER, &cloud.seed.user_oid, "/keys").await;
    lab.hsm("pool", "POST", "/keys/aes/create", exportable("oct-HSM", &policy())).await;
    let debugged = claims_with(&[("/x-ms-isolation-tee/x-ms-sevsnpvm-is-debuggable", json!(true))]);
    let document = STANDARD.encode(TEE.to_pkcs8().expose());
    let scene = json!({
        "vault": "https://lab-vault.vault.azure.net/", "pool": "https://pool.managedhsm.azure.net/",
        "keys": { "vault": ["rsa", "curve"], "pool": ["aes"] },
        "token": token(&cloud, &claims()), "debugged": token(&cloud, &debugged),
        "tee": format!("-----BEGIN PRIVATE KEY-----\n{document}\n-----END PRIVATE KEY-----\n"),
        "root": cloud.cloud.release_root().unwrap(),
    });
    let file = cloud.dir.path().join("scene.json");
    std::fs::write(&file, Value::to_string(&scene)).unwrap();

    let server = Server::start(cloud.cloud.clone(), &cloud.dir.path().join("cloud"), Options::default()).await.unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop/release.py");
    let mut command = Command::new(python);
    command.arg(script).arg(&file).envs(environment(server.endpoint(), &cloud.seed, SignIn::Learner));
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    server.shutdown().await;
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.ends_with("9 releases\n"), "{said}{complained}");
}
