//! Deployments that are refused or fail.

use serde_json::{Value, json};

use super::kit::{deployment, lab, network};
use crate::{Fault, FaultKind, testing};

#[tokio::test]
async fn requests_are_judged_before_anything_is_made() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let good = || deployment(network("net", "10.0.0.0/16"), json!({}));
    let with = |pointer: &str, value: Value| {
        let mut body = good();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[name] = value;
        body
    };
    let resource = "/properties/template/resources/0";
    let table = [
        ("/d", with("/properties/mode", json!("Complete")), 400, "InvalidTemplate"),
        ("/d", with("/properties/mode", Value::Null), 400, "InvalidRequestContent"),
        ("/d", with("/properties/templateLink", json!({ "uri": "https://x" })), 400, "InvalidTemplate"),
        ("/d", with("/properties/template/$schema", json!("x")), 400, "InvalidTemplate"),
        ("/d", with("/properties/template/functions", json!([1])), 400, "InvalidTemplate"),
        ("/d", with("/properties/parameters", json!({ "x": { "value": 1 } })), 400, "InvalidTemplate"),
        ("/d", with(&format!("{resource}/type"), json!("Microsoft.Resources/deployments")), 400, "InvalidTemplate"),
        ("/d", with(&format!("{resource}/type"), json!("Microsoft.Moon/rocks")), 404, "InvalidResourceNamespace"),
        ("/d", with(&format!("{resource}/type"), json!("Microsoft.Network/rocks")), 404, "InvalidResourceType"),
        ("/d", with(&format!("{resource}/apiVersion"), json!("2000-01-01")), 400, "NoRegisteredProviderFound"),
        ("/d!", good(), 400, "InvalidDeploymentName"),
    ];
    for (path, body, status, code) in table {
        let reply = lab.ask("PUT", path, body.clone()).await;
        assert_eq!((reply.status, reply.code()), (status, code), "{body}: {reply:?}");
    }
    assert_eq!(lab.ask("GET", "", Value::Null).await.body["value"], json!([]));
    assert_eq!(lab.ask("POST", "/d/whatIf", good()).await.code(), "WhatIfNotSupported");
    for path in ["/none", "/none/operations", "/none/operations/1", "/none/operationStatuses/1"] {
        assert_eq!(lab.ask("GET", path, Value::Null).await.code(), "DeploymentNotFound", "{path}");
    }
    assert_eq!(lab.ask("DELETE", "/none", Value::Null).await.status, 204);
}

#[tokio::test]
async fn an_active_deployment_is_left_alone() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let good = || deployment(network("net", "10.0.0.0/16"), json!({}));
    assert_eq!(lab.ask("PUT", "/d", good()).await.status, 201);
    for (method, body) in [("PUT", good()), ("DELETE", Value::Null)] {
        assert_eq!(lab.ask(method, "/d", body).await.code(), "DeploymentActive", "{method}");
    }
    cloud.advance(10);
    for path in ["/d/operations/none", "/d/operationStatuses/none"] {
        assert_eq!(lab.ask("GET", path, Value::Null).await.status, 404, "{path}");
    }
    assert_eq!(lab.ask("DELETE", "/d", Value::Null).await.status, 204);
}

#[tokio::test]
async fn what_is_refused_fails_the_deployment_and_nothing_else() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let mut body = lab.machine();
    body["properties"]["template"]["resources"][0]["properties"]["ipConfigurations"][0]["properties"]["subnet"]["id"] =
        lab.id("Microsoft.Network/virtualNetworks/vmVNET/subnets/none").into();
    let ended = lab.deploy("d", body).await;
    let error = &ended["properties"]["error"];
    assert_eq!(ended["properties"]["provisioningState"], "Failed");
    assert_eq!(
        (&error["code"], &error["details"][0]["code"]),
        (&json!("DeploymentFailed"), &json!("InvalidResourceReference"))
    );
    assert_eq!(ended["properties"]["outputResources"].as_array().unwrap().len(), 3, "{ended}");
    let operations = lab.ask("GET", "/d/operations", Value::Null).await;
    let failed: Vec<&Value> = operations.body["value"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|o| o["properties"]["provisioningState"] == "Failed")
        .collect();
    assert_eq!(failed.len(), 1, "what depends on it was not tried: {operations:?}");
    assert_eq!(failed[0]["properties"]["statusMessage"]["error"]["code"], "InvalidResourceReference");
    assert_eq!(lab.resource("Microsoft.Network/virtualNetworks/vmVNET", "2022-01-01").await.status, 200);
    assert_eq!(lab.resource("Microsoft.Compute/virtualMachines/vm", "2024-07-01").await.status, 404);
}

