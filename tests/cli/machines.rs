//! Virtual machines of the embedded Azure as processes: what they inherit, what they can reach, when they end.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use sealbook_cloud::front::Endpoint;
use sealbook_cloud::front::client::Door;
use sealbook_cloud::{Cloud, Seed};
use sealbook_engine::guest::{SCRIPT, stdout};
use serde_json::{Value, json};

use crate::support::processes::{children, gone, kill, stat, until};
use crate::support::{Lab, Served};

const ARM: &str = "https://management.azure.com";
const MAILBOX: &str = "https://lab1.blob.core.windows.net/mail/run";

/// A served embedded Azure with a confidential machine, and a signed-in person's requests.
struct Site {
    lab: Lab,
    served: Served,
    cloud: Cloud,
    seed: Seed,
    door: Door,
    token: String,
    runtime: tokio::runtime::Runtime,
}

impl Site {
    fn new(identity: bool) -> Self {
        let lab = Lab::empty();
        let served = lab.serve();
        let cloud = lab.cloud();
        let seed = cloud.seed().unwrap();
        let door = Door::new(&Endpoint::find(&lab.home().join("cloud")).unwrap().unwrap()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut site = Self { lab, served, cloud, seed, door, token: String::new(), runtime };
        site.token = site.sign_in();
        site.make(identity);
        site
    }

    fn send(&self, method: &str, url: &str, kind: &str, body: String) -> (u16, Value, http::HeaderMap) {
        let request = Request::builder()
            .method(method)
            .uri(url)
            .header("content-type", kind)
            .header("authorization", format!("Bearer {}", self.token))
            .body(Bytes::from(body))
            .unwrap();
        let answer = self.runtime.block_on(self.door.send(request)).unwrap();
        let body = serde_json::from_slice(answer.body()).unwrap_or_default();
        (answer.status().as_u16(), body, answer.headers().clone())
    }

    fn sign_in(&self) -> String {
        let encode = |text: &str| text.replace('%', "%25").replace('&', "%26").replace('+', "%2B").replace('@', "%40");
        let form = format!(
            "grant_type=password&client_id=04b07795-8ddb-461a-bbee-02f9e1bf7b46&username={}&password={}&scope={ARM}/.default",
            encode(&self.seed.user),
            encode(self.seed.password.expose()),
        );
        let url = format!("https://login.microsoftonline.com/{}/oauth2/v2.0/token", self.seed.tenant);
        let (status, body, _) = self.send("POST", &url, "application/x-www-form-urlencoded", form);
        assert_eq!(status, 200, "{body}");
        body["access_token"].as_str().unwrap().to_owned()
    }

    /// Sends a request to Azure Resource Manager and lets what it starts be done.
    #[track_caller]
    fn arm(&self, method: &str, path: &str, version: &str, body: Value) -> Value {
        let url = format!("{ARM}{path}?api-version={version}");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, body, _) = self.send(method, &url, "application/json", body);
        assert!(status < 300, "{method} {path}: {status} {body}");
        self.cloud.advance(Duration::from_secs(2)).unwrap();
        body
    }

    fn group(&self) -> String {
        format!("/subscriptions/{}/resourceGroups/lab", self.seed.subscription)
    }

    fn vm(&self, action: &str) -> String {
        format!("{}/providers/Microsoft.Compute/virtualMachines/vm{action}", self.group())
    }

    fn make(&self, identity: bool) {
        let subscription = format!("/subscriptions/{}", self.seed.subscription);
        for namespace in ["Microsoft.Network", "Microsoft.Compute"] {
            let path = format!("{subscription}/providers/{namespace}/register");
            self.arm("POST", &path, "2021-04-01", Value::Null);
        }
        self.arm("PUT", &self.group(), "2024-11-01", json!({ "location": "westeurope" }));
        let network = format!("{}/providers/Microsoft.Network", self.group());
        let version = "2024-07-01";
        let body = json!({ "location": "westeurope", "properties": {
            "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] },
            "subnets": [{ "name": "a", "properties": { "addressPrefix": "10.0.0.0/24" } }],
        } });
        self.arm("PUT", &format!("{network}/virtualNetworks/net"), version, body);
        let subnet = format!("{network}/virtualNetworks/net/subnets/a");
        let body = json!({ "location": "westeurope", "properties": { "ipConfigurations": [
            { "name": "one", "properties": { "subnet": { "id": subnet } } },
        ] } });
        let nic = format!("{network}/networkInterfaces/nic");
        self.arm("PUT", &nic, version, body);
        let mut body = json!({ "location": "westeurope", "properties": {
            "hardwareProfile": { "vmSize": "Standard_DC2as_v5" },
            "storageProfile": {
                "imageReference": {
                    "publisher": "Canonical", "offer": "ubuntu-24_04-lts", "sku": "cvm", "version": "latest",
                },
                "osDisk": { "createOption": "fromImage", "managedDisk": {
                    "securityProfile": { "securityEncryptionType": "DiskWithVMGuestState" },
                } },
            },
            "securityProfile": {
                "securityType": "ConfidentialVM",
                "uefiSettings": { "secureBootEnabled": true, "vTpmEnabled": true },
            },
            "osProfile": { "computerName": "vm", "adminUsername": "azureuser", "adminPassword": "Correct-Horse-1" },
            "networkProfile": { "networkInterfaces": [{ "id": nic }] },
        } });
        if identity {
            body["identity"] = json!({ "type": "SystemAssigned" });
        }
        self.arm("PUT", &self.vm(""), version, body);
    }

