//! The operations on Azure Resource Manager, apart from queries.

use http::Method;

use super::{API, deleted, keys, tables, workspace};
use crate::arm::rows::{in_group, in_subscription, polling, tracked_type};
use crate::operation::{Operation, Rows};

/// The workspaces themselves. A deletion is done at once.
pub(super) static WORKSPACES: &[Operation] = &{
    let mut rows = tracked_type!("Workspaces", "Microsoft.OperationalInsights", "workspaces", API, long: true);
    rows[3].run = workspace::delete;
    rows[3].lro = false;
    rows
};

/// What creating and changing is polled at.
pub(super) static POLLS: &[Operation] = &polling!("Microsoft.OperationalInsights", "operationStatuses", API);

const ROWS: Rows = Rows::control(API);

/// Keys, tables and deleted workspaces.
pub(super) static PARTS: &[Operation] = &[
    ROWS.row(
        "SharedKeys_GetSharedKeys",
        Method::POST,
        in_group!("Microsoft.OperationalInsights/workspaces/{workspace}/sharedKeys"),
        "Microsoft.OperationalInsights/workspaces/sharedkeys/action",
        keys::list,
    ),
    // The name by which templates ask for the keys of a workspace.
    ROWS.row(
        "SharedKeys_ListKeys",
        Method::POST,
        in_group!("Microsoft.OperationalInsights/workspaces/{workspace}/listKeys"),
        "Microsoft.OperationalInsights/workspaces/listKeys/action",
        keys::list,
    ),
    ROWS.row(
        "Tables_ListByWorkspace",
        Method::GET,
        in_group!("Microsoft.OperationalInsights/workspaces/{workspace}/tables"),
        "Microsoft.OperationalInsights/workspaces/tables/read",
        tables::list,
    ),
    ROWS.row(
        "Tables_Get",
        Method::GET,
        in_group!("Microsoft.OperationalInsights/workspaces/{workspace}/tables/{table}"),
        "Microsoft.OperationalInsights/workspaces/tables/read",
        tables::get,
    ),
    ROWS.row(
        "DeletedWorkspaces_List",
        Method::GET,
        in_subscription!("Microsoft.OperationalInsights/deletedWorkspaces"),
        "Microsoft.OperationalInsights/deletedWorkspaces/read",
        deleted::list,
    ),
    ROWS.row(
        "DeletedWorkspaces_ListByResourceGroup",
        Method::GET,
        in_group!("Microsoft.OperationalInsights/deletedWorkspaces"),
        "Microsoft.OperationalInsights/deletedWorkspaces/read",
        deleted::list,
    ),
];
