//! Whatever the answer to a release holds: a key comes out of nothing that the vault's certificate did not sign, whatever
//! the header says; and of what it did sign, only the key that was asked for, with the wrap, the nonce and the recipient
//! that were asked.
//!
//! The first byte says what the rest is: an answer, a payload that is signed here, or a header that is signed here.
#![no_main]

use std::sync::OnceLock;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use sealbook_attestation::Roots;
use sealbook_attestation::release::{ReleaseRules, Released, verify};
use sealbook_attestation::roots::Kind;
use sealbook_attestation::x509::Certificate;
use serde_json::{Value, json};

#[allow(dead_code, reason = "made for more tests than this")]
#[path = "../../../engine/attestation/src/testing.rs"]
mod testing;

const KID: &str = "https://fuzz.vault.azure.net/keys/k";
const ENC: &str = "RSA_AES_KEY_WRAP_256";

struct World {
    header: Value,
    roots: Roots,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let chain = testing::chain("fuzz", &["*.vault.azure.net"], 2034);
        let root = Certificate::from_der(&chain.root).expect("a root");
        World { header: chain.header(), roots: Roots::builtin().with_test("FUZZ", Kind::Tls, root, Vec::new()) }
    })
}

fn judge(jws: &str) -> Option<Released> {
    let rules = ReleaseRules {
        vault_host: "fuzz.vault.azure.net",
        kid: KID,
        enc: ENC,
        nonce: Some("nobody's"),
        api_version: None,
        tee_kid: "tee",
        roots: &world().roots,
        now: testing::NOW,
    };
    let (verdict, released) = verify(jws, &rules);
    assert_eq!(released.is_some(), verdict.passed());
    released
}

fn signed(header: &[u8], payload: &[u8]) -> String {
    let signed = [header, payload].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part)).join(".");
    let signature = testing::key(2).sign_rs256(signed.as_bytes());
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else { return };
    match kind % 3 {
        0 => assert!(judge(&String::from_utf8_lossy(data)).is_none(), "nobody signed this"),
        1 => {
            let Some(released) = judge(&signed(world().header.to_string().as_bytes(), data)) else { return };
            let payload: Value = serde_json::from_slice(data).expect("what was read");
            assert_eq!(payload, released.payload);
            let asked = &payload["request"];
            assert_eq!((&asked["nonce"], &asked["enc"]), (&json!("nobody's"), &json!(ENC)));
            for kid in [asked["kid"].as_str().expect("a key"), &released.kid] {
                assert!(kid.get(..KID.len()).is_some_and(|start| start.eq_ignore_ascii_case(KID)), "{kid}");
            }
            assert!(payload["response"]["key"]["key"]["kid"] == released.kid.as_str() && released.enc == ENC);
            _ = released.unwrap(testing::key(1));
        }
        _ => {
            let payload = br#"{"request":{},"response":{}}"#;
            assert!(judge(&signed(data, payload)).is_none(), "there is no key in it");
        }
    }
});
