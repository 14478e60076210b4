//! Vaults on Azure Resource Manager (`Microsoft.KeyVault/vaults`).

use serde_json::{Value, json};

use super::keystore::{self, KeyStore, Kind};
use super::properties::{self, Mode};
use super::{network, store};
use crate::arm::{answers, body};
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::resources::locations;
use crate::rules::Rule;
use crate::store::resources::Filter;

fn vault_id(p: &Params) -> ResourceId {
    ResourceId::resource(p.get("subscription"), p.get("group"), "Microsoft.KeyVault/vaults", p.get("vault"))
}

/// The live vault that a path names, else `ResourceNotFound`.
fn live(cx: &Cx<'_>, p: &Params) -> Result<KeyStore, Refusal> {
    let id = vault_id(p);
    cx.existing(&id)?;
    keystore::existing(cx, id.name())
}

fn tags(body: &Value) -> Result<Value, Refusal> {
    let tags = &body["tags"];
    body::check_tags(tags)?;
    Ok(if tags.is_null() { json!({}) } else { tags.clone() })
}

fn location(body: &Value) -> Result<&'static str, Refusal> {
    Ok(locations::require(&body["location"], "Microsoft.KeyVault/vaults")?.name)
}

/// Creates, replaces or recovers a vault (`Vaults_CreateOrUpdate`).
pub(super) fn create_or_update(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let id = vault_id(p);
    let name = id.name();
    let body = body::resource(cx)?;
    properties::check_name(name)?;
    let recover = body["properties"]["createMode"].as_str().is_some_and(|mode| mode.eq_ignore_ascii_case("recover"));
    match store::keystore(cx, name)? {
        Some(vault) if vault.deletion.is_some() => return recover_or_refuse(cx, &id, &vault, recover),
        Some(vault) if Rule::VaultNamesAreGlobal.holds() && !vault.id.eq_ignore_ascii_case(&id.to_string()) => {
            return Err(Refusal::new(409, "VaultAlreadyExists", properties::name_in_use(name)));
        }
        Some(vault) => return replace(cx, &id, &vault, &body),
        None if recover => {
            return Err(Refusal::new(
                404,
                "VaultNotFound",
                format!(
                    "The vault '{name}' can't be recovered: there is no soft-deleted vault of this name in the \
                     subscription. Create it with createMode 'default'."
                ),
            ));
        }
        None => {}
    }
    let location = location(&body)?;
    let properties = properties::apply(Mode::Replace, None, &body["properties"], answers::api_version(cx), &cx.tenant)?;
    network::check_subnets(cx, &properties)?;
    store::insert_keystore(cx, name, &id.to_string(), p.get("subscription"), keystore::ready_at(cx, Kind::Vault)?)?;
    write(cx, &id, json!({ "location": location, "tags": tags(&body)?, "properties": properties }))
}

/// Writes a vault's resource row and answers its document.
fn write(cx: &mut Cx<'_>, id: &ResourceId, mut body: Value) -> Result<Answer, Refusal> {
    body["properties"]["vaultUri"] = Kind::Vault.uri(id.name()).into();
    body["properties"]["provisioningState"] = "Succeeded".into();
    cx.put_resource(id, body)?;
    Ok(answer(cx, &keystore::existing(cx, id.name())?))
}

/// A vault's document. Its name takes a moment to be resolvable, and clients look again and again until it is: after
/// half a minute each time, unless they are told otherwise.
fn answer(cx: &Cx<'_>, vault: &KeyStore) -> Answer {
    let answer = Answer::ok(&vault.document(cx));
    if cx.now < vault.ready { answer.header("retry-after", "1") } else { answer }
}

fn replace(cx: &mut Cx<'_>, id: &ResourceId, vault: &KeyStore, body: &Value) -> Result<Answer, Refusal> {
    let location = location(body)?;
    body::same_place(&vault.name, id.group().unwrap_or_default(), vault.location(), location)?;
    let old = &vault.body["properties"];
    let properties =
        properties::apply(Mode::Replace, Some(old), &body["properties"], answers::api_version(cx), vault.tenant())?;
    network::check_subnets(cx, &properties)?;
    write(cx, id, json!({ "location": location, "tags": tags(body)?, "properties": properties }))
}

