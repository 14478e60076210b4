//! Long-running operations, driven by stored instants: no task has to stay alive for one to finish.
//!
//! Whatever has fallen due is completed at the start of the next request, in order, with the cloud clock set to the
//! instant it fell due.

use std::panic::{AssertUnwindSafe, catch_unwind};

use chrono::{DateTime, Duration, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cx::Cx;
use crate::http::Answer;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::store::{instant, millis};

/// Table of the operations.
pub(crate) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS operations (
    id       TEXT PRIMARY KEY,
    provider TEXT NOT NULL,
    kind     TEXT NOT NULL,
    resource TEXT NOT NULL COLLATE NOCASE,
    payload  TEXT NOT NULL,
    status   TEXT NOT NULL,
    result   TEXT,
    error    TEXT,
    started  INTEGER NOT NULL,
    due      INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS operations_due ON operations (due) WHERE status = 'InProgress';
";

/// What a provider starts.
#[derive(Clone, Debug)]
pub(crate) struct NewLro<'a> {
    /// Namespace of the provider whose `complete` hook finishes it.
    pub provider: &'static str,
    /// The provider's name for it, such as `purge`.
    pub kind: &'static str,
    /// Id of the resource it is about.
    pub resource: &'a str,
    /// What the hook needs.
    pub payload: Value,
    /// How long it takes on the cloud clock.
    pub takes: Duration,
}

/// State of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Not due yet.
    InProgress,
    /// Done.
    Succeeded,
    /// Its hook refused.
    Failed,
    /// The resource went away first.
    Canceled,
}

impl Status {
    /// Azure's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "InProgress",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Canceled => "Canceled",
        }
    }

    fn parse(word: &str) -> Self {
        [Self::Succeeded, Self::Failed, Self::Canceled]
            .into_iter()
            .find(|status| status.as_str() == word)
            .unwrap_or(Self::InProgress)
    }
}

/// A stored long-running operation.
#[derive(Clone, Debug)]
pub(crate) struct Lro {
    /// GUID in its URLs.
    pub id: String,
    /// Namespace of its provider.
    pub provider: String,
    /// The provider's name for it.
    pub kind: String,
    /// Id of the resource it is about.
    pub resource: String,
    /// What the hook needs.
    pub payload: Value,
    /// State.
    pub status: Status,
    /// What the hook returned.
    pub result: Option<Value>,
    /// ARM error object of a failed one.
    pub error: Option<Value>,
    /// When it was started (cloud clock).
    pub started: DateTime<Utc>,
    /// When it is or was due (cloud clock).
    pub due: DateTime<Utc>,
}

