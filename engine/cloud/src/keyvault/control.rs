//! The control plane's operation table.

use http::Method;

use super::hsm::pools;
use super::keystore::Kind;
use super::{API, deleted_keystores, vaults};
use crate::lro;
use crate::operation::{Access, Operation, Run};

const VAULT: &str = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.KeyVault/vaults/{vault}";
const POOL: &str =
    "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.KeyVault/managedHSMs/{name}";
const DELETED_POOL: &str =
    "/subscriptions/{subscription}/providers/Microsoft.KeyVault/locations/{location}/deletedManagedHSMs/{name}";
const READ_POOL: &str = "Microsoft.KeyVault/managedHSMs/read";
const WRITE_POOL: &str = "Microsoft.KeyVault/managedHSMs/write";
const READ: Access = Access::Control("Microsoft.KeyVault/vaults/read");
const WRITE: Access = Access::Control("Microsoft.KeyVault/vaults/write");

const fn operation(name: &'static str, method: Method, path: &'static str, access: Access, run: Run) -> Operation {
    Operation { name, method, path, when: &[], api: API, access, lro: false, run }
}

const fn pool(
    name: &'static str,
    method: Method,
    path: &'static str,
    action: &'static str,
    lro: bool,
    run: Run,
) -> Operation {
    Operation { name, method, path, when: &[], api: API, access: Access::Control(action), lro, run }
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
        |cx, p| deleted_keystores::list(cx, p, Kind::Vault),
    ),
    operation(
        "Vaults_GetDeleted",
        Method::GET,
        "/subscriptions/{subscription}/providers/Microsoft.KeyVault/locations/{location}/deletedVaults/{name}",
        Access::Control("Microsoft.KeyVault/locations/deletedVaults/read"),
        |cx, p| deleted_keystores::get(cx, p, Kind::Vault),
    ),
    Operation {
        name: "Vaults_PurgeDeleted",
        method: Method::POST,
        path: "/subscriptions/{subscription}/providers/Microsoft.KeyVault/locations/{location}/deletedVaults/{name}/purge",
        when: &[],
        api: API,
        access: Access::Control("Microsoft.KeyVault/locations/deletedVaults/purge/action"),
        lro: true,
        run: |cx, p| deleted_keystores::purge(cx, p, Kind::Vault),
    },
    operation(
        "Locations_OperationResults",
        Method::GET,
        "/subscriptions/{subscription}/providers/Microsoft.KeyVault/locations/{location}/operationResults/{id}",
        Access::Control("Microsoft.KeyVault/locations/operationResults/read"),
        |cx, p| lro::poll_location(cx, p.get("id")),
    ),
    pool("ManagedHsms_CreateOrUpdate", Method::PUT, POOL, WRITE_POOL, true, pools::create_or_update),
    pool("ManagedHsms_Update", Method::PATCH, POOL, WRITE_POOL, true, pools::update),
    pool("ManagedHsms_Get", Method::GET, POOL, READ_POOL, false, pools::get),
    pool("ManagedHsms_Delete", Method::DELETE, POOL, "Microsoft.KeyVault/managedHSMs/delete", true, pools::delete),
    pool(
        "ManagedHsms_ListByResourceGroup",
        Method::GET,
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.KeyVault/managedHSMs",
        READ_POOL,
        false,
        pools::list,
    ),
    pool(
        "ManagedHsms_ListBySubscription",
        Method::GET,
        "/subscriptions/{subscription}/providers/Microsoft.KeyVault/managedHSMs",
        READ_POOL,
        false,
        pools::list,
    ),
    pool(
        "ManagedHsms_CheckMhsmNameAvailability",
        Method::POST,
        "/subscriptions/{subscription}/providers/Microsoft.KeyVault/checkMhsmNameAvailability",
        "Microsoft.KeyVault/checkMhsmNameAvailability/read",
        false,
        pools::check_name,
    ),
    pool(
        "ManagedHsms_ListDeleted",
        Method::GET,
        "/subscriptions/{subscription}/providers/Microsoft.KeyVault/deletedManagedHSMs",
        "Microsoft.KeyVault/deletedManagedHsms/read",
        false,
        |cx, p| deleted_keystores::list(cx, p, Kind::Hsm),
    ),
    pool(
        "ManagedHsms_GetDeleted",
        Method::GET,
        DELETED_POOL,
        "Microsoft.KeyVault/locations/deletedManagedHsms/read",
        false,
        |cx, p| deleted_keystores::get(cx, p, Kind::Hsm),
    ),
    pool(
        "ManagedHsms_PurgeDeleted",
        Method::POST,
        "/subscriptions/{subscription}/providers/Microsoft.KeyVault/locations/{location}/deletedManagedHSMs/{name}/purge",
        "Microsoft.KeyVault/locations/deletedManagedHsms/purge/action",
        true,
        |cx, p| deleted_keystores::purge(cx, p, Kind::Hsm),
    ),
    pool(
        "Locations_ManagedHsmOperationResults",
        Method::GET,
        "/subscriptions/{subscription}/providers/Microsoft.KeyVault/locations/{location}/managedHsmOperationResults/{id}",
        "Microsoft.KeyVault/locations/managedHsmOperationResults/read",
        false,
        |cx, p| lro::poll_location(cx, p.get("id")),
    ),
];
