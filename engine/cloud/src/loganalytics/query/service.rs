//! The query API `api.loganalytics.io`: who may come in, and how it refuses.

use http::Method;

use super::{READ, answer, asked_in_body, asked_in_query, by_id, forbidden, workspace};
use crate::cx::Cx;
use crate::http::Answer;
use crate::identity::tenants;
use crate::identity::token::TokenError;
use crate::operation::{Access, Operation, Params, Run};
use crate::refusal::Refusal;
use crate::service::Service;
use crate::store::resources::Resource;

/// The query API.
pub(in crate::loganalytics) struct LogsQuery;

const fn operation(name: &'static str, method: Method, path: &'static str, run: Run) -> Operation {
    Operation { name, method, path, when: &[], api: &[], access: Access::Control(READ), lro: false, run }
}

static OPERATIONS: &[Operation] = &[
    operation("Query_Execute", Method::POST, "/v1/workspaces/{workspace}/query", |cx, p| {
        let asked = asked_in_body(cx)?;
        answer(cx, &named(cx, p)?, &asked)
    }),
    operation("Query_Get", Method::GET, "/v1/workspaces/{workspace}/query", |cx, p| {
        let asked = asked_in_query(cx)?;
        answer(cx, &named(cx, p)?, &asked)
    }),
    operation(
        "Query_ResourceExecute",
        Method::POST,
        "/v1/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.OperationalInsights/workspaces/{name}/query",
        |cx, p| {
            let asked = asked_in_body(cx)?;
            answer(cx, &named(cx, p)?, &asked)
        },
    ),
];

/// The workspace that a path names, by its customer id or its id on Azure Resource Manager.
fn found(cx: &Cx<'_>, customer: Option<&str>) -> Result<Option<Resource>, Refusal> {
    if let Some(customer) = customer {
        return workspace::by_customer(cx, customer);
    }
    let segments = &cx.request.segments;
    by_id(cx, &format!("/{}", segments[1..segments.len().saturating_sub(1).max(1)].join("/")))
}

fn named(cx: &Cx<'_>, params: &Params) -> Result<Resource, Refusal> {
    found(cx, params.find("workspace"))?
        .ok_or_else(|| Refusal::new(404, "PathNotFoundError", "The requested path does not exist"))
}

impl Service for LogsQuery {
    fn name(&self) -> &'static str {
        "loganalytics"
    }

    fn answers(&self, host: &str) -> bool {
        matches!(host, "api.loganalytics.io" | "api.loganalytics.azure.com")
    }

    fn tables(&self) -> Vec<&'static [Operation]> {
        vec![OPERATIONS]
    }

    fn audiences(&self) -> &'static [&'static str] {
        &["https://api.loganalytics.io", "https://api.loganalytics.azure.com"]
    }

    fn tenant(&self, cx: &Cx<'_>) -> Result<Option<String>, Refusal> {
        let segments = &cx.request.segments;
        let customer = segments.get(1).filter(|s| s.eq_ignore_ascii_case("workspaces")).and_then(|_| segments.get(2));
        Ok(match found(cx, customer.map(String::as_str))? {
            Some(workspace) => tenants::of_subscription(cx.tx, &workspace.subscription)?.map(|tenant| tenant.id),
            None => None,
        })
    }

    fn unauthorized(&self, cx: &Cx<'_>, error: &TokenError) -> Refusal {
        let authority = format!("https://login.microsoftonline.com/{}", cx.tenant);
        let refusal = match error {
            TokenError::Missing => {
                Refusal::new(401, "AuthorizationRequiredError", "Valid authentication was not provided")
            }
            other => Refusal::new(401, "InvalidTokenError", other.to_string()),
        };
        refusal.header(
            "www-authenticate",
            format!("Bearer authorization_uri=\"{authority}\", resource_id=\"https://api.loganalytics.io\""),
        )
    }

    fn scope(&self, cx: &Cx<'_>, _: &'static Operation, params: &Params) -> Result<String, Refusal> {
        Ok(named(cx, params)?.id)
    }

    fn forbidden(&self, cx: &Cx<'_>, action: &str, _: &str) -> Refusal {
        forbidden(serde_json::json!({
            "code": "AuthorizationFailedError",
            "message": format!("'{}' may not do {action} in this workspace", cx.caller.oid),
        }))
    }

    fn wrong_version(&self, _: &Cx<'_>, _: &'static Operation, _: &Params, _: Option<&str>) -> Refusal {
        Refusal::new(400, "BadArgumentError", "The version is not supported.")
    }

    fn throttled(&self, _: &Cx<'_>) -> Refusal {
        Refusal::new(429, "ThrottledError", "Too many requests. Try again later.")
    }

    fn unknown(&self, _: &Cx<'_>) -> Refusal {
        Refusal::new(404, "PathNotFoundError", "The requested path does not exist")
    }

    fn render(&self, cx: &Cx<'_>, refusal: &Refusal) -> Answer {
        refusal.render_log_analytics(&cx.correlation_id)
    }
}
