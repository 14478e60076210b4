//! Effects against the embedded Azure: journaled first, done once, recognised after a crash, never at a stranger's cost.

use std::sync::Arc;

use sealbook_cloud::{Fault, FaultKind};
use sealbook_engine::event::Event;
use sealbook_engine::step::{Host as _, Operation, Ownership, StepError};
use serde_json::{Value, json};

use crate::support::{Book, Lab, code};

fn put_group(lab: &Lab, name: &str) -> Value {
    json!([{ "do": "azure.put", "effect": "make", "id": lab.group(name), "body": { "location": "italynorth", "tags": { "team": "a" } } }])
}

const GROUP: &str = "ResourceGroups_CreateOrUpdate";

#[tokio::test]
async fn an_effect_is_journaled_marked_and_memoised() {
    let lab = Lab::new().all_interfaces();
    let made = lab.apply(put_group(&lab, "rg")).await.unwrap();
    assert_eq!(made[0]["tags"], json!({ "team": "a", "sealbook-run": "abc234", "sealbook-op": "probe/0/make" }));
    assert_eq!(lab.book.trace(), ["intended make", "completed make"]);
    assert_eq!(lab.book.operation("make").unwrap().intent.kind, "arm-put");
    assert_eq!(lab.book.ownership("make"), Some(Ownership::Ours));
    assert_eq!(lab.apply(put_group(&lab, "rg")).await.unwrap(), made);
    assert_eq!(lab.carried_out(GROUP), 1);
    assert!(lab.apply(put_group(&lab, "rg2")).await.is_err(), "the same name with another request");
}

#[tokio::test]
async fn killed_before_any_record_it_happens_once() {
    for record in ["intended", "completed"] {
        let lab = Lab::new().all_interfaces();
        lab.book.kill_before(record);
        assert!(lab.apply(put_group(&lab, "rg")).await.is_err());
        assert_eq!(lab.carried_out(GROUP), usize::from(record == "completed"), "{record}");
        lab.book.revive();
        let made = lab.apply(put_group(&lab, "rg")).await.unwrap();
        assert_eq!(made[0]["tags"]["sealbook-run"], "abc234");
        assert_eq!(lab.carried_out(GROUP), 1, "{record}");
        assert_eq!(lab.book.ownership("make"), Some(Ownership::Ours));
    }
}

#[tokio::test]
async fn a_lost_answer_is_looked_up_and_a_lost_request_sent_again() {
    for (kind, sent) in [(FaultKind::DropAfter, 1), (FaultKind::DropBefore, 1), (FaultKind::ServerError, 1)] {
        let lab = Lab::new().all_interfaces();
        let fault = Fault { method: Some("PUT".into()), path: Some("resourceGroups/rg".into()), ..Fault::once(kind) };
        lab.cloud.fault(&fault).unwrap();
        assert_eq!(code(lab.apply(put_group(&lab, "rg")).await), "transient", "{fault:?}");
        lab.apply(put_group(&lab, "rg")).await.unwrap();
        assert_eq!(lab.carried_out(GROUP), sent, "{fault:?}");
    }
}

#[tokio::test]
async fn a_strangers_thing_is_a_conflict_or_adopted_but_never_ours() {
    let lab = Lab::new().all_interfaces();
    lab.apply_with(put_group(&lab, "rg"), |call| call.run = "zzz222".parse().unwrap()).await.unwrap();
    let mine =
        json!([{ "do": "azure.put", "effect": "mine", "id": lab.group("rg"), "body": { "location": "italynorth" } }]);
    let StepError::Conflict { message, candidates } = lab.apply(mine.clone()).await.unwrap_err().error else {
        panic!("conflict")
    };
    assert!(message.contains("run zzz222") && message.contains("adopt = true"), "{message}");
    assert_eq!(candidates, [lab.group("rg")]);
    lab.apply_with(mine, |call| call.adopt = true).await.unwrap();
    assert_eq!(lab.book.ownership("mine"), Some(Ownership::Foreign));
    let delete = json!([{ "do": "azure.delete", "effect": "gone", "id": lab.group("rg") }]);
    assert_eq!(code(lab.apply(delete).await), "conflict");
    assert_eq!(lab.carried_out(GROUP), 1);
    assert_eq!(lab.carried_out("ResourceGroups_Delete"), 0);
}

