//! The `identity` of a resource: system-assigned, user-assigned or both.
//!
//! Source: <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/overview>.

use serde_json::{Map, Value, json};

use super::linked;
use crate::cx::Cx;
use crate::identity::principals;
use crate::managedidentity::USER_ASSIGNED;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;

fn invalid(what: &str) -> Refusal {
    Refusal::new(
        400,
        "InvalidRequestContent",
        format!("The request content was invalid and could not be deserialized: '{what}'."),
    )
}

/// Which identities a body asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    system: bool,
    user: bool,
}

impl Asked {
    /// Parses `None`, `SystemAssigned`, `UserAssigned` or both, separated by a comma.
    fn parse(given: &Value) -> Result<Self, Refusal> {
        let text = given["type"].as_str().unwrap_or_default();
        let words: Vec<String> = text.split(',').map(|word| word.trim().to_ascii_lowercase()).collect();
        let has = |word: &str| words.iter().any(|given| given == word);
        let (system, user, none) = (has("systemassigned"), has("userassigned"), has("none"));
        let known = usize::from(system) + usize::from(user) + usize::from(none);
        if known != words.len() || (none && known > 1) {
            return Err(invalid(&format!(
                "Error converting value \"{text}\" to a type of identity. Path 'identity.type'"
            )));
        }
        Ok(Self { system, user })
    }

    fn shown(self) -> &'static str {
        match (self.system, self.user) {
            (true, true) => "SystemAssigned, UserAssigned",
            (true, false) => "SystemAssigned",
            (false, true) => "UserAssigned",
            (false, false) => "None",
        }
    }
}

/// Gives the resource `id` the identities that the body asks for and returns its new `identity`.
///
/// `before` is the one it has. User-assigned identities are merged: those it had, plus those named with an object,
/// minus those named with null. Refused when one does not exist or the caller may not assign it.
pub(crate) fn apply(cx: &mut Cx<'_>, id: &ResourceId, before: &Value, given: &Value) -> Result<Value, Refusal> {
    let asked = Asked::parse(given)?;
    let resource = id.to_string();
    let mut shown = json!({ "type": asked.shown() });
    if asked.system {
        let principal = principals::create_system_identity(cx, &resource, id.name())?;
        shown["principalId"] = principal.oid.into();
        shown["tenantId"] = cx.tenant.clone().into();
    } else {
        remove(cx, &resource)?;
    }
    if asked.user {
        shown["userAssignedIdentities"] = user_assigned(cx, id, before, given)?;
    }
    Ok(shown)
}

/// Removes the system-assigned identity of a resource, if it has one.
pub(crate) fn remove(cx: &mut Cx<'_>, resource: &str) -> Result<(), Refusal> {
    if let Some(principal) = principals::of_resource(cx.tx, resource)? {
        principals::delete(cx, &principal.oid)?;
    }
    Ok(())
}

/// Object id of the system-assigned identity in a resource's `identity`.
pub(crate) fn system(identity: &Value) -> Option<&str> {
    identity["principalId"].as_str()
}

/// Object id of one of the user-assigned identities in a resource's `identity`, by resource id.
pub(crate) fn user<'a>(identity: &'a Value, wanted: &str) -> Option<&'a str> {
    let mut all = identity["userAssignedIdentities"].as_object().into_iter().flatten();
    all.find(|(id, _)| id.eq_ignore_ascii_case(wanted)).and_then(|(_, found)| found["principalId"].as_str())
}

fn user_assigned(cx: &Cx<'_>, resource: &ResourceId, before: &Value, given: &Value) -> Result<Value, Refusal> {
    let mut ids: Vec<String> = before["userAssignedIdentities"]
        .as_object()
        .map(|identities| identities.keys().cloned().collect())
        .unwrap_or_default();
    for (id, value) in given["userAssignedIdentities"].as_object().into_iter().flatten() {
        let held = ids.iter().position(|known| known.eq_ignore_ascii_case(id));
        match (held, value.is_null()) {
            (Some(position), true) => drop(ids.remove(position)),
            (None, false) => ids.push(id.clone()),
            (Some(_), false) | (None, true) => {}
        }
    }
    if ids.is_empty() {
        return Err(invalid("user-assigned identities are missing. Path 'identity.userAssignedIdentities'"));
    }
    let mut shown = Map::new();
    for id in ids {
        let held = &before["userAssignedIdentities"][&id];
        let mut named = given["userAssignedIdentities"].as_object().into_iter().flat_map(Map::keys);
        let stays = held.is_object() && !(named.any(|given| given.eq_ignore_ascii_case(&id)) && gone(cx, held)?);
        let found = if stays { held.clone() } else { assignable(cx, resource, &id)? };
        shown.insert(id, found);
    }
    Ok(Value::Object(shown))
}

/// Whether the identity that a resource holds was deleted; one of the same name that was made since is another.
fn gone(cx: &Cx<'_>, held: &Value) -> Result<bool, Refusal> {
    let oid = held["principalId"].as_str().unwrap_or_default();
    Ok(principals::get(cx.tx, oid)?.is_none())
}

/// An identity that the caller may give to the resource, as the resource shows it.
fn assignable(cx: &Cx<'_>, resource: &ResourceId, id: &str) -> Result<Value, Refusal> {
    // What another type calls its `principalId` is not that of an identity.
    let found = cx.resource(id)?.filter(|found| found.kind.eq_ignore_ascii_case(USER_ASSIGNED));
    let identity = found.ok_or_else(|| {
        Refusal::new(
            400,
            "FailedIdentityOperation",
            format!(
                "Identity operation for resource '{resource}' failed with error 'Failed to perform resource identity \
                 operation. The identity {id} was not found.'."
            ),
        )
    })?;
    let action = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action";
    linked::authorize(cx, resource, &identity.id, action)?;
    let properties = &identity.body["properties"];
    Ok(json!({ "principalId": properties["principalId"], "clientId": properties["clientId"] }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_identities() {
        let table = [
            ("SystemAssigned", Some("SystemAssigned")),
            ("userassigned", Some("UserAssigned")),
            ("SystemAssigned,UserAssigned", Some("SystemAssigned, UserAssigned")),
            ("UserAssigned, SystemAssigned", Some("SystemAssigned, UserAssigned")),
            ("None", Some("None")),
            ("None,SystemAssigned", None),
            ("Mine", None),
            ("", None),
        ];
        for (given, expected) in table {
            let asked = Asked::parse(&json!({ "type": given })).ok().map(Asked::shown);
            assert_eq!(asked, expected, "{given}");
        }
    }
}
