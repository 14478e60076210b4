//! What vaults of each kind hold, and when a managed HSM works.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::kit::{self, Lab, message, outcome};
use crate::keyvault::{CUSTODIANS, recipients};
use crate::testing::Reply;

#[tokio::test]
async fn standard_vaults_hold_no_hsm_keys() {
    let cloud = kit::cloud().await;
    let lab = Lab::new(&cloud);
    let made = async |vault: &str, kty: &str| lab.data(vault, "POST", "/keys/kek/create", json!({ "kty": kty })).await;
    assert_eq!(outcome(&made("labvault01", "EC-HSM").await), "200");
    let saved = lab.data("labvault01", "POST", "/keys/kek/backup", Value::Null).await.body;
    let restored = lab.data("softvault", "POST", "/keys/restore", json!({ "value": saved["value"] })).await;
    for (what, refused) in [
        ("created", made("softvault", "EC-HSM").await),
        ("created", made("softvault", "RSA-HSM").await),
        ("restored", restored),
    ] {
        assert_eq!(outcome(&refused), "400 BadParameter", "{what}");
        assert_eq!(message(&refused), "Hardware key operation not allowed on standard vault.", "{what}");
    }
    assert_eq!(outcome(&made("softvault", "EC").await), "200");
}

/// Asks a vault for an exportable key.
async fn exportable(lab: &Lab<'_>, vault: &str, kty: &str, policy: bool) -> Reply {
    let policy = policy.then(|| {
        let document = json!({ "version": "1.0.0", "anyOf": [{
            "authority": "https://sharedweu.weu.attest.azure.net",
            "allOf": [{ "claim": "x-ms-isolation-tee.x-ms-attestation-type", "equals": "sevsnpvm" }],
        }] });
        json!({ "data": URL_SAFE_NO_PAD.encode(document.to_string()) })
    });
    let body = json!({ "kty": kty, "attributes": { "exportable": true }, "release_policy": policy });
    lab.data(vault, "POST", "/keys/kek/create", body).await
}

/// The number of a refusal about key release.
fn number(refused: &Reply) -> &str {
    message(refused).split(": ").next().unwrap_or_default()
}

#[tokio::test]
async fn standard_vaults_export_no_keys() {
    let cloud = kit::cloud().await;
    let lab = Lab::new(&cloud);
    for policy in [true, false] {
        let refused = exportable(&lab, "softvault", "EC", policy).await;
        assert_eq!(outcome(&refused), "400 BadParameter", "policy: {policy}");
        assert_eq!(number(&refused), "AKV.SKR.1001", "policy: {policy}");
    }
    assert_eq!(outcome(&exportable(&lab, "labvault01", "EC-HSM", true).await), "200");
}

#[tokio::test]
async fn exportable_keys_have_a_policy() {
    let cloud = kit::cloud().await;
    let lab = Lab::new(&cloud);
    let refused = exportable(&lab, "labvault01", "EC-HSM", false).await;
    assert_eq!(outcome(&refused), "400 BadParameter");
    assert_eq!(number(&refused), "AKV.SKR.1004");
    assert_eq!(outcome(&exportable(&lab, "labvault01", "EC-HSM", true).await), "200");
}

impl Lab<'_> {
    /// Body of a managed HSM that the learner administers.
    pub(super) fn pool_body(&self) -> Value {
        json!({
            "location": "westeurope", "sku": { "name": "Standard_B1", "family": "B" },
            "properties": {
                "tenantId": self.seed.tenant, "softDeleteRetentionInDays": 7,
                "initialAdminObjectIds": [self.seed.user_oid],
            },
        })
    }

    /// A request to the data plane of the managed HSM `labhsm`.
    pub(super) async fn hsm(&self, method: &str, path: &str, body: Value) -> Reply {
        let uri = format!("https://labhsm.managedhsm.azure.net{path}?api-version=7.6");
        self.me.send(method, &uri, Some(body).filter(|body| !body.is_null())).await
    }

    pub(super) async fn activate(&self) {
        let domain = self.hsm("POST", "/securitydomain/download", recipients(&CUSTODIANS, 2)).await;
        assert_eq!(domain.status, 202, "{domain:?}");
        self.cloud.advance(5);
    }
}

#[tokio::test]
async fn hsms_need_activation() {
    let cloud = kit::cloud().await;
    let lab = Lab::new(&cloud);
    lab.make(&lab.id("KeyVault/managedHSMs/labhsm"), lab.pool_body()).await;
    let roles = "/providers/Microsoft.Authorization/roleAssignments";
    for (method, path) in [("GET", roles), ("GET", "/keys"), ("POST", "/keys/kek/create"), ("POST", "/rng")] {
        let body = if method == "POST" { json!({}) } else { Value::Null };
        let refused = lab.hsm(method, path, body).await;
        assert_eq!(outcome(&refused), "403 Forbidden", "{method} {path}");
        assert!(message(&refused).contains("not activated"), "{refused:?}");
    }
    lab.activate().await;
    assert_eq!(outcome(&lab.hsm("GET", roles, Value::Null).await), "200");
}
