//! What the service attests and what it refuses, with the evidence of this cloud's machines.

mod certified;
mod sdk;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealbook_attestation::azure_guest::{
    AttestationInfo, Bytes, EncryptedToken, IsolationEvidence, IsolationInfo, PROTOCOL, Pcr, TOKEN_AAD, TpmInfo,
};
use sealbook_attestation::maa::{self, SigningKeys, TokenRules};
use sealbook_attestation::policy::ReleasePolicy;
use sealbook_crypto::SecretBytes;
use sealbook_crypto::aes::{AesKey, Sealed};
use serde_json::{Value, json};
use tpm2_protocol::data::{TpmAlgId, TpmtRsaDecrypt, TpmtSigScheme, TpmtSignature, TpmuSignature};
use tpm2_protocol::frame::{
    TpmCertifyCommand, TpmCertifyResponse, TpmReadPublicCommand, TpmReadPublicResponse, TpmRsaDecryptCommand,
    TpmRsaDecryptResponse,
};

use crate::compute::{Lab, lab};
use crate::tee::tests::guest::{AK, Guest, NULL, REPORT, bytes, decryption_key, guest, machine, metadata, password};
use crate::testing::{self, Reply, START, TestCloud};
use crate::{Fault, FaultKind};

const SHARED: &str = "https://sharedweu.weu.attest.azure.net";
const OWN: &str = "https://mine.weu.attest.azure.net";

async fn ask(cloud: &TestCloud, method: &str, uri: &str, token: Option<&str>, body: &Value) -> Reply {
    let authorization = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<(&str, &str)> = authorization.iter().map(|value| ("authorization", value.as_str())).collect();
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    cloud.anonymous().raw(method, uri, &headers, body.into()).await.unwrap()
}

/// Asks for a token, as nobody in particular.
async fn post(cloud: &TestCloud, uri: &str, body: &Value) -> Reply {
    ask(cloud, "POST", uri, None, body).await
}

/// Stops unless a request for a token is refused with 400 and this code.
async fn refused(cloud: &TestCloud, uri: &str, body: &Value, code: &str, what: &str) {
    let reply = post(cloud, uri, body).await;
    assert_eq!((reply.status, reply.code()), (400, code), "{what}: {reply:?}");
}

fn signature(signed: &TpmtSignature) -> Bytes {
    let TpmuSignature::Rsassa(signature) = &signed.signature else { panic!("{signed:?}") };
    Bytes(signature.sig.to_vec())
}

/// A machine, its connection to the TPM and the handle of its encryption key.
struct Tenant {
    guest: Guest,
    key: u32,
    certificates: String,
    report: Vec<u8>,
    runtime: Vec<u8>,
}

async fn tenant(cloud: &TestCloud, id: &str) -> Tenant {
    let mut guest = guest(cloud, id);
    let (status, thim) = metadata(cloud, Some(id), "/metadata/THIM/amd/certification").await;
    assert_eq!(status, 200, "{thim}");
    let part = |name: &str| thim[name].as_str().unwrap().to_owned();
    let hcl = guest.read(REPORT).unwrap();
    let length = u32::from_le_bytes(hcl[0x4d0..0x4d4].try_into().unwrap()) as usize;
    let key = guest.create(NULL, decryption_key(&[])).unwrap().handles[0].value();
    Tenant {
        guest,
        key,
        certificates: part("vcekCert") + &part("certificateChain"),
        report: hcl[0x20..0x4c0].to_vec(),
        runtime: hcl[0x4d4..0x4d4 + length].to_vec(),
    }
}

impl Tenant {
    fn public(&mut self, handle: u32) -> Bytes {
        let read = TpmReadPublicCommand { handles: [handle.into()] };
        Bytes(bytes(&self.guest.ask::<TpmReadPublicResponse>(&read, &[]).unwrap().out_public))
    }

