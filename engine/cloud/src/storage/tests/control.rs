//! The control plane: names, accounts, keys, quotas.

use serde_json::{Value, json};

use super::{API, HOST, account, account_body, account_path, blob, group, lab, ready};
use crate::{Fault, FaultKind};

#[tokio::test]
async fn an_account_is_made_step_by_step() {
    let cloud = lab().await;
    let me = cloud.learner();
    let path = format!("{}{API}", account_path(&cloud, "lab", "labdata01"));
    let reply = me.arm("PUT", &path, account_body()).await;
    assert_eq!((reply.status, reply.bytes.len()), (202, 0), "{reply:?}");
    let location = reply.header("location").to_owned();
    assert!(location.contains("/providers/Microsoft.Storage/locations/westeurope/asyncoperations/"), "{location}");
    let poll = me.send("GET", &location, None).await;
    assert_eq!((poll.status, poll.header("retry-after")), (202, "1"), "{poll:?}");
    assert_eq!(me.arm("GET", &path, Value::Null).await.body["properties"]["provisioningState"], "Creating");
    let busy = me.arm("PATCH", &path, json!({ "tags": {} })).await;
    assert_eq!((busy.status, busy.code()), (409, "StorageAccountOperationInProgress"));

    cloud.advance(1);
    let done = me.send("GET", &location, None).await;
    assert_eq!(done.status, 200, "{done:?}");
    let shown = me.arm("GET", &path, Value::Null).await.body;
    assert_eq!(shown, done.body);
    let principal = shown["identity"]["principalId"].as_str().unwrap();
    assert_eq!(cloud.cloud.identity_of(shown["id"].as_str().unwrap()).unwrap().as_deref(), Some(principal));
    let stable = shown.to_string().replace(principal, "PRINCIPAL").replace(&cloud.seed.tenant, "TENANT");
    let stable = stable.replace(&cloud.seed.subscription, "SUBSCRIPTION");
    let stable: Value = serde_json::from_str(&stable).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&stable).unwrap(), @r#"
    {
      "sku": {
        "name": "Standard_LRS",
        "tier": "Standard"
      },
      "kind": "StorageV2",
      "location": "westeurope",
      "tags": {},
      "properties": {
        "dnsEndpointType": "Standard",
        "publicNetworkAccess": "Enabled",
        "keyCreationTime": {
          "key1": "2026-01-02T03:05:05.000Z",
          "key2": "2026-01-02T03:05:05.000Z"
        },
        "allowCrossTenantReplication": false,
        "privateEndpointConnections": [],
        "minimumTlsVersion": "TLS1_2",
        "allowBlobPublicAccess": false,
        "allowSharedKeyAccess": true,
        "networkAcls": {
          "bypass": "AzureServices",
          "virtualNetworkRules": [],
          "ipRules": [],
          "defaultAction": "Allow"
        },
        "supportsHttpsTrafficOnly": true,
        "encryption": {
          "services": {
            "file": {
              "keyType": "Account",
              "enabled": true,
              "lastEnabledTime": "2026-01-02T03:05:05.000Z"
            },
            "blob": {
              "keyType": "Account",
              "enabled": true,
              "lastEnabledTime": "2026-01-02T03:05:05.000Z"
            }
          },
          "keySource": "Microsoft.Storage"
        },
        "provisioningState": "Succeeded",
        "creationTime": "2026-01-02T03:05:05.000Z",
        "primaryEndpoints": {
          "dfs": "https://labdata01.dfs.core.windows.net/",
          "web": "https://labdata01.web.core.windows.net/",
          "blob": "https://labdata01.blob.core.windows.net/",
          "queue": "https://labdata01.queue.core.windows.net/",
          "table": "https://labdata01.table.core.windows.net/",
          "file": "https://labdata01.file.core.windows.net/"
        },
        "primaryLocation": "westeurope",
        "statusOfPrimary": "available",
        "accessTier": "Hot"
      },
      "id": "/subscriptions/SUBSCRIPTION/resourceGroups/lab/providers/Microsoft.Storage/storageAccounts/labdata01",
      "name": "labdata01",
      "type": "Microsoft.Storage/storageAccounts",
      "identity": {
        "type": "SystemAssigned",
        "principalId": "PRINCIPAL",
        "tenantId": "TENANT"
      }
    }
    "#);
}

