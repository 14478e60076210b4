//! The life of a cluster.

use serde_json::{Value, json};

use super::{ask, body, cluster, given, group, lab, make, outcome, with};
use crate::{Fault, FaultKind};

#[tokio::test]
async fn a_cluster_lives_with_its_node_group() {
    let cloud = lab().await;
    let me = cloud.learner();
    let path = cluster(&cloud, "aks1");
    let made = ask(&cloud, "PUT", &path, body()).await;
    assert_eq!((made.status, &made.body["properties"]["provisioningState"]), (201, &json!("Creating")), "{made:?}");
    assert_eq!(made.body["properties"]["agentPoolProfiles"][0]["provisioningState"], "Creating");
    assert_eq!(outcome(&ask(&cloud, "PUT", &path, body()).await), "409 OperationNotAllowed");
    cloud.advance(5);
    let poll = me.send("GET", made.header("azure-asyncoperation"), None).await;
    assert_eq!(poll.body["status"], "Succeeded", "{poll:?}");

    let shown = ask(&cloud, "GET", &path, Value::Null).await.body;
    let properties = &shown["properties"];
    assert_eq!(
        (&properties["provisioningState"], &properties["powerState"]["code"]),
        (&json!("Succeeded"), &json!("Running"))
    );
    assert_eq!(
        (&properties["kubernetesVersion"], &properties["currentKubernetesVersion"]),
        (&json!("1.34"), &json!("1.34.4"))
    );
    assert_eq!(properties["networkProfile"]["serviceCidr"], "10.0.0.0/16");
    assert!(properties["fqdn"].as_str().unwrap().ends_with(".hcp.westeurope.azmk8s.io"), "{properties}");
    let pool = &properties["agentPoolProfiles"][0];
    assert_eq!(pool["securityProfile"], json!({ "enableVTPM": true, "enableSecureBoot": true }));
    assert_eq!(pool["upgradeSettings"]["maxSurge"], "10%");
    assert_eq!((&pool["count"], &pool["currentOrchestratorVersion"]), (&json!(1), &json!("1.34.4")));

    let nodes = format!("{}/resourceGroups/MC_lab_aks1_westeurope", cloud.subscription());
    let managed = me.arm("GET", &format!("{nodes}?api-version=2024-11-01"), Value::Null).await;
    assert_eq!(managed.body["managedBy"], json!(path), "{managed:?}");
    let kubelet = properties["identityProfile"]["kubeletidentity"].clone();
    let url = format!("{}?api-version=2024-11-30", kubelet["resourceId"].as_str().unwrap());
    let identity = me.arm("GET", &url, Value::Null).await;
    assert_eq!(identity.body["properties"]["principalId"], kubelet["objectId"], "{identity:?}");

    let tagged = ask(&cloud, "PATCH", &path, json!({ "tags": { "a": "1" } })).await;
    assert_eq!((tagged.status, &tagged.body["tags"]["a"]), (200, &json!("1")));
    assert_eq!(tagged.body["properties"]["agentPoolProfiles"][0]["name"], "nodepool1");
    cloud.advance(5);
    assert_eq!(outcome(&ask(&cloud, "PATCH", &path, json!({ "properties": {} })).await), "400 InvalidParameter");
    for list in [group(&cloud), cloud.subscription()] {
        let url = format!("{list}/providers/Microsoft.ContainerService/managedClusters");
        assert_eq!(ask(&cloud, "GET", &url, Value::Null).await.body["value"][0]["name"], "aks1", "{list}");
    }

    // A client that sends back what it read changes nothing.
    let again = ask(&cloud, "GET", &path, Value::Null).await.body;
    let replaced = ask(&cloud, "PUT", &path, again.clone()).await;
    assert_eq!(replaced.status, 200, "{replaced:?}");
    cloud.advance(5);
    assert_eq!(ask(&cloud, "GET", &path, Value::Null).await.body, again);

    assert_eq!(ask(&cloud, "DELETE", &path, Value::Null).await.status, 202);
    cloud.advance(5);
    assert_eq!(outcome(&ask(&cloud, "GET", &path, Value::Null).await), "404 ResourceNotFound");
    assert_eq!(ask(&cloud, "DELETE", &path, Value::Null).await.status, 204);
    let managed = me.arm("GET", &format!("{nodes}?api-version=2024-11-01"), Value::Null).await;
    assert_eq!(outcome(&managed), "404 ResourceGroupNotFound");
}

