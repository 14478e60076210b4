//! Device codes: a device polls, a person approves on the page or from the command line.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::testing::{self, Client, Reply, TestCloud};

const AZ: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";
const SCOPE: &str = "https://management.core.windows.net//.default offline_access openid profile";
const PAGE: &str = "https://login.microsoftonline.com/common/oauth2/deviceauth";

async fn post(client: &Client<'_>, uri: &str, pairs: &[(&str, &str)]) -> Reply {
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    client.raw("POST", uri, &[], form.into()).await.unwrap()
}

fn endpoint(tenant: &str, name: &str) -> String {
    format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/{name}")
}

async fn start(client: &Client<'_>, tenant: &str) -> Value {
    let reply = post(client, &endpoint(tenant, "devicecode"), &[("client_id", AZ), ("scope", SCOPE)]).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body
}

/// Polls as MSAL does, which names the code twice.
async fn poll(client: &Client<'_>, tenant: &str, flow: &Value) -> Reply {
    let code = flow["device_code"].as_str().unwrap();
    let pairs = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("client_id", AZ),
        ("device_code", code),
        ("code", code),
        ("client_info", "1"),
    ];
    post(client, &endpoint(tenant, "token"), &pairs).await
}

async fn enter(client: &Client<'_>, code: &str, user: &str, password: &str, action: &str) -> Reply {
    post(client, PAGE, &[("user_code", code), ("username", user), ("password", password), ("action", action)]).await
}

fn error(reply: &Reply) -> (u16, &str, u64) {
    let number = reply.body["error_codes"][0].as_u64().unwrap_or_default();
    (reply.status, reply.body["error"].as_str().unwrap_or_default(), number)
}

