//! User-assigned identities.
//!
//! Source: <https://learn.microsoft.com/rest/api/managedidentity/user-assigned-identities>.

use serde_json::{Value, json};

use super::{API, USER_ASSIGNED};
use crate::arm::kind::{Draft, Facts, Kind, Style};
use crate::arm::rows::tracked_type;
use crate::cx::Cx;
use crate::identity::principals;
use crate::operation::Operation;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::store::resources::Resource;

pub(super) static OPERATIONS: &[Operation] =
    &tracked_type!("UserAssignedIdentities", "Microsoft.ManagedIdentity", "userAssignedIdentities", API, long: false);

/// The type. Its service principal comes with the resource and goes with it; resources that hold the identity keep
/// its ids and find nobody behind them, as in Azure.
pub(super) struct UserAssignedIdentity;

const FACTS: Facts = Facts::new(USER_ASSIGNED, API, Style::AtOnce);

impl Kind for UserAssignedIdentity {
    fn facts(&self) -> &Facts {
        &FACTS
    }

    /// 3 to 128 letters, digits, `-` and `_`, the first a letter or digit.
    fn check_name(&self, name: &str) -> Result<(), Refusal> {
        let fits = (3..=128).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if fits {
            return Ok(());
        }
        Err(Refusal::new(
            400,
            "InvalidResourceName",
            format!(
                "The identity name '{name}' is not valid. A name has 3 to 128 letters, digits, '-' or '_' and begins \
                 with a letter or a digit."
            ),
        ))
    }

    fn apply(&self, cx: &mut Cx<'_>, draft: &mut Draft<'_>) -> Result<(), Refusal> {
        check_restrictions(draft.asked())?;
        draft.take(&["isolationScope"]);
        let id = draft.id.clone();
        embody(cx, &id, draft.properties())
    }

    fn shown(&self, _: &Cx<'_>, resource: &Resource) -> Result<Value, Refusal> {
        let mut body = resource.body.clone();
        if let Some(body) = body.as_object_mut() {
            body.shift_remove("systemData");
        }
        if let Some(properties) = body["properties"].as_object_mut() {
            // The type has no provisioning state.
            properties.shift_remove("provisioningState");
        }
        Ok(body)
    }
}

/// Makes the principal of an identity, if it has none yet, and writes its ids into the properties.
fn embody(cx: &mut Cx<'_>, id: &ResourceId, properties: &mut Value) -> Result<(), Refusal> {
    let principal = principals::create_system_identity(cx, &id.to_string(), id.name())?;
    properties["tenantId"] = cx.tenant.clone().into();
    properties["principalId"] = principal.oid.into();
    properties["clientId"] = principal.app_id.into();
    Ok(())
}

/// Makes an identity for another provider, which manages it in a resource group of its own.
pub(crate) fn create(cx: &mut Cx<'_>, id: &ResourceId, location: &str) -> Result<Resource, Refusal> {
    let mut body = json!({ "location": location, "tags": {}, "properties": {} });
    embody(cx, id, &mut body["properties"])?;
    cx.put_resource(id, body)
}

/// Refuses limits on which resources may be given the identity.
fn check_restrictions(asked: &Value) -> Result<(), Refusal> {
    let invalid = |what: &str| {
        Refusal::new(
            400,
            "InvalidRequestContent",
            format!("The request content was invalid and could not be deserialized: '{what}'."),
        )
    };
    match asked["isolationScope"].as_str() {
        None if !asked["isolationScope"].is_null() => return Err(invalid("a text is expected at 'isolationScope'")),
        None | Some("None") => {}
        Some("Regional") => {
            return Err(
                invalid("the isolation scope Regional is not available").gap("regional isolation of identities")
            );
        }
        Some(other) => return Err(invalid(&format!("'{other}' is no isolation scope"))),
    }
    if asked["assignmentRestrictions"].is_null() {
        return Ok(());
    }
    Err(invalid("assignment restrictions are not available").gap("assignment restrictions of identities"))
}