#[tokio::test]
async fn what_is_ours_is_deleted_and_what_is_gone_is_no_effect() {
    let lab = Lab::new().all_interfaces();
    lab.apply(put_group(&lab, "rg")).await.unwrap();
    let delete = json!([{ "do": "azure.delete", "effect": "gone", "id": lab.group("rg") }]);
    assert_eq!(lab.apply(delete.clone()).await.unwrap(), json!([true]));
    assert_eq!(lab.apply(delete).await.unwrap(), json!([true]), "the ledger answers");
    let nothing = json!([{ "do": "azure.delete", "effect": "never", "id": lab.group("none") }]);
    assert_eq!(lab.apply(nothing).await.unwrap(), json!([false]));
    assert!(lab.book.operation("never").is_none());
    assert!(lab.book.trace().contains(&"accepted gone".to_owned()), "{:?}", lab.book.trace());
}

#[tokio::test]
async fn tags_of_the_host_can_not_be_set_or_lost() {
    let lab = Lab::new().all_interfaces();
    let id = lab.group("rg");
    let forged = json!([{ "do": "azure.put", "effect": "f", "id": id, "body": { "location": "italynorth", "tags": { "Sealbook-Run": "zzz222" } } }]);
    assert_eq!(code(lab.apply(forged).await), "invalid-input");
    lab.apply(put_group(&lab, "rg")).await.unwrap();
    let forged = json!([{ "do": "azure.patch", "effect": "f", "id": id, "body": { "tags": { "sealbook-op": "x" } } }]);
    assert_eq!(code(lab.apply(forged).await), "invalid-input");
    let patch = json!([{ "do": "azure.patch", "effect": "p", "id": id, "body": { "tags": { "new": "1" } } }]);
    let patched = lab.apply(patch).await.unwrap();
    assert_eq!(patched[0]["tags"], json!({ "new": "1", "sealbook-run": "abc234", "sealbook-op": "probe/0/make" }));
}

#[tokio::test]
async fn a_long_running_operation_is_parked_by_the_first_interrupt_and_goes_on() {
    let lab = Lab::new().all_interfaces();
    lab.apply(put_group(&lab, "rg")).await.unwrap();
    let slow = Fault::once(FaultKind::SlowOperation { extra: std::time::Duration::from_secs(3600) });
    lab.cloud.fault(&slow).unwrap();
    let delete = json!([{ "do": "azure.delete", "effect": "gone", "id": lab.group("rg") }]);
    let call = lab.call("probe", json!({ "apply": delete }));
    let running = lab.host.apply(&call);
    let interrupt = async {
        // As soon as it says that it waits.
        while !lab.events().iter().any(|e| matches!(e, Event::Waiting { .. })) {
            tokio::task::yield_now().await;
        }
        lab.cancel.cancel();
    };
    let (ended, ()) = tokio::join!(running, interrupt);
    assert_eq!(ended.unwrap_err().error, StepError::Cancelled);
    let parked = lab.book.operation("gone").unwrap();
    assert!(parked.accepted.is_some() && parked.outcome.is_none());
    // Resumed: the operation is followed, not begun again.
    lab.cloud.advance(std::time::Duration::from_secs(4000)).unwrap();
    let mut again = call.clone();
    again.cancel = tokio_util::sync::CancellationToken::new();
    assert_eq!(lab.host.apply(&again).await.unwrap(), json!([true]));
    let deletes = lab.cloud.requests(0).unwrap().into_iter().filter(|r| r.method == "DELETE").count();
    assert_eq!(deletes, 1);
}

#[tokio::test]
async fn a_dropped_guest_does_not_lose_its_effect() {
    let lab = Lab::new().all_interfaces();
    let call = lab.call("probe", json!({ "apply": put_group(&lab, "rg") }));
    {
        let running = lab.host.apply(&call);
        let intended = async {
            while lab.book.operation("make").is_none() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            () = intended => {}
            done = running => panic!("it was to be dropped in the middle: {done:?}"),
        }
    }
    lab.host.settle().await;
    assert_eq!(lab.book.ownership("make"), Some(Ownership::Ours));
}