#[tokio::test]
async fn refused_creations() {
    let cloud = lab().await;
    account(&cloud).await;
    group(&cloud, "other").await;
    let me = cloud.learner();
    let with = |pointer: &str, value: Value| {
        let mut body = account_body();
        *body.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
        body
    };
    let vault = json!({ "keySource": "Microsoft.Keyvault",
                        "keyvaultproperties": { "keyvaulturi": "https://v.vault.azure.net", "keyname": "k" } });
    for (group, name, body, status, code) in [
        ("lab", "LabData02", account_body(), 400, "AccountNameInvalid"),
        ("lab", "ab", account_body(), 400, "AccountNameInvalid"),
        ("other", "labdata01", account_body(), 409, "StorageAccountInAnotherResourceGroup"),
        ("nowhere", "labdata02", account_body(), 404, "ResourceGroupNotFound"),
        ("lab", "labdata02", json!([]), 400, "InvalidRequestContent"),
        ("lab", "labdata02", with("/location", Value::Null), 400, "LocationRequired"),
        ("lab", "labdata02", with("/location", json!("atlantis")), 400, "LocationNotAvailableForResourceType"),
        ("lab", "labdata02", with("/sku", json!({})), 400, "InvalidAccountType"),
        ("lab", "labdata02", with("/sku/name", json!("Premium_LRS")), 400, "InvalidAccountType"),
        ("lab", "labdata02", with("/kind", json!("Other")), 400, "InvalidValuesForRequestParameters"),
        ("lab", "labdata02", with("/identity/type", json!("Mine")), 400, "InvalidRequestContent"),
        ("lab", "labdata02", with("/properties/encryption", json!({})), 400, "MissingEncryptionKeySource"),
        ("lab", "labdata02", with("/properties/encryption/keySource", json!("X")), 400, "UnknownEncryptionKeySource"),
        // A system-assigned identity that does not exist yet can't have been given the key.
        ("lab", "labdata02", with("/properties/encryption", vault), 400, "MissingMsiHeaders"),
        ("lab", "labdata01", with("/location", json!("italynorth")), 409, "InvalidResourceLocation"),
        ("lab", "labdata01", with("/kind", json!("BlockBlobStorage")), 400, "AccountPropertyCannotBeUpdated"),
        ("lab", "labdata01", with("/sku/name", json!("Standard_ZRS")), 400, "StorageAccountTypeConversionNotAllowed"),
    ] {
        let path = format!("{}{API}", account_path(&cloud, group, name));
        let reply = me.arm("PUT", &path, body.clone()).await;
        assert_eq!((reply.status, reply.code()), (status, code), "{name} {body}\n{reply:?}");
    }
    // A refused creation leaves nothing behind, not even the name.
    let check = check_name(&cloud, "labdata02").await;
    assert_eq!(check["nameAvailable"], true, "{check}");
}