    /// Runs the agent's script; its result document.
    fn run_command(&self) -> Value {
        let body = json!({
            "commandId": "RunShellScript",
            "script": SCRIPT,
            "parameters": [
                { "name": "mailbox", "value": MAILBOX },
                { "name": "digest", "value": "0f".repeat(32) },
                { "name": "signer", "value": "0f".repeat(32) },
            ],
        });
        let url = format!("{ARM}{}?api-version=2024-07-01", self.vm("/runCommand"));
        let (status, body, headers) = self.send("POST", &url, "application/json", body.to_string());
        assert_eq!(status, 202, "{body}");
        let url = headers["azure-asyncoperation"].to_str().unwrap().to_owned();
        until("the script's end", || {
            let (_, body, _) = self.send("GET", &url, "application/json", String::new());
            (body["status"] != "InProgress").then_some(body)
        })
    }

    /// Starts the agent; what it says of itself.
    #[track_caller]
    fn start_agent(&self) -> Value {
        let done = self.run_command();
        let said = stdout(&done["properties"]["output"]).unwrap_or_else(|| panic!("{done}"));
        serde_json::from_str(said.trim()).unwrap()
    }

    /// The machine's process, which the server started.
    fn process(&self) -> Option<u32> {
        children(self.served.id()).into_iter().find(|pid| arguments(*pid).contains(&"guest".to_owned()))
    }

    /// The machine's folder.
    fn folder(&self) -> Option<PathBuf> {
        let mut folders = fs::read_dir(self.lab.home().join("cloud/machines")).ok()?.map(|entry| entry.unwrap().path());
        folders.next()
    }
}

