//! Long-running operations. Every poll goes through a `Follow` that has been written down and read again, as if another
//! process had taken over.

use std::sync::Arc;
use std::time::Duration;

use sealbook_azure::{Answer, AzureError, Follow, Polled, Style};
use serde_json::{Value, json};

use crate::script::{ARM, GROUP, Reply, Script, answer, arm, json_answer};

const DES: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/diskEncryptionSets/d";
const OPERATION: &str = "/subscriptions/s/providers/Microsoft.Compute/locations/w/DiskOperations/1?p=x&api-version=1";

fn des(method: &str, reply: Reply) -> (String, Reply) {
    arm(method, &format!("{DES}?api-version=2025-01-02"), reply)
}

fn des_state(status: u16, state: &str) -> Reply {
    json_answer(status, json!({"id": DES, "properties": {"provisioningState": state}}))
}

fn accepted(headers: &[(&str, &str)]) -> Reply {
    answer(202, headers, "")
}

/// Polls to the end, each time with a new client: nothing but the written `Follow` carries over.
async fn to_the_end(script: &Arc<Script>, begun: Answer) -> (Result<Option<Value>, AzureError>, Vec<Follow>) {
    let mut path = Vec::new();
    let mut follow = match begun {
        Answer::Done(value) => return (Ok(value), path),
        Answer::Accepted(follow) => follow,
    };
    loop {
        let written = serde_json::to_string(&follow).unwrap();
        let read: Follow = serde_json::from_str(&written).unwrap();
        assert_eq!(read, follow);
        path.push(read.clone());
        match script.azure().arm().poll(&read).await {
            Ok(Polled::Pending(next)) => follow = next,
            Ok(Polled::Done(value)) => return (Ok(value), path),
            Err(error) => return (Err(error), path),
        }
    }
}

