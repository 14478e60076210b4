//! Evidence of this cloud's machines judged by Python's `cryptography`, and the service by its official SDK.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{SHARED, snp_uri, tenant};
use crate::compute::lab;
use crate::front::{Options, Server, SignIn, environment};
use crate::tee::tests::guest::{REPORT, machine};
use crate::testing;

#[tokio::test(flavor = "multi_thread")]
async fn others_find_the_evidence_and_the_tokens_genuine() {
    let Some(python) = testing::python("azure.identity, azure.security.attestation, cryptography, requests") else {
        return;
    };
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let id = machine(&lab, "cvm", |_| {}).await;
    let mut tenant = tenant(&cloud, &id).await;
    let info = tenant.info().tpm_info;
    let base64 = |bytes: &[u8]| STANDARD.encode(bytes);
    let scene = json!({
        "provider": SHARED,
        "attest": { "uri": snp_uri(SHARED), "body": tenant.report_body() },
        "hcl": base64(&tenant.guest.read(REPORT).unwrap()),
        "certificates": tenant.certificates,
        "roots": cloud.cloud.test_roots().unwrap(),
        "nonce": base64(b"fresh"),
        "quote": base64(&info.pcr_quote.0),
        "signature": base64(&info.pcr_signature.0),
        "pcrs": info.pcrs.iter().map(|pcr| base64(&pcr.digest.0)).collect::<Vec<_>>(),
        "log": base64(&tenant.guest.tee.event_log().unwrap()),
    });
    let file = cloud.dir.path().join("scene.json");
    std::fs::write(&file, Value::to_string(&scene)).unwrap();

    let server = Server::start(cloud.cloud.clone(), &cloud.dir.path().join("cloud"), Options::default()).await.unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop/attestation.py");
    let mut command = Command::new(python);
    command.arg(script).arg(&file).envs(environment(server.endpoint(), &cloud.seed, SignIn::Learner));
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    server.shutdown().await;
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.ends_with("9 checks\n"), "{said}{complained}");
}
