//! Managed HSMs beyond their keys: the security domain and local roles (Key Vault data plane, `securitydomain.json` and
//! `rbac.json` of the official specification). No official Rust client has these.

use std::sync::Arc;

use azure_core::http::{Method, Request, Url};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sealbook_crypto::security_domain::certificate;
use serde_json::{Value, json};

use crate::azure::Inner;
use crate::error::{AzureError, Effect, Kind};
use crate::exchange;
use crate::guard::OneHost;

/// Scope of the tokens.
const SCOPE: &str = "https://managedhsm.azure.net/.default";
/// Api-version of the requests.
const VERSION: &str = "7.6";
/// Domain of managed HSMs.
const DOMAIN: &str = ".managedhsm.azure.net";

/// Which way a security domain travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    /// Out of a managed HSM.
    Download,
    /// Into one.
    Upload,
}

impl Transfer {
    fn path(self) -> &'static str {
        match self {
            Self::Download => "securitydomain/download",
            Self::Upload => "securitydomain/upload",
        }
    }
}

/// Managed HSMs, each named by its URI (`https://{name}.managedhsm.azure.net/`).
///
/// All methods fail with [`Kind::BadRequest`] and `InvalidHsmUri` for anything else (another host above all), and with
/// what the managed HSM answers.
#[derive(Debug, Clone)]
pub struct Hsms {
    inner: Arc<Inner>,
}

impl Hsms {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// Asks for the security domain, encrypted to certificates (DER) of which `required` open it. Returns the document.
    /// It activates a managed HSM that is not active yet, which takes until [`Hsms::transfer_done`] says so.
    ///
    /// # Errors
    /// See [`Hsms`]; [`AzureError::outcome_unknown`] applies.
    pub async fn download(&self, uri: &str, certificates: &[Vec<u8>], required: u8) -> Result<String, AzureError> {
        let keys: Option<Vec<Value>> = certificates.iter().map(|der| web_key(der)).collect();
        let keys = keys.ok_or_else(|| {
            AzureError::new(Kind::BadRequest, "InvalidCertificate", "a holder's certificate has no RSA key")
        })?;
        let body = json!({ "certificates": keys, "required": required });
        let url = format!("securitydomain/download?api-version={VERSION}");
        let answer = self.send(uri, Method::Post, &url, Some(&body), Effect::Write).await?.unwrap_or_default();
        answer["value"].as_str().map(str::to_owned).ok_or_else(|| unreadable("a security domain"))
    }

    /// Tells whether the last transfer of the security domain is complete.
    ///
    /// # Errors
    /// See [`Hsms`]; `SecurityDomainTransferFailed` once it failed.
    pub async fn transfer_done(&self, uri: &str, which: Transfer) -> Result<bool, AzureError> {
        let path = format!("{}/pending", which.path());
        let answer = self.send(uri, Method::Get, &path, None, Effect::Read).await?.unwrap_or_default();
        match answer["status"].as_str() {
            Some(done) if done.eq_ignore_ascii_case("Success") => Ok(true),
            Some(failed) if failed.eq_ignore_ascii_case("Failed") => {
                let why = answer["status_details"].as_str().unwrap_or_default();
                let message = format!("the transfer of the security domain failed: {why}");
                Err(AzureError::new(Kind::Other, "SecurityDomainTransferFailed", message))
            }
            _ => Ok(false),
        }
    }

    /// Returns the certificate (DER) to whose key a security domain has to be encrypted for this managed HSM.
    ///
    /// # Errors
    /// See [`Hsms`].
    pub async fn transfer_certificate(&self, uri: &str) -> Result<Vec<u8>, AzureError> {
        let url = format!("securitydomain/upload?api-version={VERSION}");
        let answer = self.send(uri, Method::Get, &url, None, Effect::Read).await?.unwrap_or_default();
        // The key is JSON text within the JSON answer.
        let key: Value = match &answer["transfer_key"] {
            Value::String(text) => serde_json::from_str(text).unwrap_or_default(),
            other => other.clone(),
        };
        let certificate = key["x5c"][0].as_str().and_then(|text| STANDARD.decode(text).ok());
        certificate.ok_or_else(|| unreadable("a transfer key"))
    }

    /// Gives a managed HSM a security domain that was encrypted to its transfer key.
    ///
    /// # Errors
    /// See [`Hsms`]; [`AzureError::outcome_unknown`] applies.
    pub async fn upload(&self, uri: &str, document: &Value) -> Result<(), AzureError> {
        let body = json!({ "value": document.to_string() });
        let url = format!("securitydomain/upload?api-version={VERSION}");
        self.send(uri, Method::Post, &url, Some(&body), Effect::Write).await.map(drop)
    }

    /// Finds the id of a local role by its name.
    ///
    /// # Errors
    /// `RoleNotFound` when there is none; else see [`Hsms`].
    pub async fn role(&self, uri: &str, name: &str) -> Result<String, AzureError> {
        let url = format!("{}?api-version={VERSION}", at("/", "roleDefinitions"));
        let answer = self.send(uri, Method::Get, &url, None, Effect::Read).await?.unwrap_or_default();
        let mut roles = answer["value"].as_array().into_iter().flatten();
        let named = |role: &&Value| {
            role["properties"]["roleName"].as_str().is_some_and(|known| known.eq_ignore_ascii_case(name))
        };
        let found = roles.find(named).and_then(|role| role["id"].as_str());
        found.map(str::to_owned).ok_or_else(|| {
            let message = format!("no local role is called {name:?} in {uri}: check the spelling of the role's name");
            AzureError::new(Kind::NotFound, "RoleNotFound", message)
        })
    }

