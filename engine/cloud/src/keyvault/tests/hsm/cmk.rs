//! What services do with a customer's key of a managed HSM.

use serde_json::{Value, json};

use super::super::cmk::{code, unwrap, wrap};
use super::super::{Lab, within};
use super::{ENCRYPTION_USER, oid};
use crate::keyvault::cmk::{KeyAt, vault_policy};
use crate::testing;

const KEK: KeyAt<'static> = KeyAt { vault_uri: "https://Pool.managedhsm.azure.net/", name: "kek", version: None };

#[tokio::test]
async fn the_chain_holds_by_local_roles() {
    let cloud = testing::cloud();
    let lab = Lab::with_pool(&cloud).await;
    lab.hsm_key("kek", json!({})).await;
    let who = oid(&cloud.tools()).await;
    assert_eq!(code(wrap(&cloud, &who, &KEK)), (403, "ForbiddenByRbac"), "no role");
    lab.assign("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", &who, "ServicePrincipal", &lab.pool_id("pool")).await;
    assert_eq!(code(wrap(&cloud, &who, &KEK)), (403, "ForbiddenByRbac"), "an owner has no local role");
    lab.local_role("pool", ENCRYPTION_USER, &who, "/keys/kek").await;
    let wrapped = wrap(&cloud, &who, &KEK).unwrap();
    let at = KeyAt::parse(&wrapped.kid).unwrap();
    assert_eq!(unwrap(&cloud, &who, &at, wrapped.bytes.expose()).unwrap().bytes.expose(), b"data encryption key");
    lab.hsm_key("aes", json!({ "kty": "oct-HSM" })).await;
    lab.local_role("pool", ENCRYPTION_USER, &who, "/keys/aes").await;
    assert_eq!(code(wrap(&cloud, &who, &KeyAt { name: "aes", ..KEK })), (400, "BadParameter"), "no RSA key");
    let policy = within(&cloud, |cx| vault_policy(cx, KEK.vault_uri)).unwrap();
    assert_eq!((policy.id, policy.purge_protection), (lab.pool_id("pool"), false));
    lab.arm("DELETE", &lab.pool_id("pool"), Value::Null).await;
    assert_eq!(code(wrap(&cloud, &who, &KEK)), (404, "VaultNotFound"));
    let log = cloud.cloud.audit(&lab.pool_id("pool")).unwrap();
    assert!(log.iter().any(|e| e["operationName"] == "KeyUnwrap" && e["identity"]["claim"]["oid"] == who.as_str()));
}

#[test]
fn urls_of_keys() {
    let rows = [
        ("https://v.vault.azure.net/keys/k", Some(("https://v.vault.azure.net", "k", None))),
        ("https://p.managedhsm.azure.net/keys/k/0a/", Some(("https://p.managedhsm.azure.net", "k", Some("0a")))),
        ("HTTPS://V.vault.azure.net/Keys/K/1", Some(("HTTPS://V.vault.azure.net", "K", Some("1")))),
        ("http://v.vault.azure.net/keys/k", None),
        ("https://v.vault.azure.net", None),
        ("https://v.vault.azure.net/keys", None),
        ("https://v.vault.azure.net/secrets/s", None),
        ("https://v.vault.azure.net/keys/k/1/2", None),
        ("grün", None),
    ];
    for (url, expected) in rows {
        let read = KeyAt::parse(url).map(|at| (at.vault_uri, at.name, at.version));
        assert_eq!(read, expected, "{url}");
    }
}
