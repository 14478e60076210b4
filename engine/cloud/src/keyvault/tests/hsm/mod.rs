//! Managed HSMs through `Cloud::handle`.

mod access;
mod cmk;
mod keys;
mod pools;
mod roles;
mod symmetric;

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealbook_crypto::rsa::{RsaBits, RsaKey};
use serde_json::{Value, json};

use super::{DATA_API, Lab, oid};
use crate::testing::{Client, Reply, TestCloud};

const ADMINISTRATOR: &str = "a290e904-7015-4bba-90c8-60543313cdb4";
const CRYPTO_OFFICER: &str = "515eb02d-2335-4d2d-92f2-b1cbdf9c3778";
pub(in super::super) const CRYPTO_USER: &str = "21dbd100-6940-42c2-9190-5d6cb909625b";
const ENCRYPTION_USER: &str = "33413926-3206-4cdd-b39a-83574fe37a17";
const POLICY_ADMINISTRATOR: &str = "4bd23610-cdcf-4971-bdee-bdc562cc28e4";
const AUDITOR: &str = "2c18b078-7c48-4d3a-af88-5a3a1b3f82b3";

/// Somebody who holds a share: a private key and its certificate.
pub(crate) struct Custodian {
    pub key: RsaKey,
    pub certificate: Vec<u8>,
}

/// Three of them, made once for all tests.
pub(crate) static CUSTODIANS: LazyLock<Vec<Custodian>> = LazyLock::new(|| {
    let make = |_| {
        let key = RsaKey::generate(RsaBits::B2048);
        let document = key.to_pkcs8();
        let document = rustls::pki_types::PrivatePkcs8KeyDer::from(document.expose());
        let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&document, &rcgen::PKCS_RSA_SHA256).unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&pair).unwrap().der().to_vec();
        Custodian { key, certificate }
    };
    (0..3).map(make).collect()
});

/// The body of a download for these custodians.
pub(crate) fn recipients(custodians: &[Custodian], required: u8) -> Value {
    let certificates: Vec<Value> =
        custodians.iter().map(|c| json!({ "kty": "RSA", "x5c": [STANDARD.encode(&c.certificate)] })).collect();
    json!({ "certificates": certificates, "required": required })
}

impl Lab<'_> {
    pub fn pool_id(&self, name: &str) -> String {
        self.in_subscription(&format!("resourceGroups/lab/providers/Microsoft.KeyVault/managedHSMs/{name}"))
    }

    /// A pool as `az keyvault create --hsm-name` sends it, with changes of its properties.
    pub async fn pool_body(&self, changes: Value) -> Value {
        let mut properties = json!({
            "tenantId": self.tenant,
            "softDeleteRetentionInDays": "7",
            "initialAdminObjectIds": [oid(&self.me).await],
            "networkAcls": { "bypass": "AzureServices", "defaultAction": "Allow", "ipRules": [] },
        });
        for (name, value) in changes.as_object().unwrap() {
            properties[name] = value.clone();
        }
        json!({
            "location": "westeurope", "sku": { "name": "Standard_B1", "family": "B" }, "properties": properties,
        })
    }

    /// Makes a pool and waits for it; the learner is its administrator.
    pub async fn pool(&self, name: &str, changes: Value) {
        let made = self.arm("PUT", &self.pool_id(name), self.pool_body(changes).await).await;
        assert_eq!(made.status, 202, "{}", made.body);
        self.cloud.advance(3);
    }

    /// Activates a pool: the security domain that came out.
    pub async fn activate(&self, name: &str) -> Value {
        let body = recipients(&CUSTODIANS, 2);
        let reply = self.hsm(name, "POST", "/securitydomain/download", body).await;
        assert_eq!(reply.status, 202, "{}", reply.body);
        self.cloud.advance(2);
        serde_json::from_str(reply.body["value"].as_str().unwrap()).unwrap()
    }

    /// An active pool `pool` in which the learner is Crypto User for all keys, besides administrator.
    pub async fn with_pool(cloud: &TestCloud) -> Lab<'_> {
        let lab = Lab::new(cloud).await;
        lab.pool("pool", json!({})).await;
        lab.activate("pool").await;
        lab.local_role("pool", CRYPTO_USER, &oid(&lab.me).await, "/keys").await;
        lab
    }

    /// Assigns a local role and waits until it works.
    pub async fn local_role(&self, pool: &str, role: &str, principal: &str, scope: &str) -> Reply {
        let name = uuid::Uuid::new_v4();
        let path = format!("{}/providers/Microsoft.Authorization/roleAssignments/{name}", scope.trim_end_matches('/'));
        let definition = format!("Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions/{role}");
        let body = json!({ "properties": { "principalId": principal, "roleDefinitionId": definition } });
        let made = self.hsm(pool, "PUT", &path, body).await;
        assert_eq!(made.status, 201, "{}", made.body);
        self.cloud.advance(600);
        made
    }

    /// A request of the learner to a pool's data plane.
    pub async fn hsm(&self, pool: &str, method: &str, path: &str, body: Value) -> Reply {
        hsm(&self.me, pool, method, path, body).await
    }

    async fn hsm_key(&self, name: &str, changes: Value) -> Value {
        let mut body = json!({ "kty": "RSA-HSM" });
        for (name, value) in changes.as_object().unwrap() {
            body[name] = value.clone();
        }
        let made = self.hsm("pool", "POST", &format!("/keys/{name}/create"), body).await;
        assert_eq!(made.status, 200, "{}", made.body);
        made.body
    }
}

async fn hsm(client: &Client<'_>, pool: &str, method: &str, path: &str, body: Value) -> Reply {
    let separator = if path.contains('?') { '&' } else { '?' };
    let uri = format!("https://{pool}.managedhsm.azure.net{path}{separator}{DATA_API}");
    client.send(method, &uri, (!body.is_null()).then_some(body)).await
}
