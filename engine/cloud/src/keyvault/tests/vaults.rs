//! Vaults on Azure Resource Manager.

use serde_json::{Value, json};

use super::{DAY, Lab, message, oid, refusal};
use crate::testing;

#[tokio::test]
async fn a_vault_is_made_shown_changed_and_listed() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    let made = lab.vault("Lab-Vault", json!({ "enablePurgeProtection": true })).await;
    let early = lab.arm("GET", &lab.vault_id("lab-vault"), Value::Null).await;
    for reply in [&made, &early] {
        assert_eq!(reply.body["properties"]["provisioningState"], "RegisteringDns");
        assert_eq!(reply.header("retry-after"), "1", "clients wait half a minute otherwise");
    }
    lab.cloud.advance(1);
    let shown = lab.arm("GET", &lab.vault_id("lab-vault"), Value::Null).await;
    assert_eq!((shown.status, shown.headers.contains_key("retry-after")), (200, false));
    assert_eq!((&shown.body["name"], &shown.body["type"]), (&json!("Lab-Vault"), &json!("Microsoft.KeyVault/vaults")));
    assert_eq!(shown.body["id"], lab.vault_id("Lab-Vault"));
    assert_eq!(shown.body["location"], "westeurope");
    assert_eq!(
        shown.body["properties"],
        json!({
            "sku": { "family": "A", "name": "premium" },
            "tenantId": lab.tenant,
            "accessPolicies": [],
            "enabledForDeployment": false,
            "enabledForDiskEncryption": false,
            "enabledForTemplateDeployment": false,
            "enableSoftDelete": true,
            "softDeleteRetentionInDays": 7,
            "enableRbacAuthorization": true,
            "enablePurgeProtection": true,
            "networkAcls": { "bypass": "AzureServices", "defaultAction": "Allow", "ipRules": [], "virtualNetworkRules": [] },
            "publicNetworkAccess": "Enabled",
            "vaultUri": "https://lab-vault.vault.azure.net/",
            "provisioningState": "Succeeded",
        })
    );
    let changed = lab
        .arm(
            "PATCH",
            &lab.vault_id("lab-vault"),
            json!({ "tags": { "a": "b" }, "properties": { "enabledForDiskEncryption": true } }),
        )
        .await;
    assert_eq!((changed.status, &changed.body["tags"]), (200, &json!({ "a": "b" })));
    assert_eq!(changed.body["properties"]["enabledForDiskEncryption"], true);
    assert_eq!(changed.body["properties"]["enablePurgeProtection"], true);
    let replaced = lab.arm("PUT", &lab.vault_id("lab-vault"), lab.vault_body(json!({}))).await;
    assert_eq!((replaced.status, &replaced.body["tags"]), (200, &json!({})));
    assert_eq!(replaced.body["properties"]["enablePurgeProtection"], true, "it can't be lost by leaving it out");
    for path in ["resourceGroups/lab/providers/Microsoft.KeyVault/vaults", "providers/Microsoft.KeyVault/vaults"] {
        let listed = lab.arm("GET", &lab.in_subscription(path), Value::Null).await;
        assert_eq!(listed.body["value"].as_array().map(Vec::len), Some(1), "{}", listed.body);
        assert_eq!(listed.body["value"][0]["name"], "Lab-Vault");
    }
}

