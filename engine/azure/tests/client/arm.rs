use sealbook_azure::{Answer, Kind};
use serde_json::json;
use uuid::Uuid;

use crate::script::{ARM, GROUP, Script, answer, arm, json_answer};

const GROUP_URL: &str = "/subscriptions/s/resourceGroups/g?api-version=2024-11-01";

#[tokio::test]
async fn resources_are_read_with_token_version_and_correlation() {
    let script = Script::new([arm("GET", GROUP_URL, json_answer(200, json!({"id": GROUP})))]);
    let id = Uuid::from_u128(7);
    let found = script.azure().with_correlation(id).arm().get(GROUP, None).await.unwrap();
    assert_eq!(found, Some(json!({"id": GROUP})));
    let seen = &script.seen()[0];
    assert!(seen.header("authorization").unwrap().starts_with("Bearer e30."));
    assert_eq!(seen.header("x-ms-correlation-request-id"), Some(id.to_string().as_str()));
    assert!(seen.header("x-ms-client-request-id").is_some());
    assert!(seen.header("user-agent").unwrap().contains("sealbook"));
    script.finished();
}

/// 404 is "there is none" only where there could be one.
#[tokio::test]
async fn absence_is_not_an_error_unless_the_question_is_wrong() {
    let refused = |code: &str| json_answer(404, json!({"error": {"code": code, "message": "no"}}));
    for (code, absent) in [
        ("ResourceNotFound", true),
        ("ResourceGroupNotFound", true),
        ("RoleAssignmentNotFound", true),
        ("ParentResourceNotFound", true),
        ("SubscriptionNotFound", false),
        ("InvalidResourceType", false),
        ("NoRegisteredProviderFound", false),
    ] {
        let script = Script::new([arm("GET", GROUP_URL, refused(code)), arm("DELETE", GROUP_URL, refused(code))]);
        let client = script.azure().arm();
        let (got, deleted) = (client.get(GROUP, None).await, client.delete(GROUP, None).await);
        if absent {
            assert_eq!((got, deleted), (Ok(None), Ok(Answer::Done(None))), "{code}");
        } else {
            assert_eq!(got.unwrap_err().code, code);
            assert_eq!(deleted.unwrap_err().code, code);
        }
    }
}

#[tokio::test]
async fn lists_follow_their_pages() {
    let first = format!("{GROUP}/resources?api-version=2024-11-01");
    let next = format!("{GROUP}/resources?api-version=2024-11-01&$skiptoken=2");
    let script = Script::new([
        arm("GET", &first, json_answer(200, json!({"value": [1, 2], "nextLink": format!("{ARM}{next}")}))),
        arm("GET", &next, json_answer(200, json!({"value": [3], "nextLink": ""}))),
    ]);
    let items = script.azure().arm().list(&format!("{GROUP}/resources"), None).await.unwrap();
    assert_eq!(items, [json!(1), json!(2), json!(3)]);
    script.finished();
}

/// A list that goes on at another host would carry our token there.
#[tokio::test]
async fn pages_of_other_hosts_are_not_followed() {
    for link in [
        "https://evil.example/next",
        "http://management.azure.com/next",
        "https://management.azure.com:8443/next",
        "https://management.azure.com@evil.example/next",
        "https://user@management.azure.com/next",
        "https://management.azure.com.evil.example/next",
        "//evil.example/next",
        "/relative",
    ] {
        let page = json_answer(200, json!({"value": [1], "nextLink": link}));
        let script = Script::new([arm("GET", "/subscriptions?api-version=2022-12-01", page)]);
        let error = script.azure().arm().list("/subscriptions", None).await.unwrap_err();
        assert_eq!(error.code, "NextLinkRefused", "{link}");
        assert_eq!(script.seen().len(), 1);
    }
}

#[tokio::test]
async fn what_is_no_collection_says_so() {
    let script = Script::new([arm("GET", GROUP_URL, json_answer(200, json!({"id": GROUP})))]);
    assert_eq!(script.azure().arm().list(GROUP, None).await.unwrap_err().code, "NotACollection");
}

#[tokio::test]
async fn roles_are_found_by_their_exact_name() {
    let scope = format!("{GROUP}/providers/Microsoft.KeyVault/vaults/v");
    let asked = format!(
        "{scope}/providers/Microsoft.Authorization/roleDefinitions?api-version=2022-04-01&$filter=roleName%20eq%20%27Reader%27"
    );
    let page = json!({"value": [
        {"id": "/r/1", "properties": {"roleName": "Key Vault Reader"}},
        {"id": "/r/2", "properties": {"roleName": "Reader"}},
    ]});
    let none = json!({"value": []});
    let script = Script::new([arm("GET", &asked, json_answer(200, page)), arm("GET", &asked, json_answer(200, none))]);
    let client = script.azure().arm();
    assert_eq!(client.role_definition_id(&scope, "Reader").await.unwrap(), "/r/2");
    assert_eq!(client.role_definition_id(&scope, "Reader").await.unwrap_err().code, "RoleNotFound");
    script.finished();
}

#[tokio::test]
async fn malformed_ids_never_leave() {
    let script = Script::new([]);
    let client = script.azure().arm();
    for id in ["https://evil.example/subscriptions/s", "/subscriptions/../x", "/subscriptions/s?x=y", "//evil.example"]
    {
        let errors = [
            client.get(id, Some("2024-11-01")).await.unwrap_err(),
            client.list(id, Some("2024-11-01")).await.unwrap_err(),
            client.put(id, &json!({}), Some("2024-11-01")).await.unwrap_err(),
            client.delete(id, Some("2024-11-01")).await.unwrap_err(),
            client.query(id, &json!({}), Some("2024-11-01")).await.unwrap_err(),
            client.role_definition_id(id, "Reader").await.unwrap_err(),
        ];
        assert!(errors.iter().all(|error| error.code == "InvalidResourceId"), "{id}: {errors:?}");
    }
    assert!(script.seen().is_empty() && script.token_requests().is_empty());
}

#[tokio::test]
async fn refusals_keep_azures_words() {
    let body = r#"{"error":{"code":"KeyVaultPolicyError","message":"Keyvault policy recoverable is not set"}}"#;
    let reply = answer(400, &[("x-ms-request-id", "r-9")], body);
    let script = Script::new([arm("PATCH", GROUP_URL, reply)]);
    let error = script.azure().arm().patch(GROUP, &json!({}), None).await.unwrap_err();
    assert_eq!((error.kind, error.status, error.code.as_str()), (Kind::BadRequest, 400, "KeyVaultPolicyError"));
    assert_eq!(error.request_id.as_deref(), Some("r-9"));
    assert!(!error.outcome_unknown());
}
