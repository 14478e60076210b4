//! A cloud in a temporary folder with a clock of its own, and clients that are signed in to it.

use std::ffi::OsString;
use std::process::Command;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::HeaderMap;
use serde_json::Value;

use crate::cx::{Caller, Cx};
use crate::{Cloud, CloudConfig, Dropped, Fault, MachineRoom, Seed, Wall, audit};

/// A cloud for tests. Its wall clock stands still unless it is moved.
pub(crate) struct TestCloud {
    pub cloud: Cloud,
    pub seed: Seed,
    pub dir: Arc<tempfile::TempDir>,
    wall: Arc<AtomicI64>,
}

/// The instant at which test clocks start: 2026-01-02T03:04:05Z.
pub(crate) const START: i64 = 1_767_323_045;

/// A fresh cloud.
pub(crate) fn cloud() -> TestCloud {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    open(dir, Arc::new(AtomicI64::new(START * 1_000)), None)
}

/// A fresh cloud whose machines run scripts in this room.
pub(crate) fn with_room(room: Arc<dyn MachineRoom>) -> TestCloud {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    open(dir, Arc::new(AtomicI64::new(START * 1_000)), Some(room))
}

fn open(dir: Arc<tempfile::TempDir>, wall: Arc<AtomicI64>, room: Option<Arc<dyn MachineRoom>>) -> TestCloud {
    let clock = Arc::clone(&wall);
    let cloud = Cloud::open(CloudConfig {
        dir: dir.path().join("cloud"),
        room,
        wall: Wall::new(move || DateTime::<Utc>::from_timestamp_millis(clock.load(Ordering::SeqCst)).unwrap()),
    })
    .unwrap();
    let seed = cloud.seed().unwrap();
    TestCloud { cloud, seed, dir, wall }
}

/// The files of a cloud, to start others from: making its keys takes longer than most tests.
pub(crate) struct Files(Vec<(OsString, Vec<u8>)>);

impl Files {
    /// A cloud that goes on where the one stood that these files are of.
    pub fn open(&self) -> TestCloud {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let folder = dir.path().join("cloud");
        std::fs::create_dir(&folder).unwrap();
        for (name, bytes) in &self.0 {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
        open(dir, Arc::new(AtomicI64::new(START * 1_000)), None)
    }
}

impl TestCloud {
    /// Closes the cloud and keeps its files.
    pub fn into_files(self) -> Files {
        let dir = Arc::clone(&self.dir);
        drop(self);
        let files = std::fs::read_dir(dir.path().join("cloud")).unwrap().map(Result::unwrap);
        Files(files.map(|file| (file.file_name(), std::fs::read(file.path()).unwrap())).collect())
    }

    /// The same cloud as another process would open it.
    pub fn again(&self) -> Self {
        open(Arc::clone(&self.dir), Arc::clone(&self.wall), None)
    }

    /// The same cloud as another process with a room would open it.
    pub fn again_with(&self, room: Arc<dyn MachineRoom>) -> Self {
        open(Arc::clone(&self.dir), Arc::clone(&self.wall), Some(room))
    }

    /// Moves the cloud clock.
    pub fn advance(&self, seconds: u64) {
        self.cloud.advance(Duration::from_secs(seconds)).unwrap();
    }

    /// Moves the wall clock, and with it the cloud clock.
    pub fn advance_wall(&self, seconds: i64) {
        self.wall.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }

    /// Injects a fault.
    pub fn fault(&self, fault: Fault) {
        self.cloud.fault(&fault).unwrap();
    }

    /// Runs code as an operation of the cloud would, with its audit entries.
    pub fn within<T>(&self, work: impl FnOnce(&mut Cx<'_>) -> T) -> T {
        let dir = self.dir.path().join("cloud");
        let key: [u8; 32] = std::fs::read(dir.join("cloud.key")).unwrap().try_into().unwrap();
        let sealing = sealbook_crypto::SealKey::from_bytes(key);
        let mut connection = rusqlite::Connection::open(dir.join("cloud.db")).unwrap();
        let tx = connection.transaction().unwrap();
        let request = http::Request::get("https://management.azure.com/").body(Bytes::new()).unwrap();
        let request = crate::http::Request::parse(request).unwrap();
        let now = self.cloud.now().unwrap();
        let mut cx = Cx {
            tx: &tx,
            now,
            wall: now,
            request: &request,
            caller: Caller::default(),
            request_id: uuid::Uuid::nil(),
            correlation_id: "correlation".to_owned(),
            tenant: self.seed.tenant.clone(),
            room: None,
            sealing: &sealing,
            entries: Vec::new(),
        };
        let result = work(&mut cx);
        for (entry, identity) in std::mem::take(&mut cx.entries) {
            audit::write(&tx, &entry, now, &identity, &cx.correlation_id).unwrap();
        }
        tx.commit().unwrap();
        result
    }

    /// `/subscriptions/{id}`.
    pub fn subscription(&self) -> String {
        format!("/subscriptions/{}", self.seed.subscription)
    }

    /// A client that signs in as the learner.
    pub fn learner(&self) -> Client<'_> {
        self.client(vec![
            ("grant_type", "password".to_owned()),
            ("client_id", "04b07795-8ddb-461a-bbee-02f9e1bf7b46".to_owned()),
            ("username", self.seed.user.clone()),
            ("password", self.seed.password.expose().to_owned()),
        ])
    }

