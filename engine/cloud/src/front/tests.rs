//! The doors against a stand-in for the cloud, with plain sockets on the client's side.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::TlsConnector;

use super::authority::Authority;
use super::client::{Door, SendError};
use super::server::{Handler, ServeError};
use super::tunnel::Dial;
use super::{Endpoint, Options, Server, SignIn, environment};
use crate::{Dropped, MachineIdentities, Seed, Unreached};

/// Answers with what it was asked: method, URL, headers and body.
fn echo() -> Handler {
    Arc::new(|request: Request<Bytes>| {
        Box::pin(async move {
            if request.uri().path() == "/drop" {
                return Err(Dropped::After);
            }
            let mut headers: Vec<String> = request
                .headers()
                .iter()
                .map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()))
                .collect();
            headers.sort();
            let body = std::str::from_utf8(request.body()).unwrap();
            let text = format!("{} {}\n{}{body}", request.method(), request.uri(), headers.concat());
            Ok(Response::new(Bytes::from(text)))
        })
    })
}

/// A way to the cloud, and none to its machines.
fn only(handler: Handler) -> (Handler, Dial) {
    let nobody: Dial = Arc::new(|host, _| Box::pin(async move { Err(Unreached::Unknown { host }.into()) }));
    (handler, nobody)
}

async fn serve(dir: &Path) -> Server {
    Server::start_with(only(echo()), dir, Options::default()).await.unwrap()
}

async fn fixture() -> (TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path()).await;
    (dir, server)
}

fn basic(user: &str, secret: &str) -> String {
    format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{secret}")))
}

fn credentials(endpoint: &Endpoint) -> String {
    basic(&endpoint.proxy_user, endpoint.proxy_secret.expose())
}

