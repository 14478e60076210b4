//! The operations on Azure Resource Manager, apart from queries.

use http::Method;

use super::{API, deleted, keys, tables, workspace};
use crate::arm::rows::{polling, tracked_type};
use crate::operation::{Access, Operation, Run};

/// The workspaces themselves. A deletion is done at once.
pub(super) static WORKSPACES: &[Operation] = &{
    let mut rows = tracked_type!("Workspaces", "Microsoft.OperationalInsights", "workspaces", API, long: true);
    rows[3].run = workspace::delete;
    rows[3].lro = false;
    rows
};

/// What creating and changing is polled at.
pub(super) static POLLS: &[Operation] = &polling!("Microsoft.OperationalInsights", "operationStatuses", API);

const fn row(name: &'static str, method: Method, path: &'static str, action: &'static str, run: Run) -> Operation {
    Operation { name, method, path, when: &[], api: API, access: Access::Control(action), lro: false, run }
}

/// Keys, tables and deleted workspaces.
pub(super) static PARTS: &[Operation] = &[
    row(
        "SharedKeys_GetSharedKeys",
        Method::POST,
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.OperationalInsights/workspaces/{workspace}/sharedKeys",
        "Microsoft.OperationalInsights/workspaces/sharedkeys/action",
        keys::list,
    ),
    // The name by which templates ask for the keys of a workspace.
    row(
        "SharedKeys_ListKeys",
        Method::POST,
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.OperationalInsights/workspaces/{workspace}/listKeys",
        "Microsoft.OperationalInsights/workspaces/listKeys/action",
        keys::list,
    ),
    row(
        "Tables_ListByWorkspace",
        Method::GET,
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.OperationalInsights/workspaces/{workspace}/tables",
        "Microsoft.OperationalInsights/workspaces/tables/read",
        tables::list,
    ),
    row(
        "Tables_Get",
        Method::GET,
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.OperationalInsights/workspaces/{workspace}/tables/{table}",
        "Microsoft.OperationalInsights/workspaces/tables/read",
        tables::get,
    ),
    row(
        "DeletedWorkspaces_List",
        Method::GET,
        "/subscriptions/{subscription}/providers/Microsoft.OperationalInsights/deletedWorkspaces",
        "Microsoft.OperationalInsights/deletedWorkspaces/read",
        deleted::list,
    ),
    row(
        "DeletedWorkspaces_ListByResourceGroup",
        Method::GET,
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.OperationalInsights/deletedWorkspaces",
        "Microsoft.OperationalInsights/deletedWorkspaces/read",
        deleted::list,
    ),
];