#[tokio::test]
async fn the_node_group_goes_with_the_group_of_the_cluster() {
    let cloud = lab().await;
    make(&cloud, "aks1", body()).await;
    let me = cloud.learner();
    me.arm("DELETE", &format!("{}?api-version=2024-11-01", group(&cloud)), Value::Null).await;
    cloud.advance(60);
    let groups =
        me.arm("GET", &format!("{}/resourcegroups?api-version=2024-11-01", cloud.subscription()), Value::Null).await;
    assert_eq!(groups.body["value"], json!([]), "{groups:?}");
}

#[tokio::test]
async fn refused_bodies() {
    let cloud = lab().await;
    const POOL: &str = "/properties/agentPoolProfiles/0";
    let pool = |member: &str, value: Value| with(&format!("{POOL}/{member}"), value);
    // Name, body, answer, whether the embedded Azure lacks it.
    let table = [
        ("-aks", body(), "400 InvalidParameter", false),
        ("aks", with("/identity", json!({ "type": "None" })), "400 InvalidParameter", false),
        ("aks", with("/location", json!("moon")), "400 LocationNotAvailableForResourceType", false),
        ("aks", with("/properties/dnsPrefix", json!("")), "400 InvalidParameter", false),
        ("aks", with("/properties/kubernetesVersion", json!("1.2.3")), "400 K8sVersionNotSupported", false),
        ("aks", with("/properties/nodeResourceGroup", json!("lab")), "400 InvalidParameter", false),
        ("aks", with("/properties/linuxProfile/adminUsername", json!("1")), "400 InvalidParameter", false),
        (
            "aks",
            with("/properties/linuxProfile/ssh/publicKeys/0", json!({ "keyData": "ssh-rsa AAAA" })),
            "400 InvalidParameter",
            false,
        ),
        ("aks", with("/properties/networkProfile/dnsServiceIP", json!("10.1.0.10")), "400 InvalidParameter", false),
        ("aks", with("/properties/agentPoolProfiles", json!([])), "400 MustDefineAtLeastOneSystemPool", false),
        ("aks", pool("mode", json!("User")), "400 MustDefineAtLeastOneSystemPool", false),
        ("aks", pool("name", json!("Pool-1")), "400 InvalidParameter", false),
        ("aks", pool("count", json!(0)), "400 InvalidParameter", false),
        ("aks", pool("vmSize", json!("Standard_X1")), "400 BadRequest", false),
        ("aks", pool("vmSize", Value::Null), "400 InvalidParameter", false),
        ("aks", pool("count", json!(11)), "400 ErrCode_InsufficientVCPUQuota", false),
        ("aks", pool("orchestratorVersion", json!("1.35")), "400 NodePoolMcVersionIncompatible", false),
        ("aks", pool("osType", json!("Windows")), "400 InvalidParameter", true),
        ("aks", pool("enableEncryptionAtHost", json!(true)), "400 InvalidParameter", true),
        ("aks", pool("securityProfile", json!({ "sshAccess": "Disabled" })), "400 InvalidParameter", true),
        ("aks", with("/properties/oidcIssuerProfile", json!({ "enabled": true })), "400 InvalidParameter", true),
        ("aks", with("/properties/aadProfile", json!({ "managed": true })), "400 InvalidParameter", true),
        ("aks", with("/properties/disableLocalAccounts", json!(true)), "400 InvalidParameter", true),
        ("aks", with("/properties/networkProfile/networkPolicy", json!("calico")), "400 InvalidParameter", true),
        ("aks", with("/sku", json!({ "name": "Automatic" })), "400 InvalidParameter", true),
    ];
    for (name, body, expected, gap) in table {
        let reply = ask(&cloud, "PUT", &cluster(&cloud, name), body.clone()).await;
        assert_eq!(outcome(&reply), expected, "{name} {body}: {reply:?}");
        assert_eq!(!reply.header("x-sealbook-gap").is_empty(), gap, "{name} {body}");
    }
    cloud.fault(Fault::once(FaultKind::NoSku { region: None, size: Some("Standard_B2s".into()) }));
    assert_eq!(outcome(&ask(&cloud, "PUT", &cluster(&cloud, "aks"), body()).await), "400 BadRequest");
}