/// Sends text and reads to the end of the connection.
async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, text: &str) -> String {
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A connection that is closed in the middle is part of what is tested.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

async fn plain(endpoint: &Endpoint, text: &str) -> String {
    talk(TcpStream::connect(("127.0.0.1", endpoint.port)).await.unwrap(), text).await
}

/// Opens a tunnel; returns the status line, and the stream when it was accepted.
async fn connect(endpoint: &Endpoint, target: &str, headers: &str) -> (String, TcpStream) {
    let mut stream = TcpStream::connect(("127.0.0.1", endpoint.port)).await.unwrap();
    stream.write_all(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{headers}\r\n").as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    (String::from_utf8(head).unwrap(), stream)
}

fn trusting(ca: &Path) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

#[tokio::test]
async fn proxy_gates() {
    let (_dir, server) = fixture().await;
    let endpoint = server.endpoint();
    let right = credentials(endpoint);
    let wrong = basic(&endpoint.proxy_user, "guess");
    let bearer = format!("Proxy-Authorization: Bearer {}\r\n", endpoint.proxy_secret.expose());
    for (target, headers, expected) in [
        ("management.azure.com:443", "", "407"),
        ("management.azure.com:443", wrong.as_str(), "407"),
        ("management.azure.com:443", bearer.as_str(), "407"),
        ("management.azure.com:443", "Proxy-Authorization: Basic %%%\r\n", "407"),
        ("example.com:443", "", "407"),
        ("management.azure.com:443", right.as_str(), "200"),
        ("Login.MicrosoftOnline.com:443", right.as_str(), "200"),
        ("management.azure.com:8443", right.as_str(), "403"),
        ("example.com:443", right.as_str(), "403"),
        ("127.0.0.1:443", right.as_str(), "403"),
        ("169.254.169.254:443", right.as_str(), "403"),
        ("llm.eastus2.cloudapp.azure.com:443", "", "407"),
        ("llm.eastus2.cloudapp.azure.com:443", wrong.as_str(), "407"),
        ("llm.eastus2.cloudapp.azure.com:8443", right.as_str(), "502"),
        ("a.llm.eastus2.cloudapp.azure.com:443", right.as_str(), "403"),
    ] {
        let (head, _) = connect(endpoint, target, headers).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {expected} ")), "{target} {headers}: {head}");
        assert_eq!(head.contains("proxy-authenticate: Basic"), expected == "407", "{head}");
    }
    let (head, _) = connect(endpoint, "example.com:443", &right).await;
    assert!(head.starts_with("HTTP/1.1 403 Host unknown to the embedded Azure\r\n"), "{head}");
}

#[tokio::test]
async fn tunnel_keeps_the_url_and_hides_the_proxy() {
    let (_dir, server) = fixture().await;
    let endpoint = server.endpoint();
    let (_, stream) = connect(endpoint, "lab.vault.azure.net:443", &credentials(endpoint)).await;
    let name = ServerName::try_from("lab.vault.azure.net").unwrap();
    let stream = trusting(&endpoint.ca_pem()).connect(name, stream).await.unwrap();
    let answer = talk(
        stream,
        "POST /keys/k//release?api-version=7.5 HTTP/1.1\r\nHost: lab.vault.azure.net\r\nProxy-Authorization: x\r\n\
         Authorization: Bearer t\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody",
    )
    .await;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    insta::assert_snapshot!(body, @r"
    POST https://lab.vault.azure.net/keys/k//release?api-version=7.5
    authorization: Bearer t
    content-length: 4
    host: lab.vault.azure.net
    body
    ");
}

#[tokio::test]
async fn tunnel_is_for_its_host_only() {
    let (_dir, server) = fixture().await;
    let endpoint = server.endpoint();
    let (_, stream) = connect(endpoint, "management.azure.com:443", &credentials(endpoint)).await;
    let name = ServerName::try_from("management.azure.com").unwrap();
    let stream = trusting(&endpoint.ca_pem()).connect(name, stream).await.unwrap();
    let answer = talk(stream, "GET / HTTP/1.1\r\nHost: graph.microsoft.com\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
}

#[tokio::test]
async fn dropped_requests_close_the_socket() {
    let (_dir, server) = fixture().await;
    let endpoint = server.endpoint();
    let (_, stream) = connect(endpoint, "management.azure.com:443", &credentials(endpoint)).await;
    let name = ServerName::try_from("management.azure.com").unwrap();
    let stream = trusting(&endpoint.ca_pem()).connect(name, stream).await.unwrap();
    assert_eq!(talk(stream, "GET /drop HTTP/1.1\r\nHost: management.azure.com\r\n\r\n").await, "");
}

/// A copy of the authority's key can't speak for other sites: clients refuse what its name constraints exclude.
#[tokio::test]
async fn authority_is_constrained_to_azure() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::open(dir.path(), SystemTime::now()).unwrap();
    for (host, trusted) in [("lab.vault.azure.net", true), ("example.com", false)] {
        let config = authority.config(host, SystemTime::now()).unwrap();
        let (client, server) = tokio::io::duplex(1 << 16);
        let accept = tokio::spawn(async move { tokio_rustls::TlsAcceptor::from(config).accept(server).await.is_ok() });
        let name = ServerName::try_from(host).unwrap();
        let handshake = trusting(&dir.path().join("ca.pem")).connect(name, client).await;
        assert_eq!(handshake.is_ok(), trusted, "{host}: {:?}", handshake.err());
        drop(accept);
    }
}

#[tokio::test]
async fn authority_keeps_its_key_and_renews_its_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let later = now + Duration::from_secs(61 * 24 * 3600);
    let authority = Authority::open(dir.path(), now).unwrap();
    let first = authority.config("management.azure.com", now).unwrap();
    assert!(Arc::ptr_eq(&first, &authority.config("management.azure.com", now).unwrap()));
    assert!(!Arc::ptr_eq(&first, &authority.config("management.azure.com", later).unwrap()));
    let key = std::fs::read(dir.path().join("ca.key")).unwrap();
    Authority::open(dir.path(), later).unwrap();
    assert_eq!(std::fs::read(dir.path().join("ca.key")).unwrap(), key);
}

#[tokio::test]
async fn metadata_service_and_identity_doors() {
    let (_dir, server) = fixture().await;
    let endpoint = server.endpoint();
    let right = credentials(endpoint);
    let token = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=r";
    let imds = format!("http://169.254.169.254{token}");
    let local = format!("Host: 127.0.0.1:{}\r\n", endpoint.port);
    let secret = format!("{local}X-IDENTITY-HEADER: {}\r\n", endpoint.identity.expose());
    let wrong_secret = format!("{local}X-IDENTITY-HEADER: guess\r\n");
    let with = |headers: &str, more: &str| format!("{headers}{more}");
    let found = "GET http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=r";
    for (target, headers, status, contained) in [
        (imds.as_str(), with("Host: 169.254.169.254\r\nMetadata: true\r\n", ""), "407", "credentials"),
        (&imds, with("Host: 169.254.169.254\r\n", &right), "400", "Required metadata header"),
        (&imds, with("Host: 169.254.169.254\r\nMetadata: true\r\n", &right), "200", found),
        (
            &imds,
            with("Host: 169.254.169.254\r\nMetadata: true\r\nX-Forwarded-For: 10.0.0.1\r\n", &right),
            "400",
            "X-Forwarded-For",
        ),
        ("http://example.com/", with("Host: example.com\r\n", &right), "403", "nothing is ever forwarded"),
        ("http://management.azure.com/", with("Host: management.azure.com\r\n", &right), "403", "not part of"),
        (token, with(&local, "Metadata: true\r\n"), "200", found),
        (token, with(&local, ""), "400", "Required metadata header"),
        (token, with("Host: evil.example\r\nMetadata: true\r\n", ""), "404", "nothing here"),
        ("/msi/token?resource=r&api-version=2019-08-01", with(&secret, ""), "200", found),
        ("/msi/token?mi_res_id=m", with(&secret, ""), "200", "oauth2/token?api-version=2018-02-01&msi_res_id=m\n"),
        ("/msi/token?resource=r", with(&wrong_secret, ""), "401", "unauthorized"),
        ("/msi/token?resource=r", with(&local, ""), "401", "unauthorized"),
        ("/", with(&local, ""), "404", "nothing here"),
    ] {
        let answer = plain(endpoint, &format!("GET {target} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{target}\n{headers}\n{answer}");
        assert!(answer.contains(contained), "{target}\n{headers}\n{answer}");
        assert!(!answer.contains(endpoint.identity.expose()), "{answer}");
    }
}

fn request(url: &str) -> Request<Bytes> {
    Request::put(url).header("authorization", "Bearer t").body(Bytes::from("body")).unwrap()
}

#[tokio::test]
async fn engine_door() {
    let (_dir, server) = fixture().await;
    let door = Door::new(server.endpoint()).unwrap();
    let answer = door.send(request("https://a.blob.core.windows.net/c/x%20y?comp=block")).await.unwrap();
    insta::assert_snapshot!(std::str::from_utf8(answer.body()).unwrap(), @r"
    PUT https://a.blob.core.windows.net/c/x%20y?comp=block
    authorization: Bearer t
    content-length: 4
    host: a.blob.core.windows.net
    body
    ");
    for (url, expected) in [
        ("https://example.com/", 403),
        ("http://management.azure.com/", 403),
        ("https://management.azure.com:8443/", 403),
        ("http://169.254.169.254/metadata/instance", 400),
    ] {
        assert_eq!(door.send(request(url)).await.unwrap().status(), expected, "{url}");
    }
    let lost = door.send(request("https://management.azure.com/drop")).await;
    assert!(matches!(lost, Err(SendError::Lost { .. })), "{lost:?}");

    let mut stranger = Endpoint::read(&server.endpoint().dir).unwrap().unwrap();
    stranger.door = "guess".into();
    let refused = Door::new(&stranger).unwrap().send(request("https://management.azure.com/")).await.unwrap();
    assert_eq!(refused.status(), 401);

    server.shutdown().await;
    let gone = door.send(request("https://management.azure.com/")).await;
    assert!(matches!(gone, Err(SendError::Refused { .. })), "{gone:?}");
}

/// Whose identities a machine holds is for the server to say, and only at the metadata service.
#[tokio::test]
async fn machine_identities() {
    let dir = tempfile::tempdir().unwrap();
    let handler: Handler = Arc::new(|request: Request<Bytes>| {
        let held = request.extensions().get::<MachineIdentities>().map(|held| held.0.join(","));
        Box::pin(async move { Ok(Response::new(Bytes::from(held.unwrap_or_else(|| "none".to_owned())))) })
    });
    let identities = MachineIdentities(vec!["oid1".into(), "oid2".into()]);
    let options = Options { identities, ..Options::default() };
    let server = Server::start_with(only(handler), dir.path(), options).await.unwrap();
    let door = Door::new(server.endpoint()).unwrap();
    for (url, expected) in
        [("http://169.254.169.254/metadata/instance", "oid1,oid2"), ("https://graph.microsoft.com/v1.0/me", "none")]
    {
        let request = Request::get(url).header("metadata", "true").body(Bytes::new()).unwrap();
        assert_eq!(door.send(request).await.unwrap().body(), expected, "{url}");
    }
}

#[tokio::test]
async fn the_real_cloud_behind_the_door() {
    let cloud = crate::testing::cloud();
    let dir = cloud.dir.path().join("cloud");
    let server = Server::start(cloud.cloud.clone(), &dir, Options::default()).await.unwrap();
    let door = Door::new(&Endpoint::find(&dir).unwrap().unwrap()).unwrap();
    let url = format!("https://login.microsoftonline.com/{}/v2.0/.well-known/openid-configuration", cloud.seed.tenant);
    let answer = door.send(Request::get(url).body(Bytes::new()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200, "{answer:?}");
    cloud.fault(crate::Fault::once(crate::FaultKind::DropBefore));
    let lost = door.send(request("https://management.azure.com/subscriptions?api-version=2022-12-01")).await;
    assert!(matches!(lost, Err(SendError::Lost { .. })), "{lost:?}");
    server.shutdown().await;
}

#[tokio::test]
async fn large_bodies_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { body_limit: 3, ..Options::default() };
    let server = Server::start_with(only(echo()), dir.path(), options).await.unwrap();
    let door = Door::new(server.endpoint()).unwrap();
    assert_eq!(door.send(request("https://management.azure.com/")).await.unwrap().status(), 413);
}

#[tokio::test]
async fn one_server_per_home() {
    let (dir, server) = fixture().await;
    let second = Server::start_with(only(echo()), dir.path(), Options::default()).await;
    match second {
        Err(ServeError::AlreadyServing { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
        other => panic!("{other:?}"),
    }
    // The second attempt took nothing away from the first.
    let endpoint = Endpoint::read(dir.path()).unwrap().unwrap();
    assert_eq!(endpoint.port, server.endpoint().port);
    #[cfg(unix)]
    for file in ["endpoint.json", "ca.key"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(dir.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert!(Endpoint::find(dir.path()).unwrap().is_some());
    let left_behind = std::fs::read(dir.path().join("endpoint.json")).unwrap();
    server.shutdown().await;
    assert!(Endpoint::read(dir.path()).unwrap().is_none());

    // A file that a killed server left behind is no server.
    std::fs::write(dir.path().join("endpoint.json"), left_behind).unwrap();
    assert!(Endpoint::find(dir.path()).unwrap().is_none());
    serve(dir.path()).await.shutdown().await;
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let (_dir, server) = fixture().await;
    let port = server.endpoint().port;
    let other = tempfile::tempdir().unwrap();
    let options = Options { port, ..Options::default() };
    let refused = Server::start_with(only(echo()), other.path(), options).await;
    assert!(matches!(refused, Err(ServeError::Bind { port: named, .. }) if named == port), "{refused:?}");
}

#[tokio::test]
async fn shutdown_lets_a_request_finish() {
    let dir = tempfile::tempdir().unwrap();
    let (entered, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler: Handler = {
        let (entered, go) = (Arc::clone(&entered), Arc::clone(&go));
        Arc::new(move |_| {
            let (entered, go) = (Arc::clone(&entered), Arc::clone(&go));
            Box::pin(async move {
                entered.notify_one();
                go.notified().await;
                Ok(Response::new(Bytes::from("done")))
            })
        })
    };
    let server = Server::start_with(only(handler), dir.path(), Options::default()).await.unwrap();
    let door = Door::new(server.endpoint()).unwrap();
    let asked = tokio::spawn(async move { door.send(request("https://management.azure.com/")).await });
    entered.notified().await;
    let stopping = tokio::spawn(server.shutdown());
    go.notify_one();
    assert_eq!(asked.await.unwrap().unwrap().body(), "done");
    stopping.await.unwrap();
}

#[test]
fn endpoint_files_of_newer_releases_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Endpoint::read(dir.path()).unwrap().is_none());
    for (text, expected) in [("{}", "missing field"), ("nonsense", "expected")] {
        std::fs::write(dir.path().join("endpoint.json"), text).unwrap();
        assert!(Endpoint::read(dir.path()).unwrap_err().to_string().contains(expected), "{text}");
    }
    let newer = r#"{"format":2,"port":1,"pid":1,"door":"","proxy_user":"","proxy_secret":"","identity":""}"#;
    std::fs::write(dir.path().join("endpoint.json"), newer).unwrap();
    assert!(Endpoint::read(dir.path()).unwrap_err().to_string().contains("newer release"));
}

#[tokio::test]
async fn environment_for_official_clients() {
    let (dir, server) = fixture().await;
    let seed = Seed {
        tenant: "tenant".into(),
        subscription: "subscription".into(),
        subscription_name: "name".into(),
        user: "learner@example".into(),
        password: "password".into(),
        user_oid: String::new(),
        client_id: "client".into(),
        client_secret: "secret".into(),
        client_oid: String::new(),
    };
    let endpoint = server.endpoint();
    let shown = |who: SignIn| {
        environment(endpoint, &seed, who)
            .into_iter()
            .map(|(name, value)| format!("{name}={value}\n"))
            .collect::<String>()
            .replace(dir.path().to_str().unwrap(), "DIR")
            .replace(endpoint.proxy_secret.expose(), "SECRET")
            .replace(&endpoint.port.to_string(), "PORT")
    };
    insta::assert_snapshot!(shown(SignIn::Learner), @r"
    HTTPS_PROXY=http://sealbook:SECRET@127.0.0.1:PORT
    HTTP_PROXY=http://sealbook:SECRET@127.0.0.1:PORT
    NO_PROXY=127.0.0.1,localhost
    https_proxy=http://sealbook:SECRET@127.0.0.1:PORT
    http_proxy=http://sealbook:SECRET@127.0.0.1:PORT
    no_proxy=127.0.0.1,localhost
    CURL_CA_BUNDLE=DIR/ca.pem
    REQUESTS_CA_BUNDLE=DIR/ca.pem
    SSL_CERT_FILE=DIR/ca.pem
    AZURE_TENANT_ID=tenant
    AZURE_SUBSCRIPTION_ID=subscription
    SEALBOOK_USER=learner@example
    SEALBOOK_PASSWORD=password
    AZURE_POD_IDENTITY_AUTHORITY_HOST=http://127.0.0.1:PORT
    AZURE_CONFIG_DIR=DIR/az
    AZURE_CORE_COLLECT_TELEMETRY=no
    AZURE_CLIENT_ID=04b07795-8ddb-461a-bbee-02f9e1bf7b46
    AZURE_USERNAME=learner@example
    AZURE_PASSWORD=password
    ");
    let application = shown(SignIn::Application);
    assert!(application.ends_with("AZURE_CLIENT_ID=client\nAZURE_CLIENT_SECRET=secret\n"), "{application}");
    assert!(!application.contains("AZURE_USERNAME"), "{application}");
    assert!(!format!("{endpoint:?}").contains(endpoint.door.expose()));
}
