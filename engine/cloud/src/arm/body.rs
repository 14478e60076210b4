//! What the bodies of all resource types have in common.

use serde_json::Value;

use crate::cx::Cx;
use crate::refusal::Refusal;

/// The request's body, which must be a JSON object.
pub(crate) fn object(cx: &Cx<'_>) -> Result<Value, Refusal> {
    let body = cx.request.json()?;
    if body.is_object() {
        return Ok(body);
    }
    Err(Refusal::new(
        400,
        "InvalidRequestContent",
        "The request content was invalid and could not be deserialized: a JSON object is expected.",
    ))
}

/// What Azure Resource Manager itself reads of a resource's body; everything that is a type's own stands in
/// `properties`.
const MEMBERS: &[&str] = &[
    "id",
    "name",
    "type",
    "apiVersion",
    "location",
    "tags",
    "kind",
    "managedBy",
    "managedByExtended",
    "plan",
    "sku",
    "identity",
    "zones",
    "placement",
    "extendedLocation",
    "etag",
    "systemData",
    "properties",
];

/// The body of a PUT or PATCH of a resource: an object without members that no resource has.
pub(crate) fn resource(cx: &Cx<'_>) -> Result<Value, Refusal> {
    let body = object(cx)?;
    let members = body.as_object().into_iter().flatten().map(|(name, _)| name);
    match members.into_iter().find(|name| !MEMBERS.iter().any(|known| known.eq_ignore_ascii_case(name))) {
        None => Ok(body),
        Some(unknown) => Err(Refusal::new(
            400,
            "InvalidRequestContent",
            format!(
                "The request content was invalid and could not be deserialized: 'Could not find member '{unknown}' on \
                 object of type 'ResourceDefinition'. Path '{unknown}'.'."
            ),
        )),
    }
}

/// Refuses a body that names another region than the one in which the resource is.
pub(crate) fn same_place(name: &str, group: &str, here: &str, given: &str) -> Result<(), Refusal> {
    if here == given {
        return Ok(());
    }
    Err(Refusal::new(
        409,
        "InvalidResourceLocation",
        format!(
            "The resource '{name}' already exists in location '{here}' in resource group '{group}'. A resource with \
             the same name cannot be created in location '{given}'. Please select a new resource name."
        ),
    ))
}

/// Refuses tags that break the rules: at most 50, names to 512 characters, values to 256 and text.
pub(crate) fn check_tags(tags: &Value) -> Result<(), Refusal> {
    let invalid = |message: String| Refusal::new(400, "InvalidTagNameOrValue", message);
    let tags = match tags {
        Value::Null => return Ok(()),
        Value::Object(tags) => tags,
        _ => return Err(invalid("The tags must be an object of names and text values.".to_owned())),
    };
    if tags.len() > 50 {
        return Err(Refusal::new(400, "TooManyTags", "The resource has too many tags. The maximum is 50.".to_owned()));
    }
    for (name, value) in tags {
        let fits = value.as_str().is_some_and(|v| v.chars().count() <= 256);
        if !fits || name.is_empty() || name.chars().count() > 512 || name.contains(['<', '>', '%', '&', '\\', '?', '/'])
        {
            return Err(invalid(format!("The tag '{name}' is not valid.")));
        }
    }
    Ok(())
}