#[tokio::test]
async fn after_an_interrupt_nothing_new_is_begun() {
    let lab = Lab::new().all_interfaces();
    lab.cancel.cancel();
    assert_eq!(code(lab.apply(put_group(&lab, "rg")).await), "cancelled");
    assert_eq!(code(lab.apply(json!([{ "do": "azure.get", "id": lab.group("rg") }])).await), "cancelled");
    assert!(lab.book.operations().is_empty());
}

#[tokio::test]
async fn a_role_assignment_has_a_name_of_its_own_and_an_equal_one_is_foreign() {
    let lab = Lab::new().all_interfaces();
    lab.apply(put_group(&lab, "rg")).await.unwrap();
    let scope = lab.group("rg");
    let lab = lab.grant(&[&format!("azure:assign {scope} role='Reader'")]);
    let assign = |effect: &str, oid: &str, role: &str| json!([{ "do": "azure.assign", "effect": effect, "id": scope, "principal": oid, "type": "User", "role": role }]);
    let oid = lab.seed.user_oid.clone();
    assert_eq!(code(lab.apply(assign("a", &oid, "Contributor")).await), "denied");
    assert_eq!(code(lab.apply(assign("a", "' or 1 eq 1", "Reader")).await), "invalid-input");
    // The answer is lost; the repetition meets its own assignment.
    let lost =
        Fault { method: Some("PUT".into()), path: Some("roleAssignments".into()), ..Fault::once(FaultKind::DropAfter) };
    lab.cloud.fault(&lost).unwrap();
    assert_eq!(code(lab.apply(assign("a", &oid, "Reader")).await), "transient");
    let made = lab.apply(assign("a", &oid, "Reader")).await.unwrap();
    assert_eq!(made[0]["already"], false);
    assert_eq!(lab.book.operation("a").unwrap().intent.target, made[0]["id"].as_str().unwrap());
    // Another effect finds an equal one under another name.
    let found = lab.apply(assign("b", &oid, "Reader")).await.unwrap();
    assert_eq!(found[0], json!({ "id": made[0]["id"], "already": true }));
    assert_eq!(lab.book.ownership("b"), Some(Ownership::Foreign));
    assert_eq!(lab.carried_out("RoleAssignments_Create"), 1);
    let seen = json!([{ "do": "azure.assigned", "id": scope, "principal": oid, "role": "Reader" }]);
    assert_eq!(lab.apply(seen).await.unwrap()[0]["id"], made[0]["id"]);

    // Undo takes it back because the ledger says that it is ours, and only then.
    let delete = json!([{ "do": "azure.delete", "effect": "undo", "id": made[0]["id"] }]);
    let call = |generation| {
        let mut call = lab.call("probe", json!({ "undo": delete }));
        call.generation = generation;
        call
    };
    let foreign: Vec<Operation> = Vec::new();
    assert_eq!(code(lab.host.undo(&call(1), &Value::Null, None, &foreign).await), "conflict");
    let ours = vec![lab.book.operation("a").unwrap()];
    let leftovers = lab.host.undo(&call(1), &json!({ "was": 1 }), Some(&json!(5)), &ours).await.unwrap();
    let told: Value = serde_json::from_str(&leftovers[0].what).unwrap();
    assert_eq!(
        (&told["before"], &told["outputs"], &told["results"]),
        (&json!({ "was": 1 }), &json!("5"), &json!([true]))
    );
    assert_eq!(told["operations"][0][3], "ours");
}

