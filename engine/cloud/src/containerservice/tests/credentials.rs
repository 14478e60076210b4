//! Kubeconfigs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{ask, body, cluster, lab, make, outcome};
use crate::testing::TestCloud;

async fn kubeconfig(cloud: &TestCloud, who: &str) -> String {
    let path = format!("{}/listCluster{who}Credential", cluster(cloud, "aks1"));
    let reply = ask(cloud, "POST", &path, Value::Null).await;
    assert_eq!(reply.body["kubeconfigs"][0]["name"], format!("cluster{who}"), "{reply:?}");
    let text = STANDARD.decode(reply.body["kubeconfigs"][0]["value"].as_str().unwrap()).unwrap();
    String::from_utf8(text).unwrap()
}

/// The value of a member of the kubeconfig.
fn member<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find(|line| line.trim_start_matches([' ', '-']).starts_with(&format!("{name}: ")));
    line.unwrap_or_else(|| panic!("{name} in {text}")).split_once(": ").unwrap().1
}

#[tokio::test]
async fn a_kubeconfig_holds_what_the_cluster_made_for_it() {
    let cloud = lab().await;
    let shown = make(&cloud, "aks1", body()).await;
    let admin = kubeconfig(&cloud, "Admin").await;
    let server = format!("https://{}:443", shown["properties"]["fqdn"].as_str().unwrap());
    assert_eq!(member(&admin, "server"), server);
    assert_eq!(member(&admin, "current-context"), "aks1");
    assert!(admin.contains("clusterAdmin_lab_aks1"), "{admin}");
    assert_eq!(member(&admin, "token").len(), 128);
    let pem = |name: &str| String::from_utf8(STANDARD.decode(member(&admin, name)).unwrap()).unwrap();
    let key = rcgen::KeyPair::from_pem(&pem("client-key-data")).unwrap();
    let der = |pem: String| {
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        STANDARD.decode(body).unwrap()
    };
    let certificate = der(pem("client-certificate-data"));
    let public = rcgen::PublicKeyData::der_bytes(&key);
    assert!(certificate.windows(public.len()).any(|bytes| bytes == public), "the certificate is that of the key");
    assert!(certificate.windows(14).any(|bytes| bytes == b"system:masters"));
    assert!(pem("certificate-authority-data").starts_with("-----BEGIN CERTIFICATE-----"));

    let user = kubeconfig(&cloud, "User").await;
    assert!(user.contains("clusterUser_lab_aks1"), "{user}");
    assert_eq!(member(&user, "client-certificate-data"), member(&admin, "client-certificate-data"));
    let missing = format!("{}/listClusterAdminCredential", cluster(&cloud, "none"));
    assert_eq!(outcome(&ask(&cloud, "POST", &missing, Value::Null).await), "404 ResourceNotFound");
}

#[tokio::test]
async fn a_new_cluster_of_the_same_name_is_another_one() {
    let cloud = lab().await;
    make(&cloud, "aks1", body()).await;
    let before = kubeconfig(&cloud, "Admin").await;
    ask(&cloud, "DELETE", &cluster(&cloud, "aks1"), Value::Null).await;
    cloud.advance(5);
    make(&cloud, "aks1", body()).await;
    let after = kubeconfig(&cloud, "Admin").await;
    for name in ["token", "client-key-data", "certificate-authority-data", "server"] {
        assert_ne!(member(&before, name), member(&after, name), "{name}");
    }
}
