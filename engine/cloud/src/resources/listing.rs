//! Lists of resources across types.

use serde_json::{Map, Value, json};

use super::{groups, locations};
use crate::cx::Cx;
use crate::http::Answer;
use crate::odata::{self, Term};
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::store::resources::{Filter, Resource};
use crate::time::rfc3339;

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
    found.retain(|r| !r.kind.eq_ignore_ascii_case(groups::KIND) && !extends_another(r));
    if let Some(filter) = cx.request.query("$filter").filter(|f| !f.is_empty()) {
        keep(&mut found, filter)?;
    }
    let expand = expansions(cx)?;
    page(cx, found.iter().map(|resource| brief(resource, &expand)).collect())
}

/// Whether a resource extends another one, as a diagnostic setting does: lists leave those out.
fn extends_another(resource: &Resource) -> bool {
    resource.id.split('/').filter(|segment| segment.eq_ignore_ascii_case("providers")).count() > 1
}

/// What `$expand` may add to the short form.
const EXPANSIONS: &[&str] = &["createdTime", "changedTime", "provisioningState"];

fn expansions(cx: &Cx<'_>) -> Result<Vec<&'static str>, Refusal> {
    let asked = cx.request.query("$expand").unwrap_or_default();
    let known = |name: &str| EXPANSIONS.iter().copied().find(|e| e.eq_ignore_ascii_case(name));
    let mut expand = Vec::new();
    for name in asked.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        expand.push(known(name).ok_or_else(|| {
            Refusal::new(
                400,
                "InvalidExpandQueryStringParameter",
                format!(
                    "The '$expand' query parameter value '{asked}' is not valid. Supported values are '{}'.",
                    EXPANSIONS.join(",")
                ),
            )
        })?);
    }
    Ok(expand)
}

/// Answers a list, in pages when `$top` says so; the next page's link carries its start as `$skiptoken`.
pub(super) fn page(cx: &Cx<'_>, mut value: Vec<Value>) -> Result<Answer, Refusal> {
    let number = |name: &str| -> Result<Option<usize>, Refusal> {
        let Some(text) = cx.request.query(name).filter(|t| !t.is_empty()) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            Refusal::new(
                400,
                "InvalidQueryParameterValue",
                format!("The query parameter '{name}' has the invalid value '{text}'."),
            )
        })
    };
    let skip = number("$skiptoken")?.unwrap_or_default();
    value.drain(..skip.min(value.len()));
    let mut body = json!({});
    if let Some(top) = number("$top")?.filter(|top| *top > 0 && *top < value.len()) {
        value.truncate(top);
        let kept = cx.request.query.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("$skiptoken"));
        let query: String = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(kept.map(|(name, value)| (name.as_str(), value.as_str())))
            .append_pair("$skiptoken", &(skip + top).to_string())
            .finish();
        body["nextLink"] = format!("https://{}{}?{query}", cx.request.host, cx.request.path).into();
    }
    body["value"] = value.into();
    Ok(Answer::ok(&body))
}

/// The short form in which lists show a resource: everything but its properties, and what was asked for besides.
fn brief(resource: &Resource, expand: &[&str]) -> Value {
    let shown = ["id", "name", "type", "location", "tags", "kind", "sku", "identity", "managedBy", "plan"];
    let mut body: Map<String, Value> =
        shown.iter().filter_map(|name| Some(((*name).to_owned(), resource.body.get(*name)?.clone()))).collect();
    for name in expand {
        let value = match *name {
            "createdTime" => rfc3339(resource.created).into(),
            "changedTime" => rfc3339(resource.changed).into(),
            _ => resource.body["properties"]["provisioningState"].clone(),
        };
        if !value.is_null() {
            body.insert((*name).to_owned(), value);
        }
    }
    Value::Object(body)
}