fn text(reply: &Reply) -> String {
    String::from_utf8(reply.bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn device_signs_in_when_its_code_is_approved_on_the_page() {
    let cloud = testing::cloud();
    let nobody = cloud.anonymous();
    let flow = start(&nobody, "organizations").await;
    let code = flow["user_code"].as_str().unwrap();
    assert_eq!((code.len(), &flow["expires_in"], &flow["interval"]), (9, &json!(900), &json!(5)));
    assert!(flow["message"].as_str().unwrap().contains(code));
    assert_eq!(flow["verification_uri"], PAGE);
    assert_eq!(error(&poll(&nobody, "organizations", &flow).await), (400, "authorization_pending", 70_016));
    assert_eq!(error(&poll(&nobody, "organizations", &flow).await), (400, "slow_down", 70_016));
    cloud.advance(5);
    assert_eq!(error(&poll(&nobody, "organizations", &flow).await), (400, "authorization_pending", 70_016));

    let shown = nobody.raw("GET", &format!("{PAGE}?otc={code}"), &[], Bytes::new()).await.unwrap();
    assert!(shown.header("content-type").starts_with("text/html"));
    assert!(shown.header("content-security-policy").contains("default-src 'none'"));
    assert!(text(&shown).contains(&format!("value=\"{code}\"")));
    let typed = format!(" {}-{} ", code[..4].to_lowercase(), &code[4..]);
    let done = enter(&nobody, &typed, &cloud.seed.user, cloud.seed.password.expose(), "approve").await;
    assert_eq!(done.status, 200, "{}", text(&done));
    assert!(text(&done).contains("Microsoft Azure CLI"));

    let tokens = poll(&nobody, "organizations", &flow).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    assert!(tokens.body["refresh_token"].is_string() && tokens.body["id_token"].is_string());
    assert!(tokens.body["client_info"].is_string());
    let bearer = format!("Bearer {}", tokens.body["access_token"].as_str().unwrap());
    let uri = "https://management.azure.com/subscriptions?api-version=2022-12-01";
    let seen = nobody.raw("GET", uri, &[("authorization", &bearer)], Bytes::new()).await.unwrap();
    assert_eq!(seen.body["value"][0]["subscriptionId"], cloud.seed.subscription);
    assert_eq!(error(&poll(&nobody, "organizations", &flow).await).1, "bad_verification_code", "once only");
}

#[tokio::test]
async fn codes_expire_on_the_cloud_clock_and_can_be_declined() {
    let cloud = testing::cloud();
    let nobody = cloud.anonymous();
    let tenant = cloud.seed.tenant.as_str();
    let flow = start(&nobody, tenant).await;
    cloud.advance(900);
    assert_eq!(error(&poll(&nobody, tenant, &flow).await), (400, "expired_token", 70_020));
    assert!(!cloud.cloud.approve_device_code(flow["user_code"].as_str().unwrap()).unwrap());

    let flow = start(&nobody, tenant).await;
    assert!(cloud.cloud.decline_device_code(flow["user_code"].as_str().unwrap()).unwrap());
    assert_eq!(error(&poll(&nobody, tenant, &flow).await), (400, "authorization_declined", 65_004));
    assert!(!cloud.cloud.decline_device_code("BCDFGHJKL").unwrap());

    let flow = start(&nobody, tenant).await;
    let code = flow["user_code"].as_str().unwrap();
    let done = enter(&nobody, code, &cloud.seed.user, cloud.seed.password.expose(), "decline").await;
    assert_eq!(done.status, 200);
    assert_eq!(error(&poll(&nobody, tenant, &flow).await).1, "authorization_declined");

    let flow = start(&nobody, tenant).await;
    assert!(cloud.cloud.approve_device_code(flow["user_code"].as_str().unwrap()).unwrap());
    assert_eq!(poll(&nobody, tenant, &flow).await.status, 200);
}

#[tokio::test]
async fn bad_requests_for_codes_are_refused() {
    let cloud = testing::cloud();
    let nobody = cloud.anonymous();
    let tenant = cloud.seed.tenant.as_str();
    /// Tenant, form, error, AADSTS number.
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, u64);
    let table: &[Case<'_>] = &[
        ("no-tenant", &[("client_id", AZ), ("scope", SCOPE)], "invalid_request", 90_002),
        (tenant, &[("scope", SCOPE)], "invalid_request", 900_144),
        (tenant, &[("client_id", AZ)], "invalid_request", 900_144),
        (tenant, &[("client_id", "x"), ("scope", SCOPE)], "unauthorized_client", 700_016),
        (tenant, &[("client_id", AZ), ("scope", "https://nobody.example/.default")], "invalid_resource", 500_011),
    ];
    for (tenant, form, name, number) in table {
        let reply = post(&nobody, &endpoint(tenant, "devicecode"), form).await;
        assert_eq!(error(&reply), (400, *name, *number), "{form:?}");
    }
    let unknown = poll(&nobody, tenant, &json!({ "device_code": "x" })).await;
    assert_eq!(error(&unknown), (400, "bad_verification_code", 70_018));
}

async fn second(cloud: &TestCloud) -> crate::Seed {
    cloud.cloud.add_tenant("Second").unwrap()
}

#[tokio::test]
async fn page_escapes_what_it_shows_and_limits_guesses() {
    let cloud = testing::cloud();
    let nobody = cloud.anonymous();
    let flow = start(&nobody, &cloud.seed.tenant).await;
    let code = flow["user_code"].as_str().unwrap();
    let nasty = "\"><script>alert(1)</script>{code}{user}";
    let wrong = enter(&nobody, code, nasty, "x", "approve").await;
    assert_eq!(wrong.status, 400);
    assert!(!text(&wrong).contains("<script>") && text(&wrong).contains("&lt;script&gt;"), "{}", text(&wrong));
    let other = second(&cloud).await;
    let foreign = enter(&nobody, code, &other.user, other.password.expose(), "approve").await;
    assert_eq!(foreign.status, 400, "the code belongs to the first tenant");
    for _ in 0..8 {
        assert_eq!(enter(&nobody, nasty, &cloud.seed.user, "x", "approve").await.status, 400);
    }
    let right = (cloud.seed.user.clone(), cloud.seed.password.expose().to_owned());
    let limited = enter(&nobody, code, &right.0, &right.1, "approve").await;
    assert_eq!((limited.status, limited.header("retry-after")), (429, "300"));
    cloud.advance(600);
    assert_eq!(enter(&nobody, code, &right.0, &right.1, "approve").await.status, 429, "the wall clock counts");
    cloud.advance_wall(299);
    assert_eq!(enter(&nobody, code, &right.0, &right.1, "approve").await.status, 429);
    cloud.advance_wall(1);
    let late = enter(&nobody, code, &right.0, &right.1, "approve").await;
    assert_eq!(late.status, 400, "the code has expired meanwhile");
}
