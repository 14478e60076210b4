//! Local role-based access control: the definitions and assignments that a managed HSM has of its own, at `/`, `/keys`
//! and `/keys/{name}` (Managed HSM "Access control" and "Local RBAC built-in roles"). Azure's own roles, an Owner's
//! among them, mean nothing here.

mod assignments;
mod definitions;
mod roles;
mod rows;

pub(super) use rows::{SCHEMA, purge};

use http::Method;
use uuid::Uuid;

use self::rows::Assignment;
use super::super::keystore::KeyStore;
use super::super::operations::API;
use super::super::requests::bad;
use crate::cx::Cx;
use crate::identity::tenants;
use crate::operation::{Operation, Rows};
use crate::refusal::Refusal;
use crate::resource_id::{ResourceId, within};

const ASSIGNMENTS: &str = "/{+scope}/providers/Microsoft.Authorization/roleAssignments";
const ASSIGNMENT: &str = "/{+scope}/providers/Microsoft.Authorization/roleAssignments/{name}";
const DEFINITIONS: &str = "/{+scope}/providers/Microsoft.Authorization/roleDefinitions";
const DEFINITION: &str = "/{+scope}/providers/Microsoft.Authorization/roleDefinitions/{name}";

const ROWS: Rows = Rows::data(API);

/// Operations on roles.
pub(super) static OPERATIONS: &[Operation] = &[
    ROWS.row(
        "RoleAssignments_ListForScope",
        Method::GET,
        ASSIGNMENTS,
        "Microsoft.KeyVault/managedHsm/roleAssignments/read/action",
        assignments::list,
    ),
    ROWS.row(
        "RoleAssignments_Get",
        Method::GET,
        ASSIGNMENT,
        "Microsoft.KeyVault/managedHsm/roleAssignments/read/action",
        assignments::get,
    ),
    ROWS.row(
        "RoleAssignments_Create",
        Method::PUT,
        ASSIGNMENT,
        "Microsoft.KeyVault/managedHsm/roleAssignments/write/action",
        assignments::create,
    ),
    ROWS.row(
        "RoleAssignments_Delete",
        Method::DELETE,
        ASSIGNMENT,
        "Microsoft.KeyVault/managedHsm/roleAssignments/delete/action",
        assignments::delete,
    ),
    ROWS.row(
        "RoleDefinitions_List",
        Method::GET,
        DEFINITIONS,
        "Microsoft.KeyVault/managedHsm/roleDefinitions/read/action",
        definitions::list,
    ),
    ROWS.row(
        "RoleDefinitions_Get",
        Method::GET,
        DEFINITION,
        "Microsoft.KeyVault/managedHsm/roleDefinitions/read/action",
        definitions::get,
    ),
    ROWS.row(
        "RoleDefinitions_CreateOrUpdate",
        Method::PUT,
        DEFINITION,
        "Microsoft.KeyVault/managedHsm/roleDefinitions/write/action",
        definitions::put,
    ),
    ROWS.row(
        "RoleDefinitions_Delete",
        Method::DELETE,
        DEFINITION,
        "Microsoft.KeyVault/managedHsm/roleDefinitions/delete/action",
        definitions::delete,
    ),
];

/// Reads the scope of a path: `/`, `/keys` or `/keys/{name}`.
pub(super) fn scope(given: &str) -> Result<String, Refusal> {
    let text = if given.is_empty() { "/" } else { given };
    let known = ResourceId::parse(text).filter(|id| match id.segments() {
        [] => true,
        [keys] | [keys, _] => keys == "keys",
        _ => false,
    });
    known
        .map(|id| id.to_string())
        .ok_or_else(|| bad(format!("The scope '{given}' is not valid: scopes are '/', '/keys' and '/keys/{{name}}'.")))
}

/// Whether a principal may do something at a scope of a pool now.
pub(in super::super) fn allows(
    cx: &Cx<'_>,
    pool: &KeyStore,
    principal: &str,
    action: &str,
    at: &str,
) -> Result<bool, Refusal> {
    if !tenants::of_principal(cx.tx, principal)?.eq_ignore_ascii_case(pool.tenant()) {
        return Ok(false);
    }
    for assignment in rows::of_principal(cx, &pool.label, principal)? {
        if assignment.effective <= cx.now
            && within(at, &assignment.scope)
            && let Some(role) = definitions::by_id(cx, &pool.label, &assignment.role)?
            && role.grants(action)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Makes a principal an administrator of a new pool.
pub(super) fn make_administrator(cx: &Cx<'_>, label: &str, principal: &str) -> Result<(), Refusal> {
    let assignment = Assignment {
        name: Uuid::new_v4().to_string(),
        scope: "/".to_owned(),
        role: roles::ADMINISTRATOR.to_owned(),
        principal: principal.to_owned(),
        created: cx.now,
        effective: cx.now,
    };
    rows::add(cx, label, &assignment)
}