/// Keeps what a filter names: comparisons of Azure's list, and a tag by name or by name and value together.
pub(super) fn keep(found: &mut Vec<Resource>, filter: &str) -> Result<(), Refusal> {
    let terms = odata::parse(filter)?;
    let of_tag = |term: &Term, part: &str| match term {
        Term::Eq(field, value) if field.eq_ignore_ascii_case(part) => Some(value.clone()),
        _ => None,
    };
    let tag = terms.iter().find_map(|term| of_tag(term, "tagName"));
    for term in &terms {
        if of_tag(term, "tagName").is_some() {
            continue;
        }
        if let Some(value) = of_tag(term, "tagValue") {
            // A value alone means nothing to Azure.
            let name = tag.as_deref().ok_or_else(|| unsupported(filter))?;
            found.retain(|r| tags(r).any(|(n, v)| n.eq_ignore_ascii_case(name) && *v == value));
            continue;
        }
        keep_term(found, filter, term)?;
    }
    if let Some(name) = tag {
        found.retain(|r| tags(r).any(|(n, _)| n.eq_ignore_ascii_case(&name)));
    }
    Ok(())
}

fn tags(resource: &Resource) -> impl Iterator<Item = (&String, &Value)> {
    resource.body["tags"].as_object().into_iter().flatten()
}

fn keep_term(found: &mut Vec<Resource>, filter: &str, term: &Term) -> Result<(), Refusal> {
    let known = |field: &str, fields: &[&str]| {
        if fields.iter().any(|f| f.eq_ignore_ascii_case(field)) { Ok(()) } else { Err(unsupported(filter)) }
    };
    let is = |r: &Resource, field: &str, value: &str| {
        part(r, field).is_some_and(|p| p.eq_ignore_ascii_case(&plain(field, value)))
    };
    match term {
        Term::Eq(field, value) => {
            known(field, COMPARED)?;
            found.retain(|r| is(r, field, value));
        }
        Term::Ne(field, value) => {
            known(field, COMPARED)?;
            found.retain(|r| !is(r, field, value));
        }
        Term::Contains(field, value) => {
            known(field, &["name", "resourceGroup"])?;
            let value = value.to_ascii_lowercase();
            found.retain(|r| part(r, field).is_some_and(|p| p.to_ascii_lowercase().contains(&value)));
        }
        Term::StartsWith(field, value) => {
            known(field, &["tagName"])?;
            let value = value.to_ascii_lowercase();
            found.retain(|r| tags(r).any(|(name, _)| name.to_ascii_lowercase().starts_with(&value)));
        }
        Term::Ge(..) | Term::Le(..) | Term::Call(..) | Term::Any(..) => return Err(unsupported(filter)),
    }
    Ok(())
}

/// Fields that a filter may compare.
const COMPARED: &[&str] = &[
    "resourceType",
    "name",
    "resourceGroup",
    "location",
    "identity",
    "identity/principalId",
    "plan",
    "plan/publisher",
    "plan/product",
    "plan/name",
    "plan/version",
];

/// The value of a field that a filter compares.
fn part<'a>(resource: &'a Resource, field: &str) -> Option<&'a str> {
    match field.to_ascii_lowercase().as_str() {
        "resourcetype" => Some(&resource.kind),
        "name" => Some(&resource.name),
        "resourcegroup" => Some(&resource.group),
        "location" => resource.location.as_deref(),
        "identity" => resource.body["identity"]["type"].as_str(),
        "identity/principalid" => resource.body["identity"]["principalId"].as_str(),
        "plan" => resource.body["plan"]["name"].as_str(),
        other => resource.body["plan"][other.strip_prefix("plan/")?].as_str(),
    }
}

/// A value as the field spells it: `West Europe` and `westeurope` are the same region.
fn plain(field: &str, value: &str) -> String {
    match locations::find(value) {
        Some(location) if field.eq_ignore_ascii_case("location") => location.name.to_owned(),
        _ => value.to_owned(),
    }
}

fn unsupported(filter: &str) -> Refusal {
    Refusal::new(
        400,
        "InvalidFilterInQueryString",
        format!("Invalid $filter '{filter}' specified in the query string."),
    )
    .gap(format!("the filter `{filter}`"))
}