#[tokio::test]
async fn a_deployment_is_no_way_round_roles_or_registration() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let (tools, body) = (cloud.tools(), deployment(network("net", "10.0.0.0/16"), json!({})));
    let folder = format!("{}/providers/Microsoft.Authorization", cloud.subscription());
    let version = "api-version=2022-04-01";
    let oid = &cloud.seed.client_oid;
    let list = format!("{folder}/roleAssignments?{version}&$filter=principalId%20eq%20'{oid}'");
    for row in lab.me.arm("GET", &list, Value::Null).await.body["value"].as_array().unwrap() {
        lab.me.arm("DELETE", &format!("{}?{version}", row["id"].as_str().unwrap()), Value::Null).await;
    }
    let role = uuid::Uuid::new_v4().to_string();
    let definition = json!({ "properties": {
        "roleName": "Deployer", "type": "CustomRole", "assignableScopes": [cloud.subscription()],
        "permissions": [{ "actions": ["Microsoft.Resources/*"] }],
    } });
    lab.me.arm("PUT", &format!("{folder}/roleDefinitions/{role}?{version}"), definition).await;
    let assignment = json!({ "properties": {
        "roleDefinitionId": format!("{folder}/roleDefinitions/{role}"), "principalId": oid,
        "principalType": "ServicePrincipal",
    } });
    let url = format!("{folder}/roleAssignments/{}?{version}", uuid::Uuid::new_v4());
    assert_eq!(lab.me.arm("PUT", &url, assignment).await.status, 201);
    cloud.advance(2);
    let url = format!("{}?api-version=2024-11-01", lab.id("Microsoft.Resources/deployments/d"));
    let reply = tools.arm("PUT", &url, body.clone()).await;
    assert_eq!((reply.status, reply.code()), (403, "InvalidTemplateDeployment"), "{reply:?}");
    assert!(reply.body["error"]["message"].as_str().unwrap().contains("Microsoft.Network/virtualNetworks/write"));
    // What may not register a namespace stays without it; the owner's deployment registers it.
    let provider = format!("{}/providers/Microsoft.Network", cloud.subscription());
    let state = || async {
        let shown = lab.me.arm("GET", &format!("{provider}?api-version=2021-04-01"), Value::Null).await;
        shown.body["registrationState"].as_str().unwrap().to_owned()
    };
    let unregistered = lab.me.arm("POST", &format!("{provider}/unregister?api-version=2021-04-01"), Value::Null).await;
    assert_eq!(unregistered.status, 200);
    assert_eq!((tools.arm("PUT", &url, body.clone()).await.status, state().await.as_str()), (403, "Unregistered"));
    assert_eq!(lab.deploy("e", body).await["properties"]["provisioningState"], "Succeeded");
    assert_eq!(state().await, "Registered");
}

#[tokio::test]
async fn a_machine_beyond_its_quota_is_refused_beforehand() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let mut body = lab.machine();
    let machines = body["properties"]["template"]["resources"].as_array_mut().unwrap();
    let machine = machines.iter_mut().find(|r| r["type"] == "Microsoft.Compute/virtualMachines").unwrap();
    machine["properties"]["hardwareProfile"]["vmSize"] = "Standard_NCC40ads_H100_v5".into();
    let family = Some("StandardNCCads2023Family".to_owned());
    let none = FaultKind::NoQuota { region: Some("westeurope".to_owned()), family };
    cloud.fault(Fault { times: None, ..Fault::once(none) });
    for (method, path) in [("PUT", "/d"), ("POST", "/d/validate")] {
        let reply = lab.ask(method, path, body.clone()).await;
        assert_eq!((reply.status, reply.code()), (400, "InvalidTemplateDeployment"), "{reply:?}");
        let inner = &reply.body["error"]["details"][0];
        assert_eq!(inner["code"], "QuotaExceeded");
        let message = inner["message"].as_str().unwrap();
        assert!(message.contains("exceeding approved StandardNCCads2023Family Cores quota"), "{message}");
        assert!(message.contains("Current Limit: 0, Current Usage: 0, Additional Required: 40"), "{message}");
    }
    assert_eq!(lab.resource("Microsoft.Network/virtualNetworks/vmVNET", "2022-01-01").await.status, 404);
    cloud.cloud.clear_faults().unwrap();
    assert_eq!(lab.ask("POST", "/d/validate", body).await.status, 200);
}
