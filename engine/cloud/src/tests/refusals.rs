//! What every operation of the tables refuses, one by one: callers without a token, and callers without a role.

use bytes::Bytes;
use serde_json::Value;

use crate::testing::{self, Client, Reply, TestCloud};
use crate::{Cloud, Offered};

/// The host that a service's operations are asked at, where one is there without making anything.
fn host(service: &str) -> Option<&'static str> {
    match service {
        "arm" => Some("management.azure.com"),
        "graph" => Some("graph.microsoft.com"),
        "loganalytics" => Some("api.loganalytics.io"),
        _ => None,
    }
}

/// A request that meets an operation: names where its template has parameters, its conditions, its newest version.
async fn ask(caller: &Client<'_>, cloud: &TestCloud, host: &str, offered: &Offered) -> Reply {
    let named = |segment: &str| match segment {
        "{subscription}" => cloud.seed.subscription.clone(),
        "{location}" => "westeurope".to_owned(),
        s if s.starts_with("{+") => cloud.subscription().trim_start_matches('/').to_owned(),
        s if s.starts_with('{') => "something".to_owned(),
        s => s.to_owned(),
    };
    let path: Vec<String> = offered.path.split('/').map(named).collect();
    let when = offered.when.iter().copied();
    let (headers, query): (Vec<_>, Vec<_>) = when.partition(|(name, _)| name.starts_with("x-ms-"));
    let version = offered.versions.first().map(|v| ("api-version", *v));
    let query: Vec<String> = query.into_iter().chain(version).map(|(n, v)| format!("{n}={v}")).collect();
    let uri = format!("https://{host}{}?{}", path.join("/"), query.join("&"));
    caller.send_with(offered.method, &uri, &headers, Bytes::new()).await.unwrap()
}

#[tokio::test]
async fn each_operation_asks_for_a_token() {
    let cloud = testing::cloud();
    let nobody = cloud.anonymous();
    let mut asked = 0;
    for offered in Cloud::operations() {
        let Some(host) = host(offered.service) else { continue };
        let reply = ask(&nobody, &cloud, host, &offered).await;
        assert_eq!(reply.status, 401, "{} {}: {reply:?}", offered.name, offered.path);
        assert!(!reply.header("www-authenticate").is_empty() || offered.service != "arm", "{}", offered.name);
        asked += 1;
    }
    assert!(asked > 200, "{asked}");
}

#[tokio::test]
async fn each_control_operation_asks_for_its_own_action() {
    let cloud = testing::cloud();
    let (me, tools) = (cloud.learner(), cloud.tools());
    let assignments = format!("{}/providers/Microsoft.Authorization/roleAssignments", cloud.subscription());
    let found = me.arm("GET", &format!("{assignments}?api-version=2022-04-01"), Value::Null).await;
    for row in found.body["value"].as_array().unwrap() {
        if row["properties"]["principalId"] == cloud.seed.client_oid.as_str() {
            let path = format!("{}?api-version=2022-04-01", row["id"].as_str().unwrap());
            assert_eq!(me.arm("DELETE", &path, Value::Null).await.status, 200);
        }
    }
    let mut asked = 0;
    for offered in Cloud::operations() {
        let (true, Some(action)) = (offered.service == "arm", offered.action) else { continue };
        let reply = ask(&tools, &cloud, "management.azure.com", &offered).await;
        assert_eq!(reply.status, 403, "{} {}: {reply:?}", offered.name, offered.path);
        // The answer to a HEAD has no body that could say more.
        if offered.method != "HEAD" {
            assert_eq!(reply.code(), "AuthorizationFailed", "{}: {reply:?}", offered.name);
            let message = reply.body["error"]["message"].as_str().unwrap_or_default().to_lowercase();
            assert!(message.contains(&format!("'{}'", action.to_lowercase())), "{}: {message}", offered.name);
        }
        asked += 1;
    }
    assert!(asked > 200, "{asked}");
}
