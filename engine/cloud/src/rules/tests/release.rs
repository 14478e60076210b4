//! To whom a key is released: not to whoever has the permission, but to an environment that was attested.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealbook_crypto::rsa::{RsaBits, RsaKey};
use serde_json::{Value, json};

use super::kit::{self, Lab, message, outcome};
use crate::attestation::issuers;
use crate::testing::{Reply, START};

const ISSUER: &str = "https://sharedweu.weu.attest.azure.net";

const UNVERIFIED: &str = "Target environment attestation statement cannot be verified.";
const UNMET: &str = "Target environment attestation does not meet key release policy requirements.";

/// A policy that trusts the provider of West Europe, for confidential virtual machines.
fn policy(immutable: bool) -> Value {
    let document = json!({ "version": "1.0.0", "anyOf": [{
        "authority": ISSUER,
        "allOf": [{ "claim": "x-ms-isolation-tee.x-ms-attestation-type", "equals": "sevsnpvm" }],
    }] });
    json!({ "data": URL_SAFE_NO_PAD.encode(document.to_string()), "immutable": immutable })
}

impl Lab<'_> {
    /// Makes the exportable key `kek`.
    async fn exportable(&self, immutable: bool) {
        let body = json!({ "kty": "EC-HSM", "attributes": { "exportable": true }, "release_policy": policy(immutable) });
        let made = self.data("labvault01", "POST", "/keys/kek/create", body).await;
        assert_eq!(made.status, 200, "{made:?}");
    }

    /// Asks for `kek` with a token of a provider, valid until some seconds from now, of a machine of some kind.
    async fn release(&self, issuer: &str, seconds: i64, kind: &str) -> Reply {
        let key = RsaKey::generate(RsaBits::B2048).public();
        let claims = json!({
            "iss": issuer, "nbf": START - 28_800, "exp": START + seconds,
            "x-ms-isolation-tee": { "x-ms-attestation-type": kind },
            "x-ms-runtime": { "keys": [{
                "kty": "RSA", "kid": "TpmEphemeralEncryptionKey", "key_ops": ["encrypt"],
                "n": URL_SAFE_NO_PAD.encode(key.n), "e": URL_SAFE_NO_PAD.encode(key.e),
            }] },
        });
        let target = self.cloud.within(|cx| issuers::sign(cx, issuer, &claims).unwrap());
        self.data("labvault01", "POST", "/keys/kek/release", json!({ "target": target })).await
    }
}

#[tokio::test]
async fn releases_need_an_authority_of_the_policy() {
    let cloud = kit::cloud().await;
    let lab = Lab::new(&cloud);
    lab.exportable(false).await;
    let refused = lab.release("https://sharedneu.neu.attest.azure.net", 60, "sevsnpvm").await;
    assert_eq!(outcome(&refused), "403 Forbidden");
    assert_eq!(message(&refused), UNVERIFIED);
    assert_eq!(outcome(&lab.release(ISSUER, 60, "sevsnpvm").await), "200");
}

#[tokio::test]
async fn releases_need_a_fresh_token() {
    let cloud = kit::cloud().await;
    let lab = Lab::new(&cloud);
    lab.exportable(false).await;
    let refused = lab.release(ISSUER, -3_600, "sevsnpvm").await;
    assert_eq!(outcome(&refused), "403 Forbidden");
    assert_eq!(message(&refused), UNVERIFIED);
    assert_eq!(outcome(&lab.release(ISSUER, 60, "sevsnpvm").await), "200");
}

#[tokio::test]
async fn releases_need_the_claims_of_the_policy() {
    let cloud = kit::cloud().await;
    let lab = Lab::new(&cloud);
    lab.exportable(false).await;
    let refused = lab.release(ISSUER, 60, "tdxvm").await;
    assert_eq!(outcome(&refused), "403 Forbidden");
    assert_eq!(message(&refused), UNMET);
    assert_eq!(outcome(&lab.release(ISSUER, 60, "sevsnpvm").await), "200");
}

#[tokio::test]
async fn immutable_policies_stay() {
    let cloud = kit::cloud().await;
    let lab = Lab::new(&cloud);
    lab.exportable(false).await;
    let change = async |immutable: bool| {
        lab.data("labvault01", "PATCH", "/keys/kek", json!({ "release_policy": policy(immutable) })).await
    };
    assert_eq!(outcome(&change(true).await), "200");
    let refused = change(false).await;
    assert_eq!(outcome(&refused), "400 BadParameter");
    assert_eq!(message(&refused), "AKV.SKR.1020: Immutable Key Release Policy cannot be modified.");
}
