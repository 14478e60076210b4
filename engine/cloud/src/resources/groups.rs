//! Resource groups. Deleting one is a long-running operation that deletes what is in it.

use chrono::Duration;
use serde_json::{Value, json};

use super::{NAMESPACE, deployments, listing, locations};
use crate::arm::{answers, body};
use crate::cx::Cx;
use crate::http::Answer;
use crate::lro::{self, Lro, NewLro, Status};
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::registry;
use crate::resource_id::ResourceId;
use crate::store::resources::{self, Filter, Resource};

/// Name of the long-running deletion.
pub(super) const DELETE: &str = "resource-group-delete";
/// Type of a resource group.
pub(crate) const KIND: &str = "Microsoft.Resources/resourceGroups";
/// How long a deletion takes on the cloud clock.
const TAKES: Duration = Duration::milliseconds(500);

fn id(subscription: &str, group: &str) -> Result<ResourceId, Refusal> {
    ResourceId::parse(&format!("/subscriptions/{subscription}/resourceGroups/{group}"))
        // A name with a slash in it would be somewhere below another group.
        .filter(|id| id.segments().len() == 4)
        .ok_or_else(|| invalid_name(group))
}

/// Whether a group can have a name: 1 to 90 letters, digits, `-`, `_`, `.`, `(` and `)`, no `.` at the end.
pub(crate) fn name_is_valid(group: &str) -> bool {
    (1..=90).contains(&group.chars().count())
        && !group.ends_with('.')
        && group.chars().all(|c| c.is_alphanumeric() || "-_.()".contains(c))
}

fn invalid_name(group: &str) -> Refusal {
    Refusal::new(
        400,
        "InvalidParameter",
        format!(
            "The provided resource group name '{group}' is not valid. A name has 1 to 90 characters, is made of \
             letters, digits, '-', '.', '(', ')' or '_', and does not end with '.'."
        ),
    )
}

fn find(cx: &Cx<'_>, subscription: &str, group: &str) -> Result<Option<Resource>, Refusal> {
    cx.resource(&id(subscription, group)?.to_string())
}

/// Reads a resource group, else refuses with `ResourceGroupNotFound`.
pub(crate) fn require(cx: &Cx<'_>, subscription: &str, group: &str) -> Result<Resource, Refusal> {
    find(cx, subscription, group)?.ok_or_else(|| {
        Refusal::new(404, "ResourceGroupNotFound", format!("Resource group '{group}' could not be found."))
    })
}

/// Refuses writes into a resource group that is missing or being deleted.
pub(crate) fn require_writable(cx: &Cx<'_>, subscription: &str, group: &str) -> Result<(), Refusal> {
    let resource = require(cx, subscription, group)?;
    if resource.body["properties"]["provisioningState"] == "Deleting" {
        return Err(Refusal::new(
            409,
            "ResourceGroupBeingDeleted",
            format!(
                "The resource group '{}' is in deprovisioning state and cannot perform this operation.",
                resource.name
            ),
        ));
    }
    Ok(())
}

fn required(cx: &Cx<'_>, params: &Params) -> Result<Resource, Refusal> {
    require(cx, params.get("subscription"), params.get("group"))
}

/// `ResourceGroups_Get`.
pub(super) fn get(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    Ok(Answer::ok(&required(cx, params)?.body))
}

/// `ResourceGroups_CheckExistence`.
pub(super) fn exists(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let found = find(cx, params.get("subscription"), params.get("group"))?;
    Ok(Answer::empty(if found.is_some() { 204 } else { 404 }))
}

/// `ResourceGroups_List`, with the filters on a tag that Azure has.
pub(super) fn list(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let mut groups =
        cx.resources(Filter { subscription: Some(params.get("subscription")), kind: Some(KIND), ..Filter::default() })?;
    if let Some(filter) = cx.request.query("$filter").filter(|f| !f.is_empty()) {
        listing::keep(&mut groups, filter)?;
    }
    let value: Vec<Value> = groups.into_iter().map(|g| g.body).collect();
    listing::page(cx, value)
}

/// `ResourceGroups_CreateOrUpdate`.
pub(super) fn put(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let (subscription, group) = (params.get("subscription"), params.get("group"));
    if !name_is_valid(group) {
        return Err(invalid_name(group));
    }
    let body = cx.request.json()?;
    let location = locations::require(&body["location"], KIND)?;
    body::check_tags(&body["tags"])?;
    let old = find(cx, subscription, group)?;
    if let Some(old) = &old {
        require_writable(cx, subscription, group)?;
        if old.location.as_deref() != Some(location.name) {
            return Err(Refusal::new(
                409,
                "InvalidResourceGroupLocation",
                format!(
                    "Invalid resource group location '{}'. The Resource group already exists in location '{}'.",
                    location.name,
                    old.location.as_deref().unwrap_or_default()
                ),
            ));
        }
    }
    let mut document = json!({ "location": location.name });
    if body["tags"].is_object() {
        document["tags"] = body["tags"].clone();
    }
    if body["managedBy"].is_string() {
        document["managedBy"] = body["managedBy"].clone();
    }
    document["properties"] = json!({ "provisioningState": "Succeeded" });
    let status = if old.is_some() { 200 } else { 201 };
    Ok(Answer::json(status, &write(cx, &id(subscription, group)?, document)?.body))
}