    /// A client that signs in as the service principal.
    pub fn tools(&self) -> Client<'_> {
        self.client(vec![
            ("grant_type", "client_credentials".to_owned()),
            ("client_id", self.seed.client_id.clone()),
            ("client_secret", self.seed.client_secret.expose().to_owned()),
        ])
    }

    /// A client that signs in as the user of another tenant of this cloud.
    pub fn stranger(&self, seed: &Seed) -> Client<'_> {
        let form = vec![
            ("grant_type", "password".to_owned()),
            ("client_id", "04b07795-8ddb-461a-bbee-02f9e1bf7b46".to_owned()),
            ("username", seed.user.clone()),
            ("password", seed.password.expose().to_owned()),
        ];
        Client { tenant: seed.tenant.clone(), ..self.client(form) }
    }

    /// A client that sends no token.
    pub fn anonymous(&self) -> Client<'_> {
        self.client(Vec::new())
    }

    fn client(&self, form: Vec<(&'static str, String)>) -> Client<'_> {
        Client { cloud: &self.cloud, tenant: self.seed.tenant.clone(), form, tokens: Mutex::default() }
    }
}

/// A client with a credential; tokens are kept per audience.
pub(crate) struct Client<'a> {
    cloud: &'a Cloud,
    tenant: String,
    form: Vec<(&'static str, String)>,
    tokens: Mutex<Vec<(String, String)>>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    /// JSON body, else `Null`.
    pub body: Value,
    pub bytes: Bytes,
}

impl Reply {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// Innermost-but-one error code: `error.code`.
    pub fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }
}

impl Client<'_> {
    /// A token for an audience.
    pub async fn token(&self, audience: &str) -> String {
        if let Some((_, token)) = self.tokens.lock().unwrap().iter().find(|(a, _)| a == audience) {
            return token.clone();
        }
        let scope = format!("{audience}/.default openid offline_access");
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.form)
            .append_pair("scope", &scope)
            .finish();
        let uri = format!("https://login.microsoftonline.com/{}/oauth2/v2.0/token", self.tenant);
        let reply = self.raw("POST", &uri, &[], form.into()).await.unwrap();
        let token = reply.body["access_token"].as_str().unwrap_or_else(|| panic!("no token: {reply:?}"));
        self.tokens.lock().unwrap().push((audience.to_owned(), token.to_owned()));
        token.to_owned()
    }

    /// Sends a request without a token, or with the one among the headers.
    pub async fn raw(&self, method: &str, uri: &str, headers: &[(&str, &str)], body: Bytes) -> Result<Reply, Dropped> {
        let mut request = http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.cloud.handle(request.body(body).unwrap()).await?;
        let (parts, bytes) = response.into_parts();
        Ok(Reply {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
            bytes,
        })
    }

    /// Sends a request with a token for the host's audience, and headers.
    pub async fn send_with(
        &self,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Reply, Dropped> {
        let host = uri.split('/').nth(2).unwrap_or_default();
        let audience = match host {
            "management.azure.com" => "https://management.azure.com",
            "graph.microsoft.com" => "https://graph.microsoft.com",
            "api.loganalytics.io" => "https://api.loganalytics.io",
            h if h.ends_with(".vault.azure.net") => "https://vault.azure.net",
            h if h.ends_with(".managedhsm.azure.net") => "https://managedhsm.azure.net",
            h if h.ends_with(".core.windows.net") => "https://storage.azure.com",
            other => panic!("no audience for {other}"),
        };
        let mut all = headers.to_vec();
        let bearer;
        if !self.form.is_empty() {
            bearer = format!("Bearer {}", self.token(audience).await);
            all.push(("authorization", &bearer));
        }
        self.raw(method, uri, &all, body).await
    }

    /// Sends JSON (or nothing) with a token for the host's audience.
    pub async fn send(&self, method: &str, uri: &str, body: Option<Value>) -> Reply {
        let body = body.map_or_else(Bytes::new, |b| b.to_string().into());
        self.send_with(method, uri, &[("content-type", "application/json")], body).await.unwrap()
    }

    /// Sends JSON to Azure Resource Manager; `Value::Null` sends no body.
    pub async fn arm(&self, method: &str, path: &str, body: Value) -> Reply {
        let body = Some(body).filter(|b| !b.is_null());
        self.send(method, &format!("https://management.azure.com{path}"), body).await
    }
}

/// The Python that has the official SDKs: `SEALBOOK_PYTHON`, else python3. Without these modules the test is skipped, with
/// the reason printed, but where `REQUIRE_INTEROP` or `CI` is set it fails.
pub(crate) fn python(modules: &str) -> Option<String> {
    let python = std::env::var("SEALBOOK_PYTHON").unwrap_or_else(|_| "python3".into());
    let import = format!("import {modules}");
    if Command::new(&python).args(["-c", &import]).output().is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    let demanded = ["REQUIRE_INTEROP", "CI"].iter().any(|name| std::env::var_os(name).is_some_and(|v| !v.is_empty()));
    assert!(!demanded, "{python} lacks one of {modules}: pip install -r tests/interop/requirements.txt");
    println!("skipped: {python} lacks one of {modules}: pip install -r tests/interop/requirements.txt");
    None
}
