use sealbook_sdk::prelude::*;
use sealbook_sdk::testing::{Fake, Tested};

use super::Preflight;

const P: &str = "/subscriptions/s/providers";

/// A region in which everything is as it should be.
fn world() -> Fake {
    let size = json!({ "resourceType": "virtualMachines", "name": "Standard_DC2as_v5", "family": "standardDCASv5Family",
                       "locations": ["italynorth"], "capabilities": [{ "name": "vCPUs", "value": "2" }], "restrictions": [] });
    Fake::new()
        .foreign(&format!("{P}/Microsoft.KeyVault"), json!({ "registrationState": "Registered" }))
        .collection("/subscriptions/s/locations", [json!({ "name": "italynorth", "displayName": "Italy North" })])
        .collection(&format!("{P}/Microsoft.Compute/skus?$filter=location eq 'italynorth'"), [size])
        .collection(
            &format!("{P}/Microsoft.Compute/locations/italynorth/usages"),
            [usage("standardDCASv5Family", 0, 2)],
        )
        .collection(&format!("{P}/Microsoft.Storage/locations/italynorth/usages"), [usage("StorageAccounts", 3, 250)])
        .collection(&format!("{P}/Microsoft.Storage/skus"), [storage(&json!([]))])
        .answer(&format!("{P}/Microsoft.Storage/checkNameAvailability"), json!({ "nameAvailable": true }))
        .answer(&format!("{P}/Microsoft.KeyVault/checkNameAvailability"), json!({ "nameAvailable": true }))
}

fn usage(name: &str, used: u64, limit: u64) -> Value {
    json!({ "name": { "value": name }, "currentValue": used, "limit": limit })
}

fn storage(restrictions: &Value) -> Value {
    json!({ "resourceType": "storageAccounts", "name": "Standard_LRS", "locations": ["ItalyNorth"], "restrictions": restrictions })
}

fn step(fake: &Fake) -> Tested<Preflight> {
    fake.step(json!({ "subscription": "/subscriptions/s", "location": "italynorth", "group": "/subscriptions/s/resourceGroups/g",
        "provider": "Microsoft.KeyVault", "vault": "v-lab", "storage_account": "acct", "vm_size": "Standard_DC2as_v5" }))
}

#[test]
fn a_good_region_needs_nothing() {
    let done = step(&world()).run().unwrap();
    assert!(done.preview.is_none());
    let seen: Vec<_> = done.evidence.iter().map(|e| format!("{}: {}", e.check, e.detail)).collect();
    assert_eq!(
        seen,
        [
            "region: Italy North",
            "machine size Standard_DC2as_v5, before the lab: offered in italynorth, without restriction",
            "quota for vCPUs of the family standardDCASv5Family, before the lab: 0 of 2 used in italynorth, 2 needed",
            "storage, before the lab: Standard_LRS is offered in italynorth",
            "quota for storage accounts, before the lab: 3 of 250 used in italynorth, 1 needed",
            "storage account name acct, before the lab: free",
            "vault name v-lab, before the lab: free",
            "provider Microsoft.KeyVault: Registered",
        ]
    );
}

