//! Role definitions on the wire: built-in ones to read, custom ones to write too.

use rusqlite::Connection;
use serde_json::{Value, json};
use uuid::Uuid;

use super::custom::{self, Custom, Permission};
use super::evaluate;
use super::roles::{self, ROLES, Role};
use crate::cx::Cx;
use crate::http::Answer;
use crate::odata::{self, Term};
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::resource_id::{ResourceId, within};

/// A role definition.
pub(crate) enum Definition {
    /// One of Azure's own.
    BuiltIn(&'static Role),
    /// A tenant's.
    Custom(Box<Custom>),
}

impl Definition {
    /// GUID.
    pub fn id(&self) -> &str {
        match self {
            Self::BuiltIn(role) => role.id,
            Self::Custom(role) => &role.id,
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::BuiltIn(role) => role.name,
            Self::Custom(role) => &role.name,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::BuiltIn(_) => "BuiltInRole",
            Self::Custom(_) => "CustomRole",
        }
    }

    /// Whether it grants an action (a data action when `data`).
    pub fn grants(&self, action: &str, data: bool) -> bool {
        match self {
            Self::BuiltIn(role) => evaluate::grants(role, action, data),
            Self::Custom(role) => role.permissions.iter().any(|p| evaluate::permits(p, action, data)),
        }
    }

    /// Whether it can be assigned at a scope.
    pub fn assignable_at(&self, scope: &str) -> bool {
        match self {
            Self::BuiltIn(_) => true,
            Self::Custom(role) => role.assignable_at(scope),
        }
    }

    fn document(&self, subscription: &str) -> Value {
        match self {
            Self::BuiltIn(role) => role.document(subscription),
            Self::Custom(role) => role.document(subscription),
        }
    }
}

/// Finds a role definition by its GUID, without case.
pub(crate) fn by_id(tx: &Connection, id: &str) -> Result<Option<Definition>, Refusal> {
    match roles::by_id(id) {
        Some(role) => Ok(Some(Definition::BuiltIn(role))),
        None => Ok(custom::get(tx, id)?.map(|role| Definition::Custom(Box::new(role)))),
    }
}

fn subscription(scope: &str) -> String {
    ResourceId::parse(scope).and_then(|id| id.subscription().map(str::to_owned)).unwrap_or_default()
}

fn of_tenant(cx: &Cx<'_>, id: &str) -> Result<Option<Definition>, Refusal> {
    let tenant = &cx.tenant;
    Ok(by_id(cx.tx, id)?.filter(|d| !matches!(d, Definition::Custom(c) if !c.tenant.eq_ignore_ascii_case(tenant))))
}

/// `RoleDefinitions_List`: all that can be assigned at the scope, or those of them that a filter names (`roleName`,
/// `type`); `atScopeAndBelow()` adds those that can be assigned below it.
pub(super) fn list(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let unsupported = || {
        Refusal::new(
            400,
            "UnsupportedQuery",
            "The filter is not supported. Supported filters are 'atScopeAndBelow()', or \"roleName eq '{value}'\", or \
             \"type eq 'BuiltInRole|CustomRole'\".",
        )
    };
    let terms = match cx.request.query("$filter") {
        Some(filter) if !filter.is_empty() => odata::parse(filter).map_err(|_| unsupported())?,
        _ => Vec::new(),
    };
    let scope = params.get("scope");
    let below = |term: &Term| matches!(term, Term::Call(name, None) if name.eq_ignore_ascii_case("atScopeAndBelow"));
    let deep = terms.iter().any(below);
    let customs = custom::all(cx.tx, &cx.tenant)?.into_iter();
    let customs = customs.filter(|c| c.assignable_at(scope) || deep && c.scopes.iter().any(|s| within(s, scope)));
    let mut keep: Vec<Definition> = ROLES.iter().map(Definition::BuiltIn).collect();
    keep.extend(customs.map(|c| Definition::Custom(Box::new(c))));
    for term in &terms {
        match term {
            Term::Eq(field, value) if field.eq_ignore_ascii_case("roleName") => {
                keep.retain(|d| d.name().eq_ignore_ascii_case(value));
            }
            Term::Eq(field, value) if field.eq_ignore_ascii_case("type") => {
                keep.retain(|d| d.kind().eq_ignore_ascii_case(value));
            }
            term if below(term) => {}
            _ => return Err(unsupported()),
        }
    }
    let subscription = subscription(scope);
    let value: Vec<Value> = keep.iter().map(|d| d.document(&subscription)).collect();
    Ok(Answer::ok(&json!({ "value": value })))
}

/// `RoleDefinitions_Get`.
pub(super) fn get(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let role = of_tenant(cx, params.get("name"))?.ok_or_else(|| not_found(params.get("name")))?;
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

const WRITE: &str = "Microsoft.Authorization/roleDefinitions/write";
const DELETE: &str = "Microsoft.Authorization/roleDefinitions/delete";

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "InvalidRequest", message)
}

fn built_in(id: &str) -> Refusal {
    invalid(format!("The role definition '{id}' is built in: it can be neither changed nor deleted."))
}

/// Refuses a caller who may not do `action` at each of a role's scopes.
fn require_everywhere(cx: &Cx<'_>, action: &str, scopes: &[String]) -> Result<(), Refusal> {
    for scope in scopes {
        if !cx.authorize(action, false, scope)?.allowed {
            return Err(Refusal::new(
                403,
                "LinkedAuthorizationFailed",
                format!(
                    "The client '{}' with object id '{}' has permission to perform action '{action}' on the scope of \
                     the request; however, it does not have permission to perform it on the assignable scope \
                     '{scope}'.",
                    cx.caller.name(),
                    cx.caller.oid
                ),
            ));
        }
    }
    Ok(())
}

