//! Pools on Azure Resource Manager (`Microsoft.KeyVault/managedHSMs`).

use serde_json::{Value, json};

use super::super::keystore::{self, KeyStore, Kind};
use super::super::properties::{Mode, name_in_use, name_is_valid};
use super::super::{NAMESPACE, deleted_keystores, network, store};
use super::{properties, rbac, state};
use crate::arm::body as arm_body;
use crate::cx::Cx;
use crate::http::Answer;
use crate::lro::{Lro, NewLro};
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::resources::locations;
use crate::rules::Rule;
use crate::store::resources::Filter;

/// Name of the long-running operation that makes or recovers a pool.
pub(in super::super) const CREATE: &str = "create-managed-hsm";
/// Name of the long-running operation that soft-deletes a pool.
pub(in super::super) const DELETE: &str = "delete-managed-hsm";

const TYPE: &str = Kind::Hsm.resource_type();

fn pool_id(p: &Params) -> ResourceId {
    ResourceId::resource(p.get("subscription"), p.get("group"), TYPE, p.get("name"))
}

/// The live pool that a path names, else `ResourceNotFound`.
fn live(cx: &Cx<'_>, p: &Params) -> Result<KeyStore, Refusal> {
    let id = pool_id(p);
    cx.existing(&id)?;
    keystore::existing(cx, &Kind::Hsm.label(id.name()))
}

fn tags(body: &Value) -> Result<Value, Refusal> {
    arm_body::check_tags(&body["tags"])?;
    Ok(if body["tags"].is_null() { json!({}) } else { body["tags"].clone() })
}

fn identity(body: &Value) -> Result<(), Refusal> {
    match body["identity"]["type"].as_str() {
        None | Some("None") => Ok(()),
        Some(kind) => Err(Refusal::new(
            400,
            "BadRequest",
            format!("The embedded managed HSM has no identity of its own: 'identity.type' can't be '{kind}'."),
        )
        .gap("identities of managed HSMs")),
    }
}

fn invalid_name(name: &str) -> String {
    format!(
        "The managed HSM name '{name}' is invalid. A name must be between 3-24 alphanumeric characters. The name must begin \
         with a letter, end with a letter or digit, and not contain consecutive hyphens."
    )
}

fn taken(name: &str) -> String {
    name_in_use(name).replace("vault", Kind::Hsm.noun()).replace("Vault", "Managed HSM")
}

/// What ARM answers for a pool now.
fn document(cx: &Cx<'_>, pool: &KeyStore) -> Result<Value, Refusal> {
    let mut document = pool.document(cx);
    let status = state::status(cx, &pool.label)?;
    let ready = document["properties"]["provisioningState"] == "Succeeded";
    let properties = &mut document["properties"];
    if ready && status.awaits_upload {
        properties["provisioningState"] = "SecurityDomainRestore".into();
    }
    properties["statusMessage"] = match ready {
        true => "The Managed HSM is provisioned and ready to use.",
        false => "The Managed HSM is being provisioned.",
    }
    .into();
    properties["securityDomainProperties"] = match status.active {
        true => json!({
            "activationStatus": "Active",
            "activationStatusMessage":
                "Your HSM has been activated and can be used for cryptographic operations.",
        }),
        false => json!({
            "activationStatus": "NotActivated",
            "activationStatusMessage":
                "Your HSM has been provisioned, but cannot be used for cryptographic operations until it is activated. To \
                 activate the HSM, download the security domain.",
        }),
    };
    Ok(document)
}

