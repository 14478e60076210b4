//! The door of a machine against the real cloud.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, Response};
use sealbook_crypto::SecretString;
use serde_json::{Value, json};

use super::MachineDoor;
use super::client::Door;
use crate::Machine;
use crate::compute::kit::{self, Lab};
use crate::testing;

const TOKEN: &str = "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=\
                     https%3A%2F%2Fvault.azure.net";
const INSTANCE: &str = "http://169.254.169.254/metadata/instance";

/// A machine with a system-assigned identity; its principal.
async fn machine(lab: &Lab<'_>, name: &str) -> (Machine, String) {
    let nic = lab.nic(&format!("{name}-nic")).await;
    let mut body = kit::confidential(&nic);
    body["identity"] = json!({ "type": "SystemAssigned" });
    body["tags"] = json!({ "a": "1" });
    let made = lab.vm("PUT", name, body).await;
    assert_eq!(made.status, 201, "{made:?}");
    lab.cloud.advance(2);
    now(lab, name, 1).await
}

async fn now(lab: &Lab<'_>, name: &str, boot: u64) -> (Machine, String) {
    let shown = lab.shown(name).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let machine = Machine { id: text(&shown["id"]), vm_id: text(&shown["properties"]["vmId"]), boot };
    (machine, text(&shown["identity"]["principalId"]))
}

struct Process {
    door: MachineDoor,
    client: Door,
}

impl Process {
    async fn of(lab: &Lab<'_>, machine: Machine) -> Self {
        let door = MachineDoor::open(lab.cloud.cloud.clone(), machine).await.unwrap();
        let client = Door::at(door.port(), 1, door.secret()).unwrap();
        Self { door, client }
    }

    async fn ask(&self, method: &str, url: &str, headers: &[(&str, &str)]) -> Response<Bytes> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.client.send(request.body(Bytes::new()).unwrap()).await.unwrap()
    }

    async fn imds(&self, url: &str) -> (u16, String) {
        let answer = self.ask("GET", url, &[("metadata", "true")]).await;
        (answer.status().as_u16(), String::from_utf8(answer.body().to_vec()).unwrap())
    }

    /// Object id in a token for this machine's identity.
    async fn who(&self, more: &str) -> Result<String, String> {
        let (status, body) = self.imds(&format!("{TOKEN}{more}")).await;
        if status != 200 {
            return Err(body);
        }
        let body: Value = serde_json::from_str(&body).unwrap();
        let claims = body["access_token"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        Ok(claims["oid"].as_str().unwrap().to_owned())
    }

    /// Whether everything is answered as to a machine that is off.
    async fn is_off(&self) -> bool {
        let mut off = Vec::new();
        for url in [
            TOKEN,
            INSTANCE,
            "http://vtpm.internal/",
            "https://management.azure.com/",
            "https://a.vault.azure.net/keys",
        ] {
            let answer = self.ask("GET", url, &[("metadata", "true")]).await;
            off.push(answer.status() == 410 && answer.headers().get("x-sealbook-machine").is_some_and(|v| v == "off"));
        }
        assert!(off.iter().all(|one| *one == off[0]), "{off:?}");
        off[0]
    }
}

#[tokio::test]
async fn a_machine_is_itself_and_nobody_else() {
    let cloud = testing::cloud();
    let lab = kit::lab(&cloud).await;
    let (one, mine) = machine(&lab, "one").await;
    let (_, other) = machine(&lab, "two").await;
    let process = Process::of(&lab, one.clone()).await;
    assert_eq!(process.who("").await.as_ref(), Ok(&mine));
    for claim in
        [format!("&object_id={other}"), format!("&msi_res_id={}", lab.id("Microsoft.Compute/virtualMachines/two"))]
    {
        assert!(process.who(&claim).await.unwrap_err().contains("Identity not found"), "{claim}");
    }
    // Identities may change while the machine runs.
    let register = format!("{}/providers/Microsoft.ManagedIdentity/register", cloud.subscription());
    lab.me.arm("POST", &format!("{register}?api-version=2021-04-01"), Value::Null).await;
    cloud.advance(2);
    let put = json!({ "location": "westeurope" });
    let url = format!("{}?api-version=2023-01-31", lab.id("Microsoft.ManagedIdentity/userAssignedIdentities/late"));
    assert_eq!(lab.me.arm("PUT", &url, put).await.status, 201);
    let late = lab.me.arm("GET", &url, Value::Null).await.body;
    let late_oid = late["properties"]["principalId"].as_str().unwrap();
    assert!(process.who(&format!("&object_id={late_oid}")).await.is_err());
    let id = late["id"].as_str().unwrap();
    let identity = json!({ "type": "SystemAssigned, UserAssigned", "userAssignedIdentities": { id: {} } });
    assert_eq!(lab.vm("PATCH", "one", json!({ "identity": identity })).await.status, 200);
    cloud.advance(2);
    assert_eq!(process.who(&format!("&object_id={late_oid}")).await, Ok(late_oid.to_owned()));
    // What a client writes into its request says nothing.
    let forged = [("metadata", "true"), ("x-sealbook-machine", "two"), ("host", "169.254.169.254")];
    let answer = process.ask("GET", &format!("{TOKEN}&object_id={other}"), &forged).await;
    assert_eq!(answer.status(), 400);
}

