//! Playbooks that are good.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{HSM, STORAGE, VAULT, around, compiled, context};
use crate::expr::Scope;
use crate::grant::{Capability, Use, Verb};
use crate::inputs::resolve;
use crate::plan::plan;
use crate::playbook::{Answers, Lab, LessonKind, Node, Scopes, Step, matching_leave};
use crate::policy::Policy;

fn storage() -> Lab {
    compiled(STORAGE, &[("key-vault-premium", VAULT), ("managed-hsm", HSM)])
}

fn inputs(lab: &Lab) -> BTreeMap<String, Value> {
    resolve(&lab.inputs, &BTreeMap::new(), &context()).unwrap().values
}

fn steps(nodes: &[Node]) -> Vec<Arc<Step>> {
    nodes.iter().filter_map(|n| if let Node::Step(step) = n { Some(Arc::clone(step)) } else { None }).collect()
}

#[test]
fn the_sample_becomes_a_flat_program() {
    let nodes = storage().flatten(&Answers::new()).unwrap();
    let shown: Vec<String> = nodes
        .iter()
        .map(|node| match node {
            Node::Enter(enter) => format!("enter {} ({})", enter.path, enter.part),
            Node::Step(step) => format!("{} {} needs {:?}", step.path, step.plugin, step.needs),
            Node::Leave(leave) => format!("leave {} {:?}", leave.path, leave.exports.keys().collect::<Vec<_>>()),
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    rg resource-group@0.1 needs []
    enter key_store (key-vault-premium@1)
    key_store/vault key-vault@0.1 needs []
    key_store/officer role@0.1 needs [key_store/vault]
    leave key_store ["id", "name", "uri"]
    key keyvault-key@0.1 needs [key_store]
    account storage-account@0.1 needs [rg]
    may_wrap role@0.1 needs [key, account]
    may_store role@0.1 needs [account]
    encrypt storage-cmk@0.1 needs [key_store, key, account]
    write blob@0.1 needs [account]
    take_away keyvault-key-state@0.1 needs [key, account, write]
    give_back keyvault-key-state@0.1 needs [key, account, write]
    "#);
    assert_eq!(matching_leave(&nodes, 1), 4);
}

#[test]
fn choices_decide_what_runs() {
    let lab = storage();
    let path = "key_store".parse().unwrap();
    let choices = lab.choices(&Answers::new());
    assert_eq!(choices.len(), 1);
    assert_eq!(
        (choices[0].question.as_str(), choices[0].default.as_deref()),
        ("Where shall the key live?", Some("vault"))
    );
    assert_eq!(choices[0].options[1].confirm.as_deref(), Some("3.20 USD an hour and 537.60 USD after clean-up"));

    let nodes = lab.flatten(&Answers::from([(path, "hsm".to_owned())])).unwrap();
    let Node::Enter(enter) = &nodes[1] else { panic!("{:?}", nodes[1]) };
    assert_eq!((enter.part.as_str(), enter.chosen.as_deref()), ("managed-hsm@1", Some("hsm")));

    let wrong =
        Answers::from([("key_store".parse().unwrap(), "vaulty".to_owned()), ("rgs".parse().unwrap(), "x".into())]);
    let lines: Vec<String> = lab.flatten(&wrong).unwrap_err().iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    SB0125 the choice `key_store` has no option `vaulty`; did you mean `vault`?
    SB0125 there is no choice `rgs`; the choices are `key_store`
    ");
}

#[test]
fn a_run_goes_through_its_frames() {
    let lab = storage();
    let nodes = lab.flatten(&Answers::new()).unwrap();
    let mut scopes = Scopes::new(&context(), &inputs(&lab));
    let policy = Arc::new(Policy::default());
    let mut seen = Vec::new();
    for node in &nodes {
        match node {
            Node::Enter(enter) => scopes.enter(enter).unwrap(),
            Node::Leave(leave) => seen.push(format!("{} exports {}", leave.path, scopes.leave(leave).unwrap())),
            Node::Step(step) => {
                let given = step.inputs(scopes.top()).unwrap();
                let gate = step.gate(scopes.top(), &given, &policy).unwrap();
                assert_eq!(gate.missing(), [], "{}", step.path);
                seen.push(format!("{} {given}", step.path));
                scopes.record(&step.path, &outputs(step, &given));
            }
        }
    }
    insta::assert_snapshot!(seen.join("\n"), @r#"
    rg {"name":"cmk-abc234","location":"italynorth"}
    key_store/vault {"group":"/subscriptions/1b4df8a5-4c55-4fb6-9a24-4c5f6e7a8b9c/resourceGroups/cmk-abc234","name":"cmk-lab-abc234","retention_days":7}
    key_store/officer {"scope":"/subscriptions/1b4df8a5-4c55-4fb6-9a24-4c5f6e7a8b9c/resourceGroups/cmk-abc234/providers/Microsoft.KeyVault/vaults/cmk-lab-abc234","principal":"me-1","role":"Key Vault Crypto Officer"}
    key_store exports {"id":"/subscriptions/1b4df8a5-4c55-4fb6-9a24-4c5f6e7a8b9c/resourceGroups/cmk-abc234/providers/Microsoft.KeyVault/vaults/cmk-lab-abc234","name":"cmk-lab-abc234","uri":"https://cmk-lab-abc234.vault.azure.net/","chosen":"vault"}
    key {"store":"https://cmk-lab-abc234.vault.azure.net/","name":"cmk-lab-storage","kty":"RSA-HSM","bits":2048}
    account {"group":"/subscriptions/1b4df8a5-4c55-4fb6-9a24-4c5f6e7a8b9c/resourceGroups/cmk-abc234","name":"cmklababc234","identity":"system"}
    may_wrap {"scope":"/subscriptions/1b4df8a5-4c55-4fb6-9a24-4c5f6e7a8b9c/x/keys/cmk-lab-storage","principal":"p","role":"Crypto Service Encryption User"}
    may_store {"scope":"/subscriptions/1b4df8a5-4c55-4fb6-9a24-4c5f6e7a8b9c/resourceGroups/cmk-abc234/providers/Microsoft.Storage/storageAccounts/cmklababc234","principal":"me-1","role":"Storage Blob Data Contributor"}
    encrypt {"account":"/subscriptions/1b4df8a5-4c55-4fb6-9a24-4c5f6e7a8b9c/resourceGroups/cmk-abc234/providers/Microsoft.Storage/storageAccounts/cmklababc234","key":"https://cmk-lab-abc234.vault.azure.net/keys/cmk-lab-storage"}
    write {"put":"https://cmklababc234.blob.core.windows.net/lab/note.txt","text":"secret:note"}
    take_away {"key":"https://cmk-lab-abc234.vault.azure.net/keys/cmk-lab-storage","enabled":false}
    give_back {"key":"https://cmk-lab-abc234.vault.azure.net/keys/cmk-lab-storage","enabled":true}
    "#);

    let at = "2026-11-21T10:00:00Z".parse().unwrap();
    let leaves = lab.leaves[0].text(&scopes.top().with_undo(at)).unwrap();
    assert_eq!(leaves, "cmk-lab-abc234 stays soft-deleted, its name taken, until 2026-11-28T10:00:00Z");
}

/// What the fixtures' plugins would answer.
fn outputs(step: &Step, given: &Value) -> Value {
    let text = |key: &str| given[key].as_str().unwrap_or_default().to_owned();
    let name = text("name");
    match step.plugin.name() {
        "resource-group" => {
            json!({ "id": format!("/subscriptions/1b4df8a5-4c55-4fb6-9a24-4c5f6e7a8b9c/resourceGroups/{name}"), "name": name })
        }
        "key-vault" => {
            let id = format!("{}/providers/Microsoft.KeyVault/vaults/{name}", text("group"));
            json!({ "id": id, "name": name, "uri": format!("https://{name}.vault.azure.net/") })
        }
        "keyvault-key" => {
            let uri = format!("{}keys/{name}", text("store"));
            json!({ "id": format!("/subscriptions/1b4df8a5-4c55-4fb6-9a24-4c5f6e7a8b9c/x/keys/{name}"), "uri": uri, "kid": format!("{uri}/1"), "kty": "RSA-HSM" })
        }
        "storage-account" => {
            let id = format!("{}/providers/Microsoft.Storage/storageAccounts/{name}", text("group"));
            json!({ "id": id, "principal_id": "p", "blob_uri": format!("https://{name}.blob.core.windows.net/") })
        }
        "blob" => json!({ "uri": text("put"), "sha256": "00" }),
        _ => json!({ "id": "x" }),
    }
}

#[test]
fn conditions_see_what_they_should() {
    let lab = storage();
    let steps = steps(&lab.flatten(&Answers::new()).unwrap());
    let find = |name: &str| steps.iter().find(|s| s.name() == name).unwrap();
    let mut scope = Scope::new(&context(), &inputs(&lab));
    scope.set("key", json!({ "kid": "k/1" }));
    let out = json!({ "keyvaultproperties": { "currentVersionedKeyIdentifier": "k/1" } });
    let encrypt = find("encrypt");
    let holds: Vec<bool> = encrypt.expect.iter().map(|e| e.that.holds(&scope.with_out(&out)).unwrap()).collect();
    assert_eq!(holds, [true, true]);
    let pinned = json!({ "keyvaultproperties": { "currentVersionedKeyIdentifier": "k/2", "keyversion": "1" } });
    let holds: Vec<bool> = encrypt.expect.iter().map(|e| e.that.holds(&scope.with_out(&pinned)).unwrap()).collect();
    assert_eq!(holds, [false, false]);

    let LessonKind::ReadFails { refusal, .. } = &find("take_away").lesson.as_ref().unwrap().kind else { panic!() };
    assert!(refusal.matches(403, "KeyVaultEncryptionKeyNotFound"));
    assert!(!refusal.matches(403, "AuthorizationFailure") && !refusal.matches(404, "KeyVaultEncryptionKeyNotFound"));
    let LessonKind::ReadHolds { that: Some(that), .. } = &find("give_back").lesson.as_ref().unwrap().kind else {
        panic!()
    };
    scope.set("write", json!({ "sha256": "ab" }));
    assert!(that.holds(&scope.with_out(&json!({ "sha256": "ab" }))).unwrap());
}

#[test]
fn a_lessons_read_needs_the_grant_alone() {
    let steps = steps(&storage().flatten(&Answers::new()).unwrap());
    let take_away = steps.iter().find(|s| s.name() == "take_away").unwrap();
    let mut scope = Scope::new(&context(), &BTreeMap::new());
    scope.set("key", json!({ "uri": "https://v.vault.azure.net/keys/k" }));
    scope.set("account", json!({ "blob_uri": "https://a.blob.core.windows.net/" }));
    let uri = "https://a.blob.core.windows.net/lab/note.txt";
    let (policy, read) = (Arc::new(Policy::default()), |target| Use {
        interface: Capability::Blob,
        verb: Verb::Read,
        target,
        role: None,
    });
    let gate = take_away.lesson_gate(&scope, uri, &policy).unwrap();
    assert!(gate.allows(&read(uri)).is_ok());
    assert!(gate.allows(&read("https://a.blob.core.windows.net/lab/other.txt")).is_err());
    let elsewhere = take_away.lesson_gate(&scope, "https://a.blob.core.windows.net/other/note.txt", &policy).unwrap();
    assert!(elsewhere.allows(&read("https://a.blob.core.windows.net/other/note.txt")).is_err());
    let given = json!({ "key": "https://v.vault.azure.net/keys/k", "enabled": false });
    assert!(
        take_away.gate(&scope, &given, &policy).unwrap().allows(&read(uri)).is_err(),
        "the plugin did not ask for it"
    );
}

#[test]
fn the_plan_says_what_is_known() {
    let lab = storage();
    let answers = Answers::from([("key_store".parse().unwrap(), "hsm".to_owned())]);
    let plan = plan(&lab, &answers, &inputs(&lab), &context()).unwrap();
    assert_eq!((plan.usd_per_hour, plan.usd_after_undo, plan.minutes), (3.2, 537.6, 15));
    let shown: Vec<String> =
        plan.steps.iter().map(|s| format!("{}/{} {} — {}", s.index, s.of, s.path, s.grants.join(" | "))).collect();
    insta::assert_snapshot!(format!("{}\nleaves {:?}\nby hand {:?}", shown.join("\n"), plan.leaves, plan.steps[3].by_hand), @r#"
    1/11 rg — azure:read,write /subscriptions/1b4df8a5-4c55-4fb6-9a24-4c5f6e7a8b9c/resourceGroups/cmk-abc234
    2/11 key_store/vault — azure:read,write ${rg.id}/providers/Microsoft.KeyVault/vaults/cmkhsmabc234
    3/11 key_store/officer — azure:assign ${vault.id} role='Key Vault Crypto Officer'
    4/11 key — keyvault:read,create ${key_store.uri}keys/cmk-lab-storage
    5/11 account — azure:read,write ${rg.id}/providers/Microsoft.Storage/storageAccounts/cmklababc234
    6/11 may_wrap — azure:assign ${key.id} role='Crypto Service Encryption User'
    7/11 may_store — azure:assign ${account.id} role='Storage Blob Data Contributor'
    8/11 encrypt — azure:read,write ${account.id}
    9/11 write — blob:write ${account.blob_uri}lab/*
    10/11 take_away — keyvault:read,update ${key.uri} | blob:read ${account.blob_uri}lab/*
    11/11 give_back — keyvault:read,update ${key.uri} | blob:read ${account.blob_uri}lab/*
    leaves ["cmkhsmabc234 stays soft-deleted, its name taken, until ${undo.at + duration('168h')}"]
    by hand Some("az keyvault key create --id ${key_store.uri}keys/cmk-lab-storage --kty RSA-HSM --size 2048")
    "#);
}

#[test]
fn the_plan_counts_what_steps_cost() {
    let steps = "[[step]]\nname = \"a\"\nuse = \"note@0.1\"\ncost = { usd_per_hour = 0.5 }\n\
                 [[step]]\nname = \"b\"\nuse = \"note@0.1\"\ncost = { usd_per_hour = 1, usd_after_undo = 7 }\n";
    let plan = plan(&compiled(&around(steps), &[]), &Answers::new(), &BTreeMap::new(), &context()).unwrap();
    assert_eq!((plan.usd_per_hour, plan.usd_after_undo), (1.5, 7.0));
}

#[test]
fn later_steps_may_be_named_and_skipped_ones_tested() {
    let lab = compiled(
        &around(
            "[[step]]\nname = \"b\"\nuse = \"note@0.1\"\nwith = { x = \"${a.id}\" }\n\
             [[step]]\nname = \"a\"\nuse = \"note@0.1\"\nwhen = \"cloud == 'azure'\"\n\
             [[step]]\nname = \"c\"\nuse = \"note@0.1\"\nwith = { x = \"${has(a.id) ? a.id : 'none'}\" }\n",
        ),
        &[],
    );
    let nodes = lab.flatten(&Answers::new()).unwrap();
    let paths: Vec<&str> = nodes.iter().map(|n| n.path().as_str()).collect();
    assert_eq!(paths, ["a", "b", "c"]);
    let mut scopes = Scopes::new(&context(), &BTreeMap::new());
    assert!(!nodes[0].when().unwrap().holds(scopes.top()).unwrap());
    scopes.skip(nodes[0].path());
    let steps = steps(&nodes);
    let failed = steps[1].inputs(scopes.top()).unwrap_err();
    insta::assert_snapshot!(failed.to_string(), @"SB0126 `a` has no field `id` (the step was skipped) — in `${a.id}`: in step `b`");
    assert_eq!(steps[2].inputs(scopes.top()).unwrap(), json!({ "x": "none" }));
}

#[test]
fn a_thousand_steps_compile_and_flatten() {
    let step = |i: usize| match i {
        0 => "[[step]]\nname = \"s0\"\nuse = \"note@0.1\"\n".to_owned(),
        _ => format!("[[step]]\nname = \"s{i}\"\nuse = \"note@0.1\"\nwith = {{ x = \"${{s{}.id}}\" }}\n", i - 1),
    };
    let steps: String = (0..1000).map(step).collect();
    let lab = compiled(&around(&steps), &[]);
    assert_eq!(lab.flatten(&Answers::new()).unwrap().len(), 1000);
}