/// Creates, replaces or recovers a pool (`ManagedHsms_CreateOrUpdate`).
pub(in super::super) fn create_or_update(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let id = pool_id(p);
    let name = id.name();
    let body = arm_body::resource(cx)?;
    if !name_is_valid(name) {
        return Err(Refusal::new(400, "ManagedHsmNameNotValid", invalid_name(name)));
    }
    identity(&body)?;
    let recover = body["properties"]["createMode"].as_str().is_some_and(|mode| mode.eq_ignore_ascii_case("recover"));
    let label = Kind::Hsm.label(name);
    match store::keystore(cx, &label)? {
        Some(pool) if pool.deletion.is_some() => return recover_or_refuse(cx, &id, &pool, recover),
        Some(pool) if Rule::HsmNamesAreGlobal.holds() && !pool.id.eq_ignore_ascii_case(&id.to_string()) => {
            return Err(Refusal::new(409, "ManagedHsmAlreadyExists", taken(name)));
        }
        Some(pool) => return replace(cx, &id, &pool, &body),
        None if recover => {
            return Err(Refusal::new(
                404,
                "ManagedHsmNotFound",
                format!(
                    "There is no soft-deleted managed HSM '{name}' to recover. Create it with createMode 'default'."
                ),
            ));
        }
        None => {}
    }
    let location = locations::require(&body["location"], TYPE)?.name;
    let sku = properties::sku(None, &body["sku"])?;
    let given = properties::apply(Mode::Replace, None, &body["properties"], &cx.tenant)?;
    network::check_subnets(cx, &given)?;
    let administrators: Vec<String> = given["initialAdminObjectIds"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|id| id.as_str())
        .map(str::to_owned)
        .collect();
    store::insert_keystore(cx, &label, &id.to_string(), p.get("subscription"), keystore::ready_at(cx, Kind::Hsm)?)?;
    state::insert(cx, &label)?;
    for administrator in administrators {
        rbac::make_administrator(cx, &label, &administrator)?;
    }
    write(cx, &id, json!({ "location": location, "sku": sku, "tags": tags(&body)?, "properties": given }))?;
    let pool = keystore::existing(cx, &label)?;
    under_way(cx, &pool, CREATE)
}

/// Writes a pool's resource row.
fn write(cx: &mut Cx<'_>, id: &ResourceId, mut body: Value) -> Result<(), Refusal> {
    body["properties"]["hsmUri"] = Kind::Hsm.uri(id.name()).into();
    body["properties"]["provisioningState"] = "Succeeded".into();
    cx.put_resource(id, body)?;
    Ok(())
}

/// Starts a long-running operation on a pool: 202 with a `Location` to poll.
fn under_way(cx: &mut Cx<'_>, pool: &KeyStore, kind: &'static str) -> Result<Answer, Refusal> {
    let lro = cx.start(NewLro {
        provider: NAMESPACE,
        kind,
        resource: &pool.id,
        payload: json!({ "label": pool.label }),
        takes: Kind::Hsm.takes(),
    })?;
    Ok(deleted_keystores::started(cx, pool, &lro))
}

/// Finishes [`CREATE`] and [`DELETE`]: what there is to do was done when they began.
pub(in super::super) fn complete(cx: &Cx<'_>, lro: &Lro) -> Result<Option<Value>, Refusal> {
    let label = lro.payload["label"].as_str().unwrap_or_default();
    match store::keystore(cx, label)?.filter(|pool| pool.deletion.is_none() && lro.kind == CREATE) {
        Some(pool) => Ok(Some(document(cx, &pool)?)),
        None => Ok(None),
    }
}

fn replace(cx: &mut Cx<'_>, id: &ResourceId, pool: &KeyStore, body: &Value) -> Result<Answer, Refusal> {
    let location = locations::require(&body["location"], TYPE)?.name;
    arm_body::same_place(&pool.name, id.group().unwrap_or_default(), pool.location(), location)?;
    let sku = properties::sku(Some(&pool.body["sku"]), &body["sku"])?;
    let old = &pool.body["properties"];
    let given = properties::apply(Mode::Replace, Some(old), &body["properties"], pool.tenant())?;
    network::check_subnets(cx, &given)?;
    write(cx, id, json!({ "location": location, "sku": sku, "tags": tags(body)?, "properties": given }))?;
    let pool = keystore::existing(cx, &pool.label)?;
    Ok(Answer::ok(&document(cx, &pool)?))
}

