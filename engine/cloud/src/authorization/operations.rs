//! The operation table of Microsoft.Authorization, and role assignments on the wire.

use http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::assignments::{self, Assignment};
use super::definitions::Definition;
use super::{API, definitions};
use crate::cx::{Cx, PrincipalKind};
use crate::http::Answer;
use crate::identity::{principals, tenants};
use crate::odata::{self, Term};
use crate::operation::{Access, Operation, Params};
use crate::refusal::Refusal;
use crate::resource_id::{ResourceId, within};
use crate::store::settings;

const ASSIGNMENTS: &str = "/{+scope}/providers/Microsoft.Authorization/roleAssignments";
const ASSIGNMENT: &str = "/{+scope}/providers/Microsoft.Authorization/roleAssignments/{name}";
const DEFINITIONS: &str = "/{+scope}/providers/Microsoft.Authorization/roleDefinitions";
const DEFINITION: &str = "/{+scope}/providers/Microsoft.Authorization/roleDefinitions/{name}";

macro_rules! operation {
    ($name:literal, $method:ident, $path:expr, $action:literal, $run:path) => {
        Operation {
            name: $name,
            method: Method::$method,
            path: $path,
            when: &[],
            api: API,
            access: Access::Control($action),
            lro: false,
            run: $run,
        }
    };
}

pub(super) static OPERATIONS: &[Operation] = &[
    operation!("RoleAssignments_ListForScope", GET, ASSIGNMENTS, "Microsoft.Authorization/roleAssignments/read", list),
    operation!("RoleAssignments_Get", GET, ASSIGNMENT, "Microsoft.Authorization/roleAssignments/read", get),
    operation!("RoleAssignments_Create", PUT, ASSIGNMENT, "Microsoft.Authorization/roleAssignments/write", create),
    operation!("RoleAssignments_Delete", DELETE, ASSIGNMENT, "Microsoft.Authorization/roleAssignments/delete", delete),
    operation!(
        "RoleDefinitions_List",
        GET,
        DEFINITIONS,
        "Microsoft.Authorization/roleDefinitions/read",
        definitions::list
    ),
    operation!(
        "RoleDefinitions_Get",
        GET,
        DEFINITION,
        "Microsoft.Authorization/roleDefinitions/read",
        definitions::get
    ),
    operation!(
        "RoleDefinitions_CreateOrUpdate",
        PUT,
        DEFINITION,
        "Microsoft.Authorization/roleDefinitions/write",
        definitions::put
    ),
    operation!(
        "RoleDefinitions_Delete",
        DELETE,
        DEFINITION,
        "Microsoft.Authorization/roleDefinitions/delete",
        definitions::delete
    ),
];

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "InvalidRequest", message)
}

fn same_scope(a: &str, b: &str) -> bool {
    within(a, b) && within(b, a)
}

/// The scope of a request as a normal id; `/` for the root.
fn scope(params: &Params) -> Result<String, Refusal> {
    let text = params.get("scope");
    if text.is_empty() {
        return Ok("/".to_owned());
    }
    ResourceId::parse(text).map(|id| id.to_string()).ok_or_else(|| invalid(format!("The scope '{text}' is not valid.")))
}

fn find(cx: &Cx<'_>, params: &Params) -> Result<Option<Assignment>, Refusal> {
    let scope = scope(params)?;
    let found = assignments::get(cx.tx, params.get("name"))?;
    Ok(found.filter(|a| same_scope(&a.scope, &scope)))
}

fn get(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let name = params.get("name");
    let assignment = find(cx, params)?.ok_or_else(|| {
        Refusal::new(
            404,
            "RoleAssignmentNotFound",
            format!("The role assignment '{}' is not found.", name.replace('-', "")),
        )
    })?;
    Ok(Answer::ok(&assignment.document()))
}

fn delete(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let Some(assignment) = find(cx, params)? else {
        return Ok(Answer::empty(204));
    };
    assignments::delete(cx.tx, &assignment.name)?;
    Ok(Answer::ok(&assignment.document()))
}

/// `RoleAssignments_ListForScope`: without a filter those at the scope, above and below it; `atScope()` leaves out
/// those below.
fn list(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let scope = scope(params)?;
    let terms = match cx.request.query("$filter") {
        Some(filter) if !filter.is_empty() => odata::parse(filter)?,
        _ => Vec::new(),
    };
    let mut found = assignments::all(cx.tx)?;
    found.retain(|a| within(&scope, &a.scope) || within(&a.scope, &scope));
    for term in &terms {
        match term {
            Term::Call(name, None) if name.eq_ignore_ascii_case("atScope") => {
                found.retain(|a| within(&scope, &a.scope));
            }
            Term::Call(name, Some(principal)) if name.eq_ignore_ascii_case("assignedTo") => {
                found.retain(|a| a.principal.eq_ignore_ascii_case(principal));
            }
            Term::Eq(field, principal) if field.eq_ignore_ascii_case("principalId") => {
                found.retain(|a| a.principal.eq_ignore_ascii_case(principal));
            }
            _ => {
                return Err(Refusal::new(
                    400,
                    "UnsupportedQuery",
                    "The filter is not supported. Supported filters are either 'atScope()' or \"principalId eq \
                     '{value}'\" or \"assignedTo('{value}')\".",
                ));
            }
        }
    }
    let value: Vec<Value> = found.iter().map(Assignment::document).collect();
    Ok(Answer::ok(&json!({ "value": value })))
}

