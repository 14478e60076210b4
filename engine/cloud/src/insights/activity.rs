//! What the activity log remembers: one event for each write, delete or action on the control plane that its caller was
//! known for, succeeded or failed.
//!
//! An event holds neither the request's body nor its query nor an error's text, which may quote them.

use chrono::{DateTime, Duration, Utc};
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use crate::arm;
use crate::cx::{Cx, PrincipalKind};
use crate::http::Answer;
use crate::operation::{Access, Operation};
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::store::{instant, millis};

/// Table of the events.
pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS activity (
    position       INTEGER PRIMARY KEY,
    id             TEXT NOT NULL,
    time           INTEGER NOT NULL,
    subscription   TEXT NOT NULL COLLATE NOCASE,
    resource_group TEXT NOT NULL COLLATE NOCASE,
    resource       TEXT NOT NULL COLLATE NOCASE,
    namespace      TEXT NOT NULL COLLATE NOCASE,
    kind           TEXT NOT NULL COLLATE NOCASE,
    action         TEXT NOT NULL COLLATE NOCASE,
    method         TEXT NOT NULL,
    status         INTEGER NOT NULL,
    code           TEXT,
    tenant         TEXT NOT NULL,
    caller         TEXT NOT NULL COLLATE NOCASE,
    oid            TEXT NOT NULL,
    app_id         TEXT NOT NULL,
    upn            TEXT,
    request        TEXT NOT NULL,
    client_request TEXT,
    correlation    TEXT NOT NULL COLLATE NOCASE
) STRICT;
CREATE INDEX IF NOT EXISTS activity_by_time ON activity (subscription, time);
";

/// How long Azure keeps events.
pub(super) const KEPT: Duration = Duration::days(90);

/// An event.
pub(super) struct Event {
    /// GUID.
    pub id: String,
    /// When it happened (cloud clock).
    pub time: DateTime<Utc>,
    /// Subscription.
    pub subscription: String,
    /// Resource group; empty when it is about none.
    pub group: String,
    /// Id of the resource that it is about.
    pub resource: String,
    /// Namespace of the provider.
    pub namespace: String,
    /// Type with namespace.
    pub kind: String,
    /// The control-plane action.
    pub action: String,
    /// Verb of the request.
    pub method: String,
    /// Status that was answered.
    pub status: u16,
    /// Error code that was answered.
    pub code: Option<String>,
    /// Tenant of the caller.
    pub tenant: String,
    /// User principal name of a person, object id of a service principal.
    pub caller: String,
    /// Object id of the caller.
    pub oid: String,
    /// Application that the caller used.
    pub app_id: String,
    /// User principal name of a person.
    pub upn: Option<String>,
    /// Id of the request.
    pub request: String,
    /// The client's own id of the request.
    pub client_request: Option<String>,
    /// Correlation id.
    pub correlation: String,
}

/// Remembers a request to Azure Resource Manager, when it belongs into the log.
pub(crate) fn record(
    cx: &Cx<'_>,
    operation: &'static Operation,
    answer: &Answer,
    code: Option<&str>,
) -> Result<(), Refusal> {
    let Access::Control(action) = operation.access else { return Ok(()) };
    let verb = action.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let target = arm::target(cx.request);
    let Some(subscription) = target.subscription() else { return Ok(()) };
    if cx.caller.oid.is_empty() || !matches!(verb.as_str(), "write" | "delete" | "action") {
        return Ok(());
    }
    let caller = match (cx.caller.kind, &cx.caller.upn) {
        (Some(PrincipalKind::User), Some(upn)) => upn,
        _ => &cx.caller.oid,
    };
    let namespace = match target.namespace() {
        Some(namespace) => namespace,
        None => action.split('/').next().unwrap_or_default(),
    };
    cx.tx
        .prepare_cached(
            "INSERT INTO activity
             (id, time, subscription, resource_group, resource, namespace, kind, action, method, status, code, tenant,
              caller, oid, app_id, upn, request, client_request, correlation)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
        )?
        .execute(params![
            Uuid::new_v4().to_string(),
            millis(cx.now),
            subscription,
            target.group().unwrap_or_default(),
            target.to_string(),
            namespace,
            kind(&target, action),
            action,
            cx.request.method.as_str(),
            answer.status.as_u16(),
            code,
            cx.caller.tenant,
            caller,
            cx.caller.oid,
            cx.caller.app_id,
            cx.caller.upn,
            cx.request_id.to_string(),
            cx.request
                .header("x-ms-client-request-id")
                .and_then(|id| Uuid::try_parse(id).ok())
                .map(|id| id.to_string()),
            cx.correlation_id,
        ])?;
    if cx.tx.last_insert_rowid() % 1_000 == 0 {
        cx.tx.execute("DELETE FROM activity WHERE time < ?1", [millis(cx.now - KEPT)])?;
    }
    Ok(())
}

/// The type that an action names, where the path ends above a type (registering a provider).
fn kind(target: &ResourceId, action: &str) -> String {
    if target.namespace().is_some() || target.group().is_some() {
        return target.kind();
    }
    let parts: Vec<&str> = action.split('/').collect();
    let verbs = if parts.last().is_some_and(|p| p.eq_ignore_ascii_case("action")) { 2 } else { 1 };
    parts[..parts.len().saturating_sub(verbs)].join("/")
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        id: row.get("id")?,
        time: instant(row.get("time")?),
        subscription: row.get("subscription")?,
        group: row.get("resource_group")?,
        resource: row.get("resource")?,
        namespace: row.get("namespace")?,
        kind: row.get("kind")?,
        action: row.get("action")?,
        method: row.get("method")?,
        status: row.get("status")?,
        code: row.get("code")?,
        tenant: row.get("tenant")?,
        caller: row.get("caller")?,
        oid: row.get("oid")?,
        app_id: row.get("app_id")?,
        upn: row.get("upn")?,
        request: row.get("request")?,
        client_request: row.get("client_request")?,
        correlation: row.get("correlation")?,
    })
}

/// Events of a subscription between two instants, newest first, as Azure lists them.
pub(super) fn between(
    tx: &Connection,
    subscription: &str,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<Vec<Event>, Refusal> {
    let mut statement = tx.prepare_cached(
        "SELECT * FROM activity WHERE subscription = ?1 AND time BETWEEN ?2 AND ?3 ORDER BY time DESC, position DESC",
    )?;
    let rows = statement.query_map(params![subscription, millis(from), millis(to)], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}
