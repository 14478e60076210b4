//! Agent pools as resources of their own.

use serde_json::{Value, json};

use super::{ask, body, cluster, given, group, lab, make, outcome};
use crate::testing::TestCloud;

fn pool(cloud: &TestCloud, name: &str) -> String {
    format!("{}/agentPools/{name}", cluster(cloud, "aks1"))
}

fn new() -> Value {
    json!({ "properties": { "count": 2, "vmSize": "Standard_D2s_v5", "mode": "User" } })
}

#[tokio::test]
async fn pools_come_and_go() {
    let cloud = lab().await;
    make(&cloud, "aks1", body()).await;
    let made = ask(&cloud, "PUT", &pool(&cloud, "second"), new()).await;
    assert_eq!((made.status, &made.body["properties"]["provisioningState"]), (201, &json!("Creating")), "{made:?}");
    cloud.advance(5);
    let shown = ask(&cloud, "GET", &pool(&cloud, "second"), Value::Null).await.body;
    assert_eq!((&shown["name"], &shown["properties"]["count"]), (&json!("second"), &json!(2)));
    let listed = ask(&cloud, "GET", &format!("{}/agentPools", cluster(&cloud, "aks1")), Value::Null).await.body;
    assert_eq!(listed["value"].as_array().unwrap().len(), 2);
    let inline = ask(&cloud, "GET", &cluster(&cloud, "aks1"), Value::Null).await.body;
    assert_eq!(inline["properties"]["agentPoolProfiles"][1]["name"], "second");

    let mut scaled = shown.clone();
    scaled["properties"]["count"] = 3.into();
    let scaled = ask(&cloud, "PUT", &pool(&cloud, "second"), scaled).await;
    assert_eq!((scaled.status, &scaled.body["properties"]["count"]), (200, &json!(3)), "{scaled:?}");
    cloud.advance(5);
    assert_eq!(ask(&cloud, "DELETE", &pool(&cloud, "second"), Value::Null).await.status, 202);
    cloud.advance(5);
    assert_eq!(outcome(&ask(&cloud, "GET", &pool(&cloud, "second"), Value::Null).await), "404 ResourceNotFound");
    assert_eq!(ask(&cloud, "DELETE", &pool(&cloud, "second"), Value::Null).await.status, 204);
    let last = ask(&cloud, "DELETE", &pool(&cloud, "nodepool1"), Value::Null).await;
    assert_eq!(outcome(&last), "400 MustDefineAtLeastOneSystemPool");
}

#[tokio::test]
async fn refused_pools() {
    let cloud = lab().await;
    let early = ask(&cloud, "PUT", &pool(&cloud, "second"), new()).await;
    assert_eq!(outcome(&early), "404 ParentResourceNotFound");
    make(&cloud, "aks1", body()).await;
    let with = |name: &str, value: Value| {
        let mut body = new();
        body["properties"][name] = value;
        body
    };
    let table = [
        ("Second", new(), "400 InvalidParameter"),
        ("second", with("vmSize", json!("Standard_X1")), "400 BadRequest"),
        ("second", with("count", json!(99)), "400 ErrCode_InsufficientVCPUQuota"),
        ("second", with("orchestratorVersion", json!("1.35")), "400 NodePoolMcVersionIncompatible"),
        ("second", with("enableAutoScaling", json!(true)), "400 InvalidParameter"),
        ("nodepool1", with("vmSize", json!("Standard_B2s")), "400 MustDefineAtLeastOneSystemPool"),
        ("nodepool1", json!({ "properties": { "vmSize": "Standard_D2s_v5" } }), "400 PropertyChangeNotAllowed"),
    ];
    for (name, body, expected) in table {
        let reply = ask(&cloud, "PUT", &pool(&cloud, name), body.clone()).await;
        assert_eq!(outcome(&reply), expected, "{name} {body}: {reply:?}");
    }
}

#[tokio::test]
async fn a_stopped_cluster_uses_no_quota() {
    let cloud = lab().await;
    let mut nine = body();
    nine["properties"]["agentPoolProfiles"][0]["count"] = 9.into();
    make(&cloud, "aks1", nine).await;
    let mut two = body();
    two["properties"]["agentPoolProfiles"][0]["count"] = 2.into();
    let path = cluster(&cloud, "aks2");
    assert_eq!(outcome(&ask(&cloud, "PUT", &path, two.clone()).await), "400 ErrCode_InsufficientVCPUQuota");
    let stop = format!("{}/stop", cluster(&cloud, "aks1"));
    assert_eq!(ask(&cloud, "POST", &stop, Value::Null).await.status, 202);
    cloud.advance(5);
    let shown = ask(&cloud, "GET", &cluster(&cloud, "aks1"), Value::Null).await.body;
    let states = [&shown["properties"]["powerState"], &shown["properties"]["agentPoolProfiles"][0]["powerState"]];
    assert_eq!(states, [&json!({ "code": "Stopped" }), &json!({ "code": "Stopped" })]);
    assert_eq!(outcome(&ask(&cloud, "PUT", &path, two).await), "201");
    let missing = format!("{}/stop", cluster(&cloud, "none"));
    assert_eq!(outcome(&ask(&cloud, "POST", &missing, Value::Null).await), "404 ResourceNotFound");
}

#[tokio::test]
async fn nodes_and_virtual_machines_share_a_quota() {
    let cloud = lab().await;
    let region = format!("{}/providers/Microsoft.Compute/locations/westeurope/usages", cloud.subscription());
    let used = async || {
        let reply = cloud.learner().arm("GET", &format!("{region}?api-version=2024-07-01"), Value::Null).await;
        let usages = reply.body["value"].as_array().unwrap().clone();
        let of = |name: &str| usages.iter().find(|u| u["name"]["value"] == name).unwrap()["currentValue"].clone();
        [of("cores"), of("standardBSFamily")]
    };
    let mut nine = body();
    nine["properties"]["agentPoolProfiles"][0]["count"] = 9.into();
    make(&cloud, "aks1", nine).await;
    assert_eq!(used().await, [18, 18]);
    let machine = format!("{}/providers/Microsoft.Compute/virtualMachines/vm", group(&cloud));
    let running =
        json!({ "location": "westeurope", "properties": { "hardwareProfile": { "vmSize": "Standard_B2s" } } });
    given(&cloud, &machine, running);
    assert_eq!(used().await, [20, 20]);
    let one = ask(&cloud, "PUT", &cluster(&cloud, "aks2"), body()).await;
    assert_eq!(outcome(&one), "400 ErrCode_InsufficientVCPUQuota");
}

#[tokio::test]
async fn an_older_version_does_not_know_of_trusted_launch() {
    let cloud = lab().await;
    make(&cloud, "aks", body()).await;
    let path = cluster(&cloud, "aks");
    for (version, knows) in [("2024-02-01", false), ("2024-05-01", true)] {
        let get = async |path: String| {
            cloud.learner().arm("GET", &format!("{path}?api-version={version}"), Value::Null).await.body
        };
        let (whole, pool) = (get(path.clone()).await, get(format!("{path}/agentPools/nodepool1")).await);
        let all = get(format!("{path}/agentPools")).await;
        let pools = [&whole["properties"]["agentPoolProfiles"][0], &pool["properties"], &all["value"][0]["properties"]];
        for properties in pools {
            assert_eq!(properties["securityProfile"].is_null(), !knows, "{version}: {properties}");
            assert_eq!(properties["vmSize"], "Standard_B2s", "{version}");
        }
    }
}