#[tokio::test]
async fn a_machine_reads_about_itself() {
    let cloud = testing::cloud();
    let lab = kit::lab(&cloud).await;
    let (one, _) = machine(&lab, "one").await;
    let process = Process::of(&lab, one.clone()).await;
    let version = "api-version=2021-12-13";
    let (status, body) = process.imds(&format!("{INSTANCE}?{version}")).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    let compute = &body["compute"];
    let shown =
        ["vmId", "name", "resourceGroupName", "subscriptionId", "location", "vmSize", "resourceId", "tags", "osType"]
            .map(|member| compute[member].as_str().unwrap());
    let subscription = cloud.seed.subscription.as_str();
    let size = "Standard_DC2as_v5";
    assert_eq!(
        shown,
        [&one.vm_id, "one", "lab", subscription, "westeurope", size, &one.id, "a:1", "Linux"],
        "{status}"
    );
    assert_eq!(
        compute["securityProfile"],
        json!({ "encryptionAtHost": "false", "secureBootEnabled": "true", "securityType": "ConfidentialVM", "virtualTpmEnabled": "true" })
    );
    let network = &body["network"]["interface"][0];
    assert_eq!(network["ipv4"]["subnet"], json!([{ "address": "10.0.0.0", "prefix": "24" }]), "{network}");
    assert_eq!(network["macAddress"].as_str().map(str::len), Some(12));
    assert!(!body.to_string().contains("Correct-Horse-1"));
    for (path, status, expected) in [
        (format!("/compute/vmId?{version}&format=text"), 200, one.vm_id.as_str()),
        (format!("/compute/securityProfile?{version}"), 200, "ConfidentialVM"),
        (format!("/compute/vmId?{version}"), 400, "format"),
        (format!("/compute?{version}&format=text"), 400, "format"),
        (format!("/compute/none?{version}"), 404, "Not found"),
        (String::new(), 400, "api-version"),
    ] {
        let (given, body) = process.imds(&format!("{INSTANCE}{path}")).await;
        assert_eq!(given, status, "{path}: {body}");
        assert!(body.contains(expected), "{path}: {body}");
    }
    // Nobody else has such a document.
    let desk = cloud.anonymous();
    let headers = [("metadata", "true")];
    assert_eq!(desk.raw("GET", &format!("{INSTANCE}?{version}"), &headers, Bytes::new()).await.unwrap().status, 404);
    // And nobody else reaches a TPM.
    assert_eq!(desk.raw("POST", "http://vtpm.internal/", &[], Bytes::new()).await.unwrap().status, 421);
}

#[tokio::test]
async fn the_door_opens_to_its_machine_alone() {
    let cloud = testing::cloud();
    let lab = kit::lab(&cloud).await;
    let (one, _) = machine(&lab, "one").await;
    let process = Process::of(&lab, one).await;
    let metadata: &[(&str, &str)] = &[("metadata", "true")];
    for (method, url, headers, status) in [
        ("GET", TOKEN, &[][..], 400),
        ("GET", TOKEN, &[("metadata", "true"), ("x-forwarded-for", "10.0.0.4")][..], 400),
        // A TPM answers in its own words, also what is no command.
        ("POST", "http://vtpm.internal/", &[][..], 200),
        ("GET", "http://vtpm.internal/elsewhere", &[][..], 404),
        ("POST", "https://vtpm.internal/", &[][..], 403),
        ("GET", "https://example.com/", metadata, 403),
        ("GET", "http://management.azure.com/", metadata, 403),
        ("GET", "https://management.azure.com/subscriptions?api-version=2022-12-01", metadata, 401),
    ] {
        assert_eq!(process.ask(method, url, headers).await.status(), status, "{method} {url}");
    }
    let guess = Door::at(process.door.port(), 1, &SecretString::from("guess".to_owned())).unwrap();
    let request = Request::get(TOKEN).header("metadata", "true").body(Bytes::new()).unwrap();
    assert_eq!(guess.send(request).await.unwrap().status(), 401);
    assert!(!format!("{:?}", process.door).contains(process.door.secret().expose()));
}

#[tokio::test]
async fn a_machine_that_is_off_gets_no_answer() {
    let cloud = testing::cloud();
    let lab = kit::lab(&cloud).await;
    let (one, mine) = machine(&lab, "one").await;
    let first = Process::of(&lab, one.clone()).await;
    let act = async |action: &str| {
        let reply = lab.vm("POST", &format!("one/{action}"), Value::Null).await;
        assert_eq!(reply.status, 202, "{action}: {reply:?}");
        cloud.advance(2);
    };
    assert!(!first.is_off().await);
    act("restart").await;
    assert!(first.is_off().await);
    let second = Process::of(&lab, Machine { boot: 2, ..one.clone() }).await;
    assert_eq!(second.who("").await.as_ref(), Ok(&mine));
    act("deallocate").await;
    assert!(second.is_off().await);
    act("start").await;
    assert!(second.is_off().await);
    let third = Process::of(&lab, Machine { boot: 3, ..one.clone() }).await;
    act("powerOff").await;
    assert!(third.is_off().await);
    // A machine of the same name is another machine, though it was booted as often.
    lab.vm("DELETE", "one", Value::Null).await;
    cloud.advance(2);
    assert!(first.is_off().await && third.is_off().await);
    let nic = lab.id("Microsoft.Network/networkInterfaces/one-nic");
    assert_eq!(lab.vm("PUT", "one", kit::confidential(&nic)).await.status, 201);
    cloud.advance(2);
    assert!(first.is_off().await);
}