#[tokio::test]
async fn what_azure_refuses_is_refused() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    lab.vault("taken", json!({ "enablePurgeProtection": true })).await;
    lab.group("other").await;
    let other = lab.in_subscription("resourceGroups/other/providers/Microsoft.KeyVault/vaults/taken");
    let nowhere = lab.in_subscription("resourceGroups/nowhere/providers/Microsoft.KeyVault/vaults/free-name");
    let (taken, free) = (lab.vault_id("taken"), lab.vault_id("free-name"));
    let mut moved = lab.vault_body(json!({}));
    moved["location"] = "northeurope".into();
    let mut homeless = lab.vault_body(json!({}));
    homeless.as_object_mut().unwrap().remove("location");
    let rows = [
        ("PUT", lab.vault_id("1bad"), lab.vault_body(json!({})), 400, "VaultNameNotValid"),
        ("PUT", other, lab.vault_body(json!({})), 409, "VaultAlreadyExists"),
        ("PUT", nowhere, lab.vault_body(json!({})), 404, "ResourceGroupNotFound"),
        ("PUT", free.clone(), homeless, 400, "LocationRequired"),
        ("PUT", free.clone(), lab.vault_body(json!({ "enableSoftDelete": false })), 400, "BadRequest"),
        ("PUT", free.clone(), lab.vault_body(json!({ "softDeleteRetentionInDays": 5 })), 400, "BadRequest"),
        ("PUT", free.clone(), lab.vault_body(json!({ "enableRbacAuthorization": false })), 400, "BadRequest"),
        ("PUT", free.clone(), lab.vault_body(json!({ "createMode": "recover" })), 404, "VaultNotFound"),
        ("PUT", taken.clone(), lab.vault_body(json!({ "enablePurgeProtection": false })), 400, "BadRequest"),
        ("PUT", taken.clone(), lab.vault_body(json!({ "softDeleteRetentionInDays": 90 })), 400, "BadRequest"),
        ("PUT", taken.clone(), moved, 409, "InvalidResourceLocation"),
        ("PATCH", taken.clone(), json!({ "properties": { "enablePurgeProtection": false } }), 400, "BadRequest"),
        ("PATCH", free.clone(), json!({ "tags": {} }), 404, "ResourceNotFound"),
        ("GET", free.clone(), Value::Null, 404, "ResourceNotFound"),
        ("GET", lab.deleted_id("taken"), Value::Null, 404, "DeletedVaultNotFound"),
    ];
    for (method, path, body, status, code) in rows {
        let reply = lab.arm(method, &path, body.clone()).await;
        assert_eq!(refusal(&reply), (status, code, ""), "{method} {path} {body}: {}", reply.body);
    }
    let purge = format!("{}/purge", lab.deleted_id("taken"));
    assert_eq!(refusal(&lab.arm("POST", &purge, Value::Null).await), (404, "DeletedVaultNotFound", ""));
    assert_eq!(lab.arm("DELETE", &free, Value::Null).await.status, 204);
    let gap = lab.arm("PUT", &free, lab.vault_body(json!({ "enableRbacAuthorization": false }))).await;
    assert!(gap.headers.contains_key("x-sealbook-gap"), "{:?}", gap.headers);
}

#[tokio::test]
async fn an_unregistered_provider_is_refused_by_name() {
    let cloud = testing::cloud();
    let me = cloud.learner();
    let subscription = cloud.seed.subscription.clone();
    me.arm(
        "PUT",
        &format!("/subscriptions/{subscription}/resourceGroups/lab?api-version=2024-11-01"),
        json!({ "location": "westeurope" }),
    )
    .await;
    let vault =
        format!("/subscriptions/{subscription}/resourceGroups/lab/providers/Microsoft.KeyVault/vaults/lab-vault");
    let reply = me.arm("PUT", &format!("{vault}?api-version=2026-02-01"), json!({})).await;
    assert_eq!(refusal(&reply), (409, "MissingSubscriptionRegistration", ""), "{}", reply.body);
}

async fn availability(lab: &Lab<'_>, name: &str) -> Value {
    let path = lab.in_subscription("providers/Microsoft.KeyVault/checkNameAvailability");
    lab.arm("POST", &path, json!({ "name": name, "type": "Microsoft.KeyVault/vaults" })).await.body
}