#[tokio::test]
async fn what_a_cluster_keeps() {
    let cloud = lab().await;
    make(&cloud, "aks1", with("/properties/kubernetesVersion", json!("1.34.3"))).await;
    let path = cluster(&cloud, "aks1");
    const POOL: &str = "/properties/agentPoolProfiles/0";
    let table = [
        (with("/properties/dnsPrefix", json!("other")), "400 PropertyChangeNotAllowed"),
        (with("/properties/nodeResourceGroup", json!("other")), "400 PropertyChangeNotAllowed"),
        (with("/properties/diskEncryptionSetID", json!("/subscriptions/x")), "400 PropertyChangeNotAllowed"),
        (with("/properties/networkProfile/serviceCidr", json!("10.9.0.0/16")), "400 PropertyChangeNotAllowed"),
        (with(&format!("{POOL}/vmSize"), json!("Standard_B2ms")), "400 PropertyChangeNotAllowed"),
        (with(&format!("{POOL}/name"), json!("another")), "400 PropertyChangeNotAllowed"),
        (with("/properties/kubernetesVersion", json!("1.33")), "400 OperationNotAllowed"),
        (with("/location", json!("eastus")), "409 InvalidResourceLocation"),
        (with("/properties/kubernetesVersion", json!("1.35")), "200"),
    ];
    for (body, expected) in table {
        let reply = ask(&cloud, "PUT", &path, body.clone()).await;
        assert_eq!(outcome(&reply), expected, "{body}: {reply:?}");
        cloud.advance(5);
    }
}

#[tokio::test]
async fn networks_are_joined_and_kept_apart() {
    let cloud = lab().await;
    let network = |name: &str| format!("{}/providers/Microsoft.Network/virtualNetworks/{name}", group(&cloud));
    for (name, location) in [("near", "westeurope"), ("far", "eastus")] {
        given(&cloud, &network(name), json!({ "location": location, "properties": {} }));
        for (subnet, prefix) in [("aks", "10.0.1.0/24"), ("pods", "10.244.3.0/24")] {
            let id = format!("{}/subnets/{subnet}", network(name));
            given(&cloud, &id, json!({ "properties": { "addressPrefix": prefix } }));
        }
    }
    let on = |subnet: String, services: &str| {
        let mut body = with("/properties/agentPoolProfiles/0/vnetSubnetID", json!(subnet));
        body["properties"]["networkProfile"]["serviceCidr"] = services.into();
        body
    };
    let near = |subnet: &str| format!("{}/subnets/{subnet}", network("near"));
    let table = [
        (on(near("none"), "10.240.0.0/24"), "400 InvalidResourceReference"),
        (on(network("near"), "10.240.0.0/24"), "400 InvalidParameter"),
        (on(format!("{}/subnets/aks", network("far")), "10.240.0.0/24"), "400 InvalidParameter"),
        (on(near("aks"), "10.0.0.0/16"), "400 ServiceCidrOverlapExistingSubnetsCidr"),
        (on(near("pods"), "10.240.0.0/24"), "400 PodCidrOverlapExistingSubnetsCidr"),
        (on(near("aks"), "10.240.0.0/24"), "201"),
    ];
    for (body, expected) in table {
        let reply = ask(&cloud, "PUT", &cluster(&cloud, "aks1"), body.clone()).await;
        assert_eq!(outcome(&reply), expected, "{body}: {reply:?}");
    }
}

#[tokio::test]
async fn versions_are_listed_per_region() {
    let cloud = lab().await;
    let url = |location: &str| {
        format!("{}/providers/Microsoft.ContainerService/locations/{location}/kubernetesVersions", cloud.subscription())
    };
    let listed = ask(&cloud, "GET", &url("westeurope"), Value::Null).await.body;
    let default = listed["values"].as_array().unwrap().iter().find(|version| version["isDefault"] == true).unwrap();
    assert_eq!(default["version"], "1.34");
    assert_eq!(default["patchVersions"]["1.34.3"]["upgrades"], json!(["1.35.1", "1.35.0", "1.34.4"]));
    assert_eq!(
        outcome(&ask(&cloud, "GET", &url("moon"), Value::Null).await),
        "400 LocationNotAvailableForResourceType"
    );
}

#[tokio::test]
async fn the_nodes_get_a_group_of_their_own_and_nothing_of_another() {
    let cloud = lab().await;
    let victim = format!("{}/resourceGroups/victim", cloud.subscription());
    let precious = format!("{victim}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/precious");
    let me = cloud.learner();
    let at = || json!({ "location": "westeurope" });
    assert_eq!(me.arm("PUT", &format!("{victim}?api-version=2024-11-01"), at()).await.status, 201);
    assert_eq!(me.arm("PUT", &format!("{precious}?api-version=2024-11-30"), at()).await.status, 201);
    for name in ["victim/providers/Microsoft.ManagedIdentity", "victim/x", "a b", "dot.", "..", "a%2fb", "a\u{1b}b"] {
        let path = cluster(&cloud, "one");
        let refused = ask(&cloud, "PUT", &path, with("/properties/nodeResourceGroup", json!(name))).await;
        assert_eq!(refused.status, 400, "{name:?}: {refused:?}");
        ask(&cloud, "DELETE", &path, Value::Null).await;
        cloud.advance(10);
    }
    assert_eq!(me.arm("GET", &format!("{precious}?api-version=2024-11-30"), Value::Null).await.status, 200);
}
