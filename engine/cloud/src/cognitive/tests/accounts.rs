//! Accounts without customer-managed keys.

use serde_json::{Value, json};

use super::{account, ask, body, group, lab, make, named, outcome, regional};
use crate::{Fault, FaultKind};

#[tokio::test]
async fn an_account_lives() {
    let cloud = lab().await;
    let me = cloud.learner();
    let path = account(&cloud, "foundry");
    let made = ask(&cloud, "PUT", &path, named("Foundry-Lab")).await;
    assert_eq!((made.status, &made.body["properties"]["provisioningState"]), (201, &json!("Creating")), "{made:?}");
    assert!(made.header("azure-asyncoperation").contains("/locations/westeurope/operationResults/"), "{made:?}");
    assert_eq!(ask(&cloud, "DELETE", &account(&cloud, "nobody"), Value::Null).await.status, 204);
    cloud.advance(5);
    let poll = me.send("GET", made.header("azure-asyncoperation"), None).await;
    assert_eq!(poll.body["status"], "Succeeded", "{poll:?}");
    let shown = ask(&cloud, "GET", &path, Value::Null).await.body;
    let properties = &shown["properties"];
    assert_eq!(properties["endpoint"], "https://foundry-lab.cognitiveservices.azure.com/");
    assert_eq!(properties["endpoints"]["AI Foundry API"], "https://foundry-lab.services.ai.azure.com/");
    assert_eq!((&shown["kind"], &shown["sku"]), (&json!("AIServices"), &json!({ "name": "S0" })));
    assert!(shown["identity"]["principalId"].is_string() && shown["etag"].is_string(), "{shown}");
    assert_eq!(properties["encryption"], Value::Null, "Microsoft-managed keys are not mentioned");

    let change = json!({ "tags": { "a": "1" }, "sku": { "name": "S0" }, "properties": { "disableLocalAuth": true } });
    let changed = ask(&cloud, "PATCH", &path, change).await;
    assert_eq!((changed.status, &changed.body["tags"]["a"]), (200, &json!("1")), "{changed:?}");
    assert_eq!(changed.body["properties"]["allowProjectManagement"], true, "what the body leaves out stays");
    assert_eq!(changed.body["properties"]["internalId"], properties["internalId"]);
    let mut plain = body();
    plain["properties"] = json!({ "provisioningState": "Succeeded", "networkAcls": null });
    let replaced = ask(&cloud, "PUT", &path, plain).await;
    assert_eq!((replaced.status, &replaced.body["properties"]["disableLocalAuth"]), (200, &json!(false)));
    assert_eq!(replaced.body["properties"]["customSubDomainName"], "Foundry-Lab");
    for list in [group(&cloud), cloud.subscription()] {
        let listed =
            ask(&cloud, "GET", &format!("{list}/providers/Microsoft.CognitiveServices/accounts"), Value::Null).await;
        assert_eq!(listed.body["value"][0]["name"], "foundry", "{list}");
    }
}

#[tokio::test]
async fn refused_bodies() {
    let cloud = lab().await;
    make(&cloud, "taken", named("taken")).await;
    let with = |pointer: &str, value: Value| {
        let mut body = body();
        match pointer.split_once('/') {
            Some((outer, inner)) => body[outer][inner] = value,
            None => body[pointer] = value,
        }
        body
    };
    // Name, body, answer, whether the embedded Azure lacks it.
    let table = [
        ("a", body(), "400 InvalidResourceName", false),
        ("-ab", body(), "400 InvalidResourceName", false),
        ("new", with("kind", json!("Face")), "400 InvalidApiSetId", true),
        ("new", with("kind", Value::Null), "400 InvalidApiSetId", false),
        ("new", with("sku", json!({ "name": "F9" })), "400 InvalidSkuId", false),
        ("new", with("location", json!("moon")), "400 LocationNotAvailableForResourceType", false),
        ("new", with("kind", json!("OpenAI")), "400 InvalidResourceProperties", false),
        ("new", with("properties/customSubDomainName", json!("a_b")), "400 InvalidResourceProperties", false),
        ("new", with("properties/customSubDomainName", json!("TAKEN")), "409 CustomDomainInUse", false),
        ("new", with("properties/publicNetworkAccess", json!("Maybe")), "400 InvalidResourceProperties", false),
        ("new", with("properties/disableLocalAuth", json!("yes")), "400 InvalidResourceProperties", false),
        ("new", with("properties/defaultProject", json!("none")), "400 InvalidResourceProperties", false),
        ("new", with("properties/networkAcls", json!({ "bypass": "None" })), "400 InvalidResourceProperties", true),
        ("new", with("properties/restore", json!(true)), "404 ResourceNotFound", false),
        ("taken", with("properties/customSubDomainName", json!("other")), "400 InvalidResourceProperties", false),
        ("taken", with("kind", json!("CognitiveServices")), "400 InvalidResourceProperties", false),
    ];
    for (name, body, expected, gap) in table {
        let reply = ask(&cloud, "PUT", &account(&cloud, name), body.clone()).await;
        assert_eq!(outcome(&reply), expected, "{name} {body}: {reply:?}");
        assert_eq!(!reply.header("x-sealbook-gap").is_empty(), gap, "{name} {body}");
    }
    assert_eq!(outcome(&ask(&cloud, "PATCH", &account(&cloud, "new"), json!({})).await), "404 ResourceNotFound");
}

