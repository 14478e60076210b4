//! Azure Resource Manager: resources by id, as JSON.

pub mod api;
mod follow;
pub(crate) mod id;

use std::sync::Arc;

use azure_core::http::headers::HeaderName;
use azure_core::http::{Method, Request, Url};
use serde_json::Value;
use uuid::Uuid;

pub use follow::{Answer, Follow, Polled, Style, Verb};

use crate::azure::{ARM_HOST, Inner};
use crate::error::{AzureError, Effect, Kind};
use crate::exchange::{self, Reply};
use crate::guard::OneHost;

const CORRELATION: HeaderName = HeaderName::from_static("x-ms-correlation-request-id");

/// Most pages of one list. Azure's pages hold hundreds of items: more than this is a loop.
const MOST_PAGES: usize = 500;

/// Codes of 404 answers that do not mean "there is no such resource" but "there cannot be one": the subscription, the
/// provider or the type is unknown, which is a mistake to report and not a state to act on.
const NOT_ABSENT: [&str; 7] = [
    "SubscriptionNotFound",
    "InvalidSubscriptionId",
    "InvalidResourceType",
    "InvalidResourceNamespace",
    "NoRegisteredProviderFound",
    "MissingApiVersionParameter",
    "InvalidApiVersionParameter",
];

/// Resource Manager's client.
///
/// Ids are paths as Azure writes them (`/subscriptions/…/resourceGroups/…`), without host and query. The api-version
/// comes from the table in [`api`] unless the caller names one.
#[derive(Debug, Clone)]
pub struct Arm {
    inner: Arc<Inner>,
    correlation: Option<Uuid>,
}

impl Arm {
    pub(crate) fn new(inner: Arc<Inner>, correlation: Option<Uuid>) -> Self {
        Self { inner, correlation }
    }

    /// Reads a resource. `None`: there is none.
    ///
    /// # Errors
    /// [`Kind::BadRequest`] for a malformed id or an unknown type; else what Azure answers.
    pub async fn get(&self, id: &str, api: Option<&str>) -> Result<Option<Value>, AzureError> {
        let reply = self.send(Method::Get, url(id, api, &[])?, None, Effect::Read).await?;
        if reply.is_success() {
            return reply.json();
        }
        let error = reply.error(Effect::Read);
        if is_absence(&error) { Ok(None) } else { Err(error) }
    }

    /// Reads a collection, all pages of it.
    ///
    /// # Errors
    /// As for [`Arm::get`]; a collection that is not there is an error. `NextLinkRefused` when a page leads to another
    /// host.
    pub async fn list(&self, id: &str, api: Option<&str>) -> Result<Vec<Value>, AzureError> {
        self.pages(url(id, api, &[])?).await
    }

    /// Reads a collection with an OData filter (`atScope()`, `roleName eq 'Reader'`).
    ///
    /// # Errors
    /// As for [`Arm::list`].
    pub async fn list_where(&self, id: &str, filter: &str, api: Option<&str>) -> Result<Vec<Value>, AzureError> {
        self.pages(url(id, api, &[("$filter", filter)])?).await
    }

    /// Creates or replaces a resource.
    ///
    /// # Errors
    /// As for [`Arm::get`]; see [`AzureError::outcome_unknown`].
    pub async fn put(&self, id: &str, body: &Value, api: Option<&str>) -> Result<Answer, AzureError> {
        self.write(Verb::Put, id, Some(body), api).await
    }

    /// Changes parts of a resource.
    ///
    /// # Errors
    /// As for [`Arm::put`].
    pub async fn patch(&self, id: &str, body: &Value, api: Option<&str>) -> Result<Answer, AzureError> {
        self.write(Verb::Patch, id, Some(body), api).await
    }

    /// Runs an action (`…/providers/Microsoft.KeyVault/register`).
    ///
    /// # Errors
    /// As for [`Arm::put`].
    pub async fn post(&self, id: &str, body: Option<&Value>, api: Option<&str>) -> Result<Answer, AzureError> {
        self.write(Verb::Post, id, body, api).await
    }

    /// Deletes a resource. That there was none is as good: [`Answer::Done`].
    ///
    /// # Errors
    /// As for [`Arm::put`].
    pub async fn delete(&self, id: &str, api: Option<&str>) -> Result<Answer, AzureError> {
        match self.write(Verb::Delete, id, None, api).await {
            Err(error) if is_absence(&error) => Ok(Answer::Done(None)),
            answer => answer,
        }
    }

    /// Asks a question by POST (`checkNameAvailability`): nothing changes, so it is repeated like a read.
    ///
    /// # Errors
    /// As for [`Arm::get`]; `UnreadableAnswer` when there is no body.
    pub async fn query(&self, id: &str, body: &Value, api: Option<&str>) -> Result<Value, AzureError> {
        let reply = self.send(Method::Post, url(id, api, &[])?, Some(body), Effect::Read).await?;
        if !reply.is_success() {
            return Err(reply.error(Effect::Read));
        }
        let unreadable = || AzureError::new(Kind::Other, "UnreadableAnswer", format!("{id} answered without a body"));
        reply.json()?.ok_or_else(unreadable)
    }

