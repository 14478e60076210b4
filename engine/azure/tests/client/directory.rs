use sealbook_azure::Kind;
use serde_json::json;
use uuid::Uuid;

use crate::script::{Reply, Script, json_answer};

const APP: &str = "bf7b6499-ff71-4aa2-97a4-f372087be7f0";
const GRAPH: &str = "https://graph.microsoft.com/v1.0/servicePrincipals";

fn app() -> Uuid {
    APP.parse().unwrap()
}

fn found(reply: Reply) -> (String, Reply) {
    (format!("GET {GRAPH}(appId='{APP}')?$select=id,appId,displayName"), reply)
}

#[tokio::test]
async fn a_service_principal_is_found_or_absent() {
    let script = Script::new([
        found(json_answer(200, json!({ "id": "oid", "appId": APP }))),
        found(json_answer(404, json!({ "error": { "code": "Request_ResourceNotFound", "message": "no" } }))),
        found(json_answer(403, json!({ "error": { "code": "Authorization_RequestDenied", "message": "no" } }))),
    ]);
    let directory = script.azure().directory();
    assert_eq!(directory.service_principal(app()).await.unwrap().unwrap()["id"], "oid");
    assert_eq!(directory.service_principal(app()).await.unwrap(), None);
    assert_eq!(directory.service_principal(app()).await.unwrap_err().kind, Kind::Forbidden);
    script.finished();
}

/// Whether a lost registration was done is looked up, and it is never sent twice.
#[tokio::test(start_paused = true)]
async fn a_registration_that_is_lost_is_not_repeated() {
    let script = Script::new([
        (format!("POST {GRAPH}"), json_answer(201, json!({ "id": "oid", "appId": APP }))),
        (format!("POST {GRAPH}"), Reply::Lost),
    ]);
    let directory = script.azure().directory();
    assert_eq!(directory.register(app()).await.unwrap()["id"], "oid");
    assert_eq!(script.seen()[0].json(), json!({ "appId": APP }));
    assert!(directory.register(app()).await.unwrap_err().outcome_unknown());
    script.finished();
}