/// `ResourceGroups_Update`: tags.
pub(super) fn patch(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let (subscription, group) = (params.get("subscription"), params.get("group"));
    let mut document = required(cx, params)?.body;
    require_writable(cx, subscription, group)?;
    let body = cx.request.json()?;
    if !body["tags"].is_null() {
        body::check_tags(&body["tags"])?;
        document["tags"] = body["tags"].clone();
    }
    Ok(Answer::ok(&write(cx, &id(subscription, group)?, document)?.body))
}

/// Writes the group's row; ids of groups are answered in this order: id, name, type, the rest.
fn write(cx: &Cx<'_>, id: &ResourceId, document: Value) -> Result<Resource, Refusal> {
    let mut body = json!({ "id": null, "name": null, "type": null });
    if let (Some(body), Value::Object(document)) = (body.as_object_mut(), document) {
        body.extend(document);
    }
    resources::put(cx.tx, id, body, cx.now)
}

/// `ResourceGroups_Delete`: 202 with a `Location`; asked again while it runs, the same operation is answered.
pub(super) fn delete(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let group = required(cx, params)?;
    let lro = match lro::in_progress(cx.tx, &group.id)? {
        Some(running) if running.kind == DELETE => running,
        _ => {
            let mut body = group.body.clone();
            body["properties"]["provisioningState"] = "Deleting".into();
            write(cx, &id(&group.subscription, &group.name)?, body)?;
            cx.start(NewLro {
                provider: NAMESPACE,
                kind: DELETE,
                resource: &group.id,
                payload: Value::Null,
                takes: TAKES,
            })?
        }
    };
    let path = format!("/subscriptions/{}/operationresults/{}", group.subscription, lro.id);
    let location = answers::location(&path, answers::api_version(cx), false);
    Ok(answers::started(cx, &lro, Answer::empty(202).header("location", location)))
}

/// Polls a deletion: 202 while it runs, then 200 without a body.
pub(super) fn delete_result(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let id = params.get("id");
    match lro::get(cx.tx, id)? {
        Some(lro) if lro.status == Status::Succeeded => Ok(Answer::empty(200)),
        _ => lro::poll_location(cx, id),
    }
}

/// Finishes a deletion.
pub(super) fn complete_delete(cx: &mut Cx<'_>, lro: &Lro) -> Result<Option<Value>, Refusal> {
    if let Some(group) = cx.resource(&lro.resource)? {
        remove(cx, &group)?;
    }
    Ok(None)
}

/// Makes a group for the parts of a resource that manages them there. Refused when the group exists.
pub(crate) fn make_managed(
    cx: &Cx<'_>,
    subscription: &str,
    group: &str,
    location: &str,
    manager: &str,
) -> Result<Resource, Refusal> {
    if find(cx, subscription, group)?.is_some() {
        return Err(Refusal::new(
            409,
            "ResourceGroupAlreadyExists",
            format!("The resource group '{group}', which '{manager}' is to manage, exists already."),
        ));
    }
    let document = json!({
        "location": location,
        "managedBy": manager,
        "properties": { "provisioningState": "Succeeded" },
    });
    write(cx, &id(subscription, group)?, document)
}

/// Deletes the contents of a group through their providers' hooks, then the group.
pub(crate) fn remove(cx: &mut Cx<'_>, group: &Resource) -> Result<(), Refusal> {
    let contents = cx.resources(Filter { below: Some(&group.id), ..Filter::default() })?;
    // The longest ids lie deepest: parts go before what they are parts of, each through its own provider.
    for resource in contents.into_iter().rev() {
        let Some(resource) = cx.resource(&resource.id)? else { continue };
        let namespace = resource.kind.split('/').next().unwrap_or_default();
        if let Some(provider) = registry::provider(namespace) {
            provider.delete(cx, &resource)?;
        }
        cx.delete_resource(&resource.id)?;
    }
    deployments::forget(cx, &group.id)?;
    cx.delete_resource(&group.id)?;
    Ok(())
}

/// Gives a group back to its users when its deletion was refused.
pub(super) fn delete_failed(cx: &mut Cx<'_>, lro: &Lro) -> Result<(), Refusal> {
    if let Some(group) = cx.resource(&lro.resource)? {
        let mut body = group.body.clone();
        body["properties"]["provisioningState"] = "Succeeded".into();
        write(cx, &id(&group.subscription, &group.name)?, body)?;
    }
    Ok(())
}
