//! The control plane's table, and the operations that need few words.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};

use super::account::{self, Account};
use super::{ACCOUNTS, API, blob, document, name, put, regional};
use crate::arm::resource::id_of;
use crate::arm::{answers, identity};
use crate::cx::Cx;
use crate::http::Answer;
use crate::lro::{self, Lro};
use crate::operation::{Access, Operation, Params};
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::store::resources::{Filter, Resource};

const ACCOUNT: &str =
    "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Storage/storageAccounts/{account}";

/// The operations on `management.azure.com`.
pub(super) static OPERATIONS: &[Operation] = &[
    Operation {
        name: "StorageAccounts_CheckNameAvailability",
        method: Method::POST,
        path: "/subscriptions/{subscription}/providers/Microsoft.Storage/checkNameAvailability",
        when: &[],
        api: API,
        access: Access::Control("Microsoft.Storage/checknameavailability/read"),
        lro: false,
        run: check_name,
    },
    Operation {
        name: "StorageAccounts_Create",
        method: Method::PUT,
        path: ACCOUNT,
        when: &[],
        api: API,
        access: Access::Control("Microsoft.Storage/storageAccounts/write"),
        lro: true,
        run: put::put,
    },
    Operation {
        name: "StorageAccounts_Update",
        method: Method::PATCH,
        path: ACCOUNT,
        when: &[],
        api: API,
        access: Access::Control("Microsoft.Storage/storageAccounts/write"),
        lro: false,
        run: put::patch,
    },
    Operation {
        name: "StorageAccounts_GetProperties",
        method: Method::GET,
        path: ACCOUNT,
        when: &[],
        api: API,
        access: Access::Control("Microsoft.Storage/storageAccounts/read"),
        lro: false,
        run: get,
    },
    Operation {
        name: "StorageAccounts_Delete",
        method: Method::DELETE,
        path: ACCOUNT,
        when: &[],
        api: API,
        access: Access::Control("Microsoft.Storage/storageAccounts/delete"),
        lro: false,
        run: delete,
    },
    Operation {
        name: "StorageAccounts_List",
        method: Method::GET,
        path: "/subscriptions/{subscription}/providers/Microsoft.Storage/storageAccounts",
        when: &[],
        api: API,
        access: Access::Control("Microsoft.Storage/storageAccounts/read"),
        lro: false,
        run: list,
    },
    Operation {
        name: "StorageAccounts_ListByResourceGroup",
        method: Method::GET,
        path: "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Storage/storageAccounts",
        when: &[],
        api: API,
        access: Access::Control("Microsoft.Storage/storageAccounts/read"),
        lro: false,
        run: list,
    },
    Operation {
        name: "StorageAccounts_ListKeys",
        method: Method::POST,
        path: "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Storage/storageAccounts/{account}/listKeys",
        when: &[],
        api: API,
        access: Access::Control("Microsoft.Storage/storageAccounts/listKeys/action"),
        lro: false,
        run: list_keys,
    },
    Operation {
        name: "StorageAccounts_RegenerateKey",
        method: Method::POST,
        path: "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Storage/storageAccounts/{account}/regenerateKey",
        when: &[],
        api: API,
        access: Access::Control("Microsoft.Storage/storageAccounts/regeneratekey/action"),
        lro: false,
        run: regenerate_key,
    },
    Operation {
        name: "Usages_ListByLocation",
        method: Method::GET,
        path: "/subscriptions/{subscription}/providers/Microsoft.Storage/locations/{location}/usages",
        when: &[],
        api: API,
        access: Access::Control("Microsoft.Storage/locations/usages/read"),
        lro: false,
        run: regional::usages,
    },
    Operation {
        name: "StorageAccounts_RevokeUserDelegationKeys",
        method: Method::POST,
        path: "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Storage/storageAccounts/{account}/revokeUserDelegationKeys",
        when: &[],
        api: API,
        access: Access::Control("Microsoft.Storage/storageAccounts/revokeUserDelegationKeys/action"),
        lro: false,
        run: revoke_delegation,
    },
    Operation {
        name: "Skus_List",
        method: Method::GET,
        path: "/subscriptions/{subscription}/providers/Microsoft.Storage/skus",
        when: &[],
        api: API,
        access: Access::Control("Microsoft.Storage/skus/read"),
        lro: false,
        run: regional::skus,
    },
    Operation {
        name: "StorageAccounts_CreateResult",
        method: Method::GET,
        path: "/subscriptions/{subscription}/providers/Microsoft.Storage/locations/{location}/asyncoperations/{operation}",
        when: &[],
        api: API,
        access: Access::Authenticated,
        lro: false,
        run: poll,
    },
];

