//! Who comes in: the challenge, activation, local roles, the firewall, and what the log says about it.

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::{Lab, message, oid, refusal};
use super::{ADMINISTRATOR, AUDITOR, CRYPTO_OFFICER, CRYPTO_USER, CUSTODIANS, ENCRYPTION_USER, hsm, recipients};
use crate::testing;

#[tokio::test]
async fn without_a_token_the_challenge_names_the_tenant() {
    let cloud = testing::cloud();
    let lab = Lab::with_pool(&cloud).await;
    let uri = "https://pool.managedhsm.azure.net/keys/kek/create?api-version=7.6";
    let probe = cloud.anonymous().raw("POST", uri, &[], Bytes::new()).await.unwrap();
    assert_eq!(refusal(&probe), (401, "Unauthorized", ""));
    let expected = format!(
        "Bearer authorization=\"https://login.microsoftonline.com/{}\", resource=\"https://managedhsm.azure.net\"",
        lab.tenant
    );
    assert_eq!(probe.header("www-authenticate"), expected);
    assert_eq!(probe.header("x-ms-keyvault-region"), "westeurope");
    let vault = lab.me.token("https://vault.azure.net").await;
    let header = format!("Bearer {vault}");
    let wrong = lab.me.raw("GET", uri, &[("authorization", &header)], Bytes::new()).await.unwrap();
    assert_eq!(refusal(&wrong), (401, "Unauthorized", ""), "a token for vaults");
}

#[tokio::test]
async fn before_activation_only_the_security_domain_answers() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    lab.pool("pool", json!({})).await;
    for (method, path) in [
        ("GET", "/keys"),
        ("POST", "/keys/kek/create"),
        ("POST", "/rng"),
        ("GET", "/providers/Microsoft.Authorization/roleAssignments"),
        ("GET", "/providers/Microsoft.Authorization/roleDefinitions"),
    ] {
        let reply = lab.hsm("pool", method, path, json!({})).await;
        assert_eq!(refusal(&reply), (403, "Forbidden", ""), "{method} {path}");
        assert!(message(&reply).contains("not activated") && message(&reply).contains("(Activity ID: "));
    }
    assert_eq!(lab.hsm("pool", "GET", "/securitydomain/download/pending", Value::Null).await.status, 404);
    let tools = cloud.tools();
    let body = recipients(&CUSTODIANS, 2);
    let stranger = hsm(&tools, "pool", "POST", "/securitydomain/download", body).await;
    assert_eq!(refusal(&stranger), (403, "AccessDenied", ""), "only an administrator activates");
    lab.activate("pool").await;
    assert_eq!(
        lab.hsm("pool", "GET", "/providers/Microsoft.Authorization/roleAssignments", Value::Null).await.status,
        200
    );
    assert_eq!(lab.hsm("none", "GET", "/keys", Value::Null).await.status, 404);
}

/// What each role may do, and that an owner of the subscription may do nothing by that.
#[tokio::test]
async fn each_operation_asks_for_its_own_data_action() {
    let cloud = testing::cloud();
    let lab = Lab::with_pool(&cloud).await;
    lab.hsm_key("kek", json!({})).await;
    lab.hsm_key("gone", json!({})).await;
    lab.hsm("pool", "DELETE", "/keys/gone", Value::Null).await;
    cloud.advance(1);
    let value = json!({ "alg": "RSA-OAEP-256", "value": "AAAA" });
    let roles = "/providers/Microsoft.Authorization/roleAssignments";
    // Who gets past the check: administrator, officer, user, encryption user, auditor.
    let rows = [
        ("POST", "/keys/new/create", json!({ "kty": "EC-HSM" }), [0, 0, 1, 0, 0]),
        ("PUT", "/keys/new", json!({}), [0, 0, 1, 0, 0]),
        ("GET", "/keys", Value::Null, [0, 0, 1, 1, 1]),
        ("GET", "/keys/kek", Value::Null, [0, 0, 1, 1, 1]),
        ("GET", "/keys/kek/versions", Value::Null, [0, 0, 1, 1, 1]),
        ("PATCH", "/keys/kek", json!({}), [0, 0, 1, 0, 0]),
        ("POST", "/keys/kek/encrypt", value.clone(), [0, 0, 1, 0, 0]),
        ("POST", "/keys/kek/decrypt", value.clone(), [0, 0, 1, 0, 0]),
        ("POST", "/keys/kek/wrapkey", value.clone(), [0, 0, 1, 1, 0]),
        ("POST", "/keys/kek/unwrapkey", value.clone(), [0, 0, 1, 1, 0]),
        ("POST", "/keys/kek/sign", value.clone(), [0, 0, 1, 0, 0]),
        ("POST", "/keys/kek/verify", value.clone(), [0, 0, 1, 0, 0]),
        ("POST", "/keys/kek/release", value.clone(), [0, 0, 1, 0, 0]),
        ("POST", "/keys/kek/backup", Value::Null, [0, 0, 1, 0, 0]),
        ("POST", "/keys/restore", value.clone(), [0, 0, 1, 0, 0]),
        ("POST", "/keys/kek/rotate", Value::Null, [0, 0, 1, 0, 0]),
        ("GET", "/keys/kek/rotationpolicy", Value::Null, [0, 0, 1, 1, 1]),
        ("PUT", "/keys/kek/rotationpolicy", json!({}), [0, 0, 1, 0, 0]),
        ("GET", "/deletedkeys", Value::Null, [0, 1, 0, 0, 1]),
        ("GET", "/deletedkeys/gone", Value::Null, [0, 1, 0, 0, 1]),
        ("POST", "/rng", json!({ "count": 8 }), [0, 0, 1, 0, 0]),
        ("GET", roles, Value::Null, [1, 1, 1, 0, 1]),
        ("PUT", &format!("{roles}/x"), json!({}), [1, 1, 0, 0, 0]),
        ("GET", "/securitydomain/download/pending", Value::Null, [1, 0, 0, 0, 0]),
        ("POST", "/securitydomain/download", json!({}), [1, 0, 0, 0, 0]),
        ("POST", "/securitydomain/upload", json!({}), [1, 0, 0, 0, 0]),
        ("DELETE", "/keys/new", Value::Null, [0, 0, 1, 0, 0]),
        ("POST", "/deletedkeys/gone/recover", Value::Null, [0, 1, 0, 0, 0]),
        ("DELETE", "/deletedkeys/new", Value::Null, [0, 1, 0, 0, 0]),
    ];
    let tools = cloud.tools();
    let principal = oid(&tools).await;
    let scope = lab.pool_id("pool");
    lab.assign("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", &principal, "ServicePrincipal", &scope).await;
    for (method, path, body, _) in &rows {
        let reply = hsm(&tools, "pool", method, path, body.clone()).await;
        assert_eq!(refusal(&reply), (403, "AccessDenied", ""), "an owner: {method} {path}");
    }
    for (who, role) in [ADMINISTRATOR, CRYPTO_OFFICER, CRYPTO_USER, ENCRYPTION_USER, AUDITOR].into_iter().enumerate() {
        let made = lab.local_role("pool", role, &principal, "/").await;
        for (method, path, body, expected) in &rows {
            let reply = hsm(&tools, "pool", method, path, body.clone()).await;
            assert_eq!(reply.code() != "AccessDenied", expected[who] == 1, "{role}: {method} {path}: {}", reply.body);
        }
        let path =
            format!("/providers/Microsoft.Authorization/roleAssignments/{}", made.body["name"].as_str().unwrap());
        assert_eq!(lab.hsm("pool", "DELETE", &path, Value::Null).await.status, 200);
    }
}

