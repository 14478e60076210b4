//! What all resource types have in common, seen at the test provider's.

use serde_json::{Value, json};

use crate::testing::{self, Client, Reply, TestCloud};

const VERSION: &str = "api-version=2026-01-01";

struct Lab<'a> {
    me: Client<'a>,
    group: String,
}

impl Lab<'_> {
    fn id(&self, path: &str) -> String {
        format!("{}/providers/Test.Fixture/{path}", self.group)
    }

    async fn ask(&self, method: &str, path: &str, body: Value) -> Reply {
        self.me.arm(method, &format!("{}?{VERSION}", self.id(path)), body).await
    }

    /// Status of a PUT with a conditional header.
    async fn guarded(&self, url: &str, header: &str, value: &str) -> u16 {
        let headers = [("content-type", "application/json"), (header, value)];
        self.me.send_with("PUT", url, &headers, at("westus").to_string().into()).await.unwrap().status
    }

    async fn state(&self, path: &str) -> Value {
        self.ask("GET", path, Value::Null).await.body["properties"]["provisioningState"].clone()
    }
}

async fn lab(cloud: &TestCloud) -> Lab<'_> {
    let group = format!("{}/resourceGroups/lab", cloud.subscription());
    let me = cloud.learner();
    me.arm("PUT", &format!("{group}?api-version=2024-11-01"), json!({ "location": "westus" })).await;
    Lab { me, group }
}

fn at(location: &str) -> Value {
    json!({ "location": location, "properties": { "size": 3 } })
}

#[tokio::test]
async fn each_style_answers_its_own_way_and_ends_the_same() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    // Type; status of the first and of a later PUT; whether they show the resource; which URLs they give.
    let table = [
        ("gadgets/a", (202, 202), true, (true, true)),
        ("widgets/a", (201, 200), true, (true, false)),
        ("quiets/a", (202, 202), false, (false, true)),
    ];
    for (path, (first, later), shows, (status_url, result_url)) in table {
        for (status, state) in [(first, "Creating"), (later, "Updating")] {
            let made = lab.ask("PUT", path, at("West US")).await;
            assert_eq!(made.status, status, "{path}: {made:?}");
            assert_eq!(made.body["properties"]["provisioningState"] == state, shows, "{path}: {made:?}");
            assert_eq!(lab.state(path).await, state, "{path}");
            let urls = (made.header("azure-asyncoperation"), made.header("location"));
            assert_eq!((!urls.0.is_empty(), !urls.1.is_empty()), (status_url, result_url), "{path}: {urls:?}");
            if status_url {
                let poll = lab.me.send("GET", urls.0, None).await;
                assert_eq!((poll.status, &poll.body["status"]), (200, &json!("InProgress")), "{path}");
            }
            cloud.advance(6);
            assert_eq!(lab.state(path).await, "Succeeded", "{path}");
            if status_url {
                let poll = lab.me.send("GET", urls.0, None).await;
                assert_eq!(poll.body["status"], "Succeeded", "{path}");
                assert_eq!(poll.body["properties"]["output"]["location"], "westus", "{path}");
            }
            if result_url {
                let poll = lab.me.send("GET", urls.1, None).await;
                assert_eq!((poll.status, &poll.body["properties"]["last"]), (200, &json!("put")), "{path}");
            }
        }
        let gone = lab.ask("DELETE", path, Value::Null).await;
        assert_eq!((gone.status, lab.state(path).await), (202, json!("Deleting")), "{path}");
        cloud.advance(6);
        assert_eq!(lab.ask("GET", path, Value::Null).await.code(), "ResourceNotFound", "{path}");
        assert_eq!(lab.ask("DELETE", path, Value::Null).await.status, 204, "{path}");
    }
}

#[tokio::test]
async fn bodies_and_names_are_judged() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    assert_eq!(lab.ask("PUT", "gadgets/a", at("westus")).await.status, 202);
    let with = |member: &str, value: Value| {
        let mut body = at("westus");
        body[member] = value;
        body
    };
    let table = [
        ("PUT", "gadgets/b", json!([]), 400, "InvalidRequestContent"),
        ("PUT", "gadgets/b", with("size", json!(3)), 400, "InvalidRequestContent"),
        ("PATCH", "gadgets/a", json!({ "size": 3 }), 400, "InvalidRequestContent"),
        ("PUT", "gadgets/b", json!({}), 400, "LocationRequired"),
        ("PUT", "gadgets/b", at("moon"), 400, "LocationNotAvailableForResourceType"),
        ("PUT", "gadgets/a", at("eastus"), 409, "InvalidResourceLocation"),
        ("PUT", "gadgets/bad", at("westus"), 400, "InvalidName"),
        ("PUT", "gadgets/b", with("tags", json!({ "a": 1 })), 400, "InvalidTagNameOrValue"),
        ("PATCH", "gadgets/a", json!({ "tags": { "a<": "" } }), 400, "InvalidTagNameOrValue"),
        ("PUT", "gadgets/b", with("identity", json!({ "type": "Mine" })), 400, "InvalidRequestContent"),
        ("PUT", "widgets/b", with("identity", json!({ "type": "None" })), 400, "ResourceIdentityNotSupported"),
        ("PATCH", "gadgets/b", json!({}), 404, "ResourceNotFound"),
        ("PUT", "gadgets/b/screws/s", json!({}), 404, "ParentResourceNotFound"),
        ("PUT", "gadgets/b", with("properties", json!({ "friend": "/x" })), 400, "InvalidResourceReference"),
    ];
    for (method, path, body, status, code) in table {
        let reply = lab.ask(method, path, body.clone()).await;
        assert_eq!((reply.status, reply.code()), (status, code), "{method} {path} {body}");
    }
}

