//! A confidential VM of the embedded Azure: its evidence, its token, the key that is released to it, and to it alone.

#![allow(clippy::unwrap_used, reason = "the helpers are tests, too")]

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use sealbook_attestation::{Roots, document};
use sealbook_azure::{
    Account, Answer, Azure, Credential, HttpSend, Polled, RetryRules, Settings, Transport, TransportError,
};
use sealbook_cloud::{Cloud, CloudConfig, Tee as Chip};
use sealbook_crypto::SigningKey;
use sealbook_crypto::rsa::{RsaAesWrap, RsaKey};
use sealbook_engine::guest::protocol::{Export, Job, MAIL_MAX, Mailbox, Reply, Signed, VERSION};
use sealbook_engine::tee::{Attested, Tee as _};
use sealbook_guest::Release;
use sealbook_guest::agent::{self, AgentSettings};
use sealbook_guest::hardware::Hardware;
use sealbook_model::id::{Digest, RunId};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const PROVIDER: &str = "https://sharedweu.weu.attest.azure.net";

/// Requests that come from outside, or from a machine.
#[derive(Debug)]
struct From {
    cloud: Cloud,
    machine: Option<String>,
}

#[async_trait]
impl HttpSend for From {
    async fn send(&self, mut request: http::Request<Bytes>) -> Result<http::Response<Bytes>, TransportError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        if let Some(id) = &self.machine {
            request.extensions_mut().insert(self.cloud.machine(id).unwrap().unwrap());
        }
        let lost = |dropped: sealbook_cloud::Dropped| TransportError::Lost { host, why: dropped.to_string() };
        self.cloud.handle(request).await.map_err(lost)
    }
}

/// The machine's TPM, without a door in between.
struct Socket(Chip);

impl Hardware for Socket {
    fn transmit(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        Ok(self.0.transmit(command))
    }

    fn event_log(&mut self) -> io::Result<Vec<u8>> {
        self.0.event_log().map_err(io::Error::other)
    }
}

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

fn client(cloud: &Cloud, credential: Credential, machine: Option<String>) -> Azure {
    let retry = RetryRules { first_delay: Duration::from_millis(1), ..RetryRules::default() };
    let transport = Transport::Injected(Arc::new(From { cloud: cloud.clone(), machine }));
    Azure::new(Settings { retry, ..Settings::new(credential, transport) }).unwrap()
}

struct Lab {
    cloud: Cloud,
    azure: Azure,
    me: Account,
    _dir: tempfile::TempDir,
}

/// A confidential VM, as what runs in it sees the world.
struct Guest {
    azure: Azure,
    release: Release,
    id: String,
    principal: String,
}

