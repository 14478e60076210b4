//! What takes time in Azure, and how it says so.

use std::time::Duration;

use serde_json::{Value, json};

use super::kit::{self, CRYPTO_USER, Lab, ai_body, message, outcome};

#[tokio::test]
async fn role_assignments_propagate() {
    let cloud = kit::cloud().await;
    let lab = Lab::new(&cloud);
    let vault = lab.vault_id("labvault01");
    lab.make(&lab.id("KeyVault/managedHSMs/labhsm"), lab.pool_body()).await;
    lab.activate().await;
    cloud.cloud.set_role_delay(Duration::from_secs(600)).unwrap();
    let tools = cloud.tools();
    let read = async || {
        let vault = tools.send("GET", "https://labvault01.vault.azure.net/keys?api-version=7.6", None).await;
        let inner = vault.body["error"]["innererror"]["code"].as_str().unwrap_or_default().to_owned();
        let hsm = tools.send("GET", "https://labhsm.managedhsm.azure.net/keys?api-version=7.6", None).await;
        (outcome(&vault), inner, outcome(&hsm))
    };
    let refused = || ("403 Forbidden".to_owned(), "ForbiddenByRbac".to_owned(), "403 AccessDenied".to_owned());
    assert_eq!(read().await, refused(), "no role");
    lab.assign(CRYPTO_USER, &cloud.seed.client_oid, &vault).await;
    let local = format!("/keys/providers/Microsoft.Authorization/roleAssignments/{}", uuid::Uuid::new_v4());
    let role =
        "Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions/21dbd100-6940-42c2-9190-5d6cb909625b";
    let body = json!({ "properties": { "roleDefinitionId": role, "principalId": cloud.seed.client_oid } });
    assert_eq!(outcome(&lab.hsm("PUT", &local, body).await), "201");
    assert_eq!(read().await, refused(), "not yet");
    cloud.advance(500);
    assert_eq!(read().await, refused(), "still not");
    cloud.advance(100);
    assert_eq!(read().await, ("200".to_owned(), String::new(), "200".to_owned()));
}

/// Bodies of what takes time, with the status that Azure answers.
fn slow(lab: &Lab<'_>) -> [(String, Value, u16); 3] {
    let disk = json!({ "location": "westeurope", "properties": {
        "creationData": { "createOption": "Empty" }, "diskSizeGB": 4,
    } });
    let template = json!({ "properties": { "mode": "Incremental", "template": {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0", "resources": [],
    } } });
    [
        (lab.id("Compute/disks/data"), disk, 202),
        (lab.id("CognitiveServices/accounts/foundry"), ai_body(), 201),
        (lab.id("Resources/deployments/deploy"), template, 201),
    ]
}

#[tokio::test]
async fn operations_say_where_they_stand() {
    let cloud = kit::cloud().await;
    let lab = Lab::new(&cloud);
    for (path, body, status) in slow(&lab) {
        let started = lab.ask("PUT", &path, body).await;
        assert_eq!(started.status, status, "{path}: {started:?}");
        let address = started.header("azure-asyncoperation").to_owned();
        let host = address.split("/subscriptions/").next();
        assert_eq!(host, Some("https://management.azure.com"), "{path}: {started:?}");
        let asked = lab.me.send("GET", &address, None).await;
        assert!(["InProgress", "Running", "Accepted"].contains(&asked.body["status"].as_str().unwrap()), "{asked:?}");
        cloud.advance(5);
        let asked = lab.me.send("GET", &address, None).await;
        assert_eq!(asked.body["status"], "Succeeded", "{path}: {asked:?}");
    }
    for (path, ..) in &slow(&lab)[..2] {
        let gone = lab.ask("DELETE", path, Value::Null).await;
        assert_eq!(gone.status, 202, "{path}: {gone:?}");
        assert!(!gone.header("azure-asyncoperation").is_empty(), "{path}: {gone:?}");
    }
}

#[tokio::test]
async fn resources_pass_through_states() {
    let cloud = kit::cloud().await;
    let lab = Lab::new(&cloud);
    for (path, body, _) in &slow(&lab)[..2] {
        let state = async || {
            let shown = lab.ask("GET", path, Value::Null).await;
            shown.body["properties"]["provisioningState"].as_str().unwrap_or(message(&shown)).to_owned()
        };
        let started = lab.ask("PUT", path, body.clone()).await;
        assert!(started.status < 300, "{path}: {started:?}");
        assert_eq!(state().await, "Creating", "{path}");
        cloud.advance(5);
        assert_eq!(state().await, "Succeeded", "{path}");
        let changed = lab.ask("PATCH", path, json!({ "tags": { "a": "b" } })).await;
        assert!(changed.status < 300, "{path}: {changed:?}");
        assert_eq!(state().await, "Updating", "{path}");
        cloud.advance(5);
        assert_eq!(state().await, "Succeeded", "{path}");
    }
}
