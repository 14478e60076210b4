use sealbook_sdk::prelude::*;
use sealbook_sdk::testing::{Fake, Tested};

use super::Arm;

const ID: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i";

fn step(fake: &Fake, inputs: &Value) -> Tested<Arm> {
    fake.step(inputs.clone())
}

#[test]
fn put_creates_and_undo_deletes() {
    let fake = Fake::new();
    let inputs = json!({ "put": ID, "body": { "location": "italynorth" } });
    let done = step(&fake, &inputs).run().unwrap();
    assert!(done.evidence[0].passed);
    assert!(step(&fake, &inputs).check().unwrap().satisfied().is_some());
    assert_eq!(step(&fake, &inputs).undo(done).unwrap(), Undone::clean());
    assert!(fake.arm(ID).is_none());
}

#[test]
fn patch_changes_and_undo_puts_back_the_prior_values() {
    let fake = Fake::new().own(ID, json!({ "properties": { "x": 1, "y": 1 } }));
    let inputs = json!({ "patch": ID, "body": { "properties": { "x": 2, "z": 3 } } });
    let done = step(&fake, &inputs).run().unwrap();
    assert_eq!(done.preview.as_ref().unwrap().changes, ["Change i: properties.x from 1 to 2, properties.z to 3"]);
    step(&fake, &inputs).undo(done).unwrap();
    assert_eq!(fake.arm(ID).unwrap()["properties"], json!({ "x": 1, "y": 1 }));
}

#[test]
fn what_somebody_changed_since_is_not_put_back() {
    let fake = Fake::new().own(ID, json!({ "properties": { "x": 1 } }));
    let inputs = json!({ "patch": ID, "body": { "properties": { "x": 2 } } });
    let done = step(&fake, &inputs).run().unwrap();
    let fake = fake.own(ID, json!({ "properties": { "x": 5 } }));
    step(&fake, &inputs).undo(done).unwrap();
    assert_eq!(fake.arm(ID).unwrap()["properties"]["x"], 5);
}

#[test]
fn get_judges() {
    let fake = Fake::new().foreign(ID, json!({ "properties": { "x": 1 } }));
    let good = json!({ "get": ID, "expect": { "properties": { "x": 1 } } });
    assert!(step(&fake, &good).run().unwrap().preview.is_none());
    let Err(Problem::Precondition(p)) =
        step(&fake, &json!({ "get": ID, "expect": { "properties": { "x": 2 } } })).check()
    else {
        panic!("fits")
    };
    assert!(p.message.contains("properties.x is 1 instead of 2"), "{p:?}");
    assert!(matches!(step(&Fake::new(), &good).check(), Err(Problem::Precondition(_))));
}

#[test]
fn delete_takes_only_what_is_ours() {
    let inputs = json!({ "delete": ID });
    assert!(matches!(step(&Fake::new().foreign(ID, json!({})), &inputs).check(), Err(Problem::Conflict(_))));
    let fake = Fake::new().own(ID, json!({}));
    let done = step(&fake, &inputs).run().unwrap();
    assert!(fake.arm(ID).is_none());
    assert_eq!(step(&fake, &inputs).undo(done).unwrap(), Undone::clean());
}

#[test]
fn undo_can_be_told_what_to_send_or_to_keep() {
    for (undo, left) in [(json!({ "patch": { "properties": { "x": 7 } } }), 7), (json!("keep"), 2)] {
        let fake = Fake::new().own(ID, json!({ "properties": { "x": 1 } }));
        let inputs = json!({ "patch": ID, "body": { "properties": { "x": 2 } }, "undo": undo });
        let done = step(&fake, &inputs).run().unwrap();
        step(&fake, &inputs).undo(done).unwrap();
        assert_eq!(fake.arm(ID).unwrap()["properties"]["x"], left);
    }
}

#[test]
fn one_task_with_its_body_is_wanted() {
    for inputs in [json!({ "put": ID }), json!({}), json!({ "get": ID, "delete": ID })] {
        assert!(matches!(step(&Fake::new(), &inputs).check(), Err(Problem::InvalidInput(_))), "{inputs}");
    }
}

#[test]
fn what_azure_made_of_it_is_judged() {
    let inputs =
        json!({ "put": ID, "body": { "properties": { "x": 1 } }, "expect": { "properties": { "state": "Ready" } } });
    assert!(matches!(step(&Fake::new(), &inputs).apply(), Err(Problem::Precondition(_))));
    let fake = Fake::new().dress(|_, r| r["properties"]["state"] = json!("Ready"));
    assert!(step(&fake, &inputs).run().unwrap().evidence[0].passed);
}

#[test]
fn post_runs_an_action_until_the_resource_is_as_expected() {
    let fake =
        Fake::new().own(ID, json!({ "properties": { "state": "off" } })).answer(&format!("{ID}/start"), json!({}));
    let done = json!({ "post": ID, "action": "start", "expect": { "properties": { "state": "off" } } });
    assert!(step(&fake, &done).check().unwrap().satisfied().is_some());
    let inputs = json!({ "post": ID, "action": "start" });
    let ran = step(&fake, &inputs).run().unwrap();
    assert_eq!(ran.preview.as_ref().unwrap().changes, ["Run start on i"]);
    assert_eq!(step(&fake, &inputs).undo(ran).unwrap(), Undone::clean());
    assert!(matches!(step(&Fake::new(), &inputs).check(), Err(Problem::Precondition(_))));
    assert!(matches!(step(&fake, &json!({ "post": ID })).check(), Err(Problem::InvalidInput(_))));
}
