//! Long-running operations at the addresses that each provider gives: the state, and the result.

use serde_json::{Value, json};

use crate::testing;

/// `Location`, or the address of its state with the condition that asks for the result.
fn result_of(reply: &testing::Reply) -> String {
    match reply.header("location") {
        "" => format!("{}&monitor=true", reply.header("azure-asyncoperation")),
        location => location.to_owned(),
    }
}

#[tokio::test]
async fn each_provider_tells_the_state_and_the_result() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let pool = json!({ "name": "system", "count": 1, "vmSize": "Standard_B2s", "mode": "System", "osType": "Linux" });
    let table = [
        (
            "Microsoft.CognitiveServices/accounts",
            "2025-09-01",
            json!({ "kind": "AIServices", "sku": { "name": "S0" }, "properties": {} }),
        ),
        (
            "Microsoft.ContainerService/managedClusters",
            "2026-06-01",
            json!({
                "identity": { "type": "SystemAssigned" },
                "properties": { "dnsPrefix": "lab", "agentPoolProfiles": [pool] },
            }),
        ),
        (
            "Microsoft.Network/publicIPAddresses",
            "2024-07-01",
            json!({ "sku": { "name": "Standard" }, "properties": { "publicIPAllocationMethod": "Static" } }),
        ),
        ("Microsoft.OperationalInsights/workspaces", "2025-02-01", json!({ "properties": {} })),
    ];
    for namespace in table.iter().map(|(kind, ..)| kind.split('/').next().unwrap()).chain(["Microsoft.Compute"]) {
        let path = format!("{}/providers/{namespace}/register?api-version=2022-12-01", cloud.subscription());
        assert_eq!(me.arm("POST", &path, Value::Null).await.status, 200, "{namespace}");
    }
    cloud.advance(60);
    let group = format!("{}/resourceGroups/lab", cloud.subscription());
    me.arm("PUT", &format!("{group}?api-version=2024-11-01"), json!({ "location": "westeurope" })).await;
    for (kind, version, mut body) in table {
        let path = format!("{group}/providers/{kind}/polled?api-version={version}");
        body["location"] = "westeurope".into();
        let made = me.arm("PUT", &path, body).await;
        assert!(matches!(made.status, 200 | 201), "{kind}: {made:?}");
        // A workspace is gone at once: its making is what takes time.
        let polled = if kind.ends_with("/workspaces") {
            made
        } else {
            cloud.advance(10);
            let gone = me.arm("DELETE", &path, Value::Null).await;
            assert_eq!(gone.status, 202, "{kind}: {gone:?}");
            gone
        };
        let (state, result) = (polled.header("azure-asyncoperation").to_owned(), result_of(&polled));
        assert_eq!(me.send("GET", &result, None).await.status, 202, "{kind}");
        assert_eq!(me.send("GET", &state, None).await.body["status"], "InProgress", "{kind}");
        cloud.advance(10);
        let end = me.send("GET", &result, None).await.status;
        assert!(matches!(end, 200 | 204), "{kind}: {end}");
        assert_eq!(me.send("GET", &state, None).await.body["status"], "Succeeded", "{kind}");
        let (path, query) = result.split_once('?').unwrap();
        let nothing = format!("{}/{}?{query}", path.rsplit_once('/').unwrap().0, uuid::Uuid::nil());
        assert_eq!(me.send("GET", &nothing, None).await.status, 404, "{kind}: no such operation");
    }
}