async fn check_name(cloud: &crate::testing::TestCloud, name: &str) -> Value {
    let path = format!("{}/providers/Microsoft.Storage/checkNameAvailability{API}", cloud.subscription());
    let body = json!({ "name": name, "type": "Microsoft.Storage/storageAccounts" });
    let reply = cloud.learner().arm("POST", &path, body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body
}

#[tokio::test]
async fn names() {
    let cloud = lab().await;
    account(&cloud).await;
    for (name, reason) in [("labdata01", "AlreadyExists"), ("Bad-Name", "AccountNameInvalid")] {
        let answer = check_name(&cloud, name).await;
        assert_eq!((&answer["nameAvailable"], &answer["reason"]), (&json!(false), &json!(reason)), "{name}");
    }
    let path = format!("{}{API}", account_path(&cloud, "lab", "labdata01"));
    let me = cloud.learner();
    assert_eq!(me.arm("DELETE", &path, Value::Null).await.status, 200);
    assert_eq!(me.arm("DELETE", &path, Value::Null).await.status, 204);
    assert_eq!(me.arm("GET", &path, Value::Null).await.code(), "ResourceNotFound");
    // Free again at once.
    assert_eq!(check_name(&cloud, "labdata01").await["nameAvailable"], true);
    account(&cloud).await;
}

#[tokio::test]
async fn changes() {
    let cloud = lab().await;
    let before = account(&cloud).await;
    let me = cloud.learner();
    let path = format!("{}{API}", account_path(&cloud, "lab", "labdata01"));
    let reply = me
        .arm(
            "PATCH",
            &path,
            json!({ "tags": { "a": "b" }, "sku": { "name": "Standard_GRS" },
                                     "properties": { "allowSharedKeyAccess": false } }),
        )
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.body["tags"], json!({ "a": "b" }));
    assert_eq!(reply.body["sku"]["name"], "Standard_GRS");
    assert_eq!(reply.body["properties"]["allowSharedKeyAccess"], false);
    assert_eq!(reply.body["identity"], before["identity"]);
    // PUT of what is there answers 200 and keeps the identity.
    let reply = me.arm("PUT", &path, account_body()).await;
    assert_eq!((reply.status, &reply.body["identity"]), (200, &before["identity"]), "{reply:?}");

    let reply = me.arm("PATCH", &path, json!({ "identity": { "type": "None" } })).await;
    assert_eq!(reply.body["identity"], json!({ "type": "None" }));
    assert_eq!(cloud.cloud.identity_of(before["id"].as_str().unwrap()).unwrap(), None);
    for (body, code) in [
        (json!({ "properties": { "isHnsEnabled": true } }), "InvalidValuesForRequestParameters"),
        (json!({ "identity": { "type": "UserAssigned" } }), "InvalidRequestContent"),
        (json!({ "encryption": { "keySource": "Microsoft.Keyvault" } }), "InvalidRequestContent"),
        (
            json!({ "identity": { "type": "UserAssigned", "userAssignedIdentities": { "/subscriptions/x": {} } } }),
            "FailedIdentityOperation",
        ),
        (json!({ "properties": { "encryption": { "keySource": "Microsoft.Keyvault" } } }), "MissingMsiHeaders"),
    ] {
        let reply = me.arm("PATCH", &path, body.clone()).await;
        assert_eq!((reply.status, reply.code()), (400, code), "{body}");
    }
    let missing = format!("{}{API}", account_path(&cloud, "lab", "nothere"));
    assert_eq!(me.arm("PATCH", &missing, json!({})).await.code(), "ResourceNotFound");
}

#[tokio::test]
async fn keys_are_listed_and_renewed() {
    let cloud = lab().await;
    account(&cloud).await;
    let me = cloud.learner();
    let path = account_path(&cloud, "lab", "labdata01");
    let list = me.arm("POST", &format!("{path}/listKeys{API}&$expand=kerb"), Value::Null).await;
    let key = |reply: &crate::testing::Reply, which: usize| reply.body["keys"][which]["value"].clone();
    assert_eq!(list.body["keys"].as_array().unwrap().len(), 2, "{list:?}");
    assert_eq!(key(&list, 0).as_str().unwrap().len(), 88);
    let renewed = me.arm("POST", &format!("{path}/regenerateKey{API}"), json!({ "keyName": "key2" })).await;
    assert_eq!(key(&renewed, 0), key(&list, 0));
    assert_ne!(key(&renewed, 1), key(&list, 1));
}

