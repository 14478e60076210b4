use sealbook_sdk::prelude::*;
use sealbook_sdk::testing::{Fake, Tested};

use super::KeyVault;

const ID: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v-lab";
const DELETED: &str = "/subscriptions/s/providers/Microsoft.KeyVault/locations/italynorth/deletedVaults/v-lab";

fn world() -> Fake {
    Fake::new()
        .dress(|id, vault| {
            if id == ID {
                vault["properties"]["vaultUri"] = json!("https://v-lab.vault.azure.net/");
            }
        })
        .bury(|_, vault| {
            let p = &vault["properties"];
            let trace = json!({ "properties": {
                "vaultId": vault["id"], "tags": vault["tags"], "scheduledPurgeDate": "2031-01-08T00:00:00Z",
                "purgeProtectionEnabled": p["enablePurgeProtection"] } });
            Some((DELETED.into(), trace))
        })
}

fn step(fake: &Fake, more: &Value) -> Tested<KeyVault> {
    let mut inputs = json!({
        "subscription": "/subscriptions/s", "tenant": "t", "group": "/subscriptions/s/resourceGroups/g",
        "location": "italynorth", "name": "v-lab", "retention_days": 7 });
    inputs.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    fake.step(inputs)
}

#[test]
fn it_creates_a_protected_vault_and_leaves_it_soft_deleted() {
    let fake = world();
    let step = step(&fake, &json!({}));
    let done = step.run().unwrap();
    let preview = done.preview.clone().unwrap();
    assert!(preview.changes[0].contains("with purge protection"), "{preview:?}");
    assert_eq!(preview.leaves.len(), 1);
    assert_eq!(done.outputs.as_ref().unwrap()["uri"], "https://v-lab.vault.azure.net/");
    assert!(done.evidence.iter().all(|e| e.passed), "{:?}", done.evidence);
    assert_eq!(fake.arm(ID).unwrap()["properties"]["enableRbacAuthorization"], true);

    let left = step.undo(done).unwrap().0;
    assert_eq!((left.len(), left[0].until.as_deref()), (1, Some("2031-01-08T00:00:00Z")));
    assert!(fake.arm(ID).is_none() && fake.arm(DELETED).is_some());
}

#[test]
fn without_protection_undo_purges_even_when_it_was_stopped_in_between() {
    let fake = world();
    let step = step(&fake, &json!({ "purge_protection": false, "sku": "standard" }));
    let done = step.run().unwrap();
    assert!(fake.arm(ID).unwrap()["properties"].get("enablePurgeProtection").is_none());
    fake.lose("delete");
    step.undo(done.clone()).unwrap_err();
    assert!(fake.arm(DELETED).is_some());
    assert_eq!(step.undo(done).unwrap(), Undone::clean());
    assert!(fake.arm(DELETED).is_none());
}

#[test]
fn a_strangers_vault_is_a_conflict_and_survives() {
    let fake = world().foreign(ID, json!({ "properties": {} }));
    let step = step(&fake, &json!({}));
    assert!(matches!(step.check(), Err(Problem::Conflict(_))));
    assert!(matches!(step.apply(), Err(Problem::Conflict(_))));
    assert_eq!(step.undo_from(&Value::Null, None).unwrap(), Undone::clean());
    assert!(fake.arm(ID).is_some());
}

#[test]
fn a_vault_that_differs_is_named_with_its_differences() {
    let properties =
        json!({ "sku": { "name": "standard" }, "enableRbacAuthorization": true, "softDeleteRetentionInDays": 7 });
    let fake = world().own(ID, json!({ "properties": properties }));
    let Err(Problem::Conflict(conflict)) = step(&fake, &json!({})).check() else { panic!("no conflict") };
    assert!(
        conflict.message.contains("sku is \"standard\"") && conflict.message.contains("purge protection is false"),
        "{conflict:?}"
    );
}

#[test]
fn a_kept_name_says_until_when() {
    let fake = world().foreign(DELETED, json!({ "properties": { "scheduledPurgeDate": "2031-01-08T00:00:00Z" } }));
    let Err(Problem::Precondition(p)) = step(&fake, &json!({})).check() else { panic!("no precondition") };
    assert!(p.message.contains("2031-01-08") && p.fix.contains("az keyvault purge --name v-lab"), "{p:?}");
}
