use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealbook_azure::{Kind, Transfer};
use sealbook_crypto::rsa::{RsaBits, RsaKey};
use sealbook_crypto::security_domain::certificate;
use serde_json::{Value, json};

use crate::script::{Reply, Script, json_answer};

const HSM: &str = "https://h.managedhsm.azure.net";
const URI: &str = "https://h.managedhsm.azure.net/";
const NAME: &str = "11111111-2222-3333-4444-555555555555";

fn line(method: &str, path: &str, reply: Reply) -> (String, Reply) {
    (format!("{method} {HSM}{path}"), reply)
}

fn refusal(status: u16, code: &str) -> Reply {
    json_answer(status, json!({ "error": { "code": code, "message": "no" } }))
}

#[tokio::test(start_paused = true)]
async fn a_security_domain_goes_out_once_and_is_followed() {
    let path = "/securitydomain/download?api-version=7.6";
    let script = Script::new([
        line("POST", path, json_answer(202, json!({ "value": "{\"version\":1}" }))),
        line("GET", "/securitydomain/download/pending", json_answer(200, json!({ "status": "InProgress" }))),
        line("GET", "/securitydomain/download/pending", json_answer(200, json!({ "status": "Success" }))),
        line("GET", "/securitydomain/download/pending", json_answer(200, json!({ "status": "Failed" }))),
        line("POST", path, Reply::Lost),
        line("POST", path, json_answer(202, json!({}))),
    ]);
    let hsms = script.azure().hsms();
    let holder = |name| certificate::self_signed(&RsaKey::generate(RsaBits::B2048), name, ((2024, 1, 1), (2049, 1, 1)));
    let certificates = [holder("one").unwrap(), holder("two").unwrap()];
    assert_eq!(hsms.download(URI, &certificates, 2).await.unwrap(), "{\"version\":1}");
    let sent = script.seen()[0].json();
    let first = &sent["certificates"][0];
    assert_eq!((&sent["required"], &first["x5c"]), (&json!(2), &json!([STANDARD.encode(&certificates[0])])));
    let members = ["alg", "e", "key_ops", "kid", "kty", "n", "use", "x5t#S256"];
    assert!(members.iter().all(|member| !first[member].is_null()), "the service wants all of {members:?}: {first}");
    assert!(script.seen()[0].header("authorization").is_some());
    let tokens = script.token_requests();
    assert!(String::from_utf8_lossy(&tokens[0].body).contains("https%3A%2F%2Fmanagedhsm.azure.net%2F.default"));
    assert!(!hsms.transfer_done(URI, Transfer::Download).await.unwrap());
    assert!(hsms.transfer_done(URI, Transfer::Download).await.unwrap());
    assert_eq!(hsms.transfer_done(URI, Transfer::Download).await.unwrap_err().code, "SecurityDomainTransferFailed");
    assert!(hsms.download(URI, &certificates, 2).await.unwrap_err().outcome_unknown());
    assert_eq!(hsms.download(URI, &certificates, 2).await.unwrap_err().code, "UnreadableAnswer");
    script.finished();
}

#[tokio::test]
async fn the_transfer_key_is_json_within_json() {
    let key = json!({ "x5c": [STANDARD.encode([7, 7])] }).to_string();
    let path = "/securitydomain/upload?api-version=7.6";
    let script = Script::new([
        line("GET", path, json_answer(200, json!({ "key_format": "jwk", "transfer_key": key }))),
        line("GET", path, json_answer(200, json!({ "key_format": "jwk" }))),
        line("POST", path, json_answer(202, json!({ "status": "InProgress" }))),
    ]);
    let hsms = script.azure().hsms();
    assert_eq!(hsms.transfer_certificate(URI).await.unwrap(), [7, 7]);
    assert_eq!(hsms.transfer_certificate(URI).await.unwrap_err().code, "UnreadableAnswer");
    hsms.upload(URI, &json!({ "EncData": {} })).await.unwrap();
    assert_eq!(script.seen()[2].json(), json!({ "value": "{\"EncData\":{}}" }));
    script.finished();
}

#[tokio::test]
async fn local_roles_are_found_by_name_and_assigned_at_their_scope() {
    let roles = "///providers/Microsoft.Authorization/roleDefinitions?api-version=7.6";
    let role = json!({ "id": "r/1", "properties": { "roleName": "Managed HSM Crypto User" } });
    let at = format!("//keys/k/providers/Microsoft.Authorization/roleAssignments/{NAME}?api-version=7.6");
    let script = Script::new([
        line("GET", roles, json_answer(200, json!({ "value": [role] }))),
        line("GET", roles, json_answer(200, json!({ "value": [] }))),
        line("PUT", &at, json_answer(201, json!({ "name": NAME }))),
        line("GET", &at, refusal(404, "RoleAssignmentNotFound")),
        line("DELETE", &at, json_answer(200, json!({ "name": NAME }))),
        line("DELETE", &at, refusal(404, "RoleAssignmentNotFound")),
        line("GET", &at, refusal(404, "ManagedHsmNotFound")),
        line("GET", &at, refusal(403, "AccessDenied")),
    ]);
    let hsms = script.azure().hsms();
    assert_eq!(hsms.role(URI, "managed hsm crypto user").await.unwrap(), "r/1");
    assert_eq!(hsms.role(URI, "none").await.unwrap_err().code, "RoleNotFound");
    hsms.assign(URI, "/keys/k", NAME, "p", "r/1").await.unwrap();
    let sent = script.seen()[2].json();
    assert_eq!(sent, json!({ "properties": { "roleDefinitionId": "r/1", "principalId": "p" } }));
    assert_eq!(hsms.assignment(URI, "/keys/k", NAME).await.unwrap(), None);
    assert!(hsms.unassign(URI, "/keys/k", NAME).await.unwrap().is_some());
    assert_eq!(hsms.unassign(URI, "/keys/k", NAME).await.unwrap(), None::<Value>);
    assert_eq!(hsms.assignment(URI, "/keys/k", NAME).await.unwrap_err().code, "ManagedHsmNotFound");
    let denied = hsms.assignment(URI, "/keys/k", NAME).await.unwrap_err();
    assert_eq!((denied.kind, denied.is_role_missing()), (Kind::Forbidden, true));
    script.finished();
}

/// Tokens for managed HSMs go to managed HSMs.
#[tokio::test]
async fn other_hosts_are_refused_before_a_token_is_asked_for() {
    for uri in [
        "https://v.vault.azure.net/",
        "http://h.managedhsm.azure.net/",
        "https://a.b.managedhsm.azure.net/",
        "https://h.managedhsm.azure.net.evil.example/",
        "https://u@h.managedhsm.azure.net/",
        "https://h.managedhsm.azure.net:444/",
        "https://h.managedhsm.azure.net/keys",
        "https://.managedhsm.azure.net/",
        "",
    ] {
        let script = Script::new([]);
        let error = script.azure().hsms().role(uri, "any").await.unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (Kind::BadRequest, "InvalidHsmUri"), "{uri}");
        assert!(script.token_requests().is_empty());
    }
}
