//! Creating and changing an account: PUT and PATCH.

use chrono::Duration;
use serde_json::{Value, json};

use super::account::{self, Account};
use super::cmk::{self, Choice};
use super::settings::{self, Kind, Sku};
use super::{ACCOUNTS, arm, document, name, regional};
use crate::arm::resource::id_of;
use crate::arm::{body, identity};
use crate::cx::Cx;
use crate::http::Answer;
use crate::lro::{self, Lro, NewLro};
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::resources::locations;
use crate::rules::Rule;
use crate::store::resources::{self, Resource};

/// How long Azure takes to make an account, shortened: enough for a client to have to poll.
const CREATION: Duration = Duration::milliseconds(400);

/// PUT: makes an account, or changes the one that is there.
pub(super) fn put(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let id = arm::id(params);
    let body = body::resource(cx)?;
    match cx.resource(&id.to_string())? {
        Some(resource) => {
            check_same_place(&resource, &body)?;
            update(cx, resource, &body)
        }
        None => create(cx, &id, &body),
    }
}

/// PATCH: changes what the body names.
pub(super) fn patch(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let resource = cx.existing(&arm::id(params))?;
    let body = body::resource(cx)?;
    update(cx, resource, &body)
}

/// Finishes a creation.
pub(super) fn complete(cx: &mut Cx<'_>, lro: &Lro) -> Result<Option<Value>, Refusal> {
    // The account may be gone by now, with its resource group.
    let Some(mut resource) = cx.resource(&lro.resource)? else { return Ok(None) };
    resource.body["properties"]["provisioningState"] = "Succeeded".into();
    let id = id_of(&resource)?;
    let resource = resources::put(cx.tx, &id, resource.body, cx.now)?;
    Ok(Some(document::shown(&resource)))
}

fn create(cx: &mut Cx<'_>, id: &ResourceId, body: &Value) -> Result<Answer, Refusal> {
    let name = id.name().to_owned();
    if !name::is_account(&name) {
        return Err(Refusal::new(400, "AccountNameInvalid", name::account_rule(&name)));
    }
    let subscription = id.subscription().unwrap_or_default().to_owned();
    if let Some(taken) = account::by_name(cx.tx, &name)?.filter(|_| Rule::StorageNamesAreGlobal.holds()) {
        let here = ResourceId::parse(&taken.resource)
            .is_some_and(|taken| taken.subscription().is_some_and(|theirs| theirs.eq_ignore_ascii_case(&subscription)));
        return Err(if here {
            Refusal::new(
                409,
                "StorageAccountInAnotherResourceGroup",
                format!("The account {name} is already in another resource group in this subscription."),
            )
        } else {
            Refusal::new(
                409,
                "StorageAccountAlreadyTaken",
                format!("The storage account named {name} is already taken."),
            )
        });
    }
    let location = locations::require(&body["location"], ACCOUNTS)?.name;
    let sku = Sku::parse(&body["sku"])?;
    let kind = Kind::parse(&body["kind"])?;
    if !sku.is_for(kind) {
        return Err(Refusal::new(
            400,
            "InvalidAccountType",
            format!("The AccountType {} is not supported for accounts of kind {}.", sku.name, kind.as_str()),
        ));
    }
    regional::check_sku(cx, sku, location)?;
    regional::check_quota(cx, &subscription, location)?;

    let mut document = document::fresh(cx, &name, location, sku, kind);
    if !body["tags"].is_null() {
        document["tags"] = settings::tags(&body["tags"])?;
    }
    apply_properties(&mut document, &body["properties"])?;
    let mut resource = cx.put_resource(id, document)?;
    let account = account::create(cx, &name, &resource.id)?;
    apply_identity(cx, &mut resource, &body["identity"])?;
    apply_encryption(cx, &mut resource, &account, &body["properties"]["encryption"], When::Creation)?;
    let resource = cx.put_resource(id, resource.body)?;
    let lro = cx.start(NewLro {
        provider: "Microsoft.Storage",
        kind: "create",
        resource: &resource.id,
        payload: Value::Null,
        takes: CREATION,
    })?;
    Ok(arm::accepted(cx, &lro, &subscription, location))
}

/// Refuses a PUT that would move an account or make it another kind of thing.
fn check_same_place(resource: &Resource, body: &Value) -> Result<(), Refusal> {
    let given = locations::require(&body["location"], ACCOUNTS)?.name;
    body::same_place(&resource.name, &resource.group, resource.location.as_deref().unwrap_or_default(), given)?;
    // A PUT without them would be refused for a new account as well.
    Sku::parse(&body["sku"])?;
    Kind::parse(&body["kind"])?;
    Ok(())
}