#[tokio::test]
async fn lists_quotas_and_skus() {
    let cloud = lab().await;
    account(&cloud).await;
    group(&cloud, "other").await;
    let me = cloud.learner();
    let subscription = cloud.subscription();
    for (path, count) in [
        (format!("{subscription}/providers/Microsoft.Storage/storageAccounts{API}"), 1),
        (format!("{subscription}/resourceGroups/lab/providers/Microsoft.Storage/storageAccounts{API}"), 1),
        (format!("{subscription}/resourceGroups/other/providers/Microsoft.Storage/storageAccounts{API}"), 0),
    ] {
        let reply = me.arm("GET", &path, Value::Null).await;
        assert_eq!(reply.body["value"].as_array().map(Vec::len), Some(count), "{path}: {reply:?}");
    }
    let usages = format!("{subscription}/providers/Microsoft.Storage/locations/westeurope/usages{API}");
    let usage = me.arm("GET", &usages, Value::Null).await.body["value"][0].clone();
    assert_eq!((&usage["currentValue"], &usage["limit"]), (&json!(1), &json!(250)));

    let skus = format!("{subscription}/providers/Microsoft.Storage/skus{API}");
    let restricted = |body: &Value| {
        let all = body["value"].as_array().unwrap();
        all.iter().filter(|sku| !sku["restrictions"].as_array().unwrap().is_empty()).count()
    };
    assert_eq!(restricted(&me.arm("GET", &skus, Value::Null).await.body), 0);

    let fault = |kind| Fault { times: None, ..Fault::once(kind) };
    cloud.fault(fault(FaultKind::NoQuota { region: Some("westeurope".into()), family: None }));
    cloud.fault(fault(FaultKind::NoSku { region: Some("italynorth".into()), size: Some("Standard_LRS".into()) }));
    assert_eq!(me.arm("GET", &usages, Value::Null).await.body["value"][0]["limit"], 0);
    assert_eq!(restricted(&me.arm("GET", &skus, Value::Null).await.body), 1);
    for (location, status, code) in [
        ("westeurope", 409, "MaxStorageAccountsCountPerSubscriptionExceeded"),
        ("italynorth", 400, "AccountTypeNotSupportedInLocation"),
        ("northeurope", 202, ""),
    ] {
        let mut body = account_body();
        body["location"] = location.into();
        let path = format!("{}{API}", account_path(&cloud, "lab", "labdata02"));
        let reply = me.arm("PUT", &path, body).await;
        assert_eq!((reply.status, reply.code()), (status, code), "{location}: {reply:?}");
    }
}

#[tokio::test]
async fn a_resource_group_takes_its_accounts_along() {
    let cloud = lab().await;
    let shown = account(&cloud).await;
    super::allow_blobs(&cloud).await;
    let me = cloud.learner();
    assert_eq!(super::blob(&me, "PUT", "/data?restype=container", &[], "").await.status, 201);
    assert_eq!(super::upload(&me, "/data/one", "x").await.status, 201);
    let path = format!("{}/resourcegroups/lab?api-version=2024-11-01", cloud.subscription());
    assert_eq!(me.arm("DELETE", &path, Value::Null).await.status, 202);
    cloud.advance(3600);
    let gone = me.send_with("GET", &format!("{HOST}/data/one"), &[super::VERSION], "".into()).await.unwrap();
    assert_eq!(gone.status, 404, "{gone:?}");
    assert_eq!(cloud.cloud.identity_of(shown["id"].as_str().unwrap()).unwrap(), None);
    assert_eq!(check_name(&cloud, "labdata01").await["nameAvailable"], true);
}

#[tokio::test]
async fn no_operation_on_blobs_answers_without_a_credential() {
    let cloud = ready().await;
    let nobody = cloud.anonymous();
    let mut asked = 0;
    for offered in crate::Cloud::operations().into_iter().filter(|o| o.service == "blob") {
        let path = offered.path.replace("{container}", "data").replace("{*blob}", "a").replace("{blob}", "a");
        let when = offered.when.iter().copied();
        let (headers, query): (Vec<_>, Vec<_>) = when.partition(|(name, _)| name.starts_with("x-ms-"));
        let query: Vec<String> = query.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let reply = blob(&nobody, offered.method, &format!("{path}?{}", query.join("&")), &headers, "").await;
        assert!(matches!(reply.status, 401 | 403 | 409), "{} {path}: {reply:?}", offered.name);
        assert!(!reply.header("x-ms-error-code").is_empty(), "{}: {reply:?}", offered.name);
        asked += 1;
    }
    assert!(asked > 25, "{asked}");
}
