use sealbook_azure::Kind;
use sealbook_crypto::SecretBytes;
use serde_json::json;

use crate::script::{Reply, Script, TENANT, answer, json_answer};

const KEY: &str = "https://v.vault.azure.net/keys/cmk";
const QUERY: &str = "?api-version=2025-07-01";

fn key(method: &str, rest: &str, reply: Reply) -> (String, Reply) {
    (format!("{method} {KEY}{rest}{QUERY}"), reply)
}

/// Key Vault's answer to a request without a token.
fn challenge(resource: &str) -> Reply {
    let header =
        format!("Bearer authorization=\"https://login.microsoftonline.com/{TENANT}\", resource=\"{resource}\"");
    answer(401, &[("www-authenticate", &header)], r#"{"error":{"code":"Unauthorized","message":"AKV10000"}}"#)
}

fn vault() -> Reply {
    challenge("https://vault.azure.net")
}

/// The first request carries neither token nor body; the challenge says where the token comes from; later requests of
/// the same vault have it at once.
#[tokio::test]
async fn the_challenge_is_answered_once_per_vault() {
    let script = Script::new([
        key("POST", "/create", vault()),
        key("POST", "/create", json_answer(200, json!({"key": {"kid": format!("{KEY}/1")}}))),
        key("GET", "/", json_answer(200, json!({"key": {}}))),
    ]);
    let azure = script.azure();
    let bundle = azure.keys().create(KEY, &json!({"kty": "RSA", "tags": {"a": "b"}})).await.unwrap();
    assert_eq!(bundle["key"]["kid"], format!("{KEY}/1"));
    assert!(azure.keys().get(KEY).await.unwrap().is_some());
    let seen = script.seen();
    assert_eq!((seen[0].header("authorization"), seen[0].body.len()), (None, 0));
    assert_eq!(seen[1].json(), json!({"kty": "RSA", "tags": {"a": "b"}}));
    assert!(seen[2].header("authorization").is_some());
    let tokens = script.token_requests();
    assert_eq!(tokens.len(), 1);
    assert!(String::from_utf8_lossy(&tokens[0].body).contains("scope=https%3A%2F%2Fvault.azure.net%2F.default"));
    script.finished();
}

/// Whoever answers for a vault cannot ask for tokens of another service.
#[tokio::test]
async fn challenges_for_other_services_are_refused() {
    for resource in ["https://management.azure.com", "https://evil.example", "https://azure.net.evil.example"] {
        let script = Script::new([key("GET", "/", challenge(resource))]);
        let error = script.azure().keys().get(KEY).await.unwrap_err();
        assert_eq!(error.kind, Kind::Other, "{error:?}");
        assert!(script.token_requests().is_empty());
    }
}

/// The tokenless first request cannot have done anything: losing it is no reason to be unsure, and its body comes back.
#[tokio::test(start_paused = true)]
async fn a_lost_probe_is_repeated_with_its_body() {
    let script = Script::new([
        key("POST", "/create", Reply::Lost),
        key("POST", "/create", vault()),
        key("POST", "/create", json_answer(200, json!({"key": {}}))),
    ]);
    script.azure().keys().create(KEY, &json!({"kty": "RSA"})).await.unwrap();
    assert_eq!(script.seen()[2].json(), json!({"kty": "RSA"}));
    script.finished();
}

#[tokio::test(start_paused = true)]
async fn a_throttled_creation_keeps_its_body_and_a_lost_one_is_not_repeated() {
    let script = Script::new([
        key("POST", "/create", vault()),
        key("POST", "/create", answer(429, &[("retry-after", "1")], "")),
        key("POST", "/create", Reply::Lost),
    ]);
    let error = script.azure().keys().create(KEY, &json!({"kty": "RSA"})).await.unwrap_err();
    assert_eq!((error.kind, error.outcome_unknown()), (Kind::Connection, true));
    assert_eq!(script.seen()[2].json(), json!({"kty": "RSA"}));
    script.finished();
}

#[tokio::test(start_paused = true)]
async fn keys_wrap_and_unwrap() {
    let script = Script::new([
        key("POST", "//wrapkey", vault()),
        key("POST", "//wrapkey", Reply::Lost),
        key("POST", "//wrapkey", json_answer(200, json!({"kid": KEY, "value": "_-8"}))),
        key("POST", "/7/unwrapkey", json_answer(200, json!({"kid": KEY, "value": "c2VjcmV0"}))),
        key("POST", "/7/unwrapkey", json_answer(200, json!({"kid": KEY, "value": "!"}))),
    ]);
    let keys = script.azure().keys();
    let wrapped = keys.wrap(KEY, "RSA-OAEP-256", &SecretBytes::from(b"secret".to_vec())).await.unwrap();
    assert_eq!(wrapped, [0xff, 0xef]);
    assert_eq!(script.seen()[2].json(), json!({"alg": "RSA-OAEP-256", "value": "c2VjcmV0"}));
    let version = format!("{KEY}/7");
    let secret = keys.unwrap(&version, "RSA-OAEP-256", &wrapped).await.unwrap();
    assert_eq!(secret.expose(), b"secret");
    assert_eq!(script.seen()[3].json(), json!({"alg": "RSA-OAEP-256", "value": "_-8"}));
    assert_eq!(keys.unwrap(&version, "RSA-OAEP-256", &wrapped).await.unwrap_err().code, "UnreadableAnswer");
    script.finished();
}

#[tokio::test]
async fn versions_come_oldest_first_from_all_pages() {
    let version = |n: u32, created: u64| json!({"kid": format!("{KEY}/{n}"), "attributes": {"created": created}});
    let more = format!("{KEY}/versions{QUERY}&$skiptoken=x");
    let script = Script::new([
        key("GET", "/versions", vault()),
        key("GET", "/versions", json_answer(200, json!({"value": [version(2, 20), version(3, 30)], "nextLink": more}))),
        (
            format!("GET {KEY}/versions?%24skiptoken=x&api-version=2025-07-01"),
            json_answer(200, json!({"value": [version(1, 10)], "nextLink": null})),
        ),
    ]);
    let versions = script.azure().keys().versions(KEY).await.unwrap();
    assert_eq!(versions, [version(1, 10), version(2, 20), version(3, 30)]);
    script.finished();
}

/// The official pager follows any link, with our token: the client's own guard does not.
#[tokio::test]
async fn pages_of_other_hosts_are_not_followed() {
    let page = json!({"value": [], "nextLink": "https://evil.example/keys"});
    let script = Script::new([key("GET", "/versions", vault()), key("GET", "/versions", json_answer(200, page))]);
    let error = script.azure().keys().versions(KEY).await.unwrap_err();
    assert_eq!(error.kind, Kind::Other);
    assert!(error.message.contains("evil.example"), "{error}");
    script.finished();
}

#[tokio::test]
async fn absence_and_refusal_are_told_apart() {
    let absent = || json_answer(404, json!({"error": {"code": "KeyNotFound", "message": "no such key"}}));
    let refused = json_answer(
        403,
        json!({"error": {"code": "Forbidden", "message": "Caller is not authorized", "innererror": {"code": "ForbiddenByRbac"}}}),
    );
    let deleted = format!("GET https://v.vault.azure.net/deletedkeys/cmk{QUERY}");
    let script = Script::new([
        key("GET", "/", vault()),
        key("GET", "/", absent()),
        key("GET", "/versions", absent()),
        key("DELETE", "", absent()),
        (deleted, absent()),
        key("DELETE", "", json_answer(200, json!({"recoveryId": "r"}))),
        key("PATCH", "/7", refused),
        key("POST", "/rotate", json_answer(200, json!({"key": {"kid": "n"}}))),
    ]);
    let keys = script.azure().keys();
    assert_eq!(keys.get(KEY).await.unwrap(), None);
    assert!(keys.versions(KEY).await.unwrap().is_empty());
    assert_eq!(keys.delete(KEY).await.unwrap(), None);
    assert_eq!(keys.deleted(KEY).await.unwrap(), None);
    assert_eq!(keys.delete(KEY).await.unwrap().unwrap()["recoveryId"], "r");
    let error = keys.update(&format!("{KEY}/7"), &json!({"attributes": {"enabled": false}})).await.unwrap_err();
    assert!(error.is_role_missing() && error.has_code("Forbidden"));
    assert_eq!((error.status, error.code.as_str()), (403, "ForbiddenByRbac"));
    assert_eq!(keys.rotate(KEY).await.unwrap()["key"]["kid"], "n");
    script.finished();
}

#[tokio::test]
async fn other_uris_never_leave() {
    let script = Script::new([]);
    let keys = script.azure().keys();
    for uri in ["https://evil.example/keys/k", "https://v.vault.azure.net/secrets/s", "http://v.vault.azure.net/keys/k"]
    {
        let errors = [
            keys.get(uri).await.unwrap_err(),
            keys.create(uri, &json!({})).await.unwrap_err(),
            keys.wrap(uri, "RSA-OAEP-256", &SecretBytes::default()).await.unwrap_err(),
        ];
        assert!(errors.iter().all(|error| error.code == "InvalidKeyUri"), "{uri}");
    }
    assert_eq!(keys.rotate(&format!("{KEY}/7")).await.unwrap_err().code, "InvalidKeyUri");
    assert!(script.seen().is_empty() && script.token_requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_import_is_sent_once_as_it_was_given() {
    let script = Script::new([
        key("PUT", "", vault()),
        key("PUT", "", json_answer(200, json!({"key": {"kid": format!("{KEY}/1")}}))),
        key("PUT", "", Reply::Lost),
    ]);
    let keys = script.azure().keys();
    let parameters = json!({"key": {"kty": "RSA-HSM", "key_hsm": "e30"}, "Hsm": true});
    keys.import(KEY, &parameters).await.unwrap();
    assert_eq!(script.seen()[1].json(), parameters);
    assert!(keys.import(KEY, &parameters).await.unwrap_err().outcome_unknown());
    assert_eq!(keys.import(&format!("{KEY}/1"), &parameters).await.unwrap_err().code, "InvalidKeyUri");
    script.finished();
}