/// A vault with its learner allowed to use keys, and an account with its learner allowed to use blobs.
async fn furnished() -> (Lab, String, String) {
    let lab = Lab::new().all_interfaces();
    lab.apply(put_group(&lab, "rg")).await.unwrap();
    let unique = &lab.seed.subscription[..8];
    let (vault, account) = (format!("kv-{unique}"), format!("st{unique}"));
    let group = lab.group("rg");
    let (vault_id, account_id) = (
        format!("{group}/providers/Microsoft.KeyVault/vaults/{vault}"),
        format!("{group}/providers/Microsoft.Storage/storageAccounts/{account}"),
    );
    let (key, container) =
        (format!("https://{vault}.vault.azure.net/keys/k"), format!("https://{account}.blob.core.windows.net/lab"));
    let lab = lab.grant(&[
        &format!("azure:assign {vault_id} role='Key Vault Crypto Officer'"),
        &format!("azure:assign {account_id} role='Storage Blob Data Contributor'"),
        &format!("keyvault:read,create,update,wrap,unwrap {key}"),
        &format!("blob:read,write {container}/*"),
    ]);
    let (tenant, oid) = (lab.seed.tenant.clone(), lab.seed.user_oid.clone());
    let providers = format!("/subscriptions/{}/providers", lab.seed.subscription);
    let vault_body = json!({ "location": "italynorth", "properties": {
        "tenantId": tenant, "sku": { "family": "A", "name": "premium" }, "enableRbacAuthorization": true,
        "enableSoftDelete": true, "softDeleteRetentionInDays": 7, "accessPolicies": [] } });
    let account_body =
        json!({ "location": "italynorth", "kind": "StorageV2", "sku": { "name": "Standard_LRS" }, "properties": {} });
    let register = json!([
        { "do": "azure.post", "effect": "reg-kv", "id": format!("{providers}/Microsoft.KeyVault/register"), "body": null },
        { "do": "azure.post", "effect": "reg-st", "id": format!("{providers}/Microsoft.Storage/register"), "body": null },
    ]);
    lab.apply(register).await.unwrap();
    // Registering takes Azure a while.
    lab.cloud.advance(std::time::Duration::from_secs(300)).unwrap();
    let orders = json!([
        { "do": "azure.put", "effect": "vault", "id": vault_id, "body": vault_body },
        { "do": "azure.put", "effect": "account", "id": account_id, "body": account_body },
        { "do": "azure.assign", "effect": "keys", "id": vault_id, "principal": oid, "type": "User", "role": "Key Vault Crypto Officer" },
        { "do": "azure.assign", "effect": "blobs", "id": account_id, "principal": oid, "type": "User", "role": "Storage Blob Data Contributor" },
    ]);
    lab.apply(orders).await.unwrap();
    (lab, key, container)
}

#[tokio::test]
async fn keys_are_made_rotated_used_and_deleted_once() {
    let (lab, key, _) = furnished().await;
    let lost = |method: &str, path: &str| {
        let fault = Fault { method: Some(method.into()), path: Some(path.into()), ..Fault::once(FaultKind::DropAfter) };
        lab.cloud.fault(&fault).unwrap();
    };
    let create = json!([{ "do": "keyvault.create", "effect": "create", "uri": key, "parameters": { "kty": "RSA", "key_size": 2048 } }]);
    lost("POST", "/create");
    assert_eq!(code(lab.apply(create.clone()).await), "transient");
    let bundle = lab.apply(create.clone()).await.unwrap();
    assert_eq!(bundle[0]["tags"]["sealbook-op"], "probe/0/create");
    let other = json!([{ "do": "keyvault.create", "effect": "other", "uri": key, "parameters": { "kty": "RSA" } }]);
    assert_eq!(code(lab.apply(other).await), "conflict");

    let rotate = json!([{ "do": "keyvault.rotate", "effect": "rotate", "uri": key }]);
    lost("POST", "/rotate");
    assert_eq!(code(lab.apply(rotate.clone()).await), "transient");
    let rotated = lab.apply(rotate).await.unwrap();
    assert_ne!(rotated[0]["key"]["kid"], bundle[0]["key"]["kid"]);
    let versions = lab.apply(json!([{ "do": "keyvault.versions", "uri": key }])).await.unwrap();
    assert_eq!(versions[0].as_array().unwrap().len(), 2);

    let used = json!([
        { "do": "crypto.generate", "name": "dek", "bits": 256 },
        { "do": "keyvault.wrap-unwrap", "name": "dek", "uri": key, "algorithm": "RSA-OAEP-256" },
        { "do": "keyvault.update", "effect": "off", "uri": key, "parameters": { "attributes": { "enabled": false }, "tags": { "mine": "1" } } },
    ]);
    let used = lab.apply(used).await.unwrap();
    assert_eq!(used[1]["same"], true);
    assert_eq!((&used[2]["attributes"]["enabled"], &used[2]["tags"]["mine"]), (&json!(false), &json!("1")));

    let delete = json!([{ "do": "keyvault.delete", "effect": "delete", "uri": key }]);
    lost("DELETE", "/keys/k");
    assert_eq!(code(lab.apply(delete.clone()).await), "transient");
    // The vault deletes in the background, and knows only then until when the key can be recovered.
    lab.cloud.advance(std::time::Duration::from_secs(60)).unwrap();
    let deleted = lab.apply(delete).await.unwrap();
    assert!(deleted[0]["scheduledPurgeDate"].is_number(), "{deleted}");
    let again = json!([{ "do": "keyvault.delete", "effect": "again", "uri": key }]);
    assert_eq!(lab.apply(again).await.unwrap(), json!([null]));
    // The name is kept by soft delete: what to do about it is said.
    let anew = json!([{ "do": "keyvault.create", "effect": "anew", "uri": key, "parameters": { "kty": "RSA" } }]);
    let StepError::Precondition { fix, .. } = lab.apply(anew).await.unwrap_err().error else { panic!("precondition") };
    assert!(fix.contains("recover"), "{fix}");
}

