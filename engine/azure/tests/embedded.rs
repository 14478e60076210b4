//! The client against the embedded Azure: it judges both. The same requests would do the same in Azure.

#![allow(clippy::unwrap_used, reason = "the helpers are tests, too")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sealbook_azure::{
    Account, Answer, Azure, AzureError, Content, Credential, HttpSend, Kind, Polled, RetryRules, Settings, Source,
    Transport, TransportError,
};
use sealbook_cloud::{Cloud, CloudConfig, Fault, FaultKind};
use sealbook_crypto::SecretBytes;
use serde_json::{Value, json};
use uuid::Uuid;

#[derive(Debug)]
struct Embedded(Cloud);

#[async_trait]
impl HttpSend for Embedded {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, TransportError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let lost = |dropped: sealbook_cloud::Dropped| TransportError::Lost { host, why: dropped.to_string() };
        self.0.handle(request).await.map_err(lost)
    }
}

/// A fresh cloud with the learner signed in.
struct Lab {
    cloud: Cloud,
    azure: Azure,
    me: Account,
    _dir: tempfile::TempDir,
}

impl Lab {
    async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let cloud = Cloud::open(CloudConfig::new(dir.path())).unwrap();
        let seed = cloud.seed().unwrap();
        let credential = Credential::Password {
            tenant: seed.tenant.clone(),
            user: seed.user.clone(),
            password: seed.password.clone(),
        };
        let azure = client(&cloud, credential);
        let me = azure.account().await.unwrap();
        Self { cloud, azure, me, _dir: dir }
    }

    fn id(&self, rest: &str) -> String {
        format!("/subscriptions/{}/resourceGroups/lab{rest}", self.me.subscription_id)
    }

    /// Polls to the end. Time in the cloud passes by decree, so nobody waits.
    async fn finish(&self, answer: Result<Answer, AzureError>) -> Result<Option<Value>, AzureError> {
        let mut follow = match answer? {
            Answer::Done(value) => return Ok(value),
            Answer::Accepted(follow) => follow,
        };
        for _ in 0..100 {
            self.cloud.advance(follow.delay()).unwrap();
            match self.azure.arm().poll(&follow).await? {
                Polled::Done(value) => return Ok(value),
                Polled::Pending(next) => follow = next,
            }
        }
        panic!("never finished: {follow:?}");
    }

    async fn put(&self, rest: &str, body: Value) -> Result<Value, AzureError> {
        Ok(self.finish(self.azure.arm().put(&self.id(rest), &body, None).await).await?.unwrap_or_default())
    }

    async fn assign(&self, scope: &str, role: &str, principal: &str, kind: &str) {
        let arm = self.azure.arm();
        let role_id = arm.role_definition_id(scope, role).await.unwrap();
        let name = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{scope}/{role}/{principal}").as_bytes());
        let id = format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{name}");
        let body =
            json!({"properties": {"roleDefinitionId": role_id, "principalId": principal, "principalType": kind}});
        self.finish(arm.put(&id, &body, None).await).await.unwrap();
    }

    async fn register(&self, namespace: &str) {
        let arm = self.azure.arm();
        let id = format!("/subscriptions/{}/providers/{namespace}", self.me.subscription_id);
        arm.post(&format!("{id}/register"), None, None).await.unwrap();
        for _ in 0..100 {
            if arm.get(&id, None).await.unwrap().unwrap()["registrationState"] == "Registered" {
                return;
            }
            self.cloud.advance(Duration::from_secs(5)).unwrap();
        }
        panic!("{namespace} never registered");
    }

    /// Makes the group, and in it a vault whose keys the learner may manage.
    async fn vault(&self, name: &str) -> String {
        self.put("", json!({"location": "westeurope", "tags": {"sealbook-run": "r"}})).await.unwrap();
        self.register("Microsoft.KeyVault").await;
        let rest = format!("/providers/Microsoft.KeyVault/vaults/{name}");
        let properties = json!({
            "tenantId": self.me.tenant, "sku": {"family": "A", "name": "premium"}, "enableRbacAuthorization": true,
            "enablePurgeProtection": true, "softDeleteRetentionInDays": 7, "accessPolicies": [],
        });
        let made = self.put(&rest, json!({"location": "westeurope", "properties": properties})).await.unwrap();
        assert_eq!(made["properties"]["vaultUri"], format!("https://{name}.vault.azure.net/"));
        self.id(&rest)
    }
}

fn client(cloud: &Cloud, credential: Credential) -> Azure {
    let retry = RetryRules { first_delay: Duration::from_millis(1), ..RetryRules::default() };
    let transport = Transport::Injected(Arc::new(Embedded(cloud.clone())));
    Azure::new(Settings { retry, ..Settings::new(credential, transport) }).unwrap()
}