#[tokio::test]
async fn the_refusal_names_action_and_scope() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    lab.pool("pool", json!({})).await;
    lab.activate("pool").await;
    let rows = [
        ("POST", "/keys/kek/create", "keys/create on /keys (Activity ID: "),
        ("GET", "/keys/kek", "keys/read/action on /keys/kek (Activity ID: "),
        ("POST", "/rng", "rng/action on / (Activity ID: "),
    ];
    for (method, path, expected) in rows {
        let reply = lab.hsm("pool", method, path, json!({ "kty": "RSA-HSM" })).await;
        assert_eq!(refusal(&reply), (403, "AccessDenied", ""));
        let expected = format!("Not authorized to access Microsoft.KeyVault/managedHsm/{expected}");
        assert!(message(&reply).starts_with(&expected), "{}", message(&reply));
    }
}

#[tokio::test]
async fn a_firewall_keeps_everybody_out() {
    let cloud = testing::cloud();
    let lab = Lab::with_pool(&cloud).await;
    for changes in [json!({ "networkAcls": { "defaultAction": "Deny" } }), json!({ "publicNetworkAccess": "Disabled" })]
    {
        let id = lab.pool_id("pool");
        assert_eq!(lab.arm("PATCH", &id, json!({ "properties": changes })).await.status, 200);
        assert_eq!(refusal(&lab.hsm("pool", "GET", "/keys", Value::Null).await), (403, "AccessDenied", ""));
        let open = json!({ "networkAcls": { "defaultAction": "Allow" }, "publicNetworkAccess": "Enabled" });
        lab.arm("PATCH", &id, json!({ "properties": open })).await;
        assert_eq!(lab.hsm("pool", "GET", "/keys", Value::Null).await.status, 200);
    }
}

#[tokio::test]
async fn versions_paths_and_the_log() {
    let cloud = testing::cloud();
    let lab = Lab::with_pool(&cloud).await;
    lab.hsm_key("kek", json!({})).await;
    let old = lab.me.send("GET", "https://pool.managedhsm.azure.net/keys?api-version=2016-10-01", None).await;
    assert_eq!(refusal(&old), (400, "BadParameter", ""));
    let backup = lab.hsm("pool", "POST", "/backup", json!({})).await;
    assert_eq!((backup.status, backup.header("x-sealbook-gap").is_empty()), (501, false));
    lab.hsm("pool", "POST", "/keys/kek/wrapkey", json!({ "alg": "RSA-OAEP-256", "value": "AAAA" })).await;
    lab.hsm("pool", "GET", "/keys/none", Value::Null).await;
    let log = cloud.cloud.audit(&lab.pool_id("pool")).unwrap();
    let said: Vec<(&str, &Value)> =
        log.iter().map(|entry| (entry["operationName"].as_str().unwrap(), &entry["resultSignature"])).collect();
    for expected in [
        ("SecurityDomainDownload", 202),
        ("RoleAssignmentCreate", 201),
        ("KeyCreate", 200),
        ("KeyWrap", 200),
        ("KeyGet", 404),
    ] {
        assert!(said.contains(&(expected.0, &json!(expected.1))), "{expected:?} in {said:?}");
    }
    let wrap = log.iter().find(|entry| entry["operationName"] == "KeyWrap").unwrap();
    assert_eq!(wrap["properties"]["vaultProperties"]["type"], "Microsoft.KeyVault/managedHSMs");
    assert!(wrap["properties"]["id"].as_str().unwrap().starts_with("https://pool.managedhsm.azure.net/keys/kek/"));
}