#[tokio::test]
async fn a_key_from_outside_comes_in_once_and_its_private_half_is_never_shown() {
    let (lab, key, _) = furnished().await;
    let kek = key.replace("/keys/k", "/keys/kek");
    let lab = lab.grant(&[&format!("keyvault:read,create {kek}")]);
    let exchange = json!({ "kty": "RSA-HSM", "key_size": 2048, "key_ops": ["import"] });
    let made = json!([{ "do": "keyvault.create", "effect": "kek", "uri": kek, "parameters": exchange }]);
    let exchange = lab.apply(made).await.unwrap()[0].clone();
    let wrap = json!([
        { "do": "crypto.generate-pair", "name": "target", "bits": 2048 },
        { "do": "crypto.transfer-blob", "pair": "target", "exchange": exchange, "name": "target.byok" },
        { "do": "artifacts.open", "name": "private", "reference": "artifact:probe/target" },
        { "do": "artifacts.read", "name": "private", "length": 5, "try": true },
    ]);
    let wrapped = lab.apply(wrap.clone()).await.unwrap();
    assert!(wrapped[3]["problem"].as_str().unwrap().contains("secret"), "{wrapped}");
    assert_eq!(lab.apply(wrap).await.unwrap()[0], wrapped[0], "a repetition meets its own pair");

    let import = json!([
        { "do": "artifacts.open", "name": "blob", "reference": "artifact:probe/target.byok" },
        { "do": "keyvault.import", "effect": "import", "uri": key, "name": "blob",
          "parameters": { "key": { "kty": "RSA-HSM", "key_ops": ["wrapKey", "unwrapKey"] }, "Hsm": true } },
    ]);
    let fault = Fault { method: Some("PUT".into()), path: Some("/keys/k".into()), ..Fault::once(FaultKind::DropAfter) };
    lab.cloud.fault(&fault).unwrap();
    assert_eq!(code(lab.apply(import.clone()).await), "transient");
    let bundle = lab.apply(import).await.unwrap()[1].clone();
    assert_eq!(
        (&bundle["tags"]["sealbook-op"], &bundle["key"]["n"]),
        (&json!("probe/0/import"), &wrapped[0]["public"]["n"])
    );
    let look = json!([
        { "do": "keyvault.versions", "uri": key },
        { "do": "crypto.open-pair", "name": "target", "reference": "artifact:probe/target" },
        { "do": "crypto.generate", "name": "dek", "bits": 256 },
        { "do": "crypto.seal-unwrap", "name": "dek", "pair": "target", "uri": key },
    ]);
    let seen = lab.apply(look).await.unwrap();
    assert_eq!((seen[0].as_array().unwrap().len(), &seen[3]), (1, &json!(true)));
}

