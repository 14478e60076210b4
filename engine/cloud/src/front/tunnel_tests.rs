//! Connections from the internet to the processes of machines, against the real cloud.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use sealbook_crypto::SecretString;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::client::Door;
use super::{Endpoint, MachineDoor, Options, PublishError, Server};
use crate::compute::kit::{self, Lab};
use crate::testing::{self, TestCloud};
use crate::{Cloud, Machine, Unreached};

fn host(label: &str) -> String {
    format!("{label}.westeurope.cloudapp.azure.com")
}

fn rule(access: &str, priority: u32, port: &str) -> Value {
    json!({
        "protocol": "Tcp", "sourcePortRange": "*", "destinationPortRange": port, "sourceAddressPrefix": "Internet",
        "destinationAddressPrefix": "*", "access": access, "priority": priority, "direction": "Inbound",
    })
}

async fn put(lab: &Lab<'_>, path: &str, properties: Value) {
    let body = json!({ "location": "westeurope", "sku": { "name": "Standard" }, "properties": properties });
    let reply = lab.ask("PUT", &format!("Microsoft.Network/{path}"), body).await;
    assert!(matches!(reply.status, 200 | 201), "{path}: {reply:?}");
    lab.cloud.advance(2);
}

/// The subnet, with a security group or without.
async fn subnet(lab: &Lab<'_>, group: Option<&str>) {
    let mut properties = json!({ "addressPrefix": "10.0.0.0/24" });
    if let Some(group) = group {
        properties["networkSecurityGroup"] =
            json!({ "id": lab.id(&format!("Microsoft.Network/networkSecurityGroups/{group}")) });
    }
    put(lab, "virtualNetworks/net/subnets/a", properties).await;
}

/// A machine behind a public IP address with its name as label, and a security group that opens port 443.
async fn machine(lab: &Lab<'_>, name: &str) -> Machine {
    let id = |path: String| json!({ "id": lab.id(&format!("Microsoft.Network/{path}")) });
    let dns = json!({ "domainNameLabel": name });
    let address = json!({ "publicIPAllocationMethod": "Static", "dnsSettings": dns });
    put(lab, &format!("publicIPAddresses/{name}"), address).await;
    let rules = json!([{ "name": "https", "properties": rule("Allow", 1_000, "443") }]);
    put(lab, &format!("networkSecurityGroups/{name}"), json!({ "securityRules": rules })).await;
    let nic = json!({
        "networkSecurityGroup": id(format!("networkSecurityGroups/{name}")),
        "ipConfigurations": [{ "name": "one", "properties": {
            "subnet": id("virtualNetworks/net/subnets/a".to_owned()),
            "publicIPAddress": id(format!("publicIPAddresses/{name}")),
        } }],
    });
    put(lab, &format!("networkInterfaces/{name}"), nic).await;
    let nic = lab.id(&format!("Microsoft.Network/networkInterfaces/{name}"));
    let made = lab.vm("PUT", name, kit::ordinary(&nic)).await;
    assert_eq!(made.status, 201, "{made:?}");
    lab.cloud.advance(2);
    running(lab, name)
}

fn running(lab: &Lab<'_>, name: &str) -> Machine {
    let id = lab.id(&format!("Microsoft.Compute/virtualMachines/{name}"));
    lab.cloud.cloud.machine(&id).unwrap().unwrap()
}

/// A process of a machine.
struct Process {
    door: MachineDoor,
    client: Door,
}

impl Process {
    async fn of(cloud: &Cloud, machine: Machine) -> Self {
        let door = MachineDoor::open(cloud.clone(), machine).await.unwrap();
        let client = Door::at(door.port(), 1, door.secret()).unwrap();
        Self { door, client }
    }

    /// Listens on a port and answers each connection with `word`, what it sent, and the end.
    async fn echo(&self, port: u16, word: &'static str) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.client.publish(port, &listener).await.unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    stream.write_all(word.as_bytes()).await.unwrap();
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                    let _ = to.shutdown().await;
                });
            }
        });
    }
}

