//! Queries: `api.loganalytics.io`, and the same on Azure Resource Manager.
//!
//! A query names one table ([`super::schema`]) and pipes it through `where`, `project`, `order by` and `take`, which is
//! what the labs need to read an audit log. Everything else of the Kusto Query Language is refused by name.
//!
//! Source: <https://learn.microsoft.com/azure/azure-monitor/logs/api/request-format>, `/response-format`, `/errors`.

mod evaluate;
mod lexer;
mod parser;
mod service;
mod span;
#[cfg(test)]
mod tests;

use http::Method;
use serde_json::{Value, json};

use super::schema::{ColumnKind, Record, TABLES};
use super::{shipping, workspace};
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::{Access, Operation, Params, Run};
use crate::refusal::Refusal;
use crate::store::resources::Resource;

pub(super) use service::LogsQuery;

/// Right to ask a workspace at all; each table needs its own besides.
const READ: &str = "Microsoft.OperationalInsights/workspaces/query/read";

const fn on_resource_manager(path: &'static str, api: &'static [&'static str], run: Run) -> Operation {
    Operation {
        name: "Query_ExecuteOnResourceManager",
        method: Method::POST,
        path,
        when: &[],
        api,
        access: Access::Control("Microsoft.OperationalInsights/workspaces/query/read"),
        lro: false,
        run,
    }
}

/// The two addresses of the query API on Azure Resource Manager.
pub(super) static ON_RESOURCE_MANAGER: &[Operation] = &[
    on_resource_manager(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.OperationalInsights/workspaces/{workspace}/query",
        &["2020-08-01", "2017-10-01"],
        managed,
    ),
    on_resource_manager(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.OperationalInsights/workspaces/{workspace}/api/query",
        &["2020-08-01", "2017-01-01-preview"],
        managed,
    ),
];

fn managed(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    // The path of the second address ends in two words, which are no part of the resource's id.
    let target = crate::arm::target(cx.request);
    let id = crate::resource_id::ResourceId::resource(
        target.subscription().unwrap_or_default(),
        target.group().unwrap_or_default(),
        super::WORKSPACES,
        cx.request.segments.get(7).map(String::as_str).unwrap_or_default(),
    );
    let workspace = cx.existing(&id)?;
    answer(cx, &workspace, &asked_in_body(cx)?)
}

/// What is asked.
struct Asked {
    query: String,
    timespan: Option<String>,
}

/// Why a query is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    kind: &'static str,
    code: &'static str,
    message: String,
    gap: Option<String>,
}

impl Fault {
    /// The query has a word at which it is no longer understood.
    fn syntax(at: &str) -> Self {
        Self {
            kind: "SyntaxError",
            code: "SYN0002",
            message: format!("Query could not be parsed at '{at}'"),
            gap: Some(format!("the Kusto Query Language from '{at}' on")),
        }
    }

    /// The query names something that is not there.
    fn unknown(operator: &str, name: &str) -> Self {
        Self {
            kind: "SemanticError",
            code: "SEM0100",
            message: format!("'{operator}' operator: Failed to resolve table or column expression named '{name}'"),
            gap: Some(format!("the table or column {name}")),
        }
    }

    /// A column is compared with a value of another type.
    fn types(name: &str, kind: ColumnKind) -> Self {
        Self {
            kind: "SemanticError",
            code: "SEM0064",
            message: format!(
                "Cannot compare the column '{name}' of type {} with that value. Try adding explicit casts",
                kind.as_str()
            ),
            gap: None,
        }
    }

    fn refusal(self) -> Refusal {
        let what = if self.kind == "SyntaxError" { "A recognition error" } else { "A semantic error" };
        let inner = json!({
            "code": self.kind,
            "message": format!("{what} occurred{}", if self.kind == "SyntaxError" { " in the query." } else { "." }),
            "innererror": { "code": self.code, "message": self.message },
        });
        let refusal = bad("The request had some invalid properties").details(vec![inner]);
        match self.gap {
            Some(gap) => refusal.gap(gap),
            None => refusal,
        }
    }
}

fn bad(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "BadArgumentError", message)
}

/// Reads what a POST asks.
fn asked_in_body(cx: &Cx<'_>) -> Result<Asked, Refusal> {
    let body: Value = serde_json::from_slice(&cx.request.body)
        .map_err(|_| bad("The request body is not a JSON document with a query."))?;
    if body["workspaces"].as_array().is_some_and(|more| !more.is_empty()) {
        return Err(bad("Queries across workspaces are not available.").gap("queries across workspaces"));
    }
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    asked(text("query"), text("timespan"))
}

/// Reads what a GET asks.
fn asked_in_query(cx: &Cx<'_>) -> Result<Asked, Refusal> {
    let text = |name: &str| cx.request.query(name).map(str::to_owned);
    asked(text("query"), text("timespan"))
}

fn asked(query: Option<String>, timespan: Option<String>) -> Result<Asked, Refusal> {
    let query = query.filter(|query| !query.trim().is_empty());
    Ok(Asked {
        query: query.ok_or_else(|| bad("A query is required."))?,
        timespan: timespan.filter(|span| !span.is_empty()),
    })
}

/// Answers a query about a workspace that the caller may ask.
fn answer(cx: &Cx<'_>, workspace: &Resource, asked: &Asked) -> Result<Answer, Refusal> {
    if workspace.body["properties"]["publicNetworkAccessForQuery"] == "Disabled" {
        return Err(forbidden(json!({
            "code": "NspValidationFailedError",
            "message": format!("Access to workspace '{}' from '127.0.0.1' is denied", workspace.name),
        })));
    }
    let within = match &asked.timespan {
        None => (None, None),
        Some(span) => span::parse(span, cx.now)
            .map(|(from, to)| (Some(from), Some(to)))
            .ok_or_else(|| bad(format!("The timespan '{span}' is not an ISO 8601 duration or interval.")))?,
    };
    let query = parser::parse(&asked.query, cx.now).map_err(Fault::refusal)?;
    let table = TABLES.iter().find(|table| table.name == query.table);
    let table = table.ok_or_else(|| Fault::unknown("where", &query.table).refusal())?;
    let action = format!("Microsoft.OperationalInsights/workspaces/query/{}/read", table.name);
    if !cx.authorize(&action, false, &workspace.id)?.allowed {
        return Err(forbidden(json!({
            "code": "AuthorizationFailedError",
            "message": format!("'{}' does not have access to read the table {}", cx.caller.oid, table.name),
        })));
    }
    let arrived = shipping::arrived(cx, workspace, table.name)?;
    let customer = workspace::customer_id(workspace);
    let records: Vec<Record<'_>> =
        arrived.iter().map(|record| Record { workspace: customer, time: record.time, entry: &record.entry }).collect();
    let found = evaluate::run(&query, table, &records, within).map_err(Fault::refusal)?;
    Ok(Answer::ok(&found))
}

fn forbidden(inner: Value) -> Refusal {
    Refusal::new(
        403,
        "InsufficientAccessError",
        "The provided credentials have insufficient access to perform the requested operation",
    )
    .details(vec![inner])
}

/// A workspace on Azure Resource Manager, by the id in the path of a query about a resource.
fn by_id(cx: &Cx<'_>, id: &str) -> Result<Option<Resource>, Refusal> {
    let found = cx.resource(id)?;
    Ok(found.filter(|resource| resource.kind.eq_ignore_ascii_case(super::WORKSPACES)))
}
