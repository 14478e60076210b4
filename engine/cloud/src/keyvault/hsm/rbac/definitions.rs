//! Local role definitions on the wire: built-in ones to read, custom ones to write too.

use serde_json::{Value, json};
use uuid::Uuid;

use super::super::super::keystore::{self, KeyStore};
use super::super::super::requests::{self, bad};
use super::roles::{self, ROLES, Role};
use super::rows::{self, Custom};
use super::scope;
use crate::authorization::custom::Permission;
use crate::authorization::evaluate;
use crate::cx::Cx;
use crate::http::Answer;
use crate::odata::{self, Term};
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::resource_id::within;

/// What ids of local role definitions begin with.
pub(super) const PREFIX: &str = "Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions/";

/// A local role definition.
pub(super) enum Definition {
    /// One of Azure's own.
    BuiltIn(&'static Role),
    /// One of this pool.
    Custom(Custom),
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
            Self::BuiltIn(_) => "AKVBuiltInRole",
            Self::Custom(_) => "CustomRole",
        }
    }

    /// Whether it grants a data action.
    pub fn grants(&self, action: &str) -> bool {
        match self {
            Self::BuiltIn(role) => role.grants(action),
            Self::Custom(role) => role.permissions.iter().any(|p| evaluate::permits(p, action, true)),
        }
    }

    /// Whether it can be assigned at a scope.
    pub fn assignable_at(&self, scope: &str) -> bool {
        match self {
            Self::BuiltIn(_) => true,
            Self::Custom(role) => role.scopes.iter().any(|assignable| within(scope, assignable)),
        }
    }

    fn document(&self) -> Value {
        let (description, scopes, permissions) = match self {
            Self::BuiltIn(role) => {
                let data_actions = role.data_actions().collect();
                ("", vec!["/".to_owned()], vec![Permission { data_actions, ..Permission::default() }])
            }
            Self::Custom(role) => (role.description.as_str(), role.scopes.clone(), role.permissions.clone()),
        };
        json!({
            "id": format!("{PREFIX}{}", self.id()),
            "name": self.id(),
            "type": "Microsoft.Authorization/roleDefinitions",
            "properties": {
                "roleName": self.name(),
                "type": self.kind(),
                "description": description,
                "assignableScopes": scopes,
                "permissions": permissions,
            },
        })
    }
}

/// Finds a role definition of a pool by its GUID.
pub(super) fn by_id(cx: &Cx<'_>, label: &str, id: &str) -> Result<Option<Definition>, Refusal> {
    match roles::by_id(id) {
        Some(role) => Ok(Some(Definition::BuiltIn(role))),
        None => Ok(rows::role(cx, label, id)?.map(Definition::Custom)),
    }
}

/// Refuses a role definition that is not there.
pub(super) fn not_found() -> Refusal {
    Refusal::new(404, "RoleDefinitionNotFound", "Requested role definition not found")
}

/// Lists the role definitions (`RoleDefinitions_List`); a filter may name one. Those below the scope are listed in any case.
pub(super) fn list(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let pool = keystore::of_request(cx)?;
    let at = scope(p.get("scope"))?;
    let mut found: Vec<Definition> = ROLES.iter().map(Definition::BuiltIn).collect();
    let customs = rows::roles(cx, &pool.label)?.into_iter().map(Definition::Custom);
    found.extend(customs.filter(|role| role.assignable_at(&at)));
    let terms = match cx.request.query("$filter") {
        Some(filter) if !filter.is_empty() => odata::parse(filter)?,
        _ => Vec::new(),
    };
    for term in terms {
        match term {
            Term::Call(name, None) if name.eq_ignore_ascii_case("atScopeAndBelow") => {}
            Term::Eq(field, value) if field.eq_ignore_ascii_case("roleName") => {
                found.retain(|role| role.name().eq_ignore_ascii_case(&value));
            }
            Term::Eq(field, value) if field.eq_ignore_ascii_case("type") => {
                found.retain(|role| role.kind().eq_ignore_ascii_case(&value));
            }
            _ => return Err(bad("The filter is not supported: use roleName eq, type eq or atScopeAndBelow().")),
        }
    }
    let value: Vec<Value> = found.iter().map(Definition::document).collect();
    Ok(Answer::ok(&json!({ "value": value })))
}

/// Answers a role definition (`RoleDefinitions_Get`).
pub(super) fn get(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let pool = keystore::of_request(cx)?;
    let found = by_id(cx, &pool.label, p.get("name"))?.ok_or_else(not_found)?;
    Ok(Answer::ok(&found.document()))
}

