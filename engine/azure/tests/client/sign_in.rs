use std::sync::Arc;

use sealbook_azure::{Azure, Credential, HttpSend, Kind, Settings, Transport};
use serde_json::{Value, json};

use crate::script::{GROUP, PASSWORD, Reply, Script, TENANT, answer, arm, granted, json_answer, login, token};

const GROUP_URL: &str = "/subscriptions/s/resourceGroups/g?api-version=2024-11-01";

fn subscriptions(names: &[&str]) -> (String, Reply) {
    let value: Vec<Value> = names
        .iter()
        .map(|name| json!({"subscriptionId": format!("id-{name}"), "displayName": name, "state": "Enabled", "tenantId": TENANT}))
        .collect();
    arm("GET", "/subscriptions?api-version=2022-12-01", json_answer(200, json!({ "value": value })))
}

fn me(reply: Reply) -> (String, Reply) {
    ("GET https://graph.microsoft.com/v1.0/me".to_owned(), reply)
}

#[tokio::test]
async fn a_user_is_found_through_graph() {
    let script = Script::new([
        subscriptions(&["Lab"]),
        me(json_answer(
            200,
            json!({"id": "o-1", "userPrincipalName": "learner@contoso.example", "displayName": "Learner"}),
        )),
    ]);
    let account = script.azure().account().await.unwrap();
    insta::assert_snapshot!(serde_json::to_string(&account).unwrap(), @r#"{"tenant":"11111111-1111-1111-1111-111111111111","subscription_id":"id-Lab","subscription_name":"Lab","principal_id":"o-1","principal_name":"learner@contoso.example","principal_type":"User"}"#);
    let form = String::from_utf8_lossy(&script.token_requests()[0].body).into_owned();
    insta::assert_snapshot!(form, @r#"client_id=04b07795-8ddb-461a-bbee-02f9e1bf7b46&grant_type=password&username=learner%40contoso.example&password=correct+horse+battery+staple&scope=https%3A%2F%2Fmanagement.azure.com%2F.default"#);
    script.finished();
}

#[tokio::test]
async fn graph_may_refuse_and_the_token_knows() {
    let refused = json_answer(403, json!({"error": {"code": "Authorization_RequestDenied", "message": "no"}}));
    let script = Script::new([subscriptions(&["Lab"]), me(refused)]);
    let account = script.azure().account().await.unwrap();
    assert_eq!((account.principal_id.as_str(), account.principal_name.as_str()), ("o-1", "learner@contoso.example"));
    script.finished();
}

#[tokio::test]
async fn a_service_principal_is_read_from_its_token() {
    let claims = json!({"idtyp": "app", "oid": "o-2", "appid": "a-2", "app_displayname": "lab robot"});
    let script = Script::new([login(granted(&token(1, claims), 3600)), subscriptions(&["Lab", "Other"])]);
    let azure = script.azure_with(|settings| {
        settings.credential =
            Credential::ClientSecret { tenant: TENANT.into(), client_id: "a-2".into(), secret: PASSWORD.into() };
        settings.subscription = Some("other".into());
    });
    let account = azure.account().await.unwrap();
    insta::assert_snapshot!(serde_json::to_string(&account).unwrap(), @r#"{"tenant":"11111111-1111-1111-1111-111111111111","subscription_id":"id-Other","subscription_name":"Other","principal_id":"o-2","principal_name":"lab robot","principal_type":"ServicePrincipal"}"#);
    assert!(String::from_utf8_lossy(&script.token_requests()[0].body).contains("grant_type=client_credentials"));
    script.finished();
}

#[tokio::test]
async fn a_managed_identity_asks_the_metadata_endpoint() {
    let line = "GET http://169.254.169.254/metadata/identity/oauth2/token\
                ?api-version=2019-08-01&resource=https%3A%2F%2Fmanagement.azure.com&client_id=c-1";
    let body = json!({"access_token": token(1, json!({})), "expires_on": "4102444800", "token_type": "Bearer", "resource": "r"});
    let script =
        Script::new([(line.to_owned(), json_answer(200, body)), arm("GET", GROUP_URL, json_answer(200, json!({})))]);
    let azure = script
        .azure_with(|settings| settings.credential = Credential::ManagedIdentity { client_id: Some("c-1".into()) });
    assert!(azure.arm().get(GROUP, None).await.unwrap().is_some());
    script.finished();
}

#[tokio::test]
async fn what_is_not_clear_is_asked_for() {
    let rows: [(&[&str], Option<&str>, &str); 3] = [
        (&["A", "B"], None, "SubscriptionNotNamed"),
        (&[], None, "NoSubscription"),
        (&["A"], Some("C"), "SubscriptionNotFound"),
    ];
    for (there, wanted, code) in rows {
        let script = Script::new([subscriptions(there)]);
        let azure = script.azure_with(|settings| settings.subscription = wanted.map(str::to_owned));
        let error = azure.account().await.unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (Kind::SignIn, code));
    }
    let tenants = json!({"value": [{"tenantId": "other", "defaultDomain": "fabrikam.example"}]});
    let script = Script::new([arm("GET", "/tenants?api-version=2022-12-01", json_answer(200, tenants))]);
    let azure = script.azure_with(|settings| settings.tenant = Some("fabrikam.example".into()));
    assert_eq!(azure.account().await.unwrap_err().code, "OtherTenant");
}

/// Entra's refusals keep their code, with escaped line ends in the description, for every credential.
#[tokio::test]
async fn refused_sign_ins_say_why() {
    let refusal = |code: u32| {
        answer(
            400,
            &[("content-type", "application/json")],
            &format!(
                r#"{{"error":"invalid_grant","error_description":"AADSTS{code}: no.\r\nTrace ID: t\r\nTimestamp: x","error_codes":[{code}]}}"#
            ),
        )
    };
    let secret = Credential::ClientSecret { tenant: TENANT.into(), client_id: "a".into(), secret: PASSWORD.into() };
    for (credential, number) in [(None, 50126), (Some(secret), 7000215)] {
        let script = Script::new([login(refusal(number))]);
        let azure = script.azure_with(|settings| {
            if let Some(credential) = credential {
                settings.credential = credential;
            }
        });
        let error = azure.arm().put(GROUP, &json!({}), None).await.unwrap_err();
        assert_eq!((error.kind, error.code.clone()), (Kind::SignIn, format!("AADSTS{number}")));
        assert!(!error.outcome_unknown() && !error.is_transient() && error.has_code("invalid_grant"));
        assert!(!format!("{error} {error:?}").contains("battery"));
        script.finished();
    }
}

/// The token endpoint is asked again while it is busy; when it stays so, that is transient and no sign-in problem.
#[tokio::test(start_paused = true)]
async fn busy_sign_ins_are_repeated_and_then_transient() {
    let script = Script::new([
        login(answer(503, &[], "")),
        login(Reply::Lost),
        login(granted(&token(1, json!({})), 3600)),
        arm("GET", GROUP_URL, json_answer(200, json!({}))),
    ]);
    assert!(script.azure().arm().get(GROUP, None).await.is_ok());
    script.finished();

    let script = Script::new((0..5).map(|_| login(Reply::Lost)));
    let error = script.azure().arm().put(GROUP, &json!({}), None).await.unwrap_err();
    assert_eq!((error.kind, error.outcome_unknown()), (Kind::Connection, false), "{error:?}");
    assert!(error.is_transient());
    script.finished();
}

#[tokio::test]
async fn a_real_password_has_no_business_on_the_internet() {
    let credential = Credential::Password { tenant: TENANT.into(), user: "u".into(), password: PASSWORD.into() };
    let error = Azure::new(Settings::new(credential, Transport::Internet)).unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (Kind::SignIn, "PasswordNotAllowed"));
}

/// Nothing that can be printed shows a password, a secret or a token.
#[tokio::test]
async fn debug_shows_no_secrets() {
    let refused = answer(401, &[("www-authenticate", "Bearer")], "");
    let again = answer(401, &[("www-authenticate", "Bearer")], "");
    let script = Script::new([arm("GET", GROUP_URL, refused), arm("GET", GROUP_URL, again)]);
    let secret = Credential::ClientSecret { tenant: TENANT.into(), client_id: "a".into(), secret: PASSWORD.into() };
    let settings = Settings::new(secret.clone(), Transport::Injected(Arc::clone(&script) as Arc<dyn HttpSend>));
    let azure = script.azure();
    let error = azure.arm().get(GROUP, None).await.unwrap_err();
    let other = Azure::new(settings.clone()).unwrap();
    let shown = format!(
        "{secret:?} {settings:#?} {azure:#?} {other:#?} {error:?} {error} {:?} {:?}",
        azure.arm(),
        azure.keys()
    );
    for hidden in [PASSWORD, "battery", "token1", "e30."] {
        assert!(!shown.contains(hidden), "{hidden} in {shown}");
    }
    assert!(shown.contains("ClientSecret("));
}
