//! The operation table of Microsoft.Resources.

use http::Method;

use super::{API, groups, listing, registration, subscriptions, tags};
use crate::operation::{Access, Operation, Run};

const TAGS: &str = "/{+scope}/providers/Microsoft.Resources/tags/default";
const SUBSCRIPTION: &str = "/subscriptions/{subscription}";
const GROUP: &str = "/subscriptions/{subscription}/resourceGroups/{group}";

const fn operation(name: &'static str, method: Method, path: &'static str, access: Access, run: Run) -> Operation {
    Operation { name, method, path, when: &[], api: API, access, lro: false, run }
}

const READ_GROUPS: Access = Access::Control("Microsoft.Resources/subscriptions/resourceGroups/read");
const WRITE_TAGS: Access = Access::Control("Microsoft.Resources/tags/write");
const WRITE_GROUPS: Access = Access::Control("Microsoft.Resources/subscriptions/resourceGroups/write");

pub(super) static OPERATIONS: &[Operation] = &[
    operation("Tenants_List", Method::GET, "/tenants", Access::Authenticated, subscriptions::tenants),
    operation("Subscriptions_List", Method::GET, "/subscriptions", Access::Authenticated, subscriptions::list),
    operation(
        "Subscriptions_Get",
        Method::GET,
        SUBSCRIPTION,
        Access::Control("Microsoft.Resources/subscriptions/read"),
        subscriptions::get,
    ),
    operation(
        "Subscriptions_ListLocations",
        Method::GET,
        "/subscriptions/{subscription}/locations",
        Access::Control("Microsoft.Resources/subscriptions/locations/read"),
        subscriptions::locations,
    ),
    operation(
        "Providers_List",
        Method::GET,
        "/subscriptions/{subscription}/providers",
        Access::Control("Microsoft.Resources/subscriptions/providers/read"),
        registration::list,
    ),
    operation("Providers_ListAtTenantScope", Method::GET, "/providers", Access::Authenticated, registration::list),
    operation(
        "Providers_GetAtTenantScope",
        Method::GET,
        "/providers/{namespace}",
        Access::Authenticated,
        registration::get,
    ),
    operation(
        "ProviderResourceTypes_List",
        Method::GET,
        "/subscriptions/{subscription}/providers/{namespace}/resourceTypes",
        Access::Control("Microsoft.Resources/subscriptions/providers/read"),
        registration::types,
    ),
    operation(
        "Providers_Get",
        Method::GET,
        "/subscriptions/{subscription}/providers/{namespace}",
        Access::Control("Microsoft.Resources/subscriptions/providers/read"),
        registration::get,
    ),
    operation(
        "Providers_Register",
        Method::POST,
        "/subscriptions/{subscription}/providers/{namespace}/register",
        Access::Control("Microsoft.Resources/subscriptions/providers/register/action"),
        registration::register,
    ),
    operation(
        "Providers_Unregister",
        Method::POST,
        "/subscriptions/{subscription}/providers/{namespace}/unregister",
        Access::Control("Microsoft.Resources/subscriptions/providers/unregister/action"),
        registration::unregister,
    ),
    operation(
        "ResourceGroups_List",
        Method::GET,
        "/subscriptions/{subscription}/resourceGroups",
        READ_GROUPS,
        groups::list,
    ),
    operation("ResourceGroups_Get", Method::GET, GROUP, READ_GROUPS, groups::get),
    operation("ResourceGroups_CheckExistence", Method::HEAD, GROUP, READ_GROUPS, groups::exists),
    operation("ResourceGroups_CreateOrUpdate", Method::PUT, GROUP, WRITE_GROUPS, groups::put),
    operation("ResourceGroups_Update", Method::PATCH, GROUP, WRITE_GROUPS, groups::patch),
    Operation {
        name: "ResourceGroups_Delete",
        method: Method::DELETE,
        path: GROUP,
        when: &[],
        api: API,
        access: Access::Control("Microsoft.Resources/subscriptions/resourceGroups/delete"),
        lro: true,
        run: groups::delete,
    },
    operation(
        "ResourceGroups_DeleteResult",
        Method::GET,
        "/subscriptions/{subscription}/operationresults/{id}",
        Access::Authenticated,
        groups::delete_result,
    ),
    operation(
        "Resources_List",
        Method::GET,
        "/subscriptions/{subscription}/resources",
        Access::Control("Microsoft.Resources/subscriptions/resources/read"),
        listing::in_subscription,
    ),
    operation(
        "Resources_ListByResourceGroup",
        Method::GET,
        "/subscriptions/{subscription}/resourceGroups/{group}/resources",
        Access::Control("Microsoft.Resources/subscriptions/resourceGroups/resources/read"),
        listing::in_group,
    ),
    operation("Tags_GetAtScope", Method::GET, TAGS, Access::Control("Microsoft.Resources/tags/read"), tags::get),
    operation("Tags_CreateOrUpdateAtScope", Method::PUT, TAGS, WRITE_TAGS, tags::put),
    operation("Tags_UpdateAtScope", Method::PATCH, TAGS, WRITE_TAGS, tags::patch),
    operation(
        "Tags_DeleteAtScope",
        Method::DELETE,
        TAGS,
        Access::Control("Microsoft.Resources/tags/delete"),
        tags::delete,
    ),
];