fn json_column(row: &Row<'_>, name: &str) -> rusqlite::Result<Option<Value>> {
    let text: Option<String> = row.get(name)?;
    Ok(text.and_then(|t| serde_json::from_str(&t).ok()))
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Lro> {
    let status: String = row.get("status")?;
    Ok(Lro {
        id: row.get("id")?,
        provider: row.get("provider")?,
        kind: row.get("kind")?,
        resource: row.get("resource")?,
        payload: json_column(row, "payload")?.unwrap_or_default(),
        status: Status::parse(&status),
        result: json_column(row, "result")?,
        error: json_column(row, "error")?,
        started: instant(row.get("started")?),
        due: instant(row.get("due")?),
    })
}

/// Starts an operation.
pub(crate) fn start(cx: &Cx<'_>, new: NewLro<'_>) -> Result<Lro, Refusal> {
    let slow = Duration::milliseconds(crate::fault::slowness(cx)?);
    let lro = Lro {
        id: Uuid::new_v4().to_string(),
        provider: new.provider.to_owned(),
        kind: new.kind.to_owned(),
        resource: new.resource.to_owned(),
        payload: new.payload,
        status: Status::InProgress,
        result: None,
        error: None,
        started: cx.now,
        due: cx.now + new.takes + slow,
    };
    cx.tx
        .prepare_cached(
            "INSERT INTO operations (id, provider, kind, resource, payload, status, started, due)
             VALUES (?1, ?2, ?3, ?4, ?5, 'InProgress', ?6, ?7)",
        )?
        .execute(params![
            lro.id,
            lro.provider,
            lro.kind,
            lro.resource,
            lro.payload.to_string(),
            millis(lro.started),
            millis(lro.due),
        ])?;
    Ok(lro)
}

/// Reads an operation by id.
pub(crate) fn get(tx: &Connection, id: &str) -> Result<Option<Lro>, Refusal> {
    let row = tx.prepare_cached("SELECT * FROM operations WHERE id = ?1")?.query_row([id], from_row).optional()?;
    Ok(row)
}

/// The operation in progress on a resource, if there is one.
pub(crate) fn in_progress(tx: &Connection, resource: &str) -> Result<Option<Lro>, Refusal> {
    let row = tx
        .prepare_cached(
            "SELECT * FROM operations WHERE resource = ?1 AND status = 'InProgress' ORDER BY started LIMIT 1",
        )?
        .query_row([resource], from_row)
        .optional()?;
    Ok(row)
}

/// Ends what is in progress on a resource that goes away, or on a part of it.
pub(crate) fn cancel(tx: &Connection, resource: &str) -> Result<(), Refusal> {
    let error = Refusal::new(409, "OperationPreempted", "The operation was canceled: the resource was deleted.");
    tx.prepare_cached(
        "UPDATE operations SET status = 'Canceled', error = ?2
         WHERE status = 'InProgress'
           AND (resource = ?1 OR substr(resource, 1, length(?1) + 1) = ?1 || '/' COLLATE NOCASE)",
    )?
    .execute(params![resource, error.arm_error().to_string()])?;
    Ok(())
}

/// Completes everything that is due by `cx.now`, in order.
pub(crate) fn advance(cx: &mut Cx<'_>) -> Result<(), Refusal> {
    let now = cx.now;
    loop {
        let due = cx
            .tx
            .prepare_cached(
                "SELECT * FROM operations WHERE status = 'InProgress' AND due <= ?1 ORDER BY due, started LIMIT 1",
            )?
            .query_row([millis(now)], from_row)
            .optional()?;
        let Some(lro) = due else { break };
        cx.now = lro.due;
        let finished = complete(cx, &lro);
        cx.now = now;
        finished?;
    }
    Ok(())
}

/// Ends an operation before its time, with a result or an error. One that has ended already stays as it is.
pub(crate) fn end(cx: &Cx<'_>, id: &str, outcome: Result<Value, Refusal>) -> Result<(), Refusal> {
    let (status, result, error) = match outcome {
        Ok(result) => (Status::Succeeded, Some(result.to_string()), None),
        Err(refusal) => (Status::Failed, None, Some(refusal.arm_error().to_string())),
    };
    cx.tx
        .prepare_cached(
            "UPDATE operations SET status = ?2, result = ?3, error = ?4, due = ?5
             WHERE id = ?1 AND status = 'InProgress'",
        )?
        .execute(params![id, status.as_str(), result, error, millis(cx.now)])?;
    Ok(())
}

/// The operations of a kind that are in progress, oldest first.
pub(crate) fn open(tx: &Connection, kind: &str) -> Result<Vec<Lro>, Refusal> {
    let mut statement =
        tx.prepare_cached("SELECT * FROM operations WHERE status = 'InProgress' AND kind = ?1 ORDER BY started, id")?;
    let rows = statement.query_map([kind], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Replaces what the hook of an operation needs.
pub(crate) fn set_payload(tx: &Connection, id: &str, payload: &Value) -> Result<(), Refusal> {
    tx.prepare_cached("UPDATE operations SET payload = ?2 WHERE id = ?1")?.execute(params![id, payload.to_string()])?;
    Ok(())
}

/// Runs the hook of an operation that fell due. Whatever goes wrong in it, a panic included, fails this one operation:
/// it must not stand in the way of every later request.
fn complete(cx: &mut Cx<'_>, lro: &Lro) -> Result<(), Refusal> {
    cx.tx.execute_batch("SAVEPOINT lro")?;
    let result = match crate::registry::provider(&lro.provider) {
        Some(provider) => catch_unwind(AssertUnwindSafe(|| provider.complete(cx, lro)))
            .unwrap_or_else(|_| Err(Refusal::internal(format!("the completion of {} panicked", lro.kind)))),
        None => Err(Refusal::internal(format!("nobody completes operations of {}", lro.provider))),
    };
    let (status, result, error) = match result {
        Ok(result) => ("Succeeded", result, None),
        Err(refusal) => {
            cx.tx.execute_batch("ROLLBACK TO lro")?;
            if let Some(cause) = refusal.cause() {
                tracing::error!(operation = lro.kind, resource = lro.resource, cause, "an operation failed");
            }
            if let Some(provider) = crate::registry::provider(&lro.provider) {
                provider.failed(cx, lro)?;
            }
            ("Failed", None, Some(refusal.arm_error()))
        }
    };
    cx.tx.execute_batch("RELEASE lro")?;
    cx.tx
        .prepare_cached("UPDATE operations SET status = ?2, result = ?3, error = ?4 WHERE id = ?1")?
        .execute(params![lro.id, status, result.map(|v| v.to_string()), error.map(|v| v.to_string())])?;
    Ok(())
}

/// Kinds of operations that end when their work is done; the clock only ends those that take too long.
const OPEN_ENDED: &[&str] = &[crate::compute::RUN_COMMAND];

/// Seconds to wait before the next poll: at least one.
pub(crate) fn retry_after(cx: &Cx<'_>, lro: &Lro) -> String {
    if OPEN_ENDED.contains(&lro.kind.as_str()) {
        return "1".to_owned();
    }
    let left = (lro.due - cx.now).num_milliseconds().max(0);
    ((left + 999) / 1000).clamp(1, 30).to_string()
}

fn missing(id: &str) -> Refusal {
    Refusal::new(404, "NotFound", format!("The operation '{id}' was not found."))
}

/// The operation that a poll asks for: of the subscription in the path, and nobody else's.
fn polled(cx: &Cx<'_>, id: &str) -> Result<Lro, Refusal> {
    let asked = crate::arm::target(cx.request);
    let mut lro = get(cx.tx, id)?
        .filter(|lro| {
            let of = ResourceId::parse(&lro.resource);
            let of = of.as_ref().and_then(ResourceId::subscription).unwrap_or_default();
            asked.subscription().is_some_and(|subscription| subscription.eq_ignore_ascii_case(of))
        })
        .ok_or_else(|| missing(id))?;
    if let Some(stored) = lro.result.take() {
        lro.result = Some(crate::arm::resource::result(cx, &lro, stored)?);
    }
    Ok(lro)
}

/// Answers a poll of an `Azure-AsyncOperation` URL: always 200, the state in the body.
pub(crate) fn poll_status(cx: &Cx<'_>, id: &str) -> Result<Answer, Refusal> {
    let lro = polled(cx, id)?;
    let mut body = json!({
        "id": cx.request.path,
        "name": lro.id,
        "status": lro.status.as_str(),
        "startTime": crate::time::rfc3339(lro.started),
    });
    if lro.status != Status::InProgress {
        body["endTime"] = crate::time::rfc3339(lro.due).into();
    }
    if let Some(result) = &lro.result {
        body["properties"] = json!({ "output": result });
    }
    if let Some(error) = &lro.error {
        body["error"] = error.clone();
    }
    let answer = Answer::ok(&body);
    Ok(if lro.status == Status::InProgress { answer.header("retry-after", retry_after(cx, &lro)) } else { answer })
}

/// Answers a poll of a `Location` URL: 202 with the same `Location` while it runs, then 200 with the result, 204
/// without one, or the error.
pub(crate) fn poll_location(cx: &Cx<'_>, id: &str) -> Result<Answer, Refusal> {
    let lro = polled(cx, id)?;
    Ok(match (lro.status, &lro.result, &lro.error) {
        (Status::InProgress, ..) => {
            let query = cx.request.query.iter().map(|(n, v)| (n.as_str(), v.as_str()));
            let query: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
            let location = format!("https://{}{}?{query}", cx.request.host, cx.request.path);
            Answer::empty(202).header("location", location).header("retry-after", retry_after(cx, &lro))
        }
        (Status::Succeeded, Some(result), _) => Answer::ok(result),
        (Status::Succeeded, None, _) => Answer::empty(204),
        (Status::Failed | Status::Canceled, _, error) => Answer::json(409, &json!({ "error": error })),
    })
}
