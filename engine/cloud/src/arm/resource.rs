//! The operations that all resource types share: PUT, PATCH, GET, DELETE and lists, with the long-running operations
//! behind them.

use chrono::Duration;
use http::StatusCode;
use serde_json::{Value, json};

use super::kind::{Change, Draft, Kind, Style};
use super::{answers, body, identity, target, version};
use crate::cx::Cx;
use crate::http::Answer;
use crate::lro::{self, Lro, NewLro};
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::registry;
use crate::resource_id::ResourceId;
use crate::resources::locations;
use crate::rules::Rule;
use crate::store::resources::{self, Filter, Resource};

/// [`Lro::kind`] of making or changing a resource.
pub(crate) const PUT: &str = "put";
/// [`Lro::kind`] of deleting one.
pub(crate) const DELETE: &str = "delete";

/// The kind of a type with namespace.
fn kind_of(name: &str) -> Result<&'static dyn Kind, Refusal> {
    registry::kind(name).ok_or_else(|| Refusal::internal(format!("no provider has the type {name}")))
}

/// The kind and id that a request's path names.
fn named(cx: &Cx<'_>) -> Result<(&'static dyn Kind, ResourceId), Refusal> {
    let id = target(cx.request);
    let kind = kind_of(&id.kind())?;
    Ok((kind, id.spelled(kind.facts().name)))
}

/// The resource that a request's path names, for an action on it.
pub(crate) fn subject(cx: &Cx<'_>) -> Result<(&'static dyn Kind, Resource), Refusal> {
    let (kind, id) = named(cx)?;
    Ok((kind, cx.existing(&id)?))
}

/// PUT.
pub(crate) fn put(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let (kind, id) = named(cx)?;
    let given = body::resource(cx)?;
    let old = cx.resource(&id.to_string())?;
    precondition(cx, kind, old.as_ref())?;
    let mut document = json!({});
    if kind.facts().tracked {
        let location = locations::require(&given["location"], kind.facts().name)?.name;
        if let Some(old) = &old {
            body::same_place(&old.name, &old.group, old.location.as_deref().unwrap_or_default(), location)?;
        }
        document["location"] = location.into();
        document["tags"] = if given["tags"].is_null() { json!({}) } else { given["tags"].clone() };
    }
    if let Some(old) = old.as_ref().filter(|old| !old.body["identity"].is_null()) {
        document["identity"] = old.body["identity"].clone();
    }
    document["properties"] = json!({});
    let change = if old.is_some() { Change::Replace } else { Change::Create };
    if change == Change::Create {
        kind.check_name(id.name())?;
        require_parent(cx, &id)?;
    }
    write(cx, kind, Draft { id, change, old: old.as_ref(), given: &given, body: document })
}

/// PATCH.
pub(crate) fn patch(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let (kind, old) = subject(cx)?;
    let given = body::resource(cx)?;
    precondition(cx, kind, Some(&old))?;
    let mut document = old.body.clone();
    if kind.facts().tracked && !given["tags"].is_null() {
        document["tags"] = given["tags"].clone();
    }
    let id = id_of(&old)?;
    write(cx, kind, Draft { id, change: Change::Update, old: Some(&old), given: &given, body: document })
}

fn write(cx: &mut Cx<'_>, kind: &'static dyn Kind, mut draft: Draft<'_>) -> Result<Answer, Refusal> {
    body::check_tags(&draft.given["tags"])?;
    if !draft.given["identity"].is_null() {
        if !kind.facts().identities {
            return Err(Refusal::new(
                400,
                "ResourceIdentityNotSupported",
                format!("Managed identities are not supported for resources of type '{}'.", kind.facts().name),
            ));
        }
        let before = draft.body["identity"].clone();
        draft.body["identity"] = identity::apply(cx, &draft.id, &before, &draft.given["identity"])?;
    }
    kind.apply(cx, &mut draft)?;
    let Draft { id, change, mut body, .. } = draft;
    let state = match (kind.facts().style, change) {
        (Style::AtOnce, _) => "Succeeded",
        _ if !Rule::ResourcesPassThroughStates.holds() => "Succeeded",
        (_, Change::Create) => "Creating",
        (_, Change::Replace | Change::Update) => "Updating",
    };
    body["properties"]["provisioningState"] = state.into();
    if kind.facts().etag {
        body["etag"] = format!("W/\"{}\"", uuid::Uuid::new_v4()).into();
    }
    let mut resource = cx.put_resource(&id, body)?;
    kind.stored(cx, &resource)?;
    let done = if change == Change::Create { 201 } else { 200 };
    if kind.facts().style == Style::AtOnce {
        kind.finish(cx, PUT, &Value::Null, &mut resource)?;
        resource = resources::put(cx.tx, &id, resource.body, cx.now)?;
        return Ok(Answer::json(done, &kind.shown(cx, &resource)?));
    }
    let lro = start(cx, kind, &resource, PUT, Value::Null)?;
    let shown = kind.shown(cx, &resource)?;
    Ok(match kind.facts().style {
        Style::AtOnce | Style::Created => accepted(cx, kind, &resource, &lro, Answer::json(done, &shown)),
        Style::Accepted => accepted(cx, kind, &resource, &lro, Answer::json(202, &shown)),
        Style::Location => accepted(cx, kind, &resource, &lro, Answer::empty(202)),
    })
}

