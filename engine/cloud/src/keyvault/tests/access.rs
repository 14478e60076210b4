//! Who comes in: the challenge, tokens, roles, the firewall, versions, and what the log says about it.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{CRYPTO_USER, Lab, OFFICER, READER, data, message, oid, refusal};
use crate::{Fault, FaultKind, testing};

const URI: &str = "https://lab-vault.vault.azure.net/keys/cmk?api-version=7.6";

#[tokio::test]
async fn without_a_token_the_challenge_names_the_tenant() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    // The probe of the official clients: the real method and path, no token, an empty body.
    let uri = "https://lab-vault.vault.azure.net/keys/cmk/create?api-version=2025-07-01";
    let probe = cloud.anonymous().raw("POST", uri, &[], Bytes::new()).await.unwrap();
    assert_eq!(refusal(&probe), (401, "Unauthorized", ""));
    assert_eq!(message(&probe), "AKV10000: Request is missing a Bearer or PoP token.");
    let expected = format!(
        "Bearer authorization=\"https://login.microsoftonline.com/{}\", resource=\"https://vault.azure.net\"",
        lab.tenant
    );
    assert_eq!(probe.header("www-authenticate"), expected);
    for (name, value) in [
        ("x-ms-keyvault-region", "westeurope"),
        ("x-ms-keyvault-service-version", "1.9.0.0"),
        ("x-ms-keyvault-network-info", "conn_type=Ipv4;addr=203.0.113.10;act_addr_fam=InterNetwork;"),
    ] {
        assert_eq!(probe.header(name), value);
    }
    assert!(!probe.header("x-ms-request-id").is_empty());
}

#[tokio::test]
async fn wrong_tokens_are_refused() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    let good = lab.me.token("https://vault.azure.net").await;
    let arm = lab.me.token("https://management.azure.com").await;
    let forged = format!("{}x", &good[..good.len() - 1]);
    let rows = [
        (
            format!("Bearer {arm}"),
            "AKV10022: Invalid audience. Expected https://vault.azure.net, found: https://management",
        ),
        (format!("Bearer {forged}"), "Error validating token"),
        ("Bearer junk".to_owned(), "Error validating token"),
        ("Basic abc".to_owned(), "AKV10000"),
    ];
    for (header, expected) in rows {
        let reply = lab.me.raw("GET", URI, &[("authorization", &header)], Bytes::new()).await.unwrap();
        assert_eq!(refusal(&reply), (401, "Unauthorized", ""), "{header}");
        assert!(message(&reply).starts_with(expected), "{}", message(&reply));
        assert!(reply.header("www-authenticate").contains("resource=\"https://vault.azure.net\""));
    }
    cloud.advance_wall(2 * 86_400);
    let header = format!("Bearer {good}");
    let late = lab.me.raw("GET", URI, &[("authorization", &header)], Bytes::new()).await.unwrap();
    assert_eq!(refusal(&late), (401, "Unauthorized", ""), "tokens expire on the wall clock");
}

#[tokio::test]
async fn nobody_has_access_by_making_a_vault() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    lab.vault("lab-vault", json!({})).await;
    let reply = lab.data("POST", "/keys/cmk/create", json!({ "kty": "RSA" })).await;
    assert_eq!(refusal(&reply), (403, "Forbidden", "ForbiddenByRbac"));
    let token = lab.me.token("https://vault.azure.net").await;
    assert!(!message(&reply).contains(&token));
    let expected = format!(
        "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role \
         definitions were changed recently, please observe propagation time.\r\nCaller: \
         appid=04b07795-8ddb-461a-bbee-02f9e1bf7b46;oid={};iss=https://sts.windows.net/{}/\r\nAction: \
         'Microsoft.KeyVault/vaults/keys/create/action'\r\nResource: '{}/keys/cmk'\r\nAssignment: (not found)\r\n\
         DenyAssignmentId: null\r\nDecisionReason: null \r\nVault: lab-vault;location=westeurope\r\n",
        oid(&lab.me).await,
        lab.tenant,
        lab.vault_id("lab-vault")
    );
    assert_eq!(message(&reply), expected);
}