#[tokio::test]
async fn async_operation_ends_with_the_resource() {
    let operation = format!("{ARM}{OPERATION}");
    let location = format!("{operation}&monitor=true");
    let script = Script::new([
        des("PUT", accepted(&[("azure-asyncoperation", &operation), ("location", &location), ("retry-after", "2")])),
        arm("GET", OPERATION, answer(200, &[("retry-after", "7")], r#"{"status":"InProgress"}"#)),
        arm("GET", OPERATION, json_answer(200, json!({"status": "Succeeded"}))),
        des("GET", des_state(200, "Succeeded")),
    ]);
    let begun = script.azure().arm().put(DES, &json!({"location": "w"}), None).await.unwrap();
    let (done, path) = to_the_end(&script, begun).await;
    assert_eq!(done.unwrap().unwrap()["id"], DES);
    assert_eq!(path.iter().map(Follow::delay).collect::<Vec<_>>(), [Duration::from_secs(2), Duration::from_secs(7)]);
    assert!(path.iter().all(|follow| follow.style == Style::AsyncOperation));
    script.finished();
}

#[tokio::test]
async fn the_newest_location_is_followed() {
    let at =
        |n: u32| format!("/subscriptions/s/providers/Microsoft.KeyVault/locations/w/managedHsmOperationResults/{n}");
    let full = |n: u32| format!("{ARM}{}", at(n));
    let hsm = "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/managedHSMs/h";
    let url = format!("{hsm}?api-version=2026-02-01");
    let script = Script::new([
        arm("PUT", &url, accepted(&[("location", &full(1))])),
        arm("GET", &at(1), accepted(&[("location", &full(2)), ("retry-after", "0")])),
        arm("GET", &at(2), accepted(&[])),
        arm("GET", &at(2), answer(200, &[], "")),
        arm("GET", &url, json_answer(200, json!({"id": hsm, "properties": {}}))),
    ]);
    let begun = script.azure().arm().put(hsm, &json!({}), None).await.unwrap();
    let (done, path) = to_the_end(&script, begun).await;
    assert_eq!(done.unwrap().unwrap()["id"], hsm);
    assert_eq!(path.iter().map(|follow| follow.url.clone()).collect::<Vec<_>>(), [full(1), full(2), full(2)]);
    assert_eq!(path[1].delay(), Duration::from_millis(100), "0 s is not believed");
    script.finished();
}

#[tokio::test]
async fn provisioning_state_is_followed_by_the_resource() {
    let script = Script::new([
        des(
            "PUT",
            answer(
                201,
                &[("location", "https://management.azure.com/x")],
                r#"{"properties":{"provisioningState":"Creating"}}"#,
            ),
        ),
        des("GET", des_state(200, "Updating")),
        des("GET", des_state(200, "Succeeded")),
    ]);
    let begun = script.azure().arm().put(DES, &json!({}), None).await.unwrap();
    let (done, path) = to_the_end(&script, begun).await;
    assert_eq!(done.unwrap().unwrap()["properties"]["provisioningState"], "Succeeded");
    assert!(path.iter().all(|follow| follow.style == Style::Resource));
    script.finished();
}

/// What ends at once, though it looks as if it did not.
#[tokio::test]
async fn finished_answers_are_done() {
    let rows = [
        (200, json!({"id": DES, "properties": {"provisioningState": "Succeeded"}}), None),
        (201, json!({"id": DES}), Some(("location", "https://management.azure.com/subscriptions/s"))),
        (200, json!({"id": DES, "properties": {}}), None),
    ];
    for (status, body, header) in rows {
        let headers: Vec<(&str, &str)> = header.into_iter().collect();
        let script = Script::new([des("PUT", answer(status, &headers, &body.to_string()))]);
        let begun = script.azure().arm().put(DES, &json!({}), None).await.unwrap();
        assert_eq!(begun, Answer::Done(Some(body)));
    }
}

#[tokio::test]
async fn deletes_end_in_each_style() {
    let group = format!("{GROUP}?api-version=2024-11-01");
    let at = "/subscriptions/s/operationresults/1?api-version=1";
    let full = format!("{ARM}{at}");
    let gone = || json_answer(404, json!({"error": {"code": "ResourceGroupNotFound", "message": "gone"}}));
    let there = || json_answer(200, json!({"id": GROUP, "properties": {"provisioningState": "Deleting"}}));
    let scripts = [
        vec![
            arm("DELETE", &group, accepted(&[("location", &full)])),
            arm("GET", at, accepted(&[("location", &full)])),
            arm("GET", at, answer(200, &[], "")),
        ],
        vec![arm("DELETE", &group, accepted(&[])), arm("GET", &group, there()), arm("GET", &group, gone())],
        // The operation is forgotten by the time a run is resumed: the resource itself tells.
        vec![
            arm("DELETE", &group, accepted(&[("location", &full)])),
            arm("GET", at, answer(404, &[], "")),
            arm("GET", &group, there()),
            arm("GET", &group, gone()),
        ],
        vec![arm("DELETE", &group, answer(200, &[], ""))],
        vec![arm("DELETE", &group, answer(204, &[], ""))],
    ];
    for steps in scripts {
        let script = Script::new(steps);
        let begun = script.azure().arm().delete(GROUP, None).await.unwrap();
        assert_eq!(to_the_end(&script, begun).await.0, Ok(None));
        script.finished();
    }
}

#[tokio::test]
async fn actions_end_with_their_result() {
    let vm = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/m/runCommand";
    let url = format!("{vm}?api-version=2024-11-01");
    let operation = format!("{ARM}{OPERATION}");
    let monitor = format!("{OPERATION}&monitor=true");
    let location = format!("{ARM}{monitor}");
    let purge = "/subscriptions/s/providers/Microsoft.KeyVault/locations/w/deletedVaults/v/purge";
    let purge_url = format!("{purge}?api-version=2026-02-01");
    let results = "/subscriptions/s/providers/Microsoft.KeyVault/locations/w/operationResults/1";
    let results_url = format!("{ARM}{results}");
    let rows = [
        (
            vm,
            vec![
                arm("POST", &url, accepted(&[("azure-asyncoperation", &operation), ("location", &location)])),
                arm("GET", OPERATION, json_answer(200, json!({"status": "Succeeded"}))),
                arm("GET", &monitor, json_answer(200, json!({"value": [1]}))),
            ],
            Some(json!({"value": [1]})),
        ),
        (
            vm,
            vec![
                arm("POST", &url, accepted(&[("azure-asyncoperation", &operation)])),
                arm("GET", OPERATION, json_answer(200, json!({"status": "Succeeded", "properties": {"output": 5}}))),
            ],
            Some(json!(5)),
        ),
        (
            purge,
            vec![
                arm("POST", &purge_url, accepted(&[("location", &results_url)])),
                arm("GET", results, json_answer(200, json!({"status": "NotStarted"}))),
                arm("GET", results, json_answer(200, json!({"status": "Succeeded"}))),
            ],
            Some(json!({"status": "Succeeded"})),
        ),
        (purge, vec![arm("POST", &purge_url, answer(200, &[], ""))], None),
    ];
    for (id, steps, expected) in rows {
        let script = Script::new(steps);
        let begun = script.azure().arm().post(id, Some(&json!({})), None).await.unwrap();
        assert_eq!(to_the_end(&script, begun).await.0, Ok(expected));
        script.finished();
    }
}

#[tokio::test]
async fn failures_come_out_with_their_own_code() {
    let operation = format!("{ARM}{OPERATION}");
    let forbidden = json!({"code": "KeyVaultAccessForbidden", "message": "Unable to access key vault resource"});
    let by_operation = |body: Value| {
        vec![
            des("PUT", accepted(&[("azure-asyncoperation", &operation)])),
            arm("GET", OPERATION, json_answer(200, body)),
        ]
    };
    let rows = [
        (by_operation(json!({"status": "Failed", "error": forbidden})), "KeyVaultAccessForbidden", true),
        (by_operation(json!({"status": "Canceled"})), "OperationCanceled", false),
        (by_operation(json!({"status": "Failed"})), "OperationFailed", false),
        (
            by_operation(
                json!({"status": "Failed", "properties": {"error": {"code": "QuotaExceeded", "message": "m"}}}),
            ),
            "QuotaExceeded",
            false,
        ),
        (vec![des("PUT", des_state(202, "Creating")), des("GET", des_state(200, "Failed"))], "OperationFailed", false),
    ];
    for (steps, code, role) in rows {
        let script = Script::new(steps);
        let begun = script.azure().arm().put(DES, &json!({}), None).await.unwrap();
        let error = to_the_end(&script, begun).await.0.unwrap_err();
        assert_eq!((error.code.as_str(), error.is_role_missing(), error.status), (code, role, 200));
        script.finished();
    }
}

/// The operation's links get our token, so they count only when they are Resource Manager's.
#[tokio::test]
async fn operations_are_not_followed_to_other_hosts() {
    let script = Script::new([
        des(
            "PUT",
            accepted(&[("azure-asyncoperation", "https://evil.example/o"), ("location", "https://evil.example/l")]),
        ),
        des("GET", des_state(200, "Succeeded")),
    ]);
    let begun = script.azure().arm().put(DES, &json!({}), None).await.unwrap();
    let (done, path) = to_the_end(&script, begun).await;
    assert!(done.is_ok());
    assert_eq!(path[0].style, Style::Resource);
    script.finished();

    // An action leaves no resource behind that could tell instead.
    let purge = "/subscriptions/s/providers/Microsoft.KeyVault/locations/w/deletedVaults/v/purge";
    let begun = accepted(&[("location", "https://evil.example/l")]);
    let action = Script::new([arm("POST", &format!("{purge}?api-version=2026-02-01"), begun)]);
    let error = action.azure().arm().post(purge, None, None).await.unwrap_err();
    assert!(error.code == "FollowRefused" && error.outcome_unknown(), "{error:?}");

    let forged = Follow { url: "https://evil.example/o".into(), ..path[0].clone() };
    assert_eq!(script.azure().arm().poll(&forged).await.unwrap_err().code, "FollowRefused");
    assert_eq!(script.seen().len(), 2);
}

/// The form in journals: it must stay readable.
#[test]
fn the_written_form_is_fixed() {
    let follow: Follow = serde_json::from_value(json!({
        "verb": "PUT", "id": DES, "api_version": "2025-01-02", "style": "async-operation", "url": "https://management.azure.com/o",
    }))
    .unwrap();
    assert_eq!(follow.delay(), Duration::from_secs(1));
    insta::assert_snapshot!(serde_json::to_string(&follow).unwrap(), @r#"{"verb":"PUT","id":"/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/diskEncryptionSets/d","api_version":"2025-01-02","style":"async-operation","url":"https://management.azure.com/o"}"#);
    let long = Follow { retry_after_ms: Some(u64::MAX), ..follow };
    assert_eq!(long.delay(), Duration::from_secs(120));
}