fn arguments(pid: u32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.split_terminator('\0').map(str::to_owned).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_machine_is_a_process_that_inherits_nothing() {
    let site = Site::new(true);
    let agent = site.start_agent();
    let instance = agent["agent"].as_str().unwrap().to_owned();
    assert!(instance.len() == 32 && agent["version"].is_string(), "{agent}");
    assert!(agent["isolation"].as_str().unwrap().starts_with("guest "), "{agent}");
    let pid = site.process().unwrap();
    assert_eq!(stat(pid), Some((site.served.id(), pid)), "it leads a group of its own");
    assert_eq!(arguments(pid)[1..], ["guest", "serve"]);
    // Who may not even look at it finds nothing, either.
    let denied = |error: &std::io::Error| error.kind() == std::io::ErrorKind::PermissionDenied;
    match fs::read(format!("/proc/{pid}/environ")) {
        Ok(environment) => assert_eq!(String::from_utf8_lossy(&environment), ""),
        Err(error) => assert!(denied(&error), "{error}"),
    }
    let folder = site.folder().unwrap();
    match fs::read_dir(format!("/proc/{pid}/fd")) {
        Ok(open) => {
            let targets = open.map(|entry| fs::read_link(entry.unwrap().path()).unwrap());
            let files: BTreeSet<PathBuf> = targets.filter(|target| target.is_absolute()).collect();
            let own = folder.join("lock").canonicalize().unwrap();
            assert!(files.iter().all(|file| *file == own || file.starts_with("/dev")), "{files:?}");
        }
        Err(error) => assert!(denied(&error), "{error}"),
    }
    assert_eq!([&folder, &folder.join("disk")].map(|path| mode(path)), [0o700; 2]);
    assert_eq!(mode(&folder.join("log")), 0o600);

    // Asked again, it is still the same; killed, it is another on the same disk.
    fs::write(folder.join("disk/kept"), "kept").unwrap();
    assert_eq!(site.start_agent()["agent"], instance.as_str());
    kill(pid);
    gone(pid);
    let next = site.start_agent();
    assert_ne!(next["agent"], instance.as_str());
    assert_ne!(site.process(), Some(pid));
    assert_eq!(fs::read_to_string(folder.join("disk/kept")).unwrap(), "kept");
    let said = fs::read_to_string(folder.join("log")).unwrap();
    assert!(!said.contains("panic"), "{said}");
}

#[test]
fn a_process_ends_with_its_machine() {
    let site = Site::new(true);
    let mut instances = BTreeSet::new();
    for (action, then) in [("/deallocate", "/start"), ("/restart", ""), ("/powerOff", "/start")] {
        let agent = site.start_agent();
        assert!(instances.insert(agent["agent"].as_str().unwrap().to_owned()), "{action}");
        let pid = site.process().unwrap();
        site.arm("POST", &site.vm(action), "2024-07-01", Value::Null);
        gone(pid);
        if !then.is_empty() {
            site.arm("POST", &site.vm(then), "2024-07-01", Value::Null);
        }
    }
    site.start_agent();
    let (pid, folder) = (site.process().unwrap(), site.folder().unwrap());
    fs::write(folder.join("disk/kept"), "kept").unwrap();
    site.arm("DELETE", &site.vm(""), "2024-07-01", Value::Null);
    gone(pid);
    until("the end of the machine's folder", || {
        // What is left behind is cleared up with the next request.
        let url = format!("{ARM}{}?api-version=2024-07-01", site.vm(""));
        assert_eq!(site.send("GET", &url, "application/json", String::new()).0, 404);
        site.folder().is_none().then_some(())
    });
}

#[test]
fn a_process_ends_with_the_one_that_started_it() {
    let mut site = Site::new(true);
    let first = site.start_agent();
    let pid = site.process().unwrap();
    site.served.kill();
    gone(pid);
    // The next server starts it anew.
    site.served = site.lab.serve();
    site.door = Door::new(&Endpoint::find(&site.lab.home().join("cloud")).unwrap().unwrap()).unwrap();
    assert_ne!(site.start_agent()["agent"], first["agent"]);
}

#[test]
fn a_machine_that_can_do_nothing_says_why() {
    let site = Site::new(false);
    let status = &site.run_command()["properties"]["output"]["value"][0];
    assert_eq!(status["code"], "ProvisioningState/failed/1", "{status}");
    let message = status["message"].as_str().unwrap();
    assert!(message.contains("ended before it was ready") && message.contains("no token"), "{message}");
    assert_eq!(site.process(), None);
    // No shell: whatever is not the agent's script is refused by name.
    let body = json!({ "commandId": "RunShellScript", "script": ["cat /etc/shadow"] });
    let url = format!("{ARM}{}?api-version=2024-07-01", site.vm("/runCommand"));
    let (status, body, headers) = site.send("POST", &url, "application/json", body.to_string());
    assert_eq!((status, &body["error"]["code"]), (409, &json!("OperationNotAllowed")), "{body}");
    let gap = headers["x-sealbook-gap"].to_str().unwrap();
    assert_eq!(gap, "shell scripts: the embedded Azure's machines run the Sealbook guest agent only");
}

/// The same isolation as a machine's, tried from inside.
#[test]
#[cfg(debug_assertions)]
fn a_machine_cannot_look_at_the_account() {
    let lab = Lab::empty();
    drop(lab.serve());
    let key = lab.home().join("cloud/cloud.key");
    assert!(key.is_file());
    let disk = lab.home().join("cloud/machines/probe/disk");
    fs::create_dir_all(&disk).unwrap();
    fs::write(disk.join("own"), "own").unwrap();
    let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (door, other) = (listen(), listen());
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (home, own) = (text(lab.home()), text(&disk.join("own")));
    let read = [home.as_str(), &text(&key), "/etc/passwd", "/proc/self/environ", &own];
    let (door_port, other_port) = (port(&door).to_string(), port(&other).to_string());
    let mut args = vec!["guest", "probe", "--write", &home, "--connect", &door_port, "--connect", &other_port];
    let disk_text = text(&disk);
    args.extend(["--write", &disk_text]);
    args.extend(read.iter().flat_map(|path| ["--read", path]));
    let mut child = Command::new(env!("CARGO_BIN_EXE_sealbook"))
        .args(&args)
        .env_clear()
        .current_dir(&disk)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let order = json!({
        "access": { "port": port(&door), "pid": 1, "secret": "s", "roots": "" }, "mailbox": MAILBOX, "signer": "0f".repeat(32),
        "instance": "i",
    });
    writeln!(child.stdin.take().unwrap(), "{order}").unwrap();
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success());
    let said: Value = serde_json::from_str(&said).unwrap();
    let isolation = said["isolation"].as_str().unwrap();
    let Some(abi) = isolation.strip_prefix("guest isolated by Landlock ABI ") else {
        println!("skipped: this kernel has no Landlock: {isolation}");
        return;
    };
    let denied = json!("PermissionDenied");
    for path in &read[..4] {
        assert_eq!(said["read"][path], denied, "{path}: {said}");
    }
    assert_eq!((&said["read"][&own], &said["write"][&disk_text]), (&json!("ok"), &json!("ok")), "{said}");
    assert_eq!(said["write"][&home], denied, "{said}");
    assert_eq!(said["connect"][&door_port], "ok", "{said}");
    if abi.parse::<u32>().unwrap() >= 4 {
        assert_eq!(said["connect"][&other_port], denied, "{said}");
    }
}