    fn info(&mut self) -> AttestationInfo {
        let quote = self.guest.quote(b"fresh");
        let certify = TpmCertifyCommand {
            handles: [self.key.into(), AK.into()],
            qualifying_data: Default::default(),
            in_scheme: TpmtSigScheme::default(),
        };
        let certified: TpmCertifyResponse = self.guest.ask(&certify, &[password(), password()]).unwrap();
        let pcrs = (0..24).map(|index| Pcr { digest: Bytes(self.guest.register(usize::from(index))), index }).collect();
        AttestationInfo {
            attestation_protocol_version: PROTOCOL.into(),
            client_payload: [("nonce".to_owned(), json!("bm9uY2U="))].into_iter().collect(),
            isolation_info: IsolationInfo {
                kind: "SevSnp".into(),
                evidence: IsolationEvidence::new(&self.report, &self.certificates, self.runtime.clone()),
            },
            os_build: "NotApplicable".into(),
            os_distro: "Ubuntu".into(),
            os_type: "Linux".into(),
            os_version_major: 24,
            os_version_minor: 4,
            tcg_logs: Bytes(self.guest.tee.event_log().unwrap()),
            tpm_info: TpmInfo {
                aik_cert: Bytes::default(),
                aik_pub: self.public(AK),
                enc_key_certify_info: Bytes(bytes(&certified.certify_info.inner)),
                enc_key_certify_info_signature: signature(&certified.signature),
                enc_key_pub: self.public(self.key),
                pcrs,
                pcr_quote: Bytes(bytes(&quote.quoted.inner)),
                pcr_set: (0..24).collect(),
                pcr_signature: signature(&quote.signature),
            },
        }
    }

    /// Opens an answer as the machine does: its TPM decrypts the key that the token is encrypted under.
    fn open(&mut self, answer: &Value) -> String {
        let sealed = EncryptedToken::from_text(answer["token"].as_str().unwrap()).unwrap();
        let decrypt = TpmRsaDecryptCommand {
            handles: [self.key.into()],
            cipher_text: sealed.encrypted_inner_key.0.as_slice().try_into().unwrap(),
            in_scheme: TpmtRsaDecrypt { scheme: TpmAlgId::Rsaes, ..Default::default() },
            label: Default::default(),
        };
        let inner: TpmRsaDecryptResponse = self.guest.ask(&decrypt, &[password()]).unwrap();
        let inner = AesKey::from_bytes(SecretBytes::new(inner.message.to_vec())).unwrap();
        let message = Sealed {
            nonce: sealed.encryption_params.iv.0.try_into().unwrap(),
            ciphertext: sealed.jwt.0,
            tag: sealed.authentication_data.0.try_into().unwrap(),
        };
        String::from_utf8(inner.decrypt_gcm(TOKEN_AAD, &message).unwrap().expose().to_vec()).unwrap()
    }

    fn report_body(&self) -> Value {
        let document = json!({
            "SnpReport": URL_SAFE_NO_PAD.encode(&self.report),
            "VcekCertChain": URL_SAFE_NO_PAD.encode(&self.certificates),
        });
        json!({
            "report": URL_SAFE_NO_PAD.encode(document.to_string()),
            "runtimeData": { "data": URL_SAFE_NO_PAD.encode(&self.runtime), "dataType": "JSON" },
        })
    }
}

/// Verifies a token with the keys that its issuer serves.
async fn verified(cloud: &TestCloud, issuer: &str, token: &str) -> Value {
    let keys = ask(cloud, "GET", &format!("{issuer}/certs"), None, &Value::Null).await;
    let keys = SigningKeys::parse(&keys.bytes).unwrap();
    let rules = TokenRules { issuer: Some(issuer), keys: &keys, now: START, leeway: 0 };
    let (verdict, claims) = maa::verify(token, &rules);
    assert!(verdict.passed(), "{verdict:?}");
    claims.unwrap().value().clone()
}

fn guest_uri(provider: &str) -> String {
    format!("{provider}/attest/AzureGuest?api-version=2020-10-01")
}

