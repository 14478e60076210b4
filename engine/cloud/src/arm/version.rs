//! How Azure Resource Manager refuses api-versions and paths that it does not know.

use super::target;
use crate::cx::Cx;
use crate::operation::Operation;
use crate::refusal::Refusal;
use crate::registry;
use crate::resources::locations::LOCATIONS;

fn missing() -> Refusal {
    Refusal::new(
        400,
        "MissingApiVersionParameter",
        "The api-version query parameter (?api-version=) is required for all requests.",
    )
}

/// Whether the caller asked in version `first` or a later one: an earlier one does not know what came with it.
pub(crate) fn since(cx: &Cx<'_>, first: &str) -> bool {
    cx.request.query("api-version").is_none_or(|asked| asked >= first)
}

/// Namespace and type (without namespace) that a path names, collections included.
pub(super) fn named(cx: &Cx<'_>) -> Option<(String, String)> {
    let segments = &cx.request.segments;
    let provider = segments.iter().rposition(|s| s.eq_ignore_ascii_case("providers"))?;
    let namespace = segments.get(provider + 1)?.clone();
    let kind: Vec<&str> = segments.iter().skip(provider + 2).step_by(2).map(String::as_str).collect();
    Some((namespace, kind.join("/")))
}

/// Refuses a missing or unsupported api-version.
pub(super) fn wrong(cx: &Cx<'_>, operation: &'static Operation, given: Option<&str>) -> Refusal {
    let Some(given) = given else { return missing() };
    let versions = operation.api.join(", ");
    let Some((namespace, kind)) = named(cx) else {
        return Refusal::new(
            400,
            "InvalidApiVersionParameter",
            format!("The api-version '{given}' is invalid. The supported versions are '{}'.", operation.api.join(",")),
        );
    };
    let location = location(cx);
    match location {
        Some(location) => Refusal::new(
            400,
            "NoRegisteredProviderFound",
            format!(
                "No registered resource provider found for location '{location}' and API version '{given}' for type \
                 '{kind}'. The supported api-versions are '{versions}'. The supported locations are '{}'.",
                LOCATIONS.iter().map(|l| l.name).collect::<Vec<_>>().join(", ")
            ),
        ),
        None => Refusal::new(
            404,
            "InvalidResourceType",
            format!(
                "The resource type '{kind}' could not be found in the namespace '{namespace}' for api version \
                 '{given}'. The supported api-versions are '{versions}'."
            ),
        ),
    }
}

/// The location that a request is about: the body's, else that of the resource that exists.
fn location(cx: &Cx<'_>) -> Option<String> {
    let body: Option<serde_json::Value> = serde_json::from_slice(&cx.request.body).ok();
    let stated = body.and_then(|b| b["location"].as_str().map(str::to_owned));
    stated.or_else(|| cx.resource(&target(cx.request).to_string()).ok().flatten()?.location)
}

/// Refuses a path that no table has, with the error that Azure has for a namespace or type it does not know.
pub(super) fn unknown(cx: &Cx<'_>) -> Refusal {
    let Some(given) = cx.request.query("api-version") else { return missing() };
    let Some((namespace, kind)) = named(cx) else {
        return Refusal::new(404, "InvalidRequestUri", format!("The request URI '{}' is not valid.", cx.request.path));
    };
    let Some(provider) = registry::provider(&namespace) else {
        return Refusal::new(
            404,
            "InvalidResourceNamespace",
            format!("The resource namespace '{namespace}' is invalid."),
        );
    };
    let versions = registry::types(provider)
        .iter()
        .find(|t| t.name.eq_ignore_ascii_case(&kind))
        .map(|t| t.api.join(", "))
        .unwrap_or_default();
    Refusal::new(
        404,
        "InvalidResourceType",
        format!(
            "The resource type '{kind}' could not be found in the namespace '{namespace}' for api version '{given}'. \
             The supported api-versions are '{versions}'."
        ),
    )
}
