//! The capabilities themselves, within and outside their scopes.

use sealbook_engine::step::{Failure, Host as _, StepError};
use serde_json::{Value, json};

use crate::support::{Lab, code};

fn problem(result: Result<Value, Failure>) -> StepError {
    result.unwrap_err().error
}

#[tokio::test]
async fn keys_are_handles_that_survive_from_step_to_step_within_a_run() {
    let lab = Lab::new().all_interfaces();
    let made = lab.apply(json!([
        { "do": "crypto.generate", "name": "dek", "bits": 256 },
        { "do": "crypto.generate", "name": "kek", "bits": 128 },
        { "do": "crypto.same", "name": "dek", "other": "kek" },
        { "do": "crypto.same", "name": "dek", "other": "dek" },
    ]));
    assert_eq!(
        made.await.unwrap(),
        json!([{ "bits": 256, "reference": "key:probe/dek" }, { "bits": 128, "reference": "key:probe/kek" }, false, true])
    );
    // A repetition meets its own key again, and a later step that is given the reference can open it.
    let again = json!([{ "do": "crypto.generate", "name": "dek", "bits": 256 }, { "do": "crypto.open", "name": "b", "reference": "key:probe/dek" }, { "do": "crypto.same", "name": "dek", "other": "b" }]);
    assert_eq!(lab.apply(again).await.unwrap()[2], true);
    let open = json!([{ "do": "crypto.open", "name": "k", "reference": "key:probe/dek" }]);
    let given = lab.call("later", json!({ "key": "key:probe/dek", "apply": open }));
    assert_eq!(lab.host.apply(&given).await.unwrap()[0]["bits"], 256);
}

#[tokio::test]
async fn references_that_were_not_given_are_refused_by_name() {
    let lab = Lab::new().all_interfaces();
    lab.apply(json!([{ "do": "crypto.generate", "name": "dek", "bits": 256 }, { "do": "artifacts.write", "name": "data", "text": "x" }])).await.unwrap();
    for (order, reference) in [
        ("crypto.open", "key:probe/dek"),  // another step's, and not handed on
        ("crypto.open", "key:later/none"), // never made
        ("crypto.open", "artifact:probe/data"),
        ("crypto.open", ""),
        ("artifacts.open", "artifact:probe/data"),
        ("artifacts.open", "artifact:later/none"),
        ("artifacts.open", "artifact:../../home.key"),
        ("artifacts.open", "secret:note"), // no input of this step
        ("artifacts.open", "key:probe/dek"),
    ] {
        // In pieces, since a reference that stands among the inputs was given.
        let pieces = reference.split_inclusive(':').collect::<Vec<_>>();
        let call = lab.call("later", json!({ "apply": [{ "do": order, "name": "x", "reference": pieces }] }));
        let error = problem(lab.host.apply(&call).await);
        let StepError::InvalidInput { message, .. } = error else { panic!("{order} {reference}: {error:?}") };
        assert!(message.contains(reference), "{message}");
    }
    // Another run has none of these keys.
    let other = lab.apply_with(json!([{ "do": "crypto.open", "name": "x", "reference": "key:probe/dek" }]), |call| {
        call.run = "zzz222".parse().unwrap();
    });
    assert_eq!(code(other.await), "invalid-input");
}

#[tokio::test]
async fn artifacts_are_kept_sealed_and_secrets_are_not_shown() {
    let lab = Lab::new().all_interfaces();
    let text = "find me if you can ".repeat(10);
    let out = lab.apply(json!([
        { "do": "artifacts.write", "name": "data", "text": text, "times": 3 },
        { "do": "artifacts.read", "name": "data", "offset": 5, "length": 2 },
        { "do": "artifacts.append", "name": "large", "bytes": 1_048_577, "try": true },
    ]));
    let out = out.await.unwrap();
    assert_eq!((out[0]["length"].as_u64(), out[1].as_str()), (Some(text.len() as u64 * 3), Some("me")));
    assert_eq!(out[0]["reference"], "artifact:probe/data");
    assert!(out[2]["problem"].as_str().unwrap().contains("1048576"), "{out}");
    let call = lab.call(
        "probe",
        json!({ "note": "secret:note", "apply": [
        { "do": "artifacts.open", "name": "n", "reference": "secret:note" },
        { "do": "artifacts.read", "name": "n", "length": 5, "try": true },
    ] }),
    );
    let out = lab.host.apply(&call).await.unwrap();
    assert_eq!(out[0]["length"], 22);
    assert!(out[1]["problem"].as_str().unwrap().contains("secret"), "{out}");
    for entry in std::fs::read_dir(lab.folder.path().join("artifacts/abc234")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(7).any(|w| w == b"find me"));
    }
}

#[tokio::test]
async fn log_lines_are_made_safe_and_cut() {
    let lab = Lab::new().all_interfaces();
    lab.apply(
        json!([{ "do": "log", "text": "\u{1b}]0;owned\u{7}\u{202e}x" }, { "do": "log", "text": "y".repeat(5000) }]),
    )
    .await
    .unwrap();
    let log = lab.log();
    assert_eq!(log[0], r"warn: \u{1b}]0;owned\u{7}\u{202e}x");
    assert!(log[1].len() < 2100 && log[1].ends_with("(3000 bytes more)"), "{}", log[1].len());
    lab.apply(json!([{ "do": "log", "text": "flood", "times": 5000 }])).await.unwrap();
    let log = lab.log();
    assert_eq!(log.last().unwrap(), "warn: … 4500 more log lines were cut");
    assert!(log.len() < 510);
}