fn snp_uri(provider: &str) -> String {
    format!("{provider}/attest/SevSnpVm?api-version=2022-08-01")
}

/// The tenant of a machine of its own.
async fn alone(cloud: &TestCloud) -> Tenant {
    let lab = lab(cloud).await;
    let id = machine(&lab, "cvm", |_| {}).await;
    tenant(cloud, &id).await
}

async fn attested(cloud: &TestCloud, tenant: &mut Tenant) -> Value {
    let body = tenant.info().body();
    let reply = post(cloud, &guest_uri(SHARED), &body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let token = tenant.open(&reply.body);
    verified(cloud, SHARED, &token).await
}

#[tokio::test]
async fn a_guest_gets_a_token_that_only_it_can_open_and_that_releases_keys() {
    let cloud = testing::cloud();
    let mut tenant = alone(&cloud).await;
    let claims = attested(&cloud, &mut tenant).await;
    assert_eq!(claims["x-ms-attestation-type"], "azurevm");
    assert_eq!(claims["secureboot"], true);
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 8 * 3_600);
    assert_eq!(claims["x-ms-policy-hash"], maa::policy_hash(super::policies::AZURE_GUEST));
    let tee = &claims["x-ms-isolation-tee"];
    assert_eq!(tee["x-ms-compliance-status"], "azure-compliant-cvm");
    assert_eq!(tee["x-ms-sevsnpvm-is-debuggable"], false);
    assert_eq!(tee["x-ms-sevsnpvm-microcode-svn"], 219);
    assert_eq!(tee["x-ms-runtime"], serde_json::from_slice::<Value>(&tenant.runtime).unwrap());
    assert_eq!(claims["x-ms-runtime"]["client-payload"]["nonce"], "bm9uY2U=");
    for name in ["dbvalidated", "dbxvalidated", "default-securebootkeysvalidated", "signingdisabled"] {
        assert_eq!(claims[format!("x-ms-azurevm-{name}")], true, "{name}");
    }
    let key = maa::release_key(&claims).unwrap();
    assert_eq!(key.kid, "TpmEphemeralEncryptionKey");
    let policy = json!({ "version": "1.0.0", "anyOf": [{ "authority": SHARED, "allOf": [
        { "claim": "x-ms-isolation-tee.x-ms-attestation-type", "equals": "sevsnpvm" },
        { "claim": "x-ms-isolation-tee.x-ms-compliance-status", "equals": "azure-compliant-cvm" },
    ] }] });
    let policy = ReleasePolicy::parse(policy.to_string().as_bytes()).unwrap();
    assert!(policy.evaluate(SHARED, &claims).released);
}

#[tokio::test]
async fn a_token_says_what_is_wrong_with_a_machine() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let flaw = |kind| cloud.fault(Fault { times: None, ..Fault::once(kind) });
    flaw(FaultKind::DebuggableGuest { machine: Some("debug".into()) });
    flaw(FaultKind::TamperedImage { machine: Some("tampered".into()) });
    flaw(FaultKind::OutdatedHost { machine: Some("old".into()) });
    let loose = |body: &mut Value| {
        let properties = &mut body["properties"];
        properties["securityProfile"]["uefiSettings"]["secureBootEnabled"] = false.into();
        properties["storageProfile"]["osDisk"]["managedDisk"]["securityProfile"]["securityEncryptionType"] =
            "VMGuestStateOnly".into();
    };
    // Machine, secure boot, status of compliance, whether debuggable, microcode.
    let rows = [
        ("debug", true, Value::Null, true, 219),
        ("tampered", true, Value::Null, false, 219),
        ("old", true, json!("azure-compliant-cvm"), false, 68),
        ("loose", false, json!("azure-compliant-cvm"), false, 219),
    ];
    for (name, secure, status, debuggable, microcode) in rows {
        let id = machine(&lab, name, |body| {
            if secure {
            } else {
                loose(body)
            }
        })
        .await;
        let claims = attested(&cloud, &mut tenant(&cloud, &id).await).await;
        let tee = &claims["x-ms-isolation-tee"];
        assert_eq!(claims["secureboot"], secure, "{name}");
        assert_eq!(tee["x-ms-compliance-status"], status, "{name}");
        assert_eq!(tee["x-ms-sevsnpvm-is-debuggable"], debuggable, "{name}");
        assert_eq!(tee["x-ms-sevsnpvm-microcode-svn"], microcode, "{name}");
    }
}