    /// Asks once how a long-running operation goes. Waiting in between ([`Follow::delay`]) is the caller's part, so
    /// that it can be interrupted, written down and continued by another process.
    ///
    /// # Errors
    /// The operation's own error once it failed, with status 200; else as for [`Arm::get`]. After a transient one the
    /// same `Follow` may be polled again.
    pub async fn poll(&self, follow: &Follow) -> Result<Polled, AzureError> {
        follow::poll(self, follow).await
    }

    /// Finds the id of a role by its display name, as it is valid at `scope`.
    ///
    /// # Errors
    /// `RoleNotFound` when there is none; else as for [`Arm::list`].
    pub async fn role_definition_id(&self, scope: &str, name: &str) -> Result<String, AzureError> {
        let id = format!("{}/providers/Microsoft.Authorization/roleDefinitions", scope.trim_end_matches('/'));
        // OData doubles a quote to escape it.
        let filter = format!("roleName eq '{}'", name.replace('\'', "''"));
        let found = self.list_where(&id, &filter, None).await?;
        let named = |role: &&Value| {
            role.pointer("/properties/roleName").and_then(Value::as_str).is_some_and(|n| n.eq_ignore_ascii_case(name))
        };
        let role = found.iter().find(named).and_then(|role| role.get("id")).and_then(Value::as_str);
        role.map(str::to_owned).ok_or_else(|| {
            let message = format!("no role is called {name:?} at {scope}: check the spelling of the role's name");
            AzureError::new(Kind::NotFound, "RoleNotFound", message)
        })
    }

    async fn write(&self, verb: Verb, id: &str, body: Option<&Value>, api: Option<&str>) -> Result<Answer, AzureError> {
        let version = api::version(id, api)?;
        let reply = self.send(verb.method(), url(id, Some(&version), &[])?, body, Effect::Write).await?;
        follow::answer(verb, id, &version, &reply)
    }

    async fn pages(&self, first: Url) -> Result<Vec<Value>, AzureError> {
        let mut items = Vec::new();
        let mut next = Some(first);
        for _ in 0..MOST_PAGES {
            let Some(url) = next.take() else { return Ok(items) };
            let here = url.path().to_owned();
            let reply = self.send(Method::Get, url, None, Effect::Read).await?;
            if !reply.is_success() {
                return Err(reply.error(Effect::Read));
            }
            let mut page = reply.json()?.unwrap_or_default();
            match page.get_mut("value").map(Value::take) {
                Some(Value::Array(values)) => items.extend(values),
                _ => {
                    let message = format!("{here} is not a collection: its answer has no list in `value`");
                    return Err(AzureError::new(Kind::Other, "NotACollection", message));
                }
            }
            if let Some(link) = page.get("nextLink").and_then(Value::as_str).filter(|link| !link.is_empty()) {
                next = Some(own_url(link).ok_or_else(|| {
                    let message = format!("the list {here} goes on at another host than {ARM_HOST}: not followed");
                    AzureError::new(Kind::Other, "NextLinkRefused", message)
                })?);
            }
        }
        let message = format!("the list goes on after {MOST_PAGES} pages: given up");
        Err(AzureError::new(Kind::Other, "EndlessList", message))
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        url: Url,
        body: Option<&Value>,
        effect: Effect,
    ) -> Result<Reply, AzureError> {
        let mut request = Request::new(url, method);
        if let Some(id) = self.correlation {
            request.insert_header(CORRELATION, id.to_string());
        }
        exchange::send(&self.inner.arm, request, body, effect).await
    }
}

fn is_absence(error: &AzureError) -> bool {
    error.kind == Kind::NotFound && !NOT_ABSENT.iter().any(|code| error.has_code(code))
}

/// Makes the URL of a resource. Query values are percent-encoded, blanks too: not every service reads `+` as one.
pub(crate) fn url(id: &str, api: Option<&str>, query: &[(&str, &str)]) -> Result<Url, AzureError> {
    let version = api::version(id, api)?;
    let mut url = format!("https://{ARM_HOST}{id}?api-version={version}");
    for (name, value) in query {
        url.push_str(&format!("&{name}={}", percent_encoded(value)));
    }
    own_url(&url).ok_or_else(|| id::refused(id, "it does not make a URL of Resource Manager"))
}

/// Parses a URL that must be Resource Manager's.
pub(crate) fn own_url(url: &str) -> Option<Url> {
    let url: Url = url.parse().ok()?;
    OneHost(ARM_HOST.to_owned()).covers(&url).then_some(url)
}

fn percent_encoded(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