fn recover_or_refuse(cx: &mut Cx<'_>, id: &ResourceId, pool: &KeyStore, recover: bool) -> Result<Answer, Refusal> {
    if !pool.subscription.eq_ignore_ascii_case(id.subscription().unwrap_or_default()) {
        return Err(Refusal::new(409, "ManagedHsmAlreadyExists", taken(&pool.name)));
    }
    if !recover && Rule::DeletedHsmsKeepTheirNames.holds() {
        return Err(Refusal::new(
            409,
            "ConflictError",
            "A managed HSM with the same name already exists in deleted state. You need to either recover or purge the \
             existing managed HSM.",
        ));
    }
    if !pool.id.eq_ignore_ascii_case(&id.to_string()) {
        return Err(Refusal::new(
            409,
            "ConflictError",
            format!("The soft-deleted managed HSM '{}' can only be recovered where it was: '{}'.", pool.name, pool.id),
        ));
    }
    let pool = pool.recover(cx)?;
    under_way(cx, &pool, CREATE)
}

/// Changes some properties of a pool (`ManagedHsms_Update`).
pub(in super::super) fn update(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let pool = live(cx, p)?;
    let given = arm_body::resource(cx)?;
    identity(&given)?;
    let mut body = pool.body.clone();
    body["sku"] = properties::sku(Some(&pool.body["sku"]), &given["sku"])?;
    if !given["properties"].is_null() {
        let old = &pool.body["properties"];
        body["properties"] = properties::apply(Mode::Change, Some(old), &given["properties"], pool.tenant())?;
        network::check_subnets(cx, &body["properties"])?;
    }
    if !given["tags"].is_null() {
        body["tags"] = tags(&given)?;
    }
    write(cx, &pool_id(p), body)?;
    let pool = keystore::existing(cx, &pool.label)?;
    Ok(Answer::ok(&document(cx, &pool)?))
}

/// Answers a pool (`ManagedHsms_Get`).
pub(in super::super) fn get(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let pool = live(cx, p)?;
    Ok(Answer::ok(&document(cx, &pool)?))
}

/// Soft-deletes a pool (`ManagedHsms_Delete`). It costs what it costs until it is purged.
pub(in super::super) fn delete(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    if cx.resource(&pool_id(p).to_string())?.is_none() {
        return Ok(Answer::empty(204));
    }
    let pool = live(cx, p)?;
    pool.soft_delete(cx)?;
    cx.delete_resource(&pool.id)?;
    under_way(cx, &pool, DELETE)
}

/// Lists the pools of a subscription or group (`ManagedHsms_ListBySubscription`, `ManagedHsms_ListByResourceGroup`).
pub(in super::super) fn list(cx: &mut Cx<'_>, p: &Params) -> Result<Answer, Refusal> {
    let found = cx.resources(Filter {
        subscription: Some(p.get("subscription")),
        group: p.find("group"),
        kind: Some(TYPE),
        ..Filter::default()
    })?;
    let mut documents = Vec::new();
    for resource in found {
        let pool = keystore::existing(cx, &Kind::Hsm.label(&resource.name))?;
        documents.push(document(cx, &pool)?);
    }
    Ok(Answer::ok(&json!({ "value": documents })))
}

/// Tells whether a name is free (`ManagedHsms_CheckMhsmNameAvailability`).
pub(in super::super) fn check_name(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let body = arm_body::object(cx)?;
    let name =
        body["name"].as_str().ok_or_else(|| Refusal::new(400, "BadRequest", "The parameter 'name' is missing."))?;
    let (reason, message) = if !name_is_valid(name) {
        ("AccountNameInvalid", invalid_name(name))
    } else if store::keystore(cx, &Kind::Hsm.label(name))?.is_some() {
        ("AlreadyExists", taken(name))
    } else {
        return Ok(Answer::ok(&json!({ "nameAvailable": true })));
    };
    Ok(Answer::ok(&json!({ "nameAvailable": false, "reason": reason, "message": message })))
}