fn update(cx: &mut Cx<'_>, mut resource: Resource, body: &Value) -> Result<Answer, Refusal> {
    if lro::in_progress(cx.tx, &resource.id)?.is_some() {
        return Err(Refusal::new(
            409,
            "StorageAccountOperationInProgress",
            "An operation is currently performing on this storage account that requires exclusive access.",
        ));
    }
    let account = account::by_resource(cx.tx, &resource.id)?
        .ok_or_else(|| Refusal::internal(format!("the account {} has no row", resource.id)))?;
    if !body["kind"].is_null() && Kind::parse(&body["kind"])?.as_str() != resource.body["kind"] {
        return Err(Refusal::new(
            400,
            "AccountPropertyCannotBeUpdated",
            "The property 'kind' was specified in the input, but it cannot be updated as it is read-only.",
        ));
    }
    if !body["sku"].is_null() {
        let sku = Sku::parse(&body["sku"])?;
        Sku::parse(&resource.body["sku"])?.check_conversion(sku)?;
        resource.body["sku"] = json!({ "name": sku.name, "tier": sku.tier });
    }
    if !body["tags"].is_null() {
        resource.body["tags"] = settings::tags(&body["tags"])?;
    }
    apply_properties(&mut resource.body, &body["properties"])?;
    apply_identity(cx, &mut resource, &body["identity"])?;
    let encryption = &body["properties"]["encryption"];
    apply_encryption(cx, &mut resource, &account, encryption, When::Later)?;
    let id = id_of(&resource)?;
    let resource = cx.put_resource(&id, resource.body)?;
    Ok(Answer::ok(&document::shown(&resource)))
}

fn apply_properties(document: &mut Value, given: &Value) -> Result<(), Refusal> {
    match document["properties"].as_object_mut() {
        Some(properties) => settings::apply(properties, given),
        None => Err(Refusal::internal("an account's document has no properties")),
    }
}

/// Gives the account the identities of the body.
fn apply_identity(cx: &mut Cx<'_>, resource: &mut Resource, given: &Value) -> Result<(), Refusal> {
    if given.is_null() {
        return Ok(());
    }
    let before = resource.body["identity"].take();
    let mut identity = identity::apply(cx, &id_of(resource)?, &before, given)?;
    if identity["type"] == "SystemAssigned, UserAssigned" {
        // Storage writes the two words without the space that other providers write.
        identity["type"] = "SystemAssigned,UserAssigned".into();
    }
    resource.body["identity"] = identity;
    Ok(())
}

/// Whether the account exists already: its system-assigned identity does only then.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Creation,
    Later,
}

/// Moves the account to the key that the body names.
fn apply_encryption(
    cx: &mut Cx<'_>,
    resource: &mut Resource,
    account: &Account,
    given: &Value,
    when: When,
) -> Result<(), Refusal> {
    if given.is_null() {
        return Ok(());
    }
    if given["requireInfrastructureEncryption"].as_bool() == Some(true) {
        return Err(cmk::invalid_value("encryption.requireInfrastructureEncryption").gap("infrastructure encryption"));
    }
    let Some(source) = given["keySource"].as_str() else {
        return Err(Refusal::new(
            400,
            "MissingEncryptionKeySource",
            "The Encryption KeySource is missing from the request.",
        ));
    };
    let mut encryption = resource.body["properties"]["encryption"].clone();
    let now = crate::time::rfc3339(cx.now);
    for (service, _) in given["services"].as_object().into_iter().flatten() {
        if encryption["services"][service].is_null() {
            encryption["services"][service] = document::service(&now);
        }
    }
    if source.eq_ignore_ascii_case("Microsoft.Storage") {
        cmk::release(cx, account)?;
        encryption["keySource"] = "Microsoft.Storage".into();
        if let Some(encryption) = encryption.as_object_mut() {
            encryption.shift_remove("keyvaultproperties");
            encryption.shift_remove("identity");
        }
    } else if source.eq_ignore_ascii_case("Microsoft.Keyvault") {
        let identity = if given["identity"].is_null() { &encryption["identity"] } else { &given["identity"] }.clone();
        let principal = encryption_principal(resource, &identity, when)?;
        let before = encryption["keyvaultproperties"].clone();
        let given = &given["keyvaultproperties"];
        let text = |name: &str| given[name].as_str().or(before[name].as_str()).filter(|text| !text.is_empty());
        let (Some(vault_uri), Some(name)) = (text("keyvaulturi"), text("keyname")) else {
            return Err(Refusal::new(
                400,
                "MissingKeyvaultProperties",
                "The encryption keyvault properties are missing from the request.",
            ));
        };
        let same_key = before["keyname"] == name && before["keyvaulturi"] == vault_uri;
        let kept = same_key.then(|| before["keyversion"].as_str()).flatten();
        let version = given["keyversion"].as_str().or(kept);
        let choice = Choice { vault_uri, name, version, principal: &principal };
        encryption["keyvaultproperties"] = cmk::adopt(cx, account, &choice)?;
        encryption["keySource"] = "Microsoft.Keyvault".into();
        if identity["userAssignedIdentity"].is_string() {
            encryption["identity"] = identity;
        }
    } else {
        return Err(Refusal::new(
            400,
            "UnknownEncryptionKeySource",
            format!("Encryption KeySource {source} given is unknown."),
        ));
    }
    resource.body["properties"]["encryption"] = encryption;
    Ok(())
}

/// The identity with which the account will ask the vault.
fn encryption_principal(resource: &Resource, wanted: &Value, when: When) -> Result<String, Refusal> {
    let mine = &resource.body["identity"];
    let chosen = match wanted["userAssignedIdentity"].as_str().filter(|id| !id.is_empty()) {
        Some(wanted) => identity::user(mine, wanted),
        // Nobody could have been given a role on the key for an identity that does not exist yet.
        None if when == When::Creation => None,
        None => identity::system(mine),
    };
    chosen.map(str::to_owned).ok_or_else(|| {
        Refusal::new(
            400,
            "MissingMsiHeaders",
            "Missing pre-requisites to enable EncryptionAtRest/Customer Managed Key for this storage account. For more \
             information, see - https://aka.ms/storagecmkconfiguration",
        )
    })
}