#[tokio::test]
async fn a_managed_hsm_is_activated_once_and_carried_into_a_second_one() {
    let lab = Lab::new().all_interfaces();
    lab.apply(put_group(&lab, "rg")).await.unwrap();
    let unique = &lab.seed.subscription[..8];
    let group = lab.group("rg");
    let pool = |name: &str| {
        let name = format!("{name}-{unique}");
        let id = format!("{group}/providers/Microsoft.KeyVault/managedHSMs/{name}");
        (id, format!("https://{name}.managedhsm.azure.net/"))
    };
    let ((first, uri), (second, other)) = (pool("first"), pool("second"));
    let role = "Managed HSM Crypto User";
    let lab = lab.grant(&[
        &format!("hsm:write {uri}"),
        &format!("hsm:write {other}"),
        &format!("hsm:assign {uri}keys role='{role}'"),
    ]);
    let (tenant, oid) = (lab.seed.tenant.clone(), lab.seed.user_oid.clone());
    let register = format!("/subscriptions/{}/providers/Microsoft.KeyVault/register", lab.seed.subscription);
    lab.apply(json!([{ "do": "azure.post", "effect": "reg", "id": register, "body": null }])).await.unwrap();
    lab.cloud.advance(std::time::Duration::from_secs(300)).unwrap();
    let body = json!({ "location": "italynorth", "sku": { "family": "B", "name": "Standard_B1" }, "properties": {
        "tenantId": tenant, "initialAdminObjectIds": [oid], "softDeleteRetentionInDays": 7 } });
    let pools = json!([
        { "do": "azure.put", "effect": "first", "id": first, "body": body },
        { "do": "azure.put", "effect": "second", "id": second, "body": body },
    ]);
    lab.apply(pools).await.unwrap();
    let lost = |path: &str| {
        let fault = Fault { method: Some("POST".into()), path: Some(path.into()), ..Fault::once(FaultKind::DropAfter) };
        lab.cloud.fault(&fault).unwrap();
    };
    let holders = json!(["one", "two", "three"]);
    let made = |more: Value| {
        let mut orders: Vec<Value> = ["one", "two", "three"]
            .iter()
            .map(|name| json!({ "do": "crypto.generate-pair", "name": name, "bits": 2048 }))
            .collect();
        orders.extend(more.as_array().unwrap().iter().cloned());
        Value::from(orders)
    };
    let download =
        made(json!([{ "do": "hsm.download", "effect": "download", "id": first, "uri": uri, "holders": holders,
        "quorum": 2, "name": "domain" }]));
    lost("/securitydomain/download");
    assert_eq!(code(lab.apply(download.clone()).await), "transient");
    lab.apply(download).await.unwrap();
    let open = json!({ "do": "artifacts.open", "name": "domain", "reference": "artifact:probe/domain" });
    let look = made(json!([
        open,
        { "do": "hsm.examine", "name": "domain", "holders": ["three", "one"] },
        { "do": "hsm.examine", "name": "domain", "holders": ["two"], "try": true },
    ]));
    let seen = lab.apply(look).await.unwrap();
    assert_eq!((&seen[4]["shares"], &seen[4]["required"]), (&json!(3), &json!(2)));
    assert!(seen[5]["problem"].as_str().unwrap().contains("1 of the keys"), "{seen}");

    let upload = made(json!([
        open,
        { "do": "hsm.upload", "effect": "upload", "id": second, "uri": other, "name": "domain", "holders": ["one", "two"] },
    ]));
    lost("/securitydomain/upload");
    assert_eq!(code(lab.apply(upload.clone()).await), "transient");
    lab.cloud.advance(std::time::Duration::from_secs(5)).unwrap();
    lab.apply(upload.clone()).await.unwrap();
    let again = made(json!([
        open,
        { "do": "hsm.upload", "effect": "again", "id": second, "uri": other, "name": "domain", "holders": ["one", "two"] },
    ]));
    assert_eq!(code(lab.apply(again).await), "conflict", "it is active already");

    let assign = json!([{ "do": "hsm.assign", "effect": "assign", "uri": uri, "scope": "/keys", "principal": oid, "role": role }]);
    let fault = Fault {
        method: Some("PUT".into()),
        path: Some("/roleAssignments".into()),
        ..Fault::once(FaultKind::DropAfter)
    };
    lab.cloud.fault(&fault).unwrap();
    assert_eq!(code(lab.apply(assign.clone()).await), "transient");
    let assigned = lab.apply(assign).await.unwrap()[0].clone();
    assert_eq!(assigned["already"], false);
    let elsewhere =
        json!([{ "do": "hsm.assign", "effect": "root", "uri": uri, "scope": "/", "principal": oid, "role": role }]);
    assert_eq!(code(lab.apply(elsewhere).await), "denied", "the grant is for /keys");
    let found = json!([{ "do": "hsm.assigned", "uri": uri, "scope": "/keys", "principal": oid, "role": role }]);
    assert_eq!(lab.apply(found).await.unwrap()[0]["name"], assigned["name"]);
    let foreign = json!([{ "do": "hsm.unassign", "effect": "gone", "uri": uri, "scope": "/keys", "name": assigned["name"], "role": role }]);
    assert_eq!(code(lab.apply(foreign).await), "conflict", "only undo knows it as its own");
}