impl Lab {
    async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let cloud = Cloud::open(CloudConfig::new(dir.path())).unwrap();
        cloud.set_role_delay(Duration::ZERO).unwrap();
        let seed = cloud.seed().unwrap();
        let (tenant, user, password) = (seed.tenant.clone(), seed.user.clone(), seed.password.clone());
        let azure = client(&cloud, Credential::Password { tenant, user, password }, None);
        let me = azure.account().await.unwrap();
        let lab = Self { cloud, azure, me, _dir: dir };
        for namespace in ["Microsoft.KeyVault", "Microsoft.Network", "Microsoft.Compute", "Microsoft.Attestation"] {
            let id = format!("/subscriptions/{}/providers/{namespace}/register", lab.me.subscription_id);
            lab.azure.arm().post(&id, None, None).await.unwrap();
        }
        lab.cloud.advance(Duration::from_secs(60)).unwrap();
        lab.put("", json!({ "location": "westeurope" })).await;
        lab.put(
            "/providers/Microsoft.Network/virtualNetworks/net",
            json!({ "location": "westeurope", "properties": {
                "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] },
                "subnets": [{ "name": "a", "properties": { "addressPrefix": "10.0.0.0/24" } }],
            } }),
        )
        .await;
        lab
    }

    fn id(&self, rest: &str) -> String {
        format!("/subscriptions/{}/resourceGroups/lab{rest}", self.me.subscription_id)
    }

    async fn finish(&self, answer: Answer) -> Value {
        let mut follow = match answer {
            Answer::Done(value) => return value.unwrap_or_default(),
            Answer::Accepted(follow) => follow,
        };
        loop {
            self.cloud.advance(follow.delay()).unwrap();
            match self.azure.arm().poll(&follow).await.unwrap() {
                Polled::Done(value) => return value.unwrap_or_default(),
                Polled::Pending(next) => follow = next,
            }
        }
    }

    async fn put(&self, rest: &str, body: Value) -> Value {
        self.finish(self.azure.arm().put(&self.id(rest), &body, None).await.unwrap()).await
    }

    async fn post(&self, id: &str) {
        self.finish(self.azure.arm().post(id, None, None).await.unwrap()).await;
    }

    async fn assign(&self, scope: &str, role: &str, principal: &str, kind: &str) {
        let arm = self.azure.arm();
        let role_id = arm.role_definition_id(scope, role).await.unwrap();
        let name = Uuid::new_v4();
        let id = format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{name}");
        let body =
            json!({ "properties": { "roleDefinitionId": role_id, "principalId": principal, "principalType": kind } });
        self.finish(arm.put(&id, &body, None).await.unwrap()).await;
    }

    /// A key that is released to confidential VMs, and its id in Resource Manager.
    async fn key(&self) -> (String, String) {
        let properties = json!({
            "tenantId": self.me.tenant, "sku": { "family": "A", "name": "premium" }, "enableRbacAuthorization": true,
            "softDeleteRetentionInDays": 7, "accessPolicies": [],
        });
        let rest = "/providers/Microsoft.KeyVault/vaults/guest-vault";
        let vault = self.put(rest, json!({ "location": "westeurope", "properties": properties })).await;
        self.assign(&self.id(rest), "Key Vault Crypto Officer", &self.me.principal_id, "User").await;
        let condition =
            |claim: &str, value: &str| json!({ "claim": format!("x-ms-isolation-tee.{claim}"), "equals": value });
        let policy = json!({ "version": "1.0.0", "anyOf": [{ "authority": PROVIDER, "allOf": [
            condition("x-ms-attestation-type", "sevsnpvm"),
            condition("x-ms-compliance-status", "azure-compliant-cvm"),
        ] }] });
        let parameters = json!({
            "kty": "RSA-HSM", "key_size": 2048, "attributes": { "exportable": true },
            "key_ops": ["wrapKey", "unwrapKey", "encrypt", "decrypt"],
            "release_policy": { "data": URL_SAFE_NO_PAD.encode(policy.to_string()), "immutable": true },
        });
        let uri = format!("{}keys/kek", vault["properties"]["vaultUri"].as_str().unwrap());
        self.azure.keys().create(&uri, &parameters).await.unwrap();
        (uri, format!("{}/keys/kek", self.id(rest)))
    }

    /// A confidential VM; `secure_boot` decides what it measures.
    async fn guest(&self, name: &str, secure_boot: bool) -> Guest {
        let subnet = self.id("/providers/Microsoft.Network/virtualNetworks/net/subnets/a");
        let nic = format!("/providers/Microsoft.Network/networkInterfaces/{name}");
        let configuration = json!([{ "name": "one", "properties": { "subnet": { "id": subnet } } }]);
        self.put(&nic, json!({ "location": "westeurope", "properties": { "ipConfigurations": configuration } })).await;
        let state = if secure_boot { "DiskWithVMGuestState" } else { "VMGuestStateOnly" };
        let rest = format!("/providers/Microsoft.Compute/virtualMachines/{name}");
        let image = json!({ "publisher": "Canonical", "offer": "0001-com-ubuntu-confidential-vm-jammy", "sku": "22_04-lts-cvm", "version": "latest" });
        let body = json!({ "location": "westeurope", "identity": { "type": "SystemAssigned" }, "properties": {
            "hardwareProfile": { "vmSize": "Standard_DC2as_v5" },
            "storageProfile": { "imageReference": image, "osDisk": {
                "name": format!("{name}-os"), "createOption": "FromImage",
                "managedDisk": { "storageAccountType": "StandardSSD_LRS", "securityProfile": { "securityEncryptionType": state } },
            } },
            "osProfile": { "computerName": name, "adminUsername": "learner", "adminPassword": "Never-used-1234" },
            "networkProfile": { "networkInterfaces": [{ "id": self.id(&nic) }] },
            "securityProfile": { "securityType": "ConfidentialVM", "uefiSettings": { "secureBootEnabled": secure_boot, "vTpmEnabled": true } },
        } });
        let made = self.put(&rest, body).await;
        let (id, principal) = (self.id(&rest), made["identity"]["principalId"].as_str().unwrap().to_owned());
        let credential = Credential::ManagedIdentity { client_id: None };
        let azure = client(&self.cloud, credential, Some(id.clone()));
        let (cloud, machine) = (self.cloud.clone(), id.clone());
        let open = move || {
            let chip = Chip::open(&cloud, &machine).map_err(io::Error::other)?;
            Ok(Box::new(Socket(chip)) as Box<dyn Hardware>)
        };
        let release = Release::new(Arc::new(open), self.roots(), now);
        Guest { azure, release, id, principal }
    }

    fn roots(&self) -> Roots {
        Roots::from_pem(&self.cloud.test_roots().unwrap()).unwrap()
    }
}

