//! The control plane's operation table.

use http::Method;

use super::{API, deleted_vaults, vaults};
use crate::lro;
use crate::operation::{Access, Operation, Run};

const VAULT: &str = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.KeyVault/vaults/{vault}";
const READ: Access = Access::Control("Microsoft.KeyVault/vaults/read");
const WRITE: Access = Access::Control("Microsoft.KeyVault/vaults/write");

const fn operation(name: &'static str, method: Method, path: &'static str, access: Access, run: Run) -> Operation {
    Operation { name, method, path, when: &[], api: API, access, lro: false, run }
}

/// Operations on `management.azure.com`.
pub(super) static OPERATIONS: &[Operation] = &[
    operation("Vaults_CreateOrUpdate", Method::PUT, VAULT, WRITE, vaults::create_or_update),
    operation("Vaults_Update", Method::PATCH, VAULT, WRITE, vaults::update),
    operation("Vaults_Get", Method::GET, VAULT, READ, vaults::get),
    operation(
        "Vaults_Delete",
        Method::DELETE,
        VAULT,
        Access::Control("Microsoft.KeyVault/vaults/delete"),
        vaults::delete,
    ),
    operation(
        "Vaults_ListByResourceGroup",
        Method::GET,
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.KeyVault/vaults",
        READ,
        vaults::list,
    ),
    operation(
        "Vaults_ListBySubscription",
        Method::GET,
        "/subscriptions/{subscription}/providers/Microsoft.KeyVault/vaults",
        READ,
        vaults::list,
    ),
    operation(
        "Vaults_CheckNameAvailability",
        Method::POST,
        "/subscriptions/{subscription}/providers/Microsoft.KeyVault/checkNameAvailability",
        Access::Control("Microsoft.KeyVault/checkNameAvailability/read"),
        vaults::check_name,
    ),
    operation(
        "Vaults_ListDeleted",
        Method::GET,
        "/subscriptions/{subscription}/providers/Microsoft.KeyVault/deletedVaults",
        Access::Control("Microsoft.KeyVault/deletedVaults/read"),
        deleted_vaults::list,
    ),
    operation(
        "Vaults_GetDeleted",
        Method::GET,
        "/subscriptions/{subscription}/providers/Microsoft.KeyVault/locations/{location}/deletedVaults/{vault}",
        Access::Control("Microsoft.KeyVault/locations/deletedVaults/read"),
        deleted_vaults::get,
    ),
    Operation {
        name: "Vaults_PurgeDeleted",
        method: Method::POST,
        path: "/subscriptions/{subscription}/providers/Microsoft.KeyVault/locations/{location}/deletedVaults/{vault}/purge",
        when: &[],
        api: API,
        access: Access::Control("Microsoft.KeyVault/locations/deletedVaults/purge/action"),
        lro: true,
        run: deleted_vaults::purge,
    },
    operation(
        "Locations_OperationResults",
        Method::GET,
        "/subscriptions/{subscription}/providers/Microsoft.KeyVault/locations/{location}/operationResults/{id}",
        Access::Control("Microsoft.KeyVault/locations/operationResults/read"),
        |cx, p| lro::poll_location(cx, p.get("id")),
    ),
];
