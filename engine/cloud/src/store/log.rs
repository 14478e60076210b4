//! The request log and its counters.

use chrono::{DateTime, Utc};
use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

use super::{instant, millis};
use crate::cx::Cx;
use crate::http::Request;
use crate::refusal::Refusal;

/// How many requests the log keeps; the counters keep counting.
const KEPT: i64 = 50_000;

/// One request as the log shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedRequest {
    /// Position in the log.
    pub id: i64,
    /// When it came (wall clock).
    pub time: DateTime<Utc>,
    /// Verb.
    pub method: String,
    /// Host.
    pub host: String,
    /// Path as it was sent.
    pub path: String,
    /// Query, without signatures.
    pub query: String,
    /// Operation id, such as `Vaults_CreateOrUpdate`; empty when none was found.
    pub operation: String,
    /// Status that was answered; of a request whose answer was lost, the one it would have had; 0 when it never ran.
    pub status: u16,
    /// Error code that was answered.
    pub code: Option<String>,
    /// Object id of the caller.
    pub caller: Option<String>,
    /// Correlation id.
    pub correlation: String,
    /// Fault that struck it.
    pub fault: Option<String>,
}

/// What the dispatcher knows at the end of a request.
pub(crate) struct Line<'a> {
    /// Its id.
    pub request_id: String,
    /// When it came (wall clock).
    pub time: DateTime<Utc>,
    /// The request.
    pub request: &'a Request,
    /// Service.
    pub service: &'a str,
    /// Operation.
    pub operation: &'a str,
    /// Status.
    pub status: u16,
    /// Error code.
    pub code: Option<&'a str>,
    /// Caller.
    pub caller: Option<&'a str>,
    /// Correlation id.
    pub correlation: &'a str,
    /// Fault.
    pub fault: Option<&'a str>,
}

/// Whether a query parameter may be logged: it is none that carries a credential, where it belongs or by mistake.
fn is_open(name: &str, value: &str) -> bool {
    const CREDENTIALS: [&str; 9] = [
        "assertion",
        "client_assertion",
        "client_secret",
        "code",
        "otc",
        "password",
        "refresh_token",
        "sig",
        "user_code",
    ];
    !CREDENTIALS.iter().any(|secret| name.eq_ignore_ascii_case(secret)) && !tells(name) && !tells(value)
}

/// Whether a text has the value of a signature in it, as a URL with a shared access signature has.
fn tells(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.contains("sig=") || text.contains("sig%3d")
}

/// Appends a line and counts it.
pub(crate) fn write(tx: &Connection, line: &Line<'_>) -> Result<(), Refusal> {
    let query = line.request.query.iter().map(|(n, v)| (n.as_str(), if is_open(n, v) { v.as_str() } else { "-" }));
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let path = if tells(&line.request.path) { "-" } else { line.request.path.as_str() };
    tx.prepare_cached(
        "INSERT INTO requests
         (request_id, time, method, host, path, query, service, operation, status, code, caller, correlation, fault)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?
    .execute(params![
        line.request_id,
        millis(line.time),
        line.request.method.as_str(),
        line.request.host,
        path,
        query,
        line.service,
        line.operation,
        line.status,
        line.code,
        line.caller,
        line.correlation,
        line.fault,
    ])?;
    let id = tx.last_insert_rowid();
    if id % 1_000 == 0 {
        tx.execute("DELETE FROM requests WHERE id <= ?1", [id - KEPT])?;
    }
    tx.prepare_cached(
        "INSERT INTO counters (operation, status, count) VALUES (?1, ?2, 1)
         ON CONFLICT (operation, status) DO UPDATE SET count = count + 1",
    )?
    .execute(params![line.operation, line.status])?;
    Ok(())
}

/// Lines after position `after`, oldest first.
pub(crate) fn read(tx: &Connection, after: i64) -> Result<Vec<LoggedRequest>, Refusal> {
    let mut statement = tx.prepare_cached("SELECT * FROM requests WHERE id > ?1 ORDER BY id")?;
    let rows = statement.query_map([after], |row| {
        Ok(LoggedRequest {
            id: row.get("id")?,
            time: instant(row.get("time")?),
            method: row.get("method")?,
            host: row.get("host")?,
            path: row.get("path")?,
            query: row.get("query")?,
            operation: row.get("operation")?,
            status: row.get("status")?,
            code: row.get("code")?,
            caller: row.get("caller")?,
            correlation: row.get::<_, Option<String>>("correlation")?.unwrap_or_default(),
            fault: row.get("fault")?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How often each operation answered which status: operation, status, count.
pub(crate) fn counters(tx: &Connection) -> Result<Vec<(String, u16, u64)>, Refusal> {
    let mut statement =
        tx.prepare_cached("SELECT operation, status, count FROM counters ORDER BY operation, status")?;
    let rows = statement.query_map([], |row| {
        let count: i64 = row.get(2)?;
        Ok((row.get(0)?, row.get(1)?, count.unsigned_abs()))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many requests the caller made to a service with one of `methods` in the last `seconds`.
pub(crate) fn recent(cx: &Cx<'_>, service: &str, methods: &[&str], seconds: i64) -> Result<i64, Refusal> {
    let since = millis(cx.wall) - seconds * 1_000;
    let marks = vec!["?"; methods.len()].join(",");
    let sql = format!(
        "SELECT count(*) FROM requests WHERE time > ? AND id > (SELECT coalesce(max(id), 0) - 500 FROM requests)
         AND service = ? AND caller = ? AND method IN ({marks})"
    );
    let texts = [service, cx.caller.oid.as_str()].into_iter().chain(methods.iter().copied());
    let values = std::iter::once(Value::from(since)).chain(texts.map(|t| Value::from(t.to_owned())));
    let count = cx.tx.prepare_cached(&sql)?.query_row(params_from_iter(values), |row| row.get(0))?;
    Ok(count)
}