/// `RoleAssignments_Create`: the name decides. The same assignment under the same name is answered again, an equal
/// one under another name is a conflict.
fn create(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let name = Uuid::try_parse(params.get("name"))
        .map_err(|_| {
            Refusal::new(
                400,
                "InvalidRoleAssignmentId",
                format!(
                    "The role assignment ID '{}' is not valid. The role assignment ID must be a GUID.",
                    params.get("name")
                ),
            )
        })?
        .to_string();
    let scope = scope(params)?;
    let body = cx.request.json()?;
    let properties = &body["properties"];
    let text = |field: &str| properties[field].as_str().unwrap_or_default().to_owned();
    let principal = text("principalId");
    if Uuid::try_parse(&principal).is_err() {
        return Err(Refusal::new(
            400,
            "InvalidPrincipalId",
            format!("A valid principal ID must be provided for role assignment. Given: '{principal}'."),
        ));
    }
    let role = role_definition(cx, &text("roleDefinitionId"), &scope)?;
    if !properties["condition"].is_null() {
        return Err(invalid("Conditions on role assignments are not supported.").gap("role assignment conditions"));
    }
    let role_definition = match ResourceId::parse(&scope).as_ref().and_then(ResourceId::subscription) {
        Some(subscription) => {
            format!("/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions/{}", role.id())
        }
        None => format!("/providers/Microsoft.Authorization/roleDefinitions/{}", role.id()),
    };
    require_scope(cx, &scope)?;
    let principal_type = principal_type(cx, &principal, properties["principalType"].as_str())?;
    let equal = |a: &Assignment| {
        same_scope(&a.scope, &scope)
            && a.principal.eq_ignore_ascii_case(&principal)
            && a.role().eq_ignore_ascii_case(role.id())
    };
    if let Some(existing) = assignments::get(cx.tx, &name)? {
        if equal(&existing) {
            return Ok(Answer::json(201, &existing.document()));
        }
        return Err(Refusal::new(
            409,
            "RoleAssignmentUpdateNotPermitted",
            "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
        ));
    }
    if let Some(existing) = assignments::of_principal(cx.tx, &principal)?.iter().find(|a| equal(a)) {
        return Err(Refusal::new(
            409,
            "RoleAssignmentExists",
            format!(
                "The role assignment already exists. The ID of the conflicting role assignment is {}.",
                existing.name.replace('-', "")
            ),
        ));
    }
    let assignment = Assignment {
        name,
        scope,
        role_definition,
        principal,
        principal_type,
        description: properties["description"].as_str().map(str::to_owned),
        created_by: Some(cx.caller.oid.clone()),
        created: cx.now,
        effective: cx.now + assignments::propagation(cx)?,
    };
    assignments::add(cx.tx, &assignment)?;
    Ok(Answer::json(201, &assignment.document()))
}

/// The role that an assignment names; a custom one that can't be assigned at the scope is not there.
fn role_definition(cx: &Cx<'_>, id: &str, scope: &str) -> Result<Definition, Refusal> {
    let guid = id.rsplit('/').next().unwrap_or_default();
    let marked = id.to_ascii_lowercase().contains("/providers/microsoft.authorization/roledefinitions/");
    if !marked || Uuid::try_parse(guid).is_err() {
        return Err(Refusal::new(
            400,
            "InvalidRoleDefinitionId",
            format!("The role definition ID '{id}' is not valid."),
        ));
    }
    let found = definitions::by_id(cx.tx, guid)?;
    found.filter(|role| role.assignable_at(scope)).ok_or_else(|| definitions::not_found(guid))
}

/// The scope must exist down to its resource; what lies below a resource (a key) is not checked, as in Azure.
fn require_scope(cx: &Cx<'_>, scope: &str) -> Result<(), Refusal> {
    let Some(id) = ResourceId::parse(scope) else {
        return Err(invalid(format!("The scope '{scope}' is not valid.")));
    };
    let (Some(subscription), Some(group)) = (id.subscription(), id.group()) else {
        return Ok(());
    };
    crate::resources::groups::require(cx, subscription, group)?;
    let segments = id.segments();
    if segments.len() >= 8 {
        let kind = format!("{}/{}", segments[5], segments[6]);
        cx.existing(&ResourceId::resource(subscription, group, &kind, &segments[7]))?;
    }
    Ok(())
}

fn principal_type(cx: &Cx<'_>, oid: &str, given: Option<&str>) -> Result<String, Refusal> {
    let known = match principals::get(cx.tx, oid)? {
        Some(principal) if tenants::of_principal(cx.tx, oid)?.eq_ignore_ascii_case(&cx.tenant) => Some(principal),
        _ => None,
    };
    let Some(given) = given else {
        let delay = cx.setting::<i64>(settings::DIRECTORY_DELAY)?.unwrap_or_default();
        let seen = known.filter(|p| p.created + chrono::Duration::milliseconds(delay) <= cx.now);
        return seen.map(|p| p.kind.as_str().to_owned()).ok_or_else(|| {
            Refusal::new(
                400,
                "PrincipalNotFound",
                format!(
                    "Principal {} does not exist in the directory {}. Check that you have the correct principal ID. If \
                     you are creating this principal and then immediately assigning a role, this error might be \
                     related to a replication delay. In this case, set the role assignment principalType property to \
                     a value, such as ServicePrincipal, User, or Group. See https://aka.ms/docs-principaltype",
                    oid.replace('-', ""),
                    cx.tenant
                ),
            )
        });
    };
    if PrincipalKind::parse(given).is_none() && !matches!(given, "Group" | "ForeignGroup" | "Device") {
        return Err(invalid(format!("The principal type '{given}' is not valid.")));
    }
    match known {
        Some(principal) if principal.kind.as_str() != given => Err(Refusal::new(
            400,
            "UnmatchedPrincipalType",
            format!(
                "The PrincipalId '{}' has type '{}' , which is different from specified PrincipalType '{given}'.",
                oid.replace('-', ""),
                principal.kind.as_str()
            ),
        )),
        _ => Ok(given.to_owned()),
    }
}