fn recover_or_refuse(cx: &mut Cx<'_>, id: &ResourceId, vault: &KeyStore, recover: bool) -> Result<Answer, Refusal> {
    if !vault.subscription.eq_ignore_ascii_case(id.subscription().unwrap_or_default()) {
        return Err(Refusal::new(409, "VaultAlreadyExists", properties::name_in_use(&vault.name)));
    }
    if !recover && Rule::DeletedVaultsKeepTheirNames.holds() {
        return Err(Refusal::new(
            409,
            "ConflictError",
            "A vault with the same name already exists in deleted state. You need to either recover or purge existing key \
             vault. Follow this link https://go.microsoft.com/fwlink/?linkid=2149745 for more information on soft delete.",
        ));
    }
    if !vault.id.eq_ignore_ascii_case(&id.to_string()) {
        return Err(Refusal::new(
            409,
            "ConflictError",
            format!("The soft-deleted vault '{}' can only be recovered where it was: '{}'.", vault.name, vault.id),
        ));
    }
    let vault = vault.recover(cx)?;
    Ok(answer(cx, &vault))
}

/// Changes some properties of a vault (`Vaults_Update`).
pub(super) fn update(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let vault = live(cx, p)?;
    let given = body::resource(cx)?;
    let mut body = vault.body.clone();
    if !given["properties"].is_null() {
        let old = &vault.body["properties"];
        body["properties"] =
            properties::apply(Mode::Change, Some(old), &given["properties"], answers::api_version(cx), vault.tenant())?;
        if !given["properties"]["networkAcls"].is_null() {
            network::check_subnets(cx, &body["properties"])?;
        }
    }
    if !given["tags"].is_null() {
        body["tags"] = tags(&given)?;
    }
    write(cx, &vault_id(p), body)
}

/// Answers a vault (`Vaults_Get`).
pub(super) fn get(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let vault = live(cx, p)?;
    Ok(answer(cx, &vault))
}

/// Soft-deletes a vault (`Vaults_Delete`).
pub(super) fn delete(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let id = vault_id(p).to_string();
    if cx.resource(&id)?.is_none() {
        return Ok(Answer::empty(204));
    }
    let vault = live(cx, p)?;
    vault.soft_delete(cx)?;
    cx.delete_resource(&vault.id)?;
    Ok(Answer::empty(200))
}

/// Lists the vaults of a subscription or group (`Vaults_ListBySubscription`, `Vaults_ListByResourceGroup`).
pub(super) fn list(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let found = cx.resources(Filter {
        subscription: Some(p.get("subscription")),
        group: p.find("group"),
        kind: Some("Microsoft.KeyVault/vaults"),
        ..Filter::default()
    })?;
    let mut documents = Vec::new();
    for resource in found {
        documents.push(keystore::existing(cx, &resource.name)?.document(cx));
    }
    Ok(Answer::ok(&json!({ "value": documents })))
}

/// Tells whether a name is free (`Vaults_CheckNameAvailability`).
pub(super) fn check_name(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let body = body::object(cx)?;
    let name = body["name"].as_str().unwrap_or_default();
    if !body["type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("Microsoft.KeyVault/vaults")) {
        return Err(Refusal::new(400, "BadRequest", "The parameter 'type' must be 'Microsoft.KeyVault/vaults'."));
    }
    let (reason, message) = if !properties::name_is_valid(name) {
        ("AccountNameInvalid", properties::invalid_name(name))
    } else if store::keystore(cx, name)?.is_some() {
        ("AlreadyExists", properties::name_in_use(name))
    } else {
        return Ok(Answer::ok(&json!({ "nameAvailable": true })));
    };
    Ok(Answer::ok(&json!({ "nameAvailable": false, "reason": reason, "message": message })))
}