#[test]
fn every_obstacle_has_its_cure() {
    let skus = format!("{P}/Microsoft.Compute/skus?$filter=location eq 'italynorth'");
    let restricted = json!({ "resourceType": "virtualMachines", "name": "Standard_DC2as_v5", "locations": ["italynorth"],
        "restrictions": [{ "type": "Location", "reasonCode": "NotAvailableForSubscription", "restrictionInfo": { "locations": ["italynorth"] } }] });
    let blocked = json!([{ "type": "Location", "values": ["italynorth"], "reasonCode": "QuotaId" }]);
    let deleted = format!("{P}/Microsoft.KeyVault/locations/italynorth/deletedVaults/v-lab");
    let taken = json!({ "nameAvailable": false, "reason": "AlreadyExists", "message": "The name is already in use." });
    for (world, said) in [
        (world().collection("/subscriptions/s/locations", []), "The input `region` can't be `italynorth`"),
        (world().collection(&skus, []), "does not offer the machine size"),
        (
            world().collection(&skus, [restricted]),
            "restricted for this subscription in italynorth (NotAvailableForSubscription)",
        ),
        (
            world().collection(
                &format!("{P}/Microsoft.Compute/locations/italynorth/usages"),
                [usage("standardDCASv5Family", 1, 2)],
            ),
            "is 2; 1 in use, 2 more needed",
        ),
        (
            world().collection(
                &format!("{P}/Microsoft.Storage/locations/italynorth/usages"),
                [usage("StorageAccounts", 0, 0)],
            ),
            "The quota for storage accounts in italynorth is 0",
        ),
        (world().collection(&format!("{P}/Microsoft.Storage/skus"), []), "does not offer Standard_LRS storage"),
        (
            world().collection(&format!("{P}/Microsoft.Storage/skus"), [storage(&blocked)]),
            "restricted in italynorth (QuotaId)",
        ),
        (
            world().answer(&format!("{P}/Microsoft.Storage/checkNameAvailability"), taken.clone()),
            "The name is already in use.",
        ),
        (
            world().answer(&format!("{P}/Microsoft.KeyVault/checkNameAvailability"), taken),
            "vault name v-lab can't be had",
        ),
        (
            world().foreign(&deleted, json!({ "properties": { "scheduledPurgeDate": "2031-01-08" } })),
            "A deleted vault holds the name v-lab until 2031-01-08",
        ),
    ] {
        let Err(Problem::Precondition(p)) = step(&world).check() else { panic!("no precondition: {said}") };
        assert!(p.message.contains(said), "{p:?} does not say {said:?}");
        assert!(!p.fix.is_empty() && p.fix.ends_with('.'), "{p:?}");
    }
}

#[test]
fn all_obstacles_are_told_at_once() {
    let taken = json!({ "nameAvailable": false, "message": "The name is already in use." });
    let world = world()
        .collection(&format!("{P}/Microsoft.Storage/skus"), [])
        .answer(&format!("{P}/Microsoft.KeyVault/checkNameAvailability"), taken);
    let Err(Problem::Precondition(p)) = step(&world).check() else { panic!("no precondition") };
    assert!(p.message.contains("Standard_LRS") && p.message.contains("vault name v-lab"), "{p:?}");
}

#[test]
fn of_a_region_that_does_not_exist_only_names_are_asked() {
    let regions = [
        json!({ "name": "westeurope", "metadata": { "regionType": "Physical" } }),
        json!({ "name": "europe", "metadata": { "regionType": "Logical" } }),
        json!({ "name": "eastus" }),
    ];
    let taken = json!({ "nameAvailable": false, "message": "The name is already in use." });
    // Whatever else is asked of this region is an error.
    let world = Fake::new()
        .collection("/subscriptions/s/locations", regions)
        .answer(&format!("{P}/Microsoft.Storage/checkNameAvailability"), taken)
        .answer(&format!("{P}/Microsoft.KeyVault/checkNameAvailability"), json!({ "nameAvailable": true }));
    let Err(Problem::Precondition(p)) = step(&world).check() else { panic!("no precondition") };
    assert!(p.message.starts_with("The input `region` can't be `italynorth`"), "{p:?}");
    assert!(p.message.contains("storage account name acct"), "{p:?}");
    assert!(p.fix.starts_with("Start again with --set region= and one of these: eastus, westeurope."), "{p:?}");
}

#[test]
fn a_provider_is_registered_and_stays_so() {
    let world = world().dress(|id, resource| {
        if id.ends_with("Microsoft.KeyVault") && resource["registrationState"] == "NotRegistered" {
            resource["registrationState"] = json!("Registered");
        }
    });
    world.set(&format!("{P}/Microsoft.KeyVault"), json!({ "registrationState": "NotRegistered" }));
    let done = step(&world).run().unwrap();
    assert_eq!(
        done.preview.as_ref().unwrap().changes,
        ["Register the provider Microsoft.KeyVault in the subscription"]
    );
    let left = step(&world).undo(done).unwrap().0;
    assert_eq!(left[0].what, "registration of Microsoft.KeyVault");
}

#[test]
fn a_registration_that_takes_its_time_is_waited_for() {
    let world = world();
    world.set(&format!("{P}/Microsoft.KeyVault"), json!({ "registrationState": "NotRegistered" }));
    assert!(matches!(step(&world).apply(), Err(Problem::Transient(_))));
}

#[test]
fn what_the_run_made_already_is_not_taken() {
    let vault = "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v-lab";
    let taken = json!({ "nameAvailable": false, "reason": "AlreadyExists" });
    let world = world().answer(&format!("{P}/Microsoft.KeyVault/checkNameAvailability"), taken).own(vault, json!({}));
    assert!(step(&world).check().unwrap().satisfied().is_some());
}