#[tokio::test]
async fn tags_and_identities_are_kept_merged_and_removed() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let mut body = at("westus");
    body["tags"] = json!({ "a": "1" });
    body["identity"] = json!({ "type": "SystemAssigned" });
    lab.ask("PUT", "gadgets/a", body).await;
    let id = lab.id("gadgets/a");
    let principal = cloud.cloud.identity_of(&id).unwrap().unwrap();
    let reply = lab.ask("PATCH", "gadgets/a", json!({ "properties": { "size": 4 } })).await;
    assert_eq!(reply.body["tags"]["a"], "1");
    assert_eq!(reply.body["identity"]["principalId"], json!(principal));
    let reply = lab.ask("PUT", "gadgets/a", at("westus")).await;
    assert_eq!((&reply.body["tags"], &reply.body["identity"]["principalId"]), (&json!({}), &json!(principal)));
    lab.ask("DELETE", "gadgets/a", Value::Null).await;
    cloud.advance(6);
    assert_eq!(lab.ask("GET", "gadgets/a", Value::Null).await.status, 404);
    assert_eq!(cloud.cloud.identity_of(&id).unwrap(), None);
}

#[tokio::test]
async fn parts_live_and_go_with_their_parent() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    lab.ask("PUT", "gadgets/a", at("westus")).await;
    let made = lab.ask("PUT", "GADGETS/a/Screws/s", json!({ "properties": { "size": 1 } })).await;
    assert_eq!((made.status, &made.body["properties"]["provisioningState"]), (201, &json!("Succeeded")), "{made:?}");
    assert_eq!(made.body["type"], "Test.Fixture/gadgets/screws");
    assert!(made.body["id"].as_str().unwrap().ends_with("/gadgets/a/screws/s"), "{made:?}");
    let listed = lab.ask("GET", "gadgets/a/screws", Value::Null).await;
    assert_eq!(listed.body["value"].as_array().unwrap().len(), 1, "{listed:?}");
    let listed = lab.ask("GET", "gadgets/b/screws", Value::Null).await;
    assert_eq!(listed.code(), "ResourceNotFound");
    let all = lab.ask("GET", "gadgets", Value::Null).await;
    assert_eq!(all.body["value"].as_array().unwrap().len(), 1, "{all:?}");
    lab.ask("DELETE", "gadgets/a", Value::Null).await;
    cloud.advance(6);
    assert_eq!(lab.ask("GET", "gadgets/a/screws/s", Value::Null).await.status, 404);
}

#[tokio::test]
async fn what_is_in_use_is_not_deleted_but_goes_with_its_group() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    lab.ask("PUT", "gadgets/a", at("westus")).await;
    let friend = json!({ "location": "westus", "properties": { "friend": lab.id("gadgets/A") } });
    assert_eq!(lab.ask("PUT", "widgets/b", friend).await.status, 201);
    assert_eq!(lab.ask("DELETE", "gadgets/a", Value::Null).await.code(), "InUse");
    assert_eq!(lab.me.arm("DELETE", &format!("{}?api-version=2024-11-01", lab.group), Value::Null).await.status, 202);
    cloud.advance(60);
    assert_eq!(lab.ask("GET", "gadgets/a", Value::Null).await.status, 404);
}

#[tokio::test]
async fn a_tag_that_names_something_does_not_use_it() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    lab.ask("PUT", "gadgets/a", at("westus")).await;
    let mut tagged = at("westus");
    tagged["tags"] = json!({ "friend": lab.id("gadgets/a") });
    assert_eq!(lab.ask("PUT", "widgets/b", tagged).await.status, 201);
    assert_eq!(lab.ask("DELETE", "gadgets/a", Value::Null).await.status, 202);
}

#[tokio::test]
async fn entity_tags_guard_changes() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let made = lab.ask("PUT", "widgets/a", at("westus")).await;
    let etag = made.body["etag"].as_str().unwrap().to_owned();
    let url = format!("https://management.azure.com{}?{VERSION}", lab.id("widgets/a"));
    let table = [("if-none-match", "*", 412), ("if-match", "W/\"other\"", 412), ("if-match", "*", 200)];
    for (header, value, status) in table {
        assert_eq!(lab.guarded(&url, header, value).await, status, "{header}: {value}");
    }
    assert_eq!(lab.guarded(&url, "if-match", &etag).await, 412, "the last change made a new tag");
}

#[tokio::test]
async fn failures_and_cancellations_show() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let failing = json!({ "location": "westus", "properties": { "fails": true } });
    let made = lab.ask("PUT", "gadgets/a", failing).await;
    cloud.advance(6);
    let poll = lab.me.send("GET", made.header("azure-asyncoperation"), None).await;
    assert_eq!((&poll.body["status"], &poll.body["error"]["code"]), (&json!("Failed"), &json!("Failing")));
    assert_eq!(lab.state("gadgets/a").await, "Failed");
    // An operation belongs to its subscription.
    let elsewhere =
        made.header("azure-asyncoperation").replace(&cloud.seed.subscription, &uuid::Uuid::nil().to_string());
    assert_eq!(lab.me.send("GET", &elsewhere, None).await.status, 404);
    // What is made when its group goes is canceled, and does not come back.
    let made = lab.ask("PUT", "quiets/slow", at("westus")).await;
    lab.me.arm("DELETE", &format!("{}?api-version=2024-11-01", lab.group), Value::Null).await;
    cloud.advance(60);
    assert_eq!(lab.ask("GET", "quiets/slow", Value::Null).await.status, 404);
    assert_ne!(lab.me.send("GET", made.header("location"), None).await.status, 202);
}
