//! Lists of resources across types.

use serde_json::{Value, json};

use super::groups;
use crate::cx::Cx;
use crate::http::Answer;
use crate::odata::{self, Term};
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::store::resources::{Filter, Resource};

/// `Resources_List`.
pub(super) fn in_subscription(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    list(cx, Filter { subscription: Some(params.get("subscription")), ..Filter::default() })
}

/// `Resources_ListByResourceGroup`.
pub(super) fn in_group(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    groups::require(cx, params.get("subscription"), params.get("group"))?;
    list(
        cx,
        Filter {
            subscription: Some(params.get("subscription")),
            group: Some(params.get("group")),
            ..Filter::default()
        },
    )
}

fn list(cx: &Cx<'_>, filter: Filter<'_>) -> Result<Answer, Refusal> {
    let mut found = cx.resources(filter)?;
    found.retain(|r| !r.kind.eq_ignore_ascii_case(groups::KIND));
    if let Some(filter) = cx.request.query("$filter").filter(|f| !f.is_empty()) {
        for term in odata::parse(filter)? {
            keep(&mut found, filter, &term)?;
        }
    }
    if let Some(top) = cx.request.query("$top").and_then(|t| t.parse().ok()) {
        found.truncate(top);
    }
    let value: Vec<Value> = found.iter().map(brief).collect();
    Ok(Answer::ok(&json!({ "value": value })))
}

/// The short form in which lists show a resource: everything but its properties.
fn brief(resource: &Resource) -> Value {
    let shown =
        ["id", "name", "type", "location", "tags", "kind", "sku", "identity", "managedBy", "plan", "systemData"];
    let body = shown.iter().filter_map(|name| Some(((*name).to_owned(), resource.body.get(*name)?.clone()))).collect();
    Value::Object(body)
}

/// Keeps the resources that a filter's term names.
pub(super) fn keep(found: &mut Vec<Resource>, filter: &str, term: &Term) -> Result<(), Refusal> {
    match term {
        Term::Eq(field, value) => match field.to_ascii_lowercase().as_str() {
            "resourcetype" => found.retain(|r| r.kind.eq_ignore_ascii_case(value)),
            "name" => found.retain(|r| r.name.eq_ignore_ascii_case(value)),
            "resourcegroup" => found.retain(|r| r.group.eq_ignore_ascii_case(value)),
            "location" => found.retain(|r| r.location.as_deref().is_some_and(|l| l.eq_ignore_ascii_case(value))),
            "tagname" | "tagvalue" => found.retain(|r| groups::tag_matches(r, term) == Some(true)),
            _ => return Err(unsupported(filter)),
        },
        Term::Call(..) | Term::Any(..) => return Err(unsupported(filter)),
    }
    Ok(())
}

fn unsupported(filter: &str) -> Refusal {
    Refusal::new(
        400,
        "InvalidFilterInQueryString",
        format!("Invalid $filter '{filter}' specified in the query string."),
    )
    .gap(format!("the filter `{filter}`"))
}
