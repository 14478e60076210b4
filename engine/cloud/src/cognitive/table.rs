//! The operations of the namespace.

use http::Method;

use super::{API, actions, deleted, regional};
use crate::arm::resource;
use crate::arm::rows::{in_group, in_subscription, part_type, polling, tracked_type};
use crate::operation::{Operation, Rows};

const ROWS: Rows = Rows::control(API);

static ACCOUNTS: &[Operation] = &tracked_type!("Accounts", "Microsoft.CognitiveServices", "accounts", API, long: true);
static PROJECTS: &[Operation] = &part_type!(
    "Projects",
    "Microsoft.CognitiveServices",
    "accounts/projects",
    "accounts/{account}/projects",
    API,
    long: true
);
static POLLS: &[Operation] = &polling!("Microsoft.CognitiveServices", "operationResults", API);

static OTHERS: &[Operation] = &[
    ROWS.row(
        "Projects_Update",
        Method::PATCH,
        in_group!("Microsoft.CognitiveServices/accounts/{account}/projects/{name}"),
        "Microsoft.CognitiveServices/accounts/projects/write",
        resource::patch,
    )
    .lasting(true),
    ROWS.row(
        "Accounts_ListKeys",
        Method::POST,
        in_group!("Microsoft.CognitiveServices/accounts/{name}/listKeys"),
        "Microsoft.CognitiveServices/accounts/listKeys/action",
        actions::list_keys,
    ),
    ROWS.row(
        "Accounts_RegenerateKey",
        Method::POST,
        in_group!("Microsoft.CognitiveServices/accounts/{name}/regenerateKey"),
        "Microsoft.CognitiveServices/accounts/regenerateKey/action",
        actions::regenerate_key,
    ),
    ROWS.row(
        "Accounts_ListSkus",
        Method::GET,
        in_group!("Microsoft.CognitiveServices/accounts/{name}/skus"),
        "Microsoft.CognitiveServices/accounts/skus/read",
        regional::account_skus,
    ),
    ROWS.row(
        "Accounts_ListUsages",
        Method::GET,
        in_group!("Microsoft.CognitiveServices/accounts/{name}/usages"),
        "Microsoft.CognitiveServices/accounts/usages/read",
        regional::account_usages,
    ),
    ROWS.row(
        "DeletedAccounts_List",
        Method::GET,
        in_subscription!("Microsoft.CognitiveServices/deletedAccounts"),
        "Microsoft.CognitiveServices/deletedAccounts/read",
        deleted::list,
    ),
    ROWS.row(
        "DeletedAccounts_Get",
        Method::GET,
        in_subscription!(
            "Microsoft.CognitiveServices/locations/{location}/resourceGroups/{group}/deletedAccounts/{name}"
        ),
        "Microsoft.CognitiveServices/locations/resourceGroups/deletedAccounts/read",
        deleted::get,
    ),
    ROWS.row(
        "DeletedAccounts_Purge",
        Method::DELETE,
        in_subscription!(
            "Microsoft.CognitiveServices/locations/{location}/resourceGroups/{group}/deletedAccounts/{name}"
        ),
        "Microsoft.CognitiveServices/locations/resourceGroups/deletedAccounts/delete",
        deleted::purge,
    ),
    ROWS.row(
        "ResourceSkus_List",
        Method::GET,
        in_subscription!("Microsoft.CognitiveServices/skus"),
        "Microsoft.CognitiveServices/skus/read",
        regional::skus,
    ),
    ROWS.row(
        "Usages_List",
        Method::GET,
        in_subscription!("Microsoft.CognitiveServices/locations/{location}/usages"),
        "Microsoft.CognitiveServices/locations/usages/read",
        regional::usages,
    ),
    ROWS.row(
        "CheckSkuAvailability",
        Method::POST,
        in_subscription!("Microsoft.CognitiveServices/locations/{location}/checkSkuAvailability"),
        "Microsoft.CognitiveServices/locations/checkSkuAvailability/action",
        regional::check_sku_availability,
    ),
    ROWS.row(
        "CheckDomainAvailability",
        Method::POST,
        in_subscription!("Microsoft.CognitiveServices/checkDomainAvailability"),
        "Microsoft.CognitiveServices/checkDomainAvailability/action",
        regional::check_domain_availability,
    ),
];

/// All tables.
pub(super) fn tables() -> Vec<&'static [Operation]> {
    vec![ACCOUNTS, PROJECTS, POLLS, OTHERS]
}