#[tokio::test]
async fn outside_its_scope_nothing_is_sent() {
    let lab = Lab::new().all_interfaces().without("azure");
    let group = lab.group("mine");
    let lab = lab.grant(&[&format!("azure:read,write {group}")]);
    lab.apply(json!([{ "do": "azure.put", "effect": "make", "id": group, "body": { "location": "italynorth" } }]))
        .await
        .unwrap();
    let before = lab.cloud.requests(0).unwrap().len();
    let other = "00000000-0000-0000-0000-000000000000";
    for id in [
        lab.group("other"),
        lab.group("mine2"),
        format!("/subscriptions/{}", lab.seed.subscription),
        format!("/subscriptions/{other}/resourceGroups/mine"),
        format!("{group}/providers/Microsoft.Authorization/roleAssignments/{other}"),
        format!("{group}/../other"),
        format!("{group}/%2e%2e/other"),
        format!("{group}/providers/Microsoft.KeyVault/vaults/v?api-version=1"),
        format!("https://evil.example{group}"),
        format!("//evil.example{group}"),
        format!("{group}\\..\\other"),
        format!("{group}#"),
        format!("{group}\0"),
    ] {
        for order in
            ["azure.get", "azure.put", "azure.patch", "azure.delete", "azure.post", "azure.query", "azure.list"]
        {
            // Rights may be looked at by who may read the group.
            if id.contains("Authorization")
                && matches!(order, "azure.get" | "azure.list" | "azure.query" | "azure.delete")
            {
                continue;
            }
            let orders = json!([{ "do": order, "effect": "e", "id": id, "body": { "location": "italynorth" } }]);
            let refused = code(lab.apply(orders).await);
            assert!(["denied", "invalid-input"].contains(&refused.as_str()), "{order} {id}: {refused}");
        }
    }
    assert_eq!(lab.cloud.requests(0).unwrap().len(), before);
    assert_eq!(lab.book.operations().len(), 1);
}

#[tokio::test]
async fn other_hosts_vaults_and_containers_are_out_of_reach() {
    let lab = Lab::new().grant(&[
        "keyvault:read,create,update,wrap,unwrap https://mine.vault.azure.net/keys/k",
        "blob:read,write https://mine.blob.core.windows.net/lab/*",
    ]);
    let before = lab.cloud.requests(0).unwrap().len();
    for uri in [
        "https://other.vault.azure.net/keys/k",
        "https://mine.vault.azure.net/keys/k2",
        "https://mine.vault.azure.net/keys/../secrets/k",
        "https://mine.vault.azure.net/keys/k%2f..%2fk2",
        "https://mine.vault.azure.net.evil.example/keys/k",
        "https://mine.vault.azure.net@evil.example/keys/k",
        "https://mine.vault.azure.net:8443/keys/k",
        "http://mine.vault.azure.net/keys/k",
        "https://mine.vault.azure.net/keys/k?x=1",
    ] {
        for order in [
            "keyvault.get",
            "keyvault.versions",
            "keyvault.create",
            "keyvault.update",
            "keyvault.rotate",
            "keyvault.delete",
        ] {
            let refused = code(
                lab.apply(json!([{ "do": order, "effect": "e", "uri": uri, "parameters": { "kty": "RSA" } }])).await,
            );
            assert!(["denied", "invalid-input"].contains(&refused.as_str()), "{order} {uri}: {refused}");
        }
    }
    for uri in [
        "https://other.blob.core.windows.net/lab/x",
        "https://mine.blob.core.windows.net/other/x",
        "https://mine.blob.core.windows.net/lab/../other/x",
        "https://mine.blob.core.windows.net/lab/%2e%2e/other/x",
        "https://mine.blob.core.windows.net/lab/x?comp=acl",
        "https://mine.blob.core.windows.net.evil.example/lab/x",
        "https://mine.blob.core.windows.net:444/lab/x",
    ] {
        for order in ["blob.head", "blob.get", "blob.put", "blob.delete"] {
            let orders = json!([{ "do": "artifacts.write", "name": "a", "text": "x" }, { "do": order, "effect": "e", "uri": uri, "name": "a" }]);
            let refused = code(lab.apply(orders).await);
            assert!(["denied", "invalid-input"].contains(&refused.as_str()), "{order} {uri}: {refused}");
        }
    }
    assert_eq!(lab.cloud.requests(0).unwrap().len(), before);
}

#[tokio::test]
async fn a_denial_that_the_plugin_passes_on_carries_the_line() {
    let lab = Lab::new().all_interfaces().without("azure");
    let lab = lab.grant(&["azure:read /subscriptions/00000000-0000-0000-0000-000000000001"]);
    let id = "/subscriptions/00000000-0000-0000-0000-000000000002";
    let StepError::Denied { line, .. } = problem(lab.apply(json!([{ "do": "azure.get", "id": id }])).await) else {
        panic!("denied")
    };
    assert!(line.contains(id), "{line}");
    // One that the plugin makes up does not.
    let made_up = json!([{ "do": "refuse", "kind": "denied", "text": "azure:write\u{1b}[2J" }]);
    let StepError::Denied { line, capability, .. } = problem(lab.apply(made_up).await) else { panic!("denied") };
    assert_eq!((line.as_str(), capability.as_str()), ("", r"azure:write\u{1b}[2J"));
}

#[tokio::test]
async fn ownership_answers_by_mark_and_by_permission() {
    let lab = Lab::new().all_interfaces();
    let orders = json!([{ "do": "ownership", "mark": "abc234" }, { "do": "ownership", "mark": "zzz222" }, { "do": "ownership" }]);
    assert_eq!(lab.apply(orders.clone()).await.unwrap(), json!([true, false, false]));
    let adopting = lab.apply_with(orders, |call| call.adopt = true);
    assert_eq!(adopting.await.unwrap(), json!([true, true, true]));
}