#[tokio::test]
async fn a_deleted_vault_keeps_its_name_until_its_time_is_over() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({ "enablePurgeProtection": true })).await;
    lab.key("cmk", json!({})).await;
    let id = lab.vault_id("lab-vault");
    assert_eq!(lab.arm("DELETE", &id, Value::Null).await.status, 200);

    assert_eq!(lab.arm("GET", &id, Value::Null).await.status, 404);
    assert_eq!(refusal(&lab.data("GET", "/keys/cmk", Value::Null).await), (404, "VaultNotFound", ""));
    assert_eq!(availability(&lab, "LAB-vault").await["reason"], "AlreadyExists");
    let conflict = lab.arm("PUT", &id, lab.vault_body(json!({}))).await;
    assert_eq!(refusal(&conflict), (409, "ConflictError", ""), "{}", conflict.body);

    let deleted = lab.arm("GET", &lab.deleted_id("lab-vault"), Value::Null).await;
    assert_eq!(deleted.status, 200);
    assert_eq!(deleted.body["type"], "Microsoft.KeyVault/deletedVaults");
    let properties = &deleted.body["properties"];
    assert_eq!((&properties["vaultId"], &properties["purgeProtectionEnabled"]), (&json!(id), &json!(true)));
    let date = |name: &str| chrono::DateTime::parse_from_rfc3339(properties[name].as_str().unwrap()).unwrap();
    assert_eq!((date("scheduledPurgeDate") - date("deletionDate")).num_days(), 7);
    let listed = lab.arm("GET", &lab.in_subscription("providers/Microsoft.KeyVault/deletedVaults"), Value::Null).await;
    assert_eq!(listed.body["value"], json!([deleted.body]));

    let purge = lab.arm("POST", &format!("{}/purge", lab.deleted_id("lab-vault")), Value::Null).await;
    assert_eq!(refusal(&purge), (405, "MethodNotAllowed", ""));
    assert_eq!(message(&purge), "Operation 'DeletedVaultPurge' is not allowed.");

    lab.cloud.advance(7 * DAY - 1);
    assert_eq!(availability(&lab, "lab-vault").await["nameAvailable"], false);
    lab.cloud.advance(1);
    assert_eq!(availability(&lab, "lab-vault").await, json!({ "nameAvailable": true }));
    assert_eq!(lab.arm("GET", &lab.deleted_id("lab-vault"), Value::Null).await.status, 404);

    lab.vault("lab-vault", json!({})).await;
    let me = oid(&lab.me).await;
    lab.assign(super::OFFICER, &me, "User", &id).await;
    assert_eq!(
        refusal(&lab.data("GET", "/keys/cmk", Value::Null).await),
        (404, "KeyNotFound", ""),
        "the keys went too"
    );
}

#[tokio::test]
async fn a_recovered_vault_has_its_keys_and_no_role_assignments() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    let key = lab.key("cmk", json!({})).await;
    let id = lab.vault_id("lab-vault");
    lab.arm("DELETE", &id, Value::Null).await;
    let recover = json!({ "location": "westeurope", "properties": {
        "createMode": "recover", "tenantId": lab.tenant, "sku": { "family": "A", "name": "standard" } } });
    lab.group("other").await;
    let elsewhere = lab.in_subscription("resourceGroups/other/providers/Microsoft.KeyVault/vaults/lab-vault");
    assert_eq!(refusal(&lab.arm("PUT", &elsewhere, recover.clone()).await), (409, "ConflictError", ""));
    let recovered = lab.arm("PUT", &id, recover).await;
    assert_eq!((recovered.status, &recovered.body["properties"]["sku"]["name"]), (200, &json!("premium")));

    assert_eq!(refusal(&lab.data("GET", "/keys/cmk", Value::Null).await), (403, "Forbidden", "ForbiddenByRbac"));
    let me = oid(&lab.me).await;
    lab.assign(super::OFFICER, &me, "User", &id).await;
    assert_eq!(lab.data("GET", "/keys/cmk", Value::Null).await.body["key"], key["key"]);
}

