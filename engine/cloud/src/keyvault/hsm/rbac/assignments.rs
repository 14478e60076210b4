//! Local role assignments on the wire.

use serde_json::{Value, json};
use uuid::Uuid;

use super::super::super::keystore::{self, KeyStore};
use super::super::super::requests::{self, bad};
use super::definitions;
use super::rows::{self, Assignment};
use super::scope;
use crate::authorization::assignments::propagation;
use crate::cx::Cx;
use crate::http::Answer;
use crate::odata::{self, Term};
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::resource_id::within;

fn document(assignment: &Assignment) -> Value {
    let prefix = assignment.scope.trim_end_matches('/');
    json!({
        "id": format!("{prefix}/providers/Microsoft.Authorization/roleAssignments/{}", assignment.name),
        "name": assignment.name,
        "type": "Microsoft.Authorization/roleAssignments",
        "properties": {
            "principalId": assignment.principal,
            "roleDefinitionId": format!("{}{}", definitions::PREFIX, assignment.role),
            "scope": assignment.scope,
        },
    })
}

fn same(a: &str, b: &str) -> bool {
    within(a, b) && within(b, a)
}

/// The assignment that a path names.
fn named(cx: &Cx<'_>, pool: &KeyStore, p: &Params) -> Result<Assignment, Refusal> {
    let at = scope(p.get("scope"))?;
    let found = rows::get(cx, &pool.label, p.get("name"))?;
    found
        .filter(|assignment| same(&assignment.scope, &at))
        .ok_or_else(|| Refusal::new(404, "RoleAssignmentNotFound", "Requested role assignment not found"))
}

/// Answers an assignment (`RoleAssignments_Get`).
pub(super) fn get(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let pool = keystore::of_request(cx)?;
    Ok(Answer::ok(&document(&named(cx, &pool, p)?)))
}

/// Lists the assignments at a scope, above and below it (`RoleAssignments_ListForScope`); `atScope()` leaves out those
/// below.
pub(super) fn list(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let pool = keystore::of_request(cx)?;
    let at = scope(p.get("scope"))?;
    let mut found = rows::all(cx, &pool.label)?;
    found.retain(|a| within(&at, &a.scope) || within(&a.scope, &at));
    let terms = match cx.request.query("$filter") {
        Some(filter) if !filter.is_empty() => odata::parse(filter)?,
        _ => Vec::new(),
    };
    for term in terms {
        match term {
            Term::Call(name, None) if name.eq_ignore_ascii_case("atScope") => found.retain(|a| within(&at, &a.scope)),
            Term::Eq(field, principal) if field.eq_ignore_ascii_case("principalId") => {
                found.retain(|a| a.principal.eq_ignore_ascii_case(&principal));
            }
            _ => return Err(bad("The filter is not supported: use atScope() or principalId eq.")),
        }
    }
    let value: Vec<Value> = found.iter().map(document).collect();
    Ok(Answer::ok(&json!({ "value": value })))
}

/// Makes an assignment (`RoleAssignments_Create`).
pub(super) fn create(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let pool = keystore::of_request(cx)?;
    let at = scope(p.get("scope"))?;
    let name = Uuid::try_parse(p.get("name")).map_err(|_| bad("The role assignment name must be a GUID."))?.to_string();
    let body = requests::object(cx)?;
    let text = |field: &str| body["properties"][field].as_str().unwrap_or_default();
    let principal = text("principalId");
    if Uuid::try_parse(principal).is_err() {
        return Err(bad(format!("Property principalId has invalid value '{principal}': it must be an object id.")));
    }
    let role = text("roleDefinitionId").rsplit('/').next().unwrap_or_default();
    let role = definitions::by_id(cx, &pool.label, role)?.ok_or_else(definitions::not_found)?;
    if !role.assignable_at(&at) {
        return Err(bad(format!("The role definition can't be assigned at the scope '{at}'.")));
    }
    let new = Assignment {
        name,
        scope: at,
        role: role.id().to_owned(),
        principal: principal.to_owned(),
        created: cx.now,
        effective: cx.now + propagation(cx)?,
    };
    let equal = |a: &Assignment| {
        same(&a.scope, &new.scope)
            && a.principal.eq_ignore_ascii_case(&new.principal)
            && a.role.eq_ignore_ascii_case(&new.role)
    };
    let existing = rows::all(cx, &pool.label)?;
    if existing.iter().any(|a| a.name.eq_ignore_ascii_case(&new.name) || equal(a)) {
        return Err(Refusal::new(409, "RoleAssignmentExists", "The role assignment already exists"));
    }
    rows::add(cx, &pool.label, &new)?;
    Ok(Answer::json(201, &document(&new)))
}

/// Removes an assignment (`RoleAssignments_Delete`).
pub(super) fn delete(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let pool = keystore::of_request(cx)?;
    let found = named(cx, &pool, p)?;
    rows::delete(cx, &pool.label, &found.name)?;
    Ok(Answer::ok(&document(&found)))
}