impl Guest {
    async fn attest(&self, user_data: [u8; 64]) -> Attested {
        self.release.attest(&self.azure, PROVIDER, user_data).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_released_to_the_machine_that_was_attested_and_to_no_other() {
    let lab = Lab::open().await;
    let (key, key_id) = lab.key().await;
    let guest = lab.guest("one", true).await;
    let mut user_data = [0; 64];
    user_data[..5].copy_from_slice(b"step!");
    let attested = guest.attest(user_data).await;
    let tee = &attested.claims["x-ms-isolation-tee"];
    assert_eq!(tee["x-ms-runtime"]["user-data"].as_str().map(str::to_lowercase), Some(hex::encode(user_data)));

    // Anybody can verify it again under the right roots, and nobody under others.
    let rules = json!({ "secure_boot": true, "user_data": hex::encode(user_data) });
    let verdict = document::verify(&attested.document, &rules, &lab.roots(), now());
    assert!(verdict.passed(), "{:#?}", verdict.deciding());
    let real = document::verify(&attested.document, &rules, &Roots::builtin(), now());
    assert_eq!(real.deciding().map(|check| check.name.as_str()), Some("snp.root"));
    let other = document::verify(&attested.document, &json!({ "user_data": "00".repeat(64) }), &lab.roots(), now());
    assert_eq!(other.deciding().map(|check| check.name.as_str()), Some("hcl.user_data"));

    // Without the role it is refused, whatever the token says.
    let refused = guest.release.release(&guest.azure, &key, &attested, RsaAesWrap::Sha256).await.unwrap_err();
    assert_eq!(refused.azure.as_ref().map(|cause| (cause.status, &*cause.code)), Some((403, "ForbiddenByRbac")));
    lab.assign(&key_id, "Key Vault Crypto Service Release User", &guest.principal, "ServicePrincipal").await;
    let n = lab.azure.keys().get(&key).await.unwrap().unwrap()["key"]["n"].as_str().unwrap().to_owned();
    for wrap in RsaAesWrap::ALL {
        let released = guest.release.release(&guest.azure, &key, &attested, wrap).await.unwrap();
        let pair = RsaKey::from_pkcs8(released.key.expose()).unwrap();
        assert_eq!(URL_SAFE_NO_PAD.encode(pair.public().n), n, "{}", wrap.name());
    }

    // A thief with the token, and even with the role, can't open what comes.
    let thief = lab.guest("two", true).await;
    lab.assign(&key_id, "Key Vault Crypto Service Release User", &thief.principal, "ServicePrincipal").await;
    let stolen = thief.release.release(&thief.azure, &key, &attested, RsaAesWrap::Sha256).await.unwrap_err();
    assert!(stolen.error.to_string().contains("another machine's"), "{stolen}");

    // After a restart the machine itself has to be attested again.
    lab.post(&format!("{}/restart", guest.id)).await;
    let stale = guest.release.release(&guest.azure, &key, &attested, RsaAesWrap::Sha256).await.unwrap_err();
    assert!(stale.error.to_string().contains("before this one was restarted"), "{stale}");
    let fresh = guest.attest(user_data).await;
    guest.release.release(&guest.azure, &key, &fresh, RsaAesWrap::Sha256).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_takes_jobs_from_its_run_alone_and_none_twice() {
    let lab = Lab::open().await;
    lab.post(&format!("/subscriptions/{}/providers/Microsoft.Storage/register", lab.me.subscription_id)).await;
    lab.cloud.advance(Duration::from_secs(60)).unwrap();
    let account = "/providers/Microsoft.Storage/storageAccounts/agentmail7";
    let body =
        json!({ "location": "westeurope", "sku": { "name": "Standard_LRS" }, "kind": "StorageV2", "properties": {} });
    lab.put(account, body).await;
    let guest = lab.guest("cvm", true).await;
    let role = "Storage Blob Data Contributor";
    lab.assign(&lab.id(account), role, &lab.me.principal_id, "User").await;
    lab.assign(&lab.id(account), role, &guest.principal, "ServicePrincipal").await;
    let container = "https://agentmail7.blob.core.windows.net/guest";
    let blobs = lab.azure.blobs();
    blobs.create_container(container, &BTreeMap::new()).await.unwrap();

    let run: RunId = "abc234".parse().unwrap();
    let mailbox = Mailbox::of(container, &run);
    let (host, stranger, agent) = (SigningKey::generate(), SigningKey::generate(), SigningKey::generate());
    let agent_key = agent.public();
    let cancel = CancellationToken::new();
    let serving = tokio::spawn(agent::serve(
        AgentSettings {
            azure: guest.azure.clone(),
            agent: "one".into(),
            mailbox: mailbox.clone(),
            signer: host.public().to_vec(),
            signing: agent,
            tee: Arc::new(guest.release),
            judge: Arc::new(|_, _| sealbook_attestation::Verdict::default()),
        },
        || (),
        cancel.clone(),
    ));

    let job = |id: &str| Job {
        version: VERSION,
        id: id.into(),
        agent: "one".into(),
        run: run.clone(),
        step: "step".parse().unwrap(),
        generation: 0,
        component: Digest::of(b"there is none"),
        record: Digest::of(b"head"),
        inputs: json!({}),
        adopt: false,
        asks: Vec::new(),
        grants: Vec::new(),
        cloud: sealbook_model::CloudName::Embedded,
        subscriptions: None,
        export: Export::Check,
    };
    let put = async |bytes: Vec<u8>| {
        blobs.put(&mailbox.job(), bytes::Bytes::from(bytes), "application/json", &BTreeMap::new()).await.unwrap();
    };
    // What the agent has read since a request, as often as it takes to be sure that it saw what lies there.
    let seen = async || {
        let from = lab.cloud.requests(0).unwrap().last().map_or(0, |last| last.id);
        let read = || {
            let all = lab.cloud.requests(from).unwrap();
            all.iter().filter(|r| r.method == "GET" && r.path.ends_with("/job.json")).count()
        };
        while read() < 3 {
            tokio::task::yield_now().await;
        }
    };
    let reply = async || -> Option<Reply> {
        let bytes = blobs.get(&mailbox.reply(), MAIL_MAX).await.ok()?;
        Some(Signed::open(&bytes, &agent_key).expect("every reply is signed by the agent"))
    };

    for forged in [
        serde_json::to_vec(&job("unsigned")).unwrap(),
        serde_json::to_vec(&Signed::by(&stranger, &job("a stranger's")).unwrap()).unwrap(),
        b"{}".to_vec(),
    ] {
        put(forged).await;
        seen().await;
        assert!(reply().await.is_none(), "nobody but the run gives orders");
    }
    let genuine = serde_json::to_vec(&Signed::by(&host, &job("genuine")).unwrap()).unwrap();
    put(genuine.clone()).await;
    let answered = loop {
        match reply().await {
            Some(reply) if !matches!(reply.answer, sealbook_engine::guest::protocol::Answer::Working) => break reply,
            _ => tokio::task::yield_now().await,
        }
    };
    assert_eq!(answered.id, "genuine");
    // Put back, it is not done again.
    blobs.delete(&mailbox.reply()).await.unwrap();
    put(genuine).await;
    seen().await;
    assert!(reply().await.is_none(), "a job is done once");
    cancel.cancel();
    serving.await.unwrap().unwrap();
}
