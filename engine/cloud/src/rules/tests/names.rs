//! Names that are taken for everybody, and those that outlive what they named.

use serde_json::{Value, json};

use super::kit::{self, Lab, ai_body, outcome, storage_body};

/// A vault that can be purged.
fn vault(lab: &Lab<'_>) -> Value {
    lab.vault_body("westeurope", json!({ "enablePurgeProtection": null }))
}

#[tokio::test]
async fn vault_names_are_global() {
    let cloud = kit::cloud().await;
    let (mine, yours) = (Lab::new(&cloud), Lab::stranger(&cloud));
    mine.make(&mine.id("KeyVault/vaults/taken01"), vault(&mine)).await;
    for (lab, path) in [
        (&mine, mine.elsewhere("KeyVault/vaults/taken01")),
        (&yours, yours.id("KeyVault/vaults/taken01")),
        (&yours, yours.id("KeyVault/vaults/TAKEN01")),
    ] {
        assert_eq!(outcome(&lab.ask("PUT", &path, vault(lab)).await), "409 VaultAlreadyExists", "{path}");
    }
    assert_eq!(outcome(&yours.ask("PUT", &yours.id("KeyVault/vaults/free01"), vault(&yours)).await), "200");
}

#[tokio::test]
async fn deleted_vaults_keep_their_names() {
    let cloud = kit::cloud().await;
    let lab = Lab::new(&cloud);
    let id = lab.id("KeyVault/vaults/taken01");
    lab.make(&id, vault(&lab)).await;
    assert_eq!(lab.ask("DELETE", &id, Value::Null).await.status, 200);
    assert_eq!(outcome(&lab.ask("PUT", &id, vault(&lab)).await), "409 ConflictError");
    lab.purge("deletedVaults/taken01").await;
    assert_eq!(outcome(&lab.ask("PUT", &id, vault(&lab)).await), "200");
}

impl Lab<'_> {
    /// Purges a deleted key store.
    async fn purge(&self, what: &str) {
        let folder = format!("/subscriptions/{}/providers/Microsoft.KeyVault/locations", self.seed.subscription);
        let purge = self.ask("POST", &format!("{folder}/westeurope/{what}/purge"), Value::Null).await;
        assert_eq!(purge.status, 202, "{purge:?}");
        self.cloud.advance(5);
    }
}

#[tokio::test]
async fn hsm_names_are_global() {
    let cloud = kit::cloud().await;
    let (mine, yours) = (Lab::new(&cloud), Lab::stranger(&cloud));
    mine.make(&mine.id("KeyVault/managedHSMs/labhsm"), mine.pool_body()).await;
    for (lab, path) in
        [(&mine, mine.elsewhere("KeyVault/managedHSMs/labhsm")), (&yours, yours.id("KeyVault/managedHSMs/LabHsm"))]
    {
        assert_eq!(outcome(&lab.ask("PUT", &path, lab.pool_body()).await), "409 ManagedHsmAlreadyExists", "{path}");
    }
    // Vaults have names of their own.
    assert_eq!(outcome(&yours.ask("PUT", &yours.id("KeyVault/vaults/labhsm"), vault(&yours)).await), "200");
    assert_eq!(outcome(&yours.ask("PUT", &yours.id("KeyVault/managedHSMs/free"), yours.pool_body()).await), "202");
}

#[tokio::test]
async fn deleted_hsms_keep_their_names() {
    let cloud = kit::cloud().await;
    let lab = Lab::new(&cloud);
    let id = lab.id("KeyVault/managedHSMs/labhsm");
    lab.make(&id, lab.pool_body()).await;
    assert_eq!(lab.ask("DELETE", &id, Value::Null).await.status, 202);
    cloud.advance(5);
    assert_eq!(outcome(&lab.ask("PUT", &id, lab.pool_body()).await), "409 ConflictError");
    lab.purge("deletedManagedHSMs/labhsm").await;
    assert_eq!(outcome(&lab.ask("PUT", &id, lab.pool_body()).await), "202");
}

#[tokio::test]
async fn storage_names_are_global() {
    let cloud = kit::cloud().await;
    let (mine, yours) = (Lab::new(&cloud), Lab::stranger(&cloud));
    mine.storage().await;
    let put = async |lab: &Lab<'_>, path: &str| outcome(&lab.ask("PUT", path, storage_body()).await);
    let account = "Storage/storageAccounts/labdata01";
    assert_eq!(put(&mine, &mine.elsewhere(account)).await, "409 StorageAccountInAnotherResourceGroup");
    assert_eq!(put(&yours, &yours.id(account)).await, "409 StorageAccountAlreadyTaken");
    assert_eq!(put(&yours, &yours.id("Storage/storageAccounts/labdata02")).await, "202");
    assert_eq!(mine.ask("DELETE", &mine.id(account), Value::Null).await.status, 200);
    assert_eq!(put(&yours, &yours.id(account)).await, "202", "nothing of it is left");
}

/// An account with a subdomain.
fn named(subdomain: &str) -> Value {
    let mut body = ai_body();
    body["properties"]["customSubDomainName"] = subdomain.into();
    body
}

#[tokio::test]
async fn ai_subdomains_are_global() {
    let cloud = kit::cloud().await;
    let (mine, yours) = (Lab::new(&cloud), Lab::stranger(&cloud));
    let (first, second) = (mine.id("CognitiveServices/accounts/first"), yours.id("CognitiveServices/accounts/second"));
    mine.make(&first, named("lab-foundry")).await;
    let taken = async || outcome(&yours.ask("PUT", &second, named("Lab-Foundry")).await);
    assert_eq!(taken().await, "409 CustomDomainInUse");
    assert_eq!(mine.ask("DELETE", &first, Value::Null).await.status, 202);
    cloud.advance(5);
    assert_eq!(taken().await, "409 CustomDomainInUse", "deleted, and not purged");
    assert_eq!(outcome(&yours.ask("PUT", &second, named("other-foundry")).await), "201");
}

#[tokio::test]
async fn deleted_ai_accounts_keep_their_names() {
    let cloud = kit::cloud().await;
    let lab = Lab::new(&cloud);
    let id = lab.id("CognitiveServices/accounts/foundry");
    lab.foundry().await;
    assert_eq!(lab.ask("DELETE", &id, Value::Null).await.status, 202);
    cloud.advance(5);
    assert_eq!(outcome(&lab.ask("PUT", &id, ai_body()).await), "409 FlagMustBeSetForRestore");
    let deleted = format!(
        "/subscriptions/{}/providers/Microsoft.CognitiveServices/locations/westeurope/resourceGroups/lab/deletedAccounts",
        lab.seed.subscription
    );
    assert_eq!(lab.ask("DELETE", &format!("{deleted}/foundry"), Value::Null).await.status, 200);
    assert_eq!(outcome(&lab.ask("PUT", &id, ai_body()).await), "201");
}