/// GET of one resource.
pub(crate) fn get(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let (kind, resource) = subject(cx)?;
    let answer = Answer::ok(&kind.shown(cx, &resource)?);
    Ok(match resource.body["etag"].as_str() {
        Some(etag) if kind.facts().etag => answer.header("etag", etag),
        _ => answer,
    })
}

/// GET of the resources of a subscription, a group or a parent.
pub(crate) fn list(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let kind = collection(cx)?;
    let parent = target(cx.request);
    // Parts are listed below what they are parts of; some have a region of their own all the same.
    let part = kind.facts().name.split('/').count() > 2;
    if part {
        cx.existing(&parent)?;
    }
    let below = part.then(|| parent.to_string());
    let found = cx.resources(Filter {
        subscription: Some(params.get("subscription")),
        group: params.find("group"),
        kind: Some(kind.facts().name),
        below: below.as_deref(),
        ..Filter::default()
    })?;
    let value: Vec<Value> = found.iter().map(|resource| kind.shown(cx, resource)).collect::<Result<_, _>>()?;
    Ok(Answer::ok(&json!({ "value": value })))
}

/// The kind whose collection a path names.
fn collection(cx: &Cx<'_>) -> Result<&'static dyn Kind, Refusal> {
    let (namespace, name) = version::named(cx).unwrap_or_default();
    kind_of(&format!("{namespace}/{name}"))
}

/// DELETE.
pub(crate) fn delete(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let (kind, id) = named(cx)?;
    let Some(mut resource) = cx.resource(&id.to_string())? else { return Ok(Answer::empty(204)) };
    precondition(cx, kind, Some(&resource))?;
    kind.may_delete(cx, &resource)?;
    if kind.facts().style == Style::AtOnce {
        remove(cx, &resource)?;
        return Ok(Answer::empty(200));
    }
    let lro = match lro::in_progress(cx.tx, &resource.id)? {
        Some(running) if running.kind == DELETE => running,
        _ => {
            resource.body["properties"]["provisioningState"] = "Deleting".into();
            resource = cx.put_resource(&id, resource.body)?;
            start(cx, kind, &resource, DELETE, Value::Null)?
        }
    };
    Ok(accepted(cx, kind, &resource, &lro, Answer::empty(202)))
}

/// Starts an action that takes time, such as `start` of a virtual machine; [`Kind::finish`] ends it.
pub(crate) fn act(
    cx: &mut Cx<'_>,
    kind: &'static dyn Kind,
    resource: &Resource,
    verb: &'static str,
    payload: Value,
) -> Result<Answer, Refusal> {
    act_within(cx, kind, resource, verb, payload, kind.facts().takes)
}

/// Starts an action that ends itself, in `limit` on the cloud clock at the latest.
pub(crate) fn act_within(
    cx: &mut Cx<'_>,
    kind: &'static dyn Kind,
    resource: &Resource,
    verb: &'static str,
    payload: Value,
    limit: Duration,
) -> Result<Answer, Refusal> {
    let new = NewLro { provider: namespace(kind), kind: verb, resource: &resource.id, payload, takes: limit };
    let lro = cx.start(new)?;
    Ok(accepted(cx, kind, resource, &lro, Answer::empty(202)))
}

fn start(
    cx: &mut Cx<'_>,
    kind: &'static dyn Kind,
    resource: &Resource,
    verb: &'static str,
    payload: Value,
) -> Result<Lro, Refusal> {
    let provider = namespace(kind);
    cx.start(NewLro { provider, kind: verb, resource: &resource.id, payload, takes: kind.facts().takes })
}

fn namespace(kind: &'static dyn Kind) -> &'static str {
    kind.facts().name.split('/').next().unwrap_or_default()
}

/// Adds the polling URLs to an answer that started an operation.
fn accepted(cx: &Cx<'_>, kind: &'static dyn Kind, resource: &Resource, lro: &Lro, answer: Answer) -> Answer {
    let path = format!(
        "/subscriptions/{}/providers/{}/locations/{}/{}/{}",
        resource.subscription,
        namespace(kind),
        place(cx, resource),
        kind.facts().polls,
        lro.id
    );
    let version = answers::api_version(cx);
    let mut answer = answers::started(cx, lro, answer);
    if kind.facts().style != Style::Location {
        answer = answers::asynchronous(answer, &path, version);
    }
    if kind.facts().style != Style::Created || answer.status == StatusCode::ACCEPTED {
        answer.set("location", answers::location(&path, version, true));
    }
    answer
}

/// Region of a resource, or of the one that it is a part of.
fn place(cx: &Cx<'_>, resource: &Resource) -> String {
    let mut here = Some(resource.clone());
    while let Some(resource) = here {
        if let Some(location) = resource.location {
            return location;
        }
        let parent = ResourceId::parse(&resource.id).and_then(|id| id.parent());
        here = parent.and_then(|id| cx.resource(&id.to_string()).ok().flatten());
    }
    "global".to_owned()
}

fn require_parent(cx: &Cx<'_>, id: &ResourceId) -> Result<(), Refusal> {
    let Some(parent) = id.parent() else { return Ok(()) };
    if cx.resource(&parent.to_string())?.is_some() {
        return Ok(());
    }
    Err(Refusal::new(
        404,
        "ParentResourceNotFound",
        format!(
            "Failed to perform 'write' on resource(s) of type '{}', because the parent resource '{parent}' could not \
             be found.",
            id.kind()
        ),
    ))
}

/// Refuses with 412 what `If-Match` or `If-None-Match` forbid (RFC 9110 §13.1), for types that have entity tags.
fn precondition(cx: &Cx<'_>, kind: &'static dyn Kind, old: Option<&Resource>) -> Result<(), Refusal> {
    if !kind.facts().etag {
        return Ok(());
    }
    let current = old.and_then(|old| old.body["etag"].as_str());
    let is = |given: &str| given.trim() == "*" && current.is_some() || current == Some(given.trim());
    let holds = cx.request.header("if-match").is_none_or(is) && !cx.request.header("if-none-match").is_some_and(is);
    if holds {
        return Ok(());
    }
    Err(Refusal::new(
        412,
        "PreconditionFailed",
        format!("Precondition failed. Etag provided in the request does not match the resource '{}'.", cx.request.path),
    ))
}

/// Id of a stored resource.
pub(crate) fn id_of(resource: &Resource) -> Result<ResourceId, Refusal> {
    ResourceId::parse(&resource.id).ok_or_else(|| Refusal::internal(format!("{} is no resource id", resource.id)))
}

/// Removes a resource with all its parts: what their types keep of them, their identities, their rows.
pub(crate) fn remove(cx: &mut Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
    let parts = cx.resources(Filter { below: Some(&resource.id), ..Filter::default() })?;
    // The longest ids lie deepest: parts go before what they are parts of.
    for part in parts.iter().rev().chain([resource]) {
        destroy(cx, part)?;
    }
    cx.delete_resource(&resource.id)?;
    Ok(())
}

/// Removes what a resource has besides its row, when its type is one of [`crate::service::Provider::kinds`].
pub(crate) fn destroy(cx: &mut Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
    if let Some(kind) = registry::kind(&resource.kind) {
        kind.destroy(cx, resource)?;
        identity::remove(cx, &resource.id)?;
    }
    Ok(())
}

/// Finishes a long-running operation of this module.
pub(crate) fn complete(cx: &mut Cx<'_>, lro: &Lro) -> Result<Option<Value>, Refusal> {
    // It may be gone by now, with its resource group.
    let Some(mut resource) = cx.resource(&lro.resource)? else { return Ok(None) };
    let kind = kind_of(&resource.kind)?;
    let result = kind.finish(cx, &lro.kind, &lro.payload, &mut resource)?;
    if lro.kind == DELETE {
        remove(cx, &resource)?;
        return Ok(result);
    }
    if lro.kind == PUT {
        resource.body["properties"]["provisioningState"] = "Succeeded".into();
    }
    let resource = resources::put(cx.tx, &id_of(&resource)?, resource.body, cx.now)?;
    match result {
        None if lro.kind == PUT => Ok(Some(kind.shown(cx, &resource)?)),
        result => Ok(result),
    }
}

/// What the stored result of an operation of this module is answered as.
pub(crate) fn result(cx: &Cx<'_>, lro: &Lro, stored: Value) -> Result<Value, Refusal> {
    let kind = ResourceId::parse(&lro.resource).and_then(|id| registry::kind(&id.kind()));
    match kind {
        Some(kind) => kind.result(cx, &lro.kind, &lro.resource, stored),
        None => Ok(stored),
    }
}

/// Shows on the resource that an operation of this module failed.
pub(crate) fn failed(cx: &mut Cx<'_>, lro: &Lro) -> Result<(), Refusal> {
    let Some(mut resource) = cx.resource(&lro.resource)? else { return Ok(()) };
    resource.body["properties"]["provisioningState"] = "Failed".into();
    resources::put(cx.tx, &id_of(&resource)?, resource.body, cx.now)?;
    Ok(())
}
