//! What the types of this provider have in common: references, members, what is shown.

use serde_json::{Value, json};

use super::cidr::{Flaw, Prefix};
use crate::arm::linked;
use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::store::resources::Resource;

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

/// Refuses members that the embedded Azure does not know, unless they say nothing.
pub(super) fn only(given: &Value, what: &str, known: &[&str]) -> Result<(), Refusal> {
    let mut members = given.as_object().into_iter().flatten();
    let Some((name, _)) = members.find(|(name, value)| !known.contains(&name.as_str()) && !is_empty(value)) else {
        return Ok(());
    };
    let detail = json!({
        "code": "UnsupportedMember",
        "message": format!("The member '{name}' of '{what}' is not supported."),
    });
    Err(Refusal::new(400, "InvalidRequestFormat", "Cannot parse the request.")
        .details(vec![detail])
        .gap(format!("{what}: {name}")))
}

/// A required or optional word out of a list, spelled as Azure spells it.
pub(super) fn word<'a>(given: &Value, path: &str, words: &[&'a str], default: &'a str) -> Result<&'a str, Refusal> {
    if given.is_null() {
        return Ok(default);
    }
    let text = given.as_str().unwrap_or_default();
    words.iter().copied().find(|word| word.eq_ignore_ascii_case(text)).ok_or_else(|| {
        Refusal::new(400, "InvalidRequestFormat", "Cannot parse the request.").details(vec![json!({
            "code": "InvalidJson",
            "message": format!("Error converting value \"{text}\" to one of '{}'. Path '{path}'.", words.join("', '")),
        })])
    })
}

/// The list that a body holds under a singular or a plural name: `addressPrefix` or `addressPrefixes`.
pub(super) fn texts(given: &Value, one: &str, many: &str) -> Vec<String> {
    let many = given[many].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut all: Vec<String> = many.map(str::to_owned).collect();
    if let Some(one) = given[one].as_str().filter(|one| all.is_empty() && !one.is_empty()) {
        all.push(one.to_owned());
    }
    all
}

/// Parses the address prefixes of a resource.
pub(super) fn prefixes(texts: &[String], resource: &str) -> Result<Vec<Prefix>, Refusal> {
    let parse = |text: &String| {
        Prefix::parse(text).map_err(|flaw| match flaw {
            Flaw::Format => Refusal::new(
                400,
                "InvalidAddressPrefixFormat",
                format!(
                    "Address prefix {text} of resource {resource} is not formatted correctly. It should follow CIDR \
                     notation, for example 10.0.0.0/24."
                ),
            ),
            Flaw::HostBits(right) => Refusal::new(
                400,
                "InvalidCIDRNotation",
                format!(
                    "The address prefix {text} in resource {resource} has an invalid CIDR notation. For the given \
                     prefix length, the address prefix should be {right}."
                ),
            ),
            Flaw::Version6 => Refusal::new(
                400,
                "InvalidAddressPrefixFormat",
                format!("Address prefix {text} of resource {resource} is not formatted correctly."),
            )
            .gap("IPv6 addresses"),
        })
    };
    texts.iter().map(parse).collect()
}

/// What a reference must lead to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// Type with namespace.
    pub kind: &'static str,
    /// What the caller must be allowed to do with it.
    pub action: &'static str,
}

pub(super) const SUBNET: Wanted = Wanted {
    kind: "Microsoft.Network/virtualNetworks/subnets",
    action: "Microsoft.Network/virtualNetworks/subnets/join/action",
};
pub(super) const SECURITY_GROUP: Wanted = Wanted {
    kind: "Microsoft.Network/networkSecurityGroups",
    action: "Microsoft.Network/networkSecurityGroups/join/action",
};
pub(super) const PUBLIC_IP: Wanted =
    Wanted { kind: "Microsoft.Network/publicIPAddresses", action: "Microsoft.Network/publicIPAddresses/join/action" };

/// The resource that `{ "id": … }` names, of the wanted type and in `location`; `None` when nothing is named.
pub(super) fn reference(
    cx: &Cx<'_>,
    user: &ResourceId,
    given: &Value,
    wanted: Wanted,
    location: &str,
) -> Result<Option<Resource>, Refusal> {
    let Some(id) = given["id"].as_str() else { return Ok(None) };
    let missing = || {
        Refusal::new(
            400,
            "InvalidResourceReference",
            format!(
                "Resource {id} referenced by resource {user} was not found. Please make sure that the referenced \
                 resource exists, and that both resources are in the same region."
            ),
        )
    };
    if !ResourceId::parse(id).is_some_and(|id| id.kind().eq_ignore_ascii_case(wanted.kind)) {
        return Err(missing());
    }
    let found = linked::require(cx, user, id, wanted.action)?;
    let place = match (&found.location, ResourceId::parse(&found.id).and_then(|id| id.parent())) {
        (Some(location), _) => Some(location.clone()),
        (None, Some(parent)) => cx.resource(&parent.to_string())?.and_then(|parent| parent.location),
        (None, None) => None,
    };
    if place.is_some_and(|place| !place.eq_ignore_ascii_case(location)) {
        return Err(missing());
    }
    Ok(Some(found))
}

/// The resources of a type that name another one.
pub(super) fn users_of(cx: &Cx<'_>, target: &str, kind: &str) -> Result<Vec<Resource>, Refusal> {
    let mut users = linked::users(cx, target)?;
    users.retain(|user| user.kind.eq_ignore_ascii_case(kind));
    Ok(users)
}

/// `[{ "id": … }]` of resources.
pub(super) fn ids<'a>(resources: impl IntoIterator<Item = &'a Resource>) -> Value {
    resources.into_iter().map(|r| json!({ "id": r.id })).collect()
}

/// A document as this provider answers it: without `systemData`; what is being made is `Updating`.
pub(super) fn shown(resource: &Resource) -> Value {
    let mut body = resource.body.clone();
    if let Some(body) = body.as_object_mut() {
        body.shift_remove("systemData");
    }
    if body["properties"]["provisioningState"] == "Creating" {
        body["properties"]["provisioningState"] = "Updating".into();
    }
    body
}

/// A fresh entity tag.
pub(super) fn etag() -> String {
    format!("W/\"{}\"", uuid::Uuid::new_v4())
}

/// `resourceGuid`: that of the resource as it was, else a new one.
pub(super) fn guid(old: Option<&Resource>) -> Value {
    let held = old.map(|old| old.body["properties"]["resourceGuid"].clone()).filter(Value::is_string);
    held.unwrap_or_else(|| uuid::Uuid::new_v4().to_string().into())
}

/// Refuses names that Microsoft.Network does not allow: letters, digits, `_`, `.`, `-`; at most 80 characters.
pub(super) fn check_name(name: &str) -> Result<(), Refusal> {
    let ends = |c: Option<char>, more: &str| c.is_some_and(|c| c.is_ascii_alphanumeric() || more.contains(c));
    let inner = name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    if inner && name.len() <= 80 && ends(name.chars().next(), "_") && ends(name.chars().last(), "_") {
        return Ok(());
    }
    Err(Refusal::new(
        400,
        "InvalidResourceName",
        format!(
            "Resource name {name} is invalid. The name can be up to 80 characters long. It must begin with a word \
             character, and it must end with a word character or with '_'. The name may contain word characters or \
             '.', '-', '_'."
        ),
    ))
}