#[tokio::test]
async fn evidence_that_does_not_hold_together_is_refused() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let id = machine(&lab, "cvm", |_| {}).await;
    let other = machine(&lab, "other", |_| {}).await;
    let mut mine = tenant(&cloud, &id).await;
    let mut theirs = tenant(&cloud, &other).await;
    let (right, stolen) = (mine.info(), theirs.info());
    type Change<'a> = Box<dyn Fn(&mut AttestationInfo) + 'a>;
    let rows: Vec<(&str, &str, Change<'_>)> = vec![
        ("another protocol", "InvalidParameter", Box::new(|i| i.attestation_protocol_version = "3.0".into())),
        ("another technology", "InvalidParameter", Box::new(|i| i.isolation_info.kind = "TDX".into())),
        (
            "another machine's chip",
            "AttestationFailed",
            Box::new(|i| {
                let evidence = IsolationEvidence::new(&mine.report, &theirs.certificates, mine.runtime.clone());
                i.isolation_info.evidence = evidence;
            }),
        ),
        (
            "another machine's runtime data",
            "AttestationFailed",
            Box::new(|i| {
                i.isolation_info.evidence.runtime_data = stolen.isolation_info.evidence.runtime_data.clone();
            }),
        ),
        (
            "another machine's quote",
            "AttestationFailed",
            Box::new(|i| {
                i.tpm_info.pcr_quote = stolen.tpm_info.pcr_quote.clone();
                i.tpm_info.pcr_signature = stolen.tpm_info.pcr_signature.clone();
            }),
        ),
        (
            "another attestation key",
            "AttestationFailed",
            Box::new(|i| {
                i.tpm_info.aik_pub = stolen.tpm_info.aik_pub.clone();
            }),
        ),
        ("another register", "AttestationFailed", Box::new(|i| i.tpm_info.pcrs[7].digest.0[0] ^= 1)),
        ("a short register", "InvalidParameter", Box::new(|i| i.tpm_info.pcrs[7].digest.0.truncate(8))),
        ("a doubled register", "InvalidParameter", Box::new(|i| i.tpm_info.pcrs[7].index = 8)),
        (
            "another log",
            "AttestationFailed",
            Box::new(|i| {
                let at = i.tcg_logs.0.len() / 2;
                i.tcg_logs.0[at] ^= 1;
            }),
        ),
        (
            "another encryption key",
            "AttestationFailed",
            Box::new(|i| {
                i.tpm_info.enc_key_pub = stolen.tpm_info.enc_key_pub.clone();
            }),
        ),
        (
            "an encryption key that another TPM certified",
            "AttestationFailed",
            Box::new(|i| {
                i.tpm_info.enc_key_pub = stolen.tpm_info.enc_key_pub.clone();
                i.tpm_info.enc_key_certify_info = stolen.tpm_info.enc_key_certify_info.clone();
                i.tpm_info.enc_key_certify_info_signature = stolen.tpm_info.enc_key_certify_info_signature.clone();
            }),
        ),
        (
            "a quote in the place of a certificate",
            "InvalidParameter",
            Box::new(|i| {
                i.tpm_info.enc_key_certify_info = i.tpm_info.pcr_quote.clone();
                i.tpm_info.enc_key_certify_info_signature = i.tpm_info.pcr_signature.clone();
            }),
        ),
    ];
    for (what, code, change) in rows {
        let mut info = right.clone();
        change(&mut info);
        refused(&cloud, &guest_uri(SHARED), &info.body(), code, what).await;
    }
    for body in [Value::Null, json!({}), json!({ "AttestationInfo": "%" })] {
        refused(&cloud, &guest_uri(SHARED), &body, "InvalidParameter", &body.to_string()).await;
    }
    assert_eq!(post(&cloud, &guest_uri(SHARED), &right.body()).await.status, 200);
}