    /// Lists the local assignments of a principal (an object id) at, above and below a scope.
    ///
    /// # Errors
    /// See [`Hsms`].
    pub async fn assignments(&self, uri: &str, scope: &str, principal: &str) -> Result<Vec<Value>, AzureError> {
        let filter = format!("principalId%20eq%20'{principal}'");
        let url = format!("{}?$filter={filter}&api-version={VERSION}", at(scope, "roleAssignments"));
        let answer = self.send(uri, Method::Get, &url, None, Effect::Read).await?.unwrap_or_default();
        Ok(answer["value"].as_array().cloned().unwrap_or_default())
    }

    /// Reads a local assignment by its name (a GUID). `None`: there is none.
    ///
    /// # Errors
    /// See [`Hsms`].
    pub async fn assignment(&self, uri: &str, scope: &str, name: &str) -> Result<Option<Value>, AzureError> {
        let url = format!("{}/{name}?api-version={VERSION}", at(scope, "roleAssignments"));
        absent(self.send(uri, Method::Get, &url, None, Effect::Read).await)
    }

    /// Assigns a local role, by its id, under a name (a GUID).
    ///
    /// # Errors
    /// See [`Hsms`]; [`AzureError::outcome_unknown`] applies.
    pub async fn assign(
        &self,
        uri: &str,
        scope: &str,
        name: &str,
        principal: &str,
        role: &str,
    ) -> Result<Value, AzureError> {
        let body = json!({ "properties": { "roleDefinitionId": role, "principalId": principal } });
        let url = format!("{}/{name}?api-version={VERSION}", at(scope, "roleAssignments"));
        let made = self.send(uri, Method::Put, &url, Some(&body), Effect::Write).await?;
        Ok(made.unwrap_or_default())
    }

    /// Removes a local assignment. `None`: there was none.
    ///
    /// # Errors
    /// See [`Hsms`]; [`AzureError::outcome_unknown`] applies.
    pub async fn unassign(&self, uri: &str, scope: &str, name: &str) -> Result<Option<Value>, AzureError> {
        let url = format!("{}/{name}?api-version={VERSION}", at(scope, "roleAssignments"));
        absent(self.send(uri, Method::Delete, &url, None, Effect::Write).await)
    }

    async fn send(
        &self,
        uri: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
        effect: Effect,
    ) -> Result<Option<Value>, AzureError> {
        let host = host(uri)?;
        let url = format!("https://{host}/{path}");
        let url: Url = url.parse().map_err(|_| refused(uri))?;
        if !OneHost(host.clone()).covers(&url) {
            return Err(refused(uri));
        }
        let pipeline = self.inner.pipeline(&host, SCOPE);
        exchange::send(&pipeline, Request::new(url, method), body, effect).await?.ok(effect)
    }
}

/// The path of something at a scope. The scope is written with its own slash, as the official clients do.
fn at(scope: &str, what: &str) -> String {
    format!("{scope}/providers/Microsoft.Authorization/{what}")
}

/// The host of a managed HSM's URI.
fn host(uri: &str) -> Result<String, AzureError> {
    let host = uri.strip_prefix("https://").map(|rest| rest.strip_suffix('/').unwrap_or(rest)).unwrap_or_default();
    let host = host.to_ascii_lowercase();
    let name = host.strip_suffix(DOMAIN).unwrap_or_default();
    let plain = (1..=24).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if plain { Ok(host) } else { Err(refused(uri)) }
}

fn refused(uri: &str) -> AzureError {
    let message = format!("{uri:?} is not the URI of a managed HSM (https://NAME{DOMAIN}/)");
    AzureError::new(Kind::BadRequest, "InvalidHsmUri", message)
}

fn unreadable(what: &str) -> AzureError {
    AzureError::new(Kind::Other, "UnreadableAnswer", format!("the managed HSM answered without {what}"))
}

fn absent(answer: Result<Option<Value>, AzureError>) -> Result<Option<Value>, AzureError> {
    match answer {
        // The name of a managed HSM that is not there does not resolve; a proxy may say so in its own way.
        Err(error) if error.kind == Kind::NotFound && !error.has_code("ManagedHsmNotFound") => Ok(None),
        Ok(None) => Ok(Some(Value::Null)),
        answer => answer,
    }
}

/// A holder's certificate as a JSON Web Key, with all members that the service wants.
fn web_key(der: &[u8]) -> Option<Value> {
    let (key, thumbprint) = (certificate::public_key(der)?, certificate::thumbprint(der));
    Some(json!({
        "kty": "RSA",
        "alg": "RSA-OAEP-256",
        "use": "enc",
        "key_ops": ["verify", "encrypt", "wrapKey"],
        "kid": thumbprint,
        "n": URL_SAFE_NO_PAD.encode(key.n),
        "e": URL_SAFE_NO_PAD.encode(key.e),
        "x5c": [STANDARD.encode(der)],
        "x5t#S256": thumbprint,
    }))
}