#[tokio::test]
async fn a_purge_is_a_long_running_operation() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    lab.arm("DELETE", &lab.vault_id("lab-vault"), Value::Null).await;
    let purge = format!("{}/purge", lab.deleted_id("lab-vault"));
    let started = lab.arm("POST", &purge, Value::Null).await;
    assert_eq!(started.status, 202, "{}", started.body);
    let location = started.headers["location"].to_str().unwrap().to_owned();
    assert!(started.headers.contains_key("retry-after"));
    let again = lab.arm("POST", &purge, Value::Null).await;
    assert_eq!(again.headers["location"], location, "a purge under way is not started twice");
    assert_eq!(lab.me.send("GET", &location, None).await.status, 202);
    lab.cloud.advance(1);
    let finished = lab.me.send("GET", &location, None).await;
    assert_eq!((finished.status, &finished.body["status"]), (200, &json!("Succeeded")));
    assert_eq!(availability(&lab, "lab-vault").await, json!({ "nameAvailable": true }));
}

#[tokio::test]
async fn a_deleted_resource_group_leaves_its_vaults_soft_deleted() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({ "enablePurgeProtection": true })).await;
    let deleted = lab.arm("DELETE", &lab.in_subscription("resourceGroups/lab"), Value::Null).await;
    assert_eq!(deleted.status, 202);
    lab.cloud.advance(600);
    let vault = lab.arm("GET", &lab.deleted_id("lab-vault"), Value::Null).await;
    assert_eq!(vault.status, 200, "{}", vault.body);
    assert_eq!(refusal(&lab.data("GET", "/keys", Value::Null).await), (404, "VaultNotFound", ""));
}

#[tokio::test]
async fn names_are_judged_before_they_are_used() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    for (name, reason) in
        [("free-name", None), ("no", Some("AccountNameInvalid")), ("a--b", Some("AccountNameInvalid"))]
    {
        let answer = availability(&lab, name).await;
        assert_eq!(answer["nameAvailable"], reason.is_none(), "{name}");
        assert_eq!(answer["reason"].as_str(), reason, "{name}");
    }
    let path = lab.in_subscription("providers/Microsoft.KeyVault/checkNameAvailability");
    let other = lab.arm("POST", &path, json!({ "name": "abc", "type": "Microsoft.KeyVault/managedHSMs" })).await;
    assert_eq!(refusal(&other), (400, "BadRequest", ""));
}

#[tokio::test]
async fn a_purge_does_not_reach_a_vault_that_came_back() {
    let cloud = testing::cloud();
    let lab = Lab::with_vault(&cloud, json!({})).await;
    let purge = format!("{}/purge", lab.deleted_id("lab-vault"));
    lab.arm("DELETE", &lab.vault_id("lab-vault"), Value::Null).await;
    let first = lab.arm("POST", &purge, Value::Null).await;
    lab.vault("lab-vault", json!({ "createMode": "recover" })).await;
    cloud.cloud.advance(std::time::Duration::from_millis(100)).unwrap();
    lab.arm("DELETE", &lab.vault_id("lab-vault"), Value::Null).await;
    cloud.advance(1);
    let deleted = lab.arm("GET", &lab.deleted_id("lab-vault"), Value::Null).await;
    assert_eq!(deleted.status, 200, "the purge was asked of the deletion before: {}", deleted.body);
    let second = lab.arm("POST", &purge, Value::Null).await;
    assert_ne!(first.headers["location"], second.headers["location"]);
    cloud.advance(1);
    assert_eq!(availability(&lab, "lab-vault").await["nameAvailable"], true);
}