#[tokio::test]
async fn a_bare_report_is_attested_with_what_it_is_bound_to() {
    let cloud = testing::cloud();
    let tenant = alone(&cloud).await;
    let mut body = tenant.report_body();
    body["nonce"] = json!("abc");
    let reply = post(&cloud, &snp_uri(SHARED), &body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let claims = verified(&cloud, SHARED, reply.body["token"].as_str().unwrap()).await;
    assert_eq!((&claims["x-ms-attestation-type"], &claims["nonce"]), (&json!("sevsnpvm"), &json!("abc")));
    assert_eq!(claims["x-ms-compliance-status"], "azure-compliant-cvm");
    assert_eq!(claims["x-ms-sevsnpvm-reportdata"], hex::encode(&tenant.report[0x50..0x90]));
    let alone = json!({ "report": body["report"] });
    let reply = post(&cloud, &snp_uri(SHARED), &alone).await;
    let claims = verified(&cloud, SHARED, reply.body["token"].as_str().unwrap()).await;
    assert_eq!(claims["x-ms-compliance-status"], Value::Null, "without runtime data nobody knows whose it is");

    let bare = json!({ "report": URL_SAFE_NO_PAD.encode(&tenant.report) });
    let data = |text: &str, kind: &str| json!({ "data": URL_SAFE_NO_PAD.encode(text), "dataType": kind });
    let with = |member: &str, value: Value| {
        let mut body = tenant.report_body();
        body[member] = value;
        body
    };
    let rows = [
        (bare, "InvalidQuote"),
        (json!({}), "InvalidParameter"),
        (with("runtimeData", data("{}", "JSON")), "AttestationFailed"),
        (with("runtimeData", data("no JSON", "JSON")), "InvalidParameter"),
        (with("runtimeData", data("x", "Text")), "InvalidParameter"),
        (with("initTimeData", data("x", "Binary")), "AttestationFailed"),
        (with("draftPolicyForAttestation", json!("version= 1.0;")), "InvalidParameter"),
    ];
    for (body, code) in rows {
        refused(&cloud, &snp_uri(SHARED), &body, code, &body.to_string()).await;
    }
    let tdx = format!("{SHARED}/attest/TdxVm?api-version=2025-06-01");
    let reply = post(&cloud, &tdx, &json!({ "quote": "AA" })).await;
    assert_eq!((reply.status, reply.header("x-sealbook-gap").is_empty()), (400, false));
}

async fn own_provider(lab: &Lab<'_>, cloud: &TestCloud, tpm: &str) {
    let register = format!("{}/providers/Microsoft.Attestation/register?api-version=2021-04-01", cloud.subscription());
    lab.me.arm("POST", &register, json!({})).await;
    cloud.advance(60);
    let path =
        format!("{}/providers/Microsoft.Attestation/attestationProviders/mine?api-version=2021-06-01", lab.group);
    let body = json!({ "location": "westeurope", "properties": { "tpmAttestationAuthentication": tpm } });
    let made = lab.me.arm("PUT", &path, body).await;
    assert!(made.status < 300, "{made:?}");
}

#[tokio::test]
async fn a_provider_of_ones_own_serves_whoever_may_read_it() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let id = machine(&lab, "cvm", |_| {}).await;
    let mut tenant = tenant(&cloud, &id).await;
    let (report, info) = (tenant.report_body(), tenant.info().body());
    assert_eq!(post(&cloud, &snp_uri(OWN), &report).await.status, 404, "not there yet");
    own_provider(&lab, &cloud, "Enabled").await;
    let policy = format!("{OWN}/policies/SevSnpVm?api-version=2022-08-01");
    for (method, uri, body) in
        [("POST", snp_uri(OWN), &report), ("POST", guest_uri(OWN), &info), ("GET", policy.clone(), &Value::Null)]
    {
        let refused = ask(&cloud, method, &uri, None, body).await;
        assert_eq!(refused.status, 401, "{uri}");
        assert!(refused.header("www-authenticate").contains("https://attest.azure.net"));
    }
    lab.demote(&["Microsoft.Compute/virtualMachines/read"]).await;
    let tools = cloud.tools().token("https://attest.azure.net").await;
    assert_eq!(ask(&cloud, "POST", &snp_uri(OWN), Some(&tools), &report).await.code(), "Forbidden");
    let owner = cloud.learner().token("https://attest.azure.net").await;
    let reply = ask(&cloud, "POST", &snp_uri(OWN), Some(&owner), &report).await;
    verified(&cloud, OWN, reply.body["token"].as_str().unwrap()).await;
    assert_eq!(ask(&cloud, "GET", &policy, Some(&owner), &Value::Null).await.status, 200);
    for (method, uri) in [("PUT", policy.clone()), ("POST", policy.replace("SevSnpVm?", "SevSnpVm:reset?"))] {
        let refused = ask(&cloud, method, &uri, Some(&owner), &json!("eyJ")).await;
        assert_eq!((refused.status, refused.code()), (400, "PolicyNotSupported"), "{uri}");
        let shared = ask(&cloud, method, &uri.replace(OWN, SHARED), Some(&owner), &json!("eyJ")).await;
        assert_eq!((shared.status, shared.code()), (403, "Forbidden"), "{uri}");
    }
    // Guests with a TPM may be let in without a token.
    own_provider(&lab, &cloud, "Disabled").await;
    assert_eq!(post(&cloud, &guest_uri(OWN), &info).await.status, 200);
    assert_eq!(post(&cloud, &snp_uri(OWN), &report).await.status, 401);
}