#[tokio::test]
async fn keys_are_read_and_renewed() {
    let cloud = lab().await;
    make(&cloud, "foundry", body()).await;
    let path = account(&cloud, "foundry");
    let list = async || ask(&cloud, "POST", &format!("{path}/listKeys"), Value::Null).await;
    let before = list().await.body;
    assert_eq!((before["key1"].as_str().unwrap().len(), before["key2"].as_str().unwrap().len()), (32, 32));
    let renew =
        async |name: &str| ask(&cloud, "POST", &format!("{path}/regenerateKey"), json!({ "keyName": name })).await;
    let after = renew("Key2").await.body;
    assert_eq!(after["key1"], before["key1"]);
    assert_ne!(after["key2"], before["key2"]);
    assert_eq!(list().await.body, after);
    assert_ne!(renew("key1").await.body["key1"], before["key1"]);
    assert_eq!(outcome(&renew("Key3").await), "400 InvalidResourceProperties");
    ask(&cloud, "PATCH", &path, json!({ "properties": { "disableLocalAuth": true } })).await;
    assert_eq!(outcome(&list().await), "400 BadRequest");
    let missing = format!("{}/listKeys", account(&cloud, "nobody"));
    assert_eq!(outcome(&ask(&cloud, "POST", &missing, Value::Null).await), "404 ResourceNotFound");
}

#[tokio::test]
async fn skus_quotas_and_names_are_told_before_they_are_used() {
    let cloud = lab().await;
    let me = cloud.learner();
    make(&cloud, "foundry", named("foundry")).await;
    let get = async |path: &str| me.arm("GET", &regional(&cloud, path), Value::Null).await;
    let skus = get("skus").await.body;
    assert!(
        skus["value"]
            .as_array()
            .unwrap()
            .iter()
            .any(|s| s["kind"] == "AIServices" && s["locations"][0] == "WESTEUROPE")
    );
    let usages = get("locations/westeurope/usages").await.body;
    let mine = usages["value"].as_array().unwrap().iter().find(|u| u["name"]["value"] == "AIServices.S0.AccountCount");
    assert_eq!(mine.unwrap()["currentValue"], 1, "{usages}");
    assert_eq!(outcome(&get("locations/moon/usages").await), "400 LocationNotAvailableForResourceType");
    for (part, expected) in [("skus", 1), ("usages", 0)] {
        let listed = ask(&cloud, "GET", &format!("{}/{part}", account(&cloud, "foundry")), Value::Null).await;
        assert_eq!(listed.body["value"].as_array().unwrap().len(), expected, "{part}");
        let missing = ask(&cloud, "GET", &format!("{}/{part}", account(&cloud, "nobody")), Value::Null).await;
        assert_eq!(outcome(&missing), "404 ResourceNotFound");
    }

    let check = async |path: &str, body: Value| me.arm("POST", &regional(&cloud, path), body).await;
    let kind = "Microsoft.CognitiveServices/accounts";
    let asked = json!({ "skus": ["S0", "F9"], "kind": "AIServices", "type": kind });
    let found = check("locations/westeurope/checkSkuAvailability", asked).await.body;
    let available: Vec<&Value> = found["value"].as_array().unwrap().iter().map(|s| &s["skuAvailable"]).collect();
    assert_eq!(available, [&json!(true), &json!(false)]);
    let wrong = json!({ "skus": [], "kind": "AIServices", "type": "Microsoft.X/y" });
    assert_eq!(check("locations/westeurope/checkSkuAvailability", wrong).await.status, 400);
    for (name, free) in [("foundry", false), ("foundry2", true), ("a_b", false)] {
        let found = check("checkDomainAvailability", json!({ "subdomainName": name, "type": kind })).await;
        assert_eq!(found.body["isSubdomainAvailable"], free, "{name}: {found:?}");
    }
    assert_eq!(check("checkDomainAvailability", json!({ "subdomainName": "x", "type": "y" })).await.status, 400);

    let kind = FaultKind::NoQuota { region: None, family: Some("AIServices.S0.AccountCount".into()) };
    cloud.fault(Fault { kind, host: None, path: None, method: None, times: None });
    let refused = ask(&cloud, "PUT", &account(&cloud, "second"), body()).await;
    assert_eq!(outcome(&refused), "400 InsufficientQuota");
}

#[tokio::test]
async fn an_older_version_does_not_know_of_projects() {
    let cloud = lab().await;
    let made = make(&cloud, "foundry", body()).await;
    assert_eq!(made["properties"]["allowProjectManagement"], true);
    let path = account(&cloud, "foundry");
    let list = path.rsplit_once('/').unwrap().0;
    for (version, knows) in [("2023-05-01", false), ("2024-10-01", false), ("2025-06-01", true)] {
        let one = cloud.learner().arm("GET", &format!("{path}?api-version={version}"), Value::Null).await.body;
        let all = cloud.learner().arm("GET", &format!("{list}?api-version={version}"), Value::Null).await.body;
        for shown in [&one, &all["value"][0]] {
            assert_eq!(shown["properties"]["allowProjectManagement"].is_null(), !knows, "{version}: {shown}");
            assert_eq!(shown["properties"]["provisioningState"], "Succeeded", "{version}");
        }
    }
}