/// Sends a line and reads to the end.
async fn talk(mut stream: TcpStream) -> String {
    stream.write_all(b" hello").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn heard(cloud: &Cloud, host: &str, port: u16) -> Result<String, ErrorKind> {
    match cloud.connect(host, port).await {
        Ok(stream) => Ok(talk(stream).await),
        Err(error) => Err(error.kind()),
    }
}

fn why(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(Unreached::Silent { why, .. }) => why.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn rules_decide_which_port_is_reached() {
    let cloud = testing::cloud();
    let lab = kit::lab(&cloud).await;
    let one = machine(&lab, "one").await;
    let (name, world) = (host("one"), &cloud.cloud);
    assert_eq!(heard(world, &name, 443).await, Err(ErrorKind::ConnectionRefused), "nothing listens yet");
    let process = Process::of(world, one).await;
    process.echo(443, "https").await;
    process.echo(22, "ssh").await;
    let reached = || Ok("https hello".to_owned());
    assert_eq!(heard(world, &name, 443).await, reached());
    assert_eq!(heard(world, &name.to_uppercase(), 443).await, reached());
    assert_eq!(heard(world, "203.0.113.1", 443).await, reached(), "by its address, too");
    let denied = async |port: u16, by: &str| {
        let error = world.connect(&name, port).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(why(&error), format!("the security rule {by} denies port {port}"));
    };
    denied(22, "DenyAllInBound").await;
    // Both groups have to let it through.
    put(&lab, "networkSecurityGroups/closed", json!({})).await;
    subnet(&lab, Some("closed")).await;
    denied(443, "DenyAllInBound").await;
    put(&lab, "networkSecurityGroups/closed/securityRules/web", rule("Allow", 300, "80-443")).await;
    assert_eq!(heard(world, &name, 443).await, reached());
    // What stands goes on, what comes is judged anew.
    let mut standing = world.connect(&name, 443).await.unwrap();
    put(&lab, "networkSecurityGroups/one/securityRules/shut", rule("Deny", 200, "*")).await;
    denied(443, "shut").await;
    standing.write_all(b"!").await.unwrap();
    let mut answer = [0; 6];
    standing.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"https!");
    lab.ask("DELETE", "Microsoft.Network/networkSecurityGroups/one/securityRules/shut", Value::Null).await;
    cloud.advance(2);
    assert_eq!(heard(world, &name, 443).await, reached());
    // A rule for somebody else opens nothing, a rule for this client does.
    let mut other = rule("Allow", 400, "22");
    for (from, expected) in
        [("198.51.100.0/24", Err(ErrorKind::TimedOut)), ("203.0.113.10", Ok("ssh hello".to_owned()))]
    {
        other["sourceAddressPrefix"] = from.into();
        for group in ["closed", "one"] {
            put(&lab, &format!("networkSecurityGroups/{group}/securityRules/ssh"), other.clone()).await;
        }
        assert_eq!(heard(world, &name, 22).await, expected, "{from}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_told_apart() {
    let cloud = testing::cloud();
    let lab = kit::lab(&cloud).await;
    machine(&lab, "one").await;
    let free = json!({ "publicIPAllocationMethod": "Static", "dnsSettings": { "domainNameLabel": "free" } });
    put(&lab, "publicIPAddresses/free", free).await;
    let elsewhere = "one.eastus.cloudapp.azure.com";
    for (name, expected, says) in [
        (host("two").as_str(), ErrorKind::NotFound, "no public IP address"),
        (elsewhere, ErrorKind::NotFound, elsewhere),
        ("management.azure.com", ErrorKind::NotFound, "management.azure.com"),
        (&host("free"), ErrorKind::TimedOut, "free belongs to no network interface"),
        ("203.0.113.9", ErrorKind::TimedOut, "no public IP address is 203.0.113.9"),
        (&host("one"), ErrorKind::ConnectionRefused, "nothing on the machine listens there"),
    ] {
        let error = cloud.cloud.connect(name, 443).await.unwrap_err();
        assert_eq!(error.kind(), expected, "{name}");
        assert!(error.to_string().contains(says), "{name}: {error}");
    }
}

#[tokio::test]
async fn a_machine_that_is_off_is_silent_and_has_to_listen_again() {
    let cloud = testing::cloud();
    let lab = kit::lab(&cloud).await;
    let one = machine(&lab, "one").await;
    let (name, world) = (host("one"), &cloud.cloud);
    let first = Process::of(world, one).await;
    first.echo(443, "first").await;
    assert_eq!(heard(world, &name, 443).await.as_deref(), Ok("first hello"));
    let act = async |action: &str| {
        assert_eq!(lab.vm("POST", &format!("one/{action}"), Value::Null).await.status, 202);
        cloud.advance(2);
    };
    act("powerOff").await;
    let error = world.connect(&name, 443).await.unwrap_err();
    assert_eq!((error.kind(), why(&error).as_str()), (ErrorKind::TimedOut, "the virtual machine one does not run"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    assert!(matches!(first.client.publish(443, &listener).await, Err(PublishError::Off)));
    act("start").await;
    assert_eq!(heard(world, &name, 443).await, Err(ErrorKind::ConnectionRefused), "this is another boot");
    assert!(matches!(first.client.publish(443, &listener).await, Err(PublishError::Off)));
    let second = Process::of(world, running(&lab, "one")).await;
    second.echo(443, "second").await;
    assert_eq!(heard(world, &name, 443).await.as_deref(), Ok("second hello"));
    second.client.withdraw(443).await.unwrap();
    assert_eq!(heard(world, &name, 443).await, Err(ErrorKind::ConnectionRefused));
}

#[tokio::test]
async fn a_port_stands_as_long_as_its_process_whoever_serves() {
    let cloud = testing::cloud();
    let lab = kit::lab(&cloud).await;
    let one = machine(&lab, "one").await;
    let process = Process::of(&cloud.cloud, one.clone()).await;
    process.echo(443, "here").await;
    // Another process has the cloud open, and its server comes and goes.
    for _ in 0..2 {
        let other = cloud.again();
        assert_eq!(heard(&other.cloud, &host("one"), 443).await.as_deref(), Ok("here hello"));
        let server = serve(&other).await;
        let (head, stream) = tunnel(server.endpoint(), &host("one"), 443).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert_eq!(talk(stream).await, "here hello");
        server.shutdown().await;
    }
    // A second process of the machine can't have the port, until the first one is gone.
    let second = Process::of(&cloud.cloud, one).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refused = second.client.publish(443, &listener).await.unwrap_err();
    assert!(refused.to_string().contains("another process of the machine"), "{refused}");
    drop(process);
    assert_eq!(heard(&cloud.again().cloud, &host("one"), 443).await, Err(ErrorKind::ConnectionRefused));
    second.echo(443, "there").await;
    assert_eq!(heard(&cloud.cloud, &host("one"), 443).await.as_deref(), Ok("there hello"));
}

#[tokio::test]
async fn a_machine_publishes_its_own_ports_alone() {
    let cloud = testing::cloud();
    let lab = kit::lab(&cloud).await;
    let one = machine(&lab, "one").await;
    let two = machine(&lab, "two").await;
    let (mine, others) = (Process::of(&cloud.cloud, one).await, Process::of(&cloud.cloud, two).await);
    others.echo(443, "two").await;
    assert_eq!(heard(&cloud.cloud, &host("one"), 443).await, Err(ErrorKind::ConnectionRefused));
    assert_eq!(heard(&cloud.cloud, &host("two"), 443).await.as_deref(), Ok("two hello"));
    // A listener that is not its own does not write the proof.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().port();
    mine.client.publish(443, &listener).await.unwrap();
    let silent = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.write_all(&[0; 32]).await;
    });
    let say = async |client: &Door, path: &str, body: String| {
        let request = http::Request::put(format!("http://ports.internal/{path}")).body(body.into()).unwrap();
        client.send(request).await.unwrap().status().as_u16()
    };
    let proof = "ab".repeat(32);
    assert_eq!(say(&others.client, "8443", json!({ "at": at, "proof": proof }).to_string()).await, 403);
    silent.await.unwrap();
    for (path, body, status) in [
        ("443", "{}".to_owned(), 400),
        ("443", json!({ "at": at, "proof": "ab" }).to_string(), 400),
        ("443", json!({ "at": 65_536, "proof": proof }).to_string(), 400),
        ("443", json!({ "at": at, "proof": proof, "machine": "one" }).to_string(), 400),
        ("443", " ".repeat(257), 413),
        ("443", json!({ "at": 1, "proof": proof }).to_string(), 403),
        ("0", json!({ "at": at, "proof": proof }).to_string(), 404),
        ("65536", json!({ "at": at, "proof": proof }).to_string(), 404),
        ("", String::new(), 404),
    ] {
        assert_eq!(say(&mine.client, path, body.clone()).await, status, "{path}: {body}");
    }
    let guess = Door::at(mine.door.port(), 1, &SecretString::from("guess".to_owned())).unwrap();
    assert_eq!(say(&guess, "443", json!({ "at": at, "proof": proof }).to_string()).await, 401);
    let open = TcpListener::bind("0.0.0.0:0").await.unwrap();
    assert!(matches!(mine.client.publish(443, &open).await, Err(PublishError::Listener(_))));
}

async fn serve(cloud: &TestCloud) -> Server {
    Server::start(cloud.cloud.clone(), &cloud.dir.path().join("cloud"), Options::default()).await.unwrap()
}

/// Opens a tunnel through the proxy; the head of the answer, and the stream behind it.
async fn tunnel(endpoint: &Endpoint, host: &str, port: u16) -> (String, TcpStream) {
    let mut stream = TcpStream::connect(("127.0.0.1", endpoint.port)).await.unwrap();
    let user = STANDARD.encode(format!("{}:{}", endpoint.proxy_user, endpoint.proxy_secret.expose()));
    let head = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}\r\nProxy-Authorization: Basic {user}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    (String::from_utf8(head).unwrap(), stream)
}

#[tokio::test]
async fn the_proxy_leads_to_machines_and_says_why_not() {
    let cloud = testing::cloud();
    let lab = kit::lab(&cloud).await;
    let one = machine(&lab, "one").await;
    let process = Process::of(&cloud.cloud, one).await;
    let server = serve(&cloud).await;
    let status = async |host: &str, port: u16| tunnel(server.endpoint(), host, port).await.0;
    let ends = |text: &str| format!("HTTP/1.1 {text}\r\n");
    assert!(status(&host("one"), 443).await.starts_with(&ends("503 Connection refused")));
    process.echo(443, "one").await;
    assert!(status(&host("one"), 443).await.starts_with(&ends("200 OK")));
    assert!(status("203.0.113.1", 443).await.starts_with(&ends("200 OK")));
    assert!(status(&host("one"), 8443).await.starts_with(&ends("504 Connection timed out")));
    assert!(status(&host("none"), 443).await.starts_with(&ends("502 Host not found")));
    // A tunnel that stands does not keep the server from its end.
    let (_, mut stream) = tunnel(server.endpoint(), &host("one"), 443).await;
    server.shutdown().await;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty() || rest == b"one");
}

#[tokio::test]
async fn bytes_pass_unchanged_and_each_side_ends_its_own() {
    let cloud = testing::cloud();
    let lab = kit::lab(&cloud).await;
    let one = machine(&lab, "one").await;
    let process = Process::of(&cloud.cloud, one).await;
    let server = serve(&cloud).await;
    let sent: Vec<u8> = (0..1_u32 << 18).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let answer: Vec<u8> = sent.iter().rev().copied().collect();
    // The machine answers only after the client's end.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    process.client.publish(443, &listener).await.unwrap();
    let (expected, reply) = (sent.clone(), answer.clone());
    let guest = tokio::spawn(async move {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut got = Vec::new();
            stream.read_to_end(&mut got).await.unwrap();
            assert!(got == expected);
            stream.write_all(&reply).await.unwrap();
        }
    });
    let (head, proxied) = tunnel(server.endpoint(), &host("one"), 443).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    for mut stream in [proxied, cloud.cloud.connect(&host("one"), 443).await.unwrap()] {
        stream.write_all(&sent).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await.unwrap();
        assert!(got == answer);
    }
    guest.await.unwrap();
    // The machine ends first; what the client sends still arrives.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    process.client.publish(443, &listener).await.unwrap();
    let guest = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.shutdown().await.unwrap();
        let mut got = String::new();
        stream.read_to_string(&mut got).await.unwrap();
        got
    });
    let (_, mut stream) = tunnel(server.endpoint(), &host("one"), 443).await;
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    stream.write_all(b"late").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(guest.await.unwrap(), "late");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_connections_at_once() {
    let cloud = testing::cloud();
    let lab = kit::lab(&cloud).await;
    let one = machine(&lab, "one").await;
    let process = Process::of(&cloud.cloud, one).await;
    process.echo(443, "many").await;
    let server = Arc::new(serve(&cloud).await);
    let mut all = tokio::task::JoinSet::new();
    for n in 0..100 {
        let (server, world) = (Arc::clone(&server), cloud.cloud.clone());
        all.spawn(async move {
            match n % 2 {
                0 => talk(tunnel(server.endpoint(), &host("one"), 443).await.1).await,
                _ => talk(world.connect(&host("one"), 443).await.unwrap()).await,
            }
        });
    }
    let answers = all.join_all().await;
    assert_eq!(answers.len(), 100);
    assert!(answers.iter().all(|answer| answer == "many hello"), "{answers:?}");
}

/// The certificate that the client sees is the machine's own.
#[tokio::test]
async fn tls_ends_in_the_machine() {
    let cloud = testing::cloud();
    let lab = kit::lab(&cloud).await;
    let one = machine(&lab, "one").await;
    let process = Process::of(&cloud.cloud, one).await;
    let server = serve(&cloud).await;
    let own = rcgen::generate_simple_self_signed(vec![host("one")]).unwrap();
    let certificate = own.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let config = config.unwrap().with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    process.client.publish(443, &listener).await.unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut session = TlsAcceptor::from(Arc::new(config)).accept(stream).await.unwrap();
        session.write_all(b"secret").await.unwrap();
        session.shutdown().await.unwrap();
    });
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let connector = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
    let (_, stream) = tunnel(server.endpoint(), &host("one"), 443).await;
    let mut session = connector.connect(ServerName::try_from(host("one")).unwrap(), stream).await.unwrap();
    assert_eq!(session.get_ref().1.peer_certificates(), Some(&[certificate][..]));
    let mut got = String::new();
    session.read_to_string(&mut got).await.unwrap();
    assert_eq!(got, "secret");
}