/// ARM id of the account that a request names.
pub(super) fn id(params: &Params) -> ResourceId {
    ResourceId::resource(params.get("subscription"), params.get("group"), ACCOUNTS, params.get("account"))
}

/// 202 with the URL of the result.
pub(super) fn accepted(cx: &Cx<'_>, lro: &Lro, subscription: &str, location: &str) -> Answer {
    let path = format!(
        "/subscriptions/{subscription}/providers/Microsoft.Storage/locations/{location}/asyncoperations/{}",
        lro.id
    );
    let location = answers::location(&path, answers::api_version(cx), true);
    answers::started(cx, lro, Answer::empty(202).header("location", location))
}

/// Removes what an account has besides its resource row: its identity, its keys and all its data.
pub(super) fn destroy(cx: &mut Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
    if let Some(account) = account::by_resource(cx.tx, &resource.id)? {
        blob::destroy(cx, &account)?;
        blob::revoke(cx, &account)?;
        account::delete(cx, &account)?;
    }
    identity::remove(cx, &resource.id)
}

fn poll(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    lro::poll_location(cx, params.get("operation"))
}

fn check_name(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let body = cx.request.json()?;
    if !body["type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case(ACCOUNTS)) {
        return Err(super::cmk::invalid_value("type"));
    }
    let name = body["name"].as_str().unwrap_or_default();
    let no = |reason: &str, message: String| {
        Answer::ok(&json!({ "nameAvailable": false, "reason": reason, "message": message }))
    };
    Ok(if !name::is_account(name) {
        no("AccountNameInvalid", name::account_rule(name))
    } else if account::by_name(cx.tx, name)?.is_some() {
        no("AlreadyExists", format!("The storage account named {name} is already taken."))
    } else {
        Answer::ok(&json!({ "nameAvailable": true }))
    })
}

fn get(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let resource = cx.existing(&id(params))?;
    Ok(Answer::ok(&document::shown(&resource)))
}

fn list(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let filter = Filter {
        subscription: Some(params.get("subscription")),
        group: params.find("group"),
        kind: Some(ACCOUNTS),
        ..Filter::default()
    };
    let value: Vec<Value> = cx.resources(filter)?.iter().map(document::shown).collect();
    Ok(Answer::ok(&json!({ "value": value })))
}

fn delete(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let Some(resource) = cx.resource(&id(params).to_string())? else {
        return Ok(Answer::empty(204));
    };
    destroy(cx, &resource)?;
    cx.delete_resource(&resource.id)?;
    Ok(Answer::empty(200))
}

fn row(cx: &Cx<'_>, params: &Params) -> Result<(Resource, Account), Refusal> {
    let resource = cx.existing(&id(params))?;
    let account = account::by_resource(cx.tx, &resource.id)?
        .ok_or_else(|| Refusal::internal(format!("the account {} has no row", resource.id)))?;
    Ok((resource, account))
}

fn list_keys(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let (resource, account) = row(cx, params)?;
    let keys: Vec<Value> = account::access_keys(cx, &account)?
        .iter()
        .zip(["key1", "key2"])
        .map(|(key, name)| {
            json!({
                "creationTime": resource.body["properties"]["keyCreationTime"][name],
                "keyName": name,
                "value": STANDARD.encode(key.expose()),
                "permissions": "FULL"
            })
        })
        .collect();
    Ok(Answer::ok(&json!({ "keys": keys })))
}

fn revoke_delegation(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let (_, account) = row(cx, params)?;
    blob::revoke(cx, &account)?;
    Ok(Answer::empty(200))
}

fn regenerate_key(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let (mut resource, account) = row(cx, params)?;
    let body = cx.request.json()?;
    let which = ["key1", "key2"]
        .iter()
        .position(|name| body["keyName"] == **name)
        .ok_or_else(|| super::cmk::invalid_value("keyName"))?;
    account::renew_access_key(cx, &account, which)?;
    resource.body["properties"]["keyCreationTime"][["key1", "key2"][which]] = crate::time::rfc3339(cx.now).into();
    let id = id_of(&resource)?;
    cx.put_resource(&id, resource.body)?;
    list_keys(cx, params)
}