/// The scopes of a request: subscriptions and resource groups of the caller's tenant.
fn scopes(given: &Value) -> Result<Vec<String>, Refusal> {
    let given: Vec<&str> = given.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if given.is_empty() {
        return Err(invalid("The role definition must have at least one assignable scope."));
    }
    let mut scopes = Vec::new();
    for scope in given {
        let id = ResourceId::parse(scope).filter(|id| id.subscription().is_some() && id.namespace().is_none());
        let id = id.filter(|id| id.segments().len() == if id.group().is_some() { 4 } else { 2 }).ok_or_else(|| {
            invalid(format!("The assignable scope '{scope}' is not a subscription or resource group."))
                .gap(format!("the assignable scope {scope}"))
        })?;
        scopes.push(id.to_string());
    }
    Ok(scopes)
}

fn permissions(given: &Value) -> Result<Vec<Permission>, Refusal> {
    let entries = given.as_array().filter(|p| !p.is_empty());
    let entries = entries.ok_or_else(|| invalid("The role definition must have permissions."))?;
    if entries.iter().any(|entry| !entry["condition"].is_null()) {
        return Err(invalid("Conditions in role definitions are not supported.").gap("role definition conditions"));
    }
    let permissions: Vec<Permission> =
        serde_json::from_value(given.clone()).map_err(|e| invalid(format!("The permissions are not valid: {e}.")))?;
    for permission in &permissions {
        let all =
            [&permission.actions, &permission.not_actions, &permission.data_actions, &permission.not_data_actions];
        for action in all.into_iter().flatten() {
            let fits = action == "*" || action.contains('/') && !action.contains(char::is_whitespace);
            if !fits {
                return Err(Refusal::new(
                    400,
                    "InvalidActionOrNotAction",
                    format!("'{action}' does not match any of the actions supported by the providers."),
                ));
            }
        }
    }
    Ok(permissions)
}

/// `RoleDefinitions_CreateOrUpdate`.
pub(super) fn put(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let given = params.get("name");
    let id = Uuid::try_parse(given).map_err(|_| {
        Refusal::new(400, "InvalidRoleDefinitionId", format!("The role definition ID '{given}' is not a GUID."))
    })?;
    let id = id.to_string();
    let body = cx.request.json()?;
    let properties = &body["properties"];
    let name = properties["roleName"].as_str().map(str::trim).filter(|n| (1..=128).contains(&n.chars().count()));
    let name = name.ok_or_else(|| invalid("The role name must have 1 to 128 characters."))?;
    if properties["type"].as_str().is_some_and(|kind| !kind.eq_ignore_ascii_case("CustomRole")) {
        return Err(invalid("The type of the role definition must be 'CustomRole'."));
    }
    let scopes = scopes(&properties["assignableScopes"])?;
    let permissions = permissions(&properties["permissions"])?;
    require_everywhere(cx, WRITE, &scopes)?;
    let old = match by_id(cx.tx, &id)? {
        Some(Definition::BuiltIn(_)) => return Err(built_in(&id)),
        Some(Definition::Custom(old)) if !old.tenant.eq_ignore_ascii_case(&cx.tenant) => return Err(not_found(&id)),
        Some(Definition::Custom(old)) => {
            require_everywhere(cx, WRITE, &old.scopes)?;
            Some(old)
        }
        None => None,
    };
    let taken = custom::all(cx.tx, &cx.tenant)?;
    let taken = taken.iter().any(|c| c.name.eq_ignore_ascii_case(name) && !c.id.eq_ignore_ascii_case(&id))
        || ROLES.iter().any(|r| r.name.eq_ignore_ascii_case(name));
    if taken {
        return Err(Refusal::new(
            409,
            "RoleDefinitionWithSameNameExists",
            format!(
                "A custom role with the same name already exists in this directory. Use a different name: '{name}'."
            ),
        ));
    }
    let role = Custom {
        id,
        tenant: cx.tenant.clone(),
        name: name.to_owned(),
        description: properties["description"].as_str().unwrap_or_default().to_owned(),
        scopes,
        permissions,
        created: old.as_ref().map_or(cx.now, |o| o.created),
        created_by: old.as_ref().map_or_else(|| cx.caller.oid.clone(), |o| o.created_by.clone()),
        updated: cx.now,
        updated_by: cx.caller.oid.clone(),
    };
    custom::put(cx.tx, &role)?;
    Ok(Answer::json(201, &role.document(&subscription(params.get("scope")))))
}

/// `RoleDefinitions_Delete`: refused while the role is assigned.
pub(super) fn delete(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let id = params.get("name");
    let role = match of_tenant(cx, id)? {
        Some(Definition::BuiltIn(_)) => return Err(built_in(id)),
        Some(Definition::Custom(role)) => role,
        None => return Ok(Answer::empty(204)),
    };
    require_everywhere(cx, DELETE, &role.scopes)?;
    if super::assignments::all(cx.tx)?.iter().any(|a| a.role().eq_ignore_ascii_case(id)) {
        return Err(Refusal::new(
            400,
            "RoleDefinitionHasAssignments",
            "There are existing role assignments referencing role. Delete them first.",
        ));
    }
    custom::delete(cx.tx, &role.id)?;
    Ok(Answer::ok(&role.document(&subscription(params.get("scope")))))
}