#[tokio::test]
async fn blobs_go_up_once_and_come_down_as_they_were() {
    let (lab, _, container) = furnished().await;
    let blob = format!("{container}/note.txt");
    let orders = json!([
        { "do": "blob.create-container", "effect": "container", "uri": container },
        { "do": "artifacts.write", "name": "up", "text": "some text" },
        { "do": "blob.put", "effect": "put", "uri": blob, "name": "up" },
    ]);
    let lost =
        Fault { method: Some("PUT".into()), path: Some("/note.txt".into()), ..Fault::once(FaultKind::DropAfter) };
    lab.cloud.fault(&lost).unwrap();
    assert_eq!(code(lab.apply(orders.clone()).await), "transient");
    let up = lab.apply(orders).await.unwrap();
    assert_eq!((&up[0], &up[2]["bytes"]), (&json!(true), &json!(9)));
    assert_eq!(
        (lab.book.ownership("container"), lab.book.ownership("put")),
        (Some(Ownership::Ours), Some(Ownership::Ours))
    );
    let down = lab.apply(json!([
        { "do": "blob.get", "uri": blob, "name": "down" },
        { "do": "artifacts.read", "name": "down", "length": 100 },
        { "do": "blob.create-container", "effect": "twice", "uri": container },
        { "do": "blob.head", "uri": format!("{container}/none") },
    ]));
    let down = down.await.unwrap();
    assert_eq!((&down[0]["sha256"], &down[1]), (&up[2]["sha256"], &json!("some text")));
    assert_eq!((&down[2], &down[3]), (&json!(false), &Value::Null));
    assert_eq!(lab.book.ownership("twice"), Some(Ownership::Foreign));

    let call = lab.call("probe", json!({}));
    let read = lab.host.read(&call, &blob).await.unwrap();
    assert_eq!(read, json!({ "uri": blob, "sha256": up[2]["sha256"], "bytes": 9 }));
    let missing = lab.host.read(&call, &format!("{container}/none")).await.unwrap_err();
    assert_eq!(missing.azure.unwrap().status, 404);
    assert_eq!(code(lab.host.read(&call, "https://other.blob.core.windows.net/lab/x").await), "denied");

    let delete = json!([{ "do": "blob.delete", "effect": "del", "uri": blob }, { "do": "blob.delete", "effect": "del2", "uri": blob }]);
    assert_eq!(lab.apply(delete).await.unwrap(), json!([true, false]));
}