/// Every operation of the table with the role that has it and one that has not.
#[tokio::test]
async fn each_operation_asks_for_its_own_data_action() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    lab.key("cmk", json!({})).await;
    let tools = cloud.tools();
    let value = json!({ "alg": "RSA-OAEP-256", "value": "AAAA" });
    // Key Vault Reader may read; what it lacks is refused, whatever the body.
    let rows = [
        ("GET", "/keys", Value::Null, 200),
        ("GET", "/keys/cmk", Value::Null, 200),
        ("GET", "/keys/cmk/versions", Value::Null, 200),
        ("GET", "/deletedkeys", Value::Null, 200),
        ("GET", "/deletedkeys/cmk", Value::Null, 404),
        ("POST", "/keys/new/create", json!({ "kty": "RSA" }), 403),
        ("POST", "/keys/cmk/rotate", Value::Null, 403),
        ("PATCH", "/keys/cmk", json!({ "tags": {} }), 403),
        ("POST", "/keys/cmk/encrypt", value.clone(), 403),
        ("POST", "/keys/cmk/decrypt", value.clone(), 403),
        ("POST", "/keys/cmk/wrapkey", value.clone(), 403),
        ("POST", "/keys/cmk/unwrapkey", value.clone(), 403),
        ("POST", "/keys/cmk/release", value.clone(), 403),
        ("POST", "/keys/cmk/sign", value.clone(), 403),
        ("POST", "/keys/cmk/verify", value.clone(), 403),
        ("PUT", "/keys/cmk", json!({ "key": {} }), 403),
        ("POST", "/keys/cmk/backup", Value::Null, 403),
        ("POST", "/keys/restore", value.clone(), 403),
        ("GET", "/keys/cmk/rotationpolicy", Value::Null, 200),
        ("PUT", "/keys/cmk/rotationpolicy", json!({}), 403),
        ("DELETE", "/keys/cmk", Value::Null, 403),
        ("POST", "/deletedkeys/cmk/recover", Value::Null, 403),
        ("DELETE", "/deletedkeys/cmk", Value::Null, 403),
    ];
    for (method, path, body, _) in &rows {
        let reply = data(&tools, method, path, body.clone()).await;
        assert_eq!(refusal(&reply), (403, "Forbidden", "ForbiddenByRbac"), "without a role: {method} {path}");
    }
    let principal = oid(&tools).await;
    lab.assign(READER, &principal, "ServicePrincipal", &lab.vault_id("lab-vault")).await;
    for (method, path, body, status) in &rows {
        let reply = data(&tools, method, path, body.clone()).await;
        assert_eq!(reply.status, *status, "Key Vault Reader: {method} {path}: {}", reply.body);
        if *status == 403 {
            assert_eq!(refusal(&reply).2, "ForbiddenByRbac", "{method} {path}");
        }
    }
    lab.assign(CRYPTO_USER, &principal, "ServicePrincipal", &lab.vault_id("lab-vault")).await;
    let user = [
        ("POST", "/keys/cmk/wrapkey", 200),
        ("POST", "/keys/cmk/encrypt", 200),
        ("POST", "/keys/cmk/backup", 200),
        // It may sign and verify; the request is what is wrong.
        ("POST", "/keys/cmk/sign", 400),
        ("POST", "/keys/cmk/verify", 400),
        ("POST", "/keys/cmk/rotate", 403),
        ("POST", "/keys/restore", 403),
        ("PUT", "/keys/cmk", 403),
        ("PUT", "/keys/cmk/rotationpolicy", 403),
    ];
    for (method, path, status) in user {
        let reply = data(&tools, method, path, value.clone()).await;
        assert_eq!(reply.status, status, "Key Vault Crypto User: {method} {path}: {}", reply.body);
    }
}

#[tokio::test]
async fn a_role_at_one_key_opens_that_key_only() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    lab.key("mine", json!({})).await;
    lab.key("mine-too", json!({})).await;
    let tools = cloud.tools();
    let principal = oid(&tools).await;
    let scope = format!("{}/keys/mine", lab.vault_id("lab-vault"));
    lab.assign(OFFICER, &principal, "ServicePrincipal", &scope).await;
    let rows =
        [("/keys/mine", 200), ("/keys/MINE", 200), ("/keys/mine-too", 403), ("/keys", 403), ("/keys/other", 403)];
    for (path, status) in rows {
        assert_eq!(data(&tools, "GET", path, Value::Null).await.status, status, "{path}");
    }
    assert_eq!(data(&tools, "DELETE", "/keys/mine", Value::Null).await.status, 200);
}