const WRITE: &str = "Microsoft.KeyVault/managedHsm/roleDefinitions/write/action";
const DELETE: &str = "Microsoft.KeyVault/managedHsm/roleDefinitions/delete/action";

/// Refuses a caller who may not do `action` at each of a role's scopes: the request's own scope may be one key, and
/// the role be assigned for all of them.
fn require_everywhere(cx: &Cx<'_>, pool: &KeyStore, action: &str, scopes: &[String]) -> Result<(), Refusal> {
    for scope in scopes {
        if !super::allows(cx, pool, &cx.caller.oid, action, scope)? {
            return Err(Refusal::new(403, "AccessDenied", format!("Not authorized to access {action} on {scope}")));
        }
    }
    Ok(())
}

fn texts(given: &Value, name: &str) -> Result<Vec<String>, Refusal> {
    match &given[name] {
        Value::Null => Ok(Vec::new()),
        Value::Array(list) => list
            .iter()
            .map(|text| text.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or_else(|| bad(format!("Property {name} has invalid value: it must be a list of texts."))),
        _ => Err(bad(format!("Property {name} has invalid value: it must be a list of texts."))),
    }
}

fn permission(given: &Value) -> Result<Permission, Refusal> {
    let read = Permission {
        actions: texts(given, "actions")?,
        not_actions: texts(given, "notActions")?,
        data_actions: texts(given, "dataActions")?,
        not_data_actions: texts(given, "notDataActions")?,
    };
    if let Some(name) = read.data_actions.iter().chain(&read.not_data_actions).find(|name| !roles::is_action(name)) {
        return Err(bad(format!("Property dataActions has invalid value: there is no data action '{name}'.")));
    }
    if !read.actions.is_empty() || !read.not_actions.is_empty() {
        return Err(bad("Property actions has invalid value: local roles grant data actions alone."));
    }
    Ok(read)
}

/// Makes or changes a custom role (`RoleDefinitions_CreateOrUpdate`).
pub(super) fn put(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let pool = keystore::of_request(cx)?;
    let id = Uuid::try_parse(p.get("name")).map_err(|_| bad("The role definition name must be a GUID."))?.to_string();
    if roles::by_id(&id).is_some() {
        return Err(Refusal::new(403, "Forbidden", "Built-in role definitions can't be changed."));
    }
    let body = requests::object(cx)?;
    let given = &body["properties"];
    let assignable = match texts(given, "assignableScopes")? {
        none if none.is_empty() => vec!["/".to_owned()],
        some => some.iter().map(|text| scope(text)).collect::<Result<_, _>>()?,
    };
    let permissions = given["permissions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let role = Custom {
        name: given["roleName"].as_str().unwrap_or(&id).to_owned(),
        description: given["description"].as_str().unwrap_or_default().to_owned(),
        scopes: assignable,
        permissions: permissions.iter().map(permission).collect::<Result<_, _>>()?,
        id,
    };
    require_everywhere(cx, &pool, WRITE, &role.scopes)?;
    if let Some(old) = rows::role(cx, &pool.label, &role.id)? {
        require_everywhere(cx, &pool, WRITE, &old.scopes)?;
    }
    let others = rows::roles(cx, &pool.label)?;
    let taken = others.iter().any(|other| other.id != role.id && other.name.eq_ignore_ascii_case(&role.name));
    if taken || ROLES.iter().any(|other| other.name.eq_ignore_ascii_case(&role.name)) {
        let message = format!("A role definition with the name '{}' exists already", role.name);
        return Err(Refusal::new(409, "RoleDefinitionWithSameNameExists", message));
    }
    rows::put_role(cx, &pool.label, &role)?;
    Ok(Answer::json(201, &Definition::Custom(role).document()))
}

/// Removes a custom role that nobody has (`RoleDefinitions_Delete`).
pub(super) fn delete(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let pool = keystore::of_request(cx)?;
    let found = by_id(cx, &pool.label, p.get("name"))?.ok_or_else(not_found)?;
    match &found {
        Definition::BuiltIn(_) => {
            return Err(Refusal::new(403, "Forbidden", "Built-in role definitions can't be deleted."));
        }
        Definition::Custom(role) => require_everywhere(cx, &pool, DELETE, &role.scopes)?,
    }
    if rows::all(cx, &pool.label)?.iter().any(|assignment| assignment.role.eq_ignore_ascii_case(found.id())) {
        let message = "The role definition is assigned: delete its role assignments first";
        return Err(Refusal::new(409, "RoleDefinitionHasAssignments", message));
    }
    rows::delete_role(cx, &pool.label, found.id())?;
    Ok(Answer::ok(&found.document()))
}