#[tokio::test]
async fn anybody_can_read_keys_metadata_and_policies_of_shared_providers() {
    let cloud = testing::cloud();
    let get = async |path: &str| ask(&cloud, "GET", &format!("{SHARED}{path}"), None, &Value::Null).await;
    let metadata = get("/.well-known/openid-configuration").await.body;
    assert_eq!((&metadata["issuer"], &metadata["jwks_uri"]), (&json!(SHARED), &json!(format!("{SHARED}/certs"))));
    let keys = get("/certs").await;
    assert_eq!(keys.body["keys"][0]["kty"], "RSA");
    assert!(keys.header("content-type").starts_with("application/jwk+json"));
    let policy = get("/policies/SevSnpVm?api-version=2022-08-01").await;
    let claims = verified(&cloud, SHARED, policy.body["token"].as_str().unwrap()).await;
    let inner = claims["x-ms-policy"].as_str().unwrap().split('.').nth(1).unwrap();
    let inner: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(inner).unwrap()).unwrap();
    let text = URL_SAFE_NO_PAD.decode(inner["AttestationPolicy"].as_str().unwrap()).unwrap();
    assert_eq!(text, super::policies::SEV_SNP_VM.as_bytes());
    for (path, status, code) in [
        ("/policies/SgxEnclave?api-version=2022-08-01", 400, "InvalidParameter"),
        ("/policies/Toaster?api-version=2022-08-01", 400, "InvalidParameter"),
        ("/policies/SevSnpVm?api-version=2019-01-01", 400, "UnsupportedApiVersion"),
        ("/policies/SevSnpVm", 400, "ApiVersionUnspecified"),
        ("/elsewhere", 404, "NotFound"),
    ] {
        let reply = get(path).await;
        assert_eq!((reply.status, reply.code()), (status, code), "{path}");
    }
    let nobody = ask(&cloud, "GET", "https://nobody.weu.attest.azure.net/certs", None, &Value::Null).await;
    assert_eq!((nobody.status, nobody.code()), (404, "NotFound"));
}