#[tokio::test]
async fn versions_and_paths_are_the_known_ones() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    lab.key("cmk", json!({})).await;
    let base = "https://lab-vault.vault.azure.net/keys/cmk";
    for version in ["7.2", "7.3", "7.4", "7.5", "7.6-preview.2", "7.6", "2025-07-01"] {
        assert_eq!(lab.me.send("GET", &format!("{base}?api-version={version}"), None).await.status, 200, "{version}");
    }
    for (query, text) in [("?api-version=1.0", "The specified version (1.0) is not recognized."), ("", "api-version")] {
        let reply = lab.me.send("GET", &format!("{base}{query}"), None).await;
        assert_eq!(refusal(&reply), (400, "BadParameter", ""), "{query}");
        assert!(message(&reply).contains(text), "{}", message(&reply));
    }
    let version = "0".repeat(32);
    for (method, path, gap) in [
        ("PUT", "/certificates/c", "certificates"),
        ("GET", "/certificates", "certificates"),
        ("GET", &format!("/keys/cmk/{version}/attestation"), "key attestation (get_key_attestation)"),
        ("GET", "/keys/cmk//attestation", "key attestation (get_key_attestation)"),
        ("PUT", "/keys/cmk/attestation", "PUT lab-vault.vault.azure.net/keys/cmk/attestation"),
    ] {
        let reply = lab.data(method, path, json!({})).await;
        let named = reply.headers.get("x-sealbook-gap").and_then(|gap| gap.to_str().ok()).unwrap_or_default();
        assert!(reply.status >= 400 && named == gap, "{method} {path}: {reply:?}");
    }
    let none = lab.me.send("GET", "https://no-such-vault.vault.azure.net/keys?api-version=7.6", None).await;
    assert_eq!(refusal(&none), (404, "VaultNotFound", ""));
}

#[tokio::test]
async fn the_log_says_who_did_what() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    let made = lab.key("cmk", json!({})).await;
    let body = json!({ "alg": "RSA-OAEP-256", "value": "c2VjcmV0" });
    let wrapped = lab.data("POST", "/keys/cmk/wrapkey", body).await;
    lab.data("PATCH", "/keys/cmk", json!({ "attributes": { "enabled": false } })).await;
    let value = wrapped.body["value"].clone();
    lab.data("POST", "/keys/cmk/unwrapkey", json!({ "alg": "RSA-OAEP-256", "value": value })).await;
    data(&cloud.tools(), "GET", "/keys/cmk", Value::Null).await;
    data(&cloud.anonymous(), "GET", "/keys/cmk", Value::Null).await;

    let records = cloud.cloud.audit(&lab.vault_id("lab-vault")).unwrap();
    let short: Vec<_> = records
        .iter()
        .map(|r| {
            let error = r["properties"]["errorCode"].as_str().unwrap_or("-");
            format!(
                "{} {} {} {error}",
                r["category"].as_str().unwrap(),
                r["operationName"].as_str().unwrap(),
                r["resultSignature"]
            )
        })
        .collect();
    assert_eq!(
        short,
        [
            "AuditEvent KeyCreate 200 -",
            "AuditEvent KeyWrap 200 -",
            "AuditEvent KeyUpdate 200 -",
            "AuditEvent KeyUnwrap 403 KeyDisabled",
            "AuditEvent KeyGet 403 ForbiddenByRbac",
            "AuditEvent KeyGet 401 Unauthorized",
        ]
    );
    let me = oid(&lab.me).await;
    for record in &records[..4] {
        assert_eq!(record["identity"]["claim"]["oid"], me);
        assert_eq!(record["identity"]["claim"]["upn"], cloud.seed.user);
    }
    assert_eq!(records[1]["properties"]["id"], made["key"]["kid"]);
    assert_eq!(records[1]["properties"]["algorithm"], "RSA-OAEP-256");
    assert_eq!(records[3]["properties"]["id"], "https://lab-vault.vault.azure.net/keys/cmk");
    assert_eq!(records[4]["identity"]["claim"]["oid"], oid(&cloud.tools()).await);
    let text = serde_json::to_string(&records).unwrap();
    assert!(
        !text.contains("c2VjcmV0") && !text.contains(wrapped.body["value"].as_str().unwrap()),
        "no material in the log"
    );
}

#[tokio::test]
async fn faults_come_in_key_vaults_words() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    lab.key("cmk", json!({})).await;
    let fault = |kind| Fault { host: Some("vault.azure.net".to_owned()), ..Fault::once(kind) };
    cloud.fault(fault(FaultKind::Throttle { retry_after: 2 }));
    let throttled = lab.data("GET", "/keys/cmk", Value::Null).await;
    assert_eq!(refusal(&throttled), (429, "Throttled", ""));
    assert_eq!(throttled.header("retry-after"), "2");
    cloud.fault(fault(FaultKind::DropAfter));
    let uri = "https://lab-vault.vault.azure.net/keys/once/create?api-version=7.6";
    let bearer = format!("Bearer {}", lab.me.token("https://vault.azure.net").await);
    let body = Bytes::from_static(br#"{"kty":"RSA"}"#);
    assert!(lab.me.raw("POST", uri, &[("authorization", &bearer)], body).await.is_err());
    let versions = lab.data("GET", "/keys/once/versions", Value::Null).await;
    assert_eq!(versions.body["value"].as_array().map(Vec::len), Some(1), "the answer was lost, the key was made");
}