/// Soft delete, its retention and purge protection go one way only; each rule once kept and once broken.
#[tokio::test]
async fn retention_stays_and_protections_go_one_way() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    lab.vault("lab-vault", json!({ "softDeleteRetentionInDays": 30 })).await;
    let id = lab.vault_id("lab-vault");
    let rows = [
        ("softDeleteRetentionInDays", json!(30), ""),
        ("softDeleteRetentionInDays", json!(31), "has been set already and it can't be modified"),
        ("softDeleteRetentionInDays", json!(7), "has been set already and it can't be modified"),
        ("enableSoftDelete", json!(true), ""),
        ("enableSoftDelete", json!(false), "cannot be set to false"),
        ("enablePurgeProtection", json!(null), ""),
        ("enablePurgeProtection", json!(false), "cannot be set to false"),
        ("enablePurgeProtection", json!(true), ""),
        ("enablePurgeProtection", json!(false), "irreversible action"),
        ("enablePurgeProtection", json!(null), ""),
        ("tenantId", json!("11111111-2222-3333-4444-555555555555"), "is not the tenant of this subscription"),
    ];
    for (name, value, refused) in rows {
        for method in ["PATCH", "PUT"] {
            let mut body = lab.vault_body(json!({ "softDeleteRetentionInDays": 30 }));
            body["properties"][name] = value.clone();
            let body = if method == "PUT" { body } else { json!({ "properties": { name: value } }) };
            let reply = lab.arm(method, &id, body).await;
            assert_eq!(reply.status == 200, refused.is_empty(), "{method} {name} {value}: {}", reply.body);
            assert!(message(&reply).contains(refused), "{}", message(&reply));
        }
    }
    let kept = lab.arm("GET", &id, Value::Null).await.body["properties"].clone();
    assert_eq!((&kept["softDeleteRetentionInDays"], &kept["enablePurgeProtection"]), (&json!(30), &json!(true)));
}

/// What `az keyvault list-deleted`, `recover` and `purge` read and send.
#[tokio::test]
async fn deleted_vaults_say_where_they_were_and_until_when() {
    let cloud = testing::cloud();
    let lab = Lab::new(&cloud).await;
    lab.vault("lab-vault", json!({ "softDeleteRetentionInDays": 90 })).await;
    lab.vault("other", json!({})).await;
    let listing = lab.in_subscription("providers/Microsoft.KeyVault/deletedVaults");
    assert_eq!(lab.arm("GET", &listing, Value::Null).await.body["value"], json!([]));
    for name in ["lab-vault", "other"] {
        lab.arm("DELETE", &lab.vault_id(name), Value::Null).await;
    }
    let listed = lab.arm("GET", &listing, Value::Null).await.body["value"].clone();
    for (position, (name, days)) in [("lab-vault", 90), ("other", 7)].into_iter().enumerate() {
        let properties = &listed[position]["properties"];
        assert_eq!((&listed[position]["name"], &properties["location"]), (&json!(name), &json!("westeurope")));
        assert_eq!((&properties["vaultId"], &properties["tags"]), (&json!(lab.vault_id(name)), &json!({})));
        let date = |name: &str| chrono::DateTime::parse_from_rfc3339(properties[name].as_str().unwrap()).unwrap();
        assert_eq!((date("scheduledPurgeDate") - date("deletionDate")).num_days(), days, "{name}");
        assert_eq!(lab.arm("GET", &lab.deleted_id(name), Value::Null).await.body, listed[position]);
    }
    let recover = json!({ "location": "westeurope", "properties": {
        "tenantId": lab.tenant, "sku": { "name": "standard", "family": "A" }, "createMode": "recover" } });
    let path = format!("{}?api-version=2023-07-01", lab.vault_id("lab-vault"));
    let recovered = lab.me.arm("PUT", &path, recover.clone()).await;
    assert_eq!((recovered.status, &recovered.body["properties"]["softDeleteRetentionInDays"]), (200, &json!(90)));
    let again = lab.arm("POST", &format!("{}/purge", lab.deleted_id("lab-vault")), Value::Null).await;
    assert_eq!(refusal(&again), (404, "DeletedVaultNotFound", ""), "it lives");
    lab.arm("POST", &format!("{}/purge", lab.deleted_id("other")), Value::Null).await;
    cloud.advance(1);
    let gone = lab.arm("PUT", &lab.vault_id("other"), recover).await;
    assert_eq!(refusal(&gone), (404, "VaultNotFound", ""));
    assert_eq!(lab.arm("GET", &listing, Value::Null).await.body["value"], json!([]));
}
