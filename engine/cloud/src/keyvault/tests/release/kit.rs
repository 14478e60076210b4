//! A vault with an exportable key, an attested environment with a key of its own, and somebody who opens an answer.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{RootCertStore, crypto};
use sealbook_crypto::SecretBytes;
use sealbook_crypto::rsa::{RsaAesWrap, RsaBits, RsaKey};
use sealbook_crypto::security_domain::certificate;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::super::Lab;
use crate::attestation::issuers;
use crate::testing::{self, Files, Reply, START, TestCloud};

/// The provider that the keys' policy trusts.
pub const ISSUER: &str = "https://sharedweu.weu.attest.azure.net";
/// Another provider of this cloud.
pub const OTHER: &str = "https://sharedneu.neu.attest.azure.net";

/// The key of the environment, as its TPM would hold it.
pub static TEE: LazyLock<RsaKey> = LazyLock::new(|| RsaKey::generate(RsaBits::B2048));

static GROUND: OnceCell<Files> = OnceCell::const_new();

/// A cloud with the vault `lab-vault`, in which the learner is Crypto Officer and `kek` is exportable.
pub async fn cloud() -> TestCloud {
    let ground = GROUND.get_or_init(async || {
        let cloud = testing::cloud();
        {
            let lab = Lab::with_vault(&cloud, json!({})).await;
            lab.key("kek", exportable("RSA-HSM", &policy())).await;
            let first = lab.data("POST", "/keys/kek//release", json!({ "target": token(&cloud, &claims()) })).await;
            assert_eq!(first.status, 200, "{first:?}");
        }
        cloud.into_files()
    });
    ground.await.open()
}

impl<'a> Lab<'a> {
    /// The learner in a cloud that has everything already.
    pub fn again(cloud: &'a TestCloud) -> Self {
        Self { me: cloud.learner(), tenant: cloud.seed.tenant.clone(), cloud }
    }
}

/// The policy of the labs: a confidential virtual machine of Azure, by the guest attestation of the region.
pub fn policy() -> Value {
    let claim = |name: &str, value: &str| json!({ "claim": format!("x-ms-isolation-tee.{name}"), "equals": value });
    json!({ "version": "1.0.0", "anyOf": [{ "authority": format!("{ISSUER}/"), "allOf": [
        claim("x-ms-attestation-type", "sevsnpvm"),
        claim("x-ms-compliance-status", "azure-compliant-cvm"),
        claim("x-ms-sevsnpvm-is-debuggable", "false"),
    ] }] })
}

/// The envelope of a policy.
pub fn envelope(policy: &Value, immutable: bool) -> Value {
    json!({ "data": URL_SAFE_NO_PAD.encode(policy.to_string()), "immutable": immutable })
}

/// Body of a creation of an exportable key.
pub fn exportable(kty: &str, policy: &Value) -> Value {
    json!({ "kty": kty, "attributes": { "exportable": true }, "release_policy": envelope(policy, false) })
}

/// An RSA key as runtime data names it.
pub fn runtime_key(key: &RsaKey) -> Value {
    let public = key.public();
    json!({
        "e": URL_SAFE_NO_PAD.encode(public.e), "key_ops": ["encrypt"], "kid": "TpmEphemeralEncryptionKey",
        "kty": "RSA", "n": URL_SAFE_NO_PAD.encode(public.n),
    })
}

/// What a guest attestation of a machine says that meets [`policy`], from now on for eight hours.
pub fn claims() -> Value {
    json!({
        "iss": ISSUER, "iat": START, "nbf": START, "exp": START + 28_800, "x-ms-ver": "1.0",
        "x-ms-attestation-type": "azurevm",
        "secureboot": true,
        "x-ms-isolation-tee": {
            "x-ms-attestation-type": "sevsnpvm",
            "x-ms-compliance-status": "azure-compliant-cvm",
            "x-ms-sevsnpvm-is-debuggable": false,
        },
        "x-ms-runtime": { "client-payload": { "nonce": "bm9uY2U=" }, "keys": [runtime_key(&TEE)] },
    })
}

/// [`claims`] with changes at JSON pointers.
pub fn claims_with(changes: &[(&str, Value)]) -> Value {
    let mut claims = claims();
    for (pointer, value) in changes {
        let (object, member) = pointer.rsplit_once('/').unwrap();
        claims.pointer_mut(object).unwrap()[member] = value.clone();
    }
    claims
}

/// Claims signed by the provider that they name as issuer.
pub fn token(cloud: &TestCloud, claims: &Value) -> String {
    signed(cloud, claims["iss"].as_str().unwrap(), claims)
}

/// Claims signed with the key of a provider, whatever they say.
pub fn signed(cloud: &TestCloud, signer: &str, claims: &Value) -> String {
    cloud.within(|cx| issuers::sign(cx, signer, claims).unwrap())
}

/// One part of a compact JWS as bytes.
pub fn part(jws: &str, index: usize) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(jws.split('.').nth(index).unwrap()).unwrap()
}

/// What an answer holds.
pub struct Opened {
    pub header: Value,
    pub payload: Value,
    pub key_hsm: Value,
}

/// Reads an answer and holds it against what signed it: the chain by rustls, to the root of the cloud, for the host of
/// the key store; the signature by the leaf's key.
pub fn open(cloud: &TestCloud, host: &str, reply: &Reply) -> Opened {
    assert_eq!(reply.status, 200, "{reply:?}");
    let jws = reply.body["value"].as_str().unwrap();
    let json = |index| serde_json::from_slice::<Value>(&part(jws, index)).unwrap();
    let (header, payload) = (json(0), json(1));
    let chain: Vec<CertificateDer<'static>> = header["x5c"].as_array().unwrap().iter().map(|one| {
        CertificateDer::from(STANDARD.decode(one.as_str().unwrap()).unwrap())
    }).collect();
    assert_eq!(chain.len(), 3, "leaf, issuing authority, root");

    let root = CertificateDer::from_pem_slice(cloud.cloud.release_root().unwrap().as_bytes()).unwrap();
    assert_eq!(chain[2], root);
    let mut roots = RootCertStore::empty();
    roots.add(root).unwrap();
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(START).unwrap()));
    let judged = |host: &str| {
        let name = ServerName::try_from(host.to_owned()).unwrap();
        verifier.verify_server_cert(&chain[0], &chain[1..2], &name, &[], now)
    };
    assert!(judged(host).is_ok(), "{host}: {:?}", judged(host));
    assert!(judged("lab.blob.core.windows.net").is_err());
    let signed = &jws[..jws.rfind('.').unwrap()];
    certificate::public_key(&chain[0]).unwrap().verify_rs256(signed.as_bytes(), &part(jws, 2)).unwrap();

    let key_hsm = URL_SAFE_NO_PAD.decode(payload["response"]["key"]["key"]["key_hsm"].as_str().unwrap()).unwrap();
    Opened { header, payload, key_hsm: serde_json::from_slice(&key_hsm).unwrap() }
}

impl Opened {
    /// The released key, by the private key of the environment.
    pub fn material(&self, tee: &RsaKey) -> Option<SecretBytes> {
        let enc = RsaAesWrap::from_name(self.key_hsm["header"]["enc"].as_str().unwrap()).unwrap();
        let ciphertext = URL_SAFE_NO_PAD.decode(self.key_hsm["ciphertext"].as_str().unwrap()).unwrap();
        enc.unwrap(tee, &ciphertext).ok()
    }
}
