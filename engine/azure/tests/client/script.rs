//! A transport that plays a script.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use sealbook_azure::{Azure, Credential, HttpSend, Settings, Transport, TransportError};
use serde_json::{Value, json};

pub const TENANT: &str = "11111111-1111-1111-1111-111111111111";
pub const PASSWORD: &str = "correct horse battery staple";
pub const GROUP: &str = "/subscriptions/s/resourceGroups/g";
pub const ARM: &str = "https://management.azure.com";

/// What the script does with a request.
pub enum Reply {
    Answer(http::Response<Bytes>),
    Lost,
    Unreachable,
}

/// An answer with a JSON body.
pub fn json_answer(status: u16, body: Value) -> Reply {
    answer(status, &[("content-type", "application/json")], &body.to_string())
}

/// An answer with headers and a body.
pub fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut builder = http::Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    Reply::Answer(builder.body(Bytes::from(body.to_owned())).unwrap())
}

/// A request that came, with the answer's place in the script.
#[derive(Debug, Clone)]
pub struct Seen {
    pub line: String,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Expects requests in order. Tokens are given out without being scripted, unless the script begins with a line for the
/// token endpoint.
#[derive(Default)]
pub struct Script {
    steps: Mutex<VecDeque<(String, Reply)>>,
    seen: Mutex<Vec<Seen>>,
    tokens: Mutex<u32>,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Script")
    }
}

const LOGIN: &str = "POST https://login.microsoftonline.com/11111111-1111-1111-1111-111111111111/oauth2/v2.0/token";

impl Script {
    pub fn new(steps: impl IntoIterator<Item = (String, Reply)>) -> Arc<Self> {
        Arc::new(Self { steps: Mutex::new(steps.into_iter().collect()), ..Self::default() })
    }

    pub fn azure(self: &Arc<Self>) -> Azure {
        self.azure_with(|_| {})
    }

    pub fn azure_with(self: &Arc<Self>, change: impl FnOnce(&mut Settings)) -> Azure {
        let credential = Credential::Password {
            tenant: TENANT.into(),
            user: "learner@contoso.example".into(),
            password: PASSWORD.into(),
        };
        let mut settings = Settings::new(credential, Transport::Injected(Arc::clone(self) as Arc<dyn HttpSend>));
        change(&mut settings);
        Azure::new(settings).unwrap()
    }

    /// The requests that came, without those for tokens.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().filter(|seen| seen.line != LOGIN).cloned().collect()
    }

    pub fn token_requests(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().filter(|seen| seen.line == LOGIN).cloned().collect()
    }

    /// Fails when something that was expected did not come.
    pub fn finished(&self) {
        let left: Vec<String> = self.steps.lock().unwrap().iter().map(|(line, _)| line.clone()).collect();
        assert!(left.is_empty(), "expected, but never asked: {left:#?}");
    }
}

#[async_trait]
impl HttpSend for Script {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, TransportError> {
        let (parts, body) = request.into_parts();
        let line = format!("{} {}", parts.method, parts.uri);
        self.seen.lock().unwrap().push(Seen { line: line.clone(), headers: parts.headers, body });
        let mut steps = self.steps.lock().unwrap();
        if line == LOGIN && steps.front().is_none_or(|(expected, _)| expected != LOGIN) {
            let mut tokens = self.tokens.lock().unwrap();
            *tokens += 1;
            let Reply::Answer(token) = granted(&token(*tokens, json!({})), 3600) else { unreachable!() };
            return Ok(token);
        }
        let Some((expected, reply)) = steps.pop_front() else { panic!("not in the script: {line}") };
        assert_eq!(line, expected, "another request was due");
        let host = parts.uri.host().unwrap_or_default().to_owned();
        match reply {
            Reply::Answer(answer) => Ok(answer),
            Reply::Lost => Err(TransportError::Lost { host, why: "reset by peer".into() }),
            Reply::Unreachable => Err(TransportError::Unreachable { host, why: "connection refused".into() }),
        }
    }
}

/// The token endpoint's line of a script.
pub fn login(reply: Reply) -> (String, Reply) {
    (LOGIN.to_owned(), reply)
}

/// The token endpoint's answer.
pub fn granted(token: &str, seconds: u64) -> Reply {
    json_answer(200, json!({"token_type": "Bearer", "expires_in": seconds, "access_token": token}))
}

/// An unsigned token, as far as a client reads it.
pub fn token(number: u32, more: Value) -> String {
    use base64::Engine as _;
    let mut claims = json!({"tid": TENANT, "oid": "o-1", "idtyp": "user", "upn": "learner@contoso.example"});
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims.to_string());
    format!("e30.{payload}.token{number}")
}

/// A line of a script for Resource Manager.
pub fn arm(method: &str, path_and_query: &str, reply: Reply) -> (String, Reply) {
    (format!("{method} {ARM}{path_and_query}"), reply)
}
