//! Unwraps by the embedded Key Vault over one kept connection, against the bare primitive.

use std::process::{Command, Stdio};

use bytes::Bytes;
use http::{Method, Request};
use sealbook_cloud::front::client::Door;
use sealbook_cloud::front::{Options, Server};
use sealbook_cloud::{Cloud, CloudConfig};
use sealbook_crypto::rsa::{Padding, RsaBits, RsaKey};
use serde_json::{Value, json};

use crate::{at_least, figure, median, micros};

pub fn bench() {
    let key = RsaKey::generate(RsaBits::B2048);
    let wrapped = key.public().encrypt(Padding::OaepSha256, &[7; 32]).unwrap();
    let bare = median(50, || drop(key.decrypt(Padding::OaepSha256, &wrapped).unwrap()));
    figure("RSA-OAEP-256 decryption, 2048 bits, bare", micros(bare));

    // The lab leaves a vault with a key that its learner may use.
    let folder = tempfile::tempdir().unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_sealbook"))
        .args(["--output", "json", "run", "key-vault-premium", "--yes"])
        .env("SEALBOOK_HOME", folder.path())
        .env("XDG_CONFIG_HOME", folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let last: Value = serde_json::from_str(String::from_utf8(done.stdout).unwrap().lines().last().unwrap()).unwrap();
    let kid = last["outputs"]["key"]["kid"].as_str().expect("the lab made a key").to_owned();

    let tokio = tokio::runtime::Runtime::new().unwrap();
    tokio.block_on(async {
        let cloud = Cloud::open(CloudConfig::new(folder.path().join("cloud"))).unwrap();
        let seed = cloud.seed().unwrap();
        let server = Server::start(cloud, &folder.path().join("cloud"), Options::default()).await.unwrap();
        let door = Door::new(server.endpoint()).unwrap();
        let form = [
            ("grant_type", "password"),
            ("client_id", "04b07795-8ddb-461a-bbee-02f9e1bf7b46"),
            ("scope", "https://vault.azure.net/.default"),
            ("username", &seed.user),
            ("password", seed.password.expose()),
        ];
        let form: Vec<String> = form.iter().map(|(k, v)| format!("{k}={}", percent(v))).collect();
        let url = format!("https://login.microsoftonline.com/{}/oauth2/v2.0/token", seed.tenant);
        let token = ask(&door, &url, "application/x-www-form-urlencoded", form.join("&"), None).await;
        let token = token["access_token"].as_str().unwrap();
        let call = async |operation: &str, value: &str| {
            let body = json!({ "alg": "RSA-OAEP-256", "value": value }).to_string();
            ask(&door, &format!("{kid}/{operation}?api-version=7.4"), "application/json", body, Some(token)).await
        };
        let wrapped =
            call("wrapkey", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8").await["value"].as_str().unwrap().to_owned();
        let mut rounds = Vec::new();
        for _ in 0..7 {
            let begun = std::time::Instant::now();
            for _ in 0..50 {
                assert!(call("unwrapkey", &wrapped).await["value"].is_string());
            }
            rounds.push(begun.elapsed().as_secs_f64() / 50.0);
        }
        rounds.sort_by(f64::total_cmp);
        let served = rounds[3];
        figure("unwrapKey over a kept connection", micros(served));
        figure("unwrapKey over a kept connection", format!("{:.0} a second", 1.0 / served));
        at_least("served unwraps / bare decryptions", bare / served * 100.0, 50.0, "%");
        server.shutdown().await;
    });
}

async fn ask(door: &Door, url: &str, content: &str, body: String, token: Option<&str>) -> Value {
    let mut request = Request::builder().method(Method::POST).uri(url).header("content-type", content);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let answer = door.send(request.body(Bytes::from(body)).unwrap()).await.unwrap();
    assert!(answer.status().is_success(), "{url}: {} {:?}", answer.status(), answer.body());
    serde_json::from_slice(answer.body()).unwrap()
}

/// Escapes what is not plain in a form.
fn percent(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}
