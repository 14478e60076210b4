//! The operations of the namespace.

use http::Method;

use super::{API, actions, deleted, regional};
use crate::arm::resource;
use crate::arm::rows::{part_type, polling, row, tracked_type};
use crate::operation::Operation;

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
    row(
        "Projects_Update",
        Method::PATCH,
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.CognitiveServices/accounts/{account}/projects/{name}",
        "Microsoft.CognitiveServices/accounts/projects/write",
        API,
        true,
        resource::patch,
    ),
    row(
        "Accounts_ListKeys",
        Method::POST,
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.CognitiveServices/accounts/{name}/listKeys",
        "Microsoft.CognitiveServices/accounts/listKeys/action",
        API,
        false,
        actions::list_keys,
    ),
    row(
        "Accounts_RegenerateKey",
        Method::POST,
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.CognitiveServices/accounts/{name}/regenerateKey",
        "Microsoft.CognitiveServices/accounts/regenerateKey/action",
        API,
        false,
        actions::regenerate_key,
    ),
    row(
        "Accounts_ListSkus",
        Method::GET,
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.CognitiveServices/accounts/{name}/skus",
        "Microsoft.CognitiveServices/accounts/skus/read",
        API,
        false,
        regional::account_skus,
    ),
    row(
        "Accounts_ListUsages",
        Method::GET,
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.CognitiveServices/accounts/{name}/usages",
        "Microsoft.CognitiveServices/accounts/usages/read",
        API,
        false,
        regional::account_usages,
    ),
    row(
        "DeletedAccounts_List",
        Method::GET,
        "/subscriptions/{subscription}/providers/Microsoft.CognitiveServices/deletedAccounts",
        "Microsoft.CognitiveServices/deletedAccounts/read",
        API,
        false,
        deleted::list,
    ),
    row(
        "DeletedAccounts_Get",
        Method::GET,
        "/subscriptions/{subscription}/providers/Microsoft.CognitiveServices/locations/{location}/resourceGroups/{group}/deletedAccounts/{name}",
        "Microsoft.CognitiveServices/locations/resourceGroups/deletedAccounts/read",
        API,
        false,
        deleted::get,
    ),
    row(
        "DeletedAccounts_Purge",
        Method::DELETE,
        "/subscriptions/{subscription}/providers/Microsoft.CognitiveServices/locations/{location}/resourceGroups/{group}/deletedAccounts/{name}",
        "Microsoft.CognitiveServices/locations/resourceGroups/deletedAccounts/delete",
        API,
        false,
        deleted::purge,
    ),
    row(
        "ResourceSkus_List",
        Method::GET,
        "/subscriptions/{subscription}/providers/Microsoft.CognitiveServices/skus",
        "Microsoft.CognitiveServices/skus/read",
        API,
        false,
        regional::skus,
    ),
    row(
        "Usages_List",
        Method::GET,
        "/subscriptions/{subscription}/providers/Microsoft.CognitiveServices/locations/{location}/usages",
        "Microsoft.CognitiveServices/locations/usages/read",
        API,
        false,
        regional::usages,
    ),
    row(
        "CheckSkuAvailability",
        Method::POST,
        "/subscriptions/{subscription}/providers/Microsoft.CognitiveServices/locations/{location}/checkSkuAvailability",
        "Microsoft.CognitiveServices/locations/checkSkuAvailability/action",
        API,
        false,
        regional::check_sku_availability,
    ),
    row(
        "CheckDomainAvailability",
        Method::POST,
        "/subscriptions/{subscription}/providers/Microsoft.CognitiveServices/checkDomainAvailability",
        "Microsoft.CognitiveServices/checkDomainAvailability/action",
        API,
        false,
        regional::check_domain_availability,
    ),
];

/// All tables.
pub(super) fn tables() -> Vec<&'static [Operation]> {
    vec![ACCOUNTS, PROJECTS, POLLS, OTHERS]
}
