//! Tags as a resource of their own: `{scope}/providers/Microsoft.Resources/tags/default`, of a subscription, a resource
//! group or a resource ("Tags" in Azure's REST reference).

use rusqlite::{OptionalExtension, params};
use serde_json::{Map, Value, json};

use super::groups;
use crate::arm::body;
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::store::resources::{self, Resource};

/// Table of the subscriptions' own tags.
pub(crate) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS subscription_tags (
    subscription TEXT PRIMARY KEY COLLATE NOCASE,
    tags         TEXT NOT NULL
) STRICT;
";

/// What carries the tags.
enum Holder {
    Subscription(String),
    /// A resource group or a resource.
    Resource(Box<Resource>),
}

/// Tags of a subscription.
pub(super) fn of_subscription(cx: &Cx<'_>, subscription: &str) -> Result<Map<String, Value>, Refusal> {
    let text: Option<String> = cx
        .tx
        .prepare_cached("SELECT tags FROM subscription_tags WHERE subscription = ?1")?
        .query_row([subscription], |row| row.get(0))
        .optional()?;
    Ok(match text {
        Some(text) => serde_json::from_str(&text)?,
        None => Map::new(),
    })
}

fn holder(cx: &Cx<'_>, params: &Params) -> Result<Holder, Refusal> {
    let scope = params.get("scope");
    let id = ResourceId::parse(scope).filter(|id| id.subscription().is_some()).ok_or_else(|| {
        Refusal::new(400, "InvalidTagsScope", format!("Tags can't be applied to the scope '{scope}'."))
    })?;
    let Some(group) = id.group() else {
        if id.namespace().is_some() {
            return Err(untaggable(&id.kind()));
        }
        return Ok(Holder::Subscription(id.subscription().unwrap_or_default().to_owned()));
    };
    let resource = if id.namespace().is_some() {
        cx.existing(&id)?
    } else {
        groups::require(cx, id.subscription().unwrap_or_default(), group)?
    };
    if resource.location.is_none() {
        return Err(untaggable(&resource.kind));
    }
    Ok(Holder::Resource(Box::new(resource)))
}

fn untaggable(kind: &str) -> Refusal {
    Refusal::new(400, "ResourceTypeDoesNotSupportTags", format!("The resource type '{kind}' does not support tags."))
}

fn read(cx: &Cx<'_>, holder: &Holder) -> Result<Map<String, Value>, Refusal> {
    match holder {
        Holder::Subscription(id) => of_subscription(cx, id),
        Holder::Resource(resource) => Ok(resource.body["tags"].as_object().cloned().unwrap_or_default()),
    }
}

fn write(cx: &mut Cx<'_>, holder: &Holder, tags: Map<String, Value>) -> Result<(), Refusal> {
    body::check_tags(&Value::Object(tags.clone()))?;
    match holder {
        Holder::Subscription(id) => {
            cx.tx
                .prepare_cached("INSERT OR REPLACE INTO subscription_tags (subscription, tags) VALUES (?1, ?2)")?
                .execute(params![id, Value::Object(tags).to_string()])?;
        }
        Holder::Resource(resource) => {
            groups::require_writable(cx, &resource.subscription, group_of(resource))?;
            let id = ResourceId::parse(&resource.id)
                .ok_or_else(|| Refusal::internal(format!("{} is stored under no valid id", resource.id)))?;
            let mut body = resource.body.clone();
            body["tags"] = Value::Object(tags);
            if id.namespace().is_some() {
                cx.put_resource(&id, body)?;
            } else {
                resources::put(cx.tx, &id, body, cx.now)?;
            }
        }
    }
    Ok(())
}

fn group_of(resource: &Resource) -> &str {
    if resource.kind.eq_ignore_ascii_case(groups::KIND) { &resource.name } else { &resource.group }
}

fn answer(params: &Params, tags: &Map<String, Value>) -> Answer {
    Answer::ok(&json!({
        "properties": { "tags": tags },
        "id": format!("{}/providers/Microsoft.Resources/tags/default", params.get("scope")),
        "name": "default",
        "type": "Microsoft.Resources/tags",
    }))
}

/// The `properties.tags` of a request.
fn given(body: &Value) -> Result<Map<String, Value>, Refusal> {
    body::check_tags(&body["properties"]["tags"])?;
    Ok(body["properties"]["tags"].as_object().cloned().unwrap_or_default())
}

/// `Tags_GetAtScope`.
pub(super) fn get(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let holder = holder(cx, params)?;
    Ok(answer(params, &read(cx, &holder)?))
}

/// `Tags_CreateOrUpdateAtScope`: the given tags and no others.
pub(super) fn put(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let tags = given(&cx.request.json()?)?;
    let holder = holder(cx, params)?;
    write(cx, &holder, tags.clone())?;
    Ok(answer(params, &tags))
}

/// Position of a tag by its name, which compares without case.
fn spelled(tags: &Map<String, Value>, name: &str) -> Option<String> {
    tags.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned()
}

/// `Tags_UpdateAtScope`: `Merge` adds and overwrites, `Replace` keeps no others, `Delete` removes those with the given
/// name and value.
pub(super) fn patch(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let body = cx.request.json()?;
    let operation = body["operation"].as_str().unwrap_or_default().to_ascii_lowercase();
    let given = given(&body)?;
    let holder = holder(cx, params)?;
    let mut tags = read(cx, &holder)?;
    match operation.as_str() {
        "replace" => tags = given,
        "merge" => {
            for (name, value) in given {
                let name = spelled(&tags, &name).unwrap_or(name);
                tags.insert(name, value);
            }
        }
        "delete" => {
            for (name, value) in given {
                if let Some(name) = spelled(&tags, &name)
                    && tags.get(&name) == Some(&value)
                {
                    tags.remove(&name);
                }
            }
        }
        _ => {
            return Err(Refusal::new(
                400,
                "InvalidTagsPatchOperation",
                "The operation of a change to tags must be 'Merge', 'Replace' or 'Delete'.",
            ));
        }
    }
    write(cx, &holder, tags.clone())?;
    Ok(answer(params, &tags))
}

/// `Tags_DeleteAtScope`.
pub(super) fn delete(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let holder = holder(cx, params)?;
    write(cx, &holder, Map::new())?;
    Ok(Answer::empty(200))
}
