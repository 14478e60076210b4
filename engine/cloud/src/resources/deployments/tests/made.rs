//! Deployments that work.

use serde_json::{Value, json};

use super::kit::{deployment, lab, network};
use crate::testing;

#[tokio::test]
async fn a_machine_is_deployed_with_everything_that_it_needs() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let ended = lab.deploy("vm_deploy_1", lab.machine()).await;
    let properties = &ended["properties"];
    assert_eq!(properties["provisioningState"], "Succeeded", "{ended}");
    assert_eq!(properties["outputs"]["address"], json!({ "type": "string", "value": "203.0.113.1" }));
    assert_eq!(properties["outputs"]["kind"]["value"], "Microsoft.Compute/virtualMachines");
    assert_eq!(properties["outputResources"].as_array().unwrap().len(), 5);
    assert_eq!(properties["parameters"]["adminPassword"], json!({ "type": "SecureString" }));
    assert!(!ended.to_string().contains("Horse"));
    let machine = lab.resource("Microsoft.Compute/virtualMachines/vm", "2024-07-01").await;
    assert_eq!(machine.body["properties"]["provisioningState"], "Succeeded", "{machine:?}");
    let operations = lab.ask("GET", "/vm_deploy_1/operations", Value::Null).await;
    let all = operations.body["value"].as_array().unwrap();
    assert!(all.iter().all(|o| o["properties"]["provisioningState"] == "Succeeded"), "{operations:?}");
    let first = all[0]["operationId"].as_str().unwrap();
    let one = lab.ask("GET", &format!("/vm_deploy_1/operations/{first}"), Value::Null).await;
    assert_eq!(one.body, all[0]);
    // It is no resource, and the activity log names each resource that it made.
    let listed = lab.me.arm("GET", &format!("{}/resources?api-version=2021-04-01", lab.group), Value::Null).await;
    assert!(!listed.body.to_string().contains("deployments"), "{listed:?}");
    let deployments = lab.ask("GET", "", Value::Null).await;
    assert_eq!(deployments.body["value"][0]["name"], "vm_deploy_1");
    // The same again finds everything in place.
    let again = lab.deploy("vm_deploy_1", lab.machine()).await;
    assert_eq!(again["properties"]["provisioningState"], "Succeeded", "{again}");
    assert_eq!(again["properties"]["templateHash"], properties["templateHash"]);
    assert_eq!(lab.ask("DELETE", "/vm_deploy_1", Value::Null).await.status, 204);
    assert_eq!(lab.ask("GET", "/vm_deploy_1", Value::Null).await.code(), "DeploymentNotFound");
    assert_eq!(lab.resource("Microsoft.Compute/virtualMachines/vm", "2024-07-01").await.status, 200);
}

#[tokio::test]
async fn validation_makes_nothing() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let good = deployment(network("net", "10.0.0.0/16"), json!({}));
    let reply = lab.ask("POST", "/try/validate", good).await;
    assert_eq!((reply.status, &reply.body["properties"]["provisioningState"]), (200, &json!("Succeeded")), "{reply:?}");
    assert_eq!(reply.body["properties"]["validatedResources"].as_array().unwrap().len(), 1);
    cloud.advance(5);
    assert_eq!(lab.resource("Microsoft.Network/virtualNetworks/net", "2022-01-01").await.status, 404);
    let mut bad = deployment(network("net", "10.0.0.0/16"), json!({}));
    bad["properties"]["template"]["resources"][0]["name"] = "[uniqueString('x')]".into();
    let reply = lab.ask("POST", "/try/validate", bad).await;
    assert_eq!((reply.status, reply.code()), (400, "InvalidTemplate"), "{reply:?}");
    assert!(reply.header("x-sealbook-gap").contains("uniqueString"));
}

#[tokio::test]
async fn deployments_go_with_their_group() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    lab.deploy("one", deployment(network("net", "10.0.0.0/16"), json!({}))).await;
    let running = lab.ask("PUT", "/two", deployment(network("net2", "10.0.0.0/16"), json!({}))).await;
    assert_eq!(running.status, 201);
    let group = format!("{}?api-version=2024-11-01", lab.group);
    assert_eq!(lab.me.arm("DELETE", &group, Value::Null).await.status, 202);
    cloud.advance(60);
    lab.me.arm("PUT", &group, json!({ "location": "westeurope" })).await;
    assert_eq!(lab.ask("GET", "", Value::Null).await.body["value"], json!([]));
}