/// A source that counts how much is asked of it at once.
struct Slow {
    size: usize,
    /// Whether it gives all that it promises.
    whole: bool,
    most: AtomicUsize,
}

#[async_trait]
impl Source for Slow {
    async fn read(&self, offset: u64, length: usize) -> std::io::Result<Bytes> {
        self.most.fetch_max(length, Ordering::SeqCst);
        let offset = usize::try_from(offset).unwrap();
        let length = if self.whole || offset == 0 { length } else { length / 2 };
        Ok((offset..(offset + length).min(self.size)).map(|at| (at % 241) as u8).collect::<Vec<_>>().into())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_learner_and_the_service_principal_sign_in() {
    let lab = Lab::open().await;
    let seed = lab.cloud.seed().unwrap();
    assert_eq!((&lab.me.tenant, &lab.me.subscription_id), (&seed.tenant, &seed.subscription));
    assert_eq!((&lab.me.principal_id, &lab.me.principal_name), (&seed.user_oid, &seed.user));
    assert_eq!((&lab.me.subscription_name, lab.me.principal_type.as_str()), (&seed.subscription_name, "User"));

    let robot = Credential::ClientSecret {
        tenant: seed.tenant.clone(),
        client_id: seed.client_id.clone(),
        secret: seed.client_secret.clone(),
    };
    let account = client(&lab.cloud, robot).account().await.unwrap();
    assert_eq!((account.principal_id, account.principal_type.as_str()), (seed.client_oid, "ServicePrincipal"));

    let stranger = Credential::Password { tenant: seed.tenant, user: seed.user, password: "not this one".into() };
    let error = client(&lab.cloud, stranger).account().await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (Kind::SignIn, "AADSTS50126"));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_rotated_and_used() {
    let lab = Lab::open().await;
    let vault = lab.vault("kv-client-keys").await;
    let (keys, key) = (lab.azure.keys(), "https://kv-client-keys.vault.azure.net/keys/cmk");

    // Owning a vault opens none of its keys, and a role takes its time to arrive.
    let parameters = json!({"kty": "RSA-HSM", "key_size": 2048, "tags": {"sealbook-op": "o"}});
    assert!(keys.create(key, &parameters).await.unwrap_err().is_role_missing());
    lab.assign(&vault, "Key Vault Crypto Officer", &lab.me.principal_id, "User").await;
    lab.cloud.advance(Duration::from_secs(600)).unwrap();

    let made = keys.create(key, &parameters).await.unwrap();
    assert_eq!(made["tags"]["sealbook-op"], "o");
    assert_eq!(keys.get(key).await.unwrap().unwrap()["key"]["kid"], made["key"]["kid"]);
    assert_eq!(keys.get("https://kv-client-keys.vault.azure.net/keys/none").await.unwrap(), None);

    let secret = SecretBytes::from(vec![7; 32]);
    let wrapped = keys.wrap(key, "RSA-OAEP-256", &secret).await.unwrap();
    assert_eq!(wrapped.len(), 256);
    let first = made["key"]["kid"].as_str().unwrap();
    lab.cloud.advance(Duration::from_secs(2)).unwrap();
    let rotated = keys.rotate(key).await.unwrap();
    let versions = keys.versions(key).await.unwrap();
    assert_eq!(versions.iter().map(|v| &v["kid"]).collect::<Vec<_>>(), [&made["key"]["kid"], &rotated["key"]["kid"]]);
    assert_eq!(keys.unwrap(first, "RSA-OAEP-256", &wrapped).await.unwrap().expose(), secret.expose());
    assert_eq!(keys.unwrap(first, "RSA-OAEP-256", &wrapped[1..]).await.unwrap_err().kind, Kind::BadRequest);

    let disabled = keys.update(key, &json!({"attributes": {"enabled": false}})).await.unwrap();
    assert_eq!(disabled["attributes"]["enabled"], false);
    assert_eq!(keys.wrap(key, "RSA-OAEP-256", &secret).await.unwrap_err().kind, Kind::Forbidden);

    let deleted = keys.delete(key).await.unwrap().unwrap();
    assert!(deleted["scheduledPurgeDate"].is_number());
    lab.cloud.advance(Duration::from_secs(60)).unwrap();
    assert_eq!(keys.get(key).await.unwrap(), None);
    assert_eq!(keys.delete(key).await.unwrap(), None);
    assert!(keys.deleted(key).await.unwrap().is_some());
    assert!(keys.create(key, &parameters).await.unwrap_err().has_code("ObjectIsDeletedButRecoverable"));
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_live_and_die_with_their_key() {
    let lab = Lab::open().await;
    let vault = lab.vault("kv-client-cmk").await;
    let (keys, key) = (lab.azure.keys(), "https://kv-client-cmk.vault.azure.net/keys/cmk");
    lab.assign(&vault, "Key Vault Crypto Officer", &lab.me.principal_id, "User").await;
    lab.cloud.advance(Duration::from_secs(600)).unwrap();
    keys.create(key, &json!({"kty": "RSA", "key_size": 2048})).await.unwrap();

    lab.register("Microsoft.Storage").await;
    let account = "/providers/Microsoft.Storage/storageAccounts/clientcmk1";
    let body = json!({
        "location": "westeurope", "kind": "StorageV2", "sku": {"name": "Standard_LRS"},
        "identity": {"type": "SystemAssigned"}, "properties": {},
    });
    let made = lab.put(account, body).await.unwrap();
    assert_eq!(made["properties"]["provisioningState"], "Succeeded");
    let identity = made["identity"]["principalId"].as_str().unwrap().to_owned();

    // The account's identity cannot use the key yet: the code says that a role is missing.
    let encryption = json!({"properties": {"encryption": {
        "keySource": "Microsoft.Keyvault", "services": {"blob": {"enabled": true}},
        "keyvaultproperties": {"keyname": "cmk", "keyvaulturi": "https://kv-client-cmk.vault.azure.net"},
    }}});
    let patch = || async { lab.finish(lab.azure.arm().patch(&lab.id(account), &encryption, None).await).await };
    let refused = patch().await.unwrap_err();
    assert!(refused.is_role_missing(), "{refused:?}");
    let key_id = format!("{vault}/keys/cmk");
    lab.assign(&key_id, "Key Vault Crypto Service Encryption User", &identity, "ServicePrincipal").await;
    lab.cloud.advance(Duration::from_secs(600)).unwrap();
    assert_eq!(patch().await.unwrap().unwrap()["properties"]["encryption"]["keySource"], "Microsoft.Keyvault");

    let (blobs, container) = (lab.azure.blobs(), "https://clientcmk1.blob.core.windows.net/data");
    let marks = BTreeMap::from([("sealbookrun".to_owned(), "r".to_owned())]);
    // Containers are a matter of control actions, which an owner has; blobs are data, which he has not.
    assert!(blobs.create_container(container, &marks).await.unwrap());
    let early = blobs.put(&format!("{container}/early"), Bytes::new(), "a/b", &marks).await.unwrap_err();
    assert!(early.is_role_missing(), "{early:?}");
    lab.assign(&lab.id(account), "Storage Blob Data Contributor", &lab.me.principal_id, "User").await;
    lab.cloud.advance(Duration::from_secs(600)).unwrap();
    assert!(!blobs.create_container(container, &marks).await.unwrap());
    assert_eq!(blobs.head(container).await.unwrap().unwrap()["metadata"]["sealbookrun"], "r");

    // Nothing, one request, several blocks; a name with folders.
    for (name, size) in [("empty", 0), ("a/b/small.bin", 1000), ("large.bin", (17 << 20) + 5)] {
        let uri = format!("{container}/{name}");
        let content: Bytes = (0..size).map(|at: usize| (at % 251) as u8).collect::<Vec<_>>().into();
        let put = blobs.put(&uri, content.clone(), "application/x-sealed", &marks).await.unwrap();
        let head = blobs.head(&uri).await.unwrap().unwrap();
        for field in ["uri", "bytes", "content_type", "metadata", "sha256", "etag"] {
            assert_eq!(put[field], head[field], "{name}: {field}");
        }
        assert!(blobs.get(&uri, content.len()).await.unwrap() == content, "{name}");
        assert!(blobs.put_new(&uri, content, "a/b", &marks).await.unwrap_err().has_code("BlobAlreadyExists"), "{name}");
    }

    // Read while it goes out: no more at once than a piece, and what ends early is no blob.
    for (name, whole) in [("streamed", true), ("short", false), ("tiny", true)] {
        let size = if name == "tiny" { 10 } else { (9 << 20) + 3 };
        let source = Arc::new(Slow { size, whole, most: AtomicUsize::new(0) });
        let expected: Bytes = (0..size).map(|at| (at % 241) as u8).collect::<Vec<_>>().into();
        let sha256 = sealbook_crypto::sha256(&expected).iter().map(|b| format!("{b:02x}")).collect::<String>();
        let uri = format!("{container}/{name}");
        let content = Content::of(Arc::clone(&source) as _, size as u64, &sha256);
        let put = blobs.put_new(&uri, content, "a/b", &marks).await;
        assert!(source.most.load(Ordering::SeqCst) <= 1 << 20, "{name}");
        if whole {
            assert_eq!(
                (&put.unwrap()["sha256"], blobs.get(&uri, size).await.unwrap() == expected),
                (&Value::from(sha256.as_str()), true)
            );
        } else {
            assert!(put.is_err() && blobs.head(&uri).await.unwrap().is_none());
        }
    }

    let small = format!("{container}/a/b/small.bin");
    let enable = |on: bool| json!({"attributes": {"enabled": on}});
    keys.update(key, &enable(false)).await.unwrap();
    let error = blobs.get(&small, 1000).await.unwrap_err();
    assert_eq!((error.status, error.code.as_str()), (403, "KeyVaultEncryptionKeyNotFound"));
    assert_eq!(blobs.head(&small).await.unwrap_err().code, "KeyVaultEncryptionKeyNotFound");
    keys.update(key, &enable(true)).await.unwrap();
    assert_eq!(blobs.get(&small, 1000).await.unwrap().len(), 1000);
    // What is larger than it may be is not read to its end.
    assert!(blobs.get(&small, 999).await.unwrap_err().has_code("BlobTooLarge"));

    assert!(blobs.delete(&small).await.unwrap());
    assert!(!blobs.delete(&small).await.unwrap());
    assert_eq!(blobs.head(&small).await.unwrap(), None);
    assert!(blobs.delete(container).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_listed_and_deleted_with_what_is_in_them() {
    let lab = Lab::open().await;
    let vault = lab.vault("kv-client-group").await;
    let arm = lab.azure.with_correlation(Uuid::from_u128(42)).arm();
    let inside = arm.list(&lab.id("/resources"), None).await.unwrap();
    assert!(inside.iter().any(|resource| resource["id"].as_str().unwrap().eq_ignore_ascii_case(&vault)));
    let assignments = format!("{vault}/providers/Microsoft.Authorization/roleAssignments");
    assert!(arm.list_where(&assignments, "atScope()", None).await.is_ok());
    assert_eq!(arm.get(&lab.id("/providers/Microsoft.KeyVault/vaults/none"), None).await.unwrap(), None);
    let name = json!({"name": "kv-client-group", "type": "Microsoft.KeyVault/vaults"});
    let check = format!("/subscriptions/{}/providers/Microsoft.KeyVault/checkNameAvailability", lab.me.subscription_id);
    assert_eq!(arm.query(&check, &name, None).await.unwrap()["nameAvailable"], false);

    let begun = arm.delete(&lab.id(""), None).await.unwrap();
    assert!(matches!(begun, Answer::Accepted(_)));
    lab.finish(Ok(begun)).await.unwrap();
    assert_eq!(arm.get(&lab.id(""), None).await.unwrap(), None);
    assert_eq!(arm.delete(&lab.id(""), None).await.unwrap(), Answer::Done(None));
    let correlation = Uuid::from_u128(42).to_string();
    assert!(lab.cloud.requests(0).unwrap().iter().any(|r| r.method == "DELETE" && r.correlation == correlation));
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_pass_or_leave_no_doubt() {
    let lab = Lab::open().await;
    let arm = lab.azure.arm();
    let group = json!({"location": "westeurope"});
    let strike = |kind, method: &str, times| {
        let fault = Fault {
            host: Some("management".into()),
            method: Some(method.into()),
            times: Some(times),
            ..Fault::once(kind)
        };
        lab.cloud.fault(&fault).unwrap();
    };
    // Reads do not notice, and neither do writes that were refused.
    for kind in
        [FaultKind::Throttle { retry_after: 0 }, FaultKind::ServerError, FaultKind::DropBefore, FaultKind::DropAfter]
    {
        strike(kind, "GET", 2);
        assert_eq!(arm.get(&lab.id(""), None).await.unwrap(), None);
    }
    strike(FaultKind::Throttle { retry_after: 0 }, "PUT", 2);
    lab.put("", group.clone()).await.unwrap();

    // Writes that may have happened come back as such, whether they did or not.
    for kind in [FaultKind::DropBefore, FaultKind::DropAfter, FaultKind::ServerError] {
        let before = lab.cloud.requests(0).unwrap().iter().filter(|request| request.method == "PUT").count();
        strike(kind, "PUT", 1);
        let error = arm.put(&lab.id(""), &group, None).await.unwrap_err();
        assert!(error.outcome_unknown() && error.is_transient(), "{error:?}");
        let after = lab.cloud.requests(0).unwrap().iter().filter(|request| request.method == "PUT").count();
        assert_eq!(after, before + 1, "sent once");
    }
    assert!(lab.cloud.faults().unwrap().is_empty());
}