#[tokio::test]
async fn a_blob_is_written_again_by_the_effect_that_wrote_it_and_by_no_other() {
    let (lab, _, container) = furnished().await;
    let blob = format!("{container}/model.sealed");
    let orders = |effect: &str, text: &str| {
        json!([
            { "do": "blob.create-container", "effect": "container", "uri": container },
            { "do": "artifacts.write", "name": "up", "text": text },
            { "do": "blob.put", "effect": effect, "uri": blob, "name": "up" },
        ])
    };
    let text = async || {
        let back = json!([{ "do": "blob.get", "uri": blob, "name": "down" }, { "do": "artifacts.read", "name": "down", "length": 100 }]);
        lab.apply(back).await.unwrap()[1].as_str().unwrap().to_owned()
    };
    let written = || lab.carried_out("BlockBlob_Upload");
    let up = lab.apply(orders("put", "sealed once")).await.unwrap();
    // Sealed anew: the ledger knows the effect, and so does a machine that has forgotten all of it.
    let anew = lab.apply(orders("put", "sealed again")).await.unwrap();
    assert_ne!(up[2]["sha256"], anew[2]["sha256"]);
    assert_eq!((text().await.as_str(), lab.book.ownership("put")), ("sealed again", Some(Ownership::Ours)));
    let forgetful = |call: &mut sealbook_engine::step::Call| call.ledger = Arc::new(Book::default());
    lab.apply_with(orders("put", "a third time"), forgetful).await.unwrap();
    assert_eq!((text().await.as_str(), written()), ("a third time", 3));
    // The same content again is not sent again.
    lab.apply_with(orders("put", "a third time"), forgetful).await.unwrap();
    assert_eq!(written(), 3);

    // Another effect, another step, another run: strangers, each of them.
    assert_eq!(code(lab.apply(orders("other", "mine")).await), "conflict");
    let other_step = |call: &mut sealbook_engine::step::Call| {
        forgetful(call);
        call.step = "thief".parse().unwrap();
    };
    assert_eq!(code(lab.apply_with(orders("put", "mine"), other_step).await), "conflict");
    let other_run = |call: &mut sealbook_engine::step::Call| {
        forgetful(call);
        call.run = "zzz222".parse().unwrap();
    };
    assert_eq!(code(lab.apply_with(orders("put", "mine"), other_run).await), "conflict");
    assert_eq!((text().await.as_str(), written()), ("a third time", 3));
}

#[tokio::test]
async fn what_came_from_a_secret_stays_one_on_its_way_through_the_cloud() {
    let (lab, _, container) = furnished().await;
    let blob = format!("{container}/secret.txt");
    let call = lab.call(
        "probe",
        json!({ "note": "secret:note", "apply": [
        { "do": "blob.create-container", "effect": "container", "uri": container },
        { "do": "artifacts.open", "name": "note", "reference": "secret:note" },
        { "do": "blob.put", "effect": "put", "uri": blob, "name": "note" },
        { "do": "blob.get", "uri": blob, "name": "back" },
        { "do": "artifacts.read", "name": "back", "length": 100, "try": true },
    ] }),
    );
    let out = lab.host.apply(&call).await.unwrap();
    assert_eq!(out[3]["sha256"], out[1]["sha256"]);
    assert!(out[4]["problem"].as_str().unwrap().contains("secret"), "{out}");
    assert!(!out.to_string().contains("only my key"));
}

#[tokio::test]
async fn refusals_of_azure_keep_their_cause() {
    let lab = Lab::new().all_interfaces();
    let id = format!("{}/providers/Microsoft.KeyVault/vaults/none", lab.group("none"));
    let failure = lab.apply(json!([{ "do": "azure.patch", "effect": "p", "id": id, "body": {} }])).await.unwrap_err();
    let cause = failure.azure.expect("Azure refused");
    assert_eq!(cause.status, 404, "{cause:?}");
    let throttled = Fault { times: None, ..Fault::once(FaultKind::Throttle { retry_after: 60 }) };
    lab.cloud.fault(&throttled).unwrap();
    let failure = lab.apply(json!([{ "do": "azure.get", "id": lab.group("rg") }])).await.unwrap_err();
    let StepError::Transient { retry_after, .. } = failure.error else { panic!("{failure:?}") };
    assert_eq!(retry_after.map(|d| d.as_secs()), Some(60));
}
