//! Secrets of a vault: their life, what is refused, and who may do what.

use base64::Engine as _;
use serde_json::{Value, json};

use super::{CRYPTO_USER, DAY, Lab, OFFICER, READER, data, message, oid, refusal};
use crate::testing::{self, TestCloud};

const SECRETS_OFFICER: &str = "b86a8fe4-44ce-4948-aee5-eccb2c155cd7";
const SECRETS_USER: &str = "4633458b-17de-408a-b874-0445c86b69e6";
const ADMINISTRATOR: &str = "00482a5a-887f-4fb3-b363-3b7fe8e74483";

/// A vault in which the learner is Secrets Officer.
async fn lab<'a>(cloud: &'a TestCloud, changes: Value) -> Lab<'a> {
    let lab = Lab::with_vault(cloud, changes).await;
    let me = oid(&lab.me).await;
    lab.assign(SECRETS_OFFICER, &me, "User", &lab.vault_id("lab-vault")).await;
    lab
}

async fn set(lab: &Lab<'_>, name: &str, value: &str) -> Value {
    let made = lab.data("PUT", &format!("/secrets/{name}"), json!({ "value": value })).await;
    assert_eq!(made.status, 200, "{}", made.body);
    made.body
}

#[tokio::test]
async fn a_secret_is_set_read_listed_and_changed() {
    let cloud = testing::cloud();
    let lab = lab(&cloud, json!({})).await;
    let body = json!({
        "value": "grün & geheim", "contentType": "text/plain", "tags": { "for": "db" },
        "attributes": { "enabled": true, "nbf": 5, "exp": 4_000_000_000i64 },
    });
    let made = lab.data("PUT", "/secrets/Db-Password", body).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let id = made.body["id"].as_str().unwrap().to_owned();
    let (base, version) = id.rsplit_once('/').unwrap();
    assert_eq!((base, version.len()), ("https://lab-vault.vault.azure.net/secrets/Db-Password", 32));
    let now = cloud.cloud.now().unwrap().timestamp();
    let expected = json!({
        "id": id, "value": "grün & geheim", "contentType": "text/plain", "tags": { "for": "db" },
        "attributes": {
            "enabled": true, "nbf": 5, "exp": 4_000_000_000i64, "created": now, "updated": now,
            "recoveryLevel": "CustomizedRecoverable+Purgeable", "recoverableDays": 7,
        },
    });
    assert_eq!(made.body, expected);
    for path in ["/secrets/db-password", "/secrets/Db-Password/", &format!("/secrets/Db-Password/{version}")] {
        assert_eq!(lab.data("GET", path, Value::Null).await.body, expected, "{path}");
    }
    let second = set(&lab, "Db-Password", "").await;
    assert_eq!((&second["value"], &second["tags"], &second["contentType"]), (&json!(""), &json!({}), &Value::Null));
    assert_eq!(lab.data("GET", "/secrets/Db-Password", Value::Null).await.body, second, "the newest one");
    assert_eq!(lab.data("GET", &format!("/secrets/Db-Password/{version}"), Value::Null).await.body, expected);

    cloud.advance(60);
    let change = json!({ "contentType": "other", "attributes": { "exp": 9 }, "value": "not this way" });
    let changed = lab.data("PATCH", &format!("/secrets/Db-Password/{version}"), change).await;
    assert_eq!((changed.status, &changed.body["value"]), (200, &Value::Null), "{}", changed.body);
    let read = lab.data("GET", &format!("/secrets/Db-Password/{version}"), Value::Null).await.body;
    assert_eq!(
        (&read["value"], &read["contentType"], &read["tags"]),
        (&expected["value"], &json!("other"), &expected["tags"])
    );
    assert_eq!(
        (&read["attributes"]["exp"], &read["attributes"]["nbf"]),
        (&json!(9), &json!(5)),
        "expired ones are read"
    );
    assert_eq!(read["attributes"]["updated"], now + 60);

    set(&lab, "a", "1").await;
    let listed = lab.data("GET", "/secrets", Value::Null).await;
    let ids: Vec<_> = listed.body["value"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect();
    assert_eq!(ids, [json!("https://lab-vault.vault.azure.net/secrets/a"), json!(base)]);
    assert!(!listed.body.to_string().contains("geheim"), "lists have no values");
    let versions = lab.data("GET", "/secrets/Db-Password/versions?maxresults=1", Value::Null).await.body;
    assert_eq!(versions["value"][0]["id"], id);
    let next = versions["nextLink"].as_str().unwrap().replace(":443", "");
    let next = lab.me.send("GET", &next, None).await.body;
    assert_eq!((&next["value"][0]["id"], &next["nextLink"]), (&second["id"], &Value::Null));
}

#[tokio::test]
async fn requests_that_azure_refuses_are_refused() {
    let cloud = testing::cloud();
    let lab = lab(&cloud, json!({})).await;
    set(&lab, "s", "v").await;
    let long = "x".repeat(25 * 1024);
    assert_eq!(set(&lab, "long", &long).await["value"], long, "25 KB fit");
    let none = "/secrets/s/00000000000000000000000000000000";
    let bad = (400, "BadParameter", "");
    let missing = (404, "SecretNotFound", "");
    let rows = [
        (
            "PUT",
            "/secrets/s",
            json!({ "value": format!("{long}x") }),
            bad,
            "has 25601 bytes, and a secret takes at most 25600",
        ),
        ("PUT", "/secrets/s", json!({}), bad, "Property value is required."),
        ("PUT", "/secrets/s", json!({ "value": 7 }), bad, "Property value has invalid value"),
        ("PUT", "/secrets/s", json!({ "value": "v", "contentType": "x".repeat(256) }), bad, "at most 255 characters"),
        (
            "PUT",
            "/secrets/s",
            json!({ "value": "v", "attributes": { "nbf": 9, "exp": 9 } }),
            bad,
            "later than attributes.nbf",
        ),
        ("PUT", "/secrets/s", json!({ "value": "v", "tags": { "a": 1 } }), bad, "Property tags"),
        ("PUT", "/secrets/s_s", json!({ "value": "v" }), bad, "invalid name: s_s"),
        ("PUT", "/secrets/s", json!([]), bad, "must be a JSON object"),
        ("PATCH", "/secrets/s", json!({ "contentType": 1 }), bad, "Property contentType"),
        ("PATCH", "/secrets/none", json!({}), missing, "A secret with (name/id) none was not found"),
        ("GET", "/secrets/none", Value::Null, missing, "A secret with (name/id) none was not found"),
        ("GET", none, Value::Null, missing, "(name/id) s/00000000000000000000000000000000 was not found"),
        ("GET", "/secrets/none/versions", Value::Null, missing, "none was not found"),
        ("GET", "/secrets?maxresults=26", Value::Null, bad, "maxresults"),
        ("GET", "/secrets/s/versions?$skiptoken=x", Value::Null, bad, "$skiptoken"),
        ("DELETE", "/secrets/none", Value::Null, missing, "none was not found"),
        ("POST", "/secrets/none/backup", Value::Null, missing, "none was not found"),
        ("POST", "/secrets/restore", json!({ "value": "AAAA" }), bad, "Cannot decrypt backup blob."),
        ("GET", "/deletedsecrets/s", Value::Null, missing, "Deleted Secret not found: s"),
        ("POST", "/deletedsecrets/s/recover", Value::Null, missing, "Deleted Secret not found: s"),
        ("DELETE", "/deletedsecrets/s", Value::Null, missing, "Deleted Secret not found: s"),
    ];
    for (method, path, body, expected, text) in rows {
        let reply = lab.data(method, path, body).await;
        assert_eq!(refusal(&reply), expected, "{method} {path}: {}", reply.body);
        assert!(message(&reply).contains(text), "{method} {path}: {}", message(&reply));
    }
    lab.data("PATCH", "/secrets/s", json!({ "attributes": { "enabled": false } })).await;
    let disabled = lab.data("GET", "/secrets/s", Value::Null).await;
    assert_eq!(refusal(&disabled), (403, "Forbidden", "SecretDisabled"));
    assert_eq!(message(&disabled), "Operation get is not allowed on a disabled secret.");
}

#[tokio::test]
async fn a_deleted_secret_is_recovered_or_purged() {
    let cloud = testing::cloud();
    let lab = lab(&cloud, json!({})).await;
    let made = set(&lab, "s", "v").await;
    let deleted = lab.data("DELETE", "/secrets/s", Value::Null).await;
    assert_eq!((deleted.status, &deleted.body["value"]), (200, &Value::Null), "{}", deleted.body);
    assert_eq!(deleted.body["recoveryId"], "https://lab-vault.vault.azure.net/deletedsecrets/s");
    let span = deleted.body["scheduledPurgeDate"].as_u64().unwrap() - deleted.body["deletedDate"].as_u64().unwrap();
    assert_eq!((span, &deleted.body["id"]), (7 * DAY, &made["id"]));

    let being = |reply: &crate::testing::Reply| refusal(reply) == (409, "Conflict", "ObjectIsBeingDeleted");
    assert!(being(&lab.data("PUT", "/secrets/s", json!({ "value": "w" })).await));
    assert!(being(&lab.data("POST", "/deletedsecrets/s/recover", Value::Null).await));
    assert!(being(&lab.data("DELETE", "/deletedsecrets/s", Value::Null).await));
    assert_eq!(lab.data("GET", "/deletedsecrets/s", Value::Null).await.status, 404, "not yet");
    assert_eq!(lab.data("GET", "/deletedsecrets", Value::Null).await.body["value"], json!([]));
    cloud.advance(1);
    assert_eq!(lab.data("GET", "/deletedsecrets/s", Value::Null).await.body, deleted.body);
    let listed = lab.data("GET", "/deletedsecrets", Value::Null).await.body;
    assert_eq!(listed["value"][0]["scheduledPurgeDate"], deleted.body["scheduledPurgeDate"]);
    assert_eq!(listed["value"][0]["id"], "https://lab-vault.vault.azure.net/secrets/s");
    let taken = lab.data("PUT", "/secrets/s", json!({ "value": "w" })).await;
    assert_eq!(refusal(&taken), (409, "Conflict", "ObjectIsDeletedButRecoverable"));
    assert_eq!(refusal(&lab.data("GET", "/secrets/s", Value::Null).await), (404, "SecretNotFound", ""));

    let recovered = lab.data("POST", "/deletedsecrets/s/recover", Value::Null).await;
    assert_eq!((recovered.status, &recovered.body["id"]), (200, &made["id"]));
    assert_eq!(lab.data("GET", "/secrets/s", Value::Null).await.body, made);

    lab.data("DELETE", "/secrets/s", Value::Null).await;
    cloud.advance(1);
    assert_eq!(lab.data("DELETE", "/deletedsecrets/s", Value::Null).await.status, 204);
    assert_eq!(lab.data("GET", "/deletedsecrets/s", Value::Null).await.status, 404);
    set(&lab, "s", "anew").await;

    lab.data("DELETE", "/secrets/s", Value::Null).await;
    cloud.advance(7 * DAY);
    assert_eq!(lab.data("GET", "/deletedsecrets/s", Value::Null).await.status, 404, "its time is over");
    set(&lab, "s", "anew").await;
}

#[tokio::test]
async fn purge_protection_holds_secrets_until_their_time_is_over() {
    let cloud = testing::cloud();
    let lab = lab(&cloud, json!({ "enablePurgeProtection": true })).await;
    let made = set(&lab, "s", "v").await;
    assert_eq!(made["attributes"]["recoveryLevel"], "CustomizedRecoverable");
    lab.data("DELETE", "/secrets/s", Value::Null).await;
    cloud.advance(1);
    let purge = lab.data("DELETE", "/deletedsecrets/s", Value::Null).await;
    assert_eq!(refusal(&purge), (403, "Forbidden", "ForbiddenByPolicy"));
    cloud.advance(7 * DAY);
    set(&lab, "s", "anew").await;
}

#[tokio::test]
async fn a_secret_goes_and_comes_back_with_its_vault() {
    let cloud = testing::cloud();
    let lab = lab(&cloud, json!({})).await;
    set(&lab, "s", "v").await;
    let id = lab.vault_id("lab-vault");
    let again = async || {
        let me = oid(&lab.me).await;
        lab.assign(SECRETS_OFFICER, &me, "User", &id).await;
        lab.data("GET", "/secrets/s", Value::Null).await
    };
    lab.arm("DELETE", &id, Value::Null).await;
    assert_eq!(refusal(&lab.data("GET", "/secrets/s", Value::Null).await), (404, "VaultNotFound", ""));
    lab.vault("lab-vault", json!({ "createMode": "recover" })).await;
    assert_eq!(again().await.body["value"], "v");
    lab.arm("DELETE", &id, Value::Null).await;
    lab.arm("POST", &format!("{}/purge", lab.deleted_id("lab-vault")), Value::Null).await;
    cloud.advance(1);
    lab.vault("lab-vault", json!({})).await;
    assert_eq!(refusal(&again().await), (404, "SecretNotFound", ""), "it was purged with the vault");
}

#[tokio::test]
async fn a_backup_brings_all_versions_back() {
    let cloud = testing::cloud();
    let lab = lab(&cloud, json!({})).await;
    let first = set(&lab, "s", "one").await;
    let second = set(&lab, "s", "two").await;
    let blob = lab.data("POST", "/secrets/s/backup", Value::Null).await.body;
    let raw = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(blob["value"].as_str().unwrap()).unwrap();
    assert!(!raw.windows(3).any(|window| window == b"two"), "values are sealed");
    let conflict = lab.data("POST", "/secrets/restore", blob.clone()).await;
    assert_eq!(refusal(&conflict), (409, "Conflict", ""), "it is there");
    lab.data("DELETE", "/secrets/s", Value::Null).await;
    cloud.advance(1);
    let conflict = lab.data("POST", "/secrets/restore", blob.clone()).await;
    assert_eq!(refusal(&conflict), (409, "Conflict", "ObjectIsDeletedButRecoverable"));
    lab.data("DELETE", "/deletedsecrets/s", Value::Null).await;
    let restored = lab.data("POST", "/secrets/restore", blob.clone()).await;
    assert_eq!((restored.status, &restored.body["id"]), (200, &second["id"]), "{}", restored.body);
    assert_eq!(restored.body["value"], Value::Null);
    for made in [&first, &second] {
        let path = made["id"].as_str().unwrap().split_once(".net").unwrap().1.to_owned();
        assert_eq!(lab.data("GET", &path, Value::Null).await.body["value"], made["value"]);
    }
    // A key's blob is no secret's.
    lab.key("k", json!({})).await;
    let other = lab.data("POST", "/keys/k/backup", Value::Null).await.body;
    assert_eq!(message(&lab.data("POST", "/secrets/restore", other).await), "Cannot decrypt backup blob.");
    assert_eq!(message(&lab.data("POST", "/keys/restore", blob).await), "Cannot decrypt backup blob.");
}

/// Every operation with the roles that have it and those that have not.
#[tokio::test]
async fn each_operation_asks_for_its_own_data_action() {
    let cloud = testing::cloud();
    let lab = lab(&cloud, json!({})).await;
    set(&lab, "s", "v").await;
    let tools = cloud.tools();
    let principal = oid(&tools).await;
    let vault = lab.vault_id("lab-vault");
    // Without a role or with one for keys; Key Vault Reader; Key Vault Secrets User; Key Vault Secrets Officer.
    let rows = [
        ("GET", "/secrets", Value::Null, [403, 200, 200, 200]),
        ("GET", "/secrets/s/versions", Value::Null, [403, 200, 200, 200]),
        ("GET", "/deletedsecrets", Value::Null, [403, 200, 200, 200]),
        ("GET", "/deletedsecrets/none", Value::Null, [403, 404, 404, 404]),
        ("GET", "/secrets/s", Value::Null, [403, 403, 200, 200]),
        ("PUT", "/secrets/s", json!({ "value": "w" }), [403, 403, 403, 200]),
        ("PATCH", "/secrets/s", json!({ "tags": {} }), [403, 403, 403, 200]),
        ("POST", "/secrets/s/backup", Value::Null, [403, 403, 403, 200]),
        ("POST", "/secrets/restore", json!({ "value": "AAAA" }), [403, 403, 403, 400]),
        ("DELETE", "/secrets/none", Value::Null, [403, 403, 403, 404]),
        ("POST", "/deletedsecrets/none/recover", Value::Null, [403, 403, 403, 404]),
        ("DELETE", "/deletedsecrets/none", Value::Null, [403, 403, 403, 404]),
    ];
    let check = async |role: &str, column: usize| {
        for (method, path, body, statuses) in &rows {
            let reply = data(&tools, method, path, body.clone()).await;
            assert_eq!(reply.status, statuses[column], "{role}: {method} {path}: {}", reply.body);
            if reply.status == 403 {
                assert_eq!(refusal(&reply).2, "ForbiddenByRbac", "{role}: {method} {path}");
            }
        }
    };
    check("no role", 0).await;
    for role in [OFFICER, CRYPTO_USER] {
        lab.assign(role, &principal, "ServicePrincipal", &vault).await;
    }
    check("roles for keys", 0).await;
    for (column, name, role) in [
        (1, "Key Vault Reader", READER),
        (2, "Key Vault Secrets User", SECRETS_USER),
        (3, "Key Vault Secrets Officer", SECRETS_OFFICER),
    ] {
        lab.assign(role, &principal, "ServicePrincipal", &vault).await;
        check(name, column).await;
    }
}

/// The official SDK for secrets asks for a version that the one for keys does not know.
#[tokio::test]
async fn secrets_have_one_version_more_than_keys() {
    let cloud = testing::cloud();
    let lab = lab(&cloud, json!({})).await;
    let rows =
        [("secrets", "2026-04-01", 200), ("keys", "2026-04-01", 400), ("secrets", "7.2", 200), ("secrets", "1.0", 400)];
    for (what, version, status) in rows {
        let uri = format!("https://lab-vault.vault.azure.net/{what}?api-version={version}");
        let reply = lab.me.send("GET", &uri, None).await;
        assert_eq!(reply.status, status, "{what} {version}: {}", reply.body);
    }
}

#[tokio::test]
async fn a_role_at_one_secret_opens_that_secret_only() {
    let cloud = testing::cloud();
    let lab = lab(&cloud, json!({})).await;
    for name in ["mine", "other"] {
        set(&lab, name, "v").await;
    }
    let tools = cloud.tools();
    let principal = oid(&tools).await;
    let scope = format!("{}/secrets/mine", lab.vault_id("lab-vault"));
    lab.assign(ADMINISTRATOR, &principal, "ServicePrincipal", &scope).await;
    for (path, status) in [("/secrets/mine", 200), ("/secrets/MINE", 200), ("/secrets/other", 403), ("/secrets", 403)] {
        assert_eq!(data(&tools, "GET", path, Value::Null).await.status, status, "{path}");
    }
    let refused = data(&tools, "GET", "/secrets/other", Value::Null).await;
    assert!(message(&refused).contains("Action: 'Microsoft.KeyVault/vaults/secrets/getSecret/action'"));
    assert!(message(&refused).contains("/vaults/lab-vault/secrets/other'"), "{}", message(&refused));
}

#[tokio::test]
async fn the_log_names_secrets_and_never_their_values() {
    let cloud = testing::cloud();
    let lab = lab(&cloud, json!({})).await;
    let made = set(&lab, "s", "hush-hush").await;
    lab.data("GET", "/secrets/s", Value::Null).await;
    data(&cloud.tools(), "GET", "/secrets/s", Value::Null).await;
    lab.data("DELETE", "/secrets/s", Value::Null).await;
    let records = cloud.cloud.audit(&lab.vault_id("lab-vault")).unwrap();
    let short: Vec<_> =
        records.iter().map(|r| format!("{} {}", r["operationName"].as_str().unwrap(), r["resultSignature"])).collect();
    assert_eq!(short, ["SecretSet 200", "SecretGet 200", "SecretGet 403", "SecretDelete 200"]);
    assert_eq!(records[1]["properties"]["id"], made["id"]);
    assert_eq!(records[2]["properties"]["id"], "https://lab-vault.vault.azure.net/secrets/s");
    assert!(!serde_json::to_string(&records).unwrap().contains("hush-hush"));
    assert!(!format!("{:?}", cloud.cloud.inventory().unwrap()).contains("hush-hush"));
    let files = ["cloud.db", "cloud.db-wal"].map(|name| cloud.dir.path().join("cloud").join(name));
    for file in files.iter().filter(|file| file.exists()) {
        let bytes = std::fs::read(file).unwrap();
        assert!(!bytes.windows(9).any(|window| window == b"hush-hush"), "sealed at rest: {}", file.display());
    }
}
