//! What is sent again, and what is not. Time stands still except where somebody sleeps, and then it jumps.

use std::time::Duration;

use sealbook_azure::{Answer, Kind};
use serde_json::json;
use tokio::time::Instant;

use crate::script::{GROUP, Reply, Script, answer, arm, json_answer};

const URL: &str = "/subscriptions/s/resourceGroups/g?api-version=2024-11-01";

fn ok(method: &str) -> (String, Reply) {
    arm(method, URL, json_answer(200, json!({})))
}

fn busy(method: &str, status: u16, retry_after: Option<&str>) -> (String, Reply) {
    let headers: Vec<(&str, &str)> = retry_after.map(|wait| ("retry-after", wait)).into_iter().collect();
    arm(method, URL, answer(status, &headers, ""))
}

#[tokio::test(start_paused = true)]
async fn throttled_requests_wait_as_long_as_asked() {
    for method in ["GET", "PUT"] {
        let script = Script::new([busy(method, 429, Some("2")), busy(method, 429, Some("3")), ok(method)]);
        let client = script.azure().arm();
        let started = Instant::now();
        match method {
            "GET" => assert_eq!(client.get(GROUP, None).await.unwrap(), Some(json!({}))),
            _ => assert_eq!(client.put(GROUP, &json!({"a": 1}), None).await.unwrap(), Answer::Done(Some(json!({})))),
        }
        assert_eq!(started.elapsed().as_secs(), 5, "{method}");
        assert!(script.seen().iter().all(|seen| method == "GET" || seen.json() == json!({"a": 1})));
        script.finished();
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_retry_after_comes_back_instead_of_blocking() {
    let script = Script::new([busy("GET", 429, Some("600"))]);
    let started = Instant::now();
    let error = script.azure().arm().get(GROUP, None).await.unwrap_err();
    assert_eq!((error.kind, error.retry_after), (Kind::Throttled, Some(Duration::from_secs(600))));
    assert!(error.is_transient() && started.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn reads_survive_what_passes() {
    let script = Script::new([
        busy("GET", 500, None),
        arm("GET", URL, Reply::Lost),
        busy("GET", 503, Some("1")),
        arm("GET", URL, Reply::Unreachable),
        ok("GET"),
    ]);
    assert!(script.azure().arm().get(GROUP, None).await.is_ok());
    script.finished();
}

#[tokio::test(start_paused = true)]
async fn attempts_are_bounded_and_waits_grow() {
    let script = Script::new((0..5).map(|_| busy("GET", 502, None)));
    let started = Instant::now();
    let error = script.azure().arm().get(GROUP, None).await.unwrap_err();
    assert_eq!((error.kind, error.status), (Kind::Server, 502));
    // 0.3 + 0.6 + 1.2 + 2.4 s, each between its half and its whole.
    let waited = started.elapsed().as_millis();
    assert!((2_250..=4_510).contains(&waited), "{waited} ms");
    script.finished();
}

/// One line each: what happens to a write, and whether its outcome is known afterwards.
#[tokio::test(start_paused = true)]
async fn writes_are_not_sent_twice_when_they_may_have_arrived() {
    let rows = [
        (arm("PUT", URL, Reply::Lost), Kind::Connection, true),
        (busy("PUT", 500, None), Kind::Server, true),
        (busy("PUT", 503, Some("1")), Kind::Server, true),
        (busy("PUT", 409, None), Kind::Conflict, false),
    ];
    for (step, kind, unknown) in rows {
        let script = Script::new([step]);
        let error = script.azure().arm().put(GROUP, &json!({}), None).await.unwrap_err();
        assert_eq!((error.kind, error.outcome_unknown()), (kind, unknown), "{error:?}");
        assert_eq!(script.seen().len(), 1);
    }
    let script = Script::new([arm("PUT", URL, Reply::Unreachable), ok("PUT")]);
    assert!(script.azure().arm().put(GROUP, &json!({}), None).await.is_ok(), "never sent, so sent again");
    script.finished();
}

/// A POST that only asks is repeated like a read.
#[tokio::test(start_paused = true)]
async fn questions_are_repeated() {
    let id = "/subscriptions/s/providers/Microsoft.Storage/checkNameAvailability";
    let url = format!("{id}?api-version=2025-08-01");
    let script = Script::new([
        arm("POST", &url, Reply::Lost),
        arm("POST", &url, json_answer(200, json!({"nameAvailable": true}))),
    ]);
    let answer = script.azure().arm().query(id, &json!({"name": "n"}), None).await.unwrap();
    assert_eq!(answer["nameAvailable"], true);
    script.finished();
}

/// A refused token is replaced, once; a request that is refused again stays refused.
#[tokio::test(start_paused = true)]
async fn refused_tokens_are_renewed_once() {
    let refused = |method| arm(method, URL, answer(401, &[("www-authenticate", "Bearer error=\"invalid_token\"")], ""));
    let script = Script::new([refused("PUT"), ok("PUT")]);
    assert!(script.azure().arm().put(GROUP, &json!({}), None).await.is_ok());
    let used: Vec<_> = script.seen().iter().map(|seen| seen.header("authorization").unwrap().to_owned()).collect();
    assert!(used[0].ends_with("token1") && used[1].ends_with("token2"), "{used:?}");
    script.finished();

    let script = Script::new([refused("GET"), refused("GET")]);
    assert_eq!(script.azure().arm().get(GROUP, None).await.unwrap_err().kind, Kind::Unauthorized);
    script.finished();
}

/// A service that never answers does not hold a run for ever.
#[tokio::test(start_paused = true)]
async fn attempts_have_a_deadline() {
    #[derive(Debug)]
    struct Silent;
    #[async_trait::async_trait]
    impl sealbook_azure::HttpSend for Silent {
        async fn send(
            &self,
            request: http::Request<bytes::Bytes>,
        ) -> Result<http::Response<bytes::Bytes>, sealbook_azure::TransportError> {
            if request.uri().host() == Some("login.microsoftonline.com") {
                return Script::new([]).send(request).await;
            }
            std::future::pending().await
        }
    }
    let credential = sealbook_azure::Credential::Password {
        tenant: "11111111-1111-1111-1111-111111111111".into(),
        user: "u".into(),
        password: "p".into(),
    };
    let transport = sealbook_azure::Transport::Injected(std::sync::Arc::new(Silent));
    let azure = sealbook_azure::Azure::new(sealbook_azure::Settings::new(credential, transport)).unwrap();
    let started = Instant::now();
    let error = azure.arm().put(GROUP, &json!({}), None).await.unwrap_err();
    assert_eq!((error.kind, error.outcome_unknown()), (Kind::Connection, true));
    assert_eq!(started.elapsed().as_secs(), 180);
}
