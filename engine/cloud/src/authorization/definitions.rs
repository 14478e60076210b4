//! Role definitions: list and get.

use serde_json::{Value, json};

use super::roles::{self, ROLES, Role};
use crate::cx::Cx;
use crate::http::Answer;
use crate::odata::{self, Term};
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;

fn subscription(scope: &str) -> String {
    ResourceId::parse(scope).and_then(|id| id.subscription().map(str::to_owned)).unwrap_or_default()
}

/// `RoleDefinitions_List`: all, or those that a filter names (`roleName`, `type`, `atScopeAndBelow()`).
pub(super) fn list(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let terms = match cx.request.query("$filter") {
        Some(filter) if !filter.is_empty() => odata::parse(filter)?,
        _ => Vec::new(),
    };
    let mut keep: Vec<&Role> = ROLES.iter().collect();
    for term in &terms {
        match term {
            Term::Eq(field, value) if field.eq_ignore_ascii_case("roleName") => {
                keep.retain(|r| r.name.eq_ignore_ascii_case(value));
            }
            Term::Eq(field, value) if field.eq_ignore_ascii_case("type") => {
                if !value.eq_ignore_ascii_case("BuiltInRole") {
                    keep.clear();
                }
            }
            Term::Call(name, None) if name.eq_ignore_ascii_case("atScopeAndBelow") => {}
            _ => {
                return Err(Refusal::new(
                    400,
                    "UnsupportedQuery",
                    "The filter is not supported. Supported filters are 'atScopeAndBelow()', or \"roleName eq '{value}'\", \
                     or \"type eq 'BuiltInRole|CustomRole'\".",
                ));
            }
        }
    }
    let subscription = subscription(params.get("scope"));
    let value: Vec<Value> = keep.iter().map(|r| r.document(&subscription)).collect();
    Ok(Answer::ok(&json!({ "value": value })))
}

/// `RoleDefinitions_Get`.
pub(super) fn get(_: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let role = roles::by_id(params.get("name")).ok_or_else(|| not_found(params.get("name")))?;
    Ok(Answer::ok(&role.document(&subscription(params.get("scope")))))
}

/// Refuses a role definition that does not exist.
pub(super) fn not_found(id: &str) -> Refusal {
    Refusal::new(
        404,
        "RoleDefinitionDoesNotExist",
        format!("The specified role definition with ID '{}' does not exist.", id.replace('-', "")),
    )
}
